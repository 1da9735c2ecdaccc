"""The trusted end of the wire: one student's functions as stand-ins for those that run in the sandbox."""

from __future__ import annotations

import builtins
import itertools
import secrets
import socket
from typing import Any

import numpy as np

from cnn_course.errors import CheckFailed, ProcessEnded, SandboxError, TimedOut, WireError
from cnn_course.grading import rules
from cnn_course.grading.judging.clock import Call, Clock
from cnn_course.grading.judging.statements import Place, Statements
from cnn_course.grading.sandbox import source_text, wire
from cnn_course.grading.sandbox.alarm import undisturbed
from cnn_course.grading.sandbox.cold_host import AnyHost
from cnn_course.grading.sandbox.source_text import Statement

CALL_SECONDS = 60.0
OVER = "the time for this submission is over."


class _Hung(TimeoutError):
    """A call took longer than CALL_SECONDS."""


class Student:
    """The code cells of one submission, in children of `host`. `stubs()` are its functions.

    setup: the master's first cell, run there too. cells: the text of each cell, in the notebook's order, by grade_id;
    cells of the student's own have other names. names: the functions that the master defines in each of its cells.
    seconds: for all calls together.

    The texts are read in a child in which nothing of the student's has run. Of cells of the student's own only those
    statements are run that an answer needs. Where all that the cells do is to define, and no name is defined twice, one
    child runs them all; else each place in the notebook gets a child that has run what stands above and nothing below,
    as when the notebook's own tests ran: see `at`.

    Where the lab has rules, functions share a child only if they may use the same, and there all else is taken away
    before the student's first line: otherwise one cell could put into NumPy what the rules forbid to another. A
    function whose text says that it breaks the rules runs nowhere.
    """

    def __init__(
        self, host: AnyHost, setup: str, cells: dict[str, str], names: dict[str, list[str]], seconds: float
    ) -> None:
        self.host, self.setup, self.cells, self.names = host, setup, dict(cells), names
        self.functions = [name for found in names.values() for name in found]
        given = {*dir(builtins), *source_text.names(setup, source_text.SETUP)[0]}  # without the student
        self._statements = Statements(cells, names, given)
        self.clock = Clock(host, seconds)
        self.problems: dict[str, str] = {}  # what happened when a cell was run, by its name
        self.lost: SandboxError | None = None  # the machine failed, not the student
        self._problems: dict[str, list[str]] = {}  # function: what the rules forbid of all that it uses
        self._tables: dict[str, tuple[tuple[str, bool], ...]] = {}  # function: what it may use and what not
        self.shares = 1  # how many children there may be at the same time
        self._apart = False  # whether each place has a child of its own
        self._place = ""  # the cell whose end the processes below stand at; "" for the end of the notebook
        self._spare: list[_Process] = []  # has read, and run nothing
        self._processes: dict[tuple[tuple[str, bool], ...], _Process] = {}  # by what is taken away in it
        self._runs_in: dict[str, _Process] = {}
        self._hung: set[str] = set()  # functions that took too long once: they are not called again

    @undisturbed()
    def start(self) -> None:
        """Read every cell, and run each once. Raises TimeoutError if no time is left, SandboxError without a child."""
        self._tables = {function: tuple(rules.table_for(function).items()) for function in self.functions}
        self.shares = len({*self._tables.values()}) or 1
        self._spare = [reader := _Process(self)]
        for cell, source in self.cells.items():
            self._statements.add(cell, self._read(reader, cell, source))
        self._statements.complete()
        self._prepare("")
        self._apart = self._statements.in_each_others_way(self.functions)
        if self._apart:
            self._processes, self._spare = {}, [reader]
        for process in self._processes.values():
            process.start()

    @undisturbed()
    def at(self, cell: str) -> None:
        """From now on the functions are those that the notebook has at the end of this cell. Raises as `start` does."""
        if self._apart and cell != self._place:
            for process in self._processes.values():
                process.stop()
            self._prepare(cell)
            for process in self._processes.values():
                process.start()

    def _prepare(self, place: str) -> None:
        """Share the functions, as they are at a place, among processes."""
        self._place, self._processes, self._runs_in = place, {}, {}
        said = self._statements
        common = [*said.common(place)]
        for function in self.functions:
            needed = said.needed(function, place)
            self._problems[function] = rules.broken(((p[0], said[p]) for p in sorted(needed)), function)
            if not self._problems[function]:
                key = self._tables[function]
                if key not in self._processes:
                    left = rules.without([said[p] for p in common], function)
                    self._processes[key] = self._spare.pop() if self._spare else _Process(self)
                    self._processes[key].table = dict(key)
                    self._processes[key].places = {p for number, p in enumerate(common) if number not in left}
                self._processes[key].places |= needed
                self._runs_in[function] = self._processes[key]

    @undisturbed()
    def stop(self) -> None:
        """End all processes and everything that they started."""
        for process in [*self._processes.values(), *self._spare]:
            process.stop()

    def stubs(self) -> dict[str, Any]:
        """A stand-in for each function that the cells defined."""
        known = {}
        for name, problems in self._problems.items():
            process = self._runs_in.get(name)
            made = self._statements.make(name)
            if process is not None and process.running:
                made = name in process.functions
            if made:
                known[name] = _Stub(self, name, problems)
        return known

    def call(self, function: str, arguments: list, options: dict) -> Any:
        if function not in self._runs_in:
            rules.check_source(function, _Stub(self, function, self._problems[function]))
            raise CheckFailed(f"{function} does not run here.")
        process = self._runs_in[function]
        return self.ask(process, function, {"do": "call", "function": function}, arguments, options)

    @undisturbed()
    def ask(self, process: _Process, function: str, request: dict, arguments: list, options: dict) -> Any:
        """As `_Process.ask`; function: what is to blame where there is no answer in time."""
        if function in self._hung:
            raise TimeoutError(f"{function} took more than {CALL_SECONDS:g} seconds before, and is not called again.")
        try:
            return process.ask(request, arguments, options, function)
        except _Hung as error:
            self._hung.add(function)
            raise TimeoutError(str(error)) from None

    def blame(self, cell: str, error: WireError) -> None:
        """Note that a cell ended its process, or took too long: it is not run again."""
        if self.clock.over():
            for late in self.cells:
                self.problems.setdefault(late, "was not run: the time for this submission was over")
            raise TimeoutError(OVER) from error
        self.problems[cell] = "took too long" if isinstance(error, TimedOut) else "ended its process"

    def _read(self, process: _Process, cell: str, source: str) -> list[Statement | None]:
        request = {"do": "read", "cell": cell, "source": source, "setup": self.setup}
        try:
            process.fork()
            answer, _ = process.exchange(request, [])
        except WireError as error:
            process.stop()
            self.blame(cell, error)
            return []
        if "error" in answer:
            self.problems[cell] = _stopped(answer)
            return []
        return [found and _statement(*found) for found in answer["statements"]]


