from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import threadpoolctl
import torch
from drawn_convolutions import convolutions
from hypothesis import given, settings
from hypothesis import strategies as st

from cnn_course import convolution
from cnn_course.array_engine import cache_blocks
from cnn_course.array_engine.conv_arguments import checked
from cnn_course.convolution import conv2d
from cnn_course.fast_convolution import by_columns, by_fft, by_winograd, winograd_matrices


def torch_conv2d(x, w, b=None, **options):
    tensors = (None if a is None else torch.from_numpy(np.ascontiguousarray(a)) for a in (x, w, b))
    return torch.nn.functional.conv2d(*tensors, **options).numpy()


# 1. By hand


def test_winograd_2_as_published():
    """Lavin and Gray 2015, equation 9, up to the sign of a row and its kernel."""
    to_outputs, to_kernels, to_inputs = winograd_matrices(2)
    np.testing.assert_array_equal(to_outputs, [[1, 1, 1, 0], [0, 1, -1, 1]])
    np.testing.assert_array_equal(np.abs(to_kernels), [[1, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0.5], [0, 0, 1]])
    np.testing.assert_array_equal(np.abs(to_inputs), [[1, 0, 1, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 1, 0, 1]])


@pytest.mark.parametrize("tile", [2, 4])
def test_winograd_matrices_are_the_algorithm(tile):
    """A^T ((G g) * (B^T d)) is the correlation of d with g, here for every pair of unit vectors: it is bilinear."""
    to_outputs, to_kernels, to_inputs = winograd_matrices(tile)
    for d in np.eye(tile + 2):
        for g in np.eye(3):
            result = to_outputs @ ((to_kernels @ g) * (to_inputs @ d))
            np.testing.assert_allclose(result, np.correlate(d, g, "valid"), atol=1e-14)


@pytest.mark.parametrize("tile", [0, 3, 6])
def test_winograd_tiles(tile):
    with pytest.raises(ValueError, match=f"tile must be 2 or 4, not {tile}"):
        winograd_matrices(tile)


# 2. PyTorch as the reference


@pytest.mark.slow
@pytest.mark.parametrize("method", [by_columns, by_fft])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_methods_against_torch(agreement, axes, method):
    @given(convolutions(axes, least_images=1), st.sampled_from([1, 500, 20_000, 1 << 20]))
    @settings(max_examples=80)
    def compare(layer, budget):
        (x, w, b), options = layer
        tensors = (None if a is None else torch.from_numpy(a) for a in (x, w, b))
        expected = getattr(torch.nn.functional, f"conv{axes}d")(*tensors, **options).numpy()
        conv = checked(axes, x, w, b, **options)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cache_blocks, "BLOCK_BYTES", budget)  # cuts small images into blocks and bands
            patch.setattr(cache_blocks, "THREADED_MACS", budget)  # and shares some of them
            method(conv)
        limit = 1e-5 if x.dtype == np.float32 else 1e-13
        agreement(f"{method.__name__} {axes}-D {x.dtype}", conv.out, expected, limit, scale=1)

    compare()


@pytest.mark.slow
@given(
    st.integers(1, 5), st.integers(1, 3), st.integers(1, 5), st.integers(1, 5), st.integers(3, 19), st.integers(3, 19),
    st.integers(0, 2), st.sampled_from([1, 30_000, 1 << 20]), st.sampled_from([2, 4]),
    st.sampled_from([np.float32, np.float64]), st.integers(0, 2**32 - 1),
)  # fmt: skip
@settings(max_examples=300)
def test_winograd_against_torch(agreement, n, groups, c, o, height, width, padding, budget, tile, dtype, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, groups * c, height, width)).astype(dtype)
    w, b = rng.standard_normal((groups * o, c, 3, 3)).astype(dtype), rng.standard_normal(groups * o).astype(dtype)
    conv = checked(2, x, w, b, padding=padding, groups=groups)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache_blocks, "BLOCK_BYTES", budget)
        patch.setattr(cache_blocks, "THREADED_MACS", budget)
        by_winograd(conv, tile)
    limit = 5e-5 if dtype == np.float32 else 1e-13
    expected = torch_conv2d(x, w, b, padding=padding, groups=groups)
    agreement(f"by_winograd tile {tile} {np.dtype(dtype)}", conv.out, expected, limit, scale=1)


