"""Calls of what a public function is given as a function."""

from collections.abc import Callable
from typing import Any

from cnn_course.arguments.objects import function
from cnn_course.arguments.shown import brief


def called(name: str, given: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """What `given` returns. What is no function for such arguments is said to be none, with its own error behind.

    Any other error comes through as it is: a bug in the function is the caller's to see.
    """
    function(name, given)
    try:
        return given(*arguments, **named)
    except (TypeError, AttributeError, ValueError) as error:
        raise TypeError(
            f"{name} must be a function of {_described(arguments, named)}, but {brief(given)} fails on it: "
            f"{type(error).__name__}: {error}"
        ) from error


def _described(arguments: tuple, named: dict) -> str:
    """The arguments by their shapes, as in "arrays of shape (2, 3) and (4,)"."""
    shapes = [str(getattr(each, "shape", type(each).__name__)) for each in (*arguments, *named.values())]
    return f"arrays of shape {' and '.join(shapes)}"
