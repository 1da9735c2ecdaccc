"""Change the judge: make a wrong answer pass."""

from grading.attack import TRY, ZEROS, Attack, function

WRONG_VALUES = r"values differ"

PATCHES = [
    Attack(
        "patched numpy.testing and allclose",
        function(
            ZEROS,
            """
            np.testing.assert_allclose = np.testing.assert_array_equal = lambda *a, **k: None
            np.allclose = np.array_equal = lambda *a, **k: True
            np.isfinite = lambda x: np.ones(np.shape(x), bool)
            """,
        ),
        WRONG_VALUES,
    ),
    Attack(
        "patched checks",
        function(
            ZEROS,
            """
            import cnn_course.grading.checks as c
            c.check = c.check_array = c.check_integer = c.call = lambda *a, **k: None
            c._close = lambda a, b, t: np.ones(np.shape(a), bool)
            c.CheckFailed = type("CheckFailed", (Exception,), {"__init__": lambda *a: None})
            checks.check = checks.check_array = lambda *a, **k: None
            """,
        ),
        WRONG_VALUES,
    ),
    Attack(
        "patched builtins",
        function(
            ZEROS,
            """
            import builtins
            builtins.AssertionError = builtins.RuntimeError = type("Nothing", (Exception,), {})
            builtins.all = builtins.any = lambda *a: True
            builtins.abs = lambda x: 0 * x
            """,
        ),
        WRONG_VALUES,
        spoils=True,
    ),
    Attack(
        "patched numbers of the wire",
        function(
            ZEROS,
            """
            from cnn_course.grading.sandbox import wire as w, student_side as s
            w.pack = s.wire.pack = lambda value, arrays, *rest: {"kind": "right"}
            s.wire._pack_array = lambda *a: {"kind": "ndarray"}
            """,
        ),
        r"got a right",
        spoils=True,
    ),
    Attack(
        "rewritten code objects",
        function(
            ZEROS,
            """
            from cnn_course import errors
            from cnn_course.grading import checks as c
            c.check.__code__ = (lambda *a, **k: None).__code__
            errors.CheckFailed.__init__ = lambda *a: None
            errors.CheckFailed.__new__ = lambda *a: StopIteration()
            """,
        ),
        WRONG_VALUES,
    ),
    Attack(
        "trace, profile and audit hooks",
        function(
            ZEROS,
            """
            import sys, threading
            def hook(frame, event, arg):
                frame.f_globals["expected"] = frame.f_locals.get("got")
                return hook
            sys.settrace(hook); sys.setprofile(hook); threading.settrace(hook)
            sys.addaudithook(lambda *a: None)
            sys.excepthook = sys.unraisablehook = lambda *a: None
            """,
        ),
        WRONG_VALUES,
    ),
    Attack(
        "input and AST transformers, run_cell hooks",
        function(
            ZEROS,
            """
            import ast
            import IPython
            from IPython.core.interactiveshell import InteractiveShell

            class Pass(ast.NodeTransformer):
                def visit_Expr(self, node):
                    return ast.Pass()

            shell = IPython.get_ipython() or InteractiveShell.instance()
            shell.input_transformers_post.append(lambda lines: ["pass"])
            shell.ast_transformers.append(Pass())
            shell.events.register("pre_run_cell", lambda *a: None)
            InteractiveShell.run_cell = InteractiveShell.run_cell_async = lambda *a, **k: None
            InteractiveShell.showtraceback = lambda *a, **k: None
            """,
        ),
        WRONG_VALUES,
    ),
    Attack(
        "kernel hooks",
        function(
            ZEROS,
            """
            from ipykernel.ipkernel import IPythonKernel
            from ipykernel.kernelbase import Kernel
            Kernel.send_response = lambda *a, **k: None
            IPythonKernel.do_execute = lambda *a, **k: {"status": "ok"}
            """,
        ),
        WRONG_VALUES,
    ),
    Attack(
        "fake modules",
        function(
            ZEROS,
            """
            import sys, types
            class Fake(types.ModuleType):
                def __getattr__(self, name):
                    return lambda *a, **k: None
            for name in list(sys.modules):
                if name.startswith(("cnn_course.grading", "nbgrader", "nbclient")):
                    sys.modules[name] = Fake(name)
            """,
        ),
        WRONG_VALUES,
    ),
    Attack(
        "another answer for another question",
        {
            "q1-solution": "def conv_2d(x, w):\n    return np.zeros(1)\ndef output_size(n, k, stride=1, padding=0):\n"
            "    return (n + 2 * padding - k) // stride + 1\n",
            "q3-solution": "def output_size(*a, **k):\n    return 0\n",
        },
        r"conv_2d.*got",
        may_pass=("q1-visible", "q1-hidden"),  # its own answer is right, and was when its own test ran
    ),
]

