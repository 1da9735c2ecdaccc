"""Photographs, and pictures as arrays: resize, shift, pad, place, and the axis order of a network.

A picture is an array (H, W) or (H, W, 3). `shift`, `pad` and `place` work on the last two axes instead, so that
they serve whole batches (N, C, H, W); move a colour picture there with `to_nchw`.
"""

import math
from typing import Any, Literal

import numpy as np
import skimage
from numpy.typing import ArrayLike, NDArray

from cnn_course.arguments.arrays import array
from cnn_course.arguments.floats import is_number
from cnn_course.arguments.integers import integer, pair
from cnn_course.arguments.memory import affordable
from cnn_course.arguments.objects import flag, one_of
from cnn_course.arguments.shown import brief, shown

# Those inside scikit-image's wheel: no network. `skimage.data` names the photographer and the licence of each.
PHOTOGRAPHS = ("astronaut", "brick", "camera", "chelsea", "coffee", "coins")

MOST_BLURRED = 2 * 10**10  # numbers that the blur before a shrinking adds up: a second for each 10**9

_NUMPY_MODES: dict[str, Literal["constant", "edge", "reflect", "wrap"]]
_NUMPY_MODES = {"zeros": "constant", "edge": "edge", "reflect": "reflect", "wrap": "wrap"}


def photograph(name: str, size: int | tuple[int, int] | None = None, gray: bool = False) -> NDArray[np.float64]:
    """One of `PHOTOGRAPHS` as float64 in [0, 1], (H, W, 3) or, for grey ones and with gray=True, (H, W).

    size: (H, W), or one number for a square. The middle part of that shape is cut out first, so nothing is squashed.
    Raises ValueError for an unknown name or a size below 1 or beyond memory.
    """
    one_of("name", name, PHOTOGRAPHS)
    gray = flag("gray", gray)
    if size is not None:
        _size(size, 3)
    image = skimage.util.img_as_float64(getattr(skimage.data, name)())
    if gray and image.ndim == 3:
        image = skimage.color.rgb2gray(image)
    if size is None:
        return image
    height, width = _size(size, 3)
    scale = min(image.shape[0] / height, image.shape[1] / width)
    rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
    top, left = (image.shape[0] - rows) // 2, (image.shape[1] - columns) // 2
    return resize(image[top : top + rows, left : left + columns], (height, width))


