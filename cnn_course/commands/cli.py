"""The `cnn-course` command: read the command line, run one subcommand, print its errors.

Each subcommand is a file of this room that bears its name. It has HELP, its line in `cnn-course --help`, and
`add_arguments(parser)`, which says what it takes and, as the parser's default for `call`, which function does the work:
from the parsed arguments to the exit code. What is slow to import (NumPy, torch, nbclient) is imported by that
function, so that start-up stays quick.
"""

import argparse
import io
import os
import re
import sys
import warnings
from typing import Any, NoReturn

from cnn_course import __version__
from cnn_course.commands import data, doctor, grade, labs, run, start, train
from cnn_course.commands import open as open_
from cnn_course.errors import CourseError, UsageError
from cnn_course.files import system_errors

COMMANDS = (doctor, start, open_, run, data, train, labs, grade)  # as the help lists them


class Parser(argparse.ArgumentParser):
    """argparse's, which says what was wrong in one line, not after a page of everything that there is."""

    def error(self, message: str) -> NoReturn:
        line = re.sub(r"\S{200,}", lambda word: f"{word[0][:60]}…", " ".join(message.split()))
        self.exit(2, f"{self.prog}: error: {line} ({self.prog} --help says what it takes)\n")

    def _print_message(self, message: str, file: Any = None) -> None:
        """argparse's says nothing where the message cannot be written."""
        file = file or sys.stderr
        if message and file is not None:
            file.write(message)


def build_parser() -> Parser:
    parser = Parser(prog="cnn-course", description="The convolutional-network course that runs.")
    parser.add_argument("--version", action="version", version=f"cnn-course {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for command in COMMANDS:
        name = command.__name__.rpartition(".")[2]
        command.add_arguments(commands.add_parser(name, help=command.HELP))
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run one command; return its exit code: 0, 1 for a failure, 2 for a wrong command line, 130 for Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal or a file that knows ASCII only gets \xd7 for ×, rather than an error in the middle of a table.
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")
    # nbformat imports jsonschema, which with this package builds a grammar of web addresses, for longer than most
    # commands take. No notebook is checked with it.
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    warnings.formatwarning = lambda message, *_, **__: f"cnn-course: {message}\n"  # without a line of our code
    try:
        try:
            return _command(argv)
        finally:
            _flush()
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `cnn-course data list | head -1`
        _print_nowhere()
        return 1
    except Exception as error:
        if os.environ.get("CNN_COURSE_DEBUG") == "1":
            raise
        print(f"cnn-course: {describe(error)}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1


def _command(argv: list[str] | None) -> int:
    parser = build_parser()
    args = parser.parse_args(argv)
    args.command_line = sys.argv[1:] if argv is None else argv
    if not hasattr(args, "call"):
        parser.print_help()
        return 2
    _check_current_folder()
    return args.call(args)


def _check_current_folder() -> None:
    """Raises UsageError where the current folder was deleted: libraries that are loaded there end the process."""
    try:
        os.getcwd()
    except FileNotFoundError as error:
        raise UsageError("the current folder is gone (deleted or moved away): change into one that is there") from error


def _flush() -> None:
    """Write out what was printed while an error can still be told: at Python's own end it would be a traceback."""
    if sys.stdout is None:  # `cnn-course ... >&-`
        return
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _print_nowhere()
        raise CourseError(f"the output cannot be written: {system_errors.reason(error)}") from error


def _print_nowhere() -> None:
    """What is still to be printed goes to no file: the one before takes nothing more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def describe(error: Exception) -> str:
    """One line for the user: the course's errors speak for themselves, the system's get words for their numbers.

    Anything else is a bug, and the line says where to look.
    """
    text = " ".join(str(error).split())
    if isinstance(error, CourseError):
        return text
    if isinstance(error, OSError):
        return system_errors.said(error)
    if isinstance(error, ImportError) and not (error.name or "cnn_course").startswith("cnn_course"):
        return (
            f"{error.name} cannot be imported ({text}). cnn-course doctor shows what is missing; pip install "
            "'cnn-course[lab]' brings what a student needs, 'cnn-course[teach]' what grading needs, in a clone make "
            "clean && make course everything"
        )
    if isinstance(error, MemoryError):
        return f"the memory is full: close other programs, or ask for less. {text}".strip()
    return f"unexpected {type(error).__name__}: {text} (CNN_COURSE_DEBUG=1 shows where)"
