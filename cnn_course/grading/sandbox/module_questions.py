"""What may be asked of a torch module that a student built, where it lives: plain arrays and numbers come back.

It may be on a GPU: then what it is asked goes there.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


def _shapes(module: nn.Module) -> list[list[int]]:
    return [list(p.shape) for p in module.parameters() if p.requires_grad]


def _load(module: nn.Module, weights: list[np.ndarray]) -> None:
    parameters = [p for p in module.parameters() if p.requires_grad]
    for parameter, values in zip(parameters, weights, strict=True):
        with torch.no_grad():
            parameter.copy_(torch.from_numpy(np.array(values)))


def _state(module: nn.Module) -> list[np.ndarray]:
    tensors = [p for p in module.parameters() if p.requires_grad] + list(module.buffers())
    return [tensor.detach().cpu().numpy().copy() for tensor in tensors]


def _forward(module: nn.Module, x: np.ndarray, training: bool) -> np.ndarray:
    before = module.training
    module.train(training)
    try:
        with torch.no_grad():
            # Not of a copy, but on a GPU: a module that changes x is found out.
            return module(torch.from_numpy(x).to(_device(module))).cpu().numpy().copy()
    finally:
        module.train(before)


def _gradients(module: nn.Module, images: np.ndarray, labels: np.ndarray) -> list[np.ndarray]:
    module.train()
    parameters = [p for p in module.parameters() if p.requires_grad]
    x, y = (torch.from_numpy(np.array(array)).to(_device(module)) for array in (images, labels))
    loss = F.cross_entropy(module(x), y)
    zeros = [torch.zeros_like(p) for p in parameters]
    found = torch.autograd.grad(loss, parameters, allow_unused=True) if loss.requires_grad else zeros
    return [(g if g is not None else z).detach().cpu().numpy().copy() for g, z in zip(found, zeros, strict=True)]


def _device(module: nn.Module) -> torch.device:
    return next((p.device for p in module.parameters()), torch.device("cpu"))


# What may be asked of a module, there where it lives.
QUESTIONS: dict[str, Callable[..., Any]] = {
    "shapes": _shapes,
    "load": _load,
    "state": _state,
    "forward": _forward,
    "gradients": _gradients,
}
