"""`cnn-course grade` on a class: marks, resume after a kill, odd files, feedback, export, the class view."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("nbgrader", reason="grading needs nbgrader (the extra `teach`)")

import nbformat  # noqa: E402
from labs.lab01_wrong_answers import WRONG_ANSWERS  # noqa: E402

from cnn_course.commands import cli  # noqa: E402
from cnn_course.errors import CollectError, GradeError  # noqa: E402
from cnn_course.grading.classroom import collect, grade_class, gradebook, report  # noqa: E402
from cnn_course.grading.classroom.results import Results  # noqa: E402
from cnn_course.grading.lab import Lab  # noqa: E402
from labs import running  # noqa: E402

LAB = "lab01_convolution"
SLIPS = {wrong.name: wrong for wrong in WRONG_ANSWERS}


pytestmark = pytest.mark.usefixtures("bubblewrap")


def hand_in(course, student, notebook):
    place = course / "submitted" / student / LAB
    place.mkdir(parents=True)
    nbformat.write(notebook, place / f"{LAB}.ipynb")
    return place


def with_slip(name):
    return running.with_answers(running.master(LAB), {SLIPS[name].cell: SLIPS[name].source})


def new_course(folder):
    shutil.copytree(running.LABS / "source" / LAB, folder / "source" / LAB)
    (folder / "gradebook.db").write_bytes(running.empty_gradebook())
    return folder


def scores(course):
    with gradebook.marks_of(Lab(course, LAB)) as marks:
        return {row["student"]: row["score"] for row in marks.rows()}


def descendants(pid):
    """The processes below `pid`, at any depth: pid -> command line."""
    found = subprocess.run(["ps", "-ww", "-eo", "pid=,ppid=,args="], capture_output=True, text=True).stdout
    rows = [line.split(None, 2) for line in found.splitlines()]
    below, wanted = {}, {str(pid)}
    while more := {row[0]: row[2] for row in rows if row[1] in wanted and row[0] not in below}:
        below |= more
        wanted = set(more)
    return {int(pid): args for pid, args in below.items() if "<defunct>" not in args}


def graders_of(pid):
    return {child: args for child, args in descendants(pid).items() if "cnn_course.grading." in args}


@pytest.fixture(scope="module")
def graded(bubblewrap, tmp_path_factory):
    course = new_course(tmp_path_factory.mktemp("class") / "labs")
    hand_in(course, "solution", running.master(LAB))
    hand_in(course, "stub", running.released(LAB))
    hand_in(course, "slip", with_slip("stride on the rows only"))
    hand_in(course, "broken", running.master(LAB))
    (course / "submitted" / "broken" / LAB / f"{LAB}.ipynb").write_text("{")
    renamed = hand_in(course, "renamed", running.master(LAB))
    (renamed / f"{LAB}.ipynb").rename(renamed / "my lab.ipynb")
    linked = hand_in(course, "linked", running.master(LAB)) / f"{LAB}.ipynb"
    linked.unlink()
    linked.symlink_to(course / "source" / LAB / f"{LAB}.ipynb")
    outcome = grade_class.grade_class(Lab.find(course, "lab01"), seed=7)
    assert (outcome.graded, outcome.unchanged, outcome.failed) == (6, 0, {})
    return course


def test_marks(graded):
    assert scores(graded) == {"solution": 21, "renamed": 21, "slip": 18, "stub": 0, "broken": 0, "linked": 0}
    with gradebook.marks_of(Lab(graded, LAB)) as marks:
        waiting = {row["student"] for row in marks.rows() if row["needs_manual_grade"]}
    assert waiting == {"solution", "renamed", "slip"}
    assert graders_of(os.getpid()) == {}


def test_a_second_run_grades_nothing_again(graded):
    before = {path: path.stat().st_mtime_ns for path in graded.rglob("grade.json")}
    outcome = grade_class.grade_class(Lab(graded, LAB))
    assert (outcome.graded, outcome.unchanged) == (0, 6)
    assert {path: path.stat().st_mtime_ns for path in graded.rglob("grade.json")} == before
    assert {Results(Lab(graded, LAB)).load(student).seed for student in ("solution", "stub")} == {7}


def test_feedback_has_points_diagnosis_and_code_and_no_hidden_test(graded):
    page = (graded / "feedback" / "slip" / LAB / f"{LAB}.html").read_text()
    slip = SLIPS["stride on the rows only"]
    assert slip.diagnosis in page and "18 of 25 points" in page and "def conv_2d_strided" in page
    assert "4 more points wait for a person" in page and page.count("to be read") == 2  # in the table, below the answer
    assert "HIDDEN TESTS" not in page and "checks.generator" not in page and "checks.check(" not in page
    assert "<script" not in page and "http" not in page.replace("http-equiv", "")
    for student, words in (("broken", "no JSON"), ("linked", "is a link"), ("renamed", "my lab.ipynb")):
        assert words in (graded / "feedback" / student / LAB / f"{LAB}.html").read_text(), student


def test_the_graded_notebook_is_the_master_with_the_answers(graded):
    shown = nbformat.read(graded / "autograded" / "slip" / LAB / f"{LAB}.ipynb", as_version=4)
    master = running.master(LAB)
    assert [c.metadata for c in shown.cells] == [c.metadata for c in master.cells]
    (error,) = running.graded(shown)["q4-stride"].outputs
    assert SLIPS["stride on the rows only"].diagnosis in error.evalue


def test_what_a_person_gave_stays_until_the_answer_changes(graded, tmp_path):
    course = tmp_path / "labs"
    shutil.copytree(graded, course, symlinks=True)
    with gradebook.opened(gradebook.url_of(course)) as book:
        row = book.find_grade("q7-answer", LAB, LAB, "solution")
        row.manual_score, row.needs_manual_grade = 3.0, False
        (comment,) = [c for c in book.find_submission_notebook(LAB, LAB, "solution").comments if c.name == "q7-answer"]
        comment.manual_comment = "Which kernels, <b>exactly</b>?"
        book.db.commit()
    grade_class.grade_class(Lab(course, LAB))
    page = (course / "feedback" / "solution" / LAB / f"{LAB}.html").read_text()
    assert "24 of 25" in page and "Which kernels, &lt;b&gt;exactly&lt;/b&gt;?" in page
    assert scores(course)["solution"] == 24
    again = running.with_answers(running.master(LAB), {"q1-solution": "", "q7-answer": "Another answer."})
    nbformat.write(again, course / "submitted" / "solution" / LAB / f"{LAB}.ipynb")
    outcome = grade_class.grade_class(Lab(course, LAB))
    assert (outcome.graded, outcome.unchanged) == (1, 5)
    with gradebook.opened(gradebook.url_of(course)) as book:
        row = book.find_grade("q7-answer", LAB, LAB, "solution")
        assert row.manual_score == 3.0 and row.needs_manual_grade
        assert book.find_grade("q1-hidden", LAB, LAB, "solution").auto_score == 0


def test_report_and_export(graded, capsys):
    file = graded / "out.csv"
    arguments = ["grade", "lab01", "--course", str(graded), "--report", "--export", str(file)]
    assert cli.main([*arguments, "--columns", "ID=student,Points=score"]) == 0
    assert "0 graded, 6 unchanged, 0 failed" in capsys.readouterr().out
    lines = file.read_text().splitlines()
    assert lines[0] == "ID,Points" and "slip,18.0" in lines and len(lines) == 7
    page = (graded / "reports" / f"{LAB}.html").read_text()
    assert "6 submissions" in page and "<script" not in page
    assert re.search(r"q4-stride</td><td class=\"n\">2 of 6", page)
    assert cli.main([*arguments, "--columns", "grade"]) == 2
    assert "columns must be chosen from student, first_name" in capsys.readouterr().err
    assert cli.main(["grade", "lab99", "--course", str(graded)]) == 1
    assert "'lab99' is no lab: choose one of lab01_convolution" in capsys.readouterr().err


def test_a_name_that_a_spreadsheet_would_run(tmp_path):
    assert gradebook._plain("=1+1") == "'=1+1" and gradebook._plain(-1.0) == -1.0 and gradebook._plain("Ada") == "Ada"


def test_nearly_the_same_answers_are_found():
    master = running.master(LAB)
    own = """
