"""Every argument of every command, wrong once: one clear line, an exit code that says so, and nothing lost.

The arguments are found in the parser, so a new one needs its line in WRONG. The work itself (training, a kernel, a
judge, a server) is taken out: a wrong value must be refused before it begins.
"""

import argparse
import contextlib
import dataclasses
import gzip
import hashlib
import io
import json
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import urllib.error
import zipfile
from pathlib import Path

import nbformat
import numpy as np
import pytest
import tiny_data
import torch
from jupyter_client import kernelspec
from nbformat.v4 import new_code_cell, new_notebook, new_output
from PIL import Image

pytest.importorskip("nbgrader", reason="grading needs nbgrader (the extra `teach`)")

from cnn_course import datasets, runs, train  # noqa: E402
from cnn_course.commands import cli, doctor, execute_notebook, grade, labs, run  # noqa: E402
from cnn_course.commands import open as open_  # noqa: E402
from cnn_course.data_sources import download, image_folder, published_files  # noqa: E402
from cnn_course.files.whole_files import write_whole  # noqa: E402
from cnn_course.grading import release  # noqa: E402
from cnn_course.grading.classroom import grade_class, gradebook, pool  # noqa: E402
from cnn_course.grading.classroom.results import Results  # noqa: E402
from cnn_course.grading.judging import judge  # noqa: E402
from cnn_course.grading.lab import Lab, is_graded, is_setup, is_solution, settings  # noqa: E402
from cnn_course.grading.sandbox import bubblewrap, cold_host  # noqa: E402
from labs import running  # noqa: E402

LAB = "lab01_convolution"
pytestmark = pytest.mark.slow
# What the tests take out.
FIT, EVALUATE, EXECUTE, JUDGE = train.fit, train.evaluate, execute_notebook.execute, judge.Judge.__call__
LONG = "x" * 5000
BYTES = "\udcff"  # what Python makes of a byte that is no UTF-8

# --- wrong values, by kind. "@name" is a file in the folder of odd ones.

WHOLE = ["", " ", "x", "1.5", "nan", "1e3", "0x10", "None", "½", "--", "9" * 5000, "1" + "0" * 30, BYTES]
NUMBER = ["", " ", "x", "nan", "inf", "-inf", "1e999", "0,5", "None", "--", "9" * 5000, BYTES]
WORDS = ["", " ", "two\nlines", "nonsense", LONG, "-x", BYTES]
NO_FOLDER = ["", " ", "@empty", "@pipe", "@broken", "@loop", "@below", "@in_readonly", "@in_locked", "x" * 300, LONG]
NO_NOTEBOOK = [
    *("", " ", "@empty", "@cut", "@foreign", "@list", "@folder", "@pipe", "@broken", "@loop", "@below", "@missing"),
    *("@locked", "@in_locked", "x" * 300, LONG, BYTES),
]
NO_FILE = ["", " ", "@folder", "@pipe", "@below", "@in_readonly", "@in_locked", "@in_missing", "/dev/null", "x" * 300]
FLAG = ["yes", ""]

