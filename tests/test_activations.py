import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cnn_course import activations
from cnn_course.activations import maxout, maxout_backward, prelu, prelu_backward, prelu_derivative

F = torch.nn.functional
# name: (torch's version, the arguments that it takes beside x)
TORCH = {
    "sigmoid": (torch.sigmoid, ()),
    "tanh": (torch.tanh, ()),
    "relu": (torch.relu, ()),
    "leaky_relu": (F.leaky_relu, ("slope",)),
    "elu": (F.elu, ("alpha",)),
    "softplus": (lambda x: torch.logaddexp(x, torch.zeros_like(x)), ()),  # F.softplus stops being exact above 20
    "swish": (lambda x, beta=1.0: x * torch.sigmoid(beta * x), ("beta",)),
    "mish": (F.mish, ()),
}
NAMES = pytest.mark.parametrize("name", TORCH)
WITH_DERIVATIVE = pytest.mark.parametrize("name", [name for name in TORCH if name != "softplus"])
LIMITS = {np.float32: 2e-6, np.float64: 1e-13}
drawn = settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])

dtypes = st.sampled_from([np.float32, np.float64])
seeds = st.integers(0, 2**32 - 1)
shapes = st.lists(st.integers(1, 6), max_size=5).map(tuple)
channel_shapes = st.tuples(st.integers(1, 4), st.integers(1, 5)).flatmap(
    lambda head: st.lists(st.integers(1, 5), max_size=3).map(lambda space: (*head, *space))
)


def derivative(name):
    return activations.sigmoid if name == "softplus" else getattr(activations, f"{name}_derivative")


def numbers(rng, shape, dtype, scale=3.0):
    """Normal numbers, a tenth of them exactly 0: that is where curves have corners."""
    x = rng.normal(0, scale, shape) * (rng.random(shape) > 0.1)
    return np.asarray(x, dtype)


def torch_gradients(function, *arrays, dout):
    """What the function returns, and the gradient of each array."""
    tensors = [torch.tensor(a, requires_grad=True) for a in arrays]
    out = function(*tensors)
    return out.detach().numpy(), *(g.numpy() for g in torch.autograd.grad(out, tensors, torch.tensor(dout)))


# 1. By hand


@pytest.mark.parametrize(
    ("name", "x", "value", "slope"),
    [
        ("sigmoid", 0, 1 / 2, 1 / 4),
        ("sigmoid", np.log(3), 3 / 4, 3 / 16),
        ("tanh", 0, 0, 1),
        ("tanh", np.log(2), 3 / 5, 16 / 25),
        ("relu", -2, 0, 0),
        ("relu", 0, 0, 0),
        ("relu", 2, 2, 1),
        ("leaky_relu", -2, -0.02, 0.01),
        ("leaky_relu", 0, 0, 0.01),
        ("elu", -np.log(4), -3 / 4, 1 / 4),
        ("elu", 5, 5, 1),
        ("softplus", 0, np.log(2), 1 / 2),
        ("swish", 0, 0, 1 / 2),
        ("swish", np.log(3), 3 / 4 * np.log(3), 3 / 4 + 3 / 16 * np.log(3)),
        ("mish", 0, 0, 3 / 5),
    ],
)
def test_by_hand(name, x, value, slope):
    assert getattr(activations, name)(x) == pytest.approx(value, abs=1e-15)
    assert derivative(name)(x) == pytest.approx(slope, abs=1e-15)


def test_prelu_by_hand():
    x = np.array([[[-2.0, 3.0], [-4.0, -5.0]]])  # one image, 2 channels, 2 pixels
    np.testing.assert_array_equal(prelu(x, [0.5, 2.0]), [[[-1, 3], [-8, -10]]])
    np.testing.assert_array_equal(prelu_derivative(x, [0.5, 2.0]), [[[0.5, 1], [2, 2]]])
    dx, dslope = prelu_backward([[[1, 10], [100, 1000]]], x, [0.5, 2.0])
    np.testing.assert_array_equal(dx, [[[0.5, 10], [200, 2000]]])
    np.testing.assert_array_equal(dslope, [-2, -4 * 100 - 5 * 1000])
    assert prelu_backward([1.0, 1.0], [-2.0, -3.0], 0.25)[1] == -5


