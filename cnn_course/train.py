"""Train a classifier and use it: `fit`, `predict`, `accuracy`, `evaluate`.

Images stay uint8 on the device and become float batch by batch, value / 255, so 0 is black and 1 is white. Nothing
else is done to them but what `TrainConfig.augment` does; a model that wants other numbers begins with a layer that
makes them (`models.normalise`), so that no statistics need to be carried along.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from cnn_course import checkpoint as checkpoints
from cnn_course.errors import TrainingError
from cnn_course.training import distributed, resume
from cnn_course.training.distributed import Group
from cnn_course.training.history import Epoch, History
from cnn_course.training.labelled import Labelled, as_input, check_images, check_labelled, check_model
from cnn_course.training.recipe import TrainConfig, lr_at, make_optimizer

__all__ = ["TrainConfig", "accuracy", "choose_device", "evaluate", "fit", "predict"]

AUXILIARY = 0.3  # weight of the loss of auxiliary heads, as in GoogLeNet (Szegedy et al. 2015)


def choose_device(name: str = "auto") -> torch.device:
    """The device to compute on: "auto" takes CUDA, else MPS (Apple), else the CPU.

    Raises ValueError for a device that does not exist or is not there.
    """
    if name == "auto":
        mps = torch.backends.mps.is_available()
        name = "cuda" if torch.cuda.is_available() else "mps" if mps else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(
            f"cannot use the device {name!r}: {str(error).splitlines()[0]} "
            'Use "auto", "cpu", "cuda" (an NVIDIA GPU) or "mps" (an Apple GPU).'
        ) from error
    return device


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
    checkpoint: a file that the run is saved to after each epoch. If it is there, the run goes on from it, and ends with
    the weights and the history (but for the seconds) that it would have had without a break.
    on_epoch: called with each new row of the History.
    Under torchrun each process does its share of every batch; the first one prints and writes.
    Raises TypeError or ValueError for data that cannot be trained on, CheckpointError for a checkpoint that is damaged
    or of another run, TrainingError when the loss is no longer finite.
    """
    config = config or TrainConfig()
    group = distributed.setup(config.device)
    device = choose_device(group.device)
    check_labelled(data, "the training data")
    if val is not None:
        check_labelled(val, "the validation data")
    elif config.patience is not None:
        raise ValueError(f"patience={config.patience} looks at the val accuracy: give validation data, val=...")
    model.to(device)
    if config.channels_last or (config.channels_last is None and device.type in ("cpu", "cuda")):
        # The weights of a convolution decide how its maps lie in memory; this way round the CPU is faster.
        model.to(memory_format=torch.channels_last)
    check_model(model, data, val)
    run = {} if checkpoint is None else resume.identity(model, data, val, config)
    # torch.tensor copies: the arrays of a data set may be read-only views.
    images = torch.tensor(np.ascontiguousarray(data.images)).to(device)
    labels = torch.tensor(np.asarray(data.labels, dtype=np.int64)).to(device)

    network = distributed.wrap(model, group)
    if config.compile:
        network = torch.compile(network)
    optimizer = make_optimizer(model, config)
    order = torch.Generator().manual_seed(config.seed)
    history, best = History(device=str(device)), None
    say = print if verbose and group.rank == 0 else lambda *args, **kwargs: None
    if checkpoint is not None:
        state = distributed.from_first(checkpoints.load(checkpoint) if group.rank == 0 else None, group)
        if state is not None:
            best = resume.restore(state, checkpoint, run, config.epochs, model, optimizer, order, history)
            say(f"going on from {checkpoint}: {len(history.epochs)} of {config.epochs} epochs are done", flush=True)

    # Dropout draws from torch's global generator: fork it, so that the seed decides and the caller's stays untouched.
    epoch = done = len(history.epochs)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        try:
            for epoch in range(done + 1, config.epochs + 1):
                if config.patience and _since_best(history) > config.patience:
                    say(f"stopped: no better val accuracy in {config.patience} epochs", flush=True)
                    break
                start = time.perf_counter()
                model.train()
                with distributed.together(group), _explained(config):
                    train = _one_epoch(network, optimizer, images, labels, config, group, order, epoch)
                val_loss, val_accuracy = (None, None) if val is None else _validate(model, val, group)
                lr, seconds = optimizer.param_groups[0]["lr"], time.perf_counter() - start
                history.epochs.append(Epoch(epoch, *train, val_loss, val_accuracy, lr, seconds))
                if config.patience and _since_best(history) == 1:
                    best = {name: value.detach().clone() for name, value in model.state_dict().items()}
                if checkpoint is not None and group.rank == 0:
                    resume.save(checkpoint, run, model, optimizer, order, history, best)
                say(history.epochs[-1], flush=True)
                if on_epoch is not None and group.rank == 0:
                    on_epoch(history.epochs[-1])
            if best is not None:
                model.load_state_dict(best)
                history.restored = history.epochs[-_since_best(history)].epoch
                say(f"the model has the weights of epoch {history.restored}", flush=True)
        except KeyboardInterrupt:
            history.interrupted = True
            say(f"stopped in epoch {epoch} of {config.epochs}: the model keeps what it has learned", flush=True)
            if checkpoint is not None and Path(checkpoint).exists():
                say(f"{checkpoint} holds the last whole epoch: the same call goes on from there", flush=True)
        finally:
            model.eval()
    return history