class _Process:
    """One child of the host, with some of a student's cells."""

    def __init__(self, student: Student) -> None:
        self.student = student
        self.places: set[Place] = set()  # what is run here
        self.table: dict[str, bool] = {}  # what is taken away before
        self.functions: set[str] = set()
        self.running = False  # whether it has run them
        self.pid = 0
        self._channel: socket.socket | None = None
        self._time = Call(student.clock, CALL_SECONDS)
        self._numbers = itertools.count(secrets.randbits(32))

    def start(self) -> None:
        """A child with every cell run once; a cell that ends it, or takes too long, is left out."""
        while True:
            cell = ""
            try:
                self.fork()
                self._take_away()
                self.functions = set()
                places: dict[str, list[int]] = {}
                for cell, number in sorted(self.places):
                    places.setdefault(cell, []).append(number)
                for cell in self.student.cells:
                    numbers = places.get(cell, [])
                    if numbers and self.student.problems.get(cell, "") not in _DEADLY:
                        self._run(cell, numbers)
                self.running = True
                return
            except WireError as error:
                self.stop()
                self.student.blame(cell, error)

    def fork(self) -> None:
        """A child, if there is none, in which the lab's first cell has run."""
        if self._channel is not None:
            return
        try:
            self.pid, self._channel = self.student.host.fork(self.student.shares)
            answer, _ = self.exchange({"do": "setup", "source": self.student.setup}, [])
            if "error" in answer:
                raise SandboxError(f"the lab's first cell {_stopped(answer)}")
        except SandboxError as error:
            self.student.lost = error
            raise
        except WireError as error:
            self.stop()
            if self.student.clock.over():
                raise
            self.student.lost = SandboxError(f"the lab's first cell does not run: {error}")
            raise self.student.lost from error

    def _take_away(self) -> None:
        if self.table:
            answer, _ = self.exchange({"do": "forbid", "table": self.table}, [])
            if "error" in answer:
                self.student.lost = SandboxError(f"the lab's rules cannot be put in force: it {_stopped(answer)}")
                raise self.student.lost

    def stop(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel, self.running = None, False
            self.student.clock.settle()
            self.student.host.kill(self.pid)
            self.student.clock.forget()

    def ask(self, request: dict, arguments: list, options: dict, function: str) -> Any:
        """Send a request; what came back. Raises what the function raised, _Hung, TimeoutError or ProcessEnded."""
        if not self.running:
            self.start()
        if function not in self.functions:
            raise NameError(f"name {function!r} is not defined", name=function)
        arrays: list[np.ndarray] = []
        packed = {
            "arguments": wire.pack(list(arguments), arrays, self._number_of),
            "options": wire.pack(options, arrays, self._number_of),
        }
        try:
            answer, payloads = self.exchange(request | packed, arrays)
            if "error" in answer:
                raise wire.unpack_error(answer["error"])
            result = wire.unpack(answer.get("result"), payloads, lambda number: _Module(self, number, function))
            _write_back(answer.get("changed"), payloads, [*arguments, *options.values()])
        except TimedOut:
            hung = self._time.used_up()
            self.stop()
            if not hung:
                raise TimeoutError(OVER) from None
            raise _Hung(f"no answer after {CALL_SECONDS:g} seconds. Look for a loop that never ends.") from None
        except WireError:
            self.stop()
            raise ProcessEnded(
                "nothing came back. The function ended its process, or used more memory or time than there is."
            ) from None
        return result

    def exchange(self, request: dict, arrays: list[np.ndarray]) -> tuple[dict[str, Any], wire.Payloads]:
        """One request and its answer. Raises WireError."""
        number = next(self._numbers)
        self._time = Call(self.student.clock, CALL_SECONDS)
        if self._time.left() <= 0:
            raise TimedOut(OVER)
        if self._channel is None:
            raise WireError("there is no process to ask")
        self._channel.settimeout(self._time.left())
        wire.send(self._channel, request | {"number": number}, arrays)
        answer, payloads = wire.receive(self._channel, self._time.left)
        if answer.get("number") != number:
            raise WireError("an answer to another question")
        return answer, payloads

    def _run(self, cell: str, numbers: list[int]) -> None:
        source, names = self.student.cells[cell], self.student.functions
        request = {"do": "define", "cell": cell, "source": source, "statements": numbers, "names": names}
        answer, _ = self.exchange(request, [])
        own = self.student.names.get(cell, [])  # other functions may do without what this process has not
        if "error" in answer and (not own or any(self.student._runs_in.get(name) is self for name in own)):
            self.student.problems[cell] = _stopped(answer)
        found = answer.get("functions", [])  # none where the text cannot be compiled
        if not isinstance(found, list):
            raise WireError("not an answer")
        self.functions.update(name for name in names if name in found)

    def _number_of(self, value: Any) -> int | None:
        if not isinstance(value, _Module):
            return None
        value.check()
        if value.process is not self:
            raise CheckFailed("the network was built in another process: it cannot be handed to this function.")
        return value.number


_DEADLY = ("took too long", "ended its process")


class _Stub:
    """Called as the student's function is, with the same errors."""

    def __init__(self, student: Student, name: str, source_problems: list[str]) -> None:
        self._student, self.__name__, self.source_problems = student, name, source_problems

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self._student.call(self.__name__, list(arguments), options)


class _Module:
    """A module that lives with the student: `networks.Network` asks it."""

    def __init__(self, process: _Process, number: int, made_by: str) -> None:
        self.process, self.number, self._made_by, self._pid = process, number, made_by, process.pid

    def ask(self, question: str, *arguments: Any) -> Any:
        self.check()
        request = {"do": "ask", "module": self.number, "question": question}
        return self.process.student.ask(self.process, self._made_by, request, list(arguments), {})

    def check(self) -> None:
        if self.process.pid != self._pid or self.process._channel is None:
            raise ProcessEnded("the process with this network has ended: build it again.")


def _write_back(changed: Any, payloads: wire.Payloads, sent: list) -> None:
    """Make changes that the function made to its arguments visible here, as a call in one process would."""
    if not isinstance(changed, dict):
        raise WireError("not an answer")
    places = {str(i): i for i in range(len(sent))}
    for place, packed in changed.items():
        if place not in places:
            raise WireError("not an answer")
        value, target = wire.unpack(packed, payloads), sent[places[place]]
        if isinstance(target, list):
            target[:] = value if isinstance(value, list) else [value]
            continue
        if isinstance(target, dict):
            target.clear()
            target.update(value if isinstance(value, dict) else {"": value})
            continue
        if not isinstance(target, np.ndarray):
            target = target.numpy() if hasattr(target, "numpy") else np.zeros(0)
            value = value.numpy() if hasattr(value, "numpy") else value
        if isinstance(value, np.ndarray) and value.shape == target.shape and value.dtype == target.dtype:
            target[...] = value
        else:
            target[...] = 0


def _statement(
    made: list, used: list, words: dict, modules: dict, changed: list, calm: bool, defines: bool
) -> Statement:
    return Statement(frozenset(made), frozenset(used), words, modules, frozenset(changed), bool(calm), bool(defines))


def _stopped(answer: dict) -> str:
    error = wire.unpack_error(answer["error"])
    return f"stopped with {type(error).__name__}: {error}"
