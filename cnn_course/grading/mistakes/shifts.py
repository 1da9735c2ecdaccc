"""Lab 06: what common slips in moving each picture of a batch by a random distance of its own would have returned."""

from __future__ import annotations

import numpy as np

from cnn_course import images as pictures
from cnn_course.errors import CheckFailed
from cnn_course.grading import checks, describe
from cnn_course.grading.mistakes.parameters import as_array


def shifted(images: np.ndarray, down: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Each picture of (N, C, H, W) moved by its own down[n] and right[n], zeros moving in: what is asked for."""
    return np.stack([pictures.shift(x, int(d), int(r)) for x, d, r in zip(images, down, right, strict=True)])


def shifts(images: np.ndarray, down: np.ndarray, right: np.ndarray) -> list[tuple[np.ndarray, str]]:
    """Results of wrong shifts of images (N, C, H, W)."""
    first = np.zeros_like(down)
    edge = max(int(np.abs([down, right]).max()), 1)
    framed = pictures.pad(images, edge, mode="edge")
    inner = (..., slice(edge, -edge), slice(edge, -edge))
    found = [
        (images, "The pictures come back unmoved."),
        (
            shifted(images, down[first], right[first]),
            "It looks as if the whole batch moves as its first picture should: each picture has a shift of its own.",
        ),
        (
            np.stack(
                [pictures.shift(x, int(d), int(r), wrap=True) for x, d, r in zip(images, down, right, strict=True)]
            ),
            "What leaves on one side comes back on the other, as torch.roll does it; zeros should move in.",
        ),
        (shifted(images, -down, -right), "The pictures move the other way: a positive `down` moves them down."),
        (shifted(images, right, down), "It looks as if `down` and `right` are swapped."),
        (shifted(images, down, 0 * right), "It looks as if the pictures move down only, and not to the right."),
        (shifted(images, 0 * down, right), "It looks as if the pictures move to the right only, and not down."),
        (shifted(images, -down, right), "`down` goes the wrong way: a positive number moves the picture down."),
        (shifted(images, down, -right), "`right` goes the wrong way: a positive number moves the picture right."),
        (shifted(framed, down, right)[inner], "Zeros should move in, not copies of the border."),
        (framed, "The pictures have grown: cut a window of the old size out of the padded ones."),
        (shifted(images[:1], down, right[:1]) if len(images) == 1 else images[:1], "Only one picture comes back."),
    ]
    return [(np.asarray(candidate, dtype=np.float64), message) for candidate, message in found]


def check_bytes(description: str, got: object, expected: np.ndarray, wrong: list[tuple[np.ndarray, str]]) -> None:
    """As checks.check_array, for pictures of uint8 that have to stay uint8."""
    got = as_array(got)
    # An array that is only a view of one number may be larger than the memory: its shape comes before its values.
    if type(got) is np.ndarray and got.shape == expected.shape:
        if got.dtype != np.uint8:
            raise CheckFailed(
                f"{description}: the pictures are uint8 and should stay so, got {str(got.dtype)[:40]}. "
                "torch.zeros_like(images) has the dtype of the images."
            )
        got = got.astype(np.float64)
    checks.check_array(description, got, expected, mistakes=wrong)


def check_draws(description: str, got: object, n: int, most: int) -> np.ndarray:
    """Raise CheckFailed unless got is (n, 2) whole numbers from -most to most; returns them as an array."""
    wanted = f"expected whole numbers (int64) of shape ({n}, 2)"
    got = as_array(got)
    if got is None:
        raise CheckFailed(f"{description}: {wanted}, got None. Does the function end with `return ...`?")
    if type(got) is not np.ndarray:
        raise CheckFailed(f"{description}: {wanted}, got {describe.kind(got)}. Return a tensor.")
    if got.shape != (n, 2):
        reason = {
            (2, n): "The axes are swapped: one row for each picture.",
            (2,): "That is one shift for the whole batch: each picture needs its own.",
            (1, 2): "That is one shift for the whole batch: each picture needs its own.",
            (n,): "Each picture needs two numbers, for down and for right.",
            (n, 1): "Each picture needs two numbers, for down and for right.",
        }.get(got.shape, "")
        raise CheckFailed(f"{description}: {wanted}, got shape {describe.shape(got.shape)}. {reason}".rstrip())
    if got.dtype.kind != "i":
        raise CheckFailed(
            f"{description}: {wanted}, got {str(got.dtype)[:40]}. Pixels are counted: torch.randint draws whole ones."
        )
    got = got.astype(np.int64)
    if got.min() < -most or got.max() > most:
        low, high = int(got.min()), int(got.max())
        negative = " Draw from 0 to 2·most and subtract most." if low >= 0 and high <= 2 * most else ""
        raise CheckFailed(
            f"{description}: expected shifts from {-most} to {most}, got some from {low} to {high}.{negative}"
        )
    if n > 20:
        _check_own_draws(description, got, most)
    return got


def check_spread(description: str, draws: np.ndarray, most: int) -> None:
    """Raise CheckFailed unless the draws (n, 2), n in the thousands, fall about equally often on every shift."""
    values = 2 * most + 1
    for axis, name in enumerate(("down", "right")):
        counts = np.bincount(draws[:, axis] + most, minlength=values)
        for value in (most, -most):
            if counts[value + most] == 0:
                raise CheckFailed(
                    f"{description}: `{name}` is never {value} in {len(draws):,} draws. The upper end of torch.randint "
                    "is not drawn itself."
                )
        _check_even(f"{description}: the values of `{name}` from {-most} to {most}", counts)
        # The differences between neighbours are as even as the draws, unless each draw follows from the one before.
        steps = np.bincount((np.diff(draws[:, axis])) % values, minlength=values)
        _check_even(f"{description}: the steps of `{name}` from picture to picture, modulo {values},", steps)
    pairs = np.bincount((draws[:, 0] + most) * values + draws[:, 1] + most, minlength=values**2)
    _check_even(f"{description}: the pairs (down, right)", pairs)


def check_seeds(description: str, first: np.ndarray, again: np.ndarray, other: np.ndarray) -> None:
    """Raise CheckFailed unless first and again, drawn with one seed, are equal, and other, with another, is not."""
    if not np.array_equal(first, again):
        raise CheckFailed(
            f"{description}: two calls with the same seed gave different draws. Seed the generator that draws, in "
            "every call anew: torch.Generator().manual_seed(seed)."
        )
    if np.array_equal(first, other):
        raise CheckFailed(f"{description}: another seed gave the same draws. Use `seed`.")


def _check_own_draws(description: str, draws: np.ndarray, most: int) -> None:
    if (draws == draws[0]).all():
        raise CheckFailed(f"{description}: all {len(draws)} pictures get the same shift. Each one needs its own draw.")
    if (draws[:, 0] == draws[:, 1]).all():
        raise CheckFailed(
            f"{description}: `down` and `right` are always equal, so pictures move along the diagonal only. "
            "Draw two numbers for each picture."
        )
    for axis, name in enumerate(("down", "right")):
        if (draws[:, axis] == draws[0, axis]).all():
            raise CheckFailed(f"{description}: `{name}` is {draws[0, axis]} for all pictures. Each needs its own draw.")


def _check_even(what: str, counts: np.ndarray) -> None:
    """Raise CheckFailed if counts that should be equal on average lie more than six standard deviations apart."""
    expected = counts.sum() / len(counts)
    worst = int(np.abs(counts - expected).argmax())
    if abs(counts[worst] - expected) > 6 * np.sqrt(expected):
        raise CheckFailed(
            f"{what} should all be about equally often, {expected:.0f} times each, but one occurs {counts[worst]} "
            "times. Rounding does that, and draws that depend on each other."
        )
