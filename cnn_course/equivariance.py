"""What happens to the output of a layer, and to a prediction, when the picture moves.

A layer f is *equivariant* to a motion T if f(T x) = T' f(x), where T' is the same motion of the output: move the
input, and the output moves. It is *invariant* if f(T x) = f(x): move the input, and the output stays. The errors
here say by how much it misses: the norm of the difference of the two sides, divided by the norm of the right one.
0 is exact; 1 is a difference as large as the output itself.
"""

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import scipy.ndimage
from numpy.typing import ArrayLike, NDArray

from cnn_course.arguments.arrays import array
from cnn_course.arguments.floats import Number, finite, same_float
from cnn_course.arguments.integers import integer
from cnn_course.arguments.memory import affordable
from cnn_course.arguments.objects import flag, function, sequence
from cnn_course.arguments.shown import brief
from cnn_course.images import shift

ImageFunction = Callable[[NDArray], ArrayLike]  # of images (N, C, H, W): a layer, several of them, a whole network


def relative_difference(a: ArrayLike, b: ArrayLike) -> float:
    """||a - b|| / ||b||, the root of the sum of all squares above and below; 0 if both are zero, inf if only b is.

    Raises ValueError if the shapes differ, TypeError for what is no array of numbers, such as None.
    """
    a, b = same_float(a=a, b=b)
    a, b = a.astype(np.float64), b.astype(np.float64)
    if a.shape != b.shape:
        raise ValueError(f"a and b must have one shape to be compared, not {a.shape} with {b.shape}")
    largest = max(float(np.abs(each).max(initial=0)) for each in (a, b))
    if 0 < largest < np.inf and not 1e-100 < largest < 1e100:  # their squares would be 0 or infinite
        a, b = a / largest, b / largest
    difference, size = float(np.linalg.norm((a - b).ravel())), float(np.linalg.norm(b.ravel()))
    if size == 0:
        return 0.0 if difference == 0 else float("inf")
    return difference / size


