"""Files and folders that are not what they should be: each command names what it found, and nothing is lost."""

import gzip
import json
import os
import shutil
import sys
import urllib.error
import zipfile
from pathlib import Path

import nbformat
import pytest

from cnn_course import train
from cnn_course.commands import doctor
from cnn_course.data_sources import download, published_files
from cnn_course.grading import release
from cnn_course.grading.classroom import grade_class
from cnn_course.grading.judging import judge
from cnn_course.grading.lab import is_setup, is_solution, settings
from command_line.endings import OBSCURE, Ended, bound_by_permissions, ended, fault
from command_line.odd_course import FIT, HOWS, JUDGE, LAB, OLD_FORMAT, SamePoints, filled, scores, spoil, state
from command_line.wrong_lines import line, right_words
from labs import running

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("how", [*HOWS, "[]", "{}", OLD_FORMAT], ids=lambda how: how[:12])
def test_a_lecture_that_is_none(how, course, capsys):
    spoil(course / "lectures" / "01_good.ipynb", how)
    assert fault(ended(["run", "1"], capsys), ["01_good.ipynb"]) == ""


def edited(path: Path, change) -> None:
    book = nbformat.read(path, as_version=4)
    change([cell for cell in book.cells if settings(cell).get("grade")][0])
    nbformat.write(book, path)


CHANGES = {
    "no points": lambda cell: cell.metadata.nbgrader.pop("points"),
    "points in words": lambda cell: cell.metadata.nbgrader.update(points="two"),
    "negative points": lambda cell: cell.metadata.nbgrader.update(points=-1),
    "no name": lambda cell: cell.metadata.nbgrader.pop("grade_id"),
    "a name twice": lambda cell: cell.metadata.nbgrader.update(grade_id="conv2d_valid"),
    "settings in words": lambda cell: cell.metadata.update(nbgrader="none"),
    "no Python": lambda cell: cell.update(source="def"),
}


@pytest.mark.parametrize("how", [*HOWS, "[]", "{}", OLD_FORMAT, *CHANGES], ids=lambda how: how[:12])
@pytest.mark.parametrize("part", ["source", "release"])
def test_a_lab_that_is_none(part, how, course, capsys):
    path = course / "labs" / part / LAB / f"{LAB}.ipynb"
    if how in CHANGES:
        book = nbformat.read(path, as_version=4)
        names = [settings(cell).get("grade_id") for cell in book.cells if is_solution(cell)]
        CHANGES["a name twice"] = lambda cell: cell.metadata.nbgrader.update(grade_id=names[0])
        edited(path, CHANGES[how])
    else:
        spoil(path, how)
    words = ["labs", "check", "lab01"] if part == "release" else ["grade", "lab01", "--course", str(course / "labs")]
    before = state(course)
    assert fault(ended(words, capsys), [LAB, "lab01"]) == ""
    assert state(course) == before


@pytest.mark.parametrize("how", [*HOWS, "[]", "{}", '{"seed": "x"}', '{"seed": -1}', '{"seed": NaN}'])
def test_a_seed_that_cannot_be_read_is_not_drawn_anew(how, graded, capsys):
    before = scores(graded)
    spoil(graded / "autograded" / f".{LAB}.json", how)
    assert fault(ended(["grade", "lab01", "--course", str(graded)], capsys), ["--seed"]) == ""
    if how not in ("folder", "pipe"):
        end = ended(["grade", "lab01", "--course", str(graded), "--seed", "1"], capsys)
        assert end.code == 0 and "1 unchanged" in end.out, end
    assert scores(graded) == before


@pytest.mark.parametrize("how", [*HOWS, "[]", "{}", "null", '{"cells": [{"x": 1}], "notes": []}'])
def test_a_grade_that_cannot_be_read_is_given_again(how, graded, capsys):
    before = scores(graded)
    file = graded / "autograded" / "ada" / LAB / "grade.json"
    good = json.loads(file.read_text())
    spoil(file, how)
    end = ended(["grade", "lab01", "--course", str(graded), "--report"], capsys)
    if how in ("folder", "pipe", "locked"):
        assert fault(end, [str(file)]) == ""
    else:
        assert end.code == 0 and "1 graded" in end.out, end
        assert json.loads(file.read_text())["cells"] == good["cells"]
    assert scores(graded) == before


@pytest.mark.parametrize("how", ["cut", "foreign", "folder", "pipe", "loop", "locked", "readonly"])
def test_a_gradebook_that_is_none(how, graded, capsys):
    book = graded / "gradebook.db"
    if how == "readonly":
        book.chmod(0o444)
        shutil.copytree(graded / "submitted" / "ada", graded / "submitted" / "bob")
    else:
        spoil(book, how)
    end = ended(["grade", "lab01", "--course", str(graded)], capsys)
    assert fault(end, ["gradebook"]) == ""


