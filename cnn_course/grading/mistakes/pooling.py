"""Lab 04: what common slips in pooling would have returned, and how far features change when a picture moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from cnn_course import pooling
from cnn_course.equivariance import relative_difference
from cnn_course.errors import CheckFailed
from cnn_course.grading import checks
from cnn_course.images import shift

Pair = tuple[int, int]
Candidates = list[tuple[np.ndarray, str]]
Numbers = list[tuple[float, str]]

KINDS = ("flat bars", "upright bars", "dots")
MOST_FEATURES = 64
# Of the spread between pictures. An exact answer stays near 1e-7, also in float32.
LIMIT = 1e-3
LEAST_RIGHT = 0.9

STRIDE_IGNORED = "It looks as if the stride is ignored: the window moves one place at a time."
STRIDE_IS_K = "It looks as if the window moves by its own size. It moves by `stride`."


def max_pool(x: np.ndarray, k: int, stride: int, padding: int = 0) -> Candidates:
    """Results of wrong max pooling of x (N, C, H, W) with windows k x k."""
    return _fitting(_wrong_max(np.asarray(x, dtype=np.float64), k, stride, padding))


def _wrong_max(x: np.ndarray, k: int, stride: int, padding: int) -> Iterator[tuple[np.ndarray | None, str]]:
    around = ((0, 0), (0, 0), (padding, padding), (padding, padding))
    lowest = np.pad(x, around, constant_values=-np.inf)
    right = _pool(lowest, (k, k), (stride, stride), np.max)
    if padding:
        zeros = "It looks as if the border is made of zeros. A zero beats every negative number: use -np.inf."
        yield _pool(np.pad(x, around), (k, k), (stride, stride), np.max), zeros
        yield _pool_if_it_fits(x, (k, k), (stride, stride), np.max), "It looks as if x is not padded."
        for sides in ((padding, 0), (0, padding)):
            one = np.pad(x, ((0, 0), (0, 0), sides, sides), constant_values=-np.inf)
            text = "It looks as if x is padded on two sides only; pad all four."
            yield _pool_if_it_fits(one, (k, k), (stride, stride), np.max), text
    yield np.maximum(right, 0), "The maxima below 0 came out as 0: a running maximum starts at -np.inf, not at zero."
    yield _pool(lowest, (k, k), (1, 1), np.max), STRIDE_IGNORED
    yield _pool(lowest, (k, k), (k, k), np.max), STRIDE_IS_K
    yield (
        _pool_if_it_fits(x, (k, k), (stride, stride), np.mean),
        "These are the means of the windows, not their maxima.",
    )
    yield _pool_if_it_fits(x, (k, k), (stride, stride), np.min), "These are the smallest numbers of the windows."
    size = "It looks as if the largest absolute value is taken. -5 is smaller than 1."
    yield _pool_if_it_fits(np.abs(x), (k, k), (stride, stride), np.max), size
    yield from _axes(right)


def avg_pool(x: np.ndarray, k: Pair, stride: Pair) -> Candidates:
    """Results of wrong average pooling of x (N, C, H, W) with windows k = (kh, kw)."""
    return _fitting(_wrong_mean(np.asarray(x, dtype=np.float64), k, stride))


def _wrong_mean(x: np.ndarray, k: Pair, stride: Pair) -> Iterator[tuple[np.ndarray | None, str]]:
    total = _pool(x, k, stride, np.sum)
    right = total / (k[0] * k[1])
    yield total, "These are the sums of the windows. Divide by the number of values in a window."
    text = "It looks as if the sum is divided by {}. A window holds kh * kw values."
    yield total / k[0], text.format("kh")
    yield total / k[1], text.format("kw")
    yield total / (k[0] + k[1]), text.format("kh + kw")
    yield total / (stride[0] * stride[1]), text.format("the strides")
    yield _pool(x, k, stride, np.max), "These are the maxima of the windows, not their means."
    yield _pool(x, k, stride, np.median), "These are the medians of the windows, not their means."
    yield _pool_if_it_fits(x, k[::-1], stride, np.mean), "It looks as if kh and kw are swapped: k is (rows, columns)."
    yield _pool(x, k, stride[::-1], np.mean), "It looks as if the two strides are swapped."
    yield _pool(x, k, (1, 1), np.mean), STRIDE_IGNORED
    yield _pool(x, k, k, np.mean), STRIDE_IS_K
    yield _pool(x, k, (stride[0],) * 2, np.mean), "It looks as if the stride of the rows is used for the columns too."
    yield _pool(x, k, (stride[1],) * 2, np.mean), "It looks as if the stride of the columns is used for the rows too."
    yield np.floor(right), "The means are cut to whole numbers: use / instead of //, and an array of floats."
    yield from _axes(right)


def l2_pool(x: np.ndarray, k: int, stride: int) -> Candidates:
    """Results of wrong L2 pooling of x (N, C, H, W) with windows k x k."""
    return _fitting(_wrong_length(np.asarray(x), k, stride))


def _wrong_length(x: np.ndarray, k: int, stride: int) -> Iterator[tuple[np.ndarray, str]]:
    places = (k, k), (stride, stride)
    small = np.square(x)  # in the dtype of x
    x = x.astype(np.float64)
    squares = _pool(np.square(x), *places, np.sum)
    right = np.sqrt(squares)
    yield squares, "These are the sums of the squares: the root is missing."
    yield right / k, "It looks as if the squares are averaged. The length is the root of their sum."
    yield right / k**2, "It looks as if the length is divided by the number of values; it is not a mean."
    yield (
        _pool(np.abs(x), *places, np.sum),
        "These are sums of absolute values (L1). Square, add, take the root.",
    )
    yield np.abs(_pool(x, *places, np.sum)), "It looks as if the sum is squared. Square each value first, then add."
    yield _pool(np.abs(x), *places, np.max), "These are the largest absolute values of the windows."
    yield _pool(x, *places, np.mean), "These are the means of the windows."
    overflow = "The squares do not fit into the dtype of x: in uint8, 16 * 16 = 256 becomes 0. Make floats first."
    with np.errstate(invalid="ignore"):
        yield np.sqrt(_pool(small, *places, np.sum)), overflow
    yield np.sqrt(_pool(np.square(x), (k, k), (1, 1), np.sum)), STRIDE_IGNORED
    yield np.sqrt(_pool(np.square(x), (k, k), (k, k), np.sum)), STRIDE_IS_K
    yield from _axes(right)


def equivariance_error(before: np.ndarray, after: np.ndarray, dx: int, stride: int = 1) -> Numbers:
    """Numbers that wrong versions of the error give, for maps before and after a shift by dx pixels."""
    before, after = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)

    def error(*places: int, axis: int = -1, worst: bool = False) -> float:
        found = [relative_difference(after, np.roll(before, place, axis=axis)) for place in places]
        return max(found) if worst else min(found)

    down, up = dx // stride, -(-dx // stride)
    right = error(down, up)
    size, size_after = np.linalg.norm(before), np.linalg.norm(after)
    moved = [np.roll(before, place, axis=-1) for place in (down, up)]
    each = [min(relative_difference(a, m[i]) for m in moved) for i, a in enumerate(after) if moved[0][i].any()]
    found: list[tuple[float | np.floating, str]] = []
    if down != up:
        other = "That is the error at the other neighbour: try both and take the smaller error."
        found.append((error(down, up, worst=True), other))
    found += [
        (error(0), "That is the invariance error: the maps before the shift have to be moved too."),
        (error(-down, -up), "The maps are moved to the wrong side: dx > 0 goes to the right, as np.roll with dx > 0."),
        (error(dx), "The maps are moved by dx pixels. They have fewer places: divide by the stride."),
        (error(down, up, axis=-2), "It looks as if the rows are moved; the shift goes along the last axis."),
        (right * size, "The difference is not relative: divide by the norm of the moved maps."),
        (right**2, "That is the square of the error: the root is missing."),
        (right**2 * size**2, "That is the sum of the squared differences: take the root, divide by the norm."),
        (float(np.mean(each)) if each else 0.0, "It looks as if the images are averaged: one norm over all of them."),
    ]
    if size_after:
        found.append(
            (right * size / size_after, "It looks as if the norm of `after` is below; divide by that of `before`.")
        )
    found.append((right * size / np.sqrt(before.size), "That is the root of the mean square; divide by the norm."))
    width = before.shape[-1]
    further = "It looks as if other places are tried too: only the two neighbours of dx / stride count."
    found += [(error(*range(width)), further), (error(down - 1, down, up, up + 1), further)]
    return [(float(number), message) for number, message in found if np.isfinite(number)]


def blur_pool(x: np.ndarray, stride: int = 2) -> Candidates:
    """Results of wrong blurred downsampling of x (N, C, H, W)."""
    return _fitting(_wrong_blur(np.asarray(x, dtype=np.float64), stride))


def _wrong_blur(x: np.ndarray, stride: int) -> Iterator[tuple[np.ndarray, str]]:
    kept = (..., slice(None, None, stride), slice(None, None, stride))
    full = pooling.blur_pool(x, 3, stride=1, border="wrap")
    right = full[kept]
    yield x[kept], "It looks as if nothing is blurred: these are the values of x at the places that are kept."
    yield full, STRIDE_IGNORED
    zeros = "It looks as if zeros stand outside the border. The picture goes round in a circle: the border wraps."
    yield pooling.blur_pool(x, 3, stride=stride, border="zeros"), zeros
    if min(x.shape[2:]) > 1:
        reflected = "It looks as if the border is mirrored; it wraps: left of column 0 is the last column."
        yield pooling.blur_pool(x, 3, stride=stride, border="reflect"), reflected
    edge = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    copied = "It looks as if the border is repeated; it wraps: left of column 0 is the last column."
    yield pooling.blur_pool(edge, 3, stride=1, border="wrap")[..., 1:-1, 1:-1][kept], copied
    yield _along(x, (1, 2, 1), (3,))[kept], "It looks as if only the rows are blurred; blur along the columns too."
    yield _along(x, (1, 2, 1), (2,))[kept], "It looks as if only the columns are blurred; blur along the rows too."
    yield 16 * right, "Every value is 16 times too large: divide by 4 along each axis."
    yield 4 * right, "Every value is 4 times too large: divide by 4 along each axis, so by 16 in all."
    yield _along(x, (1, 1, 1), (2, 3))[kept], "The three weights are equal; the middle counts twice: (1, 2, 1) / 4."
    yield _along(x, (1, 1, 0), (2, 3))[kept], "It looks as if two neighbours are averaged; the blur is (1, 2, 1) / 4."
    yield _along(x, (0, 1, 1), (2, 3))[kept], "It looks as if two neighbours are averaged; the blur is (1, 2, 1) / 4."
    early = "It looks as if places are thrown away before the blur. Blur first: then the fine detail is gone."
    yield pooling.blur_pool(x[kept], 3, stride=1, border="wrap"), early
    odd = full[..., 1::stride, 1::stride]
    yield odd, "It looks as if the kept places start at 1. Keep rows and columns 0, stride, 2 * stride, ..."
    yield pooling.blur_pool(x, 5, stride=stride, border="wrap"), "The blur is too wide: it is applied twice."
    short = right[..., : x.shape[2] // stride, : x.shape[3] // stride]
    yield short, "The last row or column is missing: n places leave ceil(n / stride), as in x[::stride]."
    if x.min() >= 0 and x.max() <= 255 and (x == np.rint(x)).all():
        small = "It looks as if the sums are taken in uint8, which ends at 255: make x floats before anything else."
        whole = x.astype(np.uint8)
        yield _along_in(whole, lambda x, axis: (np.roll(x, 1, axis) + 2 * x + np.roll(x, -1, axis)) / 4)[kept], small
        yield _along_in(whole, lambda x, axis: x / 2 + (np.roll(x, 1, axis) + np.roll(x, -1, axis)) / 4)[kept], small
        taps = [(u, v, (2 - abs(u)) * (2 - abs(v))) for u in (-1, 0, 1) for v in (-1, 0, 1)]
        parts = [w * np.roll(whole, (u, v), (2, 3)) for u, v, w in taps]
        yield np.add.reduce([part / 16 for part in parts])[kept], small
        yield (np.add.reduce(parts, dtype=np.uint8) / 16)[kept], small
    yield from _axes(right)


def _along_in(x: np.ndarray, blur: Callable[[np.ndarray, int], np.ndarray]) -> np.ndarray:
    return blur(blur(x, 2), 3)


def bar_pictures(rng: np.random.Generator, count: int, size: Pair) -> tuple[np.ndarray, np.ndarray]:
    """Pictures (count, 1, H, W) of the three KINDS in random order, and their kinds (count,).

    A bar that leaves on one side comes back on the other. Dots are the shuffled pixels of a picture with bars.
    """
    pictures, kinds = np.zeros((count, 1, *size)), rng.permutation(np.arange(count) % len(KINDS))
    for picture, kind in zip(pictures[:, 0], kinds, strict=True):
        rows = picture.T if kind == 1 else picture
        for _ in range(rng.integers(4, 6)):  # of about the same brightness: it must not decide what is taken for what
            place = (rng.integers(rows.shape[1]) + np.arange(6)) % rows.shape[1]
            rows[rng.integers(rows.shape[0]), place] = rng.uniform(0.5, 1)
        if kind == 2:
            picture[...] = rng.permutation(picture.ravel()).reshape(size)
    return pictures, kinds


def check_shift_proof(
    function: Callable[..., np.ndarray], rng: np.random.Generator, size: Pair, shifts: Sequence[Pair]
) -> None:
    """Measure what a student's features do when pictures move, and whether they tell the KINDS apart.

    The invariance error is the change of the features at a shift, relative to how much those of different pictures
    differ, so that a large constant in the features does not hide it. Moved pictures come in another order.
    Raises CheckFailed with a message for the student.
    """
    pictures, kinds = bar_pictures(rng, 45, size)
    still = _features(function, pictures)
    centre = still.mean(axis=0)
    spread = np.linalg.norm(still - centre)
    name = "shift_proof_features"
    if not spread > 1e-6 * np.linalg.norm(still):
        raise CheckFailed(
            f"{name}: all {len(still)} pictures get the same features. That never changes when a picture moves, but it "
            "says nothing about the picture either."
        )

    def error(dy: int, dx: int) -> float:
        order = rng.permutation(len(pictures))
        moved = _features(function, shift(pictures, dy, dx, wrap=True)[order], width=still.shape[1])
        return float(np.linalg.norm(moved - still[order]) / spread)

    for dy, dx in shifts:
        found = error(dy, dx)
        if not found <= LIMIT:
            both = {s: error(s, s) for s in (2, 4, 8)}
            raise CheckFailed(
                f"{name}: the pictures moved down by {dy} and right by {dx}, in a circle, and their features changed "
                f"by {found:.3g} of the spread between pictures; at most {LIMIT:g} is allowed. {_leak(found, both)}"
            )
    alone = _features(function, pictures[:1], width=still.shape[1])
    if not np.linalg.norm(alone - still[:1]) <= LIMIT * spread:
        raise CheckFailed(
            f"{name}: a picture has other features alone than among {len(pictures)}. They have to come from that "
            "picture alone: no means over the batch."
        )
    new, new_kinds = bar_pictures(rng, 60, size)
    new = shift(new, *(int(n) for n in rng.integers(0, 8, size=2)), wrap=True)
    unit = still.std(axis=0)
    unit[unit == 0] = 1
    means = np.stack([(still[kinds == kind] / unit).mean(axis=0) for kind in range(len(KINDS))])
    distances = np.linalg.norm((_features(function, new, width=still.shape[1]) / unit)[:, None] - means, axis=2)
    right = int((distances.argmin(axis=1) == new_kinds).sum())
    if right < LEAST_RIGHT * len(new):
        raise CheckFailed(
            f"{name}: the features stay when a picture moves, but they do not tell what it shows: by the nearest mean, "
            f"{right} of {len(new)} new pictures were taken for the right kind ({', '.join(KINDS)}). "
            f"{LEAST_RIGHT * len(new):.0f} are needed. The kinds have the same pixels in other arrangements: respond "
            "to edges first, in more than one direction, and then forget the place."
        )


def _leak(found: float, both: dict[int, float]) -> str:
    exact = next((s for s, value in both.items() if value <= LIMIT), 0)
    if exact:
        return (
            f"At a shift by {exact} both ways they stay: places are thrown away by a total stride of {exact}, before "
            "the place is forgotten. Use stride 1 until the global pool."
        )
    if max(found, *both.values()) < 0.5:
        return (
            "They change a little at every shift, which is what a border does: zeros beside the picture make edges "
            'that are not in it. Pad the picture with mode="wrap".'
        )
    return "The features still say where things are: end with a global pool, one number per channel."


def _features(function: Callable[..., np.ndarray], pictures: np.ndarray, width: int | None = None) -> np.ndarray:
    """What the student's function makes of the pictures, checked: finite floats (N, F) of bounded size."""
    description = f"shift_proof_features(<array {pictures.shape}>)"
    got = checks.call(description, function, pictures)
    plain = type(got) is np.ndarray and got.ndim == 2
    if width is None:
        width = got.shape[1] if plain else 4
        if not 2 <= width <= MOST_FEATURES:
            raise CheckFailed(
                f"{description}: {width} features for each picture; between 2 and {MOST_FEATURES} are allowed."
            )
    if type(got) is np.ndarray and got.ndim != 2:
        raise CheckFailed(
            f"{description}: expected two axes, (N, F), one row for each of the {len(pictures)} pictures; got "
            f"{got.ndim} axes. A global pool gives (N, C)."
        )
    checks.check_array(description, got, np.zeros((len(pictures), width)), tolerance=np.inf)
    if np.abs(got).max() > 1e12:
        raise CheckFailed(f"{description}: some features are beyond 1e12.")
    return got.astype(np.float64)


