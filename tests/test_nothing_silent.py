"""What used to give a number that means nothing: each is an error now that names its argument, and changes nothing."""

import re

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from cnn_course import convolution, equivariance, images, layers, network


def net():
    return network.Network([network.flatten(), network.affine(4, 3)], seed=0)


X, LABELS = np.ones((5, 1, 2, 2)), np.array([0, 1, 2, 1, 0])


def parameters():
    return {"w": np.ones((3, 2)), "b": np.ones(2)}


def step(gradients=None, velocity=None, **rates):
    network.sgd_step(parameters(), gradients or parameters(), velocity or parameters(), **({"lr": 0.1} | rates))


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: images.resize(np.full((4, 4), 200), 2), TypeError, "image has dtype int64"),
        (lambda: images.pad(np.ones((2, 2)), 1, value=None), TypeError, "value must be a number, not None"),
        (lambda: images.shift(np.ones((2, 2)), 0, 1, fill="black"), TypeError, "fill must be a number, not 'black'"),
        (lambda: images.pad(np.ones((2, 2), np.uint8), 1, value=300), ValueError, "value is 300, but x holds uint8"),
        (lambda: network.accuracy(net(), X, LABELS + 1), ValueError, "label 3 is out of range"),
        (lambda: network.accuracy(net(), X, LABELS.astype(str)), TypeError, "labels must be an array of integers"),
        (lambda: network.fit(net(), X, LABELS, val=(X, LABELS - 1)), ValueError, "label -1 is out of range"),
        (lambda: network.fit(net(), X, LABELS, val=(X[:, :, :1], LABELS)), ValueError, "shape"),
        (lambda: network.fit(net(), X, LABELS, val=X), ValueError, "val must be a pair (images, labels)"),
        (lambda: step({"w": np.ones(2), "b": np.ones(2)}), ValueError, "gradients['w'] must have the shape"),
        (lambda: step({"w": np.ones((3, 2))}), ValueError, "gradients has no 'b'"),
        (
            lambda: step(velocity={"w": np.ones((3, 2)), "b": np.ones(1)}),
            ValueError,
            "velocity['b'] must have the shape",
        ),
        (lambda: step(lr=float("nan")), ValueError, "lr must be a finite number"),
        (lambda: step(momentum="0.9"), TypeError, "momentum must be a finite number, not '0.9'"),
        (lambda: equivariance.invariance_error(lambda x: None, X, 0, 1), TypeError, "does it end with `return ...`?"),
        (lambda: equivariance.equivariance_error(lambda x: None, X, 0, 1), TypeError, "does it end with `return ...`?"),
        (lambda: equivariance.invariance_error(lambda x: x, X, 0, 2), ValueError, "dx must be less than the 2 pixels"),
        (lambda: equivariance.equivariance_error(lambda x: x, X, -9, 0), ValueError, "dy must be less than the 2 pix"),
        (lambda: equivariance.relative_difference(None, X), TypeError, "a must be an array of"),
        (
            lambda: equivariance.shift_accuracy_map(lambda x: LABELS, X, LABELS.astype(float), 1),
            TypeError,
            "labels must be whole numbers",
        ),
        (
            lambda: equivariance.shift_accuracy_map(lambda x: LABELS.astype(float), X, LABELS, 1),
            TypeError,
            "what predict returns must be whole numbers",
        ),
    ],
)
def test_it_is_said(call, error, says):
    with pytest.raises(error, match=re.escape(says)):
        call()


def test_a_refused_step_changes_nothing():
    w, v = parameters(), parameters()
    with pytest.raises(ValueError, match="gradients"):
        network.sgd_step(w, {"w": np.ones((3, 2)), "b": np.ones(3)}, v, lr=0.1)
    assert all((w[name] == parameters()[name]).all() and (v[name] == parameters()[name]).all() for name in w)


def test_a_shift_that_comes_back_may_be_as_large_as_one_likes():
    assert equivariance.invariance_error(lambda x: x.sum(), X, 7, 9, wrap=True) == 0


@pytest.mark.parametrize("bad", [np.inf, np.nan])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_infinity_in_a_kernel_stays_where_it_belongs(axes, bad):
    """As in PyTorch: only the pixels that the one tap has met are not finite."""
    x, w = np.random.default_rng(0).standard_normal((2, 2, *(5, 4, 4)[:axes])), np.ones((3, 2, *(2, 2, 2)[:axes]))
    w[0, 1].flat[0] = bad
    forward = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[axes]
    there = torch.tensor(x, requires_grad=True)
    out = forward(there, torch.tensor(w), padding=1)
    dout = np.random.default_rng(1).standard_normal(out.shape)
    out.backward(torch.tensor(dout))
    with np.errstate(invalid="ignore"):
        dx, _, _ = convolution.conv_backward(dout, x, w, padding=1)
    np.testing.assert_allclose(dx, there.grad.numpy(), rtol=1e-10)


def test_relu_sends_no_infinity_back_where_it_was_off():
    out, cache = layers.relu_forward(np.array([-1.0, 2.0]))
    assert layers.relu_backward(np.array([np.inf, 3.0]), cache).tolist() == [0.0, 3.0]
