"""GoogLeNet: C. Szegedy et al., "Going deeper with convolutions", 2014, arXiv:1409.4842 (table 1, figures 2b and 3).

Sizes for one image of 3x224x224 and 1000 classes, in the form that torchvision has; parameters with batch norm:

| stage                    | output     | 1x1 / 3x3 / 5x5 / pool channels  | parameters | multiply-adds |
| ------------------------ | ---------- | -------------------------------- | ---------- | ------------- |
| conv1    7x7, stride 2   | 64x112x112 |                                  |      9,536 |   118,013,952 |
| pool1    3x3, stride 2   | 64x56x56   |                                  |            |               |
| conv2    1x1             | 64x56x56   |                                  |      4,224 |    12,845,056 |
| conv3    3x3             | 192x56x56  |                                  |    110,976 |   346,816,512 |
| pool2    3x3, stride 2   | 192x28x28  |                                  |            |               |
| inception3a, 3b          | 480x28x28  | 64/128/32/32, 128/192/96/64      |    496,096 |   387,358,720 |
| pool3    3x3, stride 2   | 480x14x14  |                                  |            |               |
| inception4a .. 4e        | 832x14x14  | 192/208/48/64 .. 256/320/128/128 |  2,653,088 |   518,568,960 |
| pool4    2x2, stride 2   | 832x7x7    |                                  |            |               |
| inception5a, 5b          | 1024x7x7   | 256/320/128/128, 384/384/128/128 |  2,325,984 |   113,748,992 |
| avgpool, dropout, logits | 1000       |                                  |  1,025,000 |     1,024,000 |
| whole network            |            |                                  |  6,624,904 | 1,498,376,192 |
| aux1 on 4a, aux2 on 4d   | 1000 each  |                                  |  6,379,984 |               |
"""

from collections import OrderedDict
from functools import partial
from typing import NamedTuple

import torch
from torch import nn

from cnn_course.arguments.integers import integer
from cnn_course.arguments.networks import MOST_PIXELS, affordable_weights, classes_of
from cnn_course.arguments.objects import flag
from cnn_course.arguments.shown import brief

# Table 1 of the paper: 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool projection.
WIDTHS = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


class Outputs(NamedTuple):
    """The logits of GoogLeNet with auxiliary heads in training mode, each (N, classes)."""

    logits: torch.Tensor
    aux1: torch.Tensor
    aux2: torch.Tensor


class Inception(nn.Module):
    """Four branches over the same input, side by side: (N, C, H, W) -> (N, one + three + five + pool, H, W).

    | branch | layers                           | channels                        |
    | ------ | -------------------------------- | ------------------------------- |
    | one    | 1x1                              | in_channels -> one              |
    | three  | 1x1, then 3x3                    | in_channels -> reduce3 -> three |
    | five   | 1x1, then `kernel` x `kernel`    | in_channels -> reduce5 -> five  |
    | pool   | 3x3 max pool, stride 1, then 1x1 | in_channels -> pool             |

    Every convolution is followed by ReLU; with `norm`, by batch norm and ReLU, and it has no bias.
    kernel: of the branch `five`: 5 in the paper, 3 in torchvision. Any odd size keeps height and width.
    Raises TypeError or ValueError for a width that is no whole number of at least 1, or too large for the memory, and
    for an even kernel.
    """

    def __init__(
        self,
        in_channels: int,
        one: int,
        reduce3: int,
        three: int,
        reduce5: int,
        five: int,
        pool: int,
        *,
        kernel: int = 5,
        norm: bool = True,
    ) -> None:
        super().__init__()
        given = {
            "in_channels": in_channels, "one": one, "reduce3": reduce3, "three": three, "reduce5": reduce5,
            "five": five, "pool": pool, "kernel": kernel,
        }  # fmt: skip
        sizes = {name: integer(name, size, least=1) for name, size in given.items()}
        in_channels, one, reduce3, three, reduce5, five, pool, kernel = sizes.values()
        norm = flag("norm", norm)
        if kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, so that all branches give maps of one size; got {brief(kernel)}")
        ones = in_channels * (one + reduce3 + reduce5 + pool)
        affordable_weights(ones + 9 * reduce3 * three + kernel**2 * reduce5 * five, **sizes)
        self.one = unit(in_channels, one, 1, norm=norm)
        self.three = nn.Sequential(unit(in_channels, reduce3, 1, norm=norm), unit(reduce3, three, 3, norm=norm))
        self.five = nn.Sequential(unit(in_channels, reduce5, 1, norm=norm), unit(reduce5, five, kernel, norm=norm))
        self.pool = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), unit(in_channels, pool, 1, norm=norm))
        self.out_channels = one + three + five + pool

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.one(x), self.three(x), self.five(x), self.pool(x)], dim=1)


