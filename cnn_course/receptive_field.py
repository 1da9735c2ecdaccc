"""What a unit of a torch module sees, measured by autograd: all that it can see, and what it mostly sees.

`measured_field` finds every input pixel that can change one output unit. `gradient_map` says how much each pixel
changes it for the weights that the module has: the *effective* receptive field (Luo, Li, Urtasun and Zemel,
"Understanding the Effective Receptive Field in Deep Convolutional Neural Networks", 2016, arXiv:1701.04128).
"""

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from cnn_course.arguments.arrays import array
from cnn_course.arguments.integers import integer
from cnn_course.arguments.memory import affordable
from cnn_course.arguments.objects import sequence
from cnn_course.arguments.shown import brief
from cnn_course.inspection import probing
from cnn_course.trace import BATCH_NORMS

AVERAGE: dict[object, Callable[..., torch.Tensor]] = {
    F.max_pool1d: F.avg_pool1d,
    F.max_pool2d: F.avg_pool2d,
    F.max_pool3d: F.avg_pool3d,
}
ADAPTIVE_AVERAGE: dict[object, Callable[..., torch.Tensor]] = {
    F.adaptive_max_pool1d: F.adaptive_avg_pool1d,
    F.adaptive_max_pool2d: F.adaptive_avg_pool2d,
    F.adaptive_max_pool3d: F.adaptive_avg_pool3d,
}


# Axes of what goes in. Without a batch they would take one axis less, and mistake the batch for channels.
AXES = {
    torch.conv1d: 3, torch.conv2d: 4, torch.conv3d: 5, F.max_pool1d: 3, F.max_pool2d: 4, F.max_pool3d: 5,
    F.avg_pool1d: 3, F.avg_pool2d: 4, F.avg_pool3d: 5, F.adaptive_max_pool1d: 3, F.adaptive_max_pool2d: 4,
    F.adaptive_max_pool3d: 5, F.adaptive_avg_pool1d: 3, F.adaptive_avg_pool2d: 4, F.adaptive_avg_pool3d: 5,
}  # fmt: skip


def measured_field(
    module: nn.Module, input_shape: Sequence[int], unit: Sequence[int] | None = None
) -> tuple[tuple[int, int], ...]:
    """First and last input position, along each axis, on which one output unit of `module` depends.

    input_shape: (C, *S) of one input. unit: position in the output map (N, C, *S'); the middle one by default. All
    channels at that position count together. The module is left as it is: a copy gets positive weights, so that
    nothing cancels and every ReLU is open, batch norm without statistics, and average in place of max pools, which
    would pass a gradient to one pixel only. In float64, where what does not matter has a gradient of exactly zero.
    Raises ValueError if the module does not take the shape, or the unit does not exist or depends on nothing; TypeError
    for what is no module, no shape or no position.
    """
    probing.checked_module("module", module)
    sides = sequence("input_shape", input_shape, "a shape (C, *S)")
    shape = [integer(f"input_shape[{i}]", n, least=1) for i, n in enumerate(sides)]
    if len(shape) < 2:
        raise ValueError(f"input_shape must be (C, *S) with at least one axis besides the channels, not {brief(sides)}")
    affordable("input_shape", input_shape, 2 * math.prod(shape))  # with the gradient
    # A module that keeps a result of its forward pass cannot be copied with it.
    memo = {id(v): v.detach() for m in module.modules() for v in vars(m).values() if isinstance(v, torch.Tensor)}
    try:
        net = copy.deepcopy(module, memo).cpu().double().eval()  # Apple's GPUs have no float64
    except Exception as error:  # whatever a student's module holds
        raise ValueError(f"the module cannot be copied to be measured: {error}") from error
    with torch.no_grad():
        for part in net.modules():
            if isinstance(part, BATCH_NORMS):
                part.reset_running_stats()
            for name, p in part.named_parameters(recurse=False):
                # Halfway between 1 / (what a kernel adds up) and 1 / channels: no depth overflows or underflows.
                p.fill_(1 / (p.shape[1] * p[0, 0].numel() ** 0.5) if p.ndim > 1 else float(name != "bias"))
    x = torch.ones(1, *shape, dtype=torch.float64, requires_grad=True)
    with _AveragePools():
        touched = (_gradient(net, x, unit, "input_shape", shape)[0] != 0).any(dim=0)
    if not touched.any():
        raise ValueError("the unit depends on no input pixel at all: all of its field is padding")
    positions = torch.nonzero(touched)
    return tuple((int(a), int(b)) for a, b in zip(positions.amin(0), positions.amax(0), strict=True))