def _axes(right: np.ndarray) -> Iterator[tuple[np.ndarray, str]]:
    """Slips with the axes and the number of places, the same for every kind of pooling."""
    yield right[:1], "It looks as if only the first image of the batch is handled."
    yield right[:, :1], "It looks as if only the first channel is handled: each channel is pooled by itself."
    yield np.broadcast_to(right[:1], right.shape), "It looks as if every image gets the first one's result."
    yield np.broadcast_to(right[:, :1], right.shape), "It looks as if every channel gets the first one's result."
    mixed = "It looks as if the channels are pooled together; each channel is pooled by itself."
    yield right.max(axis=1, keepdims=True), mixed
    yield right.mean(axis=1, keepdims=True), mixed
    yield right.swapaxes(2, 3), "It looks as if the rows and columns of the output are swapped."
    missing = "The last row and column are missing (off by one): is the + 1 of the output size there?"
    yield right[:, :, :-1, :-1], missing
    yield right[0], "The batch axis is missing: the output is (N, C, rows, columns) also for one image."


def _fitting(pairs: Iterator[tuple[np.ndarray | None, str]]) -> Candidates:
    return [(candidate, message) for candidate, message in pairs if candidate is not None and candidate.size]


def _pool(x: np.ndarray, k: Pair, stride: Pair, summary: Callable[..., np.ndarray]) -> np.ndarray:
    """Pool x (N, C, H, W) without padding. Raises ValueError where the window does not fit."""
    return summary(sliding_window_view(x, k, axis=(2, 3))[:, :, :: stride[0], :: stride[1]], axis=(4, 5))


def _pool_if_it_fits(x: np.ndarray, k: Pair, stride: Pair, summary: Callable[..., np.ndarray]) -> np.ndarray | None:
    """As `_pool`; None where the window does not fit."""
    return None if x.shape[2] < k[0] or x.shape[3] < k[1] else _pool(x, k, stride, summary)


def _along(x: np.ndarray, weights: Sequence[int], axes: Sequence[int]) -> np.ndarray:
    """Blur x with three weights along each of the axes, in a circle."""
    for axis in axes:
        total = np.zeros(x.shape)
        for weight, place in zip(weights, (1, 0, -1), strict=True):
            total += weight * np.roll(x, place, axis=axis)
        x = total / sum(weights)
    return x
