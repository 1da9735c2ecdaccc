"""Wrong answers to lab 04, with the diagnosis that each must get and the test cells that it must lose."""

from labs.running import WrongAnswer

Q1 = ("q1-visible", "q1-padding", "q1-hidden")
Q2 = ("q2-visible", "q2-hidden")
Q3 = ("q3-visible", "q3-hidden")
Q4 = ("q4-whole", "q4-between", "q4-hidden")
Q5 = ("q5-visible", "q5-sizes", "q5-hidden")
Q6 = ("q6-visible", "q6-hidden")

# Correct up to the words in capitals, which each wrong answer fills in its own way.
MAX_POOL = """
def max_pool(x, k, stride, padding=0):
    around = ((0, 0), (0, 0), (padding, padding), (padding, padding))
    padded = np.pad(x.astype(float), around, constant_values=BORDER)
    rows, columns = (padded.shape[2] - k) // STEP + 1, (padded.shape[3] - k) // STEP + 1
    y = OUTPUT
    for i in range(rows):
        for j in range(columns):
            y[:, :, i, j] = VALUE
    return RESULT
"""
AVG_POOL = """
def avg_pool(x, k, stride):
    (kh, kw), (sh, sw) = EXTENT, STRIDE
    y = OUTPUT
    for i in range(y.shape[2]):
        for j in range(y.shape[3]):
            y[:, :, i, j] = VALUE
    return y
"""
L2_POOL = """
def l2_pool(x, k, stride):
    y = np.zeros((*x.shape[:2], (x.shape[2] - k) // stride + 1, (x.shape[3] - k) // stride + 1))
    for i in range(y.shape[2]):
        for j in range(y.shape[3]):
            window = x[:, :, i * stride : i * stride + k, j * stride : j * stride + k]FLOATS
            y[:, :, i, j] = VALUE
    return y
"""
ERROR = """
def equivariance_error(before, after, dx, stride=1):
    errors = []
    for places in PLACES:
        moved = np.roll(before, places, axis=AXIS)
        errors.append(np.linalg.norm(after - moved) / BELOW)
    return float(RESULT)
"""
BLUR = """
def blur_pool(x, stride=2):
    y = INPUT
    for axis in AXES:
        y = BLURRED
    return RESULT
"""
FEATURES = """
def shift_proof_features(x):
    across, down = filters.sobel_x(), filters.sobel_y()
    kernels = np.stack([across, down, -across, -down])[:, None]
    edges = np.maximum(EDGES, 0)
    return RESULT
"""
WINDOW = "padded[:, :, i * STEP : i * STEP + k, j * STEP : j * STEP + k]"
MEAN = "x[:, :, i * sh : i * sh + kh, j * sw : j * sw + kw].mean(axis=(2, 3))"


def answer(question: int, template: str, defaults: dict[str, str], name: str, diagnosis: str, fails, **parts: str):
    for word, text in (defaults | parts).items():
        template = template.replace(word, text)
    return WrongAnswer(name, f"q{question}-solution", template.strip(), diagnosis, fails)


def maximum(name: str, diagnosis: str, fails: tuple[str, ...] = Q1, **parts: str) -> WrongAnswer:
    defaults = {
        "BORDER": "-np.inf",
        "OUTPUT": "np.zeros((*x.shape[:2], rows, columns))",
        "VALUE": f"{WINDOW}.max(axis=(2, 3))",
        "RESULT": "y",
    }
    return answer(1, MAX_POOL, defaults | parts | {"STEP": parts.get("STEP", "stride")}, name, diagnosis, fails)


def mean(name: str, diagnosis: str, fails: tuple[str, ...] = Q2, **parts: str) -> WrongAnswer:
    shape = "(*x.shape[:2], (x.shape[2] - kh) // sh + 1, (x.shape[3] - kw) // sw + 1)"
    defaults = {"EXTENT": "k", "STRIDE": "stride", "OUTPUT": f"np.zeros({shape})", "VALUE": MEAN}
    return answer(2, AVG_POOL, defaults, name, diagnosis, fails, **parts)


