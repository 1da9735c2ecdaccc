"""One right call of every public function about pictures: filters, data, figures, views, for `wrong_values`."""

import dataclasses
import functools

import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from tiny_data import make_folder

from cnn_course import datasets, gabor


def numbers(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape)


def picture(*shape):
    return np.random.default_rng(sum(shape)).random(shape)


@functools.cache
def _axes():
    return Figure(figsize=(2, 2)).subplots()


def axes():
    return _axes()


def split(count=3):
    return datasets.Split(np.zeros((count, 1, 4, 4), np.uint8), np.arange(count) % 2)


def halves(x):
    return np.asarray(x)[:, :, ::2, ::2]


def brightest(x):
    return np.asarray(x).reshape(len(x), -1).argmax(axis=1) % 2


def thirds(batch):
    return np.full((len(batch), 3), 1 / 3)


def one_stage(image):
    return {"as it is": image[0] / 255}, np.full(2, 0.5)


def bar(ax, k=1):
    ax.barh(0, k)


def wave_of():
    return gabor.Gabor(1.0, 2, 2, 1.0, 1.5, 0.3, 0.2, 0.1)


def own_folder(folder):
    return str(make_folder(folder / "mine", count=5, size=(3, 2)))


def tiny_network():
    from torch import nn

    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())