# By command and argument (of an option its first name).
WRONG = {
    "": ["", "nonsense", LONG, BYTES, "--nonsense", "-x"],
    "--version": FLAG,
    "open LECTURE": [*WORDS, "0", "99", "@missing", "@list", "9" * 5000, "../01"],
    "open --no-browser": FLAG,
    "open --port": [*WHOLE, "0", "-1", "65536", "99999"],
    "run LECTURE": [*WORDS, "0", "99", "@missing", "@list", "9" * 5000, "../01", "@01_good.ipynb"],
    "run -p": [*("", "EPOCHS", "=3", "3=4", "a b=1", "EPOCH=3", "class=1"), f"EPOCHS={BYTES}", LONG, f"{LONG}=1"],
    "run --save": FLAG,
    "run --output": [*NO_FOLDER, "@lectures"],
    "data": ["", "nonsense", LONG, BYTES],
    "data get NAME": [*WORDS, "mnist/", "../mnist", "@folder"],
    "data verify NAME": [*WORDS, *NO_NOTEBOOK, "mnist", "@different"],
    "train MODEL": [*WORDS, "LeNet", "resnet"],
    "train --data": [*WORDS, *NO_NOTEBOOK, "mnist", "@different", "~nosuchuser/x"],
    "train --size": [*WHOLE, "0", "-1", "1000000", "1000000000"],
    "train --images": [*WHOLE, "0", "-1", "17", "1000000000"],
    "train --title": ["", " ", "two\nlines", BYTES, "-x"],
    "train --width": [*WHOLE, "0", "-1", "100000000", "1000000000"],
    "train --dropout": [*NUMBER, "-0.1", "1.5", "1e9"],
    "train --epochs": [*WHOLE, "0", "-1"],
    "train --batch-size": [*WHOLE, "0", "-1"],
    "train --optimizer": [*WORDS, "Adam"],
    "train --lr": [*NUMBER, "0", "-1", "1e300", "1e30"],
    "train --momentum": [*NUMBER, "-0.1", "1"],
    "train --weight-decay": [*NUMBER, "-1", "1e300", "1e30"],
    "train --schedule": [*WORDS, "linear"],
    "train --warmup": [*NUMBER, "-1", "10", "1e9"],
    "train --label-smoothing": [*NUMBER, "-0.1", "1"],
    "train --patience": [*WHOLE, "0", "-1"],
    "train --seed": [*WHOLE, "-1", "18446744073709551616"],
    "train --crop": [*WHOLE, "-1", "8", "5000", "1000000000"],
    "train --flip": FLAG,
    "train --rotate": [*NUMBER, "-1", "181"],
    "train --cutout": [*WHOLE, "-1", "8", "5000"],
    "train --device": [*WORDS, "meta", "cuda:99", "cuda:-1", "gpu", "hpu", "cpu:x", "mps", "xla"],
    "train --amp": FLAG,
    "train --channels-last": FLAG,
    "train --compile": FLAG,
    "train --output": NO_FOLDER,
    "train --name": ["", " ", ".", "..", "a/b", "/", "two\nlines", "x" * 300, LONG, "-x", BYTES, "é" * 150],
    "train --weights": FLAG,
    "train --overwrite": FLAG,
    "train --fresh": FLAG,
    "labs": ["", "nonsense", LONG, BYTES],
    "labs check LAB": [*WORDS, "lab99", "lab2", "../source", "@folder"],
    "labs check NOTEBOOK": NO_NOTEBOOK,
    "grade LAB": [*WORDS, "lab99", "lab2", "../release"],
    "grade --course": [*NO_NOTEBOOK, "@locked_folder"],
    "grade --submitted": [*NO_NOTEBOOK, "@locked_folder"],
    "grade --student-pattern": ["", " ", "(", "[", "a{99999999999}", "nonsense", "(?P<pupil>.*)", "two\nlines", BYTES],
    "grade --db": [
        *(*WORDS, "foo://x", "sqlite://", "sqlite:///:memory:", "mysql://host/x", "postgresql://host:port/x"),
        *("postgresql://127.0.0.1:1/x", "postgresql://127.0.0.1:99999/x", "sqlite:///@folder", "sqlite:///@pipe"),
        *("sqlite:///@foreign", "sqlite:///@below", "sqlite:///@in_locked", "sqlite:///@locked", "sqlite:///@other.db"),
        *("sqlite:///@in_missing", "sqlite:///@readonly.db", "sqlite:///@cut.db", "sqlite:///@loop"),
    ],
    "grade --workers": [*WHOLE, "0", "-1", "1000000000"],
    "grade --seconds": [*NUMBER, "0", "-1", "86401", "1e9"],
    "grade --seed": [*WHOLE, "-1", "18446744073709551616"],
    "grade --scheduler": [*WORDS, "tcp://", "foo://127.0.0.1:1", "tcp://127.0.0.1:99999999", "tcp://127.0.0.1:1", "1"],
    "grade --report": FLAG,
    "grade --export": NO_FILE,
    "grade --columns": ["", " ", "nonsense", "student,nonsense", ",", "=", "two\nlines", "=x", LONG],
    "grade --unsafe-no-sandbox": FLAG,
}

