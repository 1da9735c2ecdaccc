"""What happens to a prediction when the picture moves."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cnn_course.arguments import integer
from cnn_course.images import shift


def shift_accuracy_map(
    predict: Callable[[NDArray], ArrayLike],
    images: ArrayLike,
    labels: ArrayLike,
    max_shift: int,
    *,
    wrap: bool = False,
    fill: float = 0.0,
) -> NDArray[np.float64]:
    """Accuracy of a classifier on the same images at every shift of up to `max_shift` pixels.

    predict: takes images (N, ..., H, W) and returns N predicted classes. images: (N, ..., H, W); labels: (N,).
    wrap, fill: what moves in at the border, see `images.shift`; by default zeros.
    Returns (2m+1, 2m+1) for m = max_shift: entry [m + dy, m + dx] belongs to a shift down by dy and right by dx,
    so the middle one to the images where they are.

    Raises ValueError for shapes that do not fit, no images, or a predict that does not return N classes.
    """
    images, labels = np.asarray(images), np.asarray(labels)
    if images.ndim < 3 or len(images) == 0:
        raise ValueError(f"images must have shape (N, ..., H, W) with at least one image, not {images.shape}")
    if labels.shape != images.shape[:1]:
        raise ValueError(f"labels must have shape ({len(images)},), one per image, but has shape {labels.shape}")
    reach = integer("max_shift", max_shift, least=0)
    accuracies = np.empty((2 * reach + 1, 2 * reach + 1))
    for row, dy in enumerate(range(-reach, reach + 1)):
        for column, dx in enumerate(range(-reach, reach + 1)):
            predicted = np.asarray(predict(shift(images, dy, dx, wrap=wrap, fill=fill)))
            if predicted.shape != labels.shape:
                raise ValueError(
                    f"predict must return {len(images)} classes, one per image, but returned shape {predicted.shape}; "
                    "if these are scores per class, take their argmax"
                )
            accuracies[row, column] = np.mean(predicted == labels)
    return accuracies
