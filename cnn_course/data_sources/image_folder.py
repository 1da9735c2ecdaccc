"""Your own images: a folder with one folder per class, read with Pillow."""

import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from cnn_course.arguments.shown import brief
from cnn_course.data_sources.download import megabytes, readable
from cnn_course.errors import DatasetError
from cnn_course.files import system_errors

EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
MOST_BYTES = 2 * 10**9  # of decoded images, which need twice that for a moment
MOST_SIDE = 4096  # pixels to scale to: a photograph has no more, and no network here takes a tenth of it

SMALLER = "Give a smaller one: size=(64, 64), on the command line --size 64."

MOST_ENTRIES = 1_000_000  # files and folders to look at; links that cross multiply them without an end
MOST_DEEP = 100  # folders in each other

Listing = list[tuple[str, int]]  # path and label of each image


class TooMuchError(DatasetError):
    """A folder has more below it than can be looked at."""


class Looks:
    """How many files and folders may still be looked at, in one data set or in several."""

    def __init__(self, most: int | None = None) -> None:
        self.most = self.left = MOST_ENTRIES if most is None else most

    def take(self, folder: str | os.PathLike[str]) -> None:
        """Raises TooMuchError where none is left. folder: where the next one lies."""
        if self.left <= 0:
            raise TooMuchError(
                f"There are more than {self.most:,} files and folders to look at, links followed; the last was in "
                f"{os.fspath(folder)}. Name a folder that holds a data set and nothing else."
            )
        self.left -= 1


def list_splits(folder: Path, looks: Looks | None = None) -> tuple[tuple[str, ...], dict[str, Listing]]:
    """The class names, and for each split that the folder has its images in a fixed order (nothing is decoded).

    The splits are train, test and perhaps val where there are folders of these names, else one, called "all".
    looks: counts what is looked at; by default MOST_ENTRIES for this folder.
    Raises DatasetError: unreadable, no images, a single class, or classes that differ between the splits; TooMuchError
    where there is more than may be looked at.
    """
    looks = Looks() if looks is None else looks
    with readable(folder):
        names = [name for name in ("train", "val", "test") if (folder / name).is_dir()]
    if names and not {"train", "test"} <= set(names):
        raise DatasetError(
            f"{folder} has {' and '.join(f'{name}/' for name in names)} but not both train/ and test/. Add the missing "
            f"one, or put the class folders directly into {folder} and it is split for you."
        )
    places = {name: folder / name for name in names} or {"all": folder}
    with readable(folder):
        found = {
            split: {d.name: sorted(_images(d, looks), key=_order) for d in _folders(place, looks)}
            for split, place in places.items()
        }
    found = {split: {c: images for c, images in classes.items() if images} for split, classes in found.items()}
    first = next(iter(found))
    classes = tuple(sorted(found[first]))
    for split, per_class in found.items():
        if not per_class:
            raise DatasetError(
                f"There are no images in {places[split]}: it must hold one folder per class, with files ending in "
                f"{' '.join(EXTENSIONS)}."
            )
        if unknown := sorted(set(per_class) - set(classes)):
            raise DatasetError(
                f"{places[split]} has the class {unknown[0]!r}, which {places[first]} has not ({', '.join(classes)}): "
                f"every class needs images to train on."
            )
    if len(classes) < 2:
        raise DatasetError(
            f"{places[first]} has images of one class only ({classes[0]!r}): put each class into a folder of its own, "
            f"at least two."
        )
    return classes, {
        split: [(path, label) for label, name in enumerate(classes) for path in per_class.get(name, [])]
        for split, per_class in found.items()
    }


