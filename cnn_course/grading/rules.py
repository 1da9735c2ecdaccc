"""What an answer may not use, looked up in its source text: "no torch", "no np.convolve".

Names can be reached without being written down. So where a lab forbids anything, an answer may not use those ways
either: `getattr` and its like, private names, modules other than a short list, the course's own grading code.
"""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Callable, Sequence

from cnn_course.errors import CheckFailed
from cnn_course.grading import run_state
from cnn_course.grading.sandbox.source_text import DETOUR, IMPORT, words

_IMPORTS = frozenset(
    "__future__ abc array bisect cmath collections contextlib copy dataclasses decimal enum fractions functools heapq "
    "itertools math matplotlib numbers numpy operator random re statistics string time torch tqdm typing "
    "warnings".split()
)
_GRADING = frozenset("checks grading mistakes networks rules".split())


def forbid(*names: str, but: Sequence[str] = ()) -> None:
    """From now on no tested function, except those named in `but`, may use these modules, functions or methods.

    `forbid("torch", "convolve")` looks for names, attributes and imports in the source of the function, and for what
    could hide them. A lab says so in its setup cell (the first with code), after its imports.
    """
    state = run_state.current()
    state.forbidden.update(dict.fromkeys(names, frozenset(but)))
    given = [value for value in sys._getframe(1).f_globals.values() if isinstance(value, types.ModuleType)]
    state.given.update(module.__name__ for module in given if module.__name__.startswith("cnn_course."))


def check_source(description: str, function: Callable) -> None:
    """Raise CheckFailed if the source of `function` uses what `forbid` named. Without a source there is nothing to see.

    A stand-in for a function that runs elsewhere carries the `words` of its cells in `source_words`.
    """
    if not run_state.current().forbidden:
        return
    found = getattr(function, "source_words", None)
    if found is None:
        try:
            found = words(inspect.getsource(function))
        except (OSError, TypeError, SyntaxError, ValueError, RecursionError, MemoryError):
            return
    problems = broken(found, getattr(function, "__name__", ""))
    if problems:
        raise CheckFailed(
            f"{description}: the rules of this lab do not allow {', '.join(problems[:5])}. Write the computation "
            "yourself; what is allowed is in the second cell of the notebook."
        )


def unusual(found: frozenset[str]) -> frozenset[str]:
    """Those of the `words` that some function may not use: what must not run beside that function."""
    return frozenset(broken(found, ""))


def broken(found: frozenset[str], name: str) -> list[str]:
    """Those of the `words` of a source text that the function `name` may not use, sorted."""
    state = run_state.current()
    if not state.forbidden:
        return []
    allowed = {word for word, but in state.forbidden.items() if name in but}
    problems = found & ((state.forbidden.keys() | _GRADING) - allowed)
    problems |= {word.removeprefix(DETOUR) for word in found if word.startswith(DETOUR)}
    for module in [word.removeprefix(IMPORT) for word in found if word.startswith(IMPORT)]:
        root, given = module.partition(".")[0], any(f"{module}.".startswith(f"{known}.") for known in state.given)
        if not given and root not in _IMPORTS and root not in allowed:
            problems |= {root}
    return sorted(problems)
