"""What an answer may not use: words in its source, ways round them, and what stays allowed."""

import importlib.util
import sys

import nbformat
import numpy as np
import pytest

from cnn_course import convolution
from cnn_course.errors import CheckFailed
from cnn_course.grading import checks, rules, run_state
from cnn_course.grading.lab import functions_of
from cnn_course.grading.mistakes import convolution as mistakes
from cnn_course.grading.sandbox import source_text
from labs import running

MISTAKES = "cnn_course.grading.mistakes."
assert mistakes and convolution  # names that the rules find here, as in a lab's first cell
LABS = sorted(path.stem for path in (running.LABS / "source").glob("*/*.ipynb"))


@pytest.fixture(autouse=True)
def _without_rules():
    with run_state.fresh():
        yield


def problems(text, name="f"):
    """What the rules forbid of a cell, without the lines."""
    said = [("", each) for each in source_text.statements(text, "<cell>") if each is not None]
    return [problem.partition(" (line")[0] for problem in rules.broken(said, name)]


def test_without_rules_everything_is_allowed():
    assert problems("import torch, os\neval('1')\nf.__globals__") == []


@pytest.mark.parametrize(
    "text",
    [
        "np.convolve(x, w)",
        "from numpy import convolve",
        "from numpy import convolve as c\ndef f(x):\n    return c(x)",
        "import numpy.convolve",
        "import numpy as n\ndef f(x):\n    return n.convolve(x)",
        "def f(x):\n    import numpy as n\n    return n.convolve(x)",
        "def f(x):\n    from numpy import convolve\n    return convolve(x)",
        "f = np.convolve\nf(x)",
        "[np.convolve for _ in x]",
        "lambda convolve=np.convolve: 0",
        "np.ｃonvolve(x, w)",
        "f'{np.convolve(x)}'",
        "@np.convolve\ndef g(): pass",
        "def g(x: np.convolve): pass",
        "def g(x=np.convolve): pass",
        "class A(np.convolve): pass",
        "del np.convolve",
        "np.convolve = 3",
        "async def g():\n    await np.convolve",
        "def f(x):\n    def g():\n        return [np.convolve(y) for y in x]\n    return g",
    ],
)
def test_a_forbidden_function_is_found(text):
    rules.forbid("numpy.convolve")
    assert problems(text) == ["numpy.convolve"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("eval('a')", "eval"),
        ("exec('a')", "exec"),
        ("compile('a', '', 'exec')", "compile"),
        ("open('a')", "open"),
        ("__import__('a')", "__import__"),
        ("__builtins__", "__builtins__"),
        ("f.__globals__", "__globals__"),
        ("def f(x):\n    return x.__globals__", "__globals__"),
        ("x.__class__.__subclasses__()", "__subclasses__"),
        ("import importlib", "importlib"),
        ("from importlib import util", "importlib.util"),
        ("import ctypes", "ctypes"),
        ("import subprocess as s", "subprocess"),
        ("(i for i in x).gi_frame", "gi_frame"),
        ("e.tb_frame.f_back", "f_back"),
        ("import scipy", "scipy"),
        ("from skimage.filters import sobel", "skimage.filters.sobel"),
        ("mistakes.right(x)", "cnn_course.grading.mistakes.convolution.right"),
        ("from cnn_course.grading import networks", "cnn_course.grading.networks"),
        ("from cnn_course.layers import conv_forward", "cnn_course.layers.conv_forward"),
        ("import cnn_course.layers", "cnn_course.layers"),
    ],
)
def test_a_way_round_is_found_where_anything_is_forbidden(text, found):
    rules.forbid(*rules.LIBRARIES, "cnn_course")
    assert found in problems(text)


