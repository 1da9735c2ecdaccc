"""What used to be silent, or an error that names something else, in the NumPy half: what `wrong_values` cannot draw."""

import re

import numpy as np
import pytest

from cnn_course import activations, convolution, fast_convolution, gradient_check, layers, network, pooling, stacks
from cnn_course.errors import RunError, TrainingError

IMAGE, KERNELS = np.ones((2, 6, 5)), np.ones((3, 2, 3, 3))
X, LABELS = np.random.default_rng(0).standard_normal((6, 1, 2, 2)), np.array([0, 1, 2, 2, 1, 0])


def net(seed=0):
    return network.Network([network.flatten(), network.affine(4, 3)], seed=seed)


@pytest.mark.parametrize(
    "call",
    [
        lambda: convolution.conv2d(IMAGE, KERNELS),
        lambda: layers.conv_forward(IMAGE, KERNELS),
        lambda: convolution.conv_backward(np.ones((1, 3, 4, 3)), IMAGE, KERNELS),
    ],
)
def test_a_missing_batch_axis_blames_x(call):
    with pytest.raises(ValueError, match=r"x must have 4 axes \(N, C, H, W\).*of one image, x\[None\] makes a batch"):
        call()


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: convolution.conv3d(IMAGE[None, None], np.ones((1, 1, 2, 2, 2)), padding=1000), "padding is too large"),
        (lambda: convolution.conv2d(IMAGE[None], KERNELS, padding=10**9), "padding is too large"),
        (lambda: convolution.conv2d(IMAGE[None], KERNELS, padding="same", dilation=10**9), "dilation is too large"),
        (lambda: convolution.conv2d(IMAGE[None], KERNELS, padding=3000, method="fft"), "method is too large"),
        (lambda: convolution.conv2d_windows(IMAGE[None], KERNELS, padding=3000), "x and w, .* GiB of windows"),
        (lambda: convolution.conv2d_loops(IMAGE[None], KERNELS, padding=1000), "x and w, .* multiplications"),
        (lambda: convolution.correlate1d([1, 2], [1], padding=10**9), "padding is too large"),
        (lambda: pooling.max_pool(IMAGE[None], 10**9, padding=5 * 10**8), "padding must be .* at most 32768"),
        (lambda: pooling.max_pool(IMAGE[None], 60000, padding=30000), "padding is too large"),
        (lambda: network.Network([network.affine(10**9, 10**9)]), "layers is too large"),
    ],
)  # fmt: skip
def test_a_bound_is_said_before_memory_is_asked_for(call, says):
    with pytest.raises(ValueError, match=says):
        call()


FORWARDS = {
    "layers.conv": lambda: layers.conv_forward(IMAGE[None], KERNELS),
    "layers.affine": lambda: layers.affine_forward(np.ones((2, 3)), np.ones((4, 3)), np.ones(4)),
    "layers.elementwise": lambda: layers.elementwise_forward(
        np.ones((2, 3)), activations.tanh, activations.tanh_derivative
    ),
    "pooling.max_pool": lambda: pooling.max_pool_forward(IMAGE[None], 2),
    "pooling.avg_pool": lambda: pooling.avg_pool_forward(IMAGE[None], 2),
    "pooling.l2_pool": lambda: pooling.l2_pool_forward(IMAGE[None], 2),
    "pooling.global_max_pool": lambda: pooling.global_max_pool_forward(IMAGE[None]),
    "pooling.global_avg_pool": lambda: pooling.global_avg_pool_forward(IMAGE[None]),
}


@pytest.mark.parametrize("name", FORWARDS)
@pytest.mark.parametrize("other", FORWARDS)
def test_the_cache_of_another_layer_is_refused(name, other):
    module, _, layer = name.partition(".")
    backward = getattr({"layers": layers, "pooling": pooling}[module], f"{layer}_backward")
    out, cache = FORWARDS[name]()
    backward(np.ones(out.shape), cache)
    if name != other:
        with pytest.raises((TypeError, ValueError), match=r"\bcache\b"):
            backward(np.ones(out.shape), FORWARDS[other]()[1])


def test_what_a_caller_does_to_the_matrices_of_winograd_stays_with_the_caller():
    first = fast_convolution.winograd_matrices(np.int64(2))
    for matrix in first:
        matrix[...] = 0
    assert all(matrix.any() for matrix in fast_convolution.winograd_matrices(2))


