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

from torch import nn

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

    Raises ValueError for another depth than 11, 13, 16 and 19, or a number of classes below 1.
    """
    if depth not in COUNTS:
        raise ValueError(f"VGG has {', '.join(map(str, COUNTS))} layers with weights, not {depth!r}")
    _at_least_one(classes)
    net = stages(COUNTS[depth], CHANNELS, batch_norm)
    net.add_module("average", nn.AdaptiveAvgPool2d(7))  # the identity at 224 x 224
    net.add_module("flatten", nn.Flatten())
    for name, features in (("fc1", 512 * 7 * 7), ("fc2", 4096)):
        net.add_module(name, nn.Sequential(nn.Linear(features, 4096), nn.ReLU(), nn.Dropout()))
    net.add_module("logits", nn.Linear(4096, classes))
    return first_weights(net)


def vgg_cifar(classes: int = 10) -> nn.Sequential:
    """VGG-11's five stages for 32x32 pictures, with batch norm: 579,786 parameters, 9.92 million multiply-adds.

    | stage  | output          | convolutions                  |
    | ------ | --------------- | ----------------------------- |
    | stage1 | (N, 16, 16, 16) | 3 -> 16                       |
    | stage2 | (N, 32, 8, 8)   | 16 -> 32                      |
    | stage3 | (N, 64, 4, 4)   | 32 -> 64, 64 -> 64            |
    | stage4 | (N, 128, 2, 2)  | 64 -> 128, 128 -> 128         |
    | stage5 | (N, 128, 1, 1)  | 128 -> 128, 128 -> 128        |
    | logits | (N, 10)         | one fully connected layer     |

    The three wide layers at the end, which hold nine tenths of VGG's parameters, have become one.
    Raises ValueError for a number of classes below 1.
    """
    _at_least_one(classes)
    net = stages(COUNTS[11], (16, 32, 64, 128, 128), batch_norm=True)
    net.add_module("flatten", nn.Flatten())
    net.add_module("logits", nn.Linear(128, classes))
    return first_weights(net)


def stages(counts: Sequence[int], channels: Sequence[int], batch_norm: bool = False) -> nn.Sequential:
    """The convolutional part: (N, 3, H, W) -> (N, channels[-1], H // 32, W // 32). counts: convolutions per stage."""
    net = nn.Sequential()
    c_in = 3
    for number, (count, c_out) in enumerate(zip(counts, channels, strict=True), start=1):
        net.add_module(f"stage{number}", stage(count, c_in, c_out, batch_norm))
        c_in = c_out
    return net


def stage(count: int, c_in: int, c_out: int, batch_norm: bool = False) -> nn.Sequential:
    """`count` 3x3 convolutions with ReLU, then a 2x2 max pool: (N, c_in, H, W) -> (N, c_out, H // 2, W // 2)."""
    layers: list[nn.Module] = []
    for i in range(count):
        layers.append(nn.Conv2d(c_in if i == 0 else c_out, c_out, 3, padding=1))
        if batch_norm:
            layers.append(nn.BatchNorm2d(c_out))
        layers.append(nn.ReLU())
    return nn.Sequential(*layers, nn.MaxPool2d(2))


def first_weights(net: nn.Sequential) -> nn.Sequential:
    """First weights: He et al. 2015 for convolutions (fan out), a deviation of 0.01 for the fully connected layers."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0, 0.01)
            nn.init.zeros_(module.bias)
    return net


def _at_least_one(classes: int) -> None:
    if classes < 1:
        raise ValueError(f"there must be at least one class, got {classes}")


# What `cnn-course train` calls them.
SHELL_NAMES = {
    "vgg-cifar": vgg_cifar,
    **{f"vgg{depth}": partial(vgg, depth) for depth in COUNTS},
    **{f"vgg{depth}-bn": partial(vgg, depth, batch_norm=True) for depth in COUNTS},
}
