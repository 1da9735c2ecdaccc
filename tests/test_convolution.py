import functools
import tracemalloc

import numpy as np
import pytest
import scipy.signal
import torch
from drawn_convolutions import convolutions
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cnn_course.convolution import (
    conv2d,
    conv2d_loops,
    conv2d_windows,
    convolve1d,
    correlate1d,
    flip,
    output_size,
)

VERSIONS = pytest.mark.parametrize("version", [conv2d_loops, conv2d_windows, conv2d])
drawn = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


def torch_conv2d(x, w, b=None, **options):
    tensors = (None if a is None else torch.from_numpy(np.ascontiguousarray(a)) for a in (x, w, b))
    return torch.nn.functional.conv2d(*tensors, **options).numpy()


# 1. By hand


def test_correlation_by_hand():
    np.testing.assert_array_equal(correlate1d([0, 1, 0, 1, 1], [-1, 1]), [1, -1, 1, 0])


def test_convolution_by_hand():
    np.testing.assert_array_equal(convolve1d([0, 1, 0, 1, 1], [-1, 1]), [-1, 1, -1, 0])


@VERSIONS
def test_laplacian_by_hand(version):
    """The example of many lecture notes. Row 3, column 4 is 0 + 1 - 4 + 1 + 4 = 2, where the notes print a 3."""
    image = [
        [0, 0, 0, 0, 0, 0],
        [0, 1, 2, 2, 1, 0],
        [0, 2, 4, 4, 2, 0],
        [0, 1, 3, 3, 1, 0],
        [0, 1, 2, 3, 1, 0],
        [0, 0, 1, 1, 0, 0],
    ]
    kernel = [[0, 1, 0], [1, -4, 1], [0, 1, 0]]
    expected = [[0, -1, -1, 0], [-2, -5, -5, -2], [2, -2, -1, 2], [-1, 0, -5, 0]]
    output = version([[image]], [[kernel]])[0, 0]
    assert output[2, 3] == 2
    np.testing.assert_array_equal(output, expected)
    np.testing.assert_array_equal(version([[image]], [[kernel]], stride=2)[0, 0], [[0, -1], [2, -1]])


@VERSIONS
def test_channels_are_summed_and_the_bias_is_added(version):
    x = np.array([[[[1.0, 2.0]], [[3.0, 4.0]]]])  # one image of 2 channels, 1 x 2 pixels
    w = np.array([[[[1.0]], [[10.0]]], [[[0.0]], [[1.0]]]])  # two 1 x 1 kernels
    np.testing.assert_array_equal(version(x, w, [100, 200])[0], [[[131, 142]], [[203, 204]]])


def test_output_size_by_hand():
    assert output_size(32, 5) == 28
    assert output_size(32, 5, padding=2) == 32
    assert output_size(7, 3, stride=2) == 3
    assert output_size(8, 3, stride=2) == 3  # the floor: the last pixel is left out
    assert output_size(7, 3, dilation=2) == 3
    assert output_size(7, 4, padding="same") == 7
    assert output_size(7, 4, padding="valid") == 4


# 2. Drawn cases, PyTorch as the reference


layers = functools.partial(convolutions, 2)


