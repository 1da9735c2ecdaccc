"""A network that a student's function built, as a test cell sees it: it asks for plain arrays and numbers only.

    net = networks.build("lenet", lenet, classes=10)
    checks.check_integer("the parameters of lenet()", net.count(), 61_706)
    net.load([...])  # weights that the test chose, in the order of net.shapes()
    logits = net.forward(images)
    checks.call("train(net, ...)", train, net, images, labels)  # it is passed to a function as the module it is
    weights = net.state()

The module may live in another process. Then `module` is a stand-in with the method `ask(question, *arguments)`, which
puts one of `sandbox.module_questions.QUESTIONS` to the module where it lives. What comes back is untrusted, like every
answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from cnn_course.errors import CheckFailed
from cnn_course.grading import checks, describe
from cnn_course.grading.sandbox.module_questions import QUESTIONS


def build(name: str, function: Callable[..., Any], *arguments: Any, **options: Any) -> Network:
    """Call a student's function that returns a module. Raises CheckFailed if it fails or returns something else."""
    description = describe.call(name, *arguments, **options)
    got = checks.call(description, function, *arguments, **options)
    if isinstance(got, nn.Module) or hasattr(type(got), "ask"):
        return Network(description, got)
    if got is None:
        raise CheckFailed(f"{description}: expected a torch.nn.Module, got None. Does it end with `return ...`?")
    raise CheckFailed(f"{description}: expected a torch.nn.Module, got {describe.kind(got)}.")


class Network:
    """A student's module behind a few questions. `description` begins every message."""

    def __init__(self, description: str, module: Any) -> None:
        self.description, self.module = description, module

    def __str__(self) -> str:
        return "net"

    def as_argument(self) -> Any:
        """What `checks.call` hands to a student's function."""
        return self.module

    def shapes(self) -> list[tuple[int, ...]]:
        """The shape of each trainable parameter, in the order in which the module lists them."""
        return [tuple(shape) for shape in self._ask("shapes")]

    def count(self) -> int:
        """Trainable numbers."""
        return int(sum(np.prod(shape, dtype=np.int64) for shape in self.shapes()))

    def load(self, weights: Sequence[np.ndarray]) -> None:
        """Give the parameters these values, one array each, in the order of `shapes`."""
        self._ask("load", [np.asarray(array, dtype=np.float32) for array in weights])

    def state(self) -> list[np.ndarray]:
        """The values of the parameters, then of the buffers (running means and variances)."""
        return self._ask("state")

    def forward(self, x: np.ndarray | torch.Tensor, *, training: bool = False) -> np.ndarray:
        """What the module makes of x, without gradients, in evaluation mode unless `training`: float array."""
        return self._ask("forward", np.asarray(x), training)

    def gradients(self, images: np.ndarray | torch.Tensor, labels: np.ndarray) -> list[np.ndarray]:
        """The gradient of the mean cross-entropy by each parameter, in training mode, in the order of `shapes`."""
        return self._ask("gradients", np.asarray(images), np.asarray(labels))

    def _ask(self, question: str, *arguments: Any) -> Any:
        def answer(*sent: Any) -> Any:
            if isinstance(self.module, nn.Module):
                return QUESTIONS[question](self.module, *sent)
            return self.module.ask(question, *sent)

        return checks.call(f"{self.description}, {question}", answer, *arguments)
