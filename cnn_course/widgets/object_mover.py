"""object_mover(image, predictors, classes): drag an object over the picture and watch what each model says."""

from __future__ import annotations  # traitlets 5.7 cannot be subscripted when the class is made

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import traitlets
from matplotlib.figure import Figure

from cnn_course import images, visualize
from cnn_course.appearance.live import StaticFirst, module
from cnn_course.appearance.pictures import eight_bit, quick_png
from cnn_course.arguments.arrays import array
from cnn_course.arguments.floats import finite
from cnn_course.arguments.integers import integer
from cnn_course.arguments.objects import function, sequence, text
from cnn_course.arguments.shown import brief, shown

ROUNDING = 1e-3  # of half precision


class ObjectMover(StaticFirst):
    """The object mover. Setting `shift` to [dy, dx] (what the browser does) asks every model and sets `scores`."""

    _esm = module(__file__)
    alt = traitlets.Unicode().tag(sync=True)
    classes: traitlets.List[Any] = traitlets.List().tag(sync=True)
    true_class = traitlets.Int(None, allow_none=True).tag(sync=True)
    max_shift = traitlets.Int().tag(sync=True)
    size: traitlets.List[Any] = traitlets.List().tag(sync=True)
    shift = traitlets.List(traitlets.Int(), [0, 0]).tag(sync=True)
    unmoved = traitlets.Bytes().tag(sync=True)
    background = traitlets.Unicode().tag(sync=True)
    picture = traitlets.Bytes().tag(sync=True)
    seen = traitlets.List(traitlets.Int(), [0, 0]).tag(sync=True)
    scores: traitlets.List[Any] = traitlets.List().tag(sync=True)
    error = traitlets.Unicode().tag(sync=True)

    def __init__(self, image: np.ndarray, predictors: Mapping, fill: float, **traits: object) -> None:
        self._image, self._predictors, self._fill = image, dict(predictors), fill
        super().__init__(size=list(image.shape[-2:]), **traits)
        self.picture, self.scores = self._ask([0, 0])
        self.unmoved = self.picture
        level = int(eight_bit(np.full(1, fill, image.dtype))[0])
        self.background = f"rgb({level} {level} {level})"
        self._static = _static(self)
        self.observe(self._on_shift, "shift")

    def static_bundle(self) -> tuple[dict, dict]:
        return visualize.picture_bundle(self._static, self.alt)

    def _ask(self, shift: Sequence[int]) -> tuple[bytes, list]:
        if len(shift) != 2 or max(abs(s) for s in shift) > self.max_shift:
            raise ValueError(f"shift is {list(shift)}, but it must be two numbers of at most {self.max_shift}")
        moved = images.shift(self._image, *shift, fill=self._fill)
        scores = []
        for name, predict in self._predictors.items():
            row = array(f"what predictors[{name!r}] gives", predict(moved))
            wrong = row.shape != (1, len(self.classes)) or not np.isfinite(row).all()
            if wrong or row.min() < -ROUNDING or row.max() > 1 + ROUNDING:
                raise ValueError(
                    f"predictors: {name!r} gave an array of shape {row.shape}, but for one image and "
                    f"{len(self.classes)} classes it must give finite probabilities of shape (1, {len(self.classes)}), "
                    f"from 0 to 1, not {brief(row.tolist())}"
                )
            best = int(row[0].argmax())
            of = best if self.true_class is None else self.true_class
            scores.append(
                {
                    "name": name,
                    "probability": float(row[0, of]),
                    "top": self.classes[best],
                    "top_probability": float(row[0, best]),
                    "right": None if self.true_class is None else best == self.true_class,
                }
            )
        return quick_png(images.to_hwc(eight_bit(moved))), scores

    def _on_shift(self, change: dict) -> None:
        with self.hold_sync():
            try:
                self.picture, self.scores = self._ask(change["new"])
                self.seen, self.error = change["new"], ""
            except Exception as failure:  # A model that fails once must not end the view.
                self.error = f"{type(failure).__name__}: {failure}"


