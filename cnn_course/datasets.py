"""One `load(name)` for every data set: built in, downloaded, or your own folder of images.

Nothing here downloads by itself and nothing falls back silently: a missing set is an error that says what to type, and
`Dataset.title` says which data a figure or a number comes from.
"""

import difflib
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from platformdirs import user_cache_path

from cnn_course import synthetic
from cnn_course.data_sources import image_folder, published_files
from cnn_course.data_sources.download import megabytes
from cnn_course.data_sources.published_files import Arrays
from cnn_course.errors import DatasetError, MissingError

SEED = 1998  # of every split, and of the drawn sets
DRAWN_SIZES = (10_000, 2_000, 2_000)  # train, val, test of glyphs and shapes


@dataclass(frozen=True)
class Split:
    """images: uint8 (N, C, H, W); labels: int64 (N,)."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Dataset:
    """Three splits: train on `train`, choose on `val`, touch `test` once. `title` says which data it is."""

    name: str
    title: str
    classes: tuple[str, ...]
    train: Split
    val: Split
    test: Split


@dataclass(frozen=True)
class Row:
    """One line of `describe`: `state` is "built in", "on disk" or "missing"; `hint` is what to type next."""

    name: str
    title: str
    images: int
    size: str
    state: str
    hint: str


@dataclass(frozen=True)
class _Published:
    title: str
    classes: tuple[str, ...]
    held_out: int  # images of the published training set that become the validation split
    images: int
    size: str
    download: int  # bytes
    stand_in: str
    present: Callable[[Path], bool]
    load: Callable[[Path, str], tuple[Arrays, Arrays]]
    get: Callable[[Path, str, bool], None]


def _idx_set(source: published_files.IdxSet, title: str, classes: tuple[str, ...]) -> _Published:
    return _Published(
        *(title, classes, 5_000, 70_000, "1x28x28", sum(f.size for f in source.files), "glyphs"),
        present=partial(published_files.idx_present, source),
        load=partial(published_files.load_idx, source),
        get=partial(published_files.get_idx, source),
    )


BUILT_IN = {
    "digits": ("digits: real handwritten digits, 8x8 (scikit-learn)", 1_797, "1x8x8"),
    "glyphs": ("glyphs: digits drawn from fonts, not MNIST", sum(DRAWN_SIZES), "1x28x28"),
    "shapes": ("shapes: ten shapes drawn by the course, not photographs", sum(DRAWN_SIZES), "3x32x32"),
}
PUBLISHED = {
    "mnist": _idx_set(published_files.MNIST, "MNIST: real handwritten digits, 28x28", tuple("0123456789")),
    "fashion-mnist": _idx_set(
        published_files.FASHION_MNIST,
        "Fashion-MNIST: grey pictures of clothes, 28x28",
        # the names of the data set's authors, as torchvision spells them
        tuple("T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot".split(",")),
    ),
    "cifar10": _Published(
        "CIFAR-10: small colour photographs, 32x32",
        tuple("airplane automobile bird cat deer dog frog horse ship truck".split()),
        *(5_000, 60_000, "3x32x32", published_files.CIFAR10_SIZE, "shapes"),
        present=published_files.cifar10_present,
        load=published_files.load_cifar10,
        get=published_files.get_cifar10,
    ),
}
NAMES = (*BUILT_IN, *PUBLISHED)


def data_root(root: str | os.PathLike | None = None) -> Path:
    """Where data lies: `root`, else the environment variable CNN_COURSE_DATA, else the user's cache folder."""
    chosen = root if root is not None else os.environ.get("CNN_COURSE_DATA")
    return Path(chosen).expanduser() if chosen else user_cache_path("cnn-course")


