"""What every convolution checks, and the size of what comes out. Nothing is computed here."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cnn_course.arguments.floats import same_float
from cnn_course.arguments.integers import each, integer
from cnn_course.arguments.memory import affordable
from cnn_course.arguments.shown import brief

Padding = int | tuple[int, ...] | str

# Of a stride, a dilation, a number of taps: NumPy counts places in 64 bits, and products of two must fit.
MOST_PIXELS = 2**31 - 1

# The axes of x, by the number of axes that the kernel slides over.
AXES = {1: "(N, C, L)", 2: "(N, C, H, W)", 3: "(N, C, D, H, W)"}
KERNEL_AXES = {1: "(O, C / groups, k)", 2: "(O, C / groups, kh, kw)", 3: "(O, C / groups, kd, kh, kw)"}


def output_size(n: int, k: int, *, stride: int = 1, padding: int | str = 0, dilation: int = 1) -> int:
    """Number of places at which a kernel of k taps fits on n pixels: floor((n + 2p - d(k-1) - 1) / s) + 1.

    The floor means that pixels at the far end are left out when the stride does not divide the rest.
    `padding` may also be "same" or "valid".

    Raises ValueError for a size that is not possible (a kernel larger than the padded input, a stride below 1,
    a negative padding), TypeError for a number that is not an integer.
    """
    n, k = integer("n", n, least=0), integer("k", k, least=1)
    stride, dilation = integer("stride", stride, least=1), integer("dilation", dilation, least=1)
    borders = borders_of(padding, k, stride, dilation)
    try:
        return places_of(n, k, stride, borders, dilation)
    except ValueError as error:
        raise ValueError(f"k={brief(k)} does not fit on n={brief(n)}: {error}") from None


def places_of(n: int, k: int, stride: int, borders: tuple[int, int], dilation: int = 1) -> int:
    """`output_size` of what is checked. Its ValueError is for a caller to say which arguments n and k come from."""
    before, after = borders
    span = dilation * (k - 1) + 1
    if span > n + before + after:
        raise ValueError(
            f"the kernel covers {brief(span)} pixels ({brief(k)} taps, dilation {brief(dilation)}), but the padded "
            f"input has only {brief(n + before + after)} ({brief(n)} + {brief(before)} + {brief(after)}): "
            "use a larger input, more padding or a smaller kernel"
        )
    return (n + before + after - span) // stride + 1


def borders_of(padding: Any, k: int, stride: int, dilation: int) -> tuple[int, int]:
    """Zeros before and after one axis. "same" puts the odd one after, as PyTorch does. k, stride, dilation: checked."""
    if not isinstance(padding, str):
        number = integer("padding", padding, least=0)
        return number, number
    if padding == "valid":
        return 0, 0
    if padding != "same":
        raise ValueError(f'padding must be an integer, one for each axis, "same" or "valid", not {brief(padding)}')
    if stride != 1:
        raise ValueError(f'padding="same" needs stride 1, not {brief(stride)}: give the padding as a number')
    total = dilation * (k - 1)
    return total // 2, total - total // 2


def each_size(name: str, value: Any, axes: int, *, least: int = 1, most: int = MOST_PIXELS) -> tuple[int, ...]:
    """`each`, which speaks of the upper bound only to who is above it: nobody else wants to read of it."""
    numbers = each(name, value, axes, least=least)
    if max(numbers) > most:
        integer(name, max(numbers), most=most)
    return numbers


class Sliding(NamedTuple):
    """How a kernel slides, checked: a number, or a pair of borders, for each axis."""

    stride: tuple[int, ...]
    borders: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]


def sliding(kernel: Sequence[int], stride: Any, padding: Any, dilation: Any) -> Sliding:
    """Check how a kernel slides along its axes. Raises ValueError and TypeError that name the argument."""
    axes = len(kernel)
    strides, dilations = each_size("stride", stride, axes), each_size("dilation", dilation, axes)
    paddings: list[int | str]
    paddings = [padding] * axes if isinstance(padding, str) else [*each("padding", padding, axes, least=0)]
    along = zip(paddings, kernel, strides, dilations, strict=True)
    return Sliding(strides, tuple(borders_of(p, k, s, d) for p, k, s, d in along), dilations)


def blamed(padding: Any, dilation: Any) -> tuple[str, Any]:
    """(name, value) of what makes borders too large: of the dilation, where "same" follows from it."""
    return ("dilation", dilation) if isinstance(padding, str) else ("padding", padding)


class Convolution(NamedTuple):
    """One convolution to compute, checked: arrays of one dtype, a number per axis, zeros in C order as output."""

    x: NDArray
    w: NDArray
    b: NDArray
    stride: tuple[int, ...]
    borders: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    groups: int
    out: NDArray

    @property
    def padded_size(self) -> tuple[int, ...]:
        return tuple(n + sum(border) for n, border in zip(self.x.shape[2:], self.borders, strict=True))

    @property
    def span(self) -> tuple[int, ...]:
        """How many pixels the kernel covers along each axis."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.w.shape[2:], self.dilation, strict=True))

    @property
    def macs(self) -> int:
        return self.out.size * self.w[0].size

    @property
    def fits_winograd(self) -> bool:
        return self.w.shape[2:] == (3, 3) and max(self.stride) == max(self.dilation) == 1

    def inside(self, padded: NDArray) -> NDArray:
        """The part of a padded array (..., *padded_size) that x itself fills, as a view."""
        sizes = zip(self.x.shape[2:], self.borders, strict=True)
        along = tuple(slice(before, before + n) for n, (before, _) in sizes)
        return padded[(slice(None),) * (padded.ndim - len(along)) + along]


