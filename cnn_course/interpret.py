"""What is inside a trained network: its maps, its filters, what its answer rests on, and what excites its units.

    interpret.activations(model, images, ["conv1"])        # maps
    interpret.occlusion(model, images, targets)            # cover a part: by how much does the logit fall?
    interpret.saliency(model, images, targets)             # which pixel moves the logit most?
    interpret.grad_cam(model, "conv3", images, targets)    # which places of a late map speak for the class?
    interpret.maximise(model, "conv2", 5, (3, 32, 32))     # an image that excites channel 5
    interpret.top_images(model, "conv2", 5, images)        # the real images that do

Images are floats as the model takes them, or uint8, which become value / 255 as in `train`: (N, C, H, W), or (C, H, W)
for one. Results are tensors on the model's device, always with the first axis. Layers go by the names of
`model.named_modules()`. A model is computed in evaluation mode and left as it was: its modes, hooks, gradients and
requires_grad flags.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cnn_course import trace
from cnn_course.inspection import probing
from cnn_course.inspection.probing import Images, Targets


def activations(model: nn.Module, images: Images, layers: Sequence[str]) -> dict[str, Tensor]:
    """What each of `layers` gives for the images: name -> (N, ...), copies without a gradient.

    Of a layer that is used several times, the last result. Raises ValueError for a layer that does not exist, is not
    reached or gives no tensor, and for images that the model cannot take.
    """
    with probing.still(model), torch.no_grad(), probing.recorded(model, layers) as found:
        probing.forward(model, probing.inputs(model, images), logits=False)
        return {name: probing.result_of(found, name).detach().clone() for name in layers}


def first_layer_filters(model: nn.Module, image_shape: Sequence[int] | None = None) -> Tensor:
    """The weights of the first convolution or fully connected layer, as pictures: a copy (O, C, kh, kw).

    image_shape: (C, H, W), needed if that layer is fully connected: each of its rows is a picture of that shape.
    The first layer is the one that the model registers first. Raises ValueError if there is none, or no shape.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            return module.weight.detach().clone()
        if isinstance(module, nn.Linear):
            if image_shape is None or int(np.prod(image_shape)) != module.in_features:
                raise ValueError(
                    f"the first layer is fully connected with {module.in_features} inputs: give the shape (C, H, W) of "
                    f"an image with that many numbers, not {image_shape}"
                )
            return module.weight.detach().clone().reshape(-1, *image_shape)
    raise ValueError(f"{type(model).__name__} has no Conv2d and no Linear layer")


