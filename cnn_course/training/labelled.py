"""What `train` works on: images with labels. The checks that it makes of them before it begins."""

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn


class Labelled(Protocol):
    """What can be trained on: a `datasets.Split`, or anything else with these two arrays, which are only read."""

    @property
    def images(self) -> NDArray[np.uint8]:
        """(N, C, H, W)"""

    @property
    def labels(self) -> NDArray[np.integer]:
        """(N,), 0 ... classes - 1"""


def check_images(images: np.ndarray, what: str) -> None:
    """Raises TypeError or ValueError unless `images` is a uint8 array (N, C, H, W)."""
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8:
        kind = f"an array of {images.dtype}" if isinstance(images, np.ndarray) else type(images).__name__
        raise TypeError(
            f"{what} must be a NumPy array of uint8 (0 to 255), got {kind}; "
            "from floats between 0 and 1: (x * 255).round().astype(np.uint8)"
        )
    if images.ndim != 4:
        raise ValueError(f"{what} must have the four axes (N, C, H, W), got shape {images.shape}")


def check_labelled(data: Labelled, what: str) -> None:
    """Raises TypeError or ValueError unless `data` has at least one image, and one label from 0 on for each."""
    check_images(data.images, what)
    labels = np.asarray(data.labels)
    if len(data.images) == 0:
        raise ValueError(f"{what} has no images: choose a split or a selection that has some")
    if labels.shape != (len(data.images),) or labels.dtype.kind not in "iu":
        raise ValueError(
            f"{what} needs one whole-number label per image: {len(data.images)} images, "
            f"but the labels are {labels.dtype} of shape {labels.shape}"
        )
    if labels.min() < 0:
        raise ValueError(f"labels count from 0, but {what} has a label {labels.min()}")


def check_model(model: nn.Module, data: Labelled, val: Labelled | None) -> None:
    """Try one image: that the model takes it, gives one row of logits, and has a logit for every label.

    Leaves the model in evaluation mode. Raises ValueError.
    """
    model.eval()
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    image = torch.tensor(np.ascontiguousarray(data.images[:1])).to(device)
    try:
        with torch.inference_mode():
            shape = tuple(model(as_input(image)).shape)
    except RuntimeError as error:
        raise ValueError(f"the model cannot take images of shape {tuple(image.shape[1:])}: {error}") from error
    if len(shape) != 2:
        raise ValueError(f"the model must give logits of shape (N, classes), got {shape} for one image")
    highest = max(int(np.max(part.labels)) for part in (data, val) if part is not None)
    if highest >= shape[1]:
        raise ValueError(
            f"label {highest} is out of range: the model has {shape[1]} outputs, for the labels 0 to {shape[1] - 1}; "
            f"build it with classes={highest + 1}, or check the labels"
        )


def as_input(images: torch.Tensor) -> torch.Tensor:
    """uint8 from 0 to 255 -> float32 from 0 (black) to 1 (white)."""
    return images.float() / 255