def object_mover(
    image: np.ndarray,
    predictors: Mapping[str, Callable[[np.ndarray], np.ndarray]],
    classes: Sequence[str],
    *,
    true_class: int | str | None = None,
    max_shift: int | None = None,
    fill: float = 0.0,
) -> ObjectMover:
    """Drag an object over the canvas; every model is asked about every position.

    image: (C, H, W) or (1, C, H, W), C 1 or 3; uint8, or floats from 0 to 1. It goes to the models as it is, shifted
    by `images.shift` with `fill` where nothing is left.
    predictors: from a model's name to a function from images (N, C, H, W) to probabilities (N, K).
    classes: the K class names. true_class: the right one, by name or index; bars then show its probability, else
    the probability of the model's own answer. max_shift: in pixels, by default half the smaller side.
    Raises ValueError if a shape, a class or a predictor's answer does not fit, TypeError for other kinds of values.
    """
    image = array("image", image)
    if image.ndim == 3:
        image = image[None]
    if image.ndim != 4 or len(image) != 1 or image.shape[1] not in (1, 3) or not image.size:
        raise ValueError(
            f"object_mover: image has shape {image.shape}, but (C, H, W) or (1, C, H, W) is needed, C 1 or 3"
        )
    if image.dtype.kind not in "bf" and image.dtype != np.uint8:
        raise TypeError(f"object_mover: image must be uint8 (0 to 255) or floats from 0 to 1, not {image.dtype}")
    if not np.isfinite(image).all():
        raise ValueError("object_mover: image must hold finite numbers, but it holds NaN or infinity")
    classes = [str(name) for name in sequence("classes", classes, "a list of names")]
    if not classes:
        raise ValueError("object_mover: classes is empty: give at least one name")
    if not isinstance(predictors, Mapping):
        raise TypeError(f"predictors must be a dict from a model's name to a function, not {shown(predictors)}")
    if not predictors:
        raise ValueError("object_mover: there are no predictors: give at least one model")
    for name, predict in predictors.items():
        text("each name in predictors", name)
        function(f"predictors[{name!r}]", predict)
    if isinstance(true_class, str):
        if true_class not in classes:
            raise ValueError(f"object_mover: true_class {true_class!r} is not one of the classes {classes}")
        true_class = classes.index(true_class)
    if true_class is not None:
        true_class = integer("true_class", true_class)
        if not 0 <= true_class < len(classes):
            raise ValueError(
                f"object_mover: true_class is {brief(true_class)}, but there are {len(classes)} classes from 0"
            )
    # A shift by the longer side leaves nothing of the object.
    most = max(image.shape[-2:])
    max_shift = max(1, min(image.shape[-2:]) // 2) if max_shift is None else max_shift
    max_shift = integer("max_shift", max_shift, least=1, most=most)
    finite("fill", fill)
    what = "its own answer" if true_class is None else f"the true class, {classes[true_class]}"
    alt = f"An object that can be moved, and for each of {', '.join(predictors)} the probability of {what}."
    return ObjectMover(
        image, predictors, fill, classes=classes, alt=alt, max_shift=max_shift, true_class=true_class,
    )  # fmt: skip


def _static(view: ObjectMover) -> bytes:
    height = max(2.6, 0.55 * len(view.scores) + 1.2)
    with visualize.style():
        fig = Figure(figsize=(8.6, height))
        left, right = fig.subplots(1, 2, width_ratios=[1, 1.6])
        visualize.image(left, images.to_hwc(eight_bit(view._image)), "the object, where it was")
        rows = {}
        for score in view.scores:
            verdict = f"says {score['top']}"
            rows[f"{score['name']}\n{verdict}"] = np.array([score["probability"]])
        title = "probability of its own answer" if view.true_class is None else (
            f"probability of the true class: {view.classes[view.true_class]}"
        )  # fmt: skip
        visualize.bars(right, rows, title=title)
        right.set_xlim(0, 1.15)
        right.set_xticks([0, 0.25, 0.5, 0.75, 1])
        return visualize.png(fig)
