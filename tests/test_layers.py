import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from cnn_course import activations, layers, pooling
from cnn_course.gradient_check import layer_errors

DTYPES = {np.float32: 1e-5, np.float64: 1e-12}
CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
ACTIVATIONS = {
    "tanh": (activations.tanh, activations.tanh_derivative, torch.tanh),
    "sigmoid": (activations.sigmoid, activations.sigmoid_derivative, torch.sigmoid),
    "elu": (activations.elu, activations.elu_derivative, F.elu),
    "swish": (activations.swish, activations.swish_derivative, F.silu),
}
seeds = st.integers(0, 2**32 - 1)


@st.composite
def convolutions(draw, axes, largest=6):
    """(x, w, b, settings) in float64: some shapes that fit together."""
    groups, per_group, filters = draw(st.integers(1, 2)), draw(st.integers(1, 2)), draw(st.integers(1, 2))
    kernel = [draw(st.integers(1, 3)) for _ in range(axes)]
    settings = {
        name: tuple(draw(st.integers(low, 2)) for _ in range(axes))
        for name, low in (("stride", 1), ("padding", 0), ("dilation", 1))
    }
    size = [
        draw(st.integers(max(1, d * (k - 1) + 1 - 2 * p), largest + d))
        for k, d, p in zip(kernel, settings["dilation"], settings["padding"], strict=True)
    ]
    rng = np.random.default_rng(draw(seeds))
    x = rng.normal(size=(draw(st.integers(1, 2)), groups * per_group, *size))
    w = rng.normal(size=(groups * filters, per_group, *kernel))
    return x, w, rng.normal(size=len(w)), settings | {"groups": groups}


def with_torch(function, dtype, *arrays, seed=0):
    """(out, dout, gradients) as torch computes them, in dtype."""
    tensors = [torch.tensor(array.astype(dtype), requires_grad=True) for array in arrays]
    out = function(*tensors)
    dout = np.random.default_rng(seed).normal(size=tuple(out.shape)).astype(dtype)
    out.backward(torch.tensor(dout))
    return out.detach().numpy(), dout, [tensor.grad.numpy() for tensor in tensors]


# by hand


def test_conv_by_hand():
    x, w = np.array([[[1.0, 2, 3]]]), np.array([[[10.0, 1]]])
    out, cache = layers.conv_forward(x, w, np.array([0.5]))
    np.testing.assert_array_equal(out, [[[12.5, 23.5]]])
    dx, dw, db = layers.conv_backward(np.array([[[1.0, -1]]]), cache)
    np.testing.assert_array_equal(dx, [[[10, 1 - 10, -1]]])
    np.testing.assert_array_equal(dw, [[[1 - 2, 2 - 3]]])
    np.testing.assert_array_equal(db, [0])


def test_affine_by_hand():
    out, cache = layers.affine_forward(
        np.array([[1.0, 2]]), np.array([[3.0, 4], [5, 6], [0, 1]]), np.array([1.0, 0, 0])
    )
    np.testing.assert_array_equal(out, [[12, 17, 2]])
    dx, dw, db = layers.affine_backward(np.array([[1.0, 0, 2]]), cache)
    np.testing.assert_array_equal(dx, [[3, 6]])
    np.testing.assert_array_equal(dw, [[1, 2], [0, 0], [2, 4]])
    np.testing.assert_array_equal(db, [1, 0, 2])


def test_relu_by_hand():
    out, cache = layers.relu_forward(np.array([-1.0, 0, 2]))
    np.testing.assert_array_equal(out, [0, 0, 2])
    np.testing.assert_array_equal(layers.relu_backward(np.array([5.0, 6, 7]), cache), [0, 0, 7])


def test_relu_does_not_change_its_input_or_dout():
    x, dout = np.array([-1.0, 2]), np.array([3.0, 4])
    layers.relu_backward(dout, layers.relu_forward(x)[1])
    np.testing.assert_array_equal(x, [-1, 2])
    np.testing.assert_array_equal(dout, [3, 4])


