import numpy as np
import pytest
import scipy.linalg
import scipy.sparse
import torch
from hypothesis import given
from hypothesis import strategies as st

from cnn_course import convolution, toeplitz

seeds = st.integers(0, 2**31 - 1)


# By hand


def test_matrix_by_hand_valid():
    a = toeplitz.matrix([2, 3], 4)
    assert a.toarray().tolist() == [[2, 3, 0, 0], [0, 2, 3, 0], [0, 0, 2, 3]]


def test_matrix_by_hand_zero_border_and_ring():
    zeros = toeplitz.matrix([1, 2, 3], 4, padding="same").toarray()
    ring = toeplitz.matrix([1, 2, 3], 4, padding="same", border="circular").toarray()
    assert zeros.tolist() == [[2, 3, 0, 0], [1, 2, 3, 0], [0, 1, 2, 3], [0, 0, 1, 2]]
    assert ring.tolist() == [[2, 3, 0, 1], [1, 2, 3, 0], [0, 1, 2, 3], [3, 0, 1, 2]]


def test_matrix_by_hand_two_dimensions():
    a = toeplitz.matrix([[1, 2], [3, 4]], (2, 3))
    assert a.toarray().tolist() == [[1, 2, 0, 3, 4, 0], [0, 1, 2, 0, 3, 4]]


def test_taps_that_meet_a_pixel_twice_add_up():
    assert toeplitz.matrix([1, 2, 4], 2, padding="same", border="circular").toarray().tolist() == [[2, 5], [5, 2]]


def test_a_zero_tap_is_stored_and_a_padded_zero_is_not():
    a = toeplitz.matrix([0, 1, 2], 6, padding="same")
    assert a.nnz == 3 * 6 - 2


def test_the_layer_of_the_course_75_against_2408448():
    a = toeplitz.matrix(np.ones((1, 3, 5, 5)), (32, 32))
    assert a.shape == (28 * 28, 32 * 32 * 3) and np.prod(a.shape) == 2_408_448
    assert a.nnz == 28 * 28 * 75


# Against the package, scipy and torch


@given(
    n=st.integers(1, 9), k=st.integers(1, 4), stride=st.integers(1, 3), padding=st.integers(0, 3),
    dilation=st.integers(1, 2), border=st.sampled_from(toeplitz.BORDERS), seed=seeds,
)  # fmt: skip
def test_one_dimension_equals_torch(n, k, stride, padding, dilation, border, seed, agreement):
    padding = min(padding, n)  # torch wraps round once at most
    if dilation * (k - 1) + 1 > n + 2 * padding:
        return
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=(1, 2, n)), rng.normal(size=(3, 2, k))
    expected = _torch(x, w, stride, padding, dilation, border)
    a = toeplitz.matrix(w, n, stride=stride, padding=padding, dilation=dilation, border=border)
    agreement("matrix of a convolution 1-D", a @ x.ravel(), expected.ravel(), 1e-12, scale=10)


@given(
    height=st.integers(1, 6), width=st.integers(1, 6), kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.integers(1, 2), padding=st.integers(0, 2), dilation=st.integers(1, 2),
    border=st.sampled_from(toeplitz.BORDERS), seed=seeds,
)  # fmt: skip
def test_two_dimensions_equal_torch(height, width, kernel, stride, padding, dilation, border, seed, agreement):
    padding = min(padding, height, width)
    if any(dilation * (k - 1) + 1 > n + 2 * padding for n, k in zip((height, width), kernel, strict=True)):
        return
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=(1, 2, height, width)), rng.normal(size=(2, 2, *kernel))
    expected = _torch(x, w, stride, padding, dilation, border)
    a = toeplitz.matrix(w, (height, width), stride=stride, padding=padding, dilation=dilation, border=border)
    agreement("matrix of a convolution 2-D", a @ x.ravel(), expected.ravel(), 1e-12, scale=10)


@given(size=st.tuples(*[st.integers(2, 4)] * 3), k=st.integers(1, 3), border=st.sampled_from(toeplitz.BORDERS))
def test_three_dimensions_equal_torch(size, k, border, agreement):
    rng = np.random.default_rng(k)
    x, w = rng.normal(size=(1, 1, *size)), rng.normal(size=(1, 1, k, k, k))
    expected = _torch(x, w, 1, 1, 1, border)
    a = toeplitz.matrix(w[0, 0], size, padding=1, border=border)
    agreement("matrix of a convolution 3-D", a @ x.ravel(), expected.ravel(), 1e-12, scale=10)


