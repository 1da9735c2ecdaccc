"""Convolution in one, two and three dimensions, with PyTorch's meaning of every argument, and its gradients.

What deep learning calls convolution is cross-correlation: the kernel slides over the input without being
flipped. `conv1d`, `conv2d` and `conv3d` compute that. `convolve1d`, and `conv2d` with `flip(w)`, are the convolution
of mathematics.

Three versions give the same output: `conv2d_loops` is the definition, `conv2d_windows` replaces the loops by a
view of all windows, and `conv2d` lets a matrix product, or a faster algorithm, do the work (`fast_convolution`).
"""

import math
from typing import Literal, overload

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from cnn_course import fast_convolution
from cnn_course.arguments.arrays import array, with_axes
from cnn_course.arguments.floats import same_float
from cnn_course.arguments.integers import integer
from cnn_course.arguments.memory import MOST_BYTES, affordable
from cnn_course.arguments.objects import flag, one_of
from cnn_course.arguments.shown import brief
from cnn_course.array_engine.conv_arguments import (
    Convolution,
    Padding,
    axes_of,
    blamed,
    checked,
    output_size,
    places_of,
    sliding,
)

__all__ = [
    "conv1d",
    "conv2d",
    "conv2d_loops",
    "conv2d_windows",
    "conv3d",
    "conv_backward",
    "convolve1d",
    "correlate1d",
    "flip",
    "output_size",
]

# With fewer channels the transforms of Winograd's method cost more than its products save.
WINOGRAD_CHANNELS = 32

METHODS = ("auto", "direct", "winograd", "fft")

# One costs up to a microsecond: this many are ten seconds.
MOST_LOOPED_MACS = 10**7


def flip(w: ArrayLike) -> NDArray:
    """Reverse a kernel: the last two axes, or the only axis of a 1-D one. Turns correlation into convolution."""
    w = array("w", w)
    if w.ndim == 0:
        raise ValueError("w must have at least one axis, not be the single number " + brief(w.item()))
    return np.flip(w, axis=(-2, -1) if w.ndim > 1 else -1)


def correlate1d(
    x: ArrayLike, w: ArrayLike, *, stride: int = 1, padding: int | str = 0, dilation: int = 1
) -> NDArray[np.floating]:
    """Slide w over x and take the dot product at every place: y[t] = sum_i w[i] x[t*stride + i*dilation].

    x: (n,), w: (k,), both float32 or float64 (integers become float64); returns (output_size(n, k, ...),).
    Raises ValueError and TypeError as `conv2d` does.
    """
    x, w = same_float(x=with_axes("x", x, "n"), w=with_axes("w", w, "k"))
    if len(w) == 0:
        raise ValueError("w is empty: it needs at least one number")
    stride, dilation = integer("stride", stride, least=1), integer("dilation", dilation, least=1)
    padding = padding if isinstance(padding, str) else integer("padding", padding, least=0)
    (step,), (borders,), (apart,) = sliding(w.shape, stride, padding, dilation)
    try:
        places_of(len(x), len(w), step, borders, apart)
    except ValueError as error:
        raise ValueError(f"w of length {len(w)} does not fit on x of length {len(x)}: {error}") from None
    affordable(*blamed(padding, dilation), sum(borders))
    return sliding_window_view(np.pad(x, borders), apart * (len(w) - 1) + 1)[::step, ::apart] @ w


def convolve1d(
    x: ArrayLike, w: ArrayLike, *, stride: int = 1, padding: int | str = 0, dilation: int = 1
) -> NDArray[np.floating]:
    """The convolution of mathematics: `correlate1d` with the kernel flipped. padding=k-1 is NumPy's mode "full"."""
    return correlate1d(x, flip(w), stride=stride, padding=padding, dilation=dilation)


