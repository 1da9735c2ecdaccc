"""Checks of images with their labels, shared by the rooms."""

from typing import Any

import numpy as np

from cnn_course.arguments.shown import shown


def images_and_labels(images: Any, labels: Any) -> None:
    """Raise TypeError or ValueError unless images are a uint8 array (N, C, H, W), and labels N whole numbers from 0."""
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8:
        raise TypeError(
            f"images must be a NumPy array of uint8 (0 to 255), not {shown(images)}; "
            "from floats between 0 and 1: (x * 255).round().astype(np.uint8)"
        )
    for name, value in (("images", images), ("labels", labels)):
        if isinstance(value, np.ma.MaskedArray):
            raise TypeError(f"{name} are a masked array, whose mask would be lost: pass {name}.filled(0), say")
    if images.ndim != 4 or 0 in images.shape[1:]:
        raise ValueError(f"images must have pixels and the four axes (N, C, H, W), but have shape {images.shape}")
    if not isinstance(labels, np.ndarray) or labels.dtype.kind not in "iu":
        raise TypeError(f"labels must be a NumPy array of whole numbers, not {shown(labels)}")
    if labels.shape != images.shape[:1]:
        raise ValueError(f"labels must have shape ({len(images)},), one for each of images, but have {labels.shape}")
    if labels.size and labels.min() < 0:
        raise ValueError(f"labels must count from 0, but one is {labels.min()}")