def read_images(paths: list[str], size: tuple[int, int] | None) -> NDArray[np.uint8]:
    """Decode images into uint8 (N, C, H, W): one channel if all are grey, else three.

    size: (H, W) to scale each image to (its shape is not kept); without it all must have one size.
    Raises DatasetError naming the file that is unreadable or of another size, or if all would not fit into memory.
    """
    if size is not None:
        if max(size) > MOST_SIDE:
            raise DatasetError(
                f"The size to scale images to has at most {MOST_SIDE:,} pixels to a side, not {brief(size)}. {SMALLER}"
            )
        _check_room(len(paths), *size, 1)  # a single one may be too large already
    first = _decode(paths[0], size)
    height, width = first.shape[:2]
    _check_room(len(paths), height, width, 1 if first.ndim == 2 else 3)
    # Threads decode side by side, but for small pictures they spend more time on waiting for each other.
    workers = min(8, os.cpu_count() or 1) if first.size > 128 * 128 else 1
    with ThreadPoolExecutor(workers) as pool:
        chunks = range(0, len(paths), 64)
        parts = list(pool.map(lambda k: [_like(first, paths[0], path, size) for path in paths[k : k + 64]], chunks))
    images = [image for part in parts for image in part]
    channels = 3 if any(image.ndim == 3 for image in images) else 1
    out = np.empty((len(images), channels, *first.shape[:2]), dtype=np.uint8)
    for row, image in zip(out, images, strict=True):
        row[:] = image if image.ndim == 2 else np.moveaxis(image, 2, 0)
    return out


def _check_room(images: int, height: int, width: int, channels: int) -> None:
    expected = images * height * width * channels
    if expected > MOST_BYTES:
        raise DatasetError(
            f"{images:,} images of {height}x{width} pixels are {megabytes(expected)} in memory. {SMALLER}"
        )


def _like(first: np.ndarray, first_path: str, path: str, size: tuple[int, int] | None) -> np.ndarray:
    """Decode one image, which must have the first one's height and width."""
    image = _decode(path, size)
    (h, w), (first_h, first_w) = image.shape[:2], first.shape[:2]
    if (h, w) != (first_h, first_w):
        raise DatasetError(
            f"The images have different sizes: {first_path} is {first_h}x{first_w} (height x width), {path} is "
            f"{h}x{w}. Give one size to scale them to: size=({min(first_h, 224)}, {min(first_w, 224)}), on the "
            f"command line --size {min(first_h, first_w, 224)}."
        )
    return image


def _decode(path: str, size: tuple[int, int] | None) -> np.ndarray:
    """(H, W) uint8 of a grey image, (H, W, 3) of any other (transparency is dropped)."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise DatasetError(f"{path} is no file that can be read twice (a pipe or a device): delete it.")
        with Image.open(path) as picture:
            if picture.mode.startswith(("I", "F")):
                raise DatasetError(f"{path} has more than 8 bits per channel: convert it to an 8-bit image first.")
            picture = ImageOps.exif_transpose(picture)  # a telephone stores which way is up beside the pixels
            picture = picture.convert("L" if picture.mode in ("1", "L") else "RGB")
            if size is not None and picture.size != size[::-1]:
                picture = picture.resize(size[::-1], Image.Resampling.BILINEAR)
            return np.asarray(picture)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the system's; Pillow's own have no number
            raise DatasetError(f"Cannot read the image {path}: {system_errors.reason(error)}.") from error
        raise DatasetError(
            f"Cannot read the image {path} ({error}): it is damaged or not an image. Replace or delete it."
        ) from error


def _folders(folder: Path, looks: Looks) -> Iterator[os.DirEntry[str]]:
    for entry in _entries(folder, looks):
        if _is_folder(entry):
            yield entry


def _entries(folder: str | os.PathLike[str], looks: Looks) -> Iterator[os.DirEntry[str]]:
    """What is in a folder, but for hidden files; each counts."""
    with os.scandir(folder) as entries:
        for entry in entries:
            looks.take(folder)
            if not entry.name.startswith("."):
                yield entry


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads back to itself: whoever reads it is told
        return False


def _order(path: str) -> str:
    """The same on every system, and with it the splits: / stands before letters, and the \\ of Windows after some."""
    return path.replace(os.sep, "/")


def _images(folder: str | os.PathLike[str], looks: Looks, above: tuple[str, ...] = ()) -> Iterator[str]:
    """Paths of all images below a folder, however deep."""
    here = os.path.realpath(folder)
    if here in above:
        raise DatasetError(f"{os.fspath(folder)} is a link to a folder above it, so its images never end: delete it.")
    if len(above) >= MOST_DEEP:
        raise DatasetError(
            f"{os.fspath(folder)[:200]} … lies more than {MOST_DEEP} folders deep in its class: put the images higher."
        )
    for entry in _entries(folder, looks):
        if _is_folder(entry):
            yield from _images(entry, looks, (*above, here))
        elif entry.name.lower().endswith(EXTENSIONS):
            yield entry.path