# What stands on the command line beside the wrong value: a right value for each argument that is needed.
NEEDED = {
    "open": {},
    "run": {"LECTURE": "1"},
    "data list": {},
    "data get": {"NAME": "digits"},
    "data verify": {"NAME": "digits"},
    "doctor": {},
    "train": {"MODEL": "mlp", "--data": "pictures", "--output": "@out", "--device": "cpu"},
    "labs check": {"LAB": "lab01"},
    "grade": {"LAB": "lab01", "--course": "@course"},
}
# Where the argument does something for other values of the others only.
BESIDE = {
    "train --dropout": {"MODEL": "lenet", "--size": "28"},
    "train --warmup": {"--schedule": "cosine"},
    "grade --columns": {"--export": "@points.csv"},
}


def found(parser: argparse.ArgumentParser, words: tuple[str, ...] = ()) -> dict[str, list[tuple[str, argparse.Action]]]:
    """By command, the name and the action of each of its arguments."""
    arguments = []
    below = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, sub in action.choices.items():
                below |= found(sub, (*words, name))
        elif not isinstance(action, argparse._HelpAction):
            name = action.option_strings[-1] if action.option_strings else str(action.metavar or action.dest).upper()
            if isinstance(action, argparse.BooleanOptionalAction):
                name = action.option_strings[0]
            arguments.append((name, action))
    return {" ".join(words): arguments} | below


COMMANDS = found(cli.build_parser())


def test_every_argument_has_its_wrong_values():
    arguments = {f"{command} {name}".strip() for command, names in COMMANDS.items() for name, _ in names}
    assert arguments == {key for key in WRONG if key and key not in COMMANDS}, "a new argument needs a line in WRONG"
    assert set(COMMANDS) - {""} - set(NEEDED) <= set(WRONG), "a new command needs a line in NEEDED"


# --- a small course, and a folder of odd files


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


@contextlib.contextmanager
def bound_by_permissions():
    """Root may read and write whatever it likes. Inside, not: its two rights to do so are laid down, and taken back."""
    if sys.platform != "linux" or os.geteuid() != 0:
        yield
        return
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3, this thread
    rights = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable, twice
    assert libc.capget(header, rights) == 0, "no capabilities on this system"
    before = rights[0]
    rights[0] &= ~(1 << 1 | 1 << 2)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    assert libc.capset(header, rights) == 0
    try:
        yield
    finally:
        rights[0] = before
        libc.capset(header, rights)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """One for all lines, because none may change it."""
    return make_world(tmp_path_factory.mktemp("world"))


def without_work(monkeypatch, world: Path) -> None:
    def reached(*args, **kwargs):
        raise Reached

    for command in (open_, run, grade, labs):
        monkeypatch.setattr(command, "repository", lambda: world)
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


@pytest.fixture
def still(monkeypatch, world):
    without_work(monkeypatch, world)
    return world


class Hangs(BaseException):
    pass


OBSCURE = ("unexpected", "[Errno", "Error:", "object has no", "<class")


@dataclasses.dataclass
class Ended:
    code: int
    out: str
    err: str


def ended(words: list[str], capsys) -> Ended:
    """What a command line comes to, within 30 seconds and with an ordinary user's rights."""

    def late(*args):
        raise Hangs

    signal.signal(signal.SIGALRM, late)
    signal.alarm(30)
    capsys.readouterr()
    code = -1
    try:
        with bound_by_permissions():
            code = cli.main(words)
    except SystemExit as stop:
        code = stop.code
    except Hangs:
        return Ended(-1, "", "hangs")
    except Exception as error:
        return Ended(-1, "", f"Traceback: {type(error).__name__}: {error}")
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
    return Ended(code, *capsys.readouterr())


