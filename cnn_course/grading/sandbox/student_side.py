"""The end of the wire where the student's code runs: it defines cells, calls functions and says what came back."""

from __future__ import annotations
import __future__

import ast
import asyncio
import contextlib
import inspect
import io
import linecache
import socket
import sys
import traceback
import types
import warnings
from typing import Any

import numpy as np

from cnn_course.errors import WireError
from cnn_course.grading.sandbox import source_text, taken_away, wire

_MOST_FRAMES = 5


class _Bounded(io.TextIOBase):
    """Takes what is printed, and forgets it: nobody reads it here, and an endless print must not fill the memory."""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        return len(text)


def _display(*_: Any, **__: Any) -> None:
    """As IPython has it; nobody looks here."""


_display.__module__ = "__main__"  # the student's, not the course's


def serve(channel: socket.socket) -> None:
    """Answer requests until the other side goes. Each answer repeats the number of its request."""
    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    main.__dict__["display"] = _display
    nowhere = _Bounded()
    for name in ("stdout", "stderr", "__stdout__", "__stderr__"):
        setattr(sys, name, nowhere)
    sys.argv = ["student"]
    warnings.simplefilter("ignore")
    modules: list[Any] = []
    while True:
        try:
            request, payloads = wire.receive(channel)
        except WireError:
            return
        arrays: list[np.ndarray] = []
        try:
            answer = _answer(request, payloads, arrays, main.__dict__, modules)
        except BaseException as error:  # also SystemExit and KeyboardInterrupt: the process goes on
            answer, arrays = {"error": _described(error)}, []
        answer["number"] = request["number"]
        try:
            wire.send(channel, answer, arrays)
        except WireError:
            too_large = {"type": "ValueError", "text": "the result is too large to be handed over", "lines": []}
            wire.send(channel, {"error": too_large, "number": request["number"]})


def _answer(request: dict, payloads: wire.Payloads, arrays: list, names: dict, modules: list) -> dict[str, Any]:
    if request["do"] == "read":  # asked before any code of the student's has run here
        digits = sys.get_int_max_str_digits()
        sys.set_int_max_str_digits(0)  # a number may be as long as the student likes
        try:
            found = source_text.statements(request["source"], f"<{request['cell']}>", request["setup"])
        finally:
            sys.set_int_max_str_digits(digits)
        return {"statements": [s and _plain(s) for s in found]}
    if request["do"] == "setup":
        exec(compile(request["source"], source_text.SETUP, "exec", dont_inherit=True), names)
        return {}
    if request["do"] == "forbid":
        if "torch" in sys.modules:
            # Afterwards nothing of the course can be imported, and no optimizer made: the first one imports torch's
            # compiler, which looks for libraries that may be forbidden.
            import torch._dynamo  # noqa: F401

            from cnn_course.grading.sandbox import module_questions  # noqa: F401
        taken_away.take_away(names, request["table"])
        return {}
    if request["do"] == "define":
        return _defined(request, names)
    arguments = wire.unpack(request["arguments"], payloads, modules.__getitem__)
    options = wire.unpack(request["options"], payloads, modules.__getitem__)
    if request["do"] == "ask":
        from cnn_course.grading.sandbox.module_questions import QUESTIONS

        function = QUESTIONS[request["question"]]
        arguments.insert(0, modules[request["module"]])
    else:
        function = names[request["function"]]
    before = [_frozen(value) for value in arguments] + [_frozen(value) for value in options.values()]
    got = function(*arguments, **options)
    after = [*arguments, *options.values()]
    changed = {
        str(i): wire.pack(value, arrays) for i, value in enumerate(after) if before[i] not in (None, _frozen(value))
    }
    return {"result": wire.pack(got, arrays, lambda value: _kept(value, modules)), "changed": changed}


def _plain(said: source_text.Statement) -> list[Any]:
    return [sorted(part) if isinstance(part, frozenset) else part for part in said]


def _defined(request: dict, names: dict) -> dict[str, Any]:
    """Run some statements of a cell. As in Jupyter, one that fails ends the cell, and what it had defined stays.

    And `from __future__ import annotations` holds for all cells below it.
    """
    file = f"<{request['cell']}>"
    lines = request["source"].splitlines(keepends=True)
    linecache.cache[file] = (len(request["source"]), None, lines, file)
    tree = source_text.tree_of(request["source"], file)
    tree.body = [tree.body[number] for number in request["statements"]]
    tree.body.sort(key=lambda node: getattr(node, "module", "") != "__future__")  # first, also in a second part
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT  # as in Jupyter
    if names.get("annotations") is __future__.annotations:
        flags |= __future__.annotations.compiler_flag
    code = compile(tree, file, "exec", flags=flags, dont_inherit=True)
    failed = {}
    try:
        if code.co_flags & inspect.CO_COROUTINE:
            asyncio.run(eval(code, names))
        else:
            exec(code, names)
    except BaseException as error:  # also SystemExit and KeyboardInterrupt: the process goes on
        failed = {"error": _described(error)}
    return failed | {"functions": [name for name in request["names"] if callable(names.get(name))]}


def _frozen(value: Any) -> tuple | None:
    """What tells whether an array, a tensor, a list or a dict was changed; None for everything else."""
    if isinstance(value, (list, dict)):
        arrays: list[np.ndarray] = []
        return wire.pack(value, arrays), [array.tobytes() for array in arrays]
    torch = sys.modules.get("torch")
    if torch is not None and type(value) is torch.Tensor:
        value = value.detach().numpy()
    return (value.shape, value.dtype.str, value.tobytes()) if type(value) is np.ndarray else None


def _kept(value: Any, modules: list) -> int | None:
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(value, torch.nn.Module):
        return None
    modules.append(value)
    return len(modules) - 1


def _described(error: BaseException) -> dict[str, Any]:
    lines = []
    with contextlib.suppress(Exception):
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith("<")]
        lines = [f"line {f.lineno} in {f.name}: {f.line}"[:200] for f in frames[-_MOST_FRAMES:]]
    try:
        text = str(error)[:1000]
    except BaseException:
        text = "(no readable message)"
    return {"type": type(error).__name__[:40], "text": text, "lines": lines}
