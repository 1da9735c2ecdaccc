"""The published data sets, as tiny files with checksums of their own, and the real MNIST where it is on disk."""

import dataclasses
import gzip
import io
import os
import pickle
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torchvision
from tiny_data import check, idx, serving, sha256, tiny_arrays, write_idx_set

from cnn_course import datasets
from cnn_course.data_sources import published_files
from cnn_course.datasets import get, load, verify
from cnn_course.errors import DatasetError

REAL = datasets.data_root()
real_mnist = pytest.mark.skipif(
    not published_files.idx_present(published_files.MNIST, REAL),
    reason="CNN_COURSE_DATA has no MNIST: cnn-course data get mnist",
)


@pytest.fixture(params=["mnist", "fashion-mnist"])
def tiny(request, monkeypatch):
    """The name of a set whose checksums are those of the tiny files."""
    source = published_files.MNIST if request.param == "mnist" else published_files.FASHION_MNIST
    files = []
    for file, array in zip(source.files, tiny_arrays(), strict=True):
        packed = gzip.compress(idx(array), mtime=0)
        unpacked = sha256(idx(array)) if file.unpacked else None
        files.append(dataclasses.replace(file, size=len(packed), packed=sha256(packed), unpacked=unpacked))
    source = dataclasses.replace(source, files=tuple(files), servers=("http://127.0.0.1:9/",))
    p = datasets.PUBLISHED[request.param]
    monkeypatch.setitem(datasets.PUBLISHED, request.param, datasets._idx_set(source, p.title, p.classes))
    return request.param, source


def test_packed_files_load(tiny, tmp_path):
    name, source = tiny
    write_idx_set(tmp_path, source)
    data = load(name, root=tmp_path)
    check(data, 1, 28, 28, (54, 6, 20))
    images, labels = tiny_arrays()[:2]
    where = [int(np.flatnonzero((images == image[0]).all(axis=(1, 2)))[0]) for image in data.train.images]
    assert where == sorted(where) and (labels[where] == data.train.labels).all()  # the published order is kept
    assert np.array_equal(data.test.images[:, 0], tiny_arrays()[2])
    assert "SHA-256" in verify(name, root=tmp_path)


def test_unpacked_files_load_where_their_checksum_is_known(tiny, tmp_path):
    name, source = tiny
    write_idx_set(tmp_path, source, packed=False)
    if name == "mnist":
        check(load(name, root=tmp_path), 1, 28, 28, (54, 6, 20))
    else:
        with pytest.raises(DatasetError, match="published checksum.*cnn-course data get fashion-mnist"):
            load(name, root=tmp_path)


def test_files_packed_by_someone_else_count_by_their_contents(tiny, tmp_path):
    name, source = tiny
    for file, data in zip(source.files, write_idx_set(tmp_path, source), strict=True):
        (tmp_path / source.folder / f"{file.name}.gz").write_bytes(gzip.compress(data, 1, mtime=99))
    if name == "mnist":
        load(name, root=tmp_path)
    else:
        with pytest.raises(DatasetError, match="train-images-idx3-ubyte.gz is altered"):
            load(name, root=tmp_path)


@pytest.mark.parametrize("damage", [lambda d: d[:-7], lambda d: d[:-1] + bytes([d[-1] ^ 1]), lambda d: b""])
def test_a_damaged_file_is_refused_by_name(tiny, tmp_path, damage):
    name, source = tiny
    for packed in (True, False) if source.files[0].unpacked else (True,):
        root = tmp_path / str(packed)
        write_idx_set(root, source, packed)
        victim = root / source.folder / (source.files[2].name + ".gz" * packed)
        victim.write_bytes(damage(victim.read_bytes()))
        with pytest.raises(DatasetError) as caught:
            load(name, root=root)
        message = str(caught.value)
        assert str(victim) in message and f"cnn-course data get {name}" in message and "\n" not in message