def test_a_dilation_of_few_bits_does_not_overflow():
    x = np.arange(300.0)
    expected = convolution.correlate1d(x, [1, 2, 3], dilation=100)
    assert np.array_equal(convolution.correlate1d(x, [1, 2, 3], dilation=np.int8(100)), expected)


def test_the_difference_of_unsigned_integers_has_a_sign():
    assert gradient_check.relative_error(np.uint8([0, 2]), np.uint8([1, 2])) == 0.5


def test_a_step_that_is_lost_in_rounding_is_no_gradient_of_zero():
    with pytest.raises(ValueError, match=r"h=1e-20 is lost in rounding next to .*1.0.*, the number x\[0\]"):
        gradient_check.numerical_gradient(lambda x: float(x[0] ** 2), np.array([1.0]), h=1e-20)


def test_an_infinite_gradient_where_the_slope_was_not_used_gives_no_nan():
    _, dslope = activations.prelu_backward([np.inf, 1.0], [2.0, -3.0], 0.25)
    assert dslope == -3


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning", "ignore:invalid value:RuntimeWarning")
def test_a_last_step_that_ruins_the_weights_is_said():
    """No loss is taken after it."""
    with pytest.raises(TrainingError, match=r"the weights are no longer finite after epoch 1.*smaller lr than 1e\+300"):
        network.fit(net(), X, LABELS, epochs=1, batch_size=6, lr=1e300, verbose=False)


def test_no_class_is_the_most_probable_of_nan():
    with pytest.raises(ValueError, match="numbers that are not finite"):
        network.accuracy(net(), np.full_like(X, np.nan), LABELS)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda n: network.fit(n, X, LABELS, val=(X.astype(np.uint8), LABELS)), TypeError, "val = .*x must be float"),
        (lambda n: network.fit(n, X, LABELS, val=(X, LABELS[:2])), ValueError, "val needs images and one label"),
        (lambda n: network.fit(n, X, LABELS, verbose="no"), TypeError, "verbose must be True or False"),
        (lambda n: network.fit(n, X, LABELS, seed=-1), ValueError, "seed must be"),
        (lambda n: network.fit(n, X, LABELS, epochs=10**9), ValueError, "epochs must be .* at most 100000"),
        (lambda n: network.fit(n, X, LABELS, lr_end="0.1"), TypeError, "lr_end must be a finite number"),
    ],
)
def test_everything_is_checked_before_the_first_step(call, error, says):
    made = net()
    with pytest.raises(error, match=says):
        call(made)
    assert all(np.array_equal(w, made.parameters[name]) for name, w in net().parameters.items())


def test_a_file_of_weights_with_one_bit_flipped_is_refused_or_the_same(tmp_path):
    path, made, other = tmp_path / "net.npz", net(1), net(2)
    network.save(made, path)
    whole = path.read_bytes()
    for place in range(0, len(whole), 5):
        damaged = bytearray(whole)
        damaged[place] ^= 8
        path.write_bytes(damaged)
        other = net(2)
        try:
            network.load(other, path)
        except RunError:
            expected = net(2)
        else:
            expected = made  # a bit of a date, say
        assert all(np.array_equal(w, expected.parameters[name]) for name, w in other.parameters.items()), place


def test_a_step_into_what_cannot_be_written_changes_nothing():
    w, v, g = ({"a": np.ones(2), "b": np.ones(3)} for _ in range(3))
    v["b"].flags.writeable = False
    with pytest.raises(ValueError, match=re.escape("velocity['b'] is read-only")):
        network.sgd_step(w, g, v, lr=0.1)
    assert (w["a"] == 1).all() and (v["a"] == 1).all()


def test_a_row_that_is_not_there():
    table = stacks.table([stacks.Conv(4, 3)], (2, 6, 5))
    assert table[-1] is table[1] and table[:1] == table.rows[:1]
    with pytest.raises(IndexError, match="i must be from -2 to 1, not 2"):
        table[2]
    with pytest.raises(TypeError, match="i must be an integer"):
        table[0.5]
    with pytest.raises(TypeError, match=r"kinds\[0\] must be a string"):
        table.only(3)
