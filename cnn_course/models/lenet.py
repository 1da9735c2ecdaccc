"""LeNet-5: LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", 1998.

Proceedings of the IEEE 86(11). `lenet5` is the network of its figure 2, `lenet` the form that is taught today. MACs
are those of convolutions and fully connected layers on one image, without biases.

| stage  | published, 1x32x32 | parameters |    MACs | modern, 1x28x28    | parameters |    MACs |
| ------ | ------------------ | ---------: | ------: | ------------------ | ---------: | ------: |
| c1     | 6 @ 28x28          |        156 | 117,600 | 6 @ 28x28 (pad 2)  |        156 | 117,600 |
| s2     | 6 @ 14x14, trained |         12 |       0 | 6 @ 14x14, maximum |          0 |       0 |
| c3     | 16 @ 10x10, sparse |      1,516 | 150,000 | 16 @ 10x10, dense  |      2,416 | 240,000 |
| s4     | 16 @ 5x5, trained  |         32 |       0 | 16 @ 5x5, maximum  |          0 |       0 |
| c5     | 120                |     48,120 |  48,000 | 120                |     48,120 |  48,000 |
| f6     | 84                 |     10,164 |  10,080 | 84                 |     10,164 |  10,080 |
| output | 10 distances       |          0 |       0 | 10 logits          |        850 |     840 |
| all    |                    |     60,000 | 325,680 |                    |     61,706 | 416,520 |
"""

from collections.abc import Sequence
from functools import partial

import torch
from torch import nn
from torch.nn import functional as F

from cnn_course.arguments.floats import finite
from cnn_course.arguments.integers import integer
from cnn_course.arguments.networks import affordable_weights
from cnn_course.arguments.objects import flag, instance, sequence
from cnn_course.arguments.shown import brief, shown

# Table I of the paper: which maps of s2 each of the 16 maps of c3 looks at.
C3_TABLE = (
    (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5),
    (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5),
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5), (0, 1, 2, 3, 4, 5),
)  # fmt: skip

# The ten digits in 7x12 dots, drawn for this course in the manner of the paper's figure 3.
_DRAWN = """
....... ....... ....... ....... ....... ....... ....... ....... ....... .......
..###.. ...##.. .#####. .#####. ....##. ####### ..####. ####### ..###.. .#####.
.#...#. ..###.. ##...## ##...## ...###. ##..... .##.... ##...## .##.##. ##...##
##...## .####.. .....## .....## ..#.##. ##..... ##..... .....## ##...## ##...##
##...## ...##.. .....## .....## .##.##. ##..... ##..... ....##. ##...## ##...##
##...## ...##.. ....##. ..####. ##..##. ######. ##.###. ....##. .##.##. .##.###
##...## ...##.. ...##.. .....## ##..##. .....## ###..## ...##.. ..###.. ..##.##
##...## ...##.. ..##... .....## ####### .....## ##...## ...##.. .##.##. .....##
##...## ...##.. .##.... .....## ....##. .....## ##...## ..##... ##...## .....##
.#...#. ...##.. ##..... ##...## ....##. ##...## .#...## ..##... ##...## ....##.
..###.. .###### ####### .#####. ....##. .#####. ..####. ..##... ..###.. .####..
....... ....... ....... ....... ....... ....... ....... ....... ....... .......
"""


def bitmaps() -> torch.Tensor:
    """The ten digits as (10, 12, 7) float32: +1 for ink, -1 for paper."""
    rows = [line.split() for line in _DRAWN.strip().splitlines()]
    return torch.tensor([[[1.0 if dot == "#" else -1.0 for dot in row[d]] for row in rows] for d in range(10)])


