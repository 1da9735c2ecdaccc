"""Grade one submission: the master's cells run here, the student's functions answer from the sandbox.

It fails closed: a test cell gives its points only if it ran to its end here without any exception.
"""

from __future__ import annotations

import contextlib
import io
import re
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field

import nbformat

from cnn_course.errors import CheckFailed, GradeError, SandboxError
from cnn_course.grading import run_state
from cnn_course.grading.judging.clock import MOST_WAITING
from cnn_course.grading.judging.student import OVER, Student
from cnn_course.grading.judging.submission import Submission
from cnn_course.grading.lab import (
    TEXT_STUB,
    Lab,
    functions_of,
    imports_of,
    is_graded,
    is_setup,
    settings,
    setup_of,
)
from cnn_course.grading.sandbox.alarm import alarm
from cnn_course.grading.sandbox.cold_host import AnyHost, open_host
from cnn_course.grading.sandbox.warm_host import START_SECONDS

SUBMISSION_SECONDS = 300.0
_TRIES = 2  # of one submission, where the first host is lost
_LONGEST_MESSAGE = 4000
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@dataclass
class CellGrade:
    """One cell with points. points: None where a person decides. message: what the student is told, "" for a pass."""

    name: str
    points: float | None
    most: float
    message: str = ""
    lines: list[str] = field(default_factory=list)


@dataclass
class Grade:
    """The result of one submission. notes: what was odd about it."""

    cells: list[CellGrade]
    notes: list[str]
    seconds: float

    @property
    def points(self) -> float:
        return sum(cell.points or 0.0 for cell in self.cells)


def longest(seconds: float) -> float:
    """How long a `Judge` that is given `seconds` for a submission may take for it: what waits for one waits as long."""
    return _TRIES * (seconds * (1 + MOST_WAITING) + 2 * START_SECONDS)


class Judge:
    """Grades the submissions of one lab, one after the other, in a host that stays warm. It belongs to one thread.

    lab: whose master is the authority. seconds: see `grade`. sandboxed: False runs submissions with your rights.
    Close it, or use it in a `with`.
    """

    def __init__(self, lab: Lab, *, seconds: float = SUBMISSION_SECONDS, sandboxed: bool = True) -> None:
        self._lab, self._seconds, self._sandboxed = lab, seconds, sandboxed
        self._host: AnyHost | None = None

    def __call__(self, submission: Submission, seed: int = 0) -> Grade:
        """The verdict on one submission; seed: see `grade`.

        A host that has ended is replaced, once; then it raises SandboxError.
        """
        for _ in range(_TRIES - 1):
            try:
                return self._grade(submission, seed)
            except SandboxError:
                self.close()
        return self._grade(submission, seed)

    def _grade(self, submission: Submission, seed: int) -> Grade:
        master = self._lab.master
        if self._host is None:
            self._host = open_host(imports_of(master), setup_of(master), sandboxed=self._sandboxed)
        return grade(master, submission, self._host, seed=seed, seconds=self._seconds)

    def close(self) -> None:
        if self._host is not None:
            self._host.close()
            self._host = None

    def __enter__(self) -> Judge:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def grade(
    master: nbformat.NotebookNode,
    submission: Submission,
    host: AnyHost,
    *,
    seed: int = 0,
    seconds: float = SUBMISSION_SECONDS,
) -> Grade:
    """Run the master's setup and test cells on the submission's functions.

    seed: of the inputs that hidden tests draw. seconds: for the whole submission; calls after that fail.
    Raises SandboxError if no process for the student's code can be had, GradeError if the master's own setup fails:
    that is nobody's mark.
    """
    start = time.monotonic()
    functions = functions_of(master)
    student = Student(host, setup_of(master), submission.code([*functions]), functions, seconds)
    names: dict[str, object] = {"__name__": "__main__"}
    grades, lost = [], False
    try:
        with run_state.fresh(seed), _quiet():
            for cell in master.cells:
                if is_setup(cell):
                    _set_up(cell, names)
            with contextlib.suppress(TimeoutError):  # then functions are missing, and each test says so
                student.start()
            place = ""
            for cell in master.cells:
                if settings(cell).get("grade_id") in functions:
                    place = settings(cell)["grade_id"]
                if is_graded(cell) and cell.cell_type == "code":
                    place = submission.above(settings(cell)["grade_id"], place)
                    with contextlib.suppress(TimeoutError):
                        student.at(place)
                    for known in (name for found in functions.values() for name in found):
                        names.pop(known, None)
                    names.update(student.stubs())
                    grades.append(_run(cell, names, student, functions))
                    lost = lost or bool(grades[-1].message)  # else there is nothing to explain
                    if student.lost is not None:
                        raise student.lost
                elif is_graded(cell):
                    grades.append(_for_a_person(cell, submission))
    finally:
        student.stop()
    notes = [plain(f"{cell} {problem}.") for cell, problem in student.problems.items() if lost]
    return Grade(grades, submission.notes + notes, time.monotonic() - start)


def _set_up(cell: nbformat.NotebookNode, names: dict) -> None:
    try:
        exec(compile(cell.source, "<setup>", "exec"), names)
    except ImportError as error:
        raise GradeError(
            f"this lab needs {error.name or 'a package'}, which cannot be imported here ({error}): cnn-course doctor "
            "says what is missing, and pip install 'cnn-course[lab]' brings it"
        ) from error
    except (Exception, SystemExit) as error:
        raise GradeError(
            f"the lab's first cell fails here: {type(error).__name__}: {error}. Install the course again; in a lab of "
            "your own, mend its master."
        ) from error


def _run(cell: nbformat.NotebookNode, names: dict, student: Student, functions: dict[str, list[str]]) -> CellGrade:
    """Execute one test cell."""
    name, most = settings(cell)["grade_id"], float(settings(cell)["points"])
    try:
        with alarm(student.clock.left(), student.clock.over, OVER):
            exec(compile(cell.source, f"<{name}>", "exec"), names)
        return CellGrade(name, most, most)
    except (SandboxError, KeyboardInterrupt):
        raise
    except CheckFailed as error:
        message, lines = str(error), getattr(error.__cause__, "student_lines", [])
    except NameError as error:
        message, lines = _undefined(error, student, functions), []
    except BaseException as error:  # whatever an odd answer did to the test
        message, lines = f"The test could not go on with what came back: {type(error).__name__}: {error}", []
    return CellGrade(name, 0.0, most, plain(message)[:_LONGEST_MESSAGE], [plain(line) for line in lines])


def plain(text: str) -> str:
    """Text for a page and a terminal: no control characters, none that reverse the order of others."""
    text = re.sub("\r\n?", "\n", text.encode("utf-8", "replace").decode("utf-8"))
    return _CONTROL.sub("\ufffd", text)


def _undefined(error: NameError, student: Student, functions: dict[str, list[str]]) -> str:
    for cell, names in functions.items():
        if error.name in names:
            return f"{error.name} is not there: its cell {student.problems.get(cell, 'does not define it')}."
    return f"NameError: {error}"


def _for_a_person(cell: nbformat.NotebookNode, submission: Submission) -> CellGrade:
    """A question in words: nothing to read means no points, everything else waits for a person."""
    name, most = settings(cell)["grade_id"], float(settings(cell)["points"])
    answer = submission.answers.get(name, "").strip()
    empty = answer in ("", TEXT_STUB)
    return CellGrade(name, 0.0 if empty else None, most, "Nothing was written." if empty else "")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """What the test cells print or warn about is nobody's business."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
