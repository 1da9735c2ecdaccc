import io

import numpy as np
import pytest
from PIL import Image

from cnn_course.appearance.pictures import eight_bit, quick_png


def test_eight_bit_rounds_and_clips():
    assert eight_bit(np.array([-1, 0, 0.5, 0.998, 1, 3])).tolist() == [0, 0, 128, 254, 255, 255]
    assert eight_bit(np.zeros((2, 3), np.float32)).dtype == np.uint8
    assert eight_bit(np.array([True, False])).tolist() == [255, 0]


def test_eight_bit_keeps_bytes():
    pixels = np.arange(256, dtype=np.uint8)
    assert eight_bit(pixels) is pixels


@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 3)])
def test_quick_png_keeps_every_pixel_in_any_memory_layout(shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    for given in (pixels, np.asfortranarray(pixels), np.ascontiguousarray(pixels[::-1])[::-1]):
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(quick_png(given)))), pixels)
