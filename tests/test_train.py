"""Training: it learns, repeats itself, can be stopped, and refuses what cannot be trained on."""

import contextlib
import dataclasses
import io
import os
import re
import sys

import numpy as np
import pytest
import torch
from striped_images import CPU, Data, net, stripes, trained
from torch import nn

from cnn_course import checkpoint, datasets, train
from cnn_course.augment import Augment
from cnn_course.errors import CheckpointError, TrainingError
from cnn_course.models.mlp import mlp
from cnn_course.train import TrainConfig, accuracy, choose_device, evaluate, fit, predict


def test_learns_and_reports():
    model, history = trained(val=stripes(40, seed=1))
    assert [row.epoch for row in history.epochs] == [1, 2, 3]
    assert not history.interrupted and history.device == "cpu" and not model.training
    loss = history.column("train_loss")
    assert loss.shape == (3,) and loss[-1] < loss[0] < 1
    assert history.column("val_accuracy")[-1] == accuracy(model, stripes(40, seed=1)) == 1.0
    assert (history.column("seconds") > 0).all()


def test_one_step_by_hand():
    # One batch: the loss is that of the first weights, and Adam's first step moves every weight by lr.
    data = stripes(10)
    torch.manual_seed(0)
    model = mlp(36, (), 2)
    weight = model[1].weight.detach().clone()
    loss = nn.functional.cross_entropy(model(torch.tensor(data.images) / 255), torch.tensor(data.labels)).item()
    history = fit(model, data, TrainConfig(epochs=1, batch_size=10, lr=0.01, device="cpu"), verbose=False)
    assert history.epochs[0].train_loss == pytest.approx(loss, rel=1e-5)
    assert history.epochs[0].val_accuracy is None and np.isnan(history.column("val_accuracy")).all()
    torch.testing.assert_close((model[1].weight - weight).abs(), torch.full((2, 36), 0.01), rtol=1e-3, atol=0)


def test_same_seed_same_result_and_the_callers_generator_untouched():
    (a, ha), (b, hb) = trained(), trained()
    for p, q in zip(a.parameters(), b.parameters(), strict=True):
        assert torch.equal(p, q)
    assert (ha.column("train_loss") == hb.column("train_loss")).all()
    _, other = trained(dataclasses.replace(CPU, seed=1))
    assert (ha.column("train_loss") != other.column("train_loss")).any()
    torch.manual_seed(7)
    model = mlp(36, 4, 2)
    expected = torch.get_rng_state()
    fit(model, stripes(20), CPU, verbose=False)
    assert torch.equal(torch.get_rng_state(), expected)


def test_weight_decay_shrinks_the_weights():
    size = [
        sum(p.norm().item() for p in trained(dataclasses.replace(CPU, weight_decay=w))[0].parameters()) for w in (0, 5)
    ]
    assert size[1] < 0.9 * size[0]


