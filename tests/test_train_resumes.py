"""A training that goes on from its checkpoint ends as one without a break (kill -9: test_checkpoint.py)."""

import dataclasses
import tempfile

import pytest
import torch
from striped_images import CPU, net, stripes, trained

from cnn_course import checkpoint, train
from cnn_course.augment import Augment
from cnn_course.errors import CheckpointError, TrainingError
from cnn_course.train import fit
from cnn_course.training import precision


class Stop:
    """on_epoch that stops the run like Ctrl-C after one epoch."""

    def __init__(self, after: int) -> None:
        self.after = after

    def __call__(self, row):
        if row.epoch == self.after:
            raise KeyboardInterrupt


RECIPE = dataclasses.replace(CPU, epochs=6, lr=0.03, schedule="cosine", warmup=1.5, patience=3, label_smoothing=0.1)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_resumed_and_uninterrupted_end_the_same(optimizer, tmp_path, capsys):
    config = dataclasses.replace(RECIPE, optimizer=optimizer, augment=Augment(crop=1, rotate=10.0, cutout=2))
    val, path = stripes(40, seed=1), tmp_path / "run.checkpoint"
    whole, expected = trained(config, val=val)
    for stop in (1, 2):
        assert fit(net(), stripes(100), config, val=val, checkpoint=path, on_epoch=Stop(stop)).interrupted
    out = capsys.readouterr().out
    assert f"{path} holds the last whole epoch: the same call goes on from there" in out
    assert f"going on from {path}: 1 of 6 epochs are done" in out
    model, history = trained(config, seed=9, val=val, checkpoint=path)
    assert all(torch.equal(p, q) for p, q in zip(model.state_dict().values(), whole.state_dict().values(), strict=True))
    rows = [[dataclasses.replace(row, seconds=0) for row in h.epochs] for h in (history, expected)]
    assert rows[0] == rows[1] and history.restored == expected.restored and not history.interrupted


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory. Tried 2 GiB"), KeyboardInterrupt()])
def test_what_ends_a_validation_takes_no_epoch_with_it(error, tmp_path, monkeypatch):
    val, path = stripes(40, seed=1), tmp_path / "run"
    whole, expected = trained(RECIPE, val=val)
    validate, calls, epochs = train._validate, [], []

    def fails_once(*args):
        calls.append(1)
        if len(calls) == 2:
            raise error
        return validate(*args)

    def counted(*args):
        epochs.append(args[-1])
        return one_epoch(*args)

    one_epoch = train.one_epoch
    monkeypatch.setattr(train, "_validate", fails_once)
    monkeypatch.setattr(train, "one_epoch", counted)
    if isinstance(error, KeyboardInterrupt):
        _, history = trained(RECIPE, val=val, checkpoint=path)
        assert history.interrupted
    else:
        said = "^out of memory in epoch 2, with batches of 16 images: choose a smaller batch_size, amp=True, smaller "
        with pytest.raises(TrainingError, match=said) as caught:
            trained(RECIPE, val=val, checkpoint=path)
        history = caught.value.history
    assert [row.val_loss is None for row in history.epochs] == [False, True]
    model, history = trained(RECIPE, seed=9, val=val, checkpoint=path)
    assert epochs == [1, 2, 3, 4, 5, 6][: len(history.epochs)], "none was trained twice"
    assert all(torch.equal(p, q) for p, q in zip(model.state_dict().values(), whole.state_dict().values(), strict=True))
    rows = [[dataclasses.replace(row, seconds=0) for row in h.epochs] for h in (history, expected)]
    assert rows[0] == rows[1] and history.restored == expected.restored


def test_what_has_diverged_is_not_kept(tmp_path, monkeypatch):
    path = tmp_path / "run"

    def diverged(*args):
        raise train.NotFinite("logits")

    monkeypatch.setattr(train, "_validate", diverged)
    with pytest.raises(TrainingError, match="no longer a finite number"):
        trained(RECIPE, val=stripes(40, seed=1), checkpoint=path)
    assert not path.exists()


