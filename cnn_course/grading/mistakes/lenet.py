"""Lab 06: what common slips in a LeNet, its training and its data would have returned."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from cnn_course.datasets import Split
from cnn_course.errors import CheckFailed
from cnn_course.grading import checks
from cnn_course.grading.mistakes import parameters
from cnn_course.grading.networks import Network
from cnn_course.train import fit
from cnn_course.training.recipe import TrainConfig

Candidates = Iterator[tuple[np.ndarray, str]]

_NOT_LEARNED = (
    "Are the images and the labels of a batch taken with the same indices? Does every step call backward and step? "
    "Is the network that you return the one that was trained?"
)
_RELU_AFTER = {"relu1": "c1", "relu3": "c3", "relu5": "c5", "relu6": "f6"}


def lenet_shapes(classes: int, channels: int, size: int) -> list[tuple[parameters.Shapes, str]]:
    """Shapes of the parameters of networks that are nearly LeNet, for (channels, size, size) pictures."""
    side = (size // 2 - 4) // 2
    unpadded = ((size - 4) // 2 - 4) // 2
    padded = (size // 2) // 2
    found = [
        (_shapes(classes, channels, 5) if size != 28 else [], "The inputs of c5 are typed in for 28 x 28: use `size`."),
        (_shapes(classes, channels, unpadded), "It looks as if c1 does not pad: padding=2 keeps the size."),
        (_shapes(classes, channels, padded), "It looks as if c3 pads too: only c1 does."),
        (_shapes(classes, channels, side, kernel=3), "The kernels are 3 x 3 instead of 5 x 5."),
        (_shapes(classes, channels, side)[::2], "The layers have no biases: leave bias at its default, True."),
        (_shapes(classes, channels, side)[:8], "The last layer, output, is missing."),
        (_shapes(10, channels, side), "There are always 10 outputs: use `classes`."),
        (_shapes(classes, 1, side), "c1 always has 1 input channel: use `channels`."),
    ]
    right = _shapes(classes, channels, side)
    return [(shapes, message) for shapes, message in found if shapes != right]


def logits(right: nn.Module, x: np.ndarray) -> Candidates:
    """Outputs of networks that have the parameters of `right`, a package's LeNet, and compute something else."""
    relus = list(_RELU_AFTER)
    some: dict[str, dict[str, nn.Module]] = {
        "It looks as if there is no ReLU at all: without one the layers between two pools are a single linear map.": {
            name: nn.Identity() for name in relus
        },
        **{
            f"It looks as if the ReLU after {layer} is missing.": {n: nn.Identity()} for n, layer in _RELU_AFTER.items()
        },
        "It looks as if c1 and c3 have no ReLU.": {"relu1": nn.Identity(), "relu3": nn.Identity()},
        "It looks as if c5 and f6 have no ReLU.": {"relu5": nn.Identity(), "relu6": nn.Identity()},
        "The activation is tanh, as in 1998; this lab asks for ReLU.": {name: nn.Tanh() for name in relus},
        "The activation is a sigmoid; this lab asks for ReLU.": {name: nn.Sigmoid() for name in relus},
        "It looks as if the pools average; they take the maximum.": {"s2": nn.AvgPool2d(2), "s4": nn.AvgPool2d(2)},
    }
    for message, change in some.items():
        yield parameters.output(parameters.changed(right, change), x), message
    plain = parameters.output(right, x)
    with_softmax = F.softmax(torch.tensor(plain), dim=1).numpy()
    yield with_softmax, "The outputs are probabilities: leave the softmax out, cross_entropy contains it."
    yield np.log(with_softmax + 1e-30), "There is a log-softmax at the end: leave it out, cross_entropy contains it."
    yield np.maximum(plain, 0), "There is a ReLU after the last layer: a logit may be negative."
    swapped = parameters.output(right, x.swapaxes(2, 3).copy())
    yield swapped, "It looks as if the rows and columns of the image are swapped."


