"""What lectures and students type most, for `make lint`: a type checker must have nothing against it. Nothing runs.

Whoever writes `fit(net, data.train)` in an editor sees at once what does not fit, and no false alarm. So the package
must be typed as it is used: this file is checked as a student's file would be. At its end stand mistakes that an editor
must find; mypy's `warn_unused_ignores` complains as soon as it no longer does.
"""

from pathlib import Path
from typing import assert_type

import matplotlib.pyplot as plt
import numpy as np
import torch
import torchvision
from matplotlib.axes import Axes
from numpy.typing import NDArray
from torch import Tensor, nn

from cnn_course import (
    arithmetic,
    claims,
    convolution,
    datasets,
    equivariance,
    filters,
    gradient_check,
    images,
    interpret,
    layers,
    network,
    pooling,
    quiz,
    runs,
    stacks,
    synthetic,
    toeplitz,
    trace,
    train,
    visualize,
    widgets,
)
from cnn_course.augment import Augment
from cnn_course.models import lenet, resnet
from cnn_course.models.normalise import Normalise
from cnn_course.train import TrainConfig
from cnn_course.training.history import History


def convolution_in_numpy() -> None:
    rng = np.random.default_rng(0)
    x, w, b = rng.normal(size=(2, 3, 8, 8)), rng.normal(size=(4, 3, 3, 3)), rng.normal(size=4)
    assert_type(convolution.conv2d(x, w, b, stride=2, padding=(1, 1)), NDArray[np.floating])
    np.testing.assert_allclose(convolution.conv2d_loops(x, w), convolution.conv2d_windows(x, w, padding="valid"))
    convolution.conv2d([[[[1, 2], [3, 4]]]], [[[[1]]]])
    convolution.correlate1d([1, 2, 3], np.ones(2), padding="same")
    sizes = [convolution.output_size(28, k, stride=2, padding=2) for k in (3, 5)]
    assert_type(sizes, list[int])
    dx, dw, _ = convolution.conv_backward(convolution.conv2d(x, w), x, w)
    print(dx.shape, dw.mean(), pooling.max_pool(dx, 2, stride=2)[0, 0], convolution.flip(w).swapaxes(0, 1).shape)
    out, cache = layers.conv_forward(x, w, b, stride=1, padding=1)
    print(layers.conv_backward(out, cache)[0].shape, layers.softmax_cross_entropy(np.ones((2, 3)), [0, 1])[0] / 2)
    gradient_check.numerical_gradient(lambda w: float(convolution.conv2d(x, w).sum()), w)
    cat = images.photograph("chelsea", size=96, gray=True)
    filters.apply(cat, filters.gaussian(9, sigma=2) - filters.sobel_x(), border="valid")
    equivariance.equivariance_error(lambda x: convolution.conv2d(x, w), x, 0, 1, wrap=True)
    equivariance.rotate(cat, np.arange(0, 91, 45)[1])
    matrix = toeplitz.matrix(w[0, 0], (6, 6))
    print(matrix.toarray().shape, toeplitz.circulant_distance(toeplitz.shift_matrix(8)))


def network_in_numpy(x: NDArray, labels: NDArray) -> None:
    net = network.Network([network.conv(1, 8, 3, padding=1), network.relu(), network.max_pool(2), network.flatten()])
    history = network.fit(net, x, labels, val=(x, labels), epochs=2, lr=0.05)
    plt.plot(history.train_loss, label=f"{network.accuracy(net, x, labels):.2f}")
    network.save(net, Path("weights.npz"))


def training() -> None:
    data = datasets.load("digits")
    own = datasets.load(Path("my_photographs"), size=(64, 64))
    net = nn.Sequential(Normalise.of(data.train.images), lenet.lenet(channels=1, size=8))
    config = TrainConfig(epochs=3, lr=3e-3, augment=Augment(crop=1), milestones=(0.5, 0.75))
    assert_type(train.fit(net, data.train, TrainConfig(), val=data.val), History)
    with widgets.training_monitor(epochs=3) as monitor:
        history = train.fit(net, data.train, config, val=data.val, verbose=False, on_epoch=monitor, checkpoint="a.pt")
    assert_type(train.accuracy(net, data.test), float)
    wrong = train.predict(net, data.test.images).argmax(axis=1) != data.test.labels
    some = datasets.Split(data.train.images[wrong][:100], data.train.labels[:100])
    train.fit(resnet.resnet_cifar(20), some)
    print(len(some), data.classes[0], own.title, history.epochs[-1].val_accuracy, synthetic.glyphs(10, seed=1).labels)
    history.plot(what="accuracy", label="digits").set_title("What to notice")


