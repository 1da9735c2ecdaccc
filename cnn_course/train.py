"""Train a classifier and use it: `fit`, `predict`, `accuracy`, `evaluate`.

Images stay uint8 on the device and become float batch by batch, value / 255, so 0 is black and 1 is white. Nothing
else is done to them but what `TrainConfig.augment` does; a model that wants other numbers begins with a layer that
makes them (`models.normalise`), so that no statistics need to be carried along.
"""

import dataclasses
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from cnn_course import checkpoint as checkpoints
from cnn_course.arguments.integers import integer
from cnn_course.arguments.objects import flag, instance, path
from cnn_course.arguments.shown import brief, shown
from cnn_course.errors import TrainingError
from cnn_course.inspection.probing import still, with_gradient
from cnn_course.training import distributed, resume
from cnn_course.training.distributed import Group
from cnn_course.training.epoch import diverged, one_epoch
from cnn_course.training.history import Epoch, History
from cnn_course.training.labelled import (
    Checked,
    Labelled,
    NotFinite,
    check_images,
    check_labelled,
    check_labels,
    check_network,
    check_trainable,
    device_of,
    logits_of,
    out_of_memory,
    said,
)
from cnn_course.training.precision import precision
from cnn_course.training.recipe import MOST, TrainConfig, callback, make_optimizer

__all__ = ["TrainConfig", "accuracy", "choose_device", "evaluate", "fit", "predict"]


def choose_device(name: str | torch.device = "auto") -> torch.device:
    """The device to compute on: "auto" takes CUDA, else MPS (Apple), else the CPU.

    Raises TypeError for what is no name, ValueError for a device that does not exist, is not there, or, as "meta",
    computes nothing.
    """
    if not isinstance(name, str | torch.device):
        raise TypeError(f'name must be a device such as "auto", "cpu" or "cuda", not {shown(name)}')
    if name == "auto":
        mps = torch.backends.mps.is_available()
        name = "cuda" if torch.cuda.is_available() else "mps" if mps else "cpu"
    try:
        device = torch.device(name)
        if torch.empty(0, device=device).is_meta:
            raise RuntimeError("it has no values, only shapes.")
    except Exception as error:  # torch knows a dozen devices; each is missing in its own way
        raise ValueError(
            f"cannot use the device {brief(name)}: {_why_no_device(error)}. The name must be one that is here: "
            f'{", ".join(_devices())} (elsewhere also "cuda" or "cuda:1", an NVIDIA GPU, and "mps", an Apple GPU).'
        ) from error
    return device


def _why_no_device(error: Exception) -> str:
    """In a few words: torch's own may name each device that it was ever built for."""
    why = str(error).partition("\n")[0].partition(". ")[0].rstrip(".:")
    if not why or "backend" in why or "Expected one of" in why:
        return "it is not on this machine, or PyTorch does not know it"
    return why