# What an answer may well contain; most of it was refused once.
ORDINARY = [
    "def f(x, w):\n    return (x * w).sum()",
    "import math, itertools, operator, types, sys, json, threading, os\nmath.pi, operator.mul, sys.maxsize",
    "from __future__ import annotations\nfrom typing import Callable",
    "import matplotlib.pyplot as plt",
    "import numpy as np\nnp.lib.stride_tricks.sliding_window_view(x, 3)",
    "class A(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self._w = 1",
    "class A:\n    def f(self, name):\n        setattr(self, name, 1)\n        getattr(self, name), self.__dict__",
    "class Store:\n    def open(self): pass\n    def load(self): pass\n    def measure(self): self.load()",
    "net.eval()",
    "net.train(False).eval()",
    "x.eval('a')",
    "_hidden = 3\n_hidden + 1",
    "def compile(x):\n    return x\ncompile(3)",
    "def f(open):\n    return open",
    "axes, trace, table, shapes, fields, layers, network, fit, conv1d, checks, rules = range(11)\naxes, checks",
    "def f(checks, mistakes):\n    return checks + mistakes",
    "for trace in x: trace.fit",
    "from collections import namedtuple\nP = namedtuple('P', 'a')\nP(1)._replace(a=2)",
    "np.flip(x)",
    "x.mean(axis=0, keepdims=True)",
    "'np.convolve and getattr'  # np.convolve",
    "print(f.__name__, f.__doc__, type(f).__name__, x.__class__)",
    "from cnn_course import convolution\nimport cnn_course.convolution as c",
    "from cnn_course.convolution import output_size\nconvolution.output_size(3, 2)",
    "with np.errstate(all='ignore') as mistakes: mistakes",
    "try: pass\nexcept OSError as checks: checks",
]


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_code_is_allowed(text):
    rules.forbid(*rules.LIBRARIES, *rules.SLIDING, "cnn_course")
    rules.allow("cnn_course.convolution.output_size")
    assert problems(text) == []


def test_the_longest_path_decides():
    rules.forbid("cnn_course")
    rules.allow("cnn_course.convolution")
    rules.forbid("cnn_course.convolution.flip")
    assert problems("from cnn_course import layers") == ["cnn_course.layers"]
    assert problems("convolution.conv2d(x)\nimport cnn_course") == []
    assert problems("convolution.flip(x)\nnp.flip(x)") == ["cnn_course.convolution.flip"]
    assert problems("from cnn_course import convolution_tools") == ["cnn_course.convolution_tools"]


def test_some_functions_may_use_more():
    rules.forbid("cnn_course", "ORDINARY", but=["g"])
    rules.allow("cnn_course.convolution.conv2d", to=["convolve_2d"])
    assert problems("convolution.conv2d(x)", "conv_2d") == ["cnn_course.convolution.conv2d"]
    assert problems("convolution.conv2d(x)", "convolve_2d") == []
    assert problems("convolution.flip(convolution.conv2d(x))", "convolve_2d") == ["cnn_course.convolution.flip"]
    assert problems("ORDINARY[0]", "convolve_2d") == ["ORDINARY"]
    assert problems("ORDINARY[0]; convolution.flip(x)", "g") == []
    assert problems("ORDINARY = 3\nORDINARY + 1", "f") == []


@pytest.mark.parametrize("text", ["def f(:", "x = '", "\0", "x = " + "+".join("1" * 50_000), "(" * 300])
def test_what_cannot_be_read_is_an_error(text):
    with pytest.raises((SyntaxError, ValueError, RecursionError, MemoryError)):
        source_text.statements(text, "<cell>")


def test_the_source_of_a_function_is_looked_at_and_the_line_is_said():
    rules.forbid("numpy.convolve")
    slide = np

    def bad(x):
        y = x
        return np.convolve(y, y)

    def good(x):
        return x

    checks.call("good(x)", good, 1)
    line = bad.__code__.co_firstlineno + 2
    with pytest.raises(CheckFailed, match=rf"bad\(x\): .* do not allow numpy\.convolve \(line {line}\)\. .* Rules"):
        checks.call("bad(x)", bad, 1)
    checks.call("len(x)", len, [])  # no source, nothing to see
    assert slide is np


def test_a_stand_in_carries_what_is_wrong_with_its_cells():
    rules.forbid("numpy.convolve")

    class Stub:
        __name__ = "f"
        source_problems = ("numpy.convolve (line 3 of q1-solution)",)

        def __call__(self, x):
            raise AssertionError("it must not be called")

    with pytest.raises(CheckFailed, match=r"numpy\.convolve \(line 3 of q1-solution\)"):
        checks.call("f(x)", Stub(), 1)


class Slider:
    @classmethod
    def call(cls, x, w):
        return convolution.conv2d(x, w)


