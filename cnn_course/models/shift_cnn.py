"""The small CNN of the shift experiment (lecture 01): the same three convolutions, with other ways to end."""

from torch import nn

from cnn_course.arguments.integers import integer
from cnn_course.arguments.networks import affordable_weights
from cnn_course.arguments.objects import one_of
from cnn_course.arguments.shown import brief

HEADS = ("flatten", "global")
DOWNSAMPLING = ("pool", "stride", "none")


def shift_cnn(
    *,
    head: str = "flatten",
    downsample: str = "pool",
    size: int = 28,
    channels: int = 1,
    width: int = 8,
    classes: int = 10,
) -> nn.Sequential:
    """Three 3x3 convolutions with ReLU, then a head; with `width` 8, for (N, 1, 28, 28) images:

    | stage   | layer                     | downsample "pool" or "stride" | "none"               |
    | ------- | ------------------------- | ----------------------------- | -------------------- |
    | conv1   | 3x3, padding 1, ReLU      | (N, 8, 28, 28)                | (N, 8, 28, 28)       |
    | down1   | halve each side           | (N, 8, 14, 14)                | (N, 8, 28, 28)       |
    | conv2   | 3x3, padding 1, ReLU      | (N, 16, 14, 14)               | (N, 16, 28, 28)      |
    | down2   | halve each side           | (N, 16, 7, 7)                 | (N, 16, 28, 28)      |
    | conv3   | 3x3, padding 1, ReLU      | (N, 32, 7, 7)                 | (N, 32, 28, 28)      |
    | summary | head "flatten" / "global" | (N, 1568) / (N, 32)           | (N, 25088) / (N, 32) |
    | logits  | fully connected           | (N, 10)                       | (N, 10)              |

    head: "flatten" keeps every position for the last layer, "global" keeps only the largest value of each channel.
    downsample: "pool" is a 2x2 max pool, "stride" gives conv1 and conv2 stride 2 instead (so that
    conv1 already gives 14 x 14), "none" keeps the full size.
    size: height and width of the images. The three ways to downsample have the same number of parameters in the
    convolutions; with the "global" head the whole networks have.
    The children are named as in the table. Raises ValueError for an unknown head or downsampling, a size below 4 or a
    network too large for the memory, TypeError for what is no word or no whole number.
    """
    one_of("head", head, HEADS)
    one_of("downsample", downsample, DOWNSAMPLING)
    size, channels = integer("size", size), integer("channels", channels, least=1)
    width, classes = integer("width", width, least=1), integer("classes", classes, least=1)
    if size < 4:
        raise ValueError(
            f"the image must be at least 4 pixels wide, because it is halved twice; got size {brief(size)}"
        )
    side = 1 if head == "global" else size if downsample == "none" else size // 4 + 1
    numbers = 9 * channels * width + 90 * width**2 + 4 * width * side**2 * classes
    affordable_weights(numbers, size=size, channels=channels, width=width, classes=classes)

    stride = 2 if downsample == "stride" else 1
    net = nn.Sequential()
    for i, (c_in, c_out) in enumerate([(channels, width), (width, 2 * width), (2 * width, 4 * width)], start=1):
        last = i == 3
        net.add_module(f"conv{i}", nn.Conv2d(c_in, c_out, 3, stride=1 if last else stride, padding=1))
        net.add_module(f"relu{i}", nn.ReLU())
        if not last:
            net.add_module(f"down{i}", nn.MaxPool2d(2) if downsample == "pool" else nn.Identity())
            if downsample == "pool":
                size = size // 2
            elif downsample == "stride":
                size = (size + 1) // 2

    if head == "global":
        net.add_module("summary", nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten()))
        features = 4 * width
    else:
        net.add_module("summary", nn.Flatten())
        features = 4 * width * size * size
    net.add_module("logits", nn.Linear(features, classes))
    return net
