"""What is wrong with a lecture's code, found by reading it: seeds that no setting moves, claims that cannot fail.

Each function takes a notebook and returns a line for each fault, which begins with the id of its cell. What only a run
shows, such as a claim about no numbers at all, `[].all()`, they do not see.
"""

import ast
import builtins
import itertools
import re
from collections.abc import Iterator

import settings_table
from nbformat import NotebookNode

from cnn_course.commands.execute_notebook import code_cells, has_tag

# What starts a stream of random numbers, by the last word of its name.
STREAMS = {"default_rng", "manual_seed", "seed", "RandomState", "SeedSequence", "PCG64", "Philox", "MT19937", "SFC64"}
SEED_WORDS = {"seed", "random_state"}
FILLED = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.FunctionDef, ast.ClassDef, ast.arg)
DRAWING = {"fig", "ax", "axes", "i", "name"}  # every figure has those


def trees(notebook: NotebookNode) -> list[tuple[str, ast.Module]]:
    """What each code cell but that with the parameters says, with its id."""
    return [(cell.id, ast.parse(cell.source)) for cell in code_cells(notebook) if not has_tag(cell, "parameters")]


def names(*nodes: ast.AST | None) -> set[str]:
    return {part.id for node in nodes if node for part in ast.walk(node) if isinstance(part, ast.Name)}


def checks(*nodes: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """What every claim and assert in the nodes says, and its condition."""
    for part in (part for node in nodes for part in ast.walk(node)):
        if isinstance(part, ast.Assert):
            yield ast.unparse(part)[:80], part.test
        elif isinstance(part, ast.Call) and ast.unparse(part.func) == "claim" and len(part.args) > 1:
            yield ast.unparse(part)[:80], part.args[1]


def made(node: ast.AST) -> dict[str, ast.AST]:
    """The names that a statement or a loop makes, and what of."""
    if isinstance(node, ast.Assign):
        return dict.fromkeys(_targets(*node.targets), node.value)
    if isinstance(node, ast.AugAssign | ast.AnnAssign | ast.NamedExpr) and node.value:
        return dict.fromkeys(_targets(node.target), node.value)
    if isinstance(node, ast.For | ast.comprehension):
        return dict.fromkeys(_targets(node.target), node.iter)
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name: node}
    if isinstance(node, ast.arg):
        return {node.arg: node}
    return {}


def _targets(*nodes: ast.AST) -> set[str]:
    """The names that get a value, or get one put into them: `a` and `b` of `a, b[i] = ...`, not `i`."""
    found = set()
    for part in (part for node in nodes for part in ast.walk(node)):
        if isinstance(getattr(part, "ctx", None), ast.Store):
            while isinstance(part, ast.Subscript | ast.Attribute):
                part = part.value
            found |= {part.id} if isinstance(part, ast.Name) else set()
    return found


def results(tree: ast.AST) -> dict[str, ast.AST]:
    """What `made` finds in a cell, without the local names of functions and comprehensions."""
    found, todo = {}, [tree]
    while todo:
        node = todo.pop()
        if not isinstance(node, ast.comprehension):
            found |= made(node)
        if not isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda):
            todo += ast.iter_child_nodes(node)
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith((".append", ".setdefault")):
            found |= dict.fromkeys(names(node.func), node)  # rows.append(...)
    return {name: value for name, value in found.items() if name not in DRAWING}


def literal_names(notebook: NotebookNode) -> set[str]:
    """Names that no setting changes: Python's own, and those made of literals and of such names."""
    needs: dict[str, set[str]] = {}
    for _, tree in trees(notebook):
        for node in ast.walk(tree):
            for name, value in made(node).items():
                needs.setdefault(name, set()).update(names(value) if _is_plain(value) else {"what is computed"})
    found = set(dir(builtins))
    while more := {name for name, of in needs.items() if of <= found} - found:
        found |= more
    return found - set(settings_table.stored(notebook))


