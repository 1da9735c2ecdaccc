"""What `train.fit` writes into a checkpoint, and how it goes on from there.

Each epoch draws its random numbers from a seed of its own, and the order of the images has a generator whose state is
saved. With weights, optimizer and history that is all a run depends on: resumed and uninterrupted end the same.
"""

import dataclasses
import hashlib
import math
import os
from typing import Any

import numpy as np
import torch
from torch import nn

from cnn_course import checkpoint
from cnn_course.arguments.shown import brief, shown
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


@dataclasses.dataclass
class State:
    """What a run depends on beside its settings. order: of the images. best: the weights of the best epoch."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    order: torch.Generator
    scaler: torch.amp.GradScaler
    history: History
    best: dict[str, torch.Tensor] | None = None


def save(path: str | os.PathLike[str], run: dict[str, str], state: State, *, trial: bool = False) -> None:
    """Write the state after the last epoch of its history, which may be trained and not yet validated.

    run: its identity. trial: raise what this would raise, before hours of training and not after; it leaves no file.
    """
    parts = {
        "run": run,
        "model": _on_cpu(dict(state.model.state_dict())),
        "optimizer": _on_cpu(state.optimizer.state_dict()),
        "order": state.order.get_state(),
        "history": [dataclasses.asdict(row) for row in state.history.epochs],
        "best": _on_cpu(state.best),
    }
    if state.scaler.is_enabled():
        parts["scaler"] = state.scaler.state_dict()
    checkpoint.save(path, parts, trial=trial)


def _on_cpu(value: Any) -> Any:
    """Weights and what an optimizer keeps: a file is the same wherever the training ran."""
    if isinstance(value, torch.Tensor):
        return value.detach().cpu()
    if isinstance(value, dict):
        return {key: _on_cpu(each) for key, each in value.items()}
    return [_on_cpu(each) for each in value] if isinstance(value, list) else value


def check(saved: dict[str, Any], path: str | os.PathLike[str], run: dict[str, str], epochs: int) -> None:
    """Raises CheckpointError for what was saved of another run, naming what differs."""
    if not _PARTS <= saved.keys() or not isinstance(saved["run"], dict):
        raise CheckpointError(f"{path} is no checkpoint of a training: name another file to begin anew.")
    then = saved["run"]
    differs = [
        f"{name} was {then.get(name, 'unknown')} and is {run.get(name, 'unknown')}"
        for name in {**then, **run}
        if then.get(name) != run.get(name)
    ]
    if not isinstance(saved["history"], list):
        raise CheckpointError(f"{path} is no checkpoint of a training: name another file to begin anew.")
    if len(saved["history"]) > epochs:
        differs.append(f"it has {len(saved['history'])} epochs and now there are to be {epochs}")
    if differs:
        raise CheckpointError(
            f"{path} is from another run: {'; '.join(differs)}. "
            "Use what it was made with, or name another file to begin anew."
        )


def restore(saved: dict[str, Any], path: str | os.PathLike[str], state: State) -> None:
    """Put what was saved, and what `check` let pass, into `state`.

    Raises CheckpointError, which names the file at `path`, where somebody has changed it; the model is then as it was.
    """
    model, best = state.model, saved["best"]
    before = {name: value.detach().clone() for name, value in model.state_dict().items()}
    try:
        rows = _rows(saved)
        _check_weights("model", saved["model"], model)
        if best is not None:
            _check_weights("best", best, model)
            model.load_state_dict(best)
        patient = saved["run"].get("patience") != "None"
        if (best is not None) != (patient and any(row.val_accuracy is not None for row in rows)):
            raise ValueError("best: there are weights of the best epoch where there is patience, and only there")
        _check_optimizer(saved["optimizer"], state.optimizer, rows)
        model.load_state_dict(saved["model"])
        _load_optimizer(saved["optimizer"], state.optimizer)
        _load_order(saved["order"], state.order)
        _load_scaler(saved.get("scaler", {}), state.scaler)
    except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        model.load_state_dict(before)
        why = str(error).partition("\n")[0]
        raise CheckpointError(
            f"the checkpoint {os.fspath(path)} is not as a training left it ({why}): put a good copy in its place, or "
            "name another file to begin anew."
        ) from error
    state.history.epochs[:] = rows
    state.best = best


# --- whether a state is one that a training leaves: each raises ValueError, which says where it is not


def _rows(saved: dict[str, Any]) -> list[Epoch]:
    """The rows of the history: epochs 1, 2, 3 ... with losses that are numbers."""
    rows = []
    validated = saved["run"].get("validation data") != "none"
    for number, row in enumerate(saved["history"], start=1):
        where = f"history, row {number}"
        if not isinstance(row, dict) or set(row) != {field.name for field in dataclasses.fields(Epoch)}:
            raise ValueError(f"{where}: it must have the columns of a history, not {brief(row)}")
        try:
            rows.append(Epoch(**row))
        except (TypeError, ValueError) as error:
            raise ValueError(f"{where}: {error}") from error
        if row["epoch"] != number:
            raise ValueError(f"{where}: its epoch must be {number}, not {brief(row['epoch'])}")
        # The last one may have been trained and not yet validated.
        unseen = number == len(saved["history"]) and row["val_loss"] is row["val_accuracy"] is None
        there = validated and not unseen
        for name, value in row.items():
            if name.startswith("val_") and (value is not None) != there:
                raise ValueError(f"{where}: {name} is there where there is validation data, got {brief(value)}")
            most = 1 if name.endswith("accuracy") else math.inf
            if value is not None and not 0 <= value <= most:
                raise ValueError(f"{where}: {name} must be from 0 to {most}, not {brief(value)}")
    return rows


def _check_weights(part: str, found: Any, model: nn.Module) -> None:
    """The model's own tensors by name, shape and kind of number; weights are finite."""
    wanted = model.state_dict()
    if not isinstance(found, dict):
        raise ValueError(f"{part}: it must be weights by name, not {shown(found)}")
    if differs := sorted(map(str, wanted.keys() ^ found.keys())):
        raise ValueError(f"{part}: {brief(differs[0])} is {'missing' if differs[0] in wanted else 'too much'}")
    learned = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    for name, value in wanted.items():
        if isinstance(value, torch.Tensor):  # a module may keep other things too, and checks them itself
            _check_tensor(f"{part}: {name}", found[name], value, finite=name in learned)


