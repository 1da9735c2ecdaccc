"""The names by which `cnn-course train` knows the networks: each file of this room lists its own, in SHELL_NAMES.

    SHELL_NAMES = {"lenet": lenet, "lenet-bn": partial(lenet, batch_norm=True)}

A function is given what its parameters are called: `classes`, `channels`, `size` (the side of the images) and
`in_features` (C * H * W) come from the data, `width` (or `hidden`) and `dropout` from the options of these names. Other
parameters need a default, or a `partial` that fixes them.
"""

import pkgutil
from collections.abc import Callable
from importlib import import_module

from torch import nn

from cnn_course import models


def shell_names() -> dict[str, Callable[..., nn.Module]]:
    """Every name, file by file, and the function that builds its network. Raises ValueError for a name in two files."""
    found: dict[str, Callable[..., nn.Module]] = {}
    listed_in: dict[str, str] = {}
    for file in pkgutil.iter_modules(models.__path__):
        module = import_module(f"{models.__name__}.{file.name}")
        for name, function in getattr(module, "SHELL_NAMES", {}).items():
            if name in found:
                raise ValueError(f"{listed_in[name]}.py and {file.name}.py both have a network called {name!r}")
            found[name], listed_in[name] = function, file.name
    return found
