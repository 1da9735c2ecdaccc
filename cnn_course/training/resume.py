"""What `train.fit` writes into a checkpoint, and how it goes on from there.

Each epoch draws its random numbers from a seed of its own, and the order of the images has a generator whose state is
saved. With weights, optimizer and history that is all a run depends on: resumed and uninterrupted end the same.
"""

import dataclasses
import hashlib
import os
from typing import Any

import numpy as np
import torch
from torch import nn

from cnn_course import checkpoint
from cnn_course.errors import CheckpointError
from cnn_course.training.history import Epoch, History
from cnn_course.training.labelled import Labelled
from cnn_course.training.recipe import TrainConfig

_PARTS = {"run", "model", "optimizer", "order", "history", "best"}


def identity(model: nn.Module, data: Labelled, val: Labelled | None, config: TrainConfig) -> dict[str, str]:
    """What a run is, by name: every setting, the layers of the model, the images. Two runs that agree can be joined.

    Left out are the device, and the number of epochs if the learning rate is constant: then a run can be made longer.
    """
    left_out = {"device", "epochs"} if config.schedule == "constant" else {"device"}
    settings = {
        field.name: getattr(config, field.name) for field in dataclasses.fields(config) if field.name not in left_out
    }
    known = {name: getattr(value, "__qualname__", repr(value)) for name, value in settings.items()}
    layers = hashlib.sha256(str([repr(model), *_shapes(model)]).encode()).hexdigest()[:12]
    parameters = sum(p.numel() for p in model.parameters())
    known["model"] = f"{type(model).__name__} with {parameters:,} parameters, layers {layers}"
    known["training data"] = _fingerprint(data)
    known["validation data"] = "none" if val is None else _fingerprint(val)
    return known


def save(
    path: str | os.PathLike[str],
    run: dict[str, str],
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    order: torch.Generator,
    history: History,
    best: dict[str, torch.Tensor] | None,
    *,
    trial: bool = False,
) -> None:
    """Write the state after the last epoch of `history`. run: its identity. best: weights of the best epoch.

    trial: raise what this would raise, before hours of training and not after; it leaves no file.
    """
    state = {
        "run": run,
        "model": dict(model.state_dict()),
        "optimizer": optimizer.state_dict(),
        "order": order.get_state(),
        "history": [dataclasses.asdict(row) for row in history.epochs],
        "best": best,
    }
    checkpoint.save(path, state, trial=trial)


def check(state: dict[str, Any], path: str | os.PathLike[str], run: dict[str, str], epochs: int) -> None:
    """Raises CheckpointError for a loaded state of another run, naming what differs."""
    if not _PARTS <= state.keys() or not isinstance(state["run"], dict):
        raise CheckpointError(f"{path} is no checkpoint of a training: name another file to begin anew.")
    then = state["run"]
    differs = [
        f"{name} was {then.get(name, 'unknown')} and is {run.get(name, 'unknown')}"
        for name in {**then, **run}
        if then.get(name) != run.get(name)
    ]
    if not isinstance(state["history"], list):
        raise CheckpointError(f"{path} is no checkpoint of a training: name another file to begin anew.")
    if len(state["history"]) > epochs:
        differs.append(f"it has {len(state['history'])} epochs and now there are to be {epochs}")
    if differs:
        raise CheckpointError(
            f"{path} is from another run: {'; '.join(differs)}. "
            "Use what it was made with, or name another file to begin anew."
        )


def restore(
    state: dict[str, Any],
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    order: torch.Generator,
    history: History,
) -> dict[str, torch.Tensor] | None:
    """Put a state that `check` let pass into model, optimizer, generator and history; returns the best weights.

    Raises CheckpointError for a state that somebody has changed; the model is then as it was.
    """
    before = {name: value.detach().clone() for name, value in model.state_dict().items()}
    try:
        rows, best = [Epoch(**row) for row in state["history"]], state["best"]
        if best is not None:
            model.load_state_dict(best)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        order.set_state(state["order"])
    except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        model.load_state_dict(before)
        raise CheckpointError(
            f"the checkpoint is not as a training left it ({str(error).partition(chr(10))[0]}): name another file to "
            "begin anew."
        ) from error
    history.epochs[:] = rows
    return best


def _shapes(model: nn.Module) -> list[tuple]:
    return [(name, tuple(value.shape), str(value.dtype)) for name, value in model.state_dict().items()]


def _fingerprint(data: Labelled) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(data.images).data)
    digest.update(np.asarray(data.labels, dtype=np.int64).tobytes())
    shape = "x".join(map(str, data.images.shape[1:]))
    return f"{len(data.images):,} images {shape}, SHA-256 {digest.hexdigest()[:12]}"
