"""What the text of an answer says: names, attributes and imports, and the ways to reach a name without writing it.

Read where the student's code will run, before any of it has run there; what a lab forbids of it, `rules` decides.
"""

import ast
import functools
import symtable
import sys
import types
from collections.abc import Sequence
from typing import NamedTuple

from IPython.core.inputtransformer2 import TransformerManager

# Reach any name, as a built-in function ...
_BUILT_IN = frozenset(
    "__builtins__ __import__ breakpoint compile delattr eval exec getattr globals locals open setattr vars".split()
)
# ... or as a part of a module or of an object that is allowed.
_PARTS = _BUILT_IN | frozenset(
    "ag_frame attrgetter backend_registry bltns builtins codeop cr_frame ctypes ctypeslib decorate_methods distutils "
    "f2py f_back f_builtins f_globals f_locals Formatter ForwardRef gc get_field get_type_hints gi_frame hub importlib "
    "inspect io load load_backend_module loads make_dataclass marshal measure methodcaller operator os pickle pkgutil "
    "pydoc read_array redirect_stderr redirect_stdout rundocs runpy runstring singledispatch singledispatchmethod "
    "sphinxext subprocess switch_backend sys tb_frame timeit wrapper_getattr".split()
)
_HARMLESS = frozenset(f"__{name}__" for name in "init name doc len call enter exit version".split())
DETOUR, IMPORT = "detour ", "import "  # begin the words that stand for more than a name
EVERYTHING = "*"  # the name that `from numpy import *` makes: any
SETUP = "<setup>"  # what the lab's first cell is called
FUTURE = "* __future__"  # the one that `from __future__ import annotations` makes: it says how the rest is read


class Statement(NamedTuple):
    """What a statement at the top of a cell says: names that it makes and uses, and its `words`.

    changed: names of what it fills or changes in place, as with `table["a"] = 1`, `steps.append(f)`, `Net.forward = f`.
    calm: whether all that it does is to give names, or to show or check something, so that it can be run at any time.
    """

    made: frozenset[str]
    used: frozenset[str]
    words: frozenset[str]
    changed: frozenset[str]
    calm: bool

    @property
    def imports(self) -> bool:
        return any(word.startswith(IMPORT) for word in self.words)


def tree_of(text: str, file: str = "<text>") -> ast.Module:
    """The syntax tree of a cell as Jupyter reads it: indented as a whole, pasted prompts, %magics, !commands, help?.

    What %%time or %%capture stands above is just run; all else that is no Python is left out. `import os, math` is two
    statements: who uses one of the modules does not use the other. Raises SyntaxError and its like.
    """
    tree = ast.parse(TransformerManager().transform_cell(text), file)
    return ast.fix_missing_locations(_Simpler(file).visit(tree))


def statements(text: str, file: str, setup: str = "") -> list[Statement | None]:
    """Those at the top of a cell, in order; None for one that the lab's first cell, `setup`, has run already.

    In a student's copy of that first cell, also for one that makes a name that `setup` makes. Raises SyntaxError and
    its like, in which the cell is called `file`.
    """
    known = {ast.unparse(node) for node in tree_of(setup).body}
    kept = names(setup, SETUP)[0] if file == SETUP else set()
    found: list[Statement | None] = []
    for node in tree_of(text, file).body:
        made, used = names(plain := ast.unparse(node), file)
        if plain in known or made & kept:
            found.append(None)
            continue
        imports = [part for part in ast.walk(node) if isinstance(part, ast.ImportFrom)]
        if any(part.names[0].name == "*" for part in imports):
            made.add(EVERYTHING)
        if any(part.module == "__future__" for part in imports):
            made.add(FUTURE)
        changed = frozenset(_changed(node))
        found.append(Statement(frozenset(made), frozenset(used), _words(node), changed, _calm(node)))
    return found


def with_any_name(statement: Statement) -> Statement:
    """The statement where names may come from an `import *`: there `runstring` is what `testing.runstring` is here."""
    return statement._replace(words=statement.words | _detours([*statement.used], _PARTS, private=False))


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
                own = isinstance(owner, ast.Name) and owner.id in ("self", "cls") and name not in _elsewhere()
                found |= {name} | _detours([name], _PARTS, private=not own)
            case ast.MatchClass(kwd_attrs=names, patterns=unnamed):  # case object(conv2d=f): reads an attribute
                found |= set(names) | _detours(names, _PARTS)
                if unnamed:  # case C(f): reads what a list of names says, and any text can be in that
                    found.add(f"{DETOUR}case {ast.unparse(node.cls)}(x)")
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
        # `global count; count += 1` is no reference.
        used |= {s.get_name() for s in table.get_symbols() if s.is_global() and (s.is_referenced() or s.is_assigned())}
    return made, used


class _Simpler(ast.NodeTransformer):
    """Puts what is timed in the place of the magic that times it, and nothing in the place of all others.

    An import of several names becomes several imports.
    """

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

    def visit_Import(self, node: ast.Import) -> list[ast.stmt]:
        return [ast.copy_location(ast.Import([alias]), node) for alias in node.names]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> list[ast.stmt]:
        return [ast.copy_location(ast.ImportFrom(node.module, [alias], node.level), node) for alias in node.names]

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


def _changed(tree: ast.stmt) -> set[str]:
    """Names of what a statement fills or changes in place when it is run."""
    found: set[str] = set()
    inner: list[ast.AST] = [tree]
    while inner:
        node = inner.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            continue  # runs later, or changes what is its own
        inner += ast.iter_child_nodes(node)
        match node:
            case ast.Attribute(value=owner, ctx=ast.Store() | ast.Del()):
                pass
            case ast.Subscript(value=owner, ctx=ast.Store() | ast.Del()):
                pass
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=owner))):
                pass
            case _:
                continue
        while isinstance(owner, ast.Attribute | ast.Subscript | ast.Call):
            owner = owner.func if isinstance(owner, ast.Call) else owner.value
        if isinstance(owner, ast.Name):
            found.add(owner.id)
    return found


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


@functools.cache
def _elsewhere() -> frozenset[str]:
    """Private names under which there are other modules or the course's own functions, so that no `self._os` is one."""
    found = {"_convert_", "_evaluate", "_os", "_sys"}
    for module in [*sys.modules.values()]:
        for name, value in [*getattr(module, "__dict__", {}).items()]:
            if not name.startswith("_") or name.startswith("__"):
                continue
            kind = type(value)  # not isinstance: it asks the value, and some of torch's answer with a warning
            course = kind is types.FunctionType and str(value.__module__).startswith("cnn_course.")
            if course or issubclass(kind, types.ModuleType):
                found.add(name)
    return frozenset(found)


def _imported(path: str) -> set[str]:
    parts = [part for part in path.split(".") if part]
    return {*parts, IMPORT + ".".join(parts)} | _detours(parts[1:], _PARTS)


def _detours(names: Sequence[str], known: frozenset[str], private: bool = True) -> set[str]:
    """Names that lead to others: the known ones, those with two underscores, and private ones (np.lib._os)."""
    hidden = {name for name in names if name.startswith("__") and name.endswith("__") and len(name) > 4} - _HARMLESS
    if known is not _BUILT_IN:  # a student's own variable may be called _x
        hidden |= {name for name in names if private and name.startswith("_") and name not in _HARMLESS}
    return {DETOUR + name for name in hidden | {name for name in names if name in known}}