def load(
    name: str | os.PathLike, *, root: str | os.PathLike | None = None, size: tuple[int, int] | None = None
) -> Dataset:
    """Load a data set; the splits are the same on every machine.

    name: one of NAMES, or a folder of class folders (a path, or the name of a folder in the data root), which may
    have train/, test/ and val/ above the class folders and is else split 80/10/10.
    size: (H, W) that a folder's images are scaled to; needed if they differ.
    Raises DatasetError for what the user can mend: an unknown name, a missing, truncated or altered file, a folder
    without images, a damaged image, images of different sizes.
    """
    key, where = _key(name), data_root(root)
    if size is not None and (key in NAMES or not _is_size(size)):
        raise ValueError(f"size must be (height, width), two integers > 0, and is for folders of images, got {size!r}")
    if key in BUILT_IN:
        return _load_built_in(key)
    if key in PUBLISHED:
        return _load_published(key, where)
    return _load_folder(_folder(key, where), size)


def get(name: str, root: str | os.PathLike | None = None, progress: bool = True) -> str:
    """Download a published data set into the data root unless it is there and right. Returns a line that says so."""
    key, where = _key(name), data_root(root)
    if key in BUILT_IN:
        return f"{key} is built in: nothing to download."
    if key not in PUBLISHED:
        raise DatasetError(f"{key!r} cannot be downloaded: choose one of {', '.join(PUBLISHED)}.")
    PUBLISHED[key].get(where, key, progress)
    return f"{key} is in {where}, checked."


def verify(name: str, root: str | os.PathLike | None = None) -> str:
    """Read everything of a data set and check it. Returns a line that says what was found; raises DatasetError."""
    data = load(name, root=root)
    how = "built in" if data.name in BUILT_IN else "every file has the right SHA-256"
    if data.name not in NAMES:
        how = "every image can be read"
    counts = " / ".join(f"{len(split):,}" for split in (data.train, data.val, data.test))
    return f"{data.name}: {counts} images (train / val / test), {len(data.classes)} classes; {how}."


def describe(root: str | os.PathLike | None = None) -> list[Row]:
    """All data sets, built in, published and folders in the data root. Looks at names only: nothing is read."""
    where = data_root(root)
    rows = [Row(name, title, images, size, "built in", "") for name, (title, images, size) in BUILT_IN.items()]
    for name, p in PUBLISHED.items():
        here = p.present(where)
        hint = "" if here else f"cnn-course data get {name}  ({megabytes(p.download)})"
        rows.append(Row(name, p.title, p.images, p.size, "on disk" if here else "missing", hint))
    known = {"MNIST", "FashionMNIST", published_files.CIFAR10_FOLDER}
    try:
        folders = sorted(d for d in where.iterdir() if d.is_dir() and d.name not in known and d.name[0] != ".")
    except OSError:
        folders = []
    for folder in folders:
        try:
            classes, splits = image_folder.list_splits(folder)
        except DatasetError:
            continue  # some other folder
        count = sum(len(listing) for listing in splits.values())
        rows.append(Row(folder.name, _folder_title(folder, classes), count, "", "on disk", ""))
    return rows


# ---------------------------------------------------------------------------------------------------------------------


def _key(name: str | os.PathLike) -> str:
    """The name as NAMES spells it (MNIST, fashion_mnist), or the path unchanged."""
    if not isinstance(name, str | os.PathLike):
        raise TypeError(f"name must be the name of a data set or a path, got {name!r}")
    text = os.fspath(name)
    key = text.lower().replace("_", "-")
    return key if key in NAMES else text


def _is_size(size: object) -> bool:
    return isinstance(size, tuple | list) and len(size) == 2 and all(isinstance(s, int) and s > 0 for s in size)


