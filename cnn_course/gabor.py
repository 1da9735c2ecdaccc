"""Gabor functions, waves under a bell, and their least squares fit to a filter.

    fit = gabor.fit(filter)          # (H, W)
    fit.explained                    # share of the filter's variance that the fit explains
    gabor.wave(filter.shape, fit)    # the fitted function

A Gabor function with enough freedom resembles many things: compare what it explains of a learned filter with what it
explains of random filters of the same size (`controls`).
J. Jones and L. Palmer, "An evaluation of the two-dimensional Gabor filter model of simple receptive fields in cat
striate cortex", Journal of Neurophysiology 1987, fitted neurons like this.
"""

import functools
import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage, optimize

from cnn_course.arguments.arrays import with_axes
from cnn_course.arguments.floats import finite
from cnn_course.arguments.integers import integer, pair, seed_of
from cnn_course.arguments.memory import affordable
from cnn_course.arguments.objects import instance

Array = NDArray[np.float64]
STARTS = 3 * 3 * 2 * 8 * 5  # of the coarse grid: places, widths, angles and frequencies
NARROW = 0.6  # the least deviation of the bell, in pixels: narrower ones fall between the pixels


@dataclass(frozen=True)
class Gabor:
    """amplitude * exp(-(u / along)² / 2 - (v / across)² / 2) * cos(2π frequency u + phase), in pixels and radians.

    (row, column): the middle of the bell. angle: of u, the direction in which the wave runs, from the columns' axis
    towards the rows' axis (0: upright stripes), from 0 to below π. v is at a right angle to u. frequency: cycles per
    pixel, 0 to 0.5. explained: share of the variance of the fitted filter, at most 1; NaN if it was not fitted.
    Raises TypeError for what is no number, ValueError for one that is out of these bounds.
    """

    amplitude: float
    row: float
    column: float
    along: float
    across: float
    angle: float
    frequency: float
    phase: float
    explained: float = math.nan

    def __post_init__(self) -> None:
        for name in ("amplitude", "row", "column", "angle", "phase"):
            finite(name, getattr(self, name))
        finite("along", self.along, above=0)
        finite("across", self.across, above=0)
        finite("frequency", self.frequency, least=0, most=0.5)
        if not isinstance(self.explained, float | np.floating) or not math.isnan(self.explained):
            finite("explained", self.explained, most=1)


def wave(shape: int | tuple[int, int], g: Gabor) -> Array:
    """The Gabor function on a grid of pixels: (H, W) float64. Pixel (0, 0) is the upper left one.

    shape: (H, W), or one number for a square.
    """
    height, width = pair("shape", shape, least=1)
    affordable("shape", shape, 8 * height * width)
    instance("g", g, Gabor, "a Gabor, such as `fit` returns")
    rows, columns = np.mgrid[:height, :width].astype(float)
    y, x = rows - g.row, columns - g.column
    u, v = x * math.cos(g.angle) + y * math.sin(g.angle), y * math.cos(g.angle) - x * math.sin(g.angle)
    bell = np.exp(-((u / g.along) ** 2) / 2 - (v / g.across) ** 2 / 2)
    return g.amplitude * bell * np.cos(2 * math.pi * g.frequency * u + g.phase)


def fit(filter: ArrayLike, *, starts: int = 4) -> Gabor:
    """The Gabor function nearest to a filter (H, W) in least squares.

    Bounds: the middle lies on the grid, the bell is between 0.6 pixels and the longer side wide, the frequency at most
    half a cycle per pixel. The best `starts` of a coarse grid are improved one by one (Levenberg and Marquardt).
    Raises ValueError for a filter with fewer than 9 pixels or a side of one, with values that are not finite, or that
    is constant.
    """
    target = with_axes("filter", filter, "H, W").astype(float)
    if target.size < 9 or min(target.shape) < 2 or not np.isfinite(target).all():
        raise ValueError(
            f"filter must hold 9 finite numbers or more, in two rows and two columns or more, got shape {target.shape}"
        )
    affordable("filter", filter, 8 * STARTS * target.size)  # the coarse grid, while its waves are made orthogonal
    starts = integer("starts", starts, least=1)
    if np.abs(target).max() > 1e100:
        raise ValueError("filter holds numbers above 1e100, whose squares cannot be added: divide it by the largest")
    variation = float(np.sum((target - target.mean()) ** 2))
    if variation <= 1e-12 * float(np.sum(target**2)) or variation == 0:
        raise ValueError("filter is constant: there is no variance to explain")
    scale = math.sqrt(variation)
    low, high = _bounds(target.shape)
    best, error = np.zeros(8), math.inf
    for start in _promising(target / scale, starts):
        found, _, info, *_ = optimize.leastsq(
            _residual, start, (target / scale, low, high), _slopes, full_output=True, maxfev=100
        )
        now = float(info["fvec"] @ info["fvec"])
        if now < error:
            best, error = found, now
    cosine, sine = best[6:] * scale
    row, column, along, across, angle, frequency = _within(best[:6], low, high)
    turned = angle % (2 * math.pi) >= math.pi  # the same stripes seen from the other side
    phase = math.atan2(sine if turned else -sine, cosine)
    return Gabor(
        amplitude=float(np.hypot(cosine, sine)),
        row=float(row),
        column=float(column),
        along=float(along),
        across=float(across),
        angle=float(angle % math.pi),
        frequency=float(frequency),
        phase=phase,
        explained=1 - error,
    )