def _check_tensor(where: str, found: Any, like: torch.Tensor, *, finite: bool) -> None:
    """finite: infinity is refused too, and not NaN alone. A mask, for one, may hold infinity."""
    if not isinstance(found, torch.Tensor) or (found.shape, found.dtype) != (like.shape, like.dtype):
        raise ValueError(f"{where} must have shape {tuple(like.shape)} and dtype {like.dtype}, not {shown(found)}")
    if found.layout is not like.layout:
        raise ValueError(f"{where} must be laid out as {like.layout}, not {found.layout}")
    if found.layout is not torch.strided:
        return
    if bool(torch.isnan(found).any()) or (finite and not bool(torch.isfinite(found).all())):
        raise ValueError(f"{where} holds NaN or infinity: the training had diverged, or the file was changed")


# What an optimizer remembers of each parameter, beside the number of its steps.
_REMEMBERS: dict[type, tuple[str, ...]] = {
    torch.optim.AdamW: ("exp_avg", "exp_avg_sq"),
    torch.optim.SGD: ("momentum_buffer",),
}


def _check_optimizer(found: Any, optimizer: torch.optim.Optimizer, rows: list[Epoch]) -> None:
    """As many parameters as there are, and of each what the optimizer remembers. One that never had a gradient, such as
    a frozen one, has nothing.
    """
    if not isinstance(found, dict) or not isinstance(found.get("state"), dict):
        raise ValueError(f"optimizer: it must have a state, not {brief(found)}")
    groups, (own,) = found.get("param_groups"), optimizer.state_dict()["param_groups"]
    if not isinstance(groups, list) or len(groups) != 1 or not isinstance(groups[0], dict):
        raise ValueError(f"optimizer: it must have one group of settings, not {brief(groups)}")
    (group,) = groups
    for name in ("params", "betas", "eps", "weight_decay", "momentum", "dampening", "nesterov"):
        if name in own and (name not in group or not _same(group[name], own[name])):
            raise ValueError(f"optimizer: {name} must be {brief(own[name])}, not {brief(group.get(name, 'missing'))}")
    if rows and not _same(group.get("lr"), rows[-1].lr):
        raise ValueError(f"optimizer: lr must be {rows[-1].lr}, as in the history, not {brief(group.get('lr'))}")
    parameters = optimizer.param_groups[0]["params"]
    remembers = _REMEMBERS[type(optimizer)] if own.get("momentum") != 0 else ()
    if rows and remembers and not found["state"]:
        raise ValueError(f"optimizer: its state is empty after {len(rows)} epochs")
    for key, memory in found["state"].items():
        if type(key) is not int or not 0 <= key < len(parameters):
            raise ValueError(f"optimizer: there is no parameter {brief(key)}")
        _check_memory(f"optimizer: parameter {key}", memory, remembers, parameters[key])


