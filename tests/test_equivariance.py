import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnn_course import convolution
from cnn_course.equivariance import (
    disc,
    equivariance_error,
    invariance_error,
    relative_difference,
    rotate,
    rotation_error,
    shift_accuracy_map,
)
from cnn_course.images import pad


def test_by_hand():
    """One lit pixel in the middle of 5 x 5; the classifier looks at the top left of its 3 x 3 neighbourhood."""
    images = np.zeros((4, 1, 5, 5), np.float32)
    images[:, :, 2, 2] = 1
    accuracies = shift_accuracy_map(lambda x: (x[:, 0, 1, 1] > 0).astype(int), images, np.ones(4, int), 2)
    expected = np.zeros((5, 5))
    expected[1, 1] = 1  # up by one and left by one
    np.testing.assert_array_equal(accuracies, expected)


def test_the_middle_is_the_plain_accuracy_and_an_invariant_classifier_is_flat():
    rng = np.random.default_rng(0)
    images = np.zeros((50, 1, 9, 9))
    images[:, :, 3:6, 3:6] = rng.integers(1, 10, (50, 1, 1, 1))
    labels = rng.integers(1, 10, 50)
    accuracies = shift_accuracy_map(lambda x: x.max(axis=(1, 2, 3)).astype(int), images, labels, 3)
    assert accuracies.shape == (7, 7)
    np.testing.assert_array_equal(accuracies, np.full((7, 7), np.mean(images.max(axis=(1, 2, 3)) == labels)))


def test_fill_and_wrap_reach_the_shift():
    images = np.zeros((1, 3, 3), np.uint8)
    assert shift_accuracy_map(lambda x: [x.max()], images, [7], 1, fill=7).sum() == 8
    images[0, 0, 0] = 1
    assert shift_accuracy_map(lambda x: [x.sum()], images, [1], 2, wrap=True).sum() == 25


@pytest.mark.parametrize(
    ("images", "labels", "predict", "max_shift", "error", "message"),
    [
        (np.zeros((2, 4)), [0, 0], len, 1, ValueError, "images must have shape"),
        (np.zeros((0, 1, 4, 4)), [], len, 1, ValueError, "at least one image"),
        (np.zeros((2, 1, 4, 4)), [0], len, 1, ValueError, r"labels must have shape \(2,\)"),
        (np.zeros((2, 1, 4, 4)), [0, 0], lambda x: np.zeros((2, 10)), 1, ValueError, "argmax"),
        (np.zeros((2, 1, 4, 4)), [0, 0], len, -1, ValueError, "max_shift must be .* at most 4, not -1"),
        (np.zeros((2, 1, 4, 4)), [0, 0], len, 1.5, TypeError, "max_shift must be an integer"),
    ],
)
def test_bad_input(images, labels, predict, max_shift, error, message):
    with pytest.raises(error, match=message):
        shift_accuracy_map(predict, images, labels, max_shift)


# Equivariance and invariance error


def striding(n):
    return lambda x: x[..., ::n, ::n]


def test_relative_difference_by_hand():
    assert relative_difference([3, 4], [0, 0]) == np.inf
    assert relative_difference([0, 0], [0, 0]) == 0
    assert relative_difference([3, 4], [3, 4]) == 0
    assert relative_difference([[3, 4]], [[0, 4]]) == 3 / 4
    with pytest.raises(ValueError, match=r"not \(2,\) with \(1, 2\)"):
        relative_difference([0, 1], [[0, 1]])


def test_the_error_of_striding_by_hand():
    """The image 1 2 1 2 ...: every second pixel is all 1, or all 2 after a shift by one, and nothing can mend that."""
    x = np.tile([1.0, 2.0], (1, 1, 8, 4))
    for dx in (-8, -4, -2, 0, 2, 4, 6):
        assert equivariance_error(striding(2), x, 0, dx, stride=2, wrap=True) == 0
    assert equivariance_error(striding(2), x, 0, 1, stride=2, wrap=True) == 1  # |2 - 1| / |1|
    assert invariance_error(striding(2), x, 0, 1, wrap=True) == 1
    assert equivariance_error(striding(2), x, 1, 0, stride=2, wrap=True) == 0  # the rows are all alike


def test_the_better_neighbour_counts():
    """A slow ramp: after a shift by 3 with stride 4 the output fits better moved by one place than by none."""
    x = np.broadcast_to(np.arange(64.0), (1, 1, 64, 64))
    error = equivariance_error(striding(4), x, 0, 3, stride=4, cut=2)
    kept = np.arange(0, 64, 4)[2:-2]
    assert error == pytest.approx(np.linalg.norm(np.full(12, 1)) / np.linalg.norm(kept - 4))


