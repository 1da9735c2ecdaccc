"""Worker processes that survive the death of any of them: what a dead worker had is given to the next."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

ATTEMPTS = 3


def run(function: Callable[..., Any], tasks: Sequence[Any], workers: int, seconds: float) -> Iterator[tuple[Any, Any]]:
    """Yield (task, result) for each task, in the order in which they end. Workers keep their module's globals.

    function: importable; called as function(task) in a worker; what it raises is the result. A task whose worker dies,
    or takes longer than `seconds`, is tried again, ATTEMPTS times in all; then its result is a RuntimeError. Workers
    end with the process that started them, also when that is killed.
    """
    waiting = deque((task, 1) for task in tasks)
    busy: dict[Connection, tuple[Any, Any, int, float]] = {}  # the pipe: process, task, attempt, deadline
    idle: list[tuple[Connection, Any]] = []
    try:
        while waiting or busy:
            while waiting and (idle or len(busy) < workers):
                pipe, process = idle.pop() if idle else _start(function)
                task, attempt = waiting.popleft()
                busy[pipe] = (process, task, attempt, time.monotonic() + seconds)
                pipe.send(task)
            ready = wait(list(busy), timeout=1.0)
            for pipe in list(busy):
                process, task, attempt, deadline = busy[pipe]
                if pipe in ready:
                    try:
                        result = pipe.recv()
                    except (EOFError, OSError):
                        result = None
                    if result is not None:
                        del busy[pipe]
                        idle.append((pipe, process))
                        yield task, result[0]
                        continue
                elif time.monotonic() < deadline:
                    continue
                del busy[pipe]
                _end(pipe, process)
                if attempt < ATTEMPTS:
                    waiting.appendleft((task, attempt + 1))
                else:
                    yield task, RuntimeError(f"its worker ended or hung {ATTEMPTS} times")
    finally:
        for pipe, process in [*idle, *((pipe, entry[0]) for pipe, entry in busy.items())]:
            _end(pipe, process)


def _start(function: Callable[..., Any]) -> tuple[Connection, subprocess.Popen]:
    ours, theirs = socket.socketpair()
    # A new interpreter, not a fork: an open database must not be inherited. It needs no importable __main__ either.
    command = [sys.executable, "-m", "cnn_course.grading.classroom.pool", str(theirs.fileno()), function.__module__]
    process = subprocess.Popen(
        [*command, function.__qualname__], pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, start_new_session=True
    )
    theirs.close()
    return Connection(ours.detach()), process


def _end(pipe: Connection, process: subprocess.Popen) -> None:
    pipe.close()  # an idle worker ends by itself, and what it had started with it
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def main(arguments: list[str]) -> int:
    """A worker: calls a function for each task that comes through the socket with that number."""
    pipe = Connection(int(arguments[0]))
    with contextlib.suppress(OSError, AttributeError):  # Linux: end with the process that started this one
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    function = getattr(importlib.import_module(arguments[1]), arguments[2])
    while True:
        try:
            task = pipe.recv()
        except (EOFError, OSError):
            return 0
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
