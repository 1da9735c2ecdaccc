"""backward_stepper(x, w, dout): one backward pass of a small convolution, one cell of dout after the other."""

from typing import Any

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.transforms import Affine2D, Transform
from numpy.typing import ArrayLike, NDArray

from cnn_course import convolution
from cnn_course.appearance import colours
from cnn_course.arguments.arrays import array
from cnn_course.arguments.integers import integer, pair
from cnn_course.arguments.objects import text
from cnn_course.arguments.shown import brief
from cnn_course.visualize import written
from cnn_course.widgets.explore import Explore, explore

MOST_CELLS = 6  # to a side: more cannot be read
GAP = 1.1  # between two grids, in cells


def backward_stepper(
    x: ArrayLike,
    w: ArrayLike,
    dout: ArrayLike,
    *,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
    step: int = 1,
    title: str = "",
) -> Explore:
    """Step through the backward pass of a 2-D convolution with one channel; a slider chooses the step.

    Each step takes one cell of dout in reading order: this number times w is added to its window of dx, and times the
    window of x to dw. Step 0 shows dx and dw empty; the last one equals `convolution.conv_backward`.

    x: (H, W), w: (kh, kw), dout: in the shape of the output. step: the one shown first, and stored. With padding, the
    frame of zeros around x is shown in grey, and so is what dx collects there, which is cut off in the end.
    Raises ValueError for shapes that do not fit, or are too large to read, and for numbers that are not finite;
    TypeError for what is no array of numbers.
    """
    text("title", title)
    x, w, dout = (array(name, given).astype(float) for name, given in (("x", x), ("w", w), ("dout", dout)))
    if not x.ndim == w.ndim == dout.ndim == 2:
        raise ValueError(
            f"backward_stepper: x, w and dout must be (H, W) arrays, but have shapes {x.shape}, {w.shape}, {dout.shape}"
        )
    if not all(np.isfinite(numbers).all() for numbers in (x, w, dout)):
        raise ValueError("backward_stepper: x, w and dout must be finite numbers (a NaN or infinity was given)")
    stride, padding = pair("stride", stride, least=1), pair("padding", padding, least=0)
    sides = tuple(n + 2 * p for n, p in zip(x.shape, padding, strict=True))
    if max(sides) > MOST_CELLS:
        raise ValueError(
            f"backward_stepper: x with its padding is {brief(sides)}, but cells stay readable up to {MOST_CELLS} to a "
            "side"
        )
    # Refuses shapes that do not fit together.
    convolution.conv_backward(dout[None, None], x[None, None], w[None, None], stride=stride, padding=padding)
    padded = np.pad(x, [(p, p) for p in padding])
    step = integer("step", step, least=0)
    if step > dout.size:
        raise ValueError(
            f"backward_stepper: step must be from 0 to {dout.size}, one for each cell of dout, not {brief(step)}"
        )
    border = np.pad(np.zeros(x.shape, dtype=bool), [(p, p) for p in padding], constant_values=True)
    whole = all(np.all(numbers == np.round(numbers)) for numbers in (x, w, dout))
    fmt = ".0f" if whole else ".1f"
    states = [_after(count, padded, w, dout, stride) for count in range(dout.size + 1)]
    arrays = (padded, w, dout, *(array for state in states for array in state[2:]))
    longest = max(len(f"{value:{fmt}}") for numbers in arrays for value in numbers.flat)
    wide = [dout.shape[1], w.shape[1], padded.shape[1], padded.shape[1], w.shape[1]]
    names = ("dout", "w", "dx, so far", "x", "dw, so far")
    cells = sum(max(n, 0.42 * len(name)) + GAP for n, name in zip(wide, names, strict=True))  # from left to right
    rows_high = padded.shape[0] + 2.5
    width = 7.2

    def draw(fig: Figure, step: int = step) -> None:
        cell, window, dx, dw = states[step]
        fig.set_layout_engine("none")  # everything has its place already, and the engine draws twice
        cell_inches = fig.get_figwidth() / cells  # less than `width` in a narrow notebook
        fig.set_figheight(cell_inches * rows_high)
        fontsize = min(11.0, 72 * cell_inches / (0.75 * longest))  # a character is about 0.6 of its size wide
        # From cells, counted from the top left, to the figure. Without Axes a picture takes a third less time.
        to_figure = Affine2D().translate(0.4, 1.3).scale(cell_inches, -cell_inches).translate(0, fig.get_figheight())
        to_figure += fig.dpi_scale_trans
        left, places = 0.0, []
        whole_w = (0, 0, *w.shape) if step else None
        shown = (
            (dout, cell, None),
            (w, whole_w, None),
            (dx, window, border),
            (padded, window, border),
            (dw, whole_w, None),
        )
        for name, (values, frame, grey) in zip(names, shown, strict=True):
            _grid(fig, to_figure, left, name, values, frame, grey, fmt, fontsize)
            places.append(left + values.shape[1] / 2)
            left += max(values.shape[1], 0.42 * len(name)) + GAP
        if step:
            number = written(dout[cell[:2]], fmt)
            at = f"[{window[0]}:{window[0] + w.shape[0]}, {window[1]}:{window[1] + w.shape[1]}]"
            below = padded.shape[0] + 0.75
            style: dict[str, Any] = {"transform": to_figure, "ha": "center", "va": "center"}
            fig.text((places[1] + places[2]) / 2, below, f"dx{at} += {number} · w", **style)
            fig.text((places[3] + places[4]) / 2, below, f"dw += {number} · x{at}", **style)

    rows, columns = w.shape
    alt = (
        f"{title + ': ' if title else ''}Grids of numbers: dout with one cell marked, the {rows} by {columns} kernel "
        "w, dx and x with the window of that cell marked, and dw. "
        f"After step {step} of {dout.size}, dx and dw hold what the cells of dout so far have added."
    )
    figsize = (width, width * rows_high / cells)
    return explore(draw, title=title, alt=alt, figsize=figsize, step=(0, dout.size))


