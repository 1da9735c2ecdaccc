"""Where the kernel refuses namespaces within a sandbox: a sandbox of its own for each submission, as tight."""

import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from cnn_course.errors import NotNestedError
from cnn_course.grading.judging import judge, student
from cnn_course.grading.judging.submission import Submission
from cnn_course.grading.lab import imports_of
from cnn_course.grading.sandbox import bubblewrap, cold_host
from cnn_course.grading.sandbox.cold_host import ColdHost, open_host
from cnn_course.grading.sandbox.warm_host import Host
from grading.attack import TRY, Attack, function
from grading.test_attacks import (
    ATTACKS,
    FULL_MARKS,
    MASTER,
    MEMORY,
    assert_no_more_than_due,
    below,
    filled_in,
    fingerprint,
    grade,
    marks,
)
from labs import running

pytestmark = pytest.mark.usefixtures("bubblewrap")
TRIED = r"stopped with RuntimeError: tried "

# In the warm host's namespaces none of these would see another process. Here the host's own two are there.
NEIGHBOURS = [
    Attack(
        "signals to the host",
        function(
            """
            for pid in (1, os.getppid()):
                for number in (signal.SIGTERM, signal.SIGSTOP, signal.SIGKILL):
                    os.kill(pid, number)
            time.sleep(5)
            """,
            "import os, signal, time",
        ),
        r"ProcessEnded",
        spoils=True,
    ),
    Attack(
        "the host's memory, files and limits",
        function(
            """
            def every(attempt):
                return [attempt(pid) for pid in (1, os.getppid())]
            attempt({
                "mem": lambda: every(lambda pid: open(f"/proc/{pid}/mem", "r+b")),
                "maps": lambda: every(lambda pid: open(f"/proc/{pid}/maps").read()),
                "environ": lambda: every(lambda pid: open(f"/proc/{pid}/environ").read()),
                "fd": lambda: every(lambda pid: os.listdir(f"/proc/{pid}/fd")),
            })
            """,
            "import os\n" + TRY,
        ),
        TRIED + "mem E13, maps E13, environ E13, fd E13",
    ),
    Attack(
        "more memory, with nobody who watches",
        function(
            """
            with contextlib.suppress(OSError):
                resource.prlimit(os.getppid(), resource.RLIMIT_CPU, (0, 0))
            with contextlib.suppress(OSError):
                os.kill(os.getppid(), signal.SIGSTOP)
            for _ in range(6):
                if os.fork() == 0:
                    a = bytearray(150 << 20)
                    for i in range(0, len(a), 4096): a[i] = 1
                    time.sleep(100)
            time.sleep(5)
            raise RuntimeError("still here")
            """,
            "import contextlib, os, resource, signal, time",
        ),
        r"ProcessEnded",
        spoils=True,
    ),
]
# Of the attacks on the warm host those for which it matters that the namespaces are bubblewrap's.
TRIED_HERE = (
    "the grader's own code and Python's start-up files",
    "processes that outlive the submission",
    "signals to the own group, to the first process, to all",
    "the memory of the host and of the judge",
    "the kernel's log, keys and other namespaces",
    "the disk",
    "memory bit by bit",
    "processes",
    "a bomb of processes",
)
HERE = [param.values[0] for param in ATTACKS if param.values[0].name in TRIED_HERE]
HERE.append(
    Attack(
        "empty files without end",
        function("for i in range(10**9):\n    open(f'/tmp/{i}', 'w').close()"),
        "ProcessEnded",
    )
)


def cold():
    return ColdHost(imports_of(MASTER), cpu_seconds=60, memory_bytes=MEMORY)


@pytest.fixture(scope="module")
def before(outside):
    return below(os.getpid()), fingerprint(outside["COURSE"]), len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("attack", [pytest.param(a, id=a.name) for a in [*NEIGHBOURS, *HERE]])
def test_attack_in_a_sandbox_of_its_own(attack, outside, before, monkeypatch):
    monkeypatch.setattr(student, "CALL_SECONDS", attack.call_seconds)
    limit, start = 30.0, time.monotonic()
    with cold() as host:
        result = grade(host, filled_in(attack.cells, outside), rules=attack.rules, seconds=limit)
    assert time.monotonic() - start < 3 * limit  # it was held; the rest is for a busy machine
    assert_no_more_than_due(attack, result)
    # Nothing is left of it.
    assert below(os.getpid()) <= before[0] and len(os.listdir("/proc/self/fd")) <= before[2]
    assert fingerprint(outside["COURSE"]) == before[1] and marks(outside) == []


def test_it_is_chosen_where_namespaces_are_refused(monkeypatch):
    """bubblewrap itself refuses them here; on Ubuntu AppArmor's profile for bubblewrap does."""
    refuse = ["--unshare-user", "--uid", str(bubblewrap.NOBODY), "--gid", str(bubblewrap.NOBODY), "--disable-userns"]
    command = bubblewrap.command

    def without_rights(*arguments, **options):
        words = command(*arguments, **options)
        for word in ("--cap-drop", "--cap-add", "--cap-add"):  # root's
            if word in words:
                del words[words.index(word) : words.index(word) + 2]
        return [words[0], *(refuse if "--unshare-user" not in words else refuse[-1:]), *words[1:]]

    before = below(os.getpid())
    assert cold_host.nests()
    monkeypatch.setattr(bubblewrap, "command", without_rights)
    with pytest.raises(NotNestedError), Host(["numpy"]) as host:
        host.fork()
    assert not cold_host.nests()
    with open_host(imports_of(MASTER)) as host:
        assert isinstance(host, ColdHost)
        assert grade(host, {}).points == FULL_MARKS
        result = grade(host, {"q3-solution": "import os\nos._exit(0)\n"})
        assert result.points == 5
    assert below(os.getpid()) <= before


@pytest.mark.slow
def test_an_optimizer_can_be_made_where_libraries_are_forbidden():
    """The first one imports torch's compiler, which looks for libraries that lab 6 forbids; no training came before."""
    master = running.master("lab06_lenet")
    answers = {running.grade_id(cell): cell.source for cell in master.cells if running.grade_id(cell) == "q2-solution"}
    others = {name for name in running.graded(master) if not name.startswith("q2-")}
    master.cells = [cell for cell in master.cells if running.grade_id(cell) not in others]
    with ColdHost(imports_of(master)) as host:
        result = judge.grade(master, Submission(answers), host)
    assert len(result.cells) >= 2 and {cell.message for cell in result.cells} == {""}


def test_two_at_once_do_not_meet():
    """Neither sees the other's files, and the processes of one do not count against the other's limit."""
    with cold() as host, cold() as other:
        forks = "for _ in range(50):\n    if os.fork() == 0:\n        time.sleep(9)\n        os._exit(0)\n"
        mark = "open('mark', 'w').close()\ntime.sleep(4)\nraise RuntimeError('fifty')"
        see = "raise RuntimeError(f'fifty, {os.listdir(\"/tmp\")}')"
        with ThreadPoolExecutor() as pool:
            first = pool.submit(grade, host, function(forks, "import os, time", mark), rules=False)
            time.sleep(2)
            second = grade(other, function(forks, "import os, time", see), rules=False)
            said = [cell.message for cell in second.cells if cell.name == "q3-visible"]
            assert "fifty" in said[0] and "mark" not in said[0], said
            assert "fifty" in "".join(cell.message for cell in first.result().cells)
