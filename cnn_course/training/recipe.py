"""How to train: the `TrainConfig` with every setting, the learning rate of each step, and the optimizer."""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn

from cnn_course.arguments.floats import finite
from cnn_course.arguments.integers import integer, seed_of
from cnn_course.arguments.objects import flag, instance, one_of, sequence, text
from cnn_course.arguments.shown import brief, shown
from cnn_course.training.labelled import check_network

OPTIMIZERS = ("adamw", "sgd")
SCHEDULES = ("constant", "cosine", "one-cycle", "step")
MOST = 2**63 - 1  # of images, steps and epochs: torch counts in 64 bits
# Of lr and weight_decay: the optimizers multiply the two, and divide lr by the tenth that is left of Adam's first mean.
# The results must be numbers in float32, whose largest is 3.4e38.
MOST_RATE = 1e18

# One cycle (Smith and Topin, "Super-Convergence", 2018) as torch's OneCycleLR has it: up from lr / 25 during the first
# 30 % of the steps, then down to lr / 250,000, both along half a cosine.
RISE, START, END = 0.3, 1 / 25, 1 / 250_000


@runtime_checkable
class DrawsAhead(Protocol):
    """An augmentation that can draw for many batches before it sees the first, as `augment.Augment` does."""

    def draw(self, n: int, images: torch.Tensor, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """Numbers for n pictures, on the CPU: (n, ...) each."""

    def apply(self, images: torch.Tensor, drawn: dict[str, torch.Tensor]) -> torch.Tensor:
        """The pictures, changed as these numbers say, which are where the pictures are."""


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
    amp: forward passes of training in half precision where that is safe (torch.autocast): bfloat16, or float16 on GPUs
    that have none, with a gradient scaler; the weights stay float32.
    channels_last: keep the channels of a pixel together in memory; None is yes on CPU and CUDA, where it is faster.
    compile: train through torch.compile, which needs a C++ compiler and pays only in long runs.
    Raises TypeError for what is of another kind, ValueError for a value that cannot work; both name the setting.
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
        for name in ("epochs", "batch_size", "patience"):
            if name != "patience" or self.patience is not None:
                self._keep(name, integer(name, getattr(self, name), least=1, most=MOST))
        self._keep("seed", seed_of("seed", self.seed))
        self._keep("lr", finite("lr", self.lr, above=0, most=MOST_RATE))
        self._keep("factor", finite("factor", self.factor, above=0, most=1))
        self._keep("weight_decay", finite("weight_decay", self.weight_decay, least=0, most=MOST_RATE))
        for name in ("momentum", "warmup", "label_smoothing"):
            self._keep(name, finite(name, getattr(self, name), least=0))
        for name in ("momentum", "label_smoothing"):
            if getattr(self, name) >= 1:
                raise ValueError(f"{name} must be from 0 to below 1, got {getattr(self, name)!r}")
        one_of("optimizer", self.optimizer, OPTIMIZERS)
        one_of("schedule", self.schedule, SCHEDULES)
        self._keep("device", text("device", _in_words(self.device)))
        shares = enumerate(sequence("milestones", self.milestones, "a list of shares of the run, such as (0.5, 0.75)"))
        self._keep("milestones", tuple(finite(f"milestones[{i}]", share, above=0) for i, share in shares))
        if not all(share < 1 for share in self.milestones):
            raise ValueError(f"milestones are shares of the run between 0 and 1, got {brief(self.milestones)}")
        if self.warmup >= self.epochs:
            raise ValueError(f"warmup must be 0 or more and less than the {self.epochs} epochs, got {self.warmup!r}")
        if self.warmup and self.schedule == "one-cycle":
            raise ValueError(f"one-cycle has its own warm-up: leave warmup at 0, got {self.warmup!r}")
        for name in ("amp", "compile", "channels_last"):
            if name != "channels_last" or self.channels_last is not None:
                self._keep(name, flag(name, getattr(self, name)))
        if self.augment is not None:
            callback("augment", self.augment, "images", "generator")

    def _keep(self, name: str, value: Any) -> None:
        """NumPy's numbers as Python's: a checkpoint compares the settings by what they look like."""
        object.__setattr__(self, name, value)


def _in_words(device: object) -> object:
    return str(device) if isinstance(device, torch.device) else device


def callback(name: str, value: Any, *arguments: str) -> Callable[..., Any]:
    """Return a function that can be called with so many arguments. Raises TypeError for anything else, and a class."""
    wanted = f"{name} must be a function that is called as {name}({', '.join(arguments)})"
    if isinstance(value, type):  # Augment instead of Augment(): it could be called, to make one
        raise TypeError(f"{wanted}, not {shown(value)}: write {value.__name__}(...)")
    if not callable(value):
        raise TypeError(f"{wanted}, not {shown(value)}")
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):  # some of those written in C have none
        return value
    try:
        signature.bind(*arguments)
    except TypeError as error:
        raise TypeError(f"{wanted}, and {shown(value)} cannot be: {error}") from None
    return value


def lr_at(step: int, steps: int, config: TrainConfig) -> float:
    """The learning rate of step 0 ... steps - 1 of a run of `steps` steps.

    "constant" is config.lr throughout. "cosine" falls along half a cosine, from config.lr towards 0 (Loshchilov and
    Hutter 2017). "step" is multiplied by config.factor at each milestone. "one-cycle" rises to config.lr and falls.
    In the warm-up the rate rises in equal steps up to config.lr; the cosine starts after it.
    Raises TypeError or ValueError for a step that the run does not have.
    """
    steps = integer("steps", steps, least=1, most=MOST)
    if (step := integer("step", step, least=0)) >= steps:
        raise ValueError(f"step must be below steps, which is {steps}, not {brief(step)}")
    instance("config", config, TrainConfig, "a TrainConfig")
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
    """The optimizer that `config` names, for all parameters of `model`.

    Raises TypeError for what is no network, ValueError for one without parameters.
    """
    check_network(model)
    instance("config", config, TrainConfig, "a TrainConfig")
    parameters = list(model.parameters())
    if not parameters:
        raise ValueError(f"model has no parameters to change: {brief(model)}")
    if config.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=config.lr, momentum=config.momentum, weight_decay=config.weight_decay)
    return torch.optim.AdamW(parameters, lr=config.lr, weight_decay=config.weight_decay)
