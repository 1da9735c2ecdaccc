"""A training that goes on from its checkpoint ends as one without a break (kill -9: test_checkpoint.py)."""

import dataclasses
import tempfile

import pytest
import torch
from striped_images import CPU, net, stripes, trained

from cnn_course import checkpoint
from cnn_course.augment import Augment
from cnn_course.errors import CheckpointError
from cnn_course.train import fit


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
    with pytest.raises(CheckpointError, match="cannot be written: Permission denied"):
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
