"""Lab 07: what common slips in a ResNet for CIFAR and in the norms of its gradients would have returned."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from cnn_course.errors import CheckFailed
from cnn_course.grading.mistakes.blocks import NO_BIAS, Variants
from cnn_course.grading.mistakes.parameters import Shapes, changed, shapes
from cnn_course.grading.networks import Network
from cnn_course.models import resnet


def cifar_shapes(depth: int, width: int, classes: int) -> Iterator[tuple[Shapes, str]]:
    def other(depth: int = depth, width: int = width, classes: int = classes) -> Shapes:
        return shapes(resnet.resnet_cifar(depth, width, classes=classes))

    right, n = other(), f"depth {depth} = 6n + 2 has n = {depth // 6}"
    yield other(depth + 6), f"There is one block too many in each stage: {n}."
    if depth > 8:
        yield other(depth - 6), f"There is one block too few in each stage: {n}."
    if depth != 20:
        yield other(20), "The depth is always 20: use `depth`."
    if width != 16:
        yield other(width=16), "The width is always 16: use `width`."
    if classes != 10:
        yield other(classes=10), "There are always 10 outputs: use `classes`."
    yield other(width=2 * width), "Every stage is twice as wide as asked for."
    yield [right[0], right[0][:1], *right[1:]], NO_BIAS
    yield [right[0], *right[3:]], "The batch norm behind the first convolution is missing."
    yield right[:-2], "The last layer, the fully connected one, is missing."


def cifars(right: nn.Module) -> Variants:
    plain = copy.deepcopy(right)
    for block in _blocks(plain).values():
        block.residual = False
    yield plain, "These are the logits of the plain network: nothing is added. Is `residual` left at True?"
    yield changed(right, {"relu": nn.Identity()}), "It looks as if the ReLU behind the first batch norm is missing."
    yield changed(right, {"avgpool": nn.AdaptiveMaxPool2d(1)}), "The global pool takes the maximum; it averages."
    yield changed(right, {"bn1": nn.Identity()}), "It looks as if the first batch norm is not used."
    yield nn.Sequential(right, nn.Softmax(dim=1)), "The outputs are probabilities: leave the softmax out."
    early = copy.deepcopy(right)
    first = _blocks(early)["layer1.0"]
    first.conv1.stride, first.downsample = (2, 2), nn.AvgPool2d(1, 2)
    yield early, "It looks as if the first stage halves the side, too; only the second and the third do."
    whole = copy.deepcopy(right)
    for name in ("layer2.0", "layer3.0"):
        first = _blocks(whole)[name]
        first.conv1.stride, first.downsample = (1, 1), _Padded()
    yield whole, "It looks as if no stage halves the side: the first block of the second and the third has stride 2."


def norms(net: Network, right: nn.Module, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """‖∂L/∂w‖ of each convolution of `net`, which has the shapes of `right`; CheckFailed if these are no numbers."""
    gradients = net.gradients(images, labels)
    expected = shapes(right)
    if not isinstance(gradients, list) or len(gradients) != len(expected):
        raise CheckFailed(f"{net.description}: the gradients cannot be read.")
    found = []
    for gradient, shape in zip(gradients, expected, strict=True):
        if type(gradient) is not np.ndarray or gradient.shape != shape or gradient.dtype.kind != "f":
            raise CheckFailed(f"{net.description}: a gradient has not the shape of its parameter.")
        if len(shape) == 4:
            found.append(np.sqrt((gradient.astype(np.float64) ** 2).sum()))
    return np.array(found)


def expected_norms(net: nn.Module, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """‖∂L/∂w‖ / ‖w‖ of each convolution of `net`, a network of ours, from the first to the last."""
    own = norms(Network("", copy.deepcopy(net)), net, images, labels)
    return own / np.array([np.linalg.norm(p.detach().double()) for p in net.parameters() if p.ndim == 4])


def relative_norms(net: nn.Module, images: np.ndarray, labels: np.ndarray) -> list[tuple[np.ndarray, str]]:
    """Results of wrong measurements of ‖∂L/∂w‖ / ‖w‖ of each convolution of `net`."""
    weights = [p.detach().numpy().astype(np.float64) for p in net.parameters()]
    gradients = [g.astype(np.float64) for g in Network("", copy.deepcopy(net)).gradients(images, labels)]
    fixed = [g.astype(np.float64) for g in _in_evaluation(net, images, labels)]
    kernels = [i for i, w in enumerate(weights) if w.ndim == 4]
    dense = [i for i, w in enumerate(weights) if w.ndim > 1]

    def ratios(places: list[int] | range, grads: list[np.ndarray] = gradients, p: int = 2) -> np.ndarray:
        return np.array([_size(grads[i], p) / max(_size(weights[i], p), 1e-12) for i in places])

    right = ratios(kernels)
    own = np.array([_size(gradients[i], 2) for i in kernels])
    return [
        (ratios(range(len(weights))), "These are all parameters; take the convolutions, whose weights have four axes."),
        (ratios(dense), "The fully connected layer is among them; take the weights with four axes."),
        (own, "These are the norms of the gradients: divide each by the norm of its weights."),
        (1 / right, "The quotient is upside down: gradient over weights."),
        (right**2, "These are the squares of the quotients: the norm is the root of the sum of squares."),
        (right * len(labels), "It looks as if the loss is the sum over the batch; take the mean."),
        (ratios(kernels, fixed), "It looks as if the network is in evaluation mode; leave it in training mode."),
        (right[::-1], "The order is the other way round: the first convolution comes first."),
        (ratios(kernels, p=1), "These are sums of absolute values; the norm is the root of the sum of squares."),
        (own / np.array([_size(own, 2)]), "Each norm is divided by the norm of all; divide it by that of its weights."),
    ]


class _Padded(nn.Module):
    """x, with as many channels again that are 0."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x, x * 0], dim=1)


def _blocks(net: nn.Module) -> dict[str, resnet.BasicBlock]:
    """The blocks of a ResNet by name: layer1.0, layer1.1, ..."""
    return {name: block for name, block in net.named_modules() if isinstance(block, resnet.BasicBlock)}


def _in_evaluation(net: nn.Module, images: np.ndarray, labels: np.ndarray) -> list[np.ndarray]:
    net = copy.deepcopy(net).eval()
    loss = F.cross_entropy(net(torch.tensor(images)), torch.tensor(labels))
    return [g.numpy() for g in torch.autograd.grad(loss, list(net.parameters()))]


def _size(values: np.ndarray, p: int) -> float:
    return float(np.linalg.norm(values.ravel(), p))
