"""A folder of working copies: the course's notebooks without outputs, for a student to run, change and keep.

What was laid out is noted in the folder, by hash, so that a later version can tell what the student has changed:
nothing that was changed is touched, and what is new comes beside it.
"""

import hashlib
import itertools
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import nbformat

from cnn_course import __version__
from cnn_course.errors import CourseFolderError
from cnn_course.files import notebook_files, system_errors
from cnn_course.files.course_files import NOTE, all_lectures, copies_folder
from cnn_course.files.whole_files import check_writable, read_file, remove_parts, write_whole

PARTS = ("lectures", "labs")
_BESIDE = re.compile(r" \([^()]*\)\.ipynb$")


@dataclass
class LaidOut:
    """What `lay_out` did, by path in the folder.

    beside: the course's one by the changed one. gone: laid out by another version, and not in this one. broken: why,
    by a notebook that the course cannot give or the folder cannot take. before: the version that was there, or "".
    """

    new: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    beside: dict[str, str] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    before: str = ""
    broken: dict[str, str] = field(default_factory=dict)


def notebooks(course: Path) -> list[str]:
    """The notebooks that a student gets, as paths in `course` with slashes: lectures, then released labs."""
    found = [*all_lectures(course), *sorted(course.glob("labs/release/*/*.ipynb"))]
    return [path.relative_to(course).as_posix() for path in found]


def lay_out(course: Path, folder: Path) -> LaidOut:
    """Put the notebooks of `course` into `folder`, or bring a folder of another version to this one.

    A notebook that the student has not changed is replaced where the course has another one; beside a changed one the
    course's is put under a name of its own; one that is gone (deleted, renamed) comes again. Nothing else is touched.
    Broken off, the same call goes on. Raises CourseFolderError for a folder that cannot be used, before anything is
    written, and for a disk that becomes full.
    """
    before, version = _noted(folder)
    try:
        check_writable(folder)
    except OSError as error:
        raise CourseFolderError(
            f"the course cannot be laid out in {folder}: {system_errors.reason(error)}. Name another folder: "
            "cnn-course start FOLDER"
        ) from error
    names = notebooks(course)
    if not names:
        raise CourseFolderError(f"there is no notebook in {course}: install the course again")
    done, fresh = LaidOut(before=version), {}
    for name in names:
        try:
            fresh[name] = _without_outputs(course / name)
        except ValueError as error:  # one notebook that is damaged leaves the others
            done.broken[name] = str(error)
    try:
        remove_parts(folder / NOTE)
        # Noted first: a set-up that is broken off is not taken for somebody else's folder, nor its files for changed.
        known = before or {}
        coming = {name: _hash(data) for name, data in fresh.items() if not os.path.lexists(folder / name)}
        _note(folder, known | coming)
        now = {name: value for name, value in known.items() if os.path.lexists(folder / name)}
        for name, data in fresh.items():
            try:
                now |= _bring(folder, name, data, known, done)
            except OSError as error:
                if error.errno in system_errors.DISK_FULL:
                    raise
                done.broken[name] = system_errors.said(error)  # one odd place leaves the others
        done.gone = [name for name in now if name not in names and not _BESIDE.search(name)]
        _note(folder, now)
    except OSError as error:
        raise CourseFolderError(
            f"the course could not be laid out as a whole: {system_errors.said(error)}. What is there stays; the same "
            "command goes on"
        ) from error
    return done


def _bring(folder: Path, name: str, data: bytes, known: dict[str, str], done: LaidOut) -> dict[str, str]:
    """Put one notebook into the folder, and write down in `done` what came of it. Gives what is to be noted of it."""
    path, there, fresh = folder / name, _hash_of(folder / name), _hash(data)
    noted = {name: fresh}
    if there is None:
        _write(path, data)
        done.new.append(name)
    elif there == fresh:
        done.kept.append(name)
    elif there == known.get(name):
        _write(path, data)
        done.replaced.append(name)
    elif known.get(name) == fresh and there:  # changed, and the course has no other
        done.kept.append(name)
    else:
        for beside in _names_beside(name):
            there = _hash_of(folder / beside)
            if there is None or there == known.get(beside):  # one that we put there, and nobody has changed
                _write(folder / beside, data)
                noted[beside] = fresh
            if there in (None, fresh, known.get(beside)):
                break
        done.beside[name] = beside
    return noted


def _names_beside(name: str) -> Iterator[str]:
    stem = name.removesuffix(".ipynb")
    yield f"{stem} ({__version__}).ipynb"
    yield from (f"{stem} ({__version__}, {number}).ipynb" for number in itertools.count(2))


def _noted(folder: Path) -> tuple[dict[str, str] | None, str]:
    """Hash by notebook as they were laid out in `folder`, None where nothing was; and by which version.

    Raises CourseFolderError where something else has the names that are needed, or the folder lies in another course's.
    """
    if (outer := copies_folder(Path(os.path.realpath(folder)).parent)) is not None:
        raise CourseFolderError(f"{folder} lies in the course folder {outer}: name that one, or a folder outside it")
    if folder.exists() and not folder.is_dir():
        raise CourseFolderError(f"{folder} is a file, and a folder is needed: name another one")
    note = folder / NOTE
    if not os.path.lexists(note):
        taken = [name for name in PARTS if os.path.lexists(folder / name)]
        if taken:
            raise CourseFolderError(
                f"{folder} holds {' and '.join(taken)} already, and they are not of `cnn-course start`: name a new "
                "folder, or move them away"
            )
        return None, ""
    try:
        noted = json.loads(read_file(note))
        files, version = noted["files"], str(noted.get("version", ""))
        if not all(isinstance(name, str) and isinstance(value, str) for name, value in files.items()):
            raise ValueError("not names and hashes")
    except OSError as error:
        raise CourseFolderError(f"cannot read what was laid out: {system_errors.said(error)}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}, ""  # then every notebook that differs counts as changed
    return files, version


def _note(folder: Path, files: dict[str, str]) -> None:
    text = json.dumps({"course": "cnn-course", "version": __version__, "files": files}, indent=1)
    write_whole(folder / NOTE, f"{text}\n".encode())


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path = Path(os.path.realpath(path))  # a student may keep it elsewhere, behind a link
    remove_parts(path)
    write_whole(path, data)


def _without_outputs(path: Path) -> bytes:
    """The notebook as a student begins: "predict before you run" needs that nothing has run."""
    notebook = notebook_files.read_notebook(path)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return f"{nbformat.writes(notebook)}\n".encode()


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _hash_of(path: Path) -> str | None:
    """The hash of what is at `path`, "" for what is no file that can be read, None where nothing is."""
    if not os.path.lexists(path):
        return None
    try:
        return _hash(path.read_bytes()) if path.is_file() else ""
    except OSError:
        return ""