def test_predict_gives_probabilities_in_the_order_of_the_images():
    model, _ = trained()
    images = stripes(50, seed=2).images
    p = predict(model, images)
    assert p.shape == (50, 2) and p.dtype == np.float32
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(predict(model, images, batch_size=7), p, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(predict(model, images[::-1])[::-1], p, rtol=1e-5, atol=1e-7)
    assert predict(model, images[:0]).shape == (0, 2)


def test_predict_switches_dropout_off_and_leaves_the_mode():
    model, _ = trained()
    model.train()
    images = stripes(20).images
    assert (predict(model, images) == predict(model, images)).all()
    assert model.training


def test_read_only_arrays_and_other_label_types():
    data = stripes(20)
    data.images.flags.writeable = False
    data.labels = data.labels.astype(np.uint8)
    data.labels.flags.writeable = False
    assert len(fit(mlp(36, 4, 2), data, CPU, verbose=False).epochs) == 3
    assert 0 <= accuracy(mlp(36, 4, 2), data) <= 1


def test_one_line_per_epoch_and_no_bar_where_nobody_watches(capsys, monkeypatch):
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    fit(mlp(36, 4, 2), stripes(20), CPU, val=stripes(10))
    out, err = capsys.readouterr()
    assert [line.split(":")[0] for line in out.splitlines()] == ["epoch 1", "epoch 2", "epoch 3"]
    assert "val accuracy" in out and err == ""


def test_a_bar_on_a_terminal(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with contextlib.redirect_stderr(terminal):
        bar = train._bar((1, 2, 3), "epoch 1")
        assert list(bar) == [1, 2, 3]
    assert type(bar) is not type(iter(()))


def test_interrupt_keeps_what_was_trained(capsys):
    class Stops(nn.Module):
        def __init__(self):
            super().__init__()
            self.net, self.calls = mlp(36, 8, 2), 0

        def forward(self, x):
            self.calls += self.training
            if self.calls > 10:  # seven steps an epoch: in the middle of the second
                raise KeyboardInterrupt
            return self.net(x)

    model = Stops()
    before = model.net[1].weight.detach().clone()
    history = fit(model, stripes(100), CPU)
    assert history.interrupted and len(history.epochs) == 1 and not model.training
    assert not torch.equal(before, model.net[1].weight)
    assert "stopped in epoch 2 of 3" in capsys.readouterr().out


def test_a_loss_that_is_not_finite_says_where_and_what_to_try():
    class Diverges(nn.Module):
        def __init__(self):
            super().__init__()
            self.net, self.calls = mlp(36, 8, 2), 0

        def forward(self, x):
            self.calls += self.training
            return self.net(x) * (float("nan") if self.calls == 10 else 1)

    with pytest.raises(TrainingError, match=r"epoch 2, step 3 of 7.*smaller lr"):
        fit(Diverges(), stripes(100), CPU, verbose=False)


@pytest.mark.parametrize(
    ("setting", "error", "message"),
    [
        ({"epochs": 0}, ValueError, "epochs must be an integer of at least 1 and of at most"),
        ({"epochs": 1.5}, TypeError, "epochs must be an integer"),
        ({"batch_size": -1}, ValueError, "batch_size"),
        ({"lr": 0}, ValueError, "lr must be a finite number, above 0 and at most 1e+18, not 0"),
        ({"lr": float("nan")}, ValueError, "lr must be a finite number, above 0 and at most 1e+18, not nan"),
        ({"lr": "0.1"}, TypeError, "lr must be a finite number, above 0 and at most 1e+18, not '0.1' (str)"),
        ({"lr": True}, TypeError, "lr must be"),
        ({"lr": None}, TypeError, "lr must be"),
        ({"lr": np.ones(2)}, TypeError, "lr must be"),
        ({"weight_decay": -0.1}, ValueError, "weight_decay"),
        ({"seed": -1}, ValueError, "seed must be an integer of at least 0"),
        ({"seed": 2**64}, ValueError, "seed must be an integer of at least 0 and of at most 18446744073709551615"),
        ({"patience": 0}, ValueError, "patience must be an integer of at least 1"),
        ({"patience": False}, TypeError, "patience must be an integer of at least 1"),
        ({"optimizer": "Adam"}, ValueError, "optimizer must be one of 'adamw', 'sgd', not 'Adam'"),
        ({"schedule": "linear"}, ValueError, "schedule must be one of 'constant', 'cosine', 'one-cycle', 'step', not"),
        ({"schedule": None}, TypeError, "schedule must be a string"),
        ({"device": None}, TypeError, "device must be a string"),
        ({"momentum": 1.0}, ValueError, "momentum must be from 0 to below 1, got 1.0"),
        ({"label_smoothing": -0.1}, ValueError, "label_smoothing must be a finite number, at least 0"),
        ({"milestones": (0.5, 30)}, ValueError, "milestones are shares of the run between 0 and 1, got (0.5, 30.0)"),
        ({"milestones": 0.5}, TypeError, "milestones must be a list of shares of the run"),
        ({"milestones": "0.5"}, TypeError, "milestones must be a list of shares of the run"),
        ({"milestones": (0.5, None)}, TypeError, "milestones[1] must be a finite number"),
        ({"factor": 0}, ValueError, "factor must be a finite number, above 0 and at most 1"),
        ({"warmup": 10}, ValueError, "warmup must be 0 or more and less than the 10 epochs, got 10"),
        ({"warmup": 1, "schedule": "one-cycle"}, ValueError, "one-cycle has its own warm-up"),
        ({"augment": "flip"}, TypeError, "augment must be a function that is called as augment(images, generator)"),
        ({"augment": Augment}, TypeError, "not the class Augment: write Augment(...)"),
        ({"augment": len}, TypeError, "cannot be: too many positional arguments"),
        ({"amp": "no"}, TypeError, "amp must be True or False, not 'no' (str)"),
        ({"compile": 1}, TypeError, "compile must be True or False"),
        ({"channels_last": "no"}, TypeError, "channels_last must be True or False"),
    ],
)
def test_bad_settings(setting, error, message):
    with pytest.raises(error, match=re.escape(message)):
        TrainConfig(**setting)


def test_numbers_of_numpy_are_numbers_and_look_the_same():
    """A checkpoint tells runs apart by what the settings look like."""
    numpys = TrainConfig(
        *(np.int64(2), np.uint8(8), np.float32(0.5)),
        milestones=np.array([0.25, 0.5]),
        warmup=1,
        amp=np.True_,
        device=torch.device("cpu"),
        augment=Augment(crop=np.int64(1), rotate=np.float32(0.5)),
    )
    ours = TrainConfig(
        *(2, 8, 0.5), milestones=(0.25, 0.5), warmup=1.0, amp=True, device="cpu", augment=Augment(crop=1, rotate=0.5)
    )
    assert repr(numpys) == repr(ours)


def test_settings_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        CPU.lr = 1


IMAGES, LABELS = stripes(20).images, stripes(20).labels


@pytest.mark.parametrize(
    ("images", "labels", "error", "message"),
    [
        (IMAGES / 255, LABELS, TypeError, "data.images must be .* got ndarray of .* float64; from floats"),
        (torch.tensor(IMAGES), LABELS, TypeError, "got Tensor"),
        (IMAGES[:, 0], LABELS, ValueError, r"\(N, C, H, W\), got shape \(20, 6, 6\)"),
        (IMAGES[:0], LABELS[:0], ValueError, "has no images"),
        (IMAGES, LABELS[:5], ValueError, r"20 images, but the labels are int64 of shape \(5,\)"),
        (IMAGES, LABELS.astype(float), ValueError, "labels are float64"),
        (IMAGES, LABELS - 1, ValueError, "labels count from 0"),
        (IMAGES, LABELS + 1, ValueError, "label 2 of data is out of range: the model has 2 outputs.*classes=3"),
        (IMAGES[:, :, :5], LABELS, ValueError, r"cannot take images of shape \(1, 5, 6\)"),
    ],
)
def test_bad_data(images, labels, error, message):
    with pytest.raises(error, match=message):
        fit(mlp(36, 4, 2), Data(images, labels), CPU, verbose=False)


def test_bad_validation_data():
    with pytest.raises(ValueError, match="val has no images"):
        fit(mlp(36, 4, 2), Data(IMAGES, LABELS), CPU, val=Data(IMAGES[:0], LABELS[:0]), verbose=False)
    with pytest.raises(ValueError, match="label 7 of val is out of range"):
        fit(mlp(36, 4, 2), Data(IMAGES, LABELS), CPU, val=Data(IMAGES, LABELS + 6), verbose=False)


def small_cnn() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2))


