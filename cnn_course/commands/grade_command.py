"""`cnn-course grade`: what it prints."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cnn_course.errors import UsageError
from cnn_course.grading.classroom import collect, gradebook
from cnn_course.grading.classroom.grade_class import find_lab, grade_class
from cnn_course.grading.classroom.report import write_report


def grade_command(args: argparse.Namespace, course: Path) -> int:
    """Grade, report, export; returns 1 if a submission could not be graded."""
    if args.workers is not None and args.workers < 1:
        raise UsageError(f"--workers must be at least 1, got {args.workers}")
    if not 1 <= args.seconds <= 86_400:
        raise UsageError(f"--seconds must be from 1 to 86400, got {args.seconds:g}")
    lab = find_lab(course, args.lab)
    if args.unsafe_no_sandbox:
        print("No sandbox: each submission can read and change whatever you can.", file=sys.stderr)
    outcome = grade_class(
        course,
        lab,
        submitted=args.submitted,
        pattern=args.student_pattern or collect.PATTERN,
        db=args.db,
        workers=args.workers,
        seconds=args.seconds,
        seed=args.seed,
        sandboxed=not args.unsafe_no_sandbox,
        scheduler=args.scheduler,
    )
    print(f"{lab}: {outcome.graded} graded, {outcome.unchanged} unchanged, {len(outcome.failed)} failed")
    for student, why in sorted(outcome.failed.items()):
        print(f"    {student}: not graded: {why}")
    if args.report:
        print(f"report: {write_report(course, lab)}")
    if args.export is not None:
        columns = (args.columns or "student,score").split(",")
        with gradebook.opened(gradebook.url_of(course, args.db)) as book:
            try:
                count = gradebook.export(book, lab, args.export, columns)
            except ValueError as error:
                raise UsageError(str(error)) from error
        print(f"export: {count} students in {args.export}")
    return 1 if outcome.failed else 0