def _after(step: int, padded: NDArray, w: NDArray, dout: NDArray, stride: tuple[int, int]) -> tuple:
    """(frame of the cell, frame of its window, dx, dw) after so many steps; the frames are None before the first."""
    dx, dw = np.zeros_like(padded), np.zeros_like(w)
    cell = window = None
    for row, column in list(np.ndindex(dout.shape))[:step]:
        top, left = row * stride[0], column * stride[1]
        place = (slice(top, top + w.shape[0]), slice(left, left + w.shape[1]))
        dx[place] += dout[row, column] * w
        dw += dout[row, column] * padded[place]
        cell, window = (row, column, 1, 1), (top, left, *w.shape)
    return cell, window, dx, dw


def _grid(
    fig: Figure,
    transform: Transform,
    left: float,
    name: str,
    values: NDArray,
    frame: tuple | None,
    grey: NDArray | None,
    fmt: str,
    fontsize: float,
) -> None:
    """One array as cells with numbers, its top left corner at (left, 0). All cells are one artist: that is fast."""
    square = np.array([(0, 0), (1, 0), (1, 1), (0, 1)])
    corners = [square + (left + c, r) for r, c in np.ndindex(values.shape)]
    faces = [colours.CELL_MUTED if grey is not None and grey[place] else "white" for place in np.ndindex(values.shape)]
    sheet = PolyCollection(corners, facecolors=faces, edgecolors=colours.CELL_LINE, linewidths=0.8, transform=transform)
    fig.add_artist(sheet)
    if frame is not None:
        top, start, height, width = frame
        place = square * (width, height) + (left + start, top)
        fill, edge = colours.WINDOW_FILL, colours.WINDOW
        fig.add_artist(PolyCollection([place], facecolors=fill, edgecolors=edge, linewidths=2.5, transform=transform))
    fig.text(left, -0.35, name, fontweight="bold", va="bottom", fontsize=11, transform=transform)
    style: dict[str, Any] = {"ha": "center", "va": "center", "parse_math": False, "transform": transform}
    for (r, c), value in np.ndenumerate(values):
        color = colours.INK_MUTED if grey is not None and grey[r, c] else colours.INK
        fig.text(left + c + 0.5, r + 0.5, written(value, fmt), color=color, fontsize=fontsize, **style)
