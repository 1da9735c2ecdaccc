"""nbgrader's gradebook, SQLite or any database by URL: what was graded is written in one transaction per submission."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import sysconfig
import warnings
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import nbformat
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SAWarning

from cnn_course.errors import GradebookError
from cnn_course.files.whole_files import write_whole
from cnn_course.grading.judging.judge import Grade
from cnn_course.grading.judging.submission import is_graded, is_solution, settings

_ADDRESSES = "postgresql://USER:PASSWORD@HOST/DATABASE or sqlite:////PATH/gradebook.db"
COLUMNS = ("student", "first_name", "last_name", "email", "score", "max_score", "needs_manual_grade", "late_seconds")


def url_of(course: Path, url: str | None = None) -> str:
    """The gradebook's address: `url`, else the file gradebook.db in the course folder."""
    return url or f"sqlite:///{Path(course).resolve() / 'gradebook.db'}"


@contextlib.contextmanager
def opened(url: str) -> Iterator:
    """nbgrader's Gradebook at `url`. Raises GradebookError if there is no database, or no way to it."""
    # nbgrader starts `alembic` by its bare name when it makes a new gradebook.
    scripts = sysconfig.get_path("scripts")
    if scripts not in os.environ.get("PATH", "").split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join([scripts, os.environ.get("PATH", "")])
    from nbgrader.api import Gradebook

    try:
        address = make_url(url).render_as_string(hide_password=True)
        book = Gradebook(url, course_id="cnn-course")
    except ArgumentError as error:
        raise GradebookError(f"{url!r} is no address of a database: write {_ADDRESSES}.") from error
    except ModuleNotFoundError as error:
        more = "pip install -e '.[postgres]'" if url.startswith("postgresql") else f"write {_ADDRESSES}"
        raise GradebookError(f"the gradebook at {address} needs {error.name}: {more}.") from error
    except DBAPIError as error:
        raise GradebookError(
            f"the gradebook at {address} does not open: {' '.join(str(error.orig).split())}"
        ) from error
    with book:
        yield book


def register(url: str, lab: str, master: nbformat.NotebookNode) -> None:
    """Enter a lab and the points of its cells, as nbgrader does when it makes the release; no work if it is there."""
    from nbgrader.api import MissingEntry
    from nbgrader.preprocessors import SaveCells

    points = {settings(c)["grade_id"]: float(settings(c)["points"]) for c in master.cells if is_graded(c)}
    solutions = {settings(c)["grade_id"] for c in master.cells if is_solution(c)}
    with opened(url) as book:
        try:
            known = book.find_notebook(lab, lab)
            same = {cell.name: cell.max_score for cell in known.grade_cells} == points
            if same and {cell.name for cell in known.solution_cells} == solutions:
                return
        except MissingEntry:
            book.update_or_create_assignment(lab)
    resources = {"nbgrader": {"notebook": lab, "assignment": lab, "db_url": url}, "unique_key": lab}
    SaveCells().preprocess(nbformat.from_dict(master), resources)


def save(book, lab: str, student: str, grade: Grade, changed: set[str], timestamp: datetime | None) -> None:
    """Write the points of one submission. What a person gave stays; if the answer has `changed`, it is asked for again.

    changed: the cells whose answer is another one than at the last grading.
    """
    with _transaction(book):
        book.update_or_create_student(student)
        submission = book.update_or_create_submission(lab, student, timestamp=timestamp)
        notebook = next(nb for nb in submission.notebooks if nb.name == lab)
        found = {row.cell.name: row for row in notebook.grades}
        for cell in grade.cells:
            row = found[cell.name]
            row.auto_score = cell.points
            row.needs_manual_grade = cell.points is None and (row.manual_score is None or cell.name in changed)


@contextlib.contextmanager
def _transaction(book) -> Iterator[None]:
    """All or nothing: nbgrader's own steps commit one by one, here they only reach the database together."""
    book.db.commit = book.db.flush
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SAWarning)  # nbgrader adds rows before it has linked them
            yield
        del book.db.commit
        book.db.commit()
    except BaseException:
        book.db.__dict__.pop("commit", None)
        book.db.rollback()
        raise


def by_a_person(book, lab: str, student: str) -> dict[str, tuple[float | None, str]]:
    """By cell, the points that a person gave (None: none yet) and the comment."""
    notebook = book.find_submission_notebook(lab, lab, student)
    comments = {row.cell.name: row.comment or "" for row in notebook.comments}
    return {row.cell.name: (row.manual_score, comments.get(row.cell.name, "")) for row in notebook.grades}


def rows(book, lab: str) -> list[dict]:
    """One row for each student with a submission: COLUMNS, sorted by student."""
    found = []
    for submission in book.assignment_submissions(lab):
        student = submission.student
        late = submission.total_seconds_late if submission.timestamp else 0.0
        found.append(
            {
                "student": student.id,
                "first_name": student.first_name or "",
                "last_name": student.last_name or "",
                "email": student.email or "",
                "score": submission.score,
                "max_score": submission.max_score,
                "needs_manual_grade": submission.needs_manual_grade,
                "late_seconds": late,
            }
        )
    return sorted(found, key=lambda row: row["student"])


def export(book, lab: str, file: Path, columns: Sequence[str] = ("student", "score", "max_score")) -> int:
    """Write a CSV file for a learning platform, in one step; returns the number of students.

    columns: from COLUMNS, in that order; "Name=column" gives the head that the platform wants. A text that a
    spreadsheet would take for a formula is written with a leading apostrophe. Raises ValueError for another column.
    """
    pairs = [(head, column) for head, _, column in (word.rpartition("=") for word in columns)]
    unknown = [column for _, column in pairs if column not in COLUMNS]
    if unknown:
        raise ValueError(f"unknown column {unknown[0]!r}; choose from {', '.join(COLUMNS)}")
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([head or column for head, column in pairs])
    table = rows(book, lab)
    for row in table:
        writer.writerow([_plain(row[column]) for _, column in pairs])
    write_whole(file, text.getvalue().encode())
    return len(table)


def _plain(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