def test_prelu_is_no_maximum_when_the_slope_is_above_one():
    assert prelu(-1.0, 2.0) == -2
    assert max(2.0 * -1.0, -1.0) == -1


def test_maxout_by_hand():
    x = np.array([[1.0, 4.0, 3.0, 2.0, 5.0, 5.0]])
    np.testing.assert_array_equal(maxout(x, 2), [[4, 3, 5]])
    np.testing.assert_array_equal(maxout(x, 3), [[4, 5]])
    np.testing.assert_array_equal(maxout_backward([[10, 20, 30]], x, 2), [[0, 10, 20, 0, 30, 0]])


def test_maxout_can_be_relu_and_the_absolute_value():
    x = np.linspace(-3, 3, 13)
    np.testing.assert_array_equal(maxout(np.stack([x, 0 * x], axis=1), 2)[:, 0], activations.relu(x))
    np.testing.assert_array_equal(maxout(np.stack([x, -x], axis=1), 2)[:, 0], np.abs(x))


# 2. torch as the judge


@NAMES
def test_torch_agrees(name, agreement):
    function, options = TORCH[name]

    @drawn
    @given(shapes, dtypes, seeds)
    def check(shape, dtype, seed):
        rng = np.random.default_rng(seed)
        x = numbers(rng, shape, dtype, scale=rng.choice([0.1, 3, 30]))
        dout = np.asarray(rng.normal(size=shape), dtype)
        more = [float(rng.uniform(0, 2)) for _ in options if rng.random() < 0.8]
        expected, dx = torch_gradients(lambda t: function(t, *more), x, dout=dout)
        ours, slope = getattr(activations, name)(x, *more), derivative(name)(x, *(more if name != "softplus" else ()))
        assert ours.dtype == slope.dtype == dtype
        agreement(f"{name} forward", ours, expected, LIMITS[dtype], scale=1)
        agreement(f"{name} backward", dout * slope, dx, LIMITS[dtype], scale=1)

    check()


@drawn
@given(channel_shapes, dtypes, seeds, st.booleans())
def test_torch_agrees_on_prelu(agreement, shape, dtype, seed, one):
    rng = np.random.default_rng(seed)
    x, dout = numbers(rng, shape, dtype), np.asarray(rng.normal(size=shape), dtype)
    slope = np.asarray(rng.uniform(-0.5, 1.5, 1 if one else shape[1]), dtype)
    expected, dx, dslope = torch_gradients(F.prelu, x, slope, dout=dout)
    ours = prelu_backward(dout, x, slope)
    assert prelu(x, slope).dtype == ours[0].dtype == ours[1].dtype == dtype
    agreement("prelu forward", prelu(x, slope), expected, LIMITS[dtype], scale=1)
    agreement("prelu backward", ours[0], dx, LIMITS[dtype], scale=1)
    agreement("prelu backward", dout * prelu_derivative(x, slope), dx, LIMITS[dtype], scale=1)
    agreement("prelu slope's gradient", ours[1], dslope, LIMITS[dtype], scale=float(np.abs(dout * x).sum()))


@drawn
@given(channel_shapes, st.integers(1, 4), dtypes, seeds)
def test_torch_agrees_on_maxout(agreement, shape, pieces, dtype, seed):
    rng = np.random.default_rng(seed)
    x = np.asarray(rng.normal(size=(shape[0], shape[1] * pieces, *shape[2:])), dtype)
    dout = np.asarray(rng.normal(size=shape), dtype)
    expected, dx = torch_gradients(
        lambda t: t.reshape(shape[0], shape[1], pieces, *shape[2:]).amax(dim=2), x, dout=dout
    )
    agreement("maxout forward", maxout(x, pieces), expected, LIMITS[dtype])
    agreement("maxout backward", maxout_backward(dout, x, pieces), dx, LIMITS[dtype])


