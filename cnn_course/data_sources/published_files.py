"""Published data sets: the address, size and checksum of every file to download, and how to read them with NumPy alone.

A download that has moved gets its new address here: `servers` of an IdxSet, or CIFAR10_URLS.

The layout on disk is torchvision's, so either finds what the other has fetched. Every file is checked against its
SHA-256 before it is read. data/README.md says where each number comes from.
"""

import gzip
import hashlib
import io
import pickle
import struct
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cnn_course.data_sources.download import fetch, readable, sha256_of, write_data_file
from cnn_course.errors import DatasetError, MissingError

Arrays = tuple[NDArray[np.uint8], NDArray[np.int64]]  # images (N, C, H, W), labels (N,)


@dataclass(frozen=True)
class IdxFile:
    """One of the four files of MNIST or Fashion-MNIST. `unpacked` is None where no checksum has been published."""

    name: str
    size: int  # of the .gz, in bytes
    packed: str  # SHA-256 of the .gz
    unpacked: str | None  # SHA-256 of what is in it


@dataclass(frozen=True)
class IdxSet:
    """A data set in MNIST's format: idx files in `folder`, to be had from any of `servers`."""

    folder: str
    servers: tuple[str, ...]
    files: tuple[IdxFile, ...]  # train images, train labels, test images, test labels