def _is_plain(value: ast.AST) -> bool:
    """Whether nothing is called in it but ranges and the like; a list may be filled later."""
    parts = list(ast.walk(value))
    called = {ast.unparse(part.func) for part in parts if isinstance(part, ast.Call)}
    return not any(isinstance(part, FILLED) for part in parts) and called <= {"range", "int", "float", "tuple"}


def seeds_that_stay(notebook: NotebookNode) -> list[str]:
    """Random numbers that are the same for every SEED, or others at every run."""
    literal, found = literal_names(notebook), []
    functions = {
        node.name: [each.arg for each in node.args.args]
        for _, tree in trees(notebook)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
    }
    for cell, tree in trees(notebook):
        for node in ast.walk(tree):
            seeds: list[ast.AST] = []
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                seeds += [word.value for word in node.keywords if word.arg in SEED_WORDS]
                arguments = functions.get(called, [])
                seeds += [value for name, value in zip(arguments, node.args, strict=False) if name in SEED_WORDS]
                if called.rpartition(".")[2] in STREAMS:
                    seeds += [*node.args, *(word.value for word in node.keywords)] or [node]
                if re.fullmatch(r"(np\.random|random)\.(?!default_rng)[a-z_]+", called):
                    found.append(f"{cell}: {called}: draw from np.random.default_rng(SEED)")
            elif isinstance(node, ast.arguments):
                defaults = zip(node.args[::-1], node.defaults[::-1], strict=False)
                pairs = itertools.chain(defaults, zip(node.kwonlyargs, node.kw_defaults, strict=True))
                seeds += [value for each, value in pairs if each.arg in SEED_WORDS and value]
            found += [f"{cell}: {ast.unparse(seed)}: SEED, SEED + 1, ..." for seed in seeds if _stays(seed, literal)]
    return found


def _stays(seed: ast.AST, literal: set[str]) -> bool:
    if isinstance(seed, ast.Call) and ast.unparse(seed.func).rpartition(".")[2] in STREAMS:
        return not seed.args and not seed.keywords  # default_rng(); what stands in it is looked at by itself
    return names(seed) <= literal


def claims_that_cannot_fail(notebook: NotebookNode) -> list[str]:
    """Conditions that are true whatever was computed."""
    literal = literal_names(notebook)
    return [
        f"{cell}: {said}: {why}"
        for cell, tree in trees(notebook)
        for said, condition in checks(tree)
        if (why := _always(condition, literal))
    ]


def _always(condition: ast.expr, literal: set[str]) -> str:
    if names(condition) <= literal:
        return "nothing in it was computed"
    for part in ast.walk(condition):
        if isinstance(part, ast.Compare):
            sides = [part.left, *part.comparators]
            if any(ast.dump(a) == ast.dump(b) for a, b in itertools.pairwise(sides)):
                return "it compares a thing with itself"
            if isinstance(part.ops[0], ast.GtE) and _is_size(sides[0]) and ast.unparse(sides[1]) in ("0", "0.0"):
                return "that is never below 0"
        elif isinstance(part, ast.Call) and ast.unparse(part.func).endswith(("equal", "close")):
            if len(part.args) > 1 and ast.dump(part.args[0]) == ast.dump(part.args[1]):
                return "it compares a thing with itself"
        elif isinstance(part, ast.BoolOp) and isinstance(part.op, ast.Or):
            if any(names(each) <= literal for each in part.values):
                return "a part of it is always true, or says nothing"
    return ""


def _is_size(node: ast.expr) -> bool:
    return (isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in ("len", "abs")) or (
        isinstance(node, ast.Attribute) and node.attr in ("size", "half_width")
    )


