"""Recorded trainings: data/runs/NAME.csv (one line per epoch) and NAME.json (how it was made), data/weights/ beside it.

A lecture shows what takes longer than a minute from here. `cnn-course train` writes the files; nobody types them.

    for run in runs.find("lenet-mnist-*"):
        ax.plot(run.epochs["epoch"], 1 - run.epochs["val_accuracy"])
    ax.set_xlabel(run.caption)

Every JSON, and the header of every file of weights, has a SHA-256 of all numbers and texts: a file that was cut or
changed is refused. Files from before there was one are read, and checked as far as they can be.
"""

import csv
import dataclasses
import hashlib
import importlib.metadata
import io
import json
import os
import platform
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load as tensors_of
from safetensors.torch import save
from torch import nn

from cnn_course.arguments import objects
from cnn_course.arguments.shown import shown
from cnn_course.errors import RunError
from cnn_course.files import system_errors
from cnn_course.files.course_files import course
from cnn_course.files.whole_files import read_file, write_whole
from cnn_course.training.history import Epoch, History
from cnn_course.training.labelled import check_network

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

PACKAGES = ("cnn-course", "torch", "torchvision", "numpy")
COLUMNS = [field.name for field in dataclasses.fields(Epoch)]
SUM = "sha256"


@dataclass(frozen=True)
class Run:
    """One recorded training.

    epochs: the columns of its History by name ("epoch", "train_loss", …), float64 (epochs,); NaN where none was taken.
    about: how it was made: model, parameters, macs, seed, command, commit, hardware, versions, data, images, config,
    wall_seconds, cpu_seconds, test_accuracy and so on, as `record` was given them.
    Raises TypeError for parts of another kind.
    """

    name: str
    epochs: dict[str, NDArray[np.float64]]
    about: dict[str, Any]

    def __post_init__(self) -> None:
        objects.text("name", self.name)
        objects.instance("epochs", self.epochs, dict, "a dict of columns")
        objects.instance("about", self.about, dict, "a dict of facts")

    @property
    def caption(self) -> str:
        """What was trained on which data and where, in one line for the foot of a figure.

        Raises RunError for a run that does not say it.
        """
        about = self.about
        try:
            size = "x".join(map(str, about["images"]["shape"]))
            hardware = about["hardware"]
            where = hardware.get("gpu") or f"{hardware['cpu']}, threads: {hardware['threads']}"
            return f"{about['data']}; {about['images']['train']:,} training images {size}, {where}"
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RunError(
                f"the run {self.name!r} has no caption: its JSON does not say which data, images and hardware ({error})"
            ) from error


def record(
    name: str,
    history: History,
    config: "DataclassInstance",
    about: Mapping[str, Any],
    folder: str | os.PathLike | None = None,
) -> Path:
    """Write NAME.csv and NAME.json; returns the path of the latter, which is written last.

    history: of the whole training. config: a dataclass, such as TrainConfig. about: anything that JSON can hold; where
    it ran (hardware, versions, commit) is added. folder: default data/runs in the clone; it must exist.
    Raises TypeError or ValueError for what is of another kind, and for a name that leads out of the folder; RunError if
    the folder is missing or cannot be written.
    """
    where = _folder(folder, "runs")
    target = _file(where, name, "json")
    objects.instance("history", history, History, "a History, as train.fit returns it")
    if not dataclasses.is_dataclass(config) or isinstance(config, type):
        raise TypeError(f"config must be a dataclass, such as TrainConfig(...), not {shown(config)}")
    objects.mapping("about", about, "a dict of facts")
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    for i, row in enumerate(history.epochs):
        objects.instance(f"history.epochs[{i}]", row, Epoch, "an Epoch")
        values = [getattr(row, column) for column in COLUMNS]
        writer.writerow("" if v is None else v if isinstance(v, int) else f"{v:.6g}" for v in values)
    settings = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    facts = {
        "name": name,
        **{key: value for key, value in _in_json("about", dict(about), _plain).items() if key != "name"},
        "config": _in_json("config", settings, _named),
        **circumstances(history.device),
    }
    facts[SUM] = _sum_of_run(facts, table.getvalue())
    try:
        write_whole(target.with_name(f"{name}.csv"), table.getvalue().encode())
        write_whole(target, (json.dumps(facts, indent=2) + "\n").encode())
    except OSError as error:
        raise RunError(f"cannot write the run {name} to {where}: {error.strerror}. Choose another folder.") from error
    return target


