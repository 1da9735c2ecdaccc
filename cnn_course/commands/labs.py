"""`cnn-course labs check LAB`: a student runs a lab's visible tests as the grader will."""

import argparse
from pathlib import Path

from cnn_course.files.course_files import repository

HELP = "for students: run a lab's visible tests as the grader will"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    action = actions.add_parser("check", help="say what passes and what does not")
    action.add_argument("lab", metavar="LAB", help="such as lab03")
    action.add_argument("notebook", nargs="?", type=Path, help="your notebook (default: the one in labs/release)")
    action.set_defaults(call=check)


def check(args: argparse.Namespace) -> int:
    from cnn_course.commands.check_lab import check_lab

    return check_lab(repository() / "labs", args.lab, args.notebook)
