"""Calls every public function with wrong values and judges what happens.

A public function is what a notebook can reach: functions, classes and methods of the modules on the course's floor, of
`models` and of `widgets`, found by import. `good_calls_*.py` hold one right call of each; here one argument after the
other is replaced by each of the `VALUES`. Right ends are an error of the course, a ValueError or TypeError that names
the argument, and a result that means something.

    python tests/wrong_values.py [part of a name ...]     what is wrong, and how many calls of which function
    python tests/wrong_values.py --draws 2000 --seed 7    calls with several drawn values at once
"""

import argparse
import atexit
import collections.abc
import copy
import dataclasses
import functools
import importlib
import inspect
import io
import numbers
import os
import pathlib
import pkgutil
import re
import shutil
import signal
import tempfile
import types
import typing
import warnings
from collections import Counter
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout, suppress

import matplotlib
import numpy as np
import torch

import cnn_course
from cnn_course.arguments.shown import brief
from cnn_course.errors import CourseError

# Machinery behind the public modules: what these are given, a public function has checked.
ROOMS = {
    "__main__", "appearance", "arguments", "array_engine", "commands", "data_sources", "files", "grading", "inspection",
    "training",
}  # fmt: skip
# What rooms hold and notebooks use, under the public name.
FROM_ROOMS = {
    "arithmetic.output_size", "stacks.Axis.slide", "stacks.Axis.pixels", "stacks.Table.only", "train.TrainConfig",
    "train.make_optimizer", "train.History.column",
}  # fmt: skip
# Fields whose NaN says, by their documentation, that there is no such number.
NAN_MEANS_NONE = {"TrainingCurves": ("val_accuracy",)}
# Functions that give infinity, by their documentation, for how far anything but zero is from zero.
FAR_FROM_ZERO = {"relative_difference", "equivariance_error", "invariance_error", "rotation_error"}
SECONDS = 20  # none of the right calls takes one


# --- what there is


def public():
    """{name: function}: what the public modules define, and what of the rooms is theirs to hand out."""
    found = {}
    for module in pkgutil.walk_packages(cnn_course.__path__, "cnn_course."):
        room, _, _ = module.name.removeprefix("cnn_course.").partition(".")
        if room in ROOMS or room == "errors":
            continue
        loaded = importlib.import_module(module.name)
        for name, thing in vars(loaded).items():
            if getattr(thing, "__module__", None) == module.name and not name.startswith("_"):
                found |= _callables(f"{module.name.removeprefix('cnn_course.')}.{name}", thing)
    for name in FROM_ROOMS:
        module, *rest = name.split(".")
        found[name] = functools.reduce(getattr, rest, importlib.import_module(f"cnn_course.{module}"))
    return found


def _callables(name, thing):
    if inspect.isfunction(thing):
        return {name: thing}
    if not inspect.isclass(thing) or issubclass(thing, Exception) or getattr(thing, "_is_protocol", False):
        return {}
    from cnn_course.appearance.live import StaticFirst

    if issubclass(thing, StaticFirst):  # made by the function that is named as it is
        return {}
    from torch import nn

    methods = {
        f"{name}.{key}": getattr(thing, key)
        for key, value in vars(thing).items()
        if not key.startswith("_") and isinstance(value, types.FunctionType | staticmethod | classmethod)
    }
    if issubclass(thing, nn.Module):  # called by torch, in whose words it fails
        methods.pop(f"{name}.forward", None)
    if issubclass(thing, tuple):  # a NamedTuple only packs what a function gives
        return methods
    return {name: thing} | methods


# --- wrong values


class Anything:
    """An object that is nothing that anybody wants."""


def _read_only():
    array = np.ones((2, 3))
    array.flags.writeable = False
    return array


