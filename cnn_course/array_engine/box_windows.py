"""Sums and maxima over boxes, one axis after the other, and the way back for their gradients: what pooling is made of.

A maximum or a sum over a box of kh x kw numbers is the maximum or the sum over its rows of those over its columns:
kh + kw steps instead of kh * kw, each of them one operation on whole slices.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cnn_course.array_engine.conv_arguments import each_size

# There is a pass for each tap, and only padding can make a window larger than the picture.
MOST_PADDING = 2**15


class Box(NamedTuple):
    """The extents of a window, its steps and the padding: a number for each axis, checked."""

    k: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]


def box(axes: int, k: Any, stride: Any, padding: Any) -> Box:
    """Check a window over `axes` axes. Raises ValueError and TypeError that name the argument."""
    extents = each_size("k", k, axes)
    strides = extents if stride is None else each_size("stride", stride, axes)
    paddings = each_size("padding", padding, axes, least=0, most=MOST_PADDING)
    for one_k, p in zip(extents, paddings, strict=True):
        if 2 * p > one_k:
            raise ValueError(
                f"padding {p} is more than half of k = {one_k}: some windows would hold nothing but padding"
            )
    return Box(extents, strides, paddings)


class AxisWindows(NamedTuple):
    """Windows along axis `number` of x: `places` of them, each with k taps, on n numbers with padding on both sides."""

    number: int
    n: int
    k: int
    stride: int
    padding: int
    places: int

    def pad(self, x: NDArray, value: float) -> NDArray:
        if self.padding == 0:
            return x
        padded = np.full(self.padded_shape(x), value, x.dtype)
        self.crop(padded)[...] = x
        return padded

    def padded_shape(self, x: NDArray) -> tuple[int, ...]:
        return (*x.shape[: self.number], self.n + 2 * self.padding, *x.shape[self.number + 1 :])

    def crop(self, padded: NDArray) -> NDArray:
        """The part of a padded array that is not padding, as a view."""
        return padded[(slice(None),) * self.number + (slice(self.padding, self.padding + self.n),)]

    def tap(self, x: NDArray, i: int) -> NDArray:
        """What tap i meets at every place, as a view of the padded x."""
        last = i + self.stride * (self.places - 1)
        return x[(slice(None),) * self.number + (slice(i, last + 1, self.stride),)]

    def taps(self, x: NDArray) -> Iterator[NDArray]:
        return (self.tap(x, i) for i in range(self.k))

    def zeros(self, like: NDArray) -> NDArray:
        """Zeros in the shape of `like`, but as long along this axis as the padded input."""
        shape = self.padded_shape(like)
        covered = self.stride == self.k and self.places * self.k == shape[self.number]  # every number will be written
        return (np.empty if covered else np.zeros)(shape, like.dtype)


def combine(ufunc: np.ufunc, x: NDArray, axis: AxisWindows) -> NDArray:
    """np.maximum or np.add over the windows along one axis of the padded x."""
    first, *others = axis.taps(x)
    out = first.copy() if not others else ufunc(first, others[0])
    for tap in others[1:]:
        ufunc(out, tap, out=out)
    return out


def largest(x: NDArray, axis: AxisWindows) -> tuple[NDArray, NDArray]:
    """The largest number of each window along one axis of the padded x, and the tap at which it stands.

    Of several equal ones it is the first tap, of several NaN the last, and never one that lies in the padding.
    """
    first, *others = axis.taps(x)
    out = first.copy()
    winner = np.zeros(out.shape, np.uint8 if axis.k <= 256 else np.int32)
    if axis.padding:  # before anything has won, the first tap that does not lie in the padding
        start = np.maximum(axis.padding - axis.stride * np.arange(axis.places), 0)
        winner += start.astype(winner.dtype).reshape(-1, *[1] * (x.ndim - 1 - axis.number))
    for i, tap in enumerate(others, start=1):
        # A later winner has a larger number. Arithmetic on masks is several times faster than masked assignment.
        np.maximum(winner, (tap > out) * winner.dtype.type(i), out=winner)
        np.maximum(out, tap, out=out)
    if np.isnan(out).any():
        for i, tap in enumerate((first, *others)):
            np.putmask(winner, np.isnan(tap), i)
    return out, winner


def route(dout: NDArray, axis: AxisWindows, winner: NDArray) -> NDArray:
    """The transpose of `largest`: each number of dout goes back to the tap that won."""
    dx = axis.zeros(dout)
    bits, whole = dout.view(f"i{dout.itemsize}"), dx.view(f"i{dx.itemsize}")
    for i, (tap, tap_bits) in enumerate(zip(axis.taps(dx), axis.taps(whole), strict=True)):
        # All ones where this tap won, else zeros: "and" keeps a number or makes it 0, also where it is infinite.
        mask = np.negative((winner == i).view(np.int8))
        if axis.stride >= axis.k:
            np.bitwise_and(bits, mask, out=tap_bits)
        else:
            tap += np.bitwise_and(bits, mask).view(dout.dtype)
    return axis.crop(dx)


def box_sum(x: NDArray, axes: list[AxisWindows]) -> NDArray:
    """The sum of every window; the padding counts as zeros."""
    for axis in axes:
        x = combine(np.add, axis.pad(x, 0), axis)
    return x


def box_spread(dout: NDArray, axes: list[AxisWindows]) -> NDArray:
    """The transpose of `box_sum`."""
    for axis in reversed(axes):
        dx = axis.zeros(dout)
        for tap in axis.taps(dx):
            if axis.stride >= axis.k:
                tap[...] = dout
            else:
                tap += dout
        dout = axis.crop(dx)
    return dout
