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

Every function raises TypeError for a model that is no module (a class, say) and for numbers and flags of another kind,
ValueError for a model on the meta device and for NaN or infinity, in the images and in what the model gives.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from cnn_course import trace
from cnn_course.arguments.floats import finite
from cnn_course.arguments.integers import integer, seed_of
from cnn_course.arguments.memory import affordable
from cnn_course.arguments.objects import flag, instance, one_of
from cnn_course.arguments.shown import brief
from cnn_course.inspection import probing
from cnn_course.inspection.layer_table import Row
from cnn_course.inspection.probing import Images, Targets

MOST_PASSES = 100_000  # of one call through the model: even a small one takes minutes for them
MOST_NUMBERS = 2**22  # of the images that go through a model at once: its maps take many times their memory
LARGEST = 1e30  # a deviation or number beyond it would overflow in float32 behind a layer or two


def activations(model: nn.Module, images: Images, layers: Sequence[str]) -> dict[str, Tensor]:
    """What each of `layers` gives for the images: name -> (N, ...), copies without a gradient.

    Of a layer that is used several times, the last result. Raises ValueError for a layer that does not exist, is not
    reached or gives no tensor, and for images that the model cannot take.
    """
    model = probing.checked_module("model", model)
    names = probing.checked_layers("layers", layers, model)
    x = probing.inputs(model, images)
    with probing.still(model), torch.no_grad(), probing.recorded(model, names) as found:
        probing.forward(model, x, logits=False)
        return {name: probing.result_of(found, name).detach().clone() for name in names}


def first_layer_filters(model: nn.Module, image_shape: Sequence[int] | None = None) -> Tensor:
    """The weights of the first convolution or fully connected layer, as pictures: a copy (O, C, kh, kw).

    image_shape: (C, H, W), needed if that layer is fully connected: each of its rows is a picture of that shape.
    The first layer is the one that the model registers first. Raises ValueError if there is none, or no shape.
    """
    model = probing.checked_module("model", model)
    shape = None if image_shape is None else probing.checked_shape("image_shape", image_shape)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            return module.weight.detach().clone()
        if isinstance(module, nn.Linear):
            if shape is None or math.prod(shape) != module.in_features:
                raise ValueError(
                    f"the first layer of the model is fully connected with {module.in_features} inputs: image_shape "
                    f"must be the shape (C, H, W) of an image with that many numbers, not {brief(shape)}"
                )
            return module.weight.detach().clone().reshape(-1, *shape)
    raise ValueError(f"the model {type(model).__name__} has no Conv2d and no Linear layer")


