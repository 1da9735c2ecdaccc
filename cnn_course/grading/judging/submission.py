"""What a student handed in, read as input: the text of the solution cells and of code cells of the student's own.

Points, tests, tags, kernels and metadata come from the master. Whatever is odd about the file becomes a note, or, if no
answer can be taken from it, a SubmissionError that says why; it is never executed, rendered or followed.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import re
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import nbformat

from cnn_course.errors import SubmissionError, UnreadableError
from cnn_course.files import system_errors
from cnn_course.grading.lab import functions_of, is_graded, is_setup, is_solution, settings
from cnn_course.grading.sandbox.wire import clean

LARGEST_FILE = 20 << 20
LARGEST_CELL = 200_000
MOST_OWN = 300  # cells that are the student's own
MOST_CELLS = 10_000
MOST_PARTS = 1_000_000
# Without following a link or waiting for whoever writes to a pipe. Windows has none of these, and one against "\n".
_READING = os.O_RDONLY | sum(getattr(os, flag, 0) for flag in "O_NOFOLLOW O_NONBLOCK O_CLOEXEC O_BINARY".split())
_BRACKETS = (b"{", b"[", b",")  # those in texts count as well
# What a text defines or gives. No \s: it runs over all empty lines.
_DEFINED = re.compile(r"^[ \t]*(?:>>> )?(?:(?:def|class)[ \t]+(\w+)|(\w+)[ \t]*=(?!=))", re.MULTILINE)


@dataclass
class Submission:
    """What one student handed in for a lab.

    answers: the text of each solution cell, by grade_id, in the master's order. notes: what was odd. problem: why no
    answer could be taken, else "". time: when it was handed in, where that was written down. own: the code cells that
    are the student's own, by "cell 7", their number in the notebook, and the lab's first one where it was changed.
    order: the names of all code and of the tests that were found, in the notebook's order; the master's where it is
    empty.
    """

    answers: dict[str, str]
    student: str = ""
    notes: list[str] = field(default_factory=list)
    problem: str = ""
    time: datetime | None = None
    own: dict[str, str] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)

    def code(self, names: Sequence[str]) -> dict[str, str]:
        """The text of the cells with these grade_ids and of the student's own, in the notebook's order."""
        order = [name for name in self.order if name in names or name in self.own]
        order += [name for name in names if name not in order]
        return {name: self.own.get(name, self.answers.get(name, "")) for name in order}

    def above(self, test: str, place: str) -> str:
        """The last of the student's own cells between a cell and a test, which sees what they define; else the cell."""
        if place not in self.order or test not in self.order:
            return place
        between = self.order[self.order.index(place) : self.order.index(test)]
        return next((name for name in reversed(between) if name in self.own), place)


def read(path: Path, master: nbformat.NotebookNode) -> Submission:
    """The answers in a notebook.

    Raises SubmissionError for a link, no regular file, too large, or no notebook; UnreadableError where the file is
    there and the machine does not give it: that is not the student's fault.
    """
    try:
        # Opened once, without following a link, so that what was checked is what is read.
        fd = os.open(path, _READING)
    except OSError as error:
        if path.is_symlink():
            raise SubmissionError(f"{shown(path.name)} is a link; hand in the file itself.") from error
        kind = SubmissionError if isinstance(error, FileNotFoundError) else UnreadableError
        raise kind(f"{shown(path.name)} cannot be opened: {system_errors.reason(error)}.") from error
    try:
        about = os.fstat(fd)
        if not stat.S_ISREG(about.st_mode):
            raise SubmissionError(f"{shown(path.name)} is not a file.")
        if about.st_size > LARGEST_FILE:
            size, most = about.st_size / 2**20, LARGEST_FILE >> 20
            raise SubmissionError(
                f"{shown(path.name)} has {size:.0f} MB; {most} MB are allowed. Clear the outputs and hand it in again."
            )
        with os.fdopen(fd, "rb", closefd=False) as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise UnreadableError(f"{shown(path.name)} cannot be read: {system_errors.reason(error)}.") from error
    finally:
        os.close(fd)
    return parse(data, master)


