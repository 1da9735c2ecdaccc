"""Attacks on the grader, and an honest submission after each: no undeserved point, no harm, in time, nothing left."""

import contextlib
import copy
import hashlib
import os
import re
import sys
import time
from pathlib import Path

import nbformat
import pytest

from cnn_course.grading.judging import judge, student, submission
from cnn_course.grading.lab import imports_of
from cnn_course.grading.sandbox.warm_host import Host
from grading import attacks_exhaust, attacks_judge, attacks_read, attacks_rules, attacks_wire, attacks_write
from grading.attack import LAB, MARK, SECRET
from labs import running

FAMILIES = {
    "judge": attacks_judge.ATTACKS + attacks_wire.ATTACKS + attacks_rules.ATTACKS,
    "write": attacks_write.ATTACKS,
    "read": attacks_read.ATTACKS,  # after those that leave something
    "exhaust": attacks_exhaust.ATTACKS,
}
ATTACKS = [pytest.param(one, id=f"{family}-{one.name}") for family, found in FAMILIES.items() for one in found]
QUESTIONS = ("q1", "q3", "q6")  # of lab 01: enough to see what an attack on one does to the others


def master_of(*questions):
    """The lab with nothing but these questions."""
    master = running.master(LAB)
    master.cells = [c for c in master.cells if c.id == "setup" or c.id.partition("-")[0] in questions]
    return master


MASTER = master_of(*QUESTIONS)
GRADER = running.REPOSITORY / "cnn_course" / "grading"
TESTS = [name for name, cell in running.graded(MASTER).items() if cell.cell_type == "code"]
FULL_MARKS = 9
MEMORY = 512 << 20
# Where a mark would be found that an attack left outside.
OUTSIDE = ["/", "/tmp", "/dev/shm", "/dev", "/var/tmp", "/etc", "/etc/profile.d", "/usr", "/root", "/run", "/home"]


pytestmark = pytest.mark.usefixtures("bubblewrap")


@pytest.fixture(scope="module")
def host(bubblewrap):
    with Host(imports_of(MASTER), cpu_seconds=60, memory_bytes=MEMORY) as host:
        yield host


def without_rules(master):
    master = copy.deepcopy(master)
    for cell in master.cells:
        if cell.id == "setup":
            cell.source = cell.source.partition("rules.forbid")[0]
    return master


def grade(host, answers, *, master=MASTER, rules=True, seed=0, seconds=60.0):
    taken = submission.parse(nbformat.writes(running.with_answers(master, answers)).encode(), master)
    return judge.grade(master if rules else without_rules(master), taken, host, seed=seed, seconds=seconds)


def fingerprint(folder, names="*"):
    """What a folder holds: every name, kind and content."""
    digest = hashlib.sha256()
    for path in sorted(Path(folder).rglob(names)):
        digest.update(f"{path} {path.lstat().st_mode}".encode())
        if path.is_file() and not path.is_symlink():
            digest.update(path.read_bytes())
    return digest.hexdigest()


def marks(words):
    own = [sys.prefix, sys.base_prefix, words["COURSE"], GRADER, running.REPOSITORY, Path.home()]
    places = [Path(place) for place in [*OUTSIDE, *own] if os.access(place, os.R_OK)]
    return [path for place in places for path in place.glob(f"*{MARK}*")]


def below(pid):
    """The numbers of the processes below `pid`, those that have ended and wait to be fetched too."""
    parents = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            parents[int(entry)] = int(Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


def files_of(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


@pytest.fixture(scope="module")
def before(host, outside):
    """How things stand before the first attack."""
    assert grade(host, {}).points == FULL_MARKS
    code = fingerprint(GRADER, "*.py")
    (warm,) = below(host._process.pid)
    return warm, fingerprint(outside["COURSE"]), code, files_of(warm), files_of(os.getpid())


def assert_no_harm(host, outside, before):
    # At once: whatever ran has ended before its grade is there.
    assert below(host._process.pid) == {before[0]}
    assert files_of(before[0]) == before[3] and files_of(os.getpid()) == before[4]
    assert fingerprint(outside["COURSE"]) == before[1] and fingerprint(GRADER, "*.py") == before[2]
    assert marks(outside) == []


def assert_no_more_than_due(attack, result):
    """No undeserved point, none lost for no reason, and messages that say what the attack met and no secret."""
    attacked = {name.partition("-")[0] for name in attack.cells}
    passed = {cell.name for cell in result.cells if cell.points}
    others = {name for name in TESTS if name.partition("-")[0] not in attacked}
    assert passed - set(attack.may_pass) <= others, "an undeserved point"
    said = "\n".join([*(cell.message for cell in result.cells), *result.notes])
    assert re.search(attack.says, said), said
    assert SECRET not in said
    assert attack.spoils or passed >= others, f"lost for no reason: {sorted(others - passed)}: {said}"
    assert all(len(cell.message) <= 4000 for cell in result.cells)


def filled_in(cells, words):
    for name, value in words.items():
        cells = {cell: text.replace(f"@{name}@", str(value)) for cell, text in cells.items()}
    return cells


@pytest.mark.parametrize("attack", ATTACKS)
def test_attack(attack, host, outside, before, monkeypatch):
    monkeypatch.setattr(student, "CALL_SECONDS", attack.call_seconds)
    limit, start = 20.0, time.monotonic()
    result = grade(host, filled_in(attack.cells, outside), rules=attack.rules, seconds=limit)
    assert time.monotonic() - start < 3 * limit  # it was held; the rest is for a busy machine
    assert_no_more_than_due(attack, result)
    assert_no_harm(host, outside, before)
    monkeypatch.undo()
    honest = grade(host, {}, seed=1)
    assert (honest.points, honest.notes) == (FULL_MARKS, [])


def test_there_are_enough_attacks_and_each_has_a_name_of_its_own():
    assert len({one.values[0].name for one in ATTACKS}) == len(ATTACKS) >= 65
