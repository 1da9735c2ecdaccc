"""One `load(name)` for every data set: built in, downloaded, or your own folder of images.

Nothing here downloads by itself and nothing falls back silently: a missing set is an error that says what to type, and
`Dataset.title` says which data a figure or a number comes from.

BUILT_IN and PUBLISHED below name the sets. The address and the checksum of every file to download stand in
`data_sources/published_files.py`; how the built-in sets are drawn, in `synthetic.py`.
"""

import difflib
import os
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from platformdirs import user_cache_path

from cnn_course import synthetic
from cnn_course.arguments.integers import integer, pair
from cnn_course.arguments.labels import images_and_labels
from cnn_course.arguments.objects import flag, instance, path, text
from cnn_course.arguments.shown import brief
from cnn_course.data_sources import image_folder, published_files
from cnn_course.data_sources.download import megabytes, readable
from cnn_course.data_sources.published_files import Arrays
from cnn_course.errors import DatasetError, MissingError
from cnn_course.files import system_errors

SEED = 1998  # of every split, and of the drawn sets
DRAWN_SIZES = (10_000, 2_000, 2_000)  # train, val, test of glyphs and shapes
_OTHER_ROOT = "CNN_COURSE_DATA names the folder for data: set it to one of your own."


@dataclass(frozen=True)
class Split:
    """images: uint8 (N, C, H, W); labels: int64 (N,). Raises TypeError and ValueError for anything else."""

    images: NDArray[np.uint8]
    labels: NDArray[np.integer]

    def __post_init__(self) -> None:
        images_and_labels(self.images, self.labels)

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

    def __post_init__(self) -> None:
        text("name", self.name)
        text("title", self.title)
        if not isinstance(self.classes, tuple) or not all(isinstance(name, str) for name in self.classes):
            raise TypeError(f"classes must be a tuple of texts, not {brief(self.classes)}")
        for part in ("train", "val", "test"):
            labels = instance(part, getattr(self, part), Split, "a Split").labels
            if labels.max(initial=0) >= max(1, len(self.classes)):
                raise ValueError(f"{part} has a label {labels.max()}, but classes has only {len(self.classes)} names")


@dataclass(frozen=True)
class DatasetState:
    """One line of `describe`; `hint` is what to do next.

    `state` is "built in", "on disk", "missing", "locked", or "too much" for a folder that has more below it than can be
    looked at.
    """

    name: str
    title: str
    images: int
    size: str
    state: str
    hint: str = ""

    def __post_init__(self) -> None:
        integer("images", self.images, least=0)
        for name in ("name", "title", "size", "state", "hint"):
            text(name, getattr(self, name))


@dataclass(frozen=True)
class _BuiltIn:
    title: str
    images: int
    size: str


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
        title=title,
        classes=classes,
        held_out=5_000,
        images=70_000,
        size="1x28x28",
        download=sum(file.size for file in source.files),
        stand_in="glyphs",
        present=partial(published_files.idx_present, source),
        load=partial(published_files.load_idx, source),
        get=partial(published_files.get_idx, source),
    )


BUILT_IN = {
    "digits": _BuiltIn(title="digits: real handwritten digits, 8x8 (scikit-learn)", images=1_797, size="1x8x8"),
    "glyphs": _BuiltIn(title="glyphs: digits drawn from fonts, not MNIST", images=sum(DRAWN_SIZES), size="1x28x28"),
    "shapes": _BuiltIn(
        title="shapes: ten shapes drawn by the course, not photographs", images=sum(DRAWN_SIZES), size="3x32x32"
    ),
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
        title="CIFAR-10: small colour photographs, 32x32",
        classes=tuple("airplane automobile bird cat deer dog frog horse ship truck".split()),
        held_out=5_000,
        images=60_000,
        size="3x32x32",
        download=published_files.CIFAR10_SIZE,
        stand_in="shapes",
        present=published_files.cifar10_present,
        load=published_files.load_cifar10,
        get=published_files.get_cifar10,
    ),
}
NAMES = (*BUILT_IN, *PUBLISHED)


def data_root(root: str | os.PathLike | None = None) -> Path:
    """Where data lies: `root`, else the environment variable CNN_COURSE_DATA, else the user's cache folder.

    Raises DatasetError for the home folder of an unknown user, TypeError and ValueError for what is no path.
    """
    if root is not None:
        return _expanded(path("root", root))
    chosen = os.environ.get("CNN_COURSE_DATA")
    return _expanded(chosen, "CNN_COURSE_DATA: ") if chosen else user_cache_path("cnn-course")