@given(st.integers(-9, 9), st.integers(-9, 9), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_exact_for_shifts_that_the_stride_divides(dy, dx, stride, seed):
    x = np.random.default_rng(seed).standard_normal((2, 3, 12, 24))
    error = equivariance_error(striding(stride), x, dy, dx, stride=stride, wrap=True)
    assert (error == 0) == (dy % stride == 0 and dx % stride == 0)


def test_a_convolution_is_equivariant_up_to_its_border():
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 3, 20, 24)), rng.standard_normal((4, 3, 3, 3))

    def zeros(x):
        return convolution.conv2d(x, w, padding=1)

    def wrapped(x):
        return convolution.conv2d(pad(x, 1, mode="wrap"), w)

    assert equivariance_error(wrapped, x, 3, -2, wrap=True) < 1e-14
    assert equivariance_error(zeros, x, 3, -2, wrap=True) > 0.1
    assert equivariance_error(zeros, x, 3, -2, wrap=True, cut=3) > 0.01  # the output's border has moved in by 3
    assert equivariance_error(zeros, x, 3, -2, wrap=True, cut=4) < 1e-14
    assert equivariance_error(zeros, x, 3, -2) > 0.1
    assert equivariance_error(zeros, x, 3, -2, cut=4) < 1e-14
    assert invariance_error(lambda x: wrapped(x).max(axis=(2, 3)), x, 3, -2, wrap=True) < 1e-14


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((striding(1), np.zeros((4, 4)), 0, 0), {}, ValueError, "images must have shape"),
        ((striding(1), np.zeros((0, 1, 4, 4)), 0, 0), {}, ValueError, "none of them 0"),
        ((lambda x: x.sum(), np.zeros((1, 1, 4, 4)), 0, 0), {}, ValueError, "f must return maps"),
        ((lambda x: x[:1], np.zeros((2, 1, 4, 4)), 0, 0), {}, ValueError, "with N = 2"),
        (
            (striding(1), np.zeros((1, 1, 4, 4)), 0, 0),
            {"cut": 2},
            ValueError,
            "cut = 2 leaves nothing of maps of 4 x 4",
        ),
        ((striding(1), np.zeros((1, 1, 4, 4)), 0, 0), {"stride": 0}, ValueError, "stride must be"),
        ((striding(2), np.ones((1, 1, 8, 8)), 0, 5), {}, ValueError, "leave nothing to compare of the maps of 4 x 4"),
        ((int, np.zeros((1, 1, 4, 4)), 0, 0), {}, TypeError, "f must be a function of images"),
        ((striding(1), np.zeros((1, 1, 4, 4)), 0.5, 0), {}, TypeError, "dy must be an integer"),
    ],
)
def test_bad_input_of_equivariance_error(arguments, options, error, message):
    with pytest.raises(error, match=message):
        equivariance_error(*arguments, **options)


def test_bad_input_of_invariance_error():
    with pytest.raises(ValueError, match="images must have shape"):
        invariance_error(striding(1), np.zeros((4, 4)), 0, 0)
    calls = iter([np.zeros(1), np.zeros(2)])
    with pytest.raises(ValueError, match="one shape"):
        invariance_error(lambda x: next(calls), np.zeros((1, 1, 4, 4)), 0, 0)


# Rotation


def test_quarter_turns_are_exact():
    x = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    np.testing.assert_array_equal(rotate(x, 90)[0], [[2, 5, 8], [1, 4, 7], [0, 3, 6]])
    assert rotate(x, 90).dtype == np.uint8
    np.testing.assert_array_equal(rotate(x, -90), rotate(x, 270))
    np.testing.assert_array_equal(rotate(rotate(x, 90), 630), x)
    np.testing.assert_array_equal(rotate(x[:, :2], 180), x[:, :2][..., ::-1, ::-1])


@given(st.sampled_from([(9, 9), (8, 8), (3, 8, 8), (1, 2, 8, 8)]), st.integers(0, 3), st.integers(0, 2**32 - 1))
def test_interpolation_meets_the_quarter_turns(shape, turns, seed):
    x = np.random.default_rng(seed).standard_normal(shape)
    inside = disc(shape[-1], 1)
    np.testing.assert_allclose(rotate(x, 90 * turns + 1e-7)[..., inside], rotate(x, 90 * turns)[..., inside], atol=1e-5)


def test_a_turned_slope():
    """Brightness that grows along a direction still grows evenly after a turn, along the turned direction."""
    place = np.arange(31) - 15.0
    across = np.broadcast_to(place, (31, 31))
    for degrees in (10, 30, 45, 120, -75):
        angle = np.deg2rad(degrees)
        expected = np.cos(angle) * across - np.sin(angle) * across.T
        mask = disc(31, 1)
        np.testing.assert_allclose(rotate(across, degrees)[mask], expected[mask], atol=1e-12)


def test_disc_by_hand():
    np.testing.assert_array_equal(disc(4), [[0, 1, 1, 0], [1, 1, 1, 1], [1, 1, 1, 1], [0, 1, 1, 0]])
    assert disc(3, 1).sum() == 1
    assert disc(1).all()


def test_rotation_error_of_known_layers():
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 1, 16, 16)), rng.standard_normal((3, 3))
    bank = np.stack([np.rot90(w, turns) for turns in range(4)])[:, None]

    def turned_bank(x):
        return convolution.conv2d(x, bank, padding=1)

    assert rotation_error(turned_bank, x, 90, channels=[3, 0, 1, 2]) < 1e-14
    assert rotation_error(turned_bank, x, 180, channels=[2, 3, 0, 1]) < 1e-14
    assert rotation_error(turned_bank, x, 90) > 0.5
    assert rotation_error(lambda x: x, x, 33, margin=1) == 0
    assert rotation_error(np.square, np.ones((1, 1, 16, 16)), 45, margin=1) < 1e-14


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rotate(np.zeros(3), 90), "at least two axes"),
        (lambda: rotate(np.zeros((3, 4)), 90), "square maps for a quarter turn .*, not 3 x 4"),
        (lambda: rotate(np.zeros((3, 3)), np.nan), "finite number, not nan"),
        (lambda: disc(0), "size must be an integer of at least 1"),
        (lambda: disc(4, 2), "leaves nothing"),
        (lambda: rotation_error(striding(1), np.zeros((1, 1, 3, 4)), 180), "images must be square"),
        (lambda: rotation_error(lambda x: x[..., :2], np.zeros((1, 1, 4, 4)), 180), "maps of f must be square"),
    ],
)
def test_bad_rotation(call, message):
    with pytest.raises(ValueError, match=message):
        call()