@pytest.mark.parametrize("how", [*HOWS, "cnn-course checkpoint, version 1\n"], ids=lambda how: how[:12])
def test_a_checkpoint_that_is_none(how, course, capsys, monkeypatch, one_thread):
    monkeypatch.setattr(train, "fit", FIT)
    words = line("train --epochs", "1", course / "odd")
    assert ended(words, capsys).code == 0
    shutil.rmtree(course / "out")
    (course / "out").mkdir()
    checkpoint = course / "out" / "mlp-pictures-s0.checkpoint"
    checkpoint.write_bytes(b"cnn-course checkpoint, version 1\n" + b"0" * 1000)
    spoil(checkpoint, how)
    before = state(course)
    end = ended(words, capsys)
    if how == "broken":  # as where there is none
        assert end.code == 0, end
        return
    assert fault(end, [str(checkpoint)]) == ""
    assert ("--fresh" in end.err) == (how not in ("folder", "pipe", "loop", "locked")), end.err
    assert state(course) == before


@pytest.mark.parametrize("how", ["empty", "pipe", "broken", "loop", "below", "missing", "locked_folder", "in_locked"])
def test_a_data_folder_that_is_none(how, course, capsys, monkeypatch, one_thread):
    monkeypatch.setenv("CNN_COURSE_DATA", filled(f"@{how}", course / "odd"))
    before = state(course)
    for words in (["data", "list"], ["data", "verify"]):
        end = ended(words, capsys)
        assert end.code == 0 and not end.err or fault(end, ["CNN_COURSE_DATA", "odd"]) == "", end
    for words in (["data", "verify", "mnist"], ["train", "mlp", "--data", "mnist"]):
        assert fault(ended(words, capsys), ["odd", "data get mnist"]) == ""
    monkeypatch.setattr(published_files, "fetch", lambda *args, **more: pytest.fail("there is no place for it"))
    assert state(course) == before


def test_one_locked_folder_leaves_the_other_data(course, capsys):
    (course / "data" / "theirs").mkdir(mode=0)
    (course / "data" / "MNIST").mkdir(mode=0)
    (course / "data" / "loop").symlink_to("loop")
    end = ended(["data", "list"], capsys)
    assert end.code == 0 and "pictures" in end.out and "mnist" in end.out, end
    end = ended(["data", "verify"], capsys)
    assert "pictures: 16 / 2 / 2 images" in end.out, end


def test_the_doctor_sees_a_locked_data_folder(course, capsys, monkeypatch):
    monkeypatch.setenv("CNN_COURSE_DATA", str(course / "odd" / "locked_folder" / "x"))
    end = ended(["doctor"], capsys)
    assert end.code == 0 and "The course can run." in end.out and "Traceback" not in end.out + end.err, end
    monkeypatch.setenv("CNN_COURSE_DATA", "~nosuchuser/x")
    end = ended(["doctor"], capsys)
    assert end.code == 0 and "nosuchuser" in end.out and "Traceback" not in end.out + end.err, end


def test_a_check_of_the_doctor_that_fails_itself_is_a_line(monkeypatch):
    def broken():
        raise PermissionError(13, "Permission denied", "/some/place")

    monkeypatch.setattr(doctor, "check_threads", broken)
    found = {check.name: check for check in doctor.examine()}
    assert found["Threads"].found.startswith("cannot be examined: /some/place: permission denied")
    assert "Disk" in found


@pytest.mark.parametrize("how", ["cut", "foreign", "locked"])
def test_an_export_of_a_learning_platform_that_is_damaged(how, course, capsys):
    place = course / "all.zip"
    with zipfile.ZipFile(place, "w") as archive:
        archive.write(course / "labs" / "submitted" / "ada" / LAB / f"{LAB}.ipynb", f"Ada_1_x/{LAB}.ipynb")
    spoil(place, how)
    words = ["grade", "lab01", "--course", str(course / "labs"), "--submitted", str(place)]
    assert fault(ended(words, capsys), [str(place)]) == ""


