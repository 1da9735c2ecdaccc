"""Training: it learns, repeats itself, can be stopped, and refuses what cannot be trained on."""

import contextlib
import dataclasses
import io
import re
import sys

import numpy as np
import pytest
import torch
from striped_images import CPU, Data, stripes, trained
from torch import nn

from cnn_course import train
from cnn_course.augment import Augment
from cnn_course.errors import TrainingError
from cnn_course.models.mlp import mlp
from cnn_course.train import TrainConfig, accuracy, choose_device, fit, predict


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
        ({"lr": 0}, ValueError, "lr must be a finite number, above 0, not 0"),
        ({"lr": float("nan")}, ValueError, "lr must be a finite number, above 0, not nan"),
        ({"lr": "0.1"}, TypeError, "lr must be a finite number, above 0, not '0.1' (str)"),
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


def test_bad_prediction_input():
    with pytest.raises(TypeError, match="uint8"):
        predict(mlp(36, 4, 2), IMAGES.astype(np.float32))
    with pytest.raises(ValueError, match="batch_size"):
        predict(mlp(36, 4, 2), IMAGES, batch_size=0)
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
    for unknown in ("gpu", "cuda:99", "cpu:x"):
        with pytest.raises(ValueError, match=f"cannot use the device '{unknown}'"):
            choose_device(unknown)
    with pytest.raises(ValueError, match="cannot use the device"):
        fit(mlp(36, 4, 2), Data(IMAGES, LABELS), dataclasses.replace(CPU, device="gpu"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_on_the_gpu():
    model, history = trained(dataclasses.replace(CPU, device="cuda"), val=stripes(40, seed=1))
    assert history.device == "cuda" and next(model.parameters()).is_cuda
    assert accuracy(model, stripes(40, seed=1)) == 1.0


def small_cnn() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2))


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
