"""Tamper with the notebook: what is handed in is input, whatever it says of itself.

Each entry makes a student's folder; says: what the notes or the feedback tell. The points are those of lab 01's model
answer (21 without the question in words) less what is missing.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nbformat

from grading.attack import LAB
from labs import running

MASTER = running.master(LAB)
SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(2)>[x](javascript:alert(3))"


@dataclass(frozen=True)
class Tampered:
    """hand_in(folder) writes the submission into the student's empty folder for the lab."""

    student: str
    hand_in: Callable[[Path], None]
    points: float
    says: str = ""


def bytes_(data: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / f"{LAB}.ipynb").write_bytes(data) and None


def changed(change: Callable[[dict], object]) -> Callable[[Path], None]:
    """The model answers as plain JSON, changed in place by `change`, or replaced by what it returns."""
    notebook = json.loads(nbformat.writes(MASTER))
    got = change(notebook)
    return bytes_(json.dumps(notebook if got is None else got).encode())


def answered(answers: dict[str, str]) -> Callable[[Path], None]:
    return bytes_(nbformat.writes(running.with_answers(MASTER, answers)).encode())


def cell(notebook: dict, name: str) -> dict:
    return next(c for c in notebook["cells"] if c["metadata"].get("nbgrader", {}).get("grade_id") == name)


def _points_and_tags(notebook):
    for c in notebook["cells"]:
        own = c["metadata"].get("nbgrader", {})
        own.update(points=1000, grade=True, locked=False, checksum="0", schema_version=3)
        c["metadata"].update(tags=["raises-exception", "skip-execution", "hide_input"], deletable=True)
    notebook["metadata"] = {
        "kernelspec": {"name": "bash", "language": "bash", "display_name": SCRIPT},
        "celltoolbar": 9,
    }


def _tests_changed(notebook):
    for c in notebook["cells"]:
        own = c["metadata"].get("nbgrader", {})
        if own.get("grade") and c["cell_type"] == "code":
            c["source"] = "pass"
        if own.get("solution"):
            c["source"] = "raise NotImplementedError"


def _renamed_tests(notebook):
    """Solution cells that call themselves tests, and tests that call themselves solutions."""
    cell(notebook, "q3-solution")["metadata"]["nbgrader"]["grade_id"] = "q3-hidden"
    cell(notebook, "q3-visible")["metadata"]["nbgrader"]["grade_id"] = "q3-solution"


def _twice(notebook):
    first = copy.deepcopy(cell(notebook, "q3-solution"))
    first["source"] = "def conv_2d(x, w):\n    return None\n"
    notebook["cells"].insert(0, first)


def _twice_below(notebook):
    _twice(notebook)
    notebook["cells"].append(notebook["cells"].pop(0))


def _another_lab(notebook):
    notebook["cells"][0]["source"] = ["# Lab 2. Filters\n", "\n", "Blur."]


def _without(notebook):
    notebook["cells"].remove(cell(notebook, "q3-solution"))


def _more(notebook):
    extra = {"cell_type": "code", "metadata": {}, "id": "setup", "outputs": [], "execution_count": 1}
    for source in ("import os\nos._exit(0)", "def conv_2d(x, w):\n    return None", "checks.check = print"):
        notebook["cells"].append(extra | {"source": source})
        notebook["cells"].insert(
            0, extra | {"source": source, "metadata": {"nbgrader": {"grade_id": "extra", "solution": 1}}}
        )


def _turned(notebook):
    for c in notebook["cells"]:
        c["cell_type"] = "raw" if c["cell_type"] == "markdown" else "markdown"
        c["attachments"] = {"x.svg": {"image/svg+xml": SCRIPT}}


def _metadata_lost(notebook):
    for c in notebook["cells"]:
        c["metadata"] = {}


def _odd_types(notebook):
    notebook["cells"][:0] = [
        None,
        7,
        "text",
        [],
        {},
        {"metadata": []},
        {"metadata": {"nbgrader": {"grade_id": ["q3"]}}},
    ]
    notebook["cells"][:0] = [{"metadata": {"nbgrader": []}, "id": {}}, {"metadata": None, "id": 3, "source": {"a": 1}}]
    cell_ = next(c for c in notebook["cells"] if isinstance(c, dict) and c.get("id") == "q3-solution")
    cell_["source"] = [None, 3, *cell_["source"], {"a": "b"}]
    notebook["nbformat"] = "four"


def _outputs(notebook):
    html = {
        "output_type": "display_data",
        "metadata": {},
        "data": {"text/html": SCRIPT, "application/javascript": SCRIPT},
    }
    for c in notebook["cells"]:
        if c["cell_type"] == "code":
            c["outputs"] = [html]


