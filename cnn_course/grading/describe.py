"""Short, bounded words for values that a student's function got or gave. Nothing untrusted is printed whole."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

_LONGEST_TEXT = 200
_LONGEST_ARRAY = 60
_LONGEST_SHAPE = 8

_five_digits = "{:.5g}".format


def call(name: str, *arguments: Any, **options: Any) -> str:
    """The call as a student would type it; arrays of more than a few numbers appear by their shape."""
    parts = [_argument(value) for value in arguments]
    parts += [f"{key}={_argument(value)}" for key, value in options.items()]
    return f"{name}({', '.join(parts)})"


def index(place: tuple[int, ...]) -> str:
    """A place in an array, as it is typed in Python."""
    return "[" + ", ".join(str(i) for i in place) + "]"


def shape(sizes: tuple[int, ...]) -> str:
    """A shape as a tuple; only the number of axes where there are many."""
    if len(sizes) > _LONGEST_SHAPE:
        return f"with {len(sizes)} axes"
    return str(tuple(int(n) for n in sizes))


def grid(values: np.ndarray) -> str:
    """All values of a small array of floats, in rows."""
    return np.array2string(values, formatter={"float_kind": _five_digits}, max_line_width=100, threshold=64)


def is_tensor(value: Any) -> bool:
    """Whether it is a torch tensor; asked without importing torch, which the NumPy labs do not need."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def _argument(value: Any) -> str:
    if is_tensor(value):
        return f"<tensor {shape(tuple(value.shape))}, {str(value.dtype).removeprefix('torch.')}>"
    if not isinstance(value, np.ndarray):
        return bounded(value)
    if value.size <= 12 and value.ndim <= 2:
        text = " ".join(np.array2string(value, separator=", ", formatter={"float_kind": _five_digits}).split())
        if len(text) <= _LONGEST_ARRAY:
            return text
    dtype = "" if value.dtype == np.float64 else f", {value.dtype}"
    return f"<array {shape(value.shape)}{dtype}>"


def kind(got: Any) -> str:
    """Name the kind of an untrusted object without showing it."""
    name = type(got).__name__[:40]
    article = "an" if name[:1].lower() in "aeiou" else "a"
    return {"str": "text (a str)", "bool": "True or False (a bool)", "bool_": "True or False (a bool)"}.get(
        name, f"{article} {name}"
    )


def bounded(value: Any) -> str:
    """str(value) on one line, cut off where it gets long."""
    try:
        text = " ".join(str(value).split())
    except Exception:
        return "(no readable message)"
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 3] + "..."
