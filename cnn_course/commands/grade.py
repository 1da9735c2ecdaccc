"""`cnn-course grade LAB`: an instructor grades a class."""

import argparse
import os
import sys
from pathlib import Path

from cnn_course.arguments.integers import SEED_MOST
from cnn_course.commands import values
from cnn_course.errors import UsageError
from cnn_course.files import system_errors
from cnn_course.files.course_files import course, is_clone
from cnn_course.files.whole_files import MOST_NAME, check_writable

HELP = "for instructors: grade a class"
MOST_WORKERS = 1000  # each is a process with NumPy in it, more than a machine holds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = "Grade what is new, in a sandbox; safe to repeat."
    parser.add_argument("lab", type=values.words, metavar="LAB", help="such as lab01")
    parser.add_argument(
        "--course", type=values.path, metavar="DIR", help="folder with source/ and submitted/ (default: labs)"
    )
    parser.add_argument(
        "--submitted", type=values.path, metavar="PATH", help="folder or zip file of a learning platform"
    )
    parser.add_argument(
        "--student-pattern", type=values.words, metavar="RE", help="where the student's name stands in its file names"
    )
    parser.add_argument(
        "--db", type=values.words, metavar="URL", help="gradebook (default: gradebook.db in the course folder)"
    )
    parser.add_argument(
        "--workers",
        type=values.whole(1, MOST_WORKERS),
        metavar="N",
        help="at the same time (default: one for each core)",
    )
    parser.add_argument(
        "--seconds", type=values.number(1, 86_400), metavar="S", help="for one submission (default: 300)"
    )
    parser.add_argument(
        "--seed",
        type=values.whole(0, SEED_MOST),
        metavar="N",
        help="of the hidden inputs (default: drawn once for a lab)",
    )
    parser.add_argument("--scheduler", type=values.words, metavar="ADDRESS", help="use the workers of a Dask scheduler")
    parser.add_argument("--report", action="store_true", help="write the class view, reports/LAB.html")
    parser.add_argument("--export", type=values.path, metavar="FILE", help="write the points as CSV")
    parser.add_argument(
        "--columns",
        type=values.words,
        metavar="A,B",
        help="of the CSV file, NAME=column renames (default: student,score)",
    )
    parser.add_argument("--unsafe-no-sandbox", action="store_true", help="run submissions with your own rights")
    parser.set_defaults(call=grade)


def grade(args: argparse.Namespace) -> int:
    """Grade, report, export; returns 1 if a submission could not be graded."""
    if args.course is None and not is_clone(course()):
        raise UsageError(
            "the masters are not part of the installed package: --course names the folder that holds source/ and "
            "submitted/, such as labs in a clone of the course"
        )
    # Where this module is there, jsonschema compiles a grammar of web addresses, in 0.7 s, and a notebook has none.
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    from cnn_course.grading.classroom import collect
    from cnn_course.grading.classroom.grade_class import grade_class
    from cnn_course.grading.classroom.gradebook import heads, marks_of
    from cnn_course.grading.classroom.report import write_report
    from cnn_course.grading.classroom.results import Results
    from cnn_course.grading.judging.judge import SUBMISSION_SECONDS
    from cnn_course.grading.lab import Lab

    columns = (args.columns or "student,score").split(",")
    heads(columns)
    if args.export is not None:
        _check_export(args.export)
    lab = Lab.find(args.course or course() / "labs", args.lab)
    if args.unsafe_no_sandbox:
        print("No sandbox: each submission can read and change whatever you can.", file=sys.stderr)
    outcome = grade_class(
        lab,
        submitted=args.submitted,
        pattern=args.student_pattern or collect.PATTERN,
        db=args.db,
        workers=args.workers,
        seconds=SUBMISSION_SECONDS if args.seconds is None else args.seconds,
        seed=args.seed,
        sandboxed=not args.unsafe_no_sandbox,
        scheduler=args.scheduler,
    )
    print(f"{lab.name}: {outcome.graded} graded, {outcome.unchanged} unchanged, {len(outcome.failed)} failed")
    for student, why in sorted(outcome.failed.items()):
        print(f"    {student}: not graded: {why}")
    if outcome.entered:
        print(
            f"    the gradebook had other points than the tests gave, and has those again: {', '.join(outcome.entered)}"
        )
    if args.report:
        print(f"report: {write_report(Results(lab))}")
    if args.export is not None:
        with marks_of(lab, args.db) as marks:
            count = marks.export(args.export, columns)
        print(f"export: {count} students in {args.export}")
    return 1 if outcome.failed else 0


def _check_export(file: Path) -> None:
    """Before a class is graded, which takes minutes: can its points be written there?"""
    if os.path.isdir(file):
        raise UsageError(f"--export names the file to write, and {file} is a folder: {file / 'points.csv'}, say")
    leads = [os.path.abspath(file), os.readlink(file) if os.path.islink(file) else ""]
    if any(place.startswith(("/dev/", "/proc/")) for place in leads) or (
        os.path.exists(file) and not os.path.isfile(file)
    ):
        raise UsageError(f"--export names the file to write, and {file} is a pipe or a device")
    if os.path.islink(file) and not os.path.exists(file):
        raise UsageError(f"--export names the file to write, and {file} is a link that leads nowhere: remove it")
    if len(os.fsencode(file.name)) > MOST_NAME:
        raise UsageError(f"--export {file.name[:60]}… is too long: a file's name may have {MOST_NAME} bytes")
    try:
        file.parent.stat()  # a folder that is not there is a slip: it is not made
        check_writable(file.parent)
    except OSError as error:
        raise UsageError(f"--export {file} cannot be written: {system_errors.reason(error)}") from error
