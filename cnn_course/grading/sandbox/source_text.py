"""What the text of an answer says: names, attributes and imports, and the ways to reach a name without writing it.

Read where the student's code will run, before any of it has run there; what a lab forbids of it, `rules` decides.
"""

import ast
import inspect
import symtable
from collections.abc import Sequence

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
DETOUR, IMPORT = "detour ", "import "  # begin the words that stand for more than a name


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
    return {*parts, IMPORT + ".".join(parts)} | _detours(parts[1:], _PARTS)


def _detours(names: Sequence[str], known: frozenset[str], private: bool = True) -> set[str]:
    """Names that lead to others: the known ones, those with two underscores, and private ones (np.lib._os)."""
    hidden = {name for name in names if name.startswith("__") and name.endswith("__") and len(name) > 4} - _HARMLESS
    if known is not _BUILT_IN:  # a student's own variable may be called _x
        hidden |= {name for name in names if private and name.startswith("_") and name not in _HARMLESS}
    return {DETOUR + name for name in hidden | {name for name in names if name in known}}
