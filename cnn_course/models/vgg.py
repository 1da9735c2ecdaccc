"""VGG: small filters, many of them, in five stages (lecture 14).

Simonyan and Zisserman 2014, "Very Deep Convolutional Networks for Large-Scale Image Recognition" (arXiv:1409.1556).
Every convolution is 3x3 with padding 1, every pool 2x2; each pool halves the sides and the next stage doubles the
channels. The networks differ in the number of convolutions per stage only (table 1 of the paper):

| stage  | output          | A: VGG-11 | B: VGG-13 | D: VGG-16 | E: VGG-19 |
| ------ | --------------- | --------- | --------- | --------- | --------- |
| stage1 | (N, 64, 112²)   | 1 conv    | 2         | 2         | 2         |
| stage2 | (N, 128, 56²)   | 1         | 2         | 2         | 2         |
| stage3 | (N, 256, 28²)   | 2         | 2         | 3         | 4         |
| stage4 | (N, 512, 14²)   | 2         | 2         | 3         | 4         |
| stage5 | (N, 512, 7²)    | 2         | 2         | 3         | 4         |
| fc1    | (N, 4096)       |           |           |           |           |
| fc2    | (N, 4096)       |           |           |           |           |
| logits | (N, 1000)       |           |           |           |           |

| net    | parameters  | with batch norm | multiply-adds at 224x224 |
| ------ | ----------- | --------------- | ------------------------ |
| VGG-11 | 132,863,336 | 132,868,840     | 7.61e9                   |
| VGG-13 | 133,047,848 | 133,053,736     | 11.31e9                  |
| VGG-16 | 138,357,544 | 138,365,992     | 15.47e9                  |
| VGG-19 | 143,667,240 | 143,678,248     | 19.63e9                  |

Batch norm (Ioffe and Szegedy 2015) came after the paper; with it the nets train from scratch, without the shallow net
that the paper copied the first weights from. The weights are drawn as He et al. 2015 propose.
"""

from collections.abc import Sequence
from functools import partial
from typing import TypeVar

from torch import nn

from cnn_course.arguments.integers import integer
from cnn_course.arguments.networks import MOST_LAYERS, affordable_weights, classes_of
from cnn_course.arguments.objects import flag, instance, sequence
from cnn_course.arguments.shown import brief

Net = TypeVar("Net", bound=nn.Module)

COUNTS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
CHANNELS = (64, 128, 256, 512, 512)


def vgg11(classes: int = 1000, batch_norm: bool = False) -> nn.Sequential:
    """VGG-11 (configuration A), for images (N, 3, 224, 224) or another size of at least 32."""
    return vgg(11, classes, batch_norm)


def vgg13(classes: int = 1000, batch_norm: bool = False) -> nn.Sequential:
    """VGG-13 (configuration B), for images (N, 3, 224, 224) or another size of at least 32."""
    return vgg(13, classes, batch_norm)


def vgg16(classes: int = 1000, batch_norm: bool = False) -> nn.Sequential:
    """VGG-16 (configuration D), for images (N, 3, 224, 224) or another size of at least 32."""
    return vgg(16, classes, batch_norm)


def vgg19(classes: int = 1000, batch_norm: bool = False) -> nn.Sequential:
    """VGG-19 (configuration E), for images (N, 3, 224, 224) or another size of at least 32."""
    return vgg(19, classes, batch_norm)


def vgg(depth: int, classes: int = 1000, batch_norm: bool = False) -> nn.Sequential:
    """The network with `depth` layers that have weights: five stages, then three fully connected layers.

    Raises ValueError for another depth than 11, 13, 16 and 19, or a number of classes below 1 or too large for the
    memory, TypeError for what is no whole number or no flag.
    """
    depth, classes, batch_norm = integer("depth", depth), classes_of(classes, 4096), flag("batch_norm", batch_norm)
    if depth not in COUNTS:
        raise ValueError(
            f"no such depth: VGG has {', '.join(map(str, COUNTS))} layers with weights, not {brief(depth)}"
        )
    net = stages(COUNTS[depth], CHANNELS, batch_norm)
    net.add_module("average", nn.AdaptiveAvgPool2d(7))  # the identity at 224 x 224
    net.add_module("flatten", nn.Flatten())
    for name, features in (("fc1", 512 * 7 * 7), ("fc2", 4096)):
        net.add_module(name, nn.Sequential(nn.Linear(features, 4096), nn.ReLU(), nn.Dropout()))
    net.add_module("logits", nn.Linear(4096, classes))
    return first_weights(net)