def parse(data: bytes, master: nbformat.NotebookNode) -> Submission:
    """The answers in the bytes of a notebook; see `read`."""
    if (parts := sum(map(data.count, _BRACKETS))) > MOST_PARTS:  # a few kB in an archive can be gigabytes of objects
        raise SubmissionError(
            f"The file has {parts:,} lists, objects and items; {MOST_PARTS:,} are allowed. Clear the outputs and hand "
            "it in again."
        )
    try:
        notebook = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise SubmissionError("The file is not a notebook: it is no JSON. Save it in Jupyter and try again.") from error
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list):
        raise SubmissionError("The file is not a notebook of format 4: it has no list of cells.")
    if len(cells) > MOST_CELLS:
        raise SubmissionError(f"The notebook has {len(cells):,} cells; {MOST_CELLS:,} are allowed.")
    wanted = [settings(cell)["grade_id"] for cell in master.cells if is_solution(cell)]
    answered = _namer([cell for cell in master.cells if is_solution(cell)])
    set_up = _namer([cell for cell in master.cells if is_setup(cell)])
    tests = [cell for cell in master.cells if is_graded(cell) and not is_solution(cell)]
    tested, tests_by_text = _namer(tests), {cell.source: settings(cell)["grade_id"] for cell in tests}
    places = [(number, cell, answered(cell)) for number, cell in enumerate(cells, 1)]
    missing = {*wanted} - {name for _, _, name in places}
    lost = {function: name for name in missing for function in functions_of(master).get(name, [])}
    known = {cell.source for cell in master.cells}
    fixed = {cell.id for cell in master.cells if cell.cell_type != "code" or is_graded(cell)}
    in_words = _answers_in_words(cells, master)
    answers: dict[str, str] = {}
    own: dict[str, str] = {}
    order, unread, too_long, notes = [], [], set(), _another_lab(cells, master)
    for number, cell, name in places:
        text = _text(cell) if isinstance(cell, dict) else ""
        is_code = isinstance(cell, dict) and cell.get("cell_type") == "code"
        if name is None and is_code:  # the cell has lost its names, and still defines what is asked for
            name = next((lost[f or g] for f, g in _DEFINED.findall(text) if (f or g) in lost), None)
        name = in_words.get(number, name)
        if name is None:
            identity = cell.get("id") if is_code else None
            test = (tested(cell) or tests_by_text.get(text)) if is_code else None
            if test is not None and test not in order:
                order.append(test)
            if not is_code or not text.strip() or text in known or (isinstance(identity, str) and identity in fixed):
                continue
            name = set_up(cell) or f"cell {number}"
            name = f"cell {number}" if name in own else name
            if len(own) == MOST_OWN or sum(map(len, own.values())) + len(text) > LARGEST_CELL:
                unread.append(name)
                continue
            own[name] = text
        elif name in too_long:
            continue
        elif (size := len(text) + len(answers.get(name, ""))) > LARGEST_CELL:
            notes.append(f"{name} has {size:,} characters; {LARGEST_CELL:,} are allowed. It was not graded.")
            answers[name] = ""
            too_long.add(name)
        elif name not in answers:
            answers[name] = text
        elif text != answers[name]:
            # A cell that was split, or a copy of it. As in the notebook: one after the other.
            notes.append(f"{name} is there more than once; the parts are taken in their order.")
            answers[name] += "\n\n" + _outdented(text)
        if name not in order:
            order.append(name)
    if unread:
        which = ", ".join(unread[:3]) + (f" and {len(unread) - 3:,} more" if len(unread) > 3 else "")
        notes.append(f"Of your own cells {MOST_OWN} with {LARGEST_CELL:,} characters are read, and not {which}.")
    notes += [f"{name} is missing." for name in wanted if name not in answers]
    return Submission(
        {name: answers.get(name, "") for name in wanted}, notes=list(dict.fromkeys(notes)), own=own, order=order
    )


def _answers_in_words(cells: list, master: nbformat.NotebookNode) -> dict[int, str]:
    """Cells without a name that stand where an answer in words is wanted: below its question. By number."""
    wanted = {
        above.source: settings(cell)["grade_id"]
        for above, cell in itertools.pairwise(master.cells)
        if is_solution(cell) and cell.cell_type == "markdown"
    }
    known = {cell.source for cell in master.cells if not is_solution(cell)}
    found: dict[int, str] = {}
    name = None
    for number, cell in enumerate(cells, 1):
        text = _text(cell) if isinstance(cell, dict) else ""
        if text in known:
            name = wanted.get(text)
        elif name is not None and isinstance(cell, dict) and cell.get("cell_type") in ("markdown", "raw"):
            found[number] = name
    return found


def _outdented(text: str) -> str:
    """A part that is wholly indented, as Jupyter reads it, which would else belong to what stands above it."""
    indent = re.match(r"\n*([ \t]*)", text)
    if not indent or not indent[1]:
        return text
    return re.sub(rf"^{indent[1]}", "", text, flags=re.MULTILINE)


def _another_lab(cells: list, master: nbformat.NotebookNode) -> list[str]:
    """A note where the notebook begins with the heading of another lab."""
    first = [cell for cell in (*cells[:1], *master.cells[:1]) if isinstance(cell, dict)]
    heads = [re.match(r"# (Lab \d+[^\r\n]*)", _text(cell)) for cell in first]
    if len(heads) == 2 and heads[0] and heads[1] and heads[0][1] != heads[1][1]:
        return [f"This is {heads[1][1]}, and the notebook calls itself {heads[0][1][:80]}: is it the right file?"]
    return []


def _namer(cells: list[nbformat.NotebookNode]) -> Callable[[object], str | None]:
    """Which of these cells of the master a cell is: gives its grade_id, None for none of them."""
    by_id = {cell.id: settings(cell)["grade_id"] for cell in cells}
    return functools.partial(_name, by_id=by_id, wanted=frozenset(by_id.values()))


def _name(cell: object, by_id: dict[str, str], wanted: frozenset[str]) -> str | None:
    if not isinstance(cell, dict):
        return None
    metadata = cell.get("metadata")
    own = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    name = own.get("grade_id") if isinstance(own, dict) else None
    if isinstance(name, str) and name in wanted:
        return name
    own = cell.get("id")  # the metadata is lost, the cell is still the same
    return by_id.get(own) if isinstance(own, str) and name is None else None


def _text(cell: dict) -> str:
    source = cell.get("source")
    if isinstance(source, list):
        source = "".join(line for line in source if isinstance(line, str))
    if not isinstance(source, str):
        return ""
    return clean(source)


def shown(name: str) -> str:
    """A file's name as it may stand in a message."""
    return ascii(name)[1:-1][:80]
