import subprocess
import sys

import numpy as np
import pytest
import scipy.ndimage
import skimage

from cnn_course.images import PHOTOGRAPHS, pad, photograph, place, resize, shift, to_hwc, to_nchw


def test_shift_by_hand():
    x = np.array([[1, 2, 3], [4, 5, 6]])
    np.testing.assert_array_equal(shift(x, 1, 0), [[0, 0, 0], [1, 2, 3]])
    np.testing.assert_array_equal(shift(x, 0, 1), [[0, 1, 2], [0, 4, 5]])
    np.testing.assert_array_equal(shift(x, -1, -2, fill=9), [[6, 9, 9], [9, 9, 9]])
    np.testing.assert_array_equal(shift(x, 0, 1, wrap=True), [[3, 1, 2], [6, 4, 5]])
    np.testing.assert_array_equal(shift(x, 2, 0), np.zeros((2, 3)))
    np.testing.assert_array_equal(shift(x, 0, -300), np.zeros((2, 3)))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize(("dy", "dx"), [(0, 0), (2, -3), (-4, 1), (7, 7)])
def test_shift_against_scipy(dtype, dy, dx):
    x = np.random.default_rng(0).integers(0, 256, (2, 3, 6, 5)).astype(dtype)
    expected = scipy.ndimage.shift(x, (0, 0, dy, dx), order=0, mode="constant", cval=3)
    moved = shift(x, dy, dx, fill=3)
    assert moved.dtype == dtype
    np.testing.assert_array_equal(moved, expected)
    np.testing.assert_array_equal(shift(shift(x, dy, dx, wrap=True), -dy, -dx, wrap=True), x)


def test_shift_leaves_its_input_alone():
    x = np.ones((2, 2))
    shift(x, 0, 0)[:] = 5
    assert (x == 1).all()


def test_pad_by_hand():
    x = np.array([[1, 2, 3]])
    np.testing.assert_array_equal(pad(x, (0, 1)), [[0, 1, 2, 3, 0]])
    np.testing.assert_array_equal(pad(x, (0, 1), value=7), [[7, 1, 2, 3, 7]])
    np.testing.assert_array_equal(pad(x, (0, 2), mode="edge"), [[1, 1, 1, 2, 3, 3, 3]])
    np.testing.assert_array_equal(pad(x, (0, 2), mode="reflect"), [[3, 2, 1, 2, 3, 2, 1]])
    np.testing.assert_array_equal(pad(x, (0, 2), mode="wrap"), [[2, 3, 1, 2, 3, 1, 2]])
    np.testing.assert_array_equal(pad(x, ((1, 0), (0, 2))), [[0, 0, 0, 0, 0], [1, 2, 3, 0, 0]])
    assert pad(np.zeros((5, 3, 4, 4), np.float32), 2).shape == (5, 3, 8, 8)
    assert pad(np.zeros((5, 3, 4, 4), np.float32), 2).dtype == np.float32


def test_place():
    x = np.array([[1, 2]], np.uint8)
    canvas = place(x, (3, 4))
    assert canvas.dtype == np.uint8
    np.testing.assert_array_equal(canvas, [[0, 0, 0, 0], [0, 1, 2, 0], [0, 0, 0, 0]])
    np.testing.assert_array_equal(place(x, (2, 2), top=1, left=0), [[0, 0], [1, 2]])
    assert place(np.ones((7, 3, 4, 4)), 9).shape == (7, 3, 9, 9)


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_photographs(name):
    image = photograph(name)
    assert image.dtype == np.float64
    assert image.ndim == 2 or image.shape[2] == 3
    assert 0 <= image.min() < image.max() <= 1
    assert photograph(name, gray=True).shape == image.shape[:2]
    small = photograph(name, size=(48, 64))
    assert small.shape[:2] == (48, 64)
    assert 0 <= small.min() < small.max() <= 1
    assert photograph(name, size=32, gray=True).shape == (32, 32)


