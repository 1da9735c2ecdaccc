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


def pair(name: str, value: Any, *, least: int | None = None) -> tuple[int, int]:
    """Return `value`, an integer for both directions or a (vertical, horizontal) pair, as two ints.

    Raises TypeError and ValueError as `integer` does, and ValueError for a sequence that is not a pair.
    """
    if not isinstance(value, tuple | list):
        number = integer(name, value, least=least)
        return number, number
    if len(value) != 2:
        raise ValueError(f"{name} must be an integer or a (vertical, horizontal) pair, not {value!r}")
    return integer(f"{name}[0]", value[0], least=least), integer(f"{name}[1]", value[1], least=least)