MNIST = IdxSet(
    folder="MNIST/raw",
    servers=("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
    files=(
        IdxFile(
            name="train-images-idx3-ubyte",
            size=9_912_422,
            packed="440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            unpacked="ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        ),
        IdxFile(
            name="train-labels-idx1-ubyte",
            size=28_881,
            packed="3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            unpacked="65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        ),
        IdxFile(
            name="t10k-images-idx3-ubyte",
            size=1_648_877,
            packed="8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            unpacked="0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        ),
        IdxFile(
            name="t10k-labels-idx1-ubyte",
            size=4_542,
            packed="f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            unpacked="ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ),
)

FASHION_MNIST = IdxSet(
    folder="FashionMNIST/raw",
    servers=(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    ),
    files=(
        IdxFile(
            name="train-images-idx3-ubyte",
            size=26_421_880,
            packed="3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            unpacked=None,
        ),
        IdxFile(
            name="train-labels-idx1-ubyte",
            size=29_515,
            packed="a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            unpacked=None,
        ),
        IdxFile(
            name="t10k-images-idx3-ubyte",
            size=4_422_102,
            packed="346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            unpacked=None,
        ),
        IdxFile(
            name="t10k-labels-idx1-ubyte",
            size=5_148,
            packed="67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            unpacked=None,
        ),
    ),
)

CIFAR10_URLS = ("https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",)
CIFAR10_ARCHIVE = "cifar-10-python.tar.gz"  # its name on this disk, whatever a server calls it
CIFAR10_SIZE = 170498071
CIFAR10_SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
CIFAR10_FOLDER = "cifar-10-batches-py"
CIFAR10_BATCHES = {
    "data_batch_1": "54636561a3ce25bd3e19253c6b0d8538147b0ae398331ac4a2d86c6d987368cd",
    "data_batch_2": "766b2cef9fbc745cf056b3152224f7cf77163b330ea9a15f9392beb8b89bc5a8",
    "data_batch_3": "0f00d98ebfb30b3ec0ad19f9756dc2630b89003e10525f5e148445e82aa6a1f9",
    "data_batch_4": "3f7bb240661948b8f4d53e36ec720d8306f5668bd0071dcb4e6c947f78e9682b",
    "data_batch_5": "d91802434d8376bbaeeadf58a737e3a1b12ac839077e931237e0dcd43adcb154",
    "test_batch": "f53d8d457504f7cff4ea9e021afcf0e0ad8e24a91f3fc42091b8adef61157831",
    # Only class names: not read here, but torchvision wants it.
    "batches.meta": "f962466ef690d46b226450fb9aadc74ba4bc64a76aa526b5827fe4bc5c7125cb",
}


def _refused(path: Path, what: str, name: str) -> DatasetError:
    return DatasetError(
        f"{path} {what}, so it was not read. Delete it, then fetch a good copy with: cnn-course data get {name}"
    )


# ---------------------------------------------------------------------------------------------------------------------
# MNIST's format


def idx_present(source: IdxSet, root: Path) -> bool:
    """Whether all four files are there, packed or unpacked (nothing is checked)."""
    folder = root / source.folder
    return all(
        (folder / f"{f.name}.gz").is_file() or (f.unpacked and (folder / f.name).is_file()) for f in source.files
    )


def load_idx(source: IdxSet, root: Path, name: str) -> tuple[Arrays, Arrays]:
    """(train, test) arrays. Raises MissingError, or DatasetError naming a truncated or altered file."""
    parts = [parse_idx(_idx_bytes(source, file, root, name), file.name, name) for file in source.files]
    return _pair(parts[0], parts[1], name), _pair(parts[2], parts[3], name)


def _pair(images: np.ndarray, labels: np.ndarray, name: str) -> Arrays:
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        raise DatasetError(f"{name}: images {images.shape} and labels {labels.shape} do not belong together.")
    return images[:, None], labels.astype(np.int64)


def parse_idx(data: bytes, file: str, name: str) -> np.ndarray:
    """The uint8 array in an idx file: two zero bytes, type 8 (uint8), rank, big-endian int32 sizes, the values."""
    rank = data[3] if len(data) >= 4 else 0
    if data[:3] != b"\0\0\x08" or not 1 <= rank <= 3 or len(data) < 4 + 4 * rank:
        raise _refused(Path(file), "is not an idx file of bytes", name)
    shape = struct.unpack(f">{rank}I", data[4 : 4 + 4 * rank])
    values = np.frombuffer(data, np.uint8, offset=4 + 4 * rank)
    if values.size != np.prod(shape, dtype=object):
        raise _refused(Path(file), f"says it holds {shape} values but has {values.size}", name)
    return values.reshape(shape).copy()  # a copy: arrays over bytes cannot be written to


def _idx_bytes(source: IdxSet, file: IdxFile, root: Path, name: str) -> bytes:
    """The checked contents of one file, from the unpacked copy if that can be checked, else from the .gz."""
    plain, packed = root / source.folder / file.name, root / source.folder / f"{file.name}.gz"
    if file.unpacked and plain.is_file():
        with readable(plain):
            data = plain.read_bytes()
        if hashlib.sha256(data).hexdigest() != file.unpacked:
            raise _refused(plain, "is truncated or altered (wrong SHA-256)", name)
        return data
    if packed.is_file():
        with readable(packed):
            raw = packed.read_bytes()
        try:
            data = gzip.decompress(raw)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise _refused(packed, "is truncated or not a gzip file", name) from error
        # Packed again by someone else is fine where we know what must be inside.
        if hashlib.sha256(raw).hexdigest() != file.packed and hashlib.sha256(data).hexdigest() != file.unpacked:
            raise _refused(packed, "is altered (wrong SHA-256)", name)
        return data
    if plain.is_file():
        raise MissingError(f"{plain} is there but not {packed.name}, the file that has a published checksum.")
    raise MissingError(f"{packed} is missing.")


def get_idx(source: IdxSet, root: Path, name: str, progress: bool) -> None:
    """Download what is missing or wrong, and unpack it beside the .gz, as torchvision wants it."""
    for file in source.files:
        plain, packed = root / source.folder / file.name, root / source.folder / f"{file.name}.gz"
        try:
            data = _idx_bytes(source, file, root, name)
        except DatasetError:
            urls = [f"{server}{file.name}.gz" for server in source.servers]
            fetch(urls, packed, sha256=file.packed, size=file.size, progress=progress)
            data = gzip.decompress(packed.read_bytes())
        if not plain.is_file() or plain.stat().st_size != len(data) or plain.read_bytes() != data:
            write_data_file(plain, data)


# ---------------------------------------------------------------------------------------------------------------------
# CIFAR-10's format


class _ArraysOnly(pickle.Unpickler):
    """A pickle can run any program. CIFAR-10's need NumPy arrays of numbers, so nothing else may be named in them."""

    def find_class(self, module: str, name: str) -> object:
        if (module, name) in (("numpy", "ndarray"), ("numpy", "dtype")):
            return getattr(np, name)
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "_reconstruct":
            return super().find_class("numpy._core.multiarray", name)
        raise pickle.UnpicklingError(f"{module}.{name} is not an array")


def parse_batch(data: bytes, file: str, name: str) -> Arrays:
    """Images (N, 3, 32, 32) and labels (N,) of one CIFAR-10 batch, a pickle that Python 2 wrote."""
    try:
        batch = _ArraysOnly(io.BytesIO(data), encoding="latin1").load()
        images = np.asarray(batch["data"], dtype=np.uint8).reshape(-1, 3, 32, 32)
        labels = np.asarray(batch["labels"], dtype=np.int64)
        if labels.shape != images.shape[:1]:
            raise ValueError(f"{len(images)} images, {len(labels)} labels")
    except Exception as error:  # damaged pickles raise nearly anything
        raise _refused(Path(file), f"is not a CIFAR-10 batch ({type(error).__name__}: {error})", name) from error
    return images, labels


def cifar10_present(root: Path) -> bool:
    """Whether the batches or the archive are there (nothing is checked)."""
    archive = root / CIFAR10_ARCHIVE
    return archive.is_file() or all((root / CIFAR10_FOLDER / batch).is_file() for batch in CIFAR10_BATCHES)


def load_cifar10(root: Path, name: str) -> tuple[Arrays, Arrays]:
    """(train, test) arrays. Raises MissingError, or DatasetError naming a truncated or altered file."""
    parts = {
        batch: parse_batch(data, batch, name) for batch, data in _batches(root, name).items() if batch != "batches.meta"
    }
    test = parts.pop("test_batch")
    images, labels = zip(*parts.values(), strict=True)
    return (np.concatenate(images), np.concatenate(labels)), test


def _batches(root: Path, name: str) -> dict[str, bytes]:
    """The checked contents of the files, from the folder if it is whole, else from the archive."""
    folder, archive = root / CIFAR10_FOLDER, root / CIFAR10_ARCHIVE
    absent = [batch for batch in CIFAR10_BATCHES if not (folder / batch).is_file()]
    if not absent:
        batches = {}
        for batch, sha256 in CIFAR10_BATCHES.items():
            with readable(folder / batch):
                batches[batch] = (folder / batch).read_bytes()
            if hashlib.sha256(batches[batch]).hexdigest() != sha256:
                raise _refused(folder / batch, "is truncated or altered (wrong SHA-256)", name)
        return batches
    if not archive.is_file():
        raise MissingError(f"{folder / absent[0] if folder.is_dir() else archive} is missing.")
    if sha256_of(archive) != CIFAR10_SHA256:
        raise _refused(archive, "is truncated or altered (wrong SHA-256)", name)
    return _in_archive(archive, name)


def _in_archive(archive: Path, name: str) -> dict[str, bytes]:
    batches = {}
    with tarfile.open(archive) as tar:  # read by name: nothing is written, whatever paths the archive holds
        for batch in CIFAR10_BATCHES:
            file = tar.extractfile(f"{CIFAR10_FOLDER}/{batch}")
            if file is None:
                raise _refused(archive, f"holds {batch}, but not as a file", name)
            batches[batch] = file.read()
    return batches


def get_cifar10(root: Path, name: str, progress: bool) -> None:
    """Download and unpack what is missing or wrong. An archive that we fetched ourselves is removed afterwards."""
    archive = root / CIFAR10_ARCHIVE
    fetched = False
    try:
        batches = _batches(root, name)
    except DatasetError:
        fetched = not (archive.is_file() and sha256_of(archive) == CIFAR10_SHA256)
        fetch(CIFAR10_URLS, archive, sha256=CIFAR10_SHA256, size=CIFAR10_SIZE, progress=progress)
        batches = _in_archive(archive, name)
    for batch, data in batches.items():
        target = root / CIFAR10_FOLDER / batch
        if not target.is_file() or sha256_of(target) != CIFAR10_BATCHES[batch]:
            write_data_file(target, data)
    if fetched:
        archive.unlink(missing_ok=True)  # 170 MB that torchvision does not need either once the folder is there
