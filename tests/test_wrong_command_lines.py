"""Every argument of every command, wrong once: one clear line, an exit code that says so, and nothing lost.

The arguments are found in the parser, so a new one needs its line in WRONG. The work itself (training, a kernel, a
judge, a server) is taken out: a wrong value must be refused before it begins.
"""

import argparse
import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
import signal
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from PIL import Image

pytest.importorskip("nbgrader", reason="grading needs nbgrader (the extra `teach`)")

from cnn_course import train  # noqa: E402
from cnn_course.commands import cli, execute_notebook, grade, labs, run  # noqa: E402
from cnn_course.commands import open as open_  # noqa: E402
from cnn_course.grading.classroom import grade_class, gradebook  # noqa: E402
from cnn_course.grading.classroom.results import Results  # noqa: E402
from cnn_course.grading.judging import judge  # noqa: E402
from cnn_course.grading.lab import Lab  # noqa: E402
from cnn_course.grading.sandbox import bubblewrap, cold_host  # noqa: E402
from labs import running  # noqa: E402

LAB = "lab01_convolution"
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
    "train --lr": [*NUMBER, "0", "-1"],
    "train --momentum": [*NUMBER, "-0.1", "1"],
    "train --weight-decay": [*NUMBER, "-1"],
    "train --schedule": [*WORDS, "linear"],
    "train --warmup": [*NUMBER, "-1", "10", "1e9"],
    "train --label-smoothing": [*NUMBER, "-0.1", "1"],
    "train --patience": [*WHOLE, "0", "-1"],
    "train --seed": [*WHOLE, "-1", "18446744073709551616"],
    "train --crop": [*WHOLE, "-1", "8", "5000", "1000000000"],
    "train --flip": FLAG,
    "train --rotate": [*NUMBER, "-1", "181"],
    "train --cutout": [*WHOLE, "-1", "8", "5000"],
    "train --device": [*WORDS, "meta", "cuda:99", "cuda:-1", "gpu", "hpu", "cpu:x"],
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
    "grade --submitted": [*NO_NOTEBOOK, "@locked_folder", "@twice"],
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
    for name in ("Ada_1_x", "Ada_2_x"):
        (odd / "twice" / name).mkdir(parents=True)
        (odd / "twice" / name / f"{LAB}.ipynb").write_text(whole)
    book = running.empty_gradebook()
    (odd / "readonly.db").write_bytes(book)
    (odd / "cut.db").write_bytes(book[: len(book) // 2])
    with contextlib.closing(__import__("sqlite3").connect(odd / "other.db")) as other:
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
        Results(lab).seed(1)
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
            elif path.is_file():
                there[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
            else:
                there[str(path)] = "no file"
    return there


@contextlib.contextmanager
def bound_by_permissions():
    """Root may read and write whatever it likes. Inside, not: its two rights to do so are laid down, and taken back."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
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
    monkeypatch.setattr(grade_class, "Pool", reached)
    monkeypatch.setattr(judge.Judge, "__call__", reached)
    from jupyterlab.labapp import LabApp

    monkeypatch.setattr(LabApp, "initialize_server", reached)


@pytest.fixture
def still(monkeypatch, world):
    without_work(monkeypatch, world)
    return world


class Hangs(BaseException):
    pass


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


def fault(end: Ended, names: list[str]) -> str:
    """What is wrong with how a wrong command line ended, "" for nothing. names: one of them must be in the message."""
    err = end.err
    if "Reached" in err or end.code == 0:
        return f"accepted: {err}"
    if end.code not in (1, 2):
        return f"exit code {end.code}: {err}"
    if "Traceback" in err or err.strip().count("\n"):
        return f"several lines: {err[:1000]}"
    for sign in ("unexpected", "[Errno", "Error:", "object has no", "<class"):
        if sign in err:
            return f"obscure ({sign}): {err}"
    if not err.startswith("cnn-course") or len(err) > 1000:
        return f"no short line: {err[:1200]!r}"
    if not any(name and name in err for name in names):
        return f"names nothing: {err}"
    return ""


def line(key: str, value: str, odd: Path) -> list[str]:
    """The command line in which one argument is wrong."""
    command = next((c for c in sorted(COMMANDS, key=len, reverse=True) if f"{key} ".startswith(f"{c} ") or not c), "")
    name = key.removeprefix(command).strip()
    arguments = {**NEEDED.get(command, {}), **BESIDE.get(key, {})}
    actions = dict(COMMANDS[command])
    if not name or actions[name].nargs == 0:  # a wrong command, a flag with a value
        words = [f"{name}={value}"] if name else [value]
    elif name.startswith("-"):
        words = [name, value]
    else:
        words, arguments[name] = [], value
    given = {n: filled(v, odd) for n, v in arguments.items()}
    right = [given[n] for n, a in COMMANDS[command] if not a.option_strings and n in given]
    options = [word for n, v in given.items() if n.startswith("-") for word in (n, v)]
    return [*command.split(), *right, *options, *(filled(word, odd) for word in words)]


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
