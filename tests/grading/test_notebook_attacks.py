"""A class in which nearly everybody hands in something odd, and what a learning platform's zip file can hold."""

import contextlib
import json
import os
import re
import shutil
import time
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("nbgrader", reason="grading a class needs nbgrader (the extra `teach`)")

import nbformat  # noqa: E402

from cnn_course.errors import CollectError, SubmissionError
from cnn_course.grading.classroom import collect, grade_class, gradebook  # noqa: E402
from cnn_course.grading.judging import submission  # noqa: E402
from cnn_course.grading.lab import Lab  # noqa: E402
from grading.attacks_notebook import LAB, MASTER, TAMPERED  # noqa: E402
from labs import running  # noqa: E402


def shown(student):
    """A student's name as the gradebook has it."""
    return "".join(c if c.isprintable() else "_" for c in student)


@pytest.fixture(scope="module")
def graded(bubblewrap, tmp_path_factory):
    course = tmp_path_factory.mktemp("odd") / "labs"
    shutil.copytree(running.LABS / "source" / LAB, course / "source" / LAB)
    for one in TAMPERED:
        folder = course / "submitted" / one.student / LAB
        folder.mkdir(parents=True)
        one.hand_in(folder)
    honest = course / "submitted" / "zoe" / LAB
    honest.mkdir(parents=True)
    nbformat.write(MASTER, honest / f"{LAB}.ipynb")
    before = {path: path.lstat().st_size for path in (course / "submitted").rglob("*")}
    outcome = grade_class.grade_class(Lab(course, LAB), seed=5, seconds=60)
    assert outcome.failed == {} and outcome.graded == len(TAMPERED) + 1
    assert {path: path.lstat().st_size for path in (course / "submitted").rglob("*")} == before
    return course


@pytest.fixture(scope="module")
def rows(graded):
    with gradebook.marks_of(Lab(graded, LAB)) as marks:
        return {row["student"]: row for row in marks.rows()}


@pytest.mark.parametrize("one", TAMPERED, ids=lambda one: ascii(one.student))
def test_points_come_from_the_master_and_the_answers_alone(graded, rows, one):
    row = rows[shown(one.student)]
    assert (row["score"], row["max_score"]) == (one.points, 25)
    page = (graded / "feedback" / shown(one.student) / LAB / f"{LAB}.html").read_text()
    assert one.says in page


def test_the_others_keep_their_marks(rows):
    assert rows["zoe"]["score"] == 21 and len(rows) == len(TAMPERED) + 1


def test_nothing_of_a_student_runs_on_a_page(graded):
    pages = list((graded / "feedback").rglob("*.html"))
    assert len(pages) == len(TAMPERED) + 1
    for path in pages:
        text = path.read_text()
        assert not re.search(r"<script|<img|<svg|<a |javascript:(?!alert)|on\w+=x", text), path
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f]", text), path
    assert "&lt;script&gt;" in (graded / "feedback" / "script" / LAB / f"{LAB}.html").read_text()


def test_what_formgrader_shows_is_the_master_with_plain_text(graded):
    for path in (graded / "autograded").rglob(f"{LAB}.ipynb"):
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        assert [c.metadata for c in notebook.cells] == [c.metadata for c in MASTER.cells]
        for cell, own in zip(notebook.cells, MASTER.cells, strict=True):
            assert cell.cell_type == own.cell_type and "attachments" not in cell
            if running.grade_id(cell) == "q7-answer":
                fence, *lines, end = cell.source.split("\n")
                assert re.fullmatch("~{4,}text", fence) and end == fence.removesuffix("text")
                assert end not in "\n".join(lines)
            elif not cell.metadata.get("nbgrader", {}).get("solution"):
                assert cell.source == own.source
            assert all(output.output_type == "error" for output in cell.get("outputs", []))


def test_no_file_stands_where_a_name_points_to(graded):
    expected = {shown(one.student) for one in TAMPERED} | {"zoe", f".{LAB}.json"}
    assert {path.name for path in (graded / "autograded").iterdir()} == expected
    assert {path.name for path in graded.iterdir()} == {"source", "submitted", "autograded", "feedback", "gradebook.db"}


def test_no_formula_in_the_export(graded):
    file = graded.parent / "out.csv"
    with gradebook.marks_of(Lab(graded, LAB)) as marks:
        marks.export(file, ["student", "score"])
    lines = file.read_text().splitlines()
    assert len(lines) == len(TAMPERED) + 2
    assert not [line for line in lines if re.match(r'"?[=+@\-\t]', line)]
    assert any(line.startswith("'=cmd") for line in lines)


OWN = [{"cell_type": "code", "source": f"x{i}"} for i in range(9000)]
LONG = {"cell_type": "code", "id": "q3-solution", "source": "#" + "x" * 150_000}


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        ([{"cell_type": "code", "source": "\n" * 150_000 + "x"}], None),
        (OWN, r"and not cell \d+, cell \d+, cell \d+ and 8,697 more\."),
        ([LONG, LONG, LONG | {"source": "def conv_2d(x, w): ..."}], r"q3-solution has 300,\d+ characters"),
        ([{}] * 400_000, r"400,0\d+ cells; 10,000 are allowed"),
        ([{}] * 3_000_000, r"lists, objects and items; 1,000,000 are allowed"),
    ],
    ids=["empty lines", "cells of one's own", "parts of an answer", "cells", "parts"],
)
def test_a_large_notebook_is_read_in_a_moment(cells, says):
    """And it is told once what is wrong with it."""
    notebook = json.loads(nbformat.writes(MASTER))
    data = json.dumps(notebook | {"cells": notebook["cells"] + cells}).encode()
    start = time.monotonic()
    try:
        notes = submission.parse(data, MASTER).notes
    except SubmissionError as error:
        notes = [str(error)]
    assert time.monotonic() - start < 15
    assert len([note for note in notes if re.search(says or "$^", note)]) == (says is not None)
    assert len(notes) <= 2


