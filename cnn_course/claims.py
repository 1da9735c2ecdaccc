"""Sentences whose numbers are computed: `state` puts values into a text, so that the two cannot drift apart.

    claims.state("A dense layer needs {dense:,} weights, the shared kernel {shared}.", dense=2_408_448, shared=75)

The numbers are stored beside the sentence as well, where `tests/test_claims.py` compares them with published ones.
"""

import re
import string

import numpy as np
from IPython.display import display

from cnn_course.arguments.floats import Number, finite
from cnn_course.arguments.objects import text
from cnn_course.arguments.shown import brief


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
    display({"text/markdown": said, "text/plain": said}, metadata={"claims": stored}, raw=True)