# Made anew for each call, so that none carries over what a call did to it.
VALUES = {
    "None": lambda: None,
    "text": lambda: "no",
    "digits": lambda: "3",
    "empty text": lambda: "",
    "bytes": lambda: b"ab",
    "True": lambda: True,
    "False": lambda: False,
    "zero": lambda: 0,
    "minus one": lambda: -1,
    "minus a half": lambda: -0.5,
    "0.9": lambda: 0.9,
    "2.0": lambda: 2.0,
    "np.int64(2)": lambda: np.int64(2),
    "np.float32(0.5)": lambda: np.float32(0.5),
    "huge": lambda: 10**9,
    "2**64": lambda: 2**64,
    "10**400": lambda: 10**400,
    "huge float": lambda: 1e300,
    "NaN": lambda: float("nan"),
    "infinity": lambda: float("inf"),
    "minus infinity": lambda: -float("inf"),
    "complex": lambda: 1 + 2j,
    "object": lambda: Anything(),
    "class": lambda: int,
    "function": lambda: len,
    "module": lambda: np,
    "set": lambda: {1, 2},
    "dict": lambda: {},
    "generator": lambda: (i for i in range(2)),
    "empty list": lambda: [],
    "pair": lambda: (2, 3),
    "pair of huge": lambda: (10**9, 10**9),
    "seven numbers": lambda: (1, 2, 3, 4, 5, 6, 7),
    "list of text": lambda: ["a", "b"],
    "list of None": lambda: [None, None],
    "ragged list": lambda: [[1.0], [2.0, 3.0]],
    "0 axes": lambda: np.ones(()),
    "1 axis": lambda: np.ones(3),
    "2 axes": lambda: np.ones((2, 3)),
    "4 axes": lambda: np.ones((1, 2, 3, 3)),
    "6 axes": lambda: np.ones((1, 1, 2, 1, 2, 1)),
    "empty array": lambda: np.zeros(0),
    "no images": lambda: np.zeros((0, 1, 4, 4)),
    "array of NaN": lambda: np.full((2, 3), np.nan),
    "complex array": lambda: np.ones((2, 3), complex),
    "object array": lambda: np.array([None, "a"], object),
    "text array": lambda: np.array(["a", "b"]),
    "bool array": lambda: np.ones((2, 3), bool),
    "uint8 array": lambda: np.ones((2, 3), np.uint8),
    "float16 array": lambda: np.ones((2, 3), np.float16),
    "big-endian array": lambda: np.ones((2, 3), ">f4"),
    "dates": lambda: np.array(["2020-01-01"], "datetime64[D]"),
    "read-only array": _read_only,
    "tensor": lambda: torch.ones(2, 3),
    "tensor with gradient": lambda: torch.ones(2, 3, requires_grad=True),
    "bfloat16 tensor": lambda: torch.ones(2, 3, dtype=torch.bfloat16),
    "meta tensor": lambda: torch.ones(2, 3, device="meta"),
    "torch module": lambda: torch.nn.Flatten(),
}


# --- which of them an argument may not take


def fits(value, annotation):
    """Whether a value is of the kind that an annotation names: True, False, or None where it does not say."""
    said = str(annotation)
    if annotation in (inspect.Parameter.empty, typing.Any, object) or isinstance(annotation, str | typing.TypeVar):
        return None
    if annotation is None or annotation is type(None):
        return value is None
    if typing.get_origin(annotation) in (dict, collections.abc.Mapping) and isinstance(value, dict):
        return None  # of arrays, or of anything
    if "_SupportsArray" in said or "numpy.ndarray" in said:
        if value is None:
            return True if type(None) in typing.get_args(annotation) else False
        if isinstance(value, np.ndarray):
            return None if value.dtype.kind in "biuf" else False
        if isinstance(value, str | bytes | dict | set | Anything | types.ModuleType | complex) or callable(value):
            return (
                None if callable(value) and "Callable" in said or isinstance(value, str) and "str |" in said else False
            )
        return None
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        verdicts = [fits(value, each) for each in inner]
        return True if True in verdicts else None if None in verdicts else False
    if origin is typing.Literal:
        return value in inner if isinstance(value, str) else False
    if annotation is bool:
        return isinstance(value, bool | np.bool_)
    if annotation in (int, float):
        kind = numbers.Integral if annotation is int else numbers.Real
        if isinstance(value, np.ndarray) or type(value).__module__.startswith("torch"):
            return None if getattr(value, "shape", None) == () else False
        return isinstance(value, kind) and not isinstance(value, bool)
    if annotation is str:
        return isinstance(value, str)
    if annotation in (os.PathLike, pathlib.Path) or origin is os.PathLike:
        return isinstance(value, str | os.PathLike)
    kind = origin or annotation
    if "Callable" in said:
        return callable(value)
    if "Sequence" in said or kind in (tuple, list):
        return None if hasattr(value, "__len__") and not isinstance(value, str | bytes | dict | set) else False
    if "Mapping" in said or kind is dict:
        return None if isinstance(value, dict) else False
    if getattr(kind, "_is_protocol", False) or not isinstance(kind, type):
        return None
    return isinstance(value, kind)


# --- one call


class Hung(BaseException):
    """A call took longer than `SECONDS`."""


@contextmanager
def bounded(gigabytes=6):
    """Ends what hangs, and lets an allocation fail that a machine could not bear."""
    import resource

    def ring(*_):
        raise Hung

    before = signal.signal(signal.SIGALRM, ring)
    limits = resource.getrlimit(resource.RLIMIT_AS)
    with suppress(OSError, ValueError):  # not on macOS
        pages = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + gigabytes * 2**30, limits[1]))
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_AS, limits)


