"""nbgrader's own steps with our judge: `nbgrader autograde`, `generate_feedback`, `collect` and formgrader's buttons.

nbgrader reads a submission and copies every file of it, following links, before the first of its preprocessors runs. So
these steps begin earlier: nbgrader makes its exporter when it knows which submissions to convert and has not yet looked
into them. The exporters here do the whole step at that moment, as `cnn-course grade` does it, and leave nothing to
convert. `labs/nbgrader_config.py` puts them in place.
"""

from __future__ import annotations

import fnmatch
import os
import stat
from pathlib import Path
from typing import Any, NoReturn

from nbconvert.exporters import NotebookExporter
from nbformat import NotebookNode
from nbgrader.converters.base import BaseConverter, NbGraderException
from nbgrader.exchange.default import ExchangeCollect
from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets import Bool, Float, Integer

from cnn_course.errors import CourseError, GradeError
from cnn_course.grading.classroom import collect, grade_class, gradebook
from cnn_course.grading.judging import judge
from cnn_course.grading.judging.submission import LARGEST_FILE
from cnn_course.grading.lab import Lab

# What a release of feedback through the exchange needs beside the page; nbgrader's `submit` wrote them.
_FROM_THE_EXCHANGE = ("timestamp.txt", "submission_secret.txt")


class Judge(NotebookExporter):
    """c.Autograde.exporter_class: grades what `nbgrader autograde` was asked for, with what `cnn-course grade` runs.

    What was graded before and has not changed stays, unless nbgrader was told --force.
    """

    unsafe_no_sandbox = Bool(False, config=True, help="Run submissions with your own rights.")
    workers = Integer(None, allow_none=True, config=True, help="Submissions at the same time (default: one a core).")
    seconds = Float(judge.SUBMISSION_SECONDS, config=True, help="For one submission.")

    def __init__(self, parent: BaseConverter, **settings: Any) -> None:
        super().__init__(parent=parent, **settings)
        if self.unsafe_no_sandbox:
            parent.log.warning("No sandbox: each submission can read and change whatever you can.")
        try:
            lab, only, url = _asked_for(parent)
            if not parent.create_student:
                _all_known(lab, only, url)
            outcome = grade_class.grade_class(
                lab,
                db=url,
                workers=self.workers,
                seconds=self.seconds,
                sandboxed=not self.unsafe_no_sandbox,
                only=only,
                again=parent.force,
            )
        except CourseError as error:
            raise _failed(parent, str(error)) from error
        parent.log.info("%s: %d graded, %d unchanged", lab.name, outcome.graded, outcome.unchanged)
        _leave_nothing(parent)
        if outcome.failed:
            lines = [f"{student}: not graded: {why}" for student, why in sorted(outcome.failed.items())]
            raise _failed(parent, "\n".join(lines))


class FeedbackPages(NotebookExporter):
    """c.GenerateFeedback.exporter_class: our page for each student, with what a person gave since the grading."""

    def __init__(self, parent: BaseConverter, **settings: Any) -> None:
        super().__init__(parent=parent, **settings)
        try:
            lab, only, url = _asked_for(parent)
            written = grade_class.refresh_feedback(lab, db=url, only=only)
        except (OSError, ValueError, CourseError) as error:
            raise _failed(parent, str(error)) from error
        for student in written:
            for name in _FROM_THE_EXCHANGE:
                _copy_small(lab.submitted / student / lab.name / name, lab.feedback(student).with_name(name))
        parent.log.info("%s: feedback for %d students", lab.name, len(written))
        _leave_nothing(parent)


class Refuse(NbGraderPreprocessor):  # type: ignore[misc]  # nbgrader has no types
    """In the place of nbgrader's preprocessors, which run submissions: should they ever be asked, nothing is graded."""

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> NoReturn:
        raise NbGraderException(
            f"c.Autograde.exporter_class is not {Judge.__module__}.Judge, so nothing was run or graded."
        )


class Collect(ExchangeCollect):  # type: ignore[misc]  # nbgrader has no types
    """c.ExchangeFactory.collect: takes regular files from the exchange, and neither links nor anything else.

    Students can write to the exchange; a link there would be read with the instructor's rights.
    """

    def do_copy(self, src: str, dest: str, log: Any = None) -> None:
        """Copy the folder. What is left out is named in the log, and its submission is graded without it."""
        limit = min(1000 * self.coursedir.max_file_size, LARGEST_FILE)
        try:
            top = os.open(src, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            self.log.warning("%s is a link or no folder; it is left out", src)
            os.makedirs(dest)
            return
        try:
            left = 1000 * self.coursedir.max_dir_size
            for place, folders, names, folder in os.fwalk(".", dir_fd=top):
                folders[:] = [name for name in folders if not self._is_ignored(name)]
                target = Path(dest) / place
                target.mkdir(parents=True, exist_ok=True)
                for name in names:
                    if self._is_ignored(name):
                        continue
                    data = _content(name, min(limit, left), folder)
                    if data is None:
                        self.log.warning("%s: a link, no file, or too large; it is left out", Path(src) / place / name)
                        continue
                    left -= len(data)
                    (target / name).write_bytes(data)
        finally:
            os.close(top)
        if self.coursedir.groupshared:
            self.set_perms(dest, 0o664, 0o2775)

    def _is_ignored(self, name: str) -> bool:
        return any(fnmatch.fnmatch(name, pattern) for pattern in self.coursedir.ignore)


def _asked_for(converter: BaseConverter) -> tuple[Lab, str, str]:
    """The lab, a pattern for the students' names, and the gradebook's address of a step."""
    course = converter.coursedir
    return Lab.find(Path(course.root), course.assignment_id), course.student_id, course.db_url


def _all_known(lab: Lab, only: str, url: str) -> None:
    handed_in = {one.student for one in collect.collect(lab) if fnmatch.fnmatchcase(one.student, only)}
    with gradebook.opened(url) as book:
        unknown = handed_in - {student.id for student in book.students}
    if unknown:
        raise GradeError(f"not in the gradebook: {', '.join(sorted(unknown))}. Nobody was graded.")


def _leave_nothing(converter: BaseConverter) -> None:
    """Take what nbgrader would convert; in a course of several instructors, let the others write too."""
    places, converter.assignments = list(converter.assignments), {}
    if converter.coursedir.groupshared:
        for place in map(Path, places):
            converter.set_permissions(place.name, place.parent.name)


def _failed(converter: BaseConverter, text: str) -> NbGraderException:
    converter.log.error(text)
    return NbGraderException(text)


def _content(name: str | Path, limit: int, folder: int | None = None) -> bytes | None:
    """What is in a regular file of at most `limit` bytes; None for anything else. Links are not followed."""
    try:
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        return None
    with open(file, "rb") as opened:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            return None
        data = opened.read(limit + 1)
    return data if len(data) <= limit else None


def _copy_small(source: Path, target: Path) -> None:
    data = _content(source, 1000)
    if data is not None:
        target.write_bytes(data)