def conv2d_loops(
    x: ArrayLike,
    w: ArrayLike,
    b: ArrayLike | None = None,
    *,
    stride: int | tuple[int, int] = 1,
    padding: Padding = 0,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
) -> NDArray[np.floating]:
    """`conv2d` as its definition says: one loop per index. Thousands of times slower; read it, do not use it.

    Raises as `conv2d` does, and ValueError where the loops would run for more than some ten seconds.
    """
    conv = checked(2, x, w, b, stride=stride, padding=padding, dilation=dilation, groups=groups)
    if conv.macs > MOST_LOOPED_MACS:
        raise ValueError(
            f"x and w, of shapes {conv.x.shape} and {conv.w.shape}, need {conv.macs:,} multiplications with this "
            f"padding; the loops do at most {MOST_LOOPED_MACS:,}, or one waits for minutes: use conv2d"
        )
    x, w, b, (sy, sx), borders, (dy, dx), groups, out = conv
    x = np.pad(x, ((0, 0), (0, 0), *borders))
    images, filters, rows, columns = out.shape
    channels, taps_y, taps_x = w.shape[1:]
    for n in range(images):
        for o in range(filters):
            first = o // (len(w) // groups) * channels  # the first input channel of this filter's group
            for r in range(rows):
                for s in range(columns):
                    total = b[o]
                    for c in range(channels):
                        for i in range(taps_y):
                            for j in range(taps_x):
                                total += w[o, c, i, j] * x[n, first + c, r * sy + i * dy, s * sx + j * dx]
                    out[n, o, r, s] = total
    return out


def conv2d_windows(
    x: ArrayLike,
    w: ArrayLike,
    b: ArrayLike | None = None,
    *,
    stride: int | tuple[int, int] = 1,
    padding: Padding = 0,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
) -> NDArray[np.floating]:
    """`conv2d` without loops over pixels: a view of all windows, contracted with the kernels by `np.tensordot`.

    Raises as `conv2d` does, and ValueError where the copy of all windows, which tensordot makes, would not fit.
    """
    conv = checked(2, x, w, b, stride=stride, padding=padding, dilation=dilation, groups=groups)
    seen_bytes = conv.x.itemsize * len(conv.x) * conv.w[0].size * conv.groups * math.prod(conv.out.shape[2:])
    if seen_bytes > MOST_BYTES:
        raise ValueError(
            f"x and w, of shapes {conv.x.shape} and {conv.w.shape}, have {seen_bytes / 2**30:.0f} GiB of windows with "
            f"this padding, and at most {MOST_BYTES // 2**30} are copied here: use conv2d"
        )
    seen = fast_convolution.windows(np.pad(conv.x, ((0, 0), (0, 0), *conv.borders)), conv)  # (N, C, kh, kw, OH, OW)
    if conv.out.size:
        parts = [
            np.tensordot(part, kernels, axes=((1, 2, 3), (1, 2, 3)))  # (N, OH, OW, O / groups)
            for part, kernels in zip(np.split(seen, groups, axis=1), np.split(conv.w, groups), strict=True)
        ]
        conv.out[...] = (np.concatenate(parts, axis=3) + conv.b).transpose(0, 3, 1, 2)
    return conv.out