# 3. The slope of the curve, measured


@NAMES
def test_gradient_check(name, agreement):
    x = np.random.default_rng(1).uniform(-6, 6, 500)
    x = x[np.abs(x) > 1e-3]  # no corner within the step
    function, eps = getattr(activations, name), 1e-5
    for more in [(), (0.3,)] if TORCH[name][1] else [()]:
        measured = (function(x + eps, *more) - function(x - eps, *more)) / (2 * eps)
        agreement(f"gradient check: {name}", derivative(name)(x, *more), measured, 1e-6)


@drawn
@given(channel_shapes, st.integers(1, 3), seeds)
def test_gradient_check_of_prelu_and_maxout(agreement, shape, pieces, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(shape[0], shape[1] * pieces, *shape[2:]))
    slope, eps = rng.uniform(0, 1, x.shape[1]), 1e-6
    direction, turn = rng.normal(size=x.shape), rng.normal(size=slope.shape)
    direction[np.abs(x) < 1e-4] = 0

    dout = rng.normal(size=x.shape)
    dx, dslope = prelu_backward(dout, x, slope)
    ends = [(dout * prelu(x + s * direction, slope + s * turn)).sum() for s in (eps, -eps)]
    terms = np.concatenate([(dx * direction).ravel(), dslope * turn])
    measured = (ends[0] - ends[1]) / (2 * eps)
    agreement("gradient check: prelu", terms.sum(), measured, 1e-6, scale=np.abs(terms).sum())

    dout = rng.normal(size=shape)
    top = np.sort(x.reshape(shape[0], shape[1], pieces, -1), axis=2)
    if pieces > 1 and (top[:, :, -1] - top[:, :, -2]).min() < 1e-4:
        return  # two channels so close that the step would change the winner
    dx = maxout_backward(dout, x, pieces)
    ends = [(dout * maxout(x + s * direction, pieces)).sum() for s in (eps, -eps)]
    terms = dx * direction
    measured = (ends[0] - ends[1]) / (2 * eps)
    agreement("gradient check: maxout", terms.sum(), measured, 1e-6, scale=np.abs(terms).sum())


# 4. Any number


@WITH_DERIVATIVE
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_numbers_give_the_limit_without_a_warning(name, dtype):
    most = np.finfo(dtype).max
    x = np.array([-np.inf, -most, -1e4, 1e4, most, np.inf], dtype)
    with np.errstate(all="raise", under="ignore"):
        y, slope = getattr(activations, name)(x), derivative(name)(x)
    bounded = name in ("sigmoid", "tanh")
    least = {"sigmoid": 0, "tanh": -1, "elu": -1, "relu": 0, "swish": 0, "mish": 0}
    left = least[name] if name in least else dtype(0.01) * x[:3]
    np.testing.assert_array_equal(y[:3], np.broadcast_to(left, 3))
    np.testing.assert_array_equal(y[3:], [1, 1, 1] if bounded else x[3:])
    np.testing.assert_array_equal(slope[:3], np.full(3, 0.01 if name == "leaky_relu" else 0, dtype))
    np.testing.assert_array_equal(slope[3:], np.full(3, 0 if bounded else 1))


def test_small_derivatives_keep_their_digits():
    """1 - tanh(x)^2 is 0 in float64 from x = 19 on; the derivative is not."""
    np.testing.assert_allclose(activations.tanh_derivative([-30.0, 30.0]), 4 * np.exp(-60), rtol=1e-12)
    np.testing.assert_allclose(activations.sigmoid_derivative([-50.0, 50.0]), np.exp(-50), rtol=1e-12)


@NAMES
def test_nan_passes_and_the_dtype_is_kept(name):
    for function in (getattr(activations, name), derivative(name)):
        np.testing.assert_array_equal(np.isnan(function([np.nan, 1.0])), [True, False])
        assert function(np.ones(3, np.float32)).dtype == np.float32
        assert function(np.array(3)).dtype == function([True, False]).dtype == np.float64
        assert function(np.uint8([3, 200])).dtype == np.float64
        assert function(np.zeros((0, 3))).shape == (0, 3)


