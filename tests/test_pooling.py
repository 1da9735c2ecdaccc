import itertools

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from cnn_course import pooling

PAIRS = {
    "max_pool": (pooling.max_pool, pooling.max_pool_forward, pooling.max_pool_backward),
    "avg_pool": (pooling.avg_pool, pooling.avg_pool_forward, pooling.avg_pool_backward),
    "l2_pool": (pooling.l2_pool, pooling.l2_pool_forward, pooling.l2_pool_backward),
    "global_max_pool": (
        pooling.global_max_pool,
        pooling.global_max_pool_forward,
        pooling.global_max_pool_backward,
    ),
    "global_avg_pool": (
        pooling.global_avg_pool,
        pooling.global_avg_pool_forward,
        pooling.global_avg_pool_backward,
    ),
}
WINDOWED = ("max_pool", "avg_pool", "l2_pool")
drawn = settings(deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


def torch_pool(name, x, k=None, *, stride=None, padding=0):
    axes = x.ndim - 2
    if name == "max_pool":
        return getattr(F, f"max_pool{axes}d")(x, k, stride, padding)
    if name == "avg_pool":
        return getattr(F, f"avg_pool{axes}d")(x, k, stride, padding)
    if name == "l2_pool":  # PyTorch's has no padding: the zeros are put there beforehand
        sides = [padding] * axes if isinstance(padding, int) else padding
        x = F.pad(x, [side for p in reversed(sides) for side in (p, p)])
        k, stride = ((n[0] if axes == 1 and isinstance(n, tuple) else n) for n in (k, stride))
        return getattr(F, f"lp_pool{axes}d")(x, 2, k, stride)
    if name == "global_max_pool":
        return getattr(F, f"adaptive_max_pool{axes}d")(x, 1).flatten(1)
    return x.mean(dim=tuple(range(2, x.ndim)))


def both(name, x, dout, *sizes, **options):
    """Output and gradient, ours and PyTorch's."""
    plain, forward, backward = PAIRS[name]
    out, cache = forward(x, *sizes, **options)
    np.testing.assert_array_equal(plain(x, *sizes, **options), out)
    tensor = torch.tensor(x, requires_grad=True)
    expected = torch_pool(name, tensor, *sizes, **options)
    dout = dout(out.shape) if callable(dout) else dout
    expected.backward(torch.tensor(dout))
    return (out, backward(dout, cache)), (expected.detach().numpy(), tensor.grad.numpy())


# 1. By hand

X = np.array([[[[1, 3, 2, 0], [4, 0, 0, 1], [0, 0, 3, 3], [0, 12, 4, 5]]]])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("max_pool", [[4, 2], [12, 5]]),
        ("avg_pool", [[2, 0.75], [3, 3.75]]),
        ("l2_pool", [[26**0.5, 5**0.5], [12, 59**0.5]]),
    ],
)
def test_two_by_two_by_hand(name, expected):
    np.testing.assert_allclose(PAIRS[name][0](X, 2)[0, 0], expected)


def test_extent_and_stride_may_differ_and_the_rest_is_left_out():
    np.testing.assert_array_equal(pooling.max_pool(X, 3, stride=1)[0, 0], [[4, 3], [12, 12]])
    np.testing.assert_array_equal(pooling.max_pool(X, 3)[0, 0], [[4]])
    np.testing.assert_array_equal(pooling.max_pool(X, 1, stride=2)[0, 0], [[1, 2], [0, 3]])  # nothing but striding
    np.testing.assert_array_equal(pooling.max_pool(X, (1, 4))[0, 0], [[3], [4], [3], [12]])


def test_global_by_hand():
    np.testing.assert_array_equal(pooling.global_max_pool(X), [[12]])
    np.testing.assert_array_equal(pooling.global_avg_pool(X), [[38 / 16]])


def test_padding_never_wins_and_counts_in_the_mean():
    x = -np.ones((1, 1, 2, 2))
    np.testing.assert_array_equal(pooling.max_pool(x, 2, padding=1), -np.ones((1, 1, 2, 2)))
    np.testing.assert_array_equal(pooling.avg_pool(x, 2, padding=1), -np.ones((1, 1, 2, 2)) / 4)


