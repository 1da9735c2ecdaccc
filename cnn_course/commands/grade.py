"""`cnn-course grade LAB`: an instructor grades a class."""

import argparse
from pathlib import Path

from cnn_course.files.course_files import repository

HELP = "for instructors: grade a class"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = "Grade what is new, in a sandbox; safe to repeat."
    parser.add_argument("lab", metavar="LAB", help="such as lab01")
    parser.add_argument("--course", type=Path, metavar="DIR", help="folder with source/ and submitted/ (default: labs)")
    parser.add_argument("--submitted", type=Path, metavar="PATH", help="folder or zip file of a learning platform")
    parser.add_argument("--student-pattern", metavar="RE", help="where the student's name stands in its file names")
    parser.add_argument("--db", metavar="URL", help="gradebook (default: gradebook.db in the course folder)")
    parser.add_argument("--workers", type=int, metavar="N", help="at the same time (default: one for each core)")
    parser.add_argument("--seconds", type=float, default=300, metavar="S", help="for one submission (default: 300)")
    parser.add_argument("--seed", type=int, metavar="N", help="of the hidden inputs (default: drawn once for a lab)")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="use the workers of a Dask scheduler")
    parser.add_argument("--report", action="store_true", help="write the class view, reports/LAB.html")
    parser.add_argument("--export", type=Path, metavar="FILE", help="write the points as CSV")
    parser.add_argument(
        "--columns", metavar="A,B", help="of the CSV file, NAME=column renames (default: student,score)"
    )
    parser.add_argument("--unsafe-no-sandbox", action="store_true", help="run submissions with your own rights")
    parser.set_defaults(call=grade)


def grade(args: argparse.Namespace) -> int:
    from cnn_course.commands.grade_command import grade_command

    return grade_command(args, args.course or repository() / "labs")
