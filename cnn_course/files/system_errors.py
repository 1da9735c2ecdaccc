"""What the system refuses, in words: which file, why, and what to do, without its number."""

import errno
import os

_DENIED = "permission denied: ls -l shows who may read and write it"
if os.name == "nt":  # Windows gives no file away that a program has open
    _DENIED = "permission denied: close the programs that have it open; its properties show who may read and write it"
DISK_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))  # no space, or the user's share is used up
_AGAIN = "make room and run the same command again"
_MEANINGS = {
    errno.ENOSPC: f"the disk is full: {_AGAIN}",
    getattr(errno, "EDQUOT", errno.ENOSPC): f"the disk, or your share of it, is full: {_AGAIN}",
    errno.EFBIG: "a file may not become so large here: ulimit -f says how large",
    errno.EROFS: "this disk can only be read: choose a folder elsewhere",
    errno.EACCES: _DENIED,
    errno.EPERM: _DENIED,
    errno.ENOENT: "there is no such file or folder",
    errno.EEXIST: "a file of that name is there already",
    errno.EISDIR: "it is a folder, and a file is needed",
    errno.ENOTDIR: "a part of the path is a file, and a folder is needed",
    errno.ENOTEMPTY: "the folder is not empty",
    errno.ENAMETOOLONG: "the name is too long: choose a shorter one",
    errno.ELOOP: "the link leads back to itself",
    errno.ENXIO: "it is a pipe or a device, and a file is needed",
    errno.EMFILE: "too many files are open: ulimit -n says how many may be",
    errno.ENFILE: "too many files are open on this machine",
    errno.ENOMEM: "the memory is full: close other programs",
    errno.EIO: "the disk cannot be read or written there",
}


def reason(error: OSError) -> str:
    """Why, and what to do: "the disk is full: make room and run the same command again"."""
    known = _MEANINGS.get(error.errno or 0)
    return known or " ".join(str(error.strerror or error).split()) or type(error).__name__


def said(error: OSError) -> str:
    """One line with the file's name, where the system tells it."""
    name = error.filename if isinstance(error.filename, str | bytes) else None
    shown = name.decode(errors="backslashreplace") if isinstance(name, bytes) else name
    return f"{' '.join(shown.split())[:300]}: {reason(error)}" if shown else reason(error)
