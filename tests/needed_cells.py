"""What a lecture's interactive views need of it: a browser has no use for the trainings and figures of the others."""

import ast
import copy
import symtable


def needed_cells(cells: list) -> list:
    """The code cells that show a view, whole, and of those above the statements that make a name used below."""
    wanted, kept, views = set(), [], _imported_views(cells)
    for cell in reversed([cell for cell in cells if cell.cell_type == "code"]):
        statements = []
        for node in reversed(ast.parse(cell.source).body):
            given, filled, used = _names(node)
            if "widgets." in cell.source or views & used or (given | filled) & wanted:
                statements.insert(0, ast.unparse(node))
                wanted = (wanted - given) | (used - given if isinstance(node, ast.For | ast.With) else used)
        if statements:
            cell = copy.deepcopy(cell)
            cell.source = "\n".join(statements)
            kept.append(cell)
    return kept[::-1]


def _imported_views(cells: list) -> set[str]:
    """The views that a lecture imports by their own names."""
    nodes = [node for cell in cells if cell.cell_type == "code" for node in ast.parse(cell.source).body]
    imports = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module == "cnn_course.widgets"]
    return {alias.asname or alias.name for node in imports for alias in node.names}


def _names(node: ast.stmt) -> tuple[set[str], set[str], set[str]]:
    """The global names that a statement makes, those of what it fills, and those that it uses, in its functions too."""
    table = symtable.symtable(ast.unparse(node), "statement", "exec")
    given = {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported()}
    filled = set()
    used = {s.get_name() for s in table.get_symbols() if s.is_referenced()}
    inner = table.get_children()
    while inner:
        inner += (table := inner.pop()).get_children()
        used |= {s.get_name() for s in table.get_symbols() if s.is_global()}
    for part in ast.walk(node):  # nets["deep"] = ..., rows.append(...)
        target = None
        if isinstance(part, ast.Subscript) and isinstance(part.ctx, ast.Store):
            target = part.value
        elif isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute) and part.func.attr == "append":
            target = part.func.value
        if target is not None:
            filled |= {name.id for name in ast.walk(target) if isinstance(name, ast.Name)}
    return given - {"fig", "ax", "axes"}, filled, used  # every figure has those
