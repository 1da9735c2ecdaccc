"""`cnn-course run`: execute lectures in order, with a bar for each, and print seconds, cells and headline results."""

from __future__ import annotations

import argparse
import ast
import shutil
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnn_course.errors import LectureError, UsageError
from cnn_course.files.course_files import all_lectures, find_lecture, repository
from cnn_course.files.whole_files import write_whole

if TYPE_CHECKING:
    from cnn_course.commands.execute_notebook import Outcome

HELP = "execute lectures and print seconds, cells and headline results"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("lectures", nargs="*", metavar="LECTURE", help="2, 02 or 02_conv (default: all, in order)")
    value = "another value for a name in the lecture's parameters cell; repeat it for more names"
    parser.add_argument("-p", dest="parameters", action="append", default=[], metavar="NAME=VALUE", help=value)
    parser.add_argument("--save", action="store_true", help="store the fresh outputs in the lectures themselves")
    parser.add_argument("--output", type=Path, metavar="DIR", help="keep the executed copies in this folder")
    parser.set_defaults(call=run)


def run(args: argparse.Namespace) -> int:
    root = repository()
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
            raise UsageError(f"-p {setting!r}: write NAME=VALUE, for example -p EPOCHS=3")
        try:
            parameters[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError, TypeError, RecursionError):  # TypeError: {[1]: 2}, a list as a key
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
    if output and output.resolve() in {path.parent.resolve() for path in paths}:
        raise UsageError(f"--output {output} holds the lectures themselves; choose another folder, or use --save")
    notebooks = [read_notebook(path) for path in paths]
    if parameters:
        notebooks = [with_parameters(n, parameters, p.stem) for n, p in zip(notebooks, paths, strict=True)]
    if output:
        output.mkdir(parents=True, exist_ok=True)

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
            write_whole(output / path.name, stored_text(outcome.notebook).encode())
        if outcome.error:
            failures.append((path, outcome))
        elif save and path.read_bytes() != before:
            raise LectureError(f"{path.name} was changed while it ran; its fresh outputs are not saved. Run it again.")
        elif save:
            write_whole(path, stored_text(outcome.notebook).encode())
    if len(paths) > 1:
        print(f"{'all':{width}}  {seconds:7.1f}  {cells:5}", flush=True)
    for path, outcome in failures:
        saved = " (not saved)" if save else ""
        print(f"\n{path.name} failed{saved} in {outcome.error[0]}", file=sys.stderr)
        print(textwrap.indent("\n".join(outcome.error[1:]), "    "), file=sys.stderr)
    return 1 if failures else 0


def _row(name: str, outcome: Outcome, width: int) -> str:
    """One line of the table; a long headline goes on below itself."""
    start = f"{name:{width}}  {outcome.seconds:7.1f}  {outcome.cells:5}  "
    room = max(shutil.get_terminal_size((100, 24)).columns - len(start), 24)
    result = "FAILED" if outcome.error else outcome.headline or "-"
    return textwrap.fill(result, room + len(start), initial_indent=start, subsequent_indent=" " * len(start))
