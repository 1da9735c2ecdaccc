"""Lab 08: a run of a student's experiment, which returns numbers and a verdict.

`check_run` compares what one call returned: first the numbers, and only if they are right the verdict. So a verdict
without its measurement gets nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cnn_course.errors import CheckFailed
from cnn_course.grading import checks, describe

VERDICTS = ("refuted", "survives")


def check_run(
    name: str,
    function: Callable[..., Any],
    *arguments: Any,
    expected: Any,
    refuted: bool | np.bool_ | None = None,
    asks: str = "",
    mistakes: checks.Mistakes = (),
    hint: str = "",
    tolerance: float = 1e-6,
    **options: Any,
) -> None:
    """Call an experiment, which returns (numbers, verdict), and compare both with what they should be.

    expected, mistakes, hint, tolerance: the numbers, as in `checks.check_array`. Whole numbers may come as integers.
    refuted: whether these numbers refute the claim; None leaves the verdict to the student (it must be one of the two
    words all the same). asks: what the claim says about the numbers, as a clause for the message.

    Raises CheckFailed with a message for the student.
    """
    description = describe.call(name, *arguments, **options)
    numbers, verdict = _two(description, checks.call(description, function, *arguments, **options))
    if describe.is_tensor(numbers):
        numbers = np.asarray(numbers.detach())
    expected = np.asarray(expected, dtype=np.float64)
    checks.check_array(
        f"{description}, the numbers",
        _whole_as_floats(numbers, expected),
        expected,
        mistakes=mistakes,
        hint=hint,
        tolerance=tolerance,
    )
    if not isinstance(verdict, str) or verdict not in VERDICTS:
        shown = repr(verdict) if isinstance(verdict, str) and len(verdict) <= 40 else describe.kind(verdict)
        raise CheckFailed(
            f'{description}: the numbers are right. The verdict must be the text "refuted" or "survives", got {shown}.'
        )
    if refuted is None or verdict == VERDICTS[not refuted]:
        return
    if refuted:
        why = f"The claim asks that {asks}. These numbers break that, and one such run is enough."
    else:
        why = (
            f"The claim asks that {asks}. These numbers agree with that, up to rounding. "
            "Decide from the numbers of this call, and count a relative difference up to 1e-6 as none."
        )
    raise CheckFailed(f'{description}: the numbers are right, but the verdict "{verdict}" does not follow. {why}')


def _two(description: str, got: Any) -> tuple[Any, Any]:
    """The two things that an experiment returns. From another process a tuple may come as a list."""
    wanted = 'An experiment returns two things: `return numbers, verdict`, the verdict "refuted" or "survives".'
    if got is None:
        raise CheckFailed(f"{description}: it returned None. {wanted}")
    pair = isinstance(got, (tuple, list))  # a named tuple is one
    if not pair or len(got) != 2:
        what = f"{describe.kind(got)} of length {len(got)}" if pair else describe.kind(got)
        raise CheckFailed(f"{description}: got {what}. {wanted}")
    if isinstance(got[0], str):
        raise CheckFailed(f"{description}: the first thing is a text. The numbers come first. {wanted}")
    return got[0], got[1]


def _whole_as_floats(numbers: Any, expected: np.ndarray) -> Any:
    """Counts may be integers where all that is expected is whole; anything else stays as it is for `check_array`."""
    counts = type(numbers) is np.ndarray and numbers.dtype.kind in "iu" and numbers.shape == expected.shape
    return numbers.astype(np.float64) if counts and np.all(expected == np.round(expected)) else numbers
