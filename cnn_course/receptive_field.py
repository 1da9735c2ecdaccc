"""What a unit of a torch module sees, measured by autograd: all that it can see, and what it mostly sees.

`measured_field` finds every input pixel that can change one output unit. `gradient_map` says how much each pixel
changes it for the weights that the module has: the *effective* receptive field (Luo, Li, Urtasun and Zemel,
"Understanding the Effective Receptive Field in Deep Convolutional Neural Networks", 2016, arXiv:1701.04128).
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

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


def measured_field(
    module: nn.Module, input_shape: Sequence[int], unit: Sequence[int] | None = None
) -> tuple[tuple[int, int], ...]:
    """First and last input position, along each axis, on which one output unit of `module` depends.

    input_shape: (C, *S) of one input. unit: position in the output map (N, C, *S'); the middle one by default. All
    channels at that position count together. The module is left as it is: a copy gets positive weights, so that
    nothing cancels and every ReLU is open, batch norm without statistics, and average in place of max pools, which
    would pass a gradient to one pixel only. In float64, where what does not matter has a gradient of exactly zero.
    Raises ValueError if the unit does not exist or depends on nothing.
    """
    net = copy.deepcopy(module).double().eval()
    with torch.no_grad():
        for part in net.modules():
            if isinstance(part, BATCH_NORMS):
                part.reset_running_stats()
            for name, p in part.named_parameters(recurse=False):
                # Halfway between 1 / (what a kernel adds up) and 1 / channels: no depth overflows or underflows.
                p.fill_(1 / (p.shape[1] * p[0, 0].numel() ** 0.5) if p.ndim > 1 else float(name != "bias"))
    like = next(net.parameters(), torch.empty(0))
    if like.is_meta:
        raise ValueError("the module is on the meta device, where nothing can be measured: build it on the CPU")
    x = torch.ones(1, *input_shape, dtype=torch.float64, device=like.device, requires_grad=True)
    with _AveragePools():
        touched = (_gradient(net, x, unit)[0] != 0).any(dim=0)
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
    The module runs in the mode that it is in and is left as it is. Raises ValueError if the unit does not exist.
    """
    like = next(module.parameters(), torch.empty(0))
    x = torch.as_tensor(x).to(like).detach().clone().requires_grad_()
    gradient = _gradient(module, x, unit, channel)
    return gradient.double().square().sum(dim=1).mean(dim=0).cpu().numpy()


def spread(weights: NDArray) -> tuple[float, ...]:
    """Standard deviation, in pixels, of a map of weights (*S) that are not negative: one for each axis.

    Raises ValueError for a map that is negative somewhere or zero everywhere.
    """
    weights = np.asarray(weights, dtype=float)
    total = weights.sum()
    if not total > 0 or weights.min() < 0:
        raise ValueError("the map must have no negative weight, and one that is not zero")
    deviations = []
    for axis in range(weights.ndim):
        share = weights.sum(axis=tuple(a for a in range(weights.ndim) if a != axis)) / total
        place = np.arange(len(share))
        deviations.append(float(np.sqrt(share @ (place - share @ place) ** 2)))
    return tuple(deviations)


def _gradient(net: nn.Module, x: torch.Tensor, unit: Sequence[int] | None, channel: int | None = None) -> torch.Tensor:
    buffers = {name: b.clone() for name, b in net.named_buffers()}  # a batch norm that trains would change its own
    out = torch.func.functional_call(net, buffers, (x,))
    sizes = tuple(out.shape[2:])
    unit = tuple(n // 2 for n in sizes) if unit is None else tuple(unit)
    if len(unit) != len(sizes) or any(not -n <= u < n for u, n in zip(unit, sizes, strict=True)):
        raise ValueError(f"unit {unit} does not exist: the output map is {sizes}")
    chosen = out[(slice(None), slice(None) if channel is None else channel, *unit)]
    return torch.autograd.grad(chosen.sum(), x)[0]


class _AveragePools(TorchFunctionMode):
    """Inside, every max pool averages."""

    def __torch_function__(self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = dict(kwargs or {})
        if function in AVERAGE or function in ADAPTIVE_AVERAGE:
            if kwargs.pop("return_indices", False) or kwargs.pop("dilation", 1) not in (1, (1, 1), (1, 1, 1)):
                raise ValueError("a max pool with dilation or indices cannot be measured")
            function = {**AVERAGE, **ADAPTIVE_AVERAGE}[function]
        return function(*args, **kwargs)