def test_the_first_of_equal_maxima_gets_the_gradient():
    x = np.zeros((1, 1, 2, 4))
    x[0, 0, 0, 1] = x[0, 0, 1, 0] = 7  # in reading order the top right comes before the bottom left
    _, cache = pooling.max_pool_forward(x, 2)
    expected = [[0, 10, 20, 0], [0, 0, 0, 0]]
    np.testing.assert_array_equal(pooling.max_pool_backward([[[[10, 20]]]], cache)[0, 0], expected)


def test_blur_by_hand():
    x = np.array([[[0.0, 0, 4, 0, 0, 8]]])
    np.testing.assert_array_equal(pooling.blur_pool(x, stride=1), [[[0, 1, 2, 1, 2, 4]]])
    np.testing.assert_array_equal(pooling.blur_pool(x), [[[0, 2, 2]]])
    np.testing.assert_array_equal(pooling.blur_pool(x, border="zeros", stride=1), [[[0, 1, 2, 1, 2, 4]]])
    np.testing.assert_array_equal(pooling.blur_pool(x, border="wrap"), [[[2, 2, 2]]])
    np.testing.assert_array_equal(pooling.blur_pool(x, 1), [[[0, 4, 0]]])
    np.testing.assert_array_equal(pooling.blur_pool(x, 2), [[[0, 2, 4]]])


# 2. Drawn cases, PyTorch as the reference


