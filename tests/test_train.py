"""Training: it learns, repeats itself, can be stopped, and refuses what cannot be trained on."""

import contextlib
import dataclasses
import io
import sys
import time

import numpy as np
import pytest
import torch
from striped_images import CPU, IMAGES, LABELS, Data, Wide, net, small_cnn, stripes, trained
from torch import nn

from cnn_course import checkpoint
from cnn_course.augment import Augment
from cnn_course.errors import CheckpointError, TrainingError
from cnn_course.models.mlp import mlp
from cnn_course.train import TrainConfig, accuracy, choose_device, evaluate, fit, predict
from cnn_course.training import epoch, precision


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


def test_no_gpu_is_asked_to_draw_for_the_cpu():
    """torch.manual_seed asks each kind, and without a GPU it keeps a stack trace for every call: 1.4 ms, and a leak."""
    before = len(torch.cuda._queued_calls)
    trained()
    assert len(torch.cuda._queued_calls) == before


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
        bar = epoch._bar((1, 2, 3), "epoch 1")
        assert list(bar) == [1, 2, 3]
    assert type(bar) is not type(iter(()))


def test_a_bar_in_a_notebook_is_one_of_letters(monkeypatch, capsys):
    """A widget would be saved with the notebook, and lost with the kernel."""
    monkeypatch.setenv("JPY_SESSION_NAME", "a.ipynb")
    monkeypatch.setenv("CNN_COURSE_WIDGETS", "1")
    for _ in epoch._bar((1, 2, 3), "epoch 1"):
        time.sleep(0.6)  # it comes after a second
    out, err = capsys.readouterr()
    assert "epoch 1:  67%" in out and err == ""


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


class Needs(nn.Module):
    """Has memory for so many images at once."""

    def __init__(self, most):
        super().__init__()
        self.net, self.most, self.seen = small_cnn(), most, []

    def forward(self, x):
        if len(x) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")
        self.seen.append(len(x))
        return self.net(x)


def test_an_evaluation_takes_as_many_images_as_there_is_memory_for():
    data = stripes(20)
    model, wanted = Needs(5), predict(Needs(64), data.images)
    np.testing.assert_allclose(predict(model, data.images), wanted, atol=1e-6)
    assert model.seen == [5, 5, 5, 5] or model.seen == [4] * 5, model.seen
    with pytest.raises(torch.OutOfMemoryError):
        predict(Needs(0), data.images)


def test_a_validation_takes_no_more_images_than_the_training():
    model = Needs(7)
    fit(model, stripes(20), dataclasses.replace(CPU, epochs=1, batch_size=7), val=stripes(20), verbose=False)
    assert max(model.seen) == 7


def test_no_room_for_the_network(monkeypatch):
    def full(*args, **kwargs):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB\nmore")

    model = net()
    monkeypatch.setattr(model, "to", full)
    with pytest.raises(TrainingError, match=r"^cpu has no room for the network and the 20 training images, 0 MB: "):
        fit(model, Data(IMAGES, LABELS), CPU)


def test_what_is_drawn_ahead_gives_the_same_pictures():
    """As drawn batch by batch: by a function that nobody can ask beforehand."""
    every = Augment(crop=1, flip=True, rotate=20.0, cutout=3)
    found = []
    for augment in (every, lambda images, generator: every(images, generator)):
        model, history = trained(dataclasses.replace(CPU, augment=augment))
        found.append((history.column("train_loss").tolist(), model[1].weight))
    assert found[0][0] == found[1][0] and torch.equal(found[0][1], found[1][1])


@pytest.mark.parametrize(("capability", "dtype"), [((7, 5), torch.float16), ((8, 0), torch.bfloat16)])
def test_half_precision_of_a_card(capability, dtype, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert precision._half(torch.device("cuda", 0)) == dtype
    assert str(precision.precision(torch.device("cpu"), amp=True)) == "bfloat16"
    plain = precision.precision(torch.device("cpu"), amp=False)
    assert str(plain) == "float32" and not plain.scaler.is_enabled()


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
