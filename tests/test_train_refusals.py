"""What cannot be trained on, or predicted from, is said before the first step, and leaves the model as it was."""

import dataclasses
import os
import re

import numpy as np
import pytest
import torch
from striped_images import CPU, IMAGES, LABELS, Data, Wide, net, stripes
from torch import nn

from cnn_course import datasets
from cnn_course.augment import Augment
from cnn_course.errors import CheckpointError, TrainingError
from cnn_course.models.mlp import mlp
from cnn_course.train import TrainConfig, accuracy, evaluate, fit, predict


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


def state_of(model):
    """Weights, running means, and the mode of each part."""
    return {name: value.clone() for name, value in model.state_dict().items()}, [m.training for m in model.modules()]


def same_state(one, other):
    return one[1] == other[1] and all(torch.equal(one[0][name], other[0][name]) for name in one[0])


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