CALLS = {
    # --- filters
    "filters.identity": lambda: {"k": 3},
    "filters.shift": lambda: {"dy": 1, "dx": -2},
    "filters.box": lambda: {"k": 3},
    "filters.gaussian": lambda: {"k": 3, "sigma": 1.5},
    "filters.laplacian": lambda: {"diagonal": True},
    "filters.sharpen": lambda: {},
    "filters.corners": lambda: {},
    "filters.sobel_x": lambda: {},
    "filters.sobel_y": lambda: {},
    "filters.prewitt_x": lambda: {},
    "filters.prewitt_y": lambda: {},
    "filters.emboss": lambda: {},
    "filters.two_tap_edge": lambda: {},
    "filters.apply": lambda: {"image": picture(5, 6), "kernel": numbers(3, 2)},
    "filters.separate": lambda: {"kernel": np.outer([1.0, 2, 1], [-1.0, 0, 1])},
    # --- gabor
    "gabor.Gabor": lambda: dataclasses.asdict(wave_of()) | {"explained": 0.5},
    "gabor.wave": lambda: {"shape": (4, 5), "g": wave_of()},
    "gabor.fit": lambda: {"filter": numbers(4, 3), "starts": 1},
    "gabor.controls": lambda: {"filters": numbers(2, 3, 4)},
    "gabor.alike": lambda: {"filters": numbers(2, 3, 4)},
    # --- images
    "images.photograph": lambda: {"name": "coins", "size": (4, 5)},
    "images.resize": lambda: {"image": picture(6, 5), "size": (3, 4)},
    "images.shift": lambda: {"x": picture(2, 4, 3), "dy": 1, "dx": -1},
    "images.pad": lambda: {"x": picture(2, 4, 3), "padding": 1},
    "images.place": lambda: {"x": picture(2, 4, 3), "size": (7, 6)},
    "images.to_nchw": lambda: {"image": picture(4, 5, 3)},
    "images.to_hwc": lambda: {"x": picture(1, 3, 4, 5)},
    # --- equivariance
    "equivariance.relative_difference": lambda: {"a": numbers(2, 3), "b": picture(2, 3)},
    "equivariance.equivariance_error": lambda: {"f": halves, "images": picture(2, 1, 6, 8), "dy": 1, "dx": 2},
    "equivariance.invariance_error": lambda: {"f": np.square, "images": picture(2, 1, 6, 8), "dy": 1, "dx": 2},
    "equivariance.rotate": lambda: {"x": picture(2, 4, 4), "degrees": 30},
    "equivariance.disc": lambda: {"size": 6, "margin": 0.5},
    "equivariance.rotation_error": lambda: {
        "f": np.square, "images": picture(2, 2, 6, 6), "degrees": 90, "channels": [1, 0],
    },
    "equivariance.shift_accuracy_map": lambda: {
        "predict": brightest, "images": picture(3, 1, 4, 4), "labels": np.array([0, 1, 1]), "max_shift": 1,
    },
    # --- synthetic
    "synthetic.Drawn": lambda: {
        "images": np.zeros((2, 1, 3, 3), np.uint8), "labels": np.array([1, 0]), "factors": {"row": numbers(2)},
    },
    "synthetic.glyphs": lambda: {"n": 2, "seed": 1},
    "synthetic.shapes": lambda: {"n": 2, "seed": 1},
    # --- datasets
    "datasets.Split": lambda: {"images": np.zeros((2, 1, 4, 4), np.uint8), "labels": np.array([1, 0])},
    "datasets.Dataset": lambda: {
        "name": "mine", "title": "my own", "classes": ("a", "b"), "train": split(), "val": split(), "test": split(),
    },
    "datasets.DatasetState": lambda: {
        "name": "mine", "title": "my own", "images": 9, "size": "1x4x4", "state": "on disk", "hint": "",
    },
    "datasets.data_root": lambda folder: {"root": str(folder)},
    "datasets.load": lambda folder: {"name": own_folder(folder), "root": str(folder), "size": (3, 4)},
    "datasets.get": lambda folder: {"name": "glyphs", "root": str(folder)},
    "datasets.verify": lambda folder: {"name": own_folder(folder), "root": str(folder)},
    "datasets.describe": lambda folder: {"root": str(folder)},
    # --- words and questions
    "claims.state": lambda: {"sentence": "Nine plus nine is {sum}.", "sum": 18},
    "claims.for_settings": lambda: {"now": {"EPOCHS": 8}},
    "quiz.choice": lambda: {
        "question": "What is 2 + 2?", "options": ["3", "4"], "answer": "4", "why": ["That is 2 + 1.", "Yes."],
    },
    "quiz.number": lambda: {"question": "What is 2 + 2?", "answer": 4, "why": "Count.", "mistakes": {9.0: "Too many."}},
    # --- visualize
    "visualize.use_style": lambda: {},
    "visualize.style": lambda: {},
    "visualize.png": lambda: {"fig": axes().figure},
    "visualize.shrink": lambda: {"picture": Image.new("RGB", (4, 3), (9, 8, 7))},
    "visualize.written": lambda: {"value": -1.5, "fmt": ".1f"},
    "visualize.picture_bundle": lambda: {"data": b"PNG", "alt": "A picture."},
    "visualize.show": lambda: {"fig": Figure(), "alt": "Axes without a line."},
    "visualize.image": lambda: {"ax": axes(), "x": picture(4, 5), "value_range": (0, 2)},
    "visualize.image_grid": lambda: {"ax": axes(), "images": picture(3, 4, 5), "labels": ["a", "b", "c"]},
    "visualize.matrix": lambda: {
        "ax": axes(), "values": numbers(2, 3), "highlight": [(0, 0, 1, 1)], "muted": np.eye(2, 3, dtype=bool),
    },
    "visualize.heatmap": lambda: {"ax": axes(), "values": numbers(2, 3), "x": [0, 1, 2], "y": [1, 2]},
    "visualize.curves": lambda: {"ax": axes(), "series": {"a": [1, 2, 3], "b": numbers(2, 3)}, "x": [0, 1, 2]},
    "visualize.bars": lambda: {"ax": axes(), "series": {"a": [1, 2, 3], "b": 2.0}},
    # --- views
    "widgets.backward_stepper.backward_stepper": lambda: {
        "x": np.arange(9.0).reshape(3, 3), "w": np.eye(2), "dout": np.ones((2, 2)),
    },
    "widgets.draw_digit.draw_digit": lambda: {
        "models": {"one": one_stage}, "examples": np.full((2, 28, 28), 9, np.uint8), "classes": ["a", "b"],
    },
    "widgets.explore.explore": lambda: {"draw": bar, "k": (1, 3), "figsize": (2.0, 1.5)},
    "widgets.kernel_designer.kernel_designer": lambda: {"size": (8, 8)},
    "widgets.kernel_matrix.kernel_matrix": lambda: {"w": np.array([1.0, -2.0]), "size": 3},
    "widgets.object_mover.object_mover": lambda: {
        "image": picture(1, 6, 6), "predictors": {"thirds": thirds}, "classes": ["a", "b", "c"], "true_class": "b",
    },
    "widgets.shape_playground.shape_playground": lambda: {"size": 5, "channels": 2, "filters": 4, "kernel": 3},
    "widgets.stack_builder.stack_builder": lambda: {"layers": ["conv 3×3"], "size": 16},
    "widgets.stepping_window.stepping_window": lambda: {"x": np.arange(12.0).reshape(3, 4), "w": np.eye(2)},
    "widgets.training_monitor.training_monitor": lambda: {"epochs": 2},
    "widgets.unit_browser.unit_browser": lambda: {
        "model": tiny_network(), "layers": ["0"], "images": np.arange(128, dtype=np.uint8).reshape(2, 1, 8, 8),
        "k": 1, "steps": 0,
    },
}  # fmt: skip