def axes_of(x: NDArray, w: NDArray) -> int:
    """Along how many axes the kernels of w slide on x. Raises ValueError where the two do not agree on it."""
    if x.ndim - 2 not in AXES:
        raise ValueError(f"x must have 3, 4 or 5 axes, (N, C) and one to three more, but has shape {x.shape}")
    if w.ndim == x.ndim + 1 and w.ndim - 2 in AXES:  # an image without its batch would count as a batch of rows
        raise ValueError(
            f"x must have {w.ndim} axes {AXES[w.ndim - 2]}, as many as w (shape {w.shape}), but has {x.ndim} (shape "
            f"{x.shape}): of one image, x[None] makes a batch"
        )
    if w.ndim != x.ndim:
        raise ValueError(
            f"w must have {x.ndim} axes {KERNEL_AXES[x.ndim - 2]}, as many as x (shape {x.shape}), but has {w.ndim} "
            f"(shape {w.shape})"
        )
    return x.ndim - 2


def checked(
    axes: int, x: Any, w: Any, b: Any = None, *, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: Any = 1
) -> Convolution:
    """Check the arguments of a convolution over `axes` spatial axes.

    Raises ValueError for shapes and values that do not fit, and for borders that ask for more memory than an ordinary
    machine has; TypeError for other dtypes and non-integers.
    """
    if b is None:
        x, w = same_float(x=x, w=w)
    else:
        x, w, b = same_float(x=x, w=w, b=b)
    for name, array, wanted in (("x", x, AXES[axes]), ("w", w, KERNEL_AXES[axes])):
        if array.ndim != axes + 2:
            raise ValueError(
                f"{name} must have {axes + 2} axes {wanted}, but has {array.ndim} (shape {array.shape})"
                + (": of one image, x[None] makes a batch" if name == "x" and array.ndim == axes + 1 else "")
            )
    (images, channels, *size), (filters, depth, *kernel) = x.shape, w.shape
    if filters == 0 or 0 in kernel:
        raise ValueError(f"w has shape {w.shape}: it needs at least one kernel with at least one number per channel")
    if 0 in size and images and channels:
        raise ValueError(f"x has shape {x.shape}: its images have no pixels")

    groups = integer("groups", groups, least=1)
    if channels % groups or filters % groups:
        raise ValueError(
            f"groups={brief(groups)} must divide the {channels} channels of x and the {filters} kernels of w "
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

    strides, borders, dilations = sliding(kernel, stride, padding, dilation)
    try:
        places = [*map(places_of, size, kernel, strides, borders, dilations)]
    except ValueError as error:
        raise ValueError(f"w of shape {w.shape} does not fit on x of shape {x.shape}: {error}") from None
    if any(map(any, borders)):
        # What the borders add to the input and to the output; what x itself takes is the caller's.
        pixels, padded = math.prod(size), math.prod(map(sum, zip(size, map(sum, borders), strict=True)))
        added = channels * (padded - pixels) + filters * max(0, math.prod(places) - pixels)
        affordable(*blamed(padding, dilation), images * added, itemsize=x.itemsize)
    affordable("w", w, images * max(0, filters - channels) * math.prod(places), itemsize=x.itemsize)
    out = np.zeros((images, filters if channels else 0, *places), x.dtype)
    return Convolution(x=x, w=w, b=b, stride=strides, borders=borders, dilation=dilations, groups=groups, out=out)
