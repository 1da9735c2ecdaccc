"""A file is written whole or not at all."""

import os

import pytest

from cnn_course.files.whole_files import write_whole


def test_new_files_can_be_read_by_everyone_and_old_ones_keep_their_mode(tmp_path):
    path = tmp_path / "file"
    write_whole(path, b"first")
    assert path.read_bytes() == b"first" and path.stat().st_mode & 0o777 == 0o644
    path.chmod(0o600)
    write_whole(path, b"second")
    assert path.read_bytes() == b"second" and path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["file"]


def test_a_full_disk_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "lecture.ipynb"
    path.write_text("old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, b"new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["lecture.ipynb"]