def resize(image: ArrayLike, size: int | tuple[int, int]) -> NDArray[np.float64]:
    """Resize a picture (H, W) or (H, W, 3) to size = (H, W), blurring first where it shrinks.

    uint8 is scaled to [0, 1], floats and booleans keep their range; returns float64. Raises ValueError for another
    shape, TypeError for other kinds of numbers: of those nobody knows which value is white.
    """
    image = _picture(image)
    if not image.size:
        raise ValueError(f"image must have a pixel, but has shape {image.shape}")
    if image.dtype.kind not in "bf" and image.dtype != np.uint8:
        raise TypeError(
            f"image has dtype {image.dtype}; it must be uint8 (0 to 255), floats or booleans: "
            "convert it first, for example (image / image.max()) or image.astype(np.uint8)"
        )
    size = _size(size, image.size // (image.shape[0] * image.shape[1]))
    taps = sum(4 * max(0, before // after - 1) for before, after in zip(image.shape, size, strict=False))
    if image.size * taps > MOST_BLURRED:
        raise ValueError(
            f"size {size} is so much less than the {image.shape[0]} x {image.shape[1]} pixels of image that the blur "
            "would take minutes: make it smaller in steps, or begin with image[::8, ::8]"
        )
    # No byte order but the machine's own, and no longer floats than these, are known to scikit-image.
    native = image.dtype.newbyteorder("=") if image.dtype.itemsize <= 8 else np.float64
    image = image.astype(native, copy=False)
    return skimage.transform.resize(skimage.util.img_as_float64(image), size, order=1, mode="edge", anti_aliasing=True)


def shift(x: ArrayLike, dy: int, dx: int, *, wrap: bool = False, fill: float = 0.0) -> NDArray:
    """Move x (..., H, W) down by dy and right by dx (negative: up, left); the shape and the dtype stay.

    What leaves on one side comes back on the other with wrap=True, and is lost without it: `fill` moves in.
    Raises TypeError if dy or dx is not an integer or fill not a number, ValueError if x has fewer than two axes.
    """
    x = _at_least_two_axes(x)
    dy, dx = integer("dy", dy), integer("dx", dx)
    fill = _as_pixel("fill", fill, x.dtype)
    height, width = x.shape[-2:]
    if flag("wrap", wrap):
        return np.roll(x, (dy % max(height, 1), dx % max(width, 1)), axis=(-2, -1))
    moved = np.full(x.shape, fill, x.dtype)
    if abs(dy) < height and abs(dx) < width:
        to_y, from_y = slice(max(dy, 0), height + min(dy, 0)), slice(max(-dy, 0), height + min(-dy, 0))
        to_x, from_x = slice(max(dx, 0), width + min(dx, 0)), slice(max(-dx, 0), width + min(-dx, 0))
        moved[..., to_y, to_x] = x[..., from_y, from_x]
    return moved


def pad(x: ArrayLike, padding: Any, *, mode: str = "zeros", value: float = 0.0) -> NDArray:
    """Put a border around the last two axes of x (..., H, W).

    padding: an integer, (vertical, horizontal), or ((top, bottom), (left, right)).
    mode: "zeros" fills with `value`; "edge" repeats the outermost pixel; "reflect" mirrors at it, without
    repeating it; "wrap" continues on the other side.
    Raises ValueError for another mode or a negative padding, TypeError for one that is not an integer and for a value
    that is not a number.
    """
    x = _at_least_two_axes(x)
    one_of("mode", mode, _NUMPY_MODES)
    value = _as_pixel("value", value, x.dtype)
    if isinstance(padding, tuple | list) and any(isinstance(side, tuple | list) for side in padding):
        if len(padding) != 2:
            raise ValueError(f"padding must be ((top, bottom), (left, right)), not {brief(padding)}")
        sides = [pair(f"padding[{axis}]", side, least=0) for axis, side in enumerate(padding)]
    else:
        sides = [(amount, amount) for amount in pair("padding", padding, least=0)]
    if mode != "zeros" and 0 in x.shape[-2:]:
        raise ValueError(f'mode={mode!r} needs pixels to repeat, but x has shape {x.shape}; use mode="zeros"')
    height, width = (n + before + after for n, (before, after) in zip(x.shape[-2:], sides, strict=True))
    affordable("padding", padding, math.prod(x.shape[:-2]) * height * width, itemsize=x.itemsize)
    sides = [(0, 0)] * (x.ndim - 2) + sides
    if mode == "zeros":
        return np.pad(x, sides, constant_values=value)
    return np.pad(x, sides, mode=_NUMPY_MODES[mode])


def place(x: ArrayLike, size: int | tuple[int, int], *, top: int | None = None, left: int | None = None) -> NDArray:
    """Put x (..., h, w) on a canvas of zeros (..., H, W), size = (H, W); in the centre unless top or left is given.

    Raises ValueError if it does not fit on the canvas.
    """
    x = _at_least_two_axes(x)
    height, width = pair("size", size, least=0)
    affordable("size", size, math.prod(x.shape[:-2]) * height * width, itemsize=x.itemsize)
    rows, columns = x.shape[-2:]
    top = (height - rows) // 2 if top is None else integer("top", top)
    left = (width - columns) // 2 if left is None else integer("left", left)
    if top < 0 or left < 0 or top + rows > height or left + columns > width:
        raise ValueError(
            f"x has {rows} x {columns} pixels, which at top={brief(top)}, left={brief(left)} do not fit on a canvas of "
            f"{height} x {width} (size)"
        )
    canvas = np.zeros((*x.shape[:-2], height, width), x.dtype)
    canvas[..., top : top + rows, left : left + columns] = x
    return canvas


def to_nchw(image: ArrayLike) -> NDArray:
    """A picture (H, W) or (H, W, 3) as a batch of one, (1, 1, H, W) or (1, 3, H, W). ValueError for another shape."""
    image = _picture(image)
    channels_first = image[None] if image.ndim == 2 else image.transpose(2, 0, 1)
    return np.ascontiguousarray(channels_first[None])


def to_hwc(x: ArrayLike) -> NDArray:
    """The way back: (1, C, H, W) or (C, H, W) with C = 1 or 3 to (H, W) or (H, W, 3). ValueError for another shape."""
    x = array("x", x)
    if x.ndim == 4 and len(x) == 1:
        x = x[0]
    if x.ndim != 3 or len(x) not in (1, 3):
        raise ValueError(f"x must be one picture, (1, C, H, W) or (C, H, W) with C = 1 or 3, but has shape {x.shape}")
    return x[0] if len(x) == 1 else np.ascontiguousarray(x.transpose(1, 2, 0))


def _picture(image: ArrayLike) -> NDArray:
    image = array("image", image)
    if image.ndim != 2 and (image.ndim != 3 or image.shape[2] != 3):
        raise ValueError(f"image must have shape (H, W) or (H, W, 3), but has shape {image.shape}")
    return image


def _size(size: int | tuple[int, int], channels: int) -> tuple[int, int]:
    height, width = pair("size", size, least=1)
    affordable("size", size, 4 * channels * height * width)  # scikit-image works on copies in float64
    return height, width


def _as_pixel(name: str, value: object, dtype: np.dtype) -> Any:
    """A number that an array of this kind can hold. Raises TypeError for no number, ValueError for one that is cut."""
    if not is_number(value):
        raise TypeError(f"{name} must be a number, not {shown(value)}")
    if dtype.kind == "f":
        largest = float(np.finfo(dtype).max)
        if largest < abs(value) < math.inf:
            raise ValueError(f"{name} is {brief(value)}, but x holds {dtype}, up to {largest:g}")
    else:
        low, high = (0, 1) if dtype.kind == "b" else (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
        if not low <= value <= high or value != int(value):
            raise ValueError(f"{name} is {brief(value)}, but x holds {dtype}: whole numbers from {low} to {high}")
    return value


def _at_least_two_axes(x: ArrayLike) -> NDArray:
    x = array("x", x)
    if x.ndim < 2:
        raise ValueError(f"x must have at least two axes (..., H, W), but has shape {x.shape}")
    return x
