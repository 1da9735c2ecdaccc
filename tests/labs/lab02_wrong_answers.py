"""Wrong answers to lab 02, with the diagnosis that each must get and the test cells that it must lose."""

from labs.running import WrongAnswer

Q1 = ("q1-values", "q1-border", "q1-hidden")
Q2 = ("q2-visible", "q2-hidden")
Q3 = ("q3-visible", "q3-hidden")
Q4 = ("q4-directions", "q4-corners", "q4-hidden")
Q5 = ("q5-products", "q5-zeros", "q5-hidden")
Q6 = ("q6-clean", "q6-noise", "q6-hidden")

# Correct up to the expressions in capitals, which each wrong answer fills in its own way.
BLUR = """
def gaussian_blur(x, k, sigma):
    u = PLACES
    kernel = np.exp(-SQUARES / SPREAD)
    return RESULT
"""
LAPLACIAN = """
def laplacian(x, diagonal=False):
    corner = CORNER
    kernel = np.array([[corner, 1.0, corner], [1.0, 0.0, 1.0], [corner, 1.0, corner]])
    kernel[1, 1] = MIDDLE
    return RESULT
"""
SHARPEN = """
def sharpen(x, amount=1.0):
    kernel = SIGN * np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    kernel[1, 1] = MIDDLE
    return RESULT
"""
SOBEL = """
def sobel_magnitude(x):
    kernel = np.outer(SMOOTH, [-1.0, 0.0, 1.0])
    gx, gy = apply(x, kernel), apply(x, kernel.T)
    return RESULT
"""
SPLIT = """
def split_kernel(kernel):
    i, j = PLACE
    column = COLUMN
    row = ROW
    return RESULT
"""
EDGES = """
def find_edges(x):
    places = np.arange(11) - 5
    bell = np.exp(-0.5 * (places / SIGMA) ** 2)
    smooth = apply(x, np.outer(bell, bell) / bell.sum() ** 2)
    kernel = np.outer([1.0, 2.0, 1.0], [-1.0, 0.0, 1.0])
    gx, gy = apply(smooth, kernel), apply(smooth, kernel.T)
    strength = STRENGTH
    return RESULT
"""
DEFAULTS = {
    BLUR: {
        "PLACES": "np.arange(k) - k // 2",
        "SQUARES": "(u[:, None] ** 2 + u[None, :] ** 2)",
        "SPREAD": "(2 * sigma**2)",
        "RESULT": "apply(x, kernel / kernel.sum())",
    },
    LAPLACIAN: {"CORNER": "1.0 if diagonal else 0.0", "MIDDLE": "-kernel.sum()", "RESULT": "apply(x, kernel)"},
    SHARPEN: {"SIGN": "-amount", "MIDDLE": "1 + 4 * amount", "RESULT": "apply(x, kernel)"},
    SOBEL: {"SMOOTH": "[1.0, 2.0, 1.0]", "RESULT": "np.sqrt(gx**2 + gy**2)"},
    SPLIT: {
        "PLACE": "np.unravel_index(np.abs(kernel).argmax(), kernel.shape)",
        "COLUMN": "kernel[:, j : j + 1]",
        "ROW": "kernel[i : i + 1] / kernel[i, j]",
        "RESULT": "column, row",
    },
    EDGES: {
        "SIGMA": "1.6",
        "STRENGTH": "np.hypot(gx, gy)",
        "RESULT": "(strength > np.quantile(strength, 0.9)).astype(float)",
    },
}


def fill(template: str, **parts: str) -> str:
    text = template
    for word, code in (DEFAULTS[template] | parts).items():
        text = text.replace(word, code)
    return text.strip()


