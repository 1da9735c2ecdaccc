"""A look inside a model that leaves no trace: its modes, hooks and flags are afterwards what they were before.

The parts that `cnn_course.interpret` is made of, with the checks of what a student hands over.
"""

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Images = Tensor | NDArray
Targets = int | Sequence[int] | Tensor | NDArray


@contextlib.contextmanager
def still(model: nn.Module) -> Iterator[None]:
    """In evaluation mode inside; afterwards every part is in the mode that it was in."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


@contextlib.contextmanager
def with_gradient() -> Iterator[None]:
    with torch.inference_mode(False), torch.enable_grad():
        yield


@contextlib.contextmanager
def recorded(model: nn.Module, layers: Sequence[str]) -> Iterator[dict]:
    """A dict that holds the last output of each layer; the hooks are gone afterwards, whatever happens."""
    if isinstance(layers, str):
        raise TypeError(f"layers must be a list of names, such as [{layers!r}]")
    modules, found, handles = dict(model.named_modules()), {}, []
    for name in layers:
        if not name or name not in modules:
            raise ValueError(f"there is no layer {name!r}; the layers are {', '.join(n for n in modules if n)}")

    def keep(name: str, out: object) -> object:
        found[name] = out
        # What follows works on a copy: an in-place ReLU must not change what was recorded.
        return out.clone() if isinstance(out, Tensor) else out

    try:
        for name in layers:
            handles.append(modules[name].register_forward_hook(lambda _, __, out, name=name: keep(name, out)))
        yield found
    finally:
        for handle in handles:
            handle.remove()


def result_of(found: dict, name: str) -> Tensor:
    if name not in found:
        raise ValueError(f"the layer {name!r} is not reached by a forward pass in evaluation mode")
    if not isinstance(found[name], Tensor):
        raise ValueError(f"the layer {name!r} gives a {type(found[name]).__name__} and no tensor")
    return found[name]


def with_channels(out: Tensor, layer: str, channels: Sequence[int]) -> Tensor:
    """The output (N, K, ...) of a layer, which must have these channels."""
    if out.ndim < 2:
        raise ValueError(f"the layer {layer!r} gives the shape {tuple(out.shape)}, which has no channels")
    if not all(0 <= c < out.shape[1] for c in channels):
        raise ValueError(f"the channels of {layer!r} are 0 to {out.shape[1] - 1}, got {list(channels)}")
    return out


def inputs(model: nn.Module, images: Images) -> Tensor:
    """(N, C, H, W) on the model's device, in its dtype."""
    x = images if isinstance(images, Tensor) else torch.tensor(np.ascontiguousarray(images))
    if x.ndim == 3:
        x = x[None]
    if x.ndim != 4 or len(x) == 0:
        raise ValueError(f"images must have shape (N, C, H, W), or (C, H, W) for one, got {tuple(x.shape)}")
    if x.dtype != torch.uint8 and not x.is_floating_point():
        raise TypeError(f"images must be floats, or uint8 from 0 to 255, got {x.dtype}")
    like = next((p for p in model.parameters() if p.is_floating_point()), torch.empty(0))
    return x.to(like) / 255 if x.dtype == torch.uint8 else x.to(like)


def forward(model: nn.Module, x: Tensor, *, logits: bool = True) -> Tensor:
    try:
        out = model(x)
    except RuntimeError as error:
        raise ValueError(f"the model cannot take images of shape {tuple(x.shape[1:])}: {error}") from error
    if logits and (not isinstance(out, Tensor) or out.ndim != 2):
        shape = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
        raise ValueError(f"the model must give logits of shape (N, classes), got {shape}")
    return out


def chosen_targets(targets: Targets, logits: Tensor) -> Tensor:
    """(N,) whole numbers on the device of the logits."""
    chosen = torch.as_tensor(targets, device=logits.device)
    if chosen.dtype.is_floating_point or chosen.dtype == torch.bool or chosen.shape not in ((), (len(logits),)):
        raise ValueError(
            f"targets must be one whole number, or one for each of the {len(logits)} images, "
            f"got {chosen.dtype} of shape {tuple(chosen.shape)}"
        )
    if not 0 <= int(chosen.min()) <= int(chosen.max()) < logits.shape[1]:
        raise ValueError(f"targets must be from 0 to {logits.shape[1] - 1}, got {chosen.tolist()}")
    return chosen.long().expand(len(logits))
