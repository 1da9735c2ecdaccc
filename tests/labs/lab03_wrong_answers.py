"""Wrong answers to lab 03, with the diagnosis that each must get and the test cells that it must lose."""

from labs.running import WrongAnswer

Q1 = ("q1-windows", "q1-flat", "q1-hidden")
Q2 = ("q2-layers", "q2-networks", "q2-hidden")
Q3 = ("q3-layers", "q3-networks", "q3-hidden")
Q4 = ("q4-steps", "q4-networks", "q4-hidden")
Q5 = ("q5-visible", "q5-hidden")
Q6 = ("q6-fields", "q6-strides", "q6-hidden")

# Correct up to the expressions in capitals, which each wrong answer fills in its own way.
SHAPE = """
def layer_shape(layer, shape):
    if layer["kind"] == "relu":
        return shape
    if layer["kind"] == "linear":
        return (layer["n"],)
    if layer["kind"] == "flatten":
        return FLAT
    k, s, p, d = layer["k"], layer["stride"], layer["padding"], layer.get("dilation", 1)
    rows, columns = (SIZE for n in shape[1:])
    return (CHANNELS, rows, columns)
"""
PARAMETERS = """
def parameters(layers, shape):
    total = 0
    for layer, before, after in zip(layers, shapes(layers, shape), shapes(layers, shape)[1:]):
        if layer["kind"] == "conv":
            total += WEIGHTS
            total += BIAS
        elif layer["kind"] == "linear":
            total += MATRIX
            total += layer["n"] if layer["bias"] else 0
    return total
"""
MACS = """
def macs(layers, shape):
    total = 0
    for layer, before, after in zip(layers, shapes(layers, shape), shapes(layers, shape)[1:]):
        if layer["kind"] == "conv":
            total += layer["cout"] * DEPTH * layer["k"] ** 2 * PLACES
        elif layer["kind"] == "linear":
            total += MATRIX
    return RESULT
"""
FIELD = """
def field(layers):
    r, j = START, 1
    for layer in layers:
        if SKIPPED:
            continue
        BODY
    return RESULT
"""
FIRST = """
def first_that_sees(layers, n):
    for number, (r, j) in enumerate(fields(layers), start=START):
        if ENOUGH:
            return number
    return NONE
"""
THREES = """
def in_threes(layer):
    layers = [conv(COUT, 3, bias=BIAS) for _ in range(COUNT)]
    layers[0]["padding"] = layer["padding"]
    layers[STRIDED]["stride"] = layer["stride"]
    return RESULT
"""
STEP = 'r += (layer["k"] - 1) * layer.get("dilation", 1) * j'
DEFAULTS = {
    SHAPE: {
        "FLAT": "(shape[0] * shape[1] * shape[2],)",
        "SIZE": "(n + 2 * p - d * (k - 1) - 1) // s + 1",
        "CHANNELS": 'layer.get("cout", shape[0])',
    },
    PARAMETERS: {
        "WEIGHTS": 'layer["cout"] * (before[0] // layer["groups"]) * layer["k"] ** 2',
        "BIAS": 'layer["cout"] if layer["bias"] else 0',
        "MATRIX": 'before[0] * layer["n"]',
    },
    MACS: {
        "DEPTH": '(before[0] // layer["groups"])',
        "PLACES": "after[1] * after[2]",
        "MATRIX": 'before[0] * layer["n"]',
        "RESULT": "total",
    },
    FIELD: {
        "START": "1",
        "SKIPPED": 'layer["kind"] == "relu"',
        "BODY": f'{STEP}\n        j *= layer["stride"]',
        "RESULT": "(r, j)",
    },
    FIRST: {"START": "1", "ENOUGH": "r >= n + j - 1", "NONE": "0"},
    THREES: {
        "COUT": 'layer["cout"]',
        "BIAS": 'layer["bias"]',
        "COUNT": '(layer["k"] - 1) // 2',
        "STRIDED": "-1",
        "RESULT": "layers",
    },
}


def fill(template: str, **parts: str) -> str:
    text = template
    for word, code in (DEFAULTS[template] | parts).items():
        text = text.replace(word, code)
    return text.strip()


def wrong(name: str, cell: str, source: str, diagnosis: str, fails: tuple[str, ...]) -> WrongAnswer:
    return WrongAnswer(name, f"{cell}-solution", source, diagnosis, fails)