def conv_2d(x, w):
    rows = x.shape[0] - w.shape[0] + 1
    columns = x.shape[1] - w.shape[1] + 1
    result = []
    for top in range(rows):
        line = []
        for left in range(columns):
            total = 0.0
            for u in range(w.shape[0]):
                for v in range(w.shape[1]):
                    total = total + w[u][v] * x[top + u][left + v]
            line.append(total)
        result.append(line)
    return np.array(result)
"""
    renamed = own.replace("total", "acc").replace("line", "r").replace("result", "out  ").replace("top", "i")
    other = own.replace(
        "total = total + w[u][v] * x[top + u][left + v]", "total += float(w[u, v]) * x[top + u, v + left]"
    )
    answers = {"a": {"q3-solution": own}, "b": {"q3-solution": renamed}, "c": {"q3-solution": other}, "d": {}}
    found = report.alike(master, answers)
    assert [(pair.cell, pair.students) for pair in found] == [("q3-solution", ("a", "b"))] and found[0].share == 1
    model = {c.metadata.nbgrader.grade_id: c.source for c in master.cells if "nbgrader" in c.metadata}
    assert report.alike(master, {"a": model, "b": model}) == []


def test_a_zip_of_a_learning_platform(tmp_path):
    text = nbformat.writes(running.master(LAB))
    file = tmp_path / "moodle.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(f"Ada Lovelace_12_assignsubmission_file_/{LAB}.ipynb", text)
        archive.writestr("../../Eve_13_assignsubmission_file_/x.ipynb", text)
        archive.writestr("Eve_13_assignsubmission_file_/notes.txt", "no notebook")
        link = zipfile.ZipInfo("Bob_14_assignsubmission_file_/lab.ipynb")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    found = {one.student: one for one in collect.collect(Lab(tmp_path, LAB), file)}
    assert found.keys() == {"Ada Lovelace", "Eve", "Bob"}
    assert found["Ada Lovelace"].data() == text.encode() and "link" in found["Bob"].problem
    with pytest.raises(CollectError, match="neither a folder nor a zip file"):
        collect.collect(Lab(tmp_path, LAB), tmp_path / "nothing")
    with pytest.raises(CollectError, match="submitted is missing"):
        collect.collect(Lab(tmp_path, LAB))


SLOW = """
def output_size(n, k, stride=1, padding=0):
    import time

    time.sleep(0.005)
    return (n + 2 * padding - k) // stride + 1
