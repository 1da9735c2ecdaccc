"""Where the submissions are: nbgrader's layout, or a folder or a zip file as a learning platform exports it."""

from __future__ import annotations

import collections
import os
import re
import stat
import zipfile
import zlib
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path, PurePosixPath

import nbformat

from cnn_course.errors import CollectError, SubmissionError, UnreadableError
from cnn_course.files import system_errors
from cnn_course.grading.judging.submission import LARGEST_FILE, Submission, parse, read, shown
from cnn_course.grading.lab import Lab
from cnn_course.grading.sandbox.alarm import alarm

_MATCHING_SECONDS = 20.0  # for all names; students choose theirs
# Moodle: "Ada Lovelace_1234_assignsubmission_file_/lab01.ipynb"; Canvas: "lovelaceada_12_345_lab01.ipynb".
PATTERN = r"(?P<student>[^_/]+)"


@dataclass(frozen=True)
class HandedIn:
    """One student's submission: a file, a member of a zip file, or the reason why there is neither.

    unreadable: whether the reason is none of the student's.
    """

    student: str
    path: Path | None = None
    problem: str = ""
    unreadable: bool = False
    notes: tuple[str, ...] = ()
    archive: zipfile.ZipFile | None = None
    member: zipfile.ZipInfo | None = None

    def read(self, master: nbformat.NotebookNode) -> Submission:
        """The answers to a master, or the reason why there are none: one odd submission does not stop the others.

        Raises UnreadableError where there may be some, and nobody can tell.
        """
        try:
            found = read(self.path, master) if self.path is not None else parse(self.data(), master)
        except UnreadableError:
            raise
        except SubmissionError as error:
            return Submission({}, self.student, problem=str(error), time=self._time())
        notes = [*self.notes, *found.notes]
        return replace(found, student=self.student, notes=notes, time=self._time())

    def data(self) -> bytes:
        """The bytes of the member, read each time they are wanted: all at once may be too many. Or SubmissionError."""
        if self.archive is None or self.member is None:
            raise (UnreadableError if self.unreadable else SubmissionError)(self.problem)
        try:
            with self.archive.open(self.member) as file:
                data = file.read(LARGEST_FILE + 1)  # what it says of its size may be wrong
        except (RuntimeError, zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
            raise UnreadableError(f"the file cannot be read from the archive: {ascii(error)[:200]}.") from error
        if len(data) > LARGEST_FILE:
            raise SubmissionError(f"The file has more than {LARGEST_FILE >> 20} MB.")
        return data

    def _time(self) -> datetime | None:
        """When it was handed in, as nbgrader's collection writes it."""
        file = self.path.parent / "timestamp.txt" if self.path is not None else None
        try:
            if file is None or file.is_symlink() or not file.is_file() or file.stat().st_size > 100:
                return None
            from nbgrader.utils import parse_utc

            return parse_utc(file.read_text().strip())
        except (OSError, ValueError, OverflowError):
            return None


def collect(lab: Lab, place: Path | None = None, pattern: str = PATTERN) -> list[HandedIn]:
    """Everything that was handed in for a lab, one for each student, sorted by student.

    place: None for its course's submitted/STUDENT/LAB/; else a folder or zip file of a learning platform, in which
    every notebook is a submission and `pattern`, matched at the beginning of its path, says whose.
    Raises CollectError if there is nothing, or for a pattern that is none.
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
        try:
            with alarm(_MATCHING_SECONDS, lambda: True, "too slow"):
                found = _by_student(files, lab, pattern)
        except TimeoutError as error:
            raise CollectError(
                f"--student-pattern {pattern[:200]!r} takes too long for the {len(files)} names in {place}: write it "
                "without a repetition inside a repetition, such as (a+)+."
            ) from error
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
    names = _apart({student.name: _clean(student.name) for student in students})
    found = []
    for student in students:
        if student.name.startswith("."):
            continue
        place, name = student / lab.name, names[student.name]
        try:
            if student.is_symlink() or place.is_symlink():
                found.append(HandedIn(name, problem="The folder is a link; links are not followed."))
            elif place.exists():
                path, notes = _notebook_in(place, lab)
                found.append(HandedIn(name, path=path, notes=tuple(notes)))
        except SubmissionError as error:
            found.append(HandedIn(name, problem=str(error)))
        except OSError as error:
            found.append(HandedIn(name, problem=f"the folder cannot be read: {error.strerror}.", unreadable=True))
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
    raise SubmissionError(_several(len(found), lab))


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


def _by_student(files: list[tuple[PurePosixPath, HandedIn]], lab: Lab, pattern: str) -> list[HandedIn]:
    """One submission for each student. Whoever has a folder with files but no notebook in it hears that."""
    files = [(path, one) for path, one in files if not _hidden(path.parts)]
    said = {path: _said(path.as_posix(), pattern) for path, _ in files}
    names = _apart({text: _student(text) for text in said.values()})
    notebooks: dict[str, list[tuple[PurePosixPath, HandedIn]]] = {}
    others = {}
    for path, one in files:
        student = names[said[path]]
        if path.suffix.lower() == ".ipynb":
            notebooks.setdefault(student, []).append((path, one))
        elif len(path.parts) > 1:
            others[student] = HandedIn(student, problem=f"There is no notebook: {lab.file_name} is missing.")
    return list((others | {student: _chosen(student, own, lab) for student, own in notebooks.items()}).values())


def _chosen(student: str, own: list[tuple[PurePosixPath, HandedIn]], lab: Lab) -> HandedIn:
    """The notebook that counts of those with one student's name: the one with the lab's name that lies highest."""
    named = [(path, one) for path, one in own if path.name == lab.file_name] or own
    top = min(len(path.parts) for path, _ in named)
    highest = [(path, one) for path, one in named if len(path.parts) == top]
    if len(highest) == 1 and (len(own) == 1 or len(highest[0][0].parts) > 1):
        rest = [shown(str(path)) for path, _ in own if path != highest[0][0]]
        notes = (f"Of {len(own)} notebooks {shown(str(highest[0][0]))} was taken.",) if rest else ()
        return replace(highest[0][1], student=student, notes=notes)
    if len({path.parent for path, _ in own}) == 1 and len({path for path, _ in own}) == len(own) and top > 1:
        return HandedIn(student, problem=_several(len(own), lab))
    which = ", ".join(dict.fromkeys(shown(str(path)) for path, _ in highest[:3]))
    problem = (
        f"{len(highest)} notebooks have this student's name, among them {which}: remove all but one, or say with "
        "--student-pattern which part of the name is the student."
    )
    return HandedIn(student, problem=problem, unreadable=True)


def _several(count: int, lab: Lab) -> str:
    return f"There are {count} notebooks and none is called {lab.file_name}: hand in that one."


def _hidden(parts: tuple[str, ...]) -> bool:
    """Whether a path is one of those that programs leave for themselves."""
    return any(part == "__MACOSX" or part.startswith(".") and part.strip(".") for part in parts)


def _said(path: str, pattern: str) -> str:
    """Which part of a path says whose it is."""
    path = "/".join(part for part in PurePosixPath(path).parts if part.strip("./"))
    match = re.match(pattern, path)
    # A group that took part in no match has no text.
    return ((match and match["student"]) or path.partition("/")[0]).removesuffix(".ipynb")


def _student(text: str) -> str:
    """A student's name as it can be the name of a folder."""
    name = re.sub(r"[^\w.@ +-]", "_", text).strip(". ")
    while len(name.encode()) > 200:  # a file's name has at most 255 bytes
        name = name[:-1]
    # One odd name must not stop the class.
    return name or f"unnamed-{_mark(text)}"


def _clean(name: str) -> str:
    """A folder's name as it can stand in a database and on a page."""
    return "".join(c if c.isprintable() else "_" for c in name)


def _apart(names: dict[str, str]) -> dict[str, str]:
    """Names as they were, and as they are written: two that would be written alike get a mark of what they were."""
    count = collections.Counter(names.values())
    return {was: name if name == was or count[name] == 1 else f"{name}-{_mark(was)}" for was, name in names.items()}


def _mark(text: str) -> str:
    return f"{zlib.crc32(text.encode('utf-8', 'replace')):08x}"
