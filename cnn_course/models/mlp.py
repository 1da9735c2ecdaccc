"""The multilayer perceptron: flatten the image, then fully connected layers (lecture 01)."""

from collections.abc import Sequence
from functools import partial

from torch import nn


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

    Raises ValueError for a size below 1.
    """
    sizes = [in_features, *([hidden] if isinstance(hidden, int) else hidden), classes]
    if min(sizes) < 1:
        raise ValueError(f"every size of an MLP must be at least 1, got {' -> '.join(map(str, sizes))}")
    layers: list[nn.Module] = [nn.Flatten()]
    for n_in, n_out in zip(sizes[:-2], sizes[1:-1], strict=True):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]))


# What `cnn-course train` calls them.
SHELL_NAMES = {"mlp": partial(mlp, hidden=128)}
