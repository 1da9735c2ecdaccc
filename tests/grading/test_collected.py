"""What was handed in, as it comes: locked, damaged, doubled, badly named.

One odd item sets itself aside, and no mark is made of what could not be read.
"""

import json
import os
import re
import shutil
import sqlite3
import time
import zipfile

import nbformat
import pytest

pytest.importorskip("nbgrader", reason="grading needs nbgrader (the extra `teach`)")

from test_grade_class import LAB, hand_in, new_course, scores  # noqa: E402

from cnn_course.commands import cli  # noqa: E402
from cnn_course.errors import CollectError, SubmissionError, UnreadableError  # noqa: E402
from cnn_course.grading.classroom import collect, report  # noqa: E402
from cnn_course.grading.judging import submission  # noqa: E402
from cnn_course.grading.lab import Lab  # noqa: E402
from labs import running  # noqa: E402

MASTER = running.master(LAB)
HONEST = nbformat.writes(MASTER).encode()
NAME = f"{LAB}.ipynb"


def zipped(place, members, pattern=collect.PATTERN):
    """What is collected of a zip file with these members, by student."""
    with zipfile.ZipFile(place / "class.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    found = collect.collect(Lab(running.LABS, LAB), place / "class.zip", pattern)
    return {one.student: one for one in found}


def damaged(file):
    """A zip file whose member no longer has its checksum."""
    data = bytearray(file.read_bytes())
    data[len(data) // 3] ^= 0xFF
    file.write_bytes(data)


@pytest.mark.usefixtures("bubblewrap")
def test_what_cannot_be_read_gets_no_mark_and_an_old_one_stays(tmp_path, capsys, monkeypatch):
    course = new_course(tmp_path)
    for student in ("ada", "eve"):
        hand_in(course, student, MASTER)
    assert cli.main(["grade", "lab01", "--course", str(course)]) == 0
    before = scores(course)
    assert before["ada"] == before["eve"] == 21
    read = submission.read

    def locked(path, master):
        if "eve" in path.parts:
            raise UnreadableError(f"{path.name} cannot be opened: permission denied.")
        return read(path, master)

    monkeypatch.setattr(collect, "read", locked)  # root may read everything
    assert cli.main(["grade", "lab01", "--course", str(course)]) == 1
    said = capsys.readouterr()
    assert "0 graded, 1 unchanged, 1 failed" in said.out
    assert "eve: not graded: " in said.out + said.err and "permission denied" in said.out + said.err
    assert scores(course) == before


def test_a_file_without_read_permission_is_not_a_wrong_answer(tmp_path, monkeypatch):
    file = tmp_path / NAME
    file.write_bytes(HONEST)

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(UnreadableError, match="cannot be opened: permission denied"):
        submission.read(file, MASTER)


def test_a_member_with_a_wrong_checksum_is_not_a_wrong_answer(tmp_path):
    zipped(tmp_path, [(f"ada/{NAME}", HONEST)])
    damaged(tmp_path / "class.zip")
    (one,) = collect.collect(Lab(running.LABS, LAB), tmp_path / "class.zip")
    with pytest.raises(UnreadableError, match="cannot be read from the archive"):
        one.read(MASTER)


@pytest.mark.parametrize(
    ("members", "taken"),
    [
        ([f"ada/{NAME}", f"ada/backup/{NAME}"], f"ada/{NAME}"),
        ([f"ada/{NAME}", "ada/old/other.ipynb"], f"ada/{NAME}"),
        ([f"ada/work/{NAME}", "ada/notes.ipynb"], f"ada/work/{NAME}"),
        ([f"ada/{NAME}", "ada/another.ipynb"], f"ada/{NAME}"),
    ],
)
def test_of_several_notebooks_the_one_with_the_labs_name_that_lies_highest_counts(tmp_path, members, taken):
    found = zipped(tmp_path, [(name, HONEST) for name in [*members, f"eve/{NAME}"]])
    assert list(found) == ["ada", "eve"]
    assert found["ada"].member.filename == taken
    assert found["ada"].read(MASTER).notes[0] == f"Of 2 notebooks {taken} was taken."


@pytest.mark.parametrize(
    "members",
    [
        ["ada/one/x.ipynb", "ada/two/x.ipynb"],
        [f"ada/one/{NAME}", f"ada/two/{NAME}"],
        ["ada_1.ipynb", "ada_2.ipynb"],
        [f"ada/{NAME}", f"ada/{NAME}"],
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_notebooks_among_which_nothing_decides_set_their_student_aside(tmp_path, members):
    found = zipped(tmp_path, [(name, HONEST) for name in [*members, f"eve/{NAME}"]])
    assert found["eve"].problem == ""
    with pytest.raises(UnreadableError, match="2 notebooks have this student's name, among them ada"):
        found["ada"].read(MASTER)


def test_a_student_who_is_set_aside_does_not_stop_the_class(course, tmp_path, capsys):
    for name in ("Ada_1_x", "Ada_2_x", "Eve_3_x"):
        (tmp_path / "export" / name).mkdir(parents=True)
        (tmp_path / "export" / name / NAME).write_bytes(HONEST)
    assert cli.main(["grade", "lab01", "--course", str(course), "--submitted", str(tmp_path / "export")]) == 1
    said = capsys.readouterr().out
    assert "1 graded, 0 unchanged, 1 failed" in said and "Ada: not graded: 2 notebooks have this student's name" in said


def test_two_notebooks_with_other_names_in_one_folder_are_said_to_the_student(tmp_path):
    found = zipped(tmp_path, [("ada/a.ipynb", HONEST), ("ada/b.ipynb", HONEST), (f"eve/{NAME}", HONEST)])
    assert found["ada"].read(MASTER).problem == f"There are 2 notebooks and none is called {NAME}: hand in that one."


def test_names_that_would_be_written_alike_stay_apart(tmp_path):
    found = zipped(
        tmp_path, [(f"{name}/{NAME}", HONEST) for name in ("eve_", "eve?", "eve*", "o'brien")], "(?P<student>[^/]+)"
    )
    assert len(found) == 4 and {"eve_", "o_brien"} < set(found)
    course = new_course(tmp_path / "course")
    for name in ("eve_", "eve\x01"):
        hand_in(course, name, MASTER)
    names = [one.student for one in collect.collect(Lab(course, LAB))]
    assert len({*names}) == 2 and "eve_" in names


def test_a_few_bytes_that_would_be_millions_of_objects_are_refused_at_once(tmp_path):
    for part in ("{},", "[],", '{"a":1},', "1,", '"",'):
        data = b'{"cells": [' + part.encode() * (submission.LARGEST_FILE // len(part) - 10) + b"0]}"
        start = time.process_time()
        with pytest.raises(SubmissionError, match=r"[\d,]+ lists, objects and items; 1,000,000 are allowed"):
            submission.parse(data, MASTER)
        assert time.process_time() - start < 5  # minutes without the limit
    notebook = json.loads(HONEST)
    notebook["cells"][3]["outputs"] = [{"output_type": "display_data", "data": {"image/png": "A" * (8 << 20)}}]
    assert submission.parse(json.dumps(notebook).encode(), MASTER).answers


def test_an_emptied_gradebook_is_said_and_not_replaced(tmp_path, capsys):
    course = new_course(tmp_path)
    hand_in(course, "ada", MASTER)
    (course / "gradebook.db").write_bytes(b"")
    assert cli.main(["grade", "lab01", "--course", str(course)]) == 1
    assert "gradebook.db is empty: put a copy in its place" in capsys.readouterr().err
    assert (course / "gradebook.db").read_bytes() == b""


def test_a_number_with_thousands_of_digits_ends_no_report():
    lines = "\n".join(f"    y = y + BIG * x[{i}] - w[{i} + 1] / {i}" for i in range(30))
    own = {"q3-solution": f"BIG = 0x{'f' * 5_000}\ndef conv_2d(x, w):\n{lines}\n    return y\n"}
    (pair,) = report.alike(MASTER, {"ada": own, "eve": own})
    assert pair.students == ("ada", "eve") and pair.share == 1


@pytest.fixture(scope="module")
def once_graded(bubblewrap, tmp_path_factory):
    course = new_course(tmp_path_factory.mktemp("course"))
    hand_in(course, "ada", MASTER)
    assert cli.main(["grade", "lab01", "--course", str(course)]) == 0
    return course


@pytest.fixture
def course(once_graded, tmp_path):
    return shutil.copytree(once_graded, tmp_path / "course")


def changed(course, statement):
    with sqlite3.connect(course / "gradebook.db") as book:
        book.execute(statement)


@pytest.mark.parametrize(
    "statement", ["DELETE FROM grade", "UPDATE grade SET auto_score = NULL", "UPDATE grade SET auto_score = 1"]
)
def test_points_that_the_gradebook_has_lost_are_entered_again(course, statement, capsys):
    changed(course, statement)
    assert cli.main(["grade", "lab01", "--course", str(course)]) == 0
    said = capsys.readouterr().out
    assert "0 graded, 1 unchanged" in said and "has those again: ada" in said
    assert scores(course) == {"ada": 21}


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("DELETE FROM student", r"a row of \w+ belongs to none of student"),
        ("DELETE FROM submitted_notebook", r"a row of \w+ belongs to none of"),
        ("UPDATE grade SET auto_score = 'many'", "'many' stands for points"),
        ("UPDATE submitted_assignment SET timestamp = 'nonsense'", "'nonsense' stands for a time"),
    ],
)
def test_a_gradebook_that_is_damaged_inside_is_said(course, statement, says, capsys):
    changed(course, statement)
    assert cli.main(["grade", "lab01", "--course", str(course)]) == 1
    assert re.search(rf"is damaged \({says}.*put a copy in its place", said := capsys.readouterr().err), said


@pytest.mark.parametrize("edit", [("points", 1000.0), ("most", -1.0), ("name", "q1-other"), ("message", "\ud800")])
def test_a_result_that_was_edited_is_graded_again(course, edit, capsys):
    file = course / "autograded" / "ada" / LAB / "grade.json"
    stored = json.loads(file.read_text())
    stored["cells"][0][edit[0]] = edit[1]
    file.write_text(json.dumps(stored))
    assert cli.main(["grade", "lab01", "--course", str(course), "--report"]) == 0
    assert "1 graded, 0 unchanged" in capsys.readouterr().out
    assert scores(course) == {"ada": 21}


def test_an_export_through_a_link(course, tmp_path, capsys):
    def export(file):
        return cli.main(["grade", "lab01", "--course", str(course), "--export", str(file)])

    (tmp_path / "link").symlink_to(tmp_path / "points.csv")
    (tmp_path / "points.csv").write_text("old")
    assert export(tmp_path / "link") == 0
    assert (tmp_path / "link").is_symlink() and "ada,21.0" in (tmp_path / "points.csv").read_text()
    (tmp_path / "out").symlink_to("/proc/self/fd/1")
    (tmp_path / "nowhere").symlink_to(tmp_path / "missing")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    capsys.readouterr()
    for name, says in (("out", "a pipe or a device"), ("nowhere", "leads nowhere"), ("loop", "leads nowhere")):
        assert export(tmp_path / name) == 2
        assert says in capsys.readouterr().err and (tmp_path / name).is_symlink()
    assert export("/dev/stdout") == 2


def test_a_pattern_that_would_never_end_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(collect, "_MATCHING_SECONDS", 0.5)
    with pytest.raises(CollectError, match="takes too long for the 1 names in .*class.zip"):
        zipped(tmp_path, [("a" * 40 + "_/x.ipynb", HONEST)], "(?P<student>(a+)+)$")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda cell: cell["metadata"]["nbgrader"].update(points=10**400), "a number from 0 to 1,000,000, not 1000"),
        (lambda cell: cell.update(source="# \ud800"), "holds half a character"),
    ],
)
def test_a_master_that_nobody_can_grade_with_is_said(course, change, says, capsys):
    file = course / "source" / LAB / f"{LAB}.ipynb"
    master = json.loads(file.read_text())
    change(next(c for c in master["cells"] if c["id"] == "q1-visible"))
    file.write_text(json.dumps(master))
    assert cli.main(["grade", "lab01", "--course", str(course)]) == 1
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("option", ["timeout=abc", "check_same_thread=q"])
def test_an_option_of_a_database_that_is_none(course, option, capsys):
    address = f"sqlite:///{course}/gradebook.db?{option}"
    assert cli.main(["grade", "lab01", "--course", str(course), "--db", address]) == 1
    assert "has an option that is none" in capsys.readouterr().err