def fault(end: Ended, names: list[str], obscure: tuple[str, ...] = OBSCURE) -> str:
    """What is wrong with how a wrong command line ended, "" for nothing. names: one of them must be in the message."""
    err = end.err
    if "Reached" in err or end.code == 0:
        return f"accepted: {err}"
    if end.code not in (1, 2):
        return f"exit code {end.code}: {err}"
    if "Traceback" in err or err.strip().count("\n"):
        return f"several lines: {err[:1000]}"
    for sign in obscure:
        if sign in err:
            return f"obscure ({sign}): {err}"
    err = err.rpartition("\r")[2]  # after a bar
    if not err.startswith("cnn-course") or len(err) > 1000:
        return f"no short line: {err[:1200]!r}"
    if not any(name and name in err for name in names):
        return f"names nothing: {err}"
    return ""


def right_words(command: str, odd: Path, **other: str) -> list[str]:
    """What stands behind a command: what it needs, and other arguments by name."""
    given = {name: filled(value, odd) for name, value in {**NEEDED[command], **other}.items()}
    places = [given[name] for name, action in COMMANDS[command] if not action.option_strings and name in given]
    return [*places, *(word for name, value in given.items() if name.startswith("-") for word in (name, value))]


def line(key: str, value: str, odd: Path) -> list[str]:
    """The command line in which one argument is wrong."""
    command = next((c for c in sorted(COMMANDS, key=len, reverse=True) if f"{key} ".startswith(f"{c} ") or not c), "")
    name = key.removeprefix(command).strip()
    if not name:  # the command itself
        return [*command.split(), value]
    other, words = dict(BESIDE.get(key, {})), []
    if dict(COMMANDS[command])[name].nargs == 0:
        words = [f"{name}={value}"]
    elif name.startswith("-"):
        words = [name, filled(value, odd)]
    else:
        other[name] = value
    return [*command.split(), *(right_words(command, odd, **other) if command else []), *words]


LINES = [(key, value) for key, values in WRONG.items() for value in dict.fromkeys(values)]


@pytest.mark.parametrize(("key", "value"), LINES, ids=[f"{key}={ascii(value)[:24]}" for key, value in LINES])
def test_wrong_value(key, value, still, capsys):
    before = state(still)
    value_shown = filled(value, still / "odd")
    end = ended(line(key, value, still / "odd"), capsys)
    name = key.rpartition(" ")[2]
    names = [
        name,
        name.strip("-"),
        name.strip("-").replace("-", "_"),
        value_shown.strip()[:20].encode(errors="backslashreplace").decode(),
        ascii(value_shown)[1:21],
        "invalid choice",
    ]
    assert fault(end, names) == ""
    assert state(still) == before


# --- files that are not what they should be

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


@pytest.fixture
def course(world, tmp_path, monkeypatch):
    """A world of one's own, to be spoiled."""
    copy(world, tmp_path)
    without_work(monkeypatch, tmp_path)
    return tmp_path


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


@pytest.fixture(scope="module")
def graded_once(world, tmp_path_factory):
    """The class, graded."""
    place = shutil.copytree(world / "labs", tmp_path_factory.mktemp("graded") / "labs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grade_class, "Pool", SamePoints)
        outcome = grade_class.grade_class(Lab(place, LAB), sandboxed=False)
    assert outcome.graded == 1
    return place


@pytest.fixture
def graded(graded_once, course, monkeypatch):
    """A graded class of one's own."""
    monkeypatch.setattr(grade_class, "Pool", SamePoints)
    shutil.rmtree(course / "labs")
    return shutil.copytree(graded_once, course / "labs")


def scores(place: Path) -> dict[str, float]:
    with gradebook.marks_of(Lab(place, LAB)) as marks:
        return {row["student"]: row["score"] for row in marks.rows()}


OLD_FORMAT = json.dumps({"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": []})


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


@pytest.mark.slow
def test_a_lab_whose_first_cell_fails(course, capsys, bubblewrap, monkeypatch):
    path = course / "labs" / "release" / LAB / f"{LAB}.ipynb"
    book = nbformat.read(path, as_version=4)
    next(cell for cell in book.cells if is_setup(cell)).source += "\nraise OSError('no such machine')"
    nbformat.write(book, path)
    monkeypatch.setattr(judge.Judge, "__call__", JUDGE)
    end = ended(["labs", "check", "lab01"], capsys)
    assert fault(end, ["the lab's first cell fails here: OSError: no such machine"], OBSCURE[:2]) == ""


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


# --- a full disk


class Disk:
    """A folder with little room: a small disk of its own for root, else a limit on how long a file may be."""

    def __init__(self, place: Path) -> None:
        self.place, self.filler = place, place / "filler"
        place.mkdir()
        self.size = 1 << 20
        mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "none", str(place)]
        self.mounted = os.geteuid() == 0 and subprocess.run(mount, capture_output=True).returncode == 0
        self.before = resource.getrlimit(resource.RLIMIT_FSIZE)

    @contextlib.contextmanager
    def leaving(self, size: int | None):
        """Inside, there are only `size` bytes left; None: until `fill` is called."""
        try:
            if size is not None:
                self.fill(size)
            yield
        finally:
            self.filler.unlink(missing_ok=True)
            if self.mounted:
                subprocess.run(["mount", "-o", "remount,size=64m", str(self.place)], check=True)
            resource.setrlimit(resource.RLIMIT_FSIZE, self.before)

    def fill(self, size: int) -> None:
        if not self.mounted:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, self.before[1]))
            return
        subprocess.run(["mount", "-o", f"remount,size={self.size}", str(self.place)], check=True)
        there = os.statvfs(self.place)
        with open(self.filler, "ab") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, there.f_bavail * there.f_frsize - size))

    def close(self) -> None:
        if self.mounted:
            subprocess.run(["umount", "-l", str(self.place)], check=True)


