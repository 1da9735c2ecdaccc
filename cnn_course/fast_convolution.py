"""Three fast ways to the same sums: columns (im2col), Winograd and Fourier.

`convolution.conv2d` picks one of them; lecture 10 derives them. Each takes a checked `Convolution`, works on a few
images (or a band of rows) at a time so that its arrays stay in the cache, and shares these blocks among as many
threads as NumPy's matrix product is set to use. The copies around a product then run on all cores too, which the
threads inside the product would not do.

Sources: Chellapilla, Puri and Simard, "High Performance Convolutional Neural Networks for Document Processing", 2006
(columns); Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2015, arXiv:1509.09308 (Winograd);
Mathieu, Henaff and LeCun, "Fast Training of Convolutional Networks through FFTs", 2013, arXiv:1312.5851.
"""

import functools
import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import scipy.fft
from numpy.lib.stride_tricks import as_strided, sliding_window_view
from numpy.typing import NDArray

from cnn_course.arguments.arrays import array
from cnn_course.arguments.floats import same_float
from cnn_course.arguments.integers import integer
from cnn_course.arguments.objects import instance
from cnn_course.array_engine import cache_blocks
from cnn_course.array_engine.cache_blocks import even, in_threads, product, threads
from cnn_course.array_engine.conv_arguments import Convolution


def windows(x: NDArray, conv: Convolution) -> NDArray:
    """All windows of a padded x (N, C, *S) as a view (N, C, *K, *OS): what each tap meets at each place."""
    axes = len(_convolution(conv).stride)
    x = array("x", x)
    if x.shape[2:] != conv.padded_size or x.ndim != axes + 2:
        raise ValueError(
            f"x must be padded, so that its last axes are {conv.padded_size} as conv says, but has shape {x.shape}"
        )
    return _windows(x, conv)


def _windows(x: NDArray, conv: Convolution) -> NDArray:
    axes = len(conv.stride)
    view = sliding_window_view(x, conv.span, axis=tuple(range(2, 2 + axes)))
    view = view[(slice(None),) * 2 + tuple(slice(None, None, step) for step in conv.stride + conv.dilation)]
    return view.transpose(0, 1, *range(2 + axes, 2 + 2 * axes), *range(2, 2 + axes))


