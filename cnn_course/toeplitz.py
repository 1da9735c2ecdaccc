"""The matrix of a convolution, and how far any matrix is from being one.

A convolution is linear, so it is a matrix: each row holds the kernel at one place, everything else is zero. In one
dimension the numbers of a diagonal are equal (a Toeplitz matrix); in two, the matrix is made of such blocks, and the
blocks repeat along diagonals as well. On a ring, where the border wraps around, the diagonals wrap too: the matrix is
circulant, and circulant matrices are exactly those that commute with a shift (R. M. Gray, "Toeplitz and Circulant
Matrices: A Review", 2006).
"""

import math
from typing import Any

import numpy as np
import scipy.sparse
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from cnn_course.arguments.arrays import array
from cnn_course.arguments.floats import same_float
from cnn_course.arguments.integers import integer
from cnn_course.arguments.memory import affordable
from cnn_course.arguments.objects import text
from cnn_course.arguments.shown import brief
from cnn_course.array_engine.conv_arguments import blamed, places_of, sliding

BORDERS = ("zeros", "circular")


def matrix(
    w: ArrayLike,
    size: int | tuple[int, ...],
    *,
    stride: int = 1,
    padding: int | str = 0,
    dilation: int = 1,
    border: str = "zeros",
) -> scipy.sparse.csr_array:
    """The sparse matrix A of a convolution: A @ x.ravel() is the output of `conv1d`, `conv2d` or `conv3d`, flattened.

    size: of the input, n or (H, W) or (D, H, W). w: one kernel with as many axes as size, or (O, C, *kernel).
    Returns (O * outputs, C * inputs), float32 for a float32 kernel, else float64; `.toarray()` makes it dense.
    Every tap is stored, also one that is 0, but nothing for taps that stand on a padded zero.

    stride, padding, dilation: as in `conv2d`, the same along every axis. border: what `padding` puts there, "zeros" or
    "circular", the other end of the input. With padding="same" and border="circular" the input is a ring (a torus).

    Raises ValueError for shapes and values that do not fit and for a matrix that would not fit into memory, TypeError
    for other dtypes and non-integers.
    """
    size = _size(size)
    (w,) = same_float(w=w)
    if w.ndim not in (len(size), len(size) + 2) or w.size == 0:
        raise ValueError(
            f"w has shape {w.shape}, but for an input of size {size} it must have {len(size)} axes, or {len(size) + 2} "
            "with output and input channels first, and at least one number"
        )
    if text("border", border) not in BORDERS:
        raise ValueError(f"border must be one of {', '.join(BORDERS)}, not {brief(border)}")
    w = w if w.ndim > len(size) else w[None, None]
    pixels = _meets(size, w, stride, padding, dilation, border)  # (outputs, taps): a pixel, or -1
    (filters, channels), (outputs, taps), inputs = w.shape[:2], pixels.shape, math.prod(size)

    o, c, place, tap = np.ix_(*(np.arange(n) for n in (filters, channels, outputs, taps)))
    rows = np.broadcast_to(o * outputs + place, (filters, channels, outputs, taps))
    columns = np.broadcast_to(c * inputs + pixels, rows.shape)
    values = np.broadcast_to(w.reshape(filters, channels, 1, taps), rows.shape)
    inside = np.broadcast_to(pixels >= 0, rows.shape)
    shape = (filters * outputs, channels * inputs)
    # Where a kernel wraps around a small ring and meets a pixel twice, its taps add up.
    return scipy.sparse.coo_array((values[inside], (rows[inside], columns[inside])), shape=shape).tocsr()


def shift_matrix(size: int | tuple[int, ...], by: int | tuple[int, ...] = 1) -> scipy.sparse.csr_array:
    """The permutation matrix S of a shift on a ring or torus: S @ x.ravel() is np.roll(x, by), flattened.

    size: n or (H, W, ...); by: one integer for each axis. Raises ValueError and TypeError if they do not fit.
    """
    sides = _size(size)
    by = (by,) if not isinstance(by, tuple | list) else tuple(by)
    if len(by) != len(sides):
        raise ValueError(f"by must name one shift for each of the {len(sides)} axes of size {sides}, not {brief(by)}")
    by = tuple(integer("by", number) % side for number, side in zip(by, sides, strict=True))  # round the ring
    n, size = math.prod(sides), sides
    comes_from = np.roll(np.arange(n).reshape(size), by, axis=tuple(range(len(size)))).ravel()
    return scipy.sparse.csr_array((np.ones(n), (np.arange(n), comes_from)), shape=(n, n))


def circulant(kernel: ArrayLike) -> NDArray[np.floating]:
    """The dense matrix of a convolution on a ring: A[i, j] = kernel[j - i], counted round the ring.

    kernel: (n,), or (H, W, ...) for a torus, one number for each possible offset; returns (n, n) with n = kernel.size.
    Raises ValueError for a kernel without numbers, or with so many that the matrix would not fit into memory.
    """
    kernel = array("kernel", kernel)
    if kernel.size == 0 or kernel.ndim == 0:
        raise ValueError(f"kernel must have at least one axis, of at least 1 number, but has shape {kernel.shape}")
    size = kernel.shape
    affordable("kernel", kernel, (len(size) + 2) * kernel.size**2)
    a = np.empty((kernel.size, kernel.size), np.result_type(kernel, np.float32))
    np.put_along_axis(a, _offsets(size), kernel.reshape(1, -1), axis=1)
    return a