@pytest.fixture
def disk(tmp_path):
    disk = Disk(tmp_path / "disk")
    yield disk
    disk.close()


def full(end: Ended, name: str) -> str:
    """What is wrong with what was said of a full disk."""
    words = (
        "disk is full",
        "disk or",
        "disk, or",
        "may not become so large",
        "disk I/O",
        "No space left",
        "File too large",
    )
    return fault(end, [name]) or ("" if any(each in end.err for each in words) else f"not of the disk: {end.err}")


def parts(folder: Path) -> list[str]:
    """What half-written files there are. (SQLite's journal is none: from it the next run restores the gradebook.)"""
    return [str(path) for path in folder.rglob("*.part")]


def test_training_on_a_full_disk(course, disk, capsys, monkeypatch, one_thread):
    monkeypatch.setattr(train, "fit", FIT)
    out = disk.place / "runs"
    words = ["train", "mlp", "--data", "pictures", "--device", "cpu", "--epochs", "2", "--weights"]
    words += ["--batch-size", "16", "--output", str(out)]
    with disk.leaving(0):
        end = ended(words, capsys)  # before the first epoch
    assert full(end, "runs") == "" and "epoch 1" not in end.out, end
    with disk.leaving(12 << 10):
        end = ended(words, capsys)  # the checkpoint
    assert full(end, "checkpoint") == "" and "--fresh" not in end.err, end
    assert list(out.iterdir()) == []

    def evaluate(*args):
        disk.fill(0)
        return EVALUATE(*args)

    monkeypatch.setattr(train, "evaluate", evaluate)
    with disk.leaving(None):
        end = ended(words, capsys)  # the results
    assert full(end, "the same command goes on from there") == "", end
    assert [path.name for path in out.iterdir()] == ["mlp-pictures-s0.checkpoint"]

    monkeypatch.setattr(train, "evaluate", EVALUATE)
    end = ended(words, capsys)
    assert end.code == 0 and "2 of 2 epochs are done" in end.out, end
    endings = sorted(path.suffix for path in out.iterdir())
    assert endings == [".csv", ".json", ".safetensors"]


