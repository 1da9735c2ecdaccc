"""nbgrader releases and, with our judge, grades lab 01: all points for the solution, none for the stub."""

import shutil

import pytest

pytest.importorskip("nbgrader", reason="grading needs nbgrader (the extra `teach`)")

import nbformat  # noqa: E402
from labs.lab01_wrong_answers import WRONG_ANSWERS  # noqa: E402
from nbgrader.api import Gradebook  # noqa: E402
from test_grading_nbgrader import nbgrader  # noqa: E402

from labs import running  # noqa: E402

LAB = "lab01_convolution"
SLIP = next(wrong for wrong in WRONG_ANSWERS if wrong.name == "stride on the rows only")


@pytest.fixture(scope="module")
def course(bubblewrap, tmp_path_factory):
    """A course with lab 01 released, three submissions and their grades."""
    folder = tmp_path_factory.mktemp("class") / "labs"
    shutil.copytree(running.LABS, folder, ignore=shutil.ignore_patterns("release", "gradebook.db", ".*"))
    nbgrader(folder, "generate_assignment", LAB)

    solution = running.master(LAB)
    answers = {running.grade_id(c): c.source for c in solution.cells if c.metadata.get("nbgrader", {}).get("solution")}
    empty = nbformat.read(folder / "release" / LAB / f"{LAB}.ipynb", as_version=4)
    submissions = {
        "solution": running.with_answers(empty, answers),
        "stub": empty,
        "slip": running.with_answers(empty, answers | {SLIP.cell: SLIP.source}),
    }
    for student, notebook in submissions.items():
        target = folder / "submitted" / student / LAB
        target.mkdir(parents=True)
        nbformat.write(notebook, target / f"{LAB}.ipynb")
    nbgrader(folder, "autograde", LAB)
    return folder


def scores(course, student):
    """The points that nbgrader gave, by grade cell, and whether a person has to look at the cell."""
    with Gradebook(f"sqlite:///{course}/gradebook.db") as book:
        notebook = book.find_submission_notebook(LAB, LAB, student)
        return {
            grade.cell.name: (grade.auto_score, grade.max_score, grade.needs_manual_grade) for grade in notebook.grades
        }


def test_nbgrader_releases_the_same_bytes_as_make_labs(course):
    committed = running.LABS / "release" / LAB / f"{LAB}.ipynb"
    theirs = (course / "release" / LAB / f"{LAB}.ipynb").read_bytes()
    assert theirs.rstrip(b"\n") == committed.read_bytes().rstrip(b"\n")


def test_the_solution_gets_every_automatic_point(course):
    given = scores(course, "solution")
    _, most, manual = given.pop("q7-answer")
    assert manual and most == 4
    assert {name: score for name, (score, _, _) in given.items()} == {
        name: most for name, (_, most, _) in given.items()
    }
    assert sum(score for score, _, _ in given.values()) == 21
    assert not any(manual for _, _, manual in given.values())


def test_the_stub_gets_nothing(course):
    given = scores(course, "stub")
    assert len(given) == len(running.graded(running.master(LAB)))
    assert {score for score, _, _ in given.values()} == {0.0}
    # An answer that was left alone needs nobody's time either.
    assert not any(manual for _, _, manual in given.values())


def test_a_slip_costs_exactly_its_own_points(course):
    given = scores(course, "slip")
    given.pop("q7-answer")
    lost = {name for name, (score, _, _) in given.items() if score == 0}
    assert lost == set(SLIP.fails)
    assert all(score == most for name, (score, most, _) in given.items() if name not in lost)
    assert sum(score for score, _, _ in given.values()) == 18


def test_the_graded_notebook_shows_the_diagnosis(course):
    graded = nbformat.read(course / "autograded" / "slip" / LAB / f"{LAB}.ipynb", as_version=4)
    cell = running.graded(graded)[SLIP.fails[0]]
    (error,) = [output for output in cell.outputs if output.output_type == "error"]
    assert error.ename == "CheckFailed" and SLIP.diagnosis in error.evalue
    # The message is all that is shown: no path through the course's code.
    assert " ".join(error.traceback) == error.evalue
