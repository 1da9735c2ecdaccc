"""Residual networks: K. He, X. Zhang, S. Ren and J. Sun, "Deep residual learning for image recognition", 2015
(arXiv:1512.03385). A block adds its input to what its layers computed: relu(F(x) + x).

For ImageNet, (N, 3, 224, 224), table 1 of the paper. [k, c] x n: n blocks, each with these convolutions in this order.

| stage  | output | 18            | 34            | 50                          | 101    | 152    |
| ------ | ------ | ------------- | ------------- | --------------------------- | ------ | ------ |
| conv1  | 112    | 7x7, 64, stride 2, batch norm, ReLU          |             |        |        |
| layer1 | 56     | 3x3 max pool, stride 2, then blocks of       |             |        |        |
|        |        | [3x3, 64; 3x3, 64]            | [1x1, 64; 3x3, 64; 1x1, 256]                  |
|        |        | x 2           | x 3           | x 3                         | x 3    | x 3    |
| layer2 | 28     | twice as many channels; the first block has stride 2                          |
|        |        | x 2           | x 4           | x 4                         | x 4    | x 8    |
| layer3 | 14     | x 2           | x 6           | x 6                         | x 23   | x 36   |
| layer4 | 7      | x 2           | x 3           | x 3                         | x 3    | x 3    |
| fc     |        | global average pool, 512 or 2048 -> classes                                   |
| parameters      | 11,689,512    | 21,797,672    | 25,557,032         | 44,549,160 | 60,192,808 |
| multiply-adds   | 1.814 G       | 3.664 G       | 4.089 G            | 7.801 G    | 11.514 G   |

For CIFAR, (N, 3, 32, 32), section 4.2: depth 6n + 2, width 16.

| stage  | output   | layers                | parameters, n = 3 | n = 9   |
| ------ | -------- | --------------------- | ----------------- | ------- |
| conv1  | 16 x 32² | 3x3, batch norm, ReLU | 464               | 464     |
| layer1 | 16 x 32² | n basic blocks        | 14,016            | 42,048  |
| layer2 | 32 x 16² | n basic blocks        | 51,072            | 162,432 |
| layer3 | 64 x 8²  | n basic blocks        | 203,520           | 647,424 |
| fc     | 10       | global average pool   | 650               | 650     |
| all    |          | 40.8 M, 125.5 M MACs  | 269,722           | 853,018 |
"""

from collections import OrderedDict
from functools import partial

import torch
from torch import nn
from torch.nn import functional as F

from cnn_course.arguments.integers import integer
from cnn_course.arguments.networks import MOST_LAYERS, MOST_PIXELS, affordable_weights, classes_of
from cnn_course.arguments.objects import flag, instance
from cnn_course.arguments.shown import brief

CIFAR_DEPTHS = (20, 32, 44, 56, 110)  # those of the paper