def occlusion(
    model: nn.Module,
    images: Images,
    targets: Targets,
    *,
    window: int = 6,
    stride: int = 2,
    baseline: float | Tensor = 0.5,
    batch_size: int = 256,
) -> Tensor:
    """By how much the logit of the target falls when a window covers a pixel: (N, H, W), mean over those windows.

    baseline: what the window is filled with; a number, or a tensor that broadcasts to the images. A last window that
    sticks out is cut. Zeiler and Fergus, "Visualizing and understanding convolutional networks", 2014.
    Raises ValueError for a window that does not fit, and as `saliency` does.
    """
    x = probing.inputs(model, images)
    height, width = x.shape[2:]
    if not 1 <= window <= min(height, width) or not 1 <= stride <= window:
        raise ValueError(
            f"window must be 1 to {min(height, width)} and stride 1 to window, so that no pixel is left out, "
            f"got window {window} and stride {stride}"
        )
    rows, columns = (range(0, -(-(n - window) // stride) * stride + 1, stride) for n in (height, width))
    covers = torch.zeros(len(rows) * len(columns), height, width, dtype=torch.bool, device=x.device)
    for n, (i, j) in enumerate((i, j) for i in rows for j in columns):
        covers[n, i : i + window, j : j + window] = True
    filled = torch.as_tensor(baseline, dtype=x.dtype, device=x.device).expand_as(x)
    with probing.still(model), torch.no_grad():
        logits = probing.forward(model, x)
        chosen = probing.chosen_targets(targets, logits)
        before = logits.gather(1, chosen[:, None])
        maps = []
        for image, fill, target, full in zip(x, filled, chosen, before, strict=True):
            parts = (torch.where(c[:, None], fill, image) for c in covers.split(batch_size))
            fall = full - torch.cat([probing.forward(model, part)[:, target] for part in parts])
            maps.append((fall[:, None, None] * covers).sum(0) / covers.sum(0))
        return torch.stack(maps)


def saliency(
    model: nn.Module,
    images: Images,
    targets: Targets,
    *,
    channels: str = "max",
    copies: int = 0,
    noise: float = 0.1,
    seed: int = 0,
) -> Tensor:
    """Gradient of the target's logit with respect to every pixel.

    channels: "max" gives the largest absolute value over the channels, (N, H, W); "all" the gradient with its signs,
    (N, C, H, W). copies > 0: the mean gradient of that many copies of the image with normal noise of deviation `noise`.
    Simonyan et al., "Deep inside convolutional networks", 2014; with copies: Smilkov et al., "SmoothGrad", 2017.
    Raises ValueError for images or targets that do not fit the model.
    """
    if channels not in ("max", "all"):
        raise ValueError(f'channels must be "max" or "all", got {channels!r}')
    if copies < 0 or not noise >= 0:
        raise ValueError(f"copies and noise must be 0 or more, got {copies} and {noise}")
    with probing.still(model), probing.with_gradient():
        x = probing.inputs(model, images)
        generator = torch.Generator().manual_seed(seed)
        gradient = torch.zeros_like(x)
        for _ in range(copies or 1):
            shaken = x + noise * torch.randn(x.shape, generator=generator).to(x) if copies else x
            shaken = shaken.detach().clone().requires_grad_()
            logits = probing.forward(model, shaken)
            score = logits.gather(1, probing.chosen_targets(targets, logits)[:, None]).sum()
            gradient += torch.autograd.grad(score, shaken)[0] / (copies or 1)
    return gradient if channels == "all" else gradient.abs().amax(dim=1)


def grad_cam(
    model: nn.Module, layer: str, images: Images, targets: Targets, *, relu: bool = True, upsample: bool = True
) -> Tensor:
    """Which places of a layer's maps (N, K, h, w) speak for the target.

    Each channel weighs as much as the mean gradient of the target's logit over its map; the map is the weighted sum of
    the channels. relu: keep only what speaks for the class. upsample: bilinear to (N, H, W), else (N, h, w).
    Selvaraju et al., "Grad-CAM", 2017. Raises ValueError as `saliency` and `activations` do, and for a layer without
    maps.
    """
    with probing.still(model), probing.with_gradient(), probing.recorded(model, [layer]) as found:
        x = probing.inputs(model, images).detach().clone().requires_grad_()
        logits = probing.forward(model, x)
        maps = probing.result_of(found, layer)
        if maps.ndim != 4:
            raise ValueError(f"{layer} gives the shape {tuple(maps.shape)}: Grad-CAM needs maps (N, K, h, w)")
        score = logits.gather(1, probing.chosen_targets(targets, logits)[:, None]).sum()
        gradient = torch.autograd.grad(score, maps)[0]
    cam = (gradient.mean(dim=(2, 3), keepdim=True) * maps.detach()).sum(dim=1, keepdim=True)
    cam = cam.relu() if relu else cam
    return F.interpolate(cam, x.shape[2:], mode="bilinear")[:, 0] if upsample else cam[:, 0]


def maximise(
    model: nn.Module,
    layer: str,
    channels: int | Sequence[int],
    shape: Sequence[int],
    *,
    peak: bool = False,
    steps: int = 64,
    lr: float = 0.05,
    jitter: int = 2,
    blur: int = 4,
    pull: float = 0.02,
    seed: int = 0,
    start: Tensor | None = None,
) -> Tensor:
    """Images (len(channels), *shape) between 0 and 1, each of which excites one channel of `layer`.

    peak: climb towards the largest value of the channel's map, as `top_images` does; else towards its mean, which fills
    the whole image.
    Gradient ascent, with steps of root mean square `lr`. Against patterns that no image has: before each step the image
    rolls by up to `jitter` pixels, after every `blur` steps it is blurred by [1 2 1] / 4 (0: never), and each step
    `pull` of what differs from mid grey is taken away. start: (C, H, W) or what broadcasts to it; by default
    mid grey with a little noise of `seed`, the same for every channel. A channel without a gradient keeps its start.
    Erhan et al., 2009; Yosinski et al., "Understanding neural networks through deep visualization", 2015.
    Raises ValueError for a layer or channel that does not exist, or numbers that make no sense.
    """
    if steps < 0 or jitter < 0 or blur < 0 or not lr > 0 or not 0 <= pull < 1:
        raise ValueError(
            "steps, jitter and blur must be 0 or more, lr above 0 and pull from 0 to below 1, got "
            f"{steps}, {jitter}, {blur}, {lr} and {pull}"
        )
    channels = _listed(channels)
    generator = torch.Generator().manual_seed(seed)
    if start is None:
        start = 0.5 + 0.05 * torch.randn(*shape, generator=generator)
    x = probing.inputs(model, torch.as_tensor(start).expand(len(channels), *shape)).clone()
    kernel = torch.outer(*torch.tensor([[1.0, 2.0, 1.0]] * 2) / 4).to(x).expand(x.shape[1], 1, 3, 3)
    with probing.still(model), probing.with_gradient(), probing.recorded(model, [layer]) as found:
        for step in range(1, steps + 1):
            roll = torch.randint(-jitter, jitter + 1, (2,), generator=generator).tolist()
            x = x.roll(roll, dims=(2, 3)).requires_grad_()
            probing.forward(model, x, logits=False)
            out = probing.with_channels(probing.result_of(found, layer), layer, channels)
            chosen = out[range(len(channels)), channels].reshape(len(channels), -1)
            score = (chosen.amax(dim=1) if peak else chosen.mean(dim=1)).sum()
            gradient = torch.autograd.grad(score, x)[0]
            size = gradient.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
            with torch.no_grad():
                better = x + lr * gradient / size.clamp_min(1e-12) - pull * (x - 0.5)
                if blur and step % blur == 0:
                    better = F.conv2d(F.pad(better, (1, 1, 1, 1), mode="replicate"), kernel, groups=x.shape[1])
                moved = torch.where(size > 0, better, x).clamp(0, 1)
                x = moved.roll([-r for r in roll], dims=(2, 3))
    return x.detach()


@dataclass(frozen=True)
class TopImages:
    """The images that excite U channels most, the strongest first.

    values (U, k) and index (U, k): which images, and what the strongest unit of the map says; boxes (U, k, 4): the
    pixels that this unit sees, as top, left, height and width, which may reach into the padding;
    patches (U, k, C, height, width): these pixels, 0 outside the image.
    """

    values: Tensor
    index: Tensor
    boxes: Tensor
    patches: Tensor


def top_images(
    model: nn.Module,
    layer: str,
    channels: int | Sequence[int],
    images: Images,
    k: int = 9,
    *,
    batch_size: int = 256,
) -> TopImages:
    """The k images in which the strongest unit of each channel of `layer` is most excited, and what it sees there.

    The receptive field is that of `cnn_course.trace`; a layer without places (after global pooling) sees the whole
    image. Of equal images the first comes first.
    Raises ValueError for a layer or channel that does not exist, for k beyond the number of images, and for a
    model that `trace` does not understand.
    """
    channels = _listed(channels)
    images = images if isinstance(images, Tensor) else torch.as_tensor(np.ascontiguousarray(images))
    if images.ndim != 4 or not 1 <= k <= len(images):
        raise ValueError(
            f"top_images: k is {k} and the images have shape {tuple(images.shape)}: give k or more of them"
        )
    peaks, places, columns = [], [], 1
    for batch in images.split(batch_size):
        out = probing.with_channels(activations(model, batch, [layer])[layer], layer, channels)[:, channels]
        columns = out.shape[-1] if out.ndim == 4 else 1
        peak, place = out.flatten(2).max(dim=2) if out.ndim > 2 else (out, torch.zeros_like(out, dtype=torch.long))
        peaks.append(peak)
        places.append(place)
    order = torch.cat(peaks).T.sort(dim=1, descending=True, stable=True)
    values, index = order.values[:, :k], order.indices[:, :k]
    place = torch.cat(places).T.gather(1, index)
    boxes = _boxes(model, layer, images.shape[1:], place // columns, place % columns)
    shown = probing.inputs(model, images[index.flatten().to(images.device)])
    patches = torch.stack([_crop(x, box) for x, box in zip(shown, boxes.flatten(0, 1).tolist(), strict=True)])
    return TopImages(values, index, boxes, patches.unflatten(0, index.shape))


def _listed(channels: int | Sequence[int]) -> list[int]:
    channels = [channels] if isinstance(channels, int | np.integer) else [int(c) for c in channels]
    if not channels:
        raise ValueError("channels is empty: name at least one")
    return channels


def _boxes(model: nn.Module, layer: str, shape: Sequence[int], row: Tensor, column: Tensor) -> Tensor:
    try:
        seen = next(r for r in trace.table(model, tuple(shape)).rows if r.name == layer)
    except StopIteration:
        raise ValueError(
            f"{layer} has no row in the table of cnn_course.trace: its receptive field is unknown"
        ) from None
    sides = []
    for axis, place, n in zip(seen.axes, (row, column), shape[1:], strict=True):
        if len(seen.shape) == 1 or axis.jump is None:
            sides.append((torch.zeros_like(place), torch.full_like(place, n)))
        else:
            sides.append((axis.left + axis.jump * place, torch.full_like(place, axis.field)))
    return torch.stack([sides[0][0], sides[1][0], sides[0][1], sides[1][1]], dim=-1)


def _crop(image: Tensor, box: Sequence[int]) -> Tensor:
    top, left, height, width = box
    before = (max(0, -left), max(0, left + width - image.shape[2]), max(0, -top), max(0, top + height - image.shape[1]))
    padded = F.pad(image, before)
    top, left = top + before[2], left + before[0]
    return padded[:, top : top + height, left : left + width]
