"""Save the state of a training run and read it back: `save`, `load`. A damaged file is refused, never loaded.

The file is a line that says what it is, the SHA-256 of the rest, and the rest: what torch.save makes of the state. It
is written whole or not at all (`whole_files.write_whole` writes beside it, flushes to the disk, then renames), so a
kill at any moment leaves the checkpoint before or the one after, and no second copy is kept. A checkpoint has one
writer: of several processes that train one model, the first. The state holds tensors, numbers and strings only, in
dicts, lists and tuples, and is read with weights_only=True: a file from elsewhere can be wrong, but cannot run code.
"""

import hashlib
import io
import os
from collections import OrderedDict
from typing import Any

import torch

from cnn_course.arguments import objects
from cnn_course.errors import CheckpointError
from cnn_course.files import system_errors
from cnn_course.files.whole_files import check_is_file, read_file, remove_parts, write_whole, written_beside

TITLE = b"cnn-course checkpoint, version 1\n"
MOST_BITS = 2000  # of an integer that torch reads back
_AWAY = "move it away or delete it, and the training begins anew; or put a copy in its place that is good."


def save(path: str | os.PathLike[str], state: dict[str, Any], *, trial: bool = False) -> None:
    """Put `state` at `path` in place of the checkpoint before; makes the folder, removes what killed writers left.

    trial: write it beside `path` and remove it again, to see before a long run whether the file could be written.
    Raises TypeError for a state that is no dict or could not be read back, and CheckpointError where the file cannot
    be written (a full disk, a folder that is read-only): the checkpoint before then stays.
    """
    path = objects.path("path", path)
    objects.instance("state", state, dict, "a dict of tensors, numbers and texts")
    objects.flag("trial", trial)
    try:
        _check(state, "state")
    except RecursionError:
        raise ValueError("state must not be nested so deeply; does it contain itself?") from None
    body = io.BytesIO()
    torch.save(state, body)
    data = b"".join((TITLE, _digest(body.getbuffer()), b"\n", body.getbuffer()))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_parts(path)
        check_is_file(path)
        if trial:
            with written_beside(path, data):
                pass
        else:
            write_whole(path, data)
    except OSError as error:
        raise CheckpointError(
            f"the checkpoint {path} cannot be written: {system_errors.reason(error)}; or name a file in a folder that "
            "you may write to. What was there before is unchanged."
        ) from error


def load(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """The state that was saved last, its tensors on the CPU; None where there is no file.

    Raises CheckpointError for a file that is damaged, that is something else, or that cannot be read.
    """
    path = objects.path("path", path)
    try:
        data = read_file(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CheckpointError(
            f"the checkpoint {path} cannot be read: {system_errors.reason(error)}. Move away what is there, or name "
            "another file."
        ) from error
    if not data.startswith(TITLE):
        raise CheckpointError(f"{path} is not a checkpoint that this version can read: {_AWAY}")
    found, _, body = data[len(TITLE) :].partition(b"\n")
    if found != _digest(body):
        raise CheckpointError(
            f"the checkpoint {path} is damaged (its SHA-256 is another than when it was saved): {_AWAY}"
        )
    try:
        state = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
    except Exception as error:  # of pickle, of zip, of torch: whatever a file holds that somebody made by hand
        raise CheckpointError(f"the checkpoint {path} holds more than tensors and numbers: {_AWAY}") from error
    if not isinstance(state, dict):
        raise CheckpointError(f"the checkpoint {path} holds a {type(state).__name__} and no dict: {_AWAY}")
    return state


def _digest(data: bytes | memoryview) -> bytes:
    return hashlib.sha256(data).hexdigest().encode()


def _check(value: object, where: str) -> None:
    """Refuse what weights_only=True would not read back: better now than when a run must be resumed."""
    if isinstance(value, dict) and type(value) in (dict, OrderedDict):
        for key, item in value.items():
            _check(key, f"a key of {where}")
            _check(item, f"{where}[{key!r}]")
    elif isinstance(value, list | tuple) and type(value) in (list, tuple):
        for i, item in enumerate(value):
            _check(item, f"{where}[{i}]")
    elif isinstance(value, torch.Tensor) and type(value) in (torch.Tensor, torch.nn.Parameter):
        if value.is_meta:
            raise TypeError(f'{where} is a tensor on the "meta" device, which has no numbers to be saved')
        if value.is_nested:
            raise TypeError(f"{where} is a nested tensor, which could not be read back")
    elif type(value) is int and value.bit_length() > MOST_BITS:
        raise ValueError(f"{where} is an integer of more than {MOST_BITS} bits, which could not be read back")
    elif type(value) not in (bool, int, float, str, type(None)):
        raise TypeError(
            f"a checkpoint holds tensors, numbers, strings, lists and dicts, but {where} is a {type(value).__name__}"
        )