slide_in_class = Slider.call
slide_in_short = lambda x, w: convolution.conv2d(x, w)  # noqa: E731
call = Slider  # the name of the method, for something else


@pytest.mark.parametrize("name", ["slide_in_class", "slide_in_short"])
def test_the_name_counts_that_a_lab_gives_to_a_function(name):
    """A lambda, or a method, has another one of its own: what is allowed to that question is allowed to it."""
    x, w = np.ones((1, 1, 2, 2)), np.ones((1, 1, 1, 1))
    rules.forbid("cnn_course")
    with pytest.raises(CheckFailed, match=r"convolution\.conv2d"):
        checks.call(f"{name}(x, w)", globals()[name], x, w)
    rules.allow("cnn_course.convolution.conv2d", to=[name])
    assert checks.call(f"{name}(x, w)", globals()[name], x, w).shape == (1, 1, 2, 2)
    with pytest.raises(CheckFailed, match=r"convolution\.conv2d"):  # the name of another question
        checks.call("output_size(x, w)", globals()[name], x, w)


def test_rules_are_those_of_one_run():
    rules.forbid("numpy.convolve")
    with run_state.fresh():
        assert problems("np.convolve") == []
    assert problems("np.convolve") == ["numpy.convolve"]


@pytest.mark.parametrize(
    ("text", "made", "used"),
    [
        ("def f(x):\n    return g(x) + np.pi", {"f"}, {"g", "np"}),
        ("import numpy as np\nfrom a import b as c\nx = y = 1", {"np", "c", "x", "y"}, set()),
        ("class A:\n    def m(self):\n        return helper", {"A"}, {"helper"}),
        ("def f(x):\n    y = x\n    def g():\n        return y + z\n    return g", {"f"}, {"z"}),
        ("for i in h: pass", {"i"}, set()),
    ],
)
def test_names_that_a_cell_makes_and_uses(text, made, used):
    found = source_text.names(text, "<cell>")
    assert found[0] == made and used <= found[1]
    if "y = x" in text:
        assert "y" not in found[1]


@pytest.mark.parametrize("lab", LABS)
def test_model_answers_keep_the_rules_of_their_lab(lab):
    master = nbformat.read(running.LABS / "source" / lab / f"{lab}.ipynb", as_version=4)
    cells = {running.grade_id(c): c.source for c in master.cells if c.cell_type == "code"}
    exec(compile(cells["setup"], "<setup>", "exec"), {"__name__": "__main__"})
    for name, source in cells.items():
        if name.endswith("-solution"):
            for function in source_text.names(source, name)[0]:
                assert problems(source, function) == [], name


@pytest.mark.parametrize("lab", LABS)
def test_what_a_lab_forbids_is_there(lab):
    """A path with a typing error would forbid nothing."""
    master = nbformat.read(running.LABS / "source" / lab / f"{lab}.ipynb", as_version=4)
    names = {"__name__": "__main__"}
    exec(compile(next(c.source for c in master.cells if running.grade_id(c) == "setup"), "<setup>", "exec"), names)
    functions = {name for found in functions_of(master).values() for name in found}
    for path, verdict, holds in run_state.current().rules:
        module, _, name = path.rpartition(".")
        there = (
            path in names
            or path in rules.LIBRARIES
            or path == "torchvision"
            or importlib.util.find_spec(module or path)
        )
        assert there and (not module or module not in sys.modules or hasattr(sys.modules[module], name)), path
        assert verdict or path.startswith("cnn_course.")
        assert any(holds(function) for function in functions), path


@pytest.mark.parametrize("lab", LABS)
def test_modules_with_right_and_wrong_answers_are_forbidden(lab):
    """Whatever name a lab's first cell gives them: another module of the course may be reached through them."""
    master = nbformat.read(running.LABS / "source" / lab / f"{lab}.ipynb", as_version=4)
    names = {"__name__": "__main__"}
    setup = next(c.source for c in master.cells if running.grade_id(c) == "setup")
    exec(compile(setup, "<setup>", "exec"), names)
    modules = {name for name, value in names.items() if getattr(value, "__name__", "").startswith(MISTAKES)}
    modules = {name for name in modules if isinstance(names[name], type(np))}
    assert modules and all(problems(f"{name}.right(1)") for name in modules)
