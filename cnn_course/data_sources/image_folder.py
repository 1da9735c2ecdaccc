"""Your own images: a folder with one folder per class, read with Pillow."""

import os
import stat
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
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

# What people call the folders of the splits, in any case.
SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}

Listing = list[tuple[str, int]]  # path and label of each image


@dataclass(frozen=True)
class Found:
    """What a folder holds; nothing is decoded yet.

    classes: their names. splits: for each split its images in a fixed order: train, test and perhaps val where there
    are folders of these names, else one, called "all". left_out: how many files and folders were not taken, by kind.
    """

    classes: tuple[str, ...]
    splits: dict[str, Listing]
    left_out: Counter[str]


def remarks(left_out: Counter[str], seen: Counter[str]) -> str:
    """One line on what was not taken, and on what was changed or is odd in the rest; empty if there is nothing."""
    parts = []
    if left_out:
        parts.append("left out: " + ", ".join(f"{count:,} {kind}" for kind, count in left_out.most_common()))
    parts += [f"{count:,} {kind}" for kind, count in seen.most_common()]
    return "; ".join(parts)


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


def list_splits(folder: Path, looks: Looks | None = None) -> Found:
    """The classes and images of a folder, by names alone.

    looks: counts what is looked at; by default MOST_ENTRIES for this folder.
    Raises DatasetError: unreadable, no images, a class without one, a single class, or classes that differ between the
    splits; TooMuchError where there is more than may be looked at.
    """
    looks = Looks() if looks is None else looks
    left_out: Counter[str] = Counter()
    with readable(folder):
        entries = list(_entries(folder, looks))
        places = _places(folder, entries, left_out)
        found = {
            split: _classes(place, entries if place == folder else list(_entries(place, looks)), looks, left_out)
            for split, place in places.items()
        }
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
    splits = {
        split: [(path, label) for label, name in enumerate(classes) for path in per_class.get(name, [])]
        for split, per_class in found.items()
    }
    return Found(classes, splits, left_out)


def _places(folder: Path, entries: list[os.DirEntry[str]], left_out: Counter[str]) -> dict[str, Path]:
    """The folder of each split, or of "all". Raises DatasetError for train/ without test/, and for two of one kind."""
    places: dict[str, Path] = {}
    for entry in sorted(filter(_is_folder, entries), key=lambda entry: entry.name):
        if split := SPLITS.get(entry.name.lower()):
            if split in places:
                raise DatasetError(
                    f"{folder} has both {places[split].name}/ and {entry.name}/, and only one can be for {split}: put "
                    "them together, or rename one."
                )
            places[split] = folder / entry.name
    if not {"train", "test"} <= places.keys():
        # A class may be called "valid" or "training"; these three names are those that are asked for.
        if named := [place.name for split, place in places.items() if place.name.lower() == split]:
            raise DatasetError(
                f"{folder} has {' and '.join(f'{name}/' for name in named)} but not both train/ and test/. Add the "
                f"missing one, or put the class folders directly into {folder} and it is split for you."
            )
        return {"all": folder}
    taken = {place.name for place in places.values()}
    beside = [f"{entry.name}/" for entry in entries if entry.name not in taken and _is_folder(entry)]
    if beside:
        left_out[f"folder beside train/ and test/ ({', '.join(sorted(beside)[:3])})"] = len(beside)
    _count_files(entries, left_out)
    return {split: places[split] for split in ("train", "val", "test") if split in places}


def _classes(
    place: Path, entries: list[os.DirEntry[str]], looks: Looks, left_out: Counter[str]
) -> dict[str, list[str]]:
    """The images of each class. Raises DatasetError for a class whose files are all no images."""
    _count_files(entries, left_out)
    found = {}
    for entry in filter(_is_folder, entries):
        others: Counter[str] = Counter()
        images = sorted(_images(entry, looks, others), key=_order)
        if others and not images:
            kinds = ", ".join(kind for kind, _ in others.most_common(3))
            raise DatasetError(
                f"The class {entry.name!r} in {place} has {others.total():,} files and no image among them ({kinds}): "
                f"convert them to JPEG or PNG (endings read here: {' '.join(EXTENSIONS)}), or move the folder away."
            )
        if images:
            found[entry.name] = images
        else:
            left_out["empty folders"] += 1
        left_out += others
    return found


def _count_files(entries: list[os.DirEntry[str]], left_out: Counter[str]) -> None:
    if beside := sum(not _is_folder(entry) for entry in entries):
        left_out["files beside the class folders"] += beside


