"""The table of settings above a lecture's parameters cell, read by tests: what is stored, and what it recommends.

    | setting | here | try |
    | --- | --- | --- |
    | `EPOCHS`, for each network | `8` | `3` for MNIST, `20` with a GPU |

The first column begins with one parameter between backticks, the second with the value of the parameters cell, the
third holds the values to try, also between backticks: what is a Python literal there. A command is none.
"""

import ast
import itertools
import re
from typing import Any

from nbformat import NotebookNode

from cnn_course.commands.execute_notebook import has_tag

HEAD = "| setting | here | try |"


def stored(notebook: NotebookNode) -> dict[str, Any]:
    """The parameters of a lecture and their values: literals, each in a line of its own. Empty where it has none."""
    found = {}
    for cell in notebook.cells:
        if has_tag(cell, "parameters"):
            for statement in ast.parse(cell.source).body:
                assert isinstance(statement, ast.Assign) and len(statement.targets) == 1, "one parameter a line"
                found[statement.targets[0].id] = ast.literal_eval(statement.value)
    return found


def table(notebook: NotebookNode) -> dict[str, tuple[str, str]]:
    """{parameter: (what stands under "here", what under "try")} of the text above the parameters cell."""
    for i, cell in enumerate(notebook.cells):
        if has_tag(cell, "parameters") and i:
            _, _, below = notebook.cells[i - 1].source.partition(HEAD)
            rows = itertools.takewhile(lambda line: line.lstrip().startswith("|"), below.strip().splitlines())
            cells = [re.split(r"(?<!\\)\|", row.strip().strip("|")) for row in list(rows)[1:]]
            return {_name(row[0]): (row[1].strip(), row[2].strip()) for row in cells if len(row) == 3}
    return {}


def _name(first: str) -> str:
    """The parameter that a row begins with, or all that stands there."""
    found = re.match(r"\s*`(\w+)`", first)
    return found.group(1) if found else first.strip()


def values(text: str) -> list[Any]:
    """The literals in a cell of the table, in order."""
    found = []
    for quoted in re.findall(r"`([^`]*)`", text):
        try:
            found.append(ast.literal_eval(quoted))
        except (ValueError, SyntaxError):  # a command, a name
            continue
    return found


def unread(text: str) -> list[str]:
    """What stands between backticks and is neither a literal, which `values` returns, nor a command of the course."""
    quoted = re.findall(r"`([^`]*)`", text)
    return [each for each in quoted if not values(f"`{each}`") and not each.startswith("cnn-course ")]


def recommended(notebook: NotebookNode) -> dict[str, list[Any]]:
    """{parameter: the values to try}, without DEVICE, which depends on the machine."""
    return {name: values(tried) for name, (_, tried) in table(notebook).items() if name not in ("DEVICE", "SEED")}