def _devices() -> list[str]:
    """The names of the devices that can be chosen on this machine."""
    gpus = [f"cuda:{i}" for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    return ["auto", "cpu", *(["cuda", *gpus] if gpus else []), *(["mps"] if torch.backends.mps.is_available() else [])]


def fit(
    model: nn.Module,
    data: Labelled,
    config: TrainConfig | None = None,
    *,
    val: Labelled | None = None,
    verbose: bool = True,
    checkpoint: str | os.PathLike[str] | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> History:
    """Train `model` in place, from (N, C, H, W) images to (N, classes) logits; one line per epoch if `verbose`.

    In training mode the model may return a tuple: the logits, then those of auxiliary heads, whose loss counts 0.3.
    The model ends on config.device and in evaluation mode. On the CPU the same seed, weights and threads give the same
    result. Ctrl-C keeps what was trained so far: the History then says `interrupted`.
    checkpoint: a file that the run is saved to after each epoch, also after one that was trained and could not be
    validated. If it is there, the run goes on from it, and ends with the weights and the history (but for the seconds)
    that it would have had without a break.
    on_epoch: called with each new row of the History.
    Under torchrun each process does its share of every batch; the first one prints and writes.

    Raises TypeError or ValueError for arguments that cannot be trained with, CheckpointError for a checkpoint that is
    damaged, of another run, or cannot be written: all before the first step, with the model as it was.
    Raises TrainingError when the loss is no longer finite, the memory is full, or `config.augment` or `on_epoch` fails,
    CheckpointError when the disk fills up. What was done until then is kept: the model has its weights, the error's
    `history` the rows.
    """
    config = TrainConfig() if config is None else config
    seen, held_out = _checked(model, data, config, val, verbose, on_epoch)
    file = None if checkpoint is None else path("checkpoint", checkpoint)
    group = distributed.setup(config.device)
    device = choose_device(group.device)
    with _room_for(seen, device):
        model.to(device)
        check_trainable(model, [seen] if held_out is None else [seen, held_out])
        # torch.tensor copies: the arrays of a data set may be read-only views.
        images = torch.tensor(np.ascontiguousarray(seen.images)).to(device)
        labels = torch.tensor(seen.labels).to(device)
    run = {} if file is None else resume.identity(model, seen, held_out, config)

    half = precision(device, config.amp)
    history = History(device=str(device), precision=str(half))
    order = torch.Generator().manual_seed(config.seed)
    state = resume.State(model, make_optimizer(model, config), order, half.scaler, history)
    say = print if verbose and group.rank == 0 else lambda *args, **kwargs: None
    if file is not None:
        saved = distributed.from_first(checkpoints.load(file) if group.rank == 0 else None, group)
        if saved is not None:
            resume.check(saved, file, run, config.epochs)
        if group.rank == 0 and (saved is None or len(saved["history"]) < config.epochs):
            resume.save(file, run, state, trial=True)
        if saved is not None:
            resume.restore(saved, file, state)
            say(f"going on from {file}: {len(history.epochs)} of {config.epochs} epochs are done", flush=True)
    if half.dtype == torch.float16:
        say("amp computes in float16, with a gradient scaler: this GPU has no bfloat16", flush=True)
    if config.channels_last or (config.channels_last is None and device.type in ("cpu", "cuda")):
        # The weights of a convolution decide how its maps lie in memory; this way round the CPU is faster.
        for weight in model.parameters():
            if weight.ndim == 4:  # `model.to` would fail where another has five axes
                weight.data = weight.data.to(memory_format=torch.channels_last)
    network = distributed.wrap(model, group)
    if config.compile:
        network = torch.compile(network)

    def keep() -> None:
        if file is not None and group.rank == 0:
            resume.save(file, run, state)

    # Dropout draws from torch's global generator: fork it, so that the seed decides and the caller's stays untouched.
    epoch = done = len(history.epochs)
    # A run that ended between an epoch's last step and its validation goes on with that.
    unseen = held_out is not None and bool(done) and history.epochs[-1].val_loss is None
    modes = {module: module.training for module in model.modules()}
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), with_gradient():
        try:
            for epoch in range(done + (not unseen), config.epochs + 1):
                if config.patience and not unseen and _since_best(history) > config.patience:
                    say(f"stopped: no better val accuracy in {config.patience} epochs", flush=True)
                    break
                if not unseen:
                    start = time.perf_counter()
                    model.train()
                    with distributed.together(group), _explained(config, epoch):
                        train = one_epoch(network, state.optimizer, images, labels, config, half, group, order, epoch)
                    lr, seconds = state.optimizer.param_groups[0]["lr"], time.perf_counter() - start
                    history.epochs.append(Epoch(epoch, *train, None, None, lr, seconds))
                if held_out is not None:
                    with distributed.together(group), _explained(config, epoch):
                        history.epochs[-1] = _validated(history.epochs[-1], model, held_out, group, config, keep)
                unseen = False
                if config.patience and _since_best(history) == 1:
                    state.best = {name: value.detach().clone() for name, value in model.state_dict().items()}
                keep()
                say(history.epochs[-1], flush=True)
                if on_epoch is not None and group.rank == 0:
                    _call(on_epoch, history.epochs[-1])
            if state.best is not None:
                model.load_state_dict(state.best)
                history.restored = history.epochs[-_since_best(history)].epoch
                say(f"the model has the weights of epoch {history.restored}", flush=True)
        except KeyboardInterrupt:
            history.interrupted = True
            say(f"stopped in epoch {epoch} of {config.epochs}: the model keeps what it has learned", flush=True)
            if file is not None and file.exists():
                say(f"{file} holds the last whole epoch: the same call goes on from there", flush=True)
        except Exception as error:
            for module, training in modes.items():
                module.training = training
            error.history = history  # type: ignore[attr-defined]
            if history.epochs:
                error.add_note(
                    f"{len(history.epochs)} of {config.epochs} epochs were finished: the model has the weights that it "
                    "had when this happened, and the error's `history` has the rows"
                )
            raise
    model.eval()
    return history


def _checked(
    model: nn.Module,
    data: Labelled,
    config: TrainConfig,
    val: Labelled | None,
    verbose: bool,
    on_epoch: Callable[[Epoch], None] | None,
) -> tuple[Checked, Checked | None]:
    """What to train and to validate on. Raises TypeError or ValueError for arguments that `fit` cannot use."""
    check_network(model)
    seen = check_labelled("data", data)
    instance("config", config, TrainConfig, "a TrainConfig, such as TrainConfig(epochs=3, lr=0.01)")
    if val is None and config.patience is not None:
        raise ValueError(f"patience={config.patience} looks at the val accuracy: give validation data, val=...")
    flag("verbose", verbose)
    if on_epoch is not None:
        callback("on_epoch", on_epoch, "row")
    return seen, None if val is None else check_labelled("val", val)


def _call(on_epoch: Callable[[Epoch], None], row: Epoch) -> None:
    try:
        on_epoch(row)
    except Exception as error:
        raise TrainingError(
            f"the training stopped after epoch {row.epoch}, because on_epoch raised {said(error)}"
        ) from error


def _since_best(history: History) -> int:
    """How many epochs before the next one the val accuracy was best: 1 if in the last; 0 where there is none yet."""
    best = history.best()
    return 0 if best is None else len(history.epochs) - best


@contextmanager
def _explained(config: TrainConfig, epoch: int) -> Iterator[None]:
    """Say what to do where torch only says what went wrong."""
    try:
        yield
    except NotFinite as error:
        raise TrainingError(diverged(f"of the validation images after epoch {epoch}", config)) from error
    except (RuntimeError, ValueError) as error:
        line = str(error).partition("\n")[0]
        if "more than 1 value per channel" in line:
            raise TrainingError(
                "batch norm cannot train on a batch of one image, and the last one of the epoch has no more: "
                f"choose another batch_size than {config.batch_size}"
            ) from error
        if config.compile and type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            raise TrainingError(f"compile does not work here, leave it off: {line}") from error
        if out_of_memory(error):
            cheaper = "" if config.amp else ", amp=True"
            raise TrainingError(
                f"out of memory in epoch {epoch}, with batches of {config.batch_size:,} images: choose a smaller "
                f"batch_size{cheaper}, smaller images or a smaller network ({line})"
            ) from error
        if isinstance(error, RuntimeError):
            raise TrainingError(
                f"model, or what augment or lr make of it, cannot be trained (epoch {epoch}): {said(error)}"
            ) from error
        raise


@contextmanager
def _room_for(data: Checked, device: torch.device) -> Iterator[None]:
    """Around what puts network and images on the device."""
    try:
        yield
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        raise TrainingError(
            f"{device} has no room for the network and the {len(data.images):,} training images, "
            f"{data.images.nbytes / 1e6:,.0f} MB: take fewer or smaller images, or a smaller network "
            f"({str(error).partition(chr(10))[0]})"
        ) from error


def _validated(
    row: Epoch, model: nn.Module, val: Checked, group: Group, config: TrainConfig, keep: Callable[[], None]
) -> Epoch:
    """The row of an epoch that was trained, with its validation. `keep` is called where that fails.

    Batches are no larger than those of the training, so what could be trained has memory for it.
    """
    start = time.perf_counter()
    try:
        loss, right = _validate(model, val, group, min(config.batch_size, _most_at_once(model)))
    except NotFinite:  # the training has diverged: nothing to keep
        raise
    except BaseException:
        keep()
        raise
    seconds = row.seconds + time.perf_counter() - start
    return dataclasses.replace(row, val_loss=loss, val_accuracy=right, seconds=seconds)


def _validate(model: nn.Module, val: Checked, group: Group, batch_size: int) -> tuple[float, float]:
    """`evaluate`, where each process looks at its share of the images."""
    part = val
    if group.world_size > 1:
        distributed.same_buffers(model, group)
        mine = distributed.share(torch.arange(len(val.labels)), group).numpy()
        part = Checked(val.name, val.images[mine], val.labels[mine])
    sums = torch.tensor(_loss_and_correct(model, part, batch_size), device=device_of(model))
    loss, correct = distributed.total(sums, group).tolist()
    return loss / len(val.labels), correct / len(val.labels)


def evaluate(model: nn.Module, data: Labelled, batch_size: int | None = None) -> tuple[float, float]:
    """Mean cross-entropy and share of right answers. Raises as `predict` does, for no image and for a wrong label."""
    check_network(model)
    part = check_labelled("data", data)
    loss, correct = _loss_and_correct(model, part, batch_size)
    return loss / len(part.labels), correct / len(part.labels)


def accuracy(model: nn.Module, data: Labelled, batch_size: int | None = None) -> float:
    """Share of the images whose most probable class is their label. Raises as `evaluate` does."""
    return evaluate(model, data, batch_size)[1]


def predict(model: nn.Module, images: NDArray[np.uint8], batch_size: int | None = None) -> NDArray[np.float32]:
    """Class probabilities (N, classes) float32 of uint8 images (N, C, H, W), computed where the model is.

    batch_size: images at once, by default 64 on the CPU, so that the maps stay in its cache, and 1024 on a GPU; fewer
    where that many have no memory.
    The model predicts in evaluation mode; each of its parts is left in the mode that it was in. No image gives an empty
    result. Raises TypeError or ValueError for other images, and for a model that gives no logits or no finite ones.
    """
    check_network(model)
    check_images("images", images)
    return _logits(model, images, "images", batch_size).softmax(dim=1).numpy()


def _logits(
    model: nn.Module,
    images: NDArray[np.uint8],
    name: str,
    batch_size: int | None = None,
    check: Callable[[torch.Tensor], None] = lambda logits: None,
) -> torch.Tensor:
    """(N, C, H, W) uint8 -> (N, classes) float32 on the CPU, in evaluation mode; `check` sees each batch."""
    at_once = integer("batch_size", batch_size, least=1, most=MOST) if batch_size is not None else _most_at_once(model)
    found: list[torch.Tensor] = []
    first = 0
    with still(model), torch.inference_mode():
        # An empty batch goes through the model as well: only the model knows how many classes there are.
        while not found or first < len(images):
            try:
                logits = logits_of(model, images[first : first + at_once], name).cpu()
            except RuntimeError as error:
                if not out_of_memory(error) or at_once == 1:
                    raise
                logits = None
            if logits is None:  # after the error is gone, and what it holds: another half, until one image is too much
                at_once = (at_once + 1) // 2
                continue
            check(logits)
            found.append(logits)
            first += at_once
    return torch.cat(found)


def _most_at_once(model: nn.Module) -> int:
    return 64 if device_of(model).type == "cpu" else 1024


def _loss_and_correct(model: nn.Module, data: Checked, batch_size: int | None = None) -> tuple[float, float]:
    """Sum of the cross-entropy over the images, and the number of right answers."""
    logits = _logits(model, data.images, f"{data.name}.images", batch_size, lambda batch: check_labels(data, batch))
    labels = torch.tensor(data.labels)
    loss = F.cross_entropy(logits, labels, reduction="sum")
    return float(loss), float((logits.argmax(dim=1) == labels).sum())
