"""`cnn-course train`: what it prints and writes, how it goes on after a stop, and what it refuses."""

import dataclasses
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from cnn_course import datasets, runs, train
from cnn_course.augment import Augment
from cnn_course.commands import cli, train_model
from cnn_course.commands.train_model import build
from cnn_course.datasets import Dataset, Split
from cnn_course.errors import UsageError
from cnn_course.models import lenet
from cnn_course.models.shell_names import shell_names
from cnn_course.training.recipe import OPTIMIZERS, SCHEDULES, TrainConfig


def drawn(shape: tuple[int, ...], classes: int = 10, n: int = 40) -> Dataset:
    """Images of noise, brighter for higher labels."""
    rng = np.random.default_rng(0)
    parts = []
    for size in (n, 20, 20):
        labels = np.arange(size) % classes
        noise = rng.integers(0, 100, (size, *shape))
        parts.append(Split((noise + 15 * labels[:, None, None, None]).astype(np.uint8), labels))
    return Dataset("noise", "noise: no photographs", tuple(map(str, range(classes))), *parts)


@pytest.fixture
def data(monkeypatch) -> None:
    """`--data noise`, 1x8x8, and `--data colour`, 3x32x32; the others are the real ones."""
    known = {"noise": drawn((1, 8, 8)), "colour": drawn((3, 32, 32))}
    load = datasets.load
    monkeypatch.setattr(datasets, "load", lambda name, **more: known.get(name) or load(name, **more))


def command(tmp_path: Path, *words: str) -> int:
    return cli.main(["train", *words, "--output", str(tmp_path / "out"), "--device", "cpu"])


MLP = ("mlp", "--data", "noise", "--width", "8", "--epochs", "3", "--batch-size", "10")


def test_trains_and_writes_what_happened(data, tmp_path, capsys):
    recipe = ("--optimizer", "sgd", "--lr", "0.05", "--schedule", "cosine", "--crop", "1", "--flip", "--images", "30")
    assert command(tmp_path, *MLP, *recipe, "--weights", "--seed", "4", "--title", "noise, our own") == 0
    out, err = capsys.readouterr()
    assert err == ""
    for line in (
        "mlp, width 8: 610 parameters, 592 multiply-adds per image",
        "noise, our own",
        "30 / 20 / 20 (train / val / test), 1x8x8, 10 classes",
        "optimizer sgd, schedule cosine",
        "crop 1, flip",
        "epoch 3: train loss",
        "looked at once: accuracy",
    ):
        assert line in out, line
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        f"mlp-noise-s4.{ending}" for ending in ("csv", "json", "safetensors")
    ]
    run = runs.load("mlp-noise-s4", tmp_path / "out")
    assert list(run.epochs["epoch"]) == [1, 2, 3] and (run.epochs["val_loss"] > 0).all()
    assert run.about["images"] == {"train": 30, "val": 20, "test": 20, "shape": [1, 8, 8]}
    assert (run.about["parameters"], run.about["macs"], run.about["seed"]) == (610, 592, 4)
    assert run.about["config"]["augment"] == {"crop": 1, "flip": True, "rotate": 0.0, "cutout": 0}
    assert run.about["command"].startswith("cnn-course train mlp --data noise --width 8")
    assert run.about["test_errors"] == round(20 * (1 - run.about["test_accuracy"]))
    assert "noise, our own; 30 training images 1x8x8" in run.caption
    model, _ = build("mlp", drawn((1, 8, 8)), width=8)
    about = runs.load_weights("mlp-noise-s4", model, tmp_path / "out")
    assert about["model"] == "mlp" and about["seed"] == "4"
    assert train.accuracy(model, drawn((1, 8, 8)).test) == run.about["test_accuracy"]


def test_what_is_not_given_has_the_default_of_the_package():
    args = cli.build_parser().parse_args(["train", "lenet", "--data", "glyphs"])
    assert train_model.recipe(args) == TrainConfig()
    every = "--epochs 3 --batch-size 5 --lr 1 --weight-decay 2 --momentum 0.5 --warmup 1.5 --label-smoothing 0.1"
    every += " --patience 2 --optimizer sgd --schedule step --seed 7 --device cpu --amp --no-channels-last --compile"
    args = cli.build_parser().parse_args(["train", "lenet", "--data", "glyphs", *every.split(), "--rotate", "5"])
    config = train_model.recipe(args)
    assert (config.batch_size, config.weight_decay, config.warmup, config.patience) == (5, 2.0, 1.5, 2)
    assert (config.optimizer, config.schedule, config.seed, config.momentum) == ("sgd", "step", 7, 0.5)
    assert (config.amp, config.channels_last, config.compile, config.augment.rotate) == (True, False, True, 5.0)


