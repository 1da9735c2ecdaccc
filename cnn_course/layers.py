"""Layers for training, each a pair: `forward(x, ...) -> (out, cache)` and `backward(dout, cache) -> gradients`.

`cache` holds what the backward pass needs; `dout` is the gradient of the loss with respect to `out`, and so has its
shape. This is the interface of the assignments of Stanford's course CS231n. Pooling has the same pairs in
`cnn_course.pooling`. No layer keeps anything between calls or knows training from prediction, so there is neither
batch norm nor dropout. float32 stays float32; integers, booleans and float64 give float64.

Every function raises ValueError for shapes and values that do not fit, TypeError for other kinds of things. Both name
the argument, `cache` where it is that of another layer.
"""

import math
from collections.abc import Callable
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cnn_course import convolution
from cnn_course.arguments import objects
from cnn_course.arguments.arrays import array
from cnn_course.arguments.floats import same_float
from cnn_course.arguments.functions import called
from cnn_course.arguments.integers import integer
from cnn_course.arguments.memory import affordable
from cnn_course.arguments.objects import flag
from cnn_course.arguments.shown import shown
from cnn_course.array_engine.conv_arguments import Padding, axes_of

CONVOLUTIONS: dict[int, Callable[..., NDArray]] = {3: convolution.conv1d, 4: convolution.conv2d, 5: convolution.conv3d}


def conv_forward(
    x: NDArray,
    w: NDArray,
    b: NDArray | None = None,
    *,
    stride: int | tuple[int, ...] = 1,
    padding: Padding = 0,
    dilation: int | tuple[int, ...] = 1,
    groups: int = 1,
) -> tuple[NDArray, tuple]:
    """Convolution in one, two or three dimensions: x (N, C, *size), w (O, C / groups, *kernel), b (O,) or None.

    stride, padding, dilation, groups: as in `convolution.conv2d`. Returns (out (N, O, *places), cache).
    Raises ValueError and TypeError as `convolution.conv2d` does.
    """
    x, w = array("x", x), array("w", w)
    settings = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return CONVOLUTIONS[axes_of(x, w) + 2](x, w, b, **settings), (x, w, settings)


@overload
def conv_backward(
    dout: NDArray, cache: tuple, *, need_dx: Literal[True] = True
) -> tuple[NDArray, NDArray, NDArray]: ...


@overload
def conv_backward(dout: NDArray, cache: tuple, *, need_dx: bool) -> tuple[NDArray | None, NDArray, NDArray]: ...


def conv_backward(dout: NDArray, cache: tuple, *, need_dx: bool = True) -> tuple[NDArray | None, NDArray, NDArray]:
    """(dx, dw, db) of `conv_forward`; db is there also where b was None. See `convolution.conv_backward`."""
    x, w, settings = _parts(cache, "conv_forward", "x", "w", "settings")
    if not isinstance(settings, dict) or not settings.keys() <= {"stride", "padding", "dilation", "groups"}:
        raise TypeError(f"cache must end in the settings of conv_forward, a dict, not in {shown(settings)}")
    try:
        return convolution.conv_backward(dout, x, w, need_dx=need_dx, **settings)
    except (ValueError, TypeError) as error:
        raise type(error)(f"{error} (x and w are those of the cache)") from error


def affine_forward(x: NDArray, w: NDArray, b: NDArray) -> tuple[NDArray, tuple]:
    """The fully connected layer, out = x @ w.T + b: x (N, D), w (units, D) as in PyTorch, b (units,).

    Raises ValueError for shapes that do not fit, TypeError for numbers that are no real ones.
    """
    x, w, b = same_float(x=x, w=w, b=b)
    if x.ndim != 2 or w.ndim != 2 or x.shape[1] != w.shape[1] or b.shape != w.shape[:1]:
        raise ValueError(
            f"the shapes must be x (N, D), w (units, D) and b (units,), but they are {x.shape}, {w.shape} and {b.shape}"
        )
    affordable("w", w, len(x) * len(w), itemsize=x.itemsize)
    return x @ w.T + b, (x, w)


@overload
def affine_backward(
    dout: NDArray, cache: tuple, *, need_dx: Literal[True] = True
) -> tuple[NDArray, NDArray, NDArray]: ...


@overload
def affine_backward(dout: NDArray, cache: tuple, *, need_dx: bool) -> tuple[NDArray | None, NDArray, NDArray]: ...


def affine_backward(dout: NDArray, cache: tuple, *, need_dx: bool = True) -> tuple[NDArray | None, NDArray, NDArray]:
    """(dx, dw, db) of `affine_forward`: dout @ w, dout.T @ x and the sum of dout over the batch."""
    x, w = _parts(cache, "affine_forward", "x", "w")
    x, w = same_float(**{"cache[0]": x, "cache[1]": w})
    if x.ndim != 2 or w.ndim != 2 or x.shape[1] != w.shape[1]:
        raise ValueError(f"cache must hold x (N, D) and w (units, D), but their shapes are {x.shape} and {w.shape}")
    dout = _like_out(dout, (len(x), len(w)), x.dtype)
    return dout @ w if flag("need_dx", need_dx) else None, dout.T @ x, dout.sum(axis=0)


def relu_forward(x: NDArray) -> tuple[NDArray, NDArray]:
    """max(x, 0) for every entry of an array of any shape."""
    (x,) = same_float(x=x)
    out = np.maximum(x, 0)
    return out, out


