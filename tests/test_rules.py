"""What an answer may not use: words in its source, ways round them, and what stays allowed."""

import nbformat
import numpy as np
import pytest

from cnn_course import convolution
from cnn_course.errors import CheckFailed
from cnn_course.grading import checks, rules, run_state
from cnn_course.grading.sandbox import source_text
from labs import running

MISTAKES = "cnn_course.grading.mistakes."
LABS = sorted(path.stem for path in (running.LABS / "source").glob("*/*.ipynb"))


@pytest.fixture(autouse=True)
def _without_rules():
    with run_state.fresh():
        yield


def problems(text, name="f"):
    return rules.broken(source_text.words(text), name)


def test_without_rules_everything_is_allowed():
    assert problems("import torch, os\neval('1')\nx.__class__") == []


@pytest.mark.parametrize(
    "text",
    [
        "np.convolve(x, w)",
        "convolve(x, w)",
        "from numpy import convolve",
        "from numpy import convolve as c",
        "import numpy.convolve",
        "f = np.convolve\nf(x)",
        "[np.convolve for _ in x]",
        "match np:\n    case object(convolve=c):\n        pass",
        "lambda convolve=np.convolve: 0",
        "np.ｃonvolve(x, w)",
        "f'{np.convolve(x)}'",
        "@np.convolve\ndef g(): pass",
        "def g(x: np.convolve): pass",
        "del np.convolve",
        "np.convolve = 3",
        "async def g():\n    await np.convolve",
    ],
)
def test_a_forbidden_name_is_found(text):
    rules.forbid("convolve")
    assert problems(text) == ["convolve"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("getattr(np, 'a')", "getattr"),
        ("g = getattr", "getattr"),
        ("vars(np)", "vars"),
        ("globals()['a']", "globals"),
        ("eval('a')", "eval"),
        ("exec('a')", "exec"),
        ("compile('a', '', 'exec')", "compile"),
        ("open('a')", "open"),
        ("__import__('a')", "__import__"),
        ("__builtins__", "__builtins__"),
        ("np.__dict__", "__dict__"),
        ("f.__globals__", "__globals__"),
        ("x.__class__.__mro__", "__mro__"),
        ("import importlib", "importlib"),
        ("import os.path", "os"),
        ("from os import path", "os"),
        ("import ctypes", "ctypes"),
        ("import subprocess as s", "subprocess"),
        ("import operator\noperator.attrgetter('a')", "attrgetter"),
        ("from operator import methodcaller as m", "methodcaller"),
        ("from string import Formatter", "Formatter"),
        ("import string\nstring.Formatter()", "Formatter"),
        ("from typing import get_type_hints", "get_type_hints"),
        ("import functools\n@functools.singledispatch\ndef g(x): pass", "singledispatch"),
        ("import enum\nenum.bltns", "bltns"),
        ("import random\nrandom._os", "_os"),
        ("import random as r\nr._os", "_os"),
        ("from random import _os", "_os"),
        ("np.testing.runstring('a', {})", "runstring"),
        ("np.load('a')", "load"),
        ("np.lib.format.read_array(f)", "read_array"),
        ("(i for i in x).gi_frame", "gi_frame"),
        ("match np:\n    case C(f):\n        pass", "case C(x)"),
        ("np.testing.decorate_methods(np, f)", "decorate_methods"),
        ("import numpy.distutils.exec_command", "distutils"),
        ("self = random\nself._os", "_os"),
        ("class A:\n    def f(self):\n        return self._core", "_core"),
        ("class A:\n    def f(cls):\n        return cls._compute", "_compute"),
        ("e.tb_frame.f_back", "f_back"),
        ("x.eval('a')", "eval"),
        ("g = x.eval", "eval"),
        ("match np:\n    case object(__dict__=d):\n        pass", "__dict__"),
        ("import scipy", "scipy"),
        ("from skimage.filters import sobel", "skimage"),
        ("from . import x", "x"),
        ("mistakes.right(x)", "mistakes"),
        ("checks.generator", "checks"),
        ("from cnn_course.grading import networks", "networks"),
        ("from cnn_course.layers import conv_forward", "cnn_course"),
        ("import cnn_course", "cnn_course"),
    ],
)
def test_a_way_round_is_found_where_anything_is_forbidden(text, found):
    rules.forbid("torch")
    assert found in problems(text)


