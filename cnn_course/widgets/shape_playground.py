"""shape_playground(): choose the sizes of a convolution layer; see its windows, its output and its cost."""

from __future__ import annotations  # traitlets 5.7 cannot be subscripted when the class is made

from collections.abc import Mapping
from typing import Any

import numpy as np
import traitlets
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from cnn_course import visualize
from cnn_course.appearance import colours
from cnn_course.appearance.live import StaticFirst, module
from cnn_course.arguments.integers import integer
from cnn_course.arithmetic import conv_macs, conv_parameters
from cnn_course.array_engine.conv_arguments import borders_of, output_size

LARGEST = 64  # pixels to a side
MOST_CHANNELS = 1_000_000  # no layer has more, and the products stay numbers that can be read
MOST_PADDING = 64  # on a side: three grids of zeros around the largest input
READABLE = 18  # cells to a side in which a number can be read
DEPTHS = (1, 2, 3, 4, 6, 8, 10, 16, 32, 64, 128, 256, 512)
# Zero is offered where it is not allowed as well: what the package says to it is part of the lesson.
SLIDERS = {"size": (1, LARGEST), "kernel": (1, 11), "stride": (1, 6), "dilation": (0, 6)}
CHOICES = {"padding": (0, 1, 2, 3, 4, 5, 6, "same", "valid"), "channels": DEPTHS, "filters": DEPTHS, "groups": DEPTHS}
ORDER = ("size", "channels", "kernel", "filters", "stride", "padding", "dilation", "groups")


class ShapePlayground(StaticFirst):
    """The shape playground. Setting `values` (what the browser does) computes `result`, or sets `error`."""

    _esm = module(__file__)
    alt = traitlets.Unicode().tag(sync=True)
    controls: traitlets.List[Any] = traitlets.List().tag(sync=True)
    values = traitlets.Dict().tag(sync=True)
    result = traitlets.Dict().tag(sync=True)
    error = traitlets.Unicode().tag(sync=True)

    def __init__(self, values: Mapping, **traits: object) -> None:
        result = _compute(values)
        self._static = _picture(result)
        super().__init__(values=dict(values), result=result, **traits)
        self.observe(self._on_values, "values")

    def static_bundle(self) -> tuple[dict, dict]:
        return visualize.picture_bundle(self._static, self.alt)

    def _on_values(self, change: dict) -> None:
        try:
            result, error = _compute(change["new"]), ""
        except (TypeError, ValueError) as failure:  # a layer that cannot be: the last one that can stays
            result, error = self.result, str(failure)
        with self.hold_sync():
            self.result, self.error = result, error


def shape_playground(
    size: int = 7,
    channels: int = 3,
    filters: int = 8,
    kernel: int = 3,
    *,
    stride: int = 2,
    padding: int | str = 1,
    dilation: int = 1,
    groups: int = 1,
) -> ShapePlayground:
    """Choose a layer's sizes; see where its windows stand, how often each pixel is used, and what the layer costs.

    size: of a square input, 1 to 64 pixels to a side. The other arguments as in `conv2d`, kernel for a square one.
    The numbers come from `output_size`, `conv_parameters` and `conv_macs`, and so do the messages.
    Raises TypeError and ValueError as they do, and for a size above 64.
    """
    given = (size, channels, kernel, filters, stride, padding, dilation, groups)
    # Plain Python numbers: NumPy's do not travel as JSON.
    values = {
        name: value if name == "padding" and isinstance(value, str) else integer(name, value)
        for name, value in zip(ORDER, given, strict=True)
    }
    shapes = dict(_compute(values)["lines"])["shape"]
    controls = [_control(name, value) for name, value in values.items()]
    alt = (
        f"A {kernel} by {kernel} convolution layer, stride {stride}, padding {padding}, dilation {dilation}: how many "
        f"windows use each pixel, one window marked, the output grid, its size as a formula, the cost. Shapes {shapes}."
    )
    return ShapePlayground(values, controls=controls, alt=alt)


def _control(name: str, value: int | str) -> dict:
    if name in SLIDERS:
        return {"name": name, "low": SLIDERS[name][0], "high": max(SLIDERS[name][1], value)}
    options = sorted({*CHOICES[name], value}, key=lambda v: (isinstance(v, str), v))
    return {"name": name, "options": options}


