"""One right call of every public function about training and its files, for `wrong_values`: {name: () -> arguments}."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from cnn_course import checkpoint, runs, train
from cnn_course.augment import Augment
from cnn_course.training.history import Epoch, History

EVERY = Augment(crop=1, flip=True, rotate=5.0, cutout=2)


@dataclass
class Data:
    images: np.ndarray
    labels: np.ndarray


def data(n=6):
    return Data(np.arange(n * 4, dtype=np.uint8).reshape(n, 1, 2, 2), np.arange(n) % 2)


def net():
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 2))


def config():
    return train.TrainConfig(epochs=1, batch_size=4, device="cpu")


def history():
    return History([Epoch(1, 2.0, 0.25, 1.5, 0.5, 0.1, 3.0), Epoch(2, 1.0, 0.5, 1.0, 0.75, 0.05, 4.0)])


def batch():
    return {"images": torch.ones(3, 1, 4, 5), "generator": torch.Generator().manual_seed(0)}


def run(folder):
    about = {"data": "stripes", "images": {"train": 6, "shape": [1, 2, 2]}}
    return {"name": "a", "history": history(), "config": config(), "about": about, "folder": folder}


def recorded(folder):
    runs.record(**run(folder))
    return folder


def weights(folder):
    return {"name": "w", "model": net(), "about": {"data": "stripes"}, "folder": folder}


def saved(folder):
    runs.save_weights(**weights(folder))
    return folder


def kept(folder):
    checkpoint.save(folder / "c", {"w": torch.ones(2)})
    return folder / "c"


CALLS = {
    "augment.Augment": lambda: {"crop": 1},
    "augment.Augment.draw": lambda: {**batch(), "self": EVERY, "n": 3},
    "augment.Augment.apply": lambda: {
        "self": EVERY,
        "images": batch()["images"],
        "drawn": EVERY.draw(3, **batch()),
    },
    "augment.cutout": lambda: {**batch(), "size": 2},
    "augment.random_crop": lambda: {**batch(), "padding": 1},
    "augment.random_flip": batch,
    "augment.random_rotation": lambda: {**batch(), "degrees": 10.0},
    "checkpoint.load": lambda folder: {"path": kept(folder)},
    "checkpoint.save": lambda folder: {"path": folder / "c", "state": {"w": torch.ones(2), "epoch": 1}},
    "runs.Run": lambda: {"name": "a", "epochs": {"epoch": np.ones(2)}, "about": {}},
    "runs.circumstances": lambda: {},
    "runs.find": lambda folder: {"pattern": "*", "folder": recorded(folder)},
    "runs.load": lambda folder: {"name": "a", "folder": recorded(folder)},
    "runs.load_weights": lambda folder: {"name": "w", "model": net(), "folder": saved(folder)},
    "runs.processor": lambda: {},
    "runs.record": run,
    "runs.save_weights": weights,
    "train.History.column": lambda: {"self": history(), "name": "train_loss"},
    "train.TrainConfig": lambda: {},
    "train.accuracy": lambda: {"model": net(), "data": data()},
    "train.choose_device": lambda: {},
    "train.evaluate": lambda: {"model": net(), "data": data()},
    "train.fit": lambda: {"model": net(), "data": data(), "config": config(), "verbose": False},
    "train.make_optimizer": lambda: {"model": net(), "config": config()},
    "train.predict": lambda: {"model": net(), "images": data().images},
}
