"""The cells of a lecture that its interactive views need: a browser has no use for the trainings of the others."""

import ast
import symtable


def needed_cells(cells: list) -> list:
    """The code cells that show a view, and those that make a name which a later kept cell uses."""
    wanted, kept = set(), []
    for cell in reversed([cell for cell in cells if cell.cell_type == "code"]):
        made, used = _names(cell.source)
        if "widgets." in cell.source or made & wanted:
            kept.append(cell)
            wanted |= used
    return kept[::-1]


def _names(source: str) -> tuple[set[str], set[str]]:
    """The global names that a cell makes or fills, and those that it uses, in its functions too."""
    table = symtable.symtable(source, "cell", "exec")
    made = {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported()}
    used = {s.get_name() for s in table.get_symbols() if s.is_referenced()}
    inner = table.get_children()
    while inner:
        inner += (table := inner.pop()).get_children()
        used |= {s.get_name() for s in table.get_symbols() if s.is_global()}
    for node in ast.walk(ast.parse(source)):  # nets["deep"] = ..., rows.append(...)
        target = None
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            target = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "append":
            target = node.func.value
        if target is not None:
            made |= {name.id for name in ast.walk(target) if isinstance(name, ast.Name)}
    return made - {"fig", "ax", "axes"}, used  # every figure has those
