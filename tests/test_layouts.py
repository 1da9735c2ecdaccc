"""How an array lies in memory changes no result: Fortran order, transposed, turned, strided, read-only.

Each function is called with arrays in C order and with equal arrays in a drawn layout; results must agree to rounding,
and no argument may change. What a result should be, other tests say.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnn_course import (
    activations,
    convolution,
    equivariance,
    filters,
    gradient_check,
    images,
    layers,
    pooling,
    toeplitz,
)


def fortran(a):
    return np.asfortranarray(a)


def transposed(a):
    """As a file that was stored the other way round."""
    return np.ascontiguousarray(a.T).T


def turned(a):
    """Negative strides along every axis, as after np.rot90 or a[::-1]."""
    backwards = (slice(None, None, -1),) * a.ndim
    return np.ascontiguousarray(a[backwards])[backwards]


def spaced(a):
    """Every second number of a larger array."""
    wide = np.full([2 * n for n in a.shape], 7.0).astype(a.dtype)
    every = (slice(None, None, 2),) * a.ndim
    wide[every] = a
    return wide[every]


def channels_last(a):
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1) if a.ndim > 2 else fortran(a)


def locked(a):
    a = a.copy()
    a.flags.writeable = False
    return a


def repeated(a):
    """Strides of zero where all numbers along an axis are equal; else in Fortran order."""
    return np.broadcast_to(a[:1], a.shape) if a.shape and (a == a[:1]).all() else fortran(a)


LAYOUTS = (fortran, transposed, turned, spaced, channels_last, locked, repeated)


def numbers(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape)


def pooled(kind, stride):
    """dx of a pool, with its output and its forward pass."""
    forward, backward = (getattr(pooling, f"{kind}_pool_{way}") for way in ("forward", "backward"))

    def both(dout, x):
        out, cache = forward(x, 2, stride=stride)
        return out, backward(dout, cache)

    places = (8 - 2) // stride + 1, (6 - 2) // stride + 1
    return both, (numbers(2, 4, *places), numbers(2, 4, 8, 6))


def convolved(axes, stride, padding, dilation, groups):
    """A convolution with its three gradients."""
    forward = {1: convolution.conv1d, 2: convolution.conv2d, 3: convolution.conv3d}[axes]
    settings = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    x, w, b = numbers(2, 4, *(9, 8, 7)[:axes]), numbers(6, 4 // groups, *(3, 2, 3)[:axes]), numbers(6)

    def both(dout, x, w, b):
        return forward(x, w, b, **settings), *convolution.conv_backward(dout, x, w, **settings)

    return both, (numbers(*forward(x, w, b, **settings).shape), x, w, b)


def layer(forward, backward, dout, *arrays):
    def both(dout, *arrays):
        out, cache = forward(*arrays)
        return out, backward(dout, cache)

    return both, (dout, *arrays)


X = numbers(2, 4, 8, 6)
CALLS = {
    **{
        f"conv{axes}d stride {s} padding {p} dilation {d} groups {g}": convolved(axes, s, p, d, g)
        for axes in (1, 2, 3)
        for s, p, d, g in ((1, 0, 1, 1), (1, 1, 1, 2), (2, 1, 1, 1), (1, "same", 2, 1), (2, 2, 1, 2))
    },
    **{
        f"conv2d by {method}": (lambda x, w, method=method: convolution.conv2d(x, w, padding=1, method=method),
                                (X.astype(np.float32), numbers(5, 4, 3, 3).astype(np.float32)))
        for method in ("direct", "winograd", "fft", "auto")
    },
    "conv2d_loops": (convolution.conv2d_loops, (X, numbers(3, 4, 2, 3))),
    "conv2d_windows": (convolution.conv2d_windows, (X, numbers(3, 4, 2, 3))),
    **{f"{kind} pool, stride {s}": pooled(kind, s) for kind in ("max", "avg", "l2") for s in (1, 2)},
    "global max pool": layer(pooling.global_max_pool_forward, pooling.global_max_pool_backward, numbers(2, 4), X),
    "global average pool": layer(pooling.global_avg_pool_forward, pooling.global_avg_pool_backward, numbers(2, 4), X),
    "blur pool": (pooling.blur_pool, (X,)),
    "conv layer": layer(
        layers.conv_forward, layers.conv_backward, numbers(2, 3, 7, 4), X, numbers(3, 4, 2, 3), numbers(3)
    ),
    "affine": layer(
        layers.affine_forward, layers.affine_backward, numbers(5, 3), numbers(5, 4), numbers(3, 4), numbers(3)
    ),
    "relu layer": layer(layers.relu_forward, layers.relu_backward, numbers(2, 4, 8, 6), X),
    "flatten": layer(layers.flatten_forward, layers.flatten_backward, numbers(2, 192), X),
    "softmax": (layers.softmax, (numbers(5, 3),)),
    "cross-entropy": (layers.softmax_cross_entropy, (numbers(5, 3), np.array([0, 2, 1, 1, 0]))),
    **{
        name: (getattr(activations, name), (X,))
        for name in ("sigmoid", "tanh", "relu", "leaky_relu", "elu", "softplus", "swish", "mish")
    },
    **{
        f"{name}_derivative": (getattr(activations, f"{name}_derivative"), (X,))
        for name in ("sigmoid", "tanh", "relu", "leaky_relu", "elu", "swish", "mish")
    },
    "prelu": (activations.prelu, (X, numbers(4))),
    "prelu_backward": (activations.prelu_backward, (numbers(2, 4, 8, 6), X, numbers(4))),
    "maxout": (lambda x: activations.maxout(x, 2), (X,)),
    "maxout_backward": (lambda dout, x: activations.maxout_backward(dout, x, 2), (numbers(2, 2, 8, 6), X)),
    "filters.apply": (filters.apply, (numbers(8, 6), numbers(3, 3))),
    "filters.separate": (filters.separate, (filters.gaussian(5).copy(),)),
    "images.resize": (lambda x: images.resize(x, 5), (np.abs(numbers(8, 6)) / 10,)),
    "images.shift": (lambda x: images.shift(x, 2, -1), (X,)),
    "images.pad": (lambda x: images.pad(x, 2, mode="edge"), (X,)),
    "images.place": (lambda x: images.place(x, 12), (X,)),
    "images.to_nchw": (images.to_nchw, (numbers(8, 6, 3),)),
    "equivariance.rotate": (lambda x: equivariance.rotate(x, 30), (X,)),
    "equivariance.relative_difference": (equivariance.relative_difference, (X, X + 1)),
    "equivariance.equivariance_error": (
        lambda x: equivariance.equivariance_error(lambda a: pooling.max_pool(a, 2), x, 1, 1), (numbers(2, 4, 16, 16),)
    ),
    "gradient_check.numerical_gradient": (
        lambda x: gradient_check.numerical_gradient(lambda a: float((a**2).sum()), x), (numbers(3, 4),)
    ),
    "toeplitz.matrix": (lambda w: toeplitz.matrix(w, (6, 5)).toarray(), (numbers(3, 2),)),
    "toeplitz.circulant": (toeplitz.circulant, (numbers(6),)),
    "toeplitz.nearest_circulant": (toeplitz.nearest_circulant, (numbers(6, 6),)),
}  # fmt: skip


def as_arrays(result):
    parts = result if isinstance(result, tuple) else (result,)
    return [one for part in parts for one in (as_arrays(part) if isinstance(part, tuple) else [np.asarray(part)])]


@pytest.mark.parametrize("name", CALLS)
@settings(max_examples=12)
@given(data=st.data())
def test_the_layout_of_an_argument_changes_nothing(name, data):
    function, arrays = CALLS[name]
    expected = as_arrays(function(*(a.copy() for a in arrays)))
    laid = [data.draw(st.sampled_from(LAYOUTS), label=f"argument {i}")(a) for i, a in enumerate(arrays)]
    try:
        found = as_arrays(function(*laid))
    finally:
        assert all(np.array_equal(one, other) for one, other in zip(laid, arrays, strict=True)), "an argument changed"
    for ours, right in zip(found, expected, strict=True):
        assert ours.shape == right.shape and ours.dtype == right.dtype
        limit = 1e-5 if right.dtype == np.float32 else 1e-10
        np.testing.assert_allclose(ours, right, rtol=limit, atol=limit * max(1.0, np.abs(right).max(initial=0)))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_holds_the_same_numbers(layout):
    for a in (X, numbers(6), np.ones((2, 3))):
        assert np.array_equal(layout(a), a) and layout(a).dtype == a.dtype
