"""The stored results of a lab: course/autograded/STUDENT/LAB/grade.json, and the seed of the lab's hidden inputs.

grade.json is written last of all that a grading writes: what is there need not be graded again.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import nbformat

from cnn_course.arguments.integers import integer
from cnn_course.errors import GradeError
from cnn_course.files import system_errors
from cnn_course.files.whole_files import write_whole
from cnn_course.grading.judging.judge import CellGrade, Grade
from cnn_course.grading.judging.submission import Submission
from cnn_course.grading.lab import Lab

_DRAWS = 5  # of a seed; more only where something else is wrong


@dataclass(frozen=True)
class Result:
    """One stored result. fingerprint: of all that decided the grade. sources: the answers, by cell."""

    grade: Grade
    seed: int
    fingerprint: str
    sources: dict[str, str]


def _cell(name: str, points: float | None, most: float, message: str, lines: list[str]) -> CellGrade:
    """A cell of a grade.json. Raises TypeError or ValueError for a damaged one."""
    _texts([name, message, *lines])
    return CellGrade(name, None if points is None else float(points), float(most), message, lines)


def _seal(stored: dict) -> str:
    """What tells whether a stored result is the one that was written."""
    return hashlib.sha256(json.dumps(stored, sort_keys=True).encode()).hexdigest()


def _texts(found: list[str]) -> list[str]:
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise TypeError("no list of texts")
    return found


class Results:
    """All stored results of one lab."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def load(self, student: str) -> Result | None:
        """The stored result of one submission; None if there is none or it was changed: then it is graded again.

        Raises GradeError where it may not be read.
        """
        file = self.lab.autograded(student) / "grade.json"
        if not os.path.isfile(file):  # from a pipe one would read for ever
            return None
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
            if found.pop("sha256", None) != _seal(found):
                return None
            grade = Grade([_cell(**cell) for cell in found["cells"]], _texts(found["notes"]), float(found["seconds"]))
            sources = found["sources"]
            _texts(list(sources.values()))
            return Result(grade, int(found["seed"]), str(found["fingerprint"]), sources)
        except OSError as error:
            raise GradeError(f"a result cannot be read: {system_errors.said(error)}") from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):  # a damaged file, not ours
            return None

    def all(self) -> dict[str, Result]:
        """By student, sorted."""
        places = sorted((self.lab.course / "autograded").glob(f"*/{self.lab.name}/grade.json"))
        found = {place.parts[-3]: self.load(place.parts[-3]) for place in places}
        return {student: result for student, result in found.items() if result is not None}

    def changed(self, submission: Submission) -> set[str]:
        """The cells whose answer is another one than in the stored result."""
        old = self.load(submission.student)
        return {name for name, text in submission.answers.items() if old is None or old.sources.get(name) != text}

    def save(self, submission: Submission, grade: Grade, seed: int) -> None:
        """Write grade.json, in one step."""
        marks = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in submission.answers.items()}
        stored = asdict(grade) | {
            "fingerprint": self.fingerprint(submission, seed),
            "seed": seed,
            "answers": marks,
            "sources": submission.answers,
            "graded_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        stored["sha256"] = _seal(stored)
        folder = self.lab.autograded(submission.student)
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / "grade.json", json.dumps(stored, indent=1).encode())

    def seed(self, wanted: int | None, lost: Callable[[int], str]) -> int:
        """The seed of the hidden inputs: `wanted`, else the one of the first run, else a new one; written down.

        lost: what the model answer loses with a seed, "" for nothing. It is asked once for each seed and master; a new
        seed with which a right answer loses a point is drawn again. Raises GradeError for a given one, and where the
        first run's cannot be read: another one would grade the whole class anew.
        """
        file = self.lab.course / "autograded" / f".{self.lab.name}.json"
        seed, proven = wanted, None
        if os.path.lexists(file):
            try:
                if not file.is_file():
                    raise ValueError("no file")
                stored = json.loads(file.read_text(encoding="utf-8"))
                first, proven = integer("seed", stored["seed"], least=0), stored.get("proven")
                seed = first if wanted is None else wanted
            except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                if wanted is None:
                    raise GradeError(
                        f"{file}, which holds the seed of the hidden inputs, cannot be read. Give the seed with "
                        f"--seed: it stands in each autograded/STUDENT/{self.lab.name}/grade.json, too."
                    ) from error
        master = nbformat.writes(self.lab.master).encode()
        for _ in range(_DRAWS):
            tried = secrets.randbits(32) if seed is None else seed
            mark = hashlib.sha256(master + str(tried).encode()).hexdigest()
            found = "" if proven == mark else lost(tried)
            if not found:
                break
            if seed is not None:
                raise GradeError(
                    f"with the seed {tried} of the hidden inputs the model answer itself loses a point ({found}). "
                    "Nothing was graded: choose another one with --seed"
                )
        else:
            raise GradeError(f"the model answer loses points with each of {_DRAWS} seeds, at last: {found}")
        try:
            file.parent.mkdir(exist_ok=True)
            write_whole(file, json.dumps({"seed": tried, "proven": mark}).encode())
        except OSError as error:
            raise GradeError(f"results cannot be written: {system_errors.said(error)}. Nothing was graded.") from error
        return tried

    def fingerprint(self, submission: Submission, seed: int) -> str:
        """What decides a grade: the master, the answers and what stands beside them, the seed."""
        read = [submission.answers, submission.own, submission.order, submission.notes, submission.problem]
        text = json.dumps([*read, seed], sort_keys=True)
        return hashlib.sha256(self._master + text.encode()).hexdigest()

    @functools.cached_property
    def _master(self) -> bytes:
        """The master's file, read once: one that is changed in the middle of a run decides nothing before the next."""
        return self.lab.file.read_bytes()
