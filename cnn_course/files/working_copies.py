"""A folder of working copies: the course's notebooks without outputs, for a student to run, change and keep.

What was laid out is noted in the folder, by hash, so that a later version can tell what the student has changed:
nothing that was changed is touched, and what is new comes beside it.
"""

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

import nbformat

from cnn_course import __version__
from cnn_course.errors import CourseFolderError
from cnn_course.files import notebook_files, system_errors
from cnn_course.files.course_files import NOTE, all_lectures
from cnn_course.files.whole_files import check_writable, read_file, write_whole

PARTS = ("lectures", "labs")


@dataclass
class LaidOut:
    """What `lay_out` did, by path in the folder.

    beside: the newer one by the changed one. broken: why, by a notebook of the course that cannot be read.
    """

    new: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    beside: dict[str, str] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)


def notebooks(course: Path) -> list[str]:
    """The notebooks that a student gets, as paths in `course` with slashes: lectures, then released labs."""
    found = [*all_lectures(course), *sorted(course.glob("labs/release/*/*.ipynb"))]
    return [path.relative_to(course).as_posix() for path in found]


def lay_out(course: Path, folder: Path) -> LaidOut:
    """Put the notebooks of `course` into `folder`, or bring a folder of an earlier version up to date.

    A notebook that the student has not changed is replaced where the course has a newer one; beside a changed one the
    newer one is put under a name of its own; one that is gone (deleted, renamed) comes again. Nothing else is touched.
    Broken off, the same call goes on. Raises CourseFolderError for a folder that cannot be used, before anything is
    written, and for a disk that becomes full.
    """
    before = _noted(folder)
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
    done, fresh = LaidOut(), {}
    for name in names:
        try:
            fresh[name] = _without_outputs(course / name)
        except ValueError as error:  # one notebook that is damaged leaves the others
            done.broken[name] = str(error)
    hashes = {name: _hash(data) for name, data in fresh.items()}
    try:
        if before is None:  # noted first: a set-up that is broken off is not taken for somebody else's folder
            _note(folder, {})
        known = before or {}
        now = {name: known[name] for name in done.broken if name in known}
        for name, data in fresh.items():
            path, there = folder / name, _hash_of(folder / name)
            now[name] = hashes[name]
            if there is None:
                _write(path, data)
                done.new.append(name)
            elif there == hashes[name]:
                done.kept.append(name)
            elif there == known.get(name):
                _write(path, data)
                done.replaced.append(name)
            elif known.get(name) == hashes[name]:  # changed, and the course has nothing newer
                done.kept.append(name)
            else:
                beside = f"{name.removesuffix('.ipynb')} ({__version__}).ipynb"
                if _hash_of(folder / beside) is None:
                    _write(folder / beside, data)
                done.beside[name] = beside
        _note(folder, now)
    except OSError as error:
        raise CourseFolderError(
            f"the course could not be laid out as a whole: {system_errors.said(error)}. What is there stays; the same "
            "command goes on"
        ) from error
    return done


def _noted(folder: Path) -> dict[str, str] | None:
    """Hash by notebook as they were laid out in `folder`; None where nothing was.

    Raises CourseFolderError where something else has the names that are needed.
    """
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
        return None
    try:
        files = json.loads(read_file(note))["files"]
        if not all(isinstance(name, str) and isinstance(value, str) for name, value in files.items()):
            raise ValueError("not names and hashes")
    except OSError as error:
        raise CourseFolderError(f"cannot read what was laid out: {system_errors.said(error)}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}  # then every notebook that differs counts as changed
    return files


def _note(folder: Path, files: dict[str, str]) -> None:
    text = json.dumps({"course": "cnn-course", "version": __version__, "files": files}, indent=1)
    write_whole(folder / NOTE, f"{text}\n".encode())


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
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
