"""Numbers as pixels, and pixels as the PNG that a view sends to the browser."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def eight_bit(values: NDArray) -> NDArray[np.uint8]:
    """uint8 as it is; anything else of any shape as 0 (black) to 1 (white), and what lies outside clipped."""
    if values.dtype == np.uint8:
        return values
    return np.round(np.clip(values.astype(float), 0, 1) * 255).astype(np.uint8)


def quick_png(pixels: NDArray[np.uint8]) -> bytes:
    """(H, W) or (H, W, 3) as PNG, compressed little: a picture that moves is sent with every touch of a control."""
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(out, format="png", compress_level=1)
    return out.getvalue()