def test_the_readme_lists_every_checksum():
    text = (Path(__file__).parents[1] / "data" / "README.md").read_text(encoding="utf-8")
    files = (*published_files.MNIST.files, *published_files.FASHION_MNIST.files)
    sums = [*(f.packed for f in files), *(f.unpacked for f in files if f.unpacked), published_files.CIFAR10_SHA256]
    for checksum in (*sums, *published_files.CIFAR10_BATCHES.values()):
        assert f"`{checksum}`" in text


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "not an idx file"),
        (b"\0\0\x0d\x01" + bytes(8), "not an idx file"),
        (b"\0\0\x08\x03" + bytes(4), "not an idx file"),
        (struct.pack(">2xBB2I", 8, 2, 3, 4) + bytes(11), r"says it holds \(3, 4\) values but has 11"),
    ],
)
def test_idx_that_is_none(data, what):
    with pytest.raises(DatasetError, match=what):
        published_files.parse_idx(data, "some-file", "mnist")


def test_get_unpacks_and_repairs_without_downloading_again(tiny, tmp_path):
    name, source = tiny
    contents = write_idx_set(tmp_path, source)
    assert "checked" in get(name, root=tmp_path, progress=False)
    plain = tmp_path / source.folder / source.files[0].name
    assert plain.read_bytes() == contents[0]  # where torchvision looks
    plain.write_bytes(b"broken")
    get(name, root=tmp_path, progress=False)
    assert plain.read_bytes() == contents[0]


def test_get_without_a_network(tiny, tmp_path):
    with pytest.raises(DatasetError, match=r"Could not download train-images-idx3-ubyte.gz .*copy the file"):
        get(tiny[0], root=tmp_path, progress=False)


def test_get_from_a_server(tiny, tmp_path, monkeypatch):
    name, source = tiny
    write_idx_set(tmp_path / "server", source)
    with serving(tmp_path / "server" / source.folder) as address:
        p = datasets.PUBLISHED[name]
        source = dataclasses.replace(source, servers=(address,))
        monkeypatch.setitem(datasets.PUBLISHED, name, datasets._idx_set(source, p.title, p.classes))
        get(name, root=tmp_path / "mine", progress=False)
    check(load(name, root=tmp_path / "mine"), 1, 28, 28, (54, 6, 20))


@real_mnist
def test_real_mnist_is_torchvisions():
    data = load("mnist", root=REAL)
    check(data, 1, 28, 28, (55_000, 5_000, 10_000))
    if not (REAL / "MNIST" / "raw" / "train-images-idx3-ubyte").is_file():
        pytest.skip("torchvision wants the unpacked files: cnn-course data get mnist")
    theirs = {train: torchvision.datasets.MNIST(REAL, train=train) for train in (True, False)}
    assert np.array_equal(data.test.images[:, 0], theirs[False].data.numpy())
    assert np.array_equal(data.test.labels, theirs[False].targets.numpy())
    rest, held_out = datasets._hold_out(theirs[True].targets.numpy(), 5_000)
    for split, index in ((data.train, rest), (data.val, held_out)):
        assert np.array_equal(split.images[:, 0], theirs[True].data.numpy()[index])
        assert np.array_equal(split.labels, theirs[True].targets.numpy()[index])


def python2_pickle(images, labels):
    """The bytes that Python 2 wrote for {"data": uint8 array, "labels": list}, as in the published batches."""
    data, n = images.tobytes(), len(images)
    return (
        b"\x80\x02}(U\x04datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01"
        + b"K" + bytes([n]) + b"M" + struct.pack("<H", 3072) + b"\x86"
        + b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        + b"T" + struct.pack("<i", len(data)) + data + b"tb"
        + b"U\x06labels](" + b"".join(b"K" + bytes([label]) for label in labels) + b"eu."
    )  # fmt: skip


def cifar_batches():
    rng = np.random.default_rng(6)
    batches = {}
    for name in published_files.CIFAR10_BATCHES:
        images = rng.integers(0, 256, (20, 3072), dtype=np.uint8)
        batches[name] = python2_pickle(images, np.arange(20) % 10)
    return batches


