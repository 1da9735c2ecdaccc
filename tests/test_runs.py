"""Recorded runs: what is written is read again, what is damaged or missing is named, those in the clone are whole."""

import dataclasses
import json
import re

import numpy as np
import pytest
import torch
from torch import nn

from cnn_course import runs
from cnn_course.errors import RunError
from cnn_course.files.course_files import repository
from cnn_course.training.history import Epoch, History
from cnn_course.training.recipe import TrainConfig

ABOUT = {
    "data": "stripes",
    "images": {"train": 12_000, "val": 10, "test": 10, "shape": [1, 6, 6]},
    "test_accuracy": 0.75,
}


def history():
    return History([Epoch(1, 2.0, 0.25, 1.5, 0.5, 0.1, 3.0), Epoch(2, 1.0, 1 / 3, None, None, 0.05, 4.0)])


def test_a_run_comes_back_as_it_was_recorded(tmp_path):
    path = runs.record("a-s0", history(), TrainConfig(epochs=2, seed=7), ABOUT, tmp_path)
    assert path == tmp_path / "a-s0.json" and sorted(p.name for p in tmp_path.iterdir()) == ["a-s0.csv", "a-s0.json"]
    run = runs.load("a-s0", tmp_path)
    assert run.name == "a-s0" and list(run.epochs) == [field.name for field in dataclasses.fields(Epoch)]
    np.testing.assert_allclose(run.epochs["train_accuracy"], [0.25, 1 / 3], rtol=1e-5)
    assert run.epochs["val_loss"][0] == 1.5 and np.isnan(run.epochs["val_loss"][1])
    assert run.about["config"]["seed"] == 7 and run.about["test_accuracy"] == 0.75
    assert run.about["versions"]["torch"] == torch.__version__.partition("+")[0]
    assert run.about["hardware"]["threads"] == torch.get_num_threads()
    assert run.caption.startswith("stripes; 12,000 training images 1x6x6, ") and "\n" not in run.caption


def test_find_goes_by_pattern_and_in_order(tmp_path):
    for name in ("b-s1", "b-s0", "c-s0"):
        runs.record(name, history(), TrainConfig(), ABOUT, tmp_path)
    assert [run.name for run in runs.find("b-*", tmp_path)] == ["b-s0", "b-s1"]
    assert runs.find("d-*", tmp_path) == []


def test_missing_and_damaged_runs_are_named(tmp_path):
    runs.record("a", history(), TrainConfig(), ABOUT, tmp_path)
    with pytest.raises(RunError, match=r"no recorded run 'b' in .* \(there: a\)"):
        runs.load("b", tmp_path)
    for ending, text in ((".json", "{"), (".csv", "epoch,train_loss\n1,high\n")):
        whole = (tmp_path / f"a{ending}").read_text()
        (tmp_path / f"a{ending}").write_text(text)
        with pytest.raises(RunError, match="'a' .* is damaged"):
            runs.load("a", tmp_path)
        (tmp_path / f"a{ending}").write_text(whole)
    with pytest.raises(RunError, match="there is no folder"):
        runs.record("a", history(), TrainConfig(), ABOUT, tmp_path / "none")


def test_weights_come_back_with_what_is_known_of_them(tmp_path):
    torch.manual_seed(0)
    model, other = nn.Linear(3, 2), nn.Linear(3, 2)
    runs.save_weights("w", model, {"data": "stripes", "seed": 3}, tmp_path)
    assert runs.load_weights("w", other, tmp_path) == {"data": "stripes", "seed": "3"}
    assert torch.equal(model.weight, other.weight) and torch.equal(model.bias, other.bias)


def test_weights_that_do_not_fit_leave_the_model_alone(tmp_path):
    runs.save_weights("w", nn.Linear(3, 2), {"data": "stripes"}, tmp_path)
    model = nn.Linear(2, 2)
    before = model.weight.detach().clone()
    with pytest.raises(RunError, match="'w' are of another network than this Linear: {'data': 'stripes'}"):
        runs.load_weights("w", model, tmp_path)
    with pytest.raises(RunError, match=r"no weights 'v' in .* \(there: w\)"):
        runs.load_weights("v", model, tmp_path)
    whole = (tmp_path / "w.safetensors").read_bytes()
    (tmp_path / "w.safetensors").write_bytes(whole[:-5])
    with pytest.raises(RunError, match="are damaged"):
        runs.load_weights("w", model, tmp_path)
    assert torch.equal(model.weight, before)


RECORDED = sorted((repository() / "data" / "runs").glob("*.json"))


def test_there_are_recorded_runs():
    assert RECORDED


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_what_is_recorded_in_the_clone_says_how_it_was_made(path):
    run = runs.load(path.stem)
    text = path.read_text()
    assert not re.search(r'"[^"]*(/home/|/tmp/|/work/|/root/|\\\\Users)', text), "a machine's path"
    about = run.about
    assert about["name"] == path.stem and about["command"].startswith("cnn-course train ")
    assert f"--name {path.stem}" in about["command"] and f"--seed {about['seed']}" in about["command"]
    assert about["seed"] == about["config"]["seed"] and re.fullmatch(r"[0-9a-f]{12}\+?", about["commit"])
    assert {"cpu", "cores", "threads", "gpu"} == about["hardware"].keys() and about["wall_seconds"] > 0
    assert len(run.epochs["epoch"]) == about["config"]["epochs"]
    for column in ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr", "seconds"):
        assert np.isfinite(run.epochs[column]).all()
    assert about["test_errors"] == round((1 - about["test_accuracy"]) * about["images"]["test"])
    if "cifar10-jpeg" in json.dumps(about["command"]):
        assert "JPEG" in about["data"]