def check(version, layer):
    arrays, options = layer
    expected = torch_conv2d(*arrays, **options)
    output = version(*arrays, **options)
    assert output.dtype == expected.dtype
    assert output.flags.c_contiguous
    tolerance = 2e-5 if output.dtype == np.float32 else 1e-12
    np.testing.assert_allclose(output, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.slow
@given(layers())
@settings(drawn, max_examples=400)
def test_conv2d_against_torch(layer):
    check(conv2d, layer)


@pytest.mark.slow
@given(layers())
@settings(drawn, max_examples=200)
def test_conv2d_windows_against_torch(layer):
    check(conv2d_windows, layer)


@given(layers())
@settings(drawn, max_examples=60)
def test_conv2d_loops_against_torch(layer):
    check(conv2d_loops, layer)


@pytest.mark.parametrize(
    ("x_shape", "w_shape", "options"),
    [
        ((70, 1, 28, 28), (6, 1, 5, 5), {}),
        ((5, 64, 32, 32), (64, 64, 3, 3), {"padding": 1}),
        ((2, 256, 14, 14), (16, 256, 3, 3), {}),
        ((3, 96, 27, 25), (96, 1, 3, 3), {"groups": 96, "stride": 2}),
        ((1, 3, 600, 400), (2, 3, 7, 5), {"stride": (3, 2), "padding": (0, 2), "dilation": (2, 1)}),
    ],
)
def test_conv2d_at_the_size_of_real_layers(x_shape, w_shape, options):
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal(x_shape), rng.standard_normal(w_shape)
    b = rng.standard_normal(len(w))
    np.testing.assert_allclose(conv2d(x, w, b, **options), torch_conv2d(x, w, b, **options), atol=1e-10)
    single = [array.astype(np.float32) for array in (x, w, b)]
    np.testing.assert_allclose(conv2d(*single, **options), torch_conv2d(x, w, b, **options), atol=2e-3)


@given(st.integers(1, 12), st.integers(1, 5), st.integers(1, 3), st.sampled_from([0, 1, 4, "same", "valid"]), st.data())
@settings(drawn, max_examples=200)
def test_correlate1d_against_torch(n, k, dilation, padding, data):
    stride = 1 if padding == "same" else data.draw(st.integers(1, 3))
    dtype = data.draw(st.sampled_from([np.float32, np.float64]))
    rng = np.random.default_rng(n)
    x, w = rng.standard_normal(n).astype(dtype), rng.standard_normal(k).astype(dtype)
    options = {"stride": stride, "padding": padding, "dilation": dilation}
    try:
        expected = torch.nn.functional.conv1d(torch.tensor(x)[None, None], torch.tensor(w)[None, None], **options)
    except RuntimeError:
        with pytest.raises(ValueError, match="padded input"):
            correlate1d(x, w, **options)
        return
    output = correlate1d(x, w, **options)
    assert output.dtype == dtype
    np.testing.assert_allclose(output, expected[0, 0].numpy(), rtol=1e-4, atol=1e-5)
    assert output_size(n, k, **options) == len(output)


@VERSIONS
@pytest.mark.parametrize("x_shape", [(0, 3, 5, 5), (0, 0, 5, 5), (2, 0, 5, 5)])
def test_empty_inputs_as_torch(version, x_shape):
    x, w = np.zeros(x_shape, np.float32), np.zeros((4, x_shape[1], 3, 2), np.float32)
    expected = torch_conv2d(x, w, padding=1)
    output = version(x, w, padding=1)
    assert output.shape == expected.shape
    assert output.dtype == np.float32


@VERSIONS
def test_nan_spreads_as_far_as_in_torch(version):
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 2, 6, 7)), rng.standard_normal((3, 2, 3, 2))
    x[0, 1, 2, 3] = np.nan
    output = version(x, w, padding=1)
    np.testing.assert_array_equal(np.isnan(output), np.isnan(torch_conv2d(x, w, padding=1)))
    assert 0 < np.isnan(output).sum() == 3 * 6  # three kernels, six places each


# 3. NumPy and SciPy as the reference


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32 - 1))
@settings(drawn, max_examples=100)
def test_convolve1d_against_numpy(n, k, seed):
    rng = np.random.default_rng(seed)
    x, w = rng.standard_normal(n), rng.standard_normal(k)
    np.testing.assert_allclose(convolve1d(x, w, padding=k - 1), np.convolve(x, w, mode="full"), atol=1e-12)
    if k <= n:
        np.testing.assert_allclose(convolve1d(x, w), np.convolve(x, w, mode="valid"), atol=1e-12)
        np.testing.assert_allclose(correlate1d(x, w), np.correlate(x, w, mode="valid"), atol=1e-12)