@pytest.mark.parametrize("how", [*HOWS, OLD_FORMAT, "settings 1/0", "settings folder", "release", "pipe beside"])
def test_a_release_that_cannot_be_built(how, course, capsys):
    place = course / "labs"
    shutil.copy(running.LABS / "nbgrader_config.py", place)
    master = place / "source" / LAB / f"{LAB}.ipynb"
    if how.startswith("settings"):
        spoil(place / "nbgrader_config.py", how.removeprefix("settings "))
    elif how == "release":
        shutil.rmtree(place / "release")
        (place / "release").write_text("")
    elif how == "pipe beside":
        os.mkfifo(master.parent / "picture.png")
    else:
        spoil(master, how)
    before = state(course)
    capsys.readouterr()
    with bound_by_permissions():
        code = release.main(["--labs", str(place)])
    err = capsys.readouterr().err
    assert fault(Ended(code, "", err.replace("labs: ", "cnn-course: ", 1)), [str(place)], OBSCURE[:2]) == ""
    assert state(course) == before


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("raise OSError('no such machine')", "the lab's first cell fails here: OSError: no such machine"),
        ("import torchh", "this lab needs torchh, which cannot be imported here"),
    ],
)
def test_a_lab_whose_first_cell_fails(line, says, course, capsys, bubblewrap, monkeypatch):
    path = course / "labs" / "release" / LAB / f"{LAB}.ipynb"
    book = nbformat.read(path, as_version=4)
    next(cell for cell in book.cells if is_setup(cell)).source += f"\n{line}"
    nbformat.write(book, path)
    monkeypatch.setattr(judge.Judge, "__call__", JUDGE)
    end = ended(["labs", "check", "lab01"], capsys)
    assert fault(end, [says], OBSCURE[:2]) == ""


@pytest.mark.parametrize("how", [how for how in HOWS if how != "folder"])
def test_a_picture_that_is_none(how, course, capsys):
    spoil(course / "data" / "pictures" / "a" / "4.png", how)
    before = state(course)
    for words in (["data", "verify", "pictures"], ["train", "mlp", "--data", "pictures"]):
        assert fault(ended(words, capsys), ["4.png"]) == ""
    assert state(course) == before


@pytest.mark.parametrize("how", [*HOWS, "part folder", "part pipe", "part locked"])
def test_a_download_that_finds_something_else(how, course, capsys, monkeypatch):
    """Where it can be mended by fetching the file, that is said or done; else the message names the file."""
    monkeypatch.setattr(download.urllib.request, "urlopen", no_network)
    raw = course / "data" / published_files.MNIST.folder
    raw.mkdir(parents=True)
    file = raw / "train-images-idx3-ubyte.gz"
    if how.startswith("part"):
        file = file.with_name(f"{file.name}.part")
        how = how.removeprefix("part ")
    file.write_bytes(gzip.compress(bytes(1000)))
    spoil(file, how)
    assert fault(ended(["data", "get", "mnist"], capsys), ["train-images-idx3-ubyte"]) == ""
    assert fault(ended(["data", "verify", "mnist"], capsys), ["train-images-idx3-ubyte"]) == ""


def no_network(*args, **more):
    raise urllib.error.URLError("no network here")


def test_a_master_with_other_questions_than_before(graded, capsys):
    master = graded / "source" / LAB / f"{LAB}.ipynb"
    edited(master, lambda cell: cell.metadata.nbgrader.update(grade_id="another"))
    assert fault(ended(["grade", "lab01", "--course", str(graded)], capsys), ["Put the old master back"]) == ""


@pytest.mark.parametrize(("command", "module"), [("grade", "nbgrader.api"), ("run", "nbclient"), ("train", "torch")])
def test_a_package_that_is_missing(command, module, course, capsys, monkeypatch):
    for name in ("train_model", "execute_notebook"):
        monkeypatch.delitem(sys.modules, f"cnn_course.commands.{name}", raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    end = ended([*command.split(), *right_words(command, course / "odd")], capsys)
    assert fault(end, [f"{module} cannot be imported"]) == ""


@pytest.mark.parametrize("place", ["reports", "feedback", "autograded"])
def test_a_file_where_a_folder_of_results_should_be(place, course, capsys, monkeypatch):
    monkeypatch.setattr(grade_class, "Pool", SamePoints)
    labs = course / "labs"
    shutil.rmtree(labs / place, ignore_errors=True)
    (labs / place).write_text("")
    words = ["grade", "lab01", "--course", str(labs), "--report"]
    assert fault(ended(words, capsys), [str(labs / place)]) == ""
    (labs / place).unlink()
    assert ended(words, capsys).code == 0


@pytest.mark.parametrize("how", ["folder", "pipe", "device", "loop"])
def test_a_checkpoint_that_is_no_file(how, course, capsys, monkeypatch, one_thread):
    monkeypatch.setattr(train, "fit", FIT)
    (course / "out").mkdir()
    place = course / "out" / "x.checkpoint"
    if how == "device":
        place.symlink_to("/dev/zero")
    else:
        place.write_bytes(b"")
        spoil(place, how)
    line = f"train mlp --data pictures --device cpu --epochs 1 --name x --output {course / 'out'}"
    end = ended(line.split(), capsys)
    assert fault(end, [str(place)]) == "" and "Move away what is there, or name another file" in end.err, end
    if how == "folder":
        end = ended([*line.split(), "--fresh"], capsys)
        assert fault(end, [str(place)]) == "" and "Move it away, or choose another --name" in end.err, end
