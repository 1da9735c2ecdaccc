"""What `cnn-course train` does: a network, a data set and a recipe from the shell; a results file at the end.

While it runs, DIR/NAME.checkpoint holds the last whole epoch. The same command goes on from there; at the end come
NAME.csv and NAME.json, as `runs` reads them, and the checkpoint goes.
"""

import argparse
import dataclasses
import difflib
import inspect
import os
import re
import shlex
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from cnn_course import datasets, runs, trace, train
from cnn_course.arguments.memory import MOST_BYTES
from cnn_course.arguments.shown import brief
from cnn_course.augment import Augment
from cnn_course.commands.shell_words import typed
from cnn_course.datasets import Dataset, Split
from cnn_course.errors import CheckpointError, RunError, TrainingError, UsageError
from cnn_course.files import system_errors
from cnn_course.files.whole_files import MOST_NAME, check_writable
from cnn_course.models.normalise import Normalise
from cnn_course.models.shell_names import shell_names
from cnn_course.training import distributed
from cnn_course.training.history import History
from cnn_course.training.labelled import first_channels, out_of_memory
from cnn_course.training.recipe import TrainConfig

# As few as on a CPU: a test split is looked at once, and what could be trained has memory for it.
EVALUATED_AT_ONCE = 64


def train_model(args: argparse.Namespace) -> int:
    """Run the command; returns 0, or 130 after Ctrl-C. Raises UsageError and the errors of the rooms it uses."""
    config = recipe(args)
    try:
        group = distributed.setup(config.device)  # before anything touches a GPU: each process has its own
        device = train.choose_device(group.device)
    except ValueError as error:
        raise UsageError(str(error)) from error
    first = group.rank == 0
    say = print if first else lambda *_, **__: None
    if args.model not in shell_names():
        raise UsageError(f"there is no model {brief(args.model)}. {_suggestion(args.model)}")
    data = load_data(args.data, args.size, args.images)
    _check_augment(config, data)
    if args.title is not None:
        data = dataclasses.replace(data, title=args.title)
    name = args.name if args.name is not None else f"{args.model}-{data.name}{args.size or ''}-s{config.seed}"
    checkpoint = args.output / f"{name}.checkpoint"
    if first:
        _check_output(args.output, name, args.overwrite)
        if args.fresh:
            _remove(checkpoint)
    torch.manual_seed(config.seed)
    model, costs = build(args.model, data, width=args.width, dropout=args.dropout)
    say(_screen(args, config, device, data, costs, name, group.world_size), flush=True)

    resumed = checkpoint.exists()
    start = time.process_time()
    try:
        history = train.fit(model, data.train, config, val=data.val, checkpoint=checkpoint)
    except CheckpointError as error:
        if isinstance(error.__cause__, OSError):  # it cannot be read or written: to begin anew would not help
            raise
        raise UsageError(f"{error} (--fresh begins anew.)") from error
    except TrainingError as error:
        if error.__cause__ is None or not out_of_memory(error.__cause__):
            raise
        said = str(error).replace("batch_size", "--batch-size").replace("amp=True", "--amp")
        kept = ""
        if checkpoint.exists():
            kept = f" {checkpoint} holds what was done until then: with this recipe the command goes on from there."
        raise UsageError(f"{said}.{kept}") from error
    if not first:
        return 130 if history.interrupted else 0
    if history.interrupted:
        words = [word for word in args.command_line if word != "--fresh"]
        again = typed(words)
        if not checkpoint.exists():
            say("no epoch was finished, so there is nothing to go on from", flush=True)
        elif group.world_size == 1:
            say(f"To go on: cnn-course {again}", flush=True)
        return 130

    loss, right = train.evaluate(model, data.test, min(config.batch_size, EVALUATED_AT_ONCE))
    errors = round((1 - right) * len(data.test))
    say(f"test split, {len(data.test):,} images, looked at once: accuracy {right:.4f}, {errors:,} errors")
    about = {
        "command": f"cnn-course {shlex.join(args.command_line)}",
        "model": args.model,
        **costs,
        "data": data.title,
        "images": _counts(data),
        "seed": config.seed,
        "device": history.device,
        "precision": history.precision,
        "processes": group.world_size,
        "wall_seconds": round(float(history.column("seconds").sum()), 1),
        # Of this process: a resumed run has no record of the time before.
        "cpu_seconds": None if resumed else round(time.process_time() - start, 1),
        "restored_epoch": history.restored,
        "test_loss": loss,
        "test_accuracy": right,
        "test_errors": errors,
    }
    try:
        _write(name, history, config, about, args, model)
    except RunError as error:
        raise RunError(
            f"{error} The whole training is kept in {checkpoint}: the same command goes on from there."
        ) from error
    _remove(checkpoint)
    return 0


