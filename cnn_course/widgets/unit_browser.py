"""unit_browser(model, layers, images): click a unit and see what excites it. All pictures are made beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import traitlets
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from cnn_course import visualize
from cnn_course.appearance import colours
from cnn_course.appearance.live import StaticFirst, module
from cnn_course.appearance.pictures import quick_png
from cnn_course.arguments.integers import integer
from cnn_course.arguments.objects import sequence, text
from cnn_course.arguments.shown import brief, shown
from cnn_course.images import to_hwc

if TYPE_CHECKING:
    from torch import nn

COLUMNS = 16  # of the pictures that the browser cuts its tiles from
PER_ROW = 8  # units side by side, here and in the browser
MOST = 64  # units of a layer that are shown
MOST_STEPS = 10_000  # of all units at once: a minute or more for each layer


class UnitBrowser(StaticFirst):
    """The unit browser. layers: for each layer its name, its `units` and its sprite; the browser does the rest."""

    _esm = module(__file__)
    alt = traitlets.Unicode().tag(sync=True)
    size: traitlets.List[Any] = traitlets.List().tag(sync=True)
    columns = traitlets.Int(COLUMNS).tag(sync=True)
    per_row = traitlets.Int(PER_ROW).tag(sync=True)
    layers: traitlets.List[Any] = traitlets.List().tag(sync=True)
    sprites = traitlets.List(traitlets.Bytes()).tag(sync=True)  # maximised images, one sprite for each layer
    pool = traitlets.Bytes().tag(sync=True)  # every image that excites some unit, once
    chosen = traitlets.List(traitlets.Int(), [0, 0]).tag(sync=True)

    def __init__(self, shown: dict[str, NDArray], **traits: Any) -> None:
        self._static = _static(shown, traits["layers"], traits["chosen"])
        super().__init__(**traits)

    def static_bundle(self) -> tuple[dict, dict]:
        return visualize.picture_bundle(self._static, self.alt)


def unit_browser(
    model: nn.Module,
    layers: Sequence[str],
    images: NDArray[np.uint8],
    *,
    k: int = 6,
    steps: int = 48,
    start: tuple[str, int] | None = None,
) -> UnitBrowser:
    """Click a unit of one of `layers`: the image that was made to excite it, and the k images that excite it most.

    images: uint8 (N, C, H, W), C 1 or 3, to choose from; of a layer the first 64 channels are shown. steps: of
    `interpret.maximise`. start: (layer, channel) shown first, by default the first channel of the last layer.
    Raises ValueError as `interpret.top_images` does, and for a start that is not shown; TypeError for other images and
    for what is no module, no name and no whole number.
    """
    from cnn_course import interpret  # here, because the other views need no torch

    layers = [text(f"layers[{i}]", name) for i, name in enumerate(sequence("layers", layers, "a list of names"))]
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8:
        raise TypeError(f"unit_browser: images must be a NumPy array of uint8, not {shown(images)}")
    if images.ndim != 4 or images.shape[1] not in (1, 3) or not images.size or not layers:
        raise ValueError(
            f"unit_browser: give layers one name or more, and images (N, C, H, W) with C 1 or 3; got {brief(layers)} "
            f"and {images.shape}"
        )
    k, steps = integer("k", k, least=1), integer("steps", steps, least=0, most=MOST_STEPS)
    given = interpret.activations(model, images[:1], layers)
    for name in layers:
        if given[name].ndim < 2:
            raise ValueError(f"layers: {name!r} gives the shape {tuple(given[name].shape)}, which has no channels")
    counts = {name: min(MOST, given[name].shape[1]) for name in layers}
    chosen = (layers[-1], 0) if start is None else sequence("start", start, "a pair (layer, channel)")
    shown_first = len(chosen) == 2 and isinstance(chosen[0], str) and chosen[0] in counts
    if not shown_first or not 0 <= integer("start[1]", chosen[1]) < counts[chosen[0]]:
        raise ValueError(f"unit_browser: start is {brief(start)}, but the layers and their units are {counts}")
    name, unit = chosen

    listed, best = [], []
    used: dict[int, int] = {}  # the number of an image in `images` -> in the pool
    for layer, count in counts.items():
        made = interpret.maximise(model, layer, list(range(count)), images.shape[1:], peak=True, steps=steps)
        best.append((made.float().cpu().numpy() * 255).round().astype(np.uint8))
        top = interpret.top_images(model, layer, list(range(count)), images, k)
        units = []
        for values, index, boxes in zip(top.values.tolist(), top.index.tolist(), top.boxes.tolist(), strict=True):
            places = [used.setdefault(i, len(used)) for i in index]
            rows = zip(places, values, boxes, strict=True)
            units.append([{"image": i, "value": round(v, 3), "box": box} for i, v, box in rows])
        listed.append({"name": layer, "units": units})
    at = [list(counts).index(name), unit]
    pool = images[list(used)]
    alt = (
        f"The {counts[name]} units of {name}, each with the image that was made to excite it; for unit {unit} the {k} "
        "images that excite it most, with a frame around the part that it sees, and these parts enlarged."
    )
    return UnitBrowser(
        {"best": best[at[0]], "pool": pool},
        alt=alt, size=list(images.shape[2:]), layers=listed, sprites=[_sprite(x) for x in best],
        pool=_sprite(pool), chosen=at,
    )  # fmt: skip


def _sprite(tiles: NDArray) -> bytes:
    """Tiles (N, C, H, W) side by side, COLUMNS in a row, as PNG."""
    n, channels, height, width = tiles.shape
    rows = -(-n // COLUMNS)
    canvas = np.zeros((rows * COLUMNS, channels, height, width), np.uint8)
    canvas[:n] = tiles
    grid = canvas.reshape(rows, COLUMNS, channels, height, width).transpose(2, 0, 3, 1, 4)
    return quick_png(to_hwc(grid.reshape(channels, rows * height, COLUMNS * width)))


def _static(shown: dict[str, NDArray], layers: list, chosen: Sequence[int]) -> bytes:
    layer, unit = layers[chosen[0]], chosen[1]
    top, best, pool = layer["units"][unit], shown["best"], shown["pool"]
    with visualize.style():
        fig = Figure(figsize=(6.4, 2.1))
        left, right = fig.subfigures(1, 2, squeeze=False, width_ratios=[1.25, 2])[0]
        ax = left.subplots()
        visualize.image_grid(ax, best, columns=PER_ROW, title=f"{layer['name']}: {len(best)} units")
        height, width = best.shape[2:]
        step = [n + max(1, width // 10) for n in (height, width)]
        corner = (unit % PER_ROW * step[1] - 1, unit // PER_ROW * step[0] - 1)
        ax.add_patch(Rectangle(corner, width + 1, height + 1, fill=False, edgecolor=colours.WINDOW, linewidth=2.5))
        axes = right.subplots(2, len(top), squeeze=False)
        for column, entry in enumerate(top):
            image = to_hwc(pool[entry["image"]])
            y, x, h, w = entry["box"]
            visualize.image(axes[0, column], image)
            frame = Rectangle((x - 0.5, y - 0.5), w, h, fill=False, edgecolor=colours.WINDOW, linewidth=2)
            axes[0, column].add_patch(frame)
            axes[0, column].set_title(f"{entry['value']:.1f}", fontsize=9)
            visualize.image(axes[1, column], image[max(0, y) : y + h, max(0, x) : x + w])
        right.suptitle(f"unit {unit}: what excites it most")
        return visualize.png(fig)