@pytest.mark.parametrize(
    "text",
    [
        "def f(x, w):\n    return (x * w).sum()",
        "import math, itertools\nfrom functools import reduce\nfrom collections import Counter",
        "from __future__ import annotations\nfrom typing import Callable",
        "import matplotlib.pyplot as plt",
        "import numpy as np\nnp.lib.stride_tricks.sliding_window_view(x, 3)",
        "class A(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self._w = 1",
        "net.eval()",
        "net.train(False).eval()",
        "_hidden = 3\n_hidden + 1",
        "input = 3\nload = input\nmeasure = os = load",
        "x.mean(axis=0, keepdims=True)",
        "def open_window(): pass",
        "'np.convolve and getattr'  # np.convolve",
        "print(f.__name__, f.__doc__)",
        "from cnn_course import convolution\nimport cnn_course.convolution as c",
        "from cnn_course.convolution import output_size",
    ],
)
def test_ordinary_code_is_allowed(text):
    rules.forbid("convolve", "scipy")
    assert problems(text) == []


def test_modules_that_the_lab_hands_out_may_be_imported_again():
    """Those among the names where `forbid` is called; this file has convolution."""
    rules.forbid("conv2d")
    assert convolution.__name__ == "cnn_course.convolution"
    assert problems("from cnn_course.convolution import flip") == []
    assert problems("from cnn_course.convolution import conv2d") == ["conv2d"]
    assert problems("from cnn_course import convolution_tools") == ["cnn_course"]


def test_but_names_the_functions_that_may():
    rules.forbid("conv2d", but=["convolve_2d"])
    rules.forbid("flip")
    assert problems("convolution.conv2d(x)", "conv_2d") == ["conv2d"]
    assert problems("convolution.conv2d(x)", "convolve_2d") == []
    assert problems("convolution.flip(convolution.conv2d(x))", "convolve_2d") == ["flip"]
    assert rules.unusual(source_text.words("convolution.conv2d(x)")) == {"conv2d"}
    rules.forbid("cnn_course", "networks", but=["g"])
    assert problems("import cnn_course.layers\nnetworks", "g") == []


@pytest.mark.parametrize("text", ["def f(:", "x = '", "\0", "x = " + "+".join("1" * 50_000), "(" * 300])
def test_what_cannot_be_read_is_an_error(text):
    with pytest.raises((SyntaxError, ValueError, RecursionError, MemoryError)):
        source_text.words(text)


def test_the_source_of_a_function_is_looked_at(tmp_path):
    rules.forbid("convolve")

    def bad(x):
        return np.convolve(x, x)

    def good(x):
        return x

    checks.call("good(x)", good, 1)
    with pytest.raises(CheckFailed, match=r"bad\(x\): the rules of this lab do not allow convolve\."):
        checks.call("bad(x)", bad, 1)
    checks.call("len(x)", len, [])  # no source, nothing to see


def test_a_stand_in_carries_its_words():
    rules.forbid("convolve")

    class Stub:
        __name__ = "f"
        source_words = source_text.words("np.convolve(x, x)")

        def __call__(self, x):
            raise AssertionError("it must not be called")

    with pytest.raises(CheckFailed, match="convolve"):
        checks.call("f(x)", Stub(), 1)


def test_rules_are_those_of_one_run():
    rules.forbid("convolve")
    with run_state.fresh():
        assert problems("np.convolve") == []
    assert problems("np.convolve") == ["convolve"]


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


# Words that an answer may well have: net.parameters(), `training` as the name of an argument.
ORDINARY = {"parameters", "training"}


@pytest.mark.parametrize("lab", LABS)
def test_modules_with_right_and_wrong_answers_are_forbidden(lab):
    """Whatever name a lab's first cell gives them: another module of the course may be reached through them."""
    master = nbformat.read(running.LABS / "source" / lab / f"{lab}.ipynb", as_version=4)
    names = {"__name__": "__main__"}
    setup = next(c.source for c in master.cells if running.grade_id(c) == "setup")
    exec(compile(setup, "<setup>", "exec"), names)
    modules = {name for name, value in names.items() if getattr(value, "__name__", "").startswith(MISTAKES)}
    modules = {name for name in modules if isinstance(names[name], type(np))} - ORDINARY
    assert modules and all(problems(name) for name in modules)