@VERSIONS
def test_correlation_and_convolution_against_scipy(version):
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((9, 8)), rng.standard_normal((3, 4))
    correlated = version(x[None, None], w[None, None])[0, 0]
    convolved = version(x[None, None], flip(w[None, None]))[0, 0]
    np.testing.assert_allclose(correlated, scipy.signal.correlate2d(x, w, mode="valid"), atol=1e-12)
    np.testing.assert_allclose(convolved, scipy.signal.convolve2d(x, w, mode="valid"), atol=1e-12)
    assert not np.allclose(correlated, convolved)


def test_flip():
    np.testing.assert_array_equal(flip([1, 2, 3]), [3, 2, 1])
    np.testing.assert_array_equal(flip([[1, 2], [3, 4]]), [[4, 3], [2, 1]])
    w = np.arange(24).reshape(2, 3, 2, 2)
    np.testing.assert_array_equal(flip(w)[1, 2], flip(w[1, 2]))


# 4. Dtypes, memory, bad input


@VERSIONS
@pytest.mark.parametrize("dtype", [np.uint8, np.int64, bool])
def test_integers_become_float64(version, dtype):
    x = np.full((1, 1, 4, 4), 1, dtype)
    output = version(x, np.full((1, 1, 4, 4), 200, np.uint8))
    assert output.dtype == np.float64
    assert output.item() == 3200


@VERSIONS
def test_float32_and_float64_give_float64(version):
    assert version(np.ones((1, 1, 2, 2), np.float32), np.ones((1, 1, 2, 2))).dtype == np.float64


@VERSIONS
def test_strided_and_swapped_memory(version):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((7, 6, 3, 2))
    w = rng.standard_normal((4, 3, 3, 4))
    views = x.transpose(3, 2, 1, 0)[..., ::-1], w.transpose(0, 1, 3, 2)[::-1]
    copies = [np.ascontiguousarray(view) for view in views]
    np.testing.assert_allclose(version(*views), version(*copies), atol=1e-12)
    swapped = [copy.astype(">f8") for copy in copies]
    np.testing.assert_allclose(version(*swapped), version(*copies), atol=1e-12)
    assert version(*swapped).dtype == np.float64


