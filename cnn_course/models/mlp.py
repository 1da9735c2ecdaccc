"""The multilayer perceptron: flatten the image, then fully connected layers (lecture 01)."""

from collections.abc import Sequence
from functools import partial

from torch import nn

from cnn_course.arguments.integers import integer
from cnn_course.arguments.networks import MOST_LAYERS, affordable_weights
from cnn_course.arguments.objects import sequence


def mlp(in_features: int, hidden: int | Sequence[int], classes: int) -> nn.Sequential:
    """Fully connected layers with ReLU in between; the last layer gives one logit per class.

    in_features: numbers in one image, C * H * W. hidden: the width of each hidden layer, one or several
    (an empty list gives a linear classifier).

    | stage   | shape            | parameters               |
    | ------- | ---------------- | ------------------------ |
    | input   | (N, C, H, W)     |                          |
    | flatten | (N, in_features) | 0                        |
    | hidden  | (N, hidden)      | (in_features + 1) hidden |
    | logits  | (N, classes)     | (hidden + 1) classes     |

    Raises TypeError for a size that is no whole number, ValueError for one below 1 or too large for the memory.
    """
    in_features, classes = integer("in_features", in_features, least=1), integer("classes", classes, least=1)
    if hasattr(hidden, "__len__"):
        widths = sequence("hidden", hidden, "an integer, or a list of them")
        widths = [integer(f"hidden[{i}]", width, least=1) for i, width in enumerate(widths)]
    else:
        widths = [integer("hidden", hidden, least=1)]
    if len(widths) > MOST_LAYERS:
        raise ValueError(f"hidden must name at most {MOST_LAYERS} layers, not {len(widths)}")
    sizes = [in_features, *widths, classes]
    numbers = sum((n_in + 1) * n_out for n_in, n_out in zip(sizes[:-1], sizes[1:], strict=True))
    affordable_weights(numbers, in_features=in_features, hidden=max(widths, default=0), classes=classes)
    layers: list[nn.Module] = [nn.Flatten()]
    for n_in, n_out in zip(sizes[:-2], sizes[1:-1], strict=True):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]))


# What `cnn-course train` calls them.
SHELL_NAMES = {"mlp": partial(mlp, hidden=128)}