def load(
    name: str | os.PathLike, *, root: str | os.PathLike | None = None, size: tuple[int, int] | None = None
) -> Dataset:
    """Load a data set; the splits are the same on every machine.

    name: one of NAMES, or a folder of class folders (a path, or the name of a folder in the data root), which may
    have train/, test/ and val/ above the class folders and is else split 80/10/10. A warning says in one line what of
    the folder was not taken (files that are no images), and what is odd in the rest (transparent parts, which become
    white).
    size: (H, W) that a folder's images are scaled to, at most 4,096 to a side; needed if they differ.
    Raises DatasetError for what the user can mend: an unknown name, a missing, truncated or altered file, a folder
    without images, a damaged image, images of different sizes or too large.
    """
    key, where = _key(name), data_root(root)
    if size is not None:
        if key in NAMES or not isinstance(size, tuple | list) or len(size) != 2:
            raise ValueError(f"size must be (height, width), and is for folders of images, not {brief(size)}")
        size = pair("size", size, least=1)
    if key in BUILT_IN:
        return _load_built_in(key)
    if key in PUBLISHED:
        return _load_published(key, where)
    return _load_folder(_folder(key, where), size)


def get(name: str, root: str | os.PathLike | None = None, progress: bool = True) -> str:
    """Download a published data set into the data root unless it is there and right. Returns a line that says so.

    progress: show a bar. Raises DatasetError for another name, and for whatever ends a download.
    """
    key, where, progress = _key(text("name", name)), data_root(root), flag("progress", progress)
    if key in BUILT_IN:
        return f"{key} is built in: nothing to download."
    if key not in PUBLISHED:
        raise DatasetError(f"{key!r} cannot be downloaded: choose one of {', '.join(PUBLISHED)}.")
    with readable(where, _OTHER_ROOT):
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


def describe(root: str | os.PathLike | None = None) -> list[DatasetState]:
    """All data sets, built in, published and folders in the data root. Looks at names only: nothing is read.

    What may not be looked into is "locked", and leaves the others as they are. Where the data root has more in it than
    can be looked at, the first folder that is not counted is "too much", and those after it are left out.
    """
    where = data_root(root)
    rows = [
        DatasetState(name=name, title=b.title, images=b.images, size=b.size, state="built in")
        for name, b in BUILT_IN.items()
    ]
    for name, p in PUBLISHED.items():
        try:
            here = p.present(where)
            state = "on disk" if here else "missing"
            hint = "" if here else f"cnn-course data get {name}  ({megabytes(p.download)})"
        except OSError as error:
            state, hint = "locked", f"cannot look into {error.filename or where}: {system_errors.reason(error)}"
        rows.append(DatasetState(name=name, title=p.title, images=p.images, size=p.size, state=state, hint=hint))
    known = {"MNIST", "FashionMNIST", published_files.CIFAR10_FOLDER}
    try:
        # os.path says no, where Path raises an error: one odd folder leaves the others.
        names = sorted(n for n in os.listdir(where) if n not in known and n[0] != "." and os.path.isdir(where / n))
    except OSError:  # none, or locked: then the published sets say so
        names = []
    looks = image_folder.Looks()  # for all of them: a data root is none where they hold the files of the whole machine
    for i, name in enumerate(names, start=1):
        folder = where / name
        try:
            found = image_folder.list_splits(folder, looks)
        except image_folder.TooMuchError:
            hint = (
                f"the folders of {where} have more than {looks.most:,} files below them, links followed: {name} and "
                f"the {len(names) - i} folders after it were not counted. Set CNN_COURSE_DATA to a folder that holds "
                "data sets only"
            )
            rows.append(DatasetState(name=name, title="not counted", images=0, size="", state="too much", hint=hint))
            break
        except DatasetError:
            continue  # some other folder
        count = sum(len(listing) for listing in found.splits.values())
        title, hint = _folder_title(folder, found.classes), image_folder.remarks(found.left_out, Counter())
        rows.append(DatasetState(name=folder.name, title=title, images=count, size="", state="on disk", hint=hint))
    return rows


# ---------------------------------------------------------------------------------------------------------------------


