"""A disk that is full: each command names the file that found no room, and what was there before stays."""

import contextlib
import dataclasses
import gzip
import os
import resource
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tiny_data
from nbformat.v4 import new_output

from cnn_course import datasets, runs, train
from cnn_course.commands import execute_notebook, run
from cnn_course.data_sources import published_files
from cnn_course.files.whole_files import write_whole
from cnn_course.grading import release
from cnn_course.grading.classroom import grade_class
from command_line.endings import Ended, ended, fault
from command_line.odd_course import EVALUATE, FIT, LAB, SamePoints, scores
from labs import running

pytestmark = pytest.mark.slow


class Disk:
    """A folder with little room: a small disk of its own for root, else a limit on how long a file may be."""

    def __init__(self, place: Path) -> None:
        self.place, self.filler = place, place / "filler"
        place.mkdir()
        self.size = 1 << 20
        mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "none", str(place)]
        self.mounted = os.geteuid() == 0 and subprocess.run(mount, capture_output=True).returncode == 0
        self.before = resource.getrlimit(resource.RLIMIT_FSIZE)

    @contextlib.contextmanager
    def leaving(self, size: int | None):
        """Inside, there are only `size` bytes left; None: until `fill` is called."""
        try:
            if size is not None:
                self.fill(size)
            yield
        finally:
            self.filler.unlink(missing_ok=True)
            if self.mounted:
                subprocess.run(["mount", "-o", "remount,size=64m", str(self.place)], check=True)
            resource.setrlimit(resource.RLIMIT_FSIZE, self.before)

    def fill(self, size: int) -> None:
        if not self.mounted:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, self.before[1]))
            return
        subprocess.run(["mount", "-o", f"remount,size={self.size}", str(self.place)], check=True)
        there = os.statvfs(self.place)
        with open(self.filler, "ab") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, there.f_bavail * there.f_frsize - size))

    def close(self) -> None:
        if self.mounted:
            subprocess.run(["umount", "-l", str(self.place)], check=True)


@pytest.fixture
def disk(tmp_path):
    disk = Disk(tmp_path / "disk")
    yield disk
    disk.close()


def full(end: Ended, name: str) -> str:
    """What is wrong with what was said of a full disk."""
    words = (
        "disk is full",
        "disk or",
        "disk, or",
        "may not become so large",
        "disk I/O",
        "No space left",
        "File too large",
    )
    return fault(end, [name]) or ("" if any(each in end.err for each in words) else f"not of the disk: {end.err}")


def parts(folder: Path) -> list[str]:
    """What half-written files there are. (SQLite's journal is none: from it the next run restores the gradebook.)"""
    return [str(path) for path in folder.rglob("*.part")]


def test_training_on_a_full_disk(course, disk, capsys, monkeypatch, one_thread):
    monkeypatch.setattr(train, "fit", FIT)
    out = disk.place / "runs"
    words = ["train", "mlp", "--data", "pictures", "--device", "cpu", "--epochs", "2", "--weights"]
    words += ["--batch-size", "16", "--output", str(out)]
    with disk.leaving(0):
        end = ended(words, capsys)  # before the first epoch
    assert full(end, "runs") == "" and "epoch 1" not in end.out, end
    with disk.leaving(12 << 10):
        end = ended(words, capsys)  # the checkpoint
    assert full(end, "checkpoint") == "" and "--fresh" not in end.err, end
    assert list(out.iterdir()) == []

    def evaluate(*args):
        disk.fill(0)
        return EVALUATE(*args)

    monkeypatch.setattr(train, "evaluate", evaluate)
    with disk.leaving(None):
        end = ended(words, capsys)  # the results
    assert full(end, "the same command goes on from there") == "", end
    assert [path.name for path in out.iterdir()] == ["mlp-pictures-s0.checkpoint"]

    monkeypatch.setattr(train, "evaluate", EVALUATE)
    end = ended(words, capsys)
    assert end.code == 0 and "2 of 2 epochs are done" in end.out, end
    endings = sorted(path.suffix for path in out.iterdir())
    assert endings == [".csv", ".json", ".safetensors"]


