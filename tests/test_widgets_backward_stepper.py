import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnn_course import convolution
from cnn_course.widgets import backward_stepper
from cnn_course.widgets.backward_stepper import _after

X = np.arange(16).reshape(4, 4)
W = np.array([[1, 0], [0, 2]])
DOUT = np.array([[-1, 2, 1], [-2, -1, 2], [0, -2, 1]])


def test_the_first_steps_by_hand():
    x, dout = X.astype(float), DOUT.astype(float)
    cell, window, dx, dw = _after(0, x, W, dout, (1, 1))
    assert cell is window is None
    assert not dx.any() and not dw.any()
    cell, window, dx, dw = _after(2, x, W.astype(float), dout, (1, 1))
    assert (cell, window) == ((0, 1, 1, 1), (0, 1, 2, 2))
    np.testing.assert_array_equal(dx[:2], [[-1, 2, 0, 0], [0, -2, 4, 0]])
    np.testing.assert_array_equal(dw, -x[0:2, 0:2] + 2 * x[0:2, 1:3])


@given(
    *[st.tuples(st.integers(1, 3), st.integers(1, 3))] * 2,
    st.tuples(st.integers(1, 2), st.integers(1, 2)),
    st.tuples(st.integers(0, 1), st.integers(0, 1)),
)
@settings(max_examples=50)
def test_the_last_step_is_conv_backward(agreement, more, kernel, stride, padding):
    rng = np.random.default_rng(0)
    x = rng.normal(size=np.add(kernel, more))
    w = rng.normal(size=kernel)
    out = convolution.conv2d(x[None, None], w[None, None], stride=stride, padding=padding)
    dout = rng.normal(size=out.shape[2:])
    padded = np.pad(x, [(p, p) for p in padding])
    *_, dx, dw = _after(dout.size, padded, w, dout, stride)
    expected = convolution.conv_backward(dout[None, None], x[None, None], w[None, None], stride=stride, padding=padding)
    inside = dx[padding[0] : padding[0] + len(x), padding[1] : padding[1] + x.shape[1]]
    agreement("backward_stepper: dx, dw", inside, expected[0][0, 0], 1e-12, scale=1)
    agreement("backward_stepper: dx, dw", dw, expected[1][0, 0], 1e-12, scale=1)


def test_every_step_is_another_picture():
    view = backward_stepper(X, W, DOUT)
    pictures = set()
    for step in range(DOUT.size + 1):
        view.values = {"step": step}
        assert view.error == ""
        pictures.add(view.png)
    assert len(pictures) == DOUT.size + 1


def test_the_stored_picture_is_the_step_asked_for():
    data, _ = backward_stepper(X, W, DOUT, step=5).static_bundle()
    other, _ = backward_stepper(X, W, DOUT, step=4).static_bundle()
    assert data["image/png"].startswith(b"\x89PNG")
    assert data["image/png"] != other["image/png"]
    assert "After step 5 of 9" in data["text/plain"]
    assert len(data["image/png"]) < 20_000
    assert backward_stepper(X, W, DOUT, title="Spread it").alt.startswith("Spread it: ")


def test_padding_and_stride():
    view = backward_stepper(X + 0.5, np.ones((3, 3)), np.ones((2, 2)), stride=2, padding=1, step=4)
    assert view.controls[0]["high"] == 4
    view.values = {"step": 0}
    assert view.error == ""


BAD = [
    ((X[0], W, DOUT), {}, r"must be \(H, W\) arrays.*\(4,\)"),
    ((X, W, DOUT[:2]), {}, "dout must have the shape"),
    ((X, np.ones((5, 5)), DOUT), {}, "kernel covers 5"),
    ((X * np.nan, W, DOUT), {}, "finite"),
    ((np.zeros((7, 7)), np.ones((5, 5)), np.ones((3, 3))), {}, "readable up to 6"),
    ((X, W, DOUT), {"step": 10}, "from 0 to 9"),
    ((X, W, DOUT), {"step": -1}, "at least 0"),
    ((X, W, DOUT), {"stride": 0}, "stride"),
    ((X, W, DOUT), {"padding": -1}, "padding"),
]


@pytest.mark.parametrize(("arrays", "options", "message"), BAD)
def test_bad_input(arrays, options, message):
    with pytest.raises(ValueError, match=message):
        backward_stepper(*arrays, **options)