def not_finite(result, depth=0):
    """Whether a NaN or an infinity is among the numbers of a result."""
    if isinstance(result, float | np.floating):
        return not np.isfinite(result)
    if isinstance(result, np.ndarray):
        return result.dtype.kind == "f" and not np.isfinite(result).all()
    if depth < 4:
        if type(result).__module__.startswith("torch") and hasattr(result, "isfinite"):
            return result.is_floating_point() and not result.is_meta and not bool(result.isfinite().all())
        if isinstance(result, dict):
            return any(not_finite(each, depth + 1) for each in result.values())
        if isinstance(result, list | tuple):
            return any(not_finite(each, depth + 1) for each in result)
        if dataclasses.is_dataclass(result) and not isinstance(result, type):
            known = NAN_MEANS_NONE.get(type(result).__name__, ())
            fields = [f.name for f in dataclasses.fields(result) if f.name not in known]
            return any(not_finite(getattr(result, name), depth + 1) for name in fields)
    return False


def names(message, name):
    return re.search(rf"(?<![\w.]){re.escape(name)}(?!\w)", message) is not None


def arrays_of(arguments):
    return {name: value.copy() for name, value in arguments.items() if isinstance(value, np.ndarray)}


def outcome(function, arguments, changed):
    """(verdict, words): "clear" and "accepted" are right; "obscure", "meaningless", "changed", "hangs", "memory" wrong.

    changed: the names of the arguments that are not those of the right call.
    """

    annotations = annotations_of(function)
    misfits = [name for name in changed if fits(arguments[name], annotations.get(name)) is False]
    before = arrays_of(arguments)
    self_given = [arguments.pop("self")] if "self" in arguments else []
    try:
        with bounded(), warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            torch.random.default_generator.manual_seed(0)  # without a look at GPUs, which takes a millisecond
            result = function(*self_given, **arguments)
    except CourseError as error:
        verdict, words = "clear", str(error)
    except Hung:
        verdict, words = "hangs", f"longer than {SECONDS} s"
    except MemoryError as error:
        verdict, words = "memory", str(error)
    except (ValueError, TypeError) as error:
        verdict, words = "clear" if any(names(str(error), name) for name in changed) else "obscure", repr(error)
    except Exception as error:
        verdict, words = "obscure", repr(error)
    except SystemExit as error:
        verdict, words = "obscure", repr(error)
    else:
        verdict, words = "accepted", ""
        given = {name: arguments[name] for name in changed}
        if misfits:
            verdict, words = "meaningless", f"takes it, and gives {brief(result)}"
        elif not not_finite(given) and not any(
            isinstance(v, list | tuple) and "nan" in repr(v) for v in given.values()
        ):
            huge = any(isinstance(v, int | float) and abs(v) > 1e100 for v in given.values())
            far = getattr(function, "__name__", "") in FAR_FROM_ZERO and result == float("inf")
            if not_finite(result) and not huge and not far:
                verdict, words = "meaningless", f"gives {brief(result)}"
    if verdict != "accepted":
        for name, array in before.items():
            if name in arguments and not np.array_equal(arguments[name], array, equal_nan=array.dtype.kind == "f"):
                verdict, words = "changed", f"{name} was changed by a call that failed"
    return verdict, words


@functools.cache
def annotations_of(function):
    target = function.__init__ if inspect.isclass(function) and "__init__" in vars(function) else function
    try:
        return typing.get_type_hints(target)
    except Exception:
        return getattr(target, "__annotations__", {})


def parameters_of(function):
    """The names of the arguments that can be given by name."""
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    found = inspect.signature(function).parameters.values()
    return [p.name for p in found if p.kind in by_name and p.name != "self"]


# --- all calls


@functools.cache
def good_calls():
    """{name: factory of the arguments}."""
    import good_calls_networks
    import good_calls_numpy
    import good_calls_pictures
    import good_calls_training

    files = (good_calls_numpy, good_calls_pictures, good_calls_training, good_calls_networks)
    return {name: factory for file in files for name, factory in file.CALLS.items()}


def good(name, folder):
    """Fresh arguments of the right call of a function; what it writes goes into `folder`."""
    factory = good_calls()[name]
    return dict(factory(pathlib.Path(folder)) if factory.__code__.co_argcount else factory())


@functools.cache
def _places():
    """An empty folder to work in, and an empty clone of the course; they end with this process."""
    root = tempfile.TemporaryDirectory()
    atexit.register(root.cleanup)
    work, clone = pathlib.Path(root.name, "work"), pathlib.Path(root.name, "clone")
    work.mkdir()
    for kind in ("runs", "weights"):
        (clone / "data" / kind).mkdir(parents=True)
    return work, clone


