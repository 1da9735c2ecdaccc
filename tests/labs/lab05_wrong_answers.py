"""Wrong answers to lab 05, with the diagnosis that each must get and the test cells that it must lose."""

from labs.running import WrongAnswer

Q1 = ("q1-visible", "q1-hidden")
Q2 = ("q2-values", "q2-overlap", "q2-hidden")
Q3 = ("q3-values", "q3-check", "q3-hidden")
Q4 = ("q4-values", "q4-check", "q4-hidden")
Q5 = ("q5-visible", "q5-hidden")
Q6 = ("q6-visible", "q6-hidden")

# Correct up to the words in capitals, which each wrong answer fills in its own way.
RELU = """
def relu_backward(dout, x):
    return RESULT
"""
POOL = """
def max_pool_backward(dout, x, k, stride):
    dx = np.zeros(x.shape)
    for n, c, i, j in np.ndindex(dout.shape):
        rows, columns = slice(i * STEP, i * STEP + k), slice(j * STEP, j * STEP + k)
        window = x[n, c, rows, columns]
        if window.shape != (k, k):
            continue
        won = np.zeros((k, k))
        won[WINNER] = 1
        GIVE
    return RESULT
"""
WEIGHTS = """
def conv_weight_gradients(dout, x, kernel, stride=1, padding=0):
    kh, kw = kernel
    padded = PADDED
    dw = np.zeros((dout.shape[1], x.shape[1], kh, kw))
    for n, o, i, j in np.ndindex(dout.shape):
        window = padded[n, :, i * STEP : i * STEP + kh, j * STEP : j * STEP + kw]
        dw[o, :, : window.shape[1], : window.shape[2]] OPERATION dout[n, o, i, j] * window
    return RESULT
"""
INPUTS = """
def conv_input_gradient(dout, w, size, stride=1, padding=0):
    (height, width), (kh, kw) = size, w.shape[2:]
    dx = np.zeros((len(dout), w.shape[1], height + 2 * padding, width + 2 * padding))
    for n, o, i, j in np.ndindex(dout.shape):
        dx[n, :, i * STEP : i * STEP + kh, j * STEP : j * STEP + kw] OPERATION dout[n, o, i, j] * KERNEL
    return RESULT
"""
STEP = """
def sgd_step(w, g, v, lr, momentum):
    new = VELOCITY
    return RESULT
"""
TRAIN = """
def train_network(x, labels, seed):
    layers = [network.conv(1, 8, 3), network.relu(), network.max_pool(2), network.flatten(), network.affine(288, 10)]
    net = network.Network(layers, seed=seed)
    velocity = {name: np.zeros_like(w) for name, w in net.parameters.items()}
    rng = np.random.default_rng(seed)
    BEFORE
    for _ in range(PASSES):
        order = rng.permutation(len(x))
        for start in range(0, len(x), 20):
            batch = BATCH
            _, gradients = net.loss_and_gradients(x[batch], labels[OTHER])
            STEPS
    return RESULT
"""
FRAME = "((0, 0), (0, 0), (padding, padding), (padding, padding))"
CUT = "dx[:, :, padding : padding + height, padding : padding + width]"
DEFAULTS = {
    1: {"RESULT": "dout * (x > 0)"},
    2: {
        "WINNER": "np.unravel_index(window.argmax(), window.shape)",
        "GIVE": "dx[n, c, rows, columns] += won * dout[n, c, i, j]",
        "RESULT": "dx",
        "STEP": "stride",
    },
    3: {"PADDED": f"np.pad(x, {FRAME})", "OPERATION": "+=", "RESULT": "dw, dout.sum(axis=(0, 2, 3))", "STEP": "stride"},
    4: {"OPERATION": "+=", "KERNEL": "w[o]", "RESULT": CUT, "STEP": "stride"},
    5: {"VELOCITY": "momentum * v + g", "RESULT": "w - lr * new, new"},
    6: {
        "BEFORE": "pass",
        "PASSES": "8",
        "BATCH": "order[start : start + 20]",
        "OTHER": "batch",
        "STEPS": "network.sgd_step(net.parameters, gradients, velocity, lr=0.05, momentum=0.9)",
        "RESULT": "dict(net.parameters)",
    },
}
TEMPLATES = {1: RELU, 2: POOL, 3: WEIGHTS, 4: INPUTS, 5: STEP, 6: TRAIN}
FAILS = {1: Q1, 2: Q2, 3: Q3, 4: Q4, 5: Q5, 6: Q6}


