"""stack_builder(): put layers on each other and see, on a photograph, how far a unit of each layer sees."""

from __future__ import annotations  # traitlets 5.7 cannot be subscripted when the class is made

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import traitlets
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from cnn_course import images, stacks, visualize
from cnn_course.appearance import colours
from cnn_course.appearance.live import StaticFirst, module, styles
from cnn_course.appearance.pictures import eight_bit, quick_png
from cnn_course.arguments.integers import integer
from cnn_course.arguments.objects import one_of, sequence, text
from cnn_course.inspection.layer_table import Table

CHANNELS = 64
MOST_LAYERS = 24


def _conv(k: int, *, stride: int = 1, dilation: int = 1) -> stacks.Conv:
    """Padded so that every pixel is the middle of a window; the view can take the padding away."""
    return stacks.Conv(CHANNELS, k, stride=stride, padding=dilation * (k // 2), dilation=dilation)


# What can be added.
BLOCKS: dict[str, stacks.Conv | stacks.Pool] = {
    "conv 3×3": _conv(3),
    "conv 5×5": _conv(5),
    "conv 7×7": _conv(7),
    "conv 1×1": _conv(1),
    "conv 3×3, stride 2": _conv(3, stride=2),
    "conv 11×11, stride 4": _conv(11, stride=4),
    "conv 3×3, dilation 2": _conv(3, dilation=2),
    "conv 3×3, dilation 4": _conv(3, dilation=4),
    "conv 3×3, dilation 8": _conv(3, dilation=8),
    "max pool 2×2": stacks.Pool(2),
    "max pool 3×3, stride 2": stacks.Pool(3, stride=2),
}
_C, _P, _Q = "conv 3×3", "max pool 2×2", "max pool 3×3, stride 2"
STACKS = {
    "VGG-16, three blocks": [_C, _C, _P, _C, _C, _P, _C, _C, _C, _P],
    "VGG-16, all five blocks": [_C, _C, _P, _C, _C, _P] + [_C, _C, _C, _P] * 3,
    "AlexNet": ["conv 11×11, stride 4", _Q, "conv 5×5", _Q, _C, _C, _C, _Q],
    "three 3×3": [_C] * 3,
    "one 7×7": ["conv 7×7"],
    "twelve 3×3": [_C] * 12,
    "dilation 1, 2, 4, 8": [_C] + [f"conv 3×3, dilation {d}" for d in (2, 4, 8)],
    "four strides of 2": ["conv 3×3, stride 2"] * 4,
}


class StackBuilder(StaticFirst):
    """The stack builder. The browser sets `layers` (names of BLOCKS) and `padded`; Python answers with `rows`."""

    _esm = module(__file__)
    _css = styles(__file__)
    alt = traitlets.Unicode().tag(sync=True)
    photo = traitlets.Bytes().tag(sync=True)
    size = traitlets.Int().tag(sync=True)
    blocks = traitlets.List(list(BLOCKS)).tag(sync=True)
    presets = traitlets.Dict(STACKS).tag(sync=True)
    layers = traitlets.List(traitlets.Unicode()).tag(sync=True)
    padded = traitlets.Bool(True).tag(sync=True)
    rows: traitlets.List[Any] = traitlets.List().tag(sync=True)
    summary = traitlets.Unicode().tag(sync=True)
    error = traitlets.Unicode().tag(sync=True)

    def __init__(self, photograph: np.ndarray, **traits: object) -> None:
        super().__init__(photo=quick_png(eight_bit(photograph)), size=len(photograph), **traits)
        self._set(self._table())
        self.alt = f"{self.alt} {self.summary}"
        self._static = _static(photograph, self._table())
        self.observe(self._on_change, ["layers", "padded"])

    def static_bundle(self) -> tuple[dict, dict]:
        return visualize.picture_bundle(self._static, self.alt)

    def _table(self) -> Table:
        if len(self.layers) > MOST_LAYERS:
            raise ValueError(f"{len(self.layers)} layers: the table has room for {MOST_LAYERS}")
        unknown = next((name for name in self.layers if name not in BLOCKS), None)
        if unknown is not None:
            raise ValueError(f"layers: there is no layer {unknown!r}: choose from {', '.join(BLOCKS)}")
        layers = [BLOCKS[name] for name in self.layers]
        if not self.padded:
            layers = [dataclasses.replace(layer, padding=0) for layer in layers]
        return stacks.table(layers, (3, self.size, self.size))

    def _set(self, table: Table) -> None:
        self.rows = [
            {
                "name": name, "units": row.axes[0].size, "jump": row.jump, "field": row.field,
                "centre": float(row.centre), "parameters": row.parameters,
            }
            for name, row in zip(["input", *self.layers], table, strict=True)
        ]  # fmt: skip
        last = table[-1]
        units = last.axes[0].size
        neighbour = f"; its neighbour sees as much, {last.jump} px further" if units > 1 else ""
        self.summary = (
            f"One unit of the last layer sees {last.field} × {last.field} pixels{neighbour}. {units} × {units} "
            f"unit{'s' if units > 1 else ''}, {table.parameters:,} parameters with {CHANNELS} channels."
        )

    def _on_change(self, change: dict) -> None:
        with self.hold_sync():
            try:
                self._set(self._table())
                self.error = ""
            except ValueError as failure:  # What does not fit is taken back, and the view says why.
                setattr(self, change["name"], change["old"])
                self.error = str(failure)


def stack_builder(
    photograph: str = "chelsea", *, layers: Sequence[str] = STACKS["VGG-16, three blocks"], size: int = 224
) -> StackBuilder:
    """Add and remove layers; see the receptive field of a unit on a photograph, the jump, and the table.

    photograph: one of `images.PHOTOGRAPHS`, in grey, size x size pixels. layers: names of `BLOCKS`, to start with.
    Raises ValueError for an unknown photograph or layer, or a stack that does not fit into the size; TypeError for
    other kinds of values.
    """
    one_of("photograph", photograph, images.PHOTOGRAPHS)
    layers = [text(f"layers[{i}]", name) for i, name in enumerate(sequence("layers", layers, "a list of names"))]
    # The picture is stored in the notebook, and no network of the course sees more.
    size = integer("size", size, least=1, most=1024)
    picture = images.photograph(photograph, size=size, gray=True)
    what = f"The photograph {photograph} with the receptive field of one unit and of its neighbour."
    try:
        return StackBuilder(picture, layers=layers, alt=what)
    except ValueError as error:
        raise ValueError(f"stack_builder: layers do not fit size {size}: {error}") from None


def _static(picture: np.ndarray, table: Table) -> bytes:
    last, jump = table[-1].axes[0], table[-1].jump
    with visualize.style():
        fig = Figure(figsize=(7.0, max(2.5, 0.18 * len(table) + 0.9)))
        left, right = fig.subplots(1, 2, width_ratios=[1, 1.6])
        # A still picture needs few greys, and a notebook stays small.
        visualize.image(left, np.round(picture * 11) / 11, f"field {last.field}, jump {jump} px")
        middle = last.left + (last.size // 2) * jump
        for step, colour, dashes in ((1, colours.NEIGHBOUR, "--"), (0, colours.WINDOW, "-")):
            corner = (middle + step * jump - 0.5, middle - 0.5)
            style: dict[str, Any] = {"edgecolor": colour, "linestyle": dashes, "linewidth": 2}
            left.add_patch(Rectangle(corner, last.field, last.field, facecolor="none", **style))
        lines = [["layer", "units", "jump", "field"]] + [
            [row.layer.split(", 64")[0], str(row.axes[0].size), str(row.jump), str(row.field)] for row in table
        ]
        for column, (x, side) in enumerate([(0, "left"), (0.6, "right"), (0.78, "right"), (0.96, "right")]):
            for line, cells in enumerate(lines):
                weight, y = "normal" if line else "bold", 1 - (line + 0.5) / len(lines)
                right.text(x, y, cells[column], ha=side, va="center", fontsize=9, fontweight=weight)
        right.set_axis_off()
        return visualize.png(fig)
