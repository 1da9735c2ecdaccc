"""ZFNet: AlexNet with a finer first layer, found by looking at the filters.

M. Zeiler and R. Fergus, *Visualizing and understanding convolutional networks*, 2013, arXiv:1311.2901 (ECCV 2014).

Sizes for one image (3, 224, 224), as in the paper's figure 3:

| stage | layer                          | output         | parameters | multiply-adds |
| ----- | ------------------------------ | -------------- | ---------- | ------------- |
| conv1 | 96 filters 7x7, stride 2; ReLU | (96, 110, 110) |     14,208 |   170,755,200 |
| pool1 | 3x3 max, stride 2; LRN         | (96, 55, 55)   |          0 |             0 |
| conv2 | 256 of 5x5, stride 2; ReLU     | (256, 26, 26)  |    614,656 |   415,334,400 |
| pool2 | 3x3 max, stride 2; LRN         | (256, 13, 13)  |          0 |             0 |
| conv3 | 384 of 3x3; ReLU               | (384, 13, 13)  |    885,120 |   149,520,384 |
| conv4 | 384 of 3x3; ReLU               | (384, 13, 13)  |  1,327,488 |   224,280,576 |
| conv5 | 256 of 3x3; ReLU               | (256, 13, 13)  |    884,992 |   149,520,384 |
| pool5 | 3x3 max, stride 2              | (256, 6, 6)    |          0 |             0 |
| fc6   | 9216 -> 4096; ReLU, dropout    | (4096,)        | 37,752,832 |    37,748,736 |
| fc7   | 4096 -> 4096; ReLU, dropout    | (4096,)        | 16,781,312 |    16,777,216 |
| fc8   | 4096 -> 1000                   | (1000,)        |  4,097,000 |     4,096,000 |
| all   |                                |                | 62,357,608 | 1,168,032,896 |

How we read the paper: it replaces AlexNet's sparse connections in layers 3, 4 and 5 by dense ones, and draws layer 2
without a split, so there are no groups at all. Its sizes 110, 55, 26, 13, 6 come out with padding 1 in conv1, none in
conv2, and pools that keep the window at the border (ceil_mode). Its contrast normalisation across maps is taken
to be AlexNet's, and it comes after the pool.
"""

from torch import nn

from cnn_course.arguments.networks import classes_of
from cnn_course.models.alexnet import response_norm


def zfnet(classes: int = 1000) -> nn.Sequential:
    """The network of the paper's figure 3: (N, 3, 224, 224) -> (N, classes).

    Weights start as in the paper's section 3: normal with deviation 0.01, biases 0.
    Raises TypeError or ValueError if classes is below 1 or too many for the memory.
    """
    classes = classes_of(classes, 4096)
    net = nn.Sequential()
    net.conv1 = nn.Conv2d(3, 96, 7, stride=2, padding=1)
    net.relu1 = nn.ReLU()
    net.pool1 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
    net.norm1 = response_norm()
    net.conv2 = nn.Conv2d(96, 256, 5, stride=2)
    net.relu2 = nn.ReLU()
    net.pool2 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
    net.norm2 = response_norm()
    net.conv3 = nn.Conv2d(256, 384, 3, padding=1)
    net.relu3 = nn.ReLU()
    net.conv4 = nn.Conv2d(384, 384, 3, padding=1)
    net.relu4 = nn.ReLU()
    net.conv5 = nn.Conv2d(384, 256, 3, padding=1)
    net.relu5 = nn.ReLU()
    net.pool5 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
    net.flatten = nn.Flatten()
    net.fc6 = nn.Linear(256 * 6 * 6, 4096)
    net.relu6 = nn.ReLU()
    net.drop6 = nn.Dropout(0.5)
    net.fc7 = nn.Linear(4096, 4096)
    net.relu7 = nn.ReLU()
    net.drop7 = nn.Dropout(0.5)
    net.fc8 = nn.Linear(4096, classes)

    for layer in net:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.normal_(layer.weight, std=0.01)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return net


# What `cnn-course train` calls them.
SHELL_NAMES = {"zfnet": zfnet}