WRONG_ANSWERS = [
    wrong("dilation ignored", "q1", fill(SHAPE, SIZE="(n + 2 * p - k) // s + 1"), "dilation is ignored", Q1[::2]),
    wrong(
        "size without the + 1",
        "q1",
        fill(SHAPE, SIZE="(n + 2 * p - d * (k - 1) - 1) // s"),
        "the + 1 is missing",
        Q1[::2],
    ),
    wrong(
        "padding at one end",
        "q1",
        fill(SHAPE, SIZE="(n + p - d * (k - 1) - 1) // s + 1"),
        "the padding is counted once",
        Q1[::2],
    ),
    wrong(
        "size as a float",
        "q1",
        fill(SHAPE, SIZE="(n + 2 * p - d * (k - 1) - 1) / s + 1"),
        "an entry that is a float. Use //",
        Q1[::2],
    ),
    wrong(
        "size rounded up",
        "q1",
        fill(SHAPE, SIZE="-(-(n + 2 * p - d * (k - 1) - 1) // s) + 1"),
        "rounded up",
        Q1[::2],
    ),
    wrong(
        "stride of a pool taken from k",
        "q1",
        fill(SHAPE, SIZE='(n + 2 * p - d * (k - 1) - 1) // (k if layer["kind"] == "pool" else s) + 1'),
        "k is taken for the stride",
        Q1[::2],
    ),
    wrong("channels of the input", "q1", fill(SHAPE, CHANNELS="shape[0]"), "gives `cout` channels", Q1[::2]),
    wrong(
        "flatten without channels",
        "q1",
        fill(SHAPE, FLAT="(shape[1] * shape[2],)"),
        "the channels are left out",
        Q1[1:],
    ),
    wrong("flatten adds", "q1", fill(SHAPE, FLAT="(sum(shape),)"), "flatten keeps every number", Q1[1:]),
    wrong("biases missing", "q2", fill(PARAMETERS, BIAS="0").replace('layer["n"] if', "0 if"), "biases are miss", Q2),
    wrong(
        "bias always",
        "q2",
        fill(PARAMETERS, BIAS='layer["cout"]').replace(' if layer["bias"] else 0', ""),
        "although bias is False somewhere",
        Q2[::2],
    ),
    wrong(
        "groups ignored in the weights",
        "q2",
        fill(PARAMETERS, WEIGHTS='layer["cout"] * before[0] * layer["k"] ** 2'),
        "groups are ignored",
        Q2[::2],
    ),
    wrong(
        "k once",
        "q2",
        fill(PARAMETERS, WEIGHTS='layer["cout"] * (before[0] // layer["groups"]) * layer["k"]'),
        "k is used once",
        Q2,
    ),
    wrong(
        "filters one channel deep",
        "q2",
        fill(PARAMETERS, WEIGHTS='layer["cout"] * layer["k"] ** 2'),
        "one channel deep",
        Q2,
    ),
    wrong(
        "channels of the picture for every layer",
        "q2",
        fill(PARAMETERS, WEIGHTS='layer["cout"] * (shape[0] // layer["groups"]) * layer["k"] ** 2'),
        "every layer gets the channels of the picture",
        Q2[1:],
    ),
    wrong(
        "one bias for each pair of channels",
        "q2",
        fill(PARAMETERS, BIAS='layer["cout"] * before[0] if layer["bias"] else 0'),
        "bias is counted per input channel",
        Q2,
    ),
    wrong(
        "package asked for the parameters",
        "q2",
        "def parameters(layers, shape):\n    return table(layers, shape).parameters",
        "do not allow cnn_course.grading.mistakes.dict_stacks.table",
        Q2,
    ),
    wrong("linear layers left out", "q3", fill(MACS, MATRIX="0"), "linear layers are left out", Q3),
    wrong("places of the input", "q3", fill(MACS, PLACES="before[1] * before[2]"), "places of the input", Q3),
    wrong("one axis of places", "q3", fill(MACS, PLACES="after[1]"), "places of one axis", Q3),
    wrong("no places", "q3", fill(MACS, PLACES="1"), "Those are the weights", Q3),
    wrong("FLOPs", "q3", fill(MACS, RESULT="2 * total"), "Those are FLOPs", Q3),
    wrong("groups ignored in the work", "q3", fill(MACS, DEPTH="before[0]"), "groups are ignored", Q3[::2]),
    wrong(
        "biases counted",
        "q3",
        fill(MACS).replace(
            "    return total",
            "    for layer, after in zip(layers, shapes(layers, shape)[1:]):\n"
            "        if layer.get('bias'):\n"
            "            total += after[0] * (after[1] * after[2] if len(after) > 1 else 1)\n"
            "    return total",
        ),
        "adding the biases is counted",
        Q3,
    ),
    wrong(
        "own stride counts",
        "q4",
        fill(FIELD, BODY=f'j *= layer["stride"]\n        {STEP}'),
        "own stride counts for its own field",
        Q4,
    ),
    wrong(
        "pools left out",
        "q4",
        fill(FIELD, SKIPPED='layer["kind"] != "conv"'),
        "pools are left out",
        Q4,
    ),
    wrong(
        "dilation left out of the field",
        "q4",
        fill(FIELD, BODY='r += (layer["k"] - 1) * j\n        j *= layer["stride"]'),
        "dilation is ignored",
        Q4[::2],
    ),
    wrong(
        "jump left out of the field",
        "q4",
        fill(FIELD, BODY='r += (layer["k"] - 1) * layer.get("dilation", 1)\n        j *= layer["stride"]'),
        "jump is left out",
        Q4,
    ),
    wrong(
        "k jumps for a layer",
        "q4",
        fill(FIELD, BODY='r += layer["k"] * layer.get("dilation", 1) * j\n        j *= layer["stride"]'),
        "there are k - 1",
        Q4,
    ),
    wrong("field of 0 to begin with", "q4", fill(FIELD, START="0"), "starts at 0", Q4),
    wrong("jump first", "q4", fill(FIELD, RESULT="(j, r)"), "The two are swapped", Q4),
    wrong("field alone", "q4", fill(FIELD, RESULT="r"), "expected the tuple (1, 1), got an int", Q4),
    wrong("view just wide enough", "q5", fill(FIRST, ENOUGH="r >= n"), "lies just right", Q5),
    wrong("counted from 0", "q5", fill(FIRST, START="0"), "counted from 1", Q5),
    wrong("one pixel too strict", "q5", fill(FIRST, ENOUGH="r >= n + j"), "One pixel too strict", Q5),
    wrong("None where there is none", "q5", fill(FIRST, NONE="None"), "it returned None", Q5),
    wrong("too few layers", "q6", fill(THREES, COUNT='layer["k"] // 3'), "expected 2 layers, got 1", Q6),
    wrong("as many layers as k", "q6", fill(THREES, COUNT='layer["k"]'), "expected 2 layers, got 5", Q6),
    wrong("stride first", "q6", fill(THREES, STRIDED="0"), "which layer has to have it?", Q6[1:]),
    wrong(
        "stride in every layer",
        "q6",
        'def in_threes(layer):\n    n = (layer["k"] - 1) // 2\n'
        '    one = conv(layer["cout"], 3, layer["stride"], bias=layer["bias"])\n'
        '    return [one | {"padding": layer["padding"] if i == 0 else 0} for i in range(n)]',
        "how many of them need one?",
        Q6[1:],
    ),
    wrong(
        "padding in every layer",
        "q6",
        'def in_threes(layer):\n    n = (layer["k"] - 1) // 2\n'
        '    layers = [conv(layer["cout"], 3, padding=layer["padding"], bias=layer["bias"]) for _ in range(n)]\n'
        '    layers[-1]["stride"] = layer["stride"]\n    return layers',
        "The paddings of your layers add up to 4, that of the layer is 2",
        Q6,
    ),
    wrong(
        "padding 1 everywhere",
        "q6",
        'def in_threes(layer):\n    n = (layer["k"] - 1) // 2\n'
        '    layers = [conv(layer["cout"], 3, padding=1, bias=layer["bias"]) for _ in range(n)]\n'
        '    layers[-1]["stride"] = layer["stride"]\n    return layers',
        "add up to 3, that of the layer is 0",
        Q6,
    ),
    wrong("bias forgotten", "q6", fill(THREES, BIAS="True"), "expected bias = False, got True", Q6[::2]),
    wrong("the layer itself", "q6", fill(THREES, RESULT="[layer]"), "expected k = 3, got 5", Q6),
    wrong(
        "dilation written into the layer",
        "q1",
        fill(SHAPE).replace("    k, s, p, d =", '    layer.setdefault("dilation", 1)\n    k, s, p, d ='),
        "argument 1 was changed",
        Q1[::2],
    ),
    wrong(
        "bisection, as if later layers always saw more",
        "q5",
        "import bisect\ndef first_that_sees(layers, n):\n    surely = [r - j + 1 for r, j in fields(layers)]\n"
        "    return (bisect.bisect_left(surely, n) + 1) % (len(layers) + 1)",
        "A later layer does not always see more",
        Q5[1:],
    ),
    wrong(
        "padding in the last layer",
        "q6",
        fill(THREES).replace('layers[0]["padding"]', 'layers[-1]["padding"]'),
        "is the padding in the first of them?",
        Q6,
    ),
    wrong(
        "a weight for every pixel spanned",
        "q3",
        fill(MACS).replace('layer["k"] ** 2', '(layer["dilation"] * (layer["k"] - 1) + 1) ** 2'),
        "a dilated filter has a weight for every pixel",
        Q3[2:],
    ),
]