class ScaledTanh(nn.Module):
    """The paper's squashing function, 1.7159 tanh(2x / 3): it maps +1 to +1 and -1 to -1. Any shape."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 1.7159 * torch.tanh(x * (2 / 3))


class Subsample(nn.Module):
    """The sum of each 2x2 block, times one coefficient, plus one bias per map: (N, C, H, W) -> (N, C, H / 2, W / 2).

    LeNet's trained pooling; `resnet.Subsample`, ResNet's shortcut without weights, is another thing. It starts as the
    mean. Raises TypeError or ValueError for a number of channels that is no whole number of at least 1, or too large.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        channels = integer("channels", channels, least=1)
        affordable_weights(2 * channels, channels=channels)
        self.weight = nn.Parameter(torch.full((channels,), 0.25))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        total = F.avg_pool2d(x, 2, divisor_override=1)
        return total * self.weight[:, None, None] + self.bias[:, None, None]


class TableConv2d(nn.Module):
    """A convolution in which output map o looks at the input maps table[o] only: (N, C, H, W) -> (N, O, H-k+1, W-k+1).

    weight: (connections, k, k), one kernel for each entry of the table, row after row. bias: (O,). Both are 0 until
    somebody draws them, as `lenet5` does.
    Raises TypeError or ValueError for sizes that are no whole numbers of at least 1, or too large for the memory, and
    for a table that does not name some of the maps once in each row.
    """

    def __init__(self, channels: int, table: Sequence[Sequence[int]], k: int) -> None:
        super().__init__()
        channels, k = integer("channels", channels, least=1), integer("k", k, least=1)
        rows = [sequence(f"table[{o}]", row) for o, row in enumerate(sequence("table", table))]
        pairs = [(o, integer(f"table[{o}]", c)) for o, row in enumerate(rows) for c in row]
        once = all(rows) and len(set(pairs)) == len(pairs)
        if not (rows and once and all(0 <= c < channels for _, c in pairs)):
            raise ValueError(
                f"each row of the table must name some of the maps 0 to {brief(channels - 1)} once (there are as many "
                f"as channels), got {brief(table)}"
            )
        affordable_weights(channels * len(rows) * k * k, channels=channels, k=k)
        self.pairs: torch.Tensor
        self.register_buffer("pairs", torch.tensor(pairs).T, persistent=False)
        self.channels = channels
        self.weight = nn.Parameter(torch.zeros(len(pairs), k, k))
        self.bias = nn.Parameter(torch.zeros(len(rows)))

    def dense(self) -> torch.Tensor:
        """The kernels as (O, C, k, k), zero where the table has no entry."""
        zeros = self.weight.new_zeros(len(self.bias), self.channels, *self.weight.shape[1:])
        return zeros.index_put(tuple(self.pairs), self.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(x, self.dense(), self.bias)


class Distances(nn.Module):
    """Minus the squared distance of each row of x (N, D) to fixed points (classes, D): (N, classes) logits, at most 0.

    The paper's output is the distance itself, the smaller the better; the sign makes the largest logit the answer.
    Raises TypeError or ValueError for points that are no finite floats (classes, D).
    """

    def __init__(self, points: torch.Tensor) -> None:
        super().__init__()
        if not instance("points", points, torch.Tensor, "a tensor (classes, D)").is_floating_point():
            raise TypeError(f"points must be floats, not {shown(points)}")
        if points.ndim != 2 or points.numel() == 0:
            raise ValueError(f"points must have shape (classes, D), not {tuple(points.shape)}")
        if not points.is_meta and not bool(points.isfinite().all()):
            raise ValueError("points must be finite: NaN or infinity is among them")
        self.points: torch.Tensor
        self.register_buffer("points", points)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return -(x[:, None, :] - self.points).square().sum(dim=2)


def lenet5() -> nn.Sequential:
    """The network as published: (N, 1, 32, 32) -> (N, 10) logits, which are minus the distances of the paper.

    The paper feeds it images with -0.1 for paper and 1.175 for ink, for a mean of about 0 and a variance of about 1.
    The first weights are the paper's as well: uniform within 2.4 / fan-in. 60,000 parameters, see the table above.
    """
    net, c3 = nn.Sequential(), TableConv2d(6, C3_TABLE, 5)
    net.add_module("c1", nn.Conv2d(1, 6, 5))
    net.add_module("tanh1", ScaledTanh())
    net.add_module("s2", Subsample(6))
    net.add_module("tanh2", ScaledTanh())
    net.add_module("c3", c3)
    net.add_module("tanh3", ScaledTanh())
    net.add_module("s4", Subsample(16))
    net.add_module("tanh4", ScaledTanh())
    net.add_module("c5", nn.Conv2d(16, 120, 5))
    net.add_module("tanh5", ScaledTanh())
    net.add_module("flatten", nn.Flatten())
    net.add_module("f6", nn.Linear(120, 84))
    net.add_module("tanh6", ScaledTanh())
    net.add_module("output", Distances(bitmaps().flatten(1)))
    # Inputs of one unit. In c3 they differ from map to map, as the table does.
    fan_in = {"c1": 25, "s2": 4, "s4": 4, "c5": 400, "f6": 120}
    with torch.no_grad():
        for name, inputs in fan_in.items():
            for parameter in net.get_submodule(name).parameters():
                parameter.uniform_(-2.4 / inputs, 2.4 / inputs)
        fans = torch.tensor([25.0 * len(row) for row in C3_TABLE], device=c3.bias.device)
        c3.bias.uniform_(-1, 1).mul_(2.4 / fans)
        c3.weight.uniform_(-1, 1).mul_(2.4 / fans[c3.pairs[0]][:, None, None])
    return net


def lenet(
    classes: int = 10, channels: int = 1, *, size: int = 28, batch_norm: bool = False, dropout: float = 0.0
) -> nn.Sequential:
    """The modern form, with ReLU, max pooling and a linear output: (N, channels, size, size) -> (N, classes) logits.

    batch_norm: after each of c1, c3, c5 and f6 (452 more parameters). dropout: its probability, after c5 and f6.
    size: height and width of the images; the table above is for 28. c1 pads by 2, so its maps have that size too.
    Raises TypeError for what is no number or no flag, ValueError for a number of classes or channels below 1, a size
    below 12, a network too large for the memory, or a dropout outside 0 to 1.
    """
    classes, channels = integer("classes", classes, least=1), integer("channels", channels, least=1)
    size, batch_norm = integer("size", size), flag("batch_norm", batch_norm)
    if size < 12:
        raise ValueError(
            f"lenet: two pools and a 5x5 kernel need images of at least 12 x 12 pixels, got size {brief(size)}"
        )
    dropout = finite("dropout", dropout, least=0)
    if dropout >= 1:
        raise ValueError(f"lenet: dropout must be at least 0 and below 1, got {dropout}")
    side = (size // 2 - 4) // 2
    numbers = 150 * channels + 120 * 16 * side * side + 85 * classes
    affordable_weights(numbers, classes=classes, channels=channels, size=size)
    net = nn.Sequential()

    def add(name: str, layer: nn.Module, width: int, norm: type[nn.Module]) -> None:
        number = name[1:]
        net.add_module(name, layer)
        if batch_norm:
            net.add_module(f"norm{number}", norm(width))
        net.add_module(f"relu{number}", nn.ReLU())

    add("c1", nn.Conv2d(channels, 6, 5, padding=2), 6, nn.BatchNorm2d)
    net.add_module("s2", nn.MaxPool2d(2))
    add("c3", nn.Conv2d(6, 16, 5), 16, nn.BatchNorm2d)
    net.add_module("s4", nn.MaxPool2d(2))
    net.add_module("flatten", nn.Flatten())
    for name, layer in (("c5", nn.Linear(16 * side * side, 120)), ("f6", nn.Linear(120, 84))):
        add(name, layer, layer.out_features, nn.BatchNorm1d)
        if dropout:
            net.add_module(f"dropout{name[1:]}", nn.Dropout(dropout))
    net.add_module("output", nn.Linear(84, classes))
    return net


# What `cnn-course train` calls them.
SHELL_NAMES = {"lenet": lenet, "lenet-bn": partial(lenet, batch_norm=True), "lenet5": lenet5}
