"""Where the submissions are: nbgrader's layout, or a folder or a zip file as a learning platform exports it."""

from __future__ import annotations

import os
import re
import stat
import zipfile
import zlib
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path, PurePosixPath

import nbformat

from cnn_course.errors import CollectError, SubmissionError
from cnn_course.files import system_errors
from cnn_course.grading.judging.submission import LARGEST_FILE, Submission, parse, read, shown
from cnn_course.grading.lab import Lab

# Moodle: "Ada Lovelace_1234_assignsubmission_file_/lab01.ipynb"; Canvas: "lovelaceada_12_345_lab01.ipynb".
PATTERN = r"(?P<student>[^_/]+)"


@dataclass(frozen=True)
class HandedIn:
    """One student's submission: a file, a member of a zip file, or the reason why there is neither."""

    student: str
    path: Path | None = None
    problem: str = ""
    notes: tuple[str, ...] = ()
    archive: zipfile.ZipFile | None = None
    member: zipfile.ZipInfo | None = None

    def read(self, master: nbformat.NotebookNode) -> Submission:
        """The answers to a master, or the reason why there are none: one odd submission does not stop the others."""
        try:
            found = read(self.path, master) if self.path is not None else parse(self.data(), master)
        except SubmissionError as error:
            return Submission({}, self.student, problem=str(error), time=self._time())
        notes = [*self.notes, *found.notes]
        return replace(found, student=self.student, notes=notes, time=self._time())

    def data(self) -> bytes:
        """The bytes of the member, read each time they are wanted: all at once may be too many. Or SubmissionError."""
        if self.archive is None or self.member is None:
            raise SubmissionError(self.problem)
        try:
            with self.archive.open(self.member) as file:
                data = file.read(LARGEST_FILE + 1)  # what it says of its size may be wrong
        except (RuntimeError, zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
            raise SubmissionError(f"The file cannot be read from the archive: {ascii(error)[:200]}.") from error
        if len(data) > LARGEST_FILE:
            raise SubmissionError(f"The file has more than {LARGEST_FILE >> 20} MB.")
        return data

    def _time(self) -> datetime | None:
        """When it was handed in, as nbgrader's collection writes it."""
        file = self.path.parent / "timestamp.txt" if self.path is not None else None
        if file is None or file.is_symlink() or not file.is_file() or file.stat().st_size > 100:
            return None
        from nbgrader.utils import parse_utc

        try:
            return parse_utc(file.read_text().strip())
        except (ValueError, OverflowError, UnicodeDecodeError):
            return None


def collect(lab: Lab, place: Path | None = None, pattern: str = PATTERN) -> list[HandedIn]:
    """Everything that was handed in for a lab, one for each student, sorted by student.

    place: None for its course's submitted/STUDENT/LAB/; else a folder or zip file of a learning platform, in which
    every notebook is a submission and `pattern`, matched at the beginning of its path, says whose.
    Raises CollectError if there is nothing, if notebooks in two places have the same student, or for a pattern that is
    none.
    """
    try:
        named = re.compile(pattern).groupindex
    except (re.error, RecursionError, OverflowError) as error:
        raise CollectError(f"--student-pattern {pattern[:200]!r} is no regular expression: {error}") from error
    if "student" not in named:
        raise CollectError(f"--student-pattern {pattern[:200]!r} has no group (?P<student>...), which says whose it is")
    if place is None:
        place = lab.submitted
        found = _nbgrader(place, lab)
    else:
        place = Path(place)
        try:
            mode = place.stat().st_mode
            if stat.S_ISDIR(mode):
                os.listdir(place)  # what follows takes a locked folder for an empty one
            elif stat.S_ISREG(mode):
                place.open("rb").close()
        except OSError as error:
            why = system_errors.reason(error)
            raise CollectError(f"{place} is neither a folder nor a zip file that can be read: {why}.") from error
        if stat.S_ISDIR(mode):
            files = _files_in(place)
        elif stat.S_ISREG(mode) and zipfile.is_zipfile(place):
            files = _members_of(place)
        else:
            raise CollectError(f"{place} is neither a folder nor a zip file.")
        found = _by_student(files, place, lab, pattern)
    if not found:
        raise CollectError(f"nobody has handed in {lab.name} in {place}.")
    return sorted(found, key=lambda one: one.student)


def _nbgrader(folder: Path, lab: Lab) -> list[HandedIn]:
    if not os.path.isdir(folder):
        raise CollectError(f"{folder} is missing: it holds STUDENT/{lab.name}/{lab.file_name} for each student.")
    try:
        students = sorted(folder.iterdir())
    except OSError as error:
        raise CollectError(f"the submissions cannot be read: {system_errors.said(error)}.") from error
    found = []
    for student in students:
        if student.name.startswith("."):
            continue
        place, name = student / lab.name, _clean(student.name)
        try:
            if student.is_symlink() or place.is_symlink():
                found.append(HandedIn(name, problem="The folder is a link; links are not followed."))
            elif place.exists():
                path, notes = _notebook_in(place, lab)
                found.append(HandedIn(name, path=path, notes=tuple(notes)))
        except SubmissionError as error:
            found.append(HandedIn(name, problem=str(error)))
        except OSError as error:
            found.append(HandedIn(name, problem=f"The folder cannot be read: {error.strerror}."))
    return found


def _notebook_in(folder: Path, lab: Lab) -> tuple[Path, list[str]]:
    """The notebook in a submission's folder, and notes. Raises SubmissionError if there is none, or more than one."""
    if folder.is_symlink() or not folder.is_dir():
        raise SubmissionError(f"{folder.name} is no folder (links are not followed).")
    wanted = folder / lab.file_name
    if os.path.lexists(wanted):
        return wanted, []
    found = sorted(p for p in folder.iterdir() if p.suffix.lower() == ".ipynb" and not p.name.startswith("."))
    if len(found) == 1:
        return found[0], [f"The file is called {shown(found[0].name)}; {lab.file_name} was expected."]
    if not found:
        raise SubmissionError(f"There is no notebook: {lab.file_name} is missing.")
    raise SubmissionError(f"There are {len(found)} notebooks and none is called {lab.file_name}: hand in that one.")


def _files_in(place: Path) -> list[tuple[PurePosixPath, HandedIn]]:
    found = []
    for path in sorted(place.rglob("*")):
        relative = path.relative_to(place)
        if any((place / parent).is_symlink() for parent in [relative, *relative.parents]):
            found.append((PurePosixPath(relative), HandedIn("", problem="The file is a link; links are not followed.")))
        elif not path.is_dir() or path.suffix.lower() == ".ipynb":
            found.append((PurePosixPath(relative), HandedIn("", path=path)))
    return found


def _members_of(place: Path) -> list[tuple[PurePosixPath, HandedIn]]:
    """Members are read, never unpacked: their names stay names."""
    try:
        archive = zipfile.ZipFile(place)
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError) as error:
        raise CollectError(f"{place} cannot be read as a zip file: {error}.") from error
    found = []
    for member in archive.infolist():
        one = HandedIn("", archive=archive, member=member)
        if stat.S_ISLNK(member.external_attr >> 16):
            one = HandedIn("", problem="The file is a link; links are not followed.")
        if not member.is_dir():
            found.append((PurePosixPath(member.filename), one))
    return found


