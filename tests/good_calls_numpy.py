"""One right call of every public function of the NumPy half, for `wrong_values`: {name: () -> arguments}."""

import numpy as np

from cnn_course import activations, layers, network, pooling, stacks
from cnn_course.array_engine.conv_arguments import checked


def numbers(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape)


X, W, B = numbers(2, 2, 4, 5), numbers(3, 2, 2, 3), numbers(3)
X1, W1 = numbers(2, 2, 6), numbers(3, 2, 3)
X3, W3 = numbers(1, 2, 3, 4, 3), numbers(3, 2, 2, 2, 2)
LABELS = np.array([0, 2, 1, 1, 0])
IMAGES = numbers(5, 1, 2, 2)


def conv():
    """Two groups of 3 x 3 kernels, which each of the fast algorithms can do."""
    return checked(2, numbers(1, 2, 5, 4), numbers(4, 1, 3, 3), numbers(4), padding=1, groups=2)


def net():
    return network.Network([network.flatten(), network.affine(4, 3)], seed=0)


def backward(forward, *arguments, **settings):
    """A gradient of the output, and the cache."""
    out, cache = forward(*arguments, **settings)
    return {"dout": numbers(*out.shape), "cache": cache}


def parameters(seed):
    rng = np.random.default_rng(seed)
    return {"w": rng.standard_normal((3, 2)), "b": rng.standard_normal(3)}


def backward_of_pool(name, *arguments, **settings):
    return lambda: backward(getattr(pooling, f"{name}_forward"), X, *arguments, **settings)


def written(folder):
    path = folder / "net.npz"
    network.save(net(), path)
    return path


def row():
    return stacks.table([], (2, 6, 5))[0]


# x and nothing else, or one number more.
PLAIN = (
    "sigmoid", "sigmoid_derivative", "tanh", "tanh_derivative", "relu", "relu_derivative", "softplus", "mish",
    "mish_derivative",
)  # fmt: skip
WITH_ONE = ("leaky_relu", "leaky_relu_derivative", "elu", "elu_derivative", "swish", "swish_derivative")
POOLS = ("max_pool", "avg_pool", "l2_pool")
GLOBAL = ("global_max_pool", "global_avg_pool")

