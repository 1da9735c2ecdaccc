"""Plain values between the trusted process and the student's: JSON frames with arrays behind them, never pickle.

A frame is the length of a JSON header, the header, and the bytes of the arrays that it mentions. What arrives is
untrusted: sizes are bounded and checked against each other before anything is allocated, and only numbers, text, lists,
dicts, arrays, tensors and names of other kinds can come out. What cannot be sent as it is (a function, an array of
objects, eight terabytes that are one number broadcast) is sent as its kind, so that a check can name it.
"""

from __future__ import annotations

import builtins
import json
import math
import re
import socket
import struct
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cnn_course.errors import TimedOut, WireError

LARGEST_HEADER = 1 << 21
LARGEST_ARRAYS = 1 << 28  # bytes in one frame
_DEEPEST = 20
_LONGEST_TEXT = 10_000
_MOST_AXES = 64
_LARGEST_ITEM = 1 << 16  # bytes of one text in an array of texts
_LONGEST_WAIT = 1.0  # seconds: Windows hears of Ctrl-C between two waits, and not in one
_ZEROS = bytes(_LARGEST_ITEM)  # shared by all arrays that come without their values
_NUMBERS = "biuf"
_kinds: dict[str, type] = {}
_DTYPE = re.compile(r"[<>|=]?[?biufcSUOVmM]\d{0,8}(\[[a-z]+\])?")

Payloads = list[bytearray | None]  # the bytes of a frame's arrays; None once an array has taken them


def send(channel: socket.socket, message: dict[str, Any], arrays: Sequence[np.ndarray] = ()) -> None:
    """Send one frame. Raises WireError if the header or the arrays are too large or the other side has gone."""
    header = json.dumps(message | {"sizes": [int(a.nbytes) for a in arrays]}).encode()
    if len(header) > LARGEST_HEADER or sum(a.nbytes for a in arrays) > LARGEST_ARRAYS:
        raise WireError(f"a message of {len(header)} bytes with {sum(a.nbytes for a in arrays)} in arrays is too large")
    try:
        channel.sendall(struct.pack("<I", len(header)) + header)
        for array in arrays:
            channel.sendall(np.ascontiguousarray(array).data.cast("B") if array.nbytes else b"")
    except TimeoutError as error:
        raise TimedOut("nothing was taken in time") from error
    except OSError as error:
        raise WireError(f"the other side has gone ({error})") from error


def receive(channel: socket.socket, left: Callable[[], float] | None = None) -> tuple[dict[str, Any], Payloads]:
    """The next frame: its header and the bytes of its arrays. Raises WireError for anything else.

    left: how many seconds there still are, asked again and again while nothing comes; 0 or less ends it with TimedOut.
    None: as long as it takes.
    """
    (length,) = struct.unpack("<I", _read(channel, 4, left))
    if length > LARGEST_HEADER:
        raise WireError(f"a header of {length} bytes; {LARGEST_HEADER} are allowed")
    try:
        message = json.loads(_read(channel, length, left))
    except (ValueError, RecursionError) as error:
        raise WireError("the header is not JSON") from error
    sizes = message.pop("sizes", None) if isinstance(message, dict) else None
    if not isinstance(sizes, list) or not all(type(n) is int and 0 <= n <= LARGEST_ARRAYS for n in sizes):
        raise WireError("the header does not say how large its arrays are")
    if len(sizes) > 10_000 or sum(sizes) > LARGEST_ARRAYS:
        raise WireError(f"{len(sizes)} arrays of {sum(sizes)} bytes; {LARGEST_ARRAYS} bytes are allowed")
    return message, [_read(channel, n, left) for n in sizes]


