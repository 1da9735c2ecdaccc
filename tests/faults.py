"""Faults that a slip of the hand could make, found in a source text: for `mutants`."""

import ast
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_COMPARISONS = {
    **{ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.GtE, ast.GtE: ast.Lt, ast.Gt: ast.LtE, ast.LtE: ast.Gt},
    **{ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In},
}
_BOUNDARIES = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}
_ARITHMETIC = {
    **{ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult},
    **{ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd},
    **{ast.LShift: ast.RShift, ast.RShift: ast.LShift},
}
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Fault:
    """One fault: in the file `module` the text `before`, at bytes start to stop, becomes `after`.

    function, operator, index: what it is known by. first, last: the lines whose tests reach it.
    """

    module: str
    function: str
    operator: str
    index: int
    before: str
    after: str
    first: int
    last: int
    start: int
    stop: int

    def applied(self, source: bytes) -> bytes:
        assert source[self.start : self.stop].decode() == self.before
        return source[: self.start] + self.after.encode() + source[self.stop :]

    def __str__(self) -> str:
        before, after = (" ".join(text.split())[:50] for text in (self.before, self.after))
        return f"{self.module}:{self.first} {self.function}, {self.operator}: {before} -> {after}"


def of_tree(tree: Path) -> list[Fault]:
    files = sorted((tree / "cnn_course").rglob("*.py"))
    return [fault for file in files for fault in of_source(file.read_bytes(), file.relative_to(tree).as_posix())]


def of_source(source: bytes, module: str) -> list[Fault]:
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    found, seen = [], Counter()
    for name, function in _functions(ast.parse(source)):
        for node, (first, last) in _own(function):
            for operator, where, after in _variants(node):
                start = starts[where.lineno - 1] + where.col_offset
                stop = starts[where.end_lineno - 1] + where.end_col_offset
                before = source[start:stop].decode()
                key = (name, operator)
                found.append(Fault(module, name, operator, seen[key], before, after, first, last, start, stop))
                seen[key] += 1
    return found


def draw(faults: Sequence[Fault], count: int, seed: int, others: Sequence[Fault] | None = None) -> list[Fault]:
    """`count` of them: files in proportion to how much can go wrong there, operators evenly within a file.

    others: draw only what is found among these, too.
    """
    rng = random.Random(seed)
    if others is not None:
        faults = [fault for fault in faults if same(fault, others)]
    by_file: dict[str, list[Fault]] = {}
    for fault in faults:
        by_file.setdefault(fault.module, []).append(fault)
    # Lines with a fault stand for statements. Equal steps through all of them, from a random start.
    sizes = {file: len({fault.first for fault in found}) for file, found in by_file.items()}
    step = sum(sizes.values()) / count
    at, passed, drawn = step * rng.random(), 0, []
    for file, size in sizes.items():
        passed += size
        while at < passed:
            operators = sorted({fault.operator for fault in by_file[file]})
            operator = rng.choice(operators)
            fault = rng.choice([fault for fault in by_file[file] if fault.operator == operator])
            by_file[file].remove(fault)
            drawn.append(fault)
            at += step
    return drawn


def same(fault: Fault, others: Sequence[Fault]) -> Fault | None:
    """That fault in another version of the tree: in its function, or in one of that name in a file of that name."""
    alike = [
        other
        for other in others
        if (other.function, other.operator, other.before, other.after)
        == (fault.function, fault.operator, fault.before, fault.after)
    ]

    def distance(other: Fault) -> tuple[bool, bool, int]:
        moved = other.module != fault.module
        return moved, Path(other.module).stem != Path(fault.module).stem, abs(other.index - fault.index)

    return min(alike, key=distance, default=None)


def _functions(node: ast.AST, above: str = "") -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (*_FUNCTIONS, ast.ClassDef)):
            if isinstance(child, _FUNCTIONS):
                yield above + child.name, child
            yield from _functions(child, f"{above}{child.name}.")
        else:
            yield from _functions(child, above)


def _own(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[tuple[ast.AST, tuple[int, int]]]:
    """What stands in a function itself, without functions within, annotations and texts; each with its lines."""
    whole = (function.body[0].lineno, function.end_lineno)
    for default in (*function.args.defaults, *filter(None, function.args.kw_defaults)):
        yield from ((node, whole) for node in _below(default))  # its line runs once, when the module is read
    for statement in _statements(function.body):
        for node in _below(statement):
            yield node, (statement.lineno, max(statement.lineno, getattr(node, "end_lineno", 0) or 0))


def _statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in body:
        if isinstance(statement, (*_FUNCTIONS, ast.ClassDef)):
            continue
        yield statement
        for name in ("body", "orelse", "finalbody"):
            yield from _statements(getattr(statement, name, []))
        for inner in (*getattr(statement, "handlers", ()), *getattr(statement, "cases", ())):
            yield from _statements(inner.body)


def _below(node: ast.AST) -> Iterator[ast.AST]:
    """The node and the expressions below it. In Python 3.11 those within an f-string do not know their place."""
    yield node
    if isinstance(node, (ast.JoinedStr, ast.Raise)):
        return
    for name, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not isinstance(child, ast.stmt) and name != "annotation":
                if not isinstance(child, (ast.ExceptHandler, ast.match_case)):
                    yield from _below(child)


def _variants(node: ast.AST) -> Iterator[tuple[str, ast.AST, str]]:
    """(operator, the node to replace, its new text)."""
    match node:
        case ast.Compare(left=left, ops=[op], comparators=right):
            for name, table in (("comparison", _COMPARISONS), ("boundary", _BOUNDARIES)):
                if type(op) in table:
                    yield name, node, _text(ast.Compare(left, [table[type(op)]()], right))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            yield "arithmetic", node, _text(ast.BinOp(left, _ARITHMETIC[type(op)](), right))
        case ast.AugAssign(target=target, op=op, value=value):
            if type(op) in _ARITHMETIC:
                yield "arithmetic", node, ast.unparse(ast.AugAssign(target, _ARITHMETIC[type(op)](), value))
            yield "no statement", node, "pass"
        case ast.Constant(value=bool() as value):
            yield "boolean", node, str(not value)
        case ast.Constant(value=int() | float() as value):
            yield "constant + 1", node, f"({value + 1!r})"
            yield "constant - 1", node, f"({value - 1!r})"
        case ast.BoolOp(op=op, values=values):
            yield "and, or", node, _text(ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values))
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
            yield "condition", test, _text(ast.UnaryOp(ast.Not(), test))
        case ast.Return(value=value) if value and not (isinstance(value, ast.Constant) and value.value is None):
            yield "return None", node, "return None"
        case ast.Expr(value=ast.Call()) | ast.Raise() | ast.Continue() | ast.Break() | ast.Delete():
            yield "no statement", node, "pass"
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield "no statement", node, "pass"
        case ast.Call(func=func, args=[first, second, *rest], keywords=keywords) if not (
            isinstance(first, ast.Starred) or isinstance(second, ast.Starred)
        ):
            if ast.dump(first) != ast.dump(second):
                yield "swapped arguments", node, _text(ast.Call(func, [second, first, *rest], keywords))


def _text(node: ast.expr) -> str:
    """In brackets, and on one line: wherever an expression stood, this can stand."""
    return f"({ast.unparse(node)})"