def by_columns(conv: Convolution) -> None:
    """Copy windows into the columns of a matrix; one product with the kernels as rows does the rest."""
    if _convolution(conv).out.size == 0:
        return
    x, w, out, groups = conv.x, conv.w, conv.out, conv.groups
    images, filters, rows, *others = out.shape
    row = math.prod(others)  # places for each index of the first spatial axis
    maps = out.reshape(images, groups, filters // groups, -1)  # a view, as out is new: a row per output map
    kernels = w.reshape(groups, filters // groups, -1)
    bias, taps = conv.b.reshape(groups, -1, 1), kernels.shape[2]

    plain = max(conv.span) == 1 and max(conv.stride) == 1 and not np.any(conv.borders)
    block, band = _block_and_band(conv, groups * taps)
    if plain:
        band = rows
    jobs = [(n, r) for n in range(0, images, block) for r in range(0, rows, band)]

    def work(jobs: Sequence[tuple[int, int]]) -> None:
        if not plain:
            padded = np.zeros((block, x.shape[1], *conv.padded_size), x.dtype)
            inside = conv.inside(padded)  # only this part is ever written: the rest stays 0
            view = _windows(padded, conv)
            # 16 numbers more than needed: rows a power of two apart compete for the same places in the cache.
            store = np.empty((block, groups, taps, band * row + 16), x.dtype)
        held = None
        for n, r in jobs:
            m = min(block, images - n)
            places = slice(r * row, min(rows, r + band) * row)
            if plain:
                columns = x[n : n + m].reshape(m, groups, taps, -1)  # a 1 x 1 kernel: x already is the matrix
            else:
                if held != n:
                    inside[:m] = x[n : n + m]
                    held = n
                seen = _rows_of(view, m, r, band)
                columns = store[:m, ..., : places.stop - places.start]
                columns.reshape(seen.shape)[...] = seen  # the copy: now every window is one column of a matrix
            result = maps[n : n + m, ..., places]
            product(kernels, columns, out=result)
            result += bias

    in_threads(work, jobs, conv.macs)


def by_winograd(conv: Convolution, tile: int = 4) -> None:
    """3 x 3 kernels, stride 1: tiles of outputs from (tile + 2)^2 products instead of 9 tile^2.

    Its float32 error is about ten times that of the direct sum for tile 4. A value that is not finite spreads over
    its tile. Raises ValueError for other kernels and strides, and for another tile than 2 or 4.
    """
    if not _convolution(conv).fits_winograd:
        raise ValueError(
            f"conv has kernels of {conv.w.shape[2:]}, stride {conv.stride} and dilation {conv.dilation}: "
            "Winograd's method is for 3 x 3 kernels with stride 1 and dilation 1"
        )
    tile = integer("tile", tile)
    matrices = winograd_matrices(tile)
    if conv.out.size == 0:
        return
    x, w, out, groups = conv.x, conv.w, conv.out, conv.groups
    images, filters, height, width = out.shape
    channels, side = x.shape[1], tile + 2
    across, rows = -(-width // tile), -(-height // tile)
    to_outputs, to_kernels, to_inputs = (m.astype(x.dtype) for m in matrices)
    kernels = np.empty((side**2, w.size // 9), w.dtype)
    columns, both = np.ascontiguousarray(w.reshape(-1, 9).T), np.kron(to_kernels, to_kernels)

    def transform(parts: Sequence[slice]) -> None:
        for part in parts:
            product(both, columns[:, part], out=kernels[:, part])

    in_threads(transform, [slice(n, n + 4096) for n in range(0, columns.shape[1], 4096)], both.size * columns.shape[1])
    kernels = kernels.reshape(side, side, groups, filters // groups, channels // groups)
    bias, biased = conv.b[:, None], conv.b.any()

    # Large kernels are read from memory once per block: then more tiles at a time pay.
    tile_bytes = side**2 * channels * x.itemsize
    tiles = max(1, max(cache_blocks.BLOCK_BYTES, kernels.nbytes // 4) // tile_bytes)
    block, band = even(images, tiles // (across * rows), threads()), even(rows, tiles // across)
    jobs = [(n, r) for n in range(0, images, block) for r in range(0, rows, band)]

    @np.errstate(over="ignore", invalid="ignore")  # the caller looks at the output and starts again
    def work(jobs: Sequence[tuple[int, int]]) -> None:
        padded = np.zeros((block, channels, rows * tile + 2, across * tile + 2), x.dtype)
        inside = conv.inside(padded)
        count = block * band * across
        # Two arrays take turns, so that each step finds what it overwrites in the cache.
        numbers = side**2 * max(channels, filters) * block * band * across
        first, second = np.empty(numbers, x.dtype), np.empty(numbers, x.dtype)

        def view(memory: NDArray, rows: int, columns: int, maps: int) -> NDArray:
            return memory[: rows * columns * maps * count].reshape(rows, columns, -1)

        held = None
        for n, r in jobs:
            m, down = min(block, images - n), min(band, rows - r)
            if held != n:
                inside[:m] = x[n : n + m]
                held = n
            count = m * down * across
            d, v = view(first, side, side, channels), view(second, side, side, channels)
            # Pixel (i, j) of every tile, (side, side, C, m, tile rows, tile columns): tiles overlap by two pixels.
            image, plane, line, pixel = padded.strides
            seen = as_strided(
                padded[:, :, r * tile :],
                (side, side, channels, m, down, across),
                (line, pixel, plane, image, tile * line, tile * pixel),
                writeable=False,
            )
            d.reshape(seen.shape)[...] = seen
            product(to_inputs, d.swapaxes(0, 1), out=v.swapaxes(0, 1))  # rows of the tiles, then their columns
            product(to_inputs, v, out=d)
            p, q = view(second, side, side, filters), view(first, tile, side, filters)
            y = view(second, tile, tile, filters)
            parts = (side, side, groups, -1, count)
            product(kernels, d.reshape(parts), out=p.reshape(parts))
            product(to_outputs, p.swapaxes(0, 1), out=q.swapaxes(0, 1))
            product(to_outputs, q, out=y)
            if biased:
                y.reshape(tile**2, filters, count)[...] += bias
            y = y.reshape(tile, tile, filters, m, down, across).transpose(3, 2, 4, 0, 5, 1)
            target = out[n : n + m, :, r * tile : (r + down) * tile]
            for top, high, inner_rows in _whole_and_last(target.shape[2], tile):
                for left, wide, inner_columns in _whole_and_last(width, tile):
                    part = y[:, :, top : top + high, :inner_rows, left : left + wide, :inner_columns]
                    place = target[:, :, top * tile :, left * tile :][..., : high * inner_rows, : wide * inner_columns]
                    place.reshape(part.shape)[...] = part

    in_threads(work, jobs, conv.macs)


def _whole_and_last(size: int, tile: int) -> list[tuple[int, int, int]]:
    """(first tile, how many, pixels of each that count): the tiles inside `size` pixels, and one that reaches out."""
    whole, rest = divmod(size, tile)
    return [part for part in ((0, whole, tile), (whole, 1, rest)) if part[1] * part[2]]


def winograd_matrices(tile: int) -> tuple[NDArray, NDArray, NDArray]:
    """The three transforms of F(tile, 3), float64: A^T (tile, n), G (n, 3) and B^T (n, n) with n = tile + 2.

    Two polynomials are multiplied by evaluating both at n - 1 points and "at infinity" (the leading coefficient),
    multiplying the values and interpolating; sliding a kernel is the transpose of that. With the points p,
    A^T and G hold their powers, and row i of B^T the coefficients of prod (x - p[j]) over j != i. What each of these
    must be divided by, prod (p[i] - p[j]), is moved into G, because the kernels are transformed only once.
    Computed with fractions, so every entry is exact before it is rounded. Raises ValueError for another tile than 2 or
    4, TypeError for what is no integer.
    """
    if integer("tile", tile) not in (2, 4):
        raise ValueError(f"tile must be 2 or 4, not {tile!r}: larger tiles need points that cost too much accuracy")
    to_outputs, to_kernels, to_inputs = _winograd_matrices(int(tile))
    return to_outputs.copy(), to_kernels.copy(), to_inputs.copy()  # what the caller does to them stays with the caller


@functools.cache
def _winograd_matrices(tile: int) -> tuple[NDArray, NDArray, NDArray]:
    points = [Fraction(p) for p in (0, 1, -1, 2, -2)[: tile + 1]]
    n = len(points) + 1

    def product(roots: Sequence[Fraction]) -> list[Fraction]:
        coefficients = [Fraction(1)]  # lowest power first
        for root in roots:
            shifted, scaled = [Fraction(0), *coefficients], [*(-root * c for c in coefficients), Fraction(0)]
            coefficients = [a + b for a, b in zip(shifted, scaled, strict=True)]
        return coefficients + [Fraction(0)] * (n - len(coefficients))

    def powers(count: int) -> list[list[Fraction]]:
        return [[p**i for i in range(count)] for p in points] + [[Fraction(i == count - 1) for i in range(count)]]

    others = [[q for q in points if q != p] for p in points]
    divisors = [math.prod(p - q for q in rest) for p, rest in zip(points, others, strict=True)] + [Fraction(1)]
    to_outputs = np.array(powers(tile), float).T
    to_kernels = np.array([[v / d for v in row] for row, d in zip(powers(3), divisors, strict=True)], float)
    to_inputs = np.array([product(rest) for rest in others] + [product(points)], float)
    return to_outputs, to_kernels, to_inputs


def by_fft(conv: Convolution) -> None:
    """Multiply spectra: the cost hardly depends on the size of the kernel. A stride throws outputs away afterwards.

    The error is relative to the largest output, not to each; a value that is not finite spreads over its image.
    """
    if _convolution(conv).out.size == 0:
        return
    x, w, out, groups = conv.x, conv.w, conv.out, conv.groups
    axes = tuple(range(-len(conv.stride), 0))
    size = [scipy.fft.next_fast_len(n, real=True) for n in conv.padded_size]  # outputs never wrap round
    taps = np.zeros((*w.shape[:2], *conv.span), w.dtype)
    taps[(slice(None),) * 2 + tuple(slice(None, None, d) for d in conv.dilation)] = w
    spectra = scipy.fft.rfftn(taps, size, axes, workers=threads()).conj()  # the conjugate: correlation, not convolution
    frequencies = spectra.shape[2:]
    kernels = spectra.reshape(groups, -1, w.shape[1], math.prod(frequencies)).transpose(3, 0, 1, 2)
    kernels = np.ascontiguousarray(kernels)  # (F, groups, O / groups, C / groups): a small matrix per frequency
    places = tuple(slice(0, n * s, s) for n, s in zip(out.shape[2:], conv.stride, strict=True))

    images, filters = out.shape[:2]
    image_bytes = 2 * x.itemsize * (x.shape[1] + filters) * math.prod(frequencies)
    block = even(images, 4 * max(cache_blocks.BLOCK_BYTES, kernels.nbytes // 4) // image_bytes, threads())

    @np.errstate(over="ignore", invalid="ignore")  # as above
    def work(jobs: Sequence[int]) -> None:
        padded = np.zeros((block, x.shape[1], *conv.padded_size), x.dtype)
        for n in jobs:
            m = min(block, images - n)
            conv.inside(padded)[:m] = x[n : n + m]
            spectrum = scipy.fft.rfftn(padded[:m], size, axes).reshape(m, groups, w.shape[1], -1)
            product = kernels @ np.ascontiguousarray(spectrum.transpose(3, 1, 2, 0))  # (F, groups, O / groups, m)
            product = np.ascontiguousarray(product.transpose(3, 1, 2, 0)).reshape(m, filters, *frequencies)
            sums = scipy.fft.irfftn(product, size, axes, overwrite_x=True)
            out[n : n + m] = sums[(..., *places)]
            out[n : n + m] += conv.b.reshape(-1, *(1,) * len(axes))

    in_threads(work, range(0, images, block), conv.macs)


def kernel_gradient(conv: Convolution, dout: NDArray) -> NDArray:
    """dw: every kernel number meets dout at each place; the product of the columns with dout, transposed."""
    dout = _like_out(_convolution(conv), dout)
    x, w, groups = conv.x, conv.w, conv.groups
    if dout.size == 0:
        return np.zeros(w.shape, w.dtype)
    images, filters, rows, *others = dout.shape
    taps = w[0].size
    block, band = _block_and_band(conv, groups * taps)
    jobs = [(n, r) for n in range(0, images, block) for r in range(0, rows, band)]

    def work(jobs: Sequence[tuple[int, int]]) -> NDArray:
        total = np.zeros((groups, taps, filters // groups), x.dtype)
        padded = np.zeros((block, x.shape[1], *conv.padded_size), x.dtype)
        view = _windows(padded, conv)
        results = np.empty((block, groups, taps, filters // groups), x.dtype)
        for n, r in jobs:
            m = min(block, images - n)
            conv.inside(padded)[:m] = x[n : n + m]
            seen = _rows_of(view, m, r, band)
            columns = np.ascontiguousarray(seen).reshape(m, groups, taps, -1)
            part = dout[n : n + m, :, r : r + band].reshape(m, groups, filters // groups, -1)
            product(columns, part.swapaxes(2, 3), out=results[:m])
            total += results[:m].sum(axis=0)
        return total

    return sum(in_threads(work, jobs, conv.macs)).swapaxes(1, 2).reshape(w.shape)


def spread_back(conv: Convolution, dout: NDArray) -> NDArray:
    """dx: every number of dout, times the kernel, is added to the window that it came from."""
    dout = _like_out(_convolution(conv), dout)
    x, w, groups = conv.x, conv.w, conv.groups
    if dout.size == 0:
        return np.zeros(x.shape, x.dtype)
    images, filters = dout.shape[:2]
    kernels = w.reshape(groups, filters // groups, -1).swapaxes(1, 2)
    block, _ = _block_and_band(conv, groups * w[0].size)
    dx = np.empty(x.shape, x.dtype)

    def work(jobs: Sequence[int]) -> None:
        for n in jobs:
            part = dout[n : n + block]
            m = len(part)
            columns = kernels @ part.reshape(m, groups, filters // groups, -1)
            columns = columns.reshape(m, x.shape[1], -1, *dout.shape[2:])
            padded = np.zeros((m, x.shape[1], *conv.padded_size), x.dtype)
            for tap, index in enumerate(np.ndindex(*w.shape[2:])):
                along = zip(index, conv.dilation, conv.stride, dout.shape[2:], strict=True)
                met = tuple(slice(i * d, i * d + (count - 1) * s + 1, s) for i, d, s, count in along)
                padded[(slice(None),) * 2 + met] += columns[:, :, tap]
            dx[n : n + m] = conv.inside(padded)

    in_threads(work, range(0, images, block), conv.macs)
    return dx


def _convolution(conv: Convolution) -> Convolution:
    return instance("conv", conv, Convolution, "a Convolution, as array_engine.conv_arguments.checked makes it")


def _like_out(conv: Convolution, dout: NDArray) -> NDArray:
    (dout,) = same_float(dout=dout)
    if dout.shape != conv.out.shape:
        raise ValueError(f"dout must have the shape of conv's output, {conv.out.shape}, but has shape {dout.shape}")
    return dout.astype(conv.x.dtype, copy=False)


def _rows_of(view: NDArray, images: int, first: int, count: int) -> NDArray:
    """Of what `windows` returns: the first `images`, and of their places `count` rows from row `first` on."""
    return view[(slice(images),) + (slice(None),) * (view.ndim // 2) + (slice(first, first + count),)]


def _block_and_band(conv: Convolution, column: int) -> tuple[int, int]:
    """How many images, and how many rows of the output, make a block of columns of `column` numbers."""
    images, _, rows, *others = conv.out.shape
    row_bytes = column * math.prod(others) * conv.x.itemsize
    most = 4 * cache_blocks.BLOCK_BYTES // row_bytes  # columns are read once: the outer cache will do
    return even(images, most // rows, threads()), even(rows, most)
