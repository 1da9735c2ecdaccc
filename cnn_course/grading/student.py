"""The trusted end of the wire: a warm host in its sandbox, and one student's functions as stand-ins."""

from __future__ import annotations

import builtins
import contextlib
import itertools
import os
import secrets
import socket
import struct
import subprocess
import symtable
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from cnn_course.grading import sandbox, wire
from cnn_course.grading.failure import CheckFailed

CALL_SECONDS = 60.0
START_SECONDS = 120.0


class Host:
    """A warm process that forks one child for each submission. Close it, or use it in a `with`."""

    def __init__(self, imports: Sequence[str], *, sandboxed: bool = True, cpu_seconds: int = 600) -> None:
        """imports: modules to import before the first submission. Raises SandboxError if it does not start."""
        self._control, theirs = socket.socketpair()
        words = [sys.executable, "-m", "cnn_course.grading.host", str(theirs.fileno()), str(cpu_seconds)]
        words += ["isolate" if sandboxed else "open", *imports]
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        self._process = subprocess.Popen(
            sandbox.command(words, bare_proc=True) if sandboxed else words,
            env={} if sandboxed else os.environ | threads,
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
            said = (self._process.stderr.read().decode(errors="replace").strip().splitlines() or ["no reason given"])[
                -1
            ]
            self.close()
            raise sandbox.SandboxError(f"the process for students' code does not start: {said[-1]}")

    def fork(self) -> tuple[int, socket.socket]:
        """A fresh child: its pid in the sandbox, and the socket on which it serves."""
        ours, theirs = socket.socketpair()
        try:
            socket.send_fds(self._control, [b"F"], [theirs.fileno()])
            (pid,) = struct.unpack("<i", self._control.recv(4, socket.MSG_WAITALL))
        except (OSError, struct.error) as error:
            ours.close()
            raise sandbox.SandboxError(f"the process for students' code has ended ({error})") from error
        finally:
            theirs.close()
        if pid == 0:
            ours.close()
            raise sandbox.SandboxError("no namespaces within the sandbox: the kernel refuses them")
        return pid, ours

    def kill(self, pid: int) -> None:
        """End a child and everything that it started."""
        with contextlib.suppress(OSError):
            self._control.sendall(b"K" + struct.pack("<i", pid))
            self._control.recv(1)

    def close(self) -> None:
        """End the host; its process namespace goes with it, and so does everything that ran in it."""
        self._control.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(2)
        self._process.kill()
        self._process.wait()
        self._process.stderr.close()

    def __enter__(self) -> Host:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Student:
    """The solution cells of one submission, in a child of `host`. `stubs()` are its functions.

    setup: the master's first cell, run there too. cells: the text of each solution cell, by grade_id.
    names: the functions of each cell that the master defines there. deadline: time.monotonic() at which all calls end.
    """

    def __init__(
        self, host: Host, setup: str, cells: dict[str, str], names: dict[str, list[str]], deadline: float
    ) -> None:
        self.host, self.setup, self.cells, self.names, self.deadline = host, setup, dict(cells), names, deadline
        self.problems: dict[str, str] = {}  # what happened when a cell was run, by grade_id
        self._numbers = itertools.count(secrets.randbits(32))
        self._functions: dict[str, str] = {}  # function: its cell
        self._deadly: set[str] = set()
        self._pid, self._channel = 0, None

    def start(self) -> None:
        """A fresh process with every cell run once; a cell that ends the process, or takes too long, is left out."""
        while True:
            self._pid, self._channel = self.host.fork()
            self._functions = {}
            cell = "setup"
            try:
                self._define(cell, self.setup, [])
                for cell, source in self.cells.items():
                    if cell in self._deadly:
                        continue
                    try:
                        found = self._define(cell, source, self.names.get(cell, []))
                    except _Raised as error:
                        self.problems[cell] = str(error)
                    else:
                        self._functions |= dict.fromkeys(found, cell)
                return
            except wire.WireError as error:
                self.stop()
                if cell == "setup" or time.monotonic() >= self.deadline:
                    raise CheckFailed("the time for this submission is over.") from error
                self.problems[cell] = "took too long" if isinstance(error, wire.TimedOut) else "ended its process"
                self._deadly.add(cell)

    def stop(self) -> None:
        """End the process and everything that it started."""
        if self._channel is not None:
            self.host.kill(self._pid)
            self._channel.close()
            self._channel = None

    def stubs(self) -> dict[str, Any]:
        """A stand-in for each function that the cells defined."""
        return {name: _Stub(self, name, self._source_of(cell)) for name, cell in self._functions.items()}

    def call(self, function: str, arguments: list, options: dict) -> Any:
        return self._ask({"do": "call", "function": function}, arguments, options)

    def ask_module(self, number: int, question: str, arguments: list) -> Any:
        return self._ask({"do": "ask", "module": number, "question": question}, arguments, {})

    def _ask(self, request: dict, arguments: list, options: dict) -> Any:
        if self._channel is None:
            self.start()
        arrays: list[np.ndarray] = []
        packed = {
            "arguments": wire.pack(list(arguments), arrays, _number_of),
            "options": wire.pack(options, arrays, _number_of),
        }
        try:
            answer, payloads = self._exchange(request | packed, arrays)
            if "error" in answer:
                raise _rebuilt(answer["error"])
            result = wire.unpack(answer.get("result"), payloads, lambda number: _Module(self, number))
            self._write_back(answer.get("changed"), payloads, [*arguments, *options.values()])
        except wire.TimedOut:
            self.stop()
            raise CheckFailed(
                f"your function was stopped: no answer after {CALL_SECONDS:.0f} seconds. Is there a loop that "
                "never ends?"
            ) from None
        except wire.WireError:
            self.stop()
            raise CheckFailed(
                "your function ended its process, or used more memory or time than there is. Nothing came back."
            ) from None
        return result

    def _define(self, cell: str, source: str, names: list[str]) -> list[str]:
        answer, _ = self._exchange({"do": "define", "cell": cell, "source": source, "names": names}, [])
        if "error" in answer:
            raise _Raised(_rebuilt(answer["error"]))
        found = answer.get("functions")
        if not isinstance(found, list):
            raise wire.WireError("not an answer")
        return [name for name in names if name in found]

    def _exchange(self, request: dict, arrays: list[np.ndarray]) -> tuple[dict, list[bytes]]:
        number = next(self._numbers)
        seconds = min(CALL_SECONDS, self.deadline - time.monotonic())
        if seconds <= 0:
            raise wire.TimedOut("the time for this submission is over")
        self._channel.settimeout(seconds)
        try:
            wire.send(self._channel, request | {"number": number}, arrays)
        except TimeoutError as error:
            raise wire.TimedOut("no answer in time") from error
        answer, payloads = wire.receive(self._channel, seconds)
        if answer.get("number") != number:
            raise wire.WireError("an answer to another question")
        return answer, payloads

    @staticmethod
    def _write_back(changed: Any, payloads: list[bytes], sent: list) -> None:
        """Make changes that the function made to its arguments visible here, as a call in one process would."""
        if not isinstance(changed, dict):
            raise wire.WireError("not an answer")
        for place, packed in changed.items():
            if not place.isdecimal() or int(place) >= len(sent):
                raise wire.WireError("not an answer")
            value, target = wire.unpack(packed, payloads), sent[int(place)]
            if not isinstance(target, np.ndarray):
                target = target.numpy() if hasattr(target, "numpy") else np.zeros(0)
                value = value.numpy() if hasattr(value, "numpy") else value
            if isinstance(value, np.ndarray) and value.shape == target.shape and value.dtype == target.dtype:
                target[...] = value
            else:
                target[...] = 0

    def _source_of(self, cell: str) -> str:
        """The text of a cell and of the cells whose names it uses."""
        made = {other: _names(text)[0] for other, text in self.cells.items()}
        found, wanted = [], [cell]
        while wanted:
            name = wanted.pop()
            if name not in found:
                found.append(name)
                used = _names(self.cells[name])[1]
                wanted += [other for other in made if made[other] & used]
        return "\n".join(self.cells[name] for name in found)


class _Raised(Exception):
    """A cell raised when it was run."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(f"{type(error).__name__}: {error}")


class _Stub:
    """Called as the student's function is, with the same errors."""

    def __init__(self, student: Student, name: str, source_text: str) -> None:
        self._student, self.__name__, self.source_text = student, name, source_text

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self._student.call(self.__name__, list(arguments), options)


class _Module:
    """A module that lives with the student: `networks.Network` asks it."""

    def __init__(self, student: Student, number: int) -> None:
        self._student, self.number, self._pid = student, number, student._pid

    def ask(self, question: str, *arguments: Any) -> Any:
        if self._student._pid != self._pid:
            raise CheckFailed("the process with this module has ended: build it again.")
        return self._student.ask_module(self.number, question, list(arguments))


def _number_of(value: Any) -> int | None:
    return value.number if isinstance(value, _Module) else None


def _names(text: str) -> tuple[set[str], set[str]]:
    """The names that a cell makes at its top, and those from outside that it uses, in its functions too."""
    try:
        table = symtable.symtable(text, "cell", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set(), set()
    made = {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported()}
    used, inner = set(), [table]
    while inner:
        inner += (table := inner.pop()).get_children()
        used |= {s.get_name() for s in table.get_symbols() if s.is_global() and s.is_referenced()}
    return made, used


def _rebuilt(found: Any) -> BaseException:
    """An exception of the same name and text; of the same class if that is one of Python's own."""
    match found:
        case {"type": str(name), "text": str(text), "lines": list(lines)} if name.isidentifier():
            known = getattr(builtins, name, None)
            usable = isinstance(known, type) and issubclass(known, (Exception, SystemExit))
            base = known if usable and not issubclass(known, (UnicodeError, BaseExceptionGroup)) else Exception
            error = type(name[:40], (base,), {"__str__": lambda self: text[:1000], "__module__": "builtins"})()
            error.student_lines = [str(line)[:200] for line in lines[:5]]
            return error
    raise wire.WireError("not an answer")