class GoogLeNet(nn.Module):
    """The network of the table above, (N, 3, H, W) -> (N, classes): see `googlenet` and `googlenet_paper`."""

    inception3a: Inception
    inception3b: Inception
    inception4a: Inception
    inception4b: Inception
    inception4c: Inception
    inception4d: Inception
    inception4e: Inception
    inception5a: Inception
    inception5b: Inception

    def __init__(self, classes: int = 1000, aux: bool = False, *, published: bool = False) -> None:
        super().__init__()
        classes = classes_of(classes, 1024)
        aux, published = flag("aux", aux), flag("published", published)
        norm, kernel = not published, 5 if published else 3
        self.conv1 = unit(3, 64, 7, stride=2, norm=norm)
        self.pool1: nn.Module = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.conv2 = unit(64, 64, 1, norm=norm)
        self.conv3 = unit(64, 192, 3, norm=norm)
        self.pool2: nn.Module = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        if published:
            self.pool1 = nn.Sequential(self.pool1, nn.LocalResponseNorm(5))
            self.pool2 = nn.Sequential(nn.LocalResponseNorm(5), self.pool2)
        channels = 192
        for name, widths in WIDTHS.items():
            block = Inception(channels, *widths, kernel=kernel, norm=norm)
            self.add_module(f"inception{name}", block)
            channels = block.out_channels
            if name == "3b":
                self.pool3 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
            if name == "4e":
                self.pool4 = nn.MaxPool2d(3 if published else 2, stride=2, ceil_mode=True)
        self.aux1 = auxiliary_head(512, classes, published=published) if aux else None
        self.aux2 = auxiliary_head(528, classes, published=published) if aux else None
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(0.4 if published else 0.2)
        self.logits = nn.Linear(channels, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor | Outputs:
        x = self.pool1(self.conv1(x))
        x = self.pool2(self.conv3(self.conv2(x)))
        x = self.pool3(self.inception3b(self.inception3a(x)))
        after_4a = self.inception4a(x)
        after_4d = self.inception4d(self.inception4c(self.inception4b(after_4a)))
        x = self.pool4(self.inception4e(after_4d))
        x = self.inception5b(self.inception5a(x))
        logits = self.logits(self.dropout(self.flatten(self.avgpool(x))))
        if self.training and self.aux1 is not None and self.aux2 is not None:
            return Outputs(logits, self.aux1(after_4a), self.aux2(after_4d))
        return logits


def googlenet(classes: int = 1000, aux: bool = False) -> GoogLeNet:
    """GoogLeNet as torchvision has it: 6,624,904 parameters, or 13,004,888 with both auxiliary heads.

    It differs from the paper: batch norm after every convolution, 3x3 instead of 5x5 in the branch `five` (a slip that
    its published weights keep), pool4 2x2, dropout 0.2, auxiliary heads that average to 4x4 whatever the size.
    aux: with both heads. Then the module returns `Outputs` in training mode, and the logits alone in evaluation mode.
    Images from 15x15. Raises TypeError or ValueError for a number of classes that is no whole number of at least 1,
    or too large for the memory, and TypeError for an `aux` that is not True or False.
    """
    return GoogLeNet(classes, aux)


def googlenet_paper(classes: int = 1000, aux: bool = False) -> GoogLeNet:
    """GoogLeNet as published: 5x5 in the branch `five`, biases and no batch norm, local response normalisation.

    6,998,552 parameters, 13,378,280 with both auxiliary heads. Those average windows of 5x5 with stride 3, so that
    with `aux` the images must be 224x224 (or so near that 4x4 places are left). In training the paper adds the heads'
    losses with weight 0.3. The normalisation has torch's constants and a window of 5: the paper gives none.
    aux, raises: as `googlenet`.
    """
    return GoogLeNet(classes, aux, published=True)


def googlenet_cifar(classes: int = 10) -> nn.Sequential:
    """GoogLeNet's layout for (N, 3, 32, 32): all its widths times 0.16, 10,123,620 multiply-adds, 155,701 parameters.

    | stage           | output    |                                      |
    | --------------- | --------- | ------------------------------------ |
    | conv1           | 10x32x32  | 3x3, stride 1                        |
    | pool1           | 10x16x16  | 3x3, stride 2, as every pool         |
    | conv2, conv3    | 31x16x16  | 1x1, 3x3                             |
    | inception3a, 3b | 76x16x16  |                                      |
    | pool3           | 76x8x8    |                                      |
    | inception4a..4e | 132x8x8   |                                      |
    | pool4           | 132x4x4   |                                      |
    | inception5a, 5b | 162x4x4   |                                      |
    | avgpool, logits | classes   | no dropout and no auxiliary heads    |

    5x5 in the branch `five` as in the paper, batch norm after every convolution.
    Raises TypeError or ValueError for a number of classes that is no whole number of at least 1, or too large for the
    memory.
    """
    classes = classes_of(classes, 162)
    channels = _scaled(192)
    net = nn.Sequential()
    net.add_module("conv1", unit(3, _scaled(64), 3))
    net.add_module("pool1", nn.MaxPool2d(3, stride=2, padding=1))
    net.add_module("conv2", unit(_scaled(64), _scaled(64), 1))
    net.add_module("conv3", unit(_scaled(64), channels, 3))
    for name, widths in WIDTHS.items():
        block = Inception(channels, *map(_scaled, widths))
        net.add_module(f"inception{name}", block)
        channels = block.out_channels
        if name in ("3b", "4e"):
            net.add_module(f"pool{name[0]}", nn.MaxPool2d(3, stride=2, padding=1))
    net.add_module("avgpool", nn.AdaptiveAvgPool2d(1))
    net.add_module("flatten", nn.Flatten())
    net.add_module("logits", nn.Linear(channels, classes))
    return net


def unit(cin: int, cout: int, k: int, *, stride: int = 1, norm: bool = True) -> nn.Sequential:
    """A k x k convolution (k odd) that keeps the size at stride 1, batch norm or a bias, ReLU.

    Raises TypeError or ValueError for sizes that are no whole numbers of at least 1, or too large, and for an even k.
    """
    cin, cout, k = integer("cin", cin, least=1), integer("cout", cout, least=1), integer("k", k, least=1)
    norm = flag("norm", norm)
    stride = integer("stride", stride, least=1, most=MOST_PIXELS)
    if k % 2 == 0:
        raise ValueError(f"k must be odd, so that the map keeps its size; got {brief(k)}")
    affordable_weights(k * k * cin * cout, cin=cin, cout=cout, k=k)
    conv = nn.Conv2d(cin, cout, k, stride=stride, padding=k // 2, bias=not norm)
    layers = [("conv", conv), *([("norm", nn.BatchNorm2d(cout, eps=0.001))] if norm else []), ("relu", nn.ReLU())]
    return nn.Sequential(OrderedDict(layers))


def auxiliary_head(cin: int, classes: int, *, published: bool = False) -> nn.Sequential:
    """A classifier on maps in the middle of the network, (N, cin, H, W) -> (N, classes), used in training only.

    Raises TypeError or ValueError for sizes that are no whole numbers of at least 1, or too large for the memory.
    """
    cin, classes, published = integer("cin", cin, least=1), classes_of(classes, 1024), flag("published", published)
    affordable_weights(128 * cin, cin=cin)
    return nn.Sequential(
        OrderedDict(
            avgpool=nn.AvgPool2d(5, stride=3) if published else nn.AdaptiveAvgPool2d(4),
            conv=unit(cin, 128, 1, norm=not published),
            flatten=nn.Flatten(),
            fc1=nn.Linear(128 * 4 * 4, 1024),
            relu=nn.ReLU(),
            dropout=nn.Dropout(0.7),
            logits=nn.Linear(1024, classes),
        )
    )


def _scaled(width: int) -> int:
    return round(0.16 * width)


# What `cnn-course train` calls them.
SHELL_NAMES = {"googlenet": partial(googlenet, aux=True), "googlenet-cifar": googlenet_cifar}
