"""datasets: the built-in sets, names, the data root, the list. The file formats have tests of their own."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_data import check, make_folder, sha256, write_idx_set

from cnn_course import datasets
from cnn_course.data_sources import published_files
from cnn_course.datasets import describe, get, load, verify
from cnn_course.errors import DatasetError


def test_digits_are_scikit_learns_split_once_and_in_proportion():
    from sklearn.datasets import load_digits

    data, bunch = load("digits"), load_digits()
    check(data, 1, 8, 8, (1197, 300, 300))
    assert data.train.images.max() == 255 and data.classes == tuple("0123456789")
    together = np.concatenate([s.images.reshape(-1, 64) for s in (data.train, data.val, data.test)])
    back = np.round(together / 255 * 16).astype(int)
    assert sorted(map(tuple, back)) == sorted(map(tuple, bunch.data.astype(int)))
    for split in (data.val, data.test):
        assert np.ptp(np.bincount(split.labels)) <= 3  # 10 classes of nearly equal size
    # The split itself, so that nobody's numbers change unnoticed.
    assert sha256(data.test.images.tobytes())[:16] == "357d9559fa98d004"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "shape", "word"), [("glyphs", (1, 28, 28), "not MNIST"), ("shapes", (3, 32, 32), "drawn")]
)
def test_drawn_sets(name, shape, word):
    data = load(name)
    check(data, *shape, (10_000, 2_000, 2_000))
    assert word in data.title and data.title.startswith(name)
    assert (np.bincount(data.test.labels) == 200).all()
    if name == "glyphs":  # once: the other takes three times as long, on the same way
        again = load(name)
        assert np.array_equal(data.val.images, again.val.images)
        data.train.images[:] = 0  # one caller's arrays are not another's
        assert again.train.images.any()


def test_dataset_is_frozen():
    data = load("digits")
    with pytest.raises(dataclasses.FrozenInstanceError):
        data.train = None


def test_numpy_room_imports_no_torch():
    code = (
        "import sys, cnn_course.datasets; print([m for m in ('torch', 'torchvision', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "[]"


def test_data_root_in_order(monkeypatch, tmp_path):
    monkeypatch.delenv("CNN_COURSE_DATA", raising=False)
    assert datasets.data_root().name == "cnn-course"
    monkeypatch.setenv("CNN_COURSE_DATA", "~/my-data")
    assert datasets.data_root() == Path.home() / "my-data"
    assert datasets.data_root(tmp_path) == tmp_path
    monkeypatch.setenv("CNN_COURSE_DATA", "~nobody-of-that-name")
    with pytest.raises(DatasetError, match="There is no home folder for ~nobody-of-that-name"):
        datasets.data_root()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mnits", "no data set 'mnits'. Did you mean 'mnist'.*Choose one of digits, glyphs, shapes, mnist"),
        ("zebra", "no data set 'zebra'. Choose one of"),
        ("", "no data set ''"),
        ("no/such/folder", "folder of class folders"),
        ("~nobody-of-that-name/pictures", "There is no home folder for ~nobody-of-that-name/pictures: write the path"),
    ],
)
def test_unknown_name(name, message, tmp_path):
    with pytest.raises(DatasetError, match=message):
        load(name, root=tmp_path)


@pytest.mark.parametrize("name", [None, 3, ["mnist"]])
def test_name_of_another_type(name):
    with pytest.raises(TypeError, match="name must be the name of a data set or a path, got"):
        load(name)


@pytest.mark.parametrize(
    ("name", "stand_in"), [("mnist", "glyphs"), ("Fashion_MNIST", "glyphs"), ("CIFAR10", "shapes")]
)
def test_a_missing_set_names_the_command_and_the_stand_in(name, stand_in, tmp_path):
    with pytest.raises(DatasetError) as caught:
        load(name, root=tmp_path)
    message, key = str(caught.value), name.lower().replace("_", "-")
    assert f"cnn-course data get {key}" in message and repr(stand_in) in message and "\n" not in message


def test_describe(tmp_path):
    rows = {row.name: row for row in describe(tmp_path / "not-there")}
    assert list(rows) == list(datasets.NAMES)
    assert rows["glyphs"].state == "built in" and rows["glyphs"].hint == ""
    assert rows["cifar10"].state == "missing" and "cnn-course data get cifar10  (170 MB)" in rows["cifar10"].hint
    assert (rows["mnist"].images, rows["mnist"].size) == (70_000, "1x28x28")
    make_folder(tmp_path / "mine")
    (tmp_path / "other").mkdir()
    write_idx_set(tmp_path, published_files.MNIST)
    rows = {row.name: row for row in describe(tmp_path)}
    assert rows["mnist"].state == "on disk"
    assert list(rows)[-1] == "mine" and rows["mine"].images == 24 and rows["mine"].state == "on disk"


def test_get_and_verify_of_what_is_built_in():
    assert get("glyphs") == "glyphs is built in: nothing to download."
    assert verify("digits") == "digits: 1,197 / 300 / 300 images (train / val / test), 10 classes; built in."
    with pytest.raises(DatasetError, match="'my-photos' cannot be downloaded: choose one of mnist"):
        get("my-photos")


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((2, 1, 3, 3)), np.zeros(2, int), "images must be a NumPy array of uint8"),
        (np.zeros((2, 3, 3), np.uint8), np.zeros(2, int), "four axes"),
        (np.zeros((2, 1, 3, 3), np.uint8), np.zeros(3, int), r"labels must have shape \(2,\)"),
        (np.zeros((2, 1, 3, 3), np.uint8), np.array(["a", "b"]), "labels must be a NumPy array of whole numbers"),
        (np.zeros((2, 1, 3, 3), np.uint8), np.array([0, -1]), "labels must count from 0"),
    ],
)
def test_a_split_holds_images_with_labels(images, labels, message):
    with pytest.raises((TypeError, ValueError), match=message):
        datasets.Split(images, labels)