def relu_backward(dout: NDArray, cache: NDArray) -> NDArray:
    """dx of `relu_forward`: dout where x was above zero, else 0 (also at x = 0, as in PyTorch)."""
    (cache,) = same_float(cache=cache)
    return np.where(cache > 0, _like_out(dout, cache.shape, cache.dtype), cache.dtype.type(0))


def elementwise_forward(x: NDArray, function: Callable, derivative: Callable) -> tuple[NDArray, tuple]:
    """Any activation, for example with function=activations.tanh and derivative=activations.tanh_derivative.

    Raises ValueError if the function gives another shape than that of x.
    """
    (x,) = same_float(x=x)
    objects.function("derivative", derivative)
    return _of_each("function", function, x), (x, derivative)


def elementwise_backward(dout: NDArray, cache: tuple) -> NDArray:
    """dx of `elementwise_forward`: dout times the derivative at x."""
    x, derivative = _parts(cache, "elementwise_forward", "x", "derivative")
    (x,) = same_float(**{"cache[0]": x})
    return _like_out(dout, x.shape, x.dtype) * _of_each("the derivative in the cache", derivative, x)


def flatten_forward(x: NDArray) -> tuple[NDArray, NDArray]:
    """(N, ...) -> (N, D): the same numbers, one row for each image."""
    (x,) = same_float(x=x)
    if x.ndim < 2:
        raise ValueError(f"x must have at least 2 axes (N, ...), but has shape {x.shape}")
    return x.reshape(len(x), math.prod(x.shape[1:])), x


def flatten_backward(dout: NDArray, cache: NDArray) -> NDArray:
    """dx of `flatten_forward`: dout in the shape of x."""
    (cache,) = same_float(cache=cache)
    if cache.ndim < 2:
        raise ValueError(f"cache must have at least 2 axes (N, ...), as x had, but has shape {cache.shape}")
    return _like_out(dout, (len(cache), math.prod(cache.shape[1:])), cache.dtype).reshape(cache.shape)


def softmax(logits: NDArray) -> NDArray:
    """Probabilities (N, C) that are at least 0 and sum to 1 in every row; large logits do not overflow."""
    (logits,) = same_float(logits=logits)
    if logits.ndim == 0 or logits.shape[-1] == 0:
        raise ValueError(f"logits must have shape (N, C) with C at least 1, not {logits.shape}")
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return raised / raised.sum(axis=-1, keepdims=True)


def softmax_cross_entropy(logits: NDArray, labels: ArrayLike) -> tuple[float, NDArray]:
    """(loss, dlogits): the mean of -log p(label) over the batch, and its gradient (p - onehot) / N.

    logits: (N, C) float; labels: (N,) whole numbers from 0 to C - 1. Large logits (1e4, say) neither overflow nor
    give log(0). Raises ValueError for shapes and labels that do not fit, TypeError for other kinds of numbers.
    """
    (logits,) = same_float(logits=logits)
    if logits.ndim != 2 or logits.size == 0:
        raise ValueError(f"logits must have shape (N, C) with N and C at least 1, not {logits.shape}")
    labels = check_labels(labels, *logits.shape)
    rows = np.arange(len(labels))
    shifted = logits - logits.max(axis=1, keepdims=True)  # the same probabilities, and no exp above 1
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    dlogits = np.exp(log_p)
    dlogits[rows, labels] -= 1
    dlogits /= len(labels)
    return float(-log_p[rows, labels].mean()), dlogits


def check_labels(labels: ArrayLike, count: int, classes: int) -> NDArray[np.integer]:
    """The labels as an array (count,).

    Raises ValueError for a label outside 0 ... classes - 1 or another shape, TypeError for what are no whole numbers.
    """
    count, classes = integer("count", count, least=0), integer("classes", classes, least=1)
    labels = array("labels", labels, kinds="iu")
    if labels.shape != (count,):
        raise ValueError(
            f"labels must have shape (count,) = ({count},), one for each row of logits, not shape {labels.shape}"
        )
    if count and (labels.min() < 0 or labels.max() >= classes):
        wrong = labels[(labels < 0) | (labels >= classes)][0]
        raise ValueError(
            f"label {wrong} is out of range: the logits have {classes} classes, so that labels are 0 to {classes - 1}"
        )
    return labels


def _parts(cache: Any, forward: str, *names: str) -> tuple:
    """What a cache holds."""
    if not isinstance(cache, tuple | list) or len(cache) != len(names):
        raise TypeError(f"cache must be what {forward} returns second, ({', '.join(names)}), not {shown(cache)}")
    return tuple(cache)


def _of_each(name: str, given: Callable, x: NDArray) -> NDArray:
    """What a function of one number gives for every number of x."""
    values = array(f"what {name} gives", called(name, given, x))
    if values.shape != x.shape:
        raise ValueError(f"{name} must give a number for each of x, of shape {x.shape}, but gives shape {values.shape}")
    return values


def _like_out(dout: ArrayLike, shape: tuple[int, ...], dtype: np.dtype) -> NDArray:
    (dout,) = same_float(dout=dout)
    if dout.shape != shape:
        raise ValueError(f"dout must have the shape of the layer's output, by its cache {shape}, not {dout.shape}")
    return dout.astype(dtype, copy=False)
