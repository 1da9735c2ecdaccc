"""A first layer that gives every channel mean 0 and deviation 1, so that the statistics travel with the model."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn


class Normalise(nn.Module):
    """(x - mean) / std for each channel: (N, C, H, W) -> (N, C, H, W). Nothing in it is learned.

    mean, std: C numbers each, for pixels between 0 and 1. Put it first: `nn.Sequential(Normalise.of(images), model)`.
    After it black is no longer 0, so the zeros that a padded convolution adds look like the mean colour.
    """

    def __init__(self, mean: Sequence[float] | NDArray, std: Sequence[float] | NDArray) -> None:
        super().__init__()
        if len(mean) != len(std) or len(mean) == 0:
            raise ValueError(
                f"give one mean and one deviation per channel, got {len(mean)} means and {len(std)} deviations"
            )
        if not min(std) > 0:
            raise ValueError(f"every deviation must be above 0, got {list(std)}")
        self.mean: torch.Tensor
        self.std: torch.Tensor
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(name, torch.tensor([float(v) for v in values]).reshape(1, -1, 1, 1))

    @classmethod
    def of(cls, images: NDArray[np.uint8]) -> "Normalise":
        """With the statistics of uint8 images (N, C, H, W): of the training images, never of the test images."""
        if np.ndim(images) != 4:
            raise ValueError(f"images must have the four axes (N, C, H, W), got shape {np.shape(images)}")
        if len(images) == 0:
            raise ValueError("there must be at least one image to take the mean of")
        mean = images.mean(axis=(0, 2, 3)) / 255
        std = images.std(axis=(0, 2, 3)) / 255
        return cls(mean, np.where(std > 0, std, 1.0))  # a channel of one colour has nothing to scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x - self.mean) / self.std