def test_goes_on_from_the_checkpoint_and_ends_the_same(data, tmp_path, capsys, monkeypatch):
    assert command(tmp_path, *MLP, "--name", "whole", "--weights") == 0

    save = train.resume.save

    def stop(path, run, state, **options):
        save(path, run, state, **options)
        if len(state.history.epochs) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(train.resume, "save", stop)
    parts = (*MLP, "--name", "parts", "--weights")
    capsys.readouterr()
    assert command(tmp_path, *parts, "--fresh") == 130
    out = capsys.readouterr().out
    again = next(line for line in out.splitlines() if line.startswith("To go on: cnn-course train mlp --data noise"))
    assert "--fresh" not in again
    assert [p.name for p in (tmp_path / "out").glob("parts*")] == ["parts.checkpoint"]

    assert command(tmp_path, *parts, "--lr", "0.1") == 2
    assert "lr was 0.003 and is 0.1" in (err := capsys.readouterr().err) and "--fresh begins anew" in err
    monkeypatch.setattr(train.resume, "save", save)
    assert command(tmp_path, *parts) == 0
    assert "2 of 3 epochs are done" in capsys.readouterr().out
    weights = [runs.load_weights(name, model := build("mlp", drawn((1, 8, 8)), width=8)[0], tmp_path / "out") and model
               for name in ("whole", "parts")]  # fmt: skip
    assert all(map(torch.equal, weights[0].state_dict().values(), weights[1].state_dict().values()))
    whole, parts = (runs.load(name, tmp_path / "out") for name in ("whole", "parts"))
    np.testing.assert_array_equal(whole.epochs["train_loss"], parts.epochs["train_loss"])
    assert whole.about["cpu_seconds"] >= 0 and parts.about["cpu_seconds"] is None
    assert not list((tmp_path / "out").glob("*.checkpoint"))


@pytest.mark.slow
def test_ctrl_c_in_a_terminal(tmp_path):
    words = ["mlp", "--data", "digits", "--epochs", "100000", "--output", str(tmp_path), "--name", "long"]
    process = subprocess.Popen(
        [sys.executable, "-m", "cnn_course", "train", *words, "--device", "cpu"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        # A background job of a script ignores Ctrl-C, and its children inherit that; a terminal's do not.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        for line in process.stdout:
            if line.startswith("epoch 2"):
                break
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert err == "" and "the model keeps what it has learned" in out and "To go on: cnn-course train mlp" in out
    assert (tmp_path / "long.checkpoint").exists()


def test_results_are_not_replaced_by_accident(data, tmp_path, capsys):
    assert command(tmp_path, *MLP) == 0
    before = (tmp_path / "out" / "mlp-noise-s0.json").read_text()
    assert command(tmp_path, *MLP) == 2
    assert "mlp-noise-s0.csv is there already: choose another --name, or --overwrite it" in capsys.readouterr().err
    assert (tmp_path / "out" / "mlp-noise-s0.json").read_text() == before
    assert command(tmp_path, *MLP, "--overwrite", "--label-smoothing", "0.1") == 0
    after = json.loads((tmp_path / "out" / "mlp-noise-s0.json").read_text())
    assert after["config"]["label_smoothing"] == 0.1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("lenett --data noise", r"there is no model 'lenett'. Did you mean lenet\? Choose one of: alexnet, a"),
        ("zzz --data noise", "there is no model 'zzz'. Choose one of: alexnet"),
        ("lenet --data noise", "lenet cannot be built for images of 1x8x8: .* at least 12 x 12"),
        ("resnet20 --data noise", "resnet20 is for images with 3 channels; those of noise are 1x8x8"),
        ("alexnet --data colour", "alexnet cannot be built for images of 3x32x32: .*too small"),
        ("lenet --data colour --width 4", "lenet has no --width: leave it out"),
        ("mlp --data noise --width 0", "mlp cannot be built .* at least 1"),
        ("resnet20 --data colour --dropout 0.5", "resnet20 has no --dropout"),
        ("mlp --data digits --size 20", "--size scales the images of a folder; those of digits have one size"),
        ("mlp --data MNIST --size 20", "--size scales the images of a folder; those of MNIST have one size"),
        ("mlp --data pictures --size 0", "--size must be a number of pixels above 0, got 0"),
        (
            "mlp --data noise --seed 18446744073709551616",
            "seed must be an integer of at least 0 and of at most 18446744073709551615",
        ),
        ("mlp --data noise --images 0", "--images must be from 1 to 40, all training images, got 0"),
        ("mlp --data noise --images 41", "--images must be from 1 to 40"),
        ("mlp --data noise --name a/b", "--name must be a plain name, without a folder, got 'a/b'"),
        ("mlp --data noise --lr 0", "lr must be a finite number, above 0 and at most 1e.18, not 0.0"),
        ("mlp --data noise --cutout -1", "cutout must be an integer of at least 0, not -1"),
        ("mlp --data noise --schedule linear", "schedule must be one of 'constant', 'cosine'.*, not 'linear'"),
        ("mlp --data noise --epochs 2 --warmup 2", "warmup must be 0 or more and less than the 2 epochs"),
    ],
)
def test_refuses_before_it_trains(words, message, data, tmp_path, capsys):
    assert command(tmp_path, *words.split()) == 2
    text = capsys.readouterr().err
    assert text.startswith("cnn-course: ") and text.count("\n") == 1
    assert re.search(message, text), text
    assert not list((tmp_path / "out").glob("*"))


