"""The `cnn-course` command: read the command line, run one subcommand, print its errors.

Each subcommand is a file of this room that bears its name. It has HELP, its line in `cnn-course --help`, and
`add_arguments(parser)`, which says what it takes and, as the parser's default for `call`, which function does the work:
from the parsed arguments to the exit code. What is slow to import (NumPy, torch, nbclient) is imported by that
function, so that start-up stays quick.
"""

import argparse
import os
import sys

from cnn_course import __version__
from cnn_course.commands import data, doctor, grade, labs, run, train
from cnn_course.commands import open as open_
from cnn_course.errors import CourseError, UsageError

COMMANDS = (doctor, open_, run, data, train, labs, grade)  # as the help lists them


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cnn-course", description="The convolutional-network course that runs.")
    parser.add_argument("--version", action="version", version=f"cnn-course {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for command in COMMANDS:
        name = command.__name__.rpartition(".")[2]
        command.add_arguments(commands.add_parser(name, help=command.HELP))
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run one command; return its exit code: 0, 1 for a failure, 2 for a wrong command line, 130 for Ctrl-C."""
    parser = build_parser()
    args = parser.parse_args(argv)
    args.command_line = sys.argv[1:] if argv is None else argv
    if not hasattr(args, "call"):
        parser.print_help()
        return 2
    try:
        return args.call(args)
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `cnn-course data list | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if os.environ.get("CNN_COURSE_DEBUG") == "1":
            raise
        print(f"cnn-course: {describe(error)}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1


def describe(error: Exception) -> str:
    """One line for the user: the course's errors and the system's speak for themselves, a bug says where to look."""
    text = " ".join(str(error).split())
    if isinstance(error, CourseError | OSError):
        return text
    return f"unexpected {type(error).__name__}: {text} (CNN_COURSE_DEBUG=1 shows where)"
