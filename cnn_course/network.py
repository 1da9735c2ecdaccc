"""A small CNN in NumPy: layers in a row, the chain rule through them, and SGD with momentum.

    net = Network([conv(1, 32, 3, padding=1), relu(), max_pool(2), flatten(), affine(512, 10)], seed=0)
    history = fit(net, x_train, y_train, val=(x_val, y_val), epochs=10, lr=0.05, momentum=0.9)
    predict(net, x_test).argmax(axis=1)

Weights start as He et al. drew them ("Delving Deep into Rectifiers", 2015, arXiv:1502.01852): normal, with variance
2 / (inputs of one unit); biases start at 0.
"""

import io
import math
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cnn_course import layers, pooling
from cnn_course.arguments.floats import finite
from cnn_course.arguments.integers import each, integer
from cnn_course.array_engine.conv_arguments import Padding
from cnn_course.files.whole_files import write_whole

Gradients = dict[str, NDArray]


@dataclass(frozen=True)
class Layer:
    """What a network needs to know of a layer.

    forward(x, **parameters) -> (out, cache). shapes: of the parameters, by name. backward(dout, cache) -> dx, or, of a
    layer with parameters, (dx, and their gradients in the order of `shapes`); such a one also takes need_dx=False.
    """

    kind: str
    forward: Callable
    backward: Callable
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


