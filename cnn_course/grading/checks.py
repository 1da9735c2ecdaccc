"""Diagnostic comparisons for the test cells of the labs.

A test cell hands the student's function plain arrays and numbers and looks only at the plain array or number that
comes back. Nothing here reads source text, looks into the student's objects or needs more than that exchange, so the
same cell works where the function is a stand-in for one that runs elsewhere (a stand-in has to write back
arguments that were changed, or the check that inputs are left alone sees nothing).

What comes back is untrusted: it is never printed whole, never called, and its shape is compared before its values.
"""

from __future__ import annotations

import contextlib
import copy
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from cnn_course.errors import CheckFailed
from cnn_course.grading import describe, rules, run_state

Mistakes = Iterable[tuple[Any, str]]

_LARGEST_SHOWN = 16


def generator(number: int) -> np.random.Generator:
    """Random numbers for the inputs of one hidden test; the same ones for the same number and the run's seed."""
    return np.random.default_rng([number, run_state.current().seed])


def check(
    name: str,
    function: Callable[..., Any],
    *arguments: Any,
    expected: Any,
    mistakes: Mistakes = (),
    hint: str = "",
    tolerance: float = 1e-6,
    **options: Any,
) -> None:
    """Call `function(*arguments, **options)` and compare what it returns with `expected`.

    name: what the function is called in the messages. arguments, options: arrays, numbers, None or pairs of numbers;
    options are passed by name, so the function's parameters cannot be called expected, mistakes, hint or tolerance.
    expected: an int for a function that returns a whole number, else an array-like of floats.
    mistakes: pairs (what a known mistake would return, what to tell the student), tried in order.

    Raises CheckFailed (an AssertionError), with a message for the student, if the call fails, changes an argument or
    returns something else than `expected`.
    """
    description = describe.call(name, *arguments, **options)
    got = call(description, function, *arguments, **options)
    if describe.is_tensor(got):
        try:
            got = got.detach().numpy()
        except (RuntimeError, TypeError):  # sparse, without values
            raise CheckFailed(f"{description}: expected an ordinary tensor of numbers, got another kind.") from None
    if isinstance(expected, (int, np.integer)):
        check_integer(description, got, int(expected), mistakes=mistakes, hint=hint)
    else:
        earlier = run_state.current().earlier.setdefault(name, deque(maxlen=20))
        expected = np.asarray(expected, dtype=np.float64)
        try:
            mistakes = [*mistakes, *_kept_from(earlier, expected)]
            check_array(description, got, expected, mistakes=mistakes, hint=hint, tolerance=tolerance)
        finally:
            earlier.appendleft(expected)


