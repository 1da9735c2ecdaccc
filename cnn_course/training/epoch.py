"""One pass over the training images: batches in a random order, augmentation, loss, gradient, step."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
from torch.nn import functional as F

from cnn_course.arguments.shown import shown
from cnn_course.errors import TrainingError
from cnn_course.training import distributed
from cnn_course.training.distributed import Group
from cnn_course.training.labelled import as_input, check_logits, out_of_memory, said
from cnn_course.training.precision import Precision
from cnn_course.training.recipe import DrawsAhead, TrainConfig, lr_at

AUXILIARY = 0.3  # weight of the loss of auxiliary heads, as in GoogLeNet (Szegedy et al. 2015)


def one_epoch(
    network: Callable[[torch.Tensor], torch.Tensor | tuple[torch.Tensor, ...]],
    optimizer: torch.optim.Optimizer,
    images: torch.Tensor,
    labels: torch.Tensor,
    config: TrainConfig,
    precision: Precision,
    group: Group,
    order: torch.Generator,
    epoch: int,
) -> tuple[float, float]:
    """One pass over the data in a fresh random order; the mean loss and the share of right answers."""
    # Every epoch draws from seeds of its own, so an epoch after a break draws the same. Processes augment alike, and
    # drop different units.
    draws = torch.Generator().manual_seed(_seed(config.seed, epoch))
    # torch.manual_seed asks for every kind of GPU, and where there is none it keeps the stack of each call in a list.
    on_cpu = images.device.type == "cpu"
    (torch.default_generator if on_cpu else torch).manual_seed(_seed(config.seed, epoch, 1 + group.rank))
    batches = torch.randperm(len(images), generator=order).to(images.device).split(config.batch_size)
    steps_before, steps = (epoch - 1) * len(batches), config.epochs * len(batches)
    losses = torch.zeros(len(batches), device=images.device)
    correct = torch.zeros((), device=images.device)
    highest = int(labels.max())
    changes = _changes(config.augment, batches, images, draws)
    for step, batch in enumerate(_bar(batches, f"epoch {epoch}") if group.rank == 0 else batches):
        for parameters in optimizer.param_groups:
            parameters["lr"] = lr_at(steps_before + step, steps, config)
        x, y = images[batch], distributed.share(labels[batch], group)
        if config.augment is not None:
            x = _augmented(x, changes[step])
        x = distributed.share(x, group)
        with precision.autocast(images.device):
            outputs = network(as_input(x))
        logits, *heads = _all_logits(outputs, len(x), highest)
        loss = _summed_loss(logits, y, config)
        for head in heads:
            loss = loss + AUXILIARY * _summed_loss(head, y, config)
        optimizer.zero_grad()
        # Processes average their gradients: the mean over the whole batch, also where their shares differ in size.
        precision.scaler.scale(loss / len(batch) * group.world_size).backward()
        precision.scaler.step(optimizer)
        precision.scaler.update()
        losses[step] = loss.detach()
        correct += (logits.detach().argmax(dim=1) == y).sum()
    losses, correct = distributed.total(losses, group), distributed.total(correct, group)
    # Looked at once per epoch: to read each loss in its step would make a GPU wait.
    bad = (~torch.isfinite(losses)).nonzero()
    if len(bad):
        raise TrainingError(diverged(f"epoch {epoch}, step {int(bad[0]) + 1} of {len(batches)}", config))
    return float(losses.sum()) / len(images), float(correct) / len(images)


Change = Callable[[torch.Tensor], torch.Tensor]


def _changes(
    augment: Callable[[torch.Tensor, torch.Generator], torch.Tensor] | None,
    batches: tuple[torch.Tensor, ...],
    images: torch.Tensor,
    draws: torch.Generator,
) -> list[Change]:
    """What `augment` does to each batch. What can be drawn ahead goes to the device once, and not in each step."""
    if augment is None:
        return []
    ahead: object = augment
    if not isinstance(ahead, DrawsAhead):
        return [lambda x: augment(x, draws)] * len(batches)
    sizes = [len(batch) for batch in batches]
    with _failing_augment(images[: sizes[0]]):
        drawn = [ahead.draw(size, images[:1], draws) for size in sizes]
    whole = {name: torch.cat([numbers[name] for numbers in drawn]).to(images.device) for name in drawn[0]}
    parts = {name: numbers.split(sizes) for name, numbers in whole.items()}
    numbers = [{name: part[i] for name, part in parts.items()} for i in range(len(batches))]
    return [partial(ahead.apply, drawn=each) for each in numbers]


def _augmented(x: torch.Tensor, change: Change) -> torch.Tensor:
    """The batch after `augment`, which anybody may have written."""
    with _failing_augment(x):
        changed = change(x)
    if not isinstance(changed, torch.Tensor) or changed.ndim != 4 or len(changed) != len(x) or changed.is_complex():
        raise TrainingError(f"augment must return a batch of {len(x)} images (N, C, H, W), not {shown(changed)}")
    return changed


@contextmanager
def _failing_augment(x: torch.Tensor) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if out_of_memory(error):
            raise
        raise TrainingError(
            f"augment failed on a batch of shape {tuple(x.shape)}, because it raised {said(error)}"
        ) from error


def _all_logits(outputs: object, images: int, highest: int) -> list[torch.Tensor]:
    """What a model gives in training mode: the logits, and those of auxiliary heads."""
    several = list(outputs) if isinstance(outputs, tuple) and outputs else [outputs]
    found = [check_logits(each, images) for each in several]
    for each in found:
        if each.shape[1] <= highest:
            raise ValueError(
                f"model gives {each.shape[1]} logits in training mode, for the labels 0 to {each.shape[1] - 1}, and "
                f"there is a label {highest}"
            )
    return found


def _summed_loss(logits: torch.Tensor, labels: torch.Tensor, config: TrainConfig) -> torch.Tensor:
    return F.cross_entropy(logits.float(), labels, label_smoothing=config.label_smoothing, reduction="sum")


def diverged(where: str, config: TrainConfig) -> str:
    what = f"a smaller lr than {config.lr:g}, a tenth for example"
    if config.lr * config.weight_decay >= 2:  # each step multiplies the weights by 1 - lr * weight_decay
        most = 1 / config.lr
        what = (
            f"a smaller weight_decay than {config.weight_decay:g}: with lr {config.lr:g} the decay alone makes the "
            f"weights grow, and above {most:.3g} it is too large for any network"
        )
    return (
        f"the loss is no longer a finite number ({where}). Make a new model and train it with {what}; if that does not "
        "help, look for NaN or infinity in the model's first weights or for a division by zero in its layers."
    )


def _seed(*numbers: int) -> int:
    """One seed made of several numbers, such as a seed and an epoch; other numbers give another one."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])


def _bar(batches: tuple[torch.Tensor, ...], title: str) -> Iterator[torch.Tensor]:
    """A tqdm bar where somebody watches: a terminal, or a notebook that is open in Jupyter; nothing elsewhere.

    In a notebook it is one of letters, too: tqdm's own for notebooks is a widget, which is saved with the notebook and
    cannot be shown when the kernel has gone.
    """
    # Jupyter's server names the session for its kernels; a notebook run without a browser has no such name.
    notebook = "JPY_SESSION_NAME" in os.environ and os.environ.get("CNN_COURSE_WIDGETS", "1") != "0"
    if not (notebook or sys.stderr.isatty()):
        return iter(batches)
    from tqdm import tqdm

    file, columns = (sys.stdout, 80) if notebook else (None, None)
    return iter(tqdm(batches, desc=title, leave=False, delay=1, file=file, ncols=columns))