def _conv(c_in: int, c_out: int, k: int, stride: int = 1) -> nn.Conv2d:
    """Without a bias: the batch norm that follows has one."""
    return nn.Conv2d(c_in, c_out, k, stride, padding=k // 2, bias=False)


def _sizes(
    c_in: int, channels: int, stride: int, *, expansion: int, weights: int, shortcut: nn.Module | None, adds: bool
) -> tuple[int, int, int]:
    """The checked sizes of a block. weights: of its first kernel; adds: whether it adds its input."""
    c_in, channels = integer("c_in", c_in, least=1), integer("channels", channels, least=1)
    stride = integer("stride", stride, least=1, most=MOST_PIXELS)
    affordable_weights(weights * c_in * channels + 13 * channels**2, c_in=c_in, channels=channels)
    c_out = expansion * channels
    if shortcut is not None:
        instance("shortcut", shortcut, nn.Module, "a torch.nn.Module or None")
    elif adds and (c_in != c_out or stride > 1):  # one channel would be added to all: broadcasting
        raise ValueError(
            f"shortcut is None, but x cannot be added as it is: with c_in {c_in}, channels {channels} and stride "
            f"{stride} the layers give {c_out} channels, each side divided by {stride}; give a shortcut that does so"
        )
    return c_in, channels, stride


class Subsample(nn.Module):
    """The paper's shortcut of option A, without parameters: every second pixel, and as many channels again that are 0.

    (N, C, H, W) -> (N, 2 C, ceil(H / 2), ceil(W / 2)). (`lenet.Subsample`, trained pooling, is another thing.)
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # The same numbers as x[:, :, ::2, ::2] padded with zeros, but the result stays channels-last if x is: a
        # training step of ResNet-20 takes 3 % less time on the CPU, 5 % less in bfloat16.
        kept = F.avg_pool2d(x, 1, stride=2)
        return torch.cat([kept, kept * 0], dim=1)


class BasicBlock(nn.Module):
    """relu(F(x) + shortcut(x)), F = 3x3 convolution, batch norm, ReLU, 3x3 convolution, batch norm.

    (N, c_in, H, W) -> (N, channels, H / stride, W / stride), rounded up. shortcut: None for x itself.
    residual=False: relu(F(x)), the block of the plain twin.
    Raises TypeError or ValueError for sizes that are no whole numbers of at least 1, or too large for the memory, and
    for a sum of two shapes: then the block needs a shortcut.
    """

    expansion = 1

    def __init__(
        self, c_in: int, channels: int, stride: int = 1, shortcut: nn.Module | None = None, residual: bool = True
    ) -> None:
        super().__init__()
        residual = flag("residual", residual)
        c_in, channels, stride = _sizes(
            c_in, channels, stride, expansion=1, weights=9, shortcut=shortcut, adds=residual
        )
        self.conv1 = _conv(c_in, channels, 3, stride)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()
        self.conv2 = _conv(channels, channels, 3)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = shortcut
        self.residual = residual

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.residual:
            out = out + (x if self.downsample is None else self.downsample(x))
        return self.relu(out)


class Bottleneck(nn.Module):
    """relu(F(x) + shortcut(x)), F = 1x1 to fewer channels, 3x3, 1x1 back to four times as many, each with batch norm.

    (N, c_in, H, W) -> (N, 4 channels, H / stride, W / stride), rounded up.
    early_stride: the stride is that of the first 1x1, as in the paper, else that of the 3x3, as in torchvision, where
    no pixel is skipped. The parameters are the same. Raises as `BasicBlock` does.
    """

    expansion = 4

    def __init__(
        self,
        c_in: int,
        channels: int,
        stride: int = 1,
        shortcut: nn.Module | None = None,
        early_stride: bool = False,
    ) -> None:
        super().__init__()
        early_stride = flag("early_stride", early_stride)
        c_in, channels, stride = _sizes(c_in, channels, stride, expansion=4, weights=1, shortcut=shortcut, adds=True)
        first, second = (stride, 1) if early_stride else (1, stride)
        self.conv1 = _conv(c_in, channels, 1, first)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = _conv(channels, channels, 3, second)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = _conv(channels, 4 * channels, 1)
        self.bn3 = nn.BatchNorm2d(4 * channels)
        self.relu = nn.ReLU()
        self.downsample = shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return self.relu(out + (x if self.downsample is None else self.downsample(x)))


def resnet18(classes: int = 1000) -> nn.Sequential:
    """ResNet-18: basic blocks 2, 2, 2, 2. (N, 3, 224, 224) -> (N, classes), and other sizes from 1 on.

    The children are named as in torchvision, whose state dict fits. Raises TypeError or ValueError for a number of
    classes that is no whole number of at least 1, or too large for the memory.
    """
    return _imagenet(BasicBlock, (2, 2, 2, 2), classes)


def resnet34(classes: int = 1000) -> nn.Sequential:
    """ResNet-34: basic blocks 3, 4, 6, 3. Otherwise as `resnet18`."""
    return _imagenet(BasicBlock, (3, 4, 6, 3), classes)


def resnet50(classes: int = 1000, *, early_stride: bool = False) -> nn.Sequential:
    """ResNet-50: bottleneck blocks 3, 4, 6, 3. Otherwise as `resnet18`.

    early_stride: the paper's form, 3.858 G instead of 4.089 G multiply-adds; see `Bottleneck`.
    """
    return _imagenet(Bottleneck, (3, 4, 6, 3), classes, early_stride=early_stride)


def resnet101(classes: int = 1000, *, early_stride: bool = False) -> nn.Sequential:
    """ResNet-101: bottleneck blocks 3, 4, 23, 3. Otherwise as `resnet50`."""
    return _imagenet(Bottleneck, (3, 4, 23, 3), classes, early_stride=early_stride)


def resnet152(classes: int = 1000, *, early_stride: bool = False) -> nn.Sequential:
    """ResNet-152: bottleneck blocks 3, 8, 36, 3. Otherwise as `resnet50`."""
    return _imagenet(Bottleneck, (3, 8, 36, 3), classes, early_stride=early_stride)


def resnet_cifar(depth: int = 20, width: int = 16, residual: bool = True, classes: int = 10) -> nn.Sequential:
    """The paper's networks for small images: (N, 3, 32, 32) -> (N, classes), and other sizes from 1 on.

    depth: 6n + 2 layers with weights, for example 20, 32, 44, 56 or 110. width: channels of the first stage.
    residual=False: the plain twin, the same layers without the additions, and with the same number of parameters.
    Weights start as in He et al. 2015 (arXiv:1502.01852). Raises TypeError or ValueError for sizes that do not fit
    or are too large for the memory.
    """
    depth, width, residual = integer("depth", depth), integer("width", width, least=1), flag("residual", residual)
    if not 8 <= depth <= MOST_LAYERS or depth % 6 != 2:
        raise ValueError(
            f"depth must be 6n + 2 with n from 1 to 200, such as {', '.join(map(str, CIFAR_DEPTHS))}; got "
            f"{brief(depth)}: one layer, three stages of n blocks with two layers each, and the classifier"
        )
    classes = integer("classes", classes, least=1)
    in_blocks = 63 * (depth - 2) * width**2  # 18 (1 + 4 + 16) for 6 layers
    affordable_weights(in_blocks + 4 * width * classes, depth=depth, width=width, classes=classes)
    net = OrderedDict(conv1=_conv(3, width, 3), bn1=nn.BatchNorm2d(width), relu=nn.ReLU())
    c_in = width
    for stage in (1, 2, 3):
        channels = width << (stage - 1)
        blocks = []
        for i in range(depth // 6):
            down = stage > 1 and i == 0
            shortcut = Subsample() if down and residual else None
            blocks.append(BasicBlock(c_in, channels, 2 if down else 1, shortcut, residual))
            c_in = channels
        net[f"layer{stage}"] = nn.Sequential(*blocks)
    return _finished(net, c_in, classes)


def _imagenet(
    block: type[BasicBlock | Bottleneck], repeats: tuple[int, ...], classes: int, **more: bool
) -> nn.Sequential:
    classes = classes_of(classes, 512 * block.expansion)
    flags = {name: flag(name, value) for name, value in more.items()}
    net = OrderedDict(
        conv1=nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False),
        bn1=nn.BatchNorm2d(64),
        relu=nn.ReLU(),
        maxpool=nn.MaxPool2d(3, stride=2, padding=1),
    )
    c_in = 64
    for stage, n in enumerate(repeats, start=1):
        channels, stride = 32 << stage, 1 if stage == 1 else 2
        c_out = block.expansion * channels
        blocks = []
        for i in range(n):
            shortcut = None
            if i == 0 and (stride > 1 or c_in != c_out):  # option B: a projection only where the shape changes
                shortcut = nn.Sequential(_conv(c_in, c_out, 1, stride), nn.BatchNorm2d(c_out))
            blocks.append(block(c_in, channels, stride if i == 0 else 1, shortcut, **flags))
            c_in = c_out
        net[f"layer{stage}"] = nn.Sequential(*blocks)
    return _finished(net, c_in, classes)


def _finished(net: OrderedDict[str, nn.Module], features: int, classes: int) -> nn.Sequential:
    """Add the head, and draw the first weights of the convolutions."""
    net.update(avgpool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten(), fc=nn.Linear(features, classes))
    model = nn.Sequential(net)
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return model


# What `cnn-course train` calls them.
SHELL_NAMES = {
    **{f"resnet{depth}": partial(resnet_cifar, depth) for depth in CIFAR_DEPTHS},
    **{f"plain{depth}": partial(resnet_cifar, depth, residual=False) for depth in CIFAR_DEPTHS},
    "resnet18": resnet18,
    "resnet34": resnet34,
    "resnet50": resnet50,
    "resnet101": resnet101,
    "resnet152": resnet152,
}
