"""How to train: the `TrainConfig` with every setting, the learning rate of each step, and the optimizer."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

OPTIMIZERS = ("adamw", "sgd")
SCHEDULES = ("constant", "cosine", "one-cycle", "step")

# One cycle (Smith and Topin, "Super-Convergence", 2018) as torch's OneCycleLR has it: up from lr / 25 during the first
# 30 % of the steps, then down to lr / 250,000, both along half a cosine.
RISE, START, END = 0.3, 1 / 25, 1 / 250_000


@dataclass(frozen=True)
class TrainConfig:
    """How to train, on the cross-entropy. The first weights are those that the model comes with.

    seed: of the order of the images, of the augmentation and of dropout.
    device: "auto" (CUDA, else MPS, else CPU) or what torch.device understands, such as "cpu" or "cuda:1".
    optimizer: "adamw" (Kingma and Ba 2015, with the decoupled decay of Loshchilov and Hutter 2019) or "sgd" with
    `momentum`. weight_decay is torch's for that optimizer, and acts on every parameter, norms and biases too.
    schedule: of the learning rate, see `lr_at`; "step" multiplies it by `factor` at each of the `milestones`, which are
    shares of the run. warmup: epochs (a fraction is fine) in which the rate first rises from 0.
    label_smoothing: share of the target that is spread evenly over all classes.
    patience: stop after that many epochs without a better val accuracy; the model ends with its best epoch's weights.
    augment: changes every training batch, such as `augment.Augment(crop=4, flip=True)`: (uint8 images, generator) ->
    images.
    amp: forward passes of training in bfloat16 where that is safe (torch.autocast); the weights stay float32.
    channels_last: keep the channels of a pixel together in memory; None is yes on CPU and CUDA, where it is faster.
    compile: train through torch.compile, which needs a C++ compiler and pays only in long runs.
    Raises ValueError for a value that cannot work.
    """

    epochs: int = 10
    batch_size: int = 64
    lr: float = 3e-3
    weight_decay: float = 0.0
    seed: int = 0
    device: str = "auto"
    optimizer: str = "adamw"
    momentum: float = 0.9
    schedule: str = "constant"
    milestones: tuple[float, ...] = (0.5, 0.75)
    factor: float = 0.1
    warmup: float = 0.0
    label_smoothing: float = 0.0
    patience: int | None = None
    augment: Callable[[torch.Tensor, torch.Generator], torch.Tensor] | None = None
    amp: bool = False
    channels_last: bool | None = None
    compile: bool = False

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch_size", 1), ("seed", 0), ("patience", 1)):
            value = getattr(self, name)
            if name == "patience" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
                raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
        if self.seed >= 2**64:
            raise ValueError(f"seed must be below 2**64, as torch's generators want it, got {self.seed!r}")
        if not 0 < self.lr < math.inf:
            raise ValueError(f"lr must be above 0 (0.003 is a good first try), got {self.lr!r}")
        if not 0 <= self.weight_decay < math.inf:
            raise ValueError(f"weight_decay must be 0 or more, got {self.weight_decay!r}")
        for name in ("momentum", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be from 0 to below 1, got {getattr(self, name)!r}")
        for name, known in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES)):
            if getattr(self, name) not in known:
                raise ValueError(f"unknown {name} {getattr(self, name)!r}; choose one of {', '.join(known)}")
        if not 0 < self.factor <= 1:
            raise ValueError(f"factor must be above 0 and at most 1, got {self.factor!r}")
        if not all(0 < share < 1 for share in self.milestones):
            raise ValueError(f"milestones are shares of the run between 0 and 1, got {self.milestones!r}")
        if not 0 <= self.warmup < self.epochs:
            raise ValueError(f"warmup must be 0 or more and less than the {self.epochs} epochs, got {self.warmup!r}")
        if self.warmup and self.schedule == "one-cycle":
            raise ValueError(f"one-cycle has its own warm-up: leave warmup at 0, got {self.warmup!r}")
        if self.augment is not None and not callable(self.augment):
            raise ValueError(f"augment must be an augment.Augment or another function, got {self.augment!r}")


def lr_at(step: int, steps: int, config: TrainConfig) -> float:
    """The learning rate of step 0 ... steps - 1 of a run of `steps` steps.

    "constant" is config.lr throughout. "cosine" falls along half a cosine, from config.lr towards 0 (Loshchilov and
    Hutter 2017). "step" is multiplied by config.factor at each milestone. "one-cycle" rises to config.lr and falls.
    In the warm-up the rate rises in equal steps up to config.lr; the cosine starts after it.
    """
    if config.schedule == "one-cycle":
        top, last = RISE * steps - 1, steps - 1
        if step <= top:
            return config.lr * _between(START, 1, step / top)
        return config.lr * _between(1, END, (step - top) / (last - top))
    warmup = steps * config.warmup / config.epochs
    if step < warmup:
        return config.lr * min(1, (step + 1) / warmup)
    if config.schedule == "cosine":
        return config.lr * _between(1, 0, (step - warmup) / (steps - warmup))
    if config.schedule == "step":
        return config.lr * config.factor ** sum(step >= share * steps for share in config.milestones)
    assert config.schedule == "constant", config.schedule  # a name in SCHEDULES has its line here
    return config.lr


def _between(start: float, end: float, share: float) -> float:
    """From start to end along half a cosine."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """The optimizer that `config` names, for all parameters of `model`."""
    if config.optimizer == "sgd":
        return torch.optim.SGD(
            model.parameters(), lr=config.lr, momentum=config.momentum, weight_decay=config.weight_decay
        )
    return torch.optim.AdamW(model.parameters(), lr=config.lr, weight_decay=config.weight_decay)
