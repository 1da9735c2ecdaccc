"""The wire: what is packed comes back, and whatever else arrives is a WireError, soon and without much memory."""

import json
import math
import socket
import struct
import sys
import threading
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cnn_course.errors import TimedOut, WireError
from cnn_course.grading.sandbox import wire

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)
NUMBERS = st.sampled_from([np.dtype(d) for d in ("?", "i1", "u2", "<i4", ">i8", "u8", "f2", "<f4", ">f8")])
ARRAYS = hnp.arrays(NUMBERS, hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4))
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**62) + 1, 2**62 - 1) | st.floats() | TEXT | ARRAYS,
    lambda inner: st.lists(inner, max_size=4) | st.lists(inner, max_size=4).map(tuple) | st.dictionaries(TEXT, inner),
    max_leaves=12,
)
# Whatever JSON can say, with the words of the wire more often than not.
WORDS = st.sampled_from("array dtype at number tensor list tuple dict kind module float huge".split()) | TEXT
DTYPES = st.sampled_from(
    ["<f8", ">f4", "|O", "O", "|V8", "<U9", "m8[ns]", "M8", "|b1", "f16", "c16", "V99999999", "a", ""]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT | DTYPES | st.integers(-1, 3),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=20,
)
NEARLY = st.fixed_dictionaries(
    {"dtype": DTYPES},
    optional={"at": st.integers(-1, 3) | st.none(), "x": st.none()},
).flatmap(
    lambda d: st.tuples(
        st.sampled_from(["array", "number", "tensor"]),
        st.lists(st.integers(-1, 2**65) | st.integers(0, 4), max_size=70),
    ).map(lambda pair: d | {pair[0]: pair[1]})
)


def same(a, b):
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return type(b) is dict and a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, np.ndarray):
        return type(b) is np.ndarray and a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    return type(a) is type(b) and (a == b or (a != a and b != b))


def within(seconds):
    end = time.monotonic() + seconds
    return lambda: end - time.monotonic()


def across(message, arrays=()):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sender = threading.Thread(target=wire.send, args=(ours, message, arrays))
        sender.start()
        got = wire.receive(theirs, within(10))
        sender.join()
    return got


def received(data, seconds=5.0, shut=True):
    """What receive makes of these bytes."""
    ours, theirs = socket.socketpair()
    with ours, theirs:

        def write():
            try:
                ours.sendall(data)
                if shut:
                    ours.shutdown(socket.SHUT_WR)
            except OSError:
                pass

        writer = threading.Thread(target=write)
        writer.start()
        try:
            return wire.receive(theirs, within(seconds))
        finally:
            theirs.close()
            writer.join()


def framed(header, payload=b""):
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<I", len(header)) + header + payload


@given(PLAIN)
def test_plain_values_come_back(value):
    arrays = []
    packed = wire.pack(value, arrays)
    message, payloads = across({"value": packed}, arrays)
    assert same(value, wire.unpack(message["value"], payloads))


@given(ARRAYS)
def test_an_array_that_came_can_be_written_to_and_is_nobody_elses(array):
    arrays = []
    packed = wire.pack([array, array], arrays)
    _, payloads = across({}, arrays)
    first, second = wire.unpack(packed, payloads)
    assert first.flags.writeable and not np.shares_memory(first, second)


def test_tensors_and_parameters_come_back():
    torch = pytest.importorskip("torch")
    net = torch.nn.Linear(3, 2)
    arrays = []
    packed = wire.pack([torch.arange(6).reshape(2, 3), net.weight, torch.zeros(2, dtype=torch.bfloat16)], arrays)
    whole, weight, odd = wire.unpack(packed, [bytearray(a.tobytes()) for a in arrays])
    assert torch.equal(whole, torch.arange(6).reshape(2, 3)) and torch.equal(weight, net.weight)
    assert type(odd).__name__ == "Tensor" and not isinstance(odd, torch.Tensor)  # NumPy has no bfloat16
    with pytest.raises(WireError):
        wire.unpack({"tensor": [1], "dtype": ">f8", "at": 0}, [bytearray(8)])