def state_of(model):
    """Weights, running means, and the mode of each part."""
    return {name: value.clone() for name, value in model.state_dict().items()}, [m.training for m in model.modules()]


def same_state(one, other):
    return one[1] == other[1] and all(torch.equal(one[0][name], other[0][name]) for name in one[0])


class Wide(nn.Module):
    """Takes pictures of any size, and gives something else than logits in `mode`."""

    def __init__(self, give=lambda logits: logits, training=None):
        super().__init__()
        self.net = small_cnn()
        self.give, self.when = give, training

    def forward(self, x):
        logits = self.net(x)
        return logits if self.when is not None and self.when != self.training else self.give(logits)


def refuse(*_):
    raise ValueError("no")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"config": {}},
            TypeError,
            "config must be a TrainConfig, such as TrainConfig(epochs=3, lr=0.01), not {} (dict)",
        ),
        ({"config": {"epochs": 1}}, TypeError, "config must be a TrainConfig"),
        ({"verbose": "no"}, TypeError, "verbose must be True or False, not 'no' (str)"),
        ({"val": Data(np.zeros((4, 1, 9, 9), np.uint8), [0, 1, 0, 1])}, ValueError, "shape (1, 9, 9) (val.images)"),
        ({"val": Data(np.zeros((4, 3, 6, 6), np.uint8), [0, 1, 0, 1])}, ValueError, "shape (3, 6, 6) (val.images)"),
        ({"val": stripes(4).images}, TypeError, "val must have images and labels"),
        ({"val": Data(stripes(4).images, [0, 1, 2, 1])}, ValueError, "label 2 of val is out of range"),
        ({"on_epoch": "print"}, TypeError, "on_epoch must be a function that is called as on_epoch(row), not 'print'"),
        ({"on_epoch": lambda: None}, TypeError, "on_epoch must be a function that is called as on_epoch(row), and"),
        ({"on_epoch": print, "config": dataclasses.replace(CPU, device="cuda:99")}, ValueError, "the device 'cuda:99'"),
        ({"config": dataclasses.replace(CPU, augment=Augment(crop=6))}, TrainingError, "crop must be at most 5 for"),
        ({"config": dataclasses.replace(CPU, augment=refuse)}, TrainingError, "augment failed on a batch of shape"),
        (
            {"config": dataclasses.replace(CPU, augment=lambda x, g: None)},
            TrainingError,
            "augment must return a batch of 16 images (N, C, H, W), not None",
        ),
        (
            {"data": datasets.Split},
            TypeError,
            "data must have images and labels, as a datasets.Split has; got the class",
        ),
        ({"data": None}, TypeError, "data must have images and labels, as a datasets.Split has; got None"),
        ({"data": (stripes(4).images, stripes(4).labels)}, TypeError, "datasets.Split(images, labels) makes one"),
        (
            {
                "data": datasets.Dataset(
                    "a", "a", ("0", "1"), *3 * [datasets.Split(stripes(4).images, stripes(4).labels)]
                )
            },
            TypeError,
            "this is a whole Dataset: give one part of it, such as data.train",
        ),
        (
            {"data": Data(np.ma.masked_array(stripes(4).images), [0] * 4)},
            TypeError,
            "data.images must be a NumPy array",
        ),
        ({"data": Data(stripes(4).images, stripes(4).labels.astype(str))}, TypeError, "data.labels must be an array"),
        ({"data": Data(stripes(4).images, np.array([0, 1, 2**63, 1], np.uint64))}, ValueError, "labels count from 0"),
    ],
)
def test_what_can_be_known_is_said_before_the_first_step(arguments, error, message):
    """With the model as it was: its weights, its running means, the mode of each of its parts."""
    model = Wide()
    model.train()
    model.net[1].eval()
    before = state_of(model)
    with pytest.raises(error, match=re.escape(message)):
        fit(**({"model": model, "data": stripes(40), "config": CPU, "verbose": False} | arguments))
    assert same_state(before, state_of(model))


