"""Checks of numbers and of arrays of floats, shared by the rooms."""

import math
from numbers import Real
from typing import TypeGuard

import numpy as np
from numpy.typing import ArrayLike, NDArray

# What a type checker takes for a number: an int is a float to it, an np.int64 is not.
Number = float | np.integer | np.floating


def is_number(value: object) -> TypeGuard[float]:
    """Whether `value` is one real number, of Python or of NumPy; True and False are none."""
    return isinstance(value, Real) and not isinstance(value, bool)


def finite(name: str, value: object) -> float:
    """Return `value` as a float. Raises TypeError if it is not one number, ValueError if it is infinite or NaN."""
    if not is_number(value):
        raise TypeError(f"{name} must be a number, not {value!r} ({type(value).__name__})")
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{name} must be a finite number, not {value!r}")
    return number


def same_float(**arrays: ArrayLike) -> list[NDArray]:
    """The arrays as float32 if all of them are, else as float64. Raises TypeError for any other kind of number."""
    found = {name: np.asarray(array) for name, array in arrays.items()}
    for name, array in found.items():
        if array.dtype.kind not in "bui" and array.dtype.type not in (np.float32, np.float64):
            raise TypeError(
                f"{name} has dtype {array.dtype}; float32 and float64 are allowed, and integers and booleans, which "
                f"become float64: convert it first, for example {name}.astype(np.float32)"
            )
    all_float32 = all(array.dtype.type is np.float32 for array in found.values())
    return [array.astype(np.float32 if all_float32 else np.float64, copy=False) for array in found.values()]
