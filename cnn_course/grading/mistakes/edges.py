"""Lab 02: pieces of photographs, and how an edge detector is judged on them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cnn_course import filters, images
from cnn_course.errors import CheckFailed
from cnn_course.grading import checks, describe
from cnn_course.grading.mistakes.filters import SMALLER

# A detector has to reach this agreement with the true edges, from 0 to 1.
NEEDED = 0.8


def crop(rng: np.random.Generator, name: str, height: int, width: int) -> np.ndarray:
    """A grey piece (height, width) of a photograph, perhaps mirrored: of six random places that with most contrast."""
    picture = _photograph(name)
    tops = rng.integers(0, picture.shape[0] - height + 1, size=6)
    lefts = rng.integers(0, picture.shape[1] - width + 1, size=6)
    pieces = [picture[top : top + height, left : left + width] for top, left in zip(tops, lefts, strict=True)]
    dy, dx = rng.choice([-1, 1], size=2)
    return max(pieces, key=np.std)[::dy, ::dx].copy()


@functools.cache
def _photograph(name: str) -> np.ndarray:
    picture = images.photograph(name, gray=True)
    picture.flags.writeable = False
    return picture


def true_edges(clean: np.ndarray) -> np.ndarray:
    """Where a picture (H, W) without noise changes most: the tenth of its pixels with the steepest slope, as bools."""
    slope = _slope(filters.apply(clean, filters.gaussian(7, 1.0)))
    return slope >= np.quantile(slope, 0.9)


def agreement(marked: np.ndarray, edges: np.ndarray) -> tuple[float, float]:
    """(share of the true edges that are marked, share of the marks that are right); one pixel beside it still counts.

    marked, edges: (H, W), edges where they are not zero.
    """
    marked, edges = np.asarray(marked) != 0, np.asarray(edges) != 0
    found = _near(marked)[edges].mean() if edges.any() else 0.0
    right = _near(edges)[marked].mean() if marked.any() else 0.0
    return float(found), float(right)


def check_edges(
    name: str,
    find_edges: Callable[..., Any],
    pictures: Sequence[tuple[np.ndarray, np.ndarray]],
    *,
    needed: float = NEEDED,
    hint: str = "",
) -> None:
    """Let the detector mark edges in pictures and compare its marks with the true edges.

    pictures: pairs (picture that the detector gets, the same picture without noise), both (H, W).
    The agreement of one picture is 2 f r / (f + r) with f, r from `agreement`; their mean must reach `needed`.
    Raises CheckFailed with a message for the student.
    """
    results, maps = [], []
    for x, clean in pictures:
        description = describe.call(name, x)
        marked = _edge_map(description, checks.call(description, find_edges, x), x.shape)
        results.append(agreement(marked, true_edges(clean)))
        maps.append((x, marked))
    score = float(np.mean([2 * f * r / (f + r) if f + r else 0.0 for f, r in results]))
    if score >= needed:
        return
    found, right = np.mean(results, axis=0)
    share = np.mean([marked.mean() for _, marked in maps])
    which = "a photograph" if len(pictures) == 1 else f"{len(pictures)} photographs"
    shown = int(100 * score) / 100  # rounded, 0.797 would look like enough
    raise CheckFailed(
        f"{describe.call(name, pictures[0][0])}: on {which} the agreement with the true edges is {shown:.2f}; "
        f"{needed:.2f} is needed. Of the true edges {found:.0%} are marked, and {right:.0%} of the marks are right; "
        f"{share:.0%} of all pixels are marked. {_advice(maps, found, right, share)}" + (f" {hint}" if hint else "")
    )


def _edge_map(description: str, got: Any, shape: tuple[int, ...]) -> np.ndarray:
    if type(got) is np.ndarray and got.dtype == bool and got.shape == shape:
        return got
    wrong = [
        (np.zeros((shape[0] - 2, shape[1] - 2)), SMALLER),
        (np.zeros(shape[::-1]), "Rows and columns are swapped."),
    ]
    checks.check_array(description, got, np.zeros(shape), mistakes=wrong, tolerance=np.inf)
    other = got[(got != 0) & (got != 1)]
    if other.size:
        raise CheckFailed(
            f"{description}: {other.size} of {got.size} values are neither 0 nor 1, for example {float(other[0]):.6g}. "
            "Decide for each pixel: compare the strength of the edge with a threshold."
        )
    return got != 0


def _advice(maps: list[tuple[np.ndarray, np.ndarray]], found: float, right: float, share: float) -> str:
    if share == 0:
        return "Nothing is marked: does the threshold lie above every value of this picture?"
    if share > 0.5:
        return "More than half of the picture is marked: raise the threshold."
    for strength, alike, message in _SLIPS:
        if np.mean([_alike(strength(x), marked) for x, marked in maps]) > alike:
            return message
    if found < 0.6 * right:
        return "The marks are right but few: lower the threshold, or choose it from the values of the picture."
    if right < 0.6 * found:
        return "Much is marked that is no edge: raise the threshold, or blur more, so that noise does not reach it."
    return "Show the marks beside the picture: are they noise (blur more), or too wide (blur less)?"


def _alike(strength: np.ndarray, marked: np.ndarray) -> float:
    """Share of the marks that are among the equally many strongest pixels."""
    count = int(marked.sum())
    if count in (0, marked.size):
        return 0.0
    strongest = strength >= np.partition(strength.ravel(), -count)[-count]
    return float(strongest[marked].mean())


def _slope(x: np.ndarray) -> np.ndarray:
    return np.hypot(filters.apply(x, filters.sobel_x()), filters.apply(x, filters.sobel_y()))


def _blurred(kernel: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: np.abs(filters.apply(filters.apply(x, filters.gaussian(11, 1.6)), kernel))


# (strength of an edge as a slip measures it, from which likeness on it is that slip, what to say)
_SLIPS: list[tuple[Callable[[np.ndarray], np.ndarray], float, str]] = [
    (_slope, 0.9, "It looks as if the noise is not blurred away before the differences are taken."),
    (
        lambda x: np.abs(filters.apply(x, filters.laplacian())),
        0.9,
        "It looks as if the Laplacian of the unblurred picture is used, which noise dominates: blur first.",
    ),
    (lambda x: x, 0.9, "Bright pixels are marked: an edge is where brightness changes."),
    (lambda x: -x, 0.9, "Dark pixels are marked: an edge is where brightness changes."),
    (
        _blurred(filters.sobel_x()),
        0.8,
        "It looks as if only left-right changes are used: edges that run from left to right are missing.",
    ),
    (
        _blurred(filters.sobel_y()),
        0.8,
        "It looks as if only up-down changes are used: edges that run from top to bottom are missing.",
    ),
    (
        _blurred(filters.laplacian()),
        0.75,
        "It looks as if the size of the Laplacian is used: it is large beside an edge and 0 on it. Use the slope.",
    ),
]


def _near(mask: np.ndarray) -> np.ndarray:
    """Where a mask (H, W) holds at a pixel or at one of its eight neighbours."""
    padded = np.pad(mask, 1)
    height, width = mask.shape
    return np.any([padded[i : i + height, j : j + width] for i in range(3) for j in range(3)], axis=0)
