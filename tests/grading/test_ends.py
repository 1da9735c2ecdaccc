"""What ends with a submission, with the grader and with its patience: memory, processes, a grader that is killed."""

import os
import re
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from cnn_course.errors import SandboxError
from cnn_course.grading.judging import student
from cnn_course.grading.lab import imports_of
from cnn_course.grading.sandbox.warm_host import Host
from grading.attack import function
from grading.test_attacks import FULL_MARKS, MASTER, below, grade

pytestmark = pytest.mark.usefixtures("bubblewrap")


def said(result, test="q3-visible"):
    return next(cell.message for cell in result.cells if cell.name == test)


def touching(megabytes, processes):
    """Each of some processes fills its own memory, and stays."""
    return function(
        f"""
        for _ in range({processes}):
            if os.fork() == 0:
                a = bytearray({megabytes} << 20)
                for i in range(0, len(a), 4096): a[i] = 1
                time.sleep(100)
        time.sleep(3)
        raise RuntimeError("tried")
        """,
        "import os, time",
    )


def test_memory_of_all_processes_together_is_bounded():
    """Each process stays below the limit of one."""
    with Host(imports_of(MASTER), memory_bytes=128 << 20) as host:
        assert "tried" in said(grade(host, touching(40, 1), rules=False))
        result = grade(host, touching(40, 6), rules=False)
        assert "ProcessEnded" in said(result) and result.points == 5
        assert len(below(host._process.pid)) == 1
        assert grade(host, {}).points == FULL_MARKS


def test_the_memory_of_a_submission_is_shared_among_its_processes():
    """Where rules let one function use more than another, each has a process."""
    hold = function("a = np.ones(20 << 20)\ntime.sleep(1)\nraise RuntimeError('tried')", "import time")
    with Host(imports_of(MASTER), memory_bytes=300 << 20) as host:
        assert "tried" in said(grade(host, hold, rules=False))
        assert "ProcessEnded" in said(result := grade(host, hold)) or "MemoryError" in said(result)
        assert grade(host, {}).points == FULL_MARKS


def test_memory_that_is_shared_after_a_fork_counts_once():
    """Fifteen processes that touch nothing hold no more than one."""
    with Host(imports_of(MASTER), memory_bytes=200 << 20) as host:
        hold = function(
            "time.sleep(1)\nfor _ in range(15):\n    if os.fork() == 0:\n        time.sleep(100)\n"
            "time.sleep(1)\nraise RuntimeError('tried')",
            "import os, time\nbig = b'1' * (60 << 20)",
        )
        assert "tried" in said(grade(host, hold, rules=False))


LEAVES = """
import os, signal, time
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            time.sleep(0.1)
while True:
    pass
"""
GRADER = """
import sys
sys.path[:0] = {path!r}
from grading.test_attacks import MASTER, grade
from cnn_course.grading.lab import imports_of
from cnn_course.grading.sandbox.warm_host import Host
host = Host(imports_of(MASTER))
print("ready", flush=True)
grade(host, {answers!r}, rules=False, seconds=100)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_grader_leaves_no_process_and_no_file(number, tmp_path):
    path = [entry for entry in sys.path if entry]
    code = GRADER.format(path=path, answers={"q3-solution": LEAVES})
    environment = os.environ | {"TMPDIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    grader = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
        # A background job of a script ignores Ctrl-C, and its children inherit that; a terminal's do not.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        assert grader.stdout.readline() == "ready\n"
        wait(lambda: len(below(grader.pid)) >= 7)  # bubblewrap, the host, one between, the student's four
        started = below(grader.pid)
        grader.send_signal(number)
        grader.wait(60)
        wait(lambda: not [pid for pid in started if os.path.exists(f"/proc/{pid}")])
    finally:
        grader.kill()
        grader.wait()
        grader.stdout.close()
    assert list(tmp_path.iterdir()) == []


def test_a_killed_host_is_nobodys_mark(monkeypatch):
    """The machine failed: no grade is better than a wrong one."""
    before = below(os.getpid())  # a browser or another test's host, where tests share a process
    with Host(imports_of(MASTER)) as host:
        (warm,) = below(host._process.pid)
        die = student.Student.stubs

        def stubs(self):
            if os.path.exists(f"/proc/{warm}"):
                os.kill(warm, signal.SIGKILL)
            return die(self)

        monkeypatch.setattr(student.Student, "stubs", stubs)
        with pytest.raises(SandboxError):
            grade(host, {})
    assert below(os.getpid()) <= before


def test_no_time_left_is_said_for_every_question():
    with Host(imports_of(MASTER)) as host:
        result = grade(host, {}, seconds=0.0)
        assert result.points == 0
        assert all("the time for this submission was over" in c.message for c in result.cells if c.points is not None)
        assert below(host._process.pid) and len(below(host._process.pid)) == 1


def test_a_host_that_does_not_start_says_why():
    before = below(os.getpid())
    with pytest.raises(SandboxError, match="does not start: .*MemoryError|does not start: .*invalid literal"):
        Host(["numpy"], memory_bytes="no number")
    assert below(os.getpid()) <= before


def test_an_instructor_who_is_not_root():
    """bubblewrap's own folders belong to whoever starts it; a submission must not be able to write there either."""
    user = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
    if os.geteuid() != 0 or subprocess.run([*user, "true"], capture_output=True).returncode:
        pytest.skip("every other test here has already run as no root")
    body = """
        for place in ("/", "/dev", "/etc", "/usr", "/work", "/proc", "/tmp"):
            try:
                open(place + "/mark", "w").close()
                written.append(place)
            except OSError:
                pass
        raise RuntimeError(f"tried {written}")
        """
    code = f"""
        import sys
        sys.path[:0] = {[entry for entry in sys.path if entry]!r}
        from grading.test_attacks import MASTER, grade
        from cnn_course.grading.lab import imports_of
        from cnn_course.grading.sandbox.warm_host import Host
        with Host(imports_of(MASTER)) as host:
            result = grade(host, {function(body, "written = []")!r}, rules=False)
            print(result.points, [c.message for c in result.cells if c.name == "q3-visible"], grade(host, {{}}).points)
        """
    done = subprocess.run([*user, sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert re.search(r"^5.0 .*tried \['/tmp'\].* 9.0$", done.stdout.strip()), done.stdout + done.stderr


def wait(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)
