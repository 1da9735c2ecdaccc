"""Lab 02: what common slips in a filter would have returned, and how a split kernel is judged."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnn_course import filters
from cnn_course.errors import CheckFailed
from cnn_course.grading import checks, describe

Candidates = list[tuple[np.ndarray, str]]

ZEROS = "It looks as if zeros lie outside the picture, which darkens its border: continue the border pixels instead."
SMALLER = "The picture got smaller: continue its border pixels, so that the kernel fits everywhere."
UNCHANGED = "That is x itself, unchanged."


def blur(x: np.ndarray, k: int, sigma: float) -> Candidates:
    """Results of wrong Gaussian blurs of a picture x (H, W) with a k x k kernel."""
    x = np.asarray(x, dtype=np.float64)
    right = filters.gaussian(k, sigma)
    places = np.arange(k) - k // 2
    line = right.sum(axis=0)[None]
    squares = places[:, None] ** 2 + places[None, :] ** 2
    corner = np.add.outer(np.arange(k) ** 2, np.arange(k) ** 2)
    raw = np.exp(-squares / (2 * sigma**2))
    wrong = [
        (raw, "It looks as if the kernel's numbers do not sum to 1: divide the kernel by its sum."),
        (raw / k**2, "It looks as if the kernel is divided by k * k instead of by the sum of its numbers."),
        (
            raw / (2 * np.pi * sigma**2),
            "The factor 1/(2 pi sigma^2) makes the sum 1 on an endless grid: divide by the sum.",
        ),
        (_normal(np.exp(-squares / (2 * sigma))), "It looks as if sigma is not squared."),
        (_normal(np.exp(-squares / sigma**2)), "It looks as if the 2 in 2 sigma^2 is missing."),
        (_normal(np.exp(-np.sqrt(squares) / (2 * sigma**2))), "It looks as if the distance r is not squared."),
        (
            _normal(np.exp(-corner / (2 * sigma**2))),
            "It looks as if u and v start at 0 in a corner, not in the middle.",
        ),
        (filters.box(k), "These are the values of a box blur: nearer pixels count more in a Gaussian."),
        (line, "It looks as if the rows are blurred and the columns are not."),
        (line.T, "It looks as if the columns are blurred and the rows are not."),
    ]
    return [(filters.apply(x, kernel), message) for kernel, message in wrong] + _common(x, right)


def laplacian(x: np.ndarray, diagonal: bool = False) -> Candidates:
    """Results of wrong Laplacians of a picture x (H, W)."""
    x = np.asarray(x, dtype=np.float64)
    right, other = filters.laplacian(diagonal), filters.laplacian(not diagonal)
    corners = "It looks as if the four diagonal neighbours are "
    wrong = [
        (-right, "All signs are reversed: here the neighbours count with 1 and the pixel itself is subtracted."),
        (other, corners + ("missing." if diagonal else "there although diagonal is False.")),
        (right - np.diag([0, right[1, 1], 0]), "It looks as if the middle of the kernel is missing."),
        (right - 4 * filters.identity(), "The numbers do not sum to 0: how often is the pixel subtracted?"),
        (right + 4 * filters.identity(), "The numbers do not sum to 0: how often is the pixel subtracted?"),
        (filters.identity() + right, "It looks as if the picture itself is still in there."),
        (filters.identity() - right, "That is the sharpened picture: return the Laplacian alone."),
    ]
    found = [(filters.apply(x, kernel), message) for kernel, message in wrong]
    found += [(np.abs(filters.apply(x, right)), "It looks as if the signs are taken off: keep negative values.")]
    found += [(np.clip(filters.apply(x, right), 0, 1), "It looks as if the values are clipped to [0, 1]: keep them.")]
    return found + _common(x, right)


def sharpen(x: np.ndarray, amount: float = 1.0) -> Candidates:
    """Results of wrong sharpenings of a picture x (H, W)."""
    x = np.asarray(x, dtype=np.float64)
    one, edges = filters.identity(), filters.laplacian()
    right = one - amount * edges
    wrong = [
        (one + amount * edges, "It looks as if the Laplacian is added: that blurs. Subtract it."),
        (one - edges, "It looks as if `amount` is ignored."),
        (one - amount * filters.laplacian(True), "It looks as if the Laplacian with 8 neighbours is used; take 4."),
        (-amount * edges, "That is the change alone: add the picture itself."),
        (amount * (one - edges), "It looks as if the whole kernel is multiplied by `amount`, the picture included."),
        (
            right / (1 + 8 * amount),
            "It looks as if the kernel is divided by something: its numbers sum to 1 as they are.",
        ),
        (right + 4 * (1 - amount) * one, "The numbers do not sum to 1: the middle has to follow `amount` too."),
    ]
    found = [(filters.apply(x, kernel), message) for kernel, message in wrong]
    clipped = "It looks as if the values are clipped to [0, 1]: keep what overshoots."
    return [*found, (np.clip(filters.apply(x, right), 0, 1), clipped), *_common(x, right)]


def sobel(x: np.ndarray) -> Candidates:
    """Results of wrong Sobel magnitudes of a picture x (H, W)."""
    x = np.asarray(x, dtype=np.float64)
    gx, gy = filters.apply(x, filters.sobel_x()), filters.apply(x, filters.sobel_y())
    px, py = filters.apply(x, filters.prewitt_x()), filters.apply(x, filters.prewitt_y())
    right = np.hypot(gx, gy)
    dark = [filters.apply(x, w, border="zeros") for w in (filters.sobel_x(), filters.sobel_y())]
    only = "kernel is used: the edges that it is blind to are missing."
    found = [
        (gx**2 + gy**2, "It looks as if the square root is missing."),
        (
            np.abs(gx) + np.abs(gy),
            "That is |gx| + |gy|, which is larger on slanted edges: take the root of the squares.",
        ),
        (gx + gy, "That is gx + gy, where changes of opposite sign cancel: square them first."),
        (np.abs(gx + gy), "That is |gx + gy|, where changes of opposite sign cancel: square each one first."),
        (np.maximum(np.abs(gx), np.abs(gy)), "That is the larger of |gx| and |gy|: take the root of the squares."),
        (np.abs(gx), f"It looks as if only the left-right {only}"),
        (np.abs(gy), f"It looks as if only the up-down {only}"),
        (gx, f"It looks as if only the left-right {only}"),
        (gy, f"It looks as if only the up-down {only}"),
        (
            np.sqrt(2) * np.abs(gx),
            "It looks as if the left-right kernel is used twice: transpose it for the other one.",
        ),
        (np.hypot(px, py), "These are the values of Prewitt's kernels: Sobel's middle row counts twice."),
        (np.sqrt((gx**2 + gy**2) / 2), "It looks as if the mean of the squares is taken: take their sum."),
        (right / 8, "It looks as if the kernels are divided by 8: take the numbers as they are printed."),
        (right / 4, "It looks as if the kernels are divided by 4: take the numbers as they are printed."),
        (np.clip(right, 0, 1), "It looks as if the values are clipped to [0, 1]: keep them."),
        (
            right / (right.max() or 1),
            "It looks as if the values are divided by the largest one: keep them as they are.",
        ),
        (np.hypot(*dark), ZEROS),
        (x, UNCHANGED),
    ]
    if min(x.shape) >= 3:
        valid = [filters.apply(x, w, border="valid") for w in (filters.sobel_x(), filters.sobel_y())]
        found.append((np.hypot(*valid), SMALLER))
    return found


def split(kernel: np.ndarray) -> Candidates:
    """Products of wrong columns and rows for a kernel (kh, kw) of rank one."""
    kernel = np.asarray(kernel, dtype=np.float64)
    u, s, vt = np.linalg.svd(kernel)
    product = "column @ row is not the kernel"
    found = [
        (np.outer(kernel[:, 0], kernel[0]), f"{product}: both contain the corner. Divide one of them by it."),
        (np.outer(u[:, 0], vt[0]), f"{product}: the singular value is missing. Multiply one of the two by it."),
        (np.outer(u[:, 0] * s[0], vt[0] * s[0]), f"{product}: the singular value is in both. Put it into one."),
        (-kernel, f"{product}, but its negative: the signs of the two parts do not fit together."),
        (
            np.outer(kernel.sum(axis=1), kernel.sum(axis=0)),
            f"{product}: divide one of the sums by the sum of all numbers.",
        ),
        (np.outer(kernel.mean(axis=1), kernel.mean(axis=0)), f"{product}: means lose the scale of the numbers."),
    ]
    peak = np.abs(kernel).max()
    return [
        *found,
        (kernel / peak, f"{product}: it is divided by the largest number."),
        (np.abs(kernel), f"{product}: signs are lost."),
    ]


def check_split(description: str, got: Any, kernel: np.ndarray, *, hint: str = "") -> None:
    """Check that what came back is a column (kh, 1) and a row (1, kw) whose product is the kernel.

    Raises CheckFailed with a message for the student.
    """
    if not isinstance(got, (tuple, list)) or len(got) != 2:
        kind = "None" if got is None else f"{len(got)} things" if isinstance(got, (tuple, list)) else describe.kind(got)
        raise CheckFailed(f"{description}: expected two arrays, got {kind}. End with `return column, row`.")
    height, width = kernel.shape
    for name, part, shape in (("column", got[0], (height, 1)), ("row", got[1], (1, width))):
        flat = np.zeros(max(shape))
        wrong = [
            (flat, "It has one axis; a kernel has two: add one with None, or cut with a slice such as kernel[:, 2:3]."),
            (flat.reshape(shape[::-1]), "It lies the wrong way: a column is (kh, 1), a row is (1, kw)."),
            (
                np.zeros((1, width) if name == "column" else (height, 1)),
                "Are the two swapped? Return the column first.",
            ),
            (np.zeros(kernel.shape), "That is as large as the kernel: it would save nothing."),
        ]
        # Any finite numbers will do here: the product is compared below.
        place = f"{description}, the {name}"
        checks.check_array(place, part, np.zeros(shape), mistakes=wrong, hint=hint, tolerance=np.inf)
    with np.errstate(all="ignore"):
        product = np.asarray(got[0], dtype=np.float64) @ np.asarray(got[1], dtype=np.float64)
    small = min(1.0, float(np.abs(kernel).max()))  # a kernel may be small as a whole
    checks.check_array(
        f"{description}, column @ row", product, kernel, mistakes=split(kernel), hint=hint, tolerance=1e-6 * small
    )


def _normal(kernel: np.ndarray) -> np.ndarray:
    return kernel / kernel.sum()


def _common(x: np.ndarray, right: np.ndarray) -> Candidates:
    """What goes wrong at the border with any kernel, and a picture that comes back as it was."""
    found = [(filters.apply(x, right, border="zeros"), ZEROS)]
    padding = [k // 2 for k in right.shape]
    if all(p < size for p, size in zip(padding, x.shape, strict=True)):
        mirrored = "It looks as if the picture is mirrored at its border: continue the border pixels instead."
        found.append((filters.apply(x, right, border="reflect"), mirrored))
    wrapped = "It looks as if the picture goes on at its other side: continue the border pixels instead."
    found.append((filters.apply(x, right, border="wrap"), wrapped))
    if all(k <= size for k, size in zip(right.shape, x.shape, strict=True)):
        found.append((filters.apply(x, right, border="valid"), SMALLER))
    return [*found, (x, UNCHANGED)]
