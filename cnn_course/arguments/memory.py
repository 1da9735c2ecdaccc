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
        gibibytes = -(numbers * itemsize // -(2**30))
        much = f"{gibibytes:,} GiB" if gibibytes < 10**12 else "more than all memory in the world"  # 10**400
        raise ValueError(
            f"{name} is too large: with {shown(value)} the arrays would take {much}, and at most "
            f"{MOST_BYTES // 2**30} GiB are allowed, so that an ordinary machine survives"
        )