@pytest.fixture
def cifar(monkeypatch, tmp_path):
    """A data root with a tiny cifar-10-python.tar.gz, its checksums in place of the real ones."""
    batches = cifar_batches()
    archive = tmp_path / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name, data in batches.items():
            info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    monkeypatch.setattr(published_files, "CIFAR10_BATCHES", {name: sha256(data) for name, data in batches.items()})
    monkeypatch.setattr(published_files, "CIFAR10_SHA256", sha256(archive.read_bytes()))
    monkeypatch.setattr(published_files, "CIFAR10_SIZE", archive.stat().st_size)
    return tmp_path


def test_cifar10_from_the_archive_and_from_the_folder(cifar):
    packed = load("cifar10", root=cifar)
    check(packed, 3, 32, 32, (90, 10, 20))
    assert packed.classes[3] == "cat"
    assert "checked" in get("cifar10", root=cifar, progress=False)
    (cifar / "cifar-10-python.tar.gz").unlink()
    unpacked = load("cifar10", root=cifar)
    assert np.array_equal(packed.train.images, unpacked.train.images)
    first = published_files.parse_batch(cifar_batches()["test_batch"], "test_batch", "cifar10")
    assert np.array_equal(unpacked.test.images, first[0]) and np.array_equal(unpacked.test.labels, first[1])


def test_get_cifar10_from_a_server_leaves_the_folder_only(cifar, tmp_path, monkeypatch):
    with serving(cifar) as address:
        monkeypatch.setattr(published_files, "CIFAR10_URLS", (f"{address}cifar-10-python.tar.gz",))
        get("cifar10", root=tmp_path / "mine", progress=False)
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["cifar-10-batches-py"]
    check(load("cifar10", root=tmp_path / "mine"), 3, 32, 32, (90, 10, 20))


def test_cifar10_reads_as_torchvision_does(cifar):
    get("cifar10", root=cifar, progress=False)
    data = load("cifar10", root=cifar)

    class Tiny(torchvision.datasets.CIFAR10):
        meta = torchvision.datasets.CIFAR10.meta | {"md5": None}

        def _check_integrity(self):
            return True

        def _load_meta(self):
            self.classes = list(datasets.PUBLISHED["cifar10"].classes)

    theirs = Tiny(cifar, train=False)
    assert np.array_equal(data.test.images, theirs.data.transpose(0, 3, 1, 2))
    assert data.test.labels.tolist() == theirs.targets


def test_cifar10_damaged_archive_and_batch_are_refused_by_name(cifar):
    get("cifar10", root=cifar, progress=False)
    batch = cifar / "cifar-10-batches-py" / "data_batch_3"
    batch.write_bytes(batch.read_bytes()[:-1])
    with pytest.raises(DatasetError, match="data_batch_3 is truncated or altered.*cnn-course data get cifar10"):
        load("cifar10", root=cifar)
    assert "checked" in get("cifar10", root=cifar, progress=False)  # repaired from the archive
    load("cifar10", root=cifar)
    batch.unlink()
    archive = cifar / "cifar-10-python.tar.gz"
    archive.write_bytes(archive.read_bytes()[:-1])
    with pytest.raises(DatasetError, match="cifar-10-python.tar.gz is truncated or altered"):
        load("cifar10", root=cifar)
    archive.unlink()
    with pytest.raises(DatasetError, match="data_batch_3 is missing.*cnn-course data get cifar10"):
        load("cifar10", root=cifar)


class _Evil:
    def __reduce__(self):
        return os.system, ("echo run by a pickle",)


@pytest.mark.parametrize(
    "data",
    [
        pickle.dumps(_Evil()),
        pickle.dumps({"data": _Evil(), "labels": []}),
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"",
        b"\x80\x02}.",
    ],
)
def test_a_pickle_may_hold_arrays_and_nothing_else(data, capfd):
    with pytest.raises(DatasetError, match="data_batch_1 is not a CIFAR-10 batch"):
        published_files.parse_batch(data, "data_batch_1", "cifar10")
    assert capfd.readouterr().out == ""
