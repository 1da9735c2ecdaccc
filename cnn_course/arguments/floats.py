"""Checks of numbers and of arrays of floats, shared by the rooms."""

from numbers import Real

import numpy as np
from numpy.typing import ArrayLike, NDArray

# What a type checker takes for a number: an int is a float to it, an np.int64 is not.
Number = float | np.integer | np.floating


def is_number(value: object) -> bool:
    """Whether `value` is one real number, of Python or of NumPy; True and False are none."""
    return isinstance(value, Real) and not isinstance(value, bool)


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