def _torch(x, w, stride, padding, dilation, border):
    size = x.ndim - 2
    x, w = torch.tensor(x), torch.tensor(w)
    if border == "circular" and padding:
        x, padding = torch.nn.functional.pad(x, [padding] * (2 * size), mode="circular"), 0
    layer = getattr(torch.nn.functional, f"conv{size}d")
    return layer(x, w, stride=stride, padding=padding, dilation=dilation).numpy()


def test_the_transpose_is_the_backward_pass():
    rng = np.random.default_rng(0)
    x = torch.tensor(rng.normal(size=(1, 1, 5, 4)), requires_grad=True)
    w, out_gradient = rng.normal(size=(1, 1, 3, 3)), rng.normal(size=(1, 1, 5, 4))
    torch.nn.functional.conv2d(x, torch.tensor(w), padding="same").backward(torch.tensor(out_gradient))
    a = toeplitz.matrix(w, (5, 4), padding="same")
    np.testing.assert_allclose(a.T @ out_gradient.ravel(), x.grad.numpy().ravel(), atol=1e-12)


@pytest.mark.parametrize("kernel", [(3, 3), (2, 3), (1, 4)])
def test_same_padding_as_conv2d_has_it(kernel):
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(6, 5)), rng.normal(size=kernel)
    out = convolution.conv2d(x[None, None], w[None, None], padding="same")
    np.testing.assert_allclose(toeplitz.matrix(w, x.shape, padding="same") @ x.ravel(), out.ravel(), atol=1e-12)


def test_float32_stays():
    assert toeplitz.matrix(np.ones(3, np.float32), 5).dtype == np.float32
    assert toeplitz.matrix([1, 2], 5).dtype == np.float64


# Shifts and circulant matrices


@given(size=st.lists(st.integers(1, 5), min_size=1, max_size=3), seed=seeds)
def test_shift_matrix_rolls_and_commutes_with_every_circulant(size, seed):
    rng = np.random.default_rng(seed)
    by = tuple(int(number) for number in rng.integers(-6, 7, size=len(size)))
    x, kernel = rng.normal(size=size), rng.normal(size=size)
    s, a = toeplitz.shift_matrix(tuple(size), by), toeplitz.circulant(kernel)
    np.testing.assert_array_equal(s @ x.ravel(), np.roll(x, by, axis=tuple(range(len(size)))).ravel())
    np.testing.assert_allclose(a @ s.toarray(), s @ a, atol=1e-12)


