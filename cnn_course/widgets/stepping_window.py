"""stepping_window(x, w): the window moves over the input, cell by cell, and the output fills."""

from typing import Any

import numpy as np
import traitlets
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from cnn_course import visualize
from cnn_course.appearance.live import StaticFirst, module
from cnn_course.arguments.arrays import array
from cnn_course.arguments.integers import integer, pair
from cnn_course.arguments.objects import flag, text
from cnn_course.arguments.shown import brief
from cnn_course.convolution import conv2d, flip

MOST_CELLS = 16  # to a side: more cannot be read
MOST_DIGITS = 6  # after the point: more do not fit into a cell


class SteppingWindow(StaticFirst):
    """The stepping window. All values come from Python; the browser only moves over them."""

    _esm = module(__file__)
    title = traitlets.Unicode().tag(sync=True)
    alt = traitlets.Unicode().tag(sync=True)
    data = traitlets.Dict().tag(sync=True)
    flipped = traitlets.Bool().tag(sync=True)
    digits = traitlets.Int().tag(sync=True)

    def static_bundle(self) -> tuple[dict, dict]:
        return visualize.picture_bundle(_static(self.data, self.flipped, self.digits, self.title), self.alt)


def stepping_window(
    x: ArrayLike,
    w: ArrayLike,
    *,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
    title: str = "",
    flipped: bool = False,
    digits: int | None = None,
) -> SteppingWindow:
    """Step a kernel over a small input: the window, the products, their sum, and the output cell it becomes.

    x: (H, W) or (W,), up to about 9 cells to a side. w: (kh, kw) or (kw,). stride, padding: as in `conv2d`.
    flipped=True starts with the kernel turned round, which is convolution; False is correlation, what a CNN computes.
    digits: after the point; by default none where every number is whole, else two.
    The static picture shows the middle of the run; the live view starts at the first cell.
    Raises ValueError if a size does not fit, TypeError for other kinds of values; the values come from `conv2d`.
    """
    text("title", title)
    flipped = flag("flipped", flipped)
    if digits is not None:
        digits = integer("digits", digits, least=0, most=MOST_DIGITS)
    x, w = array("x", x).astype(float), array("w", w).astype(float)
    if x.ndim not in (1, 2) or w.ndim != x.ndim or not x.size or not w.size:
        raise ValueError(f"stepping_window: x has shape {x.shape} and w {w.shape}: both must be (H, W), or both (W,)")
    stride, padding = _pair("stride", stride, x.ndim, 1), _pair("padding", padding, x.ndim, 0)
    x, w = np.atleast_2d(x), np.atleast_2d(w)
    if not (np.isfinite(x).all() and np.isfinite(w).all()):
        raise ValueError("stepping_window: x and w must be finite numbers (a NaN or infinity was given)")
    sides = tuple(n + 2 * p for n, p in zip(x.shape, padding, strict=True))
    if max(sides) > MOST_CELLS:
        raise ValueError(
            f"stepping_window: x with its padding is {brief(sides)}, but cells stay readable up to {MOST_CELLS} to a "
            "side"
        )
    outputs = [
        conv2d(x[None, None], kernel[None, None], stride=stride, padding=padding)[0, 0] for kernel in (w, flip(w))
    ]
    padded = np.pad(x, [(p, p) for p in padding])
    if digits is None:
        digits = 0 if all(np.all(a == np.round(a)) for a in (x, w)) else 2
    height, width = outputs[0].shape
    name = "convolution (kernel turned round)" if flipped else "correlation"
    alt = (
        f"{title + ': ' if title else ''}A {w.shape[0]} by {w.shape[1]} window on an input of {x.shape[0]} by "
        f"{x.shape[1]} cells, stride {stride[0]} by {stride[1]}, padding {padding[0]} by {padding[1]}: the products "
        f"under the window, their sum, and the output of {height} by {width} cells, filled up to the window ({name})."
    )
    data = {
        "padded": padded.tolist(),
        "padding": list(padding),
        "stride": list(stride),
        "kernels": [w.tolist(), flip(w).tolist()],
        "outputs": [output.tolist() for output in outputs],
    }
    return SteppingWindow(data=data, flipped=flipped, digits=digits, title=title, alt=alt)


def _pair(name: str, value: Any, ndim: int, neutral: int) -> tuple[int, int]:
    if isinstance(value, str):
        raise ValueError(f"stepping_window: {name} {value!r}: give it as a number or a pair, like 1 or (1, 2)")
    first, second = pair(name, value, least=neutral)  # neutral is also the least: a stride of 1, a padding of 0
    return (first, second) if ndim == 2 or isinstance(value, tuple | list) else (neutral, second)


def _static(data: dict, flipped: bool, digits: int, title: str) -> bytes:
    padded, (top_pad, left_pad) = np.array(data["padded"]), data["padding"]
    kernel, output = np.array(data["kernels"][flipped]), np.array(data["outputs"][flipped])
    step = output.size // 2
    row, column = divmod(step, output.shape[1])
    top, left = row * data["stride"][0], column * data["stride"][1]
    products = padded[top : top + kernel.shape[0], left : left + kernel.shape[1]] * kernel
    filled = np.where(np.arange(output.size).reshape(output.shape) <= step, output, np.nan)
    border = np.ones(padded.shape, dtype=bool)
    border[top_pad : padded.shape[0] - top_pad, left_pad : padded.shape[1] - left_pad] = False
    fmt = f".{digits}f"
    with visualize.style():
        tallest = max(padded.shape[0], 2 * kernel.shape[0] + 2, output.shape[0])
        fig = Figure(figsize=(8.4, float(np.clip(0.36 * tallest + 0.9, 2.0, 4.2))))
        widths = [padded.shape[1], max(kernel.shape[1], 3), output.shape[1]]
        left_column, middle, right_column = fig.subfigures(1, 3, squeeze=False, width_ratios=widths, wspace=0.05)[0]
        window = (top, left, *kernel.shape)
        visualize.matrix(left_column.subplots(), padded, fmt, title="input", highlight=window, muted=border)
        upper, lower = middle.subplots(2, 1)
        visualize.matrix(upper, kernel, fmt, title="kernel, turned round" if flipped else "kernel")
        visualize.matrix(lower, products, fmt, title="products")
        lower.text(
            0.5, -0.08, f"sum = {visualize.written(output[row, column], fmt)}",
            transform=lower.transAxes, ha="center", va="top", fontweight="bold",
        )  # fmt: skip
        visualize.matrix(right_column.subplots(), filled, fmt, title="output", highlight=(row, column, 1, 1))
        if title:
            fig.suptitle(title, x=0.01, ha="left", fontweight="bold")
        return visualize.png(fig)
