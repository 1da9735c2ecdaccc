"""Wrong answers to lab 01, with the diagnosis that each must get and the test cells that it must lose."""

from labs.running import WrongAnswer

Q1 = ("q1-visible", "q1-hidden")
Q2 = ("q2-values", "q2-stride-padding", "q2-hidden")
Q3 = ("q3-visible", "q3-hidden")
Q4 = ("q4-padding", "q4-stride", "q4-hidden")
Q5 = ("q5-channels", "q5-batch-bias", "q5-hidden")
Q6 = ("q6-visible", "q6-hidden")

# Correct up to the expressions in capitals, which each wrong answer fills in its own way.
CORRELATE_1D = """
def correlate_1d(x, w, stride=1, padding=0):
    padded = PADDED
    m = (len(padded) - len(w)) // STEP + 1
    y = np.zeros(m)
    for i in range(m):
        y[i] = (KERNEL * padded[i * STEP : i * STEP + len(w)]).sum()
    return y
"""
CONV_2D = """
def conv_2d(x, w):
    kh, kw = w.shape
    y = OUTPUT
    for i in range(y.shape[0]):
        for j in range(y.shape[1]):
            y[i, j] = (KERNEL * x[i : i + kh, j : j + kw]).sum()
    return RESULT
"""
STRIDED = """
def conv_2d_strided(x, w, stride=(1, 1), padding=(0, 0)):
    (sh, sw), (ph, pw), (kh, kw) = STRIDE, PADDING, w.shape
    padded = np.pad(x, ((ph, ph), (pw, pw)))
    y = np.zeros(((padded.shape[0] - kh) // sh + 1, (padded.shape[1] - kw) // sw + 1))
    for i in range(y.shape[0]):
        for j in range(y.shape[1]):
            y[i, j] = (w * padded[i * sh : i * sh + kh, j * sw : j * sw + kw]).sum()
    return y
"""
LAYER = """
def conv_layer(x, w, b):
    n, o, kh, kw = x.shape[0], w.shape[0], w.shape[2], w.shape[3]
    y = np.zeros((n, o, x.shape[2] - kh + 1, x.shape[3] - kw + 1))
    for i in range(y.shape[2]):
        for j in range(y.shape[3]):
            for m in range(n):
                for k in range(o):
                    y[m, k, i, j] = VALUE
    return RESULT
"""
FULL_SIZE = "np.zeros((x.shape[0] - kh + 1, x.shape[1] - kw + 1))"


def fill(template: str, **parts: str) -> str:
    defaults = {
        "PADDED": "np.pad(x, padding)",
        "STEP": "stride",
        "OUTPUT": FULL_SIZE,
        "KERNEL": "w",
        "STRIDE": "stride",
        "PADDING": "padding",
        "VALUE": "(w[k] * x[m, :, i : i + kh, j : j + kw]).sum() + b[k]",
        "RESULT": "y",
    }
    for word, text in (defaults | parts).items():
        template = template.replace(word, text)
    return template.strip()