def test_results_that_found_no_room_for_the_last_file(course, disk, capsys, monkeypatch, one_thread):
    """The table is there and the .json is not: the same command writes it, without --overwrite."""
    monkeypatch.setattr(train, "fit", FIT)
    words = ["train", "mlp", "--data", "pictures", "--epochs", "1", "--output", str(course / "out"), "--device", "cpu"]

    def write(path, data):
        if path.suffix == ".json":
            raise OSError(28, "No space left on device")
        write_whole(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(runs, "write_whole", write)
        assert fault(ended(words, capsys), ["the same command goes on from there"]) == ""
    assert sorted(path.suffix for path in (course / "out").iterdir()) == [".checkpoint", ".csv"]
    assert ended(words, capsys).code == 0
    assert sorted(path.suffix for path in (course / "out").iterdir()) == [".csv", ".json"]


def test_outputs_of_a_lecture_on_a_full_disk(course, disk, capsys, monkeypatch):
    def execute(book, folder, on_cell):
        book.cells[0].outputs = [new_output("stream", name="stdout", text="x" * 100_000)]
        return execute_notebook.Outcome(book, 1.0, 1, "")

    monkeypatch.setattr(execute_notebook, "execute", execute)
    shutil.copytree(course / "lectures", disk.place / "lectures")
    monkeypatch.setattr(run, "repository", lambda: disk.place)
    (disk.place / "cnn_course").mkdir()
    lecture, kept = disk.place / "lectures" / "01_good.ipynb", disk.place / "out" / "01_good.ipynb"
    before = lecture.read_bytes()
    for size, said in ((0, "cannot write to"), (16 << 10, "01_good.ipynb ran")):
        for words in (["--output", str(disk.place / "out")], ["--save"]):
            with disk.leaving(size):
                end = ended(["run", "1", *words], capsys)
            assert full(end, said) == ""
    assert lecture.read_bytes() == before and not kept.exists() and parts(disk.place) == []
    for words in (["--output", str(disk.place / "out")], ["--save"]):
        assert ended(["run", "1", *words], capsys).code == 0
    assert lecture.stat().st_size > 100_000 < kept.stat().st_size


@pytest.mark.slow
def test_grading_on_a_full_disk(world, course, disk, capsys, monkeypatch):
    """However much room there is, a run says so, and the next one with room ends with the same points for all."""
    monkeypatch.setattr(grade_class, "Pool", SamePoints)
    stopped = 0
    for size in (0, 8, 16, 24, 32, 40, 56, 80, 120, 160, 240):
        place = disk.place / f"labs{size}"
        shutil.copytree(world / "labs", place)
        for name in ("bob", "cyd"):
            shutil.copytree(place / "submitted" / "ada", place / "submitted" / name)
        table = place / "points.csv"
        words = ["grade", "lab01", "--course", str(place), "--report", "--export", str(table)]
        with disk.leaving(size << 10):
            end = ended(words, capsys)
        if end.code != 0:
            stopped += 1
            assert full(end, str(disk.place)) == "", (size, end)
        else:
            assert table.exists()
        assert parts(place) == [], size
        end = ended(words, capsys)
        assert end.code == 0 and end.err == "", (size, end)
        assert len(scores(place)) == 3 and len(set(scores(place).values())) == 1
        assert [len(list((place / part).rglob("*.*"))) for part in ("feedback", "reports")] == [3, 1]
        assert len(table.read_text().splitlines()) == 4
        shutil.rmtree(place)
    assert stopped > 3


def test_a_release_on_a_full_disk(course, disk, capsys):
    place = disk.place / "labs"
    shutil.copytree(course / "labs" / "source", place / "source")
    shutil.copy(running.LABS / "nbgrader_config.py", place)
    with disk.leaving(4 << 10):
        assert release.main(["--labs", str(place)]) == 1
    err = capsys.readouterr().err
    assert full(Ended(1, "", err.replace("labs: ", "cnn-course: ", 1)), LAB) == ""
    assert [path for path in (place / "release").rglob("*") if path.is_file()] == []
    assert release.main(["--labs", str(place)]) == 0
    assert (place / "release" / LAB / f"{LAB}.ipynb").is_file()


def test_a_download_on_a_full_disk(course, disk, capsys, monkeypatch):
    """Files of noise in MNIST's place, from a server on this machine."""
    rng = np.random.default_rng(0)
    files, served = [], course / "served"
    served.mkdir()
    for file, array in zip(published_files.MNIST.files, tiny_data.tiny_arrays(), strict=True):
        array = rng.integers(0, 10, array.shape, dtype=np.uint8)
        plain = tiny_data.idx(array)
        packed = gzip.compress(plain)
        (served / f"{file.name}.gz").write_bytes(packed)
        sums = {"packed": tiny_data.sha256(packed), "unpacked": tiny_data.sha256(plain)}
        files.append(dataclasses.replace(file, size=len(packed), **sums))
    monkeypatch.setenv("CNN_COURSE_DATA", str(disk.place))
    with tiny_data.serving(served) as address:
        source = dataclasses.replace(published_files.MNIST, servers=(address,), files=tuple(files))
        monkeypatch.setitem(datasets.PUBLISHED, "mnist", datasets._idx_set(source, "mnist", tuple("0123456789")))
        for size in (0, 8, 40):
            with disk.leaving(size << 10):
                end = ended(["data", "get", "mnist"], capsys)
            assert full(end, str(disk.place)) == ""
        assert ended(["data", "get", "mnist"], capsys).code == 0
    assert not list(disk.place.rglob("*.part"))


# --- the process: what a terminal, a pipe and a locale may do


def shell(command: str, timeout: float = 120, **settings: str) -> Ended:
    """`command` in a shell, with cnn-course for the command."""
    words = command.replace("cnn-course", f"'{sys.executable}' -m cnn_course")
    done = subprocess.run(
        ["sh", "-c", words], capture_output=True, timeout=timeout, env={**os.environ, **settings}, check=False
    )
    return Ended(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))


