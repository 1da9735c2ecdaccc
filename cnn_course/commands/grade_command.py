"""`cnn-course grade`: what it does and prints."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cnn_course.errors import UsageError
from cnn_course.grading.classroom import collect
from cnn_course.grading.classroom.grade_class import grade_class
from cnn_course.grading.classroom.gradebook import marks_of
from cnn_course.grading.classroom.report import write_report
from cnn_course.grading.classroom.results import Results
from cnn_course.grading.lab import Lab


def grade_command(args: argparse.Namespace, course: Path) -> int:
    """Grade, report, export; returns 1 if a submission could not be graded."""
    if args.workers is not None and args.workers < 1:
        raise UsageError(f"--workers must be at least 1, got {args.workers}")
    if not 1 <= args.seconds <= 86_400:
        raise UsageError(f"--seconds must be from 1 to 86400, got {args.seconds:g}")
    lab = Lab.find(course, args.lab)
    if args.unsafe_no_sandbox:
        print("No sandbox: each submission can read and change whatever you can.", file=sys.stderr)
    outcome = grade_class(
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
