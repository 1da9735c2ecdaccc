"""Write a file whole or not at all, and read one that is a file."""

import contextlib
import errno
import glob
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

MOST_NAME = 240  # bytes of a file's name: while it is written it has 15 more, and 255 are allowed


def check_writable(folder: Path) -> None:
    """Raise OSError if no file can be written to `folder`, which is made first if it is not there.

    Asked before long work whose result goes there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as trial:
        trial.write(bytes(4096))  # a full disk often has room for a name
        trial.flush()


def write_whole(path: Path, data: bytes) -> None:
    """Put `data` at `path` so that a reader, a crash or a full disk never sees half a file; the folder must exist.

    An existing file keeps its permissions, a new one can be read by everyone (a class shares its folders).
    Raises OSError, with the name of the file, and then leaves what was there.
    """
    try:
        mode = path.stat().st_mode if path.exists() else stat.S_IFREG | 0o644
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(mode):  # /dev/stdout would be replaced by the file, for everybody
            raise OSError(errno.ENXIO, os.strerror(errno.ENXIO))
        with written_beside(path, data) as part:
            os.chmod(part, stat.S_IMODE(mode))
            replace(part, path)
    except OSError as error:  # a full disk tells no name, and a part file's would help nobody
        if error.errno is not None:
            error.filename, error.filename2 = str(path), None
        raise


def replace(part: str | os.PathLike[str], path: Path) -> None:
    """As os.replace. Windows replaces no file that somebody has open, such as a scanner for viruses: then it waits."""
    for pause in (0.05, 0.1, 0.2, 0.4) if os.name == "nt" else ():
        with contextlib.suppress(PermissionError):
            return os.replace(part, path)
        time.sleep(pause)
    os.replace(part, path)


@contextlib.contextmanager
def written_beside(path: Path, data: bytes) -> Iterator[str]:
    """A new file with `data`, in the folder of `path` and on the disk; at the end it is removed, unless it was moved.

    Raises OSError.
    """
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield part
    finally:
        with contextlib.suppress(OSError):
            os.unlink(part)


def remove_parts(path: Path) -> None:
    """Remove what writers of `path` have left beside it that were killed. Raises OSError."""
    for part in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        part.unlink(missing_ok=True)


def read_file(path: Path) -> bytes:
    """What is in a file. Raises OSError, also for a folder and for a pipe, from which one would read for ever."""
    check_is_file(path)
    return path.read_bytes()


def check_is_file(path: Path) -> None:
    """Raise OSError where there is something at `path` that is no file: a folder, a pipe, a device."""
    if path.exists() and not path.is_file():
        kind = errno.EISDIR if path.is_dir() else errno.ENXIO
        raise OSError(kind, os.strerror(kind), str(path))