ENCODINGS = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "latin": {"PYTHONIOENCODING": "latin-1"},
}


@pytest.mark.slow
@pytest.mark.parametrize("how", ENCODINGS)
def test_a_terminal_that_knows_few_letters(how, world):
    data = world / "data"
    words = ("data list", "--help", "train --help", "data verify пиво", "data verify pictures", "grade lab01 --help")
    for each in words:
        end = shell(f"cnn-course {each}", CNN_COURSE_DATA=str(data), **ENCODINGS[how])
        assert end.code == (1 if "пиво" in each else 0), (each, end)
        assert "Traceback" not in end.err and "unexpected" not in end.err, (each, end)


def test_every_message_and_table_can_be_printed_in_ascii(course, capsys, monkeypatch):
    """In this process, with a standard output as PYTHONIOENCODING=ascii makes it."""
    name = "ünï"
    shutil.copytree(course / "data" / "pictures", course / "data" / name)
    buffer = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(buffer, encoding="ascii"))
    assert cli.main(["data", "list"]) == 0
    assert cli.main(["data", "verify", name]) == 0
    assert rb"\xfcn\xef" in buffer.getvalue()


@pytest.mark.slow
def test_an_output_that_takes_nothing(world):
    settings = {"CNN_COURSE_DATA": str(world / "data")}
    for words in ("data list", "--help", "--version", "train --help"):
        for nobody in ("| true", "| head -c 1"):
            end = shell(f"cnn-course {words} {nobody}", **settings)
            assert end.err == "", (words, end)
        end = shell(f"cnn-course {words} > /dev/full", **settings)
        assert end.code == 1 and end.err.startswith("cnn-course: ") and "the disk is full" in end.err, (words, end)
        assert end.err.count("\n") == 1
        end = shell(f"cnn-course {words} >&-", **settings)
        assert "Traceback" not in end.err and "cnn-course: " not in end.err, end


@pytest.mark.slow
def test_a_folder_that_is_gone(tmp_path):
    (tmp_path / "gone").mkdir()
    for words in ("data list", "run 99", "train mlp --data digits --epochs 1", "doctor", "labs check lab01"):
        end = shell(f"cd '{tmp_path}/gone' && rmdir ../gone && cnn-course {words}")
        assert fault(end, ["the current folder is gone"]) == "" and end.code == 2, end
        (tmp_path / "gone").mkdir()
    end = shell(f"cd '{tmp_path}/gone' && rmdir ../gone && cnn-course --version")
    assert end.code == 0, end


@pytest.mark.parametrize("device", ["mps", "xla", "cuda:99", "gpu"])
def test_a_device_that_is_not_here(device, still, capsys):
    if device == "mps" and torch.backends.mps.is_available():
        pytest.skip("there is one here")
    end = ended(["train", "mlp", "--data", "digits", "--device", device], capsys)
    assert (
        fault(end, [device]) == "" and "The name must be one that is here: auto, cpu" in end.err and len(end.err) < 400
    ), end


