"""`cnn-course grade LAB`: an instructor grades a class."""

import argparse
import sys
from pathlib import Path

from cnn_course.errors import UsageError
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
    parser.add_argument("--seconds", type=float, metavar="S", help="for one submission (default: 300)")
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
    """Grade, report, export; returns 1 if a submission could not be graded."""
    from cnn_course.grading.classroom import collect
    from cnn_course.grading.classroom.grade_class import grade_class
    from cnn_course.grading.classroom.gradebook import marks_of
    from cnn_course.grading.classroom.report import write_report
    from cnn_course.grading.classroom.results import Results
    from cnn_course.grading.judging.judge import SUBMISSION_SECONDS
    from cnn_course.grading.lab import Lab

    if args.workers is not None and args.workers < 1:
        raise UsageError(f"--workers must be at least 1, got {args.workers}")
    seconds = SUBMISSION_SECONDS if args.seconds is None else args.seconds
    if not 1 <= seconds <= 86_400:
        raise UsageError(f"--seconds must be from 1 to 86400, got {seconds:g}")
    lab = Lab.find(args.course or repository() / "labs", args.lab)
    if args.unsafe_no_sandbox:
        print("No sandbox: each submission can read and change whatever you can.", file=sys.stderr)
    outcome = grade_class(
        lab,
        submitted=args.submitted,
        pattern=args.student_pattern or collect.PATTERN,
        db=args.db,
        workers=args.workers,
        seconds=seconds,
        seed=args.seed,
        sandboxed=not args.unsafe_no_sandbox,
        scheduler=args.scheduler,
    )
    print(f"{lab.name}: {outcome.graded} graded, {outcome.unchanged} unchanged, {len(outcome.failed)} failed")
    for student, why in sorted(outcome.failed.items()):
        print(f"    {student}: not graded: {why}")
    if args.report:
        print(f"report: {write_report(Results(lab))}")
    if args.export is not None:
        with marks_of(lab, args.db) as marks:
            count = marks.export(args.export, (args.columns or "student,score").split(","))
        print(f"export: {count} students in {args.export}")
    return 1 if outcome.failed else 0
