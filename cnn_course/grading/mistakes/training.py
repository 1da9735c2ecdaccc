"""Lab 05: how well returned weights read new images, and the likeliest reason where they do not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from cnn_course import network, synthetic
from cnn_course.equivariance import relative_difference
from cnn_course.errors import CheckFailed
from cnn_course.grading import checks, describe
from cnn_course.pooling import avg_pool

FILTERS, SIDE, CLASSES = 8, 14, 10
FIRST, NEW = 20, 400
LEAST_ACCURACY = 0.85


def glyph_images(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Digits drawn from fonts, at half size: float32 (count, 1, 14, 14) from 0 to 1, and their labels (count,)."""
    drawn = synthetic.glyphs(count, seed, centred=True, upright=True)
    return avg_pool(drawn.images.astype(np.float32) / 255, 2), drawn.labels


def small_network(seed: int) -> network.Network:
    """The network of question 6."""
    pooled = (SIDE - 2) // 2
    stack = [network.conv(1, FILTERS, 3), network.relu(), network.max_pool(2), network.flatten()]
    return network.Network([*stack, network.affine(FILTERS * pooled**2, CLASSES)], seed=seed)


def accuracy(weights: Mapping[str, np.ndarray], x: np.ndarray, labels: np.ndarray) -> float:
    """Share of the images that the small network reads right with these weights."""
    return network.accuracy(_with(weights), x, labels)


def check_training(function: Callable[..., Any], rng: np.random.Generator, count: int) -> None:
    """Train on `count` fresh images, with classes in a random order, and measure the returned weights on NEW others.

    Raises CheckFailed, with a message that says what the weights look like, below LEAST_ACCURACY.
    """
    seed, other, start = (int(n) for n in rng.integers(1, 2**31, size=3))
    names = rng.permutation(CLASSES)
    x, labels = glyph_images(count, seed)
    labels = names[labels]
    description = f"train_network(<{count} images>, <{count} labels>, seed={start})"
    weights = _weights(description, checks.call(description, function, x, labels, start))
    new_x, new_labels = glyph_images(NEW, other)
    with np.errstate(all="ignore"):
        found = accuracy(weights, new_x, names[new_labels])
        if found >= LEAST_ACCURACY:
            return
        problem = _why(weights, small_network(start), x, labels)
    raise CheckFailed(
        f"{description}: with your weights the network reads {100 * found:.1f} % of {NEW} new images; "
        f"{100 * LEAST_ACCURACY:.0f} % are needed. {problem}"
    )


def check_seed(function: Callable[..., Any], rng: np.random.Generator, count: int) -> None:
    """Raise CheckFailed if two seeds lead to the same weights, on `count` fresh images."""
    x, labels = glyph_images(count, int(rng.integers(1, 2**31)))
    found = []
    for seed in rng.choice(1000, 2, replace=False).tolist():
        description = f"train_network(<{count} images>, <{count} labels>, seed={seed})"
        found.append(_weights(description, checks.call(description, function, x, labels, seed)))
    if all(np.allclose(found[0][name], found[1][name], rtol=1e-4, atol=1e-6) for name in found[0]):
        raise CheckFailed(
            f"{description}: these are the same weights as with another seed. Use `seed`, for the first weights and "
            "for the order of the images."
        )


def _weights(description: str, got: Any) -> dict[str, np.ndarray]:
    """The returned weights, each of the right name and shape and finite."""
    wanted = {name: w.shape for name, w in small_network(0).parameters.items()}
    names = ", ".join(wanted)
    if got is None:
        raise CheckFailed(f"{description}: expected a dictionary of weights, got None. Does it end with `return ...`?")
    if not isinstance(got, dict):
        raise CheckFailed(
            f"{description}: expected a dictionary with the arrays {names}, got {describe.kind(got)}. "
            "Return dict(net.parameters)."
        )
    if set(got) != set(wanted):
        raise CheckFailed(f"{description}: the dictionary must hold exactly {names}, as net.parameters does.")
    for name, shape in wanted.items():
        w = got[name]
        plain = type(w) is np.ndarray and w.shape == shape and w.dtype.kind == "f"
        if plain and not np.isfinite(w).all():
            raise CheckFailed(
                f"{description}: {name} holds nan or inf. The loss has run away: is the step downhill, and is the "
                "learning rate small enough?"
            )
        checks.check_array(f"{description}, {name}", w, np.zeros(shape), tolerance=np.inf)
    return got


def _with(weights: Mapping[str, np.ndarray]) -> network.Network:
    net = small_network(0)
    for name, w in net.parameters.items():
        w[...] = weights[name]
    return net


def _why(weights: Mapping[str, np.ndarray], start: network.Network, x: np.ndarray, labels: np.ndarray) -> str:
    """The likeliest reason why a training failed."""
    net = _with(weights)
    still = [name for name, w in start.parameters.items() if np.array_equal(net.parameters[name], w)]
    if {"conv1.w", "affine1.w"} <= set(still):
        return "These are the weights that the network started with: does each step change net.parameters?"
    if not net.parameters["conv1.w"].any():
        return "All kernels are 0. From zeros they never move (section 9.8): let Network draw the first weights."
    if "conv1.w" in still or "affine1.w" in still:
        return f"{' and '.join(still)} never moved: step all parameters."
    before, after = start.loss_and_gradients(x, labels)[0], net.loss_and_gradients(x, labels)[0]
    learned = network.accuracy(net, x, labels)
    first = network.accuracy(net, x[:FIRST], labels[:FIRST])
    if first - learned > 0.25:
        return (
            f"The first {FIRST} training images are read at {100 * first:.0f} %, all of them at {100 * learned:.0f} %: "
            "does every step see the same batch? Take the next images for each step."
        )
    step = relative_difference(net.parameters["affine1.w"], start.parameters["affine1.w"])
    if step < 0.1:
        return (
            f"affine1.w has moved by {100 * step:.1f} % of its size: the training ends after a step or two, or the "
            "steps are tiny. Is `return` inside a loop?"
        )
    chance = "are images and labels in the same order? One permutation has to serve both."
    if learned < 0.3 and not after > 2 * before:
        return f"On the training images it is {100 * learned:.0f} %, near guessing: {chance}"
    if not after <= before:
        return (
            f"On the training images the loss went from {before:.2f} to {after:.3g}: is the step downhill, is the "
            "learning rate small enough, and do the gradients start anew for each batch?"
        )
    if learned < 0.93:
        return (
            f"On the training images it is {100 * learned:.0f} % after a loss of {after:.2f}: the training ends too "
            "early. Go through all images more often, or choose a larger step."
        )
    return f"On the training images it is {100 * learned:.0f} %: they are learned by heart, and nothing more general."
