"""A lab: its name, its master notebook and where its files lie; and what nbgrader's metadata say of a master's cell.

labs/source/LAB/LAB.ipynb           the master, with solutions and hidden tests
labs/release/LAB/LAB.ipynb          what students get
labs/submitted/STUDENT/LAB/         what a student handed in
labs/autograded/STUDENT/LAB/        the result, and the notebook that formgrader shows
labs/feedback/STUDENT/LAB/          the page that the student gets
labs/reports/LAB.html               the class view
"""

from __future__ import annotations

import ast
import functools
import os
from dataclasses import dataclass
from pathlib import Path

import nbformat

from cnn_course.errors import GradeError
from cnn_course.files import notebook_files, system_errors

_MOST_POINTS = 1_000_000
_RESTORE = "Get the file back with git restore, or mend it"
TEXT_STUB = "Write your answer here."  # what a released lab has in place of an answer in words


@dataclass(frozen=True)
class Lab:
    """course: the folder with source/. name: in full, as `lab01_convolution`. part: where its master is."""

    course: Path
    name: str
    part: str = "source"

    @classmethod
    def find(cls, course: Path, name: str, part: str = "source") -> Lab:
        """The one lab whose name begins with `name`, such as lab01. Raises GradeError, with the list, for none or more,
        and where the folder cannot be read.

        part: "source" (the masters) or "release" (what students get, with the visible tests only).
        """
        course = Path(os.path.realpath(course))
        place = course / part
        try:
            # os.path, which says no to a folder that it may not look into: one locked lab leaves the others.
            labs = sorted(p for p in os.listdir(place) if os.path.isfile(place / p / f"{p}.ipynb"))
        except FileNotFoundError:
            labs = []
        except OSError as error:
            raise GradeError(f"the labs cannot be listed: {system_errors.said(error)}") from error
        found = [lab for lab in labs if lab == name] or [lab for lab in labs if lab.startswith(name)]
        if len(found) != 1:
            known = f"choose one of {', '.join(labs)}" if labs else f"{place} holds no labs"
            raise GradeError(f"{name[:60]!r} is {'more than one lab' if found else 'no lab'}: {known}.")
        return cls(course, found[0], part)

    @property
    def file_name(self) -> str:
        return f"{self.name}.ipynb"

    @property
    def file(self) -> Path:
        """The master."""
        return self.course / self.part / self.name / self.file_name

    @functools.cached_property
    def master(self) -> nbformat.NotebookNode:
        """The master's cells. Raises GradeError where the file cannot be read, or a cell cannot be graded with."""
        try:
            master = notebook_files.read_notebook(self.file)
        except ValueError as error:
            raise GradeError(f"{self.file} cannot be read as a notebook: {error}. {_RESTORE}") from error
        for number, cell in enumerate(master.cells, 1):
            if wrong := _fault_of(cell):
                raise GradeError(f"cell {number} of {self.file} {wrong}. {_RESTORE}")
        names = [settings(cell)["grade_id"] for cell in master.cells if is_graded(cell) or is_solution(cell)]
        if twice := [name for name in names if names.count(name) > 1]:
            raise GradeError(f"two cells of {self.file} are called {twice[0]!r}. {_RESTORE}")
        return master

    @property
    def submitted(self) -> Path:
        return self.course / "submitted"

    def autograded(self, student: str) -> Path:
        return self.course / "autograded" / student / self.name

    def feedback(self, student: str) -> Path:
        """The page of a student."""
        return self.course / "feedback" / student / self.name / f"{self.name}.html"

    @property
    def report(self) -> Path:
        return self.course / "reports" / f"{self.name}.html"


def _fault_of(cell: nbformat.NotebookNode) -> str:
    """What is wrong with a cell of a master, "" for nothing."""
    own = cell.metadata.get("nbgrader", {})
    if not isinstance(own, dict):
        return "has nbgrader settings that are none"
    name = own.get("grade_id")
    if (is_graded(cell) or is_solution(cell)) and not (isinstance(name, str) and name):
        return "has no grade_id"
    points = own.get("points")
    if is_graded(cell) and not (
        isinstance(points, int | float) and not isinstance(points, bool) and 0 <= points <= _MOST_POINTS
    ):
        return f"({name}) must have points, a number from 0 to {_MOST_POINTS:,}, not {repr(points)[:40]}"
    if cell.cell_type == "code":
        try:
            ast.parse(cell.source)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            return f"is no Python: {str(error) or type(error).__name__}"
    return ""


def settings(cell: nbformat.NotebookNode) -> dict:
    """nbgrader's settings of a cell of a master."""
    return cell.metadata.get("nbgrader", {})


def is_solution(cell: nbformat.NotebookNode) -> bool:
    return bool(settings(cell).get("solution"))


def is_graded(cell: nbformat.NotebookNode) -> bool:
    return bool(settings(cell).get("grade"))


def is_setup(cell: nbformat.NotebookNode) -> bool:
    """Whether it is the locked first cell, which runs before every answer."""
    locked = cell.cell_type == "code" and bool(settings(cell).get("locked"))
    return locked and not is_graded(cell) and not is_solution(cell)


def setup_of(master: nbformat.NotebookNode) -> str:
    """The text of the master's first, locked cell."""
    return "\n".join(c.source for c in master.cells if is_setup(c))


def imports_of(master: nbformat.NotebookNode) -> list[str]:
    """The modules that the master's cells import: what a warm host should have read."""
    found = ["numpy"]
    for cell in master.cells:
        if cell.cell_type != "code" or is_graded(cell):
            continue
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.Import):
                found += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return list(dict.fromkeys(found))


def functions_of(master: nbformat.NotebookNode) -> dict[str, list[str]]:
    """By grade_id, in the master's order, what each solution cell of code defines."""
    return {
        settings(cell)["grade_id"]: [
            node.name for node in ast.parse(cell.source).body if isinstance(node, (ast.FunctionDef, ast.ClassDef))
        ]
        for cell in master.cells
        if cell.cell_type == "code" and is_solution(cell)
    }
