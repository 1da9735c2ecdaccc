"""Labs 06 and 07: the parameters of a student's network beside those of the right one, compared by their shapes.

The test cells send weights in the order in which the right network lists its parameters. So the shapes are
compared first, and a network that has the right layers in another order is told so.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

from cnn_course.errors import CheckFailed
from cnn_course.grading import describe
from cnn_course.grading.networks import Network

Shapes = list[tuple[int, ...]]
Net = TypeVar("Net", bound=nn.Module)


def shapes(module: nn.Module) -> Shapes:
    """The shape of each parameter of a module of ours, in its order."""
    return [tuple(p.shape) for p in module.parameters()]


def check_shapes(net: Network, right: nn.Module, mistakes: Iterable[tuple[Shapes, str]] = (), hint: str = "") -> None:
    """Raise CheckFailed unless the parameters of `net` have the shapes of those of `right`, in the same order.

    mistakes: pairs (shapes that a known mistake would have, what to tell the student).
    """
    got, expected = net.shapes(), shapes(right)
    if got == expected:
        return
    names = [name for name, _ in right.named_parameters()]
    total = int(sum(np.prod(shape) for shape in expected))
    text = f"{net.description}: expected {total:,} trainable numbers, got {_counted(net.count())}."
    if not got:
        raise CheckFailed(f"{text} The network has no layer with weights. Are the layers kept in the module?")
    known = next((message for candidate, message in mistakes if candidate == got), "")
    if known:
        raise CheckFailed(f"{text} {known}")
    place = next((i for i, pair in enumerate(zip(got, expected, strict=False)) if pair[0] != pair[1]), None)
    if place is None:
        place = min(len(got), len(expected))
    there = f"shape {describe.shape(got[place])}" if place < len(got) else "nothing"
    wanted = f"{names[place]} of shape {describe.shape(expected[place])}" if place < len(names) else "nothing"
    text += f" Parameter number {place + 1}: expected {wanted}, got {there}."
    raise CheckFailed(f"{text} {_reason(got, expected, hint)}".rstrip())


def set_weights(net: Network, right: nn.Module, rng: np.random.Generator) -> None:
    """Give both networks, which have the same shapes, the same random weights.

    Kernels are drawn so that the maps neither die out nor explode; what a norm multiplies with lies around 1.
    """
    values = []
    for shape in shapes(right):
        scale = 1.5 / np.sqrt(np.prod(shape[1:])) if len(shape) > 1 else 0.3
        values.append(scale * rng.normal(size=shape))
    for parameter, name in zip(values, (name for name, _ in right.named_parameters()), strict=True):
        if parameter.ndim == 1 and name.endswith("weight"):
            parameter += 1
    with torch.no_grad():
        for parameter, array in zip(right.parameters(), values, strict=True):
            parameter.copy_(torch.tensor(array))
    net.load(values)


def weights(net: Network, right: nn.Module) -> np.ndarray:
    """The parameters of `net`, which has the shapes of `right`, as one vector. CheckFailed if they are no numbers."""
    arrays = net.state()
    expected = shapes(right)
    if not isinstance(arrays, list) or len(arrays) < len(expected):
        raise CheckFailed(f"{net.description}: the weights of the network cannot be read.")
    for array, (name, parameter) in zip(arrays, right.named_parameters(), strict=False):
        _check_numbers(f"{net.description}, {name}", array, tuple(parameter.shape))
    return np.concatenate([np.asarray(a, dtype=np.float64).ravel() for a in arrays[: len(expected)]])


def changed(right: Net, change: Mapping[str, nn.Module]) -> Net:
    """A copy of a network of ours with other layers at the names in `change`, and the same weights elsewhere."""
    net = copy.deepcopy(right)
    for name, layer in change.items():
        parent, _, child = name.rpartition(".")
        setattr(net.get_submodule(parent), child, layer)
    return net


def output(module: nn.Module, x: np.ndarray, *, training: bool = False) -> np.ndarray:
    """What a network of ours makes of x, without gradients."""
    module.train(training)
    with torch.no_grad():
        return module(torch.from_numpy(np.array(x))).numpy()


def as_array(got: object) -> object:
    """A tensor that came back, as an array; anything else, and a tensor that has no plain numbers, as it is."""
    if isinstance(got, torch.Tensor):
        try:
            return np.asarray(got.detach())
        except (TypeError, RuntimeError):
            return got
    return got


def _reason(got: Shapes, expected: Shapes, hint: str) -> str:
    if sorted(got) == sorted(expected):
        return (
            "All parameters are there, but in another order. PyTorch lists layers in the order in which they are put "
            "into the module: put them in as the question lists them."
        )
    kernels = [[shape for shape in some if len(shape) > 1] for some in (got, expected)]
    if kernels[0] == kernels[1]:
        if len(got) < len(expected):
            return "The kernels are right, but biases or norms are missing."
        return "The kernels are right, but there are more biases or norms than asked for."
    if sorted(kernels[0]) == sorted(kernels[1]):
        return "The kernels are all there, but in another order: put the layers in as the question lists them."
    return f"Hint: {hint}" if hint else ""


def _counted(number: int) -> str:
    return f"{number:,}" if abs(number) < 10**12 else "a number with more than 12 digits"


def _check_numbers(description: str, array: Any, shape: tuple[int, ...]) -> None:
    if type(array) is not np.ndarray or array.dtype.kind != "f" or array.shape != shape:
        raise CheckFailed(f"{description}: expected floats of shape {describe.shape(shape)}, as the package's has.")
    if not np.isfinite(array).all():
        raise CheckFailed(
            f"{description}: not all weights are finite numbers. A step that is far too long does that: "
            "is the gradient that of the mean loss, and are the pixels divided by 255?"
        )
