"""A look inside a model that leaves no trace: its modes, hooks and flags are afterwards what they were before.

The parts that `cnn_course.interpret` is made of, with the checks of what a student hands over.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cnn_course.arguments.arrays import array
from cnn_course.arguments.floats import finite, is_number
from cnn_course.arguments.integers import integer
from cnn_course.arguments.objects import instance, sequence, text
from cnn_course.arguments.shown import brief, shown

Images = Tensor | NDArray
Targets = int | Sequence[int] | Tensor | NDArray


# --- what a student hands over


def checked_module(name: str, value: Any, *, numbers: bool = True) -> nn.Module:
    """Return a module whose layers have sizes, and with `numbers` also weights.

    Raises TypeError for what is no module, a class among them; ValueError for a lazy layer, and for a module on the
    meta device.
    """
    if isinstance(value, type) and issubclass(value, nn.Module):
        raise TypeError(f"{name} must be a module, not the class {value.__name__}: make one with {value.__name__}(...)")
    module = instance(name, value, nn.Module, "a torch.nn.Module")
    tensors = [*module.parameters(), *module.buffers()]
    if any(nn.parameter.is_lazy(t) for t in tensors):
        raise ValueError(f"{name} {type(value).__name__} has a lazy layer without a size yet: call it on an input once")
    if numbers and any(t.is_meta for t in tensors):
        raise ValueError(f"{name} is on the meta device, where there are no numbers: build it on the CPU")
    return module


def checked_shape(name: str, value: Any) -> tuple[int, int, int]:
    """Return the shape (C, H, W) of an image. Raises TypeError or ValueError for another."""
    sides = sequence(name, value, "a shape (C, H, W)")
    if len(sides) != 3:
        raise ValueError(f"{name} must be a shape (C, H, W), not {shown(value)}")
    channels, height, width = (integer(f"{name}[{i}]", n, least=1) for i, n in enumerate(sides))
    return channels, height, width


def checked_tensor(name: str, value: Any) -> Tensor:
    """Return a tensor of the finite real numbers in a tensor, whose memory it shares, or an array of any layout.

    Raises TypeError for what holds no numbers, ValueError for NaN or infinity and for the meta device.
    """
    if isinstance(value, Tensor):
        if value.is_meta:
            raise ValueError(f"{name} is on the meta device, where a tensor has no numbers")
        if value.is_complex() or value.layout != torch.strided:
            raise TypeError(f"{name} must be a dense tensor of real numbers, not {shown(value)}")
        found = value.detach()
    else:
        given = array(name, value)
        native = given.dtype.newbyteorder("=") if given.dtype.itemsize <= 8 else np.dtype(np.float64)
        # A copy: torch knows no strides below 0, and warns of memory that it must not write to.
        found = torch.from_numpy(np.array(given, native, order="C"))
    _check_finite(name, found)
    return found


def checked_images(images: Images, *, one: bool = True) -> Tensor:
    """Images as (N, C, H, W), floats or uint8, where they lie. Raises TypeError or ValueError for others.

    one: whether (C, H, W), one image, is taken as well.
    """
    x = checked_tensor("images", images)
    if one and x.ndim == 3:
        x = x[None]
    if x.ndim != 4 or 0 in x.shape:
        also = ", or (C, H, W) for one" if one else ""
        raise ValueError(f"images must have shape (N, C, H, W){also}, got {tuple(x.shape)}")
    if x.dtype != torch.uint8 and not x.is_floating_point():
        raise TypeError(f"images must be floats, or uint8 from 0 to 255, got {x.dtype}")
    return x


def inputs(model: nn.Module, images: Images) -> Tensor:
    """(N, C, H, W) on the model's device, in its dtype: a copy, because a first layer may work in place."""
    return _moved(model, "images", checked_images(images))


def filled(model: nn.Module, name: str, value: Any, shape: Sequence[int]) -> Tensor:
    """A number, or what broadcasts to `shape`, as pixels of that shape where the model is. uint8 become value / 255."""
    if is_number(value) or isinstance(value, bool):
        value = torch.tensor(finite(name, value), dtype=torch.float64)
    found = _moved(model, name, checked_tensor(name, value))
    try:
        return found.expand(*shape)
    except RuntimeError:
        raise ValueError(
            f"{name} must be a number, or broadcast to the shape {tuple(shape)}, not {shown(value)}"
        ) from None


