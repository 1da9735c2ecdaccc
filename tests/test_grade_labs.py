"""Every lab through the grader itself, in its sandbox: the solution, the stub, and one planted wrong answer."""

import importlib

import nbformat
import pytest

pytest.importorskip("nbgrader", reason="building the labs needs nbgrader (the extra `teach`)")

from cnn_course.grading.judging import judge, submission  # noqa: E402
from cnn_course.grading.lab import imports_of, setup_of  # noqa: E402
from cnn_course.grading.sandbox.warm_host import Host  # noqa: E402
from labs import running  # noqa: E402

LABS = sorted(folder.name for folder in (running.LABS / "source").iterdir() if folder.is_dir())


@pytest.mark.parametrize("lab", LABS)
def test_marks_and_diagnoses_are_those_of_the_notebook(bubblewrap, lab):
    master = running.master(lab)
    wrong = importlib.import_module(f"labs.{lab[:5]}_wrong_answers").WRONG_ANSWERS[-1]
    with Host(imports_of(master), setup_of(master)) as host:

        def grade(notebook, seed):
            return judge.grade(master, submission.parse(nbformat.writes(notebook).encode(), master), host, seed=seed)

        solution = grade(master, 11)
        assert [(cell.name, cell.message) for cell in solution.cells if cell.message] == [] and solution.notes == []
        assert solution.points == sum(cell.most for cell in solution.cells if cell.points is not None)
        stub = grade(running.released(lab), 12)
        assert stub.points == 0 and all(cell.points == 0 for cell in stub.cells)
        slip = grade(running.with_answers(master, {wrong.cell: wrong.source}), 13)
        failed = {cell.name: cell.message for cell in slip.cells if cell.message}
        assert tuple(failed) == wrong.fails and wrong.diagnosis in failed[wrong.fails[0]]