def _compute(values: Mapping) -> dict:
    """Everything that is shown. Raises TypeError and ValueError for a layer that is not possible."""
    if set(values) != set(ORDER):
        raise ValueError(f"the controls are {sorted(ORDER)}, not {sorted(values)}")
    for name in ("channels", "filters", "groups"):
        integer(name, values[name], least=1, most=MOST_CHANNELS)
    integer("kernel", values["kernel"], least=1)
    if not isinstance(values["padding"], str):
        integer("padding", values["padding"], most=MOST_PADDING)
    n, k, s, p, d = (values[name] for name in ("size", "kernel", "stride", "padding", "dilation"))
    if integer("size", n, least=1) > LARGEST:
        raise ValueError(f"size must be at most {LARGEST}, not {n}: a larger grid cannot be seen")
    channels, filters, groups = values["channels"], values["filters"], values["groups"]
    out = output_size(n, k, stride=s, padding=p, dilation=d)
    weights = conv_parameters(channels, filters, k, bias=False, groups=groups)
    parameters = conv_parameters(channels, filters, k, groups=groups)
    macs = conv_macs(channels, filters, k, n, stride=s, padding=p, dilation=d, groups=groups)
    span = d * (k - 1) + 1
    before, after = borders_of(p, k, s, d)
    uses = np.zeros(before + n + after, dtype=int)
    for start in range(0, out * s, s):
        uses[start : start + span : d] += 1
    image = np.outer(uses[before : before + n], uses[before : before + n])
    formula = f"⌊({n} + {before} + {after} − {d}·({k} − 1) − 1) / {s}⌋ + 1 = ⌊{len(uses) - span} / {s}⌋ + 1 = {out}"
    lines = [
        ("output size", formula),
        ("shape", f"(N, {channels}, {n}, {n}) → (N, {filters}, {out}, {out})"),
        ("parameters", f"{filters} · {channels}/{groups} · {k} · {k} = {weights:,} weights, {parameters:,} with bias"),
        ("cost", f"{weights:,} weights · {out} · {out} places = {macs:,} MACs = {2 * macs:,} FLOPs per image"),
        ("pixels", f"used {image.min()} to {image.max()} times by one filter; {(image == 0).sum()} of {n * n} never"),
    ]  # fmt: skip
    layer = {"size": n, "kernel": k, "stride": s, "dilation": d, "before": before, "out": out}
    return {"layer": layer, "uses": uses.tolist(), "lines": [list(line) for line in lines]}


def _picture(result: Mapping) -> bytes:
    layer, uses = result["layer"], np.array(result["uses"])
    before, n, out, k = layer["before"], layer["size"], layer["out"], layer["kernel"]
    at, step = out // 2, layer["dilation"]
    taps = [at * layer["stride"] + i * step for i in range(k)]
    frames = [(top, left, 1, 1) for top in taps for left in taps] if step > 1 else [(taps[0], taps[0], k, k)]
    border = np.ones((len(uses), len(uses)), dtype=bool)
    border[before : before + n, before : before + n] = False
    with visualize.style():
        fig = Figure(figsize=(7.8, 4.5))
        grids, below = fig.subfigures(2, 1, squeeze=False, height_ratios=[3.1, 1.35])[:, 0]
        left, right = grids.subplots(1, 2)
        _grid(left, np.outer(uses, uses), border, frames, "input: windows that use each pixel")
        _grid(right, np.full((out, out), np.nan), None, [(at, at, 1, 1)], f"output: {out} × {out}")
        ends = (-0.56, len(uses) - 0.44)  # the same scale in both
        for ax in (left, right):
            ax.set(xlim=ends, ylim=ends[::-1])
        for row, (name, text) in enumerate(result["lines"]):
            below.text(0.02, 0.9 - 0.19 * row, name, va="center", fontweight="bold", fontsize=10)
            below.text(0.17, 0.9 - 0.19 * row, text, va="center", fontsize=10)
        return visualize.png(fig)


def _grid(ax: Axes, values: np.ndarray, muted: np.ndarray | None, frames: list, title: str) -> None:
    if len(values) <= READABLE:
        visualize.matrix(ax, values, title=title, muted=muted, highlight=frames)
        return
    ax.imshow(np.nan_to_num(values), cmap="Blues", vmin=0)
    ax.set_axis_off()
    ax.set_title(title)
    for top, left, height, width in [(0, 0, *values.shape), *frames]:
        color = colours.WINDOW if height < len(values) else colours.CELL_LINE
        ax.add_patch(Rectangle((left - 0.5, top - 0.5), width, height, fill=False, edgecolor=color, linewidth=2))
