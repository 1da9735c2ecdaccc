"""A bound on what a call may allocate, said before it is allocated."""

from typing import Any

from cnn_course.arguments.shown import shown

# A laptop has 8 GiB, of which the browser and the notebook hold half. Beyond it the system swaps or kills the kernel,
# with all that a student has computed.
MOST_BYTES = 4 * 2**30


def affordable(name: str, value: Any, numbers: int, *, itemsize: int = 8) -> None:
    """Raise ValueError if argument `name`, set to `value`, asks for arrays of more than `MOST_BYTES`.

    numbers: how many they hold in all; itemsize: bytes of each.
    """
    if numbers * itemsize > MOST_BYTES:
        raise ValueError(
            f"{name} is too large: with {shown(value)} the arrays would take {numbers * itemsize / 2**30:,.0f} GiB, "
            f"and at most {MOST_BYTES // 2**30} are allowed, so that an ordinary machine survives"
        )
