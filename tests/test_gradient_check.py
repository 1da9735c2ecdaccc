import numpy as np
import pytest

from cnn_course.gradient_check import layer_errors, numerical_gradient, relative_error


def test_numerical_gradient_by_hand():
    """f = x0^2 + 3 x1: the gradient at (2, 5) is (4, 3), and exactly so but for rounding."""
    found = numerical_gradient(lambda x: x[0] ** 2 + 3 * x[1], np.array([2.0, 5.0]))
    np.testing.assert_allclose(found, [4, 3], rtol=1e-9)


@pytest.mark.parametrize("shape", [(), (3,), (2, 1, 4), (0, 2)])
def test_every_shape(shape):
    x = np.random.default_rng(0).normal(size=shape)
    found = numerical_gradient(lambda x: np.sin(x).sum(), x)
    assert found.shape == shape
    np.testing.assert_allclose(found, np.cos(x), rtol=1e-8)


def test_x_is_left_alone():
    x = np.array([1.0, 2.0])
    x.flags.writeable = False
    numerical_gradient(lambda x: x.prod(), x)
    np.testing.assert_array_equal(x, [1, 2])


def test_error_falls_with_the_square_of_the_step():
    steps = (1e-1, 1e-2, 1e-3)
    first, second, third = (abs(numerical_gradient(np.exp, np.array(0.0), h=h) - 1) for h in steps)
    assert first / second == pytest.approx(100, rel=0.01)
    assert second / third == pytest.approx(100, rel=0.01)


def test_relative_error():
    assert relative_error([0.0, 0.0], [0.0, 0.0]) == 0
    assert relative_error([1.0, 0.0], [0.0, 0.0]) == 1
    assert relative_error([100.0, 1.0], [100.0, 2.0]) == pytest.approx(0.01)
    assert relative_error([2.0], [-2.0]) == 2
    assert np.isnan(relative_error([np.nan], [1.0]))
    assert relative_error(np.zeros((0, 3)), np.zeros((0, 3))) == 0


def product(x, w):
    return x * w, (x, w)


def product_backward(dout, cache):
    x, w = cache
    return dout * w, dout * x


ARRAYS = {"x": np.array([1.0, 2.0]), "w": np.array([3.0, -4.0])}


def test_a_right_layer_passes():
    errors = layer_errors(product, product_backward, ARRAYS)
    assert list(errors) == ["x", "w"]
    assert max(errors.values()) < 1e-9


@pytest.mark.parametrize(
    ("wrong", "bad"),
    [
        (lambda dout, cache: (dout * cache[0], dout * cache[0]), "x"),
        (lambda dout, cache: (dout * cache[1], -dout * cache[0]), "w"),
        (lambda dout, cache: (dout * cache[1], 1.01 * dout * cache[0]), "w"),
        (lambda dout, cache: (cache[1], dout * cache[0]), "x"),
    ],
)
def test_a_wrong_layer_is_found(wrong, bad):
    errors = layer_errors(product, wrong, ARRAYS)
    assert errors.pop(bad) > 5e-3
    assert max(errors.values()) < 1e-9


def test_bad_input():
    x = np.array([1.0, 2.0])
    with pytest.raises(TypeError, match="must be float64, not float32"):
        numerical_gradient(np.sum, x.astype(np.float32))
    with pytest.raises(TypeError, match="not int64"):
        numerical_gradient(np.sum, np.array([1, 2]))
    for h in (0, -1e-5, np.nan, np.inf):
        with pytest.raises(ValueError, match="h must be a finite number, above 0"):
            numerical_gradient(np.sum, x, h=h)
    with pytest.raises(ValueError, match=r"one finite number, but near x\[0\]"):
        numerical_gradient(lambda x: x, x)
    with pytest.raises(ValueError, match="finite"):
        numerical_gradient(lambda x: np.inf, x)
    with pytest.raises(ValueError, match=r"\(2,\) and \(2, 1\)"):
        relative_error(x, x[:, None])
    with pytest.raises(ValueError, match="1 gradients for the 2 arrays"):
        layer_errors(product, lambda dout, cache: dout, ARRAYS)
    with pytest.raises(ValueError, match="the shapes differ"):
        layer_errors(product, lambda dout, cache: (dout[:1], dout), ARRAYS)
