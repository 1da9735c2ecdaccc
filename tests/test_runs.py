"""Recorded runs: what is written is read again, what is damaged or missing is named, those in the clone are whole."""

import dataclasses
import json
import os
import random
import re

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from cnn_course import runs
from cnn_course.errors import RunError
from cnn_course.files.course_files import course
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
    (tmp_path / "a.csv").unlink()
    with pytest.raises(
        RunError, match="'a' .* is damaged .there is no such file or folder.: restore both files, a.json and"
    ):
        runs.load("a", tmp_path)


def changes(data: bytes, rng: random.Random, flips: int):
    """Each a file that is no longer what was written: cut anywhere, longer, with a bit flipped."""
    for place in rng.sample(range(len(data)), min(len(data), flips)):
        yield data[:place] + bytes([data[place] ^ 1 << rng.randrange(8)]) + data[place + 1 :]
    for place in rng.sample(range(len(data)), min(len(data), 40)):
        yield data[:place]
    yield data + data[-20:]


def test_a_changed_run_is_refused(tmp_path):
    """Whole lines that are missing among them: one epoch of two was read as all there is."""
    runs.record("a", history(), TrainConfig(epochs=2), ABOUT, tmp_path)
    lines = (tmp_path / "a.csv").read_text().splitlines(keepends=True)
    for ending in ("csv", "json"):
        path = tmp_path / f"a.{ending}"
        good = path.read_bytes()
        others = list(changes(good, random.Random(0), 400))
        if ending == "csv":
            others += ["".join(part).encode() for part in (lines[:2], lines[:1], [*lines, lines[2]], [])]
            others.append(good.replace(b"0.25", b"0.35"))
        for other in others:
            path.write_bytes(other)
            with pytest.raises(RunError, match="'a' .* is damaged"):
                runs.load("a", tmp_path)
        path.write_bytes(good.replace(b"\n", b"\r\n"))  # as git may store it on Windows
        assert len(runs.load("a", tmp_path).epochs["epoch"]) == 2
        path.write_bytes(good)


def test_a_run_from_before_there_were_sums_is_checked_as_far_as_it_can_be(tmp_path):
    path = runs.record("a", history(), TrainConfig(epochs=2), ABOUT, tmp_path)
    about = {key: value for key, value in json.loads(path.read_text()).items() if key != "sha256"}
    path.write_text(json.dumps(about))
    assert len(runs.load("a", tmp_path).epochs["lr"]) == 2
    good = (tmp_path / "a.csv").read_text()
    lines = good.splitlines(keepends=True)
    for other in (good[:-1], good[:-9], "".join(lines[:2]), good + lines[2], lines[0] + lines[2], ""):
        (tmp_path / "a.csv").write_text(other)
        with pytest.raises(RunError, match="'a' .* is damaged"):
            runs.load("a", tmp_path)
    (tmp_path / "a.csv").write_text(good)
    path.write_text("[]")
    with pytest.raises(RunError, match="the JSON is no object"):
        runs.load("a", tmp_path)


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/b", "", "a\0b", "a/", "\ud800"])
def test_a_name_stays_in_its_folder(name, tmp_path):
    folder = tmp_path / "here"
    folder.mkdir()
    calls = (
        lambda: runs.record(name, history(), TrainConfig(), ABOUT, folder),
        lambda: runs.load(name, folder),
        lambda: runs.save_weights(name, nn.Linear(3, 2), {}, folder),
        lambda: runs.load_weights(name, nn.Linear(3, 2), folder),
    )
    for call in calls:
        with pytest.raises(ValueError, match="name must be a plain name, without a folder"):
            call()
    assert [path.name for path in tmp_path.rglob("*")] == ["here"]


@pytest.mark.parametrize("pattern", ["**", "/", "", "../*", "a/*", "/etc/*", "a\0"])
def test_a_pattern_stays_in_its_folder(pattern, tmp_path):
    with pytest.raises(ValueError, match="pattern must be a name with"):
        runs.find(pattern, tmp_path)


