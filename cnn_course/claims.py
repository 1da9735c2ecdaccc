"""Sentences that cannot drift away from what was computed.

`state` puts numbers into a sentence:

    claims.state("A dense layer needs {dense:,} weights, the shared kernel {shared}.", dense=2_408_448, shared=75)

The numbers are stored beside the sentence as well, where `tests/test_claims.py` compares them with published ones.

`for_settings` binds what a lecture says to the settings that it was written for. With these a claim that fails stops
the lecture; with others, which a student may choose, a line says that it does not hold for them, and what came:

    claim = claims.for_settings(globals(), DATASET="digits", EPOCHS=8, SEEDS=3, SEED=0)
    claim("a shift by two pixels costs the MLP half of its accuracy", lost.min() > 0.5, lost=lost)
"""

import linecache
import re
import string
import sys
from collections.abc import Mapping
from itertools import islice
from typing import Any

import numpy as np
from IPython.core.interactiveshell import InteractiveShell
from IPython.display import display

from cnn_course.arguments.floats import Number, finite
from cnn_course.arguments.objects import flag, mapping, text
from cnn_course.arguments.shown import brief

MOST = 20  # entries of a list or a dict that a message shows


def state(sentence: str, **numbers: Number) -> None:
    """Display a sentence (Markdown) with `numbers` put in where it says {name} or {name:format}, as `str.format` does.

    Numbers that differ from run to run do not belong here: what nbval compares must be the same on every run.
    Raises ValueError if the sentence names a number that is not given, or leaves one out, or says nothing, and for a
    format that does not fit its number; TypeError for a value that is not a finite real number.
    """
    text("sentence", sentence)
    try:
        parts = [(field, form) for _, field, form, _ in string.Formatter().parse(sentence) if field is not None]
    except ValueError as error:
        raise ValueError(f"claims.state: sentence cannot be read: {error}") from None
    named = {field for field, _ in parts}
    if not named or named != set(numbers):
        raise ValueError(
            f"claims.state: the sentence names the numbers {sorted(named)}, but {sorted(numbers)} were given: "
            "each number must be named once or more, and every name must have its number"
        )
    for name, value in numbers.items():
        finite(name, value)
    for _, form in parts:
        if re.search(r"\d{4}", form or ""):  # would fill the memory
            raise ValueError(f"claims.state: a format in the sentence asks for more than 999 letters: {brief(form)}")
    try:
        said = sentence.format(**numbers)
    except (ValueError, TypeError, LookupError, OverflowError) as error:
        raise ValueError(f"claims.state: a format in the sentence does not fit: {error}") from None
    stored = {name: int(v) if isinstance(v, int | np.integer) else round(float(v), 6) for name, v in numbers.items()}
    _say(said, claims=stored)


def for_settings(now: Mapping[str, Any], **stored: Any) -> "_Claims":
    """Return a function `claim` for a lecture, and say so where its settings are not those of its text.

    now: where the settings are, `globals()` in a notebook. stored: each setting that the sentences depend on, with the
    value for which they were written, of the same type: 8.0 is not 8. A setting that is changed later counts from then
    on. Raises ValueError for a setting that `now` does not have.
    """
    mapping("now", now)
    missing = [name for name in stored if name not in now]
    if missing:
        raise ValueError(f"claims.for_settings: there is no {missing[0]} here: run the cell with the settings first")
    claim = _Claims(now, stored)
    other = claim.other()
    if other:
        what = "; ".join(f"`{name}` is {brief(value)}, not {brief(stored[name])}" for name, value in other.items())
        _say(
            f"**Not the stored settings:** {what}. Sentences, titles and descriptions of figures were written for the "
            "stored ones. What they claim is checked again with yours, and a line says where it does not hold."
        )
    return claim


class _Claims:
    """What a lecture claims, checked. Made by `for_settings`."""

    def __init__(self, now: Mapping[str, Any], stored: Mapping[str, Any]):
        self._now, self._stored = now, dict(stored)

    def other(self) -> dict[str, Any]:
        """The settings that are not the stored ones, as they are."""
        return {
            name: self._now.get(name) for name, value in self._stored.items() if not _same(self._now.get(name), value)
        }

    def __call__(self, claim: str, holds: bool, /, **came: Any) -> None:
        """Check a claim: what the text says, whether it holds, and the numbers from which this was seen.

        Raises AssertionError where it does not hold with the stored settings, and says the claim, what came and the
        line; with others that is displayed. Raises TypeError for a condition that is not True or False.
        """
        text("claim", claim)
        if flag("holds", holds):
            return
        values = ", ".join(f"{name} = {_short(value)}" for name, value in came.items())
        other = self.other()
        if not other:
            frame = sys._getframe(1)
            line = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
            where = f"line {frame.f_lineno}: {line}" if line else f"line {frame.f_lineno}"
            raise AssertionError(f"claimed: {claim}; came: {values or 'False'}; {where}")
        settings = ", ".join(f"`{name} = {brief(value)}`" for name, value in other.items())
        _say(f"**Does not hold with {settings}:** {claim}. Here: {values or 'it does not'}.", does_not_hold=claim)


def _say(said: str, **metadata: Any) -> None:
    """Display Markdown in a notebook, with metadata beside it; print it anywhere else."""
    if InteractiveShell.initialized():
        display({"text/markdown": said, "text/plain": said}, metadata=metadata, raw=True)
    else:
        print(said)


def _same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and repr(a) == repr(b)  # == would take (8.0, 1) for (8, True)


def _short(value: Any, depth: int = 0) -> str:
    """A number or an array with four digits, alone or in a list or dict; anything else as it is."""
    if isinstance(value, float | np.floating):
        return f"{value:.4g}"
    if isinstance(value, np.ndarray):
        return " ".join(np.array2string(value, precision=4, threshold=20).split())
    if depth == 3 or not isinstance(value, list | tuple | dict):
        return brief(value)
    if isinstance(value, dict):
        parts = [f"{brief(key)}: {_short(each, depth + 1)}" for key, each in islice(value.items(), MOST)]
    else:
        parts = [_short(each, depth + 1) for each in value[:MOST]]
    inside = ", ".join(parts + (["…"] if len(value) > MOST else []))
    return f"{{{inside}}}" if isinstance(value, dict) else f"[{inside}]"