"""


def test_killed_in_the_middle_it_goes_on_and_gives_the_same_marks(tmp_path):
    """Kill -9 of one worker, then of the grader: nobody is lost or graded twice, and no process stays."""
    course = new_course(tmp_path / "labs")
    points = {name: float(cell.metadata.nbgrader.points) for name, cell in running.graded(running.master(LAB)).items()}
    expected = {}
    for i, name in enumerate(["size as a float", "bias forgotten", "channels last", "not flipped"] * 2):
        slip = SLIPS[name]
        notebook = running.with_answers(running.master(LAB), {"q1-solution": SLOW, slip.cell: slip.source})
        hand_in(course, f"student{i:02d}", notebook)
        expected[f"student{i:02d}"] = 21 - sum(points[test] for test in slip.fails)
    command = [
        sys.executable,
        "-m",
        "cnn_course",
        "grade",
        "lab01",
        "--course",
        str(course),
        "--seed",
        "3",
    ]
    process = subprocess.Popen([*command, "--workers", "2"], stdout=subprocess.DEVNULL)
    wait(lambda: len(list(course.glob("autograded/*/*/grade.json"))) >= 2)
    workers = [child for child, args in graders_of(process.pid).items() if "classroom.pool" in args]
    os.kill(workers[-1], signal.SIGKILL)
    done = len(list(course.glob("autograded/*/*/grade.json")))
    wait(lambda: len(list(course.glob("autograded/*/*/grade.json"))) >= done + 1)
    started = graders_of(process.pid)
    assert len(started) >= 4  # two workers and their hosts
    process.kill()
    process.wait()
    wait(lambda: not any(_alive(pid) for pid in started))
    first = {path.parts[-3]: path.read_text() for path in course.glob("autograded/*/*/grade.json")}
    assert 3 <= len(first) < 8
    done = subprocess.run([*command, "--workers", "1"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert f"{8 - len(first)} graded, {len(first)} unchanged, 0 failed" in done.stdout
    assert all((course / "autograded" / s / LAB / "grade.json").read_text() == text for s, text in first.items())
    assert scores(course) == expected
    assert not list(course.rglob("*.part"))


def test_without_bubblewrap_it_refuses(graded, monkeypatch, capsys):
    monkeypatch.setenv("PATH", "")
    assert cli.main(["grade", "lab01", "--course", str(graded)]) == 1
    assert "bubblewrap is missing" in capsys.readouterr().err


def test_unsafe_gives_the_same_marks_and_says_what_it_costs(graded, tmp_path, capsys):
    course = new_course(tmp_path / "labs")
    hand_in(course, "slip", with_slip("stride on the rows only"))
    assert cli.main(["grade", "lab01", "--course", str(course), "--unsafe-no-sandbox"]) == 0
    assert "can read and change whatever you can" in capsys.readouterr().err
    assert scores(course) == {"slip": 18}


def _alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.05)


def test_grade_json_is_plain(graded):
    stored = json.loads((graded / "autograded" / "slip" / LAB / "grade.json").read_text())
    assert stored.keys() >= {"cells", "notes", "seconds", "seed", "fingerprint", "answers", "sources", "graded_at"}


def results_of(tmp_path):
    lab = Lab(new_course(tmp_path / "labs"), LAB)
    (lab.course / "autograded").mkdir(exist_ok=True)
    return Results(lab)


def test_a_seed_with_which_the_model_answer_loses_a_point_is_not_used(tmp_path):
    results, asked = results_of(tmp_path), []

    def lost(seed):
        asked.append(seed)
        return "" if len(asked) == 3 else "q6-hidden: 53 of 60"

    seed = results.seed(None, lost)
    assert len(asked) == 3 and seed == asked[2] != asked[1] != asked[0]
    assert results.seed(None, lost) == seed and len(asked) == 3, "it is asked once"
    with pytest.raises(GradeError, match="with the seed 7 .* loses a point .q6-hidden: 53 of 60.*--seed"):
        results.seed(7, lost)
    assert results.seed(None, lost) == seed, "nothing was written down"
    other = Results(results.lab)
    other.lab.master.cells[-1].source += "\n# another master"
    assert other.seed(None, lambda seed: asked.append(seed) or "") == seed and len(asked) == 5


def test_a_model_answer_that_passes_with_no_seed_is_said(tmp_path):
    with pytest.raises(GradeError, match="the model answer loses points with each of 5 seeds, at last: q1"):
        results_of(tmp_path).seed(None, lambda seed: "q1")
