"""The notebook that formgrader shows of a graded submission."""

from __future__ import annotations

import copy
import textwrap

import nbformat

from cnn_course.grading.judging.judge import Grade
from cnn_course.grading.judging.submission import Submission
from cnn_course.grading.lab import is_solution, settings


def graded_notebook(master: nbformat.NotebookNode, submission: Submission, result: Grade) -> nbformat.NotebookNode:
    """The master with the student's answers and what the tests said: what formgrader shows.

    An answer in words stands there as plain text: a browser must not run what a student wrote.
    """
    notebook = copy.deepcopy(master)
    grades = {cell.name: cell for cell in result.cells}
    for cell in notebook.cells:
        name = settings(cell).get("grade_id", "")
        if is_solution(cell):
            text = submission.answers.get(name, "")
            cell.source = text if cell.cell_type == "code" else _as_text(text)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
            found = grades.get(name)
            if found is not None and found.message:
                lines = _wrapped(found.message) + [f"  {line}" for line in found.lines]
                cell.outputs = [
                    nbformat.v4.new_output("error", ename="CheckFailed", evalue=found.message, traceback=lines)
                ]
    return notebook


def _as_text(answer: str) -> str:
    fence = "~~~~"
    while fence in answer:
        fence += "~"
    return "\n".join([f"{fence}text", *_wrapped(answer), fence])


def _wrapped(text: str) -> list[str]:
    """Lines that fit formgrader's page, which shows text as it stands."""
    return [part for line in text.split("\n") for part in textwrap.wrap(line, 100) or [""]]