def recipe(args: argparse.Namespace) -> TrainConfig:
    """The TrainConfig of the command line: what is not named keeps its default. Raises UsageError."""
    given = {key: value for key, value in vars(args).items() if value is not None}
    names = {field.name for field in dataclasses.fields(TrainConfig)} - {"augment"}
    try:
        augment = Augment(
            **{field.name: given[field.name] for field in dataclasses.fields(Augment) if field.name in given}
        )
        config = TrainConfig(
            **{key: given[key] for key in names & given.keys()}, augment=None if augment == Augment() else augment
        )
    except ValueError as error:
        raise UsageError(str(error)) from error
    return config


def load_data(name: str, size: int | None, images: int | None) -> Dataset:
    """The data set, with `images` of its training images, evenly spaced: the files of a folder lie class by class."""
    if size is not None and name.lower().replace("_", "-") in datasets.NAMES:
        raise UsageError(f"--size scales the images of a folder; those of {name} have one size: leave it out")
    if size is not None and size < 1:
        raise UsageError(f"--size must be a number of pixels above 0, got {size}")
    data = datasets.load(name, size=None if size is None else (size, size))
    if images is None:
        return data
    if not 1 <= images <= len(data.train):
        raise UsageError(f"--images must be from 1 to {len(data.train):,}, all training images, got {images}")
    chosen = np.arange(images) * len(data.train) // images
    return dataclasses.replace(data, train=Split(data.train.images[chosen], data.train.labels[chosen]))