def occlusion(
    model: nn.Module,
    images: Images,
    targets: Targets,
    *,
    window: int = 6,
    stride: int = 2,
    baseline: float | Tensor | NDArray = 0.5,
    batch_size: int = 256,
) -> Tensor:
    """By how much the logit of the target falls when a window covers a pixel: (N, H, W), mean over those windows.

    baseline: what the window is filled with; a number, or a tensor that broadcasts to the images (uint8 become
    value / 255, as images do). A last window that sticks out is cut. Zeiler and Fergus, "Visualizing and understanding
    convolutional networks", 2014.
    Raises ValueError for a window that does not fit, and as `saliency` does.
    """
    model = probing.checked_module("model", model)
    x = probing.inputs(model, images)
    height, width = x.shape[2:]
    window, stride = integer("window", window), integer("stride", stride)
    if not 1 <= window <= min(height, width) or not 1 <= stride <= window:
        raise ValueError(
            f"window must be 1 to {min(height, width)}, the shorter side of the images, and stride 1 to window, "
            f"so that no pixel is left out, got window {brief(window)} and stride {brief(stride)}"
        )
    batch_size = integer("batch_size", batch_size, least=1)
    fill = probing.filled(model, "baseline", baseline, x.shape)
    down, across = (-(-(n - window) // stride) + 1 for n in (height, width))  # windows in each direction
    if down * across > MOST_PASSES:
        raise ValueError(
            f"stride {stride} makes {down * across:,} windows of images of {height} x {width} pixels, and at most "
            f"{MOST_PASSES:,} go through the model: take a larger one"
        )
    batch_size = min(batch_size, max(1, MOST_NUMBERS // x[0].numel()))
    with probing.still(model), torch.no_grad():
        logits = probing.forward(model, x.clone())
        chosen = probing.chosen_targets(targets, logits)
        maps = []
        for n, target in enumerate(chosen.tolist()):
            fall, times = torch.zeros_like(x[n, 0]), torch.zeros_like(x[n, 0])
            for first in range(0, down * across, batch_size):
                numbers = torch.arange(first, min(first + batch_size, down * across), device=x.device)
                covers = _windows(numbers // across * stride, height, window)[:, :, None]
                covers = covers & _windows(numbers % across * stride, width, window)[:, None, :]
                covered = probing.forward(model, torch.where(covers[:, None], fill[n], x[n]))[:, target]
                fall += ((logits[n, target] - covered)[:, None, None] * covers).sum(0)
                times += covers.sum(0)
            maps.append(fall / times)
        return torch.stack(maps)


def _windows(starts: Tensor, size: int, window: int) -> Tensor:
    """(len(starts), size), true where a pixel of a side lies in the window that starts there."""
    pixels = torch.arange(size, device=starts.device)
    return (pixels >= starts[:, None]) & (pixels < starts[:, None] + window)


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
    model = probing.checked_module("model", model)
    one_of("channels", channels, ("max", "all"))
    copies = integer("copies", copies, least=0, most=MOST_PASSES)
    noise = finite("noise", noise, least=0, most=LARGEST)
    generator = torch.Generator().manual_seed(seed_of("seed", seed))
    with probing.still(model), probing.with_gradient():
        x = probing.inputs(model, images)
        gradient = torch.zeros_like(x)
        for _ in range(copies or 1):
            shaken = x + noise * torch.randn(x.shape, generator=generator).to(x) if copies else x
            shaken = shaken.detach().clone().requires_grad_()
            logits = probing.forward(model, shaken)
            score = logits.gather(1, probing.chosen_targets(targets, logits)[:, None]).sum()
            gradient += probing.gradient(score, shaken) / (copies or 1)
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
    model = probing.checked_module("model", model)
    layer = probing.checked_layer("layer", layer, model)
    relu, upsample = flag("relu", relu), flag("upsample", upsample)
    with probing.still(model), probing.with_gradient(), probing.recorded(model, [layer]) as found:
        x = probing.inputs(model, images).requires_grad_()
        logits = probing.forward(model, x)
        maps = probing.result_of(found, layer)
        if maps.ndim != 4:
            raise ValueError(f"layer {layer} gives the shape {tuple(maps.shape)}: Grad-CAM needs maps (N, K, h, w)")
        score = logits.gather(1, probing.chosen_targets(targets, logits)[:, None]).sum()
        gradient = probing.gradient(score, maps)
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
    start: float | Tensor | NDArray | None = None,
) -> Tensor:
    """Images (len(channels), *shape) between 0 and 1, each of which excites one channel of `layer`.

    peak: climb towards the largest value of the channel's map, as `top_images` does; else towards its mean, which fills
    the whole image.
    Gradient ascent, with steps of root mean square `lr`. Against patterns that no image has: before each step the image
    rolls by up to `jitter` pixels, after every `blur` steps it is blurred by [1 2 1] / 4 (0: never), and each step
    `pull` of what differs from mid grey is taken away. start: (C, H, W) or what broadcasts to it, between 0 and 1; by
    default mid grey with a little noise of `seed`, the same for every channel. A channel without a gradient keeps its
    start.
    Erhan et al., 2009; Yosinski et al., "Understanding neural networks through deep visualization", 2015.
    Raises ValueError for a layer or channel that does not exist, or numbers that make no sense.
    """
    model = probing.checked_module("model", model)
    layer = probing.checked_layer("layer", layer, model)
    channels, shape = probing.checked_channels(channels), probing.checked_shape("shape", shape)
    peak = flag("peak", peak)
    affordable("shape", shape, len(channels) * math.prod(shape), itemsize=4)
    steps, blur = integer("steps", steps, least=0, most=MOST_PASSES), integer("blur", blur, least=0)
    jitter = integer("jitter", jitter, least=0, most=max(2, *shape[1:]))  # the roll is circular
    lr, pull = finite("lr", lr, above=0, most=LARGEST), finite("pull", pull, least=0, most=1)
    generator = torch.Generator().manual_seed(seed_of("seed", seed))
    if start is None:
        start = 0.5 + 0.05 * torch.randn(*shape, generator=generator)
    x = probing.filled(model, "start", start, (len(channels), *shape)).clone()
    if not 0 <= float(x.min()) <= float(x.max()) <= 1:
        raise ValueError(f"start must lie between 0 and 1, but reaches from {float(x.min()):g} to {float(x.max()):g}")
    kernel = torch.outer(*torch.tensor([[1.0, 2.0, 1.0]] * 2) / 4).to(x).expand(x.shape[1], 1, 3, 3)
    with probing.still(model), probing.with_gradient(), probing.recorded(model, [layer]) as found:
        if steps == 0:  # the channels must exist all the same
            probing.forward(model, x.clone(), logits=False)
            probing.with_channels(probing.result_of(found, layer), layer, channels)
        for step in range(1, steps + 1):
            roll = torch.randint(-jitter, jitter + 1, (2,), generator=generator).tolist()
            x = x.roll(roll, dims=(2, 3)).requires_grad_()
            probing.forward(model, x, logits=False)
            out = probing.with_channels(probing.result_of(found, layer), layer, channels)
            chosen = out[range(len(channels)), channels].reshape(len(channels), -1)
            score = (chosen.amax(dim=1) if peak else chosen.mean(dim=1)).sum()
            gradient = probing.gradient(score, x)
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

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            instance(name, value, Tensor, "a tensor")


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
    model = probing.checked_module("model", model)
    layer = probing.checked_layer("layer", layer, model)
    channels, k = probing.checked_channels(channels), integer("k", k, least=1)
    batch_size = integer("batch_size", batch_size, least=1)
    images = probing.checked_images(images, one=False)
    if k > len(images):
        raise ValueError(
            f"top_images: k is {brief(k)} and the images have shape {tuple(images.shape)}: give k or more of them"
        )
    seen = _seen(model, layer, images.shape[1:])
    peaks, places, columns = [], [], 1
    for batch in images.split(min(batch_size, len(images))):
        out = probing.with_channels(activations(model, batch, [layer])[layer], layer, channels)[:, channels]
        columns = out.shape[-1] if out.ndim == 4 else 1
        peak, place = out.flatten(2).max(dim=2) if out.ndim > 2 else (out, torch.zeros_like(out, dtype=torch.long))
        peaks.append(peak)
        places.append(place)
    order = torch.cat(peaks).T.sort(dim=1, descending=True, stable=True)
    values, index = order.values[:, :k], order.indices[:, :k]
    place = torch.cat(places).T.gather(1, index)
    boxes = _boxes(seen, images.shape[1:], place // columns, place % columns)
    affordable("k", k, index.numel() * images.shape[1] * math.prod(boxes[0, 0, 2:].tolist()), itemsize=8)
    shown = probing.inputs(model, images[index.flatten().to(images.device)])
    patches = torch.stack([_crop(x, box) for x, box in zip(shown, boxes.flatten(0, 1).tolist(), strict=True)])
    return TopImages(values, index, boxes, patches.unflatten(0, index.shape))


def _seen(model: nn.Module, layer: str, shape: Sequence[int]) -> Row:
    """What `trace` says of the layer, for images of that shape."""
    try:
        rows = trace.table(model, tuple(shape)).rows
    except ValueError as error:
        raise ValueError(f"the model cannot be traced for images of shape {tuple(shape)}: {error}") from error
    found = next((row for row in rows if row.name == layer), None)
    if found is None:
        raise ValueError(
            f"layer {layer} of the model has no row in the table of cnn_course.trace: its receptive field is unknown"
        )
    return found


def _boxes(seen: Row, shape: Sequence[int], row: Tensor, column: Tensor) -> Tensor:
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
