"""Figures of the course: every drawing function takes an Axes first and returns it.

`use_style` sets one style sheet for a notebook; `show` ends a figure and gives it a text alternative.
"""

import functools
import io
import math
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from cycler import cycler
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from cnn_course.appearance import colours
from cnn_course.appearance.pictures import quick_png
from cnn_course.arguments.arrays import array
from cnn_course.arguments.floats import Number, finite, is_number
from cnn_course.arguments.integers import integer
from cnn_course.arguments.memory import affordable
from cnn_course.arguments.objects import flag, instance, sequence, text
from cnn_course.arguments.shown import brief, shown

STYLE = Path(__file__).parent / "appearance" / "course.mplstyle"
SIGNED_CMAP = "RdBu_r"
ORANGE = colours.ORANGE  # for the frames that a lecture draws itself
MOST_POINTS = 500  # of a letter: it would be as large as the figure
MOST_CELLS = 5_000  # of a matrix: each is a box and a text of its own, and more take many seconds to draw


def use_style() -> None:
    """Give every later figure of this process the course's look."""
    plt.rcParams.update(_settings())


def style() -> AbstractContextManager[None]:
    """The course's look for the figures made inside a `with` block."""
    return plt.rc_context(_settings())


@functools.cache
def _settings() -> matplotlib.RcParams:
    settings = matplotlib.rc_params_from_file(STYLE, use_default_template=False)
    settings.update(
        dict.fromkeys(("axes.labelcolor", "text.color", "xtick.labelcolor", "ytick.labelcolor"), colours.INK)
    )
    settings.update(dict.fromkeys(("axes.edgecolor", "xtick.color", "ytick.color"), colours.AXIS))
    settings.update({"axes.prop_cycle": cycler(color=colours.CYCLE), "grid.color": colours.GRID})
    return settings


def png(fig: Figure, *, small: bool = True) -> bytes:
    """The figure as PNG bytes, the same on every run with the same libraries.

    small: spend a few milliseconds to store it as grey or with a palette of 256 colours (a quarter of the size or
    less), which keeps notebooks small. A view that moves takes small=False, because there speed counts.
    """
    _check_figure(fig)
    flag("small", small)
    # `savefig` draws a figure with automatic layout twice; once is enough to read its pixels.
    canvas = FigureCanvasAgg(fig)
    try:
        canvas.draw()
    except (ValueError, TypeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"fig cannot be drawn, perhaps for a title, a label or a name with two $, which enclose a formula: {reason}"
        ) from error
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]
    return shrink(Image.fromarray(pixels)) if small else quick_png(pixels)


def shrink(picture: Image.Image) -> bytes:
    """An opaque picture as a small PNG: grey if it is grey, else with at most 256 colours."""
    instance("picture", picture, Image.Image, "a picture of Pillow")
    if 0 in picture.size:
        raise ValueError(f"picture must have a pixel, but its size is {picture.size}")
    try:
        pixels = np.asarray(picture.convert("RGB"))
    except (ValueError, OSError) as error:  # a file that was closed or is not whole
        raise ValueError(f"picture cannot be read: {error}") from error
    if (pixels[..., :1] == pixels).all():
        # 64 greys look the same as 256 and take a third less.
        reduced = Image.fromarray((np.round(pixels[..., 0] / 255 * 63) * (255 / 63)).round().astype(np.uint8))
    else:
        reduced = Image.fromarray(pixels).quantize(256, dither=Image.Dither.NONE)
    out = io.BytesIO()
    reduced.save(out, format="png", optimize=True)
    return out.getvalue()


def written(value: Number, fmt: str) -> str:
    """A number as a reader writes it: with a true minus sign, and never minus zero.

    fmt: as in f"{value:{fmt}}". Raises TypeError for what is no number, ValueError for a format that does not fit.
    """
    if not is_number(value):
        raise TypeError(f"value must be a number, not {shown(value)}")
    said = _formatted(value, fmt)
    is_zero = not re.search("[1-9]", said.lower().partition("e")[0]) and value == value and abs(value) < 1
    return said.replace("-", "") if is_zero else said.replace("-", "\N{MINUS SIGN}")


def picture_bundle(data: bytes, alt: str) -> tuple[dict, dict]:
    """(data, metadata) of an output cell that holds a PNG and its text alternative.

    The text goes to text/plain (read where pictures are not shown, and compared by nbval) and to the picture's `alt`
    metadata, which nbconvert's classic template writes into the page. It must be the same on every run.
    """
    instance("data", data, bytes, "the bytes of a PNG file")
    text("alt", alt)
    return {"image/png": data, "text/plain": alt}, {"image/png": {"alt": alt}}


