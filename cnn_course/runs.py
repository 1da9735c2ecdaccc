"""Recorded trainings: data/runs/NAME.csv (one line per epoch) and NAME.json (how it was made), data/weights/ beside it.

A lecture shows what takes longer than a minute from here. `cnn-course train` writes the files; nobody types them.

    for run in runs.find("lenet-mnist-*"):
        ax.plot(run.epochs["epoch"], 1 - run.epochs["val_accuracy"])
    ax.set_xlabel(run.caption)
"""

import csv
import dataclasses
import importlib.metadata
import io
import json
import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import nn

from cnn_course.errors import RunError
from cnn_course.files.course_files import repository
from cnn_course.files.whole_files import write_whole
from cnn_course.training.history import Epoch, History

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

PACKAGES = ("cnn-course", "torch", "torchvision", "numpy")


@dataclass(frozen=True)
class Run:
    """One recorded training.

    epochs: the columns of its History by name ("epoch", "train_loss", …), float64 (epochs,); NaN where none was taken.
    about: how it was made: model, parameters, macs, seed, command, commit, hardware, versions, data, images, config,
    wall_seconds, cpu_seconds, test_accuracy and so on, as `record` was given them.
    """

    name: str
    epochs: dict[str, NDArray[np.float64]]
    about: dict[str, Any]

    @property
    def caption(self) -> str:
        """What was trained on which data and where, in one line for the foot of a figure."""
        about = self.about
        size = "x".join(map(str, about["images"]["shape"]))
        where = about["hardware"].get("gpu") or f"{about['hardware']['cpu']}, threads: {about['hardware']['threads']}"
        return f"{about['data']}; {about['images']['train']:,} training images {size}, {where}"


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
    Raises RunError if the folder is missing or cannot be written.
    """
    where = _folder(folder, "runs")
    columns = [field.name for field in dataclasses.fields(Epoch)]
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(columns)
    for row in history.epochs:
        values = [getattr(row, column) for column in columns]
        writer.writerow("" if v is None else v if isinstance(v, int) else f"{v:.6g}" for v in values)
    facts = {"name": name, **about, "config": dataclasses.asdict(config), **circumstances()}
    try:
        write_whole(where / f"{name}.csv", table.getvalue().encode())
        write_whole(where / f"{name}.json", (json.dumps(facts, indent=2, default=str) + "\n").encode())
    except OSError as error:
        raise RunError(f"cannot write the run {name} to {where}: {error.strerror}. Choose another folder.") from error
    return where / f"{name}.json"


def load(name: str, folder: str | os.PathLike | None = None) -> Run:
    """Read the run called `name`. Raises RunError if it is not there or damaged."""
    where = _folder(folder, "runs")
    try:
        about = json.loads((where / f"{name}.json").read_text(encoding="utf-8"))
        with open(where / f"{name}.csv", encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        columns = rows[0].keys() if rows else ()
        epochs = {c: np.array([float(row[c]) if row[c] else np.nan for row in rows]) for c in columns}
    except FileNotFoundError as error:
        there = ", ".join(run.stem for run in sorted(where.glob("*.json"))) or "none"
        raise RunError(f"there is no recorded run {name!r} in {where} (there: {there})") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"the recorded run {name!r} in {where} is damaged ({error}): restore both files") from error
    return Run(name, epochs, about)


def find(pattern: str, folder: str | os.PathLike | None = None) -> list[Run]:
    """All runs whose name fits `pattern` ("resnet20-*"), in the order of their names; an empty list for none."""
    return [load(path.stem, folder) for path in sorted(_folder(folder, "runs").glob(f"{pattern}.json"))]


def save_weights(
    name: str, model: nn.Module, about: Mapping[str, str], folder: str | os.PathLike | None = None
) -> Path:
    """Write the state dict to NAME.safetensors with `about` in its header, whole or not at all; returns the path.

    folder: default data/weights in the clone. Raises RunError if it is missing or cannot be written.
    """
    path = _folder(folder, "weights") / f"{name}.safetensors"
    tensors = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    try:
        write_whole(path, save(tensors, {key: str(value) for key, value in about.items()}))
    except OSError as error:
        raise RunError(f"cannot write the weights {path}: {error.strerror}. Choose another folder.") from error
    return path


def load_weights(name: str, model: nn.Module, folder: str | os.PathLike | None = None) -> dict[str, str]:
    """Put the weights called `name` into `model`, in place; returns what their header says about them.

    Raises RunError if they are not there, damaged, or of another network; the model is then as it was.
    """
    path = _folder(folder, "weights") / f"{name}.safetensors"
    try:
        tensors = load_file(path)
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
    except FileNotFoundError as error:
        there = ", ".join(weights.stem for weights in sorted(path.parent.glob("*.safetensors"))) or "none"
        raise RunError(f"there are no weights {name!r} in {path.parent} (there: {there})") from error
    except (SafetensorError, OSError) as error:
        raise RunError(f"the weights {path} are damaged ({error}): restore the file") from error
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    if shapes != {key: tuple(value.shape) for key, value in tensors.items()}:
        raise RunError(f"the weights {name!r} are of another network than this {type(model).__name__}: {about}")
    model.load_state_dict(tensors)
    return about


def circumstances() -> dict[str, Any]:
    """Where a training runs: hardware, versions of Python and packages, the commit of the course (None if unknown)."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "hardware": {"cpu": processor(), "cores": os.cpu_count(), "threads": torch.get_num_threads(), "gpu": gpu},
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in PACKAGES},
        },
        "commit": _commit(),
    }


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
    where = repository() / "data" / kind if folder is None else Path(folder)
    if not where.is_dir():
        raise RunError(f"there is no folder {where}: create it, or name another one")
    return where
