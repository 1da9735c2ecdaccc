"""Checks of arrays, shared by the rooms."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cnn_course.arguments.shown import shown

NUMBERS = "biuf"  # NumPy's letters for booleans, integers and floats: what a picture or a weight can be made of


def array(name: str, value: ArrayLike, *, kinds: str = NUMBERS) -> NDArray:
    """Return `value` as an array, without a copy where it is one.

    kinds: the letters of NumPy's dtype.kind that are allowed. Raises TypeError for other kinds of numbers and for what
    is no array (None, text, an object, a tensor that needs a gradient), ValueError for nested lists of several lengths.
    """
    if type(value) is np.ndarray and value.dtype.kind in kinds:  # nearly always, and layers are called often
        return value
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array, whose mask would be lost: pass {name}.filled(0), say")
    try:
        found = np.asarray(value)
    except ValueError:
        raise ValueError(f"{name} must be an array: in {shown(value)} the lists have several lengths") from None
    except Exception as error:  # whatever the value's own __array__ raises
        raise TypeError(
            f"{name} must be an array of numbers, not {shown(value)}{_way_out(name, value, error)}"
        ) from None
    if found.dtype.kind not in kinds:
        what = f"dtype {found.dtype}" if isinstance(value, np.ndarray) else shown(value)
        raise TypeError(f"{name} must be an array of {_described(kinds)}, not {what}")
    return found


def with_axes(name: str, value: ArrayLike, axes: str, *, kinds: str = NUMBERS) -> NDArray:
    """`array` with as many axes as `axes` names, such as "N, C, H, W". Raises ValueError for another number of them."""
    found = array(name, value, kinds=kinds)
    wanted = axes.count(",") + 1
    if found.ndim != wanted:
        several = f"{wanted} {'axis' if wanted == 1 else 'axes'}"
        raise ValueError(f"{name} must have {several} ({axes}), but has {found.ndim} (shape {found.shape})")
    return found


def _described(kinds: str) -> str:
    words = {"b": "booleans", "i": "integers", "f": "floats", "c": "complex numbers"}
    return ", ".join(words[kind] for kind in kinds if kind in words)


def _way_out(name: str, value: Any, error: Exception) -> str:
    if hasattr(value, "detach"):  # a tensor of torch, which this half of the course does not import
        return f": pass {name}.detach().cpu().float().numpy()"
    return f" ({type(error).__name__}: {error})"
