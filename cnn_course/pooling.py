"""Pooling in one, two and three dimensions: max, average, L2, global and blurred, with the gradients.

A pooling layer summarises each window of each channel by one number. It has two hyperparameters, the extent k and
the stride (by default k), and may be padded; it has no weights. All have PyTorch's meaning.

x is (N, C, L), (N, C, H, W) or (N, C, D, H, W); k, stride and padding are an integer or one for each of the last
axes. A window is a box, and the maximum and the sum over a box can be taken one axis after the other. So every
function here makes one pass along each axis, which is also how the gradients travel back. Where k equals the stride
and nothing is padded, the windows tile the input, and no gradient has to be added up: each number is written once.
The passes, with what happens where several numbers are the largest and in the padding, are `array_engine.box_windows`.

float32 stays float32; integers, booleans and float64 give float64. Every function raises ValueError for shapes and
values that do not fit and TypeError for other dtypes, for non-integers and for the cache of another layer.
"""

import math
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cnn_course.arguments.floats import same_float
from cnn_course.arguments.integers import integer
from cnn_course.arguments.memory import affordable
from cnn_course.arguments.objects import instance, one_of
from cnn_course.array_engine.box_windows import AxisWindows, box, box_spread, box_sum, combine, largest, route
from cnn_course.array_engine.conv_arguments import places_of

Sizes = int | tuple[int, ...]

# The weights of the blur add up to 2^(k - 1), which must be a float.
MOST_BLURRED = 1024


class _MaxCache(NamedTuple):
    shape: tuple[int, ...]
    dtype: np.dtype
    axes: list[AxisWindows]
    winners: list[NDArray]


class _AvgCache(NamedTuple):
    shape: tuple[int, ...]
    dtype: np.dtype
    axes: list[AxisWindows]


class _L2Cache(NamedTuple):
    x: NDArray
    out: NDArray
    axes: list[AxisWindows]


class _GlobalMaxCache(NamedTuple):
    shape: tuple[int, ...]
    dtype: np.dtype
    where: NDArray


class _GlobalAvgCache(NamedTuple):
    shape: tuple[int, ...]
    dtype: np.dtype


def max_pool(x: ArrayLike, k: Sizes, *, stride: Sizes | None = None, padding: Sizes = 0) -> NDArray[np.floating]:
    """The largest number of each window; NaN where the window holds one. The padding never wins.

    x: (N, C, *size); returns (N, C, *places), see `convolution.output_size`. padding: at most k / 2.
    """
    out, axes = _check(x, k, stride, padding)
    for axis in reversed(axes):
        out = combine(np.maximum, axis.pad(out, -np.inf), axis)
    return out


def max_pool_forward(
    x: ArrayLike, k: Sizes, *, stride: Sizes | None = None, padding: Sizes = 0
) -> tuple[NDArray[np.floating], tuple]:
    """`max_pool`, and the cache that `max_pool_backward` needs: for each axis, which tap of the window won."""
    out, axes = _check(x, k, stride, padding)
    winners = []
    for axis in reversed(axes):  # the last axis first, so that the first of several maxima in reading order wins
        out, winner = largest(axis.pad(out, -np.inf), axis)
        winners.append(winner)
    return out, _MaxCache(out.shape, out.dtype, axes, winners[::-1])


def max_pool_backward(dout: ArrayLike, cache: tuple) -> NDArray[np.floating]:
    """The gradient of x: every number of dout goes to the pixel that won its window.

    Of several equal maxima the first in reading order gets it all, of several NaN the last, as in PyTorch.
    """
    shape, dtype, axes, winners = instance("cache", cache, _MaxCache, "what max_pool_forward returns second")
    dx = _same_shape(dout, shape, dtype)
    for axis, winner in zip(axes, winners, strict=True):
        dx = route(dx, axis, winner)
    return dx


def avg_pool(x: ArrayLike, k: Sizes, *, stride: Sizes | None = None, padding: Sizes = 0) -> NDArray[np.floating]:
    """The mean of each window. The zeros of the padding count (PyTorch's count_include_pad=True).

    x: (N, C, *size); returns (N, C, *places), see `convolution.output_size`. padding: at most k / 2.
    """
    return avg_pool_forward(x, k, stride=stride, padding=padding)[0]