def controls(filters: ArrayLike, seed: int = 0) -> dict[str, Array]:
    """What a fit has to be compared with: filters (N, H, W) made from these, by name.

    "shuffled": the same numbers with their pixels in a random order; "noise": independent normal numbers;
    "smooth noise": normal numbers blurred until neighbours are as alike as in the given filters, on average.
    Raises ValueError as `alike` does.
    """
    filters = _filters(filters)
    rng = np.random.default_rng(seed_of("seed", seed))
    noise = rng.normal(size=filters.shape)
    # A frame that is cut off afterwards: the blur must not know where the filter ends.
    wide = rng.normal(size=(len(filters), *(n + 16 for n in filters.shape[1:])))

    def blurred(sigma: float) -> Array:
        return ndimage.gaussian_filter(wide, (0, sigma, sigma))[:, 8:-8, 8:-8]

    wanted = _alike(filters)
    sigma = min(np.linspace(0.0, 2.5, 26), key=lambda s: abs(_alike(blurred(s)) - wanted))
    return {
        "shuffled": rng.permuted(filters.reshape(len(filters), -1), axis=1).reshape(filters.shape),
        "noise": noise,
        "smooth noise": blurred(sigma),
    }


def alike(filters: ArrayLike) -> float:
    """Correlation of neighbouring pixels, down and across, over all filters (N, H, W), each with mean 0 and size 1.

    Raises ValueError for another shape, filters without neighbours, numbers that are not finite, and if each filter is
    constant.
    """
    return _alike(_filters(filters))


def _filters(filters: ArrayLike) -> Array:
    found = with_axes("filters", filters, "N, H, W").astype(float)
    if found.size == 0 or min(found.shape[1:]) < 2:
        raise ValueError(f"filters must have shape (N, H, W), N at least 1, H and W at least 2, got {found.shape}")
    if not np.isfinite(found).all():
        raise ValueError("filters must hold finite numbers, but these hold NaN or infinity")
    if (found == found[:, :1, :1]).all():
        raise ValueError("filters must vary, but each of these is constant: no neighbours are alike or unlike")
    affordable("filters", filters, 6 * len(found) * math.prod(n + 16 for n in found.shape[1:]))
    return found


def _alike(x: Array) -> float:
    largest = np.abs(x).max()
    if not 1e-100 < largest < 1e100:  # the squares would be 0 or infinite
        x = x / largest
    x = x - x.mean(axis=(1, 2), keepdims=True)
    x = x / np.maximum(np.sqrt((x**2).sum(axis=(1, 2), keepdims=True)), 1e-300)
    across = (x[:, :, 1:] * x[:, :, :-1]).mean()
    down = (x[:, 1:] * x[:, :-1]).mean()
    return float((across + down) / 2 / (x**2).mean())


# ---------------------------------------------------------------------------------------------------------------------
# Eight numbers: row, column, along, across, angle, frequency (kept in their bounds by a sine), and the weights of the
# cosine and of the sine wave, in which the function is linear.


def _bounds(shape: tuple[int, ...]) -> tuple[Array, Array]:
    longest = float(max(shape))
    low = np.array([0, 0, NARROW, NARROW, -np.inf, 0])
    return low, np.array([shape[0] - 1, shape[1] - 1, longest, longest, np.inf, 0.5])


