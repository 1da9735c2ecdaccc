"""A first layer that gives every channel mean 0 and deviation 1, so that the statistics travel with the model."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cnn_course.arguments.arrays import with_axes
from cnn_course.arguments.floats import finite
from cnn_course.arguments.objects import sequence

MOST, LEAST = 1e30, 1e-30  # beyond, float32 knows only infinity and 0


class Normalise(nn.Module):
    """(x - mean) / std for each channel: (N, C, H, W) -> (N, C, H, W). Nothing in it is learned.

    mean, std: C numbers each, for pixels between 0 and 1. Put it first: `nn.Sequential(Normalise.of(images), model)`.
    After it black is no longer 0, so the zeros that a padded convolution adds look like the mean colour.
    Raises TypeError or ValueError for what are not as many finite means as deviations above 0, and ValueError, when it
    is called, for images with another number of channels than several means, TypeError for images that are no floats.
    """

    def __init__(self, mean: Sequence[float] | NDArray, std: Sequence[float] | NDArray) -> None:
        super().__init__()
        means = [finite(f"mean[{i}]", m, least=-MOST, most=MOST) for i, m in enumerate(sequence("mean", mean))]
        deviations = [finite(f"std[{i}]", s, least=LEAST, most=MOST) for i, s in enumerate(sequence("std", std))]
        if len(means) != len(deviations) or not means:
            raise ValueError(
                "mean and std must hold one number for each channel, "
                f"got {len(means)} means and {len(deviations)} deviations"
            )
        self.mean: torch.Tensor
        self.std: torch.Tensor
        for name, values in (("mean", means), ("std", deviations)):
            self.register_buffer(name, torch.tensor(values).reshape(1, -1, 1, 1))

    @classmethod
    def of(cls, images: NDArray[np.uint8]) -> "Normalise":
        """With the statistics of uint8 images (N, C, H, W): of the training images, never of the test images.

        Raises TypeError for another dtype, ValueError for other axes or no pixels.
        """
        images = with_axes("images", images, "N, C, H, W")
        if images.dtype != np.uint8:
            raise TypeError(f"images must be uint8, from 0 to 255, not {images.dtype}")
        if images.size == 0:
            raise ValueError(f"images must be at least one image, to take the mean of, but have shape {images.shape}")
        mean = images.mean(axis=(0, 2, 3)) / 255
        std = images.std(axis=(0, 2, 3)) / 255
        return cls(mean, np.where(std > 0, std, 1.0))  # a channel of one colour has nothing to scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # Broadcasting would make a picture of three channels from a grey one. (What torch.fx traces with is no tensor.)
        channels = self.mean.shape[1]  # one serves all channels, as when a network gets grey images three times over
        if isinstance(x, torch.Tensor) and (x.ndim != 4 or channels not in (1, x.shape[1])):
            raise ValueError(
                f"Normalise: x must have shape (N, {channels}, H, W), a channel for each mean, got {tuple(x.shape)}"
            )
        if isinstance(x, torch.Tensor) and not x.is_floating_point():  # or 255 would count as far beyond white
            raise TypeError(f"Normalise: x must be floats from 0 to 1, not {x.dtype}: of 0 to 255, take x / 255")
        return (x - self.mean) / self.std
