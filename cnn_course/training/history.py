"""What happened in a training: one `Epoch` for every pass over the data, collected in a `History` that plots itself."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cnn_course.arguments.floats import is_number
from cnn_course.arguments.integers import integer
from cnn_course.arguments.objects import instance, one_of, text
from cnn_course.arguments.shown import shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CURVES: dict[str, tuple[str, str | None, str]] = {
    "loss": ("train_loss", "val_loss", "cross-entropy"),
    "accuracy": ("train_accuracy", "val_accuracy", "share of right answers"),
    "error": ("train_accuracy", "val_accuracy", "wrong answers in %"),
    "lr": ("lr", None, "learning rate"),
}


@dataclass(frozen=True)
class Epoch:
    """One row of a History.

    train_loss: what was minimised, so label smoothing and auxiliary heads count. It and train_accuracy are means over
    the epoch, taken on the augmented images while the weights changed. val_loss, val_accuracy: of the weights at the
    end of the epoch, without smoothing; None where there was no validation data.
    lr: of the last step. seconds: of the epoch with its validation. Raises TypeError for what is no number.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    val_loss: float | None
    val_accuracy: float | None
    lr: float
    seconds: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "epoch", integer("epoch", self.epoch))
        for each in fields(self)[1:]:
            value = getattr(self, each.name)
            if not is_number(value) and (value is not None or not each.name.startswith("val_")):
                raise TypeError(f"{each.name} must be a number, not {shown(value)}")

    def __str__(self) -> str:
        val = ""
        if self.val_accuracy is not None:
            val = f", val loss {self.val_loss:.3f}, val accuracy {self.val_accuracy:.3f}"
        return (
            f"epoch {self.epoch}: train loss {self.train_loss:.3f}, "
            f"train accuracy {self.train_accuracy:.3f}{val} ({self.seconds:.1f} s)"
        )


@dataclass
class History:
    """What happened in a training.

    interrupted: it was stopped early by hand (Ctrl-C, or the notebook's stop button).
    restored: the epoch whose weights the model has, where `patience` went back to the best one; else None.
    precision: what the forward passes of training computed in: "float32", or with amp "bfloat16" or "float16".
    """

    epochs: list[Epoch] = field(default_factory=list)
    interrupted: bool = False
    device: str = "cpu"
    restored: int | None = None
    precision: str = "float32"

    def column(self, name: str) -> NDArray[np.float64]:
        """One figure for every epoch, e.g. column("train_loss") -> (epochs,) float64; NaN where there was none.

        Raises TypeError or ValueError, with the names of all columns, for another name.
        """
        one_of("name", name, [each.name for each in fields(Epoch)])
        rows = [instance(f"epochs[{i}]", row, Epoch, "an Epoch") for i, row in enumerate(self.epochs)]
        return np.array([getattr(row, name) for row in rows], dtype=float)

    def best(self) -> int | None:
        """Index in `epochs` of the first row with the highest val accuracy; None where there is no such row."""
        scores = self.column("val_accuracy")
        return None if np.isnan(scores).all() else int(np.nanargmax(scores))

    def plot(self, ax: Axes | None = None, what: str = "loss", *, label: str = "", title: str | None = None) -> Axes:
        """Draw training (line) and validation (dashed, the same colour) against the epoch; returns the axes.

        ax: where to draw; by default a new figure. what: "loss", "accuracy", "error" (in percent) or "lr".
        label: of the run in the legend, for several runs in one axes.
        Raises TypeError or ValueError for another `what`, for axes or texts that are none, and where no epoch was
        finished.
        """
        one_of("what", what, CURVES)
        text("label", label)
        if title is not None:
            text("title", title)
        if ax is not None and not hasattr(ax, "plot"):
            raise TypeError(f"ax must be axes of matplotlib, as plt.subplots() gives them, not {shown(ax)}")
        if not self.epochs:
            raise ValueError("there is nothing to plot: no epoch was finished")
        if ax is None:
            import matplotlib.pyplot as plt

            ax = plt.subplots()[1]
        train, val, ylabel = CURVES[what]
        epochs, color = self.column("epoch"), None
        for name, dash, part in ((train, "-", "train"), (val, "--", "val")):
            values = np.array([]) if name is None else self.column(name)
            if np.isnan(values).all():
                continue
            values = 100 * (1 - values) if what == "error" else values
            # A single epoch is a point, which a line alone would not show.
            marker = "o" if len(epochs) == 1 else None
            said = label if what == "lr" else f"{label} {part}".strip()
            (line,) = ax.plot(epochs, values, dash, color=color, marker=marker, label=said)
            color = line.get_color()
        ax.set(xlabel="epoch", ylabel=ylabel)
        ax.locator_params(axis="x", integer=True)
        if title:
            ax.set_title(title)
        if any(str(line.get_label())[:1] not in ("", "_") for line in ax.lines):
            ax.legend()
        return ax
