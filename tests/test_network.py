import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from cnn_course import activations, datasets, layers, network
from cnn_course.errors import RunError, TrainingError
from cnn_course.gradient_check import numerical_gradient, relative_error
from cnn_course.network import Network, affine, conv, flatten, max_pool, relu

RNG = np.random.default_rng(0)
TANH = network.activation(activations.tanh, activations.tanh_derivative)


def small(seed=0, dtype=np.float32, classes=3):
    """For (N, 2, 6, 5): conv, pool, conv, affine."""
    stack = [conv(2, 4, 3, padding=1), relu(), max_pool(2), conv(4, 6, 2, groups=2), relu(), flatten()]
    return Network([*stack, affine(6 * 2 * 1, classes)], seed=seed, dtype=dtype)


def in_torch(net):
    """The network `small` in PyTorch, with the same weights."""
    model = nn.Sequential(
        *(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(4, 6, 2, groups=2), nn.ReLU(), nn.Flatten(), nn.Linear(12, len(net.parameters["affine1.b"]))),
    )
    model.to(torch.float64 if net.dtype == np.float64 else torch.float32)
    with torch.no_grad():
        for parameter, w in zip(model.parameters(), net.parameters.values(), strict=True):
            parameter.copy_(torch.tensor(w))
    return model


def test_names_shapes_and_first_weights():
    net = small(seed=3)
    assert list(net.layers) == ["conv1", "relu1", "max_pool1", "conv2", "relu2", "flatten1", "affine1"]
    shapes = {name: w.shape for name, w in net.parameters.items()}
    assert shapes == {
        "conv1.w": (4, 2, 3, 3), "conv1.b": (4,), "conv2.w": (6, 2, 2, 2), "conv2.b": (6,),
        "affine1.w": (3, 12), "affine1.b": (3,),
    }  # fmt: skip
    assert all(w.dtype == np.float32 for w in net.parameters.values())
    assert all((net.parameters[f"{name}.b"] == 0).all() for name in ("conv1", "conv2", "affine1"))
    large = Network([conv(16, 64, 3)], seed=0).parameters["conv1.w"]
    assert large.std() == pytest.approx(math.sqrt(2 / (16 * 9)), rel=0.02)
    again, other = small(seed=3), small(seed=4)
    np.testing.assert_array_equal(net.parameters["conv1.w"], again.parameters["conv1.w"])
    assert not np.array_equal(net.parameters["conv1.w"], other.parameters["conv1.w"])


def test_sgd_by_hand():
    """lr 0.1, momentum 0.5, gradient 2 twice: v = 2, w = 1 - 0.2; v = 1 + 2, w = 0.8 - 0.3."""
    w, v = {"w": np.array([1.0])}, {"w": np.array([0.0])}
    for expected in (0.8, 0.5):
        network.sgd_step(w, {"w": np.array([2.0])}, v, lr=0.1, momentum=0.5)
        assert w["w"][0] == pytest.approx(expected)
    assert v["w"][0] == pytest.approx(3)


@given(st.integers(1, 5), st.integers(0, 2**32 - 1), st.sampled_from([np.float32, np.float64]))
@settings(max_examples=40)
def test_against_torch(agreement, images, seed, dtype):
    rng = np.random.default_rng(seed)
    x, labels = rng.normal(size=(images, 2, 6, 5)).astype(dtype), rng.integers(0, 3, images)
    net = small(seed=seed, dtype=dtype)
    model = in_torch(net)
    reference = nn.functional.cross_entropy(model(torch.tensor(x)), torch.tensor(labels))
    reference.backward()
    loss, gradients = net.loss_and_gradients(x, labels)
    limit = 1e-5 if dtype == np.float32 else 1e-12
    agreement(f"network: loss {net.dtype}", loss, reference.item(), limit, scale=1)
    for (name, ours), theirs in zip(gradients.items(), model.parameters(), strict=True):
        assert ours.dtype == dtype, name
        agreement(f"network: gradients {net.dtype}", ours, theirs.grad.numpy(), limit, scale=1)


def test_sgd_against_torch(agreement):
    net = small(dtype=np.float64)
    model = in_torch(net)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)
    velocity = {name: np.zeros_like(w) for name, w in net.parameters.items()}
    for _ in range(5):
        x, labels = RNG.normal(size=(4, 2, 6, 5)), RNG.integers(0, 3, 4)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(torch.tensor(x)), torch.tensor(labels)).backward()
        optimizer.step()
        _, gradients = net.loss_and_gradients(x, labels)
        network.sgd_step(net.parameters, gradients, velocity, lr=0.1, momentum=0.9, weight_decay=0.01)
    for ours, theirs in zip(net.parameters.values(), model.parameters(), strict=True):
        agreement("network: five steps of SGD", ours, theirs.detach().numpy(), 1e-10)


