"""Worker processes that survive the death of any of them: what a dead worker had is given to the next.

A worker makes its function once and calls it for one task after the other, so that what is slow to make stays warm.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from multiprocessing.connection import Connection
from typing import Any

ATTEMPTS = 3


class Pool:
    """Processes of their own for calls from any number of threads: each call has one to itself while it lasts.

    make: can be pickled; make() in a worker gives the function that is called there with each task. seconds: of a call.
    Close it; its workers also end with the process that started them, also when that is killed.
    """

    def __init__(self, make: Callable[[], Callable[[Any], Any]], seconds: float) -> None:
        self._make, self._seconds = make, seconds
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._all: list[_Worker] = []
        self._closed = False

    def warm(self, workers: int) -> None:
        """Start so many workers, which make their function while this process does something else."""
        started = [self._take() for _ in range(workers)]
        with self._lock:
            self._idle += started

    def call(self, task: Any) -> Any:
        """What the function gave for the task, or the Exception that it raised.

        A task whose worker dies, or takes longer than `seconds`, is tried again, ATTEMPTS times in all; then the result
        is a RuntimeError.
        """
        for _ in range(ATTEMPTS):
            worker = self._take()
            try:
                result = worker.ask(task, self._seconds)
            except BaseException as error:
                self._drop(worker, at_once=isinstance(error, TimeoutError))  # what hangs does not hear that it is over
                if isinstance(error, (EOFError, OSError)) and not self._closed:
                    continue
                raise
            with self._lock:
                self._idle.append(worker)
            return result
        return RuntimeError(f"its worker ended or hung {ATTEMPTS} times")

    def run(self, tasks: Sequence[Any], workers: int) -> Iterator[tuple[Any, Any]]:
        """Yield (task, result) for each task, as `call` gives it, in the order in which they end; then close."""
        threads = ThreadPoolExecutor(workers)
        try:
            waiting = {threads.submit(self.call, task): task for task in tasks}
            for done in as_completed(waiting):
                yield waiting.pop(done), done.result()
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
            self.close()  # the threads that wait for a worker hear its end
            threads.shutdown()

    def close(self) -> None:
        with self._lock:
            self._closed, workers, self._all, self._idle = True, self._all, [], []
        for worker in workers:  # all hear of it before one is waited for
            worker.hang_up()
        for worker in workers:
            worker.end()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take(self) -> _Worker:
        with self._lock:
            if self._closed:
                raise OSError("the pool is closed")
            if self._idle:
                return self._idle.pop()
            worker = _Worker(self._make)
            self._all.append(worker)
            return worker

    def _drop(self, worker: _Worker, at_once: bool) -> None:
        with self._lock:
            if worker not in self._all:  # `close` ends it
                return
            self._all.remove(worker)
        worker.end(at_once)


class _Worker:
    """One process, seen from the one that started it."""

    def __init__(self, make: Callable[[], Callable[[Any], Any]]) -> None:
        ours, theirs = socket.socketpair()
        # A new interpreter, not a fork: an open database must not be inherited. It needs no importable __main__ either.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "cnn_course.grading.classroom.pool", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        theirs.close()
        self._ours = ours
        self._pipe = Connection(os.dup(ours.fileno()))
        with contextlib.suppress(OSError):  # it has ended already: the first `ask` finds that out
            self._pipe.send(make)

    def ask(self, task: Any, seconds: float) -> Any:
        """The result for one task. Raises EOFError or OSError where the process has ended or takes longer."""
        self._pipe.send(task)
        if not self._pipe.poll(seconds):
            raise TimeoutError(f"no result after {seconds:g} seconds")
        return self._pipe.recv()[0]

    def hang_up(self) -> None:
        """An idle worker ends by itself then, and what it had started with it."""
        with contextlib.suppress(OSError):
            self._ours.shutdown(socket.SHUT_RDWR)

    def end(self, at_once: bool = False) -> None:
        self.hang_up()
        try:
            self._process.wait(0 if at_once else 5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._pipe.close()
        self._ours.close()


def main(arguments: list[str]) -> int:
    """A worker: makes its function of the first thing that comes through the socket with that number, then serves."""
    pipe = Connection(int(arguments[0]))
    with contextlib.suppress(OSError, AttributeError):  # Linux: end with the process that started this one
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]  # see commands/grade.py
    function = None
    while True:
        try:
            task = pipe.recv()
        except (EOFError, OSError):
            return 0
        if function is None:
            function = task()
            continue
        try:
            result = function(task)
        except Exception as error:
            result = error
        try:
            pipe.send((result,))
        except OSError:
            return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