def test_data_and_devices_that_are_not_there(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("CNN_COURSE_DATA", str(tmp_path))
    assert command(tmp_path, "lenet", "--data", "mnist") == 1
    assert "Get it once (12 MB) with: cnn-course data get mnist" in capsys.readouterr().err
    if not torch.cuda.is_available():
        assert cli.main(["train", "lenet", "--data", "glyphs", "--device", "cuda"]) == 2
        assert "cannot use the device 'cuda'" in capsys.readouterr().err


def test_a_device_that_torchrun_cannot_share(data, tmp_path, capsys, monkeypatch):
    for name, value in (("RANK", 0), ("WORLD_SIZE", 2), ("LOCAL_RANK", 0)):
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr(train, "choose_device", torch.device)
    assert cli.main(["train", *MLP, "--output", str(tmp_path), "--device", "cuda:1"]) == 2
    assert "torchrun gives each process its device" in capsys.readouterr().err


def test_an_output_folder_that_cannot_be_written(data, tmp_path, capsys):
    (tmp_path / "out").write_text("a file")
    assert command(tmp_path, *MLP) == 2
    assert "cannot write to" in (text := capsys.readouterr().err) and "--output" in text


def test_no_room_on_the_gpu(data, tmp_path, capsys, monkeypatch):
    def full(*args, **kwargs):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nmore")

    monkeypatch.setattr(train, "one_epoch", full)
    assert command(tmp_path, *MLP) == 2
    err = capsys.readouterr().err
    assert "out of memory in epoch 1, with batches of 10 images: choose a smaller --batch-size, --amp, smaller" in err
    assert err.endswith("(CUDA out of memory. Tried to allocate 2 GiB.).\n") and err.count("\n") == 1


def test_no_room_in_memory_and_another_error_of_torch(data, tmp_path, capsys, monkeypatch):
    def full(*args, **kwargs):
        torch.empty(2**60, dtype=torch.uint8)  # an exbibyte, which no machine has

    monkeypatch.setattr(train, "one_epoch", full)
    assert command(tmp_path, *MLP) == 2
    assert "tried to allocate 1152921504606846976 bytes" in (err := capsys.readouterr().err)
    assert "choose a smaller --batch-size" in err and err.count("\n") == 1

    def broken(*args, **kwargs):
        raise RuntimeError("of the model itself")

    monkeypatch.setattr(train, "fit", broken)
    assert command(tmp_path, *MLP) == 1
    assert "unexpected RuntimeError: of the model itself" in capsys.readouterr().err


# --- models by name

SMALL = (
    *("alexnet-cifar", "googlenet-cifar", "vgg-cifar", "resnet20", "resnet32", "resnet44", "resnet56"),
    *("plain20", "plain32", "plain44", "plain56"),
)


@pytest.mark.parametrize("name", SMALL)
def test_small_models_take_cifar(name):
    torch.manual_seed(0)
    model, costs = build(name, drawn((3, 32, 32), classes=7))
    assert [child for child, _ in model.named_children()] == ["normalise", "network"]
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 7)
    assert costs["macs"] > 9e6 and costs["parameters"] == sum(p.numel() for p in model.network.parameters())