WRONG_ANSWERS = [
    WrongAnswer(
        "size without the + 1",
        "q1-solution",
        "def output_size(n, k, stride=1, padding=0):\n    return (n + 2 * padding - k) // stride",
        "the + 1 is missing",
        Q1,
    ),
    WrongAnswer(
        "size as a float",
        "q1-solution",
        "def output_size(n, k, stride=1, padding=0):\n    return (n + 2 * padding - k) / stride + 1",
        "got the float 4.0. Use //",
        Q1,
    ),
    WrongAnswer(
        "size rounded up",
        "q1-solution",
        "def output_size(n, k, stride=1, padding=0):\n    return -(-(n + 2 * padding - k) // stride) + 1",
        "rounded up",
        Q1,
    ),
    WrongAnswer("kernel flipped in 1-D", "q2-solution", fill(CORRELATE_1D, KERNEL="w[::-1]"), "kernel flipped", Q2),
    WrongAnswer(
        "sums go on in the same array",
        "q2-solution",
        """
buffers = {}


def correlate_1d(x, w, stride=1, padding=0):
    padded = np.pad(x, padding)
    m = (len(padded) - len(w)) // stride + 1
    y = buffers.setdefault(m, np.zeros(m))
    for i in range(m):
        for u in range(len(w)):
            y[i] += w[u] * padded[i * stride + u]
    return y.copy()
""".strip(),
        "earlier call",
        Q2,
    ),
    WrongAnswer("1-D padding missing", "q2-solution", fill(CORRELATE_1D, PADDED="x"), "x is not padded", Q2[1:]),
    WrongAnswer(
        "1-D padding at one end only",
        "q2-solution",
        fill(CORRELATE_1D, PADDED="np.pad(x, (padding, 0))"),
        "only the left end",
        Q2[1:],
    ),
    WrongAnswer("1-D stride ignored", "q2-solution", fill(CORRELATE_1D, STEP="1"), "stride is ignored", Q2[1:]),
    WrongAnswer(
        "works on x in place",
        "q2-solution",
        fill(CORRELATE_1D, PADDED="x").replace(
            "    padded = x", "    x *= 1.0 * w[0] / w[0] + 1e-3\n    padded = x", 1
        ),
        "argument 1 was changed",
        Q2,
    ),
    WrongAnswer(
        "integers of the input in 1-D",
        "q2-solution",
        fill(CORRELATE_1D).replace("np.zeros(m)", "np.zeros(m, dtype=x.dtype)"),
        "whatever comes after the decimal point is cut off",
        ("q2-hidden",),
    ),
    WrongAnswer(
        "sums kept between calls",
        "q2-solution",
        """
def correlate_1d(x, w, stride=1, padding=0, cache={}):
    padded = np.pad(x, padding)
    key = (len(padded), len(w), stride)
    if key not in cache:
        m = (len(padded) - len(w)) // stride + 1
        cache[key] = np.array([(w * padded[i * stride : i * stride + len(w)]).sum() for i in range(m)], dtype=float)
    return cache[key]
""".strip(),
        "the result of an earlier call",
        ("q2-values", "q2-hidden"),
    ),
    WrongAnswer(
        "returns a list", "q2-solution", fill(CORRELATE_1D).replace("return y", "return list(y)"), "a list", Q2
    ),
    WrongAnswer("nothing returned", "q3-solution", fill(CONV_2D, RESULT="None"), "got None", Q3),
    WrongAnswer("kernel flipped in 2-D", "q3-solution", fill(CONV_2D, KERNEL="w[::-1, ::-1]"), "kernel flipped", Q3),
    WrongAnswer(
        "kernel size not subtracted",
        "q3-solution",
        fill(CONV_2D, OUTPUT="np.zeros(x.shape)").replace("(w * x[", "(w[: len(x) - i, : x.shape[1] - j] * x["),
        "expected shape (2, 3), got (3, 4). That is the shape of x: did you subtract the kernel size?",
        Q3,
    ),
    WrongAnswer(
        "one row and column short",
        "q3-solution",
        fill(CONV_2D, OUTPUT="np.zeros((x.shape[0] - kh, x.shape[1] - kw))"),
        "off by one",
        Q3,
    ),
    WrongAnswer(
        "rows and columns of the output swapped", "q3-solution", fill(CONV_2D, RESULT="y.T"), "output are swapped", Q3
    ),
    WrongAnswer(
        "shape of the example",
        "q3-solution",
        fill(CONV_2D, OUTPUT="np.zeros((2, 3))"),
        "the shape of an earlier example",
        Q3,
    ),
    WrongAnswer(
        "only square pictures",
        "q3-solution",
        fill(CONV_2D, OUTPUT="np.zeros((x.shape[0] - kh + 1, x.shape[0] - kh + 1))"),
        "The output is square although x is not",
        Q3,
    ),
    WrongAnswer(
        "picture padded on one side",
        "q4-solution",
        fill(STRIDED).replace("((ph, ph), (pw, pw))", "((ph, 0), (pw, 0))"),
        "padded on one side only (top and left)",
        ("q4-padding", "q4-hidden"),
    ),
    WrongAnswer(
        "2-D stride ignored",
        "q4-solution",
        fill(STRIDED, STRIDE="(1, 1)"),
        "stride is ignored",
        ("q4-stride", "q4-hidden"),
    ),
    WrongAnswer(
        "stride on the rows only",
        "q4-solution",
        fill(STRIDED, STRIDE="(stride[0], 1)"),
        "used for the rows only",
        ("q4-stride", "q4-hidden"),
    ),
    WrongAnswer(
        "one stride for both axes",
        "q4-solution",
        fill(STRIDED, STRIDE="(stride[0], stride[0])"),
        "stride of the rows is used for the columns too",
        ("q4-stride", "q4-hidden"),
    ),
    WrongAnswer(
        "paddings swapped",
        "q4-solution",
        fill(STRIDED, PADDING="padding[::-1]"),
        "two paddings are swapped",
        ("q4-padding", "q4-hidden"),
    ),
    WrongAnswer(
        "bias forgotten",
        "q5-solution",
        fill(LAYER, VALUE="(w[k] * x[m, :, i : i + kh, j : j + kw]).sum()"),
        "bias is missing",
        Q5[1:],
    ),
    WrongAnswer(
        "first input channel only",
        "q5-solution",
        fill(LAYER, VALUE="(w[k, 0] * x[m, 0, i : i + kh, j : j + kw]).sum() + b[k]"),
        "only the first input channel",
        Q5,
    ),
    WrongAnswer(
        "bias once per input channel",
        "q5-solution",
        fill(LAYER, VALUE="sum((w[k, c] * x[m, c, i : i + kh, j : j + kw]).sum() + b[k] for c in range(x.shape[1]))"),
        "bias is added once per input channel",
        Q5[1:],
    ),
    WrongAnswer(
        "channels last", "q5-solution", fill(LAYER, RESULT="y.transpose(0, 2, 3, 1)"), "channels come last", Q5
    ),
    WrongAnswer(
        "not flipped",
        "q6-solution",
        "def convolve_2d(x, w):\n    return convolution.conv2d(x[None, None], w[None, None])[0, 0]",
        "the kernel is not flipped",
        Q6,
    ),
    WrongAnswer(
        "rows flipped only",
        "q6-solution",
        "def convolve_2d(x, w):\n    return convolution.conv2d(x[None, None], w[None, None, ::-1])[0, 0]",
        "only the rows of the kernel are flipped",
        Q6,
    ),
    WrongAnswer(
        "transposed instead of flipped",
        "q6-solution",
        "def convolve_2d(x, w):\n    return convolution.conv2d(x[None, None], w.T[None, None])[0, 0]",
        "the kernel is transposed",
        Q6,
    ),
]