def conv(
    channels: int,
    filters: int,
    k: int | tuple[int, ...],
    *,
    stride: int | tuple[int, ...] = 1,
    padding: Padding = 0,
    dilation: int | tuple[int, ...] = 1,
    groups: int = 1,
) -> Layer:
    """A convolution of images with k x k kernels, or of other data with k=(k,) or (kd, kh, kw); see `layers`."""
    channels, filters = integer("channels", channels, least=1), integer("filters", filters, least=1)
    kernel = each("k", k, len(k) if isinstance(k, tuple) else 2, least=1)
    if channels % integer("groups", groups, least=1) or filters % groups:
        raise ValueError(f"groups={groups} must divide the {channels} channels and the {filters} filters")
    forward = partial(layers.conv_forward, stride=stride, padding=padding, dilation=dilation, groups=groups)
    shapes = {"w": (filters, channels // groups, *kernel), "b": (filters,)}
    return Layer("conv", forward, layers.conv_backward, shapes)


def affine(inputs: int, units: int) -> Layer:
    """A fully connected layer."""
    shapes = {"w": (integer("units", units, least=1), integer("inputs", inputs, least=1)), "b": (units,)}
    return Layer("affine", layers.affine_forward, layers.affine_backward, shapes)


def relu() -> Layer:
    return Layer("relu", layers.relu_forward, layers.relu_backward)


def activation(function: Callable, derivative: Callable) -> Layer:
    """Any other activation, for example activation(activations.tanh, activations.tanh_derivative)."""
    forward = partial(layers.elementwise_forward, function=function, derivative=derivative)
    return Layer(function.__name__, forward, layers.elementwise_backward)


def max_pool(k: pooling.Sizes, *, stride: pooling.Sizes | None = None, padding: pooling.Sizes = 0) -> Layer:
    forward = partial(pooling.max_pool_forward, k=k, stride=stride, padding=padding)
    return Layer("max_pool", forward, pooling.max_pool_backward)


def avg_pool(k: pooling.Sizes, *, stride: pooling.Sizes | None = None, padding: pooling.Sizes = 0) -> Layer:
    forward = partial(pooling.avg_pool_forward, k=k, stride=stride, padding=padding)
    return Layer("avg_pool", forward, pooling.avg_pool_backward)


def global_avg_pool() -> Layer:
    return Layer("global_avg_pool", pooling.global_avg_pool_forward, pooling.global_avg_pool_backward)


def flatten() -> Layer:
    return Layer("flatten", layers.flatten_forward, layers.flatten_backward)


class Network:
    """Layers in a row. `layers` are named by kind and number, "conv1", "relu1"; `parameters` "conv1.w", "conv1.b"."""

    def __init__(self, layers: Sequence[Layer], *, seed: int = 0, dtype: type = np.float32) -> None:
        """Draw the first weights with `seed`. dtype: np.float32, or np.float64 for gradient checks."""
        if np.dtype(dtype) not in (np.float32, np.float64):
            raise TypeError(f"dtype must be np.float32 or np.float64, not {dtype!r}")
        if not layers:
            raise ValueError("a network needs at least one layer")
        rng = np.random.default_rng(seed)
        self.dtype = np.dtype(dtype)
        self.layers: dict[str, Layer] = {}
        self.parameters: dict[str, NDArray] = {}
        for layer in layers:
            number = 1 + sum(other.kind == layer.kind for other in self.layers.values())
            name = f"{layer.kind}{number}"
            self.layers[name] = layer
            for key, shape in layer.shapes.items():
                spread = math.sqrt(2 / math.prod(shape[1:])) if len(shape) > 1 else 0.0
                self.parameters[f"{name}.{key}"] = (spread * rng.standard_normal(shape)).astype(self.dtype)

    def forward(self, x: NDArray) -> tuple[NDArray, dict]:
        """(the last layer's output, the caches for `backward`) of a batch x, (N, ...) float.

        Raises what a layer raises, with the layer's name in front; TypeError if x is not float.
        """
        x = np.asarray(x)
        if x.dtype.kind != "f":
            raise TypeError(f"x must be float, not {x.dtype}: pictures of 0 to 255 become x.astype(np.float32) / 255")
        x, caches = x.astype(self.dtype, copy=False), {}
        for name, layer in self.layers.items():
            own = {key: self.parameters[f"{name}.{key}"] for key in layer.shapes}
            try:
                x, caches[name] = layer.forward(x, **own)
            except (ValueError, TypeError) as error:
                raise type(error)(f"{name} cannot take an input of shape {x.shape}: {error}") from error
        return x, caches

    def backward(self, dout: NDArray, caches: Mapping) -> Gradients:
        """The gradient of every parameter, from dout, that of the output of the `forward` which made the caches."""
        gradients: Gradients = {}
        lowest = next((name for name, layer in self.layers.items() if layer.shapes), None)
        for name, layer in reversed(self.layers.items()):
            if not layer.shapes:
                dout = layer.backward(dout, caches[name])
                continue
            dout, *own = layer.backward(dout, caches[name], need_dx=name != lowest)
            gradients |= {f"{name}.{key}": value for key, value in zip(layer.shapes, own, strict=True)}
            if name == lowest:  # nothing below it has weights
                break
        return {name: gradients[name] for name in self.parameters}

    def loss_and_gradients(self, x: NDArray, labels: ArrayLike) -> tuple[float, Gradients]:
        """One pass there and back: the mean cross-entropy of the batch, and its gradient by every parameter."""
        logits, caches = self.forward(x)
        loss, dlogits = layers.softmax_cross_entropy(logits, labels)
        return loss, self.backward(dlogits, caches)


def sgd_step(
    parameters: Mapping[str, NDArray],
    gradients: Mapping[str, NDArray],
    velocity: Mapping[str, NDArray],
    *,
    lr: float,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
) -> None:
    """One step of SGD with momentum, in place, as `torch.optim.SGD`: v = momentum v + g + weight_decay w; w -= lr v.

    Raises ValueError, before anything is changed, for a name that is missing, for a gradient or a velocity of another
    shape than its parameter, and for a rate that is not finite; TypeError for a rate that is no number.
    """
    for kind, rate in (("lr", lr), ("momentum", momentum), ("weight_decay", weight_decay)):
        finite(kind, rate)
    for name, w in parameters.items():
        for kind, arrays in (("gradients", gradients), ("velocity", velocity)):
            if name not in arrays:
                raise ValueError(f"{kind} has no {name!r}; the parameters are {', '.join(parameters)}")
            if np.shape(arrays[name]) != w.shape:
                raise ValueError(
                    f"{kind}[{name!r}] must have the shape of the parameter, {w.shape}, not {np.shape(arrays[name])}"
                )
    for name, w in parameters.items():
        v = velocity[name]
        v *= momentum
        v += gradients[name]
        if weight_decay:
            v += weight_decay * w
        w -= lr * v


@dataclass(frozen=True)
class TrainingCurves:
    """One number per epoch, (epochs,) float64; val_accuracy is NaN without validation data.

    The training figures are means over the epoch, taken while the weights changed. losses: of every step.
    """

    train_loss: NDArray
    train_accuracy: NDArray
    val_accuracy: NDArray
    losses: NDArray


def fit(
    net: Network,
    x: NDArray,
    labels: ArrayLike,
    *,
    val: tuple[NDArray, ArrayLike] | None = None,
    epochs: int = 10,
    batch_size: int = 32,
    lr: float = 0.05,
    lr_end: float | None = None,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    seed: int = 0,
    verbose: bool = True,
) -> TrainingCurves:
    """Train `net` in place by SGD on x (N, ...) float and labels (N,); one line per epoch if `verbose`.

    seed: of the order of the images, which is drawn anew for every epoch. lr_end: the step size falls in a straight
    line from lr towards lr_end; by default it stays.
    Raises ValueError for settings or data that do not fit, FloatingPointError when the loss is no longer finite.
    """
    epochs, batch_size = integer("epochs", epochs, least=1), integer("batch_size", batch_size, least=1)
    lr_end = lr if lr_end is None else lr_end
    rates = {"lr": lr, "lr_end": lr_end, "momentum": momentum, "weight_decay": weight_decay}
    for name, value in rates.items():
        high = 1 if name == "momentum" else math.inf
        if not 0 <= value < high:
            raise ValueError(f"{name} must be at least 0 and below {high}, not {value!r}")
    x, labels = _labelled("fit", x, labels)
    _check_classes(net, x, labels)  # before anything is changed
    if val is not None:
        if not isinstance(val, tuple | list) or len(val) != 2:
            raise ValueError(f"val must be a pair (images, labels), not {type(val).__name__}")
        val = _labelled("val", *val)
        _check_classes(net, *val)
    rng = np.random.default_rng(seed)
    velocity = {name: np.zeros_like(w) for name, w in net.parameters.items()}
    rows, losses = [], []
    for epoch in range(epochs):
        rate = lr + (lr_end - lr) * epoch / epochs
        order, total, right = rng.permutation(len(x)), 0.0, 0
        for start in range(0, len(x), batch_size):
            batch = order[start : start + batch_size]
            logits, caches = net.forward(x[batch])
            loss, dlogits = layers.softmax_cross_entropy(logits, labels[batch])
            if not math.isfinite(loss):
                raise FloatingPointError(
                    f"the loss is {loss} in epoch {epoch + 1}, step {start // batch_size + 1}: make a new network and "
                    f"train it with a smaller lr than {lr}, a tenth for example, or look for NaN in the images"
                )
            # All gradients come from the weights that made the loss; only then do the weights move.
            gradients = net.backward(dlogits, caches)
            sgd_step(net.parameters, gradients, velocity, lr=rate, momentum=momentum, weight_decay=weight_decay)
            losses.append(loss)
            total += loss * len(batch)
            right += int((logits.argmax(axis=1) == labels[batch]).sum())
        rows.append((total / len(x), right / len(x), math.nan if val is None else accuracy(net, *val)))
        if verbose:
            known = "" if val is None else f", val accuracy {rows[-1][2]:.3f}"
            print(f"epoch {epoch + 1}: train loss {rows[-1][0]:.3f}, accuracy {rows[-1][1]:.3f}{known}", flush=True)
    train_loss, train_accuracy, val_accuracy = np.array(rows).T
    return TrainingCurves(train_loss, train_accuracy, val_accuracy, np.array(losses))


def predict(net: Network, x: NDArray, *, batch_size: int = 64) -> NDArray:
    """Class probabilities (N, classes) of x (N, ...) float, `batch_size` images at a time."""
    starts = range(0, max(len(x), 1), integer("batch_size", batch_size, least=1))
    return np.concatenate([layers.softmax(net.forward(x[i : i + batch_size])[0]) for i in starts])


def accuracy(net: Network, x: NDArray, labels: ArrayLike) -> float:
    """Share of the images whose most probable class is their label.

    Raises ValueError for no image and for a label that the network has no output for, TypeError for labels that are
    not whole numbers.
    """
    x, labels = _labelled("accuracy", x, labels)
    _check_classes(net, x, labels)
    return float((predict(net, x).argmax(axis=1) == labels).mean())


def _labelled(who: str, x: NDArray, labels: ArrayLike) -> tuple[NDArray, NDArray]:
    x, labels = np.asarray(x), np.asarray(labels)
    if x.ndim < 2 or len(x) == 0 or labels.shape != x.shape[:1]:
        raise ValueError(f"{who} needs images and one label for each, but x is {x.shape} and the labels {labels.shape}")
    return x, labels


def _check_classes(net: Network, x: NDArray, labels: NDArray) -> None:
    """That the network takes such images, and has an output for every label."""
    layers.check_labels(labels, len(x), net.forward(x[:1])[0].shape[1])


def save(net: Network, path: Path | str) -> None:
    """Write all parameters to a .npz file, whole or not at all; `load` reads it."""
    data = io.BytesIO()
    parameters: Mapping[str, Any] = net.parameters  # NumPy's signature has a keyword of its own among them
    np.savez(data, **parameters)
    write_whole(Path(path), data.getvalue())


def load(net: Network, path: Path | str) -> None:
    """Give `net` the parameters of a file that `save` wrote for a network of the same layers.

    Raises FileNotFoundError, or ValueError if the file is damaged or belongs to other layers; net is then unchanged.
    """
    try:
        # Opened here: NumPy leaves a file open that is no whole archive.
        with Path(path).open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
    except (zipfile.BadZipFile, EOFError, ValueError, TypeError) as error:
        raise ValueError(f"{Path(path).name} is not a whole .npz file of weights: {error}") from error
    expected = {name: w.shape for name, w in net.parameters.items()}
    there = {name: w.shape for name, w in found.items()}
    if there != expected:
        raise ValueError(f"{Path(path).name} is of other layers: it holds {there}, but the network needs {expected}")
    for name, w in found.items():
        net.parameters[name][...] = w