@pytest.mark.parametrize("kind", ["below a file", "a folder", "a pipe", "/proc/no/folder"])
def test_a_checkpoint_that_cannot_be_written_is_said_before_the_first_step(kind, tmp_path):
    """To root too, who may write anywhere."""
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    paths = {"below a file": tmp_path / "file" / "run", "a folder": tmp_path, "a pipe": tmp_path / "pipe"}
    model = net()
    before = state_of(model)
    with pytest.raises(CheckpointError, match=r"the checkpoint .* cannot be (written|read)"):
        fit(model, stripes(40), CPU, verbose=False, checkpoint=paths.get(kind, kind))
    assert same_state(before, state_of(model)) and sorted(os.listdir(tmp_path)) == ["file", "pipe"]


def test_a_state_that_no_checkpoint_can_hold_is_said_before_the_first_step(tmp_path):
    class Counts(Wide):
        def get_extra_state(self):
            return np.float64(3)

        def set_extra_state(self, state):
            pass

    model = Counts()
    with pytest.raises(TypeError, match="a checkpoint holds tensors.*_extra_state.*is a float64"):
        fit(model, stripes(40), CPU, verbose=False, checkpoint=tmp_path / "run")
    assert os.listdir(tmp_path) == [] and model.net[1].num_batches_tracked == 0


def test_nothing_is_lost_when_on_epoch_fails(tmp_path):
    def second(row):
        if row.epoch == 2:
            raise ZeroDivisionError("its own fault")

    model, whole = net(), net()
    with pytest.raises(
        TrainingError, match="after epoch 2, because on_epoch raised ZeroDivisionError: its own"
    ) as said:
        fit(model, stripes(40), CPU, verbose=False, on_epoch=second, checkpoint=tmp_path / "run")
    assert [row.epoch for row in said.value.history.epochs] == [1, 2]
    assert "2 of 3 epochs were finished: the model has the weights" in said.value.__notes__[0]
    fit(whole, stripes(40), dataclasses.replace(CPU, epochs=2), verbose=False)
    assert all(map(torch.equal, model.state_dict().values(), whole.state_dict().values()))
    history = fit(model, stripes(40), CPU, verbose=False, checkpoint=tmp_path / "run")
    assert len(history.epochs) == 3


