"""Network in network: M. Lin, Q. Chen and S. Yan, "Network in network", 2013, arXiv:1312.4400.

A convolution followed by 1x1 convolutions, each with ReLU, is a small MLP that slides over the image (the paper's
"mlpconv"). The last one gives one map per class; the mean of a map is its logit, so there is no fully connected layer.

The CIFAR form; multiply-adds are for one image of 3x32x32:

| stage   | layers                            | output    | parameters | multiply-adds |
| ------- | --------------------------------- | --------- | ---------- | ------------- |
| block1  | 5x5 192, 1x1 160, 1x1 96          | 96x32x32  |     60,928 |    61,931,520 |
| pool1   | max 3x3, stride 2, dropout 0.5    | 96x16x16  |            |               |
| block2  | 5x5 192, 1x1 192, 1x1 192         | 192x16x16 |    535,104 |   136,839,168 |
| pool2   | average 3x3, stride 2, dropout    | 192x8x8   |            |               |
| block3  | 3x3 192, 1x1 192, 1x1 10          | 10x8x8    |    370,954 |    23,715,840 |
| avgpool | the mean of each map              | 10        |            |               |
| whole   |                                   |           |    966,986 |   222,486,528 |

The paper gives the kinds of layers but not these widths: they are those of the configuration that its authors released.
In one thing we differ: the paper has a ReLU on the last maps as well. A class whose map is 0 for every image then gets
no gradient and is never predicted; on eight images, one to all eight of the classes ended so in our trials.
"""

from collections import OrderedDict

from torch import nn

from cnn_course.arguments.integers import integer
from cnn_course.arguments.networks import MOST_PIXELS, affordable_weights, classes_of
from cnn_course.arguments.objects import sequence
from cnn_course.arguments.shown import shown


def nin(classes: int = 10) -> nn.Sequential:
    """NiN for CIFAR-10, (N, 3, 32, 32) -> (N, classes): 966,986 parameters. Other image sizes work as well.

    The children are named as in the table. Raises TypeError or ValueError for a number of classes that is no whole
    number of at least 1, or too large for the memory.
    """
    classes = classes_of(classes, 192)
    return _nin(
        block1=mlpconv(3, (192, 160, 96), 5, padding=2),
        pool1=nn.Sequential(nn.MaxPool2d(3, stride=2, padding=1), nn.Dropout(0.5)),
        block2=mlpconv(96, (192, 192, 192), 5, padding=2),
        pool2=nn.Sequential(nn.AvgPool2d(3, stride=2, padding=1), nn.Dropout(0.5)),
        block3=mlpconv(192, (192, 192, classes), 3, padding=1),
    )


def nin_imagenet(classes: int = 1000) -> nn.Sequential:
    """NiN for ImageNet, (N, 3, 224, 224) -> (N, classes): 7,595,176 parameters, as its authors released it for Caffe.

    The paper has no such experiment. block1 to block3 are 11x11 (stride 4), 5x5 and 3x3, each with two 1x1 layers of
    the same width and a 3x3 max pool of stride 2 after it; block4 ends in one map per class. Raises as `nin` does.
    """
    classes = classes_of(classes, 1024)
    return _nin(
        block1=mlpconv(3, (96, 96, 96), 11, stride=4),
        pool1=nn.MaxPool2d(3, stride=2, ceil_mode=True),
        block2=mlpconv(96, (256, 256, 256), 5, padding=2),
        pool2=nn.MaxPool2d(3, stride=2, ceil_mode=True),
        block3=mlpconv(256, (384, 384, 384), 3, padding=1),
        pool3=nn.Sequential(nn.MaxPool2d(3, stride=2, ceil_mode=True), nn.Dropout(0.5)),
        block4=mlpconv(384, (1024, 1024, classes), 3, padding=1),
    )


def mlpconv(cin: int, widths: tuple[int, int, int], k: int, *, stride: int = 1, padding: int = 0) -> nn.Sequential:
    """A k x k convolution and two 1x1 convolutions, each with ReLU: (N, cin, H, W) -> (N, widths[2], H', W').

    Raises TypeError or ValueError for a size that is no whole number of at least 1, or too large for the memory, and
    for a padding of k or more, where windows would see no pixel.
    """
    cin, k = integer("cin", cin, least=1), integer("k", k, least=1)
    stride = integer("stride", stride, least=1, most=MOST_PIXELS)
    padding = integer("padding", padding, least=0, most=k - 1)
    listed = sequence("widths", widths, "three integers")
    if len(listed) != 3:
        raise ValueError(f"widths must be three integers, not {shown(widths)}")
    first, second, third = (integer(f"widths[{i}]", width, least=1) for i, width in enumerate(listed))
    affordable_weights(
        k * k * cin * first + first * second + second * third, cin=cin, widths=max(first, second, third), k=k
    )
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(cin, first, k, stride=stride, padding=padding),
            relu1=nn.ReLU(),
            mlp1=nn.Conv2d(first, second, 1),
            relu2=nn.ReLU(),
            mlp2=nn.Conv2d(second, third, 1),
            relu3=nn.ReLU(),
        )
    )


def _nin(**stages: nn.Module) -> nn.Sequential:
    """The stages in order, and the mean of each map of the last one.

    The first weights are He's (arXiv:1502.01852): with torch's own, which are smaller, nine layers without batch norm
    leave so little of the image that the network does not start to learn.
    """
    *_, last = stages.values()
    del last.relu3
    net = nn.Sequential(OrderedDict(stages, avgpool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten()))
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return net


# What `cnn-course train` calls them.
SHELL_NAMES = {"nin": nin}