def _hold_out(labels: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(rest, held out): sorted indices, seeded, each class held out in proportion."""
    order = np.lexsort((np.random.default_rng(SEED).random(len(labels)), labels))
    chosen = np.sort(order[(2 * np.arange(count) + 1) * len(labels) // (2 * count)])
    return np.setdiff1d(np.arange(len(labels)), chosen), chosen


def _load_built_in(name: str) -> Dataset:
    if name == "digits":
        from sklearn.datasets import load_digits  # takes a second: only who asks for digits waits for it

        bunch = load_digits()
        # Values 0..16 become 0..255, so that every data set has the same range.
        images = np.floor(bunch.images[:, None] * (255 / 16) + 0.5).astype(np.uint8)
        labels = bunch.target.astype(np.int64)
        rest, test = _hold_out(labels, 300)
        train, val = _hold_out(labels[rest], 300)
        parts, classes = (rest[train], rest[val], test), tuple("0123456789")
    else:
        draw = synthetic.glyphs if name == "glyphs" else synthetic.shapes
        classes = synthetic.GLYPH_CLASSES if name == "glyphs" else synthetic.SHAPE_CLASSES
        drawn = draw(sum(DRAWN_SIZES), SEED)
        images, labels = drawn.images, drawn.labels
        parts = np.split(np.arange(len(labels)), np.cumsum(DRAWN_SIZES)[:-1])
    return Dataset(name, BUILT_IN[name][0], classes, *(Split(images[part], labels[part]) for part in parts))


def _load_published(name: str, root: Path) -> Dataset:
    p = PUBLISHED[name]
    try:
        (images, labels), test = p.load(root, name)
    except MissingError as error:
        raise DatasetError(
            f"{name} is not on this machine: {error} Get it once ({megabytes(p.download)}) with: "
            f"cnn-course data get {name}. Without a network use {p.stand_in!r}, which is built in."
        ) from error
    train, val = _hold_out(labels, min(p.held_out, max(1, len(labels) // 10)))
    return Dataset(
        *(name, p.title, p.classes), Split(images[train], labels[train]), Split(images[val], labels[val]), Split(*test)
    )


def _folder(name: str, root: Path) -> Path:
    """The folder of that name, here or in the data root. Raises DatasetError if there is none."""
    for path in (Path(name).expanduser(), root / name):
        if name and path.is_dir():
            return path
        if name and path.exists():
            raise DatasetError(f"{path} is a file: a data set of your own is a folder with one folder per class.")
    close = difflib.get_close_matches(name.lower(), NAMES, 1)
    raise DatasetError(
        f"There is no data set {name!r}. {f'Did you mean {close[0]!r}? ' if close else ''}Choose one of "
        f"{', '.join(NAMES)}, or a folder of class folders (looked for {Path(name).absolute()} and {root / name})."
    )


def _folder_title(folder: Path, classes: tuple[str, ...]) -> str:
    return f"{folder.resolve().name}: images from a folder, {len(classes)} classes"


def _load_folder(folder: Path, size: tuple[int, int] | None) -> Dataset:
    classes, splits = image_folder.list_splits(folder)
    if "all" in splits:
        listing = splits["all"]
        if len(listing) < 10:
            raise DatasetError(
                f"{folder} has {len(listing)} images: at least 10 are needed to hold out a tenth for validation and a "
                f"tenth for the test."
            )
        rest, test = _hold_out(np.array([label for _, label in listing]), len(listing) // 10)
        splits = {"train": [listing[i] for i in rest], "test": [listing[i] for i in test]}
        held_out = len(listing) // 10
    else:
        held_out = max(1, len(splits["train"]) // 10)
    if "val" not in splits:
        train, val = _hold_out(np.array([label for _, label in splits["train"]]), held_out)
        splits |= {"train": [splits["train"][i] for i in train], "val": [splits["train"][i] for i in val]}
    order = ("train", "val", "test")
    images = image_folder.read_images([path for split in order for path, _ in splits[split]], size)
    parts = np.split(images, np.cumsum([len(splits[split]) for split in order])[:-1])
    labels = [np.array([label for _, label in splits[split]], dtype=np.int64) for split in order]
    return Dataset(folder.resolve().name, _folder_title(folder, classes), classes, *map(Split, parts, labels))
