"""What an answer may not use, looked up in its source text: "no torch", "no np.convolve".

Names can be reached without being written down. So where a lab forbids anything, an answer may not use those ways
either: `getattr` and its like, private names, modules other than a short list, the course's own grading code.
"""

from __future__ import annotations

import ast
import inspect
import symtable
import sys
import types
from collections.abc import Callable, Sequence

from cnn_course.grading.failure import CheckFailed

# Each forbidden name, with the functions that may use it all the same.
_FORBIDDEN: dict[str, frozenset[str]] = {}
# The modules of the course that a lab hands out: they may be imported again.
_GIVEN: set[str] = set()

_IMPORTS = frozenset(
    "__future__ abc array bisect cmath collections contextlib copy dataclasses decimal enum fractions functools heapq "
    "itertools math matplotlib numbers numpy random re statistics string time torch tqdm typing warnings".split()
)
_GRADING = frozenset("checks grading mistakes networks rules".split())
# Reach any name, as a built-in function ...
_BUILT_IN = frozenset(
    "__builtins__ __import__ breakpoint compile delattr eval exec getattr globals locals open setattr vars".split()
)
# ... or as a part of a module or of an object that is allowed.
_PARTS = _BUILT_IN | frozenset(
    "ag_frame attrgetter bltns builtins codeop cr_frame ctypes ctypeslib f2py f_back f_builtins f_globals f_locals "
    "Formatter ForwardRef gc get_field get_type_hints gi_frame hub importlib inspect io load loads marshal measure "
    "methodcaller operator os pickle pkgutil pydoc read_array rundocs runpy runstring singledispatch "
    "singledispatchmethod sphinxext subprocess sys tb_frame timeit".split()
)
_HARMLESS = frozenset(f"__{name}__" for name in "init name doc len call enter exit version".split())
_DETOUR, _IMPORT = "detour ", "import "  # begin the words that stand for more than a name


def forbid(*names: str, but: Sequence[str] = ()) -> None:
    """From now on no tested function, except those named in `but`, may use these modules, functions or methods.

    `forbid("torch", "convolve")` looks for names, attributes and imports in the source of the function, and for what
    could hide them. A lab says so in its first cell, after its imports.
    """
    _FORBIDDEN.update(dict.fromkeys(names, frozenset(but)))
    given = [value for value in sys._getframe(1).f_globals.values() if isinstance(value, types.ModuleType)]
    _GIVEN.update(module.__name__ for module in given if module.__name__.startswith("cnn_course."))


def forget() -> None:
    """Forbid nothing again: for the next lab in the same process."""
    _FORBIDDEN.clear()
    _GIVEN.clear()


def check_source(description: str, function: Callable) -> None:
    """Raise CheckFailed if the source of `function` uses what `forbid` named. Without a source there is nothing to see.

    A stand-in for a function that runs elsewhere carries the `words` of its cells in `source_words`.
    """
    if not _FORBIDDEN:
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


def words(text: str) -> frozenset[str]:
    """The names, attributes and imports in a source text, and its detours. Raises SyntaxError and its like."""
    found: set[str] = set()
    tree = ast.parse(inspect.cleandoc("\n" + text) if text[:1].isspace() else text)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and not node.args and not node.keywords]
    modes = {id(call.func) for call in calls}  # net.eval() is no detour
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name):
                found |= {name} | _detours([name], _BUILT_IN)
            case ast.Attribute(attr="eval") if id(node) in modes:
                pass
            case ast.Attribute(value=owner, attr=name):
                own = isinstance(owner, ast.Name) and owner.id in ("self", "cls")
                found |= {name} | _detours([name], _PARTS, private=not own)
            case ast.MatchClass(kwd_attrs=names):  # case object(conv2d=f): reads an attribute
                found |= set(names) | _detours(names, _PARTS)
            case ast.Import(names=aliases):
                for alias in aliases:
                    found |= _imported(alias.name)
            case ast.ImportFrom(module=module, names=aliases):
                for alias in aliases:
                    found |= _imported(".".join(filter(None, (module, alias.name.replace("*", "")))))
    return frozenset(found)


def unusual(found: frozenset[str]) -> frozenset[str]:
    """Those of the `words` that some function may not use: what must not run beside that function."""
    return frozenset(broken(found, ""))


def broken(found: frozenset[str], name: str) -> list[str]:
    """Those of the `words` of a source text that the function `name` may not use, sorted."""
    if not _FORBIDDEN:
        return []
    allowed = {word for word, but in _FORBIDDEN.items() if name in but}
    problems = found & ((_FORBIDDEN.keys() | _GRADING) - allowed)
    problems |= {word.removeprefix(_DETOUR) for word in found if word.startswith(_DETOUR)}
    for module in [word.removeprefix(_IMPORT) for word in found if word.startswith(_IMPORT)]:
        root, given = module.partition(".")[0], any(f"{module}.".startswith(f"{known}.") for known in _GIVEN)
        if not given and root not in _IMPORTS and root not in allowed:
            problems |= {root}
    return sorted(problems)


def names(text: str, file: str) -> tuple[set[str], set[str]]:
    """The names that a cell makes at its top, and those from outside that it uses, in its functions too.

    Raises SyntaxError and its like, in which the cell is called `file`.
    """
    table = symtable.symtable(text, file, "exec")
    made = {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported()}
    used, inner = set(), [table]
    while inner:
        inner += (table := inner.pop()).get_children()
        used |= {s.get_name() for s in table.get_symbols() if s.is_global() and s.is_referenced()}
    return made, used


def _imported(path: str) -> set[str]:
    parts = [part for part in path.split(".") if part]
    return {*parts, _IMPORT + ".".join(parts)} | _detours(parts[1:], _PARTS)


def _detours(names: Sequence[str], known: frozenset[str], private: bool = True) -> set[str]:
    """Names that lead to others: the known ones, those with two underscores, and private ones (np.lib._os)."""
    hidden = {name for name in names if name.startswith("__") and name.endswith("__") and len(name) > 4} - _HARMLESS
    if known is not _BUILT_IN:  # a student's own variable may be called _x
        hidden |= {name for name in names if private and name.startswith("_") and name not in _HARMLESS}
    return {_DETOUR + name for name in hidden | {name for name in names if name in known}}