@pytest.mark.parametrize("width", ["0", "-1", "1000000000"])
@pytest.mark.parametrize("model", ["mlp", "resnet20"])
def test_a_width_is_called_as_it_was_written(model, width, still, capsys):
    end = ended(["train", model, "--data", "digits", "--width", width], capsys)
    assert fault(end, ["--width"]) == "" and width in end.err and "hidden" not in end.err, end


DIVERGES = {
    "--lr 1e3 --weight-decay 1e18": "a smaller weight_decay than 1e+18: with lr 1000",
    "--lr 1e18 --weight-decay 1e18 --optimizer sgd": "a smaller weight_decay than 1e+18: with lr 1e+18",
}


@pytest.mark.parametrize("words", DIVERGES)
def test_a_training_that_diverges_names_what_was_too_large(words, still, tmp_path, capsys, monkeypatch, one_thread):
    monkeypatch.setattr(train, "fit", FIT)
    line = f"train mlp --data pictures --device cpu --epochs 9 {words} --output {tmp_path}"
    assert fault(ended(line.split(), capsys), [DIVERGES[words]]) == ""


def test_a_data_folder_that_cannot_be(still, capsys, monkeypatch):
    for root, words, said in (
        ("~nobody-of-that-name/x", "data list", "home folder for ~nobody-of-that-name/x"),
        ("/tmp/" + "x" * 300, "data get mnist", "the name is too long"),
    ):
        monkeypatch.setenv("CNN_COURSE_DATA", root)
        end = ended(words.split(), capsys)
        assert fault(end, ["CNN_COURSE_DATA"]) == "" and said in end.err and "permission" not in end.err, end


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="no /proc here")
def test_a_data_folder_whose_links_lead_everywhere(still, capsys, monkeypatch):
    monkeypatch.setenv("CNN_COURSE_DATA", "/proc")
    monkeypatch.setattr(image_folder, "MOST_ENTRIES", 20_000)
    end = ended(["data", "list"], capsys)
    assert end.code == 0 and "have more than 20,000 files below them" in end.out, end


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


def test_ctrl_c_is_one_word(course, capsys, monkeypatch):
    def interrupted(*args, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "fit", interrupted)
    monkeypatch.setattr(execute_notebook, "execute", interrupted)
    monkeypatch.setattr(grade_class, "Pool", interrupted)
    monkeypatch.setattr(judge.Judge, "__call__", interrupted)
    monkeypatch.setattr(datasets, "describe", interrupted)
    monkeypatch.setattr(datasets, "get", interrupted)
    odd = course / "odd"
    for command in ("train", "run", "grade", "labs check", "data list", "data get"):
        words = [*command.split(), *right_words(command, odd)]
        end = ended(words, capsys)
        assert (end.code, end.err) == (130, "\nStopped.\n"), (words, end)


@pytest.mark.slow
def test_no_kernel(course, capsys, monkeypatch):
    monkeypatch.setattr(execute_notebook, "execute", EXECUTE)

    def missing(self, name):
        raise kernelspec.NoSuchKernel(name)

    monkeypatch.setattr(execute_notebook.KernelSpecManager, "get_kernel_spec", missing)
    assert fault(ended(["run", "1"], capsys), ["no kernel starts: No such kernel named python3"]) == ""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "HOME"])
def test_open_with_a_home_that_can_only_be_read(name, course, tmp_path):
    """Below a file, no folder can be made: so it is for root as well."""
    (tmp_path / "file").write_text("")
    unset = "env -u XDG_RUNTIME_DIR -u JUPYTER_RUNTIME_DIR -u JUPYTER_DATA_DIR -u JUPYTER_CONFIG_DIR"
    home = f"HOME='{tmp_path}/home' {name}='{tmp_path}/file/x'"
    (tmp_path / "home").mkdir()
    end = shell(f"exec {unset} {home} timeout 60 cnn-course open 1 --no-browser")
    assert fault(end, ["JupyterLab does not start"]) == "", end
