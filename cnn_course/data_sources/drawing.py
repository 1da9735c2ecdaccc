"""The drawing engine of `synthetic`: seeded random numbers, outlines, signed distance fields, smooth fields.

A shape is drawn from its *signed distance field*: a small table with, at each point, the distance to the outline
(negative inside). Moving, turning, scaling or bending the shape means looking the table up at other places, a thicker
stroke means adding a constant, and a soft edge one pixel wide comes for free.

Everything is float64 element by element (no BLAS, no reductions whose order could differ), and is rounded to uint8
once, so that the same seed gives the same bytes on every machine.
"""

import math

import numpy as np

from cnn_course.arguments.integers import integer, seed_of
from cnn_course.arguments.memory import affordable

GRID = 64  # a distance field has GRID x GRID cells
REACH = 1.25  # and covers [-REACH, REACH] in both directions, in units of the shape's own radius
NOISE_STD = math.sqrt(4 * (256**2 - 1) / 12)  # of the sum of four random bytes


def stream(seed: int, which: int) -> np.random.Generator:
    """Independent random numbers number `which` of a seed. Only `.random` and raw bits are used: both are stable."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, which))))


def check_count(n: int, seed: int, size: int) -> tuple[int, int]:
    """`n` and `seed` as plain integers, where drawing one image takes `size` bytes.

    Raises TypeError or ValueError for anything but integers >= 0, and for images that would not fit into memory.
    """
    n, seed = integer("n", n, least=0), seed_of("seed", seed)
    affordable("n", n, n, itemsize=size)
    return n, seed


def between(low: float, high: float, u: np.ndarray) -> np.ndarray:
    """Numbers in [low, high) from numbers in [0, 1)."""
    return low + (high - low) * u


def balanced_labels(n: int, classes: int, rng: np.random.Generator) -> np.ndarray:
    """(n,) int64: every block of `classes` neighbours holds each class once, in random order."""
    blocks = -(-n // classes)
    return np.argsort(rng.random((blocks, classes)), axis=1, kind="stable").reshape(-1)[:n].astype(np.int64)


def noise(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Nearly normal noise (mean 0, deviation 1) of this shape: the sum of four random bytes. The size must be even."""
    raw = rng.bit_generator.random_raw(math.prod(shape) // 2)
    pairs = np.uint64(0x00FF00FF00FF00FF)
    sums = (raw & pairs) + ((raw >> np.uint64(8)) & pairs)  # four 16-bit sums of two bytes each
    sums += sums >> np.uint64(16)
    low = sums & np.uint64(0x7FF)
    high = (sums >> np.uint64(32)) & np.uint64(0x7FF)
    return ((np.stack([low, high], axis=-1).astype(np.float64) - 510.0) / NOISE_STD).reshape(shape)


def spline_basis(size: int, knots: int) -> np.ndarray:
    """(size, knots): weights of a uniform cubic B-spline with `knots` control points over `size` pixels."""
    t = (np.arange(size) + 0.5) / size * (knots - 3) + 1  # 1 .. knots - 2, so that four knots always reach a pixel
    d = np.abs(t[:, None] - np.arange(knots))
    near, far = 2 / 3 - d * d * (1 - d / 2), np.maximum(2 - d, 0) ** 3 / 6
    return np.where(d < 1, near, far)


def smooth_field(knots: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """(n, k, k) control values -> (n, S, S) smooth fields, `basis` being `spline_basis(S, k)`."""
    rows = sum(basis[:, a, None] * knots[:, None, a, :] for a in range(knots.shape[1]))
    return sum(rows[:, :, b, None] * basis[:, b] for b in range(knots.shape[2]))


def distance_field(contours: list[np.ndarray]) -> np.ndarray:
    """Signed distance to an outline, negative inside (non-zero winding).

    contours: closed polygons, each (k, 2) of (x, y) with y up. Returns (GRID, GRID) float64, row 0 at y = +REACH.
    """
    axis = np.linspace(-REACH, REACH, GRID)
    x, y = axis[None, :], -axis[:, None]
    square = np.full((GRID, GRID), np.inf)
    winding = np.zeros((GRID, GRID), dtype=np.int64)
    for contour in contours:
        for (x0, y0), (x1, y1) in zip(contour, np.roll(contour, -1, axis=0), strict=True):
            dx, dy = x1 - x0, y1 - y0
            length = dx * dx + dy * dy
            if length == 0:
                continue
            t = np.clip(((x - x0) * dx + (y - y0) * dy) / length, 0, 1)
            square = np.minimum(square, (x - x0 - t * dx) ** 2 + (y - y0 - t * dy) ** 2)
            left = dx * (y - y0) - dy * (x - x0)  # > 0: the point is left of the directed edge
            winding += ((y0 <= y) & (y < y1) & (left > 0)).astype(np.int64)
            winding -= ((y1 <= y) & (y < y0) & (left < 0)).astype(np.int64)
    return np.where(winding != 0, -1.0, 1.0) * np.sqrt(square)


def look_up(fields: np.ndarray, index: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Bilinear look-up of distance fields. fields (m, GRID, GRID); index (n,); x, y (n, H, W), y up -> (n, H, W)."""
    step = (GRID - 1) / (2 * REACH)
    column = np.clip((x + REACH) * step, 0, GRID - 1.001)
    row = np.clip((REACH - y) * step, 0, GRID - 1.001)
    c, r = column.astype(np.int64), row.astype(np.int64)
    column -= c
    row -= r
    at = r * GRID + c + (index * GRID * GRID)[:, None, None]
    flat = fields.reshape(-1)
    top = flat[at] * (1 - column) + flat[at + 1] * column
    bottom = flat[at + GRID] * (1 - column) + flat[at + GRID + 1] * column
    return top * (1 - row) + bottom * row


def to_uint8(values: np.ndarray) -> np.ndarray:
    """[0, 1] -> uint8, the only rounding."""
    return np.floor(np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8)