def test_a_large_image_needs_little_memory():
    """im2col of the whole image would take 49 times its size."""
    x, w = np.zeros((1, 1, 1000, 1000), np.float32), np.ones((1, 1, 7, 7), np.float32)
    tracemalloc.start()
    conv2d(x, w, padding=3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * x.nbytes


X, W = np.zeros((2, 4, 6, 5)), np.zeros((6, 4, 3, 3))


@VERSIONS
@pytest.mark.parametrize(
    ("x", "w", "b", "options", "error", "message"),
    [
        (X[0], W, None, {}, ValueError, r"x must have 4 axes \(N, C, H, W\), but has 3 \(shape \(4, 6, 5\)\)"),
        (X, W[0], None, {}, ValueError, r"w must have 4 axes .* \(shape \(4, 3, 3\)\)"),
        (X[:, :3], W, None, {}, ValueError, r"x has 3 channels .* with this x, w must have shape \(6, 3, 3, 3\)"),
        (X, W, None, {"groups": 2}, ValueError, r"kernels for 8 .* w must have shape \(6, 2, 3, 3\)"),
        (X, W[:, :1], None, {"groups": 4}, ValueError, "groups=4 must divide the 4 channels of x and the 6 kernels"),
        (X, W, None, {"groups": 3}, ValueError, "groups=3 must divide the 4 channels"),
        (X, W, None, {"groups": 0}, ValueError, "groups must be an integer of at least 1, not 0"),
        (X, W[:0], None, {}, ValueError, "at least one kernel"),
        (X, W[:, :, :0], None, {}, ValueError, r"w has shape \(6, 4, 0, 3\): it needs .* at least one number"),
        (X[:, :, :0], W, None, {"padding": 3}, ValueError, "no pixels"),
        (X, W, None, {"stride": 0}, ValueError, "stride must be an integer of at least 1, not 0"),
        (X, W, None, {"stride": (1, -2)}, ValueError, r"stride\[1\] must be an integer of at least 1, not -2"),
        (X, W, None, {"stride": 1.5}, TypeError, r"stride must be an integer of at least 1, not 1.5 \(float\)"),
        (X, W, None, {"stride": 2.0}, TypeError, "stride"),
        (X, W, None, {"stride": True}, TypeError, "stride"),
        (X, W, None, {"stride": "2"}, TypeError, "stride"),
        (X, W, None, {"stride": None}, TypeError, "stride"),
        (X, W, None, {"stride": (1, 1, 1)}, ValueError, "pair"),
        (X, W, None, {"padding": -1}, ValueError, "padding must be an integer of at least 0, not -1"),
        (
            X,
            W,
            None,
            {"padding": "full"},
            ValueError,
            'padding must be an integer, one for each axis, "same" or "valid"',
        ),
        (X, W, None, {"padding": "same", "stride": 2}, ValueError, 'padding="same" needs stride 1, not 2'),
        (X, W, None, {"dilation": 0}, ValueError, "dilation must be an integer of at least 1, not 0"),
        (X, W, None, {"dilation": 3}, ValueError, r"covers 7 pixels \(3 taps, dilation 3\).* only 6 \(6 \+ 0 \+ 0\)"),
        (X[:0], np.zeros((6, 4, 7, 7)), None, {}, ValueError, "covers 7 pixels"),
        (X, W, np.zeros(5), {}, ValueError, r"b must have shape \(6,\), .* but has shape \(5,\)"),
        (X, W, np.zeros((6, 1)), {}, ValueError, "b must have shape"),
        (X, W, 0.5, {}, ValueError, "b must have shape"),
        (X * 1j, W, None, {}, TypeError, "x must be an array of booleans, integers, floats, not dtype complex128"),
        (X, W.astype(object), None, {}, TypeError, "w must be an array of .*, not dtype object"),
        (X.astype(np.float16), W, None, {}, TypeError, "x has dtype float16; float32 and float64 are allowed"),
        (X, W, np.zeros(6, np.longdouble), {}, TypeError, "b has dtype"),
        (X, [["a"]], None, {}, TypeError, "w must be an array of"),
    ],
)
def test_bad_input(version, x, w, b, options, error, message):
    with pytest.raises(error, match=message):
        version(x, w, b, **options)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: correlate1d(np.zeros((3, 3)), [1]), ValueError, r"x must have 1 axis \(n\), but has 2"),
        (lambda: correlate1d([1, 2, 3], 1.0), ValueError, r"w must have 1 axis \(k\), but has 0"),
        (lambda: correlate1d([1, 2], [1, 2, 3]), ValueError, "covers 3 pixels"),
        (lambda: correlate1d([1, 2], []), ValueError, "w is empty"),
        (lambda: correlate1d([1, 2], [1], stride=0), ValueError, "stride must be an integer of at least 1"),
        (lambda: correlate1d([1, 2], [1], padding=(1, 1)), TypeError, "padding must be an integer of at least 0"),
        (lambda: correlate1d([1, 2j], [1]), TypeError, "x must be an array of booleans, integers, floats"),
        (lambda: convolve1d([1, 2], [1], dilation=0), ValueError, "dilation"),
        (lambda: convolve1d([1, 2], 3), ValueError, "at least one axis"),
        (lambda: output_size(5, 3, stride=2.0), TypeError, "stride"),
        (lambda: output_size(-1, 3), ValueError, "n must be an integer of at least 0, not -1"),
        (lambda: output_size(5, 3, padding="same", stride=2), ValueError, "needs stride 1"),
    ],
)
def test_bad_input_in_one_dimension(call, error, message):
    with pytest.raises(error, match=message):
        call()
