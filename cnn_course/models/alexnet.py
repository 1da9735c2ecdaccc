"""AlexNet: five convolutions, three fully connected layers; the winner of the ImageNet contest of 2012.

A. Krizhevsky, I. Sutskever and G. Hinton, *ImageNet classification with deep convolutional neural networks*, NIPS 2012.

Sizes of `alexnet_paper` for one image (3, 227, 227). The paper spread the network over two graphics cards: with
groups=2 a filter sees only the half of the maps that lay on its own card.

| stage | layer                                 | output       | parameters | multiply-adds |
| ----- | ------------------------------------- | ------------ | ---------- | ------------- |
| conv1 | 96 filters 11x11, stride 4; ReLU, LRN | (96, 55, 55) |     34,944 |   105,415,200 |
| pool1 | 3x3 max, stride 2                     | (96, 27, 27) |          0 |             0 |
| conv2 | 256 of 5x5, groups 2; ReLU, LRN       | (256, 27, 27)|    307,456 |   223,948,800 |
| pool2 | 3x3 max, stride 2                     | (256, 13, 13)|          0 |             0 |
| conv3 | 384 of 3x3; ReLU                      | (384, 13, 13)|    885,120 |   149,520,384 |
| conv4 | 384 of 3x3, groups 2; ReLU            | (384, 13, 13)|    663,936 |   112,140,288 |
| conv5 | 256 of 3x3, groups 2; ReLU            | (256, 13, 13)|    442,624 |    74,760,192 |
| pool5 | 3x3 max, stride 2                     | (256, 6, 6)  |          0 |             0 |
| fc6   | 9216 -> 4096; ReLU, dropout           | (4096,)      | 37,752,832 |    37,748,736 |
| fc7   | 4096 -> 4096; ReLU, dropout           | (4096,)      | 16,781,312 |    16,777,216 |
| fc8   | 4096 -> 1000                          | (1000,)      |  4,097,000 |     4,096,000 |
| all   |                                       |              | 60,965,224 |   724,406,816 |

The paper drops half of the outputs of its first two dense layers (sections 3.5 and 4.2).

`alexnet`, torchvision's, is one tower of 64, 192, 384, 256 and 256 filters without LRN: 61,100,840 parameters,
714,188,480 multiply-adds. It follows A. Krizhevsky, *One weird trick for parallelizing convolutional neural networks*,
2014, arXiv:1404.5997. Its dropouts stand before fc6 and fc7, not after them, so the 9216 inputs of fc6 are dropped and
the outputs of fc7 are not. `alexnet_cifar` is the published layout shrunk to images (3, 32, 32).
"""

from torch import nn

from cnn_course.arguments.integers import integer
from cnn_course.arguments.networks import classes_of


def response_norm() -> nn.LocalResponseNorm:
    """Local response normalisation with the paper's constants: b = a / (2 + 0.0001 * sum of a^2)^0.75.

    The sum runs over five neighbouring channels at the same place. torch divides its alpha by their number, the
    paper does not: hence five times the paper's alpha of 0.0001.
    """
    return nn.LocalResponseNorm(size=5, alpha=5 * 1e-4, beta=0.75, k=2.0)


def alexnet_paper(classes: int = 1000, *, padding: int = 0) -> nn.Sequential:
    """AlexNet as published: (N, 3, 227, 227) -> (N, classes). With the table's sizes, 60,965,224 parameters.

    padding: of conv1. The paper writes 224 x 224, but 11x11 windows with stride 4 fit 227 pixels: (227 - 11) / 4 + 1
    = 55. With padding 2 the network takes 224 x 224: floor((224 + 4 - 11) / 4) + 1 = 55.
    Weights start as in the paper's section 5: normal with deviation 0.01, biases 0 in conv1, conv3 and the last
    layer, and 1 in the others, so that their ReLUs start with positive inputs.
    Raises TypeError or ValueError if classes is below 1 or too many for the memory, or padding is not 0 to 10.
    """
    classes = classes_of(classes, 4096)
    padding = integer("padding", padding, least=0, most=10)  # a wider border has windows that see no pixel
    net = nn.Sequential()
    net.conv1 = nn.Conv2d(3, 96, 11, stride=4, padding=padding)
    net.relu1 = nn.ReLU()
    net.norm1 = response_norm()
    net.pool1 = nn.MaxPool2d(3, stride=2)
    net.conv2 = nn.Conv2d(96, 256, 5, padding=2, groups=2)
    net.relu2 = nn.ReLU()
    net.norm2 = response_norm()
    net.pool2 = nn.MaxPool2d(3, stride=2)
    net.conv3 = nn.Conv2d(256, 384, 3, padding=1)
    net.relu3 = nn.ReLU()
    net.conv4 = nn.Conv2d(384, 384, 3, padding=1, groups=2)
    net.relu4 = nn.ReLU()
    net.conv5 = nn.Conv2d(384, 256, 3, padding=1, groups=2)
    net.relu5 = nn.ReLU()
    net.pool5 = nn.MaxPool2d(3, stride=2)
    net.flatten = nn.Flatten()
    net.fc6 = nn.Linear(256 * 6 * 6, 4096)
    net.relu6 = nn.ReLU()
    net.drop6 = nn.Dropout(0.5)
    net.fc7 = nn.Linear(4096, 4096)
    net.relu7 = nn.ReLU()
    net.drop7 = nn.Dropout(0.5)
    net.fc8 = nn.Linear(4096, classes)

    ones = (net.conv2, net.conv4, net.conv5, net.fc6, net.fc7)
    for layer in (net.conv1, net.conv3, net.fc8, *ones):
        nn.init.normal_(layer.weight, std=0.01)
        if layer.bias is not None:
            nn.init.constant_(layer.bias, 1.0 if layer in ones else 0.0)
    return net