def vgg_cifar(classes: int = 10) -> nn.Sequential:
    """VGG-11's five stages for 32x32 pictures, with batch norm: 579,786 parameters, 9.88 million multiply-adds.

    | stage  | output          | convolutions                  |
    | ------ | --------------- | ----------------------------- |
    | stage1 | (N, 16, 16, 16) | 3 -> 16                       |
    | stage2 | (N, 32, 8, 8)   | 16 -> 32                      |
    | stage3 | (N, 64, 4, 4)   | 32 -> 64, 64 -> 64            |
    | stage4 | (N, 128, 2, 2)  | 64 -> 128, 128 -> 128         |
    | stage5 | (N, 128, 1, 1)  | 128 -> 128, 128 -> 128        |
    | logits | (N, 10)         | one fully connected layer     |

    The three wide layers at the end, which hold nine tenths of VGG's parameters, have become one.
    Raises TypeError or ValueError for a number of classes that is no whole number of at least 1, or too large for the
    memory.
    """
    classes = classes_of(classes, 128)
    net = stages(COUNTS[11], (16, 32, 64, 128, 128), batch_norm=True)
    net.add_module("flatten", nn.Flatten())
    net.add_module("logits", nn.Linear(128, classes))
    return first_weights(net)


def stages(counts: Sequence[int], channels: Sequence[int], batch_norm: bool = False) -> nn.Sequential:
    """The convolutional part: (N, 3, H, W) -> (N, channels[-1], H // 32, W // 32). counts: convolutions per stage.

    Raises TypeError or ValueError unless counts and channels are equally many whole numbers of at least 1, and for a
    network too large for the memory.
    """
    counts = [integer(f"counts[{i}]", n, least=1, most=MOST_LAYERS) for i, n in enumerate(sequence("counts", counts))]
    channels = [integer(f"channels[{i}]", n, least=1) for i, n in enumerate(sequence("channels", channels))]
    if len(counts) != len(channels) or not counts:
        raise ValueError(
            f"counts and channels must hold one number for each stage, got {len(counts)} counts and {len(channels)}"
        )
    affordable_weights(9 * sum(counts) * max(channels) ** 2, counts=max(counts), channels=max(channels))
    net = nn.Sequential()
    c_in = 3
    for number, (count, c_out) in enumerate(zip(counts, channels, strict=True), start=1):
        net.add_module(f"stage{number}", stage(count, c_in, c_out, batch_norm))
        c_in = c_out
    return net


def stage(count: int, c_in: int, c_out: int, batch_norm: bool = False) -> nn.Sequential:
    """`count` 3x3 convolutions with ReLU, then a 2x2 max pool: (N, c_in, H, W) -> (N, c_out, H // 2, W // 2).

    Raises TypeError or ValueError for sizes that are no whole numbers of at least 1, or too large for the memory.
    """
    count = integer("count", count, least=1, most=MOST_LAYERS)
    c_in, c_out = integer("c_in", c_in, least=1), integer("c_out", c_out, least=1)
    batch_norm = flag("batch_norm", batch_norm)
    affordable_weights(9 * c_out * (c_in + (count - 1) * c_out), count=count, c_in=c_in, c_out=c_out)
    layers: list[nn.Module] = []
    for i in range(count):
        layers.append(nn.Conv2d(c_in if i == 0 else c_out, c_out, 3, padding=1))
        if batch_norm:
            layers.append(nn.BatchNorm2d(c_out))
        layers.append(nn.ReLU())
    return nn.Sequential(*layers, nn.MaxPool2d(2))


def first_weights(net: Net) -> Net:
    """First weights: He et al. 2015 for convolutions (fan out), a deviation of 0.01 for the fully connected layers.

    They are written into `net`, which is returned. Raises TypeError if it is no module, ValueError for a lazy layer.
    """
    if any(nn.parameter.is_lazy(p) for p in instance("net", net, nn.Module, "a torch.nn.Module").parameters()):
        raise ValueError("net has a lazy layer without a size yet: call it on an input once")
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0, 0.01)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return net


# What `cnn-course train` calls them.
SHELL_NAMES = {
    "vgg-cifar": vgg_cifar,
    **{f"vgg{depth}": partial(vgg, depth) for depth in COUNTS},
    **{f"vgg{depth}-bn": partial(vgg, depth, batch_norm=True) for depth in COUNTS},
}