def call(description: str, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Call a student's function on copies of the arguments and return what it returns.

    A `networks.Network` among the arguments is passed as the module that it stands for. Warnings and what the function
    writes to stderr go to stdout, because nbgrader gives no points to a cell that wrote to stderr. Raises CheckFailed
    if the function raises, uses what the lab's rules forbid, or changes an array, a tensor, a list or a dict that it
    was given.
    """
    rules.check_source(description, function)
    # The caller's arrays must survive a function that changes its input, or the next comparison would be wrong too.
    sent = [_sent(value) for value in arguments]
    sent_options = {key: _sent(value) for key, value in options.items()}
    try:
        with contextlib.redirect_stderr(sys.stdout), warnings.catch_warnings():
            warnings.simplefilter("default")
            got = function(*sent, **sent_options)
    except NotImplementedError:
        raise CheckFailed(
            f"{description}: not written yet. Replace `raise NotImplementedError` by your code, "
            "run that cell, then run this one again."
        ) from None
    except (Exception, SystemExit) as error:
        text = describe.bounded(error)
        reason = f"{type(error).__name__[:40]}: {text}" if text else type(error).__name__[:40]
        raise CheckFailed(f"{description}: your function stopped with {reason}{_advice(error, text)}") from error
    before = [*enumerate(arguments, start=1), *options.items()]
    for (place, value), after in zip(before, [*sent, *sent_options.values()], strict=True):
        if not _unchanged(value, after):
            which = f"argument {place}" if isinstance(place, int) else f"the argument `{place}`"
            kind, copied = "array", "x.copy(), or x.clone() of a tensor"
            if isinstance(value, (list, dict)):
                kind, copied = type(value).__name__, "copy.deepcopy"
            raise CheckFailed(
                f"{description}: {which} was changed by your function. Whoever calls it may still need that {kind}: "
                f"work on a copy ({copied}) or build a new one."
            )
    if describe.is_tensor(got) and got.device.type not in ("cpu", "meta"):
        return got.cpu()  # who has a GPU may use it
    return got


def check_array(
    description: str,
    got: Any,
    expected: Any,
    *,
    mistakes: Mistakes = (),
    hint: str = "",
    tolerance: float = 1e-6,
) -> None:
    """Compare an array that came back with the expected one: kind of object, shape, dtype, finite, then values.

    expected: array-like of floats, any shape. tolerance: absolute for expected values up to 1, relative to the largest
    expected value beyond that. mistakes, hint: see `check`. Raises CheckFailed with a message for the student.
    """
    expected = np.asarray(expected, dtype=np.float64)
    problem = _not_an_array(got, expected)
    if problem:
        raise CheckFailed(f"{description}: {problem}")
    got = np.asarray(got)
    if got.shape != expected.shape:
        raise CheckFailed(f"{description}: {_shape_problem(got, expected, mistakes, hint, tolerance)}")
    if got.dtype.kind != "f":
        raise CheckFailed(f"{description}: {_dtype_problem(got)}")
    if not np.isfinite(got).all():
        index = _first(~np.isfinite(got))
        raise CheckFailed(
            f"{description}: expected finite numbers, got {got[index]} at index {describe.index(index)}. An array from "
            "np.empty holds arbitrary values until each one is written; 0/0 and overflow give nan and inf as well."
        )
    wrong = ~_close(got, expected, tolerance)
    if wrong.any():
        raise CheckFailed(f"{description}: {_value_problem(got, expected, wrong, mistakes, hint, tolerance)}")


def check_integer(description: str, got: Any, expected: int, *, mistakes: Mistakes = (), hint: str = "") -> None:
    """Compare a whole number that came back with the expected one; mistakes: pairs (int, message).

    Raises CheckFailed with a message for the student.
    """
    if isinstance(got, np.ndarray) and got.shape == ():
        got = got[()]
    if got is None:
        problem = "it returned None. Does the function end with `return ...`?"
    elif isinstance(got, (bool, np.bool_)) or not isinstance(got, (int, float, np.integer, np.floating)):
        problem = f"expected the whole number {expected}, got {describe.kind(got)}."
    elif isinstance(got, (float, np.floating)):
        whole = " Use // (whole-number division) instead of /." if np.isfinite(got) else ""
        problem = f"expected the whole number {expected}, got the float {float(got)!r}.{whole}"
    elif got != expected:
        found = next((message for candidate, message in mistakes if candidate == got and candidate != expected), "")
        shown = str(int(got)) if abs(int(got)) < 10**12 else "a number with more than 12 digits"
        problem = f"expected {expected}, got {shown}." + _ending(found, hint)
    else:
        return
    raise CheckFailed(f"{description}: {problem}")


def _not_an_array(got: Any, expected: np.ndarray) -> str:
    """Say what is wrong with the kind of object that came back; empty if it is an array or a NumPy number."""
    wanted = f"expected an array of shape {describe.shape(expected.shape)}"
    if got is None:
        return f"{wanted}, got None. Does the function end with `return ...`?"
    if isinstance(got, (list, tuple)):
        return f"{wanted}, got a {type(got).__name__}. Return a NumPy array: np.array(...) makes one from a list."
    number = isinstance(got, (np.number, int, float))
    if number and expected.shape:
        return f"{wanted}, got a single number. Is `return` inside the loop?"
    if not number and type(got) is not np.ndarray:
        return f"{wanted}, got {describe.kind(got)}. Return a plain NumPy array."
    if isinstance(got, np.ndarray) and got.dtype.kind == "O":
        return (
            f"{wanted}, got an array of Python objects of shape {describe.shape(got.shape)}. "
            "That happens when rows differ in length or an entry is None."
        )
    return ""


def _shape_problem(got: np.ndarray, expected: np.ndarray, mistakes: Mistakes, hint: str, tolerance: float) -> str:
    text = f"expected shape {describe.shape(expected.shape)}, got {describe.shape(got.shape)}."
    # A result that equals a known mistake beats one that only has its shape.
    same_shape = ""
    for candidate, message in mistakes:
        candidate = np.asarray(candidate, dtype=np.float64)
        if candidate.shape == got.shape:
            if got.dtype.kind in "fiu" and _close(got, candidate, tolerance).all():
                return f"{text} {message}"
            same_shape = same_shape or message
    if same_shape:
        return f"{text} {same_shape}"
    if got.ndim != expected.ndim:
        text += f" The number of axes is {got.ndim} instead of {expected.ndim}."
    elif sorted(got.shape) == sorted(expected.shape):
        text += " The axes are in another order: is one of them swapped with another?"
    else:
        pairs = enumerate(zip(got.shape, expected.shape, strict=True))
        text += " " + ", ".join(f"axis {i} has {g} entries instead of {e}" for i, (g, e) in pairs if g != e) + "."
    return text + _ending("", hint)


def _kept_from(earlier: deque[np.ndarray], expected: np.ndarray) -> list[tuple[np.ndarray, str]]:
    """Candidates that show state kept between calls, or a shape taken from an earlier example."""
    found = []
    for old in earlier:
        if old.shape != expected.shape:
            text = "That is the shape of an earlier example: compute the shape from the arguments of this call."
            found.append((old, text))
        # The same check run again says nothing.
        elif not np.array_equal(old, expected):
            found.append((old, "This is the result of an earlier call: keep nothing from one call to the next."))
            text = "The result of an earlier call is still in the sums: start every call with a new array of zeros."
            found.append((expected + old, text))
    twice = "Every value is twice the right one: is something added twice, or still there from an earlier call?"
    return [*found, (2 * expected, twice)]


def _dtype_problem(got: np.ndarray) -> str:
    if got.dtype.kind in "iub":
        return (
            f"expected floats, got dtype {got.dtype}: whatever comes after the decimal point is cut off. "
            "np.zeros(shape) makes floats; dtype=x.dtype or np.zeros_like(x) takes over the integers of the input."
        )
    return f"expected floats, got dtype {str(got.dtype)[:40]}."


def _value_problem(
    got: np.ndarray, expected: np.ndarray, wrong: np.ndarray, mistakes: Mistakes, hint: str, tolerance: float
) -> str:
    index = _first(wrong)
    if expected.ndim:
        text = (
            f"the shape {describe.shape(got.shape)} is right, but {int(wrong.sum())} of {wrong.size} values differ; "
            f"the first at index {describe.index(index)}: expected {expected[index]:.6g}, got {got[index]:.6g}."
        )
    else:
        text = f"expected {float(expected):.6g}, got {float(got):.6g}."
    found = ""
    for candidate, message in mistakes:
        candidate = np.asarray(candidate, dtype=np.float64)
        # A candidate that coincides with the right answer here says nothing.
        if candidate.shape != got.shape or _close(candidate, expected, tolerance).all():
            continue
        if _close(got, candidate, tolerance).all():
            found = message
            break
    text += _ending(found, hint)
    if expected.ndim in (1, 2) and expected.size <= _LARGEST_SHOWN:
        text += f"\nexpected:\n{describe.grid(expected)}\ngot:\n{describe.grid(got)}"
    return text


def _advice(error: BaseException, text: str) -> str:
    if isinstance(error, TypeError) and "argument" in text:
        return ". Keep the names and the order of the parameters in the first line of the function."
    if isinstance(error, IndexError):
        return ". A loop that runs past the last output, or an output array that is too small, does this."
    if isinstance(error, ValueError) and ("broadcast" in text or "shape" in text):
        return ". Print the shapes of the two arrays on that line: a window that hangs over the border is smaller."
    return "" if text.endswith(".") else "."


def _ending(found: str, hint: str) -> str:
    if found:
        return f" {found}"
    return f" Hint: {hint}" if hint else ""


def _close(a: np.ndarray, b: np.ndarray, tolerance: float) -> np.ndarray:
    scale = max(1.0, float(np.abs(b).max(initial=0.0)))
    # Values of a student's float16 or of huge magnitude may overflow in the difference: inf is simply not close.
    with np.errstate(all="ignore"):
        return np.abs(a.astype(np.float64) - b) <= tolerance * scale


def _sent(value: Any) -> Any:
    """A copy of an array or a tensor; what a `networks.Network` says it stands for; anything else as it is."""
    if isinstance(value, np.ndarray):
        return np.array(value)
    if describe.is_tensor(value):
        return value.detach().clone()
    if isinstance(value, (list, dict)):
        return copy.deepcopy(value)
    return value.as_argument() if hasattr(value, "as_argument") else value


def _unchanged(before: Any, after: Any) -> bool:
    """Whether an argument is what it was. What cannot be changed, and a module, is not looked at."""
    if describe.is_tensor(before):
        before, after = np.asarray(before.detach()), np.asarray(after.detach())
    if isinstance(before, np.ndarray):
        same = type(after) is np.ndarray and before.shape == after.shape and before.dtype == after.dtype
        return same and before.tobytes() == after.tobytes()
    if isinstance(before, dict):
        same = type(after) is dict and before.keys() == after.keys()
        return same and all(_unchanged(before[key], after[key]) for key in before)
    if isinstance(before, (list, tuple)):
        pairs = zip(before, after, strict=True) if type(after) is type(before) and len(after) == len(before) else None
        return pairs is not None and all(_unchanged(one, other) for one, other in pairs)
    plain = before is None or isinstance(before, (bool, int, float, str))
    return not plain or after is before or (type(after) is type(before) and after == before)


def _first(mask: np.ndarray) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(mask)), mask.shape))