def load(name: str, folder: str | os.PathLike | None = None) -> Run:
    """Read the run called `name`. Raises RunError if it is not there or damaged, ValueError for a name that is none."""
    where = _folder(folder, "runs")
    path = _file(where, name, "json")
    if not _is_there(path):
        there = ", ".join(run.stem for run in sorted(where.glob("*.json"))) or "none"
        raise RunError(f"there is no recorded run {name!r} in {where} (there: {there})")
    try:
        about = json.loads(read_file(path).decode())
        path = path.with_name(f"{name}.csv")
        table = read_file(path).decode().replace("\r\n", "\n")  # as git may have written it
        if not isinstance(about, dict):
            raise ValueError("the JSON is no object")
        found = _take_sum(about)
        if found is None:
            _check_old_run(about, table)
        elif found != _sum_of_run(about, table):
            raise ValueError("they are not as they were recorded: their SHA-256 is another")
        epochs = _columns(table)
    except (OSError, ValueError, KeyError, TypeError, RecursionError, csv.Error) as error:
        said = system_errors.reason(error) if isinstance(error, OSError) else error
        raise RunError(
            f"the recorded run {name!r} in {where} is damaged ({said}): restore both files, {name}.json and {name}.csv"
        ) from error
    return Run(name, epochs, about)


def find(pattern: str, folder: str | os.PathLike | None = None) -> list[Run]:
    """All runs whose name fits `pattern` ("resnet20-*"), in the order of their names; an empty list for none.

    Raises TypeError or ValueError for a pattern that is none or leads out of the folder, and as `load` does.
    """
    where = _folder(folder, "runs")
    if not objects.text("pattern", pattern) or "**" in pattern or not _is_plain(pattern):
        raise ValueError(f'pattern must be a name with * and ?, such as "resnet20-*", not {shown(pattern)}')
    return [load(path.stem, folder) for path in sorted(where.glob(f"{pattern}.json"))]


def save_weights(
    name: str, model: nn.Module, about: Mapping[str, object], folder: str | os.PathLike | None = None
) -> Path:
    """Write the state dict to NAME.safetensors with `about` in its header, whole or not at all; returns the path.

    folder: default data/weights in the clone.
    Raises TypeError or ValueError for what is of another kind, and for a name that leads out of the folder; RunError if
    the folder is missing or cannot be written.
    """
    path = _file(_folder(folder, "weights"), name, "safetensors")
    check_network(model)
    objects.mapping("about", about, "a dict of facts")
    for key in about:
        objects.text("a key of about", key)
    header = {key: str(value) for key, value in about.items() if key != SUM}
    try:
        "".join((*header, *header.values())).encode()
    except UnicodeEncodeError as error:  # half a letter of two halves
        raise ValueError(f"about holds a text that no file can hold: {error}") from None
    try:
        # Two layers that share their weights have them twice in the file: each tensor of a file is its own.
        tensors = {key: value.detach().cpu().contiguous().clone() for key, value in model.state_dict().items()}
        data = save(tensors, header | {SUM: _sum_of_weights(tensors, header)})
    except (AttributeError, ValueError, RuntimeError, SafetensorError) as error:
        raise ValueError(f"model cannot be written, since its state is not all plain tensors: {error}") from error
    try:
        write_whole(path, data)
    except OSError as error:
        raise RunError(f"cannot write the weights {path}: {error.strerror}. Choose another folder.") from error
    return path


def load_weights(name: str, model: nn.Module, folder: str | os.PathLike | None = None) -> dict[str, str]:
    """Put the weights called `name` into `model`, in place; returns what their header says about them.

    Raises RunError if they are not there, damaged, or of another network; TypeError or ValueError for a model or a name
    that is none. The model is then as it was.
    """
    path = _file(_folder(folder, "weights"), name, "safetensors")
    check_network(model)
    if not _is_there(path):
        there = ", ".join(weights.stem for weights in sorted(path.parent.glob("*.safetensors"))) or "none"
        raise RunError(f"there are no weights {name!r} in {path.parent} (there: {there})")
    try:
        data = read_file(path)
        tensors, about = tensors_of(data), _header(data)
        found = _take_sum(about)
        if found is not None and found != _sum_of_weights(tensors, about):
            raise ValueError("they are not as they were written: their SHA-256 is another")
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        said = system_errors.reason(error) if isinstance(error, OSError) else error
        raise RunError(f"the weights {path} are damaged ({said}): restore the file") from error
    shapes = {key: getattr(value, "shape", None) for key, value in model.state_dict().items()}
    if shapes != {key: value.shape for key, value in tensors.items()}:
        raise RunError(f"the weights {name!r} are of another network than this {type(model).__name__}: {about}")
    model.load_state_dict(tensors)
    return about


# --- what the files hold, and whether it is all there


def _columns(table: str) -> dict[str, NDArray[np.float64]]:
    header, *rows = csv.reader(table.splitlines(), strict=True)
    if any(len(row) != len(header) for row in rows):
        raise ValueError("the lines of the CSV have several lengths")
    return {
        column: np.array([float(row[i]) if row[i] else np.nan for row in rows], float)
        for i, column in enumerate(header)
    }