@pytest.mark.parametrize("method", ["auto", "direct", "winograd", "fft"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_method_at_the_size_of_a_real_layer(method, dtype):
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((5, 64, 31, 30)).astype(dtype), rng.standard_normal((64, 64, 3, 3)).astype(dtype)
    expected = torch_conv2d(x.astype(float), w.astype(float), padding=1)
    error = np.abs(conv2d(x, w, padding=1, method=method) - expected).max() / np.abs(expected).max()
    assert error < (2e-5 if dtype == np.float32 else 1e-13)


# 3. What "auto" promises


def picked(x_shape, w_shape, dtype, **options):
    return convolution._pick(checked(2, np.zeros(x_shape, dtype), np.zeros(w_shape, dtype), **options))


def test_auto_is_direct_in_float64():
    for shape, kernel in (((4, 64, 32, 32), (64, 64, 3, 3)), ((4, 3, 128, 128), (3, 3, 31, 31))):
        assert picked(shape, kernel, np.float64) == "direct"
        assert picked(shape, kernel, np.float32) != "direct"
    x, w = np.random.default_rng(0).standard_normal((2, 1, 64, 12, 12)), np.ones((64, 64, 3, 3))
    np.testing.assert_array_equal(conv2d(x[0], w), conv2d(x[0], w, method="direct"))


@pytest.mark.parametrize("method", ["auto", "winograd", "fft"])
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e37])
def test_what_is_not_finite_spreads_as_in_torch(method, value):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 64, 12, 12), dtype=np.float32)
    w = rng.standard_normal((64, 64, 3, 3), dtype=np.float32)
    x[0, 1, 5, 5] = value
    expected = torch_conv2d(x, w)
    output = conv2d(x, w, method=method)
    np.testing.assert_array_equal(np.isfinite(output), np.isfinite(expected))
    if value != 1e37:
        assert np.isfinite(output).sum() == output.size - 64 * 9
        usual = np.isfinite(expected)
        np.testing.assert_allclose(output[usual], expected[usual], rtol=1e-4, atol=1e-4)


def test_threads_follow_the_setting_and_give_it_back():
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((8, 64, 16, 16), dtype=np.float32), rng.standard_normal((64, 64, 3, 3), dtype=np.float32)
    outputs = []
    for count in (1, 2):
        with threadpoolctl.threadpool_limits(count, user_api="blas"):
            allowed = cache_blocks.threads()
            outputs.append(conv2d(x, w, padding=1))
            assert cache_blocks.threads() == allowed
    np.testing.assert_allclose(outputs[0], outputs[1], atol=1e-4)


def test_calls_from_several_threads_leave_the_setting_as_it_was():
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((8, 64, 16, 16), dtype=np.float32), rng.standard_normal((64, 64, 3, 3), dtype=np.float32)
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        allowed, expected = cache_blocks.threads(), conv2d(x, w, padding=1)
        with ThreadPoolExecutor(4) as pool:
            outputs = list(pool.map(lambda _: conv2d(x, w, padding=1), range(12)))
        assert cache_blocks.threads() == allowed
    for output in outputs:
        np.testing.assert_allclose(output, expected, atol=1e-4)


def test_an_error_in_a_thread_comes_through():
    def work(jobs):
        raise MemoryError("too large")

    with threadpoolctl.threadpool_limits(2, user_api="blas"), pytest.raises(MemoryError, match="too large"):
        cache_blocks.in_threads(work, range(4), cache_blocks.THREADED_MACS)


# 4. Bad input


def test_bad_method():
    x, w = np.zeros((1, 1, 8, 8)), np.zeros((1, 1, 3, 3))
    with pytest.raises(ValueError, match="method must be one of 'auto', 'direct', 'winograd', 'fft', not 'fast'"):
        conv2d(x, w, method="fast")
    for kernel, options in (((1, 1, 5, 5), {}), ((1, 1, 3, 3), {"stride": 2}), ((1, 1, 3, 3), {"dilation": (1, 2)})):
        with pytest.raises(ValueError, match='method="winograd" is for 3 x 3 kernels with stride 1 and dilation 1'):
            conv2d(x, np.zeros(kernel), method="winograd", **options)
