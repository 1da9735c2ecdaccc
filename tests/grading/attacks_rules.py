"""Change the judge, second part: use what the lab's rules forbid, in the open or by a detour."""

from grading.attack import Attack, function

NOT_ALLOWED = r"the rules of this lab do not allow"
SLIDE = "convolution.conv2d(x[None, None], w[None, None])[0, 0]"
SLID = "slide(x[None, None], w[None, None])[0, 0]"
STAR = """
from typing import *
def g(f: "convolution.con" "v2d"): pass
slide = get_type_hints(g)["f"]
"""
MISSING = r"conv_2d is not there"
NO_PROGRAM = r"not permitted|No module named|got a tuple"  # the last: what is returned in place of an error


def hidden(name: str, body: str, top: str = "", says: str = NOT_ALLOWED) -> Attack:
    return Attack(name, function(body, top), says, rules=True)


def _rows(one):
    """Every row of every window by itself."""
    return (
        "return np.array([[sum(np.ravel(" + one + ").sum() for k in range(len(w)))\n"
        "                  for j in range(x.shape[1] - w.shape[1] + 1)] for i in range(len(x) - len(w) + 1)])"
    )


ATTACKS = [
    hidden("forbidden, in the open", f"return {SLIDE}"),
    hidden("getattr", "return getattr(convolution, 'con' + 'v2d')(x[None, None], w[None, None])[0, 0]"),
    hidden("vars, globals, eval", f"return eval({SLIDE!r})"),
    hidden("__dict__", "return convolution.__dict__['con' + 'v2d'](x[None, None], w[None, None])[0, 0]"),
    hidden(
        "attrgetter",
        "return operator.attrgetter('con' + 'v2d')(convolution)(x[None, None], w[None, None])[0, 0]",
        "import operator",
    ),
    hidden(
        "a class pattern reads an attribute",
        "match convolution:\n    case object(conv2d=slide):\n        return slide(x[None, None], w[None, None])[0, 0]",
    ),
    hidden("the graders' wrong answers", "return mistakes.correlation_2d(x, w[::-1, ::-1])[0][0]"),
    hidden(
        "another module of the course",
        "return conv_forward(x[None, None], w[None, None])[0][0, 0]",
        "from cnn_course.layers import conv_forward",
    ),
    hidden("a private function", "return convolution._compute(convolution.check(x, w), 'loops')"),
    hidden("letters that look alike", "return np.ｃonvolve(x, w)"),
    hidden(
        "renamed on import",
        "return slide(x[None, None], w[None, None])[0, 0]",
        "from cnn_course.convolution import conv2d as slide",
    ),
    hidden("torch by name", "import importlib\nreturn importlib.import_module('tor' + 'ch').zeros(1)"),
    hidden(
        "a generator's built-ins",
        "return (i for i in x).gi_frame.f_builtins['ev' + 'al']('convolution.con' + 'v2d')(x[None, None], w)",
    ),
    hidden(
        "an annotation that is evaluated",
        "return slide['f'](x[None, None], w[None, None])[0, 0]",
        """
        import typing
        def g(f: "convolution.conv" + "2d"): pass
        g: "convolution.con" "v2d"
        slide = typing.get_type_hints(g)
        """,
    ),
    hidden(
        "a formatter",
        "return Formatter().get_field('0.con' + 'v2d', [convolution], {})[0](x, w)",
        "from string import Formatter",
    ),
    hidden("a subprocess", "return subprocess.run(['python'])", "import subprocess"),
    hidden(
        "a class pattern with names from a text",
        f"match convolution:\n    case Names(slide):\n        return {SLID}",
        """
        from collections import namedtuple
        class Any(type):
            def __instancecheck__(cls, thing):
                return True
        class Names(namedtuple("Names", ["con" "v2d"]), metaclass=Any):
            pass
        """,
    ),
    hidden(
        "a module called self",
        "self = convolution\nreturn self._compute(self.checked(2, x[None, None], w[None, None], None), 'direct')",
    ),
    hidden(
        "a module in a module called self",
        "return R.run(random, x, w)",
        "import random\nclass R:\n    def run(self, x, w):\n        return self._os.popen('python').read()\n",
        NO_PROGRAM,
    ),
    hidden(
        "a text that is evaluated by what is called self",
        f"return {SLID}",
        """
        import typing
        def get():
            self = typing.get_args(typing.Optional["c.con" "v2d"])[0]
            return self._evaluate({"c": convolution}, {}, frozenset())
        slide = get()
        """,
    ),
    hidden("everything imported, annotations", f"return {SLID}", STAR),
    hidden("everything imported in an if", f"return {SLID}", "if True:\n    from typing import *\n" + STAR),
    hidden(
        "everything imported, a text that is run",
        f"slide = names.get('f')\nreturn {SLID}",
        "from numpy.testing import *\nnames = {'c': convolution}\nrunstring('f = c.con' 'v2d', names)",
    ),
    hidden(
        "a module that was written as a file",
        f"return statistics.{SLID}",
        """
        text = b"from cnn_course.convolution import conv2d as slide"
        for name in ("statistics", "tqdm"):
            np.array(bytearray(text)).tofile(f"/tmp/{name}.py")
        import statistics
        """,
        "has no attribute 'slide'",
    ),
    Attack(
        "NumPy hands over the functions of a module",
        function(
            f"return found[0]{SLID.removeprefix('slide')}",
            "found = []\nnp.testing.decorate_methods(convolution, found.append, '^con' 'v2d$')",
        ),
        NOT_ALLOWED,
        rules=True,
        spoils=True,  # it replaces them by what `append` returns
    ),
    hidden(
        "tqdm's getattr",
        f"return W.wrapper_getattr(convolution, 'con' 'v2d'){SLID.removeprefix('slide')}",
        "from tqdm.utils import ObjectWrapper as W",
    ),
    hidden(
        "matplotlib's import",
        "return registry.load_backend_module('module://scipy.signal').correlate2d(x, w, 'valid')",
        "from matplotlib.backends import backend_registry as registry",
    ),
    hidden(
        "all modules, in the place of the output",
        "return found['subprocess'].run(['python'])",
        """
        import contextlib
        class Out(contextlib.redirect_stdout):
            _stream = "modules"
            def old(self):
                return self._old_targets[0]
        out = Out({})
        with out:
            found = out.old()
        """,
        NO_PROGRAM,
    ),
    hidden(
        "NumPy's build tools",
        "return e.exec_command(['python'])",
        "import numpy.distutils.exec_command as e",
        NO_PROGRAM,
    ),
    hidden("too deep to be read", f"return {SLIDE}", "deep = " + "+".join(["1"] * 40_000), MISSING),
    Attack(
        "a helper in another cell",
        {**function("return slide(x[None, None], w[None, None])[0, 0]"), "q1-solution": "slide = convolution.conv2d\n"},
        NOT_ALLOWED,
        rules=True,
    ),
    Attack(
        "a cell that may use it defines the other function again",
        {
            **function("pass"),
            "q6-solution": "def convolve_2d(x, w):\n    return 0\ndef conv_2d(x, w):\n    return " + SLIDE,
        },
        r"got None",
        rules=True,
    ),
    Attack(
        "a cell that may use it puts it into NumPy",
        {
            **function("return np.pad(x, w)"),
            "q6-solution": "def convolve_2d(x, w):\n    return 0\nnp.pad = lambda x, w: " + SLIDE,
        },
        r"`pad_width` must be|do not allow",
        rules=True,
    ),
    Attack(
        "a cell that may use it leaves it in a global name",
        {
            **function("return slide(x[None, None], w[None, None])[0, 0]"),
            "q6-solution": "def convolve_2d(x, w):\n    return 0\ndef f():\n    global slide\n"
            "    slide = convolution.conv2d\nf()\n",
        },
        r"name 'slide' is not defined|do not allow",
        rules=True,
    ),
    hidden(
        "all modules",
        f"slide = getattr(sys.modules['cnn_course.convolution'], 'con' 'v2d')\nreturn {SLID}",
        "import sys",
    ),
    hidden("an engine's function", "return vars(convolution)['_comp' 'ute'](x, w)"),
    hidden(
        "a text made of two, in place of a name in the code",
        f"return slide(convolution){SLID.removeprefix('slide')}",
        """
        def slide(module):
            return module.flop
        slide = type(slide)(getattr(slide, "__co" "de__").replace(co_names=("con" "v2d",)), {})
        """,
    ),
    hidden(
        "an attribute that functools copies",
        f"return box.conv2d{SLID.removeprefix('slide')}",
        """
        import functools, types
        box = types.SimpleNamespace()
        functools.update_wrapper(box, convolution, assigned=("con" "v2d",), updated=())
        """,
    ),
    hidden(
        "a reduction that copy calls",
        f"return copy.copy(Found()){SLID.removeprefix('slide')}",
        """
        import copy, operator
        class Found:
            pass
        setattr(Found, "__reduce" "_ex__", lambda self, _: (operator.attrgetter("con" "v2d"), (convolution,)))
        """,
    ),
    hidden(
        "an attribute getter",
        f"return attrgetter('con' 'v2d')(convolution){SLID.removeprefix('slide')}",
        "from operator import attrgetter",
    ),
    hidden("one of NumPy's inner functions", _rows("np.core.multiarray.correlate2(x[i + k], w[k], 0)")),
    hidden(
        "one of NumPy's inner functions, by another name",
        _rows("f(x[i + k], w[k], 0)"),
        "f = getattr(np.core.multiarray, 'corre' 'late2')",
    ),
    hidden("what NumPy's function hides", _rows("f(x[i + k], w[k])"), "f = getattr(np.convolve, '_implem' 'entation')"),
    hidden(
        "a product of polynomials", _rows("np.polynomial.Polynomial(x[i + k]) * np.polynomial.Polynomial(w[k][::-1])")
    ),
    hidden("a product of old polynomials", _rows("p(x[i + k]) * p(w[k][::-1])"), "p = getattr(np, 'poly' '1d')"),
    hidden("a masked correlation", _rows("np.ma.correlate(x[i + k], w[k])")),
    hidden("a transform", _rows("f.ifft(f.fft(x[i + k]))"), "f = getattr(np, 'f' 'ft')"),
    hidden("matplotlib's correlation", _rows("plt.xcorr(x[i + k], x[i + k])[1]"), "import matplotlib.pyplot as plt"),
    hidden(
        "a text that NumPy reads as a program",
        f"import numpy as n\nreturn n.load('cnn-attack', allow_pickle=True){SLID.removeprefix('slide')}",
        """
        text = b"ccnn_course.convolution\\ncon" b"v2d\\n."
        head = b"{'descr': '|O', 'fortran_order': False, 'shape': (), }".ljust(117) + b"\\n"
        data = b"\\x93NUMPY\\x01\\x00\\x76\\x00" + head + text
        np.frombuffer(data, np.uint8).tofile("cnn-attack")
        """,
    ),
    hidden(
        "the course's own text",
        f"slide = names['conv2d']\nreturn {SLID}",
        """
        import sys
        path = convolution.__file__
        names = {}
        text = getattr(sys.modules["builtins"], "op" "en")(path).read()
        getattr(sys.modules["builtins"], "ex" "ec")(text, names)
        """,
        r"No such file|not defined|not allow",
    ),
    hidden(
        "a library that was not read yet",
        "return getattr(sys.modules['builtins'], '__imp' 'ort__')('scipy.signal').signal.correlate2d(x, w, 'valid')",
        "import sys",
    ),
    hidden(
        "a library, after its guard was sent away",
        "return getattr(sys.modules['builtins'], '__imp' 'ort__')('scipy.signal').signal.correlate2d(x, w, 'valid')",
        "import sys\ndel sys.meta_path[0]",
    ),
    hidden(
        "a class that finds what was replaced",
        f"return found[0]{SLID.removeprefix('slide')}",
        """
        import sys
        gc = sys.modules.get("gc")
        found = [f for f in gc.get_objects() if getattr(f, "__qualname__", "") == "con" "v2d"]
        """,
        NOT_ALLOWED + "|list index out of range",  # what was frozen is not found
    ),
]
