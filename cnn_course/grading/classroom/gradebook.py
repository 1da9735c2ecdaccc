"""nbgrader's gradebook, SQLite or any database by URL: what was graded is written in one transaction per submission."""

from __future__ import annotations

import contextlib
import csv
import io
import logging
import os
import sysconfig
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SAWarning, SQLAlchemyError
from tornado.log import app_log

from cnn_course.errors import GradebookError, UsageError
from cnn_course.files import system_errors
from cnn_course.files.whole_files import write_whole
from cnn_course.grading.judging.judge import Grade
from cnn_course.grading.judging.submission import Submission
from cnn_course.grading.lab import Lab, is_graded, is_solution, settings

if TYPE_CHECKING:
    from nbgrader.api import Gradebook
    from sqlalchemy.engine import Engine

_ADVICE = {
    "readonly": "you may not write to that file or its folder (ls -l shows whose it is).",
    "disk is full": "make room and run the same command again.",
    "disk I/O": "is the disk full? Make room and run the same command again.",
    "locked": "another program writes to it: wait until that has ended.",
    "unable to open": "check the path, and that you may write to its folder.",
    "no such table": "the file is not a gradebook of nbgrader: name another one with --db.",
    "no such column": "it is of another version of nbgrader: nbgrader db upgrade.",
    "not a database": "the file is damaged or something else: put a copy in its place, or name another one with --db.",
    "malformed": "the file is damaged: put a copy in its place that is good.",
}
_ADDRESSES = "postgresql://USER:PASSWORD@HOST/DATABASE or sqlite:////PATH/gradebook.db"
COLUMNS = ("student", "first_name", "last_name", "email", "score", "max_score", "needs_manual_grade", "late_seconds")


def url_of(course: Path) -> str:
    """The address of the gradebook in a course folder."""
    return f"sqlite:///{Path(course).resolve() / 'gradebook.db'}"


@contextlib.contextmanager
def opened(url: str) -> Iterator[Gradebook]:
    """nbgrader's Gradebook at `url`. Raises GradebookError if there is no database, or no way to it."""
    # nbgrader starts `alembic` by its bare name when it makes a new gradebook.
    scripts = sysconfig.get_path("scripts")
    if scripts not in os.environ.get("PATH", "").split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join([scripts, os.environ.get("PATH", "")])
    from nbgrader.api import Gradebook, InvalidEntry

    try:
        parts = make_url(url)
        address = parts.render_as_string(hide_password=True)
    except (ArgumentError, ValueError) as error:  # the second: a port that is no number
        raise GradebookError(f"{url[:200]!r} is no address of a database: write {_ADDRESSES}.") from error
    if parts.drivername.startswith("sqlite") and parts.database in (None, "", ":memory:"):
        raise GradebookError(f"{address} is in the memory, where it would be lost: write {_ADDRESSES}.")
    file = str(parts.database)
    if parts.drivername.startswith("sqlite") and os.path.isfile(file) and not os.path.getsize(file):
        raise GradebookError(f"{file} is empty: put a copy in its place; or remove it, to begin a new gradebook.")
    try:
        _check_gradebook(url, address)
        book = Gradebook(url, course_id="cnn-course")
    except ArgumentError as error:
        raise GradebookError(f"{address} is no address of a database: write {_ADDRESSES}.") from error
    except ModuleNotFoundError as error:
        more = "pip install -e '.[postgres]'" if url.startswith("postgresql") else f"write {_ADDRESSES}"
        raise GradebookError(f"the gradebook at {address} needs {error.name}: {more}.") from error
    except (SAWarning, ValueError, TypeError) as error:  # ?timeout=abc
        raise GradebookError(f"{address} has an option that is none: {_said(error)} Write {_ADDRESSES}.") from error
    except (SQLAlchemyError, InvalidEntry) as error:
        raise GradebookError(f"the gradebook at {address} does not open: {_said(error)}") from error
    try:
        with book, _without_tracebacks():
            yield book
    except (SQLAlchemyError, InvalidEntry) as error:
        raise GradebookError(f"the gradebook at {address} cannot be read or written: {_said(error)}") from error


