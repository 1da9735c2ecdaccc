"""What an answer may not use, looked up in its source text: "no torch", "no np.convolve"."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Sequence

from cnn_course.grading.failure import CheckFailed

# Ways to reach a name without writing it down.
_DETOURS = frozenset(
    "__import__ builtins compile ctypes delattr eval exec getattr globals importlib locals setattr sys vars".split()
)
# Each forbidden name, with the functions that may use it all the same.
_FORBIDDEN: dict[str, frozenset[str]] = {}


def forbid(*names: str, but: Sequence[str] = ()) -> None:
    """From now on no tested function, except those named in `but`, may use these modules, functions or methods.

    `forbid("torch", "convolve")` looks for names, attributes and imports in the source of the function, and for what
    could hide them (eval, getattr, names with two underscores). A lab says so in its first cell.
    """
    _FORBIDDEN.update(dict.fromkeys(names, frozenset(but)))


def forget() -> None:
    """Forbid nothing again: for the next lab in the same process."""
    _FORBIDDEN.clear()


def check_source(description: str, function: Callable) -> None:
    """Raise CheckFailed if the source of `function` uses what `forbid` named. Without a source there is nothing to see.

    A stand-in for a function that runs elsewhere carries the text of its cells in `source_text`.
    """
    if not _FORBIDDEN:
        return
    text = getattr(function, "source_text", None)
    if text is None:
        try:
            text = inspect.getsource(function)
        except (OSError, TypeError):
            return
    name = getattr(function, "__name__", "")
    found = used(text, frozenset(word for word, but in _FORBIDDEN.items() if name not in but))
    if found:
        raise CheckFailed(
            f"{description}: the rules of this lab do not allow {', '.join(found[:5])}. Write the computation "
            "yourself; what is allowed is in the second cell of the notebook."
        )


def used(text: str, forbidden: frozenset[str]) -> list[str]:
    """The forbidden names and the detours in a source text, sorted; none if it is not Python."""
    try:
        tree = ast.parse(inspect.cleandoc("\n" + text) if text[:1].isspace() else text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.alias):
            found.update(node.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            found.update((node.module or "").split("."))
    hidden = {name for name in found if name.startswith("__") and name.endswith("__")}
    return sorted(found & (forbidden | _DETOURS) | hidden)
