"""The trusted side of `host`: starts the warm process in its sandbox, and asks it for children."""

from __future__ import annotations

import contextlib
import glob
import itertools
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from cnn_course.errors import NotNestedError, SandboxError
from cnn_course.grading.sandbox import bubblewrap
from cnn_course.grading.sandbox.alarm import undisturbed
from cnn_course.grading.sandbox.host import ANSWER, REQUEST

START_SECONDS = 120.0


class Host:
    """A warm process that forks one child for each submission. Close it, or use it in a `with`."""

    def __init__(
        self,
        imports: Sequence[str],
        setup: str = "",
        *,
        mode: str = "nested",
        cpu_seconds: int = bubblewrap.SUBMISSION_CPU_SECONDS,
        memory_bytes: int = bubblewrap.SUBMISSION_MEMORY,
    ) -> None:
        """imports, setup: modules to import and a text to run before the first submission.

        mode: "nested", each child in namespaces of its own within the sandbox; "alone", a sandbox for one child;
        "open", no sandbox at all.
        cpu_seconds: for each process of a child. memory_bytes: for all processes of a child together, beyond what the
        warm process holds. Raises SandboxError if it does not start.
        """
        self._control, theirs = socket.socketpair()
        self._numbers = itertools.count()
        words = [sys.executable, "-m", "cnn_course.grading.sandbox.host", str(theirs.fileno()), str(cpu_seconds)]
        words += [str(memory_bytes), mode, setup, *imports]
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        self._process = subprocess.Popen(
            words if mode == "open" else bubblewrap.command(words, bare_proc=mode == "nested"),
            env=os.environ | threads if mode == "open" else {},
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        theirs.close()
        self._control.settimeout(START_SECONDS)
        try:
            ready = self._control.recv(1)
        except OSError:
            ready = b""
        if ready != b"R":
            self._process.kill()
            errors = self._process.communicate()[1].decode(errors="replace")
            self.close()
            said = errors.strip().splitlines() or ["no reason given"]
            raise SandboxError(f"the process for students' code does not start: {said[-1]}")

    def fork(self, shares: int = 1) -> tuple[int, socket.socket]:
        """A fresh child: its pid in the sandbox, and the socket on which it serves.

        shares: how many children one submission may have, among which its memory is shared.
        """
        ours, theirs = socket.socketpair()
        try:
            pid = self._asked(b"F", shares, [theirs.fileno()])
        except SandboxError:
            ours.close()
            raise
        finally:
            theirs.close()
        if pid == 0:
            ours.close()
            raise NotNestedError("no namespaces within the sandbox: the kernel refuses them")
        return pid, ours

    def kill(self, pid: int) -> None:
        """End a child and everything that it started. A host without an answer is closed, and the next `fork` fails."""
        try:
            self._asked(b"K", pid)
        except SandboxError:
            self.close()

    def _asked(self, letter: bytes, pid: int, fds: Sequence[int] = ()) -> int:
        """One request and its answer. Raises SandboxError without one, or for the answer to another request."""
        number = next(self._numbers)
        try:
            with undisturbed():
                socket.send_fds(self._control, [REQUEST.pack(letter, number, pid)], fds)
                repeated, answer = ANSWER.unpack(self._control.recv(ANSWER.size, socket.MSG_WAITALL))
        except (OSError, struct.error) as error:
            raise SandboxError(f"the process for students' code has ended ({error})") from error
        if repeated != number:
            raise SandboxError(f"the process for students' code answers request {repeated} where {number} was asked")
        return answer

    def waited(self) -> dict[int, float]:
        """For each student's process, how many seconds it was ready to run and the machine was busy.

        Nothing where Linux does not say.
        """
        found = {}
        for pid in _below(self._process.pid):
            with contextlib.suppress(OSError, ValueError, IndexError):  # it has ended; or the kernel does not count
                found[pid] = int(Path(f"/proc/{pid}/schedstat").read_text(encoding="utf-8").split()[1]) / 1e9
        return found

    def close(self) -> None:
        """End the host; its process namespace goes with it, and so does everything that ran in it."""
        self._control.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(2)
        self._process.kill()
        self._process.wait()
        if self._process.stderr is not None:
            self._process.stderr.close()

    def __enter__(self) -> Host:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _below(pid: int) -> Iterator[int]:
    """All processes that descend from one."""
    for file in glob.glob(f"/proc/{pid}/task/*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, Path(file).read_text(encoding="utf-8").split()):
                yield child
                yield from _below(child)
