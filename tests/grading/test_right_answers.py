"""What runs green in Jupyter gets its points: cells of one's own, magics, cells that were split, copied or lost.

And what is forbidden or wrong stays so, wherever it stands.
"""

import collections
import copy
import json
import time

import nbformat
import numpy as np
import pytest

from cnn_course.grading.judging import judge, submission
from cnn_course.grading.lab import imports_of
from cnn_course.grading.sandbox import wire
from cnn_course.grading.sandbox.warm_host import Host
from grading.test_attacks import FULL_MARKS, MASTER
from labs import running

pytestmark = pytest.mark.usefixtures("bubblewrap")

LOOPS = """
def conv_2d(x, w):
    y = np.zeros((x.shape[0] - w.shape[0] + 1, x.shape[1] - w.shape[1] + 1))
    for i in range(y.shape[0]):
        for j in range(y.shape[1]):
            y[i, j] = (w * x[i : i + w.shape[0], j : j + w.shape[1]]).sum()
    return y
"""
BY_WINDOW = """
def conv_2d(x, w):
    rows, columns = x.shape[0] - w.shape[0] + 1, x.shape[1] - w.shape[1] + 1
    return np.array([[(window(x, i, j, w.shape) * w).sum() for j in range(columns)] for i in range(rows)])
"""
WINDOW = """
def window(x, i, j, shape):
    return x[i : i + shape[0], j : j + shape[1]]
"""
SIZE = """
def output_size(n, k, stride=1, padding=0):
    return (n + 2 * padding - k) // stride + 1
"""


@pytest.fixture(scope="module")
def host(bubblewrap):
    with Host(imports_of(MASTER)) as host:
        yield host