def conv2d(
    x: ArrayLike,
    w: ArrayLike,
    b: ArrayLike | None = None,
    *,
    stride: int | tuple[int, int] = 1,
    padding: Padding = 0,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
    method: str = "auto",
) -> NDArray[np.floating]:
    """Cross-correlate a batch of images with a bank of kernels, as `torch.nn.functional.conv2d` does.

    x: (N, C, H, W); w: (O, C / groups, kh, kw); b: (O,) or None; returns (N, O, OH, OW), see `output_size`.
    float32 stays float32 when all three are; integers, booleans and float64 give float64.

    stride, padding, dilation: an integer, or a (vertical, horizontal) pair. padding may also be "valid" (none), or
    "same": zeros so that the output has the input's size, the odd one at the bottom or right; stride 1 only.
    groups: input and output channels are split into that many groups that do not see each other.
    As in PyTorch, N = 0 gives an empty output, and so does C = 0: an output with no channels.

    method: "direct" adds up the products in blocks of columns. "winograd" (3 x 3, stride 1 and dilation 1 only) and
    "fft" need fewer multiplications and round more: in float32 by about 1e-6 to 1e-5 of the largest output. "auto"
    picks the fastest for these shapes; float64 is always "direct", and so is a result that is not finite, because the
    other two would spread a NaN or an infinity over its neighbours.

    Raises ValueError for shapes and values that do not fit, TypeError for other dtypes and non-integers.
    """
    one_of("method", method, METHODS)
    conv = checked(2, x, w, b, stride=stride, padding=padding, dilation=dilation, groups=groups)
    if method == "winograd" and not conv.fits_winograd:
        raise ValueError(
            f'method="winograd" is for 3 x 3 kernels with stride 1 and dilation 1, not for this w of {conv.w.shape[2]} '
            f'x {conv.w.shape[3]}, stride {conv.stride}, dilation {conv.dilation}: use "auto", "direct" or "fft"'
        )
    if method == "fft":  # "auto" would not take it for spectra this large
        spectra = len(conv.w) * conv.w.shape[1] * math.prod(conv.padded_size)  # and three copies on the way to them
        affordable("method", method, 4 * spectra, itemsize=conv.x.itemsize)
    return _compute(conv, _pick(conv) if method == "auto" else method)


def conv1d(
    x: ArrayLike,
    w: ArrayLike,
    b: ArrayLike | None = None,
    *,
    stride: int | tuple[int] = 1,
    padding: Padding = 0,
    dilation: int | tuple[int] = 1,
    groups: int = 1,
) -> NDArray[np.floating]:
    """`conv2d` along one axis: x (N, C, L), w (O, C / groups, k), b (O,); returns (N, O, OL)."""
    return _compute(checked(1, x, w, b, stride=stride, padding=padding, dilation=dilation, groups=groups), "direct")


def conv3d(
    x: ArrayLike,
    w: ArrayLike,
    b: ArrayLike | None = None,
    *,
    stride: int | tuple[int, int, int] = 1,
    padding: Padding = 0,
    dilation: int | tuple[int, int, int] = 1,
    groups: int = 1,
) -> NDArray[np.floating]:
    """`conv2d` along three axes: x (N, C, D, H, W), w (O, C / groups, kd, kh, kw), b (O,); (N, O, OD, OH, OW)."""
    return _compute(checked(3, x, w, b, stride=stride, padding=padding, dilation=dilation, groups=groups), "direct")


@overload
def conv_backward(
    dout: ArrayLike,
    x: ArrayLike,
    w: ArrayLike,
    *,
    stride: int | tuple[int, ...] = 1,
    padding: Padding = 0,
    dilation: int | tuple[int, ...] = 1,
    groups: int = 1,
    need_dx: Literal[True] = True,
) -> tuple[NDArray[np.floating], NDArray[np.floating], NDArray[np.floating]]: ...


@overload
def conv_backward(
    dout: ArrayLike,
    x: ArrayLike,
    w: ArrayLike,
    *,
    stride: int | tuple[int, ...] = 1,
    padding: Padding = 0,
    dilation: int | tuple[int, ...] = 1,
    groups: int = 1,
    need_dx: bool,
) -> tuple[NDArray[np.floating] | None, NDArray[np.floating], NDArray[np.floating]]: ...