def clean(text: str) -> str:
    """The text without lone surrogates, which no file or database takes."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _read(channel: socket.socket, count: int, left: Callable[[], float] | None) -> bytearray:
    data = bytearray()
    while len(data) < count:  # grows with what arrives, not with what was announced
        seconds = None if left is None else left()
        if seconds is not None and seconds <= 0:
            raise TimedOut("no answer in time")
        channel.settimeout(None if seconds is None else min(seconds, _LONGEST_WAIT))
        try:
            part = channel.recv(min(count - len(data), 1 << 20))
        except TimeoutError:
            continue
        except OSError as error:
            raise WireError(f"the other side has gone ({error})") from error
        if not part:
            raise WireError("the other side has gone")
        data += part
    return data


def pack(value: Any, arrays: list[np.ndarray], modules: Any = None, depth: int = 0) -> Any:
    """`value` as JSON, its arrays appended to `arrays`. modules(value) gives a number for a module that stays here."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):  # an IntEnum is one
        value = int.__index__(value)
        return value if abs(value) < 1 << 62 else {"huge": 1 if value > 0 else -1}
    if isinstance(value, float) and not isinstance(value, np.generic):
        return {"float": float.hex(value)}
    if isinstance(value, str):  # one of NumPy, too
        return str.__str__(value)[:_LONGEST_TEXT]
    kind = next((kind for kind in (list, tuple, dict) if isinstance(value, kind)), None)  # a named tuple is a tuple
    if depth < _DEEPEST and kind in (list, tuple) and len(value) <= 100_000:
        return {kind.__name__: [pack(item, arrays, modules, depth + 1) for item in value]}
    if depth < _DEEPEST and kind is dict and len(value) <= 10_000 and all(type(key) is str for key in value):
        return {"dict": [[k[:_LONGEST_TEXT], pack(v, arrays, modules, depth + 1)] for k, v in value.items()]}
    if type(value) is np.ndarray or isinstance(value, np.generic):
        return _pack_array(np.asarray(value), arrays, "array" if type(value) is np.ndarray else "number")
    torch = sys.modules.get("torch")
    if torch is not None and type(value) in (torch.Tensor, torch.nn.Parameter):
        try:
            return _pack_array(value.detach().cpu().numpy(), arrays, "tensor")
        except (RuntimeError, TypeError):
            return {"kind": "Tensor"}
    number = modules(value) if modules is not None else None
    return {"kind": type(value).__name__[:100]} if number is None else {"module": number}


def _pack_array(array: np.ndarray, arrays: list[np.ndarray], kind: str) -> dict[str, Any]:
    plain = array.dtype.names is None and array.dtype.itemsize <= _LARGEST_ITEM
    found: dict[str, Any] = {kind: list(array.shape), "dtype": array.dtype.str if plain else "|V1"}
    if array.dtype.kind in _NUMBERS and array.nbytes + sum(a.nbytes for a in arrays) <= LARGEST_ARRAYS // 2:
        arrays.append(np.ascontiguousarray(array))
        found["at"] = len(arrays) - 1
    return found