def read_images(paths: list[str], size: tuple[int, int] | None) -> tuple[NDArray[np.uint8], Counter[str]]:
    """Decode images into uint8 (N, C, H, W): one channel if all are grey, else three. Transparency becomes white.

    size: (H, W) to scale each image to (its shape is not kept); without it all must have one size.
    Beside them: how many there were of what is worth a remark.
    Raises DatasetError naming the file that is unreadable or of another size, or if all would not fit into memory.
    """
    if size is not None:
        if max(size) > MOST_SIDE:
            raise DatasetError(
                f"The size to scale images to has at most {MOST_SIDE:,} pixels to a side, not {brief(size)}. {SMALLER}"
            )
        _check_room(len(paths), *size, 1)  # a single one may be too large already
    first, _ = _decode(paths[0], size)
    height, width = first.shape[:2]
    _check_room(len(paths), height, width, 1 if first.ndim == 2 else 3)
    # Threads decode side by side, but for small pictures they spend more time on waiting for each other.
    workers = min(8, os.cpu_count() or 1) if first.size > 128 * 128 else 1
    with ThreadPoolExecutor(workers) as pool:
        chunks = range(0, len(paths), 64)
        parts = list(pool.map(lambda k: [_like(first, paths[0], path, size) for path in paths[k : k + 64]], chunks))
    images = [image for part in parts for image, _ in part]
    seen = Counter(remark for part in parts for _, found in part for remark in found)
    channels = 3 if any(image.ndim == 3 for image in images) else 1
    out = np.empty((len(images), channels, *first.shape[:2]), dtype=np.uint8)
    for row, image in zip(out, images, strict=True):
        row[:] = image if image.ndim == 2 else np.moveaxis(image, 2, 0)
    return out, seen


def _check_room(images: int, height: int, width: int, channels: int) -> None:
    expected = images * height * width * channels
    if expected > MOST_BYTES:
        raise DatasetError(
            f"{images:,} images of {height}x{width} pixels are {megabytes(expected)} in memory. {SMALLER}"
        )


def _like(first: np.ndarray, first_path: str, path: str, size: tuple[int, int] | None) -> tuple[np.ndarray, list[str]]:
    """Decode one image, which must have the first one's height and width."""
    image, found = _decode(path, size)
    (h, w), (first_h, first_w) = image.shape[:2], first.shape[:2]
    if (h, w) != (first_h, first_w):
        raise DatasetError(
            f"The images have different sizes: {first_path} is {first_h}x{first_w} (height x width), {path} is "
            f"{h}x{w}. Give one size to scale them to: size=({min(first_h, 224)}, {min(first_w, 224)}), on the "
            f"command line --size {min(first_h, first_w, 224)}."
        )
    return image, found


def _decode(path: str, size: tuple[int, int] | None) -> tuple[np.ndarray, list[str]]:
    """(H, W) uint8 of a grey image, (H, W, 3) of any other, laid on white; and remarks."""
    found = []
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise DatasetError(f"{path} is no file that can be read twice (a pipe or a device): delete it.")
        with Image.open(path) as picture:
            if picture.mode.startswith(("I", "F")):
                raise DatasetError(f"{path} has more than 8 bits per channel: convert it to an 8-bit image first.")
            if getattr(picture, "n_frames", 1) > 1 and picture.format != "MPO":  # a telephone adds a small one
                found.append("with several pictures, of which the first was taken")
            grey = picture.mode in ("1", "L", "LA", "La")
            picture = ImageOps.exif_transpose(picture)  # a telephone stores which way is up beside the pixels
            if picture.has_transparency_data:
                picture = picture.convert("RGBA")
                if np.asarray(picture.getchannel("A")).min() < 255:
                    found.append("with transparent parts, which were made white")
                    picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
                    if np.asarray(picture.convert("L")).min() == 255:
                        found.append("in which nothing but white is left then")
            picture = picture.convert("L" if grey else "RGB")
            if size is not None and picture.size != size[::-1]:
                picture = picture.resize(size[::-1], Image.Resampling.BILINEAR)
            return np.asarray(picture), found
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the system's; Pillow's own have no number
            raise DatasetError(f"Cannot read the image {path}: {system_errors.reason(error)}.") from error
        raise DatasetError(
            f"Cannot read the image {path} ({error}): it is damaged or not an image. Replace or delete it."
        ) from error


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


def _images(
    folder: str | os.PathLike[str], looks: Looks, others: Counter[str], above: tuple[str, ...] = ()
) -> Iterator[str]:
    """Paths of all images below a folder, however deep. others: counts the other files."""
    here = os.path.realpath(folder)
    if here in above:
        raise DatasetError(f"{os.fspath(folder)} is a link to a folder above it, so its images never end: delete it.")
    if len(above) >= MOST_DEEP:
        raise DatasetError(
            f"{os.fspath(folder)[:200]} … lies more than {MOST_DEEP} folders deep in its class: put the images higher."
        )
    for entry in _entries(folder, looks):
        if _is_folder(entry):
            yield from _images(entry, looks, others, (*above, here))
        elif entry.name.lower().endswith(EXTENSIONS):
            yield entry.path
        else:
            others[f"{os.path.splitext(entry.name)[1].lower() or 'unnamed'} files"] += 1