# With the classes that each has by itself; mlp for ten classes of 28 x 28.
PARAMETERS = {
    "alexnet": 61_100_840, "alexnet-cifar": 257_538, "googlenet": 13_004_888, "googlenet-cifar": 155_701,
    "lenet": 61_706, "lenet-bn": 62_158, "lenet5": 60_000, "mlp": 101_770, "nin": 966_986,
    "resnet20": 269_722, "resnet32": 464_154, "resnet44": 658_586, "resnet56": 853_018, "resnet110": 1_727_962,
    "plain20": 269_722, "plain32": 464_154, "plain44": 658_586, "plain56": 853_018, "plain110": 1_727_962,
    "resnet18": 11_689_512, "resnet34": 21_797_672, "resnet50": 25_557_032, "resnet101": 44_549_160,
    "resnet152": 60_192_808, "vgg-cifar": 579_786,
    "vgg11": 132_863_336, "vgg13": 133_047_848, "vgg16": 138_357_544, "vgg19": 143_667_240,
    "vgg11-bn": 132_868_840, "vgg13-bn": 133_053_736, "vgg16-bn": 138_365_992, "vgg19-bn": 143_678_248,
    "zfnet": 62_357_608,
}  # fmt: skip


@pytest.mark.parametrize("name", PARAMETERS)
def test_every_name_has_its_network(name):
    make = shell_names()[name]
    with torch.device("meta"):  # without memory: VGG's weights would be half a gigabyte
        network = make(in_features=28 * 28, classes=10) if name == "mlp" else make()
    assert sum(p.numel() for p in network.parameters()) == PARAMETERS[name]
    blocks = [m.residual for m in network.modules() if hasattr(m, "residual")]
    assert all(blocks) != name.startswith("plain")


def test_every_recorded_run_names_a_network():
    commands = [shlex.split(run.about["command"]) for run in runs.find("*")]
    assert len(commands) > 20 and {words[:2] == ["cnn-course", "train"] for words in commands} == {True}
    assert {words[2] for words in commands} <= shell_names().keys()


def test_every_setting_has_an_option_and_every_name_stands_in_the_help(capsys):
    with pytest.raises(SystemExit):
        cli.main(["train", "--help"])
    said = capsys.readouterr().out
    for kind, apart in ((TrainConfig, {"augment", "milestones", "factor"}), (Augment, set())):
        options = {field.name for field in dataclasses.fields(kind)} - apart
        assert [name for name in options if not re.search(rf"--{name.replace('_', '-')}\b", said)] == []
    assert [name for name in (*SCHEDULES, *OPTIMIZERS) if name not in said] == []


def test_two_files_cannot_use_one_name(monkeypatch):
    monkeypatch.setitem(lenet.SHELL_NAMES, "mlp", lenet.lenet)
    with pytest.raises(ValueError, match="lenet.py and mlp.py both have a network called 'mlp'"):
        shell_names()


def test_options_reach_the_model():
    data = drawn((1, 28, 28))
    assert build("lenet", data)[1] == {"parameters": 61_706, "macs": 416_520}
    assert build("lenet-bn", data)[1]["parameters"] == 62_158
    assert [m.p for m in build("lenet", data, dropout=0.3)[0].modules() if isinstance(m, nn.Dropout)] == [0.3, 0.3]
    colour = drawn((3, 16, 16))
    assert build("resnet20", colour, width=4)[0].network.conv1.out_channels == 4
    assert build("resnet20", colour, width=4)[1] == build("plain20", colour, width=4)[1]


def test_lenet5_gets_its_border():
    model, costs = build("lenet5", drawn((1, 28, 28)))
    assert costs == {"parameters": 60_000, "macs": None}
    assert model(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
    assert model.border(torch.ones(1, 1, 28, 28)).shape == (1, 1, 32, 32)
    with pytest.raises(UsageError, match="lenet5 tells 10 classes apart; noise has 12"):
        build("lenet5", drawn((1, 28, 28), classes=12))


def test_fewer_images_are_evenly_spaced(data):
    few = train_model.load_data("noise", None, 4)
    np.testing.assert_array_equal(few.train.images, drawn((1, 8, 8)).train.images[[0, 10, 20, 30]])
    assert len(few.val) == 20