@pytest.mark.parametrize(
    ("value", "check"),
    [
        (np.broadcast_to(1.0, (10**6, 10**6)), lambda got: got.shape == (10**6, 10**6) and got.strides == (0, 0)),
        (np.array([None, "a"]), lambda got: got.dtype == object and got.shape == (2,)),
        (np.array(["a" * 9]), lambda got: got.dtype == "<U9"),
        (np.array(["a" * 99_999]), lambda got: got.dtype == "|V1"),
        (np.zeros((1,) * 40), lambda got: got.ndim == 40),
        (np.zeros(2, dtype=[("a", "f8")]), lambda got: got.dtype == "|V1"),
        (10**400, lambda got: got > 2**63),
        (-(10**400), lambda got: got < -(2**63)),
        ("x" * 10**6, lambda got: got == "x" * 10_000),
        ("\ud800", lambda got: got == "?"),
        (print, lambda got: type(got).__name__ == "builtin_function_or_method"),
        ({1: 2}, lambda got: type(got).__name__ == "dict" and not isinstance(got, dict)),
        ([0] * 200_000, lambda got: type(got).__name__ == "list" and not isinstance(got, list)),
        (type("<b>ü ", (), {})(), lambda got: type(got).__name__ == "_b_ü_"),
        (np.float32(1.5), lambda got: type(got) is np.float32 and got == 1.5),
        (math.nan, lambda got: got != got),
    ],
)
def test_what_cannot_be_sent_is_named(value, check):
    arrays = []
    packed = wire.pack(value, arrays)
    message, payloads = across({"value": packed}, arrays)
    assert check(wire.unpack(message["value"], payloads))


def test_a_tensor_does_not_make_the_judge_import_torch(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    got = wire.unpack({"tensor": [1], "dtype": "<f8", "at": 0}, [bytearray(8)])
    assert type(got).__name__ == "Tensor" and "torch" not in sys.modules


def test_deep_values_end():
    value = []
    for _ in range(1000):
        value = [value]
    got = wire.unpack(wire.pack(value, []), [])
    for _ in range(20):
        (got,) = got
    assert type(got).__name__ == "list" and not isinstance(got, list)


@given(JSON | NEARLY | st.builds(lambda x: {"list": [x]}, NEARLY))
def test_hostile_values_are_plain_or_refused(value):
    try:
        got = wire.unpack(value, [bytearray(8), bytearray(0), bytearray(b"x" * 24)], lambda number: number)
    except WireError:
        return
    assert type(got).__module__ in ("builtins", "numpy", "torch", "cnn_course.grading.sandbox.wire")
    if isinstance(got, np.ndarray):
        assert got.base is not None or got.nbytes <= 24


def test_the_bytes_of_an_array_belong_to_one_array():
    one = {"array": [1], "dtype": "<f8", "at": 0}
    with pytest.raises(WireError):
        wire.unpack({"list": [one, one]}, [bytearray(8)])


@pytest.mark.parametrize("kind", ["|S", "|V", "<U"])
def test_arrays_without_their_values_take_no_memory(kind):
    """Each of them says in thirty letters that its items are texts of 64 kB."""
    sizes = [(65_000 - i) // (4 if kind == "<U" else 1) for i in range(2000)]
    tracemalloc.start()
    try:
        got = wire.unpack({"list": [{"array": [9], "dtype": f"{kind}{size}"} for size in sizes]}, [])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [a.dtype for a in got] == [np.dtype(f"{kind}{size}") for size in sizes] and peak < 8 << 20


@pytest.mark.parametrize(
    "value",
    [
        {"array": [2], "dtype": "<f8", "at": 0},
        {"array": [-1], "dtype": "<f8", "at": 0},
        {"array": [1.0], "dtype": "<f8", "at": 0},
        {"array": [True], "dtype": "<f8", "at": 0},
        {"array": [1], "dtype": "O", "at": 0},
        {"array": [1], "dtype": "<f8,<f8", "at": 0},
        {"array": [1], "dtype": "<f8", "at": 1},
        {"array": [1], "dtype": "<f8", "at": -1},
        {"array": [1], "dtype": "<f8", "at": True},
        {"array": [1], "dtype": "<f8", "at": 0, "more": 1},
        {"array": [2**61, 2**61], "dtype": "<f8"},
        {"array": [1] * 65, "dtype": "<f8"},
        {"array": [1], "dtype": "|V99999999"},
        {"number": [1], "dtype": "<f8", "at": 0},
        {"tensor": [2], "dtype": ">f8", "at": 0},
        {"float": "1e9x"},
        {"float": "0x1p99999"},
        {"huge": 2},
        {"module": 0},
        {"list": [], "tuple": []},
        {"dict": [["a"]]},
        {"kind": 3},
        1.0,
        2**70,
        [],
        {},
    ],
    ids=lambda value: json.dumps(value)[:60],
)
def test_what_pack_does_not_make_is_refused(value):
    with pytest.raises(WireError):
        wire.unpack(value, [bytearray(8)])


@given(st.binary(max_size=200))
def test_noise_is_refused(data):
    try:
        message, payloads = received(data)
    except WireError:
        return
    assert isinstance(message, dict) and isinstance(payloads, list)


@given(JSON, st.binary(max_size=40))
def test_frames_of_any_json_are_read_or_refused(header, payload):
    try:
        message, payloads = received(framed(header, payload))
    except WireError:
        return
    assert isinstance(message, dict) and "sizes" not in message
    assert sum(map(len, payloads)) <= len(payload)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xff\xff\xff",
        struct.pack("<I", wire.LARGEST_HEADER + 1) + b"x",
        framed(b"[" * 10**6),
        framed(b'{"sizes":[' + b"9" * 5000 + b"]}"),
        framed(b'{"sizes":[' + b"9" * 4300 + b"," + b"9" * 4300 + b"]}"),
        framed({"sizes": [wire.LARGEST_ARRAYS + 1]}),
        framed({"sizes": [wire.LARGEST_ARRAYS] * 10_000}),
        framed({"sizes": [0] * 10_001}),
        framed({"sizes": [-1]}),
        framed({"sizes": [1.0]}),
        framed({"sizes": [True]}),
        framed({"sizes": None}),
        framed([]),
        framed(b"\xff\xfe{}"),
        framed({"sizes": [9]}, b"short"),
    ],
    ids=lambda data: repr(data[:24]),
)
def test_bad_frames_are_refused_without_much_memory(data):
    tracemalloc.start()
    try:
        with pytest.raises(WireError):
            received(data)
        assert tracemalloc.get_traced_memory()[1] < 30 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "data", [b"", b"\x01\x00", struct.pack("<I", 100) + b" " * 50, framed({"sizes": [9]}, b"1234")]
)
def test_who_stops_in_the_middle_is_late(data):
    limit, start = 0.1, time.monotonic()
    with pytest.raises(TimedOut):
        received(data, seconds=limit, shut=False)
    assert time.monotonic() - start < 100 * limit  # it was held; the rest is for a busy machine