def build(
    name: str, data: Dataset, *, width: int | None = None, dropout: float | None = None
) -> tuple[nn.Sequential, dict[str, int | None]]:
    """A model for `data`, with new weights: children "normalise" (statistics of the training images) and "network".

    Returns it with {"parameters": …, "macs": …} of the network on one image; macs is None where `trace` does not know
    a layer, as in lenet5. width: of the hidden layer of mlp, of the first stage of resnet20 … 110 and plain20 … 110.
    dropout: of the fully connected layers of lenet.
    LeNet-5 as published has inputs of 32 x 32: images of 28 x 28 get a border of 2 black pixels first, as in the paper.
    Raises UsageError for a model that has no such option, or that cannot take the images.
    """
    make = shell_names()[name]
    takes = inspect.signature(make).parameters
    shape = data.train.images.shape[1:]
    side = "hidden" if "hidden" in takes else "width"
    for option, value, key in (("--width", width, side), ("--dropout", dropout, "dropout")):
        if value is not None and key not in takes:
            raise UsageError(f"{name} has no {option}: leave it out")
    facts = {"classes": len(data.classes), "channels": shape[0], "size": shape[1], "in_features": int(np.prod(shape))}
    chosen = {key: value for key, value in ((side, width), ("dropout", dropout)) if value is not None}
    padding = 2 if name == "lenet5" and shape[1:] == (28, 28) else 0
    seen = (shape[0], shape[1] + 2 * padding, shape[2] + 2 * padding)
    written = "x".join(map(str, shape))
    arguments = {key: facts[key] for key in takes if key in facts} | chosen
    try:
        with torch.device("meta"):  # the sizes without the memory
            numbers = sum(p.numel() for p in make(**arguments).parameters())
        if numbers * 4 > MOST_BYTES:
            given = "" if width is None else f" with --width {brief(width)}"
            raise UsageError(
                f"{name} would have {numbers:,} parameters, {numbers * 4 / 2**30:,.0f} GiB,{given} for "
                f"images of {written}. At most {MOST_BYTES // 2**30} GiB are allowed: choose a smaller one"
            )
        network = make(**arguments).eval()
        channels = first_channels(network) or shape[0]
        if channels != shape[0]:
            others = [other for other, maker in shell_names().items() if _takes(maker, "channels")]
            raise UsageError(
                f"{name} is for images with {channels} channels; those of {data.name} are {written}: choose a network "
                f"that takes any ({', '.join(others)}), or a folder of {'colour' if channels == 3 else 'grey'} pictures"
            )
        with torch.inference_mode():
            logits = network(torch.zeros(1, *seen))
    except (RuntimeError, ValueError, OverflowError, MemoryError) as error:
        said = (str(error) or "not enough memory").splitlines()[0]
        scaled = {"size": "--size"} if data.name not in datasets.NAMES else {}  # a folder's images can be
        for key, option in ({side: "--width", "dropout": "--dropout"} | scaled).items():
            said = re.sub(rf"(?<!-)\b{key}\b", option, said) if key in chosen or key in scaled else said
        raise UsageError(f"{name} cannot be built for images of {written}: {said}") from error
    if logits.shape[1] < len(data.classes):
        raise UsageError(f"{name} tells {logits.shape[1]} classes apart; {data.name} has {len(data.classes)}")
    parts = OrderedDict(normalise=Normalise.of(data.train.images), network=network)
    if padding:
        parts = OrderedDict(border=nn.ZeroPad2d(padding), **parts)
    parameters = sum(p.numel() for p in network.parameters())
    return nn.Sequential(parts), {"parameters": parameters, "macs": _macs(network, seen)}


def _takes(make: Callable[..., nn.Module], parameter: str) -> bool:
    return parameter in inspect.signature(make).parameters


def _macs(network: nn.Module, shape: tuple[int, ...]) -> int | None:
    try:
        return trace.table(network, shape).macs
    except ValueError:
        return None


def _check_output(folder: Path, name: str, overwrite: bool) -> None:
    """Before anything is trained: can the results be written, and would they replace others?"""
    if os.name == "nt" and (odd := sorted(set(name) & {*'<>:"/\\|?*'})):
        raise UsageError(f"--name: Windows has no files with {' '.join(odd)} in their names, got {brief(name)}")
    if name in ("", ".", "..") or name != Path(name).name or not name.isprintable():
        raise UsageError(f"--name must be a plain name, without a folder, got {brief(name)}; --output names the folder")
    most = MOST_NAME - len(".safetensors")
    if len(os.fsencode(name)) > most:
        raise UsageError(f"--name must have at most {most} bytes, got {len(os.fsencode(name))}: {brief(name)}")
    try:
        check_writable(folder)
        there = [path for ending in ("csv", "json", "safetensors") if (path := folder / f"{name}.{ending}").exists()]
    except OSError as error:
        why = system_errors.reason(error)
        raise UsageError(f"cannot write to {folder}: {why}. Name another folder with --output") from error
    if folders := [path for path in there if path.is_dir()]:
        raise UsageError(f"{folders[0]} is a folder, where a file is to be written: choose another --name")
    # The .json is written last: without it, and with a checkpoint, the last run had trained and found no room.
    unfinished = (folder / f"{name}.checkpoint").exists() and not (folder / f"{name}.json").exists()
    if there and not overwrite and not unfinished:
        raise UsageError(f"{there[0]} is there already: choose another --name, or --overwrite it")


