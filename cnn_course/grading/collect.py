"""Where the submissions are: nbgrader's layout, or a folder or a zip file as a learning platform exports it."""

from __future__ import annotations

import re
import stat
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cnn_course.grading.submission import LARGEST_FILE, SubmissionError, find

# Moodle: "Ada Lovelace_1234_assignsubmission_file_/lab01.ipynb"; Canvas: "lovelaceada_12_345_lab01.ipynb".
PATTERN = r"(?P<student>[^_/]+)"


class CollectError(RuntimeError):
    """The submissions cannot be found; the message says where they were looked for."""


@dataclass(frozen=True)
class HandedIn:
    """One student's submission: a file, the bytes of a zip's member, or the reason why there is neither."""

    student: str
    path: Path | None = None
    data: bytes | None = None
    problem: str = ""
    notes: tuple[str, ...] = ()


def collect(course: Path, lab: str, place: Path | None = None, pattern: str = PATTERN) -> list[HandedIn]:
    """Everything that was handed in for `lab`, one for each student, sorted by student.

    place: None for course/submitted/STUDENT/LAB/; else a folder or zip file of a learning platform, in which every
    notebook is a submission and `pattern`, matched at the beginning of its path, says whose.
    Raises CollectError if there is nothing, or two notebooks of one student.
    """
    if place is None:
        found = _nbgrader(Path(course) / "submitted", lab)
        place = Path(course) / "submitted"
    else:
        place = Path(place)
        if place.is_dir():
            found = [_of_file(place, path, pattern) for path in sorted(place.rglob("*.ipynb"))]
        elif zipfile.is_zipfile(place):
            found = _zip(place, pattern)
        else:
            raise CollectError(f"{place} is neither a folder nor a zip file.")
    found = [one for one in found if one is not None]
    if not found:
        raise CollectError(f"nobody has handed in {lab} in {place}.")
    found.sort(key=lambda one: one.student)
    twice = {a.student for a, b in zip(found, found[1:], strict=False) if a.student == b.student}
    if twice:
        raise CollectError(
            f"more than one notebook of {', '.join(sorted(twice)[:5])} in {place}. Remove one, or say with "
            "--student-pattern which part of the name is the student."
        )
    return found


def _nbgrader(folder: Path, lab: str) -> list[HandedIn]:
    if not folder.is_dir():
        raise CollectError(f"{folder} is missing: it holds STUDENT/{lab}/{lab}.ipynb for each student.")
    found = []
    for student in sorted(folder.iterdir()):
        if student.name.startswith("."):
            continue
        place = student / lab
        if student.is_symlink() or place.is_symlink():
            found.append(HandedIn(student.name, problem="The folder is a link; links are not followed."))
        elif place.is_dir():
            try:
                path, notes = find(place, lab)
                found.append(HandedIn(student.name, path=path, notes=tuple(notes)))
            except SubmissionError as error:
                found.append(HandedIn(student.name, problem=str(error)))
    return found


def _of_file(place: Path, path: Path, pattern: str) -> HandedIn | None:
    relative = path.relative_to(place)
    if _hidden(relative.parts):
        return None
    student = _student(relative.as_posix(), pattern)
    if any((place / parent).is_symlink() for parent in [relative, *relative.parents]):
        return HandedIn(student, problem="The file is a link; links are not followed.")
    return HandedIn(student, path=path)


def _zip(place: Path, pattern: str) -> list[HandedIn | None]:
    """Members are read, never unpacked: their names stay names."""
    found: list[HandedIn | None] = []
    with zipfile.ZipFile(place) as archive:
        for member in archive.infolist():
            name = PurePosixPath(member.filename)
            if name.suffix != ".ipynb" or _hidden(name.parts):
                continue
            student = _student(member.filename, pattern)
            if stat.S_ISLNK(member.external_attr >> 16):
                found.append(HandedIn(student, problem="The file is a link; links are not followed."))
                continue
            try:
                with archive.open(member) as file:
                    data = file.read(LARGEST_FILE + 1)  # what it says of its size may be wrong
            except (RuntimeError, zipfile.BadZipFile, NotImplementedError, EOFError, OSError) as error:
                found.append(HandedIn(student, problem=f"The file cannot be read from the archive: {error}."))
                continue
            if len(data) > LARGEST_FILE:
                found.append(HandedIn(student, problem=f"The file has more than {LARGEST_FILE >> 20} MB."))
            else:
                found.append(HandedIn(student, data=data))
    return found


def _hidden(parts: tuple[str, ...]) -> bool:
    """Whether a path is one of those that programs leave for themselves."""
    return any(part == "__MACOSX" or part.startswith(".") and part.strip(".") for part in parts)


def _student(path: str, pattern: str) -> str:
    path = "/".join(part for part in PurePosixPath(path).parts if part.strip("./"))
    match = re.match(pattern, path)
    name = match["student"] if match else path.partition("/")[0]
    name = re.sub(r"[^\w.@ +-]", "_", name.removesuffix(".ipynb")).strip(". ")[:100]
    if not name:
        raise CollectError(f"the name {path!r} does not say whose it is: give a --student-pattern.")
    return name
