"""What an argument of the command line may be: each function is the `type` of an argument, or makes one.

A value that cannot be meant is refused while the command line is read, in one line that names the argument. What only
the work itself can judge (is there such a lab, has the network such an option) is said there, before it begins.
"""

import argparse
import math
import os
from collections.abc import Callable
from pathlib import Path

from cnn_course.arguments.shown import brief

MOST_TEXT = 1000  # letters of a name, an address, a title
MOST_PATH, MOST_PART = 4095, 255  # what Linux allows; other systems say themselves where they allow less


def whole(least: int | None = None, most: int | None = None) -> Callable[[str], int]:
    """A whole number; `least` and `most` are the smallest and the largest that are allowed."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:  # also for thousands of digits
            raise _refused(text, "a whole number", least, most) from None
        if (least is not None and value < least) or (most is not None and value > most):
            raise _refused(text, "a whole number", least, most)
        return value

    return read


def number(least: float | None = None, most: float | None = None) -> Callable[[str], float]:
    """A finite number, such as 0.5 or 1e-3."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise _refused(text, "a number", least, most) from None
        if not math.isfinite(value) or (least is not None and value < least) or (most is not None and value > most):
            raise _refused(text, "a finite number", least, most)
        return value

    return read


def path(text: str) -> Path:
    """The path of a file or a folder, which need not be there."""
    if not text.strip():
        raise argparse.ArgumentTypeError("the name of the file or folder is empty")
    if len(os.fsencode(text)) > MOST_PATH or any(len(os.fsencode(part)) > MOST_PART for part in Path(text).parts):
        raise argparse.ArgumentTypeError(
            f"{brief(text)} is too long: a name may have {MOST_PART} bytes, a path {MOST_PATH:,}"
        )
    return Path(text)


def name_or_path(text: str) -> str:
    """The same as it was written: mnist is a data set, and ./mnist a folder."""
    path(text)
    return text


def words(text: str) -> str:
    """One line of text that can be printed."""
    if not text.strip():
        raise argparse.ArgumentTypeError("the text is empty")
    if len(text) > MOST_TEXT:
        raise argparse.ArgumentTypeError(f"{brief(text)} has {len(text):,} letters: at most {MOST_TEXT:,} are allowed")
    if not text.isprintable():  # a line break, or bytes that are not UTF-8
        raise argparse.ArgumentTypeError(f"{brief(text)} holds letters that cannot be printed: write one line of UTF-8")
    return text


def _refused(text: str, kind: str, least: float | None, most: float | None) -> argparse.ArgumentTypeError:
    bounds = {"of at least": least, "of at most": most}
    if least is not None and most is not None:
        allowed = f" from {least:,} to {most:,}"
    else:
        allowed = "".join(f" {word} {bound:,}" for word, bound in bounds.items() if bound is not None)
    return argparse.ArgumentTypeError(f"must be {kind}{allowed}, not {brief(text)}")