@NAMES
def test_the_input_is_left_alone(name):
    x = np.linspace(-2, 2, 9)
    x.setflags(write=False)
    for function in (getattr(activations, name), derivative(name)):
        assert not np.shares_memory(function(x), x)
        np.testing.assert_array_equal(function(x[::-2]), function(x)[::-2])


def test_nan_passes_through_prelu_and_maxout():
    x = np.array([[np.nan, 1.0, 2.0, 3.0]])
    assert np.isnan(prelu(x, 0.1)[0, 0]) and np.isnan(prelu_backward(np.ones((1, 4)), x, 0.1)[1])
    np.testing.assert_array_equal(np.isnan(maxout(x, 2)), [[True, False]])


def test_dtypes_of_prelu_and_maxout():
    x = np.ones((2, 3), np.float32)
    assert prelu(x, 0.25).dtype == prelu(x, np.float32(0.25)).dtype == np.float32
    assert prelu(x, np.full(3, 0.25)).dtype == np.float64
    assert [g.dtype for g in prelu_backward(x, x, 0.25)] == [np.float32] * 2
    assert maxout(x, 3).dtype == maxout_backward(np.ones((2, 1)), x, 3).dtype == np.float32


# 5. Bad input


@NAMES
@pytest.mark.parametrize("x", [np.ones(2, np.float16), np.ones(2, complex), ["a"], None])
def test_other_numbers_are_refused(name, x):
    for function in (getattr(activations, name), derivative(name)):
        with pytest.raises(
            TypeError,
            match="x (has dtype .*float32 and float64 are allowed|must be an array of booleans, integers, floats)",
        ):
            function(x)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: activations.leaky_relu(1.0, np.nan), ValueError, "slope must be a finite number, not nan"),
        (
            lambda: activations.leaky_relu_derivative(1.0, [0.1]),
            TypeError,
            r"slope must be a finite number, not \[0.1\]",
        ),
        (lambda: activations.elu(1.0, True), TypeError, "alpha must be a finite number, not True"),
        (lambda: activations.elu_derivative(1.0, "1"), TypeError, "alpha must be a finite number"),
        (lambda: activations.swish(1.0, np.inf), ValueError, "beta must be a finite number"),
        (lambda: activations.swish_derivative(1.0, 1j), TypeError, "beta must be a finite number"),
        (lambda: prelu(np.ones((2, 3)), np.ones(2)), ValueError, r"slope has shape \(2,\) and x \(2, 3\)"),
        (lambda: prelu(np.ones(3), np.ones(3)), ValueError, "one number for each channel of x"),
        (lambda: prelu(np.ones((2, 3)), np.ones((1, 3))), ValueError, "slope must be a single number or"),
        (lambda: prelu_derivative(np.ones((2, 3)), "a"), TypeError, "slope must be an array of"),
        (lambda: prelu_backward(np.ones((2, 2)), np.ones((2, 3)), 0.1), ValueError, "dout must have the shape"),
        (lambda: maxout(np.ones((2, 5)), 2), ValueError, r"shape \(N, C \* 2, \.\.\.\) .*has shape \(2, 5\)"),
        (lambda: maxout(np.ones(4), 2), ValueError, r"has shape \(4,\)"),
        (lambda: maxout(np.ones((2, 4)), 0), ValueError, "pieces must be an integer of at least 1, not 0"),
        (lambda: maxout(np.ones((2, 4)), 2.0), TypeError, "pieces must be an integer"),
        (lambda: maxout_backward(np.ones((2, 4)), np.ones((2, 4)), 2), ValueError, r"the output, \(2, 2\)"),
        (lambda: maxout_backward(["a"], np.ones((2, 4)), 2), TypeError, "dout must be an array of"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
