"""One right call of every public function that builds a network or looks into one, for `wrong_values`.

{name: () -> arguments}
"""

import numpy as np
import torch
from torch import nn

from cnn_course.models import lenet, resnet


def numbers(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape)


def pictures():
    return np.random.default_rng(3).random((2, 1, 4, 4))


def small_net(channels=1):
    """(N, channels, H, W), from 4 x 4 on -> (N, 3)."""
    torch.manual_seed(0)
    net = nn.Sequential()
    net.conv1 = nn.Conv2d(channels, 2, 3, padding=1)
    net.relu1 = nn.ReLU()
    net.pool = nn.AdaptiveAvgPool2d(1)
    net.flat = nn.Flatten()
    net.logits = nn.Linear(2, 3)
    return net.eval()


def inside(**more):
    """For `interpret`: a model, pictures, and what a function wants besides."""
    return {"model": small_net(), "images": pictures(), **more}


CALLS = {
    # looking inside
    "interpret.activations": lambda: inside(layers=["conv1", "relu1"]),
    "interpret.first_layer_filters": lambda: {
        "model": nn.Sequential(nn.Flatten(), nn.Linear(12, 2)),
        "image_shape": (3, 2, 2),
    },
    "interpret.occlusion": lambda: inside(targets=[0, 2], window=2, stride=2),
    "interpret.saliency": lambda: inside(targets=np.array([0, 2]), copies=2),
    "interpret.grad_cam": lambda: inside(targets=1, layer="conv1"),
    "interpret.maximise": lambda: {
        "model": small_net(),
        "layer": "conv1",
        "channels": [0, 1],
        "shape": (1, 4, 4),
        "steps": 2,
        "blur": 1,
        "jitter": 1,
    },
    "interpret.top_images": lambda: inside(layer="conv1", channels=[0, 1], k=2),
    "interpret.TopImages": lambda: {
        "values": torch.zeros(1, 2),
        "index": torch.zeros(1, 2, dtype=torch.long),
        "boxes": torch.zeros(1, 2, 4, dtype=torch.long),
        "patches": torch.zeros(1, 2, 1, 3, 3),
    },
    "receptive_field.measured_field": lambda: {"module": small_net()[:2], "input_shape": (1, 7, 6), "unit": (3, 2)},
    "receptive_field.gradient_map": lambda: {"module": small_net()[:2], "x": pictures(), "unit": (1, 2)},
    "receptive_field.spread": lambda: {"weights": np.abs(numbers(3, 4))},
    "trace.table": lambda: {"module": small_net(), "input_shape": (1, 4, 4)},
    # networks
    "models.alexnet.response_norm": lambda: {},
    "models.alexnet.alexnet_paper": lambda: {"classes": 2},
    "models.alexnet.alexnet": lambda: {"classes": 2},
    "models.alexnet.alexnet_cifar": lambda: {"classes": 2},
    "models.convert.renamed": lambda: {"state": small_net().state_dict(), "like": small_net()},
    "models.googlenet.Inception": lambda: {
        "in_channels": 2, "one": 1, "reduce3": 1, "three": 2, "reduce5": 1, "five": 1, "pool": 1,
    },
    "models.googlenet.GoogLeNet": lambda: {"classes": 2},
    "models.googlenet.googlenet": lambda: {"classes": 2},
    "models.googlenet.googlenet_paper": lambda: {"classes": 2},
    "models.googlenet.googlenet_cifar": lambda: {"classes": 2},
    "models.googlenet.unit": lambda: {"cin": 1, "cout": 2, "k": 3},
    "models.googlenet.auxiliary_head": lambda: {"cin": 2, "classes": 2},
    "models.lenet.bitmaps": lambda: {},
    "models.lenet.ScaledTanh": lambda: {},
    "models.lenet.Subsample": lambda: {"channels": 2},
    "models.lenet.TableConv2d": lambda: {"channels": 3, "table": [[0, 1], [2]], "k": 3},
    "models.lenet.TableConv2d.dense": lambda: {"self": lenet.TableConv2d(3, [[0, 1], [2]], 3)},
    "models.lenet.Distances": lambda: {"points": torch.ones(3, 4)},
    "models.lenet.lenet5": lambda: {},
    "models.lenet.lenet": lambda: {"classes": 2, "size": 12},
    "models.mlp.mlp": lambda: {"in_features": 4, "hidden": [3, 2], "classes": 2},
    "models.nin.nin": lambda: {"classes": 2},
    "models.nin.nin_imagenet": lambda: {"classes": 2},
    "models.nin.mlpconv": lambda: {"cin": 1, "widths": (2, 3, 2), "k": 3, "padding": 1},
    "models.normalise.Normalise": lambda: {"mean": [0.5, 0.4], "std": np.array([0.2, 0.1])},
    "models.normalise.Normalise.of": lambda: {
        "images": np.random.default_rng(0).integers(0, 255, (2, 3, 4, 4), dtype=np.uint8)
    },
    "models.resnet.Subsample": lambda: {},
    "models.resnet.BasicBlock": lambda: {"c_in": 2, "channels": 4, "stride": 2, "shortcut": resnet.Subsample()},
    "models.resnet.Bottleneck": lambda: {"c_in": 8, "channels": 2},
    **{f"models.resnet.resnet{depth}": lambda: {"classes": 2} for depth in (18, 34, 50, 101, 152)},
    "models.resnet.resnet_cifar": lambda: {"depth": 8, "width": 2},
    "models.shell_names.shell_names": lambda: {},
    "models.shift_cnn.shift_cnn": lambda: {"size": 8, "width": 2},
    **{f"models.vgg.vgg{depth}": lambda: {"classes": 2} for depth in (11, 13, 16, 19)},
    "models.vgg.vgg": lambda: {"depth": 11, "classes": 2},
    "models.vgg.vgg_cifar": lambda: {"classes": 2},
    "models.vgg.stages": lambda: {"counts": (1, 2), "channels": (2, 3)},
    "models.vgg.stage": lambda: {"count": 2, "c_in": 1, "c_out": 2},
    "models.vgg.first_weights": lambda: {"net": small_net()},
    "models.zfnet.zfnet": lambda: {"classes": 2},
}  # fmt: skip