def alexnet(classes: int = 1000) -> nn.Sequential:
    """torchvision's one-tower AlexNet: (N, 3, H, W) -> (N, classes), with 1000 classes 61,100,840 parameters.

    H and W: 224, where the sizes are those of the paper, or anything from 63 up: the maps are averaged to 6 x 6.
    Weights, in their order, are those of torchvision. Raises TypeError or ValueError if classes is below 1 or too many
    for the memory.
    """
    classes = classes_of(classes, 4096)
    net = nn.Sequential()
    net.conv1 = nn.Conv2d(3, 64, 11, stride=4, padding=2)
    net.relu1 = nn.ReLU()
    net.pool1 = nn.MaxPool2d(3, stride=2)
    net.conv2 = nn.Conv2d(64, 192, 5, padding=2)
    net.relu2 = nn.ReLU()
    net.pool2 = nn.MaxPool2d(3, stride=2)
    net.conv3 = nn.Conv2d(192, 384, 3, padding=1)
    net.relu3 = nn.ReLU()
    net.conv4 = nn.Conv2d(384, 256, 3, padding=1)
    net.relu4 = nn.ReLU()
    net.conv5 = nn.Conv2d(256, 256, 3, padding=1)
    net.relu5 = nn.ReLU()
    net.pool5 = nn.MaxPool2d(3, stride=2)
    net.average = nn.AdaptiveAvgPool2d(6)
    net.flatten = nn.Flatten()
    net.drop6 = nn.Dropout(0.5)
    net.fc6 = nn.Linear(256 * 6 * 6, 4096)
    net.relu6 = nn.ReLU()
    net.drop7 = nn.Dropout(0.5)
    net.fc7 = nn.Linear(4096, 4096)
    net.relu7 = nn.ReLU()
    net.fc8 = nn.Linear(4096, classes)
    return net


def alexnet_cifar(classes: int = 10) -> nn.Sequential:
    """The published layout for small images: (N, 3, 32, 32) -> (N, classes), 257,538 parameters.

    | stage | layer                            | output       | multiply-adds |
    | ----- | -------------------------------- | ------------ | ------------- |
    | conv1 | 24 filters 7x7; batch norm, ReLU | (24, 32, 32) |     3,612,672 |
    | pool1 | 3x3 max, stride 2                | (24, 15, 15) |             0 |
    | conv2 | 48 of 5x5, groups 2; same        | (48, 15, 15) |     3,240,000 |
    | pool2 | 3x3 max, stride 2                | (48, 7, 7)   |             0 |
    | conv3 | 64 of 3x3; same                  | (64, 7, 7)   |     1,354,752 |
    | conv4 | 64 of 3x3, groups 2; same        | (64, 7, 7)   |       903,168 |
    | conv5 | 48 of 3x3, groups 2; same        | (48, 7, 7)   |       677,376 |
    | pool5 | 3x3 max, stride 2                | (48, 3, 3)   |             0 |
    | fc6   | dropout; 432 -> 256; ReLU        | (256,)       |       110,592 |
    | fc7   | dropout; 256 -> 256; ReLU        | (256,)       |        65,536 |
    | fc8   | 256 -> classes                   | (classes,)   |         2,560 |
    | all   |                                  |              |     9,966,656 |

    Three things are not AlexNet's: batch norm takes the place of LRN, dropout is 0.2 instead of 0.5, for short
    trainings, and it stands before fc6 and fc7, as in `alexnet`. One forward pass costs about as much as those of the
    VGG, GoogLeNet and ResNet beside it in lecture 15.
    Raises TypeError or ValueError if classes is below 1 or too many for the memory.
    """
    classes = classes_of(classes, 256)
    net = nn.Sequential()
    for i, (c_in, c_out, k, groups) in enumerate(
        [(3, 24, 7, 1), (24, 48, 5, 2), (48, 64, 3, 1), (64, 64, 3, 2), (64, 48, 3, 2)], start=1
    ):
        net.add_module(f"conv{i}", nn.Conv2d(c_in, c_out, k, padding=k // 2, groups=groups, bias=False))
        net.add_module(f"bn{i}", nn.BatchNorm2d(c_out))
        net.add_module(f"relu{i}", nn.ReLU())
        if i in (1, 2, 5):
            net.add_module(f"pool{i}", nn.MaxPool2d(3, stride=2))
    net.flatten = nn.Flatten()
    net.drop6 = nn.Dropout(0.2)
    net.fc6 = nn.Linear(48 * 3 * 3, 256)
    net.relu6 = nn.ReLU()
    net.drop7 = nn.Dropout(0.2)
    net.fc7 = nn.Linear(256, 256)
    net.relu7 = nn.ReLU()
    net.fc8 = nn.Linear(256, classes)
    return net


# What `cnn-course train` calls them.
SHELL_NAMES = {"alexnet": alexnet, "alexnet-cifar": alexnet_cifar}
