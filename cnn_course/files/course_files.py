"""Where the lectures are: in a clone or in the installed package; list them, turn `2` or `02_conv` into a file."""

import os
from pathlib import Path

from cnn_course.errors import LectureError, UsageError

NOTE = ".cnn-course.json"  # lies in a folder of working copies


def course() -> Path:
    """The folder with lectures/, labs/ and data/: the clone that this package lies in, or else the package's own copy.

    Raises LectureError where there is neither.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package.parent, package / "course"):
        if os.path.isdir(folder / "lectures"):
            return folder
    raise LectureError(f"the lectures are missing from {package}: install the course again")


def is_clone(folder: Path) -> bool:
    """Whether `course()` is a clone of the repository, with masters, tests and all, and not an installed package."""
    return os.path.isdir(folder / "cnn_course")


def copies_folder(place: Path) -> Path | None:
    """The folder of working copies that `place` is, or lies in."""
    return next((folder for folder in (place, *place.parents) if os.path.isfile(folder / NOTE)), None)


def all_lectures(root: Path) -> list[Path]:
    """Return the files lectures/NN_name.ipynb in order."""
    return sorted((root / "lectures").glob("[0-9][0-9]_*.ipynb"))


def find_lecture(name: str, root: Path) -> Path:
    """Return the lecture called `name`: a number (2, 02), the beginning of a file name (02_conv, conv), or a path.

    Raises UsageError, with the list of lectures, for none or several; LectureError where there is no lecture at all.
    """
    lectures = all_lectures(root)
    if not lectures:
        raise LectureError(
            f"there is no lecture in {root / 'lectures'}: install the course again, or, in a clone: git status"
        )
    stem = Path(name).name.removesuffix(".ipynb")
    if len(Path(name).parts) > 1 and not _lies_in(Path(name).parent, root):
        raise UsageError(f"{name[:60]!r} is not a lecture: the lectures lie in {root / 'lectures'}")
    if stem.isascii() and stem.isdigit():
        found = [path for path in lectures if path.name[:2] == stem.lstrip("0").zfill(2)]
    else:
        found = [path for path in lectures if stem and (path.stem.startswith(stem) or path.stem[3:].startswith(stem))]
    if len(found) == 1:
        return found[0]
    what = "names several lectures" if found else "is not a lecture"
    raise UsageError(f"{name[:60]!r} {what}. Choose one of: {', '.join(path.stem for path in found or lectures)}")


def _lies_in(folder: Path, root: Path) -> bool:
    """Whether the folder that stands before a lecture's name is the lectures' own, seen from here or from the clone."""
    return any(os.path.realpath(start / folder) == os.path.realpath(root / "lectures") for start in (Path(), root))