def code(text, **more):
    return {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": 1, "source": text} | more


def at(cells, name):
    return next(i for i, c in enumerate(cells) if c["metadata"].get("nbgrader", {}).get("grade_id") == name)


def answer(text, name="q3-solution"):
    """A change of the notebook: this text as an answer."""

    def change(cells):
        cells[at(cells, name)]["source"] = text

    return change


def above(text, then, name="q3-solution"):
    """A cell of one's own above an answer, and the answer."""

    def change(cells):
        cells[at(cells, name)]["source"] = then
        cells.insert(at(cells, name), code(text))

    return change


def split(first, second, name="q3-solution"):
    """JupyterLab splits a cell: both halves have its metadata, and the second one a new id."""

    def change(cells):
        place = at(cells, name)
        half = copy.deepcopy(cells[place]) | {"source": second, "id": "another"}
        cells[place]["source"] = first
        cells.insert(place + 1, half)

    return change


def stripped(cells):
    """What some converters leave of a notebook."""
    for cell in cells:
        cell.pop("id", None)
        cell["metadata"] = {}


def both(*changes):
    def change(cells):
        for each in changes:
            each(cells)

    return change


def below(text, then, name="q3-solution"):
    """What is left in the cell for an answer, and a cell of one's own below it, above the tests."""

    def change(cells):
        cells[at(cells, name)]["source"] = then
        cells.insert(at(cells, name) + 1, code(text))

    return change


def first(text):
    """Lines added to the lab's first cell: Colab and VS Code do not mind that it is locked."""

    def change(cells):
        cells[at(cells, "setup")]["source"] += text

    return change


EMPTY = "def conv_2d(x, w):\n    raise NotImplementedError\n"
RIGHT = {
    "a helper in a cell of one's own": above(WINDOW, BY_WINDOW),
    "an import in a cell of one's own": above(
        "from itertools import product",
        "def conv_2d(x, w):\n    kh, kw = w.shape\n    y = np.zeros((len(x) - kh + 1, x.shape[1] - kw + 1))\n"
        "    for i, j in product(range(y.shape[0]), range(y.shape[1])):\n"
        "        y[i, j] = (w * x[i:i + kh, j:j + kw]).sum()\n    return y\n",
    ),
    "everything imported in a cell of one's own": above("from numpy import *", LOOPS.replace("np.zeros", "zeros")),
    "a helper two cells above": both(above(WINDOW, BY_WINDOW), above("z = 3", SIZE, "q1-solution")),
    "the function in a cell of one's own": above(LOOPS, "# see above"),
    "a slow experiment in a cell of one's own": above("import time\ntime.sleep(600)\ntrial = 3", LOOPS),
    "%%time": answer("%%time\n" + LOOPS),
    "%timeit, !pip, help and display": answer(
        LOOPS + "%timeit conv_2d(np.ones((4, 4)), np.ones((2, 2)))\n!pip install numpy\nnp.pad?\n"
        "display(conv_2d(np.ones((3, 3)), np.ones((2, 2))))\n"
    ),
    "wholly indented": answer("\n".join("    " + line for line in LOOPS.splitlines())),
    "pasted prompts": answer(
        "\n".join((">>> " if line.startswith("def") else "... ") + line for line in LOOPS.strip().splitlines())
    ),
    "a test of one's own with what is forbidden": answer(
        LOOPS + "x = np.arange(5.0)\nassert np.allclose(conv_2d(x[None], np.ones((1, 2))),\n"
        "                   np.correlate(x, np.ones(2), 'valid'))\nimport torch\nprint(torch.__version__)\n"
    ),
    "split": split(WINDOW, BY_WINDOW),
    "an old try above": split("def conv_2d(x, w):\n    return None", LOOPS),
    "metadata and ids stripped": stripped,
    "stripped, with a helper of one's own": both(above(WINDOW, BY_WINDOW), stripped),
    "a helper's name used again below": both(
        answer(WINDOW + BY_WINDOW),
        answer(
            "def window(x):\n    return x[None, None]\n\ndef convolve_2d(x, w):\n"
            "    return convolution.conv2d(window(x), window(w[::-1, ::-1]))[0, 0]\n",
            "q6-solution",
        ),
    ),
    "a setting at the top of a later cell": both(
        answer(LOOPS.replace("return y", "return y + np.exp(-1e4)")),
        answer(
            "np.seterr(all='raise')\ndef convolve_2d(x, w):\n"
            "    return convolution.conv2d(x[None, None], w[None, None, ::-1, ::-1])[0, 0]\n",
            "q6-solution",
        ),
    ),
    "a line that fails below": answer(LOOPS + "display(undefined_name)\n"),
    "a failed check below": answer(LOOPS + "assert conv_2d(np.ones((2, 2)), np.ones((1, 1))).shape == (1, 1)\n"),
    "the answer in a cell of one's own below the empty one": below(LOOPS, EMPTY),
    "a better answer below": below(LOOPS, "def conv_2d(x, w):\n    return w"),
    "the same, stripped": both(below(LOOPS, EMPTY), stripped),
    "an import and a helper in the lab's first cell": both(
        first("\nimport itertools\n" + WINDOW),
        answer(BY_WINDOW.replace("for j in range(columns)", "for j in itertools.chain(range(columns))")),
    ),
    "a first cell of another version": both(
        lambda cells: cells[at(cells, "setup")].update(source="import numpy as np\nconvolution = None\nnp = None"),
        answer(LOOPS),
    ),
    "annotations of what is not there yet, by a cell above": both(
        answer("from __future__ import annotations\n" + SIZE, "q1-solution"),
        answer("class C:\n    def same(self) -> C:\n        return self\n" + LOOPS),
    ),
    "a constant that is set again": answer(
        "SCALE = 1\n" + LOOPS.replace("return y", "return y * SCALE") + "SCALE = 1.0"
    ),
}
RIGHT |= {
    "a built-in function that is made anew below": both(
        answer(
            "def output_size(n, k, stride=1, padding=0):\n"
            "    return sum(1 for _ in range(0, n + 2 * padding - k + 1, stride))\n",
            "q1-solution",
        ),
        above(
            "def sum(a, b):\n    return a + b",
            LOOPS.replace("y[i, j] = (", "y[i, j] = sum(0.0, (").replace(").sum()", ").sum())"),
        ),
    ),
    "everything imported below": both(
        answer(
            "def output_size(n, k, stride=1, padding=0):\n"
            "    return sum(1 for _ in range(0, n + 2 * padding - k + 1, stride))\n",
            "q1-solution",
        ),
        above("from numpy import *", LOOPS),
    ),
    "a name of the lab's first cell that is given again below": both(
        answer(LOOPS.replace("return y", "return y * (convolution is not None)")),
        answer(
            "slide = convolution.conv2d\nconvolution = None\ndef convolve_2d(x, w):\n"
            "    return slide(x[None, None], w[None, None, ::-1, ::-1])[0, 0]\n",
            "q6-solution",
        ),
    ),
    "a second part that is wholly indented": split(WINDOW, "\n".join("  " + line for line in BY_WINDOW.splitlines())),
    "a second part that begins with a future": split(WINDOW, "from __future__ import annotations\n" + BY_WINDOW),
    "a look at the names": answer(
        "found = [k for k, v in list(globals().items()) if hasattr(v, 'shape')]\nimport doctest\ndoctest.testmod()\n"
        + LOOPS
    ),
    "%%prun": answer("%%prun\n" + LOOPS),
    "a name that is given, stripped": both(answer(LOOPS.replace("conv_2d", "slide") + "conv_2d = slide\n"), stripped),
}
OWN = {  # the text of a cell of one's own above an answer, and what the answer multiplies its values by
    "a table filled in a cell of one's own": ("table = {}\ntable['one'] = 1", "table['one']"),
    "a table filled in a loop": ("ones = [0, 0]\nfor i in range(2):\n    ones[i] += 1", "ones[1]"),
    "a list that grows": ("steps = []\nsteps.append(lambda: 1)", "steps[0]()"),
    "a method that is added to a class": ("class C:\n    pass\ndef one(self):\n    return 1\nC.one = one", "C().one()"),
    "a counter": ("n = 0\ndef one():\n    global n\n    n += 1\n    return 1", "one()"),
    "one of several modules imported together": ("import os, math, sys", "math.prod([])"),
    "operator": ("import operator, functools", "functools.reduce(operator.mul, [1, 1])"),
    "annotations of what is not there yet": (
        "from __future__ import annotations\nclass C:\n    def same(self) -> C:\n        return self\n    one = 1",
        "C().same().one",
    ),
    "an import of the first cell, again": ("import numpy as np\nfrom cnn_course import convolution\none = 1", "one"),
}
ELSEWHERE = {  # cells of one's own, and what the answer multiplies its values by
    "a function that is registered": (
        "known = {}\ndef register(f):\n    known[f.__name__] = f\n    return f\n@register\ndef one():\n    return 1",
        "known['one']()",
    ),
    "a list that a function fills": ("seen = []\ndef note(x):\n    seen.append(x)\nnote(1)", "seen[0]"),
    "what is awaited": ("import asyncio\nasync def one():\n    return 1\none_now = await one()", "one_now"),
    "a number with thousands of digits": (f"BIG = 0x{'f' * 5_000}", "(BIG / BIG)"),
    "setattr and getattr": (
        "class Box:\n    def __init__(self):\n        setattr(self, 'one', 1)\n"
        "    def load(self):\n        return getattr(self, 'one') * self.__dict__['one']",
        "Box().load()",
    ),
    "names that the course has, too": (
        "axes = trace = table = shapes = fields = network = checks = rules = 1\ndef conv1d(x):\n    return x",
        "(axes * conv1d(checks))",
    ),
    "sys, types, json and threading": (
        "import sys, types, json, threading\none = types.SimpleNamespace(one=json.loads('1'))\n"
        "assert sys.maxsize > 1 and threading.Lock()",
        "one.one",
    ),
    "a figure": (
        "import matplotlib.pyplot as plt\nplt.imshow(np.eye(3))\nplt.savefig('figure.png')\nplt.show()\none = 1",
        "one",
    ),
    "a named tuple": (
        "from collections import namedtuple\nOne = namedtuple('One', 'one')",
        "One(2)._replace(one=1).one",
    ),
}
OWN |= ELSEWHERE
RIGHT |= {name: above(own, LOOPS.replace("return y", f"return y * {one}")) for name, (own, one) in OWN.items()}
WRONG = {
    "a helper of one's own that uses what is forbidden": (
        above("def window(x, i, j, shape):\n    return np.correlate(x[i], x[i])", BY_WINDOW),
        "do not allow numpy.correlate",
    ),
    "what is forbidden, timed": (
        answer("%%time\ndef conv_2d(x, w):\n    return convolution.conv2d(x[None, None], w[None, None])[0, 0]"),
        "do not allow cnn_course.convolution.conv2d (line 3 of q3-solution)",
    ),
    "what is forbidden under another name, in a cell of one's own": (
        above(
            "np.own = np.correlate",
            "def conv_2d(x, w):\n    return np.stack([sum(np.own(x[i + k], w[k]) for k in range(len(w)))\n"
            "                     for i in range(len(x) - len(w) + 1)])",
        ),
        "has no attribute 'own'",
    ),
    "the same below an answer": (
        answer(
            "def conv_2d(x, w):\n    return np.stack([sum(np.own(x[i + k], w[k]) for k in range(len(w)))\n"
            "                     for i in range(len(x) - len(w) + 1)])\nnp.own = np.correlate\n"
        ),
        "has no attribute 'own'",
    ),
    "a wrong answer below the right one": (below("def conv_2d(x, w):\n    return None", LOOPS), "None"),
    "what is forbidden, put into a list": (
        above(
            "kept = []\nkept.append(np.correlate)",
            "def conv_2d(x, w):\n    return np.stack([sum(kept[0](x[i + k], w[k]) for k in range(len(w)))\n"
            "                     for i in range(len(x) - len(w) + 1)])",
        ),
        "do not allow numpy.correlate",
    ),
    "what is forbidden, in the lab's first cell": (
        both(
            first("\nkept = np.correlate\n"),
            answer(
                "def conv_2d(x, w):\n    return np.stack([sum(kept(x[i + k], w[k]) for k in range(len(w)))\n"
                "                     for i in range(len(x) - len(w) + 1)])"
            ),
        ),
        "do not allow numpy.correlate",
    ),
    "the wrong try below": (split(LOOPS, "def conv_2d(x, w):\n    return None"), "None"),
}


def graded(host, change):
    notebook = json.loads(nbformat.writes(MASTER))
    change(notebook["cells"])
    taken = submission.parse(json.dumps(notebook).encode(), MASTER)
    return judge.grade(MASTER, taken, host, seconds=30.0)


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_answer_gets_its_points(host, name):
    result = graded(host, RIGHT[name])
    assert [(c.name, c.message) for c in result.cells if c.message] == []
    assert result.points == FULL_MARKS


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_answer_does_not(host, name):
    change, says = WRONG[name]
    result = graded(host, change)
    assert {c.name for c in result.cells if c.message} == {"q3-visible", "q3-hidden"}
    assert all(says in c.message for c in result.cells if c.message)


APPENDED = """
def field_before_after(layers):
    layers.append((2, 2))
    before, after = field(layers[:-1]), field(layers)
    return np.array([before, after]), "survives" if after == 2 * before else "refuted"

def field(stack):
    n = 1
    for k, stride in reversed(stack):
        n = (n - 1) * stride + k
    return n
"""
WRITTEN = """
def layer_shape(layer, shape):
    k, s, p, d = layer["k"], layer["stride"], layer["padding"], layer.setdefault("dilation", 1)
    return (layer.get("cout", shape[0]), *((n + 2 * p - d * (k - 1) - 1) // s + 1 for n in shape[1:]))
"""
COPIED = {
    APPENDED: APPENDED.replace("    layers.append", "    layers = [*layers]\n    layers.append"),
    WRITTEN: WRITTEN.replace("layer.setdefault", "dict(layer).setdefault"),
}


@pytest.mark.parametrize(
    ("lab", "answer", "test"),
    [
        ("lab08_refute_the_slide", APPENDED, "q3-visible"),
        ("lab03_shapes_and_costs", WRITTEN, "q1-windows"),
    ],
)
def test_a_list_or_a_dict_that_an_answer_changes_is_changed_for_the_tests_too(lab, answer, test):
    """As in Jupyter, where both are the same object."""
    master = running.master(lab)
    with Host(imports_of(master)) as host:
        for text, says in ((answer, "argument 1 was changed"), (COPIED[answer], "")):
            notebook = running.with_answers(running.released(lab), {f"{test[:2]}-solution": text})
            taken = submission.parse(nbformat.writes(notebook).encode(), master)
            found = {c.name: c.message for c in judge.grade(master, taken, host, seconds=60.0).cells}
            assert says in found[test] and bool(found[test]) == bool(says)


def test_kinds_of_tuples_and_dicts_come_as_what_they_are():
    """Of a function that returns a tuple or a dict, in Jupyter a test takes these."""
    point = collections.namedtuple("Point", "x y")
    arrays = []
    packed = wire.pack([point(1, 2.0), collections.OrderedDict(a=np.ones(1).shape)], arrays)
    assert wire.unpack(packed, []) == [(1, 2.0), {"a": (1,)}]


def test_thousands_of_statements_cost_the_judge_little(host):
    """Each of them makes what each of them uses."""
    start = time.monotonic()
    result = graded(host, answer("a = 0\n" + "a=a+1\n" * 12_000 + LOOPS.replace("return y", "return y + a - 12000")))
    assert result.points == FULL_MARKS
    assert time.monotonic() - start < 60  # each with each would take many minutes


def test_thousands_of_cells_of_ones_own(host):
    def change(cells):
        cells[:0] = [code(f"a{i} = {i}") for i in range(3000)]

    result = graded(host, change)
    assert result.points == FULL_MARKS
    assert any("Of your own cells 300 with" in note for note in result.notes)


def test_an_answer_in_words_in_a_cell_of_its_own_waits_for_a_person():
    """Below the one that is meant for it, which says that nothing was written."""
    master = running.master("lab01_convolution")
    notebook = json.loads(nbformat.writes(running.with_answers(master, {"q7-answer": "Write your answer here."})))
    notebook["cells"].append({"cell_type": "markdown", "metadata": {}, "source": "Both agree for the box kernel."})
    taken = submission.parse(json.dumps(notebook).encode(), master)
    assert taken.answers["q7-answer"].endswith("Both agree for the box kernel.")


def test_numbers_and_texts_of_classes_of_ones_own_come_as_plain_ones():
    class Number(float):
        pass

    class Word(str):
        pass

    packed = wire.pack([np.str_("refuted"), Word("survives"), Number(1.5), True, 3], [])
    assert wire.unpack(packed, []) == ["refuted", "survives", 1.5, True, 3]
