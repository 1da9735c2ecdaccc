"""Train a classifier and use it: `fit`, `predict`, `accuracy`.

Images stay uint8 on the device and become float batch by batch, value / 255, so 0 is black and 1 is white. Nothing
else is done to them: black equals the zeros that a padded convolution adds, and no statistics need to be carried along.
"""

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


class Labelled(Protocol):
    """What can be trained on: a `datasets.Split`, or anything else with these two arrays."""

    images: np.ndarray  # (N, C, H, W) uint8
    labels: np.ndarray  # (N,) integers, 0 ... classes - 1


class TrainingError(RuntimeError):
    """Training cannot go on; the message says where it stopped and what to try."""


@dataclass(frozen=True)
class TrainConfig:
    """How to train: Adam (Kingma and Ba 2015, with decoupled weight decay) on the cross-entropy.

    device: "auto" (CUDA, else MPS, else CPU) or what torch.device understands, such as "cpu" or "cuda:1".
    seed: of the order of the images and of dropout. The first weights are those that the model comes with.
    Raises ValueError for a value that cannot work.
    """

    epochs: int = 10
    batch_size: int = 64
    lr: float = 3e-3
    weight_decay: float = 0.0
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
        if not 0 < self.lr < float("inf"):
            raise ValueError(f"lr must be above 0 (0.003 is a good first try), got {self.lr!r}")
        if not 0 <= self.weight_decay < float("inf"):
            raise ValueError(f"weight_decay must be 0 or more, got {self.weight_decay!r}")


@dataclass(frozen=True)
class Epoch:
    """One row of a History. The training figures are means over the epoch, taken while the weights changed."""

    epoch: int
    train_loss: float
    train_accuracy: float
    val_accuracy: float | None
    seconds: float

    def __str__(self) -> str:
        val = "" if self.val_accuracy is None else f", val accuracy {self.val_accuracy:.3f}"
        return (
            f"epoch {self.epoch}: train loss {self.train_loss:.3f}, "
            f"train accuracy {self.train_accuracy:.3f}{val} ({self.seconds:.1f} s)"
        )


@dataclass
class History:
    """What happened in a training. interrupted: it was stopped early (Ctrl-C, or the notebook's stop button)."""

    epochs: list[Epoch] = field(default_factory=list)
    interrupted: bool = False
    device: str = "cpu"

    def column(self, name: str) -> np.ndarray:
        """One figure for every epoch, e.g. column("train_loss") -> (epochs,) float64; NaN where there was none."""
        return np.array([getattr(row, name) for row in self.epochs], dtype=float)


def choose_device(name: str = "auto") -> torch.device:
    """The device to compute on: "auto" takes CUDA, else MPS (Apple), else the CPU.

    Raises ValueError for a device that does not exist or is not there.
    """
    if name == "auto":
        mps = torch.backends.mps.is_available()
        name = "cuda" if torch.cuda.is_available() else "mps" if mps else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(
            f"cannot use the device {name!r}: {str(error).splitlines()[0]} "
            'Use "auto", "cpu", "cuda" (an NVIDIA GPU) or "mps" (an Apple GPU).'
        ) from error
    return device


def fit(
    model: nn.Module,
    data: Labelled,
    config: TrainConfig | None = None,
    *,
    val: Labelled | None = None,
    verbose: bool = True,
) -> History:
    """Train `model` in place, from (N, C, H, W) images to (N, classes) logits; one line per epoch if `verbose`.

    The model ends on config.device and in evaluation mode. On the CPU the same seed, weights and threads give the same
    result. Ctrl-C keeps what was trained so far: the History then says `interrupted`.
    Raises TypeError or ValueError for data that cannot be trained on, TrainingError when the loss is no longer finite.
    """
    config = config or TrainConfig()
    device = choose_device(config.device)
    images, labels = _on_device(data, device, "the training data")
    if val is not None:
        _check(val.images, val.labels, "the validation data")
    model.to(device)
    if device.type == "cpu":
        # The weights of a convolution decide how its maps lie in memory; this way round the CPU predicts twice as fast.
        model.to(memory_format=torch.channels_last)
    _check_classes(model, images, labels, val)
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    history = History(device=str(device))
    # Dropout draws from torch's global generator: fork it, so that the seed decides and the caller's stays untouched.
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(config.seed)
        order = torch.Generator().manual_seed(config.seed)
        try:
            for epoch in range(1, config.epochs + 1):
                start = time.perf_counter()
                model.train()
                loss, correct = _one_epoch(model, optimizer, images, labels, config.batch_size, order, epoch)
                score = None if val is None else accuracy(model, val)
                history.epochs.append(Epoch(epoch, loss, correct, score, time.perf_counter() - start))
                if verbose:
                    print(history.epochs[-1], flush=True)
        except KeyboardInterrupt:
            history.interrupted = True
            if verbose:
                print(f"stopped in epoch {epoch} of {config.epochs}: the model keeps what it has learned", flush=True)
        finally:
            model.eval()
    return history


