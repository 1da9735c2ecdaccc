"""training_monitor(epochs): the curves of a training that is still running, one more point after every epoch."""

from __future__ import annotations  # traitlets 5.7 cannot be subscripted when the class is made

import math
from typing import Any

import traitlets
from IPython.display import DisplayHandle, display
from matplotlib.figure import Figure

from cnn_course import visualize
from cnn_course.appearance.live import StaticFirst, module
from cnn_course.arguments.integers import integer
from cnn_course.arguments.objects import text
from cnn_course.arguments.shown import shown
from cnn_course.training.history import Epoch, History

MOST_EPOCHS = 1_000_000  # points on one axis; every epoch sends all of them to the browser


class TrainingMonitor(StaticFirst):
    """The curves so far. Calling it with an `Epoch` adds a point; the browser draws, also while the kernel trains."""

    _esm = module(__file__)
    title = traitlets.Unicode().tag(sync=True)
    alt = traitlets.Unicode().tag(sync=True)
    epochs = traitlets.Int().tag(sync=True)
    rows: traitlets.List[Any] = traitlets.List().tag(sync=True)
    over = traitlets.Bool(False).tag(sync=True)

    def __init__(self, **traits: object) -> None:
        super().__init__(**traits)
        self.history = History()
        self._static = self._draw()
        self._shown: DisplayHandle | None = None

    def __enter__(self) -> TrainingMonitor:
        """Show the view, still empty, so that the points arrive in it."""
        self._shown = display(self, display_id=True)
        return self

    def __exit__(self, *exception: object) -> None:
        """The training is over, or was stopped: keep the curves as a picture."""
        self.over = True
        self._static = self._draw()
        if self._shown is not None and self.history.epochs:
            self._shown.update(self)
        self._shown = None

    def __call__(self, epoch: Epoch) -> None:
        """Add one row; `train.fit(..., on_epoch=monitor)` calls it. Raises TypeError for anything but an Epoch."""
        if not isinstance(epoch, Epoch):
            raise TypeError(f"training_monitor: give it the rows of a History, one Epoch at a time, not {shown(epoch)}")
        self.history.epochs.append(epoch)
        self.over = False
        values = {name: getattr(epoch, name) for name in Epoch.__dataclass_fields__}
        # JSON has no NaN; a loss that is not finite leaves a gap in its curve.
        row = {name: v if v is not None and math.isfinite(v) else None for name, v in values.items()}
        self.rows = [*self.rows, row]

    def static_bundle(self) -> tuple[dict, dict]:
        return visualize.picture_bundle(self._static, self.alt)

    def _draw(self) -> bytes:
        with visualize.style():
            fig = Figure(figsize=(6.6, 2.4))
            for ax, what in zip(fig.subplots(1, 2), ("loss", "accuracy"), strict=True):
                if self.history.epochs:
                    self.history.plot(ax, what)
                ax.set(title=what, xlabel="epoch", xlim=(1, max(self.epochs, len(self.history.epochs), 2)))
            if self.title:
                fig.suptitle(self.title)
            return visualize.png(fig)


def training_monitor(epochs: int, *, title: str = "", alt: str = "") -> TrainingMonitor:
    """Curves of loss and accuracy that grow while a training runs; after it, and without a browser, a picture.

        with widgets.training_monitor(epochs=10) as monitor:
            train.fit(net, data.train, config, val=data.val, verbose=False, on_epoch=monitor)

    epochs: how many there will be, for the axis and the remaining time. alt: says in words what the curves show at the
    end; it is stored with the picture, so it must be the same on every run.
    Leaving the `with` block, also by an exception, puts the curves so far in the place of the empty view.
    Raises ValueError for a number of epochs below 1 or above a million, TypeError for other kinds of values.
    """
    epochs = integer("epochs", epochs, least=1, most=MOST_EPOCHS)
    text("title", title)
    text("alt", alt)
    alt = alt or f"Curves of a training{f', {title}' if title else ''}: loss and accuracy against the epoch."
    return TrainingMonitor(title=title, alt=alt, epochs=epochs)