def _check_memory(where: str, memory: Any, remembers: tuple[str, ...], parameter: torch.Tensor) -> None:
    counted = ("step",) if "exp_avg" in remembers else ()
    wanted = {*remembers, *counted}
    if not isinstance(memory, dict) or (memory.keys() ^ wanted):
        raise ValueError(f"{where} must have {', '.join(sorted(wanted)) or 'nothing'}, not {brief(memory)}")
    for name in remembers:
        # The mean of squares may be infinite: it then stops the parameter, and nothing else.
        _check_tensor(f"{where}: {name}", memory[name], parameter, finite=name != "exp_avg_sq")
    if "exp_avg_sq" in memory and bool((memory["exp_avg_sq"] < 0).any()):
        raise ValueError(f"{where}: exp_avg_sq is a mean of squares, and some are below 0")
    for name in counted:
        step = memory[name]
        counts = isinstance(step, torch.Tensor) and step.ndim == 0 and step.is_floating_point()
        if not counts or not (1 <= float(step) < math.inf and float(step).is_integer()):
            raise ValueError(f"{where}: step must be a number of steps, not {brief(step)}")


def _same(found: Any, own: Any) -> bool:
    """Equal, and of a kind that can be compared: a tensor in place of a number is not."""
    return type(found) is type(own) and found == own


def _load_optimizer(found: dict[str, Any], optimizer: torch.optim.Optimizer) -> None:
    """Only what it remembers is taken over, and the rate: its other settings are those of the recipe already."""
    (own,) = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": found["state"], "param_groups": [own | {"lr": found["param_groups"][0]["lr"]}]})


def _load_order(found: Any, order: torch.Generator) -> None:
    try:
        order.set_state(found)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"order: it must be the state of a generator, not {shown(found)}") from error


def _load_scaler(found: Any, scaler: torch.amp.GradScaler) -> None:
    """A run that computes in float16 and did so before: the factor, and how long it has held."""
    if not isinstance(found, dict):
        raise ValueError(f"scaler: it must be the state of a gradient scaler, not {shown(found)}")
    if not scaler.is_enabled() or not found:
        return
    own = scaler.state_dict()
    if found.keys() != own.keys() or not all(type(found[name]) is type(own[name]) for name in own):
        raise ValueError(f"scaler: it must have {', '.join(own)}, not {brief(found)}")
    if not 0 < found["scale"] < math.inf or found["_growth_tracker"] < 0:
        raise ValueError(f"scaler: its factor must be a number above 0, not {brief(found['scale'])}")
    scaler.load_state_dict(own | {name: found[name] for name in ("scale", "_growth_tracker")})


def _shapes(model: nn.Module) -> list[tuple]:
    return [(name, tuple(value.shape), str(value.dtype)) for name, value in model.state_dict().items()]


def _fingerprint(data: Labelled) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(data.images).data)
    digest.update(np.asarray(data.labels, dtype=np.int64).tobytes())
    shape = "x".join(map(str, data.images.shape[1:]))
    return f"{len(data.images):,} images {shape}, SHA-256 {digest.hexdigest()[:12]}"