def test_flatten_by_hand():
    x = np.arange(12.0).reshape(2, 3, 2)
    out, cache = layers.flatten_forward(x)
    np.testing.assert_array_equal(out, np.arange(12).reshape(2, 6))
    np.testing.assert_array_equal(layers.flatten_backward(out, cache), x)
    empty, cache = layers.flatten_forward(np.zeros((0, 3, 2)))
    assert empty.shape == (0, 6)
    assert layers.flatten_backward(empty, cache).shape == (0, 3, 2)


def test_softmax_cross_entropy_by_hand():
    loss, dlogits = layers.softmax_cross_entropy(np.array([[0.0, math.log(3)], [0, 0]]), [1, 0])
    assert loss == pytest.approx((math.log(4 / 3) + math.log(2)) / 2)
    np.testing.assert_allclose(dlogits, np.array([[1 / 4, -1 / 4], [-1 / 2, 1 / 2]]) / 2)


@pytest.mark.parametrize("dtype", DTYPES)
def test_large_logits(dtype):
    logits = np.array([[1e4, 0, -1e4], [-1e4, 1e4, 1e4]], dtype)
    with np.errstate(all="raise", under="ignore"):
        loss, dlogits = layers.softmax_cross_entropy(logits, [1, 2])
        probabilities = layers.softmax(logits)
    assert loss == pytest.approx((1e4 + math.log(2)) / 2)
    np.testing.assert_allclose(dlogits, [[0.5, -0.5, 0], [0, 0.25, -0.25]], atol=1e-7)
    np.testing.assert_allclose(probabilities, [[1, 0, 0], [0, 0.5, 0.5]], atol=1e-7)
    assert dlogits.dtype == probabilities.dtype == dtype


def test_loss_of_equal_logits_is_log_of_the_number_of_classes():
    for classes in (2, 10, 1000):
        loss, _ = layers.softmax_cross_entropy(np.full((3, classes), 7.0), [0, 1, 1])
        assert loss == pytest.approx(math.log(classes))


# against torch


@pytest.mark.parametrize("axes", [1, 2, 3])
@given(data=st.data())
@settings(max_examples=20)
def test_conv_against_torch(agreement, axes, data):
    """Few: the convolution below is compared in test_conv_backward, this is what a layer makes of it."""
    x, w, b, settings = data.draw(convolutions(axes))
    for dtype, limit in DTYPES.items():
        reference, dout, gradients = with_torch(lambda *a: CONVOLUTIONS[axes](*a, **settings), dtype, x, w, b)
        out, cache = layers.conv_forward(x.astype(dtype), w.astype(dtype), b.astype(dtype), **settings)
        agreement(f"layers.conv {axes}-D forward {out.dtype}", out, reference, limit, scale=1)
        found = layers.conv_backward(dout, cache)
        for ours, theirs in zip(found, gradients, strict=True):
            assert ours.dtype == dtype
            agreement(f"layers.conv {axes}-D backward {out.dtype}", ours, theirs, limit, scale=1)
        without = layers.conv_backward(dout, cache, need_dx=False)
        assert without[0] is None
        for part, whole in zip(without[1:], found[1:], strict=True):
            np.testing.assert_array_equal(part, whole)


@given(st.integers(1, 5), st.integers(1, 7), st.integers(1, 5), seeds)
def test_affine_against_torch(agreement, images, inputs, units, seed):
    rng = np.random.default_rng(seed)
    arrays = [rng.normal(size=shape) for shape in ((images, inputs), (units, inputs), (units,))]
    for dtype, limit in DTYPES.items():
        reference, dout, gradients = with_torch(F.linear, dtype, *arrays)
        out, cache = layers.affine_forward(*(array.astype(dtype) for array in arrays))
        agreement(f"affine forward {out.dtype}", out, reference, limit, scale=1)
        for ours, theirs in zip(layers.affine_backward(dout, cache), gradients, strict=True):
            assert ours.dtype == dtype
            agreement(f"affine backward {out.dtype}", ours, theirs, limit, scale=1)
        assert layers.affine_backward(dout, cache, need_dx=False)[0] is None


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.sampled_from(["relu", *ACTIVATIONS]), seeds)
def test_activations_against_torch(agreement, shape, name, seed):
    x = np.random.default_rng(seed).normal(size=shape)
    for dtype, limit in DTYPES.items():
        if name == "relu":
            reference, dout, (dx,) = with_torch(F.relu, dtype, x)
            out, cache = layers.relu_forward(x.astype(dtype))
            found = layers.relu_backward(dout, cache)
        else:
            function, derivative, in_torch = ACTIVATIONS[name]
            reference, dout, (dx,) = with_torch(in_torch, dtype, x)
            out, cache = layers.elementwise_forward(x.astype(dtype), function, derivative)
            found = layers.elementwise_backward(dout, cache)
        assert out.dtype == found.dtype == dtype
        agreement(f"layers.{name} forward {out.dtype}", out, reference, limit, scale=1)
        agreement(f"layers.{name} backward {out.dtype}", found, dx, limit, scale=1)