def claims_that_hide(notebook: NotebookNode) -> list[str]:
    """Claims that some settings pass by, that nobody calls, or whose failure is caught."""
    parts = [(cell, part) for cell, tree in trees(notebook) for part in ast.walk(tree)]
    used = {part.id for _, part in parts if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load)}
    settings = set(settings_table.stored(notebook))
    for _, part in parts:  # small = DATASET == "digits"
        settings |= {
            n for n, v in made(part).items() if isinstance(v, ast.Compare | ast.BoolOp) and names(v) <= settings
        }
    found = [
        f"{cell}: {why}" for cell, part in parts if any(checks(part)) and (why := _passed_by(part, settings, used))
    ]
    for cell, tree in trees(notebook):
        for said, condition in checks(tree):
            for choice in _choices(condition):
                if settings & names(choice) and names(choice) <= settings:
                    found.append(f"{cell}: {said}: {ast.unparse(choice)}")
    return found


def _passed_by(part: ast.AST, settings: set[str], used: set[str]) -> str:
    """How the claims in a statement may come to nothing."""
    if isinstance(part, ast.If | ast.IfExp | ast.While | ast.Match):
        test = part.subject if isinstance(part, ast.Match) else part.test
        return f"if {ast.unparse(test)}" if settings & names(test) else ""
    if isinstance(part, ast.Try):
        return "what fails here is caught" if any(checks(*part.body)) else ""
    if isinstance(part, ast.With):
        return "what fails here is caught" if "suppress" in ast.unparse(part.items[0]) else ""
    return f"nobody calls {part.name}" if isinstance(part, ast.FunctionDef) and part.name not in used else ""


def _choices(condition: ast.expr) -> Iterator[ast.expr]:
    """What a condition is about if it is true anyway: the sides of an `or`, the test of an `if`."""
    for part in ast.walk(condition):
        if isinstance(part, ast.BoolOp) and isinstance(part.op, ast.Or):
            yield from part.values
        elif isinstance(part, ast.IfExp):
            yield part.test


def differences_without_a_sign(notebook: NotebookNode) -> list[str]:
    """Claims with `gain.certain` that do not say of which sign it is: "better", and it holds where it is worse."""
    return [
        f"{cell}: {said}: {ast.unparse(part)}, and {ast.unparse(part.value)}.mean > 0 or < 0"
        for cell, tree in trees(notebook)
        for said, condition in checks(tree)
        for part in ast.walk(condition)
        if isinstance(part, ast.Attribute) and part.attr == "certain"
        if f"{ast.unparse(part.value)}.mean" not in ast.unparse(condition)
        if f"not {ast.unparse(part)}" not in ast.unparse(condition)
    ]


def settings_made_anew(notebook: NotebookNode) -> list[str]:
    """Settings, and `claim` itself, that get another meaning below the cell with the parameters."""
    settings = set(settings_table.stored(notebook))
    found = [
        f"{cell}: {name} = {ast.unparse(value)[:60]}"
        for cell, tree in trees(notebook)
        for node in ast.walk(tree)
        for name, value in made(node).items()
        if name in settings or (name == "claim" and ast.unparse(value).partition("(")[0] != "claims.for_settings")
    ]
    return found


def numbers_that_nothing_holds(notebook: NotebookNode) -> list[str]:
    """Printed numbers that nbval does not compare, where no claim looks at what they or their like were made of.

    Ratios of times may have none, where the text below says so: "no claim".
    """
    cells = [(cell, ast.parse(cell.source)) for cell in code_cells(notebook)]
    parsed = [tree for cell, tree in cells if not has_tag(cell, "parameters")]
    come = [(name, names(value)) for tree in parsed for name, value in results(tree).items()]
    conditions = [condition for tree in parsed for _, condition in checks(tree)]
    below = {
        cell.id: after.source for cell, after in itertools.pairwise(notebook.cells) if after.cell_type == "markdown"
    }
    found = []
    for cell, tree in cells:
        printed = any(output.get("name") == "stdout" and any(map(str.isdigit, output.text)) for output in cell.outputs)
        if not printed or not has_tag(cell, "nbval-ignore-output") or "no claim" in below.get(cell.id, ""):
            continue
        follow = names(tree) & {name for name, _ in come}
        while more := {name for name, of in come if of & follow} - follow:
            follow |= more
        if not any(checks(tree)) and not names(*conditions) & follow:
            found.append(f"{cell.id}: no claim looks at what it shows")
    return found
