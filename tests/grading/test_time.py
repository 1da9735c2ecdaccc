"""What costs time, and whose: a loop costs its own points, a busy machine costs nobody any, no answer gets lost."""

import os
import subprocess
import sys
import time

import pytest

from cnn_course.errors import SandboxError
from cnn_course.grading.judging import clock, judge, student
from cnn_course.grading.lab import imports_of
from cnn_course.grading.sandbox import host as host_side
from cnn_course.grading.sandbox.alarm import alarm, undisturbed
from cnn_course.grading.sandbox.cold_host import ColdHost
from cnn_course.grading.sandbox.warm_host import Host
from grading.attack import function
from grading.test_attacks import FULL_MARKS, MASTER, below, grade, master_of

pytestmark = pytest.mark.usefixtures("bubblewrap")
FOREVER = {"q3-solution": "def conv_2d(x, w):\n    while True:\n        pass\n"}


@pytest.fixture(scope="module")
def host(bubblewrap):
    with Host(imports_of(MASTER)) as host:
        yield host


def messages(result):
    return {cell.name: cell.message for cell in result.cells if cell.message}


def test_one_host_grades_one_endless_loop_after_the_other(host):
    """The time runs out at another moment each time: in a call, while a child is ended, while the next one is made."""
    for tenths in (8, 10, 11, 13):
        result = grade(host, FOREVER, seconds=tenths / 10)
        assert " over" in messages(result)["q3-visible"]  # "is over", or "was over" before the cell was run
    assert grade(host, {}).points == FULL_MARKS
    assert len(below(host._process.pid)) == 1


def test_what_hung_once_is_not_called_again(host, monkeypatch):
    """Two questions that hang leave time for the third."""
    monkeypatch.setattr(student, "CALL_SECONDS", 1.0)
    loops = FOREVER | {"q1-solution": "def correlate_1d(x, w):\n    while True:\n        pass\n"}
    start = time.monotonic()
    result = grade(host, loops, seconds=30.0)
    said = messages(result)
    assert "no answer after 1 second" in said["q3-visible"] and "not called again" in said["q3-hidden"]
    assert {name.partition("-")[0] for name in said} == {"q1", "q3"}, "the others keep their points"
    assert time.monotonic() - start < 20  # two calls of a second, where each of several tests called


def test_the_alarm_waits_for_the_end_of_an_exchange():
    with pytest.raises(TimeoutError, match="^over$"), alarm(0.1, lambda: True, "over"):
        with undisturbed():
            time.sleep(0.5)
            reached = True
        time.sleep(60)
    assert reached


def test_the_alarm_asks_whether_the_time_is_really_over():
    answers = iter([False, True])
    with pytest.raises(TimeoutError), alarm(0.1, lambda: next(answers), "over"):
        time.sleep(60)
    assert next(answers, None) is None


def test_an_answer_to_another_request_is_recognised(host):
    with Host(["numpy"]) as host:
        host._control.sendall(host_side.REQUEST.pack(b"K", 77, 0))  # as if a request had been left without its answer
        with pytest.raises(SandboxError, match="answers request 77"):
            host.fork()


def test_a_host_that_lost_its_place_is_replaced(tmp_path):
    """Whoever was next gets a grade, not the answer to another request."""
    made = []

    class Odd(judge.Judge):
        def _grade(self, one, seed):
            if self._host is not None and not made:
                made.append(self._host)
                self._host._control.sendall(host_side.REQUEST.pack(b"K", 77, 0))
            return super()._grade(one, seed)

    from cnn_course.grading.judging import submission
    from cnn_course.grading.lab import Lab
    from labs import running

    lab = Lab(running.REPOSITORY / "labs", "lab01_convolution")
    taken = submission.Submission({c.id: c.source for c in lab.master.cells if c.id.endswith("-solution")}, "ada")
    with Odd(lab) as judging:
        assert judging(taken).points == judging(taken).points > 0
        assert made[0] is not judging._host


