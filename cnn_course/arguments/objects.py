"""Checks of arguments that are neither numbers nor arrays: a flag, a word, a path, a function, an object of a class."""

import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

from cnn_course.arguments.shown import brief, shown

Kind = TypeVar("Kind")
MOST_ENTRIES = 10**6  # of a list that is looked through: range(10**9) would fill the memory


def flag(name: str, value: Any) -> bool:
    """Return True or False, of Python or of NumPy. Raises TypeError for anything else: "no" would count as yes."""
    if value is True or value is False:
        return value
    if type(value).__name__ in ("bool", "bool_") and type(value).__module__ == "numpy":
        return bool(value)
    raise TypeError(f"{name} must be True or False, not {shown(value)}")


def text(name: str, value: Any) -> str:
    """Return a string. Raises TypeError for anything else."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, not {shown(value)}")
    return value


def one_of(name: str, value: Any, known: Collection[str]) -> str:
    """Return one of the words in `known`. Raises TypeError for what is no string, ValueError for another word."""
    if text(name, value) not in known:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, known))}, not {shown(value)}")
    return value


def path(name: str, value: Any) -> Path:
    """Return a path. Raises TypeError for what names no file, ValueError for an empty name or one with a NUL in it."""
    if not isinstance(value, str | os.PathLike) or not isinstance(os.fspath(value), str):
        raise TypeError(f"{name} must be a path (a string or a pathlib.Path), not {shown(value)}")
    if not can_be_a_file(os.fspath(value)):
        raise ValueError(f"{name} must be the path of a file or folder, not {shown(value)}")
    return Path(value)


def can_be_a_file(name: str) -> bool:
    """Whether a file system takes the name: it is not empty, has no NUL and only whole letters."""
    try:
        os.fsencode(name)
    except UnicodeEncodeError:  # half a letter of two halves, as of an emoji that was cut
        return False
    return bool(name) and "\0" not in name


def function(name: str, value: Any) -> Callable[..., Any]:
    """Return something that can be called. Raises TypeError for anything else."""
    if not callable(value):
        raise TypeError(f"{name} must be a function, not {shown(value)}")
    return value


def instance(name: str, value: Any, kind: type[Kind], described: str) -> Kind:
    """Return an object of class `kind`. Raises TypeError, with the words `described`, for anything else."""
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be {described}, not {shown(value)}")
    return value


def sequence(name: str, value: Any, described: str = "a list or tuple") -> list[Any]:
    """Return the entries of a list, a tuple or another finite collection in order as a list.

    Raises TypeError for anything else: a string, of which each letter would be an entry, among them.
    """
    if isinstance(value, str | bytes | dict | set | frozenset) or not hasattr(value, "__len__"):
        raise TypeError(f"{name} must be {described}, not {shown(value)}")
    try:
        if isinstance(value, range) and len(value[:MOST_ENTRIES]) < len(value[: MOST_ENTRIES + 1]):
            raise ValueError(f"{name} must have at most {MOST_ENTRIES:,} entries, not {brief(value)}")
        return list(value)
    except TypeError:  # a class that has a length but no entries; an array without axes
        raise TypeError(f"{name} must be {described}, not {shown(value)}") from None


def mapping(name: str, value: Any, described: str = "a dict") -> Mapping[Any, Any]:
    """Return a dict, or what works like one. Raises TypeError, with the words `described`, for anything else."""
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be {described}, not {shown(value)}")
    return value