def gradient_map(
    module: nn.Module, x: torch.Tensor | NDArray, unit: Sequence[int] | None = None, *, channel: int = 0
) -> NDArray[np.float64]:
    """Squared gradient of one output unit with respect to each input position: mean over the batch, sum over channels.

    x: (N, C, *S) inputs. unit: as in `measured_field`; channel: whose unit. Returns (*S). The mean of the squares is
    what the theory of random weights predicts; its square root, or the map of one input, shows the magnitude.
    The module runs in the mode that it is in and is left as it is. Raises ValueError if the module does not take x, or
    the unit or channel does not exist; TypeError for what is no module, no array of numbers or no position.
    """
    probing.checked_module("module", module)
    like = next(module.parameters(), torch.empty(0))
    channel = integer("channel", channel)
    x = probing.checked_tensor("x", x).to(like, copy=True)
    if x.ndim < 3 or 0 in x.shape:
        raise ValueError(f"x must have shape (N, C, *S), got {tuple(x.shape)}")
    gradient = _gradient(module, x.requires_grad_(), unit, "x of shape", x.shape, channel)
    return gradient.cpu().double().square().sum(dim=1).mean(dim=0).numpy()  # MPS has no float64


def spread(weights: NDArray) -> tuple[float, ...]:
    """Standard deviation, in pixels, of a map of weights (*S) that are not negative: one for each axis.

    Raises TypeError for what is no array of numbers, ValueError for a map that is negative somewhere or zero
    everywhere, not finite, or has no axis.
    """
    weights = array("weights", weights).astype(float)
    total = weights.sum()
    if weights.ndim == 0 or not 0 < total < np.inf or weights.min() < 0:
        raise ValueError("weights must be a finite map with no negative weight, and one that is not zero")
    deviations = []
    for axis in range(weights.ndim):
        share = weights.sum(axis=tuple(a for a in range(weights.ndim) if a != axis)) / total
        place = np.arange(len(share))
        deviations.append(float(np.sqrt(share @ (place - share @ place) ** 2)))
    return tuple(deviations)


def _gradient(
    net: nn.Module,
    x: torch.Tensor,
    unit: Sequence[int] | None,
    name: str,
    shape: Sequence[int],
    channel: int | None = None,
) -> torch.Tensor:
    """Of one unit, or of one channel of it. name, shape: how x is called where the module does not take it."""
    if unit is not None:
        unit = tuple(integer(f"unit[{i}]", u) for i, u in enumerate(sequence("unit", unit, "a position")))
    buffers = {name: b.clone() for name, b in net.named_buffers()}  # a batch norm that trains would change its own
    try:
        with _WithBatch():
            out = torch.func.functional_call(net, buffers, (x,))
    except Exception as error:  # whatever a student's own forward pass raises
        raise ValueError(f"the module does not take {name} {brief(tuple(shape))}: {error}") from error
    if not isinstance(out, torch.Tensor) or out.ndim < 2 or len(out) != len(x):
        gives = f"the shape {tuple(out.shape)}" if isinstance(out, torch.Tensor) else f"a {type(out).__name__}"
        raise ValueError(f"the module must give a map (N, C, *S), but with {name} {brief(tuple(shape))} gives {gives}")
    sizes = tuple(out.shape[2:])
    unit = tuple(n // 2 for n in sizes) if unit is None else unit
    if len(unit) != len(sizes) or any(not -n <= u < n for u, n in zip(unit, sizes, strict=True)):
        raise ValueError(
            f"unit {brief(unit)} does not exist: the output map of the module is {sizes}, with {name} "
            f"{brief(tuple(shape))}"
        )
    if channel is not None and not -out.shape[1] <= channel < out.shape[1]:
        raise ValueError(f"channel must be from 0 to {out.shape[1] - 1}, not {brief(channel)}")
    chosen = out[(slice(None), slice(None) if channel is None else channel, *unit)]
    return probing.gradient(chosen.sum(), x, "module")


class _WithBatch(TorchFunctionMode):
    """Inside, a layer refuses an input without the axis of the batch."""

    def __torch_function__(self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if function in AXES and args and args[0].ndim != AXES[function]:
            raise ValueError(f"{function.__name__} takes {AXES[function] - 2} axes besides N and C")
        return function(*args, **(kwargs or {}))


class _AveragePools(TorchFunctionMode):
    """Inside, every max pool averages."""

    def __torch_function__(self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = dict(kwargs or {})
        if function in AVERAGE or function in ADAPTIVE_AVERAGE:
            if kwargs.pop("return_indices", False) or kwargs.pop("dilation", 1) not in (1, (1, 1), (1, 1, 1)):
                raise ValueError("a max pool with dilation or indices cannot be measured")
            function = {**AVERAGE, **ADAPTIVE_AVERAGE}[function]
        return function(*args, **kwargs)
