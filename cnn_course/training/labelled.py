"""What `train` works on: images with labels, and a network. The checks that it makes of them before it begins."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cnn_course.arguments.arrays import array
from cnn_course.arguments.objects import instance
from cnn_course.arguments.shown import shown
from cnn_course.errors import CourseError
from cnn_course.inspection.probing import still, with_gradient


class Labelled(Protocol):
    """What can be trained on: a `datasets.Split`, or anything else with these two arrays, which are only read."""

    @property
    def images(self) -> NDArray[np.uint8]:
        """(N, C, H, W)"""

    @property
    def labels(self) -> NDArray[np.integer]:
        """(N,), 0 ... classes - 1"""


@dataclass(frozen=True)
class Checked:
    """A `Labelled` that has been looked at. name: of the argument that it was, for messages."""

    name: str
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


class NotFinite(ValueError):
    """A model whose outputs are no finite numbers."""


def check_images(name: str, images: np.ndarray) -> None:
    """Raises TypeError or ValueError unless `images` is a uint8 array (N, C, H, W); N may be 0."""
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or isinstance(images, np.ma.MaskedArray):
        raise TypeError(
            f"{name} must be a NumPy array of uint8 (0 to 255), got {shown(images)}; "
            "from floats between 0 and 1: (x * 255).round().astype(np.uint8)"
        )
    if images.ndim != 4:
        raise ValueError(f"{name} must have the four axes (N, C, H, W), got shape {images.shape}")
    if 0 in images.shape[1:]:
        raise ValueError(f"{name} must have pixels, got shape {images.shape}")


def check_labelled(name: str, data: Labelled) -> Checked:
    """`data`, which must have at least one image and one label from 0 on for each, in an array, a list or a tensor.

    Raises TypeError or ValueError.
    """
    if isinstance(data, type) or not (hasattr(data, "images") and hasattr(data, "labels")):
        raise TypeError(f"{name} must have images and labels, as a datasets.Split has; {_what_instead(name, data)}")
    check_images(f"{name}.images", data.images)
    if len(data.images) == 0:
        raise ValueError(f"{name} has no images: choose a split or a selection that has some")
    labels = array(f"{name}.labels", data.labels)
    if labels.shape != (len(data.images),) or labels.dtype.kind not in "iu":
        raise ValueError(
            f"{name}.labels must be one whole number per image: {len(data.images)} images, "
            f"but the labels are {labels.dtype} of shape {labels.shape}"
        )
    if labels.min() < 0 or labels.max() > np.iinfo(np.int64).max:
        raise ValueError(f"labels count from 0, but {name} has a label {labels.min()} and one of {labels.max()}")
    return Checked(name, data.images, labels.astype(np.int64, order="C"))  # torch takes no array that runs backwards


def _what_instead(name: str, data: Any) -> str:
    if not isinstance(data, type) and hasattr(data, "train"):
        part = "val" if name == "val" else "train"
        return f"this is a whole {type(data).__name__}: give one part of it, such as data.{part}"
    if isinstance(data, tuple | list) and len(data) == 2:
        return "of two arrays, images and labels, datasets.Split(images, labels) makes one"
    return f"got {shown(data)}"


def check_network(model: nn.Module) -> None:
    """Raises TypeError or ValueError unless `model` is a network whose weights are there."""
    instance("model", model, nn.Module, "a network (an nn.Module, made with brackets: LeNet(), not LeNet)")
    try:
        held = [*model.parameters(), *model.buffers()]
    except AttributeError as error:
        kind = type(model).__name__
        raise TypeError(f"model is no whole network: __init__ of {kind} must begin with super().__init__()") from error
    if any(torch.nn.parameter.is_lazy(each) for each in held):
        raise ValueError("model has layers that do not know their shape yet: call it once on a batch, then come again")
    if any(each.is_meta for each in held):
        raise ValueError('model is on the "meta" device, where weights have no values: make it on the CPU')


def device_of(model: nn.Module) -> torch.device:
    return next((each.device for each in model.parameters()), torch.device("cpu"))


def check_trainable(model: nn.Module, parts: Iterable[Checked]) -> None:
    """Try one image of each part: that the model takes it, gives one row of logits, and has one for every label.

    The model is left as it was. Raises ValueError, also for a model in which nothing can be trained.
    """
    if not any(each.requires_grad for each in model.parameters()):
        raise ValueError("model has nothing to train: no parameter has requires_grad=True")
    for part in parts:
        with still(model), with_gradient():
            logits = logits_of(model, part.images[:1], f"{part.name}.images")
        check_labels(part, logits)
        if not logits.requires_grad:
            raise ValueError(
                "model gives logits that its parameters have no part in: is there a no_grad() or a detach() in it?"
            )


def check_labels(data: Checked, logits: torch.Tensor) -> None:
    """Raises ValueError unless the (N, classes) logits have a column for each label."""
    highest, classes = int(data.labels.max(initial=0)), logits.shape[1]
    if highest >= classes:
        raise ValueError(
            f"label {highest} of {data.name} is out of range: the model has {classes} outputs, for the labels 0 to "
            f"{classes - 1}; build it with classes={highest + 1}, or check the labels"
        )


def logits_of(model: nn.Module, images: NDArray[np.uint8], name: str) -> torch.Tensor:
    """(N, C, H, W) uint8 -> (N, classes) float32, where the model is.

    Raises ValueError for a model that cannot take them or gives something else, NotFinite for NaN and infinity.
    """
    x = as_input(torch.tensor(np.ascontiguousarray(images)).to(device_of(model)))
    try:
        logits = model(x)
    except Exception as error:
        if isinstance(error, CourseError) or out_of_memory(error):
            raise
        other = next((p.dtype for p in model.parameters() if p.dtype != torch.float32), None)
        hint = "" if other is None else f"; images come as float32, and it has weights in {other}: model.float()"
        if x.shape[1] == 1 and first_channels(model) == 3:
            hint += "; it is for colour pictures, and grey ones become such with np.repeat(images, 3, axis=1)"
        raise ValueError(
            f"model cannot take images of shape {tuple(x.shape[1:])} ({name}): {said(error)}{hint}"
        ) from error
    logits = check_logits(logits, len(x)).float()
    # One of -inf is a class that cannot be; the sum over the classes must be a number all the same.
    if not bool(logits.logsumexp(dim=1).isfinite().all()):
        raise NotFinite(
            f"model gives logits for {name} that are no finite numbers: look for NaN and infinity in its weights"
        )
    return logits


def first_channels(model: nn.Module) -> int | None:
    """The channels that its first convolution takes; None where it has none."""
    return next((module.in_channels for module in model.modules() if isinstance(module, nn.Conv2d)), None)


def check_logits(logits: object, images: int) -> torch.Tensor:
    """Raises ValueError unless a model gave one row of logits for each image."""
    if not isinstance(logits, torch.Tensor):
        raise ValueError(f"model must give a tensor of logits of shape (N, classes), got a {type(logits).__name__}")
    if logits.ndim != 2 or len(logits) != images or logits.shape[1] < 1 or not logits.is_floating_point():
        raise ValueError(
            f"model must give logits of shape (N, classes), got {logits.dtype} of shape {tuple(logits.shape)} for "
            f"{'one image' if images == 1 else f'{images} images'}"
        )
    return logits


def said(error: Exception) -> str:
    """An error of somebody else's code on one line."""
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"


def out_of_memory(error: BaseException) -> bool:
    """Whether torch had no memory; the CPU's allocator has no class of its own."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)


def as_input(images: torch.Tensor) -> torch.Tensor:
    """uint8 from 0 to 255 -> float32 from 0 (black) to 1 (white)."""
    return images.float() / 255