def unpack(value: Any, payloads: Payloads, module: Any = None, depth: int = 0) -> Any:
    """The value that `pack` was given, made of untrusted parts. module(number) stands for a module on the other side.

    Takes what it uses out of `payloads`: the bytes of an array belong to one array. Raises WireError for anything that
    `pack` does not make.
    """
    if value is None or type(value) is bool:
        return value
    if type(value) is int and abs(value) < 1 << 62:
        return value
    if type(value) is str:
        return clean(value)
    if type(value) is not dict or depth > _DEEPEST + 1:
        raise WireError("not a packed value")
    match value:
        case {"float": str(text), **rest} if not rest and len(text) < 40:
            try:
                return float.fromhex(text)
            except (ValueError, OverflowError) as error:
                raise WireError("not a number") from error
        case {"huge": 1 | -1 as sign, **rest} if not rest:
            return sign * ((1 << 64) + 1)
        case {"list": list(items), **rest} if not rest:
            return [unpack(item, payloads, module, depth + 1) for item in items]
        case {"tuple": list(items), **rest} if not rest:
            return tuple(unpack(item, payloads, module, depth + 1) for item in items)
        case {"dict": list(items), **rest} if not rest:
            if not all(isinstance(pair, list) and len(pair) == 2 and type(pair[0]) is str for pair in items):
                raise WireError("not a packed dict")
            return {clean(key): unpack(item, payloads, module, depth + 1) for key, item in items}
        case {"kind": str(name), **rest} if not rest:
            # A value of a class of that name: enough to say "got a function".
            return _kind(re.sub(r"\W", "_", name)[:40] or "object")()
        case {"module": int(number), **rest} if not rest and module is not None and 0 <= number < 1 << 31:
            return module(number)
        case {"array": list(shape), "dtype": str(dtype), **rest}:
            return _unpack_array(shape, dtype, rest, payloads)
        case {"number": list(shape), "dtype": str(dtype), **rest} if not shape:
            return _unpack_array(shape, dtype, rest, payloads)[()]
        case {"tensor": list(shape), "dtype": str(dtype), **rest}:
            array = _unpack_array(shape, dtype, rest, payloads)
            torch = sys.modules.get("torch")
            if torch is None:  # seconds to import, for an answer that no test of such a lab wants
                return type("Tensor", (), {})()
            try:
                return torch.from_numpy(array if array.flags.writeable else array.reshape(-1)[:0].copy())
            except (TypeError, ValueError) as error:
                raise WireError("not a tensor") from error
    raise WireError("not a packed value")


def _kind(name: str) -> type:
    """A class of that name: one for all values of it, and no more than a thousand, which nobody needs."""
    if name not in _kinds and len(_kinds) == 1000:
        name = "object"
    return _kinds.setdefault(name, _kinds.get(name) or type(name, (), {}))


def _unpack_array(shape: list, dtype: str, rest: dict, payloads: Payloads) -> np.ndarray:
    if len(shape) > _MOST_AXES or not all(type(n) is int and 0 <= n < 1 << 62 for n in shape):
        raise WireError("not a shape")
    if not _DTYPE.fullmatch(dtype):
        raise WireError("not a dtype")
    try:
        kind = np.dtype(dtype)
        if kind.itemsize > _LARGEST_ITEM:
            raise WireError("not a dtype")
        if not rest:  # too large, or not numbers: the shape and the dtype are all that there is
            held = kind.hasobject or not kind.itemsize
            return np.broadcast_to(np.zeros((), kind) if held else np.frombuffer(_ZEROS, kind, 1).reshape(()), shape)
        at = rest.get("at")
        if set(rest) != {"at"} or type(at) is not int or not 0 <= at < len(payloads) or kind.kind not in _NUMBERS:
            raise WireError("not an array")
        data, payloads[at] = payloads[at], None
        if data is None or math.prod(shape) * kind.itemsize != len(data):
            raise WireError("an array's shape does not fit its bytes")
        return np.frombuffer(data, kind).reshape(shape)
    except (TypeError, ValueError, MemoryError) as error:  # NumPy's own limits
        raise WireError("not an array") from error


def unpack_error(found: Any) -> BaseException:
    """An exception of the name and text that came; of the same class if that is one of Python's own.

    Its `student_lines` are the lines of the student's code that led to it. Raises WireError.
    """
    match found:
        case {"type": str(name), "text": str(text), "lines": list(lines)} if name.isidentifier():
            known, base = getattr(builtins, name, None), Exception
            if isinstance(known, type) and issubclass(known, (Exception, SystemExit)):
                if not issubclass(known, (UnicodeError, BaseExceptionGroup)):
                    base = known
            said = clean(text[:1000])
            error = type(name[:40], (base,), {"__str__": lambda self: said, "__module__": "builtins"})()
            error.student_lines = [clean(str(line)[:200]) for line in lines[:5]]
            return error
    raise WireError("not an error")