def test_nothing_is_lost_when_the_disk_fills_up(tmp_path, monkeypatch):
    write, calls = checkpoint.write_whole, []

    def full(path, data):
        calls.append(path)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        write(path, data)

    monkeypatch.setattr(checkpoint, "write_whole", full)
    model = net()
    with pytest.raises(CheckpointError, match="cannot be written: the disk is full: make room") as said:
        fit(model, stripes(40), CPU, verbose=False, checkpoint=tmp_path / "run")
    assert [row.epoch for row in said.value.history.epochs] == [1, 2]
    assert len(checkpoint.load(tmp_path / "run")["history"]) == 1
    assert len(fit(net(), stripes(40), CPU, verbose=False, checkpoint=tmp_path / "run").epochs) == 3


def test_weights_that_break_in_the_last_step_are_a_training_error():
    """The losses of the epoch were finite, those of the validation are not."""
    model, config = mlp(36, (), 2), dataclasses.replace(CPU, epochs=1, batch_size=100)
    model[1].weight.register_hook(lambda gradient: gradient * float("nan"))
    with pytest.raises(TrainingError, match=r"no longer a finite number \(of the validation images after epoch 1\)"):
        fit(model, stripes(40), config, val=stripes(10), verbose=False)


@pytest.mark.parametrize(
    "labels", [LABELS.tolist(), torch.tensor(LABELS), LABELS.astype(np.uint8), LABELS.astype(">i4")]
)
def test_labels_may_be_whole_numbers_of_any_kind(labels):
    expected, found = net(), net()
    rows = [
        fit(m, Data(IMAGES, x), CPU, val=Data(IMAGES, x), verbose=False)
        for m, x in ((expected, LABELS), (found, labels))
    ]
    assert rows[0].column("val_loss").tolist() == rows[1].column("val_loss").tolist()
    assert evaluate(found, Data(IMAGES, labels)) == evaluate(expected, Data(IMAGES, LABELS))


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (Wide, TypeError, "model must be a network"),
        (None, TypeError, "model must be a network"),
        (nn.Conv2d(1, 2, 3), ValueError, "model must give logits of shape (N, classes), got torch.float32 of shape"),
        (
            Wide(lambda logits: (logits, logits)),
            ValueError,
            "model must give a tensor of logits of shape (N, classes), got",
        ),
        (
            Wide(lambda logits: logits.argmax(1)),
            ValueError,
            "model must give logits of shape (N, classes), got torch.int64",
        ),
        (Wide(lambda logits: logits * float("nan")), ValueError, "model gives logits for"),
        (Wide(lambda logits: logits.missing), ValueError, "model cannot take images of shape (1, 6, 6)"),
        (
            nn.Sequential(nn.Flatten(), nn.LazyLinear(2)),
            ValueError,
            "model has layers that do not know their shape yet",
        ),
        (mlp(36, 4, 2).to("meta"), ValueError, 'model is on the "meta" device'),
        (mlp(36, 4, 2).double(), ValueError, "it has weights in torch.float64: model.float()"),
    ],
)
def test_models_that_give_no_probabilities(model, error, message):
    data = stripes(20)
    for call in (
        lambda: predict(model, data.images),
        lambda: evaluate(model, data),
        lambda: accuracy(model, data),
        lambda: fit(model, data, CPU, verbose=False),
    ):
        with pytest.raises(error, match=re.escape(message)):
            call()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (mlp(36, 4, 2).requires_grad_(False), "model has nothing to train"),
        (nn.Flatten(), "model has nothing to train"),
        (Wide(lambda logits: logits.detach()), "model gives logits that its parameters have no part in"),
        (Wide(lambda logits: {"out": logits}, training=True), "model must give a tensor of logits"),
        (Wide(lambda logits: (logits, logits[:, :1]), training=True), "model gives 1 logits in training mode, for"),
    ],
)
def test_models_that_cannot_be_trained(model, message):
    before = state_of(model)[0]
    with pytest.raises(ValueError, match=message):
        fit(model, stripes(20), CPU, verbose=False)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items() if "weight" in name)


