"""Where there is no fork: an interpreter of its own for each child. Nothing is isolated.

For a student's own code on the student's own machine, Windows and macOS: there nobody is graded.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import cnn_course
from cnn_course.errors import SandboxError
from cnn_course.grading.sandbox.warm_host import START_SECONDS

_LOOK = 0.5  # seconds: Windows hears of Ctrl-C between two waits, and not in one


class SpawnedHost:
    """The same methods as `Host`, slower by the lab's imports for each child."""

    def __init__(self, imports: Sequence[str]) -> None:
        self._imports = imports
        # As empty as where a submission is graded: an answer that reads a file of the student's fails there, too.
        self._folder = tempfile.TemporaryDirectory(prefix="cnn-course-", ignore_cleanup_errors=True)
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._numbers = itertools.count(1)
        self._starting = 0.0  # seconds, of all children

    def fork(self, shares: int = 1) -> tuple[int, socket.socket]:
        """A fresh child: a number for `kill`, and the socket on which it serves. shares: no limit holds here."""
        word = secrets.token_bytes()
        number, start = next(self._numbers), time.monotonic()
        with socket.create_server(("127.0.0.1", 0)) as server:
            words = [sys.executable, "-P", "-m", "cnn_course.grading.sandbox.spawned", str(server.getsockname()[1])]
            process = self._children[number] = subprocess.Popen(
                [*words, *self._imports],
                cwd=self._folder.name,
                env=_environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
            try:
                channel = _called(server, process, word)
            except BaseException:
                self.kill(number)
                raise
        self._starting += time.monotonic() - start
        return number, channel

    def kill(self, number: int) -> None:
        """End a child."""
        if number in self._children:
            process = self._children.pop(number)
            process.kill()
            process.wait()
            if process.stderr is not None:
                process.stderr.close()

    def waited(self) -> dict[int, float]:
        """As `Host.waited`: what starting took, one child after the other. Only Linux says how busy a machine was."""
        return {0: self._starting}

    def close(self) -> None:
        for number in list(self._children):
            self.kill(number)
        self._folder.cleanup()

    def __enter__(self) -> SpawnedHost:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _called(server: socket.socket, process: subprocess.Popen[bytes], word: bytes) -> socket.socket:
    """The connection on which a child calls back and says the word. Raises SandboxError where none does."""
    assert process.stdin is not None and process.stderr is not None, "both are pipes"
    with contextlib.suppress(OSError), process.stdin:
        process.stdin.write(word)
    end = time.monotonic() + START_SECONDS
    server.settimeout(_LOOK)
    while process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(TimeoutError):
            channel, _ = server.accept()
            channel.settimeout(_LOOK)
            with contextlib.suppress(OSError):
                if secrets.compare_digest(channel.recv(len(word)), word):
                    channel.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    return channel
            channel.close()  # some other program's
    process.kill()
    said = process.stderr.read().decode(errors="replace").strip().splitlines() or ["no reason given"]
    raise SandboxError(f"the process for your code does not start: {said[-1]}")


def _environment() -> dict[str, str]:
    """This interpreter's modules, whatever folder a child runs in; one thread, and no windows for pictures."""
    places = [place for place in sys.path if os.path.isabs(place)]
    places.append(str(Path(cnn_course.__file__).resolve().parents[1]))
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return os.environ | threads | {"PYTHONPATH": os.pathsep.join(places), "MPLBACKEND": "agg"}
