"""Nonlinearities and their derivatives, element by element, with PyTorch's meaning of every argument.

Every `<name>(x)` has a `<name>_derivative(x)` of the same shape: the slope of the curve at x. Where a curve has a
corner (at 0) the derivative is the one that PyTorch takes: 0 for relu, the slope of the left side for the others.
`prelu` also learns its slope and `maxout` takes the largest of several channels: these two have a `_backward`.

x: any shape, float32 or float64 (which is kept); integers and booleans become float64. Large numbers of either sign
give the limit and no warning, and NaN gives NaN, in the derivatives too. Every function raises TypeError for other
numbers.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cnn_course.arguments.floats import finite, is_number, same_float
from cnn_course.arguments.integers import integer
from cnn_course.arguments.shown import brief

Array = NDArray[np.floating]


def sigmoid(x: ArrayLike) -> Array:
    """1 / (1 + exp(-x)), between 0 and 1."""
    x = _float(x=x)
    z = np.exp(-np.abs(x))  # at most 1, so that nothing overflows
    return np.where(x < 0, z, np.ones_like(z)) / (1 + z)


def sigmoid_derivative(x: ArrayLike) -> Array:
    """sigmoid(x) (1 - sigmoid(x)), at most 1/4; written so that small values keep all their digits."""
    z = np.exp(-np.abs(_float(x=x)))
    return z / (1 + z) ** 2


def tanh(x: ArrayLike) -> Array:
    """(exp(x) - exp(-x)) / (exp(x) + exp(-x)) = 2 sigmoid(2x) - 1, between -1 and 1."""
    return np.tanh(_float(x=x))


def tanh_derivative(x: ArrayLike) -> Array:
    """1 - tanh(x)^2, at most 1; written so that small values keep all their digits."""
    z = np.exp(-np.abs(_float(x=x))) ** 2
    return 4 * z / (1 + z) ** 2


def relu(x: ArrayLike) -> Array:
    """max(x, 0), the rectified linear unit (Fukushima 1969; Nair and Hinton 2010)."""
    return np.maximum(_float(x=x), 0)


def relu_derivative(x: ArrayLike) -> Array:
    """1 where x > 0, else 0."""
    return _left_right(_float(x=x), 0)


def leaky_relu(x: ArrayLike, slope: float = 0.01) -> Array:
    """x where x > 0, else slope * x (Maas, Hannun and Ng 2013). Raises ValueError for a slope that is not finite."""
    x, slope = _with_number(x, "slope", slope)
    return np.where(x > 0, x, slope * x)


def leaky_relu_derivative(x: ArrayLike, slope: float = 0.01) -> Array:
    """1 where x > 0, else slope."""
    return _left_right(*_with_number(x, "slope", slope))


def prelu(x: ArrayLike, slope: ArrayLike) -> Array:
    """x where x > 0, else slope * x, with a learned slope (He et al. 2015, arXiv:1502.01852).

    x: (N, C, ...); slope: (C,), one number for each channel, or a single one (a number, or shape (1,)) for an x of any
    shape. float32 if both are, a plain number counting as either.
    Raises ValueError if the slopes do not fit the channels.
    """
    x, slope = _with_slope(x, slope)
    return np.where(x > 0, x, slope * x)


def prelu_derivative(x: ArrayLike, slope: ArrayLike) -> Array:
    """1 where x > 0, else the slope of the channel. Shapes, dtypes and errors as in `prelu`."""
    return _left_right(*_with_slope(x, slope))


def prelu_backward(dout: ArrayLike, x: ArrayLike, slope: ArrayLike) -> tuple[Array, Array]:
    """(dx, dslope) from the gradient dout of the output, of the shape of x; dslope has the shape of slope.

    dslope adds up dout * x over every negative x that the slope was used for. Raises ValueError as `prelu` does, and
    for a dout of another shape.
    """
    shape = _float(slope=slope).shape
    x, slope = _with_slope(x, slope)
    dout = _like_out(dout, x.shape, x)
    used = np.multiply(dout, x, out=np.zeros_like(x), where=~(x > 0))  # not dout * 0, which may be infinity * 0
    axes = tuple(a for a in range(x.ndim) if slope.ndim == 0 or slope.shape[a] == 1)
    return dout * _left_right(x, slope), used.sum(axis=axes).reshape(shape)


def elu(x: ArrayLike, alpha: float = 1.0) -> Array:
    """x where x > 0, else alpha (exp(x) - 1): never below -alpha (Clevert et al. 2015, arXiv:1511.07289).

    Raises ValueError for an alpha that is not finite.
    """
    x, alpha = _with_number(x, "alpha", alpha)
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def elu_derivative(x: ArrayLike, alpha: float = 1.0) -> Array:
    """1 where x > 0, else alpha * exp(x)."""
    x, alpha = _with_number(x, "alpha", alpha)
    return _left_right(x, alpha * np.exp(np.minimum(x, 0)))


def softplus(x: ArrayLike) -> Array:
    """log(1 + exp(x)), a smooth relu. Its derivative is the sigmoid."""
    x = _float(x=x)
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def swish(x: ArrayLike, beta: float = 1.0) -> Array:
    """x * sigmoid(beta * x) (Ramachandran et al. 2017, arXiv:1710.05941).

    With beta 1 it is the SiLU of Hendrycks and Gimpel (2016, arXiv:1606.08415). Raises ValueError for a beta that is
    not finite.
    """
    x, beta = _with_number(x, "beta", beta)
    with np.errstate(over="ignore"):  # the sigmoid of infinity is its limit
        return np.maximum(x, -np.finfo(x.dtype).max) * sigmoid(beta * x)


def swish_derivative(x: ArrayLike, beta: float = 1.0) -> Array:
    """s + beta x s (1 - s) with s = sigmoid(beta x): between about -0.1 and 1.1."""
    x, beta = _with_number(x, "beta", beta)
    with np.errstate(over="ignore"):
        z = _finite(beta * _finite(x))
    return sigmoid(z) + z * sigmoid_derivative(z)


def mish(x: ArrayLike) -> Array:
    """x * tanh(softplus(x)) (Misra 2019, arXiv:1908.08681)."""
    x = _float(x=x)
    return np.maximum(x, -np.finfo(x.dtype).max) * np.tanh(softplus(x))


def mish_derivative(x: ArrayLike) -> Array:
    """t + x (1 - t^2) sigmoid(x) with t = tanh(softplus(x))."""
    x = _finite(_float(x=x))
    return np.tanh(softplus(x)) + x * tanh_derivative(softplus(x)) * sigmoid(x)


def maxout(x: ArrayLike, pieces: int) -> Array:
    """The largest of every `pieces` neighbouring channels (Goodfellow et al. 2013, arXiv:1302.4389).

    x: (N, C * pieces, ...) -> (N, C, ...); output channel c looks at the input channels c * pieces and up.
    Raises ValueError if x has fewer than 2 axes or `pieces` does not divide its channels, TypeError for another number.
    """
    return _in_pieces(_float(x=x), pieces).max(axis=2)


def maxout_backward(dout: ArrayLike, x: ArrayLike, pieces: int) -> Array:
    """dx, of the shape of x: the whole gradient goes to the channel that won (to the first of equal ones).

    dout: (N, C, ...), the gradient of the output. Raises as `maxout` does, and ValueError for a dout of another shape.
    """
    x = _float(x=x)
    grouped = _in_pieces(x, pieces)
    dout = _like_out(dout, grouped.shape[:2] + grouped.shape[3:], x, f" and pieces={grouped.shape[2]}")
    dx = np.zeros_like(grouped)
    np.put_along_axis(dx, grouped.argmax(axis=2)[:, :, None], dout[:, :, None], axis=2)
    return dx.reshape(x.shape)


# ---------------------------------------------------------------------------------------------------------------------


def _float(**named: Any) -> Array:
    """The one named array as float32 or float64."""
    return same_float(**named)[0]


def _with_number(x: ArrayLike, name: str, value: Any) -> tuple[Array, float]:
    """x as an array, and one number that is finite in x's dtype too."""
    x, number = _float(x=x), finite(name, value)
    if abs(number) > np.finfo(x.dtype).max:
        raise ValueError(f"{name}={brief(value)} is too large for x, whose dtype is {x.dtype}")
    return x, number


