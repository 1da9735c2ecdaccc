"""Every lab: its own test cells on the solution, the stub and planted wrong answers; what is released and what not."""

import ast
import importlib
import re
import shutil

import pytest

pytest.importorskip("nbgrader", reason="building the labs needs nbgrader (the extra `teach`)")

from cnn_course.grading import release  # noqa: E402
from labs import running  # noqa: E402

LABS = sorted(folder.name for folder in (running.LABS / "source").iterdir() if folder.is_dir())
LAB = LABS[0]
WRONG = {lab: importlib.import_module(f"labs.{lab[:5]}_wrong_answers").WRONG_ANSWERS for lab in LABS}
SLOW = {lab: pytest.mark.slow for lab in LABS if lab[:5] > "lab01"}  # one shows that all works
PLANTED = [
    pytest.param(lab, wrong, id=f"{lab[:5]}-{wrong.name}", marks=SLOW.get(lab, ()))
    for lab in LABS
    for wrong in WRONG[lab]
]


@pytest.fixture(params=[pytest.param(lab, marks=SLOW.get(lab, ())) for lab in LABS])
def lab(request):
    return request.param


@pytest.fixture
def master(lab):
    return running.master(lab)


@pytest.fixture
def released(lab):
    return running.released(lab)


def code_tests(notebook):
    return [name for name, cell in running.graded(notebook).items() if cell.cell_type == "code"]


def questions(notebook):
    """q1, q2 ...: those with code to write."""
    names = [running.grade_id(cell) for cell in notebook.cells if cell.cell_type == "code" and _is(cell, "solution")]
    return [name.removesuffix("-solution") for name in names]


def regions(source, name):
    return re.findall(rf"### BEGIN {name}\n(.*?)### END {name}", source, re.S)


def test_solution_passes_every_test(master):
    assert running.run(master) == dict.fromkeys(code_tests(master), "")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_solution_passes_hidden_tests_with_other_seeds(master, seed):
    """Those that draw from the seed: the others ask the same with each."""
    master.cells = [
        cell
        for cell in master.cells
        if (not _is(cell, "grade") or "checks.generator(" in cell.source) and not cell.id.endswith("-try")
    ]
    results = running.run(master, seed=seed)
    assert results and not any(results.values())


def test_hidden_tests_draw_their_inputs_from_the_seed_of_the_run(lab, master):
    for name, cell in running.graded(master).items():
        if name.endswith("-hidden") and ("random" in cell.source or "rng" in cell.source):
            assert re.search(rf"checks\.generator\({int(lab[3:5])}\d\d\)", cell.source), name
            assert "default_rng" not in cell.source, name


def test_stub_fails_every_test_with_one_clear_sentence(master, released):
    stubs = {
        running.grade_id(c): c.source
        for c in released.cells
        if c.cell_type == "code" and c.metadata.get("nbgrader", {}).get("solution")
    }
    results = running.run(running.with_answers(master, stubs))
    assert list(results) == code_tests(master)
    for message in results.values():
        assert message.startswith("CheckFailed") and "not written yet" in message


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # wrong answers divide by zero and overflow
@pytest.mark.parametrize(("lab", "wrong"), PLANTED)
def test_wrong_answer_gets_its_diagnosis_and_loses_only_its_own_points(lab, wrong):
    results = running.run(running.with_answers(running.master(lab), {wrong.cell: wrong.source}), changed=wrong.cell)
    failed = tuple(name for name, message in results.items() if message)
    assert failed == wrong.fails
    assert wrong.diagnosis in results[failed[0]]
    for name in failed:
        assert results[name].startswith("CheckFailed: ") and len(results[name]) < 900, results[name]


def test_wrong_answers_cover_every_question(lab, master):
    solutions = {running.grade_id(c) for c in master.cells if c.cell_type == "code" and _is(c, "solution")}
    assert {wrong.cell for wrong in WRONG[lab]} == solutions
    assert len(WRONG[lab]) == len({wrong.name for wrong in WRONG[lab]}) >= 6


def test_deleting_one_answer_leaves_the_other_questions_alone(master):
    """Each passes with no other answer there, so none can be missed; without any, each misses its own."""
    names = questions(master)
    for question in names:
        alone = running.with_answers(master, {f"{other}-solution": "" for other in names if other != question})
        alone.cells = [
            c for c in alone.cells if (running.grade_id(c) or c.id).partition("-")[0] not in {*names} - {question}
        ]
        results = running.run(alone)
        assert results and not any(results.values()), question
    failed = running.run(running.with_answers(master, {f"{question}-solution": "" for question in names}))
    assert {name.partition("-")[0] for name in failed} == {*names}
    assert all(message.startswith("NameError") for message in failed.values())