def test_fifty_processes_at_the_deadline_cost_no_mark(host):
    crowd = function(
        "for _ in range(50):\n    if os.fork() == 0:\n        time.sleep(100)\nwhile True:\n    pass", "import os, time"
    )
    for seconds in (1.5, 2.5):
        result = grade(host, crowd, rules=False, seconds=seconds)
        assert "q3-visible" in messages(result)
    assert grade(host, {}).points == FULL_MARKS


def test_a_cold_hosts_submission_that_runs_out_of_time_gets_a_mark():
    with ColdHost(imports_of(MASTER)) as host:
        for seconds in (3.0, 4.0):
            assert "is over" in messages(grade(host, FOREVER, seconds=seconds))["q3-visible"]


# --- a busy machine


@pytest.fixture
def crowded():
    """Everything that is started now shares one processor with four others that never rest."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(4)]
    yield
    os.sched_setaffinity(0, before)
    for process in busy:
        process.kill()
        process.wait()


@pytest.fixture
def crowded_host(host):
    """The warm host, on the crowded processor: whatever it forks stays there."""
    (warm,) = below(host._process.pid)
    before = os.sched_getaffinity(warm)
    os.sched_setaffinity(warm, {min(before)})
    yield host
    os.sched_setaffinity(warm, before)


def right_after(seconds, how):
    """The right answer, after that much of work or of sleep in its first call."""
    wait = f"end = time.{how}() + {seconds}\n        while time.{how}() < end:\n            pass"
    if how == "sleep":
        wait = f"time.sleep({seconds})"
    return {
        "q3-solution": f"""import time
calls = []
def conv_2d(x, w):
    if not calls:
        calls.append(1)
        {wait}
    out = np.zeros((x.shape[0] - w.shape[0] + 1, x.shape[1] - w.shape[1] + 1))
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = np.sum(x[i:i + w.shape[0], j:j + w.shape[1]] * w)
    return out
"""
    }


def test_a_right_answer_on_a_busy_machine_is_slow_and_not_wrong(crowded, crowded_host, monkeypatch):
    monkeypatch.setattr(student, "CALL_SECONDS", 1.5)
    slow = right_after(0.6, "process_time")
    result = grade(crowded_host, slow, master=master_of("q3"), rules=False, seconds=60.0)
    assert "q3-visible" not in messages(result), "0.6 s of work take about 3 s here"


def test_what_sleeps_is_stopped_on_a_busy_machine_too(crowded, crowded_host, monkeypatch):
    monkeypatch.setattr(student, "CALL_SECONDS", 1.5)
    result = grade(crowded_host, right_after(30, "sleep"), master=master_of("q3"), rules=False)
    assert "no answer after 1.5" in messages(result)["q3-visible"]


def test_waiting_is_given_back_up_to_a_bound():
    class Machine:
        waits = {1: 500.0}  # the host, which has waited for hours

        def waited(self):
            return dict(self.waits)

    machine = Machine()
    time_left = clock.Clock(machine, 10.0)
    assert 9 < time_left.left() <= 10
    machine.waits |= {2: 5.0}
    time_left.settle()
    assert 14 < time_left.left() <= 15, "a new process need not wait longer than the host did"
    machine.waits |= {1: 501.0, 2: 6.0, 3: 0.5}
    time_left.settle()
    assert 15 < time_left.left() <= 16, "side by side"
    machine.waits = {1: 501.0, 3: 0.5}
    time_left.forget()
    machine.waits = {1: 501.0, 3: 1.0, 2: 2.0}  # another process with the number of the one that ended
    time_left.settle()
    assert 17 < time_left.left() <= 18
    after = clock.Clock(machine, 10.0)  # the next submission: what the host waited before is not its waiting
    after.settle()
    assert after.left() <= 10
    machine.waits |= {3: 1e9}
    time_left.settle()
    assert time_left.left() <= 10 * (1 + clock.MOST_WAITING)
    assert judge.longest(10.0) > 2 * 10 * (1 + clock.MOST_WAITING), (
        "what waits for a judge waits as long as it may take"
    )