def avg_pool_forward(
    x: ArrayLike, k: Sizes, *, stride: Sizes | None = None, padding: Sizes = 0
) -> tuple[NDArray[np.floating], tuple]:
    """`avg_pool`, and the cache that `avg_pool_backward` needs."""
    x, axes = _check(x, k, stride, padding)
    out = box_sum(x, axes) / _taps(axes, x.dtype)
    return out, _AvgCache(out.shape, out.dtype, axes)


def avg_pool_backward(dout: ArrayLike, cache: tuple) -> NDArray[np.floating]:
    """The gradient of x: every number of dout is shared equally by the pixels of its window."""
    shape, dtype, axes = instance("cache", cache, _AvgCache, "what avg_pool_forward returns second")
    dout = _same_shape(dout, shape, dtype)
    return box_spread(dout / _taps(axes, dout.dtype), axes)


def l2_pool(x: ArrayLike, k: Sizes, *, stride: Sizes | None = None, padding: Sizes = 0) -> NDArray[np.floating]:
    """The length of each window: the root of the sum (not the mean) of its squares, as PyTorch's lp_pool, norm 2.

    x: (N, C, *size); returns (N, C, *places), see `convolution.output_size`. padding: zeros, at most k / 2.
    """
    return l2_pool_forward(x, k, stride=stride, padding=padding)[0]


def l2_pool_forward(
    x: ArrayLike, k: Sizes, *, stride: Sizes | None = None, padding: Sizes = 0
) -> tuple[NDArray[np.floating], tuple]:
    """`l2_pool`, and the cache that `l2_pool_backward` needs."""
    x, axes = _check(x, k, stride, padding)
    out = np.sqrt(box_sum(np.square(x), axes))
    return out, _L2Cache(x, out, axes)


def l2_pool_backward(dout: ArrayLike, cache: tuple) -> NDArray[np.floating]:
    """The gradient of x: dout * x / out summed over the windows of each pixel; 0 for a window of zeros."""
    x, out, axes = instance("cache", cache, _L2Cache, "what l2_pool_forward returns second")
    dout = _same_shape(dout, out.shape, out.dtype)
    return x * box_spread(np.divide(dout, out, out=np.zeros_like(dout), where=out != 0), axes)


def global_max_pool(x: ArrayLike) -> NDArray[np.floating]:
    """The largest number of each map. x: (N, C, *size); returns (N, C)."""
    x = _maps(x)
    return x.max(axis=tuple(range(2, x.ndim)))


def global_max_pool_forward(x: ArrayLike) -> tuple[NDArray[np.floating], tuple]:
    """`global_max_pool`, and the cache that `global_max_pool_backward` needs: where each maximum stood."""
    x = _maps(x)
    flat = x.reshape(*x.shape[:2], math.prod(x.shape[2:]))
    where = flat.argmax(axis=2)[..., None]
    out = np.take_along_axis(flat, where, axis=2)
    if np.isnan(out).any():  # of several NaN the last gets the gradient, as in PyTorch
        last = flat.shape[2] - 1 - np.isnan(flat[..., ::-1]).argmax(axis=2)[..., None]
        where = np.where(np.isnan(out), last, where)
    return out[..., 0], _GlobalMaxCache(x.shape, x.dtype, where)


def global_max_pool_backward(dout: ArrayLike, cache: tuple) -> NDArray[np.floating]:
    """The gradient of x: each number of dout (N, C) goes to the (first) maximum of its map."""
    shape, dtype, where = instance("cache", cache, _GlobalMaxCache, "what global_max_pool_forward returns second")
    dx = np.zeros((*shape[:2], math.prod(shape[2:])), dtype)
    np.put_along_axis(dx, where, _same_shape(dout, shape[:2], dtype)[..., None], axis=2)
    return dx.reshape(shape)


def global_avg_pool(x: ArrayLike) -> NDArray[np.floating]:
    """The mean of each map. x: (N, C, *size); returns (N, C)."""
    x = _maps(x)
    return x.mean(axis=tuple(range(2, x.ndim)))


def global_avg_pool_forward(x: ArrayLike) -> tuple[NDArray[np.floating], tuple]:
    """`global_avg_pool`, and the cache that `global_avg_pool_backward` needs."""
    x = _maps(x)
    return global_avg_pool(x), _GlobalAvgCache(x.shape, x.dtype)


