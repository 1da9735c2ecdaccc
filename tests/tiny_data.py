"""Tiny data sets for the tests, and what every loaded data set must satisfy."""

import contextlib
import gzip
import hashlib
import http.server
import struct
import threading

import numpy as np
from PIL import Image


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def check(data, channels, height, width, counts):
    assert tuple(map(len, (data.train, data.val, data.test))) == counts
    for split in (data.train, data.val, data.test):
        assert split.images.shape == (len(split), channels, height, width) and split.images.dtype == np.uint8
        assert split.labels.shape == (len(split),) and split.labels.dtype == np.int64
        assert split.labels.min() >= 0 and split.labels.max() < len(data.classes)
        assert split.images.flags.writeable  # torch.from_numpy warns about arrays that are not


def idx(array):
    return struct.pack(f">2xBB{array.ndim}I", 8, array.ndim, *array.shape) + array.tobytes()


def tiny_arrays():
    rng = np.random.default_rng(5)
    return [
        *(rng.integers(0, 256, (60, 28, 28), dtype=np.uint8), (np.arange(60) % 10).astype(np.uint8)),
        *(rng.integers(0, 256, (20, 28, 28), dtype=np.uint8), (np.arange(20) % 10).astype(np.uint8)),
    ]


def write_idx_set(root, source, packed=True):
    folder = root / source.folder
    folder.mkdir(parents=True, exist_ok=True)
    contents = [idx(array) for array in tiny_arrays()]
    for file, data in zip(source.files, contents, strict=True):
        if packed:
            (folder / f"{file.name}.gz").write_bytes(gzip.compress(data, mtime=0))
        else:
            (folder / file.name).write_bytes(data)
    return contents


@contextlib.contextmanager
def serving(folder):
    """The address of a web server for the files of a folder."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=folder)

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def make_folder(folder, classes=("cat", "dog"), count=12, size=(6, 5), mode="RGB", suffix=".png", seed=0):
    """A folder of class folders, image k of a class filled with its number; size is (H, W)."""
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for k in range(count):
            colour = (label * 100 + k, k, seed) if mode == "RGB" else label * 100 + k
            Image.new(mode, size[::-1], colour).save(folder / name / f"{k:02}{suffix}")
    return folder
