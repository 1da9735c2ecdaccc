"""The stored results of a lab: course/autograded/STUDENT/LAB/grade.json, and the seed of the lab's hidden inputs.

grade.json is written last of all that a grading writes: what is there need not be graded again.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from cnn_course.files.whole_files import write_whole
from cnn_course.grading.judging.judge import CellGrade, Grade
from cnn_course.grading.judging.submission import Submission
from cnn_course.grading.lab import Lab


@dataclass(frozen=True)
class Result:
    """One stored result. fingerprint: of all that decided the grade. sources: the answers, by cell."""

    grade: Grade
    seed: int
    fingerprint: str
    sources: dict[str, str]


class Results:
    """All stored results of one lab."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def load(self, student: str) -> Result | None:
        """The stored result of one submission; None if there is none."""
        try:
            found = json.loads((self.lab.autograded(student) / "grade.json").read_text())
        except (OSError, ValueError):
            return None
        grade = Grade([CellGrade(**cell) for cell in found["cells"]], found["notes"], found["seconds"])
        return Result(grade, found["seed"], found["fingerprint"], found["sources"])

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
        folder = self.lab.autograded(submission.student)
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / "grade.json", json.dumps(stored, indent=1).encode())

    def seed(self, wanted: int | None) -> int:
        """The seed of the hidden inputs: `wanted`, else the one of the first run, else a new one; written down."""
        file = self.lab.course / "autograded" / f".{self.lab.name}.json"
        if wanted is None and file.is_file():
            return json.loads(file.read_text())["seed"]
        seed = secrets.randbits(32) if wanted is None else wanted
        file.parent.mkdir(exist_ok=True)
        write_whole(file, json.dumps({"seed": seed}).encode())
        return seed

    def fingerprint(self, submission: Submission, seed: int) -> str:
        """What decides a grade: the master, the answers, the seed."""
        text = json.dumps([submission.answers, submission.notes, submission.problem, seed], sort_keys=True)
        return hashlib.sha256(self.lab.file.read_bytes() + text.encode()).hexdigest()