def checked_layers(name: str, layers: Any, model: nn.Module) -> list[str]:
    """Return the names of layers that the model has. Raises TypeError for no list of names, ValueError for others."""
    if isinstance(layers, str):
        raise TypeError(f"{name} must be a list of names, such as [{layers!r}]")
    found = sequence(name, layers, "a list of names")
    return [checked_layer(f"{name}[{i}]", layer, model) for i, layer in enumerate(found)]


def checked_layer(name: str, layer: Any, model: nn.Module) -> str:
    known = [n for n, _ in model.named_modules() if n]
    if text(name, layer) not in known:
        raise ValueError(
            f"the model has no layer {brief(layer)}; the layers are {', '.join(known) or 'none'} (asked for by {name})"
        )
    return layer


def checked_channels(channels: int | Sequence[int]) -> list[int]:
    if not hasattr(channels, "__len__") or getattr(channels, "shape", None) == ():
        return [integer("channels", channels, least=0)]
    listed = sequence("channels", channels, "an integer or a list of them")
    if not listed:
        raise ValueError("channels is empty: name at least one")
    return [integer(f"channels[{i}]", channel, least=0) for i, channel in enumerate(listed)]


def _moved(model: nn.Module, name: str, x: Tensor) -> Tensor:
    like = next((p for p in model.parameters() if p.is_floating_point()), torch.empty(0))
    moved = x.to(like, copy=True) / 255 if x.dtype == torch.uint8 else x.to(like, copy=True)
    _check_finite(name, moved, f" in {like.dtype}, in which the model computes")
    return moved


def _check_finite(name: str, x: Tensor, where: str = "") -> None:
    if x.is_floating_point() and not bool(x.isfinite().all()):
        raise ValueError(f"{name} must be finite numbers: there is NaN or infinity among them{where}")


# --- the look inside


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
    modules, found, handles = dict(model.named_modules()), {}, []

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
        raise ValueError(f"the layer {name!r} is not reached by a forward pass of the model in evaluation mode")
    if not isinstance(found[name], Tensor):
        raise ValueError(f"in the model the layer {name!r} gives a {type(found[name]).__name__} and no tensor")
    return found[name]


def with_channels(out: Tensor, layer: str, channels: Sequence[int]) -> Tensor:
    """The output (N, K, ...) of a layer, which must have these channels, and finite numbers."""
    if out.ndim < 2:
        raise ValueError(f"the layer {layer!r} gives the shape {tuple(out.shape)}, which has no channels")
    if not all(0 <= c < out.shape[1] for c in channels):
        raise ValueError(f"the channels of {layer!r} are 0 to {out.shape[1] - 1}, got {brief(list(channels))}")
    _check_finite(f"what the layer {layer!r} of the model gives", out)
    return out


def forward(model: nn.Module, x: Tensor, *, logits: bool = True) -> Tensor:
    try:
        out = model(x)
    except Exception as error:  # whatever a student's own forward pass raises
        raise ValueError(f"the model cannot take images of shape {tuple(x.shape[1:])}: {error}") from error
    if logits:
        if not isinstance(out, Tensor) or out.ndim != 2 or len(out) != len(x) or 0 in out.shape:
            shape = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
            raise ValueError(f"the model must give logits of shape (N, classes), got {shape}")
        _check_finite("the logits of the model", out)
    return out


def gradient(score: Tensor, with_respect_to: Tensor, name: str = "model") -> Tensor:
    try:
        found = torch.autograd.grad(score, with_respect_to)[0]
    except RuntimeError as error:
        raise ValueError(f"the {name} gives no gradient here: {error}") from error
    _check_finite(f"the gradient of the {name}", found)
    return found


def chosen_targets(targets: Targets, logits: Tensor) -> Tensor:
    """(N,) whole numbers on the device of the logits."""
    chosen = checked_tensor("targets", targets)
    if chosen.dtype.is_floating_point or chosen.dtype == torch.bool or chosen.shape not in ((), (len(logits),)):
        raise ValueError(
            f"targets must be one whole number, or one for each of the {len(logits)} images, "
            f"got {chosen.dtype} of shape {tuple(chosen.shape)}"
        )
    if not all(0 <= target < logits.shape[1] for target in chosen.reshape(-1).tolist()):
        raise ValueError(f"targets must be from 0 to {logits.shape[1] - 1}, got {brief(chosen.tolist())}")
    return chosen.to(logits.device).long().expand(len(logits))