def test_results_that_found_no_room_for_the_last_file(course, disk, capsys, monkeypatch, one_thread):
    """The table is there and the .json is not: the same command writes it, without --overwrite."""
    monkeypatch.setattr(train, "fit", FIT)
    words = ["train", "mlp", "--data", "pictures", "--epochs", "1", "--output", str(course / "out"), "--device", "cpu"]

    def write(path, data):
        if path.suffix == ".json":
            raise OSError(28, "No space left on device")
        write_whole(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(runs, "write_whole", write)
        assert fault(ended(words, capsys), ["the same command goes on from there"]) == ""
    assert sorted(path.suffix for path in (course / "out").iterdir()) == [".checkpoint", ".csv"]
    assert ended(words, capsys).code == 0
    assert sorted(path.suffix for path in (course / "out").iterdir()) == [".csv", ".json"]


def test_outputs_of_a_lecture_on_a_full_disk(course, disk, capsys, monkeypatch):
    def execute(book, folder, on_cell):
        book.cells[0].outputs = [new_output("stream", name="stdout", text="x" * 100_000)]
        return execute_notebook.Outcome(book, 1.0, 1, "")

    monkeypatch.setattr(execute_notebook, "execute", execute)
    shutil.copytree(course / "lectures", disk.place / "lectures")
    monkeypatch.setattr(run, "course", lambda: disk.place)
    (disk.place / "cnn_course").mkdir()
    lecture, kept = disk.place / "lectures" / "01_good.ipynb", disk.place / "out" / "01_good.ipynb"
    before = lecture.read_bytes()
    for size, said in ((0, "cannot write to"), (16 << 10, "01_good.ipynb ran")):
        for words in (["--output", str(disk.place / "out")], ["--save"]):
            with disk.leaving(size):
                end = ended(["run", "1", *words], capsys)
            assert full(end, said) == ""
    assert lecture.read_bytes() == before and not kept.exists() and parts(disk.place) == []
    for words in (["--output", str(disk.place / "out")], ["--save"]):
        assert ended(["run", "1", *words], capsys).code == 0
    assert lecture.stat().st_size > 100_000 < kept.stat().st_size


def test_grading_on_a_full_disk(world, course, disk, capsys, monkeypatch):
    """However much room there is, a run says so, and the next one with room ends with the same points for all."""
    monkeypatch.setattr(grade_class, "Pool", SamePoints)
    stopped = 0
    for size in (0, 8, 16, 24, 32, 40, 56, 80, 120, 160, 240):
        place = disk.place / f"labs{size}"
        shutil.copytree(world / "labs", place)
        for name in ("bob", "cyd"):
            shutil.copytree(place / "submitted" / "ada", place / "submitted" / name)
        table = place / "points.csv"
        words = ["grade", "lab01", "--course", str(place), "--report", "--export", str(table)]
        with disk.leaving(size << 10):
            end = ended(words, capsys)
        if end.code != 0:
            stopped += 1
            assert full(end, str(disk.place)) == "", (size, end)
        else:
            assert table.exists()
        assert parts(place) == [], size
        end = ended(words, capsys)
        assert end.code == 0 and end.err == "", (size, end)
        assert len(scores(place)) == 3 and len(set(scores(place).values())) == 1
        assert [len(list((place / part).rglob("*.*"))) for part in ("feedback", "reports")] == [3, 1]
        assert len(table.read_text().splitlines()) == 4
        shutil.rmtree(place)
    assert stopped > 3


def test_a_release_on_a_full_disk(course, disk, capsys):
    place = disk.place / "labs"
    shutil.copytree(course / "labs" / "source", place / "source")
    shutil.copy(running.LABS / "nbgrader_config.py", place)
    with disk.leaving(4 << 10):
        assert release.main(["--labs", str(place)]) == 1
    err = capsys.readouterr().err
    assert full(Ended(1, "", err.replace("labs: ", "cnn-course: ", 1)), LAB) == ""
    assert [path for path in (place / "release").rglob("*") if path.is_file()] == []
    assert release.main(["--labs", str(place)]) == 0
    assert (place / "release" / LAB / f"{LAB}.ipynb").is_file()


def test_a_download_on_a_full_disk(course, disk, capsys, monkeypatch):
    """Files of noise in MNIST's place, from a server on this machine."""
    rng = np.random.default_rng(0)
    files, served = [], course / "served"
    served.mkdir()
    for file, array in zip(published_files.MNIST.files, tiny_data.tiny_arrays(), strict=True):
        array = rng.integers(0, 10, array.shape, dtype=np.uint8)
        plain = tiny_data.idx(array)
        packed = gzip.compress(plain)
        (served / f"{file.name}.gz").write_bytes(packed)
        sums = {"packed": tiny_data.sha256(packed), "unpacked": tiny_data.sha256(plain)}
        files.append(dataclasses.replace(file, size=len(packed), **sums))
    monkeypatch.setenv("CNN_COURSE_DATA", str(disk.place))
    with tiny_data.serving(served) as address:
        source = dataclasses.replace(published_files.MNIST, servers=(address,), files=tuple(files))
        monkeypatch.setitem(datasets.PUBLISHED, "mnist", datasets._idx_set(source, "mnist", tuple("0123456789")))
        for size in (0, 8, 40):
            with disk.leaving(size << 10):
                end = ended(["data", "get", "mnist"], capsys)
            assert full(end, str(disk.place)) == ""
        assert ended(["data", "get", "mnist"], capsys).code == 0
    assert not list(disk.place.rglob("*.part"))