def _since_best(history: History) -> int:
    """How many epochs before the next one the val accuracy was best: 1 if in the last; 0 where there is none yet."""
    best = history.best()
    return 0 if best is None else len(history.epochs) - best


def _one_epoch(
    network: Callable[[torch.Tensor], torch.Tensor | tuple[torch.Tensor, ...]],
    optimizer: torch.optim.Optimizer,
    images: torch.Tensor,
    labels: torch.Tensor,
    config: TrainConfig,
    group: Group,
    order: torch.Generator,
    epoch: int,
) -> tuple[float, float]:
    """One pass over the data in a fresh random order; the mean loss and the share of right answers."""
    # Every epoch draws from seeds of its own, so an epoch after a break draws the same. Processes augment alike, and
    # drop different units.
    draws = torch.Generator().manual_seed(_seed(config.seed, epoch))
    torch.manual_seed(_seed(config.seed, epoch, 1 + group.rank))
    batches = torch.randperm(len(images), generator=order).to(images.device).split(config.batch_size)
    steps_before, steps = (epoch - 1) * len(batches), config.epochs * len(batches)
    losses = torch.zeros(len(batches), device=images.device)
    correct = torch.zeros((), device=images.device)
    for step, batch in enumerate(_bar(batches, f"epoch {epoch}") if group.rank == 0 else batches):
        for parameters in optimizer.param_groups:
            parameters["lr"] = lr_at(steps_before + step, steps, config)
        x, y = images[batch], distributed.share(labels[batch], group)
        if config.augment is not None:
            x = config.augment(x, draws)
        x = distributed.share(x, group)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=config.amp):
            outputs = network(as_input(x))
        logits, *heads = outputs if isinstance(outputs, tuple) else (outputs,)
        loss = _summed_loss(logits, y, config)
        for head in heads:
            loss = loss + AUXILIARY * _summed_loss(head, y, config)
        optimizer.zero_grad()
        # Processes average their gradients: the mean over the whole batch, also where their shares differ in size.
        (loss / len(batch) * group.world_size).backward()
        optimizer.step()
        losses[step] = loss.detach()
        correct += (logits.detach().argmax(dim=1) == y).sum()
    losses, correct = distributed.total(losses, group), distributed.total(correct, group)
    # Looked at once per epoch: to read each loss in its step would make a GPU wait.
    bad = (~torch.isfinite(losses)).nonzero()
    if len(bad):
        raise TrainingError(
            f"the loss is no longer a finite number (epoch {epoch}, step {int(bad[0]) + 1} of {len(batches)}). "
            "Make a new model and train it with a smaller lr, a tenth for example; if that does not help, look for "
            "NaN or infinity in the model's first weights or for a division by zero in its layers."
        )
    return float(losses.sum()) / len(images), float(correct) / len(images)


