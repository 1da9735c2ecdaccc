"""Convolution in one and two dimensions, with PyTorch's meaning of every argument.

What deep learning calls convolution is cross-correlation: the kernel slides over the input without being
flipped. `conv2d` computes that. `convolve1d`, and `conv2d` with `flip(w)`, are the convolution of mathematics.

Three versions give the same output: `conv2d_loops` is the definition, `conv2d_windows` replaces the loops by a
view of all windows, and `conv2d` copies the windows into the columns of a matrix (im2col; Chellapilla, Puri and
Simard, "High Performance Convolutional Neural Networks for Document Processing", 2006), so that one fast matrix
product does the rest.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from cnn_course.arguments import integer, pair

Padding = int | tuple[int, int] | str

# `conv2d` makes this many bytes of columns at a time: few enough that the matrix product finds them in the cache,
# and enough that each product is worth sharing between threads.
COLUMN_BYTES = 1 << 22


def output_size(n: int, k: int, *, stride: int = 1, padding: int | str = 0, dilation: int = 1) -> int:
    """Number of places at which a kernel of k taps fits on n pixels: floor((n + 2p - d(k-1) - 1) / s) + 1.

    The floor means that pixels at the far end are left out when the stride does not divide the rest.
    `padding` may also be "same" or "valid".

    Raises ValueError for a size that is not possible (a kernel larger than the padded input, a stride below 1,
    a negative padding), TypeError for a number that is not an integer.
    """
    n, k = integer("n", n, least=0), integer("k", k, least=1)
    stride, dilation = integer("stride", stride, least=1), integer("dilation", dilation, least=1)
    before, after = _borders(padding, k, stride, dilation)
    span = dilation * (k - 1) + 1
    if span > n + before + after:
        raise ValueError(
            f"the kernel covers {span} pixels ({k} taps, dilation {dilation}), but the padded input has only "
            f"{n + before + after} ({n} + {before} + {after}): use a larger input, more padding or a smaller kernel"
        )
    return (n + before + after - span) // stride + 1


def flip(w: ArrayLike) -> NDArray:
    """Reverse a kernel: the last two axes, or the only axis of a 1-D one. Turns correlation into convolution."""
    w = np.asarray(w)
    if w.ndim == 0:
        raise ValueError("w must have at least one axis, not be the single number " + repr(w.item()))
    return np.flip(w, axis=(-2, -1) if w.ndim > 1 else -1)


def correlate1d(
    x: ArrayLike, w: ArrayLike, *, stride: int = 1, padding: int | str = 0, dilation: int = 1
) -> NDArray[np.floating]:
    """Slide w over x and take the dot product at every place: y[t] = sum_i w[i] x[t*stride + i*dilation].

    x: (n,), w: (k,), both float32 or float64 (integers become float64); returns (output_size(n, k, ...),).
    Raises ValueError and TypeError as `conv2d` does.
    """
    x, w = _same_float(x=x, w=w)
    for name, array in (("x", x), ("w", w)):
        if array.ndim != 1:
            raise ValueError(f"{name} must have 1 axis, but has {array.ndim} (shape {array.shape})")
    if len(w) == 0:
        raise ValueError("w is empty: it needs at least one number")
    output_size(len(x), len(w), stride=stride, padding=padding, dilation=dilation)  # refuses what is not possible
    x = np.pad(x, _borders(padding, len(w), stride, dilation))
    return sliding_window_view(x, dilation * (len(w) - 1) + 1)[::stride, ::dilation] @ w


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
    """`conv2d` as its definition says: one loop per index. Thousands of times slower; read it, do not use it."""
    x, w, b, (sy, sx), borders, (dy, dx), out = _check(x, w, b, stride, padding, dilation, groups)
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
    """`conv2d` without loops over pixels: a view of all windows, contracted with the kernels by `np.tensordot`."""
    x, w, b, stride, borders, dilation, out = _check(x, w, b, stride, padding, dilation, groups)
    windows = _windows(np.pad(x, ((0, 0), (0, 0), *borders)), w.shape[2:], stride, dilation)  # (N, C, kh, kw, OH, OW)
    if out.size:
        parts = [
            np.tensordot(part, kernels, axes=((1, 2, 3), (1, 2, 3)))  # (N, OH, OW, O / groups)
            for part, kernels in zip(np.split(windows, groups, axis=1), np.split(w, groups), strict=True)
        ]
        out[...] = (np.concatenate(parts, axis=3) + b).transpose(0, 3, 1, 2)
    return out


def conv2d(
    x: ArrayLike,
    w: ArrayLike,
    b: ArrayLike | None = None,
    *,
    stride: int | tuple[int, int] = 1,
    padding: Padding = 0,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
) -> NDArray[np.floating]:
    """Cross-correlate a batch of images with a bank of kernels, as `torch.nn.functional.conv2d` does.

    x: (N, C, H, W); w: (O, C / groups, kh, kw); b: (O,) or None; returns (N, O, OH, OW), see `output_size`.
    float32 stays float32 when all three are; integers, booleans and float64 give float64.

    stride, padding, dilation: an integer, or a (vertical, horizontal) pair. padding may also be "valid" (none), or
    "same": zeros so that the output has the input's size, the odd one at the bottom or right; stride 1 only.
    groups: input and output channels are split into that many groups that do not see each other.
    As in PyTorch, N = 0 gives an empty output, and so does C = 0: an output with no channels.

    Raises ValueError for shapes and values that do not fit, TypeError for other dtypes and non-integers.
    """
    x, w, b, stride, ((top, bottom), (left, right)), dilation, out = _check(x, w, b, stride, padding, dilation, groups)
    if out.size == 0:
        return out
    images, channels, height, width = x.shape
    filters, out_height, out_width = out.shape[1:]
    maps = out.reshape(images, groups, filters // groups, -1)  # the same memory, one row per output map
    kernels = w.reshape(groups, filters // groups, -1)
    bias, taps = b.reshape(groups, -1, 1), kernels.shape[2]

    # A block is several small images, or a band of rows of one large image.
    row_bytes = groups * taps * out_width * x.itemsize
    block = min(images, max(1, COLUMN_BYTES // (row_bytes * out_height)))
    band = min(out_height, max(1, COLUMN_BYTES // row_bytes))

    padded = np.zeros((block, channels, top + height + bottom, left + width + right), x.dtype)
    inside = padded[:, :, top : top + height, left : left + width]  # only this part is ever written: the rest stays 0
    windows = _windows(padded, w.shape[2:], stride, dilation)  # (block, C, kh, kw, OH, OW), a view: no copy yet
    # 16 numbers more than needed: rows that lie a power of two apart compete for the same places in the cache.
    store = np.empty((block, groups, taps, band * out_width + 16), x.dtype)
    for n in range(0, images, block):
        m = min(block, images - n)
        inside[:m] = x[n : n + m]
        for r in range(0, out_height, band):
            view = windows[:m, ..., r : r + band, :]
            columns = store[:m, ..., : view.shape[-2] * out_width]
            columns.reshape(view.shape)[...] = view  # the copy: now every window is one column of a matrix
            rows = maps[n : n + m, ..., r * out_width : (r + band) * out_width]
            np.matmul(kernels, columns, out=rows)
            rows += bias
    return out


def _windows(x: NDArray, size: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int]) -> NDArray:
    """All windows of x (N, C, H, W) as a view (N, C, kh, kw, OH, OW): what tap (i, j) meets at place (r, s)."""
    span = tuple(d * (k - 1) + 1 for k, d in zip(size, dilation, strict=True))
    windows = sliding_window_view(x, span, axis=(2, 3))
    windows = windows[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]
    return windows.transpose(0, 1, 4, 5, 2, 3)


def _borders(padding: Any, k: int, stride: int, dilation: int) -> tuple[int, int]:
    """Zeros before and after one axis. "same" puts the odd one after, as PyTorch does."""
    if not isinstance(padding, str):
        number = integer("padding", padding, least=0)
        return number, number
    if padding == "valid":
        return 0, 0
    if padding != "same":
        raise ValueError(f'padding must be an integer, a pair, "same" or "valid", not {padding!r}')
    if stride != 1:
        raise ValueError(f'padding="same" needs stride 1, not {stride}: give the padding as a number')
    total = dilation * (k - 1)
    return total // 2, total - total // 2


def _same_float(**arrays: ArrayLike) -> list[NDArray]:
    """The arrays as float32 if all of them are, else as float64. Raises TypeError for any other kind of number."""
    found = {name: np.asarray(array) for name, array in arrays.items()}
    for name, array in found.items():
        if array.dtype.kind not in "bui" and array.dtype.type not in (np.float32, np.float64):
            raise TypeError(
                f"{name} has dtype {array.dtype}; float32 and float64 are allowed, and integers and booleans, which "
                f"become float64: convert it first, for example {name}.astype(np.float32)"
            )
    all_float32 = all(array.dtype.type is np.float32 for array in found.values())
    return [array.astype(np.float32 if all_float32 else np.float64, copy=False) for array in found.values()]


class _Checked(NamedTuple):
    x: NDArray
    w: NDArray
    b: NDArray
    stride: tuple[int, int]
    borders: tuple[tuple[int, int], tuple[int, int]]
    dilation: tuple[int, int]
    out: NDArray


def _check(x: Any, w: Any, b: Any, stride: Any, padding: Any, dilation: Any, groups: Any) -> _Checked:
    """Everything that the three versions check: arrays of one dtype, pairs, and an empty array for the output."""
    if b is None:
        x, w = _same_float(x=x, w=w)
    else:
        x, w, b = _same_float(x=x, w=w, b=b)
    for name, array, axes in (("x", x, "(N, C, H, W)"), ("w", w, "(O, C / groups, kh, kw)")):
        if array.ndim != 4:
            raise ValueError(f"{name} must have 4 axes {axes}, but has {array.ndim} (shape {array.shape})")
    (images, channels, *size), (filters, depth, *kernel) = x.shape, w.shape
    if filters == 0 or 0 in kernel:
        raise ValueError(f"w has shape {w.shape}: it needs at least one kernel with at least one number per channel")
    if 0 in size and images and channels:
        raise ValueError(f"x has shape {x.shape}: its images have no pixels")

    groups = integer("groups", groups, least=1)
    if channels % groups or filters % groups:
        raise ValueError(
            f"groups={groups} must divide the {channels} channels of x and the {filters} kernels of w "
            f"(shapes {x.shape} and {w.shape})"
        )
    if depth * groups != channels:
        raise ValueError(
            f"x has {channels} channels (shape {x.shape}), but w has kernels for {depth * groups} (shape {w.shape}, "
            f"groups={groups}): with this x, w must have shape {(filters, channels // groups, *kernel)}"
        )
    if b is None:
        b = np.zeros(filters, x.dtype)
    elif b.shape != (filters,):
        raise ValueError(f"b must have shape ({filters},), one number per kernel of w, but has shape {b.shape}")

    stride, dilation = pair("stride", stride, least=1), pair("dilation", dilation, least=1)
    paddings = (padding, padding) if isinstance(padding, str) else pair("padding", padding, least=0)
    borders, places = [], []
    for n, k, s, p, d in zip(size, kernel, stride, paddings, dilation, strict=True):
        places.append(output_size(n, k, stride=s, padding=p, dilation=d))
        borders.append(_borders(p, k, s, d))
    out = np.zeros((images, filters if channels else 0, *places), x.dtype)
    return _Checked(x, w, b, stride, tuple(borders), dilation, out)