def looking_inside(model: nn.Module, x: Tensor) -> None:
    table = trace.table(torchvision.models.resnet18(), (3, 224, 224))
    half = table["conv1"].field / 2
    print(table, table.parameters // 1000, len(table), [row.shape for row in table if row.macs], half)
    stack = stacks.table([stacks.Conv(64, 3, padding=1), stacks.Activation(), stacks.Pool(2)], (3, 32, 32))
    print(stack[-1].field - stack[1].field, stack[-1].centre + 0.5, arithmetic.conv_macs(3, 64, 3, 32, padding=1))
    found = interpret.activations(model, x, ["conv1"])["conv1"][0].numpy()
    interpret.saliency(model, np.ones((1, 3, 8, 8)), torch.tensor([3]))
    top = interpret.top_images(model, "conv1", range(8), x, k=3)
    print(found.max(), top.values.mean(), interpret.grad_cam(model, "conv1", x, 5).shape)
    for run in runs.find("lenet-mnist-*"):
        plt.plot(run.epochs["epoch"], 1 - run.epochs["val_accuracy"], label=run.caption)


def figures(x: NDArray, picture: Tensor) -> None:
    visualize.use_style()
    fig, axes = plt.subplots(1, 3, figsize=(7, 2.5))
    assert_type(visualize.image(axes[0], x, "Chelsea the cat"), Axes)
    visualize.image(axes[0], picture, signed=True)
    visualize.image_grid(axes[1], x[:8], labels=["a", "b"], columns=4, value_range=(0, 1))
    visualize.matrix(axes[2], [[1, 2], [3, 4]], ".0f", highlight=(0, 0, 2, 2))
    visualize.matrix(axes[2], x, highlight=[(0, 0, 1, 1), (1, 1, 1, 1)], muted=x > 0)
    steps = np.arange(1, 6)
    visualize.curves(axes[0], {"three seeds": [[1, 2, 3], [2, 3, 4]], "one": x}, steps, xlabel="step")
    visualize.heatmap(axes[0], x, x=steps, y=[0.5, 1.0], signed=True)
    visualize.bars(axes[0], {"ours": [0.8, 0.9], "theirs": x})
    visualize.show(fig, "In words what is to be seen.")


def checks_and_views() -> None:
    quiz.choice("What is 2 + 2?", ["3", "4"], "4", {"3": "That is 2 + 1.", "4": "Count on from 2."})
    quiz.number("How many weights?", 5 * 5 * 3, "5 * 5 * 3 = 75.", mistakes={25: "Per channel."}, unit="weights")
    claims.state("{dense:,} weights, {share:.1%}.", dense=2_408_448, share=np.float32(0.1))

    def draw(ax: Axes, k: int = 3, kind: str = "box") -> None:
        visualize.image(ax, filters.box(k), kind)

    widgets.explore(draw, k=(1, 9, 2), kind=["box", "gauss"], alt="A filter.", figsize=(7, 2.5))
    widgets.kernel_matrix([[1, 2, 3], [4, 5, 6], [7, 8, 9]], (4, 5))
    widgets.stepping_window(np.ones((6, 6)), filters.sobel_x(), stride=2, padding=(1, 1))
    widgets.kernel_designer()
    widgets.object_mover(np.ones((1, 28, 28)), {"flat": lambda x: np.ones((len(x), 10))}, ("0", "1"), max_shift=8)
    widgets.shape_playground(size=8, kernel=3)
    widgets.stack_builder()


def what_an_editor_must_find(net: nn.Module, data: datasets.Dataset) -> None:
    train.fit(net, data)  # type: ignore[arg-type]  # a data set is three splits: data.train was meant
    train.fit(net, data.train, 10)  # type: ignore[arg-type]  # the number of epochs belongs into a TrainConfig
    TrainConfig(epoch=3)  # type: ignore[call-arg]  # it is called epochs
    train.predict(net, data.test.images / 255)  # type: ignore[arg-type]  # images stay uint8
    data.train.images = data.val.images  # type: ignore[misc]  # splits do not change
    trace.table((3, 224, 224), net)  # type: ignore[arg-type]  # the wrong way round