def _one_epoch(model, optimizer, images, labels, batch_size, order, epoch) -> tuple[float, float]:
    """One pass over the data in a fresh random order; the mean loss and the share of right answers."""
    batches = torch.randperm(len(images), generator=order).to(images.device).split(batch_size)
    losses = torch.zeros(len(batches), device=images.device)
    correct = torch.zeros((), device=images.device)
    for step, batch in enumerate(_bar(batches, f"epoch {epoch}")):
        logits = model(_as_input(images[batch]))
        loss = F.cross_entropy(logits, labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses[step] = loss.detach() * len(batch)
        correct += (logits.detach().argmax(dim=1) == labels[batch]).sum()
    # Looked at once per epoch: to read each loss in its step would make a GPU wait.
    bad = (~torch.isfinite(losses)).nonzero()
    if len(bad):
        raise TrainingError(
            f"the loss is no longer a finite number (epoch {epoch}, step {int(bad[0]) + 1} of {len(batches)}). "
            "Make a new model and train it with a smaller lr, a tenth for example; if that does not help, look for "
            "NaN or infinity in the model's first weights or for a division by zero in its layers."
        )
    return float(losses.sum()) / len(images), float(correct) / len(images)


def predict(model: nn.Module, images: np.ndarray, batch_size: int | None = None) -> np.ndarray:
    """Class probabilities (N, classes) float32 of uint8 images (N, C, H, W), computed where the model is.

    batch_size: by default 64 on the CPU, so that the maps stay in its cache, and 1024 on a GPU.
    The model predicts in evaluation mode and is left in the mode that it was in. No image gives an empty result.
    Raises TypeError or ValueError for other images.
    """
    _check_images(images, "the images")
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    if batch_size is None:
        batch_size = 64 if device.type == "cpu" else 1024
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            # An empty batch goes through the model as well: only the model knows how many classes there are.
            starts = range(0, max(len(images), 1), batch_size)
            batches = (torch.tensor(np.ascontiguousarray(images[i : i + batch_size])).to(device) for i in starts)
            return torch.cat([model(_as_input(x)).softmax(dim=1).float().cpu() for x in batches]).numpy()
    finally:
        model.train(was_training)


def accuracy(model: nn.Module, data: Labelled, batch_size: int | None = None) -> float:
    """Share of the images whose most probable class is their label. Raises as `predict` does, and for no image."""
    _check(data.images, data.labels, "the data")
    return float((predict(model, data.images, batch_size).argmax(axis=1) == np.asarray(data.labels)).mean())


def _as_input(images: torch.Tensor) -> torch.Tensor:
    return images.float() / 255


def _on_device(data: Labelled, device: torch.device, what: str) -> tuple[torch.Tensor, torch.Tensor]:
    _check(data.images, data.labels, what)
    # torch.tensor copies: the arrays of a data set may be read-only views.
    images, labels = np.ascontiguousarray(data.images), np.asarray(data.labels, dtype=np.int64)
    return torch.tensor(images).to(device), torch.tensor(labels).to(device)


def _check_images(images: np.ndarray, what: str) -> None:
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8:
        kind = f"an array of {images.dtype}" if isinstance(images, np.ndarray) else type(images).__name__
        raise TypeError(
            f"{what} must be a NumPy array of uint8 (0 to 255), got {kind}; "
            "from floats between 0 and 1: (x * 255).round().astype(np.uint8)"
        )
    if images.ndim != 4:
        raise ValueError(f"{what} must have the four axes (N, C, H, W), got shape {images.shape}")


def _check(images: np.ndarray, labels: np.ndarray, what: str) -> None:
    _check_images(images, what)
    labels = np.asarray(labels)
    if len(images) == 0:
        raise ValueError(f"{what} has no images: choose a split or a selection that has some")
    if labels.shape != (len(images),) or labels.dtype.kind not in "iu":
        raise ValueError(
            f"{what} needs one whole-number label per image: {len(images)} images, "
            f"but the labels are {labels.dtype} of shape {labels.shape}"
        )
    if labels.min() < 0:
        raise ValueError(f"labels count from 0, but {what} has a label {labels.min()}")


def _check_classes(model: nn.Module, images: torch.Tensor, labels: torch.Tensor, val: Labelled | None) -> None:
    """Try one image: that the model takes it, gives one row of logits, and has a logit for every label."""
    model.eval()
    try:
        with torch.inference_mode():
            shape = tuple(model(_as_input(images[:1])).shape)
    except RuntimeError as error:
        raise ValueError(f"the model cannot take images of shape {tuple(images.shape[1:])}: {error}") from error
    if len(shape) != 2:
        raise ValueError(f"the model must give logits of shape (N, classes), got {shape} for one image")
    highest = max(int(labels.max()), -1 if val is None else int(np.max(val.labels)))
    if highest >= shape[1]:
        raise ValueError(
            f"label {highest} is out of range: the model has {shape[1]} outputs, for the labels 0 to {shape[1] - 1}; "
            f"build it with classes={highest + 1}, or check the labels"
        )


def _bar(batches: tuple, title: str) -> Iterator:
    """A tqdm bar where somebody watches: a terminal, or a notebook that is open in Jupyter; nothing elsewhere."""
    # Jupyter's server names the session for its kernels; a notebook run without a browser has no such name.
    notebook = "JPY_SESSION_NAME" in os.environ and os.environ.get("CNN_COURSE_WIDGETS", "1") != "0"
    if not (notebook or sys.stderr.isatty()):
        return iter(batches)
    from tqdm.auto import tqdm

    return iter(tqdm(batches, desc=title, leave=False, delay=1))