WRONG_ANSWERS = [
    WrongAnswer(
        "blur not divided by the sum",
        "q1-solution",
        fill(BLUR, RESULT="apply(x, kernel)"),
        "do not sum to 1: divide the kernel by its sum",
        Q1,
    ),
    WrongAnswer(
        "textbook factor instead of the sum",
        "q1-solution",
        fill(BLUR, RESULT="apply(x, kernel / (2 * np.pi * sigma**2))"),
        "makes the sum 1 on an endless grid",
        Q1,
    ),
    WrongAnswer("sigma not squared", "q1-solution", fill(BLUR, SPREAD="(2 * sigma)"), "sigma is not squared", Q1),
    WrongAnswer("2 missing", "q1-solution", fill(BLUR, SPREAD="sigma**2"), "the 2 in 2 sigma^2 is missing", Q1),
    WrongAnswer("middle in the corner", "q1-solution", fill(BLUR, PLACES="np.arange(k)"), "start at 0 in a corner", Q1),
    WrongAnswer(
        "box instead of Gaussian",
        "q1-solution",
        fill(BLUR, RESULT="apply(x, np.full((k, k), 1 / k**2))"),
        "values of a box blur",
        Q1,
    ),
    WrongAnswer(
        "rows blurred only",
        "q1-solution",
        fill(BLUR, SQUARES="u[None, :] ** 2"),
        "the rows are blurred and the columns are not",
        ("q1-values", "q1-hidden"),
    ),
    WrongAnswer(
        "zeros around the picture",
        "q1-solution",
        fill(
            BLUR,
            RESULT="apply(np.pad(x, k), kernel / kernel.sum())[k : k + x.shape[0], k : k + x.shape[1]]",
        ),
        "zeros lie outside the picture",
        Q1,
    ),
    WrongAnswer(
        "always five by five",
        "q1-solution",
        fill(BLUR, PLACES="np.arange(5) - 2"),
        "Hint: blur a single bright pixel",
        Q1,
    ),
    WrongAnswer(
        "Laplacian with all signs reversed", "q2-solution", fill(LAPLACIAN, RESULT="-apply(x, kernel)"), "reversed", Q2
    ),
    WrongAnswer(
        "Laplacian without its middle",
        "q2-solution",
        fill(LAPLACIAN, MIDDLE="0"),
        "middle of the kernel is missing",
        Q2,
    ),
    WrongAnswer(
        "diagonal ignored",
        "q2-solution",
        fill(LAPLACIAN, CORNER="0.0"),
        "four diagonal neighbours are missing",
        Q2,
    ),
    WrongAnswer(
        "always with diagonals", "q2-solution", fill(LAPLACIAN, CORNER="1.0"), "although diagonal is False", Q2
    ),
    WrongAnswer(
        "middle of 4 neighbours for 8",
        "q2-solution",
        fill(LAPLACIAN, MIDDLE="-4"),
        "do not sum to 0",
        Q2,
    ),
    WrongAnswer(
        "Laplacian clipped",
        "q2-solution",
        fill(LAPLACIAN, RESULT="np.clip(apply(x, kernel), 0, 1)"),
        "clipped to [0, 1]",
        Q2,
    ),
    WrongAnswer(
        "ready kernel of the package",
        "q2-solution",
        "def laplacian(x, diagonal=False):\n    return apply(x, filters.laplacian(diagonal))",
        "the rules of this lab do not allow cnn_course.filters.laplacian",
        Q2,
    ),
    WrongAnswer(
        "Laplacian added",
        "q3-solution",
        fill(SHARPEN, SIGN="amount", MIDDLE="1 - 4 * amount"),
        "Laplacian is added",
        Q3,
    ),
    WrongAnswer("amount ignored", "q3-solution", fill(SHARPEN, SIGN="-1", MIDDLE="5"), "`amount` is ignored", Q3),
    WrongAnswer("middle fixed", "q3-solution", fill(SHARPEN, MIDDLE="5"), "the middle has to follow `amount`", Q3),
    WrongAnswer(
        "sharpened and clipped",
        "q3-solution",
        fill(SHARPEN, RESULT="np.clip(apply(x, kernel), 0, 1)"),
        "clipped to [0, 1]",
        Q3,
    ),
    WrongAnswer("change alone", "q3-solution", fill(SHARPEN, MIDDLE="4 * amount"), "add the picture itself", Q3),
    WrongAnswer("root missing", "q4-solution", fill(SOBEL, RESULT="gx**2 + gy**2"), "square root is missing", Q4),
    WrongAnswer(
        "sum of sizes",
        "q4-solution",
        fill(SOBEL, RESULT="np.abs(gx) + np.abs(gy)"),
        "|gx| + |gy|",
        Q4[1:],
    ),
    WrongAnswer(
        "one direction only",
        "q4-solution",
        fill(SOBEL, RESULT="np.abs(gx)"),
        "only the left-right kernel",
        Q4,
    ),
    WrongAnswer("Prewitt", "q4-solution", fill(SOBEL, SMOOTH="[1.0, 1.0, 1.0]"), "Prewitt's kernels", Q4),
    WrongAnswer(
        "kernel not transposed",
        "q4-solution",
        fill(SOBEL).replace("kernel.T", "kernel"),
        "left-right kernel is used twice",
        Q4,
    ),
    WrongAnswer(
        "scaled to 1",
        "q4-solution",
        fill(SOBEL, RESULT="np.hypot(gx, gy) / np.hypot(gx, gy).max()"),
        "divided by the largest one",
        Q4,
    ),
    WrongAnswer(
        "corner in both parts",
        "q5-solution",
        fill(SPLIT, PLACE="(0, 0)", ROW="kernel[i : i + 1]"),
        "both contain the corner",
        Q5,
    ),
    WrongAnswer(
        "divides by the corner",
        "q5-solution",
        fill(SPLIT, PLACE="(0, 0)"),
        "expected finite numbers, got nan",
        Q5[1:],
    ),
    WrongAnswer(
        "singular value forgotten",
        "q5-solution",
        "def split_kernel(kernel):\n    u, s, vt = np.linalg.svd(kernel)\n    return u[:, :1], vt[:1]",
        "singular value is missing",
        Q5,
    ),
    WrongAnswer(
        "parts with one axis",
        "q5-solution",
        fill(SPLIT, COLUMN="kernel[:, j]", ROW="kernel[i] / kernel[i, j]"),
        "It has one axis; a kernel has two",
        Q5,
    ),
    WrongAnswer(
        "row first",
        "q5-solution",
        fill(SPLIT, RESULT="row, column"),
        "Return the column first",
        Q5,
    ),
    WrongAnswer(
        "sums of rows and columns",
        "q5-solution",
        "def split_kernel(kernel):\n"
        "    column, row = kernel.sum(axis=1, keepdims=True), kernel.sum(axis=0, keepdims=True)\n"
        "    return column, row / kernel.sum()",
        "expected finite numbers, got",
        Q5[:2],
    ),
    WrongAnswer(
        "kernel and a one",
        "q5-solution",
        "def split_kernel(kernel):\n    return kernel, np.ones((1, kernel.shape[1]))",
        "That is as large as the kernel",
        Q5,
    ),
    WrongAnswer(
        "noise not blurred",
        "q6-solution",
        fill(EDGES).replace("smooth = ", "smooth = x  # "),
        "noise is not blurred away",
        Q6[1:],
    ),
    WrongAnswer(
        "Laplacian of the noisy picture",
        "q6-solution",
        fill(EDGES, STRENGTH="np.abs(apply(x, np.array([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]])))"),
        "Laplacian of the unblurred picture",
        Q6,
    ),
    WrongAnswer(
        "one direction of edges",
        "q6-solution",
        fill(EDGES, STRENGTH="np.abs(gx)"),
        "only left-right changes are used",
        Q6,
    ),
    WrongAnswer("bright pixels", "q6-solution", fill(EDGES, STRENGTH="x"), "Bright pixels are marked", Q6),
    WrongAnswer(
        "everything is an edge",
        "q6-solution",
        "def find_edges(x):\n    return np.ones(x.shape)",
        "More than half of the picture is marked",
        Q6,
    ),
    WrongAnswer(
        "threshold for one contrast",
        "q6-solution",
        fill(EDGES, RESULT="(strength > 0.38).astype(float)"),
        "times the contrast",
        ("q6-hidden",),
    ),
    WrongAnswer(
        "strength without a decision", "q6-solution", fill(EDGES, RESULT="strength"), "are neither 0 nor 1", Q6
    ),
    WrongAnswer(
        "size of the Laplacian",
        "q6-solution",
        fill(EDGES, STRENGTH="np.abs(apply(smooth, np.array([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]])))"),
        "large beside an edge and 0 on it",
        Q6,
    ),
    WrongAnswer(
        "the largest number, not the largest in size",
        "q5-solution",
        fill(SPLIT, PLACE="np.unravel_index(kernel.argmax(), kernel.shape)"),
        "expected finite numbers",
        Q5[2:],
    ),
    WrongAnswer(
        "small numbers taken for zeros",
        "q5-solution",
        fill(SPLIT, PLACE="np.argwhere(np.abs(kernel) > 1e-4)[0]"),
        "IndexError",
        Q5[2:],
    ),
]