def after_fit(start: nn.Module, images: np.ndarray, labels: np.ndarray, lr: float, steps: int) -> np.ndarray:
    """The right weights after gradient steps on one batch, as one vector, from the course's training loop."""
    if steps == 0:
        return _vector(start)
    # With batches as large as the set, an epoch is a step.
    config = TrainConfig(epochs=steps, batch_size=len(labels), lr=lr, optimizer="sgd", momentum=0.0, device="cpu")
    fit(start, Split(images, labels), config, verbose=False)
    return _vector(start)


def calm_weights(
    build: Callable[[np.ndarray], nn.Module],
    draw: Callable[[], np.ndarray],
    images: np.ndarray,
    labels: np.ndarray,
    lr: float,
    steps: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Weights as `draw` gives them, and those after the steps, which move little if the first ones are shaken a little.

    Where two numbers in a window of a pool are nearly equal, or one before a ReLU is nearly zero, a rounding error
    decides where the gradient goes, and right answers that add up in another order end elsewhere. Each shake comes
    with its opposite: one of the two moves such a number over to the other side.
    """
    shake = np.random.default_rng(0)
    for _ in range(100):
        weights = draw()
        moves = [5e-6 * sign * z for z in shake.normal(size=(2, *weights.shape)) for sign in (1, -1)]
        near = [weights * (1 + move).astype(weights.dtype) for move in moves]
        right, *beside = (after_fit(build(start), images, labels, lr, steps) for start in (weights, *near))
        if all(np.abs(end - right).max() <= 1e-5 for end in beside):
            return weights, right
    raise AssertionError("no weights from which the steps lead to one place")  # one draw in sixty is of that kind


def descended(start: nn.Module, images: np.ndarray, labels: np.ndarray, lr: float, steps: int) -> Candidates:
    """Weights, as one vector, after gradient steps that went wrong; they begin at the weights of `start`."""
    run = (start, images, labels, lr)
    yield _vector(start), "These are the weights at the start: no step was taken, or another network is returned."
    yield (
        _descend(*run, steps, keep=True),
        "It looks as if each step still holds the gradients of the steps before: backward() adds to .grad, so set the "
        "gradients to zero in every step.",
    )
    yield _descend(*run, steps, scale=1), "It looks as if the pixels run from 0 to 255: divide them by 255."
    yield _descend(*run, steps, reduction="sum"), "It looks as if the loss is the sum over the batch; take the mean."
    yield _descend(*run, steps, sign=-1), "The steps go uphill: subtract lr times the gradient."
    yield (
        _descend(*run, steps, softmax=True),
        "It looks as if a softmax stands before cross_entropy, which already contains one: give it the logits.",
    )
    yield _descend(*run, 1), "It looks as if one step was taken, whatever `steps` says: is `return` inside the loop?"
    yield _descend(*run, steps + 1), "It looks as if one step too many was taken."
    yield _descend(*run, max(steps - 1, 0)), "It looks as if one step too few was taken."
    yield _descend(*run, steps, momentum=0.9), "It looks as if the steps have momentum; this question asks for none."
    yield _descend(start, images[:1], labels[:1], lr, steps), "It looks as if only the first image is used."


def evaluations(net: nn.Module, images: np.ndarray, labels: np.ndarray, batch_size: int) -> Candidates:
    """(loss, accuracy) of wrong evaluations of `net`."""
    with torch.no_grad():
        raw, scaled = (net.eval()(torch.tensor(images).float() / most) for most in (1, 255))
    target = torch.tensor(labels)
    right = (scaled.argmax(dim=1) == target).double().numpy()
    loss = F.cross_entropy(scaled, target, reduction="none").double().numpy()
    cuts = range(batch_size, len(labels), batch_size)
    means = [[np.mean(part) for part in np.split(values, cuts)] for values in (loss, right)]
    both = np.mean(means, axis=1)
    of_means = "It looks as if the batch means are averaged. The last batch is smaller, so it counts too much: add up "
    yield both, of_means + "sums and divide by the number of images."
    yield np.array([both[0], right.mean()]), "The accuracy is right. " + of_means + "the losses and divide at the end."
    yield np.array([loss.sum(), right.mean()]), "The loss is the sum over the images: divide it by their number."
    yield np.array([loss.sum(), right.sum()]), "These are sums over the images: divide both by their number."
    yield np.array([loss.mean(), right.sum()]), "The number of right answers is not yet a share: divide it."
    yield np.array([loss.mean(), 100 * right.mean()]), "The accuracy is in per cent; give a share between 0 and 1."
    yield np.array([loss.mean(), 1 - right.mean()]), "That is the share of wrong answers; give that of right ones."
    yield np.array([right.mean(), loss.mean()]), "The two numbers are swapped: the loss comes first."
    full = len(labels) // batch_size * batch_size
    if 0 < full < len(labels):
        yield np.array([loss[:full].mean(), right[:full].mean()]), "It looks as if the last, smaller batch is dropped."
    yield np.array([means[0][0], means[1][0]]), "It looks as if only the first batch is used."
    yield np.array([means[0][-1], means[1][-1]]), "It looks as if only the last batch is used."
    share_raw = float((raw.argmax(dim=1) == target).double().mean())
    unscaled = np.array([float(F.cross_entropy(raw, target)), share_raw])
    yield unscaled, "It looks as if the pixels run from 0 to 255: divide them by 255."
    twice = float(F.cross_entropy(scaled.softmax(dim=1), target))
    yield (
        np.array([twice, right.mean()]),
        "The accuracy is right. It looks as if a softmax stands before cross_entropy, which already contains one.",
    )


def check_same_twice(description: str, function: Callable, *arguments: object) -> None:
    """Raise CheckFailed if two calls with the same arguments return two different arrays of finite numbers."""
    first, second = (_floats(checks.call(description, function, *arguments)) for _ in range(2))
    if first is None or second is None or first.shape != second.shape:
        return
    if not np.allclose(first, second, rtol=1e-4, atol=1e-6):
        raise CheckFailed(
            f"{description}: two calls with the same arguments gave {_short(first)} and {_short(second)}. Dropout is "
            "still on and draws anew each time: a network that is judged has to be in evaluation mode."
        )


def check_accuracy(
    net: Network,
    right: nn.Module,
    seen: tuple[np.ndarray, np.ndarray],
    unseen: tuple[np.ndarray, np.ndarray],
    least: float,
    *,
    shuffled: Callable[[], Network] | None = None,
) -> None:
    """Raise CheckFailed unless the weights of `net`, put into `right`, give a share of `least` right answers.

    right: the package's network, with any weights. seen, unseen: (images, labels) of the training and of the test.
    shuffled: trains the same network on the same images in random order, for the wording if the first one failed.
    """
    share = _share(net, right, unseen)
    if share >= least:
        return
    text = (
        f"{net.description}: {share:.0%} of the answers to {len(unseen[1])} new pictures are right; "
        f"at least {least:.0%} were expected."
    )
    if _share(net, right, unseen, scale=1) >= least:
        text += " With pixels from 0 to 255 it would be enough: divide by 255 in training, too."
    elif shuffled is not None and _share(shuffled(), right, unseen) >= least:
        text += (
            " These training images were sorted by class. The same images in random order are enough: every epoch has "
            "to go through them in a new random order."
        )
    elif _share(net, right, seen) < 0.3:
        text += f" The training images are not learned either. {_NOT_LEARNED}"
    else:
        text += (
            " It has learned something, but not enough. Is the gradient set to zero in each step, are all batches used "
            "in every epoch, and is there no softmax before cross_entropy?"
        )
    raise CheckFailed(text)


def check_learned(net: Network, right: nn.Module, seen: tuple[np.ndarray, np.ndarray], batch_size: int) -> None:
    """Raise CheckFailed unless `net`, trained for long on a few images, gets nearly all of them right."""
    count = len(seen[1])
    if _share(net, right, seen) >= 0.8:
        return
    if batch_size > count:
        reason = (
            f"In batches of {count} they were learned, but there are fewer images than batch_size: the last batch of "
            "an epoch may be smaller than the others and counts too."
        )
    else:
        reason = _NOT_LEARNED
    raise CheckFailed(f"{net.description}: {count} images were not learned in that many epochs. {reason}")


def check_seeds(one: Network, again: Network, other: Network, right: nn.Module) -> None:
    """Raise CheckFailed unless one and again, of the same seed, have the same weights, and other has not."""
    first, second, third = (parameters.weights(net, right) for net in (one, again, other))
    if not np.allclose(first, second, rtol=1e-4, atol=1e-6):
        raise CheckFailed(
            f"{one.description}: two calls with the same seed gave two networks. Call torch.manual_seed(seed) before "
            "anything is drawn, the first weights as well as the order of the images."
        )
    if np.allclose(first, third, rtol=1e-4, atol=1e-6):
        raise CheckFailed(f"{other.description}: this is the same network as with another seed. Use `seed`.")


def check_new_orders(
    nets: Sequence[Network],
    build: Callable[[], nn.Module],
    images: np.ndarray,
    labels: np.ndarray,
    epochs: int,
    lr: float,
) -> None:
    """Raise CheckFailed if every net, of seed 0, 1, ..., saw two images in one order in all epochs, one at a time.

    That can be told from the weights: both orders are gone through here. A new order in each epoch is the same by
    chance too, but not with every seed.
    """
    for seed, net in enumerate(nets):
        ends = []
        for order in ([0, 1], [1, 0]):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                model = build()
            optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
            x, y = torch.tensor(images) / 255, torch.tensor(labels)
            for i in order * epochs:
                optimizer.zero_grad()
                F.cross_entropy(model(x[i : i + 1]), y[i : i + 1]).backward()
                optimizer.step()
            ends.append(_vector(model))
        got, apart = parameters.weights(net, build()), np.linalg.norm(ends[0] - ends[1])
        if min(np.linalg.norm(got - end) for end in ends) > 0.1 * apart:
            return
    raise CheckFailed(
        f"{nets[0].description}: the images came in the same order in every epoch, with this seed and with "
        f"{len(nets) - 1} others. Draw a new random order inside the loop over the epochs."
    )


def _shapes(classes: int, channels: int, side: int, kernel: int = 5) -> parameters.Shapes:
    sizes = ((6, channels, kernel, kernel), (16, 6, kernel, kernel), (120, 16 * side * side), (84, 120), (classes, 84))
    return [shape for size in sizes for shape in (size, size[:1])]


def _vector(net: nn.Module) -> np.ndarray:
    return np.concatenate([p.detach().numpy().ravel() for p in net.parameters()])


def _descend(
    start: nn.Module,
    images: np.ndarray,
    labels: np.ndarray,
    lr: float,
    steps: int,
    *,
    scale: float = 255,
    sign: float = 1,
    momentum: float = 0,
    keep: bool = False,
    softmax: bool = False,
    reduction: str = "mean",
) -> np.ndarray:
    net = copy.deepcopy(start)
    optimizer = torch.optim.SGD(net.parameters(), lr=lr, momentum=momentum, maximize=sign < 0)
    x, y = torch.tensor(images).float() / scale, torch.tensor(labels)
    for _ in range(steps):
        if not keep:
            optimizer.zero_grad()
        logits = net(x)
        F.cross_entropy(logits.softmax(dim=1) if softmax else logits, y, reduction=reduction).backward()
        optimizer.step()
    return _vector(net)


def _share(net: Network, right: nn.Module, data: tuple[np.ndarray, np.ndarray], scale: float = 255) -> float:
    """Share of right answers of `right` with the weights of `net`."""
    model = copy.deepcopy(right)
    vector = torch.tensor(parameters.weights(net, right), dtype=torch.float32)
    nn.utils.vector_to_parameters(vector, model.parameters())
    images, labels = data
    answers = parameters.output(model, images.astype(np.float32) / np.float32(scale)).argmax(axis=1)
    return float((answers == labels).mean())


def _floats(got: object) -> np.ndarray | None:
    got = parameters.as_array(got)
    if type(got) is np.ndarray and got.dtype.kind == "f" and 0 < got.size <= 100 and np.isfinite(got).all():
        return got.astype(np.float64)
    return None


def _short(values: np.ndarray) -> str:
    return "[" + ", ".join(f"{v:.4g}" for v in values.ravel()[:4]) + "]"