def test_one_class_may_be_impossible():
    """Logits of minus infinity are probabilities of 0."""
    p = predict(Wide(lambda logits: logits + torch.tensor([0.0, -float("inf")])), IMAGES)
    assert (p == [1, 0]).all()


def test_each_part_keeps_its_mode():
    """A batch norm that is held fixed while the rest trains, say."""
    model = small_cnn()
    model.train()
    model[1].eval()
    predict(model, IMAGES)
    assert [m.training for m in model] == [True, False, True, True, True]


def test_training_under_no_grad_trains():
    with torch.no_grad():
        model, _ = trained()
    assert torch.equal(model[1].weight, trained()[0][1].weight)


def test_labels_that_the_model_has_no_output_for():
    with pytest.raises(ValueError, match="label 3 of data is out of range: the model has 2 outputs"):
        evaluate(mlp(36, 4, 2), Data(IMAGES, LABELS + 2))


def test_bad_prediction_input():
    with pytest.raises(TypeError, match="uint8"):
        predict(mlp(36, 4, 2), IMAGES.astype(np.float32))
    for size, error in ((0, ValueError), (2**64, ValueError), (2.0, TypeError), ("8", TypeError), (True, TypeError)):
        with pytest.raises(error, match="batch_size must be an integer of at least 1"):
            predict(mlp(36, 4, 2), IMAGES, batch_size=size)
    with pytest.raises(ValueError, match="images must have pixels"):
        predict(mlp(36, 4, 2), IMAGES[:, :, :0])
    with pytest.raises(ValueError, match="has no images"):
        accuracy(mlp(36, 4, 2), Data(IMAGES[:0], LABELS[:0]))


def test_a_model_that_gives_no_logits():
    with pytest.raises(ValueError, match=r"shape \(N, classes\)"):
        fit(nn.Conv2d(1, 2, 3), Data(IMAGES, LABELS), CPU, verbose=False)


def test_devices():
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device().type == (
        "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    )
    for unknown in ("gpu", "cuda:99", "cpu:x", "", "meta", "privateuseone", "mtia"):
        with pytest.raises(ValueError, match=f"cannot use the device '{unknown}'"):
            choose_device(unknown)
    for nothing in (None, 0, b"cpu"):
        with pytest.raises(TypeError, match="name must be a device"):
            choose_device(nothing)
    with pytest.raises(ValueError, match="cannot use the device"):
        fit(mlp(36, 4, 2), Data(IMAGES, LABELS), dataclasses.replace(CPU, device="gpu"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_on_the_gpu():
    model, history = trained(dataclasses.replace(CPU, device="cuda"), val=stripes(40, seed=1))
    assert history.device == "cuda" and next(model.parameters()).is_cuda
    assert accuracy(model, stripes(40, seed=1)) == 1.0


def test_switches_change_the_speed_and_hardly_the_result(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda network: calls.append(network) or network)
    losses, calls = {}, []
    for switch in ({}, {"amp": True}, {"channels_last": False}, {"compile": True}):
        model, data = small_cnn(), stripes(64)
        history = fit(model, data, dataclasses.replace(CPU, **switch), verbose=False)
        losses[str(switch)] = history.column("train_loss")
        assert next(model.parameters()).dtype == torch.float32
        assert predict(model, data.images).dtype == np.float32
    plain, amp, order, compiled = losses.values()
    assert (amp != plain).any()
    np.testing.assert_allclose(amp, plain, atol=0.02)
    np.testing.assert_allclose(order, plain, atol=1e-4)
    assert (compiled == plain).all() and calls == [model]


def test_a_compiler_that_is_missing(monkeypatch):
    class Fails(RuntimeError):
        __module__ = "torch._inductor.exc"

    def broken(network):
        def forward(x):
            raise Fails("InvalidCxxCompiler: none found\nmore")

        return forward

    monkeypatch.setattr(torch, "compile", broken)
    with pytest.raises(TrainingError, match="^compile does not work here, leave it off: .*none found$"):
        trained(dataclasses.replace(CPU, compile=True))


def test_a_single_image_and_batch_norm():
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 2), nn.BatchNorm1d(2))
    with pytest.raises(TrainingError, match="batch of one image.*another batch_size than 16"):
        fit(model, stripes(33), CPU, verbose=False)
