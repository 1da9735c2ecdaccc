"""Images that a tiny network learns in a second, and that network trained on them."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from cnn_course.train import TrainConfig, fit


@dataclass
class Data:
    images: np.ndarray
    labels: np.ndarray


def stripes(n: int, seed: int = 0) -> Data:
    """Horizontal (0) or vertical (1) stripes, 6x6, with noise."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    rows = np.where(np.arange(6)[:, None] % 2, 200, 50) * np.ones((6, 6))
    images = np.where(labels[:, None, None] == 0, rows, rows.T) + rng.normal(0, 20, (n, 6, 6))
    return Data(images.clip(0, 255).astype(np.uint8)[:, None], labels)


CPU = TrainConfig(epochs=3, batch_size=16, lr=0.01, device="cpu")


def net(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 2))


def trained(config: TrainConfig = CPU, seed: int = 0, **kwargs):
    model = net(seed)
    return model, fit(model, stripes(100), config, verbose=False, **kwargs)


IMAGES, LABELS = stripes(20).images, stripes(20).labels


def small_cnn() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2))


class Wide(nn.Module):
    """Takes pictures of any size, and gives something else than logits in `mode`."""

    def __init__(self, give=lambda logits: logits, training=None):
        super().__init__()
        self.net = small_cnn()
        self.give, self.when = give, training

    def forward(self, x):
        logits = self.net(x)
        return logits if self.when is not None and self.when != self.training else self.give(logits)