@pytest.mark.parametrize(
    ("returned", "diagnosis"),
    [
        ("None", "got None"),
        ("'no idea'", "got text (a str)"),
        ("float('nan')", "got a single number"),
        ("np.full((2, 3), np.nan)", "got nan at index [0, 0]"),
        ("np.full((2, 3), 'a')", "got dtype <U1"),
        ("np.full((2, 3), None)", "an array of Python objects"),
        ("np.zeros((2, 3), dtype=complex)", "got dtype complex128"),
        ("np.zeros((2, 3), dtype=int)", "got dtype int64"),
        ("np.ma.zeros((2, 3))", "got a MaskedArray"),
        ("[[1.0], [1.0, 2.0]]", "got a list"),
        ("np.broadcast_to(1.0, (10**6, 10**6))", "expected shape (2, 3), got (1000000, 1000000)"),
        ("conv_2d", "got a function"),
        ("conv_2d(x, w)", "RecursionError"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("exit(1)", "stopped with SystemExit"),
        ("undefined_name", "NameError: name 'undefined_name' is not defined"),
    ],
)
def test_anything_that_comes_back_gets_a_clear_message(returned, diagnosis):
    results = running.run(
        running.with_answers(running.master(LAB), {"q3-solution": f"def conv_2d(x, w):\n    return {returned}\n"}),
        changed="q3-solution",
    )
    assert {name for name, message in results.items() if message} == {"q3-visible", "q3-hidden"}
    assert results["q3-visible"].startswith("CheckFailed: conv_2d(") and diagnosis in results["q3-visible"]


def test_run_all_goes_on_after_a_failing_cell(released):
    """JupyterLab stops at the first error, except in cells with this tag."""
    for cell in released.cells:
        if cell.cell_type == "code":
            stops = cell.id in ("install", "setup") or _is(cell, "solution")
            assert cell.metadata.get("tags", []) == ([] if stops else ["raises-exception"])


def test_points_table_equals_the_points_of_the_cells(master):
    table = dict(re.findall(r"^\| (\d+) \|.*\| (\d+) \|$", master.cells[0].source, re.M))
    points = {}
    for name, cell in running.graded(master).items():
        question = re.match(r"q(\d+)-", name).group(1)
        points[question] = points.get(question, 0) + cell.metadata["nbgrader"]["points"]
    assert {question: int(number) for question, number in table.items()} == points
    total = int(re.search(r"\*\*total\*\* \| \*\*(\d+)\*\*", master.cells[0].source).group(1))
    assert total == sum(points.values())
    for cell in master.cells:
        stated = re.match(r"## Question (\d+)\. .*\((\d+) points", cell.source)
        if stated:
            assert points[stated.group(1)] == int(stated.group(2))
        stated = re.match(r"# Question \d+, (?:visible|hidden) test.*\((\d+) points?\)", cell.source)
        if cell.cell_type == "code" and _is(cell, "grade"):
            assert int(stated.group(1)) == cell.metadata["nbgrader"]["points"]


def test_every_question_has_one_function_a_try_cell_visible_and_hidden_tests(master):
    order = [running.grade_id(c) or c.id for c in master.cells]
    for question in questions(master):
        names = [name for name in order if name.partition("-")[0] == question]
        assert names[:3] == [question, f"{question}-solution", f"{question}-try"]
        assert len(names) >= 5 and names[-1] == f"{question}-hidden"
    for cell in master.cells:
        if cell.cell_type == "code" and _is(cell, "solution"):
            (function,) = ast.parse(cell.source).body
            assert isinstance(function, ast.FunctionDef) and ast.get_docstring(function)
            assert len(regions(cell.source, "SOLUTION")) == 1
        assert len(regions(cell.source, "HIDDEN TESTS")) == (1 if running.grade_id(cell).endswith("-hidden") else 0)


def test_graded_cells_are_locked_and_carry_points(released):
    cells = running.graded(released)
    for cell in cells.values():
        settings = cell.metadata["nbgrader"]
        assert settings["points"] > 0 and "checksum" in settings
        assert cell.metadata["deletable"] is False
        if cell.cell_type == "code":
            assert settings["locked"] and not settings["solution"]
            assert cell.metadata["editable"] is False
    assert [c.cell_type for c in cells.values()].count("markdown") == 1  # the question that a person reads


def test_release_holds_no_solution_and_no_hidden_test(master, released):
    text = {running.grade_id(c) or c.id: c.source for c in released.cells}
    for cell in master.cells:
        mine = text[running.grade_id(cell) or cell.id]
        secret = regions(cell.source, "SOLUTION") + regions(cell.source, "HIDDEN TESTS")
        if cell.cell_type == "markdown" and _is(cell, "solution"):
            secret = [cell.source]
        for line in "\n".join(secret).splitlines():
            assert not line.strip() or line not in mine.splitlines()
        for word in ("BEGIN ", "END ", "Model answer", "Marking"):
            assert word not in mine
        if cell.cell_type == "code" and _is(cell, "solution"):
            assert mine.endswith('"""\n    raise NotImplementedError')


def test_notebooks_are_stored_without_outputs_and_with_stable_ids(master, released):
    assert [c.id for c in master.cells] == [c.id for c in released.cells]
    for notebook in (master, released):
        assert all(re.fullmatch(r"[a-z0-9-]+", c.id) for c in notebook.cells)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                assert cell.outputs == [] and cell.execution_count is None


@pytest.mark.slow
def test_committed_releases_equal_a_rebuild_from_anywhere(tmp_path):
    course = tmp_path / "some where" / "labs"
    shutil.copytree(running.LABS, course, ignore=shutil.ignore_patterns("release", "gradebook.db", ".*"))
    assert list(release.build(course)) == LABS
    for lab in LABS:
        built = course / "release" / lab / f"{lab}.ipynb"
        assert built.read_bytes() == (running.LABS / "release" / lab / f"{lab}.ipynb").read_bytes()
        assert str(tmp_path) not in built.read_text() and str(running.REPOSITORY) not in built.read_text()
    assert not any(release.build(course).values())


@pytest.mark.slow
def test_release_follows_its_masters(tmp_path):
    course = tmp_path / "labs"
    shutil.copytree(running.LABS, course, ignore=shutil.ignore_patterns("gradebook.db", ".*"))
    (course / "source" / LAB / "pictures").mkdir()
    (course / "source" / LAB / "pictures" / "cat.txt").write_text("meow")
    (course / "release" / LAB / "old.txt").write_text("left over")
    (course / "release" / "lab00_gone").mkdir()
    unchanged = dict.fromkeys(LABS[1:], [])
    assert release.build(course) == {LAB: ["pictures/cat.txt", "old.txt"], "lab00_gone": [], **unchanged}
    left = sorted(p.relative_to(course / "release").as_posix() for p in (course / "release" / LAB).rglob("*"))
    assert left == [f"{LAB}/{LAB}.ipynb", f"{LAB}/pictures", f"{LAB}/pictures/cat.txt"]
    assert sorted(p.name for p in (course / "release").iterdir()) == LABS


def test_a_broken_master_leaves_the_old_release(tmp_path, capsys):
    course = tmp_path / "labs"
    shutil.copytree(running.LABS, course, ignore=shutil.ignore_patterns("gradebook.db", ".*"))
    before = (course / "release" / LAB / f"{LAB}.ipynb").read_bytes()
    master = course / "source" / LAB / f"{LAB}.ipynb"
    master.write_text(master.read_text().replace("### END SOLUTION", "", 1))
    assert release.main(["--labs", str(course)]) == 1
    error = capsys.readouterr().err
    assert "cannot be released" in error and "no end solution statement found" in error and "Traceback" not in error
    assert (course / "release" / LAB / f"{LAB}.ipynb").read_bytes() == before


@pytest.mark.slow
def test_a_write_that_fails_leaves_no_half_file(tmp_path, monkeypatch):
    course = tmp_path / "labs"
    shutil.copytree(running.LABS, course, ignore=shutil.ignore_patterns("gradebook.db", ".*"))
    target = course / "release" / LAB / f"{LAB}.ipynb"
    target.write_text("old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    assert release.main(["--labs", str(course)]) == 1
    assert target.read_text() == "old" and [p.name for p in target.parent.iterdir()] == [target.name]


def test_release_says_what_is_missing(tmp_path, capsys):
    assert release.main(["--labs", str(tmp_path)]) == 1
    assert "holds no labs" in capsys.readouterr().err
    (tmp_path / "source" / "lab99").mkdir(parents=True)
    assert release.main(["--labs", str(tmp_path)]) == 1
    assert "nbgrader_config.py is missing" in capsys.readouterr().err
    shutil.copy(running.LABS / "nbgrader_config.py", tmp_path)
    assert release.main(["--labs", str(tmp_path)]) == 1
    assert "lab99.ipynb is missing" in capsys.readouterr().err


def _is(cell, what):
    return cell.metadata.get("nbgrader", {}).get(what, False)