@contextmanager
def elsewhere():
    """An empty folder to work in: a wrong path must not hit the checkout, nor must `runs` put its files there."""
    from matplotlib import pyplot as plt

    from cnn_course import runs

    here, course = os.getcwd(), runs.course
    work, clone = _places()
    os.chdir(work)
    runs.course = lambda: clone
    try:
        yield work
    finally:
        runs.course = course
        os.chdir(here)
        for folder in (work, clone / "data" / "runs", clone / "data" / "weights"):
            for left in list(folder.iterdir()):
                shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
        if plt.get_fignums():
            plt.close("all")


# Hundreds of millions of weights, of which a wrong argument needs none.
LARGE = re.compile(r"models\.(vgg\.vgg\d*|resnet\.resnet\d+|alexnet\.alexnet(_paper)?|zfnet\.zfnet)")


def wrong_calls(name, function):
    """Yields (argument, value's name, verdict, words) for each argument and each value."""
    place = torch.device("meta") if LARGE.fullmatch(name) else nullcontext()
    for argument in parameters_of(function):
        for label, make in VALUES.items():
            with elsewhere() as folder, place:
                arguments = good(name, folder)
                arguments[argument] = make()
                yield argument, label, *outcome(function, arguments, [argument])


def drawn_value(rng):
    """A value as a stranger would try it: from the table, or an array, a list or a number of any kind."""
    kind = rng.integers(6)
    if kind < 2:
        return [*VALUES.values()][rng.integers(len(VALUES))]()
    shape = tuple(int(n) for n in rng.integers(0, 5, rng.integers(0, 6)))
    dtype = rng.choice(["f4", "f8", "i8", "u1", "?", "f2", ">f8", "c8", "O"])
    made = rng.standard_normal(shape).astype(dtype) if dtype != "u1" else rng.integers(0, 255, shape).astype(dtype)
    if kind == 2:
        return made
    if kind == 3:
        return np.asfortranarray(made)[..., ::-1] if made.ndim else made
    if kind == 4:
        return made.tolist()
    return rng.choice([1, -1]) * float(10 ** rng.uniform(-9, 19)) if rng.random() < 0.5 else int(rng.integers(-5, 40))


def drawn_call(name, function, rng):
    """(arguments' names, their values in words, verdict, words) of a call with one to three drawn values."""
    open_to = parameters_of(function)
    chosen = [str(each) for each in rng.choice(open_to, min(len(open_to), int(rng.integers(1, 4))), replace=False)]
    with elsewhere() as folder:
        arguments = good(name, folder)
        for each in chosen:
            arguments[each] = drawn_value(rng)
        said = ", ".join(f"{each}={arguments[each]!r:.60}" for each in chosen)
        return chosen, said, *outcome(function, copy.copy(arguments), chosen)


RIGHT = {"clear", "accepted"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*")
    parser.add_argument("--draws", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quiet", action="store_true", help="only the counts")
    asked = parser.parse_args()
    matplotlib.use("agg")
    everything = public()
    wanted = {n: f for n, f in everything.items() if not asked.parts or any(part in n for part in asked.parts)}
    for name in sorted(wanted.keys() - good_calls().keys()):
        print(f"no right call of {name}")
    counts = {name: Counter() for name in wanted if name in good_calls()}
    if asked.draws:
        print(f"seed {asked.seed}", flush=True)
        rng, order = np.random.default_rng(asked.seed), [n for n in counts if parameters_of(wanted[n])]
        for _ in range(asked.draws):
            name = order[rng.integers(len(order))]
            _, said, verdict, words = drawn_call(name, wanted[name], rng)
            counts[name][verdict] += 1
            if verdict not in RIGHT and not asked.quiet:
                print(f"{verdict:12s} {name}({said}): {words:.200}")
    else:
        for name in counts:
            for argument, label, verdict, words in wrong_calls(name, wanted[name]):
                counts[name][verdict] += 1
                if verdict not in RIGHT and not asked.quiet:
                    print(f"{verdict:12s} {name}({argument}={label}): {words:.200}")
    total = sum(counts.values(), Counter())
    for name, found in counts.items():
        wrong = {verdict: n for verdict, n in found.items() if verdict not in RIGHT}
        if wrong:
            print(f"{sum(wrong.values()):5d} of {found.total():5d}  {name}: {wrong}")
    print(f"{total.total()} calls of {len(counts)} functions: {dict(total)}")
    return int(bool(total.keys() - RIGHT))


if __name__ == "__main__":
    raise SystemExit(main())