EQUAL = """
class Equal:
    shape, ndim, size = property(lambda self: self), 2, 6
    dtype = np.dtype(float)
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __getattr__(self, name): return self
    def __call__(self, *a, **k): return self
    def __iter__(self): return iter([self])
    def __len__(self): return 2
    def __bool__(self): return True
    def __le__(self, other): return True
    def __sub__(self, other): return self
    def __abs__(self): return 0.0
    def __array__(self, *a, **k): return np.zeros((2, 3))
    def __hash__(self): return 0
"""

VALUES = [
    Attack("always equal", function("return Equal()", EQUAL), r"got an? Equal"),
    Attack("type of an always equal", function("return Equal", EQUAL), r"got a type"),
    Attack(
        "array of always equal objects",
        function(
            "y = np.empty((2, 3), object)\ny.fill(Same())\nreturn y",
            """
            class Same:
                def __eq__(self, other): return True
                def __le__(self, other): return True
                def __sub__(self, other): return 0.0
                __rsub__ = __sub__
            """,
        ),
        r"array of Python objects",
    ),
    Attack(
        "array subclass",
        function(
            "return np.zeros((2, 3)).view(Yes)",
            """
            class Yes(np.ndarray):
                def __array_ufunc__(self, ufunc, method, *inputs, **kwargs): return np.array(True)
                def __array_function__(self, *a, **k): return True
                def __eq__(self, other): return True
                def astype(self, *a, **k): return self
            """,
        ),
        r"got a Yes",
    ),
    Attack(
        "number and text subclasses",
        {
            "q1-solution": "class Any(int):\n    def __eq__(self, other): return True\n"
            "    def __ne__(self, other): return False\ndef output_size(*a, **k):\n    return Any(3)\n"
        },
        r"expected 4, got 3",
    ),
    Attack("nan", function(ZEROS.replace("zeros(", "full(").replace("+ 1))", "+ 1), np.nan)")), r"got nan at index"),
    Attack("eight terabytes", function("return np.broadcast_to(1.0, (10**6, 10**6))"), r"got \(1000000, 1000000\)"),
    Attack(
        "a lazy array of the right shape", function(f"return np.broadcast_to(0.0, ({ZEROS[7:]}).shape)"), WRONG_VALUES
    ),
    Attack("complex and structured", function(f"return ({ZEROS[7:]}).astype([('a', 'f8')])"), r"got dtype \|V1"),
    Attack("a module, a generator", function("return (i for i in x)"), r"got a generator"),
    Attack(
        "answers of the visible test typed in",
        function(
            """
            known = {3.0: [[4, 6, 0], [2, 4, 6]], 0.0: [[1, 1, -3], [1, 1, 1], [-3, 1, 1]], 1.5: [[2.5, 2, 3.5, 1]]}
            known[2.0] = known[3.0]
            return np.array(known.get(float(w.sum()), [[0]]), dtype=float)
            """
        ),
        r"expected shape",
        may_pass=("q3-visible",),
    ),
    Attack(
        "errors that mean something",
        function(
            """
            global count
            count += 1
            raise [CheckFailed("ok"), SystemExit(0), KeyboardInterrupt(), GeneratorExit(), StopIteration(x)][count % 5]
            """,
            """
            count = 0
            class CheckFailed(AssertionError):
                _render_traceback_ = lambda self: []
            """,
        ),
        r"stopped with SystemExit: 0",
    ),
    Attack(
        "error with a hostile name and text",
        function(
            "raise Odd('\\ud800\\x1b[2J\\x00<script>')",
            "Odd = type('Sand' + 'boxError', (Exception,), {'__module__': 'cnn_course.grading.sandbox.bubblewrap'})",
        ),
        "stopped with SandboxError: \\?\ufffd\\[2J\ufffd<script>",
    ),
]

LOOKS = [
    Attack(
        "frames and the collector's objects",
        function(
            """
            import gc, sys
            wanted = (x.shape[0] - w.shape[0] + 1, x.shape[1] - w.shape[1] + 1)
            frame, seen = sys._getframe(), []
            while frame is not None:
                seen += [name for name in frame.f_locals if name in ("expected", "master", "mistakes", "hint")]
                frame = frame.f_back
            arrays = [o for o in gc.get_objects() if isinstance(o, np.ndarray) and o.shape == wanted]
            raise RuntimeError(f"tried, frames {[n for n in seen if n != 'mistakes']}, arrays {len(arrays)}")
            """
        ),
        r"tried, frames \[\], arrays 0",
    ),
    Attack(
        "the seed of the hidden inputs",
        function(
            "attempt({'seed': lambda: checks.run_state.current().seed, "
            "'lines': lambda: [k for k in linecache.cache if 'hidden' in k]})",
            TRY + "import linecache",
        ),
        r"tried seed 0, lines \[\]\.",
    ),
]

ATTACKS = PATCHES + VALUES + LOOKS
