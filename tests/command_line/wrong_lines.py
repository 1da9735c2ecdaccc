"""Wrong values for every argument of every command, and the lines in which they stand.

The arguments are found in the parser, so a new one needs its line in WRONG.
"""

import argparse
from pathlib import Path

from cnn_course.commands import cli
from command_line.odd_course import filled

LONG = "x" * 5000


BYTES = "\udcff"  # what Python makes of a byte that is no UTF-8


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
    "start FOLDER": NO_FOLDER,
    "open --folder": [*NO_FOLDER, "@folder", "@missing"],
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
    "start": {},
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