@st.composite
def cases(draw, axes):
    def sizes(low, high):
        one = st.integers(low, high)
        return draw(st.one_of(one, st.tuples(*[one] * axes)))

    def spread(value):
        return (value,) * axes if isinstance(value, int) else value

    k = sizes(1, 4)
    stride = draw(st.sampled_from([None, None, "drawn"])) and sizes(1, 5)
    padding = 0
    if draw(st.booleans()):
        padding = tuple(draw(st.integers(0, n // 2)) for n in spread(k))
    # PyTorch's avg_pool3d refuses maps smaller than the window even if padding makes up for it.
    least = [n if axes == 3 else max(1, n - 2 * p) for n, p in zip(spread(k), spread(padding), strict=True)]
    size = [n + draw(st.integers(0, 6)) for n in least]
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = (draw(st.integers(1, 3)), draw(st.integers(1, 3)), *size)
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    kind = draw(st.sampled_from(["normal", "normal", "ties"]))
    x = (rng.standard_normal(shape) if kind == "normal" else rng.integers(-1, 3, shape)).astype(dtype)
    return x, k, {"stride": stride, "padding": padding}, lambda shape: rng.standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("name", WINDOWED)
def test_against_torch(name, axes, agreement):
    @given(cases(axes))
    @settings(drawn, max_examples=80)
    def check(case):
        x, k, options, dout = case
        (out, dx), (expected, gradient) = both(name, x, dout, k, **options)
        assert out.dtype == dx.dtype == x.dtype and out.flags.c_contiguous
        limit = 2e-6 if x.dtype == np.float32 else 1e-14
        kind = "float32" if x.dtype == np.float32 else "float64"
        agreement(f"{name} {axes}-D forward, {kind}", out, expected, limit, scale=1)
        agreement(f"{name} {axes}-D backward, {kind}", dx, gradient, limit, scale=1)

    check()


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("name", ["global_max_pool", "global_avg_pool"])
def test_global_against_torch(name, axes, agreement):
    @given(cases(axes))
    @settings(drawn, max_examples=30)
    def check(case):
        x, _, _, dout = case
        (out, dx), (expected, gradient) = both(name, x, dout)
        assert out.dtype == dx.dtype == x.dtype
        limit = 2e-6 if x.dtype == np.float32 else 1e-14
        kind = "float32" if x.dtype == np.float32 else "float64"
        agreement(f"{name} {axes}-D forward, {kind}", out, expected, limit, scale=1)
        agreement(f"{name} {axes}-D backward, {kind}", dx, gradient, limit, scale=1)

    check()


@pytest.mark.parametrize("border", ["reflect", "zeros", "wrap"])
@pytest.mark.parametrize("k", [1, 2, 3, 4, 5])
def test_blur_pool_against_torch(k, border, agreement):
    rng = np.random.default_rng(k)
    row = torch.tensor([[1.0], [1, 1], [1, 2, 1], [1, 3, 3, 1], [1, 4, 6, 4, 1]][k - 1]).double() / 2 ** (k - 1)
    mode = {"reflect": "reflect", "zeros": "constant", "wrap": "circular"}[border]
    for axes, stride in itertools.product((1, 2), (1, 2, 3)):
        x = rng.standard_normal((2, 3, *rng.integers(5, 10, axes)))
        kernel = row if axes == 1 else row[:, None] * row
        padded = F.pad(torch.tensor(x), [(k - 1) // 2, k // 2] * axes, mode=mode)
        weight = kernel.expand(3, 1, *kernel.shape)
        expected = getattr(F, f"conv{axes}d")(padded, weight, stride=stride, groups=3).numpy()
        agreement(f"blur_pool {axes}-D", pooling.blur_pool(x, k, stride=stride, border=border), expected, 1e-14)


# 3. What PyTorch does with NaN, infinities and empty batches


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("name", PAIRS)
@given(seed=st.integers(0, 2**32 - 1), stride=st.sampled_from([1, 2, 3]), padding=st.sampled_from([0, 1]))
@settings(drawn, max_examples=15)
def test_nan_and_infinity_as_torch(name, axes, seed, stride, padding):
    rng = np.random.default_rng(seed)
    values = [np.nan, -np.inf, 0, 1, 2] if "max" in name else [np.nan, 1, 2, 3, 4]
    x = rng.choice(values, (2, 2, *rng.integers(4, 7, axes)), p=[0.15, 0.4, 0.15, 0.15, 0.15])
    options = () if "global" in name else (3,)
    keywords = {} if "global" in name else {"stride": stride, "padding": padding}
    ours, theirs = both(name, x, lambda shape: rng.standard_normal(shape), *options, **keywords)
    for mine, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, expected, atol=1e-14)


def test_a_window_of_zeros_has_no_l2_gradient():
    ours, theirs = both("l2_pool", np.zeros((1, 1, 4, 4)), lambda shape: np.ones(shape), 2)
    for mine, expected in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(mine, expected)


def test_an_infinite_gradient_stays_where_it_belongs():
    x = np.arange(16.0).reshape(1, 1, 4, 4)
    ours, theirs = both("max_pool", x, lambda shape: np.full(shape, np.inf), 2)
    np.testing.assert_array_equal(ours[1], theirs[1])
    assert np.isinf(ours[1]).sum() == 4 and not np.isnan(ours[1]).any()


@pytest.mark.parametrize("name", PAIRS)
def test_empty_batch_and_integers(name):
    sizes = () if "global" in name else (2,)
    out, cache = PAIRS[name][1](np.zeros((0, 3, 4, 4), np.float32), *sizes)
    assert out.shape[:2] == (0, 3) and out.dtype == np.float32
    assert PAIRS[name][2](out, cache).shape == (0, 3, 4, 4)
    assert PAIRS[name][0](np.ones((1, 2, 4, 4), np.uint8), *sizes).dtype == np.float64


def test_long_windows():
    """More taps than a byte can name."""
    x = np.random.default_rng(0).standard_normal((1, 2, 700))
    ours, theirs = both("max_pool", x, lambda shape: np.ones(shape), 300, stride=100)
    np.testing.assert_array_equal(ours[1], theirs[1])


@pytest.mark.parametrize("name", PAIRS)
def test_the_input_is_neither_changed_nor_returned(name):
    x = np.random.default_rng(0).standard_normal((1, 1, 4, 4))
    before = x.copy()
    sizes = () if "global" in name else (1,)
    out, cache = PAIRS[name][1](x, *sizes)
    dx = PAIRS[name][2](np.ones_like(out), cache)
    out[...] = dx[...] = 7
    np.testing.assert_array_equal(x, before)


# 4. Numerical gradient


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("name", PAIRS)
def test_numerical_gradient(name, axes, agreement):
    @given(cases(axes))
    @settings(drawn, max_examples=12)
    def check(case):
        x, k, options, dout = case
        rng = np.random.default_rng(x.size)
        x = rng.permutation(x.size).reshape(x.shape) / 4 + 0.1  # no two are closer than the step is wide
        arguments, keywords = ((), {}) if "global" in name else ((k,), options)
        plain, forward, backward = PAIRS[name]
        out, cache = forward(x, *arguments, **keywords)
        dout, step = dout(out.shape).astype(float), 1e-4
        tried = rng.permutation(x.size)[:20]
        numerical = []
        for index in tried:
            up, down = x.copy(), x.copy()
            up.flat[index] += step
            down.flat[index] -= step
            difference = plain(up, *arguments, **keywords) - plain(down, *arguments, **keywords)
            numerical.append(np.sum(dout * difference) / (2 * step))
        agreement(f"gradient check: {name}", backward(dout, cache).flat[tried], numerical, 1e-6, scale=1)

    check()


# 5. Bad input


@pytest.mark.parametrize("function", [PAIRS[name][side] for name in WINDOWED for side in (0, 1)])
@pytest.mark.parametrize(
    ("x", "k", "options", "error", "message"),
    [
        (np.ones((4, 4)), 2, {}, ValueError, r"x must be \(N, C, L\)"),
        (np.ones((1, 1, 1, 1, 4, 4)), 2, {}, ValueError, r"x must be \(N, C, L\)"),
        (np.ones((1, 1, 0, 4)), 2, {}, ValueError, "maps are empty"),
        (np.ones((1, 1, 4, 4), complex), 2, {}, TypeError, "complex"),
        (np.ones((1, 1, 4, 4), object), 2, {}, TypeError, "object"),
        (np.ones((1, 1, 4, 4)), 0, {}, ValueError, "k must be an integer of at least 1"),
        (np.ones((1, 1, 4, 4)), 2.0, {}, TypeError, "k must be an integer"),
        (np.ones((1, 1, 4, 4)), (2, 2, 2), {}, ValueError, "k must be an integer or"),
        (np.ones((1, 1, 4, 4)), (2, True), {}, TypeError, r"k\[1\]"),
        (np.ones((1, 1, 4, 4)), 5, {}, ValueError, "larger input, more padding or a smaller kernel"),
        (np.ones((1, 1, 4, 4)), 2, {"stride": 0}, ValueError, "stride must be"),
        (np.ones((1, 1, 4, 4)), 2, {"padding": -1}, ValueError, "padding must be"),
        (np.ones((1, 1, 4, 4)), 3, {"padding": 2}, ValueError, "padding 2 is more than half of k = 3"),
        (np.ones((1, 1, 4, 4)), 3, {"padding": "same"}, TypeError, "padding must be"),
    ],
)
def test_bad_input(function, x, k, options, error, message):
    with pytest.raises(error, match=message):
        function(x, k, **options)


@pytest.mark.parametrize("name", PAIRS)
def test_bad_gradient(name):
    sizes = () if "global" in name else (2,)
    _, cache = PAIRS[name][1](np.ones((2, 3, 4, 4)), *sizes)
    with pytest.raises(ValueError, match="dout must have the shape of the output"):
        PAIRS[name][2](np.ones((2, 3, 4, 4)), cache)


def test_bad_input_of_the_global_and_the_blurred():
    for function in (pooling.global_max_pool, pooling.global_avg_pool, pooling.blur_pool):
        with pytest.raises(ValueError, match=r"x must be \(N, C, L\)"):
            function(np.ones((4, 4)))
        with pytest.raises(ValueError, match="maps are empty"):
            function(np.ones((1, 2, 0, 3)))
    with pytest.raises(ValueError, match="border must be one of 'reflect', 'zeros', 'wrap', not 'same'"):
        pooling.blur_pool(np.ones((1, 1, 4)), border="same")
    with pytest.raises(ValueError, match="k must be an integer of at least 1"):
        pooling.blur_pool(np.ones((1, 1, 4)), 0)
    with pytest.raises(ValueError, match="stride must be an integer of at least 1"):
        pooling.blur_pool(np.ones((1, 1, 4)), stride=0)