def equivariance_error(
    f: ImageFunction, images: ArrayLike, dy: int, dx: int, *, stride: int = 1, wrap: bool = False, cut: int = 0
) -> float:
    """How far f(moved images) is from the moved f(images), as a `relative_difference`; 0 is exact equivariance.

    f: takes images (N, C, H, W) and returns maps (N, O, OH, OW). dy, dx: the shift in pixels, down and to the right.
    stride: the total stride of f. Its output should move by dy / stride and dx / stride. It can only move by whole
    places: where the division is not exact, both neighbouring places are tried and the smaller error counts.
    wrap: what leaves on one side comes back on the other, in images and maps; else zeros move in.
    cut: this many places on each side of the maps are not compared. Without wrap, |shift| / stride of them are
    filled with zeros and as many more depend on the border as the layer reaches.
    Raises ValueError if f does not return maps, if nothing is left to compare, and for a shift beyond
    the picture, unless what leaves comes back; TypeError if f cannot work on the images.
    """
    images = _batch(images)
    dy, dx, wrap = _motion(images, dy, dx, wrap)
    stride, cut = integer("stride", stride, least=1), integer("cut", cut, least=0)
    of_moved, before = _maps_of(f, shift(images, dy, dx, wrap=wrap), cut), _maps_of(f, images, cut)
    inside = (slice(None),) * 2 + tuple(slice(cut, n - cut) for n in before.shape[2:])
    places = [
        to
        for to in itertools.product(*({-(-d // stride), d // stride} for d in (dy, dx)))
        if wrap or all(max(cut, abs(t)) < n - cut for t, n in zip(to, before.shape[2:], strict=True))
    ]
    if not places:
        raise ValueError(
            f"dy = {dy} and dx = {dx}, with stride = {stride} and cut = {cut}, leave nothing to compare of the maps of "
            f"{before.shape[2]} x {before.shape[3]} that f makes of the images"
        )
    return min(_difference(of_moved[inside], shift(before, *to, wrap=wrap)[inside]) for to in places)


def invariance_error(f: ImageFunction, images: ArrayLike, dy: int, dx: int, *, wrap: bool = False) -> float:
    """How far f(moved images) is from f(images), as a `relative_difference`; 0 is exact invariance.

    f: takes images (N, C, H, W) and returns an array of any shape, the same for both.
    dy, dx, wrap: the shift in pixels, see `equivariance_error`.
    Raises ValueError for a shift beyond the picture (but with wrap), TypeError if f returns no numbers.
    """
    images = _batch(images)
    dy, dx, wrap = _motion(images, dy, dx, wrap)
    return _difference(_numbers(f, shift(images, dy, dx, wrap=wrap)), _numbers(f, images))


def rotate(x: ArrayLike, degrees: Number) -> NDArray:
    """Turn x (..., H, W) counterclockwise about its centre; the size stays, and zeros move into the corners.

    Multiples of 90 degrees are exact (np.rot90) and keep the dtype; between them x is interpolated linearly, and
    integers become float64. Raises ValueError for a quarter turn of maps that are not square, TypeError for an angle
    that is no number.
    """
    x = array("x", x)
    if x.ndim < 2:
        raise ValueError(f"x must have at least two axes (..., H, W), but has shape {x.shape}")
    degrees = math.fmod(finite("degrees", degrees), 360)  # of 1e15 degrees SciPy knows no cosine
    turns, rest = divmod(degrees, 90)
    if rest == 0:
        if turns % 2 and x.shape[-2] != x.shape[-1]:
            raise ValueError(
                f"x must have square maps for a quarter turn (degrees = {degrees:g}), not {x.shape[-2]} x {x.shape[-1]}"
            )
        return np.rot90(x, int(turns) % 4, axes=(-2, -1)).copy()
    # SciPy knows no half precision, and no byte order but the machine's own.
    x = x.astype(np.float32 if x.dtype in (np.float16, np.float32) else np.float64, copy=False)
    return scipy.ndimage.rotate(x, degrees, axes=(-1, -2), reshape=False, order=1)


def disc(size: int, margin: float = 0) -> NDArray[np.bool_]:
    """A mask (size, size): True for the pixels whose centre is at least `margin` inside the inscribed circle.

    A rotation keeps this disc, while it moves the corners out of the picture.
    Raises ValueError if no pixel is left.
    """
    size, margin = integer("size", size, least=1), finite("margin", margin)
    affordable("size", size, 3 * size**2)
    place = np.arange(size) - (size - 1) / 2
    mask = np.hypot(place[:, None], place) <= size / 2 - margin
    if not mask.any():
        raise ValueError(f"margin = {margin:g} leaves nothing of a disc of size = {size} pixels across")
    return mask


def rotation_error(
    f: ImageFunction,
    images: ArrayLike,
    degrees: Number,
    *,
    channels: Sequence[int] | NDArray[np.integer] | None = None,
    margin: float = 0,
) -> float:
    """How far f(turned images) is from the turned f(images), as a `relative_difference` on a `disc`.

    f: takes square images (N, C, H, W) and returns square maps (N, O, OH, OH).
    channels: the order in which the O maps of the right side are taken, where turning permutes them.
    margin: pixels left out at the rim of the disc; at least as many as the layer reaches beyond a pixel.
    Raises ValueError if the images or the maps are not square, or channels are not as many as the maps.
    """
    images = _batch(images)
    degrees, margin = finite("degrees", degrees), finite("margin", margin)
    _square("images", images)
    order = None
    if channels is not None:
        order = [integer(f"channels[{i}]", c, least=0) for i, c in enumerate(sequence("channels", channels))]
    of_turned, before = _maps_of(f, rotate(images, degrees)), _maps_of(f, images)
    _square("the maps of f", before)
    turned = rotate(before, degrees)
    if order is not None:
        if sorted(order) != list(range(before.shape[1])):
            raise ValueError(
                f"channels must name the {before.shape[1]} maps of f in their order, counted from 0, not {brief(order)}"
            )
        turned = turned[:, order]
    mask = disc(before.shape[-1], margin)
    return _difference(of_turned[..., mask], turned[..., mask])


def shift_accuracy_map(
    predict: Callable[[NDArray], ArrayLike],
    images: ArrayLike,
    labels: ArrayLike,
    max_shift: int,
    *,
    wrap: bool = False,
    fill: float = 0.0,
) -> NDArray[np.float64]:
    """Accuracy of a classifier on the same images at every shift of up to `max_shift` pixels.

    predict: takes images (N, ..., H, W) and returns N predicted classes. images: (N, ..., H, W); labels: (N,).
    wrap, fill: what moves in at the border, see `images.shift`; by default zeros.
    Returns (2m+1, 2m+1) for m = max_shift: entry [m + dy, m + dx] belongs to a shift down by dy and right by dx,
    so the middle one to the images where they are.

    Raises ValueError for shapes that do not fit, no images, or a predict that does not return N classes; TypeError
    for labels or classes that are not whole numbers.
    """
    images = array("images", images)
    if images.ndim < 3 or images.size == 0:
        raise ValueError(f"images must have shape (N, ..., H, W) with at least one image, not {images.shape}")
    labels = _classes("labels", labels)
    if labels.shape != images.shape[:1]:
        raise ValueError(
            f"labels must have shape ({len(images)},), one for each of images, but has shape {labels.shape}"
        )
    function("predict", predict)
    # A shift by the longer side leaves nothing of any picture, or has come round once.
    reach = integer("max_shift", max_shift, least=0, most=max(images.shape[-2:]))
    accuracies = np.empty((2 * reach + 1, 2 * reach + 1))
    for row, dy in enumerate(range(-reach, reach + 1)):
        for column, dx in enumerate(range(-reach, reach + 1)):
            moved = shift(images, dy, dx, wrap=wrap, fill=fill)
            predicted = array("what predict returns", _called("predict", predict, moved))
            if predicted.shape != labels.shape:
                raise ValueError(
                    f"predict must return {len(images)} classes, one per image, but returned shape {predicted.shape}; "
                    "if these are scores per class, take their argmax"
                )
            accuracies[row, column] = np.mean(_classes("what predict returns", predicted) == labels)
    return accuracies


def _batch(images: ArrayLike) -> NDArray:
    images = array("images", images)
    if images.ndim != 4 or images.size == 0:
        raise ValueError(f"images must have shape (N, C, H, W), none of them 0, not {images.shape}")
    return images


def _classes(name: str, value: ArrayLike) -> NDArray[np.integer]:
    classes = array(name, value)
    if classes.dtype.kind not in "iu":
        raise TypeError(f"{name} must be whole numbers, one class for each image, not {classes.dtype}")
    if classes.size and classes.min() < 0:
        raise ValueError(f"{name} must be classes, which count from 0, but one is {classes.min()}")
    return classes


def _motion(images: NDArray, dy: int, dx: int, wrap: bool) -> tuple[int, int, bool]:
    """The checked motion. A picture that has left the frame altogether would compare zeros with zeros."""
    dy, dx, wrap = integer("dy", dy), integer("dx", dx), flag("wrap", wrap)
    for name, by, size in (("dy", dy, images.shape[2]), ("dx", dx, images.shape[3])):
        if not wrap and abs(by) >= size:
            raise ValueError(f"{name} must be less than the {size} pixels of images, not {brief(by)}")
    return dy, dx, wrap


def _square(name: str, maps: NDArray) -> None:
    if maps.shape[-2] != maps.shape[-1]:
        raise ValueError(f"{name} must be square to be turned, but have shape {maps.shape}")


def _called(name: str, f: Callable[[NDArray], ArrayLike], images: NDArray) -> ArrayLike:
    """f(images). What is no function for arrays is said to be none; any other error of f comes through as it is."""
    try:
        return function(name, f)(images)
    except (TypeError, AttributeError) as error:
        raise TypeError(
            f"{name} must be a function of images, a NumPy array of shape {images.shape}, but {brief(f)} fails on it: "
            f"{type(error).__name__}: {error}"
        ) from error


def _numbers(f: ImageFunction, images: NDArray) -> NDArray:
    found = array("what f returns (does it end with `return ...`?)", _called("f", f, images))
    return found.astype(np.float64, copy=False)


def _difference(of_moved: NDArray, moved: NDArray) -> float:
    if of_moved.shape != moved.shape:
        raise ValueError(f"f must return arrays of one shape, but returned {of_moved.shape}, then {moved.shape}")
    return relative_difference(of_moved, moved)


def _maps_of(f: ImageFunction, images: NDArray, cut: int = 0) -> NDArray:
    maps = _numbers(f, images)
    if maps.ndim != 4 or len(maps) != len(images):
        raise ValueError(f"f must return maps (N, O, OH, OW) with N = {len(images)}, but returned shape {maps.shape}")
    if min(maps.shape[2:]) <= 2 * cut:
        raise ValueError(f"cut = {cut} leaves nothing of maps of {maps.shape[2]} x {maps.shape[3]}")
    return maps
