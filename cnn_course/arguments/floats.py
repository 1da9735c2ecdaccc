"""Checks of numbers and of arrays of floats, shared by the rooms."""

import math
from numbers import Real
from typing import TypeGuard

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cnn_course.arguments.arrays import array
from cnn_course.arguments.shown import brief, shown

# What a type checker takes for a number: an int is a float to it, an np.int64 is not.
Number = float | np.integer | np.floating


def is_number(value: object) -> TypeGuard[float]:
    """Whether `value` is one real number, of Python or of NumPy; True and False are none."""
    return isinstance(value, Real) and not isinstance(value, bool)


def finite(
    name: str, value: object, *, least: float | None = None, most: float | None = None, above: float | None = None
) -> float:
    """Return `value` as a float.

    Raises TypeError if it is not one number, ValueError if it is infinite or NaN, below `least`, not above `above`, or
    larger than `most`.
    """
    if not is_number(value):
        raise TypeError(f"{name} must be {_allowed(least, above, most)}, not {shown(value)}")
    try:
        number = float(value)
    except OverflowError:  # 10**400
        number = math.inf
    if not (
        math.isfinite(number)
        and (least is None or number >= least)
        and (above is None or number > above)
        and (most is None or number <= most)
    ):
        raise ValueError(f"{name} must be {_allowed(least, above, most)}, not {brief(value)}")
    return number


def _allowed(least: float | None, above: float | None, most: float | None) -> str:
    limits = {"at least": least, "above": above, "at most": most}
    bounds = [f"{word} {limit:g}" for word, limit in limits.items() if limit is not None]
    return ", ".join(["a finite number", " and ".join(bounds)]) if bounds else "a finite number"


def same_float(**arrays: ArrayLike) -> list[NDArray]:
    """The arrays as float32 if all of them are, else as float64. Raises as `array` does, and for any other float."""
    found = [array(name, value) for name, value in arrays.items()]
    types = {each.dtype.type for each in found}
    if types == {np.float32} or types == {np.float64}:
        dtype = types.pop()
    else:
        for name, each in zip(arrays, found, strict=True):
            if each.dtype.kind == "f" and each.dtype.type not in (np.float32, np.float64):
                raise TypeError(
                    f"{name} has dtype {each.dtype}; float32 and float64 are allowed, and integers and booleans, which "
                    f"become float64: convert it first, for example {name}.astype(np.float32)"
                )
        dtype = np.float64
    return [each.astype(dtype, copy=False) for each in found]
