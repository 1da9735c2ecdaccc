"""A small CNN in NumPy: layers in a row, the chain rule through them, and SGD with momentum.

    net = Network([conv(1, 32, 3, padding=1), relu(), max_pool(2), flatten(), affine(512, 10)], seed=0)
    history = fit(net, x_train, y_train, val=(x_val, y_val), epochs=10, lr=0.05, momentum=0.9)
    predict(net, x_test).argmax(axis=1)

Weights start as He et al. drew them ("Delving Deep into Rectifiers", 2015, arXiv:1502.01852): normal, with variance
2 / (inputs of one unit); biases start at 0.
"""

import io
import math
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cnn_course import layers, pooling
from cnn_course.arguments import objects
from cnn_course.arguments.arrays import array, with_axes
from cnn_course.arguments.floats import finite
from cnn_course.arguments.integers import integer, seed_of
from cnn_course.arguments.memory import affordable
from cnn_course.arguments.shown import brief, shown
from cnn_course.array_engine.box_windows import box
from cnn_course.array_engine.conv_arguments import Padding, each_size, sliding
from cnn_course.errors import RunError, TrainingError
from cnn_course.files.system_errors import said
from cnn_course.files.whole_files import write_whole

Gradients = dict[str, NDArray]

MOST_EPOCHS = 100_000  # of the smallest network on a handful of images, this many take minutes: more is a slip