def _damage(engine: Engine) -> str:
    """What is wrong inside a file of SQLite, "" for nothing: rows that belong to none, text for points."""
    with engine.connect() as connection:
        found = connection.execute(text("PRAGMA quick_check(1)")).scalar()
        if found != "ok":
            return str(found)[:100]
        if row := connection.execute(text("PRAGMA foreign_key_check")).first():
            return f"a row of {row[0]} belongs to none of {row[2]}"
        for column in ("auto_score", "manual_score", "extra_credit"):
            wrong = text(f"SELECT {column} FROM grade WHERE typeof({column}) NOT IN ('real', 'integer', 'null')")
            if (value := connection.execute(wrong).scalar()) is not None:
                return f"{value!r:.40} stands for points"
        wrong = text(
            "SELECT timestamp FROM submitted_assignment WHERE timestamp NOT NULL AND julianday(timestamp) IS NULL"
        )
        value = connection.execute(wrong).scalar()
    return "" if value is None else f"{value!r:.40} stands for a time"


def _check_gradebook(url: str, address: str) -> None:
    """nbgrader would add its tables to any database."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", SAWarning)  # an option in the address that is none
        engine = create_engine(url)
    try:
        tables = inspect(engine).get_table_names()
        damage = _damage(engine) if "assignment" in tables and engine.name == "sqlite" else ""
    finally:
        engine.dispose()
    if damage:
        raise GradebookError(
            f"the gradebook at {address} is damaged ({damage}): put a copy in its place. Or remove it: the points of "
            "the tests are entered again, and those that people gave are lost."
        )
    if tables and "assignment" not in tables:
        raise GradebookError(
            f"{address} is a database of something else, with the tables {', '.join(tables)[:100]}: name another one"
        )


def _said(error: Exception) -> str:
    """What the database said, in one line, and what to do where that is known."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    text = " ".join(str(cause).split()).partition(" [SQL")[0][:300].strip("()'\". ")
    for sign, advice in _ADVICE.items():
        if sign in text:
            return f"{text}: {advice}"
    return f"{text}."


@contextlib.contextmanager
def _without_tracebacks() -> Iterator[None]:
    """nbgrader prints one for each statement that the database refuses, and then raises an error that says the same."""

    def keep(record: logging.LogRecord) -> bool:
        return record.exc_info is None

    app_log.addFilter(keep)
    try:
        yield
    finally:
        app_log.removeFilter(keep)


def heads(columns: Sequence[str]) -> list[tuple[str, str]]:
    """Of each column of an export its head and its name in COLUMNS. Raises UsageError for another name."""
    pairs = [(head, column) for head, _, column in (word.rpartition("=") for word in columns)]
    unknown = [column for _, column in pairs if column not in COLUMNS]
    if unknown:
        raise UsageError(f"columns must be chosen from {', '.join(COLUMNS)}, not {unknown[0][:60]!r}")
    return pairs


class Marks:
    """What nbgrader's gradebook holds of one lab."""

    def __init__(self, lab: Lab, book: Gradebook) -> None:
        self._lab, self.book = lab, book

    def entered(self) -> set[str]:
        """The students with a submission."""
        return {submission.student.id for submission in self.book.assignment_submissions(self._lab.name)}

    def save(self, submission: Submission, grade: Grade, changed: set[str]) -> None:
        """Write the points of one submission. What a person gave stays; a changed answer is asked for again.

        changed: the cells whose answer is another one than at the last grading.
        """
        with _transaction(self.book):
            self.book.update_or_create_student(submission.student)
            entry = self.book.update_or_create_submission(self._lab.name, submission.student, timestamp=submission.time)
            notebook = next(nb for nb in entry.notebooks if nb.name == self._lab.name)
            found = {row.cell.name: row for row in notebook.grades}
            for cell in grade.cells:
                row = found.get(cell.name) or self._new_row(cell.name, notebook)
                row.auto_score = cell.points
                row.needs_manual_grade = cell.points is None and (row.manual_score is None or cell.name in changed)

    def _new_row(self, cell: str, notebook: Any) -> Any:
        """A row for the points of one cell, which nbgrader makes with a submission; some program has removed it."""
        from nbgrader.api import Grade as Row

        row = Row(cell=self.book.find_grade_cell(cell, self._lab.name, self._lab.name), notebook=notebook)
        self.book.db.add(row)
        return row

    def automatic(self, student: str) -> dict[str, float | None]:
        """By cell, the points that the tests gave."""
        from nbgrader.api import MissingEntry

        try:
            notebook = self.book.find_submission_notebook(self._lab.name, self._lab.name, student)
        except MissingEntry:
            return {}
        return {row.cell.name: row.auto_score for row in notebook.grades}

    def by_a_person(self, student: str) -> dict[str, tuple[float | None, str]]:
        """By cell, the points that a person gave (None: none yet) and the comment."""
        notebook = self.book.find_submission_notebook(self._lab.name, self._lab.name, student)
        comments = {row.cell.name: row.comment or "" for row in notebook.comments}
        return {row.cell.name: (row.manual_score, comments.get(row.cell.name, "")) for row in notebook.grades}

    def rows(self) -> list[dict]:
        """One row for each student with a submission: COLUMNS, sorted by student."""
        found = []
        for submission in self.book.assignment_submissions(self._lab.name):
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

    def export(self, file: Path, columns: Sequence[str] = ("student", "score")) -> int:
        """Write a CSV file for a learning platform, in one step; returns the number of students.

        columns: from COLUMNS, in that order; "Name=column" gives the head that the platform wants. A text that a
        spreadsheet would take for a formula is written with a leading apostrophe. Raises UsageError for another column,
        GradebookError where the file cannot be written.
        """
        pairs = heads(columns)
        table = io.StringIO()
        writer = csv.writer(table)
        writer.writerow([head or column for head, column in pairs])
        rows = self.rows()
        for row in rows:
            writer.writerow([_plain(row[column]) for _, column in pairs])
        try:
            write_whole(Path(os.path.realpath(file)), table.getvalue().encode())  # a link stays one
        except OSError as error:
            raise GradebookError(f"the export cannot be written: {system_errors.said(error)}") from error
        return len(rows)


@contextlib.contextmanager
def marks_of(lab: Lab, url: str | None = None) -> Iterator[Marks]:
    """The lab's part of the gradebook at `url` (default: its course's gradebook.db), in which it is entered first.

    Raises GradebookError as `opened` does.
    """
    address = url or url_of(lab.course)
    _register(lab, address)
    with opened(address) as book:
        yield Marks(lab, book)


def _register(lab: Lab, url: str) -> None:
    """Enter a lab and the points of its cells, as nbgrader does when it makes the release; no work if it is there."""
    from nbgrader.api import InvalidEntry, MissingEntry
    from nbgrader.preprocessors import SaveCells

    cells = lab.master.cells
    points = {settings(c)["grade_id"]: float(settings(c)["points"]) for c in cells if is_graded(c)}
    solutions = {settings(c)["grade_id"] for c in cells if is_solution(c)}
    with opened(url) as book:
        try:
            known = book.find_notebook(lab.name, lab.name)
            same = {cell.name: cell.max_score for cell in known.grade_cells} == points
            if same and {cell.name for cell in known.solution_cells} == solutions:
                return
        except MissingEntry:
            book.update_or_create_assignment(lab.name)
    resources = {"nbgrader": {"notebook": lab.name, "assignment": lab.name, "db_url": url}, "unique_key": lab.name}
    try:
        SaveCells().preprocess(nbformat.from_dict(lab.master), resources)
    except RuntimeError as error:  # cells came or went
        raise GradebookError(
            f"the gradebook has submissions to another {lab.name}, with other questions: {error}. Put the old master "
            "back, or name another gradebook with --db."
        ) from error
    except (SQLAlchemyError, InvalidEntry) as error:
        raise GradebookError(f"the gradebook cannot be written: {_said(error)}") from error


@contextlib.contextmanager
def _transaction(book: Gradebook) -> Iterator[None]:
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


def _plain(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
