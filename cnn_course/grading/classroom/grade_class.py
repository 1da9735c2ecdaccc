"""Grade a class: in parallel, resumable, each submission on its own. What `cnn-course grade` runs.

course/source/LAB/LAB.ipynb is the master and the only authority. For each student this writes

    autograded/STUDENT/LAB/LAB.ipynb    what formgrader shows
    feedback/STUDENT/LAB/LAB.html       what the student gets
    gradebook.db                        nbgrader's gradebook, one transaction per submission
    autograded/STUDENT/LAB/grade.json   the result, written last: what is here need not be graded again
"""

from __future__ import annotations

import fnmatch
import functools
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from tqdm import tqdm

from cnn_course.errors import CourseError, GradeError, UnreadableError
from cnn_course.files import system_errors
from cnn_course.files.whole_files import write_whole
from cnn_course.grading.classroom import collect, feedback
from cnn_course.grading.classroom.gradebook import Marks, marks_of
from cnn_course.grading.classroom.graded_notebook import graded_notebook
from cnn_course.grading.classroom.pool import Pool
from cnn_course.grading.classroom.results import Results
from cnn_course.grading.judging.judge import SUBMISSION_SECONDS, CellGrade, Grade, Judge, longest
from cnn_course.grading.judging.submission import Submission
from cnn_course.grading.lab import Lab, is_graded, is_solution, settings
from cnn_course.grading.sandbox import bubblewrap, cold_host

_NO_NAMESPACES = "The kernel refuses namespaces within a sandbox: each submission gets one of its own, which is slow."
_Task = tuple[Submission, int]  # with the seed of the hidden inputs


@dataclass
class ClassOutcome:
    """What a run did. failed: by student, why no grade could be given; an old one stays.

    entered: of the unchanged, those whose points the gradebook had lost; they were entered again.
    """

    graded: int
    unchanged: int
    failed: dict[str, str]
    entered: list[str] = field(default_factory=list)


def grade_class(
    lab: Lab,
    *,
    submitted: Path | None = None,
    pattern: str = collect.PATTERN,
    db: str | None = None,
    workers: int | None = None,
    seconds: float = SUBMISSION_SECONDS,
    seed: int | None = None,
    sandboxed: bool = True,
    scheduler: str | None = None,
    only: str = "*",
    again: bool = False,
) -> ClassOutcome:
    """Grade what is new or changed, and refresh every feedback page. See the module's first lines for what it writes.

    seed: of the hidden inputs; drawn at the first run of a lab, written down, and the same from then on, so that the
    whole class gets the same inputs and a second run the same grades. Another seed grades everybody again.
    scheduler: the address of a Dask scheduler, to use its workers. only: a pattern for the students' names.
    again: grade also what has not changed. Raises GradeError, CollectError, GradebookError or SandboxError.
    """
    handed_in = [one for one in collect.collect(lab, submitted, pattern) if fnmatch.fnmatchcase(one.student, only)]
    if sandboxed:
        bubblewrap.check()
    results = Results(lab)
    workers = min(workers or len(os.sched_getaffinity(0)), max(len(handed_in), 1))
    judging = functools.partial(_Judging, lab, seconds=seconds, sandboxed=sandboxed)
    here = workers if scheduler is None else 1  # the model answers need one, whoever judges the class
    with ThreadPoolExecutor(1) as beside, Pool(judging, longest(seconds)) as pool:
        # The gradebook opens, which takes a second, while the model answers are graded.
        proven = beside.submit(results.seed, seed, functools.partial(_lost_by_the_model, lab, pool, here))
        with marks_of(lab, db) as marks:
            papers = _Papers(lab, results, marks, proven.result())
            outcome = ClassOutcome(0, 0, {})
            waiting, unchanged = papers.sort(handed_in, outcome, again)
            if waiting and sandboxed and not cold_host.nests():
                print(_NO_NAMESPACES, file=sys.stderr)
            tasks = [(submission, papers.seed) for submission in waiting]
            judged: Iterable[tuple[_Task, Any]] = ()
            if tasks and scheduler is None:
                judged = pool.run(tasks, workers)
            elif tasks:
                judged = _on_cluster(judging, tasks, longest(seconds), str(scheduler))
            title, watched = lab.name, sys.stderr.isatty()
            for (submission, _), grade in tqdm(judged, title, len(tasks), unit="submission", disable=not watched):
                if isinstance(grade, Grade):
                    papers.write(submission, grade)
                    outcome.graded += 1
                else:
                    outcome.failed[submission.student] = f"{type(grade).__name__}: {grade}"
            for submission, grade in unchanged:  # a person may have given points or comments since
                if marks.automatic(submission.student) != {cell.name: cell.points for cell in grade.cells}:
                    marks.save(submission, grade, set())
                    outcome.entered.append(submission.student)
                papers.write_feedback(submission, grade)
    return outcome