@given(st.integers(1, 6), st.integers(1, 12), st.sampled_from([1e-3, 1, 30, 1e4]), seeds)
@settings(max_examples=150)
def test_softmax_cross_entropy_against_torch(agreement, images, classes, size, seed):
    rng = np.random.default_rng(seed)
    logits, labels = size * rng.normal(size=(images, classes)), rng.integers(0, classes, images)
    for dtype, limit in DTYPES.items():
        tensor = torch.tensor(logits.astype(dtype), requires_grad=True)
        reference = F.cross_entropy(tensor, torch.tensor(labels))
        reference.backward()
        loss, dlogits = layers.softmax_cross_entropy(logits.astype(dtype), labels)
        assert dlogits.dtype == dtype
        agreement(f"softmax + cross-entropy forward {dlogits.dtype}", loss, reference.item(), limit, scale=1)
        agreement(f"softmax + cross-entropy backward {dlogits.dtype}", dlogits, tensor.grad.numpy(), limit, scale=1)


# gradients by central differences


@pytest.mark.parametrize("axes", [1, 2, 3])
@given(data=st.data())
@settings(max_examples=25)
def test_conv_gradients(agreement, axes, data):
    x, w, b, settings = data.draw(convolutions(axes, largest=3))
    errors = layer_errors(
        lambda **arrays: layers.conv_forward(**arrays, **settings), layers.conv_backward, {"x": x, "w": w, "b": b}
    )
    agreement(f"gradient check: conv{axes}d", max(errors.values()), 0.0, 1e-6, scale=1)


@given(st.integers(1, 4), st.integers(1, 6), st.integers(1, 4), seeds)
def test_affine_gradients(agreement, images, inputs, units, seed):
    rng = np.random.default_rng(seed)
    arrays = {
        "x": rng.normal(size=(images, inputs)),
        "w": rng.normal(size=(units, inputs)),
        "b": rng.normal(size=units),
    }
    errors = layer_errors(layers.affine_forward, layers.affine_backward, arrays)
    agreement("gradient check: affine", max(errors.values()), 0.0, 1e-6, scale=1)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=3), st.sampled_from(["relu", *ACTIVATIONS]), seeds)
def test_activation_gradients(agreement, shape, name, seed):
    x = np.random.default_rng(seed).normal(size=shape)
    x += 0.01 * np.sign(x)  # not within h of the kink
    forward, backward = layers.relu_forward, layers.relu_backward
    if name != "relu":
        function, derivative, _ = ACTIVATIONS[name]
        backward = layers.elementwise_backward

        def forward(x):
            return layers.elementwise_forward(x, function, derivative)

    errors = layer_errors(forward, backward, {"x": x})
    agreement(f"gradient check: layers.{name}", max(errors.values()), 0.0, 1e-6, scale=1)


@given(st.integers(1, 4), st.integers(2, 8), seeds)
def test_softmax_cross_entropy_gradients(agreement, images, classes, seed):
    rng = np.random.default_rng(seed)
    logits, labels = rng.normal(size=(images, classes)), rng.integers(0, classes, images)
    errors = layer_errors(
        lambda logits: tuple(map(np.asarray, layers.softmax_cross_entropy(logits, labels))),
        lambda dout, dlogits: dout * dlogits,
        {"logits": logits},
    )
    agreement("gradient check: softmax + cross-entropy", max(errors.values()), 0.0, 1e-6, scale=1)