TEXT = nbformat.writes(MASTER).encode()
BOMB = b'{"cells": [' + b" " * (60 << 20)


def packed(file, members):
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return file


def test_a_zip_with_everything_that_a_zip_can_hold(tmp_path):
    link = zipfile.ZipInfo("Bob_2_file_/lab.ipynb")
    link.external_attr = 0o120777 << 16
    members = [
        (f"Ada_1_file_/{LAB}.ipynb", TEXT),
        (link, "/etc/passwd"),
        (f"../../../../tmp/Cid_3_file_/{LAB}.ipynb", TEXT),
        (f"/etc/Dora_4_file_/{LAB}.ipynb", TEXT),
        ("Eve_5_file_/bomb.ipynb", BOMB),
        ("Fay_6_file_/one.ipynb", TEXT),
        ("Fay_6_file_/two.ipynb", TEXT),
        ("Gus_7_file_/lab01.pdf", b"%PDF"),
        (f"Hal_8_file_/{LAB}.ipynb", TEXT),
        ("Hal_8_file_/draft.ipynb", b"{}"),
        ("Ida_9_file_/LAB01.IPYNB", TEXT),
        ("\u7530" * 90 + "_10_file_/lab.ipynb", TEXT),
        (" . /lab.ipynb", TEXT),
        ("<script>_11_/lab.ipynb", TEXT),
        ("__MACOSX/Ada_1_file_/._lab01.ipynb", b"junk"),
        ("readme.txt", b"not a student"),
    ]
    file = packed(tmp_path / "moodle.zip", members)
    found = {one.student: one for one in collect.collect(Lab(tmp_path, LAB), file)}
    problems = {student: one.problem for student, one in found.items() if one.problem}
    assert problems.keys() == {"Bob", "Fay", "Gus"}
    assert "links are not followed" in problems["Bob"] and "2 notebooks" in problems["Fay"]
    assert "no notebook" in problems["Gus"]
    assert {"Ada", "tmp", "etc", "Eve", "Hal", "Ida", "_script_"} < found.keys() and len(found) == 12
    assert all(len(os.fsencode(student)) <= 200 and "/" not in student for student in found)
    assert found["Ada"].data() == found["Hal"].data() == found["Ida"].data() == TEXT
    with pytest.raises(SubmissionError, match="more than 20 MB"):
        found["Eve"].data()
    assert not Path("/tmp", "Cid_3_file_").exists() and sorted(p.name for p in tmp_path.iterdir()) == ["moodle.zip"]


@pytest.mark.parametrize("spoil", ["deflate", "method", "encrypted", "sum"])
def test_one_broken_member_of_a_zip_costs_nobody_else(tmp_path, spoil):
    file = packed(tmp_path / "all.zip", [("ada_1/lab.ipynb", TEXT), ("bob_2/lab.ipynb", TEXT)])
    data = bytearray(file.read_bytes())
    with zipfile.ZipFile(file) as archive:
        start = archive.getinfo("bob_2/lab.ipynb").header_offset
    central = data.rindex(b"PK\x01\x02")
    if spoil == "deflate":
        data[start + 60 : start + 160] = b"\xff" * 100
    elif spoil == "method":
        data[central + 10] = data[start + 8] = 99
    elif spoil == "encrypted":
        data[central + 8] |= 1
        data[start + 6] |= 1
    else:
        data[central + 16 : central + 20] = b"\0\0\0\0"
    file.write_bytes(data)
    found = {one.student: one for one in collect.collect(Lab(tmp_path, LAB), file)}
    assert found["ada"].data() == TEXT
    with pytest.raises(SubmissionError, match="cannot be read from the archive"):
        found["bob"].data()


def test_a_folder_with_links(tmp_path):
    place = tmp_path / "export"
    for name in ("ada_1", "bob_2"):
        (place / name).mkdir(parents=True)
    (place / "ada_1" / "lab.ipynb").write_bytes(TEXT)
    (place / "bob_2" / "lab.ipynb").symlink_to(place / "ada_1" / "lab.ipynb")
    (place / "cid_3").symlink_to(place / "ada_1")
    (place / "loop_4").mkdir()
    (place / "loop_4" / "again").symlink_to(place)
    found = {one.student: one for one in collect.collect(Lab(tmp_path, LAB), place)}
    assert found["ada"].path == place / "ada_1" / "lab.ipynb"
    assert "links are not followed" in found["bob"].problem and found["bob"].path is None
    assert all(one.path is None for student, one in found.items() if student != "ada")


def test_zip_files_that_are_none(tmp_path):
    file = packed(tmp_path / "all.zip", [("ada_1/lab.ipynb", TEXT)])
    data = file.read_bytes()
    for broken in (data[:-30], b"PK\x03\x04" + b"\0" * 100, data.replace(b"PK\x01\x02", b"PK\x09\x09")):
        file.write_bytes(broken)
        with pytest.raises(CollectError):
            collect.collect(Lab(tmp_path, LAB), file)
    with contextlib.suppress(OSError):
        os.truncate(file, 0)
    with pytest.raises(CollectError):
        collect.collect(Lab(tmp_path, LAB), file)
