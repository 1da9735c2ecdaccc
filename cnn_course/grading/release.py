"""Build the students' notebooks, `labs/release/`, from the masters in `labs/source/` (what `make labs` runs).

nbgrader's own steps are used, without its database, so that a build needs no gradebook and gives the same bytes each
time. `nbgrader generate_assignment` writes the same bytes and enters the lab in the gradebook as well.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cnn_course.errors import ReleaseError
from cnn_course.files import notebook_files, system_errors
from cnn_course.files.whole_files import write_whole

if TYPE_CHECKING:
    from nbconvert.exporters import Exporter

LABS = Path(__file__).resolve().parents[2] / "labs"


def build(labs: Path = LABS, *, release: Path | None = None) -> dict[str, list[str]]:
    """Write release/ for every lab in `labs`/source and return, per lab, the paths of the files that changed.

    labs: course folder with source/ and nbgrader_config.py. release: where to write (default: `labs`/release).
    Each file is replaced in one step, files that no longer have a master are removed, the rest stays untouched.
    Raises ReleaseError if nbgrader is missing, there is no lab, or a master is not valid.
    """
    labs = Path(labs)
    release = labs / "release" if release is None else Path(release)
    source = labs / "source"
    folders = (
        sorted(f for f in source.iterdir() if f.is_dir() and not f.name.startswith(".")) if source.is_dir() else []
    )
    if not folders:
        raise ReleaseError(f"{source} holds no labs: each lab is a folder there with one notebook of the same name.")
    exporter = _exporter(labs)
    # Everything is built before the first file is written: a broken master leaves the old release as it was.
    built = {folder.name: _build_lab(folder, exporter) for folder in folders}
    changed = {name: _write(release / name, files) for name, files in built.items()}
    for old in sorted(release.iterdir()):
        if old.is_dir() and old.name not in built:
            changed[old.name] = _write(old, {})
            if not any(old.iterdir()):  # JupyterLab's own copies are left
                old.rmdir()
    return changed


def main(arguments: list[str] | None = None) -> int:
    """Command line: `python -m cnn_course.grading.release [--labs FOLDER]`; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m cnn_course.grading.release", description=__doc__.splitlines()[0])
    parser.add_argument("--labs", type=Path, default=LABS, help="course folder with source/ (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        changed = build(options.labs)
    except ReleaseError as error:
        print(f"labs: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"labs: {system_errors.said(error)}", file=sys.stderr)
        return 1
    for name, files in sorted(changed.items()):
        print(f"{name}: {', '.join(files) if files else 'up to date'}")
    return 0


def _exporter(labs: Path) -> Exporter:
    """An nbconvert exporter that runs nbgrader's release steps, with the settings of the course folder."""
    try:
        from nbconvert.exporters import NotebookExporter
        from nbgrader.converters import GenerateAssignment
        from nbgrader.coursedir import CourseDirectory
        from nbgrader.preprocessors import SaveCells
        from traitlets.config.loader import Config, PyFileConfigLoader
    except ImportError as error:
        raise ReleaseError(f"building the labs needs nbgrader ({error}). Run: pip install -e '.[teach]'") from error
    settings = labs / "nbgrader_config.py"
    if not settings.is_file():
        raise ReleaseError(f"{settings} is missing: it says what the students' cells contain.")
    try:
        config = Config(PyFileConfigLoader(settings.name, path=str(labs)).load_config())
    except Exception as error:  # it is a program: it may raise anything
        raise ReleaseError(f"{settings} cannot be run: {type(error).__name__}: {error}") from error
    config.Exporter.default_preprocessors = []
    config.CourseDirectory.root = str(labs.resolve())
    converter = GenerateAssignment(coursedir=CourseDirectory(config=config), config=config)
    exporter = NotebookExporter(config=config)
    for step in converter.preprocessors:
        # SaveCells is the step that writes to the gradebook.
        if step is not SaveCells:
            exporter.register_preprocessor(step(parent=converter), enabled=True)
    return exporter


def _build_lab(folder: Path, exporter: Exporter) -> dict[str, bytes]:
    """The released files of one lab: its notebooks without solutions and hidden tests, other files as they are."""
    master = folder / f"{folder.name}.ipynb"
    if not master.is_file():
        raise ReleaseError(f"{master} is missing: the notebook has the name of its folder.")
    files: dict[str, bytes] = {}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if any(part.startswith((".", "__pycache__")) for part in relative.parts) or path.is_dir():
            continue
        if not path.is_file():
            raise ReleaseError(f"{path} is no file: a link that leads nowhere, or a pipe. Remove it.")
        if path.suffix != ".ipynb":
            files[relative.as_posix()] = path.read_bytes()
            continue
        try:
            notebook_files.read_notebook(path)
            text, _ = exporter.from_filename(str(path), resources={"unique_key": path.stem})
        except Exception as error:
            raise ReleaseError(f"{path} cannot be released: {error or type(error).__name__}") from error
        files[relative.as_posix()] = text.encode()
    return files


def _write(folder: Path, files: dict[str, bytes]) -> list[str]:
    """Make `folder` hold exactly `files`; return the relative paths that were written or removed."""
    folder.mkdir(parents=True, exist_ok=True)
    changed = []
    for name, content in files.items():
        target = folder / name
        if target.is_file() and target.read_bytes() == content:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, content)
        changed.append(name)
    for path in sorted(folder.rglob("*"), reverse=True):
        relative = path.relative_to(folder).as_posix()
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif relative not in files and ".ipynb_checkpoints" not in path.parts:
            path.unlink()
            changed.append(relative)
    return changed


if __name__ == "__main__":
    sys.exit(main())
