"""Fetch one file from the network: resumed after a cut, checked by SHA-256, put in place whole or not at all.

Which file, and from which address, is said in `published_files`.

What has arrived waits in `NAME.part` beside the destination. It is renamed to NAME only when its SHA-256 is right.
"""

import contextlib
import errno
import hashlib
import http.client
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from tqdm import tqdm

from cnn_course.errors import DatasetError
from cnn_course.files import system_errors, whole_files

try:
    import fcntl
except ImportError:  # Windows: there, every process downloads into a part file of its own
    LOCKS = False
else:
    LOCKS = True

CHUNK = 1 << 18
TIMEOUT = 30  # seconds without a byte
RETRIES = 5  # times that a server may cut the connection without having sent anything new
PAUSE = 1.0  # seconds before the first retry, doubled each time


class _NextMirror(Exception):
    """This server cannot give us the file: the reason, in words."""


def sha256_of(path: Path) -> str:
    """SHA-256 of a file in hex. Raises DatasetError if it cannot be read."""
    with readable(path), open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch(urls: Sequence[str], path: Path, *, sha256: str, size: int, progress: bool = True) -> Path:
    """Download one file to `path`, trying the `urls` in turn, and return `path`.

    sha256, size: what the file must be. A file that is already there and right is kept; an interrupted download
    goes on where it stopped; two callers at once download once, the second waits.
    Raises DatasetError (no network, wrong bytes from every server, disk full, no permission); `path` is then untouched.
    """
    if path.is_file() and path.stat().st_size == size and sha256_of(path) == sha256:
        return path
    with writable(path, size):
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked_part(path) as part:
            if part is None:  # another process finished while we waited
                return fetch(urls, path, sha256=sha256, size=size, progress=progress)
            reasons = []
            for url in urls:
                try:
                    _fetch_checked(url, part, sha256, size, path.name, progress)
                except _NextMirror as error:
                    reasons.append(f"{urlsplit(url).netloc}: {error}")
                else:
                    whole_files.replace(part, path)
                    return path
    raise DatasetError(
        f"Could not download {path.name} ({'; '.join(reasons)}). Check the network and run the same command again "
        f"(it goes on where it stopped), or copy the file from another machine to {path}."
    )


def write_data_file(path: Path, data: bytes) -> None:
    """Write a file whole or not at all. Raises DatasetError if the disk is full or may not be written."""
    with writable(path, len(data)):
        path.parent.mkdir(parents=True, exist_ok=True)
        whole_files.write_whole(path, data)


@contextlib.contextmanager
def readable(path: Path, remedy: str = "") -> Iterator[None]:
    """Turns an operating-system error while reading `path` into a DatasetError, which ends with `remedy`."""
    try:
        yield
    except OSError as error:
        raise DatasetError(f"Cannot read {path}: {system_errors.reason(error)}. {remedy}".rstrip()) from error


@contextlib.contextmanager
def writable(path: Path, size: int) -> Iterator[None]:
    """Turns an operating-system error while writing `path` (`size` bytes) into a DatasetError."""
    try:
        yield
    except OSError as error:
        where = path.parent
        if error.errno in system_errors.DISK_FULL:
            raise DatasetError(
                f"The disk is full: {path.name} needs {megabytes(size)} in {where}. Make room, or set CNN_COURSE_DATA "
                f"to a folder on another disk, and run the same command again."
            ) from error
        raise DatasetError(
            f"Cannot write {path.name} in {where}: {system_errors.reason(error)}. Mend that, or set CNN_COURSE_DATA to "
            f"a folder of your own."
        ) from error


def megabytes(size: int) -> str:
    """12345678 -> '12 MB'; at least 1 MB, because a smaller number is of no use to anyone."""
    return f"{max(1, round(size / 1e6))} MB"


@contextlib.contextmanager
def _locked_part(path: Path) -> Iterator[Path | None]:
    """The part file of `path`, ours alone; None if another process has put `path` in place meanwhile."""
    if not LOCKS:
        own = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            yield own
        finally:
            own.unlink(missing_ok=True)
        return
    part = path.with_name(f"{path.name}.part")
    if part.is_fifo():  # opening it would wait for ever for whoever reads it
        raise OSError(errno.ENXIO, f"{part.name} is a pipe: remove it")
    with open(part, "ab") as file:
        with contextlib.suppress(OSError):  # a network disk without locks: the SHA-256 still guards the result
            fcntl.flock(file, fcntl.LOCK_EX)
        # While we waited, the other process may have renamed (or removed) the file that we hold.
        ours = part.exists() and os.path.samestat(os.fstat(file.fileno()), part.stat())
        try:
            yield part if ours else None
        finally:
            if ours and part.exists() and part.stat().st_size == 0:
                part.unlink()


def _fetch_checked(url: str, part: Path, sha256: str, size: int, name: str, progress: bool) -> None:
    """Fill `part` from one server until it is whole and right. Raises _NextMirror if this server cannot."""
    old = part.stat().st_size if part.exists() else 0
    for fresh in (False, True):
        if fresh or old > size:
            _empty(part)
        _fetch_all(url, part, size, name, progress)
        if sha256_of(part) == sha256:
            return
        _empty(part)
        if not old:  # nothing of an earlier run was in it: these are the server's own bytes
            break
    raise _NextMirror("sent other bytes than expected (wrong SHA-256)")


def _fetch_all(url: str, part: Path, size: int, name: str, progress: bool) -> None:
    """Append to `part` until it has `size` bytes, connecting again after each cut."""
    failures, pause, most = 0, PAUSE, 0
    with tqdm(total=size, desc=name, unit="B", unit_scale=True, disable=not progress, leave=False) as bar:
        while (have := part.stat().st_size if part.exists() else 0) < size:
            missing, free = size - have, shutil.disk_usage(part.parent).free
            if free < missing:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            bar.n = have
            bar.refresh()
            most = max(most, have)
            reason = _fetch_some(url, part, have, size, bar)
            have = part.stat().st_size
            if have > most:
                failures, pause = 0, PAUSE
            elif have < size:
                failures += 1
                if failures > RETRIES:
                    raise _NextMirror(reason)
                time.sleep(pause)
                pause *= 2


def _fetch_some(url: str, part: Path, have: int, size: int, bar: tqdm) -> str:
    """One connection: append what comes. Returns why it ended; network trouble that may pass does not raise."""
    headers = {"User-Agent": "cnn-course", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 or error.code >= 500:  # 416: this server's file is shorter than our part
            if error.code == 416:
                _empty(part)
            return f"HTTP {error.code}"
        raise _NextMirror(f"HTTP {error.code}") from error
    except urllib.error.URLError as error:
        if have:  # it worked a moment ago, so it is worth waiting for
            return f"no connection ({error.reason})"
        raise _NextMirror(f"no connection ({error.reason})") from error
    except (OSError, http.client.HTTPException) as error:
        return f"no answer ({error or type(error).__name__})"
    with response:
        resumed = response.status == 206 and str(response.headers.get("Content-Range")).startswith(f"bytes {have}-")
        with open(part, "ab" if resumed else "wb") as file:  # a server that ignores Range starts from the beginning
            bar.n = have = have if resumed else 0
            while have <= size:
                try:
                    data = response.read(CHUNK)
                except (OSError, http.client.HTTPException) as error:
                    return f"connection lost ({error or type(error).__name__})"
                if not data:
                    return "connection lost"
                file.write(data)
                have += len(data)
                bar.update(len(data))
    raise _NextMirror("sent more bytes than expected")


def _empty(part: Path) -> None:
    open(part, "wb").close()
