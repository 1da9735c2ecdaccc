"""`cnn-course run`: execute lectures in order, with a bar for each, and print seconds, cells and headline results."""

from __future__ import annotations

import argparse
import ast
import os
import shutil
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnn_course.arguments.shown import brief
from cnn_course.commands import values
from cnn_course.errors import LectureError, UsageError
from cnn_course.files import system_errors
from cnn_course.files.course_files import all_lectures, course, find_lecture, is_clone
from cnn_course.files.whole_files import check_writable, write_whole

if TYPE_CHECKING:
    from cnn_course.commands.execute_notebook import Outcome

HELP = "execute lectures and print seconds, cells and headline results"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "lectures", type=values.words, nargs="*", metavar="LECTURE", help="2, 02 or 02_conv (default: all, in order)"
    )
    value = "another value for a name in the lecture's parameters cell; repeat it for more names"
    parser.add_argument(
        "-p", dest="parameters", type=values.words, action="append", default=[], metavar="NAME=VALUE", help=value
    )
    parser.add_argument("--save", action="store_true", help="store the fresh outputs in the lectures themselves")
    parser.add_argument("--output", type=values.path, metavar="DIR", help="keep the executed copies in this folder")
    parser.set_defaults(call=run)


def run(args: argparse.Namespace) -> int:
    root = course()
    if args.save and not is_clone(root):
        raise UsageError("--save stores a lecture in a clone of the course; here use --output DIR")
    paths = [find_lecture(name, root) for name in args.lectures] or all_lectures(root)
    if not paths:
        find_lecture("1", root)  # says what is wrong
    return run_lectures(paths, parse_parameters(args.parameters), save=args.save, output=args.output)


def parse_parameters(settings: list[str]) -> dict[str, Any]:
    """Turn ["EPOCHS=3", "DEVICE=cuda"] into {"EPOCHS": 3, "DEVICE": "cuda"}: Python literals, and else text."""
    parameters = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not (equals and name.isidentifier()):
            raise UsageError(f"-p {brief(setting)}: write NAME=VALUE, for example -p EPOCHS=3")
        try:
            parameters[name] = ast.literal_eval(value)
        # TypeError: {[1]: 2}, a list as a key; MemoryError: brackets nested too deeply
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            parameters[name] = value
    return parameters


def run_lectures(
    paths: list[Path], parameters: dict[str, Any] | None = None, *, save: bool = False, output: Path | None = None
) -> int:
    """Execute the lectures in the given order; return the exit code: 1 where a cell failed, else 0.

    parameters: replace those of each lecture's cell tagged `parameters`; all must exist in all lectures.
    save: write each lecture back with its fresh outputs, when all its cells ran.
    output: a folder for executed copies, those with a failed cell included.
    Raises UsageError or LectureError for what can be seen before anything runs.
    """
    from tqdm import tqdm

    from cnn_course.commands.execute_notebook import code_cells, execute, read_notebook, stored_text, with_parameters

    if save and parameters:
        raise UsageError("--save stores a lecture as everyone gets it, so it does not go with -p; use --output DIR")
    # os.path, because Path.resolve has no words for a link that leads back to itself
    if output and os.path.realpath(output) in {os.path.realpath(path.parent) for path in paths}:
        raise UsageError(f"--output {output} holds the lectures themselves; choose another folder, or use --save")
    notebooks = [read_notebook(path) for path in paths]
    if parameters:
        notebooks = [with_parameters(n, parameters, p.stem) for n, p in zip(notebooks, paths, strict=True)]
    if output:
        _check_writable([output / path.name for path in paths], "--output names the folder for copies")
    if save:
        _check_writable(paths, "leave --save out, or use --output DIR")

    width = max(len(path.stem) for path in paths)
    failures, seconds, cells = [], 0.0, 0
    print(f"{'lecture':{width}}  seconds  cells  headline result", flush=True)
    for path, notebook in zip(paths, notebooks, strict=True):
        before = path.read_bytes()
        with tqdm(total=len(code_cells(notebook)), desc=path.stem, unit="cell", leave=False, disable=None) as bar:
            outcome = execute(notebook, path.parent, on_cell=bar.update)
        seconds, cells = seconds + outcome.seconds, cells + outcome.cells
        print(_row(path.stem, outcome, width), flush=True)
        if output:
            _write(output / path.name, stored_text(outcome.notebook))
        if outcome.error:
            failures.append((path, outcome))
        elif save and path.read_bytes() != before:
            raise LectureError(f"{path.name} was changed while it ran; its fresh outputs are not saved. Run it again.")
        elif save:
            _write(path, stored_text(outcome.notebook))
    if len(paths) > 1:
        print(f"{'all':{width}}  {seconds:7.1f}  {cells:5}", flush=True)
    for path, outcome in failures:
        saved = " (not saved)" if save else ""
        print(f"\n{path.name} failed{saved} in {outcome.error[0]}", file=sys.stderr)
        print(textwrap.indent("\n".join(outcome.error[1:]), "    "), file=sys.stderr)
    return 1 if failures else 0


def _check_writable(files: list[Path], hint: str) -> None:
    """Before anything runs: a lecture may take minutes, and its copy is then to be written."""
    for folder in dict.fromkeys(file.parent for file in files):
        try:
            check_writable(folder)
        except OSError as error:
            raise UsageError(f"cannot write to {folder}: {system_errors.reason(error)} ({hint})") from error
    for file in files:
        if os.path.isdir(file):
            raise UsageError(f"cannot write {file}: it is a folder. Move it away ({hint})")


def _write(file: Path, text: str) -> None:
    try:
        write_whole(file, text.encode())
    except OSError as error:
        raise LectureError(
            f"{file.name} ran, and its outputs cannot be written to {file.parent}: {system_errors.reason(error)}. "
            "What was there before is unchanged."
        ) from error


def _row(name: str, outcome: Outcome, width: int) -> str:
    """One line of the table; a long headline goes on below itself."""
    start = f"{name:{width}}  {outcome.seconds:7.1f}  {outcome.cells:5}  "
    room = max(shutil.get_terminal_size((100, 24)).columns - len(start), 24)
    result = "FAILED" if outcome.error else outcome.headline or "-"
    return textwrap.fill(result, room + len(start), initial_indent=start, subsequent_indent=" " * len(start))
