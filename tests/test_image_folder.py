"""Folders of class folders: splits, sizes, colours, and everything that can be wrong with them."""

import os

import numpy as np
import pytest
from PIL import Image
from tiny_data import check, make_folder

from cnn_course import datasets
from cnn_course.commands import cli, doctor
from cnn_course.data_sources import image_folder
from cnn_course.datasets import load, verify
from cnn_course.errors import DatasetError

REAL = datasets.data_root()
real_cifar10_jpeg = pytest.mark.skipif(
    not (REAL / "cifar10-jpeg" / "train").is_dir(), reason="CNN_COURSE_DATA has no folder cifar10-jpeg"
)


def test_one_folder_is_split_80_10_10(tmp_path):
    make_folder(tmp_path / "mine", count=20)
    (tmp_path / "mine" / "cat" / "notes.txt").write_text("not an image")
    (tmp_path / "mine" / ".hidden").mkdir()
    with pytest.warns(UserWarning, match="^mine: 40 images were taken; left out: 1 .txt files$"):
        data = load(tmp_path / "mine")
    check(data, 3, 6, 5, (32, 4, 4))
    assert data.classes == ("cat", "dog") and data.title == "mine: images from a folder, 2 classes"
    seen = np.concatenate([split.images[:, 0, 0, 0] for split in (data.train, data.val, data.test)])
    assert sorted(seen) == [*range(20), *range(100, 120)]  # every image once
    assert all((split.images[:, 0, 0, 0] // 100 == split.labels).all() for split in (data.train, data.val, data.test))
    assert np.bincount(data.val.labels).tolist() == np.bincount(data.test.labels).tolist() == [2, 2]
    (tmp_path / "mine" / "cat" / "notes.txt").unlink()
    assert np.array_equal(load("mine", root=tmp_path).test.images, data.test.images)
    assert verify("mine", root=tmp_path).endswith("2 classes; every image can be read.")


def test_train_and_test_folders_are_kept(tmp_path):
    make_folder(tmp_path / "train", count=20, mode="L")
    make_folder(tmp_path / "test", count=3, mode="L", classes=("dog",))
    data = load(tmp_path)
    check(data, 1, 6, 5, (36, 4, 3))
    assert data.test.labels.tolist() == [1, 1, 1]
    make_folder(tmp_path / "val", count=2, mode="L")
    check(load(tmp_path), 1, 6, 5, (40, 4, 3))


def test_one_colour_image_makes_all_rgb(tmp_path):
    make_folder(tmp_path, mode="L")
    Image.new("RGBA", (5, 6), (1, 2, 3, 255)).save(tmp_path / "cat" / "00.png")
    data = load(tmp_path)
    images = np.concatenate([data.train.images, data.val.images, data.test.images])
    assert images.shape[1] == 3 and [1, 2, 3] in images[:, :, 0, 0].tolist()


def test_transparent_parts_become_white(tmp_path):
    make_folder(tmp_path, mode="L")
    drawing = Image.new("LA", (5, 6), (0, 0))
    drawing.putpixel((1, 2), (0, 255))  # one black pixel, and the rest is black that nobody sees
    drawing.save(tmp_path / "cat" / "00.png")
    Image.new("RGBA", (5, 6), (255, 255, 255, 0)).save(tmp_path / "dog" / "00.png")
    said = "2 with transparent parts, which were made white; 1 in which nothing but white is left then$"
    with pytest.warns(UserWarning, match=said):
        data = load(tmp_path)
    images = np.concatenate([data.train.images, data.val.images, data.test.images])
    white = (images == 255).sum(axis=(1, 2, 3)).tolist()
    assert sorted(white)[-2:] == [29 * images.shape[1], 30 * images.shape[1]]


def test_what_is_not_taken_is_counted(tmp_path):
    make_folder(tmp_path / "Training", count=20)
    make_folder(tmp_path / "Testing", count=5)
    for i in range(7):
        (tmp_path / "Training" / "cat" / f"{i}.HEIC").write_bytes(b"")
    (tmp_path / "labels.csv").write_text("")
    (tmp_path / "extra").mkdir()
    (tmp_path / "Testing" / "eel").mkdir()
    said = (
        "50 images were taken; left out: 7 .heic files, 1 folder beside train/ and test/ .extra/., "
        "1 files beside the class folders, 1 empty folders$"
    )
    with pytest.warns(UserWarning, match=said):
        data = load(tmp_path)
    assert data.classes == ("cat", "dog") and len(data.test) == 10
    for file in (tmp_path / "Testing" / "dog").iterdir():
        file.rename(file.with_suffix(".heic"))
    with pytest.raises(DatasetError, match="class 'dog' in .*Testing has 5 files and no image among them .*.heic"):
        load(tmp_path)
    (tmp_path / "TEST").mkdir()
    with pytest.raises(DatasetError, match="has both TEST/ and Testing/, and only one can be for test"):
        load(tmp_path)


def test_a_class_may_be_called_valid(tmp_path):
    assert load(make_folder(tmp_path, classes=("invalid", "valid"))).classes == ("invalid", "valid")


@pytest.mark.parametrize(("count", "classes", "held"), [(8, 2, 2), (5, 2, 2), (4, 5, 4), (100, 2, 20)])
def test_few_images_are_held_out_by_class(tmp_path, count, classes, held):
    names = tuple("abcde"[:classes])
    data = load(make_folder(tmp_path, count=count, classes=names))
    assert len(data.val) == len(data.test) == held and len(data.train) == count * classes - 2 * held
    assert len(set(data.val.labels)) == min(classes, held)


def test_an_animation_counts_once(tmp_path):
    make_folder(tmp_path)
    first, second = (Image.new("L", (5, 6), grey) for grey in (7, 9))
    first.save(tmp_path / "cat" / "moving.gif", save_all=True, append_images=[second])
    with pytest.warns(UserWarning, match="1 with several pictures, of which the first was taken$"):
        load(tmp_path)


def test_size_scales_what_differs(tmp_path):
    make_folder(tmp_path)
    Image.new("RGB", (40, 30)).save(tmp_path / "dog" / "big.jpg")
    with pytest.raises(DatasetError, match=r"different sizes: .*00.png is 6x5 .*big.jpg is 30x40.*size=\(6, 5\)"):
        load(tmp_path)
    check(load(tmp_path, size=(8, 4)), 3, 8, 4, (21, 2, 2))


@pytest.mark.parametrize("size", [0, (8,), (8, 0), (8, 2.5), "8x8"])
def test_wrong_size(tmp_path, size):
    with pytest.raises((TypeError, ValueError), match=r"size must be \(height, width\)|size\[1\] must be an integer"):
        load(make_folder(tmp_path), size=size)
    with pytest.raises(ValueError, match="is for folders of images"):
        load("digits", size=(8, 8))


def test_damaged_image_is_named(tmp_path):
    make_folder(tmp_path, size=(40, 40))
    victim = tmp_path / "dog" / "03.png"
    for data in (victim.read_bytes()[:-30], b"not an image", b""):
        victim.write_bytes(data)
        with pytest.raises(DatasetError, match="Cannot read the image .*dog.03.png .*Replace or delete it"):
            load(tmp_path)


def test_sixteen_bits_are_refused(tmp_path):
    make_folder(tmp_path)
    Image.fromarray(np.zeros((6, 5), dtype=np.uint16)).save(tmp_path / "cat" / "00.png")
    with pytest.raises(DatasetError, match="00.png has more than 8 bits per channel"):
        load(tmp_path)


def test_telephone_pictures_stand_upright(tmp_path):
    make_folder(tmp_path, size=(6, 5), suffix=".jpg")
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter when shown
    Image.new("RGB", (6, 5)).save(tmp_path / "cat" / "00.jpg", exif=exif)
    check(load(tmp_path), 3, 6, 5, (20, 2, 2))


def test_large_images_are_decoded_in_threads(tmp_path):
    make_folder(tmp_path, size=(140, 150), count=40)
    check(load(tmp_path), 3, 140, 150, (64, 8, 8))


def test_folders_that_cannot_be_used(tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="no images in .*empty: it must hold one folder per class"):
        load(tmp_path / "empty")
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match="file is a file: a data set of your own is a folder"):
        load(tmp_path / "file")
    with pytest.raises(DatasetError, match="images of one class only \\('cat'\\)"):
        load(make_folder(tmp_path / "single", classes=("cat",)))
    with pytest.raises(DatasetError, match="has 4 images: at least 10 are needed"):
        load(make_folder(tmp_path / "few", count=2))
    with pytest.raises(DatasetError, match="has train/ but not both train/ and test/"):
        load(make_folder(tmp_path / "half" / "train").parent)
    make_folder(tmp_path / "other" / "train")
    with pytest.raises(DatasetError, match="test has the class 'eel', which .*train has not \\(cat, dog\\)"):
        load(make_folder(tmp_path / "other" / "test", classes=("dog", "eel")).parent)
    monkeypatch.setattr(image_folder, "MOST_BYTES", 100)
    with pytest.raises(
        DatasetError, match="24 images of 6x5 pixels are 1 MB in memory. Give a smaller one: size=.64, 64., on"
    ):
        load(make_folder(tmp_path / "large"))
    monkeypatch.undo()
    with pytest.raises(DatasetError, match=r"at most 4,096 pixels to a side, not \(20000, 20000\). .* --size 64"):
        load(tmp_path / "large", size=(20_000, 20_000))
    monkeypatch.setattr(image_folder, "MOST_SIDE", 10**9)
    with pytest.raises(DatasetError, match="24 images of 1000000x1000000 pixels are 24000000 MB in memory"):
        load(tmp_path / "large", size=(1_000_000, 1_000_000))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_among_the_images_is_named(tmp_path):
    os.mkfifo(make_folder(tmp_path) / "cat" / "x.png")
    with pytest.raises(DatasetError, match="x.png is no file that can be read twice"):
        load(tmp_path)


def test_a_link_that_leads_back_is_named(tmp_path):
    (make_folder(tmp_path) / "cat" / "again").symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(DatasetError, match="again.* is a link to a folder above it"):
        load(tmp_path)


def crossing_links(root):
    """Between two data sets one whose links cross: each pair doubles the ways down. No folder is below itself."""
    make_folder(root / "a")
    place = root / "b" / "cat"
    place.mkdir(parents=True)
    for level in range(20):
        below = root / ".hidden" / str(level)
        below.mkdir(parents=True)
        for name in ("x", "y"):
            (place / name).symlink_to(below, target_is_directory=True)
        place = below
    make_folder(root / "c")
    return root


def test_links_that_cross_come_to_an_end(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(image_folder, "MOST_ENTRIES", 2_000)
    root = crossing_links(tmp_path)
    with pytest.raises(
        DatasetError, match=r"more than 2,000 files and folders to look at, .* in .*b.cat.* Name a folder"
    ):
        load(root / "b")
    rows = {row.name: row for row in datasets.describe(root)}
    assert rows["a"].images == 24 and rows["b"].state == "too much" and "c" not in rows
    assert "more than 2,000 files" in rows["b"].hint and "b and the 1 folders after it were not" in rows["b"].hint
    assert "Set CNN_COURSE_DATA to a folder that holds data sets only" in rows["b"].hint
    monkeypatch.setenv("CNN_COURSE_DATA", str(root))
    assert cli.main(["data", "list"]) == 0 and f"Too much: {rows['b'].hint}" in capsys.readouterr().out
    assert cli.main(["data", "verify"]) == 1
    out, err = capsys.readouterr()
    assert out.startswith("a: ") and err == f"cnn-course: {rows['b'].hint}\n"
    (told,) = (check for check in doctor.check_data() if "not counted" in check.found)
    assert told.state == "miss"


def test_as_many_entries_as_allowed_are_read(tmp_path, monkeypatch):
    make_folder(tmp_path)  # 2 classes and 24 images
    monkeypatch.setattr(image_folder, "MOST_ENTRIES", 26)
    assert len(image_folder.list_splits(tmp_path).splits["all"]) == 24
    monkeypatch.setattr(image_folder, "MOST_ENTRIES", 25)
    with pytest.raises(DatasetError, match="more than 25 files"):
        image_folder.list_splits(tmp_path)


def test_folders_too_deep_in_each_other(tmp_path):
    deepest = make_folder(tmp_path) / "cat" / "/".join("d" * 101)
    deepest.mkdir(parents=True)
    with pytest.raises(DatasetError, match="lies more than 100 folders deep in its class: put the images higher"):
        load(tmp_path)
    deepest.rmdir()
    deepest.parent.rmdir()
    load(tmp_path)


def test_unreadable_folder(tmp_path, monkeypatch):
    make_folder(tmp_path / "mine")

    def denied(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", denied)  # file modes do not stop an administrator, so tests cannot rely on them
    with pytest.raises(DatasetError, match="Cannot read .*mine: permission denied: ls -l shows who may"):
        load(tmp_path / "mine")


@pytest.mark.slow
@real_cifar10_jpeg
def test_real_jpegs_load_from_the_data_root(tmp_path):
    """All are there, and a fiftieth of them is read: all 60,000 take twenty seconds."""
    for part, whole in (("train", 5_000), ("test", 1_000)):
        for folder in (REAL / "cifar10-jpeg" / part).iterdir():
            files = sorted(folder.iterdir())
            assert len(files) == whole
            place = tmp_path / "cifar10-jpeg" / part / folder.name
            place.mkdir(parents=True)
            for file in files[: whole // 50]:
                (place / file.name).symlink_to(file)
    data = load("cifar10-jpeg", root=tmp_path)
    check(data, 3, 32, 32, (900, 100, 200))
    assert (np.bincount(data.val.labels) == 10).all() and data.classes[0] == "airplane"
    assert "cifar10-jpeg" in data.title and data.train.images.std() > 50