@pytest.mark.parametrize("seed", range(3))
def test_gradients_of_a_whole_network(agreement, seed):
    net = small(seed=seed, dtype=np.float64)
    rng = np.random.default_rng(seed)
    x, labels = rng.normal(size=(3, 2, 6, 5)), rng.integers(0, 3, 3)
    _, gradients = net.loss_and_gradients(x, labels)
    for name in gradients:

        def loss(changed, name=name):
            net.parameters[name], kept = changed, net.parameters[name]
            value = layers.softmax_cross_entropy(net.forward(x)[0], labels)[0]
            net.parameters[name] = kept
            return value

        error = relative_error(gradients[name], numerical_gradient(loss, net.parameters[name], h=1e-6))
        agreement("gradient check: whole network", error, 0.0, 1e-6, scale=1)


@pytest.mark.parametrize(
    ("stack", "shape"),
    [
        ([conv(2, 3, (3,)), relu(), flatten(), affine(12, 2)], (2, 6)),
        ([conv(1, 2, (2, 2, 2), stride=2), relu(), max_pool(2), flatten(), affine(2, 2)], (1, 4, 4, 4)),
        ([conv(2, 3, (1, 3)), network.avg_pool(2), network.global_avg_pool(), affine(3, 2)], (2, 5, 6)),
        ([affine(4, 5), TANH, affine(5, 2)], (4,)),
        ([max_pool(2), flatten(), affine(4, 2)], (1, 4, 4)),
    ],
)
def test_other_stacks(stack, shape):
    """One and three dimensions, other layers, a stack that begins without weights: all learn."""
    rng = np.random.default_rng(1)
    x, labels = rng.normal(size=(6, *shape)), np.arange(6) % 2
    net = Network(stack)
    history = network.fit(net, x, labels, epochs=60, batch_size=6, verbose=False)
    assert history.train_loss[-1] < 0.9 * history.train_loss[0]


def test_overfits_ten_images():
    train = datasets.load("digits").train
    x, labels = train.images[:10] / 255, train.labels[:10]
    net = Network([conv(1, 8, 3, padding=1), relu(), max_pool(2), flatten(), affine(128, 10)])
    history = network.fit(net, x, labels, epochs=60, batch_size=10, verbose=False)
    assert network.accuracy(net, x, labels) == 1
    assert history.train_loss[-1] < 0.01
    assert history.losses.shape == (60,)
    assert np.isnan(history.val_accuracy).all()


def test_same_seed_same_result_and_lines(capsys):
    x, labels = RNG.normal(size=(20, 2, 6, 5)), RNG.integers(0, 3, 20)
    nets = [small(), small(), small()]
    for net, seed in zip(nets, (1, 1, 2), strict=True):
        history = network.fit(net, x, labels, val=(x, labels), epochs=2, batch_size=8, seed=seed, lr_end=0.0)
    assert history.val_accuracy[-1] == network.accuracy(net, x, labels)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6
    assert lines[0].startswith("epoch 1: train loss ") and ", val accuracy 0." in lines[0]
    np.testing.assert_array_equal(nets[0].parameters["conv1.w"], nets[1].parameters["conv1.w"])
    assert not np.array_equal(nets[0].parameters["conv1.w"], nets[2].parameters["conv1.w"])


def test_predict():
    net, x = small(), RNG.normal(size=(10, 2, 6, 5))
    probabilities = network.predict(net, x, batch_size=3)
    assert probabilities.shape == (10, 3)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(probabilities, network.predict(net, x), rtol=1e-5)
    assert network.predict(net, x[:0]).shape == (0, 3)


def test_save_and_load(tmp_path):
    net, other, path = small(seed=1), small(seed=2), tmp_path / "net.npz"
    network.save(net, path)
    network.load(other, path)
    for name, w in net.parameters.items():
        np.testing.assert_array_equal(other.parameters[name], w)
    assert [file.name for file in tmp_path.iterdir()] == ["net.npz"]