@given(n=st.integers(1, 9), k=st.integers(1, 9), seed=seeds)
def test_ring_convolution_is_circulant_and_its_kernel_comes_back(n, k, seed):
    k = min(k, n)
    w = np.random.default_rng(seed).normal(size=k)
    a = toeplitz.matrix(w, n, padding="same", border="circular")
    kernel = toeplitz.ring_kernel(a)
    assert toeplitz.circulant_distance(a) < 1e-12
    np.testing.assert_allclose(np.roll(kernel, (k - 1) // 2)[:k], w, atol=1e-12)
    np.testing.assert_allclose(toeplitz.circulant(kernel), scipy.linalg.circulant(kernel).T, atol=1e-12)


@given(size=st.sampled_from([(6,), (2, 3), (4, 1), (2, 2, 2)]), seed=seeds)
def test_nearest_circulant_is_the_least_squares_projection(size, seed):
    rng = np.random.default_rng(seed)
    n = int(np.prod(size))
    a = rng.normal(size=(n, n))
    basis = np.stack([toeplitz.circulant(row.reshape(size)).ravel() for row in np.eye(n)], axis=1)
    weights = np.linalg.lstsq(basis, a.ravel(), rcond=None)[0]
    nearest = toeplitz.nearest_circulant(a, size)
    np.testing.assert_allclose(nearest.ravel(), basis @ weights, atol=1e-12)
    np.testing.assert_allclose(toeplitz.nearest_circulant(nearest, size), nearest, atol=1e-12)


def test_torus_and_ring_are_told_apart():
    a = toeplitz.matrix(np.arange(9).reshape(3, 3), (4, 4), padding="same", border="circular")
    assert toeplitz.circulant_distance(a, (4, 4)) < 1e-12
    assert toeplitz.circulant_distance(a) > 0.3


def test_distance_by_hand():
    assert toeplitz.circulant_distance([[1, 0], [0, -1]]) == 1.0
    assert toeplitz.circulant_distance([[1, 0], [0, 0]]) == pytest.approx(np.sqrt(0.5))
    assert toeplitz.circulant_distance(np.zeros((3, 3))) == 0.0


def test_a_zero_border_is_not_circulant_and_only_its_border_rows_differ():
    a = toeplitz.matrix([1.0, 2, 4, 2, 1], 12, padding="same").toarray()
    ring = toeplitz.matrix([1.0, 2, 4, 2, 1], 12, padding="same", border="circular").toarray()
    assert toeplitz.circulant_distance(a) > 0.05
    assert np.flatnonzero(np.any(a != ring, axis=1)).tolist() == [0, 1, 10, 11]


# Bad input


@pytest.mark.parametrize(
    ("w", "size", "options", "error", "message"),
    [
        (np.ones(5), 4, {}, ValueError, "covers 5 pixels"),
        (np.ones((2, 2)), 4, {}, ValueError, r"shape \(2, 2\), but for an input of size \(4,\)"),
        (np.ones(3), (4, 4), {}, ValueError, "must have 2 axes, or 4"),
        (np.ones((1, 1, 1)), (4, 4), {}, ValueError, "must have 2 axes, or 4"),
        (3.0, 4, {}, ValueError, r"shape \(\)"),
        (np.ones(0), 4, {}, ValueError, "at least one number"),
        (np.ones(3), 0, {}, ValueError, "at least 1"),
        (np.ones(3), (), {}, ValueError, "at least one axis"),
        (np.ones(3), 4.0, {}, TypeError, "size must be an integer"),
        (np.ones(3), 4, {"border": "reflect"}, ValueError, "one of zeros, circular"),
        (np.ones(3), 4, {"padding": -1}, ValueError, "padding"),
        (np.ones(3), 4, {"padding": "full"}, ValueError, "padding"),
        (np.ones(3), 4, {"stride": 0}, ValueError, "stride"),
        (np.ones(3), 4, {"stride": 2, "padding": "same"}, ValueError, "stride 1"),
        (np.ones(3), 4, {"dilation": True}, TypeError, "dilation"),
        (np.ones(3, complex), 4, {}, TypeError, "complex128"),
        (["a"], 4, {}, TypeError, "w must be an array of"),
    ],
)
def test_matrix_refuses(w, size, options, error, message):
    with pytest.raises(error, match=message):
        toeplitz.matrix(w, size, **options)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: toeplitz.ring_kernel(np.ones((2, 3))), ValueError, r"square matrix, but has shape \(2, 3\)"),
        (lambda: toeplitz.ring_kernel(np.ones(4)), ValueError, "square"),
        (lambda: toeplitz.ring_kernel(np.ones((0, 0))), ValueError, "square"),
        (lambda: toeplitz.ring_kernel(np.ones((4, 4)), (2, 3)), ValueError, "6 pixels"),
        (lambda: toeplitz.nearest_circulant(np.ones((2, 2), complex)), TypeError, "complex128"),
        (lambda: toeplitz.circulant_distance("matrix"), TypeError, "a must be an array of"),
        (lambda: toeplitz.circulant(np.ones(())), ValueError, "at least one axis"),
        (lambda: toeplitz.circulant(np.ones((2, 0))), ValueError, "at least 1"),
        (lambda: toeplitz.shift_matrix((3, 3), 1), ValueError, "each of the 2 axes"),
        (lambda: toeplitz.shift_matrix(3, 0.5), TypeError, "by must be an integer"),
    ],
)
def test_circulant_functions_refuse(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_sparse_matrices_are_welcome():
    a = toeplitz.matrix([1, 2, 3], 5, padding="same")
    assert toeplitz.circulant_distance(a) == toeplitz.circulant_distance(a.toarray())
    assert scipy.sparse.issparse(toeplitz.shift_matrix(3))
