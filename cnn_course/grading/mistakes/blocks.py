"""Lab 07: what common slips in the blocks of VGG, GoogLeNet and ResNet would have returned, and the right blocks."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from cnn_course.errors import CheckFailed
from cnn_course.grading import checks
from cnn_course.grading.mistakes import parameters
from cnn_course.grading.mistakes.parameters import Net, Shapes, changed, shapes
from cnn_course.grading.networks import Network
from cnn_course.models import vgg
from cnn_course.models.googlenet import Inception
from cnn_course.models.resnet import BasicBlock, Bottleneck

Variants = Iterator[tuple[nn.Module, str]]
Block = TypeVar("Block", BasicBlock, Bottleneck)

NO_BIAS = "A convolution in front of a batch norm needs no bias (the norm has one): bias=False."


def basic(c_in: int, channels: int, stride: int) -> BasicBlock:
    """The right basic block, with a projection exactly where the shape changes."""
    return BasicBlock(c_in, channels, stride, _projection(c_in, channels, stride))


def bottle(c_in: int, width: int, stride: int) -> Bottleneck:
    """The right bottleneck block, in torchvision's form."""
    return Bottleneck(c_in, width, stride, _projection(c_in, 4 * width, stride))


def check_outputs(net: Network, right: Net, x: np.ndarray, variants: Callable[[Net], Variants], hint: str = "") -> None:
    """Raise CheckFailed unless `net` and `right`, with the same weights, make the same of x, in both modes.

    variants: wrong modules with the weights of `right`, and what to tell the student who has built one.
    """
    for training in (False, True):
        # In training mode a norm changes when it is used, so wrong networks are copies from before. They are run only
        # if an answer is wrong: check_array takes them one by one.
        fresh = copy.deepcopy(right)
        expected, got = parameters.output(right, x, training=training), net.forward(x, training=training)
        description = f"{net.description}(x){' in training mode' if training else ''}"
        wrong = _outputs(fresh, variants, x, training)
        checks.check_array(description, got, expected, mistakes=wrong, hint=hint, tolerance=1e-4)
    if any(True for _ in right.buffers()):
        again, expected = net.forward(x), parameters.output(right, x)
        hint = "each norm keeps running means of what it saw in training; is each of them used once in a pass?"
        checks.check_array(f"{net.description}(x), after a pass in training mode", again, expected, hint=hint)
    _check_gradients(net, right, x, expected.shape)


def _check_gradients(net: Network, right: Net, x: np.ndarray, shape: Sequence[int]) -> None:
    """Raise CheckFailed if no gradient of a loss on the outputs, of this shape, reaches a parameter."""
    labels = np.zeros((shape[0], *shape[2:]), dtype=np.int64)
    pairs = zip(net.gradients(x, labels), Network("the right one", right).gradients(x, labels), strict=True)
    for number, (got, wanted) in enumerate(pairs, start=1):
        if np.any(wanted) and not np.any(got):
            raise CheckFailed(
                f"{net.description}: the outputs are right, but no gradient reaches parameter {number} of shape "
                f"{wanted.shape}, so it would never learn. Is something cut off with detach, .data or no_grad?"
            )


def stage_shapes(count: int, c_in: int, c_out: int) -> list[tuple[Shapes, str]]:
    def stack(*pairs: tuple[int, int], kernel: int = 3, tensors: int = 2) -> Shapes:
        return [s for i, o in pairs for s in ((o, i, kernel, kernel), (o,))[:tensors]]

    right = [(c_in if i == 0 else c_out, c_out) for i in range(count)]
    found = [
        (stack(*right, tensors=1), "The convolutions have no bias: leave bias at its default, True."),
        (stack(*right, kernel=5), "The kernels are 5 x 5: VGG has 3 x 3 throughout."),
        (stack(*right[:1]), "There is always one convolution: use `count`."),
        (stack(*right[:2]), "There are always two convolutions: use `count`."),
        (stack(*right, (c_out, c_out)), "There is one convolution too many."),
        (
            stack(*[(c_in, c_in)] * (count - 1), (c_in, c_out)),
            "The first convolution changes the channels, not the last.",
        ),
        (shapes(vgg.stage(count, c_in, c_out, batch_norm=True)), "No batch norm here: the paper had none."),
    ]
    return _unlike(stack(*right), found)


