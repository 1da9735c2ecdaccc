"""Worker processes that survive the death of any of them: what a dead worker had is given to the next."""

from __future__ import annotations

import multiprocessing
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
    context = multiprocessing.get_context("spawn")  # a fork would inherit open databases
    waiting = deque((task, 1) for task in tasks)
    busy: dict[Connection, tuple[Any, Any, int, float]] = {}  # the pipe: process, task, attempt, deadline
    idle: list[tuple[Connection, Any]] = []
    try:
        while waiting or busy:
            while waiting and (idle or len(busy) < workers):
                pipe, process = idle.pop() if idle else _start(context, function)
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


def _start(context: Any, function: Callable[..., Any]) -> tuple[Connection, Any]:
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, function), daemon=True)
    process.start()
    theirs.close()
    return ours, process


def _end(pipe: Connection, process: Any) -> None:
    pipe.close()  # an idle worker ends by itself, and what it had started with it
    process.join(5 if process.is_alive() else 0)
    if process.is_alive():
        process.kill()
        process.join()


def _work(pipe: Connection, function: Callable[..., Any]) -> None:
    while True:
        try:
            task = pipe.recv()
        except (EOFError, OSError, KeyboardInterrupt):
            return
        try:
            result = function(task)
        except Exception as error:
            result = error
        try:
            pipe.send((result,))
        except OSError:
            return