def show(fig: Figure, alt: str) -> None:
    """Display the figure with `alt` as its text alternative, and close it.

    alt: one or two sentences that say what the picture shows, the same on every run (no measured digits that vary).
    Raises ValueError if alt is empty, or if something, such as a long title, sticks out of the figure.
    """
    _check_figure(fig)
    if not isinstance(alt, str) or not alt.strip():
        raise ValueError(f"show: alt is {brief(alt)}, but it must say in words what the figure shows")
    data, metadata = picture_bundle(png(fig), alt)
    plt.close(fig)
    outside = np.subtract(fig.get_tightbbox().extents, (0, 0, *fig.get_size_inches()))
    if max(*-outside[:2], *outside[2:]) > 0.05:
        raise ValueError(f"show: parts of fig ({alt[:40]!r}...) lie outside it, perhaps a long title: cut there")
    display(data, metadata=metadata, raw=True)


def image(
    ax: Axes,
    x: ArrayLike,
    title: str | None = None,
    *,
    signed: bool = False,
    value_range: tuple[float, float] | None = None,
) -> Axes:
    """Draw a picture: (H, W), (H, W, 3), or the channel-first (C, H, W), (1, C, H, W) with one or three channels.

    uint8 is shown from 0 to 255 and anything else from 0 to 1, values outside clipped, so that two pictures can be
    compared. value_range=(low, high) sets another range; signed=True shows zero as mid grey, with the largest
    absolute value as black or white. Raises ValueError for another shape, TypeError for what is no array of numbers.
    """
    _check_axes(ax, title=title)
    x = _picture("x", x)
    low, high = _limits(value_range, x)
    affordable("x", x, 4 * x.size)
    if flag("signed", signed):
        high = _largest(x)
        low = -high
    shown = np.clip((x.astype(float) - low) / (high - low), 0, 1)
    ax.imshow(shown, cmap="gray", vmin=0, vmax=1)
    return _bare(ax, title)


