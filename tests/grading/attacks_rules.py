"""Change the judge, second part: use what the lab's rules forbid without being seen."""

from grading.attack import Attack, function

NOT_ALLOWED = r"the rules of this lab do not allow"
SLIDE = "convolution.conv2d(x[None, None], w[None, None])[0, 0]"
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