def stages(right: nn.Sequential) -> Variants:
    names = [name for name, layer in right.named_children() if isinstance(layer, nn.ReLU)]
    gone = {name: nn.Identity() for name in names}
    yield changed(right, gone), "It looks as if there is no ReLU: one follows each convolution."
    yield changed(right, dict(list(gone.items())[:-1])), "It looks as if only the last convolution has a ReLU."
    yield changed(right, {names[-1]: nn.Identity()}), "It looks as if the last convolution has no ReLU."
    pool = str(len(right) - 1)
    yield changed(right, {pool: nn.AvgPool2d(2)}), "It looks as if the pool averages; it takes the maximum."
    yield changed(right, {pool: nn.Identity()}), "It looks as if the pool is missing: it halves both sides."
    ceiling = (
        "It looks as if the pool keeps half a window at the end (ceil_mode): of an odd side the last row is dropped."
    )
    yield changed(right, {pool: nn.MaxPool2d(2, ceil_mode=True)}), ceiling
    yield changed(right, {pool: nn.MaxPool2d(3, 2, 1)}), "The pool looks at 3 x 3; VGG's looks at 2 x 2."
    unpadded = copy.deepcopy(right)
    for layer in unpadded:
        if isinstance(layer, nn.Conv2d):
            layer.padding = (0, 0)
    yield unpadded, "It looks as if the convolutions are not padded: padding=1 keeps the size."
    each = copy.deepcopy(right)
    for name in names[:-1]:
        each = changed(each, {name: nn.Sequential(nn.ReLU(), nn.MaxPool2d(2))})
    yield each, "It looks as if there is a pool after each convolution: there is one, at the end."


def inception_shapes(
    c_in: int, one: int, reduce3: int, three: int, reduce5: int, five: int, pool: int
) -> list[tuple[Shapes, str]]:
    def block(kernel: int = 5, pooled: int = c_in) -> Shapes:
        convs = ((c_in, one, 1), (c_in, reduce3, 1), (reduce3, three, 3), (c_in, reduce5, 1))
        convs = (*convs, (reduce5, five, kernel), (pooled, pool, 1))
        return [s for i, o, k in convs for s in ((o, i, k, k), (o,))]

    right = block()
    naive = [(c_in, one, 1), (c_in, three, 3), (c_in, five, 5)]
    found: list[tuple[Shapes, str]] = [
        (block(kernel=3), "The large kernel is 3 x 3, the slip of torchvision's network; it is 5 x 5 here."),
        (right[:-2], "The convolution behind the pool is missing: it brings c_in channels to `pool`."),
        ([s for i, o, k in naive for s in ((o, i, k, k), (o,))], "The 1 x 1 convolutions that squeeze are missing."),
        (
            [s for i, o, k in [*naive, (c_in, pool, 1)] for s in ((o, i, k, k), (o,))],
            "The 1 x 1 convolutions in front of the 3 x 3 and the 5 x 5 are missing.",
        ),
        (right[::2], "The convolutions have no bias: leave bias at its default, True."),
    ]
    return _unlike(right, found)