def _remove(checkpoint: Path) -> None:
    try:
        checkpoint.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(
            f"the checkpoint {checkpoint} cannot be removed: {system_errors.reason(error)}. Move it away, or choose "
            "another --name"
        ) from error


def _check_augment(config: TrainConfig, data: Dataset) -> None:
    """Tried on one image: what is too much for these images is said before the first epoch."""
    if not isinstance(config.augment, Augment):
        return
    shape = data.train.images.shape[1:]
    for option in ("crop", "cutout"):
        pixels = getattr(config.augment, option)
        if pixels >= min(shape[1:]):
            raise UsageError(
                f"--{option} must be smaller than the images, which are {shape[1]}x{shape[2]}: at most "
                f"{min(shape[1:]) - 1}, got {brief(pixels)}"
            )
    try:
        config.augment(torch.zeros(1, *shape, dtype=torch.uint8), torch.Generator())
    except ValueError as error:
        raise UsageError(str(error)) from error


def _write(
    name: str, history: History, config: TrainConfig, about: dict, args: argparse.Namespace, model: nn.Module
) -> None:
    written = [args.output / f"{name}.csv", args.output / f"{name}.json"]
    if args.weights:  # first: what is there beside a .json is whole
        short = {key: str(about[key]) for key in ("model", "data", "seed", "test_accuracy", "command")}
        # A folder's name may be no UTF-8, and the header of the weights is.
        short = {key: text.encode(errors="backslashreplace").decode() for key, text in short.items()}
        written.append(runs.save_weights(name, model, short, args.output))
    runs.record(name, history, config, about, args.output)
    print("written:", ", ".join(map(str, written)))


def _counts(data: Dataset) -> dict:
    sizes = {part: len(getattr(data, part)) for part in ("train", "val", "test")}
    return {**sizes, "shape": list(data.train.images.shape[1:])}


def _screen(
    args: argparse.Namespace,
    config: TrainConfig,
    device: torch.device,
    data: Dataset,
    costs: dict,
    name: str,
    processes: int,
) -> str:
    """What is about to happen, one line for each thing."""
    sizes = " / ".join(f"{len(part):,}" for part in (data.train, data.val, data.test))
    shape = "x".join(map(str, data.train.images.shape[1:]))
    threads = torch.get_num_threads()
    where = f"{threads} thread{'s' * (threads > 1)}"
    if device.type == "cuda":
        where = torch.cuda.get_device_name(device)
    plain = TrainConfig()
    said = {f.name: getattr(config, f.name) for f in dataclasses.fields(config) if f.name not in ("device", "augment")}
    always = ("epochs", "batch_size", "optimizer", "lr", "seed")
    parts = [f"{key} {value}" for key, value in said.items() if key in always or value != getattr(plain, key)]
    changes = dataclasses.asdict(config.augment if isinstance(config.augment, Augment) else Augment())
    augment = ", ".join(f"{key} {value}" if value is not True else key for key, value in changes.items() if value)
    width = "" if args.width is None else f", width {args.width}"
    macs = "" if costs["macs"] is None else f", {costs['macs']:,} multiply-adds per image"
    lines = {
        "model": f"{args.model}{width}: {costs['parameters']:,} parameters{macs}",
        "data": data.title,
        "images": f"{sizes} (train / val / test), {shape}, {len(data.classes)} classes",
        "device": f"{device}, {where}" + (f", {processes} processes" if processes > 1 else ""),
        "recipe": ", ".join(parts).replace("_", " "),
        "augment": augment or "none",
        "results": f"{args.output / name}.csv, .json" + (", .safetensors" if args.weights else ""),
    }
    return "\n".join(f"{key:8} {value}" for key, value in lines.items())


def _suggestion(name: str) -> str:
    names = list(shell_names())
    close = difflib.get_close_matches(name.lower(), names, 1)
    return f"{f'Did you mean {close[0]}? ' if close else ''}Choose one of: {', '.join(names)}"