def _key(name: str | os.PathLike) -> str:
    """The name as NAMES spells it (MNIST, fashion_mnist), or the path unchanged."""
    if not isinstance(name, str | os.PathLike) or not isinstance(os.fspath(name), str):
        raise TypeError(f"name must be the name of a data set or a path, got {brief(name)}")
    given = os.fspath(name)
    key = given.lower().replace("_", "-")
    return key if key in NAMES else given


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
        rest, tested = _hold_out(labels, 300)
        trained, chosen = _hold_out(labels[rest], 300)
        parts, classes = (rest[trained], rest[chosen], tested), tuple("0123456789")
    else:
        draw = synthetic.glyphs if name == "glyphs" else synthetic.shapes
        classes = synthetic.GLYPH_CLASSES if name == "glyphs" else synthetic.SHAPE_CLASSES
        drawn = draw(sum(DRAWN_SIZES), SEED)
        images, labels = drawn.images, drawn.labels
        parts = np.split(np.arange(len(labels)), np.cumsum(DRAWN_SIZES)[:-1])
    train, val, test = (Split(images[part], labels[part]) for part in parts)
    return Dataset(name=name, title=BUILT_IN[name].title, classes=classes, train=train, val=val, test=test)


def _load_published(name: str, root: Path) -> Dataset:
    p = PUBLISHED[name]
    try:
        with readable(root, _OTHER_ROOT):
            (images, labels), test = p.load(root, name)
    except MissingError as error:
        raise DatasetError(
            f"{name} is not on this machine: {error} Get it once ({megabytes(p.download)}) with: "
            f"cnn-course data get {name}. Without a network use {p.stand_in!r}, which is built in."
        ) from error
    rest, held_out = _hold_out(labels, min(p.held_out, max(1, len(labels) // 10)))
    train, val = (Split(images[part], labels[part]) for part in (rest, held_out))
    return Dataset(name=name, title=p.title, classes=p.classes, train=train, val=val, test=Split(*test))


def _expanded(given: str | os.PathLike, named: str = "") -> Path:
    """The path with ~ and ~user filled in. Raises DatasetError for a user who is not known here.

    named: what the message begins with, where the path stands elsewhere than in the call.
    """
    try:
        return Path(given).expanduser()
    except RuntimeError as error:
        raise DatasetError(
            f"{named}There is no home folder for {os.fspath(given)}: write the path without ~."
        ) from error


def _folder(name: str, root: Path) -> Path:
    """The folder of that name, here or in the data root. Raises DatasetError if there is none."""
    for place in (_expanded(name), root / name) if name else ():
        with readable(place):
            if place.is_dir():
                return place
            if place.exists():
                raise DatasetError(f"{place} is a file: a data set of your own is a folder with one folder per class.")
    close = difflib.get_close_matches(name.lower(), NAMES, 1)
    raise DatasetError(
        f"There is no data set {name!r}. {f'Did you mean {close[0]!r}? ' if close else ''}Choose one of "
        f"{', '.join(NAMES)}, or a folder of class folders (looked for {Path(name).absolute()} and {root / name})."
    )


def _folder_title(folder: Path, classes: tuple[str, ...]) -> str:
    return f"{folder.resolve().name}: images from a folder, {len(classes)} classes"


def _load_folder(folder: Path, size: tuple[int, int] | None) -> Dataset:
    found = image_folder.list_splits(folder)
    classes, splits = found.classes, dict(found.splits)
    if "all" in splits:
        listing = splits["all"]
        if len(listing) < 10:
            raise DatasetError(
                f"{folder} has {len(listing)} images: at least 10 are needed to hold out a tenth for validation and a "
                f"tenth for the test."
            )
        held_out = _held_out(len(listing), len(classes))
        rest, test = _hold_out(np.array([label for _, label in listing]), held_out)
        splits = {"train": [listing[i] for i in rest], "test": [listing[i] for i in test]}
    else:
        held_out = _held_out(len(splits["train"]), len(classes))
    if "val" not in splits:
        train, val = _hold_out(np.array([label for _, label in splits["train"]]), held_out)
        splits |= {"train": [splits["train"][i] for i in train], "val": [splits["train"][i] for i in val]}
    order = ("train", "val", "test")
    images, seen = image_folder.read_images([path for split in order for path, _ in splits[split]], size)
    parts = np.split(images, np.cumsum([len(splits[split]) for split in order])[:-1])
    labels = [np.array([label for _, label in splits[split]], dtype=np.int64) for split in order]
    train, val, test = map(Split, parts, labels)
    name, title = folder.resolve().name, _folder_title(folder, classes)
    if remarks := image_folder.remarks(found.left_out, seen):
        warnings.warn(f"{name}: {len(images):,} images were taken; {remarks}", stacklevel=3)
    return Dataset(name=name, title=title, classes=classes, train=train, val=val, test=test)


def _held_out(images: int, classes: int) -> int:
    """A tenth; of few images one of each class, unless that were more than a fifth."""
    return max(1, images // 10, min(classes, images // 5))
