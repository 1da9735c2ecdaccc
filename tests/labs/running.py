"""Run a lab notebook's test cells on chosen answers, in this process."""

import contextlib
import copy
import io
import linecache
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import nbformat

from cnn_course.grading import checks, rules

REPOSITORY = Path(__file__).resolve().parents[2]
LABS = REPOSITORY / "labs"


@dataclass(frozen=True)
class WrongAnswer:
    """An answer that must lose exactly the test cells `fails`, with `diagnosis` in the message of the first of them."""

    name: str
    cell: str
    source: str
    diagnosis: str
    fails: tuple[str, ...]


def master(lab: str) -> nbformat.NotebookNode:
    return nbformat.read(LABS / "source" / lab / f"{lab}.ipynb", as_version=4)


def released(lab: str) -> nbformat.NotebookNode:
    return nbformat.read(LABS / "release" / lab / f"{lab}.ipynb", as_version=4)


def grade_id(cell) -> str:
    return cell.metadata.get("nbgrader", {}).get("grade_id", "")


def graded(notebook) -> dict[str, nbformat.NotebookNode]:
    """The cells that carry points, by their id, in order."""
    return {grade_id(c): c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade")}


def with_answers(notebook, answers: dict[str, str]) -> nbformat.NotebookNode:
    """A copy of the notebook in which the solution cells named in `answers` hold those texts."""
    notebook = copy.deepcopy(notebook)
    cells = {grade_id(c): c for c in notebook.cells}
    for name, source in answers.items():
        assert cells[name].metadata["nbgrader"]["solution"], name
        cells[name].source = source
    return notebook


def run(notebook) -> dict[str, str]:
    """Execute the code cells in order and return, for each test cell, its failure message ("" for a pass).

    As in a notebook, an error in one cell does not keep the next from running.
    """
    # What a message says may depend on the checks before it; each notebook has a process of its own.
    checks.forget()
    names = {"__name__": "__main__"}
    try:
        with matplotlib.rc_context():  # a lab's style is for its own process
            return _run(notebook, names)
    finally:
        rules.forget()


def _run(notebook, names: dict) -> dict[str, str]:
    results = {}
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        message = ""
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as noise:
                file = f"<{grade_id(cell) or cell.id}>"
                # As IPython does it, so that the source of a function can be looked at.
                linecache.cache[file] = (len(cell.source), None, cell.source.splitlines(keepends=True), file)
                exec(compile(cell.source, file, "exec"), names)
            # nbgrader takes all points from a cell that writes to stderr.
            message = noise.getvalue()
        except (Exception, SystemExit) as error:
            message = f"{type(error).__name__}: {error}"
        if cell.metadata.get("nbgrader", {}).get("grade"):
            results[grade_id(cell)] = message
        elif message and not cell.metadata.get("nbgrader", {}).get("solution") and grade_id(cell):
            raise AssertionError(f"cell {grade_id(cell)}: {message}")
    return results