@given(st.lists(st.integers(1, 4), min_size=2, max_size=4), seeds)
def test_flatten_gradients(agreement, shape, seed):
    x = np.random.default_rng(seed).normal(size=shape)
    errors = layer_errors(layers.flatten_forward, layers.flatten_backward, {"x": x})
    agreement("gradient check: flatten", max(errors.values()), 0.0, 1e-6, scale=1)


@given(convolutions(2, largest=5))
@settings(max_examples=25)
def test_gradients_through_a_stack(agreement, drawn):
    """Convolution, ReLU and max pooling in a row: the pieces fit together."""
    x, w, b, settings = drawn

    def forward(x, w, b):
        a, conv = layers.conv_forward(x, w, b, **settings)
        a, relu = layers.relu_forward(a)
        out, pool = pooling.max_pool_forward(a, (min(2, a.shape[2]), min(2, a.shape[3])))
        return out, (conv, relu, pool)

    def backward(dout, cache):
        conv, relu, pool = cache
        return layers.conv_backward(layers.relu_backward(pooling.max_pool_backward(dout, pool), relu), conv)

    errors = layer_errors(forward, backward, {"x": x, "w": w, "b": b}, h=1e-7)  # a small step: kinks are rarely met
    agreement("gradient check: conv2d, relu, max_pool", max(errors.values()), 0.0, 1e-6, scale=1)


# bad input

X = np.zeros((2, 3))
BAD = [
    (lambda: layers.conv_forward(X, X), ValueError, r"x must have 3, 4 or 5 axes"),
    (lambda: layers.conv_forward(np.zeros((1, 2, 5)), np.zeros((1, 3, 2))), ValueError, "channels"),
    (lambda: layers.affine_forward(X, np.zeros((4, 2)), np.zeros(4)), ValueError, r"\(2, 3\), \(4, 2\) and \(4,\)"),
    (lambda: layers.affine_forward(X, np.zeros((4, 3)), np.zeros(3)), ValueError, "units"),
    (lambda: layers.affine_forward(X[0], X, np.zeros(2)), ValueError, r"x \(N, D\)"),
    (lambda: layers.affine_forward(X * 1j, X, np.zeros(2)), TypeError, "complex128"),
    (lambda: layers.affine_backward(X, layers.affine_forward(X, X, np.zeros(2))[1]), ValueError, r"\(2, 2\), not"),
    (lambda: layers.relu_forward(np.array(["a"])), TypeError, "x must be an array of"),
    (lambda: layers.relu_backward(X, layers.relu_forward(X[0])[1]), ValueError, r"\(3,\), not \(2, 3\)"),
    (lambda: layers.flatten_forward(X[0]), ValueError, "at least 2 axes"),
    (lambda: layers.flatten_backward(X.T, layers.flatten_forward(X)[1]), ValueError, r"\(2, 3\), not \(3, 2\)"),
    (lambda: layers.softmax_cross_entropy(X, [0, 3]), ValueError, "label 3 is out of range.*0 to 2"),
    (lambda: layers.softmax_cross_entropy(X, [-1, 0]), ValueError, "label -1 is out of range"),
    (lambda: layers.softmax_cross_entropy(X, [0]), ValueError, r"\(2,\), one for each row"),
    (lambda: layers.softmax_cross_entropy(X, [0.0, 1.0]), TypeError, "labels must be an array of integers"),
    (lambda: layers.softmax_cross_entropy(X[:0], []), ValueError, r"not \(0, 3\)"),
    (lambda: layers.softmax_cross_entropy(X[0], [0, 0, 0]), ValueError, r"not \(3,\)"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_conv_backward_refuses_another_shape():
    _, cache = layers.conv_forward(np.zeros((1, 1, 5)), np.zeros((1, 1, 2)))
    for need_dx in (True, False):
        with pytest.raises(ValueError, match=r"\(1, 1, 4\)"):
            layers.conv_backward(np.zeros((1, 1, 5)), cache, need_dx=need_dx)