def test_who_does_not_take_is_late():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(0.1)
        with pytest.raises(TimedOut):
            wire.send(ours, {}, [np.zeros(10**7)])


def test_too_large_is_not_sent():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with pytest.raises(WireError, match="too large"):
            wire.send(ours, {"x": "a" * wire.LARGEST_HEADER})
        with pytest.raises(WireError, match="too large"):
            wire.send(ours, {}, [np.broadcast_to(0.0, (wire.LARGEST_ARRAYS,))])
        theirs.setblocking(False)
        with pytest.raises(BlockingIOError):
            theirs.recv(1)
        theirs.close()
        with pytest.raises(WireError, match="has gone"):
            wire.send(ours, {})


@given(
    TEXT | st.sampled_from(["KeyError", "SystemExit", "KeyboardInterrupt", "UnicodeDecodeError", "ExceptionGroup"]),
    TEXT,
)
def test_errors_keep_their_name_and_text(name, text):
    found = {"type": name, "text": text, "lines": ["line 1 in f: x"]}
    if not name.isidentifier():
        with pytest.raises(WireError):
            wire.unpack_error(found)
        return
    error = wire.unpack_error(found)
    assert (type(error).__name__, str(error)) == (name[:40], text)
    assert isinstance(error, (Exception, SystemExit)) and error.student_lines == ["line 1 in f: x"]
    assert isinstance(error, KeyError) == (name == "KeyError")


@pytest.mark.parametrize(
    "found", [None, "x", {}, {"type": "A", "text": 1, "lines": []}, {"type": "A", "text": "", "lines": 1}]
)
def test_what_is_no_error_is_refused(found):
    with pytest.raises(WireError):
        wire.unpack_error(found)