def _by_student(files: list[tuple[PurePosixPath, HandedIn]], place: Path, lab: Lab, pattern: str) -> list[HandedIn]:
    """One submission for each student. Whoever has a folder with files but no notebook in it hears that."""
    notebooks: dict[str, list[tuple[PurePosixPath, HandedIn]]] = {}
    others = {}
    for path, one in files:
        if _hidden(path.parts):
            continue
        student = _student(path.as_posix(), pattern)
        if path.suffix.lower() == ".ipynb":
            notebooks.setdefault(student, []).append((path, one))
        elif len(path.parts) > 1:
            others[student] = HandedIn(student, problem=f"There is no notebook: {lab.file_name} is missing.")
    found = {}
    for student, own in notebooks.items():
        if len({path.parent for path, _ in own}) > 1 or (len(own) > 1 and len(own[0][0].parts) == 1):
            raise CollectError(
                f"more than one notebook of {student} in {place}. Remove one, or say with --student-pattern which part "
                "of the name is the student."
            )
        named = [one for path, one in own if path.name == lab.file_name] or [one for _, one in own]
        found[student] = replace(named[0], student=student)
        if len(named) > 1:
            problem = f"There are {len(own)} notebooks and none is called {lab.file_name}: hand in that one."
            found[student] = HandedIn(student, problem=problem)
    return list((others | found).values())


def _hidden(parts: tuple[str, ...]) -> bool:
    """Whether a path is one of those that programs leave for themselves."""
    return any(part == "__MACOSX" or part.startswith(".") and part.strip(".") for part in parts)


def _student(path: str, pattern: str) -> str:
    path = "/".join(part for part in PurePosixPath(path).parts if part.strip("./"))
    match = re.match(pattern, path)
    # A group that took part in no match has no text.
    name = (match and match["student"]) or path.partition("/")[0]
    name = re.sub(r"[^\w.@ +-]", "_", name.removesuffix(".ipynb")).strip(". ")
    while len(name.encode()) > 200:  # a file's name has at most 255 bytes
        name = name[:-1]
    # One odd name must not stop the class.
    return name or f"unnamed-{zlib.crc32(path.encode('utf-8', 'replace')):08x}"


def _clean(name: str) -> str:
    """A folder's name as it can stand in a database and on a page."""
    return "".join(c if c.isprintable() else "_" for c in name)