def length(name: str, diagnosis: str, fails: tuple[str, ...] = Q3, **parts: str) -> WrongAnswer:
    defaults = {"FLOATS": ".astype(float)", "VALUE": "np.sqrt((window**2).sum(axis=(2, 3)))"}
    return answer(3, L2_POOL, defaults, name, diagnosis, fails, **parts)


def error(name: str, diagnosis: str, fails: tuple[str, ...] = Q4, **parts: str) -> WrongAnswer:
    defaults = {
        "PLACES": "(dx // stride, -(-dx // stride))",
        "AXIS": "-1",
        "BELOW": "np.linalg.norm(moved)",
        "RESULT": "min(errors)",
    }
    return answer(4, ERROR, defaults, name, diagnosis, fails, **parts)


def blur(name: str, diagnosis: str, fails: tuple[str, ...] = Q5, **parts: str) -> WrongAnswer:
    defaults = {
        "INPUT": "x.astype(float)",
        "AXES": "(2, 3)",
        "BLURRED": "(np.roll(y, 1, axis=axis) + 2 * y + np.roll(y, -1, axis=axis)) / 4",
        "RESULT": "y[:, :, ::stride, ::stride]",
    }
    return answer(5, BLUR, defaults, name, diagnosis, fails, **parts)


def features(name: str, diagnosis: str, **parts: str) -> WrongAnswer:
    defaults = {
        "EDGES": 'convolution.conv2d(images.pad(x, 1, mode="wrap"), kernels)',
        "RESULT": "pooling.global_avg_pool(edges)",
    }
    return answer(6, FEATURES, defaults, name, diagnosis, Q6, **parts)


