"""Checks of the sizes of a network, made before a weight is drawn."""

from typing import Any

from cnn_course.arguments.integers import integer
from cnn_course.arguments.memory import affordable

MOST_PIXELS = 2**16  # of one side: no picture has more, so that a larger step or border is a slip
MOST_LAYERS = 1202  # as many has the deepest network of the ResNet paper; each takes a millisecond to build


def affordable_weights(numbers: int, **sizes: int) -> None:
    """Raise ValueError if a network of `numbers` weights in float32 needs more memory than an ordinary machine has.

    The message names the largest of `sizes`, the arguments that the number follows from.
    """
    largest = max(sizes, key=lambda name: sizes[name])
    affordable(largest, sizes[largest], numbers, itemsize=4)


def classes_of(value: Any, inputs: int) -> int:
    """Return a number of classes as an int, for a last layer with that many inputs.

    Raises TypeError if it is not a whole number, ValueError below 1 and where that layer alone would be too large.
    """
    classes = integer("classes", value, least=1)
    affordable_weights(classes * (inputs + 1), classes=classes)
    return classes
