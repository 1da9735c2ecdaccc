"""Run a lab notebook's test cells on chosen answers, in this process."""

import contextlib
import copy
import functools
import io
import linecache
import tempfile
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import nbformat

from cnn_course.grading import run_state

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


@functools.cache
def empty_gradebook() -> bytes:
    """A copy of it saves what nbgrader does for seconds when it makes a new one."""
    from cnn_course.grading.classroom import gradebook

    with tempfile.TemporaryDirectory() as folder:
        with gradebook.opened(gradebook.url_of(Path(folder))):
            pass
        return Path(folder, "gradebook.db").read_bytes()


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


def run(notebook, changed: str | None = None, *, seed: int = 0) -> dict[str, str]:
    """Execute the code cells in order and return, for each test cell, its failure message ("" for a pass).

    As in a notebook, an error in one cell does not keep the next from running. changed: the one solution cell that is
    not the model answer; then only its own question's tests run, as the others pass without any answer to that question
    (test_labs shows it).
    seed: of the inputs that hidden tests draw.
    """
    names = {"__name__": "__main__"}
    # Each notebook has a process of its own: its style, and what its checks remember.
    with run_state.fresh(seed), matplotlib.rc_context():
        return _run(notebook, names, changed and changed.partition("-")[0])


def _run(notebook, names: dict, question: str | None) -> dict[str, str]:
    results = {}
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        graded = cell.metadata.get("nbgrader", {}).get("grade")
        if question and graded and grade_id(cell).partition("-")[0] != question:
            results[grade_id(cell)] = ""
            continue
        if question and cell.id.endswith("-try"):  # no test needs what a student tries
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
        if graded:
            results[grade_id(cell)] = message
        elif message and not cell.metadata.get("nbgrader", {}).get("solution") and grade_id(cell):
            raise AssertionError(f"cell {grade_id(cell)}: {message}")
    return results