def ring_kernel(a: ArrayLike | scipy.sparse.sparray, size: int | tuple[int, ...] | None = None) -> NDArray[np.floating]:
    """The mean of each wrapped diagonal of a square matrix: kernel[d] = mean over i of a[i, i + d].

    a: (n, n), dense or sparse; size: n by default, or (H, W, ...) if row and column number the pixels of a torus.
    Returns an array of shape size. Raises ValueError if a is not square or does not fit size.
    """
    a = _dense(a)
    if a.ndim != 2 or a.shape[0] != a.shape[1] or a.size == 0:
        raise ValueError(f"a must be a square matrix, but has shape {a.shape}")
    size = (len(a),) if size is None else _size(size)
    if math.prod(size) != len(a):
        raise ValueError(f"a has {len(a)} rows, but size {brief(size)} has {brief(math.prod(size))} pixels")
    affordable("a", a, (len(size) + 2) * a.size)
    return np.take_along_axis(a, _offsets(size), axis=1).mean(axis=0).reshape(size)


def nearest_circulant(
    a: ArrayLike | scipy.sparse.sparray, size: int | tuple[int, ...] | None = None
) -> NDArray[np.floating]:
    """The circulant matrix closest to a (in the Frobenius norm): each wrapped diagonal is replaced by its mean.

    a, size, and what it raises: see `ring_kernel`. Returns (n, n).
    """
    return circulant(ring_kernel(a, size))


def circulant_distance(a: ArrayLike | scipy.sparse.sparray, size: int | tuple[int, ...] | None = None) -> float:
    """|a - nearest circulant| / |a| in the Frobenius norm: 0 for a convolution on a ring, at most 1.

    a, size, and what it raises: see `ring_kernel`. The zero matrix is circulant, so its distance is 0.
    """
    a = _dense(a)
    a = a.astype(np.float64, copy=False)  # the squares of half precision end at 65,504
    largest = float(np.abs(a).max(initial=0))
    if 0 < largest < np.inf and not 1e-100 < largest < 1e100:  # nor may these be 0 or infinite
        a = a / largest
    nearest, length = nearest_circulant(a, size), float(np.linalg.norm(a))
    return float(np.linalg.norm(a - nearest)) / length if length else 0.0


def _dense(a: Any) -> NDArray:
    if scipy.sparse.issparse(a):
        affordable("a", a, math.prod(a.shape))
        a = a.toarray()
    return array("a", a)


def _meets(
    size: tuple[int, ...], w: NDArray, stride: Any, padding: Any, dilation: Any, border: str
) -> NDArray[np.integer]:
    """The number of the pixel that each tap meets at each place (outputs, taps), -1 where it is a padded zero."""
    stride, dilation = integer("stride", stride, least=1), integer("dilation", dilation, least=1)
    padding = padding if isinstance(padding, str) else integer("padding", padding, least=0)
    kernel = w.shape[2:]
    strides, borders, dilations = sliding(kernel, stride, padding, dilation)
    try:
        places = math.prod(map(places_of, size, kernel, strides, borders, dilations))
    except ValueError as error:
        raise ValueError(f"w of shape {w.shape} does not fit on size {size}: {error}") from None
    padded = math.prod(n + sum(both) for n, both in zip(size, borders, strict=True))
    # For each tap at each place a row, a column and a value, while they are found and again in the result.
    pixels, numbers_of_a_place = math.prod(size), 6 * w.size
    affordable("size", size, min(places, pixels) * numbers_of_a_place)
    affordable(*blamed(padding, dilation), padded + places * numbers_of_a_place)
    numbers = np.arange(pixels).reshape(size)
    options = {"mode": "wrap"} if border == "circular" else {"constant_values": -1}
    spans = [dilation * (k - 1) + 1 for k in kernel]
    windows = sliding_window_view(np.pad(numbers, borders, **options), spans)
    steps = [slice(None, None, stride)] * len(size) + [slice(None, None, dilation)] * len(size)
    return windows[tuple(steps)].reshape(-1, math.prod(kernel))


def _offsets(size: tuple[int, ...]) -> NDArray[np.integer]:
    """(n, n): entry [i, d] is the pixel that lies d further than pixel i, counted round along every axis."""
    places = np.indices(size).reshape(len(size), -1)
    moved = (places[:, :, None] + places[:, None, :]) % np.reshape(size, (-1, 1, 1))
    return np.ravel_multi_index(tuple(moved), size)


def _size(size: Any) -> tuple[int, ...]:
    numbers = tuple(size) if isinstance(size, tuple | list) else (size,)
    if not numbers:
        raise ValueError("size must name at least one axis, not be empty")
    numbers = tuple(integer("size", number, least=1) for number in numbers)
    affordable("size", size, 4 * math.prod(numbers))  # what is known of each pixel
    return numbers