def _left_right(x: Array, left: float | Array) -> Array:
    """`left` where x <= 0, 1 where x > 0, NaN where x is NaN; in the dtype of x."""
    slope = np.where(x > 0, x.dtype.type(1), np.asarray(left, dtype=x.dtype))
    return np.where(np.isnan(x), x, slope)


def _finite(x: Array) -> Array:
    """Infinity becomes the largest number there is: x * 0 is then 0, the limit, and not NaN. NaN stays."""
    largest = np.finfo(x.dtype).max
    return np.clip(x, -largest, largest)


def _with_slope(x: ArrayLike, slope: ArrayLike) -> tuple[Array, Array]:
    """x and the slope in one dtype, the slope shaped to multiply x."""
    plain = is_number(slope) and not isinstance(slope, np.generic)
    x, slope = _float(x=x), _float(slope=slope)
    dtype = x.dtype if plain else np.result_type(x, slope)
    x, slope = x.astype(dtype, copy=False), slope.astype(dtype, copy=False)
    if slope.size == 1 and slope.ndim <= 1:
        return x, slope.reshape(())
    if slope.ndim != 1 or x.ndim < 2 or len(slope) != x.shape[1]:
        raise ValueError(
            f"slope must be a single number or have shape (C,), one number for each channel of x, but slope has shape "
            f"{slope.shape} and x {x.shape}"
        )
    return x, slope.reshape(-1, *(1,) * (x.ndim - 2))[None]


def _like_out(dout: ArrayLike, shape: tuple[int, ...], x: Array, setting: str = "") -> Array:
    """dout in the dtype of x, if it has the shape of the output for this x."""
    dout = _float(dout=dout)
    if dout.shape != shape:
        raise ValueError(
            f"dout must have the shape of the output, {shape} for x of shape {x.shape}{setting}, but has shape "
            f"{dout.shape}"
        )
    return dout.astype(x.dtype, copy=False)


def _in_pieces(x: Array, pieces: int) -> Array:
    """(N, C * pieces, ...) -> (N, C, pieces, ...)"""
    pieces = integer("pieces", pieces, least=1)
    if x.ndim < 2 or x.shape[1] % pieces or pieces >= 2**31:  # NumPy's shapes go no further, not even of 0 channels
        wanted = f"(N, C * {brief(pieces)}, ...) for pieces={brief(pieces)}"
        raise ValueError(f"x must have shape {wanted}, but has shape {x.shape}")
    return x.reshape(x.shape[0], x.shape[1] // pieces, pieces, *x.shape[2:])
