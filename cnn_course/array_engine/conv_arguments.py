"""What every convolution checks, and the size of what comes out. Nothing is computed here."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cnn_course.arguments.floats import same_float
from cnn_course.arguments.integers import each, integer

Padding = int | tuple[int, ...] | str

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
    before, after = borders_of(padding, k, stride, dilation)
    span = dilation * (k - 1) + 1
    if span > n + before + after:
        raise ValueError(
            f"the kernel covers {span} pixels ({k} taps, dilation {dilation}), but the padded input has only "
            f"{n + before + after} ({n} + {before} + {after}): use a larger input, more padding or a smaller kernel"
        )
    return (n + before + after - span) // stride + 1


def borders_of(padding: Any, k: int, stride: int, dilation: int) -> tuple[int, int]:
    """Zeros before and after one axis. "same" puts the odd one after, as PyTorch does."""
    if not isinstance(padding, str):
        number = integer("padding", padding, least=0)
        return number, number
    if padding == "valid":
        return 0, 0
    if padding != "same":
        raise ValueError(f'padding must be an integer, one for each axis, "same" or "valid", not {padding!r}')
    if stride != 1:
        raise ValueError(f'padding="same" needs stride 1, not {stride}: give the padding as a number')
    total = dilation * (k - 1)
    return total // 2, total - total // 2


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

    def inside(self, padded: NDArray) -> NDArray:
        """The part of a padded array (..., *padded_size) that x itself fills, as a view."""
        sizes = zip(self.x.shape[2:], self.borders, strict=True)
        along = tuple(slice(before, before + n) for n, (before, _) in sizes)
        return padded[(slice(None),) * (padded.ndim - len(along)) + along]


def checked(
    axes: int, x: Any, w: Any, b: Any = None, *, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: Any = 1
) -> Convolution:
    """Check the arguments of a convolution over `axes` spatial axes.

    Raises ValueError for shapes and values that do not fit, TypeError for other dtypes and non-integers.
    """
    if b is None:
        x, w = same_float(x=x, w=w)
    else:
        x, w, b = same_float(x=x, w=w, b=b)
    for name, array, wanted in (("x", x, AXES[axes]), ("w", w, KERNEL_AXES[axes])):
        if array.ndim != axes + 2:
            raise ValueError(f"{name} must have {axes + 2} axes {wanted}, but has {array.ndim} (shape {array.shape})")
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

    strides, dilations = each("stride", stride, axes, least=1), each("dilation", dilation, axes, least=1)
    paddings: list[int | str]
    paddings = [padding] * axes if isinstance(padding, str) else [*each("padding", padding, axes, least=0)]
    borders, places = [], []
    for n, k, s, p, d in zip(size, kernel, strides, paddings, dilations, strict=True):
        places.append(output_size(n, k, stride=s, padding=p, dilation=d))
        borders.append(borders_of(p, k, s, d))
    out = np.zeros((images, filters if channels else 0, *places), x.dtype)
    return Convolution(
        x=x, w=w, b=b, stride=strides, borders=tuple(borders), dilation=dilations, groups=groups, out=out
    )