def refresh_feedback(lab: Lab, *, db: str | None = None, only: str = "*") -> list[str]:
    """Write the pages again, from the stored results and with what a person gave since; returns the students."""
    results = Results(lab)
    stored = {student: result for student, result in results.all().items() if fnmatch.fnmatchcase(student, only)}
    with marks_of(lab, db) as marks:
        for student, result in stored.items():
            papers = _Papers(lab, results, marks, result.seed)
            papers.write_feedback(Submission(result.sources, student), result.grade)
    return list(stored)


@dataclass(frozen=True)
class _Papers:
    """All that is written about a submission."""

    lab: Lab
    results: Results
    marks: Marks
    seed: int

    def sort(
        self, handed_in: list[collect.HandedIn], outcome: ClassOutcome, again: bool
    ) -> tuple[list[Submission], list[tuple[Submission, Grade]]]:
        """What is to be graded, and what has not changed, with its grade. The rest needs no judge."""
        entered = self.marks.entered()
        waiting: list[Submission] = []
        unchanged: list[tuple[Submission, Grade]] = []
        for one in handed_in:
            try:
                submission = one.read(self.lab.master)
            except UnreadableError as error:
                outcome.failed[one.student] = str(error)
                continue
            old = None if again or submission.student not in entered else self.results.load(submission.student)
            if old is not None and old.fingerprint == self.results.fingerprint(submission, self.seed):
                unchanged.append((submission, old.grade))
            elif submission.problem:
                self.write(submission, _refused(self.lab.master, submission.problem))
                outcome.graded += 1
            else:
                waiting.append(submission)
        outcome.unchanged = len(unchanged)
        return waiting, unchanged

    def write(self, submission: Submission, grade: Grade) -> None:
        """Store one result; grade.json comes last, so that an interrupted write is done again."""
        folder = self.lab.autograded(submission.student)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            notebook = graded_notebook(self.lab.master, submission, grade)
            write_whole(folder / self.lab.file_name, nbformat.writes(notebook).encode())
            self.marks.save(submission, grade, self.results.changed(submission))
            self.write_feedback(submission, grade)
            self.results.save(submission, grade, self.seed)
        except OSError as error:
            raise GradeError(
                f"the result of {submission.student} cannot be written: {system_errors.said(error)}. What was graded "
                "before it is stored; the same command goes on from there."
            ) from error

    def write_feedback(self, submission: Submission, grade: Grade) -> None:
        file = self.lab.feedback(submission.student)
        file.parent.mkdir(parents=True, exist_ok=True)
        by_a_person = self.marks.by_a_person(submission.student)
        page = feedback.page(self.lab.master, submission, grade, by_a_person).encode()
        if not file.is_file() or file.read_bytes() != page:
            write_whole(file, page)


class _Judging:
    """What a worker does: a judge, and the seed with each submission."""

    def __init__(self, lab: Lab, *, seconds: float, sandboxed: bool) -> None:
        self._judge = Judge(lab, seconds=seconds, sandboxed=sandboxed)

    def __call__(self, task: tuple[Submission, int]) -> Grade:
        return self._judge(*task)


def _lost_by_the_model(lab: Lab, pool: Pool, workers: int, seed: int) -> str:
    """What the tests say of the master's own answers, "" if all pass."""
    own = {settings(cell)["grade_id"]: cell.source for cell in lab.master.cells if is_solution(cell)}
    pool.warm(workers)
    grade = pool.call((Submission(own), seed))
    if isinstance(grade, CourseError):
        raise grade
    if not isinstance(grade, Grade):
        raise GradeError(f"the model answer could not be graded: {type(grade).__name__}: {grade}") from grade
    return "; ".join(f"{cell.name}: {cell.message}" for cell in grade.cells if cell.message)


def _refused(master: nbformat.NotebookNode, problem: str) -> Grade:
    cells = [c for c in master.cells if is_graded(c)]
    return Grade([CellGrade(settings(c)["grade_id"], 0.0, float(settings(c)["points"])) for c in cells], [problem], 0.0)


def _on_cluster(
    judging: Callable[[], _Judging], tasks: list[_Task], seconds: float, address: str
) -> Iterator[tuple[_Task, Any]]:
    try:
        from cnn_course.grading.classroom.cluster import on_cluster
    except ImportError as error:
        raise GradeError("--scheduler needs Dask: pip install -e '.[cluster]'") from error
    return on_cluster(judging, tasks, seconds, address)