def test_load_refuses_what_does_not_fit(tmp_path):
    net, path = small(), tmp_path / "net.npz"
    before = {name: w.copy() for name, w in net.parameters.items()}
    with pytest.raises(RunError, match="there is no such file"):
        network.load(net, path)
    network.save(small(classes=4), path)
    with pytest.raises(RunError, match="net.npz is of other layers"):
        network.load(net, path)
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"not a zip file", whole.replace(b"NUMPY", b"NUMPX")):
        path.write_bytes(damaged)
        with pytest.raises(RunError, match="not a whole .npz file"):
            network.load(net, path)
    np.save(path.with_suffix(".npy"), np.arange(3))
    path.with_suffix(".npy").replace(path)
    with pytest.raises(RunError, match="not a whole .npz file"):
        network.load(net, path)
    for name, w in before.items():
        np.testing.assert_array_equal(net.parameters[name], w)


X, Y = np.zeros((4, 2, 6, 5)), np.array([0, 1, 2, 0])
BAD = [
    (lambda: Network([]), ValueError, "at least one layer"),
    (lambda: Network([relu()], dtype=np.float16), TypeError, "float32 or np.float64"),
    (lambda: conv(0, 1, 3), ValueError, "channels must be an integer of at least 1"),
    (lambda: conv(1, 2.0, 3), TypeError, "filters must be an integer"),
    (lambda: conv(3, 2, 3, groups=2), ValueError, "groups=2 must divide the 3 channels and the 2 filters"),
    (lambda: conv(1, 2, 0), ValueError, "k must be an integer of at least 1"),
    (lambda: affine(5, -1), ValueError, "units"),
    (lambda: small().forward(X[:, :1]), ValueError, r"conv1 cannot take an input of shape \(4, 1, 6, 5\).*channels"),
    (lambda: small().forward(X[:, :, :3]), ValueError, r"conv2 cannot take an input of shape \(4, 4, 1, 2\).*kernel"),
    (lambda: small().forward(np.zeros((4, 2, 8, 5))), ValueError, r"affine1 cannot take an input of shape \(4, 18\)"),
    (lambda: small().forward(X[0]), ValueError, "conv1 cannot take"),
    (lambda: small().forward(X.astype(np.uint8)), TypeError, r"not uint8.*/ 255"),
    (lambda: small().loss_and_gradients(X, Y + 1), ValueError, "label 3 is out of range"),
    (lambda: network.fit(small(), X, Y + 1), ValueError, "label 3 is out of range"),
    (lambda: network.fit(small(), X, Y[:3]), ValueError, r"one label for each.*\(3,\)"),
    (lambda: network.fit(small(), X[:0], Y[:0]), ValueError, "fit needs images"),
    (lambda: network.fit(small(), X, Y, epochs=0), ValueError, "epochs must be"),
    (lambda: network.fit(small(), X, Y, batch_size=2.5), TypeError, "batch_size must be"),
    (lambda: network.fit(small(), X, Y, lr=-1), ValueError, "lr must be a finite number, at least 0"),
    (lambda: network.fit(small(), X, Y, lr=math.nan), ValueError, "lr must be a finite number, at least 0"),
    (lambda: network.fit(small(), X, Y, momentum=1), ValueError, "momentum must be at least 0 and below 1"),
    (lambda: network.fit(small(), X, Y, weight_decay=-0.1), ValueError, "weight_decay must be"),
    (lambda: network.fit(small(), X, Y, lr_end=math.inf), ValueError, "lr_end must be"),
    (lambda: network.fit(small(), X, Y, val=(X, Y[:2])), ValueError, "val needs"),
    (lambda: network.accuracy(small(), X[:0], Y[:0]), ValueError, "accuracy needs"),
    (lambda: network.accuracy(small(), X, Y[:1]), ValueError, "accuracy needs"),
    (lambda: network.predict(small(), X, batch_size=0), ValueError, "batch_size"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning", "ignore:invalid value:RuntimeWarning")
def test_a_loss_that_is_not_finite():
    x = RNG.normal(size=(4, 2, 6, 5))
    with pytest.raises(TrainingError, match=r"loss is nan in epoch 1, step 1: .*smaller lr"):
        network.fit(small(), np.full_like(x, np.nan), Y, verbose=False)
    with pytest.raises(TrainingError, match="smaller lr than 1e"):
        network.fit(small(), x, Y, lr=1e20, epochs=5, verbose=False)


def test_wrong_labels_are_found_before_training():
    net = small()
    before = net.parameters["affine1.b"].copy()
    labels = np.array([0, 0, 0, 9])
    with pytest.raises(ValueError, match="label 9"):
        network.fit(net, X, labels, batch_size=1, verbose=False)
    np.testing.assert_array_equal(net.parameters["affine1.b"], before)