@dataclass(frozen=True)
class Layer:
    """What a network needs to know of a layer.

    forward(x, **parameters) -> (out, cache). shapes: of the parameters, by name. backward(dout, cache) -> dx, or, of a
    layer with parameters, (dx, and their gradients in the order of `shapes`); such a one also takes need_dx=False.
    Raises ValueError and TypeError for what is of another kind.
    """

    kind: str
    forward: Callable
    backward: Callable
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not objects.text("kind", self.kind):
            raise ValueError("kind must be a word that names the layer, not empty")
        objects.function("forward", self.forward)
        objects.function("backward", self.backward)
        for name, shape in objects.mapping("shapes", self.shapes, "a dict of shapes, by parameter").items():
            objects.text("a name in shapes", name)
            for i, n in enumerate(objects.sequence(f"shapes[{name!r}]", shape, "a shape")):
                integer(f"shapes[{name!r}][{i}]", n, least=1)


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
    """A convolution of images with k x k kernels, or of other data with k=(k,) or (kd, kh, kw); see `layers`.

    This and the other layers raise ValueError and TypeError for what cannot be meant, whatever the input.
    """
    channels, filters = integer("channels", channels, least=1), integer("filters", filters, least=1)
    groups = integer("groups", groups, least=1)
    kernel = each_size("k", k, _axes_said(2, k=k))
    sliding(kernel, stride, padding, dilation)  # refuses now what the layer would refuse at its first input
    if channels % groups or filters % groups:
        raise ValueError(
            f"groups={brief(groups)} must divide the {brief(channels)} channels and the {brief(filters)} filters"
        )
    forward = partial(layers.conv_forward, stride=stride, padding=padding, dilation=dilation, groups=groups)
    shapes = {"w": (filters, channels // groups, *kernel), "b": (filters,)}
    return Layer("conv", forward, layers.conv_backward, shapes)


def affine(inputs: int, units: int) -> Layer:
    """A fully connected layer."""
    units, inputs = integer("units", units, least=1), integer("inputs", inputs, least=1)
    shapes = {"w": (units, inputs), "b": (units,)}
    return Layer("affine", layers.affine_forward, layers.affine_backward, shapes)


def relu() -> Layer:
    return Layer("relu", layers.relu_forward, layers.relu_backward)


def activation(function: Callable, derivative: Callable) -> Layer:
    """Any other activation, for example activation(activations.tanh, activations.tanh_derivative)."""
    objects.function("function", function)
    objects.function("derivative", derivative)
    forward = partial(layers.elementwise_forward, function=function, derivative=derivative)
    return Layer(getattr(function, "__name__", type(function).__name__), forward, layers.elementwise_backward)


def max_pool(k: pooling.Sizes, *, stride: pooling.Sizes | None = None, padding: pooling.Sizes = 0) -> Layer:
    box(_axes_said(1, k=k, stride=stride, padding=padding), k, stride, padding)  # refuses what no input makes right
    forward = partial(pooling.max_pool_forward, k=k, stride=stride, padding=padding)
    return Layer("max_pool", forward, pooling.max_pool_backward)


def avg_pool(k: pooling.Sizes, *, stride: pooling.Sizes | None = None, padding: pooling.Sizes = 0) -> Layer:
    box(_axes_said(1, k=k, stride=stride, padding=padding), k, stride, padding)  # refuses what no input makes right
    forward = partial(pooling.avg_pool_forward, k=k, stride=stride, padding=padding)
    return Layer("avg_pool", forward, pooling.avg_pool_backward)


def global_avg_pool() -> Layer:
    return Layer("global_avg_pool", pooling.global_avg_pool_forward, pooling.global_avg_pool_backward)


def flatten() -> Layer:
    return Layer("flatten", layers.flatten_forward, layers.flatten_backward)


def _axes_said(usual: int, **sizes: Any) -> int:
    """Along how many axes a layer goes: as many as the first sequence among its sizes has."""
    for name, value in sizes.items():
        if isinstance(value, tuple | list):
            if not 1 <= len(value) <= 3:
                raise ValueError(f"{name} must be an integer, or one for each of one to three axes, not {brief(value)}")
            return len(value)
    return usual


class Network:
    """Layers in a row. `layers` are named by kind and number, "conv1", "relu1"; `parameters` "conv1.w", "conv1.b"."""

    def __init__(self, layers: Sequence[Layer], *, seed: int = 0, dtype: type | np.dtype | str = np.float32) -> None:
        """Draw the first weights with `seed`. dtype: np.float32, or np.float64 for gradient checks.

        Raises ValueError without a layer, and for more weights than an ordinary machine has room for.
        """
        self.dtype = _float_dtype(dtype)
        stack = objects.sequence("layers", layers, "a list of layers")
        if not stack:
            raise ValueError("layers is empty: a network needs at least one layer")
        for i, layer in enumerate(stack):
            objects.instance(f"layers[{i}]", layer, Layer, "a layer, such as relu()")
        rng = np.random.default_rng(seed_of("seed", seed))
        shapes = [shape for layer in stack for shape in layer.shapes.values()]
        affordable("layers", max(shapes, key=math.prod, default=()), sum(map(math.prod, shapes)))
        self.layers: dict[str, Layer] = {}
        self.parameters: dict[str, NDArray] = {}
        for layer in stack:
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
        x = array("x", x)
        if x.dtype.kind != "f":
            raise TypeError(f"x must be float, not {x.dtype}: pictures of 0 to 255 become x.astype(np.float32) / 255")
        given, caches = x.shape, {}
        x = x.astype(self.dtype, copy=False)
        for name, layer in self.layers.items():
            own = {key: self.parameters[f"{name}.{key}"] for key in layer.shapes}
            try:
                found = layer.forward(x, **own)
                if not isinstance(found, tuple | list) or len(found) != 2:  # an array of two would be taken apart
                    raise TypeError(f"its forward must give (out, cache), not {shown(found)}")
                x, caches[name] = array("what its forward gives", found[0]), found[1]
            except (ValueError, TypeError) as error:
                raise _kind(error)(
                    f"{name} cannot take an input of shape {x.shape}: {error} (x has shape {given})"
                ) from error
        return x, caches

    def backward(self, dout: NDArray, caches: Mapping) -> Gradients:
        """The gradient of every parameter, from dout, that of the output of the `forward` which made the caches.

        Raises what a layer raises, with the layer's name in front, and ValueError for a layer without a cache.
        """
        dout = array("dout", dout)
        gradients: Gradients = {}
        missing = self.layers.keys() - objects.mapping("caches", caches, "what forward returns second, a dict").keys()
        if missing:
            raise ValueError(f"caches has none of {', '.join(sorted(missing))}: give those of this network's forward")
        lowest = next((name for name, layer in self.layers.items() if layer.shapes), None)
        for name, layer in reversed(self.layers.items()):
            settings = {"need_dx": name != lowest} if layer.shapes else {}
            try:
                below = layer.backward(dout, caches[name], **settings)
                if layer.shapes:
                    _check_gradients(below, {key: self.parameters[f"{name}.{key}"].shape for key in layer.shapes})
            except (ValueError, TypeError) as error:
                raise _kind(error)(
                    f"{name} cannot take back a dout of shape {dout.shape}, with caches[{name!r}]: {error}"
                ) from error
            if not layer.shapes:
                dout = below
                continue
            dout, *own = below
            gradients |= {f"{name}.{key}": value for key, value in zip(layer.shapes, own, strict=True)}
            if name == lowest:  # nothing below it has weights
                break
        return {name: gradients[name] for name in self.parameters}

    def loss_and_gradients(self, x: NDArray, labels: ArrayLike) -> tuple[float, Gradients]:
        """One pass there and back: the mean cross-entropy of the batch, and its gradient by every parameter.

        Raises ValueError for no image, for labels that are not one for each image, and for one without an output.
        """
        x, labels = _labelled("the loss", x, labels)
        logits, caches = self.forward(x)
        loss, dlogits = layers.softmax_cross_entropy(_of_classes(logits), labels)
        return loss, self.backward(dlogits, caches)


def _check_gradients(given: Any, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise TypeError or ValueError unless a layer gave dx and then a gradient for each of its parameters."""
    if not isinstance(given, tuple | list) or len(given) != 1 + len(shapes):
        raise TypeError(f"its backward must give (dx, {', '.join(f'd{key}' for key in shapes)}), not {shown(given)}")
    for (key, shape), gradient in zip(shapes.items(), given[1:], strict=True):
        if (found := array(f"the d{key} that its backward gives", gradient)).shape != shape:
            raise ValueError(f"its backward must give a d{key} of the shape of {key}, {shape}, not {found.shape}")


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
    shape than its parameter, for an array that cannot be written, and for a rate that is not finite; TypeError for a
    rate that is no number and for what is no array of floats.
    """
    lr, momentum = finite("lr", lr), finite("momentum", momentum)
    weight_decay = finite("weight_decay", weight_decay)
    for kind, arrays in (("parameters", parameters), ("gradients", gradients), ("velocity", velocity)):
        objects.mapping(kind, arrays, "a dict of arrays, by parameter")
    for name, w in parameters.items():
        for kind, arrays in (("parameters", parameters), ("gradients", gradients), ("velocity", velocity)):
            if name not in arrays:
                raise ValueError(f"{kind} has no {name!r}; the parameters are {', '.join(map(str, parameters))}")
            found, where = arrays[name], f"{kind}[{name!r}]"
            if kind == "gradients":
                found = array(where, found)
            elif not isinstance(found, np.ndarray) or found.dtype.kind != "f" or isinstance(found, np.ma.MaskedArray):
                raise TypeError(f"{where} must be an array of floats, which is changed in place, not {shown(found)}")
            elif not found.flags.writeable:
                raise ValueError(f"{where} is read-only, but is to be changed in place: pass a copy")
            if found.shape != w.shape:
                raise ValueError(f"{where} must have the shape of the parameter, {w.shape}, not {found.shape}")
        for kind, arrays in (("parameters", parameters), ("gradients", gradients)):
            if np.shares_memory(velocity[name], np.asarray(arrays[name])):  # one step would change both
                raise ValueError(f"velocity[{name!r}] is the array in {kind}: it needs zeros of its own to begin with")
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
    Raises ValueError and TypeError for what is no such array.
    """

    train_loss: NDArray
    train_accuracy: NDArray
    val_accuracy: NDArray
    losses: NDArray

    def __post_init__(self) -> None:
        found = {each.name: with_axes(each.name, getattr(self, each.name), "epochs") for each in fields(self)}
        for name in ("train_accuracy", "val_accuracy"):
            if found[name].shape != found["train_loss"].shape:
                raise ValueError(
                    f"{name} must have one number for each epoch, as train_loss has, but their shapes are "
                    f"{found[name].shape} and {found['train_loss'].shape}"
                )
        for name, values in found.items():
            object.__setattr__(self, name, values)


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
    Everything is checked before the first step. Raises ValueError and TypeError for settings or data that do not fit,
    TrainingError when the loss or a weight is no longer finite.
    """
    objects.instance("net", net, Network, "a Network")
    epochs = integer("epochs", integer("epochs", epochs, least=1), most=MOST_EPOCHS)
    batch_size = integer("batch_size", batch_size, least=1)
    lr, weight_decay = finite("lr", lr, least=0), finite("weight_decay", weight_decay, least=0)
    lr_end = lr if lr_end is None else finite("lr_end", lr_end, least=0)
    momentum = finite("momentum", momentum, least=0)
    if momentum >= 1:
        raise ValueError(f"momentum must be at least 0 and below 1, not {momentum!r}: the steps would only grow")
    seed, verbose = seed_of("seed", seed), objects.flag("verbose", verbose)
    x, labels = _fitting(net, x, labels, "fit")
    if val is not None:
        if not isinstance(val, tuple | list) or len(val) != 2:
            raise ValueError(f"val must be a pair (images, labels), not {shown(val)}")
        val = _fitting(net, *val, "val")
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
                raise _diverged(f"the loss is {loss} in epoch {epoch + 1}, step {start // batch_size + 1}", lr)
            # All gradients come from the weights that made the loss; only then do the weights move.
            gradients = net.backward(dlogits, caches)
            sgd_step(net.parameters, gradients, velocity, lr=rate, momentum=momentum, weight_decay=weight_decay)
            losses.append(loss)
            total += loss * len(batch)
            right += int((logits.argmax(axis=1) == labels[batch]).sum())
        if not all(np.isfinite(w).all() for w in net.parameters.values()):
            raise _diverged(f"the weights are no longer finite after epoch {epoch + 1}", lr)
        try:
            known_right = math.nan if val is None else _share_right(net, *val)
        except ValueError as error:
            raise _diverged(f"{error}, after epoch {epoch + 1}", lr) from error
        rows.append((total / len(x), right / len(x), known_right))
        if verbose:
            known = "" if val is None else f", val accuracy {rows[-1][2]:.3f}"
            print(f"epoch {epoch + 1}: train loss {rows[-1][0]:.3f}, accuracy {rows[-1][1]:.3f}{known}", flush=True)
    train_loss, train_accuracy, val_accuracy = np.array(rows).T
    return TrainingCurves(train_loss, train_accuracy, val_accuracy, np.array(losses))


def predict(net: Network, x: NDArray, *, batch_size: int = 64) -> NDArray:
    """Class probabilities (N, classes) of x (N, ...) float, `batch_size` images at a time.

    Raises ValueError for a network that does not end in (N, classes) or gives numbers that are not finite, and for what
    is no batch of images.
    """
    objects.instance("net", net, Network, "a Network")
    batch_size = integer("batch_size", batch_size, least=1)
    x = array("x", x)
    if x.ndim < 2:
        raise ValueError(f"x must be a batch of images (N, ...), but has shape {x.shape}")
    starts = range(0, max(len(x), 1), batch_size)
    outputs = (net.forward(x[i : i + batch_size])[0] for i in starts)
    with np.errstate(invalid="ignore", over="ignore"):
        probabilities = np.concatenate([layers.softmax(_of_classes(logits)) for logits in outputs])
    if not np.isfinite(probabilities).all():  # the first of several NaN would be the most probable
        raise ValueError("x, or what net makes of it, holds numbers that are not finite: no class is the most probable")
    return probabilities


def accuracy(net: Network, x: NDArray, labels: ArrayLike) -> float:
    """Share of the images whose most probable class is their label.

    Raises ValueError for no image, for a label that the network has no output for and for outputs that are not finite,
    TypeError for labels that are not whole numbers.
    """
    objects.instance("net", net, Network, "a Network")
    return _share_right(net, *_fitting(net, x, labels, "accuracy"))


def _share_right(net: Network, x: NDArray, labels: NDArray) -> float:
    return float((predict(net, x).argmax(axis=1) == labels).mean())


def _labelled(who: str, x: NDArray, labels: ArrayLike) -> tuple[NDArray, NDArray]:
    x, labels = array("x", x), array("labels", labels, kinds="iu")
    if x.ndim < 2 or len(x) == 0 or labels.shape != x.shape[:1]:
        raise ValueError(f"{who} needs images and one label for each, but x is {x.shape} and the labels {labels.shape}")
    return x, labels


def _fitting(net: Network, x: NDArray, labels: ArrayLike, who: str) -> tuple[NDArray, NDArray]:
    """Images that the network takes, with labels that it has outputs for."""
    try:
        x, labels = _labelled(who, x, labels)
        layers.check_labels(labels, len(x), _of_classes(net.forward(x[:1])[0]).shape[1])
    except (ValueError, TypeError) as error:
        if who != "val":
            raise
        raise _kind(error)(f"val = (x, labels): {error}") from error
    return x, labels


def _of_classes(logits: NDArray) -> NDArray:
    if logits.ndim != 2:
        raise ValueError(
            f"the network must give (N, classes) for this x, but gives shape {logits.shape}: does it end in flatten() "
            "and affine(inputs, classes)?"
        )
    return logits


def _float_dtype(dtype: Any) -> np.dtype:
    found = None
    if isinstance(dtype, type | np.dtype | str):  # np.dtype(None) would be float64, and that of a number its own
        with suppress(TypeError, ValueError):
            found = np.dtype(dtype)
    if found is None or found not in (np.float32, np.float64):
        raise TypeError(f"dtype must be np.float32 or np.float64, not {shown(dtype)}")
    return found


def _kind(error: Exception) -> type[Exception]:
    """ValueError or TypeError: a class that is derived from them may want other arguments than a message."""
    return TypeError if isinstance(error, TypeError) else ValueError


def _diverged(what: str, lr: float) -> TrainingError:
    return TrainingError(
        f"{what}: make a new network and train it with a smaller lr than {lr}, a tenth for example, or look for NaN in "
        "the images"
    )


def save(net: Network, path: str | os.PathLike) -> None:
    """Write all parameters to a .npz file, whole or not at all; `load` reads it.

    Raises RunError if the file cannot be written.
    """
    objects.instance("net", net, Network, "a Network")
    path, data = objects.path("path", path), io.BytesIO()
    parameters: Mapping[str, Any] = net.parameters  # NumPy's signature has a keyword of its own among them
    np.savez(data, **parameters)
    try:
        write_whole(path, data.getvalue())
    except OSError as error:
        raise RunError(f"the weights cannot be written: {said(error)}") from error


def load(net: Network, path: str | os.PathLike) -> None:
    """Give `net` the parameters of a file that `save` wrote for a network of the same layers.

    Raises RunError if the file is not there, is damaged or belongs to other layers; net is then unchanged.
    """
    objects.instance("net", net, Network, "a Network")
    path = objects.path("path", path)
    try:
        if path.exists() and not path.is_file():  # a pipe would never end
            raise RunError(f"{path} is no file of weights, but a folder, a pipe or a device")
        # Opened here: NumPy leaves a file open that is no whole archive.
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
    except OSError as error:
        raise RunError(f"the weights cannot be read: {said(error)}") from error
    except (
        zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, TypeError, KeyError, RuntimeError,
        OverflowError, MemoryError,
    ) as error:  # fmt: skip
        raise RunError(f"{path.name} is not a whole .npz file of weights: {error}") from error
    expected = {name: w.shape for name, w in net.parameters.items()}
    there = {name: w.shape for name, w in found.items()}
    if there != expected:
        raise RunError(f"{path.name} is of other layers: it holds {there}, but the network needs {expected}")
    for name, w in found.items():
        if w.dtype.kind != "f":
            raise RunError(f"{path.name} is not a file of weights: {name} has dtype {w.dtype}")
    for name, w in found.items():
        net.parameters[name][...] = w
