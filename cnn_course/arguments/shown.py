"""How a message shows the value that it refuses: short, and whatever the value is."""

from typing import Any

MOST = 60  # letters; a message is read in a notebook


def brief(value: Any) -> str:
    """The value on one line, cut where it is long."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # a stranger's __repr__, or an int of more digits than Python prints
        return f"a value of type {type(value).__name__}"
    return text if len(text) <= MOST else text[: MOST - 1] + "…"


def shown(value: Any) -> str:
    """The value with its type, as in "'no' (str)"; of an array or a tensor the shape and the dtype."""
    kind = type(value).__name__
    if isinstance(value, type):
        return f"the class {value.__name__}"
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and shape:
        return f"{kind} of shape {tuple(shape)} and dtype {getattr(value, 'dtype', 'unknown')}"
    return f"{brief(value)} ({kind})"