@contextmanager
def _explained(config: TrainConfig) -> Iterator[None]:
    """Say what to do where torch only says what went wrong."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        said = str(error).partition("\n")[0]
        if "more than 1 value per channel" in said:
            raise TrainingError(
                "batch norm cannot train on a batch of one image, and the last one of the epoch has no more: "
                f"choose another batch_size than {config.batch_size}"
            ) from error
        if config.compile and type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            raise TrainingError(f"compile does not work here, leave it off: {said}") from error
        raise


def _seed(*numbers: int) -> int:
    """One seed made of several numbers, such as a seed and an epoch; other numbers give another one."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])


def _summed_loss(logits: torch.Tensor, labels: torch.Tensor, config: TrainConfig) -> torch.Tensor:
    return F.cross_entropy(logits.float(), labels, label_smoothing=config.label_smoothing, reduction="sum")


def _validate(model: nn.Module, val: Labelled, group: Group) -> tuple[float, float]:
    """`evaluate`, where each process looks at its share of the images."""
    if group.world_size == 1:
        return evaluate(model, val)
    distributed.same_buffers(model, group)
    mine = distributed.share(torch.arange(len(val.labels)), group).numpy()
    sums = _loss_and_correct(model, val.images[mine], np.asarray(val.labels)[mine])
    device = next(p.device for p in model.parameters())
    loss, correct = distributed.total(torch.tensor(sums, device=device), group).tolist()
    return loss / len(val.labels), correct / len(val.labels)


def evaluate(model: nn.Module, data: Labelled, batch_size: int | None = None) -> tuple[float, float]:
    """Mean cross-entropy and share of right answers. Raises as `predict` does, and for no image."""
    check_labelled(data, "the data")
    loss, correct = _loss_and_correct(model, data.images, data.labels, batch_size)
    return loss / len(data.labels), correct / len(data.labels)


def accuracy(model: nn.Module, data: Labelled, batch_size: int | None = None) -> float:
    """Share of the images whose most probable class is their label. Raises as `predict` does, and for no image."""
    return evaluate(model, data, batch_size)[1]


def predict(model: nn.Module, images: NDArray[np.uint8], batch_size: int | None = None) -> NDArray[np.float32]:
    """Class probabilities (N, classes) float32 of uint8 images (N, C, H, W), computed where the model is.

    batch_size: by default 64 on the CPU, so that the maps stay in its cache, and 1024 on a GPU.
    The model predicts in evaluation mode and is left in the mode that it was in. No image gives an empty result.
    Raises TypeError or ValueError for other images.
    """
    return _logits(model, images, batch_size).softmax(dim=1).numpy()


def _logits(model: nn.Module, images: NDArray[np.uint8], batch_size: int | None = None) -> torch.Tensor:
    """(N, C, H, W) uint8 -> (N, classes) float32 on the CPU, in evaluation mode."""
    check_images(images, "the images")
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    if batch_size is None:
        batch_size = 64 if device.type == "cpu" else 1024
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            # An empty batch goes through the model as well: only the model knows how many classes there are.
            starts = range(0, max(len(images), 1), batch_size)
            batches = (torch.tensor(np.ascontiguousarray(images[i : i + batch_size])).to(device) for i in starts)
            return torch.cat([model(as_input(x)).float().cpu() for x in batches])
    finally:
        model.train(was_training)


def _loss_and_correct(
    model: nn.Module, images: NDArray[np.uint8], labels: NDArray[np.integer], batch_size: int | None = None
) -> tuple[float, float]:
    """Sum of the cross-entropy over the images, and the number of right answers."""
    logits, labels = _logits(model, images, batch_size), torch.tensor(np.asarray(labels, dtype=np.int64))
    loss = F.cross_entropy(logits, labels, reduction="sum")
    return float(loss), float((logits.argmax(dim=1) == labels).sum())


def _bar(batches: tuple[torch.Tensor, ...], title: str) -> Iterator[torch.Tensor]:
    """A tqdm bar where somebody watches: a terminal, or a notebook that is open in Jupyter; nothing elsewhere."""
    # Jupyter's server names the session for its kernels; a notebook run without a browser has no such name.
    notebook = "JPY_SESSION_NAME" in os.environ and os.environ.get("CNN_COURSE_WIDGETS", "1") != "0"
    if not (notebook or sys.stderr.isatty()):
        return iter(batches)
    from tqdm.auto import tqdm

    return iter(tqdm(batches, desc=title, leave=False, delay=1))
