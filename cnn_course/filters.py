"""Hand-designed kernels, and applying one to a picture.

Every kernel is written for cross-correlation, which is what `apply` and every layer compute: its numbers lie on
the picture as they are printed here. Kernels are float64 and new on every call.
"""

import math
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cnn_course.arguments.arrays import with_axes
from cnn_course.arguments.floats import finite, same_float
from cnn_course.arguments.integers import integer
from cnn_course.arguments.memory import affordable
from cnn_course.arguments.objects import flag, one_of
from cnn_course.arguments.shown import brief
from cnn_course.convolution import conv2d
from cnn_course.images import pad

Kernel = NDArray[np.float64]
BORDERS = ("edge", "zeros", "reflect", "wrap", "valid")


def identity(k: int = 3) -> Kernel:
    """Leaves the picture as it is: a one in the middle of (k, k), k odd."""
    k = _odd(k)
    kernel = np.zeros((k, k))
    kernel[k // 2, k // 2] = 1
    return kernel


def shift(dy: int, dx: int) -> Kernel:
    """Moves the picture down by dy and right by dx: identity(k), its one moved up and left. At least 3 x 3."""
    dy, dx = integer("dy", dy), integer("dx", dx)
    reach = max(1, abs(dy), abs(dx))
    affordable(*(("dy", dy) if abs(dy) == reach else ("dx", dx)), (2 * reach + 1) ** 2)
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    kernel[reach - dy, reach - dx] = 1
    return kernel


def box(k: int = 3) -> Kernel:
    """Box blur: the mean of k x k pixels, k odd."""
    k = _odd(k)
    return np.full((k, k), 1 / k**2)


def gaussian(k: int = 5, sigma: float = 1.0) -> Kernel:
    """Gaussian blur: exp(-r^2 / (2 sigma^2)) at k x k places, k odd, divided by its sum. sigma is in pixels."""
    k, sigma = _odd(k), finite("sigma", sigma, above=0)
    places = np.arange(k) - k // 2
    bell = np.exp(-0.5 * (places / sigma) ** 2)
    bell /= bell.sum()
    return np.outer(bell, bell)


def laplacian(diagonal: bool = False) -> Kernel:
    """The neighbours' sum minus as many times the pixel: 4 neighbours, or 8 with diagonal=True. Sums to 0."""
    corner = 1.0 if flag("diagonal", diagonal) else 0.0
    kernel = np.array([[corner, 1, corner], [1, 0, 1], [corner, 1, corner]])
    kernel[1, 1] = -kernel.sum()
    return kernel


def sharpen() -> Kernel:
    """identity() - laplacian(): adds to each pixel what sets it apart from its neighbours."""
    return identity() - laplacian()


def corners() -> Kernel:
    """The change downwards of the change to the right: 0 on level and upright edges, not on slanted ones or corners."""
    return np.array([[1.0, 0, -1], [0, 0, 0], [-1, 0, 1]])


def sobel_x() -> Kernel:
    """Change from left to right, smoothed vertically: positive where it is brighter to the right (vertical edges)."""
    return np.array([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])


def sobel_y() -> Kernel:
    """Change from top to bottom, smoothed horizontally: positive where it is brighter below (horizontal edges)."""
    return np.array([[-1.0, -2, -1], [0, 0, 0], [1, 2, 1]])


def prewitt_x() -> Kernel:
    """As `sobel_x`, smoothed by a plain mean."""
    return np.array([[-1.0, 0, 1], [-1, 0, 1], [-1, 0, 1]])


def prewitt_y() -> Kernel:
    """As `sobel_y`, smoothed by a plain mean."""
    return np.array([[-1.0, -1, -1], [0, 0, 0], [1, 1, 1]])


def emboss() -> Kernel:
    """The picture plus its change towards the lower right: light seems to fall from one side. Sums to 1."""
    return np.array([[-2.0, -1, 0], [-1, 1, 1], [0, 1, 2]])


def two_tap_edge() -> Kernel:
    """1 x 2: each pixel taken from its right neighbour. The smallest detector of vertical edges."""
    return np.array([[-1.0, 1]])


def apply(image: ArrayLike, kernel: ArrayLike, *, border: str = "edge") -> NDArray[np.floating]:
    """Slide a kernel (kh, kw) over a picture (H, W) or (H, W, 3); each colour by itself. Values may leave [0, 1].

    border: what lies outside the picture, "edge", "zeros", "reflect" or "wrap" (see `images.pad`); the output then
    has the picture's size, and an even kernel reaches one pixel further down or right than up or left.
    "valid" uses only places where the kernel fits: H - kh + 1 by W - kw + 1.
    Raises ValueError for other shapes or borders, and for a kernel larger than a picture without a border; TypeError
    for what is no array of numbers, or of floats other than float32 and float64.
    """
    image, kernel = same_float(image=image, kernel=_kernel(kernel))
    if image.ndim != 2 and (image.ndim != 3 or image.shape[2] != 3) or not image.size:
        raise ValueError(f"image must have shape (H, W) or (H, W, 3), none of them 0, but has shape {image.shape}")
    if one_of("border", border, BORDERS) == "valid" and any(
        k > n for k, n in zip(kernel.shape, image.shape, strict=False)
    ):
        raise ValueError(
            f"kernel covers {kernel.shape[0]} x {kernel.shape[1]} pixels, more than image has "
            f'({image.shape[0]} x {image.shape[1]}): with border="valid" it fits nowhere'
        )
    planes = image[None] if image.ndim == 2 else image.transpose(2, 0, 1)
    if border != "valid":
        planes = pad(planes, [((k - 1) // 2, k // 2) for k in kernel.shape], mode=border)
    planes = conv2d(planes[:, None], kernel[None, None])[:, 0]
    return planes[0] if image.ndim == 2 else np.ascontiguousarray(planes.transpose(1, 2, 0))


def separate(kernel: ArrayLike) -> tuple[Kernel, Kernel] | None:
    """Write a kernel (kh, kw) as column @ row, (kh, 1) and (1, kw), or return None if it is not such a product.

    It is one exactly if its rank is one: the second singular value is zero, up to rounding. Then kh + kw
    multiplications per pixel do the work of kh * kw. Of the many ways to share a factor out, this gives a blur
    two parts with equal sums, and a kernel that sums to 0 a row whose smallest non-zero number is 1 or -1.
    """
    kernel = _kernel(kernel)
    if not np.isfinite(kernel).all():
        raise ValueError("kernel must hold finite numbers to be separated, but this one holds NaN or infinity")
    if np.abs(kernel.astype(np.float64)).max() > 1e300 / kernel.size:
        raise ValueError("kernel holds numbers whose sums are infinite: divide it by the largest")
    rounding = 10 * max(kernel.shape) * np.finfo(np.float32 if kernel.dtype == np.float32 else np.float64).eps
    u, singular, vt = np.linalg.svd(kernel.astype(np.float64), full_matrices=False)
    if len(singular) > 1 and singular[1] > rounding * singular[0]:
        return None
    column, row = (np.where(np.abs(part) < rounding, 0.0, part) for part in (u[:, 0], vt[0]))

    # column * singular[0] * row is the kernel; what follows only shares the factors out.
    if abs(column.sum()) > rounding and abs(row.sum()) > rounding:
        factor = row.sum() / math.sqrt(singular[0] * abs(column.sum() * row.sum()) or 1.0)
    else:
        sums_to_most = max(row, column, key=lambda part: abs(part.sum()))  # this part gets a positive sum
        factor = math.copysign(np.abs(row[row != 0]).min(), sums_to_most.sum())
    column, row = column * singular[0] * factor, row / factor
    return column[:, None] + 0.0, row[None, :] + 0.0  # + 0.0 turns -0.0 into 0.0


def _odd(k: int) -> int:
    k = integer("k", k, least=1)
    if k % 2 == 0:
        raise ValueError(f"k must be odd, so that the kernel has a middle, not {brief(k)}")
    affordable("k", k, k**2)
    return k


def _kernel(kernel: ArrayLike) -> NDArray:
    kernel = with_axes("kernel", kernel, "kh, kw")
    if not kernel.size:
        raise ValueError(f"kernel must have a number in it, but has shape {kernel.shape}")
    return kernel


class _Presets(dict[str, Kernel]):
    def __missing__(self, name: object) -> Kernel:
        raise KeyError(f"there is no kernel {name!r} in PRESETS, only {', '.join(self)}")


def _fixed(kernel: Kernel) -> Kernel:
    kernel.flags.writeable = False  # shared by everybody: copy before changing
    return kernel


# 3 x 3 kernels for the kernel designer, by the names it shows. Read-only: copy one to change it.
PRESETS: MappingProxyType[str, Kernel] = MappingProxyType(
    _Presets(
        (name, _fixed(kernel))
        for name, kernel in {
            "identity": identity(),
            "shift right": shift(0, 1),
            "shift down": shift(1, 0),
            "box blur": box(),
            "Gaussian blur": gaussian(3),
            "sharpen": sharpen(),
            "Laplacian": laplacian(),
            "Laplacian, 8 neighbours": laplacian(diagonal=True),
            "corners": corners(),
            "Sobel x": sobel_x(),
            "Sobel y": sobel_y(),
            "Prewitt x": prewitt_x(),
            "Prewitt y": prewitt_y(),
            "emboss": emboss(),
        }.items()
    )
)