def _within(free: Array, low: Array, high: Array) -> Array:
    bounded = np.isfinite(low)
    values = free.copy()
    values[bounded] = low[bounded] + (high - low)[bounded] * (np.sin(free[bounded]) + 1) / 2
    return values


def _free(values: Array, low: Array, high: Array) -> Array:
    bounded = np.isfinite(low)
    free = values.copy()
    share = (values - low)[bounded] / (high - low)[bounded]
    # Just inside: at the bound itself the sine has no slope, and the search would never leave it.
    free[bounded] = np.arcsin(np.clip(2 * share - 1, -0.99, 0.99))
    return free


def _parts(values: Array, shape: tuple[int, ...]) -> tuple[Array, ...]:
    row, column, along, across, angle, frequency = values
    y, x = (np.arange(shape[0]) - row)[:, None], np.arange(shape[1]) - column
    u, v = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    bell = np.exp(-((u / along) ** 2) / 2 - (v / across) ** 2 / 2)
    turn = 2 * math.pi * frequency * u
    return u, v, bell * np.cos(turn), bell * np.sin(turn)


def _residual(p: Array, target: Array, low: Array, high: Array) -> Array:
    _, _, cosine, sine = _parts(_within(p[:6], low, high), target.shape)
    return (p[6] * cosine + p[7] * sine - target).ravel()


def _slopes(p: Array, target: Array, low: Array, high: Array) -> Array:
    values = _within(p[:6], low, high)
    _, _, along, across, angle, frequency = values
    u, v, cosine, sine = _parts(values, target.shape)
    g, turned = p[6] * cosine + p[7] * sine, p[7] * cosine - p[6] * sine  # turned: the slope of g by the wave's phase
    by_u = -g * u / along**2 + 2 * math.pi * frequency * turned
    by_v = -g * v / across**2
    c, s = math.cos(angle), math.sin(angle)
    slopes = np.stack(
        [
            *(-s * by_u - c * by_v, -c * by_u + s * by_v),
            *(g * u**2 / along**3, g * v**2 / across**3),
            *(by_u * v - by_v * u, 2 * math.pi * u * turned),
            *(cosine, sine),
        ]
    )
    bounded = np.isfinite(low)
    slopes[:6][bounded] *= ((high - low)[bounded] * np.cos(p[:6][bounded]) / 2)[:, None, None]
    return slopes.reshape(8, -1).T


@functools.cache
def _grid(shape: tuple[int, ...]) -> tuple[Array, Array, Array]:
    """Starting points (M, 6), and for each an orthonormal basis (M, 2, H·W) of its cosine and sine wave."""
    low, high = _bounds(shape)
    places = [np.linspace(0.2, 0.8, 3) * (n - 1) for n in shape]
    wide = max(shape) / np.array([6.0, 3.0])
    angles, frequencies = np.arange(8) * math.pi / 8, np.array([0.05, 0.12, 0.2, 0.3, 0.42])
    values = np.array([[r, c, w, w, a, f] for r, c, w, a, f in itertools.product(*places, wide, angles, frequencies)])
    values[:, 2:4] = np.maximum(values[:, 2:4], NARROW * 1.2)
    waves = np.stack([np.stack(_parts(v, shape)[2:]).reshape(2, -1) for v in values])
    first = waves[:, 0] / np.linalg.norm(waves[:, 0], axis=1, keepdims=True)
    second = waves[:, 1] - (waves[:, 1] * first).sum(axis=1, keepdims=True) * first
    second /= np.maximum(np.linalg.norm(second, axis=1, keepdims=True), 1e-12)
    return values, np.stack([first, second], axis=1), np.array([_free(v, low, high) for v in values])


def _promising(target: Array, starts: int) -> list[Array]:
    values, basis, free = _grid(target.shape)
    explained = ((basis @ target.ravel()) ** 2).sum(axis=1)
    chosen: list[int] = []
    for k in np.argsort(-explained, kind="stable"):
        # Not two starts that differ only in where the bell stands: they would climb the same hill.
        if all(np.abs(values[k, 2:] - values[c, 2:]).max() > 1e-9 for c in chosen):
            chosen.append(int(k))
        if len(chosen) == starts:
            break
    found = []
    for k in chosen:
        waves = np.stack(_parts(values[k], target.shape)[2:]).reshape(2, -1).T
        found.append(np.concatenate([free[k], np.linalg.lstsq(waves, target.ravel(), rcond=None)[0]]))
    return found