def wrong(question: int, name: str, diagnosis: str, fails: tuple[str, ...] = (), **parts: str) -> WrongAnswer:
    source = TEMPLATES[question]
    for word, text in (DEFAULTS[question] | parts).items():
        source = source.replace(word, text)
    return WrongAnswer(name, f"q{question}-solution", source.strip(), diagnosis, fails or FAILS[question])


WRONG_ANSWERS = [
    wrong(1, "gate open at zero", "the gate is open at x = 0", RESULT="dout * (x >= 0)"),
    wrong(1, "gate on dout", "the gate looks at dout", RESULT="np.maximum(dout, 0)"),
    wrong(1, "gate on both", "negative dout is cut off too", RESULT="np.maximum(dout, 0) * (x > 0)"),
    wrong(1, "dout times the output", "dout is multiplied by the output", RESULT="dout * np.maximum(x, 0)"),
    wrong(1, "the slope alone", "the slope alone", RESULT="(x > 0) * 1.0"),
    wrong(2, "all equal maxima", "All equal maxima get the number", Q2[::2], WINNER="window == window.max()"),
    wrong(
        2,
        "last of equal maxima",
        "the last one gets the number",
        Q2[::2],
        WINNER="np.unravel_index(k * k - 1 - window.ravel()[::-1].argmax(), window.shape)",
    ),
    wrong(
        2,
        "winners overwritten",
        "keeps only the last number",
        Q2[1:],
        GIVE="dx[n, c, rows, columns][won > 0] = dout[n, c, i, j]",
    ),
    wrong(2, "average pooling", "average pooling", GIVE="dx[n, c, rows, columns] += dout[n, c, i, j] / k**2"),
    wrong(2, "first pixel of the window", "the first pixel of each window", WINNER="0, 0"),
    wrong(
        2,
        "row and column of the winner swapped",
        "the row and the column of the winner are swapped",
        WINNER="np.unravel_index(window.argmax(), window.shape)[::-1]",
    ),
    wrong(2, "windows step by their size", "the windows step by their own size", Q2[1:], STEP="k"),
    wrong(2, "dout returned", "The gradient of x has the shape of x", RESULT="dout * 1.0"),
    wrong(
        3, "mean over the images", "divided by the number of images", Q3[1:], RESULT="dw / len(x), dout.sum((0, 2, 3))"
    ),
    wrong(3, "x not padded", "x is not padded", PADDED="x"),
    wrong(3, "weights with the stride ignored", "the stride is ignored", STEP="1"),
    wrong(3, "dw overwritten", "overwrites the one before", OPERATION="="),
    wrong(
        3, "dw turned", "dw is turned by 180 degrees", RESULT="dw[:, :, ::-1, ::-1].copy(), dout.sum(axis=(0, 2, 3))"
    ),
    wrong(
        3,
        "channels before filters",
        "The first two axes of dw are swapped",
        Q3[1:],
        RESULT="dw.swapaxes(0, 1), dout.sum(axis=(0, 2, 3))",
    ),
    wrong(3, "mean for db", "db is the sum of dout", RESULT="dw, dout.mean(axis=(0, 2, 3))"),
    wrong(3, "db for each image", "sum over the images too", RESULT="dw, dout.sum(axis=(2, 3))"),
    wrong(3, "db forgotten", "expected 2 arrays, dw, db; got one array", RESULT="dw"),
    wrong(4, "kernel flipped", "turned by 180 degrees", KERNEL="w[o, :, ::-1, ::-1]"),
    wrong(4, "dx overwritten", "Windows overlap", OPERATION="="),
    wrong(4, "frame left", "The frame of the padding is still there", RESULT="dx"),
    wrong(4, "frame cut off at one end", "cut off at one end only", RESULT="dx[:, :, : size[0], : size[1]]"),
    wrong(
        4,
        "inputs with the stride ignored",
        "the stride is ignored",
        STEP="1",
    ),
    wrong(4, "mean over the filters", "the mean over the filters", Q4[1:], RESULT=f"{CUT} / dout.shape[1]"),
    wrong(4, "first filter only", "only the first filter counts", Q4[1:], KERNEL="w[o] * (o == 0)"),
    wrong(
        4,
        "only the pixels that windows reached",
        "pixels that no window reached get 0",
        RESULT="dx[:, :, padding : min(padding + height, (dout.shape[2] - 1) * stride + kh - padding), "
        "padding : min(padding + width, (dout.shape[3] - 1) * stride + kw - padding)]",
    ),
    wrong(5, "uphill", "w goes uphill", RESULT="w + lr * new, new"),
    wrong(5, "momentum not used", "the momentum is not used", RESULT="w - lr * g, new"),
    wrong(5, "old velocity", "w moves by the old v", RESULT="w - lr * v, new"),
    wrong(5, "learning rate in the velocity", "the learning rate is in v", VELOCITY="momentum * v + lr * g"),
    wrong(5, "running mean", "multiplied by 1 - momentum", VELOCITY="momentum * v + (1 - momentum) * g"),
    wrong(5, "step in the wrong order", "return (w, v) in this order", RESULT="new, w - lr * new"),
    wrong(5, "velocity changed in place", "argument 3 was changed", VELOCITY="np.add(momentum * v, g, out=v)"),
    wrong(6, "never stepped", "These are the weights that the network started with", STEPS="pass"),
    wrong(
        6,
        "trained uphill",
        "The loss has run away",
        STEPS="up = {n: -g for n, g in gradients.items()}; "
        "network.sgd_step(net.parameters, up, velocity, lr=0.05, momentum=0.9)",
    ),
    wrong(6, "always the first batch", "does every step see the same batch", BATCH="np.arange(20)"),
    wrong(
        6,
        "one pass with small steps",
        "the training ends too early",
        PASSES="1",
        STEPS="network.sgd_step(net.parameters, gradients, velocity, lr=0.01, momentum=0.9)",
    ),
    wrong(
        6,
        "returned after the first step",
        "Is `return` inside a loop?",
        STEPS="network.sgd_step(net.parameters, gradients, velocity, lr=0.05, momentum=0.9); return net.parameters",
    ),
    wrong(6, "images shuffled without labels", "One permutation has to serve both", OTHER="slice(start, start + 20)"),
    wrong(
        6,
        "started from zeros",
        "From zeros they never move",
        BEFORE="[w.fill(0) for w in net.parameters.values()]",
    ),
    wrong(6, "network returned", "expected a dictionary with the arrays", RESULT="net"),
    wrong(
        6,
        "last layer only",
        "conv1.w and conv1.b never moved",
        STEPS=(
            "last = {n: w for n, w in net.parameters.items() if 'affine' in n}; "
            "network.sgd_step(last, gradients, velocity, lr=0.001, momentum=0.9)"
        ),
    ),
    wrong(6, "fit called", "do not allow cnn_course.network.fit", BEFORE="network.fit(net, x, labels, verbose=False)"),
    wrong(
        2,
        "first of equal maxima column by column",
        "reading order goes row by row",
        Q2[2:],
        WINNER="np.unravel_index(window.T.argmax(), window.shape)[::-1]",
    ),
    WrongAnswer(
        "whole numbers for dx",
        "q2-solution",
        """
def max_pool_backward(dout, x, k, stride):
    dx = np.zeros_like(x)
    for n, c, i, j in np.ndindex(dout.shape):
        u, v = divmod(x[n, c, i * stride : i * stride + k, j * stride : j * stride + k].argmax(), k)
        dx[n, c, i * stride + u, j * stride + v] += dout[n, c, i, j]
    return dx.astype(float)
""".strip(),
        "The numbers are cut off to whole ones",
        Q2[2:],
    ),
    wrong(
        5,
        "velocity in the dtype that it had",
        "cut off to whole numbers",
        Q5[1:],
        VELOCITY="(momentum * v + g).astype(v.dtype)",
    ),
    WrongAnswer(
        "one seed for all",
        "q6-solution",
        wrong(6, "", "").source.replace("seed=seed", "seed=0").replace("default_rng(seed)", "default_rng(0)"),
        "the same weights as with another seed",
        Q6[:1],
    ),
]
