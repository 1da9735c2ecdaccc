"""Lab 01: what common slips in a convolution would have returned."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from cnn_course.convolution import conv2d

Pair = tuple[int, int]
Candidates = list[tuple[np.ndarray, str]]

FLIPPED = (
    "These are the values of a convolution, with the kernel flipped. Correlation slides it as it is: "
    "the first weight meets the first value of the window."
)


def output_size(n: int, k: int, stride: int = 1, padding: int = 0) -> list[tuple[int, str]]:
    """Integers that wrong formulas for the output size give, for an axis of length n and a kernel of length k."""
    return [
        (n, "That is the input size: only some paddings at stride 1 keep it."),
        ((n + 2 * padding - k) // stride, "It looks as if the + 1 is missing: the first window counts too."),
        (n + 2 * padding - k + 1, "It looks as if the stride is left out."),
        ((n - k) // stride + 1, "It looks as if the padding is left out."),
        ((n + padding - k) // stride + 1, "It looks as if the padding is counted once: it is added at both ends."),
        (
            math.ceil((n + 2 * padding - k) / stride) + 1,
            "It looks as if the quotient is rounded up: a window that does not fit is dropped, so round down.",
        ),
        (round((n + 2 * padding - k) / stride) + 1, "Round the quotient down (//): a window has to fit completely."),
        (
            (n + 2 * padding - k + 1) // stride,
            "It looks as if 1 is added before the division by the stride; it belongs after it.",
        ),
    ]


def correlation_1d(x: np.ndarray, w: np.ndarray, stride: int = 1, padding: int = 0) -> Candidates:
    """Results of wrong 1-D correlations of x (n,) with w (k,)."""
    right = _fitting_1d(x, w, stride, (padding, padding))
    found = [
        (_correlate_1d(x, w[::-1], stride, (padding, padding)), FLIPPED),
        (_correlate_1d(x, w, stride, (0, 0)), "It looks as if x is not padded."),
        (_correlate_1d(x, w, stride, (padding, 0)), "It looks as if only the left end of x is padded; pad both."),
        (_correlate_1d(x, w, stride, (0, padding)), "It looks as if only the right end of x is padded; pad both."),
        (_correlate_1d(x, w, 1, (padding, padding)), "It looks as if the stride is ignored."),
        (_correlate_1d(np.pad(x, padding, mode="edge"), w, stride, (0, 0)), "Pad with zeros, not with copies of x."),
        (right[:-1], "It looks as if the last window is missing (off by one): is the output size (...) // stride + 1?"),
        (np.append(right, 0.0), "It looks as if there is one output too many, a window that does not fit."),
        (np.trunc(right), "The values are cut to whole numbers: make the output an array of floats."),
    ]
    return [(candidate, message) for candidate, message in found if candidate is not None]


def correlation_2d(x: np.ndarray, w: np.ndarray, stride: Pair = (1, 1), padding: Pair = (0, 0)) -> Candidates:
    """Results of wrong 2-D correlations of x (H, W) with w (kh, kw)."""
    return [(candidate, message) for candidate, message in _wrong_2d(x, w, stride, padding) if candidate is not None]


def _wrong_2d(x: np.ndarray, w: np.ndarray, stride: Pair, padding: Pair) -> Iterator[tuple[np.ndarray | None, str]]:
    (sh, sw), (ph, pw) = stride, padding
    both = ((ph, ph), (pw, pw))
    right = _fitting_2d(x, w, stride, both)
    yield _correlate_2d(x, w[::-1, ::-1], stride, both), FLIPPED
    yield _correlate_2d(x, w.T, stride, both), "It looks as if the kernel is transposed: is [u, v] read as [v, u]?"
    yield _correlate_2d(x.T, w, stride, both), "It looks as if the rows and columns of x are swapped."
    yield right.T, "It looks as if rows and columns of the output are swapped: y has to be written at [i, j]."
    if ph or pw:
        yield _correlate_2d(x, w, stride, ((0, 0), (0, 0))), "It looks as if x is not padded."
        one_side = "It looks as if x is padded on one side only"
        yield _correlate_2d(x, w, stride, ((ph, 0), (pw, 0))), f"{one_side} (top and left); pad all four."
        yield _correlate_2d(x, w, stride, ((0, ph), (0, pw))), f"{one_side} (bottom and right); pad all four."
        yield _correlate_2d(x, w, stride, ((ph, ph), (0, 0))), "It looks as if the columns are not padded."
        yield _correlate_2d(x, w, stride, ((0, 0), (pw, pw))), "It looks as if the rows are not padded."
        yield _correlate_2d(x, w, stride, ((pw, pw), (ph, ph))), "It looks as if the two paddings are swapped."
        edge = np.pad(x, both, mode="edge")
        yield _correlate_2d(edge, w, stride, ((0, 0), (0, 0))), "Pad with zeros, not with copies of the border."
    if sh > 1 or sw > 1:
        yield _correlate_2d(x, w, (1, 1), both), "It looks as if the stride is ignored."
        yield _correlate_2d(x, w, (sh, 1), both), "It looks as if the stride is used for the rows only."
        yield _correlate_2d(x, w, (1, sw), both), "It looks as if the stride is used for the columns only."
        yield _correlate_2d(x, w, (sw, sh), both), "It looks as if the two strides are swapped."
        yield _correlate_2d(x, w, (sh, sh), both), "It looks as if the stride of the rows is used for the columns too."
        yield _correlate_2d(x, w, (sw, sw), both), "It looks as if the stride of the columns is used for the rows too."
    yield right[:-1, :-1], "It looks as if the last row and column are missing (off by one): is the + 1 there?"
    spare = [size - filled for size, filled in zip(x.shape, right.shape, strict=True)]
    if min(spare) >= 0:
        unshrunk = "That is the shape of x: did you subtract the kernel size?"
        yield np.pad(right, [(0, n) for n in spare]), unshrunk
    too_many = "It looks as if one row and one column are too many (off by one): did you subtract the kernel size?"
    yield np.pad(right, ((0, 1), (0, 1))), too_many
    side = min(right.shape)
    yield right[:side, :side], "The output is square although x is not: rows and columns have sizes of their own."
    yield np.trunc(right), "The values are cut to whole numbers: make the output an array of floats."


def convolution_2d(x: np.ndarray, w: np.ndarray) -> Candidates:
    """Results of wrong 2-D convolutions (with flip, no padding) of x (H, W) with w (kh, kw)."""
    found = [
        (_valid(x, w), "These are the values of a correlation: the kernel is not flipped."),
        (_valid(x, w[::-1]), "It looks as if only the rows of the kernel are flipped; flip its columns too."),
        (_valid(x, w[:, ::-1]), "It looks as if only the columns of the kernel are flipped; flip its rows too."),
        (_valid(x, w.T), "It looks as if the kernel is transposed. A flip reverses the order along both axes."),
        (_valid(x[::-1, ::-1], w), "It looks as if x is flipped instead of the kernel: the output comes out reversed."),
        (_valid(x[::-1, ::-1], w[::-1, ::-1]), "It looks as if x and the kernel are both flipped; flip the kernel."),
    ]
    return [(candidate, message) for candidate, message in found if candidate is not None]


def layer(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> Candidates:
    """Results of wrong layers for x (N, C, H, W), w (O, C, kh, kw), b (O,), stride 1, no padding."""
    x, w, b = (np.asarray(a, dtype=np.float64) for a in (x, w, b))
    plain = conv2d(x, w)
    bias = b[:, None, None]
    right = plain + bias
    channels = x.shape[1]
    first = conv2d(x[:, :1], w[:, :1])
    found = [
        (plain, "It looks as if the bias is missing: b[o] is added to every value of output channel o."),
        (plain + channels * bias, "It looks as if the bias is added once per input channel; add it once at the end."),
        (plain + b.sum(), "It looks as if all biases are added to every channel; channel o gets b[o]."),
        (first + bias, "It looks as if only the first input channel is used: sum over all of them."),
        (plain / channels + bias, "It looks as if the input channels are averaged; they are summed."),
        (conv2d(x[:, -1:], w[:, -1:]) + bias, "It looks as if each input channel overwrites the one before: use +=."),
        (conv2d(x, w[:, :, ::-1, ::-1]) + bias, FLIPPED),
        (np.broadcast_to((conv2d(x, w[:1]) + bias[:1]), right.shape), "It looks as if every output uses kernel w[0]."),
        (np.broadcast_to(right[:1], right.shape), "It looks as if every image gets the first one's result."),
        (right[:1], "It looks as if only the first image of the batch is handled."),
        (right.transpose(1, 0, 2, 3), "It looks as if the batch axis and the channel axis of the output are swapped."),
        (right.transpose(0, 2, 3, 1), "It looks as if the channels come last; the order here is (N, O, H, W)."),
        (right[:, :, :-1, :-1], "It looks as if the last row and column are missing (off by one)."),
        (np.concatenate([right] * channels, axis=1), "It looks as if input channels are kept apart: sum over them."),
    ]
    if w.shape[2] == w.shape[3]:
        found.append((conv2d(x, w.transpose(0, 1, 3, 2)) + bias, "It looks as if each kernel is transposed."))
    if w.shape[0] == channels:
        found.append(
            (conv2d(x, w.transpose(1, 0, 2, 3)) + bias, "It looks as if w[o, c] is read as w[c, o]; o comes first.")
        )
    return found


def _correlate_1d(x: np.ndarray, w: np.ndarray, stride: int, padding: Pair) -> np.ndarray | None:
    fits = len(x) + sum(padding) >= len(w)
    return _fitting_1d(x, w, stride, padding) if fits else None


def _valid(x: np.ndarray, w: np.ndarray) -> np.ndarray | None:
    return _correlate_2d(x, w, (1, 1), ((0, 0), (0, 0)))


def _correlate_2d(x: np.ndarray, w: np.ndarray, stride: Pair, padding: tuple[Pair, Pair]) -> np.ndarray | None:
    """Correlate (H, W) with (kh, kw); padding may differ by side. None where the kernel does not fit."""
    fits = all(n + sum(sides) >= k for n, sides, k in zip(x.shape, padding, w.shape, strict=True))
    return _fitting_2d(x, w, stride, padding) if fits else None


def _fitting_1d(x: np.ndarray, w: np.ndarray, stride: int, padding: Pair) -> np.ndarray:
    return _fitting_2d(np.asarray(x)[None], np.asarray(w)[None], (1, stride), ((0, 0), padding))[0]


def _fitting_2d(x: np.ndarray, w: np.ndarray, stride: Pair, padding: tuple[Pair, Pair]) -> np.ndarray:
    """As `_correlate_2d`, for a kernel that fits: ValueError where it does not."""
    padded = np.pad(np.asarray(x, dtype=np.float64), padding)
    kernel = np.ascontiguousarray(w, dtype=np.float64)
    return conv2d(padded[None, None], kernel[None, None], stride=stride)[0, 0]
