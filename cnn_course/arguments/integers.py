"""Checks of whole-number arguments, shared by the rooms."""

import operator
from typing import Any

from cnn_course.arguments.shown import brief, shown

SEED_MOST = 2**64 - 1  # torch's generators take no more; NumPy's do, but one seed should serve both


def integer(name: str, value: Any, *, least: int | None = None, most: int | None = None) -> int:
    """Return `value` as an int.

    Raises TypeError if it is not a whole number (2.0 and True are not), ValueError if it is below `least` or above
    `most`.
    """
    try:
        number = value if type(value) is int else _index(value)
    except (TypeError, RuntimeError):  # a tensor of torch raises the second, where it is on no device
        raise TypeError(f"{name} must be {_allowed(least, most)}, not {shown(value)}") from None
    if (least is not None and number < least) or (most is not None and number > most):
        raise ValueError(f"{name} must be {_allowed(least, most)}, not {brief(number)}")
    return number


def _index(value: Any) -> int:
    if isinstance(value, bool) or getattr(value, "shape", ()) != ():  # an array of one number has an index, too
        raise TypeError
    if str(getattr(value, "dtype", "")) == "torch.bool" or hasattr(value, "filled"):  # True, and a masked number
        raise TypeError
    return operator.index(value)


def _allowed(least: int | None, most: int | None) -> str:
    bounds = [f"of at {word} {bound}" for word, bound in (("least", least), ("most", most)) if bound is not None]
    return " ".join(["an integer", " and ".join(bounds)]) if bounds else "an integer"


def seed_of(name: str, value: Any) -> int:
    """Return a seed as an int. Raises TypeError if it is not a whole number, ValueError below 0 and from 2**64 on."""
    return integer(name, value, least=0, most=SEED_MOST)


def each(name: str, value: Any, axes: int, *, least: int | None = None, most: int | None = None) -> tuple[int, ...]:
    """Return `value`, an integer for all axes or a sequence with one for each, as `axes` ints.

    Raises TypeError and ValueError as `integer` does, and ValueError for a sequence of another length.
    """
    if not isinstance(value, tuple | list):
        return (integer(name, value, least=least, most=most),) * axes
    if len(value) != axes:
        several = {1: "a sequence of 1 integer", 2: "a (vertical, horizontal) pair"}
        raise ValueError(
            f"{name} must be an integer or {several.get(axes, f'a sequence of {axes} integers')}, not {brief(value)}"
        )
    return tuple(integer(f"{name}[{axis}]", entry, least=least, most=most) for axis, entry in enumerate(value))


def pair(name: str, value: Any, *, least: int | None = None, most: int | None = None) -> tuple[int, int]:
    """Return `value`, an integer for both directions or a (vertical, horizontal) pair, as two ints.

    Raises TypeError and ValueError as `integer` does, and ValueError for a sequence that is not a pair.
    """
    first, second = each(name, value, 2, least=least, most=most)
    return first, second
