"""A small course, to be spoiled, with the work taken out, and a folder of whatever may lie where a file was meant."""

import contextlib
import hashlib
import json
import os
import shutil
import sqlite3
from pathlib import Path

import nbformat
import numpy as np
from nbformat.v4 import new_code_cell, new_notebook
from PIL import Image

from cnn_course import train
from cnn_course.commands import execute_notebook, grade, labs, run, start
from cnn_course.commands import open as open_
from cnn_course.grading.classroom import grade_class, gradebook, pool
from cnn_course.grading.classroom.results import Results
from cnn_course.grading.judging import judge
from cnn_course.grading.lab import Lab, is_graded, settings
from cnn_course.grading.sandbox import bubblewrap, cold_host
from labs import running

LAB = "lab01_convolution"
# What the tests take out.
FIT, EVALUATE, EXECUTE, JUDGE = train.fit, train.evaluate, execute_notebook.execute, judge.Judge.__call__


class Reached(Exception):
    """The work would begin now."""


def notebook(text: str = "EPOCHS = 1") -> str:
    cell = new_code_cell(text, id="settings", metadata={"tags": ["parameters"]})
    return nbformat.writes(new_notebook(cells=[cell]))


def picture(path: Path, size: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(len(path.name)).integers(0, 256, (size, size), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def make_odd(odd: Path) -> None:
    """Whatever may lie where a file or a folder was meant."""
    odd.mkdir()
    whole = notebook()
    texts = {"empty": "", "cut": whole[: len(whole) // 2], "list": "[]", "01_good.ipynb": whole}
    for name, text in texts.items():
        (odd / name).write_text(text)
    (odd / "format3").write_text(json.dumps({"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": []}))
    (odd / "foreign").write_bytes(bytes(range(256)) * 40)
    for name in ("folder", "locked_folder", "readonly_folder"):
        (odd / name).mkdir()
    (odd / "locked_folder" / "x").write_text("x")
    (odd / "locked").write_text(whole)
    os.mkfifo(odd / "pipe")
    (odd / "broken").symlink_to("nowhere")
    (odd / "loop").symlink_to("loop")
    for i, size in enumerate((8, 9)):
        picture(odd / "different" / "ab"[i] / "1.png", size)
    book = running.empty_gradebook()
    (odd / "readonly.db").write_bytes(book)
    (odd / "cut.db").write_bytes(book[: len(book) // 2])
    with contextlib.closing(sqlite3.connect(odd / "other.db")) as other:
        other.execute("CREATE TABLE student (number INTEGER)")
        other.commit()
    for name, mode in (("locked", 0), ("locked_folder", 0), ("readonly_folder", 0o555), ("readonly.db", 0o444)):
        (odd / name).chmod(mode)


PLACES = {
    "below": "empty/x",
    "in_readonly": "readonly_folder/x",
    "in_locked": "locked_folder/x",
    "in_missing": "nowhere/x",
    "lectures": "../lectures",
    "course": "../labs",
    "out": "../out",
    "points.csv": "../points.csv",
}


def filled(value: str, odd: Path) -> str:
    """The value with "@name" replaced by the path of the odd file."""
    before, at, name = value.partition("@")
    return f"{before}{os.path.normpath(odd / PLACES.get(name, name))}" if at else value


def make_world(folder: Path) -> Path:
    """A clone with one lecture, lab01 with one submission, and pictures of two classes."""
    (folder / "cnn_course").mkdir()
    (folder / "lectures").mkdir()
    (folder / "lectures" / "01_good.ipynb").write_text(notebook())
    course = folder / "labs"
    for part in ("source", "release"):
        shutil.copytree(running.LABS / part / LAB, course / part / LAB)
    place = course / "submitted" / "ada" / LAB
    place.mkdir(parents=True)
    nbformat.write(running.released(LAB), place / f"{LAB}.ipynb")
    (course / "gradebook.db").write_bytes(running.empty_gradebook())
    lab = Lab(course, LAB)
    with gradebook.marks_of(lab):
        Results(lab).seed(1, lambda seed: "")
    for i in range(20):
        picture(folder / "data" / "pictures" / "ab"[i % 2] / f"{i}.png", 8)
    make_odd(folder / "odd")
    return folder


def state(folder: Path) -> dict[str, str]:
    """Every file and what it holds, every link and where it leads."""
    there = {}
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            if path.is_symlink():
                there[str(path)] = os.readlink(path)
            elif path.is_file() and os.access(path, os.R_OK):
                there[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
            else:
                there[str(path)] = "no file, or locked"
    return there


def without_work(monkeypatch, world: Path) -> None:
    def reached(*args, **kwargs):
        raise Reached

    for command in (start, open_, run, grade, labs):
        monkeypatch.setattr(command, "course", lambda: world)
    monkeypatch.setenv("CNN_COURSE_DATA", str(world / "data"))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(world / "odd" / "folder")
    monkeypatch.setattr(bubblewrap, "check", lambda: None)
    monkeypatch.setattr(cold_host, "nests", lambda: True)
    monkeypatch.setattr(train, "fit", reached)
    monkeypatch.setattr(execute_notebook, "execute", reached)
    monkeypatch.setattr(grade_class.Pool, "run", reached)
    monkeypatch.setattr(judge.Judge, "__call__", reached)
    monkeypatch.setattr(grade_class, "_lost_by_the_model", lambda *_: "")  # it is graded before the class
    from jupyterlab.labapp import LabApp

    monkeypatch.setattr(LabApp, "initialize_server", reached)


HOWS = ("empty", "cut", "foreign", "folder", "pipe", "broken", "loop", "locked")


def spoil(path: Path, how: str) -> None:
    """Put something else in the place of a file."""
    data = path.read_bytes()
    path.unlink()
    if how in ("folder",):
        path.mkdir()
    elif how == "pipe":
        os.mkfifo(path)
    elif how in ("broken", "loop"):
        path.symlink_to(path.name if how == "loop" else "nowhere")
    else:
        texts = {"empty": b"", "cut": data[: len(data) // 2], "foreign": bytes(range(256)) * 40, "locked": data}
        path.write_bytes(texts.get(how, how.encode()))
    if how == "locked":
        path.chmod(0)


def copy(world: Path, folder: Path) -> None:
    for name in ("cnn_course", "lectures", "labs", "data"):
        shutil.copytree(world / name, folder / name)
    make_odd(folder / "odd")


class SamePoints(pool.Pool):
    """In the place of a pool of judges: all points for everybody, the model answers too."""

    def __init__(self, make, seconds):
        super().__init__(make, seconds)
        self.lab = make.args[0]

    def warm(self, workers):
        pass

    def call(self, task):
        cells = [settings(cell) for cell in self.lab.master.cells if is_graded(cell)]
        points = [judge.CellGrade(cell["grade_id"], cell["points"], cell["points"]) for cell in cells]
        return judge.Grade(points, [], 0.0)

    def run(self, tasks, workers):
        yield from ((task, self.call(task)) for task in tasks)


OLD_FORMAT = json.dumps({"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": []})


def scores(place: Path) -> dict[str, float]:
    with gradebook.marks_of(Lab(place, LAB)) as marks:
        return {row["student"]: row["score"] for row in marks.rows()}