def test_a_run_in_float16_goes_on_with_its_scaler(tmp_path, monkeypatch, capsys):
    """As on a card without bfloat16; the first steps overflow until the factor is small enough."""
    monkeypatch.setattr(precision, "_half", lambda device: torch.float16)
    config, path = dataclasses.replace(CPU, amp=True), tmp_path / "run"
    model, history = net(), fit(net(), stripes(100), config)
    assert history.precision == "float16" and "amp computes in float16" in capsys.readouterr().out
    assert fit(model, stripes(100), config, verbose=False, checkpoint=path, on_epoch=Stop(1)).interrupted
    saved = checkpoint.load(path)
    assert saved["scaler"]["scale"] > 0
    _, resumed = trained(config, seed=9, checkpoint=path)
    assert resumed.column("train_loss").tolist() == history.column("train_loss").tolist()
    saved["scaler"] |= {"scale": -1.0}
    checkpoint.save(path, saved)
    with pytest.raises(CheckpointError, match="scaler: its factor must be a number above 0, not -1.0"):
        trained(config, checkpoint=path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lr": 0.1}, "lr was 0.03 and is 0.1. Use what it was made with, or name another file"),
        ({"epochs": 7}, "epochs was 6 and is 7"),
        ({"augment": Augment(flip=True)}, r"augment was None and is Augment\(crop=0, flip=True"),
        ({"seed": 1, "lr": 1.0}, "lr was 0.03 and is 1.0; seed was 0 and is 1"),
    ],
)
def test_a_checkpoint_of_other_settings(change, message, tmp_path):
    path = tmp_path / "run"
    val = stripes(10, seed=1)
    trained(RECIPE, val=val, checkpoint=path, on_epoch=Stop(1))
    with pytest.raises(CheckpointError, match=message):
        trained(dataclasses.replace(RECIPE, **change), val=val, checkpoint=path)


def test_a_checkpoint_of_other_data_or_another_model(tmp_path):
    path = tmp_path / "run"
    trained(CPU, checkpoint=path, on_epoch=Stop(1))
    with pytest.raises(CheckpointError, match="validation data was none and is 10 images 1x6x6"):
        trained(CPU, checkpoint=path, val=stripes(10))
    model = trained(CPU)[0]
    with pytest.raises(CheckpointError, match=r"training data was 100 images 1x6x6, SHA-256 \w+ and is 100 images"):
        fit(model, stripes(100, seed=5), CPU, checkpoint=path)
    model[3].p = 0.5
    with pytest.raises(CheckpointError, match="model was Sequential with 626 parameters, layers"):
        fit(model, stripes(100), CPU, checkpoint=path)


def test_a_checkpoint_of_something_else(tmp_path):
    path = tmp_path / "run"
    checkpoint.save(path, {"run": {}, "w": torch.ones(2)})
    with pytest.raises(CheckpointError, match="is no checkpoint of a training: name another file to begin anew"):
        trained(CPU, checkpoint=path)


def test_a_finished_run_needs_no_folder_to_write_to(tmp_path, monkeypatch):
    path = tmp_path / "run"
    model, _ = trained(CPU, checkpoint=path)

    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    again, history = trained(CPU, seed=3, checkpoint=path)
    assert len(history.epochs) == 3 and torch.equal(again[1].weight, model[1].weight)
    with pytest.raises(CheckpointError, match="cannot be written: permission denied"):
        trained(CPU, checkpoint=tmp_path / "other")


def test_a_constant_rate_lets_a_finished_run_grow(tmp_path):
    path = tmp_path / "run"
    trained(CPU, checkpoint=path)
    longer = dataclasses.replace(CPU, epochs=5)
    model, history = trained(longer, checkpoint=path)
    whole, expected = trained(longer)
    assert len(history.epochs) == 5 and torch.equal(model[1].weight, whole[1].weight)
    with pytest.raises(CheckpointError, match="it has 5 epochs and now there are to be 3"):
        trained(CPU, checkpoint=path)


def put(*keys_and_value):
    """A change of a state: the value at the end of the keys."""
    *keys, last, value = keys_and_value

    def change(state):
        for key in keys:
            state = state[key]
        state[last] = value(state[last]) if callable(value) else value

    return change


def without(*keys):
    """A change of a state: the last of the keys is taken away."""
    *keys, last = keys

    def change(state):
        for key in keys:
            state = state[key]
        del state[last]

    return change