def _link(folder):
    (folder / f"{LAB}.ipynb").symlink_to(running.LABS / "source" / LAB / f"{LAB}.ipynb")


def _folder_link(folder):
    folder.rmdir()
    folder.symlink_to(running.LABS / "source" / LAB)


def _large(folder):
    with open(folder / f"{LAB}.ipynb", "wb") as file:
        file.truncate(200 << 20)


def _pipe(folder):
    os.mkfifo(folder / f"{LAB}.ipynb")


def _directory(folder):
    (folder / f"{LAB}.ipynb").mkdir()


def _other_name(folder):
    nbformat.write(MASTER, folder / "=1+1;<b>my lab.IPYNB")
    (folder / "timestamp.txt").symlink_to("/etc/passwd")


def _two_names(folder):
    nbformat.write(MASTER, folder / "a.ipynb")
    nbformat.write(MASTER, folder / "b.ipynb")


ODD_ERROR = f"""
def conv_2d(x, w):
    raise type({SCRIPT!r}, (Exception,), {{}})({SCRIPT!r} + chr(0xD800) + chr(27) + "[31m")  # {SCRIPT}
"""

TAMPERED = [
    Tampered("points", changed(_points_and_tags), 21),
    Tampered("tests", changed(_tests_changed), 0, "stopped with NotImplementedError"),
    Tampered("renamed", changed(_renamed_tests), 17, "conv_2d is not there"),
    Tampered("order", changed(lambda notebook: notebook["cells"].reverse()), 21),
    Tampered(
        "twice", changed(_twice), 21, "q3-solution is there more than once"
    ),  # the lower one counts, as in Jupyter
    Tampered("twice, wrong below", changed(_twice_below), 17, "q3-solution is there more than once"),
    Tampered("another lab", changed(_another_lab), 21, "calls itself Lab 2. Filters: is it"),
    Tampered("missing", changed(_without), 17, "q3-solution is missing"),
    Tampered("more", changed(_more), 21),
    Tampered("turned", changed(_turned), 21),
    Tampered("lost", changed(_metadata_lost), 21),
    Tampered("types", changed(_odd_types), 21),
    Tampered("outputs", changed(_outputs), 21),
    Tampered("empty", bytes_(b""), 0, "no JSON"),
    Tampered("broken", bytes_(nbformat.writes(MASTER).encode()[:-40]), 0, "no JSON"),
    Tampered("deep", bytes_(b'{"cells":' + b"[" * 500_000), 0, "no JSON"),
    Tampered("numbers", bytes_(b'{"cells":[' + b"9" * 5000 + b"]}"), 0, "no JSON"),
    Tampered("picture", bytes_(b"\x89PNG\r\n\x1a\n" * 100), 0, "no JSON"),
    Tampered("list", bytes_(b"[NaN, 1e999]"), 0, "no list of cells"),
    Tampered(
        "format3",
        changed(lambda notebook: {"worksheets": [{"cells": notebook["cells"]}], "nbformat": 3}),
        0,
        "format 4",
    ),
    Tampered("utf16", bytes_(nbformat.writes(MASTER).encode("utf-16")), 21),
    Tampered("large", _large, 0, "200 MB"),
    Tampered("link", _link, 0, "is a link"),
    Tampered("folder", _folder_link, 0, "link"),
    Tampered("pipe", _pipe, 0, "is not a file"),
    Tampered("directory", _directory, 0, "is not a file"),
    Tampered("name", _other_name, 21, "was expected"),
    Tampered("two", _two_names, 0, "2 notebooks"),
    Tampered("nothing", lambda folder: None, 0, "is missing"),
    Tampered("long", answered({"q3-solution": "# " + "x" * 10**6}), 17, "200,000 are allowed"),
    Tampered("nul", answered({"q3-solution": "def conv_2d(x, w):\n    return '\0'\n"}), 17, "null bytes"),
    Tampered("script", answered({"q7-answer": SCRIPT, "q3-solution": f"# {SCRIPT}\n{ODD_ERROR}"}), 17, "stopped with"),
    Tampered("fence", answered({"q7-answer": f"~~~~\n~~~~~\n```\n{SCRIPT}\n~~~~\n{SCRIPT}"}), 21),
    Tampered("surrogate", changed(lambda n: cell(n, "q7-answer").update(source="\ud800 half a letter")), 21),
    Tampered(SCRIPT.replace("/", " "), changed(lambda notebook: None), 21),
    Tampered("=cmd|' C calc'!A0", changed(lambda notebook: None), 21),
    Tampered("+1\n\t@x", changed(lambda notebook: None), 21),
    Tampered(os.fsdecode(b"\xff\xfe"), changed(lambda notebook: None), 21),
]