def image_grid(
    ax: Axes,
    images: ArrayLike,
    labels: Sequence[str] | None = None,
    columns: int | None = None,
    title: str | None = None,
    *,
    value_range: tuple[float, float] | None = None,
) -> Axes:
    """Draw many pictures as one montage: images (N, H, W), (N, H, W, 3) or (N, C, H, W), labels under each.

    Raises ValueError for another shape, no images or another number of labels; TypeError for what is no array of
    numbers, or no text.
    """
    _check_axes(ax, title=title)
    stack = array("images", images)
    if stack.ndim not in (3, 4):
        raise ValueError(f"images must have shape (N, H, W), (N, H, W, 3) or (N, C, H, W), not {stack.shape}")
    pictures = [_picture("images", x) for x in stack]
    if not pictures:
        raise ValueError("image_grid: there are no images to draw (N is 0)")
    if labels is not None:
        labels = [_caption(f"labels[{i}]", label) for i, label in enumerate(sequence("labels", labels))]
    if labels is not None and len(labels) != len(pictures):
        raise ValueError(f"image_grid: {len(labels)} labels for {len(pictures)} images: give one label for each image")
    low, high = _limits(value_range, stack)
    columns = min(10 if columns is None else integer("columns", columns, least=1), len(pictures))
    rows = -(-len(pictures) // columns)
    height, width = pictures[0].shape[:2]
    gap = max(1, width // 10)
    text = 0 if labels is None else max(4, round(height * 0.32))
    shape = (rows * (height + gap + text) - gap, columns * (width + gap) - gap, 3)
    affordable("images", images, 4 * math.prod(shape))
    canvas = np.ones(shape)
    for i, picture in enumerate(pictures):
        top, left = (i // columns) * (height + gap + text), (i % columns) * (width + gap)
        shown = np.clip((picture.astype(float) - low) / (high - low), 0, 1)
        canvas[top : top + height, left : left + width] = shown if shown.ndim == 3 else shown[..., None]
        if labels is not None:
            ax.text(left + width / 2, top + height + gap / 3, labels[i], ha="center", va="top", fontsize=9)
    ax.imshow(canvas)
    return _bare(ax, title)


def matrix(
    ax: Axes,
    values: ArrayLike,
    fmt: str | None = None,
    *,
    title: str | None = None,
    highlight: tuple[int, int, int, int] | Sequence[tuple[int, int, int, int]] = (),
    muted: ArrayLike | None = None,
    shade: bool = False,
    fontsize: float | None = None,
) -> Axes:
    """Draw a small array (H, W) or (W,) as cells with numbers in them; NaN leaves a cell empty.

    fmt: a format like ".2f"; by default whole numbers without a point and anything else with two digits.
    highlight: (top, left, height, width) of a frame, or several of them. muted: a mask of cells to draw in grey.
    shade: colour the cells by value, blue below zero and red above.
    Raises ValueError for another shape, more than 5,000 cells, a mask or a frame that does not fit.
    """
    _check_axes(ax, title=title)
    values = np.atleast_2d(array("values", values)).astype(float)
    if values.ndim != 2 or values.size == 0:
        raise ValueError(f"matrix: values have shape {values.shape}, but a non-empty (H, W) or (W,) is needed")
    if values.size > MOST_CELLS:
        raise ValueError(f"matrix: values have {values.size:,} cells; at most {MOST_CELLS:,} can be drawn: try heatmap")
    rows, columns = values.shape
    numbers = values[np.isfinite(values)]
    if fmt is None:
        fmt = ".0f" if np.all(numbers == np.round(numbers)) else ".2f"
    longest = max((len(_formatted(v, fmt)) for v in [0.0, *numbers.tolist()]), default=1)
    frames = array("highlight", highlight)
    if frames.size and (frames.ndim not in (1, 2) or frames.shape[-1] != 4 or not np.isfinite(frames).all()):
        raise ValueError(
            f"highlight must be (top, left, height, width) of a frame, or a list of such, not {brief(highlight)}"
        )
    for top, left, height, width in frames.reshape(-1, 4).tolist():
        if min(top, left) < 0 or min(height, width) <= 0 or top + height > rows or left + width > columns:
            raise ValueError(f"highlight must lie on the {rows} x {columns} cells of values, not {brief(highlight)}")
    if muted is not None:
        muted = np.atleast_2d(array("muted", muted))
        if muted.shape != values.shape:
            raise ValueError(f"muted must have the shape of values, {values.shape}, not {muted.shape}")
    shade = flag("shade", shade)
    if fontsize is not None:
        fontsize = finite("fontsize", fontsize, above=0, most=MOST_POINTS)
    limit = _largest(values)
    if shade:
        ax.imshow(values, cmap=SIGNED_CMAP, vmin=-limit, vmax=limit, alpha=0.75, aspect="equal")
    fontsize = fontsize or _cell_fontsize(ax, rows, columns, longest)
    for r in range(rows):
        for c in range(columns):
            grey = muted is not None and bool(muted[r, c])
            face = colours.CELL_MUTED if grey else "none"
            corner = (c - 0.5, r - 0.5)
            ax.add_patch(Rectangle(corner, 1, 1, facecolor=face, edgecolor=colours.CELL_LINE, linewidth=0.8))
            if not np.isnan(values[r, c]):
                white = shade and abs(values[r, c]) > 0.7 * limit
                color = colours.INK_MUTED if grey else "white" if white else colours.INK
                ax.text(c, r, written(values[r, c], fmt), ha="center", va="center", fontsize=fontsize, color=color)
    for top, left, height, width in frames.reshape(-1, 4).tolist():
        corner, fill, edge = (left - 0.5, top - 0.5), colours.WINDOW_FILL, colours.WINDOW
        ax.add_patch(Rectangle(corner, width, height, facecolor=fill, edgecolor=edge, linewidth=2.5))
    ax.set(xlim=(-0.56, columns - 0.44), ylim=(rows - 0.44, -0.56), aspect="equal")
    return _bare(ax, title)


def heatmap(
    ax: Axes,
    values: ArrayLike,
    *,
    title: str | None = None,
    x: ArrayLike | None = None,
    y: ArrayLike | None = None,
    xlabel: str = "",
    ylabel: str = "",
    label: str = "",
    value_range: tuple[float, float] | None = None,
    signed: bool = False,
    colorbar: bool = True,
) -> Axes:
    """Draw values (H, W) as colours with a colour bar; x and y are the coordinates of columns and rows.

    signed=True makes white mean zero. value_range=(low, high) fixes the colours so that maps can be compared.
    Raises ValueError for another shape, and for coordinates that are not as many, or not evenly spaced.
    """
    _check_axes(ax, title=title, xlabel=xlabel, ylabel=ylabel, label=label)
    signed, colorbar = flag("signed", signed), flag("colorbar", colorbar)
    values = array("values", values)
    if values.ndim != 2 or values.size == 0:
        raise ValueError(f"heatmap: values have shape {values.shape}, but a non-empty (H, W) is needed")
    if values.dtype.kind == "b" or values.dtype == np.float16:
        values = values.astype(float)
    low, high = (None, None) if value_range is None else _limits(value_range, values)
    if signed and value_range is None:
        high = _largest(values)
        low = -high
    x = np.arange(values.shape[1]) if x is None else _coordinates("x", x)
    y = np.arange(values.shape[0]) if y is None else _coordinates("y", y)
    if values.shape != (len(y), len(x)):
        raise ValueError(f"heatmap: values have shape {values.shape}, but y and x name ({len(y)}, {len(x)}) cells")
    half = [(c[1] - c[0]) / 2 if len(c) > 1 else 0.5 for c in (x, y)]
    extent = (x[0] - half[0], x[-1] + half[0], y[-1] + half[1], y[0] - half[1])
    drawn = ax.imshow(values, cmap=SIGNED_CMAP if signed else "viridis", vmin=low, vmax=high, extent=extent)
    ax.grid(False)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    if title:
        ax.set_title(title)
    if colorbar:
        ax.figure.colorbar(drawn, ax=ax, label=label, shrink=0.9)
    return ax


def curves(
    ax: Axes,
    series: Mapping[str, ArrayLike],
    x: ArrayLike | None = None,
    *,
    title: str | None = None,
    xlabel: str = "",
    ylabel: str = "",
) -> Axes:
    """Draw one line for each entry of series: (n,), or (n_seeds, n) as the mean with a band from least to largest.

    x: (n,), the same for all; by default 1, 2, ... Raises ValueError for another shape or no series.
    """
    _check_axes(ax, title=title, xlabel=xlabel, ylabel=ylabel)
    given = None if x is None else array("x", x).astype(float)
    if given is not None and given.ndim != 1:
        raise ValueError(f"x must have one axis, not shape {given.shape}")
    rows = {label: np.atleast_2d(values).astype(float) for label, values in _entries(series).items()}
    for label, values in rows.items():
        if values.ndim != 2:
            raise ValueError(f"series[{label!r}] must have shape (n,) or (n_seeds, n), not {values.shape}")
        if not values.size:
            raise ValueError(f"series[{label!r}] must hold at least one number, but has shape {values.shape}")
        if given is not None and len(given) != values.shape[1]:
            raise ValueError(f"series[{label!r}] has shape {values.shape}, but x has {len(given)} values")
    for label, values in rows.items():
        steps = np.arange(1, values.shape[1] + 1) if given is None else given
        (line,) = ax.plot(steps, values.mean(axis=0), label=label)
        if len(values) > 1:
            ax.fill_between(steps, values.min(axis=0), values.max(axis=0), color=line.get_color(), alpha=0.2, lw=0)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    if title:
        ax.set_title(title)
    if len(rows) > 1:
        ax.legend()
    return ax


def bars(
    ax: Axes,
    series: Mapping[str, ArrayLike],
    *,
    title: str | None = None,
    xlabel: str = "",
    fmt: str = ".2f",
) -> Axes:
    """Draw one horizontal bar for each entry of series: its mean, its number, and a dot for every seed.

    Raises ValueError if there is nothing to draw, for an entry without numbers and for a format that does not fit.
    """
    _check_axes(ax, title=title, xlabel=xlabel)
    rows = {label: values.ravel().astype(float) for label, values in _entries(series).items()}
    for label, values in rows.items():
        if not np.isfinite(values).all() or not values.size:
            raise ValueError(f"series[{label!r}] must hold finite numbers, at least one, not {brief(values)}")
        _formatted(values.mean(), fmt)
    right = max(float(values.max()) for values in rows.values())
    for row, (label, values) in enumerate(rows.items()):
        ax.barh(row, values.mean(), height=0.62, color=f"C{row % 8}", alpha=0.85, label=label)
        if len(values) > 1:
            ax.plot(values, np.full(len(values), row), "o", color=colours.INK, markersize=3.5)
        end = max(float(values.max()), 0.0)
        ax.text(end + 0.02 * abs(right), row, _formatted(values.mean(), fmt), va="center", fontsize=10)
    ax.set_yticks(range(len(rows)), list(rows))
    ax.invert_yaxis()
    ax.margins(x=0.12)
    ax.grid(axis="y", visible=False)
    ax.set(xlabel=xlabel)
    if title:
        ax.set_title(title)
    return ax


def _check_figure(fig: Figure) -> None:
    width, height = instance("fig", fig, Figure, "a matplotlib Figure").get_size_inches() * fig.dpi
    affordable("fig", f"{width:.0f} x {height:.0f} pixels", 16 * int(width) * int(height), itemsize=1)


def _check_axes(ax: Axes, **texts: str | None) -> None:
    instance("ax", ax, Axes, "an Axes of matplotlib")
    for name, value in texts.items():
        if value is not None or "label" in name:  # only a title may be left out by None
            text(name, value)


def _limits(value_range: tuple[float, float] | None, x: NDArray) -> tuple[float, float]:
    """(low, high) of the values to show."""
    if value_range is None:
        return (0, 255) if x.dtype == np.uint8 else (0.0, 1.0)
    limits = sequence("value_range", value_range, "a pair (low, high)")
    if len(limits) != 2:
        raise ValueError(f"value_range must be a pair (low, high), not {brief(value_range)}")
    low, high = (finite(f"value_range[{i}]", limit) for i, limit in enumerate(limits))
    if not low < high:
        raise ValueError(f"value_range must be a pair (low, high) with low below high, not {brief(value_range)}")
    return low, high


def _largest(values: NDArray) -> float:
    """The largest absolute value that is finite; 1 where there is none but zeros."""
    # As floats: there is no +128 among the integers of one byte.
    return float(np.abs(values[np.isfinite(values)].astype(float)).max(initial=0)) or 1.0


def _coordinates(name: str, given: ArrayLike) -> NDArray:
    """The coordinates of columns or rows, which are all drawn equally wide."""
    places = array(name, given).astype(float)
    if places.ndim != 1 or not np.isfinite(places).all():
        raise ValueError(f"{name} must be a list of finite numbers, not {brief(given)}")
    steps = np.diff(places)
    if len(steps) and (steps[0] == 0 or not np.allclose(steps, steps[0])):
        raise ValueError(f"{name} must be evenly spaced, not {brief(given)}")
    return places


def _entries(series: Mapping[str, ArrayLike]) -> dict[str, NDArray]:
    if not isinstance(series, Mapping):
        raise TypeError(f"series must be a dict from a name to numbers, not {shown(series)}")
    if not series:
        raise ValueError("there is nothing to draw: series is empty")
    for label in series:
        _caption("each name in series", label)
    return {label: array(f"series[{label!r}]", values) for label, values in series.items()}


def _caption(name: str, label: object) -> str:
    if not isinstance(label, str) and not is_number(label):
        raise TypeError(f"{name} must be a text or a number, not {shown(label)}")
    return str(label)


def _formatted(value: Number, fmt: str) -> str:
    """A number in a format such as ".2f"; a width of more than three digits would fill the memory."""
    try:
        if not re.search(r"\d{4}", text("fmt", fmt)):
            return format(value, fmt)
        reason = "it asks for a text of more than 999 letters"
    except (ValueError, OverflowError) as error:
        reason = str(error)
    raise ValueError(f"fmt must be a format for value {brief(value)}, such as '.2f', not {fmt!r}: {reason}")


def _picture(name: str, x: ArrayLike) -> NDArray:
    x = array(name, x)
    shape = x.shape
    if x.ndim == 4 and len(x) == 1:
        x = x[0]
    if x.ndim == 3 and x.shape[-1] != 3 and x.shape[0] in (1, 3):
        x = x.transpose(1, 2, 0)
    if x.ndim == 3 and x.shape[-1] == 1:
        x = x[..., 0]
    if x.size == 0 or not (x.ndim == 2 or (x.ndim == 3 and x.shape[-1] == 3)):
        raise ValueError(
            f"{name} must be a picture of shape (H, W), (H, W, 3), (C, H, W) or (1, C, H, W) with C 1 or 3, not {shape}"
        )
    return x


def _bare(ax: Axes, title: str | None) -> Axes:
    ax.grid(False)
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    if title:
        ax.set_title(title)
    return ax


def _cell_fontsize(ax: Axes, rows: int, columns: int, characters: int) -> float:
    # The box that the axes get is in inches; a character is about 0.6 of its point size wide.
    box = ax.get_window_extent().transformed(ax.figure.dpi_scale_trans.inverted())
    cell = 72 * min(box.width / columns, box.height / rows)
    return float(np.clip(min(cell * 0.5, cell * 0.9 / (0.62 * max(characters, 2))), 6, 16))
