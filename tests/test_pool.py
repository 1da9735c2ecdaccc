"""Worker processes: warm from one call to the next, one for each thread, replaced when they end or hang."""

import os
import signal
import threading
from functools import partial

import pytest

from cnn_course.grading.classroom.pool import Pool


@pytest.fixture
def pool():
    """Its workers compute what they are told."""
    pool = Pool(partial(partial, eval), 60)
    yield pool
    pool.close()


def test_a_worker_stays_for_the_next_call(pool):
    first = pool.call("__import__('os').getpid()")
    assert first == pool.call("__import__('os').getpid()") != os.getpid()


def test_what_is_raised_is_the_result(pool):
    assert isinstance(pool.call("1 / 0"), ZeroDivisionError)
    assert pool.call("6 * 7") == 42


def test_none_is_a_result_too(pool):
    assert pool.call("None") is None


def test_each_of_several_threads_has_a_process_to_itself(pool):
    found = []
    meet = threading.Barrier(3)

    def ask():
        meet.wait()
        found.append(pool.call("(__import__('time').sleep(0.5), __import__('os').getpid())[1]"))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 3


def test_a_task_whose_worker_was_killed_is_done_by_the_next(pool):
    first = pool.call("__import__('os').getpid()")
    os.kill(first, signal.SIGKILL)
    assert pool.call("__import__('os').getpid()") != first


def test_a_task_that_ends_every_worker_is_given_up(pool):
    result = pool.call("__import__('os')._exit(3)")
    assert isinstance(result, RuntimeError) and "ended or hung 3 times" in str(result)
    assert pool.call("1 + 1") == 2


def test_a_task_that_never_ends_is_given_up():
    pool = Pool(partial(partial, eval), 2)
    results = dict(pool.run(["__import__('time').sleep(600)", "5"], 2))
    assert "ended or hung 3 times" in str(results["__import__('time').sleep(600)"]) and results["5"] == 5


def test_run_gives_every_task_its_result_and_leaves_no_process():
    pool = Pool(partial(partial, eval), 60)
    pids = dict(pool.run([f"({i}, __import__('os').getpid())" for i in range(6)], 2))
    assert sorted(result[0] for result in pids.values()) == list(range(6))
    for pid in {result[1] for result in pids.values()}:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_who_stops_early_leaves_no_process():
    pool = Pool(partial(partial, eval), 600)
    tasks = pool.run(["__import__('os').getpid()", "__import__('time').sleep(600)", "1"], 1)
    _, pid = next(tasks)
    tasks.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_warm_workers_are_there_before_the_first_call():
    with Pool(partial(partial, eval), 60) as pool:
        pool.warm(2)
        started = {worker._process.pid for worker in pool._idle}
        assert len(started) == 2
        assert pool.call("__import__('os').getpid()") in started and len(pool._all) == 2
    assert pool._all == []