def test_photographs_need_no_network():
    """pooch is what scikit-image downloads with; without it, only what the wheel brings can be read."""
    code = (
        "import sys\n"
        "sys.modules['pooch'] = None\n"
        "from cnn_course.images import PHOTOGRAPHS, photograph\n"
        "for name in PHOTOGRAPHS:\n"
        "    photograph(name)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_photograph_is_cut_not_squashed():
    whole = photograph("chelsea")  # 300 x 451
    np.testing.assert_allclose(photograph("chelsea", size=300), whole[:, 75:375], atol=1e-12)


def test_resize_against_skimage():
    image = photograph("coffee")
    expected = skimage.transform.resize(image, (40, 50), order=1, mode="edge", anti_aliasing=True)
    np.testing.assert_array_equal(resize(image, (40, 50)), expected)
    assert resize(image, (40, 50)).shape == (40, 50, 3)
    flat = np.full((6, 8), 51, np.uint8)
    np.testing.assert_allclose(resize(flat, (3, 5)), np.full((3, 5), 0.2))


def test_axis_order_there_and_back():
    color = photograph("astronaut", size=(8, 10))
    batch = to_nchw(color)
    assert batch.shape == (1, 3, 8, 10)
    assert batch[0, 2, 4, 5] == color[4, 5, 2]
    np.testing.assert_array_equal(to_hwc(batch), color)
    np.testing.assert_array_equal(to_hwc(batch[0]), color)
    gray = photograph("camera", size=(8, 10))
    assert to_nchw(gray).shape == (1, 1, 8, 10)
    np.testing.assert_array_equal(to_hwc(to_nchw(gray)), gray)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: photograph("mandrill"), ValueError, "name must be one of 'astronaut', .*, not 'mandrill'"),
        (lambda: photograph("camera", size=0), ValueError, "size must be an integer of at least 1, not 0"),
        (lambda: photograph("camera", size=(3, 3, 3)), ValueError, "pair"),
        (lambda: resize(np.zeros((4, 4, 4)), 2), ValueError, r"\(4, 4, 4\)"),
        (lambda: resize(np.zeros((4, 4)), 2.5), TypeError, "size must be an integer"),
        (lambda: shift(np.zeros(4), 1, 1), ValueError, "at least two axes"),
        (lambda: shift(np.zeros((4, 4)), 1.0, 1), TypeError, "dy must be an integer, not 1.0"),
        (lambda: shift(np.zeros((4, 4)), 1, True), TypeError, "dx must be an integer, not True"),
        (lambda: shift(np.zeros((4, 4), int), 1, 1, fill=0.5), ValueError, "fill is 0.5, but x holds int64"),
        (
            lambda: shift(np.zeros((4, 4), np.float16), 1, 1, fill=1e6),
            ValueError,
            "fill is 1000000.0, but x holds float16",
        ),
        (lambda: shift(np.zeros((4, 4)), 1, 1, wrap="no"), TypeError, "wrap must be True or False"),
        (lambda: pad(np.zeros((4, 4)), 10**9), ValueError, "padding is too large"),
        (lambda: place(np.zeros((4, 4)), 10**9), ValueError, "size is too large"),
        (lambda: resize(np.zeros((4, 4)), 10**9), ValueError, "size is too large"),
        (lambda: pad(np.zeros((4, 4)), -1), ValueError, "at least 0, not -1"),
        (lambda: pad(np.zeros((4, 4)), ((1, 1), (0, -2))), ValueError, "at least 0, not -2"),
        (lambda: pad(np.zeros((4, 4)), ((1, 1),)), ValueError, "top, bottom"),
        (lambda: pad(np.zeros((4, 4)), 1, mode="mirror"), ValueError, "mode must be one of 'zeros', 'edge'"),
        (lambda: pad(np.zeros((0, 4)), 1, mode="edge"), ValueError, "needs pixels"),
        (lambda: place(np.zeros((4, 4)), 3), ValueError, "do not fit on a canvas of 3 x 3"),
        (lambda: place(np.zeros((4, 4)), 8, top=5), ValueError, "top=5"),
        (lambda: to_nchw(np.zeros((4, 4, 1))), ValueError, r"\(4, 4, 1\)"),
        (lambda: to_hwc(np.zeros((2, 3, 4, 4))), ValueError, "one picture"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
