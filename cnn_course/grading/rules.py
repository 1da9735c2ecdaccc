"""What an answer may not use: "no torch", "no np.convolve", "nothing of the course but `apply`".

Which module or function a name reaches counts, not how it is spelled: a variable may be called `table`. The text of an
answer is looked at first, so that a student is told early, and in which line. It need not find everything: where an
answer is graded, what is forbidden has been taken away before its first line runs (`sandbox.taken_away`).
"""

from __future__ import annotations

import functools
import inspect
import itertools
import re
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from cnn_course.errors import CheckFailed
from cnn_course.grading import run_state
from cnn_course.grading.sandbox.source_text import DETOUR, IMPORT, Statement, statements
from cnn_course.grading.sandbox.taken_away import is_forbidden, leads_to_allowed, path_of

# What a lab in NumPy forbids: libraries that filter pictures or train networks ...
LIBRARIES = tuple(
    "torch torchvision scipy skimage sklearn cv2 PIL pandas sympy jax tensorflow numba dask xarray".split()
)
# ... and what slides a kernel in NumPy itself.
SLIDING = (
    *("numpy.convolve", "numpy.correlate", "numpy.polymul", "numpy.poly1d", "numpy.polynomial", "numpy.fft"),
    *("numpy._core.multiarray.correlate", "numpy._core.multiarray.correlate2"),
)
_MOST_PATHS = 20  # that one name may be imported from; more would cost time, and hide nothing: all is taken away
_BUILT_IN = frozenset("__builtins__ __import__ breakpoint compile eval exec open".split())
_DETOURS = frozenset(
    "builtins code codeop ctypes importlib inspect marshal pickle pkgutil runpy subprocess zipimport".split()
)


def forbid(*paths: str, but: Sequence[str] = ()) -> None:
    """From now on no tested function, except those named in `but`, may use these modules and functions.

    paths: dotted, as "numpy.convolve", with all that is below; or a name that the lab's setup cell (the first with
    code) gives to something of its own. A lab says so in that cell.
    """
    _note(paths, True, lambda function: function not in but)


def allow(*paths: str, to: Sequence[str] | None = None) -> None:
    """Allow a part of what is forbidden, as "cnn_course.convolution.conv2d"; to: to these functions only."""
    _note(paths, False, lambda function: to is None or function in to)


def _note(paths: Sequence[str], verdict: bool, holds: Callable[[str], bool]) -> None:
    state = run_state.current()
    state.rules += [(path, verdict, holds) for path in paths]
    state.names = sys._getframe(2).f_globals


def table_for(function: str) -> dict[str, bool]:
    """For one function, dotted paths and whether they are forbidden; of those that a path begins with, the longest."""
    return {path: verdict for path, verdict, holds in run_state.current().rules if holds(function)}


def check_source(description: str, function: Callable) -> None:
    """Raise CheckFailed if the source of `function` uses what is forbidden. Without a source there is nothing to see.

    A stand-in for a function that runs elsewhere carries what is wrong with its cells in `source_problems`.
    """
    if not run_state.current().rules:
        return
    problems = getattr(function, "source_problems", None)
    if problems is None:
        try:
            lines, first = inspect.getsourcelines(function)
            said = [("", each) for each in _said_in("".join(lines))]
        except (OSError, TypeError, SyntaxError, ValueError, RecursionError, MemoryError):
            return
        names = getattr(function, "__globals__", {})
        problems = broken(said, _asked_name(description, function), names=names, above=first - 1)
    if problems:
        raise CheckFailed(
            f"{description}: the rules of this lab do not allow {', '.join(problems[:5])}. Write the computation "
            "yourself; what is allowed stands under Rules, in the second cell of the notebook."
        )


def _asked_name(description: str, function: Callable) -> str:
    """The name that the lab gives to a function: a lambda, or a method of a class, has another one of its own.

    A description begins with that name, as in "conv_2d(x, w)".
    """
    asked = re.split(r"\W", description, maxsplit=1)[0]
    named = run_state.current().names.get(asked)
    return asked if named is function else getattr(function, "__name__", "")


@functools.lru_cache(100)  # each check of a function asks again
def _said_in(source: str) -> list[Statement]:
    return [each for each in statements(source, "<answer>") if each is not None]


def broken(
    said: Iterable[tuple[str, Statement]],
    function: str,
    names: Mapping[str, object] | None = None,
    above: int = 0,
) -> list[str]:
    """What the function `function` may not use of what some statements reach, each as "numpy.convolve (line 3)".

    said: the statements, each with the cell that it stands in. names: what they find that they do not make themselves,
    by default what the lab's first cell has made. above: lines above the statements that count.
    """
    table = table_for(function)
    if not table:
        return []
    said = [*said]
    problems: dict[str, str] = {}
    for number, path, line in _found(said, table, run_state.current().names if names is None else names):
        cell = said[number][0]
        problems.setdefault(path, f"{path} (line {line + above}{f' of {cell}' if cell else ''})")
    return [problems[path] for path in sorted(problems)]


def without(said: Sequence[Statement], function: str) -> set[int]:
    """The numbers of those statements that a process for this function can do without.

    They define nothing, and they use what is not allowed there, or names that only such statements make.
    """
    if not (table := table_for(function)):
        return set()
    found = _found([("", each) for each in said], table, run_state.current().names)
    wrong = {number for number, _, _ in found if not said[number].defines}
    gone = frozenset().union(*(said[number].made for number in wrong))
    gone -= frozenset().union(*(each.made for number, each in enumerate(said) if number not in wrong))
    return wrong | {number for number, each in enumerate(said) if each.used & gone and not each.defines}


def _found(
    said: Sequence[tuple[str, Statement]], table: Mapping[str, bool], names: Mapping[str, object]
) -> Iterator[tuple[int, str, int]]:
    """What a table forbids of what some statements reach: the statement's number, the path and the line."""
    modules: dict[str, set[str]] = {}
    for _, statement in said:
        for name, path in statement.modules.items():
            modules.setdefault(name, set()).add(path)
    made = frozenset().union(*(statement.made for _, statement in said))
    for number, (_, statement) in enumerate(said):
        for word, line in statement.words.items():
            for path in _reached(word, modules, made, names):
                if path.startswith(DETOUR):
                    yield number, path.removeprefix(DETOUR), line
                elif is_forbidden(path, table) and not leads_to_allowed(path, table):
                    yield number, path, line


def _reached(
    word: str, modules: Mapping[str, set[str]], made: frozenset[str], names: Mapping[str, object]
) -> Iterable[str]:
    """The dotted paths that a word of a statement reaches."""
    if word.startswith(DETOUR):
        return [word]
    if word.startswith(IMPORT):
        path = word.removeprefix(IMPORT)
        return [path, *([DETOUR + path] if path.partition(".")[0] in _DETOURS else [])]
    root, dot, rest = word.partition(".")
    if root in modules:
        return [path + dot + rest for path in itertools.islice(modules[root], _MOST_PATHS)]
    if root in made:
        return []
    if root not in names or root == "__builtins__":  # every module has that one
        return [DETOUR + root] if root in _BUILT_IN else []
    value, parts = names[root], rest.split(".") if rest else []
    while parts and isinstance(value, types.ModuleType):  # images.skimage is skimage
        inner = vars(value).get(parts[0])
        if not isinstance(inner, types.ModuleType):
            break
        value, parts = inner, parts[1:]
    return [".".join([path_of(root, value), *parts])]