def global_avg_pool_backward(dout: ArrayLike, cache: tuple) -> NDArray[np.floating]:
    """The gradient of x: each number of dout (N, C) is shared equally by its map."""
    shape, dtype = instance("cache", cache, _GlobalAvgCache, "what global_avg_pool_forward returns second")
    share = _same_shape(dout, shape[:2], dtype) / dtype.type(math.prod(shape[2:]))
    return np.broadcast_to(share.reshape(*shape[:2], *[1] * (len(shape) - 2)), shape).copy()


def blur_pool(x: ArrayLike, k: int = 3, *, stride: Sizes = 2, border: str = "reflect") -> NDArray[np.floating]:
    """Blur each channel with a binomial filter, (1, 2, 1) / 4 along each axis for k = 3, then keep every stride-th.

    The blur takes away the detail that the coarser grid cannot hold, which a plain stride folds back in as an
    error that depends on where the grid falls (Zhang, "Making Convolutional Networks Shift-Invariant Again", 2019).
    k: taps of the blur, 1 means none, at most 1024. border: what lies outside, "reflect", "zeros" or "wrap".
    x: (N, C, *size); returns (N, C, *ceil(size / stride)).
    """
    modes: dict[str, Literal["reflect", "constant", "wrap"]]
    modes = {"reflect": "reflect", "zeros": "constant", "wrap": "wrap"}
    one_of("border", border, modes)
    if stride is None:  # which here would be 1, as the other pools make of it their k
        raise TypeError("stride must be an integer, or one for each axis, not None")
    out, axes = _check(x, 1, stride, 0)
    k = integer("k", integer("k", k, least=1), most=MOST_BLURRED)
    weights = np.array([math.comb(k - 1, i) for i in range(k)]) / 2 ** (k - 1)
    for axis in axes:
        sides = [(0, 0)] * out.ndim
        sides[axis.number] = (k - 1) // 2, k // 2
        padded = np.pad(out, sides, mode=modes[border])
        places = -(-out.shape[axis.number] // axis.stride)
        steps = axis._replace(k=k, places=places).taps(padded)
        out = sum(weight * tap for weight, tap in zip(weights.astype(out.dtype), steps, strict=True))
    return out


def _taps(axes: list[AxisWindows], dtype: np.dtype) -> np.floating:
    return dtype.type(math.prod(axis.k for axis in axes))


def _maps(x: Any) -> NDArray:
    (x,) = same_float(x=x)
    if not 3 <= x.ndim <= 5:
        raise ValueError(f"x must be (N, C, L), (N, C, H, W) or (N, C, D, H, W), but has shape {x.shape}")
    if 0 in x.shape[2:]:
        raise ValueError(f"x has shape {x.shape}: its maps are empty, so there is nothing to pool")
    return x


def _check(x: Any, k: Any, stride: Any, padding: Any) -> tuple[NDArray, list[AxisWindows]]:
    """Everything that the layers check: the array, and one `AxisWindows` for each of its last axes."""
    x = _maps(x)
    size = x.shape[2:]
    extents, strides, paddings = box(len(size), k, stride, padding)
    axes = []
    for number, (n, one_k, s, p) in enumerate(zip(size, extents, strides, paddings, strict=True), start=2):
        try:
            places = places_of(n, one_k, s, (p, p))
        except ValueError as error:
            raise ValueError(f"k={k} does not fit on x of shape {x.shape}: {error}") from None
        axes.append(AxisWindows(number=number, n=n, k=one_k, stride=s, padding=p, places=places))
    padded = math.prod(n + 2 * p for n, p in zip(size, paddings, strict=True))
    affordable("padding", padding, x.shape[0] * x.shape[1] * (padded - math.prod(size)), itemsize=x.itemsize)
    return x, axes


def _same_shape(dout: Any, shape: tuple[int, ...], dtype: np.dtype) -> NDArray:
    (dout,) = same_float(dout=dout)
    if dout.shape != shape:
        raise ValueError(f"dout must have the shape of the output, by its cache {shape}, but has shape {dout.shape}")
    return dout.astype(dtype, copy=False)
