"""kernel_matrix(w, size): change a tap of a small kernel and see where it stands in the matrix of the convolution."""

from __future__ import annotations  # traitlets 5.7 cannot be subscripted when the class is made

import math
from typing import Any

import numpy as np
import traitlets
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from cnn_course import toeplitz, visualize
from cnn_course.appearance import colours
from cnn_course.appearance.live import StaticFirst, module
from cnn_course.arguments.arrays import array
from cnn_course.arguments.integers import each
from cnn_course.arguments.shown import brief

MOST_PIXELS = 36  # a matrix with more rows cannot be taken in
READABLE = 14  # rows up to which the entries carry their numbers
NAMES = {"zeros": "zero border", "circular": "circular: a ring"}


class KernelMatrix(StaticFirst):
    """The kernel and its matrix. The browser sets `cells`, `border` and draws; Python says what the numbers are."""

    _esm = module(__file__)
    alt = traitlets.Unicode().tag(sync=True)
    data = traitlets.Dict().tag(sync=True)
    cells: traitlets.List[Any] = traitlets.List().tag(sync=True)
    border = traitlets.Unicode().tag(sync=True)
    summary = traitlets.Unicode().tag(sync=True)
    error = traitlets.Unicode().tag(sync=True)

    def __init__(self, w: np.ndarray, size: tuple[int, ...], **traits: object) -> None:
        self._shape, self._size = w.shape, size
        # Where each tap stands does not depend on its value: the browser gets the number of the tap for each entry.
        numbered = np.arange(1.0, w.size + 1).reshape(w.shape)
        which = {
            border: (toeplitz.matrix(numbered, size, padding="same", border=border).toarray().astype(int) - 1).tolist()
            for border in toeplitz.BORDERS
        }
        names = [str(place if len(place) > 1 else place[0]) for place in np.ndindex(w.shape)]
        data = {
            "which": which, "names": names, "kernel": list(np.atleast_2d(w).shape), "row": size[-1],
            "flat": len(size) == 1, "borders": NAMES, "readable": READABLE,
        }  # fmt: skip
        super().__init__(data=data, cells=w.ravel().tolist(), **traits)
        self.summary = self._say()
        self._static = _static(self.matrix(), w, np.array(which[self.border]), size, self.border)
        self.observe(self._on_change, ["cells", "border"])

    def static_bundle(self) -> tuple[dict, dict]:
        return visualize.picture_bundle(self._static, self.alt)

    def matrix(self) -> np.ndarray:
        """The dense matrix of the kernel in the cells. Raises ValueError if they are not finite numbers."""
        if len(self.cells) != np.prod(self._shape) or not all(_is_number(value) for value in self.cells):
            raise ValueError(f"the kernel needs {int(np.prod(self._shape))} finite numbers, not {self.cells}")
        w = np.array(self.cells, dtype=float).reshape(self._shape)
        return toeplitz.matrix(w, self._size, padding="same", border=self.border).toarray()

    def _say(self) -> str:
        a = self.matrix()
        distance = toeplitz.circulant_distance(a, self._size)
        return (
            f"{a.shape[0]} × {a.shape[1]} = {a.size:,} entries, {np.count_nonzero(a):,} of them not zero, made of "
            f"{np.prod(self._shape)} taps. Relative distance to the nearest circulant matrix: {distance:.3f}."
        )

    def _on_change(self, change: dict) -> None:
        try:
            summary, error = self._say(), ""
        except (TypeError, ValueError) as failure:  # One bad value must not end the view.
            summary, error = self.summary, str(failure)
        with self.hold_sync():
            self.summary, self.error = summary, error


def kernel_matrix(w: ArrayLike = (1, -2, 3), size: int | tuple[int, int] = 8, *, border: str = "zeros") -> KernelMatrix:
    """A kernel whose taps can be changed, and the matrix of its convolution, in which each tap is a diagonal.

    w: (k,) with size n, or (kh, kw) with size (H, W): the output has the input's size (padding "same").
    border: "zeros" or "circular", what the view starts with; it has a switch for both.
    The static picture marks the first tap and its diagonal.
    Raises ValueError if w does not fit into size or holds numbers that are not finite, or for more than 36 pixels.
    """
    w = array("w", w)
    if not np.isfinite(w).all():
        raise ValueError(f"kernel_matrix: w must hold finite numbers, not {brief(w.tolist())}")
    w = w.astype(float)
    size = each("size", size, len(size) if isinstance(size, tuple | list) else 1, least=1)
    pixels = math.prod(size)
    if pixels > MOST_PIXELS:
        raise ValueError(f"kernel_matrix: size {brief(size)} is {brief(pixels)} pixels, but at most {MOST_PIXELS} fit")
    a = toeplitz.matrix(w, size, padding="same", border=border)  # refuses what does not fit
    if len(size) > 2 or w.ndim != len(size):
        raise ValueError(
            f"kernel_matrix: w has shape {w.shape}; with size {size} it must have 1 or 2 axes, as size has"
        )
    if any(k > n for k, n in zip(w.shape, size, strict=True)):
        raise ValueError(f"kernel_matrix: the kernel w {w.shape} is larger than the input of size {size}")
    kernel, grid = (" by ".join(str(n) for n in shape) for shape in (w.shape, size))
    alt = (
        f"A kernel of {kernel} taps and the {a.shape[0]} by {a.shape[1]} matrix of its convolution on {grid} pixels, "
        f"{NAMES[border]}: each tap stands on a diagonal of the matrix, and the first tap and its diagonal are marked."
    )
    return KernelMatrix(w, size, border=border, alt=alt)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))


def _static(a: np.ndarray, w: np.ndarray, which: np.ndarray, size: tuple[int, ...], border: str) -> bytes:
    marked = [(row, column, 1, 1) for row, column in np.argwhere(which == 0)]
    shown = np.where(which >= 0, a, 0.0)
    with visualize.style():
        fig = Figure(figsize=(7.6, 3.2))
        left, right = fig.subplots(1, 2, width_ratios=[1, 2.4])
        whole = np.all(w == np.round(w))
        visualize.matrix(left, w, ".0f" if whole else ".2g", title="kernel", highlight=(0, 0, 1, 1), shade=True)
        title = f"matrix for {' × '.join(str(n) for n in size)} pixels, {NAMES[border]}"
        if len(a) <= READABLE:
            fmt = ".0f" if whole else ".2g"
            visualize.matrix(right, shown, fmt, title=title, muted=which < 0, highlight=marked, shade=True)
        else:
            _colours(right, shown, size[-1], title, marked)
        return visualize.png(fig)


def _colours(ax: Axes, a: np.ndarray, block: int, title: str, marked: list) -> None:
    """A matrix too large for numbers: colours, lines between the blocks, and frames round the marked entries."""
    visualize.heatmap(ax, a, title=title, signed=True, colorbar=False)
    for at in range(block, len(a), block):
        ax.axhline(at - 0.5, color=colours.INK_MUTED, linewidth=0.7)
        ax.axvline(at - 0.5, color=colours.INK_MUTED, linewidth=0.7)
    rows, columns = zip(*[(row, column) for row, column, _, _ in marked], strict=True)
    ax.plot(columns, rows, "s", ms=5.5, markerfacecolor="none", markeredgecolor=colours.INK, markeredgewidth=1.5)
    ticks = range(0, len(a), block)
    ax.set(xlabel="input pixel", ylabel="output pixel", xticks=ticks, yticks=ticks)