STATE, GROUP = ("optimizer", "state"), ("optimizer", "param_groups", 0)
DAMAGED = {
    "a row that is none": (put("history", 0, {}), "history, row 1: it must have the columns"),
    "an epoch before the first": (put("history", 0, "epoch", -7), "history, row 1: its epoch must be 1, not -7"),
    "an epoch beyond": (put("history", 0, "epoch", 5), "its epoch must be 1, not 5"),
    "a loss that is none": (put("history", 0, "train_loss", float("nan")), "train_loss must be from 0 to inf, not nan"),
    "a share above 1": (put("history", 0, "train_accuracy", 1.5), "train_accuracy must be from 0 to 1, not 1.5"),
    "no validation": (
        put("history", 0, "val_loss", None),
        "val_loss is there where there is validation data, got None",
    ),
    "a rate in words": (put("history", 0, "lr", "x"), "lr must be a number, not 'x'"),
    "no weights": (put("model", 5), "model: it must be weights by name, not 5"),
    "weights that are missing": (without("model", "1.weight"), "model: '1.weight' is missing"),
    "weights too many": (put("model", lambda model: {**model, "x": 1}), "model: 'x' is too much"),
    "NaN": (put("model", "1.weight", lambda w: w * float("nan")), "model: 1.weight holds NaN or infinity"),
    "infinity": (put("model", "1.weight", lambda w: w / 0), "model: 1.weight holds NaN or infinity"),
    "integers": (
        put("model", "1.weight", lambda w: w.long()),
        "1.weight must have shape .*float32, not .* torch.int64",
    ),
    "complex": (put("model", "1.weight", lambda w: w.cfloat()), "1.weight must have .* not .* torch.complex64"),
    "another shape": (put("model", "1.weight", lambda w: w[1:]), "1.weight must have shape"),
    "a number": (put("model", "1.weight", 7), "1.weight must have shape .*, not 7"),
    "a best epoch without weights": (put("best", {}), "best: '1.bias' is missing"),
    "no best epoch": (put("best", None), "best: there are weights of the best epoch where there is patience"),
    "no optimizer": (put("optimizer", None), "optimizer: it must have a state, not None"),
    "no groups": (put("optimizer", "param_groups", []), "optimizer: it must have one group of settings"),
    "no betas": (without(*GROUP, "betas"), "optimizer: betas must be .*, not 'missing'"),
    "betas in words": (put(*GROUP, "betas", "x"), "optimizer: betas must be .*, not 'x'"),
    "no rate": (put(*GROUP, "lr", None), "optimizer: lr must be 0.03, as in the history, not None"),
    "nothing remembered": (put(*STATE, {}), "optimizer: its state is empty after 1 epochs"),
    "nothing of one": (put(*STATE, 0, {}), "optimizer: parameter 0 must have exp_avg, exp_avg_sq, step"),
    "a parameter that is none": (put(*STATE, lambda state: {**state, 99: {}}), "optimizer: there is no parameter 99"),
    "a step in words": (put(*STATE, 0, "step", "x"), "parameter 0: step must be a number of steps, not 'x'"),
    "a mean of another shape": (put(*STATE, 0, "exp_avg", torch.zeros(3)), "parameter 0: exp_avg must have shape"),
    "a mean of NaN": (put(*STATE, 0, "exp_avg", lambda m: m * float("nan")), "exp_avg holds NaN or infinity"),
    "squares below 0": (put(*STATE, 0, "exp_avg_sq", lambda m: m - 1), "parameter 0: exp_avg_sq is a mean of squares"),
    "no order": (put("order", None), "order: it must be the state of a generator"),
    "an order of zeros": (put("order", torch.zeros_like), "order: it must be the state of a generator"),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A checkpoint after the first of three epochs."""
    path = tmp_path_factory.mktemp("whole") / "run"
    trained(PATIENT, val=stripes(10, seed=1), checkpoint=path, on_epoch=Stop(1))
    return path


PATIENT = dataclasses.replace(CPU, lr=0.03, patience=3)


@pytest.mark.parametrize("name", DAMAGED)
def test_what_in_a_checkpoint_does_not_fit(name, whole, tmp_path):
    """Said before the first step, with the file, what to do, and the model as it was."""
    change, message = DAMAGED[name]
    path, state = tmp_path / "run", checkpoint.load(whole)
    change(state)
    checkpoint.save(path, state)
    written, rows = path.read_bytes(), []
    model = trained(dataclasses.replace(PATIENT, epochs=1), val=stripes(10, seed=1))[0]
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(CheckpointError, match=message) as caught:
        trained(PATIENT, val=stripes(10, seed=1), checkpoint=path, on_epoch=rows.append)
    assert str(path) in str(caught.value) and "put a good copy in its place, or name another file" in str(caught.value)
    with pytest.raises(CheckpointError):
        fit(model, stripes(100), PATIENT, val=stripes(10, seed=1), checkpoint=path)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert path.read_bytes() == written and rows == []


def test_sgd_without_its_momentum(tmp_path):
    path, recipe = tmp_path / "run", dataclasses.replace(CPU, optimizer="sgd")
    trained(recipe, checkpoint=path, on_epoch=Stop(1))
    state = checkpoint.load(path)
    state["optimizer"]["state"][0]["momentum_buffer"] = None
    checkpoint.save(path, state)
    with pytest.raises(CheckpointError, match="parameter 0: momentum_buffer must have shape"):
        trained(recipe, checkpoint=path)


def test_a_frozen_parameter_and_sgd_without_momentum_leave_nothing_to_remember(tmp_path):
    for optimizer in ("adamw", "sgd"):
        recipe = dataclasses.replace(CPU, optimizer=optimizer, momentum=0.0)
        model = trained(recipe)[0]
        model[1].weight.requires_grad_(False)
        path = tmp_path / optimizer
        fit(model, stripes(100), recipe, checkpoint=path, on_epoch=Stop(1), verbose=False)
        assert len(fit(model, stripes(100), recipe, checkpoint=path, verbose=False).epochs) == 3