def inceptions(right: Inception) -> Variants:
    relus = [name for name, layer in right.named_modules() if isinstance(layer, nn.ReLU)]
    gone = {name: nn.Identity() for name in relus}
    squeezes = [name for name in relus if name in ("three.0.relu", "five.0.relu")]
    yield changed(right, gone), "It looks as if there is no ReLU: one follows each convolution."
    yield changed(right, {n: gone[n] for n in squeezes}), "It looks as if the squeezing convolutions have no ReLU."
    last = {n: gone[n] for n in relus if n not in squeezes}
    yield changed(right, last), "It looks as if the last convolution of each branch has no ReLU."
    zeros = nn.Sequential(nn.ZeroPad2d(1), nn.MaxPool2d(3, 1))
    bordered = "It looks as if the pool sees zeros around the picture: a border of nn.MaxPool2d never wins (padding=1)."
    yield changed(right, {"pool.0": zeros}), bordered
    yield changed(right, {"pool.0": nn.AvgPool2d(3, 1, 1)}), "It looks as if the pool averages; it takes the maximum."
    yield changed(right, {"pool.0": nn.Identity()}), "It looks as if the pool is missing in the fourth branch."
    behind = copy.deepcopy(right)
    behind.pool = nn.Sequential(behind.pool[1], behind.pool[0])
    yield behind, "It looks as if the pool stands behind its 1 x 1 convolution; it stands in front of it."
    branches = ("one", "three", "five", "pool")
    other = "It looks as if the branches are stacked in another order: one, three, five, pool."
    yield _forward(right, lambda b, x: torch.cat([getattr(b, n)(x) for n in branches[::-1]], dim=1)), other
    yield _forward(right, lambda b, x: torch.cat([getattr(b, n)(x) for n in ("pool", *branches[:3])], dim=1)), other
    yield (
        _forward(right, lambda b, x: torch.cat([getattr(b, n)(x) for n in branches[:3]], dim=1)),
        ("It looks as if the fourth branch, with the pool, is not stacked."),
    )
    high = "It looks as if the branches are stacked along the height; channels are axis 1."
    yield _forward(right, lambda b, x: torch.cat([getattr(b, n)(x) for n in branches], dim=2)), high
    total = "It looks as if the branches are added; stack them along the channels with torch.cat."
    yield _forward(right, lambda b, x: sum(getattr(b, n)(x) for n in branches)), total


def residual_shapes(right: BasicBlock | Bottleneck, c_in: int, c_out: int) -> list[tuple[Shapes, str]]:
    """Of blocks that are nearly `right`, a basic or a bottleneck block."""
    layers: Shapes = [tuple(p.shape) for name, p in right.named_parameters() if "downsample" not in name]
    projection: Shapes = [(c_out, c_in, 1, 1), (c_out,), (c_out,)]
    with_biases = [s for shape in shapes(right) for s in ([shape, shape[:1]] if len(shape) > 1 else [shape])]
    never = "There is no projection, but the shape changes here: x cannot be added as it is."
    always = "There is a projection, but x has the right shape here: add x itself."
    found: list[tuple[Shapes, str]] = [
        (layers, never),
        ([*layers, *projection], always),
        ([*layers, *projection[:1]], "The projection has no batch norm." if right.downsample is not None else always),
        ([*projection, *layers], "The projection is listed first: put it into the module behind the other layers."),
        (with_biases, NO_BIAS),
        ([s for s in shapes(right) if len(s) > 1], "The batch norms are missing: one follows each convolution."),
    ]
    return _unlike(shapes(right), found)


def bottleneck_shapes(right: Bottleneck, c_in: int, width: int) -> list[tuple[Shapes, str]]:
    def convs(*sizes: tuple[int, int, int]) -> Shapes:
        return [s for i, o, k in sizes for s in ((o, i, k, k), (o,), (o,))]

    narrow = convs((c_in, width, 1), (width, width, 3), (width, width, 1))
    wide = convs((c_in, 4 * width, 1), (4 * width, 4 * width, 3), (4 * width, 4 * width, 1))
    expansion = "The last 1 x 1 convolution gives `width` channels: it gives four times as many."
    squeeze = "The 3 x 3 convolution works on 4·width channels: the first 1 x 1 squeezes to `width`."
    found = [(narrow, expansion), (wide, squeeze)]
    found += [
        (some + convs((c_in, o, 1)), text) for some, o, text in ((narrow, width, expansion), (wide, 4 * width, squeeze))
    ]
    return [*residual_shapes(right, c_in, 4 * width), *_unlike(shapes(right), found)]


def basics(right: BasicBlock) -> Variants:
    def inner(b: BasicBlock, x: torch.Tensor) -> torch.Tensor:
        return b.bn2(b.conv2(F.relu(b.bn1(b.conv1(x)))))

    yield from _additions(right, inner)
    yield (
        _forward(right, lambda b, x: F.relu(b.bn2(b.conv2(b.bn1(b.conv1(x)))) + _shortcut(b, x))),
        "It looks as if the ReLU between the two convolutions is missing.",
    )
    late = copy.deepcopy(right)
    late.conv1.stride, late.conv2.stride = late.conv2.stride, late.conv1.stride
    yield late, "It looks as if the second convolution has the stride; the first one has it."