def test_a_record_holds_what_json_can_hold(tmp_path):
    about = {**ABOUT, "name": "other", "test_accuracy": np.float32(0.5), "counts": np.arange(2), "where": tmp_path}

    def negative(images, generator):
        return 255 - images

    runs.record("a", history(), TrainConfig(augment=negative), about, tmp_path)
    run = runs.load("a", tmp_path)
    assert run.about["name"] == "a" and run.about["test_accuracy"] == 0.5 and run.about["counts"] == [0, 1]
    assert run.about["config"]["augment"].endswith("negative")
    for bad in ({"x": object()}, {"x": {1, 2}}, {(1, 2): 3}, {"x": np.array([1j])}):
        with pytest.raises(TypeError, match="about must hold what JSON can hold"):
            runs.record("b", history(), TrainConfig(), bad, tmp_path)
    itself = {}
    itself["x"] = itself
    with pytest.raises(TypeError, match="about must hold what JSON can hold"):
        runs.record("b", history(), TrainConfig(), itself, tmp_path)
    with pytest.raises(TypeError, match="config must be a dataclass"):
        runs.record("b", history(), TrainConfig, ABOUT, tmp_path)
    assert not (tmp_path / "b.csv").exists()
    runs.record("c", History(), TrainConfig(), {}, tmp_path)
    empty = runs.load("c", tmp_path)
    assert list(empty.epochs) == runs.COLUMNS and empty.epochs["lr"].shape == (0,)
    with pytest.raises(RunError, match="the run 'c' has no caption"):
        print(empty.caption)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_no_run(tmp_path):
    """To read it would be to wait for ever."""
    for name in ("a.json", "w.safetensors"):
        os.mkfifo(tmp_path / name)
    with pytest.raises(RunError, match="it is a pipe or a device, and a file is needed"):
        runs.load("a", tmp_path)
    with pytest.raises(RunError, match="it is a pipe or a device, and a file is needed"):
        runs.load_weights("w", nn.Linear(3, 2), tmp_path)


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


def test_changed_weights_are_refused(tmp_path):
    path = runs.save_weights("w", nn.Linear(3, 2), {"data": "stripes"}, tmp_path)
    good, model = path.read_bytes(), nn.Linear(3, 2)
    before = model.weight.detach().clone()
    for other in changes(good, random.Random(1), 1000):  # every byte
        path.write_bytes(other)
        with pytest.raises(RunError, match="are damaged"):
            runs.load_weights("w", model, tmp_path)
    assert torch.equal(model.weight, before)


def test_weights_from_before_there_were_sums_are_read(tmp_path):
    model = nn.Linear(3, 2)
    (tmp_path / "w.safetensors").write_bytes(safetensors.torch.save(dict(model.state_dict()), {"data": "stripes"}))
    assert runs.load_weights("w", nn.Linear(3, 2), tmp_path) == {"data": "stripes"}


def test_weights_that_layers_share_and_models_without_values(tmp_path):
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    runs.save_weights("w", model, {}, tmp_path)
    runs.load_weights("w", other := nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), tmp_path)
    assert torch.equal(other[1].weight, model[0].weight)
    for bad, says in ((nn.Linear(2, 2, device="meta"), "meta"), (nn.LazyLinear(2), "do not know their shape")):
        for call in (runs.load_weights, lambda name, model, folder: runs.save_weights(name, model, {}, folder)):
            with pytest.raises(ValueError, match=f"model .*{says}"):
                call("w", bad, tmp_path)


@pytest.mark.parametrize("path", sorted((course() / "data" / "weights").iterdir()), ids=lambda path: path.stem)
def test_the_weights_in_the_clone_have_sums(path):
    data = path.read_bytes()
    about = runs._header(data)
    assert about.pop("sha256") == runs._sum_of_weights(safetensors.torch.load(data), about)


RECORDED = sorted((course() / "data" / "runs").glob("*.json"))


def test_there_are_recorded_runs():
    assert RECORDED


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_what_is_recorded_in_the_clone_says_how_it_was_made(path):
    run = runs.load(path.stem)
    text = path.read_text()
    assert "sha256" in json.loads(text) and "sha256" not in run.about
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


def test_a_gpu_that_had_no_part_in_a_training_is_not_recorded(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device=None: f"card of {device}")
    assert runs.circumstances("cpu")["hardware"]["gpu"] is None
    assert runs.circumstances("cuda:1")["hardware"]["gpu"] == "card of cuda:1"