def conv_backward(
    dout: ArrayLike,
    x: ArrayLike,
    w: ArrayLike,
    *,
    stride: int | tuple[int, ...] = 1,
    padding: Padding = 0,
    dilation: int | tuple[int, ...] = 1,
    groups: int = 1,
    need_dx: bool = True,
) -> tuple[NDArray[np.floating] | None, NDArray[np.floating], NDArray[np.floating]]:
    """The gradients (dx, dw, db) of conv1d, conv2d or conv3d, whichever x has the axes for.

    dout: the gradient of the loss with respect to the output, in its shape; x, w and the rest as they were given to
    the convolution. dx, dw and db have the shapes of x, w and b. need_dx=False leaves dx out (None): a network's first
    layer has nothing below it that could use it.

    dw correlates x with dout; dx spreads each number of dout over the window that it came from; db adds dout up.
    Raises ValueError and TypeError as `conv2d` does, and ValueError if dout has another shape than the output.
    """
    flag("need_dx", need_dx)
    dout, x, w = same_float(dout=dout, x=x, w=w)
    axes = axes_of(x, w)
    conv = checked(axes, x, w, stride=stride, padding=padding, dilation=dilation, groups=groups)
    groups = conv.groups
    if dout.shape != conv.out.shape:
        raise ValueError(
            f"dout must have the shape of the output, {conv.out.shape}, but has shape {dout.shape} (x {x.shape}, "
            f"w {w.shape}, stride {conv.stride}, padding {conv.borders}, dilation {conv.dilation})"
        )
    db = dout.sum(axis=(0, *range(2, 2 + axes)))
    if conv.out.size == 0:
        return np.zeros(x.shape, x.dtype) if need_dx else None, np.zeros(w.shape, w.dtype), db
    dw = fast_convolution.kernel_gradient(conv, dout)
    if not need_dx:
        return None, dw, db
    spread = max(conv.stride) > 1 or any(max(p) >= s for p, s in zip(conv.borders, conv.span, strict=True))
    if spread or not np.isfinite(w).all():  # infinity times the zeros around dout would be NaN
        return fast_convolution.spread_back(conv, dout), dw, db
    # With stride 1 the spreading is a convolution again: of dout, padded, with the flipped kernels, in which input and
    # output channels change places.
    filters, depth, *kernel = w.shape
    turned = np.flip(w.reshape(groups, -1, depth, *kernel), axis=tuple(range(-axes, 0))).swapaxes(1, 2)
    turned = turned.reshape(depth * groups, filters // groups, *kernel)
    back = tuple((s - 1 - before, s - 1 - after) for s, (before, after) in zip(conv.span, conv.borders, strict=True))
    dx = np.zeros(x.shape, x.dtype)  # in C order, whatever order x has
    full = Convolution(dout, turned, np.zeros(len(turned), w.dtype), conv.stride, back, conv.dilation, groups, dx)
    return _compute(full, _pick(full)), dw, db


def _pick(conv: Convolution) -> str:
    """The method that is likely the fastest for these shapes; in float64 always the most accurate one.

    The costs are a fit to times measured on one core of a server, in units of a third of a nanosecond: what a Fourier
    transform takes per point, the product of spectra, a multiplication in a matrix product, a number in a column.
    """
    if conv.x.dtype == np.float64:
        return "direct"
    depth = conv.w.shape[1]
    if conv.fits_winograd and min(depth, len(conv.w) // conv.groups) >= WINOGRAD_CHANNELS:
        return "winograd"
    images, channels, filters = len(conv.x), conv.x.shape[1], len(conv.w)
    points = math.prod(conv.padded_size)
    transforms = points * math.log2(points + 1) * (filters * depth + images * (channels + filters))
    fft = transforms + 1.3 * points * images * filters * depth
    direct = conv.macs / 12 + conv.macs / (filters // conv.groups) / 2
    return "fft" if 1.5 * fft < direct else "direct"


def _compute(conv: Convolution, method: str) -> NDArray:
    if conv.out.size == 0:
        return conv.out
    if method != "direct":
        (fast_convolution.by_winograd if method == "winograd" else fast_convolution.by_fft)(conv)
        with np.errstate(over="ignore", invalid="ignore"):
            if np.isfinite(conv.out.sum()):
                return conv.out
    fast_convolution.by_columns(conv)
    return conv.out