def bottlenecks(right: Bottleneck) -> Variants:
    def inner(b: Bottleneck, x: torch.Tensor) -> torch.Tensor:
        return b.bn3(b.conv3(F.relu(b.bn2(b.conv2(F.relu(b.bn1(b.conv1(x))))))))

    yield from _additions(right, inner)
    early, late = copy.deepcopy(right), copy.deepcopy(right)
    early.conv1.stride, early.conv2.stride = right.conv2.stride, (1, 1)
    late.conv3.stride, late.conv2.stride = right.conv2.stride, (1, 1)
    yield (
        early,
        (
            "It looks as if the first 1 x 1 has the stride, as in the paper, and skips three pixels of four; here the "
            "3 x 3 has it."
        ),
    )
    yield late, "It looks as if the last 1 x 1 has the stride; the 3 x 3 has it."

    def one_relu_short(b: Bottleneck, x: torch.Tensor, first: bool) -> torch.Tensor:
        out = b.bn1(b.conv1(x))
        out = b.bn2(b.conv2(out if first else F.relu(out)))
        return F.relu(b.bn3(b.conv3(F.relu(out) if first else out)) + _shortcut(b, x))

    yield _forward(right, lambda b, x: one_relu_short(b, x, True)), "It looks as if the first ReLU is missing."
    yield _forward(right, lambda b, x: one_relu_short(b, x, False)), "It looks as if the second ReLU is missing."


def _projection(c_in: int, c_out: int, stride: int) -> nn.Module | None:
    if stride == 1 and c_in == c_out:
        return None
    return nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))


def _shortcut(block: BasicBlock | Bottleneck, x: torch.Tensor) -> torch.Tensor:
    return x if block.downsample is None else block.downsample(x)


def _additions(right: Block, inner: Callable[[Block, torch.Tensor], torch.Tensor]) -> Variants:
    yield _forward(right, lambda b, x: F.relu(inner(b, x))), "It looks as if nothing is added: this is relu(F(x))."
    yield (
        _forward(right, lambda b, x: inner(b, x) + _shortcut(b, x)),
        "It looks as if the ReLU after the addition is missing.",
    )
    yield (
        _forward(right, lambda b, x: F.relu(inner(b, x)) + _shortcut(b, x)),
        "It looks as if the last ReLU stands in front of the addition; it follows the addition.",
    )
    if right.downsample is not None:
        yield (
            _forward(right, lambda b, x: F.relu(inner(b, x) + F.relu(_shortcut(b, x)))),
            "It looks as if the projection has a ReLU of its own; it is a convolution and a batch norm only.",
        )
        unnormed = changed(right, {"downsample.1": nn.Identity()})
        yield unnormed, "It looks as if the batch norm of the projection is not used."


def _forward(right: Net, compute: Callable[[Net, torch.Tensor], torch.Tensor]) -> Net:
    """A copy of `right` that computes something else with its layers."""
    net = copy.deepcopy(right)
    net.forward = lambda x: compute(net, x)
    return net


def _outputs(
    right: Net, variants: Callable[[Net], Variants], x: np.ndarray, training: bool
) -> Iterator[tuple[np.ndarray, str]]:
    for module, message in variants(right):
        out = _tried(module, x, training)
        if out is not None:
            yield out, message
    if training and (out := _tried(right, x, False)) is not None:
        yield out, "The norms use their stored statistics in training mode, too."


def _tried(module: nn.Module, x: np.ndarray, training: bool) -> np.ndarray | None:
    """None where the wrong network cannot take x at all."""
    try:
        return parameters.output(module, x, training=training)
    except (RuntimeError, ValueError):
        return None


def _unlike(right: Shapes, found: list[tuple[Shapes, str]]) -> list[tuple[Shapes, str]]:
    return [(candidate, message) for candidate, message in found if candidate != right]
