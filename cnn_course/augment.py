"""Augmentation in batches: each image of the batch gets its own random crop, flip, rotation and cut-out.

A batch stays where it is, on the CPU or on a GPU, and keeps its dtype: uint8 or float. The random numbers are drawn on
the CPU from the generator that is passed in, so a seed gives the same pictures on every device. To draw them (`draw`)
and to use them (`apply`) are two things: `fit` draws for a whole epoch, and a GPU is sent all of it at once.
"""

import math
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from cnn_course.arguments.floats import finite
from cnn_course.arguments.integers import integer
from cnn_course.arguments.memory import affordable
from cnn_course.arguments.objects import flag, instance, mapping
from cnn_course.arguments.shown import brief, shown

DTYPES = (torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64)
HALF_TURN = 180  # degrees either way reach every angle
NUMBERS_EACH = 16  # at most, for one picture, with what is thrown away again
# What is drawn for each picture.
DRAWN = {
    "flip": ((), torch.bool),
    "rotate": ((2, 3), torch.float32),
    "crop": ((2,), torch.int64),
    "cutout": ((2,), torch.int64),
}


@dataclass(frozen=True)
class Augment:
    """What `fit` does to each batch of training images; the default does nothing.

    crop: pixels of black added on each side before a window of the old size is cut out, anywhere.
    flip: mirror left and right, half of the images (not for digits: a mirrored 2 is no digit).
    rotate: turn by up to so many degrees either way. cutout: side of a square set to black, in pixels.
    Raises TypeError or ValueError for a value that cannot work, and when it is called, for pictures that are too small.
    """

    crop: int = 0
    flip: bool = False
    rotate: float = 0.0
    cutout: int = 0

    def __post_init__(self) -> None:
        # NumPy's numbers become Python's: a checkpoint compares what the settings look like.
        for name in ("crop", "cutout"):
            object.__setattr__(self, name, integer(name, getattr(self, name), least=0))
        object.__setattr__(self, "flip", flag("flip", self.flip))
        object.__setattr__(self, "rotate", finite("rotate", self.rotate, least=0, most=HALF_TURN))

    def __call__(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """images: (N, C, H, W) uint8 or float -> the same shape, dtype and device. The batch itself is not changed."""
        n, *_ = _check(images, generator)
        drawn = self.draw(n, images, generator)
        return self.apply(images, {name: numbers.to(images.device) for name, numbers in drawn.items()})

    def draw(self, n: int, images: torch.Tensor, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """The numbers for a batch of n pictures, on the CPU, by what they are for: (n, ...) each.

        images: (N, C, H, W), pictures of the same size; their number does not matter.
        Raises TypeError or ValueError as a call does.
        """
        n = integer("n", n, least=0)
        affordable("n", n, NUMBERS_EACH * n)
        _, _, height, width = _check(images, generator)
        _pixels("crop", self.crop, images, spare=1)
        _pixels("cutout", self.cutout, images)
        drawn = {}
        if self.flip:
            drawn["flip"] = _draw_flip(n, generator)
        if self.rotate:
            drawn["rotate"] = _draw_rotation(n, self.rotate, height, width, generator)
        if self.crop:
            drawn["crop"] = _draw_crop(n, self.crop, generator)
        if self.cutout:
            drawn["cutout"] = _draw_cutout(n, self.cutout, height, width, generator)
        return drawn

    def apply(self, images: torch.Tensor, drawn: dict[str, torch.Tensor]) -> torch.Tensor:
        """images: (n, C, H, W) -> the same, changed as `drawn` says: numbers from `draw`, on the pictures' device.

        Raises TypeError or ValueError for numbers of another kind, for another batch or another augmentation. That they
        are in range is not looked at: a GPU would have to wait for it.
        """
        self._check_drawn(_check_images(images), images.device, drawn)
        if self.flip:
            images = _flipped(images, drawn["flip"])
        if self.rotate:
            images = _rotated(images, drawn["rotate"])
        if self.crop:
            images = _cropped(images, self.crop, drawn["crop"])
        if self.cutout:
            images = _cut_out(images, self.cutout, drawn["cutout"])
        return images

    def _check_drawn(self, shape: torch.Size, device: torch.device, drawn: dict[str, torch.Tensor]) -> None:
        wanted = {name: form for name, form in DRAWN.items() if getattr(self, name)}
        mapping("drawn", drawn, "a dict of tensors, as draw gives it")
        if drawn.keys() != wanted.keys():
            raise ValueError(f"drawn must have {sorted(wanted)}, as {self} draws them, not {brief(sorted(drawn))}")
        for name, (each, dtype) in wanted.items():
            numbers = instance(f"drawn[{name!r}]", drawn[name], torch.Tensor, "a tensor, as draw gives it")
            if (numbers.shape, numbers.dtype, numbers.device) != ((shape[0], *each), dtype, device):
                raise ValueError(
                    f"drawn[{name!r}] must be {dtype} of shape {(shape[0], *each)} on {device}, not {shown(numbers)}"
                )


def random_crop(images: torch.Tensor, padding: int, generator: torch.Generator) -> torch.Tensor:
    """Shift each image by -padding ... padding pixels along both axes; black comes in. (N, C, H, W) -> the same.

    Raises ValueError for a padding by which a picture could leave its frame.
    """
    n, *_ = _check(images, generator)
    padding = _pixels("padding", padding, images, spare=1)
    return _cropped(images, padding, _draw_crop(n, padding, generator).to(images.device))


def random_flip(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Mirror each image left to right with probability 1/2. (N, C, H, W) -> the same."""
    n, *_ = _check(images, generator)
    return _flipped(images, _draw_flip(n, generator).to(images.device))


def random_rotation(images: torch.Tensor, degrees: float, generator: torch.Generator) -> torch.Tensor:
    """Turn each image about its centre by an angle from -degrees ... degrees, evenly drawn; black comes in.

    (N, C, H, W) -> the same. Bilinear: a pixel is the weighted mean of its four neighbours; uint8 is rounded.
    """
    n, _, height, width = _check(images, generator)
    degrees = finite("degrees", degrees, least=0, most=HALF_TURN)
    return _rotated(images, _draw_rotation(n, degrees, height, width, generator).to(images.device))


def cutout(images: torch.Tensor, size: int, generator: torch.Generator) -> torch.Tensor:
    """Set a square of size x size pixels to black in each image; its centre may be any pixel (DeVries and Taylor 2017).

    (N, C, H, W) -> the same. Near a border only a part of the square lies in the image.
    Raises ValueError for a square larger than the image.
    """
    n, _, height, width = _check(images, generator)
    size = _pixels("size", size, images)
    return _cut_out(images, size, _draw_cutout(n, size, height, width, generator).to(images.device))


# --- the numbers, on the CPU, and what is done with them, where the pictures are


def _draw_crop(n: int, padding: int, generator: torch.Generator) -> torch.Tensor:
    """(n, 2) int64: the first row and column of each window."""
    return torch.randint(0, 2 * padding + 1, (2, n), generator=generator).T


def _cropped(images: torch.Tensor, padding: int, first: torch.Tensor) -> torch.Tensor:
    height, width = images.shape[2:]
    padded = F.pad(images, (padding,) * 4)
    # Every window of every image as a view (N, C, 2 padding + 1, 2 padding + 1, H, W); one of each is copied.
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)
    return windows[torch.arange(len(images), device=images.device), :, first[:, 0], first[:, 1]]


def _draw_flip(n: int, generator: torch.Generator) -> torch.Tensor:
    """(n,) bool: which ones."""
    return torch.rand(n, generator=generator) < 0.5


def _flipped(images: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    return torch.where(chosen[:, None, None, None], images.flip(3), images)


def _draw_rotation(n: int, degrees: float, height: int, width: int, generator: torch.Generator) -> torch.Tensor:
    """(n, 2, 3) float32: where each pixel of the turned picture comes from, as `affine_grid` takes it."""
    angles = (torch.rand(n, generator=generator) * 2 - 1) * math.radians(degrees)
    cos, sin, zero = angles.cos(), angles.sin(), torch.zeros(n)
    # affine_grid counts from -1 to 1 along both axes: the ratio of the sides keeps right angles right.
    return torch.stack([cos, -sin * height / width, zero, sin * width / height, cos, zero], dim=1).reshape(n, 2, 3)


def _rotated(images: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    if len(images) == 0:  # affine_grid refuses an empty batch
        return images
    x = images if images.is_floating_point() else images.float()
    grid = F.affine_grid(matrix.to(x.dtype), list(x.shape), align_corners=False)
    turned = F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return turned if images.is_floating_point() else turned.round().to(images.dtype)


def _draw_cutout(n: int, size: int, height: int, width: int, generator: torch.Generator) -> torch.Tensor:
    """(n, 2) int64: the first row and column of each square; those near a border begin outside."""
    firsts = [torch.randint(0, length, (n,), generator=generator) - size // 2 for length in (height, width)]
    return torch.stack(firsts, dim=1)


def _cut_out(images: torch.Tensor, size: int, first: torch.Tensor) -> torch.Tensor:
    hidden = []
    for axis, length in enumerate(images.shape[2:]):
        places, start = torch.arange(length, device=images.device), first[:, axis, None]
        hidden.append((places >= start) & (places < start + size))
    rows, columns = hidden
    return images.masked_fill((rows[:, :, None] & columns[:, None, :])[:, None], 0)


def _check(images: torch.Tensor, generator: torch.Generator) -> torch.Size:
    """The shape of a batch. Raises TypeError or ValueError unless it is one of pictures and the generator the CPU's."""
    _check_images(images)
    instance("generator", generator, torch.Generator, "a torch.Generator, such as torch.Generator().manual_seed(0)")
    if generator.device.type != "cpu":
        raise ValueError(
            f"generator must be one of the CPU, so that a seed means the same on each device: {generator.device}"
        )
    return images.shape


def _check_images(images: torch.Tensor) -> torch.Size:
    """The shape of a batch. Raises TypeError or ValueError unless it is one of pictures, uint8 or float."""
    instance("images", images, torch.Tensor, "a tensor of shape (N, C, H, W)")
    if images.ndim != 4 or 0 in images.shape[1:]:
        raise ValueError(
            f"images must be a batch with pixels and the four axes (N, C, H, W), got shape {tuple(images.shape)}"
        )
    if images.is_meta or images.layout != torch.strided or images.dtype not in DTYPES:
        raise TypeError(f"images must be uint8 or floats, on a device that computes and dense, not {shown(images)}")
    return images.shape


def _pixels(name: str, value: int, images: torch.Tensor, spare: int = 0) -> int:
    """Raises TypeError or ValueError unless `value` is a number of pixels that the images have, but `spare` of them."""
    pixels, (height, width) = integer(name, value, least=0), images.shape[2:]
    if pixels > min(height, width) - spare:
        raise ValueError(
            f"{name} must be at most {min(height, width) - spare} for images of {height} x {width} pixels, "
            f"not {brief(pixels)}"
        )
    return pixels
