"""Change the judge, second part: use what the lab's rules forbid without being seen."""

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


def hidden(name: str, body: str, top: str = "", says: str = NOT_ALLOWED) -> Attack:
    return Attack(name, function(body, top), says, rules=True)


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
        r"do not allow case Names\(x\)",
    ),
    hidden(
        "a module called self",
        "self = convolution\nreturn self._compute(self.checked(2, x[None, None], w[None, None], None), 'direct')",
    ),
    hidden(
        "a module in a module called self",
        "return R.run(random, x, w)",
        "import random\nclass R:\n    def run(self, x, w):\n        return self._os.popen('python').read()\n",
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
        "'NoneType' object is not callable",
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
    hidden(
        "NumPy hands over the functions of a module",
        f"return found[0]{SLID.removeprefix('slide')}",
        "found = []\nnp.testing.decorate_methods(convolution, found.append, '^con' 'v2d$')",
        "list index out of range",
    ),
    hidden(
        "tqdm's getattr",
        f"return W.wrapper_getattr(convolution, 'con' 'v2d'){SLID.removeprefix('slide')}",
        "from tqdm.utils import ObjectWrapper as W",
    ),
    hidden(
        "matplotlib's import",
        "return registry.load_backend_module('module://scipy.signal').correlate2d(x, w, 'valid')",
        "from matplotlib.backends import registry",
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
    ),
    hidden("NumPy's build tools", "return e.exec_command(['python'])", "import numpy.distutils.exec_command as e"),
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
        r"`pad_width` must be",
        rules=True,
    ),
    Attack(
        "a cell that may use it leaves it in a global name",
        {
            **function("return slide(x[None, None], w[None, None])[0, 0]"),
            "q6-solution": "def convolve_2d(x, w):\n    return 0\ndef f():\n    global slide\n"
            "    slide = convolution.conv2d\nf()\n",
        },
        r"name 'slide' is not defined",
        rules=True,
    ),
]
