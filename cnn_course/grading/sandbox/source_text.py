"""What the text of an answer says: names, attributes and imports, and the ways to reach a name without writing it.

Read where the student's code will run, before any of it has run there; what a lab forbids of it, `rules` decides.
"""

import ast
import symtable
from collections.abc import Sequence
from typing import NamedTuple

from IPython.core.inputtransformer2 import TransformerManager

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
EVERYTHING = "*"  # the name that `from numpy import *` makes: any


class Statement(NamedTuple):
    """What a statement at the top of a cell says: names that it makes and uses, and its `words`.

    calm: whether all that it does is to give names, or to show or check something, so that it can be run at any time.
    """

    made: frozenset[str]
    used: frozenset[str]
    words: frozenset[str]
    calm: bool


def tree_of(text: str, file: str = "<text>") -> ast.Module:
    """The syntax tree of a cell as Jupyter reads it: indented as a whole, pasted prompts, %magics, !commands, help?.

    What %%time or %%capture stands above is just run; all else that is no Python is left out. Raises SyntaxError and
    its like.
    """
    tree = ast.parse(TransformerManager().transform_cell(text), file)
    return ast.fix_missing_locations(_WithoutMagics(file).visit(tree))


def statements(text: str, file: str) -> list[Statement]:
    """Those at the top of a cell, in order. Raises SyntaxError and its like, in which the cell is called `file`."""
    found = []
    for node in tree_of(text, file).body:
        made, used = names(ast.unparse(node), file)
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
            made.add(EVERYTHING)
        found.append(Statement(frozenset(made), frozenset(used), _words(node), _calm(node)))
    return found


def words(text: str) -> frozenset[str]:
    """The names, attributes and imports in a source text, and its detours. Raises SyntaxError and its like."""
    return _words(tree_of(text))


def _words(tree: ast.AST) -> frozenset[str]:
    found: set[str] = set()
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
    used, inner = {s.get_name() for s in table.get_symbols() if s.is_referenced()}, [table]
    while inner:
        inner += (table := inner.pop()).get_children()
        used |= {s.get_name() for s in table.get_symbols() if s.is_global() and s.is_referenced()}
    return made, used


class _WithoutMagics(ast.NodeTransformer):
    """Puts what is timed in the place of the magic that times it, and nothing in the place of all others."""

    def __init__(self, file: str) -> None:
        self._file = file

    def visit_Expr(self, node: ast.Expr) -> ast.AST | list[ast.stmt]:
        match _magic(node.value):
            case "run_line_magic", "time", str(line):
                return self._inner(line, node.lineno - 1)
            case "run_cell_magic", "time" | "capture", _, str(body):
                return self._inner(body, node.lineno)
            case None:
                return self.generic_visit(node)
        return ast.copy_location(ast.Pass(), node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if _magic(node) is not None:  # files = !ls
            return ast.copy_location(ast.Constant(None), node)
        return self.generic_visit(node)

    def _inner(self, text: str, above: int) -> list[ast.stmt]:
        tree = tree_of(text, self._file)
        return ast.increment_lineno(tree, above).body or [ast.Pass()]


def _magic(node: ast.AST) -> tuple | None:
    """What IPython is asked to do, as ("run_line_magic", "time", "f(3)"); None for anything else."""
    match node:
        case ast.Call(
            func=ast.Attribute(value=ast.Call(func=ast.Name(id="get_ipython"), args=[], keywords=[]), attr=asked),
            args=arguments,
            keywords=[],
        ):
            given = [each.value for each in arguments if isinstance(each, ast.Constant)]
            return (asked, *given) if len(given) == len(arguments) else None
    return None


def _calm(node: ast.stmt) -> bool:
    match node:
        case ast.FunctionDef(decorator_list=[]) | ast.Import() | ast.ImportFrom() | ast.ClassDef(decorator_list=[]):
            return True
        case ast.Pass() | ast.Assert() | ast.Expr(value=ast.Constant()):
            return True
        case ast.Expr(value=ast.Call(func=ast.Name(id="print" | "display"))):
            return True
        case ast.Assign(targets=[ast.Name()]) | ast.AnnAssign(target=ast.Name()):
            return True
    return False


def _imported(path: str) -> set[str]:
    parts = [part for part in path.split(".") if part]
    return {*parts, IMPORT + ".".join(parts)} | _detours(parts[1:], _PARTS)


def _detours(names: Sequence[str], known: frozenset[str], private: bool = True) -> set[str]:
    """Names that lead to others: the known ones, those with two underscores, and private ones (np.lib._os)."""
    hidden = {name for name in names if name.startswith("__") and name.endswith("__") and len(name) > 4} - _HARMLESS
    if known is not _BUILT_IN:  # a student's own variable may be called _x
        hidden |= {name for name in names if private and name.startswith("_") and name not in _HARMLESS}
    return {DETOUR + name for name in hidden | {name for name in names if name in known}}
