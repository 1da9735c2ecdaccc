import numpy as np
import pytest

from cnn_course.equivariance import shift_accuracy_map


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
        (np.zeros((2, 1, 4, 4)), [0, 0], len, -1, ValueError, "max_shift must be an integer of at least 0, not -1"),
        (np.zeros((2, 1, 4, 4)), [0, 0], len, 1.5, TypeError, "max_shift must be an integer"),
    ],
)
def test_bad_input(images, labels, predict, max_shift, error, message):
    with pytest.raises(error, match=message):
        shift_accuracy_map(predict, images, labels, max_shift)
