"""A small training, for the tests that kill the process it runs in or run it in several.

python small_training.py FILE     trains; each process writes its losses and its weights to FILE followed by its rank
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from cnn_course.augment import Augment
from cnn_course.train import TrainConfig, fit


@dataclass
class Data:
    images: np.ndarray
    labels: np.ndarray


def bars(n: int, seed: int) -> Data:
    """12x12 images with noise and a bright row, whose place is the label."""
    rng = np.random.default_rng(seed)
    images, labels = rng.integers(0, 120, (n, 1, 12, 12)), rng.integers(0, 4, n)
    images[np.arange(n), 0, 3 * labels + 1] += 100
    return Data(images.astype(np.uint8), labels)


def lenet_like(*after: nn.Module) -> nn.Sequential:
    """Convolution, pooling, convolution, two linear layers; `after` stands behind the first convolution."""
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 3), *after, nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 3), nn.Tanh(), nn.Flatten()),
        *(nn.Linear(16 * 3 * 3, 32), nn.Tanh(), nn.Linear(32, 4)),
    )


def without_a_break(file: Path) -> None:
    """What must be equal in one process and in several. The last batch has one image: one of two processes has none."""
    torch.set_num_threads(1)
    model = lenet_like()
    config = TrainConfig(epochs=4, batch_size=32, lr=0.01, device="cpu", schedule="cosine")
    history = fit(model, bars(97, 0), config, val=bars(31, 1), verbose=False)
    write(file.with_name(file.name + os.environ.get("RANK", "")), model, history)


def with_a_checkpoint(file: Path, checkpoint: Path | None, epochs: int) -> None:
    """All that a resumed run must get right: dropout, augmentation, batch norm, the schedule, Adam's moments."""
    torch.set_num_threads(1)
    model = lenet_like(nn.BatchNorm2d(6), nn.Dropout(0.2))
    config = TrainConfig(
        *(epochs, 16, 0.01),
        device="cpu",
        schedule="one-cycle",
        patience=epochs,
        augment=Augment(crop=1, cutout=2),
    )
    history = fit(model, bars(48, 0), config, val=bars(16, 1), verbose=False, checkpoint=checkpoint)
    write(file, model, history)


def write(file: Path, model: nn.Module, history) -> None:
    names = ("epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr")
    columns = {name: history.column(name).tolist() for name in names}
    torch.save({"columns": columns, "weights": model.state_dict()}, file)


def same(one: dict, other: dict) -> bool:
    """To the last bit."""
    weights, others = one["weights"], other["weights"]
    return one["columns"] == other["columns"] and all(torch.equal(weights[name], others[name]) for name in weights)


if __name__ == "__main__":
    without_a_break(Path(sys.argv[1]))
