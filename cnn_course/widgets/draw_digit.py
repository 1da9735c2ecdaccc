"""draw_digit(models, examples): draw a digit and see what every layer of a network makes of it."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import traitlets
from matplotlib.figure import Figure

from cnn_course import visualize
from cnn_course.appearance.live import StaticFirst, module, styles
from cnn_course.arguments.arrays import array
from cnn_course.arguments.integers import integer
from cnn_course.arguments.objects import function, sequence, text
from cnn_course.arguments.shown import brief, shown
from cnn_course.data_sources.strokes import SIDE, like_mnist

ROUNDING = 1e-3  # of half precision
WIDEST = 540  # screen pixels for one row of maps

Model = Callable[[np.ndarray], tuple[Mapping[str, np.ndarray], np.ndarray]]


class DrawDigit(StaticFirst):
    """The drawing view. The browser sets `shown` to {model, example, strokes}; `answer` is what comes back.

    example: which of the examples the network sees, counted from 0; -1 for the strokes, see `strokes.like_mnist`.
    """

    _esm = module(__file__)
    _css = styles(__file__)
    alt = traitlets.Unicode().tag(sync=True)
    models = traitlets.List(traitlets.Unicode()).tag(sync=True)
    classes = traitlets.List(traitlets.Unicode()).tag(sync=True)
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    shown = traitlets.Dict().tag(sync=True)
    answer = traitlets.Dict().tag(sync=True)
    error = traitlets.Unicode().tag(sync=True)

    def __init__(self, respond: Mapping[str, Model], examples: np.ndarray, **traits: object) -> None:
        self._respond, self._examples = dict(respond), examples
        super().__init__(**traits)
        self.answer = self._ask(**self.shown)
        self._static = _static(self)
        self.observe(self._on_shown, "shown")

    def static_bundle(self) -> tuple[dict, dict]:
        return visualize.picture_bundle(self._static, self.alt)

    def _ask(self, model: str, example: int, strokes: Sequence) -> dict:
        if model not in self._respond:
            raise ValueError(f"there is no model {model!r}: choose from {', '.join(self._respond)}")
        if not -1 <= example < len(self._examples):
            raise ValueError(f"example is {example}, but there are {len(self._examples)}, counted from 0")
        image = self._examples[example] if example >= 0 else like_mnist(strokes)
        answer = self._respond[model](image[None, None])
        if not (isinstance(answer, tuple | list) and len(answer) == 2 and isinstance(answer[0], Mapping)):
            raise TypeError(f"models[{model!r}] must give ({{stage: values}}, probabilities), not {shown(answer)}")
        stages, probabilities = answer[0], array(f"what models[{model!r}] gives", answer[1]).astype(float).ravel()
        wrong = len(probabilities) != len(self.classes) or not np.isfinite(probabilities).all()
        if wrong or probabilities.min() < -ROUNDING or probabilities.max() > 1 + ROUNDING:
            raise ValueError(
                f"models[{model!r}] gave {brief(probabilities)}, but {len(self.classes)} probabilities are needed, one "
                "from 0 to 1 for each of classes"
            )
        if not stages:
            raise ValueError(f"models[{model!r}] gave no stage: there must be at least one, such as the image")
        best = int(probabilities.argmax())
        said = f"It says {self.classes[best]} ({100 * probabilities[best]:.0f} %)."
        empty = "" if image.any() else "Nothing is drawn, and the network answers all the same. "
        return {
            "seen": image.tobytes(),
            "stages": [
                _stage(str(name), array(f"models[{model!r}]: {name}", values)) for name, values in stages.items()
            ],
            "probabilities": probabilities.tolist(),
            "best": best,
            "summary": empty + said,
        }

    def _on_shown(self, change: dict) -> None:
        try:
            answer, error = self._ask(**change["new"]), ""
        except Exception as failure:  # The next stroke must still work, whatever a model does.
            answer, error = self.answer, f"{type(failure).__name__}: {failure}"
        with self.hold_sync():
            self.answer, self.error = answer, error


def draw_digit(
    models: Mapping[str, Model],
    examples: np.ndarray,
    *,
    names: Sequence[str] | None = None,
    classes: str | Sequence[str] = "0123456789",
    start: int = 0,
) -> DrawDigit:
    """Draw a digit with mouse, pen or finger; see the maps of every layer and the probabilities.

    models: from a name to a function that gets one image (1, 1, 28, 28) uint8 and gives ({stage: maps (C, H, W) or
    values (D,)}, probabilities (K,)). The first is asked first.
    examples: (E, 28, 28) or (E, 1, 28, 28) uint8, one button each, labelled by `names` (0, 1, ...); `start` is shown
    at first and is the stored picture. classes: the K names, or a text of K letters. What is drawn is prepared as MNIST
    was, see `like_mnist`.
    Raises ValueError if there is no model or example, or a shape does not fit; TypeError if examples are not uint8, and
    for what is no function, no text and no number.
    """
    examples = array("examples", examples)
    if examples.dtype != np.uint8:
        raise TypeError(f"draw_digit: examples must be uint8 (0 to 255), not {examples.dtype}")
    if len(examples.shape) < 3 or len(examples) == 0 or examples.shape[1:] not in ((SIDE, SIDE), (1, SIDE, SIDE)):
        raise ValueError(f"draw_digit: examples must be (E, 28, 28), E at least 1, not {examples.shape}")
    if not isinstance(models, Mapping):
        raise TypeError(f"models must be a dict from a name to a function, not {shown(models)}")
    if not models:
        raise ValueError("draw_digit: there are no models: give at least one")
    for name, model in models.items():
        text("each name in models", name)
        function(f"models[{name!r}]", model)
    listed = range(len(examples)) if names is None else sequence("names", names)
    names = [str(name) for name in listed]
    start = integer("start", start)
    if len(names) != len(examples) or not 0 <= start < len(examples):
        raise ValueError(f"draw_digit: {len(examples)} examples, but {len(names)} names and start={brief(start)}")
    classes = list(classes) if isinstance(classes, str) else sequence("classes", classes)
    first = next(iter(models))
    alt = f"The example {names[start]}, the maps of every layer of {first}, and its {len(classes)} probabilities."
    question = {"model": first, "example": start, "strokes": []}
    return DrawDigit(
        models, examples.reshape(-1, SIDE, SIDE), shown=question, models=list(models), names=names,
        classes=[str(name) for name in classes], alt=alt,
    )  # fmt: skip


def _stage(name: str, values: np.ndarray) -> dict:
    """The maps side by side, or the values in rows, as grey: black is 0, or mid grey where some are below 0.

    tile: the columns of one map, after which one is left white; the browser puts maps into the next row at need.
    """
    if values.ndim not in (1, 3) or not values.size or not np.isfinite(values).all():
        raise ValueError(f"{name} has shape {values.shape}, but finite values (C, H, W) or (D,) are needed")
    low, high = float(values.min()), float(values.max())
    limit = max(abs(low), abs(high)) or 1.0
    grey = np.round(255 * (values / (2 * limit) + 0.5 if low < 0 else values / limit)).astype(np.uint8)
    if values.ndim == 1:
        rows = -(-len(values) // 60)
        flat = np.full(rows * -(-len(values) // rows), 255, np.uint8)
        flat[: len(values)] = grey
        tiles, what, tile = flat.reshape(rows, -1), f"{len(values)} values", flat.size // rows
    else:
        count, height, width = values.shape
        tiles = np.full((height, count * (width + 1) - 1), 255, np.uint8)
        for i, tile in enumerate(grey):
            tiles[:, i * (width + 1) : i * (width + 1) + width] = tile
        what, tile = f"{f'{count} maps' if count > 1 else 'one map'} of {height} × {width}", width
    zero = "mid grey is 0" if low < 0 else "black is 0"
    scale = max(1, min(9, WIDEST // tiles.shape[1]))
    span = f"{visualize.written(low, '.2f')} to {visualize.written(high, '.2f')}, {zero}"
    return {
        "name": name, "what": what, "range": span,
        "rows": tiles.shape[0], "columns": tiles.shape[1], "tile": tile, "scale": scale, "pixels": tiles.tobytes(),
    }  # fmt: skip


def _static(view: DrawDigit) -> bytes:
    stages = view.answer["stages"]
    heights = [max(stage["rows"] * stage["scale"], 26) for stage in stages]
    with visualize.style():
        fig = Figure(figsize=(8.4, 1.2 + sum(heights) / 95 + 0.12 * len(stages)))
        left, right = fig.subfigures(1, 2, squeeze=False, width_ratios=[1, 2.6])[0]
        top, bottom = left.subplots(2, 1, height_ratios=[1, 1.25])
        visualize.image(top, np.frombuffer(view.answer["seen"], np.uint8).reshape(SIDE, SIDE))
        top.set_title("the network sees", fontsize=10)
        bottom.barh(range(len(view.classes)), view.answer["probabilities"])
        bottom.set_yticks(range(len(view.classes)), view.classes, fontsize=8)
        bottom.set(xlim=(0, 1), xlabel="probability")
        bottom.set_title(view.answer["summary"], fontsize=10)
        bottom.invert_yaxis()
        axes = np.atleast_1d(right.subplots(len(stages), 1, height_ratios=heights))
        for ax, stage in zip(axes, stages, strict=True):
            tiles = np.frombuffer(stage["pixels"], np.uint8).reshape(stage["rows"], stage["columns"])
            visualize.image(ax, tiles)
            ax.set_title(f"{stage['name']}: {stage['what']}", fontsize=9, loc="left")
            ax.set_anchor("W")
        return visualize.png(fig)
