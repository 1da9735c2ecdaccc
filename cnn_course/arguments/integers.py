"""Checks of whole-number arguments, shared by the rooms."""

import operator
from typing import Any


def integer(name: str, value: Any, *, least: int | None = None) -> int:
    """Return `value` as an int.

    Raises TypeError if it is not a whole number (2.0 and True are not), ValueError if it is below `least`.
    """
    allowed = "an integer" if least is None else f"an integer of at least {least}"
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be {allowed}, not {value!r} ({type(value).__name__})") from None
    if least is not None and number < least:
        raise ValueError(f"{name} must be {allowed}, not {number}")
    return number


def each(name: str, value: Any, axes: int, *, least: int | None = None) -> tuple[int, ...]:
    """Return `value`, an integer for all axes or a sequence with one for each, as `axes` ints.

    Raises TypeError and ValueError as `integer` does, and ValueError for a sequence of another length.
    """
    if not isinstance(value, tuple | list):
        return (integer(name, value, least=least),) * axes
    if len(value) != axes:
        several = {1: "a sequence of 1 integer", 2: "a (vertical, horizontal) pair"}
        raise ValueError(
            f"{name} must be an integer or {several.get(axes, f'a sequence of {axes} integers')}, not {value!r}"
        )
    return tuple(integer(f"{name}[{axis}]", entry, least=least) for axis, entry in enumerate(value))


def pair(name: str, value: Any, *, least: int | None = None) -> tuple[int, int]:
    """Return `value`, an integer for both directions or a (vertical, horizontal) pair, as two ints.

    Raises TypeError and ValueError as `integer` does, and ValueError for a sequence that is not a pair.
    """
    first, second = each(name, value, 2, least=least)
    return first, second
