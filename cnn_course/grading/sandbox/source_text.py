"""What the text of an answer says: what it makes and uses, and which modules and functions its names reach.

Read where the student's code will run, before any of it has run there; what a lab forbids of it, `rules` decides.
"""

import ast
import symtable
from collections.abc import Iterator
from typing import NamedTuple

from IPython.core.inputtransformer2 import TransformerManager

# Attributes that lead from one thing to all others.
_DETOURS = frozenset(
    "__builtins__ __closure__ __code__ __getattribute__ __globals__ __loader__ __reduce__ __reduce_ex__ __spec__ "
    "__subclasses__ __wrapped__ _implementation ag_frame cr_frame f_back f_builtins f_globals f_locals gi_frame "
    "tb_frame".split()
)
# What a word begins with that is no chain of names: such an attribute; a path that was imported, as `import numpy.fft`.
DETOUR, IMPORT = "detour ", "import "
EVERYTHING = "*"  # the name that `from numpy import *` makes: any
SETUP = "<setup>"  # what the lab's first cell is called
FUTURE = "* __future__"  # the one that `from __future__ import annotations` makes: it says how the rest is read


class Statement(NamedTuple):
    """What a statement at the top of a cell says: names that it makes and uses, and its words.

    words: each with its first line in the cell. One is a chain of names from outside, such as `np.convolve`, or begins
    with DETOUR or IMPORT. modules: the path of each name that it makes, where it is an import.
    changed: names of what it fills or changes in place, as with `table["a"] = 1`, `steps.append(f)`, `Net.forward = f`.
    calm: whether all that it does is to give names, or to show or check something, so that it can be run at any time.
    defines: whether it is a function or a class.
    """

    made: frozenset[str]
    used: frozenset[str]
    words: dict[str, int]
    modules: dict[str, str]
    changed: frozenset[str]
    calm: bool
    defines: bool


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
        modules = dict(_modules(node)) if isinstance(node, ast.Import | ast.ImportFrom) else {}
        changed = frozenset(_changed(node))
        defines = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        said = Statement(frozenset(made), frozenset(used), _words(node), modules, changed, _calm(node), defines)
        found.append(said)
    return found


def _words(tree: ast.AST) -> dict[str, int]:
    reader = _Reader()
    reader.visit(tree)
    return reader.words


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


class _Reader(ast.NodeVisitor):
    """Collects the words of a statement. A name that a function has for itself reaches nothing outside."""

    def __init__(self) -> None:
        self.words: dict[str, int] = {}
        self._scopes: list[dict[str, str]] = []  # names of the functions around: the path of what is imported, else ""

    def visit_Name(self, node: ast.Name) -> None:
        self._chain(node, node.id, "")

    def visit_Attribute(self, node: ast.Attribute) -> None:
        parts: list[str] = []
        owner: ast.expr = node
        while isinstance(owner, ast.Attribute):
            parts.insert(0, owner.attr)
            owner = owner.value
        for part in parts:
            if part in _DETOURS:
                self._word(DETOUR + part, node)
        if isinstance(owner, ast.Name):
            self._chain(node, owner.id, "".join(f".{part}" for part in parts))
        else:
            self.visit(owner)

    def visit_Import(self, node: ast.Import | ast.ImportFrom) -> None:
        for path in _imported(node):
            self._word(IMPORT + path, node)

    visit_ImportFrom = visit_Import

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        around = [*node.decorator_list, node.args, *([node.returns] if node.returns else [])]
        self._inside(around, node.body, _own_names(node))

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._inside([node.args], [node.body], _own_names(node))

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._inside([*node.decorator_list, *node.bases, *node.keywords], node.body, _own_names(node))

    def visit_ListComp(self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp) -> None:
        self._inside([], [*ast.iter_child_nodes(node)], _own_names(node))

    visit_SetComp = visit_DictComp = visit_GeneratorExp = visit_ListComp

    def _inside(self, around: list, body: list, own: dict[str, str]) -> None:
        for node in around:
            self.visit(node)
        self._scopes.append(own)
        for node in body:
            self.visit(node)
        self._scopes.pop()

    def _chain(self, node: ast.AST, root: str, rest: str) -> None:
        for scope in reversed(self._scopes):
            if root in scope:
                if scope[root]:
                    self._word(IMPORT + scope[root] + rest, node)
                return
        self._word(root + rest, node)

    def _word(self, word: str, node: ast.AST) -> None:
        self.words.setdefault(word, getattr(node, "lineno", 0))


def _own_names(node: ast.AST) -> dict[str, str]:
    """The names that a function, a class or a comprehension has for itself: the path of what it imports, else ""."""
    found: dict[str, str] = {}
    outside: set[str] = set()
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        arguments = node.args
        for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg):
            if each is not None:
                found[each.arg] = ""
    inner = [*ast.iter_child_nodes(node)]
    while inner:
        match part := inner.pop():
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                found.setdefault(name, "")
                continue
            case ast.Lambda():
                continue
            case ast.Import() | ast.ImportFrom():
                found |= dict(_modules(part))
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                found.setdefault(name, "")
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                found.setdefault(name, "")
            case ast.Global(names=names) | ast.Nonlocal(names=names):
                outside |= {*names}
        inner += ast.iter_child_nodes(part)
    return {name: path for name, path in found.items() if name not in outside}


def _modules(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, str]]:
    """Each name that an import makes, and the path that it stands for."""
    for alias, path in zip(node.names, _imported(node), strict=True):
        if alias.asname is not None or isinstance(node, ast.ImportFrom):
            yield alias.asname or alias.name, path
        else:  # import numpy.fft makes numpy
            yield (root := path.partition(".")[0]), root


def _imported(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    for alias in node.names:
        module = node.module if isinstance(node, ast.ImportFrom) else None
        yield ".".join(filter(None, (module, alias.name.replace("*", ""))))


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
            case "run_cell_magic", "time" | "capture" | "prun", _, str(body):
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
