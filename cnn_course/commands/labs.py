"""`cnn-course labs check LAB`: a student runs a lab's visible tests as the grader will."""

import argparse
import sys
from pathlib import Path

from cnn_course.commands import values
from cnn_course.errors import SandboxError, SubmissionError
from cnn_course.files.course_files import copies_folder, course

HELP = "for students: run a lab's visible tests as the grader will"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    action = actions.add_parser("check", help="say what passes and what does not")
    action.add_argument("lab", type=values.words, metavar="LAB", help="such as lab03")
    action.add_argument(
        "notebook",
        nargs="?",
        type=values.path,
        metavar="NOTEBOOK",
        help="your notebook (default: the lab's in the course folder that you are in)",
    )
    action.set_defaults(call=check)


def check(args: argparse.Namespace) -> int:
    """Print one line for each visible test, and what it says; return 0 if all pass, else 1.

    The tests come from the released lab; of the notebook only the solution cells are taken. It runs in the grader's
    sandbox where there is one. Raises GradeError or SubmissionError.
    """
    from cnn_course.grading.judging.judge import Judge
    from cnn_course.grading.judging.submission import read
    from cnn_course.grading.lab import Lab
    from cnn_course.grading.sandbox import bubblewrap

    lab = Lab.find(course() / "labs", args.lab, "release")
    copies = copies_folder(Path.cwd())
    own = None if copies is None else copies / lab.file.relative_to(course())
    notebook = args.notebook or (own if own is not None and own.is_file() else lab.file)
    print(f"{notebook}{'' if notebook != lab.file else ': the lab as it is given out, no notebook of yours is here'}")
    try:
        submission = read(notebook, lab.master)
    except SubmissionError as error:  # it names the file alone, as a class sees it
        raise SubmissionError(f"{notebook}: {error}") from error
    try:
        bubblewrap.check()
        sandboxed = True
    except SandboxError:
        sandboxed = False  # it is the student's own code on the student's own machine
    with Judge(lab, sandboxed=sandboxed) as judge:
        result = judge(submission)
    for note in result.notes:
        print(note)
    visible = [cell for cell in result.cells if not cell.name.endswith("-hidden")]
    for cell in visible:
        state = "to be read by a person" if cell.points is None else "ok" if not cell.message else "FAILS"
        print(f"{cell.name:24s} {cell.most:4g} points  {state}")
        for line in [*cell.message.split("\n"), *cell.lines] if cell.message else []:
            print(f"    {line}")
    wrong = [cell for cell in visible if cell.message]
    hidden = sum(cell.most for cell in result.cells if cell.name.endswith("-hidden"))
    passed = len(visible) - len(wrong)
    print(f"{passed} of {len(visible)} visible tests pass; hidden tests ({hidden:g} points) run when graded")
    if not sandboxed:
        print("(without the grader's sandbox: bubblewrap does not start here)", file=sys.stderr)
    return 1 if wrong else 0