def _check_old_run(about: dict[str, Any], table: str) -> None:
    """Raises an error for a run without a sum that has other lines than its settings ask for."""
    epochs = _columns(table)
    if list(epochs) != COLUMNS or not table.endswith("\n"):
        raise ValueError("the CSV is not whole")
    done, asked = epochs["epoch"].tolist(), about["config"]["epochs"]
    if done != list(range(1, len(done) + 1)) or len(done) > asked:
        raise ValueError(f"the CSV has the epochs {done}, of {asked}")
    if len(done) < asked and about["config"]["patience"] is None:
        raise ValueError(f"the CSV has {len(done)} of {asked} epochs")


def _sum_of_run(about: dict[str, Any], table: str) -> str:
    return hashlib.sha256(f"{json.dumps(about)}\n{table}".encode()).hexdigest()


def _sum_of_weights(tensors: Mapping[str, torch.Tensor], about: Mapping[str, str]) -> str:
    digest = hashlib.sha256(json.dumps(sorted(about.items())).encode())
    for key, value in sorted(tensors.items()):
        digest.update(f"\n{key} {value.dtype} {tuple(value.shape)} ".encode())
        digest.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _take_sum(about: dict[str, Any]) -> str | None:
    """Take the sum out of the facts; None where there is none. Raises ValueError for a sum under a damaged name."""
    if SUM in about:
        return str(about.pop(SUM))
    if any(isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) for value in about.values()):
        raise ValueError(f"their {SUM} has another name")
    return None


def _header(data: bytes) -> dict[str, str]:
    """What safetensors keeps beside the tensors: 8 bytes say how long the JSON is that follows."""
    return dict(json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")]).get("__metadata__") or {})


def _in_json(name: str, value: dict[str, Any], default: Callable[[Any], object]) -> dict[str, Any]:
    """What a JSON file gives back of it. Raises TypeError."""
    try:
        return dict(json.loads(json.dumps(value, default=default)))
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"{name} must hold what JSON can hold: {error}") from error


def _plain(value: Any) -> object:
    """NumPy's and torch's numbers as Python's."""
    if isinstance(value, np.generic | np.ndarray | torch.Tensor):
        return value.tolist()
    if isinstance(value, Path):
        return value.as_posix()
    if isinstance(value, os.PathLike | torch.device):
        return str(value)
    raise TypeError(f"{shown(value)} is nothing of that kind")


def _named(value: Any) -> object:
    """A setting: another dataclass as its fields, a function by its name."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if callable(value):
        return getattr(value, "__qualname__", type(value).__qualname__)
    return _plain(value)


def circumstances(device: str = "cpu") -> dict[str, Any]:
    """Where a training ran: hardware, versions of Python and packages, the commit of the course (None if unknown).

    device: what computed. A GPU that was there and had no part in it is not named. Raises TypeError for what is no
    text.
    """
    objects.text("device", device)
    gpu = "Apple GPU" if device == "mps" else None
    if device.startswith("cuda") and torch.cuda.is_available():
        gpu = torch.cuda.get_device_name(device)
    return {
        "hardware": {"cpu": processor(), "cores": os.cpu_count(), "threads": torch.get_num_threads(), "gpu": gpu},
        "versions": {
            "python": platform.python_version(),
            **{name: _version(name) for name in PACKAGES},
        },
        "commit": _commit(),
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:  # the course runs from a folder that was not installed, too
        return None


def processor() -> str:
    """The processor's name where the system tells it; Linux does so only here."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _commit() -> str | None:
    """The commit that is checked out, with "+" where tracked files differ from it."""
    command = ["git", "describe", "--always", "--abbrev=12", "--exclude=*", "--dirty=+"]
    try:
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _folder(folder: str | os.PathLike | None, kind: str) -> Path:
    where = course() / "data" / kind if folder is None else objects.path("folder", folder)
    try:
        there = where.is_dir()
    except OSError:  # a name that is too long, a folder that is locked
        there = False
    if not there:
        raise RunError(f"there is no folder {where}: create it, or name another one")
    return where


def _file(folder: Path, name: str, ending: str) -> Path:
    """FOLDER/NAME.ending. Raises TypeError or ValueError for a name that is none, or that leads out of the folder."""
    if not _is_plain(objects.text("name", name)):
        raise ValueError(f"name must be a plain name, without a folder and an ending, not {shown(name)}")
    return folder / f"{name}.{ending}"


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is too long, a folder that is locked
        return False


def _is_plain(name: str) -> bool:
    return objects.can_be_a_file(name) and Path(name).name == name