WRONG_ANSWERS = [
    maximum("border of zeros", "border is made of zeros", Q1[1:], BORDER="0.0"),
    maximum(
        "running maximum from zero",
        "a running maximum starts at -np.inf",
        Q1[1:],
        VALUE=f"np.maximum(0, {WINDOW}.max(axis=(2, 3)))",
    ),
    maximum("maximum with the stride ignored", "stride is ignored", STEP="1"),
    maximum("window moves by its own size", "the window moves by its own size", STEP="k"),
    maximum("means for maxima", "the means of the windows", VALUE=f"{WINDOW}.mean(axis=(2, 3))"),
    maximum("rows and columns swapped", "rows and columns of the output are swapped", RESULT="y.swapaxes(2, 3)"),
    maximum(
        "first image only", "every image gets the first one's result", Q1[1:], VALUE=f"{WINDOW}[:1].max(axis=(2, 3))"
    ),
    maximum(
        "channels pooled together", "the channels are pooled together", Q1[1:], RESULT="y.max(axis=1, keepdims=True)"
    ),
    WrongAnswer(
        "the answer of the first example",
        "q1-solution",
        "def max_pool(x, k, stride, padding=0):\n    return np.array([[[[4.0, 2.0]]]])",
        "the result of an earlier call",
        Q1,
    ),
    mean("sums for means", "These are the sums of the windows", VALUE=MEAN.replace("mean", "sum")),
    mean("divided by the rows of the window", "divided by kh", VALUE=f"{MEAN} * kw"),
    mean("extents swapped", "kh and kw are swapped", EXTENT="k[::-1]"),
    mean("strides swapped", "the two strides are swapped", STRIDE="stride[::-1]"),
    mean("one stride for both axes", "stride of the rows is used for the columns too", STRIDE="(stride[0], stride[0])"),
    mean(
        "means as whole numbers",
        "whatever comes after the decimal point is cut off",
        ("q2-hidden",),
        OUTPUT="np.zeros((*x.shape[:2], (x.shape[2] - kh) // sh + 1, (x.shape[3] - kw) // sw + 1), dtype=x.dtype)",
    ),
    length("root forgotten", "the root is missing", VALUE="(window**2).sum(axis=(2, 3))"),
    length("root of the mean square", "squares are averaged", VALUE="np.sqrt((window**2).mean(axis=(2, 3)))"),
    length("sum of absolute values", "absolute values (L1)", VALUE="np.abs(window).sum(axis=(2, 3))"),
    length("sum squared", "Square each value first", VALUE="np.sqrt(window.sum(axis=(2, 3)) ** 2)"),
    length("squares in uint8", "do not fit into the dtype of x", FLOATS=""),
    error("maps not moved", "That is the invariance error", PLACES="(0,)"),
    error("moved to the wrong side", "moved to the wrong side", PLACES="(-(dx // stride), -dx // stride)"),
    error("moved by pixels", "moved by dx pixels", PLACES="(dx,)"),
    error("places rounded down", "the error at the other neighbour", Q4[1:], PLACES="(dx // stride,)"),
    error("larger error", "the error at the other neighbour", Q4[1:], RESULT="max(errors)"),
    error("not relative", "The difference is not relative", BELOW="1"),
    error("relative to the other maps", "the norm of `after` is below", BELOW="np.linalg.norm(after)"),
    error("rows moved", "the rows are moved", AXIS="-2"),
    blur("not blurred", "nothing is blurred", AXES="()"),
    blur("blurred along one axis", "only the rows are blurred", AXES="(3,)"),
    blur("box blur", "The three weights are equal", BLURRED="(np.roll(y, 1, axis) + y + np.roll(y, -1, axis)) / 3"),
    blur("not divided", "16 times too large", BLURRED="np.roll(y, 1, axis) + 2 * y + np.roll(y, -1, axis)"),
    blur(
        "strided before the blur", "thrown away before the blur", INPUT="x[:, :, ::stride, ::stride] * 1.0", RESULT="y"
    ),
    blur("kept from place 1", "the kept places start at 1", RESULT="y[:, :, 1::stride, 1::stride]"),
    blur("stride of the blur ignored", "stride is ignored", RESULT="y"),
    WrongAnswer(
        "zeros outside the border",
        "q5-solution",
        """
def blur_pool(x, stride=2):
    height, width = x.shape[2:]
    padded = np.pad(x.astype(float), ((0, 0), (0, 0), (1, 1), (1, 1)))
    y = np.zeros(x.shape)
    for u, a in enumerate((1, 2, 1)):
        for v, b in enumerate((1, 2, 1)):
            y += a * b / 16 * padded[:, :, u : u + height, v : v + width]
    return y[:, :, ::stride, ::stride]
""".strip(),
        "zeros stand outside the border",
        Q5,
    ),
    features("edges with their places", "between 2 and 64 are allowed", RESULT="edges.reshape(len(x), -1)"),
    features(
        "pooled in large windows",
        "still say where things are",
        RESULT="pooling.max_pool(edges, 8)[:, :, :2, :2].reshape(len(x), -1)",
    ),
    features("edges with a stride", "a total stride of 2", RESULT="pooling.global_avg_pool(edges[:, :, ::2, ::2])"),
    features(
        "maxima with a stride",
        "a total stride of 4",
        RESULT="pooling.global_avg_pool(pooling.max_pool(edges, 4) ** 2)",
    ),
    features("zeros around the pictures", "what a border does", EDGES="convolution.conv2d(x, kernels, padding=1)"),
    features(
        "brightness only", "do not tell what it shows", RESULT="np.stack([x.mean((1, 2, 3)), x.max((1, 2, 3))], 1)"
    ),
    features("the same for all", "all 45 pictures get the same features", RESULT="np.ones((len(x), 4))"),
    features("the pictures as they are", "got 4 axes", RESULT="x"),
    error(
        "any number of places",
        "other places are tried too",
        Q4[2:],
        PLACES="range(before.shape[-1])",
    ),
    error(
        "one place further on both sides",
        "other places are tried too",
        Q4[2:],
        PLACES="range(dx // stride - 1, -(-dx // stride) + 2)",
    ),
    blur("sums in uint8", "the sums are taken in uint8", Q5[2:], INPUT="x"),
    features(
        "relative to the mean of the batch",
        "no means over the batch",
        RESULT="pooling.global_avg_pool(edges) - pooling.global_avg_pool(edges).mean(axis=0)",
    ),
]