CALLS = {
    **{f"activations.{name}": lambda: {"x": numbers(3, 4)} for name in PLAIN + WITH_ONE},
    "activations.prelu": lambda: {"x": numbers(3, 4), "slope": numbers(4)},
    "activations.prelu_derivative": lambda: {"x": numbers(3, 4), "slope": numbers(4)},
    "activations.prelu_backward": lambda: {"dout": numbers(3, 4), "x": numbers(3, 4), "slope": numbers(4)},
    "activations.maxout": lambda: {"x": numbers(3, 4), "pieces": 2},
    "activations.maxout_backward": lambda: {"dout": numbers(3, 2), "x": numbers(3, 4), "pieces": 2},
    "arithmetic.output_size": lambda: {"n": 8, "k": 3},
    "arithmetic.conv_parameters": lambda: {"cin": 2, "cout": 4, "k": 3},
    "arithmetic.conv_macs": lambda: {"cin": 2, "cout": 4, "k": 3, "size": 8},
    "arithmetic.linear_parameters": lambda: {"n_in": 4, "n_out": 3},
    "arithmetic.linear_macs": lambda: {"n_in": 4, "n_out": 3},
    "arithmetic.mlp_parameters": lambda: {"sizes": (4, 3, 2)},
    "convolution.flip": lambda: {"w": numbers(3, 3)},
    "convolution.correlate1d": lambda: {"x": numbers(6), "w": numbers(3)},
    "convolution.convolve1d": lambda: {"x": numbers(6), "w": numbers(3)},
    "convolution.conv1d": lambda: {"x": X1, "w": W1, "b": B},
    "convolution.conv2d": lambda: {"x": X, "w": W, "b": B},
    "convolution.conv2d_windows": lambda: {"x": X, "w": W, "b": B},
    "convolution.conv2d_loops": lambda: {"x": X, "w": W, "b": B},
    "convolution.conv3d": lambda: {"x": X3, "w": W3, "b": B},
    "convolution.conv_backward": lambda: {"dout": numbers(2, 3, 3, 3), "x": X, "w": W},
    "fast_convolution.windows": lambda: {"x": numbers(1, 2, 7, 6), "conv": conv()},
    "fast_convolution.by_columns": lambda: {"conv": conv()},
    "fast_convolution.by_winograd": lambda: {"conv": conv()},
    "fast_convolution.winograd_matrices": lambda: {"tile": 2},
    "fast_convolution.by_fft": lambda: {"conv": conv()},
    "fast_convolution.kernel_gradient": lambda: {"conv": conv(), "dout": numbers(1, 4, 5, 4)},
    "fast_convolution.spread_back": lambda: {"conv": conv(), "dout": numbers(1, 4, 5, 4)},
    "layers.conv_forward": lambda: {"x": X, "w": W, "b": B},
    "layers.conv_backward": lambda: backward(layers.conv_forward, X, W, B, padding=1),
    "layers.affine_forward": lambda: {"x": numbers(4, 2), "w": numbers(3, 2), "b": B},
    "layers.affine_backward": lambda: backward(layers.affine_forward, numbers(4, 2), numbers(3, 2), B),
    "layers.relu_forward": lambda: {"x": numbers(3, 4)},
    "layers.relu_backward": lambda: backward(layers.relu_forward, numbers(3, 4)),
    "layers.elementwise_forward": lambda: {
        "x": numbers(3, 4), "function": activations.tanh, "derivative": activations.tanh_derivative
    },
    "layers.elementwise_backward": lambda: backward(
        layers.elementwise_forward, numbers(3, 4), activations.tanh, activations.tanh_derivative
    ),
    "layers.flatten_forward": lambda: {"x": X},
    "layers.flatten_backward": lambda: backward(layers.flatten_forward, X),
    "layers.softmax": lambda: {"logits": numbers(5, 3)},
    "layers.softmax_cross_entropy": lambda: {"logits": numbers(5, 3), "labels": LABELS},
    "layers.check_labels": lambda: {"labels": LABELS, "count": 5, "classes": 3},
    **{f"pooling.{name}": lambda: {"x": X, "k": 2} for name in POOLS},
    **{f"pooling.{name}_forward": lambda: {"x": X, "k": 2} for name in POOLS},
    **{f"pooling.{name}_backward": backward_of_pool(name, 3, stride=1) for name in POOLS},
    **{f"pooling.{name}": lambda: {"x": X} for name in GLOBAL},
    **{f"pooling.{name}_forward": lambda: {"x": X} for name in GLOBAL},
    **{f"pooling.{name}_backward": backward_of_pool(name) for name in GLOBAL},
    "pooling.blur_pool": lambda: {"x": X},
    "network.Layer": lambda: {"kind": "relu", "forward": layers.relu_forward, "backward": layers.relu_backward},
    "network.conv": lambda: {"channels": 2, "filters": 4, "k": 3},
    "network.affine": lambda: {"inputs": 4, "units": 3},
    "network.relu": lambda: {},
    "network.activation": lambda: {"function": activations.tanh, "derivative": activations.tanh_derivative},
    "network.max_pool": lambda: {"k": 2},
    "network.avg_pool": lambda: {"k": 2},
    "network.global_avg_pool": lambda: {},
    "network.flatten": lambda: {},
    "network.Network": lambda: {"layers": [network.flatten(), network.affine(4, 3)]},
    "network.Network.forward": lambda: {"self": net(), "x": IMAGES},
    "network.Network.backward": lambda: {"self": net(), "dout": numbers(5, 3), "caches": net().forward(IMAGES)[1]},
    "network.Network.loss_and_gradients": lambda: {"self": net(), "x": IMAGES, "labels": LABELS},
    "network.sgd_step": lambda: {
        "parameters": parameters(0), "gradients": parameters(1), "velocity": parameters(2), "lr": 0.1
    },
    "network.TrainingCurves": lambda: {
        "train_loss": numbers(3), "train_accuracy": numbers(3), "val_accuracy": numbers(3), "losses": numbers(6)
    },
    "network.fit": lambda: {
        "net": net(), "x": IMAGES, "labels": LABELS, "val": (IMAGES, LABELS), "epochs": 1
    },
    "network.predict": lambda: {"net": net(), "x": IMAGES},
    "network.accuracy": lambda: {"net": net(), "x": IMAGES, "labels": LABELS},
    "network.save": lambda folder: {"net": net(), "path": folder / "net.npz"},
    "network.load": lambda folder: {"net": net(), "path": written(folder)},
    "paired.difference": lambda: {"a": numbers(4), "b": numbers(4) + 1, "comparisons": 2},
    "gradient_check.numerical_gradient": lambda: {"f": np.sum, "x": numbers(2, 3)},
    "gradient_check.relative_error": lambda: {"a": numbers(2, 3), "b": numbers(2, 3) + 1e-9},
    "gradient_check.layer_errors": lambda: {
        "forward": layers.relu_forward, "backward": layers.relu_backward, "arrays": {"x": numbers(2, 3)}
    },
    "stacks.Conv": lambda: {"cout": 4, "k": 3},
    "stacks.Pool": lambda: {"k": 2},
    "stacks.Linear": lambda: {"n": 3},
    "stacks.Flatten": lambda: {},
    "stacks.GlobalPool": lambda: {},
    "stacks.Activation": lambda: {},
    "stacks.table": lambda: {
        "layers": [stacks.Conv(4, 3), stacks.Activation(), stacks.Pool(2), stacks.Flatten(), stacks.Linear(3)],
        "input_shape": (2, 6, 5),
    },
    "stacks.after": lambda: {"layer": stacks.Conv(4, 3), "x": row()},
    "stacks.Axis.slide": lambda: {"self": stacks.Axis.pixels(8), "k": 3},
    "stacks.Axis.pixels": lambda: {"n": 8},
    "stacks.Table.only": lambda: {"self": stacks.table([stacks.Conv(4, 3), stacks.Pool(2)], (2, 6, 5))},
    "toeplitz.matrix": lambda: {"w": numbers(2, 2), "size": (3, 4)},
    "toeplitz.shift_matrix": lambda: {"size": (3, 4), "by": (1, 2)},
    "toeplitz.circulant": lambda: {"kernel": numbers(3, 2)},
    "toeplitz.ring_kernel": lambda: {"a": numbers(6, 6), "size": (3, 2)},
    "toeplitz.nearest_circulant": lambda: {"a": numbers(6, 6), "size": (3, 2)},
    "toeplitz.circulant_distance": lambda: {"a": numbers(6, 6), "size": (3, 2)},
}  # fmt: skip
