"""What used to give a number that means nothing: each is an error now that names its argument, and changes nothing."""

import re
from fractions import Fraction

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import nn
from torch.nn import functional as F

from cnn_course import (
    arithmetic,
    augment,
    checkpoint,
    claims,
    convolution,
    datasets,
    equivariance,
    filters,
    gabor,
    gradient_check,
    images,
    layers,
    network,
    quiz,
    receptive_field,
    runs,
    toeplitz,
    train,
    visualize,
    widgets,
)
from cnn_course.errors import CheckpointError, RunError, TrainingError
from cnn_course.models import mlp, vgg
from cnn_course.models.normalise import Normalise
from cnn_course.training.history import Epoch, History


def net():
    return network.Network([network.flatten(), network.affine(4, 3)], seed=0)


X, LABELS = np.ones((5, 1, 2, 2)), np.array([0, 1, 2, 1, 0])


def parameters():
    return {"w": np.ones((3, 2)), "b": np.ones(2)}


def step(gradients=None, velocity=None, **rates):
    network.sgd_step(parameters(), gradients or parameters(), velocity or parameters(), **({"lr": 0.1} | rates))


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: images.resize(np.full((4, 4), 200), 2), TypeError, "image has dtype int64"),
        (lambda: images.pad(np.ones((2, 2)), 1, value=None), TypeError, "value must be a number, not None"),
        (lambda: images.shift(np.ones((2, 2)), 0, 1, fill="black"), TypeError, "fill must be a number, not 'black'"),
        (lambda: images.pad(np.ones((2, 2), np.uint8), 1, value=300), ValueError, "value is 300, but x holds uint8"),
        (lambda: network.accuracy(net(), X, LABELS + 1), ValueError, "label 3 is out of range"),
        (lambda: network.accuracy(net(), X, LABELS.astype(str)), TypeError, "labels must be an array of integers"),
        (lambda: network.fit(net(), X, LABELS, val=(X, LABELS - 1)), ValueError, "label -1 is out of range"),
        (lambda: network.fit(net(), X, LABELS, val=(X[:, :, :1], LABELS)), ValueError, "shape"),
        (lambda: network.fit(net(), X, LABELS, val=X), ValueError, "val must be a pair (images, labels)"),
        (lambda: step({"w": np.ones(2), "b": np.ones(2)}), ValueError, "gradients['w'] must have the shape"),
        (lambda: step({"w": np.ones((3, 2))}), ValueError, "gradients has no 'b'"),
        (
            lambda: step(velocity={"w": np.ones((3, 2)), "b": np.ones(1)}),
            ValueError,
            "velocity['b'] must have the shape",
        ),
        (lambda: step(lr=float("nan")), ValueError, "lr must be a finite number"),
        (lambda: step(momentum="0.9"), TypeError, "momentum must be a finite number, not '0.9'"),
        (lambda: equivariance.invariance_error(lambda x: None, X, 0, 1), TypeError, "does it end with `return ...`?"),
        (lambda: equivariance.equivariance_error(lambda x: None, X, 0, 1), TypeError, "does it end with `return ...`?"),
        (lambda: equivariance.invariance_error(lambda x: x, X, 0, 2), ValueError, "dx must be less than the 2 pixels"),
        (lambda: equivariance.equivariance_error(lambda x: x, X, -9, 0), ValueError, "dy must be less than the 2 pix"),
        (lambda: equivariance.relative_difference(None, X), TypeError, "a must be an array of"),
        (
            lambda: equivariance.shift_accuracy_map(lambda x: LABELS, X, LABELS.astype(float), 1),
            TypeError,
            "labels must be whole numbers",
        ),
        (
            lambda: equivariance.shift_accuracy_map(lambda x: LABELS.astype(float), X, LABELS, 1),
            TypeError,
            "what predict returns must be whole numbers",
        ),
    ],
)
def test_it_is_said(call, error, says):
    with pytest.raises(error, match=re.escape(says)):
        call()


def test_a_refused_step_changes_nothing():
    w, v = parameters(), parameters()
    with pytest.raises(ValueError, match="gradients"):
        network.sgd_step(w, {"w": np.ones((3, 2)), "b": np.ones(3)}, v, lr=0.1)
    assert all((w[name] == parameters()[name]).all() and (v[name] == parameters()[name]).all() for name in w)


def test_a_shift_that_comes_back_may_be_as_large_as_one_likes():
    assert equivariance.invariance_error(lambda x: x.sum(), X, 7, 9, wrap=True) == 0


@pytest.mark.parametrize("bad", [np.inf, np.nan])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_infinity_in_a_kernel_stays_where_it_belongs(axes, bad):
    """As in PyTorch: only the pixels that the one tap has met are not finite."""
    x, w = np.random.default_rng(0).standard_normal((2, 2, *(5, 4, 4)[:axes])), np.ones((3, 2, *(2, 2, 2)[:axes]))
    w[0, 1].flat[0] = bad
    forward = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[axes]
    there = torch.tensor(x, requires_grad=True)
    out = forward(there, torch.tensor(w), padding=1)
    dout = np.random.default_rng(1).standard_normal(out.shape)
    out.backward(torch.tensor(dout))
    with np.errstate(invalid="ignore"):
        dx, _, _ = convolution.conv_backward(dout, x, w, padding=1)
    np.testing.assert_allclose(dx, there.grad.numpy(), rtol=1e-10)


def test_relu_sends_no_infinity_back_where_it_was_off():
    out, cache = layers.relu_forward(np.array([-1.0, 2.0]))
    assert layers.relu_backward(np.array([np.inf, 3.0]), cache).tolist() == [0.0, 3.0]


# --- what a stranger's misuse found: a value that was taken, or an error that named nothing


def axes():
    return Figure(figsize=(2, 2)).subplots()


def titled(title):
    ax = axes()
    ax.set_title(title)
    return ax.figure


def split(labels=(0, 1), shape=(1, 4, 4)):
    return datasets.Split(np.zeros((len(labels), *shape), np.uint8), np.array(labels))


def network_of(forward, backward=layers.relu_backward, **more):
    mine = network.Layer("mine", forward, backward, **more)
    return network.Network([mine, network.flatten(), network.affine(4, 3)], seed=0)


def weighted(backward):
    return network_of(lambda x, w: (x * w, x), backward, shapes={"w": (1,)})


def logits(batch):
    return np.array([[5.0, -3.0, 20.0]])


WIDE, TALL = np.zeros((1, 1, 4000, 4000), np.float32), np.zeros((512, 1, 1, 1), np.float32)
PICTURE, DIGITS = np.ones((1, 6, 6)) / 2, np.full((2, 28, 28), 9, np.uint8)
HALVES = {"halves": lambda batch: np.full((len(batch), 2), 0.5)}
HUGE, UINT8 = np.arange(9.0).reshape(3, 3) * 1e200, torch.zeros(1, 1, 2, 2, dtype=torch.uint8)
GENERATOR = torch.Generator()


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: arithmetic.output_size(8, torch.tensor(True)), TypeError, "k must be an integer"),
        (lambda: arithmetic.output_size(8, np.ma.array(3, mask=True)), TypeError, "k must be an integer"),
        (lambda: arithmetic.mlp_parameters(range(1, 10**9)), ValueError, "sizes must have at most"),
        (lambda: arithmetic.mlp_parameters(range(1, 10**20)), ValueError, "sizes must have at most"),
        (lambda: claims.state("{x:>3000000000}", x=1), ValueError, "a format in the sentence asks for more than"),
        (lambda: claims.state("{x:c}", x=10**9), ValueError, "a format in the sentence does not fit"),
        (lambda: claims.state("{x:.2f}", x=Fraction(1, 3)), ValueError, "a format in the sentence does not fit"),
        (
            lambda: quiz.number("q", np.uint8(5), "w", 2, mistakes={np.uint8(4): "x"}),
            ValueError,
            "the mistake 4 would count as right",
        ),
        (lambda: convolution.conv2d(WIDE, TALL), ValueError, "w is too large"),
        (lambda: layers.conv_forward(WIDE, TALL), ValueError, "w is too large"),
        (
            lambda: layers.affine_forward(np.zeros((10**6, 1)), np.zeros((10**5, 1)), np.zeros(10**5)),
            ValueError,
            "w is too large",
        ),
        (
            lambda: equivariance.rotation_error(lambda x: x, np.ones((1, 2, 4, 4)), 90, channels=[0, 0]),
            ValueError,
            "channels must name the 2 maps of f",
        ),
        (lambda: filters.separate(np.full((3, 3), 1e308)), ValueError, "kernel holds numbers whose sums are infinite"),
        (lambda: gabor.fit(np.eye(400)), ValueError, "filter is too large"),
        (lambda: images.resize(np.ones((2000, 2000)), 1), ValueError, "size (1, 1) is so much less than"),
        (
            lambda: gradient_check.layer_errors(layers.relu_forward, layers.relu_backward, {1: X}),
            TypeError,
            "in arrays",
        ),
        (lambda: network.predict(network_of(lambda x: x), X[:2]), TypeError, "its forward must give (out, cache)"),
        (
            lambda: weighted(lambda d, c, need_dx: d).loss_and_gradients(X[:2], [0, 1]),
            TypeError,
            "its backward must give (dx, dw)",
        ),
        (
            lambda: weighted(lambda d, c, need_dx: (d, d)).loss_and_gradients(X, LABELS),
            ValueError,
            "its backward must give a dw of the shape of w",
        ),
        (lambda: network.predict(net(), X * 1e39), ValueError, "x, or what net makes of it"),
        (lambda: vgg.first_weights(nn.Sequential(nn.LazyConv2d(3, 3))), ValueError, "net has a lazy layer"),
        (lambda: mlp.mlp(1, [1] * 10**5, 1), ValueError, "hidden must name at most"),
        (lambda: Normalise([0.5], [0.2])(UINT8), TypeError, "x must be floats from 0 to 1"),
        (
            lambda: augment.cutout(torch.ones(2, 1, 4, 4).to_sparse(), 1, GENERATOR),
            TypeError,
            "images must be uint8 or floats, on a device that computes and dense",
        ),
        (
            lambda: datasets.Split(np.ma.zeros((1, 1, 2, 2), np.uint8), np.array([0])),
            TypeError,
            "images are a masked array",
        ),
        (lambda: split(shape=(1, 0, 4)), ValueError, "images must have pixels"),
        (
            lambda: datasets.Dataset("m", "t", ("a",), split((0, 0)), split((0, 7)), split((0, 0))),
            ValueError,
            "val has a label 7, but classes has only 1",
        ),
        (lambda: Epoch(1, "2.0", 0.5, None, None, 0.1, 1.0), TypeError, "train_loss must be a number"),
        (lambda: History([1]).column("lr"), TypeError, "epochs[0] must be an Epoch"),
        (
            lambda: visualize.matrix(axes(), np.ones((2, 3)), highlight=(10, 10, 1, 1)),
            ValueError,
            "highlight must lie on the 2 x 3 cells",
        ),
        (lambda: visualize.curves(axes(), {"a": np.zeros((0, 5))}), ValueError, "series['a'] must hold at least one"),
        (lambda: visualize.curves(axes(), {("a", "b"): [1, 2]}), TypeError, "each name in series must be a text"),
        (lambda: visualize.bars(axes(), {None: [1, 2]}), TypeError, "each name in series must be a text"),
        (lambda: visualize.image_grid(axes(), np.zeros((60_000, 64, 64), np.uint8)), ValueError, "images is too large"),
        (lambda: visualize.image(axes(), np.zeros((16_000, 16_000), np.uint8)), ValueError, "x is too large"),
        (lambda: visualize.png(titled("$x^$")), ValueError, "fig cannot be drawn, perhaps for a title"),
        (lambda: visualize.shrink(Image.new("RGB", (0, 0))), ValueError, "picture must have a pixel"),
        (
            lambda: widgets.object_mover(PICTURE, {"a": logits}, ["a", "b", "c"]),
            ValueError,
            "predictors: 'a' gave an array of shape (1, 3), but for one image and 3 classes it must give finite",
        ),
        (
            lambda: widgets.object_mover(np.full((1, 6, 6), 100), HALVES, ["a", "b"]),
            TypeError,
            "image must be uint8 (0 to 255) or floats",
        ),
        (
            lambda: widgets.draw_digit({"m": lambda i: ({"i": i[0]}, np.array([5.0, -3]))}, DIGITS, classes=["a", "b"]),
            ValueError,
            "models['m'] gave array([ 5., -3.]), but 2 probabilities",
        ),
        (
            lambda: widgets.draw_digit({"m": lambda i: ({}, np.full(2, 0.5))}, DIGITS, classes=["a", "b"]),
            ValueError,
            "models['m'] gave no stage",
        ),
        (lambda: widgets.explore(lambda ax, k="a": None, k=(1, 3)), TypeError, "draw's default of k"),
        (lambda: widgets.explore(lambda ax, k=2.7: None, k=(1, 3)), ValueError, "draw's default of k is 2.7"),
        (
            lambda: widgets.unit_browser(nn.Sequential(nn.Flatten(0)), ["0"], DIGITS[:, None], steps=0),
            ValueError,
            "layers: '0' gives the shape (784,)",
        ),
    ],
)
def test_a_misuse_is_said(call, error, says):
    with pytest.raises(error, match=re.escape(says)):
        call()


@pytest.mark.parametrize("other", ["parameters", "gradients"])
def test_a_velocity_that_is_another_array_too_is_refused(other):
    given = {"parameters": parameters(), "gradients": parameters()}
    with pytest.raises(ValueError, match=rf"velocity\['w'\] is the array in {other}"):
        network.sgd_step(**given, velocity=given[other], lr=0.1, momentum=0.9)
    assert (given["parameters"]["w"] == 1).all()


@pytest.mark.parametrize("scale", [1e200, 1e-200])
def test_numbers_with_squares_beyond_float_are_compared_all_the_same(scale):
    a = np.random.default_rng(0).standard_normal((3, 4, 4))
    assert equivariance.relative_difference([2 * scale], [scale]) == 1
    assert toeplitz.circulant_distance(a[0] * scale) == pytest.approx(toeplitz.circulant_distance(a[0]))
    assert gabor.alike(a * scale) == pytest.approx(gabor.alike(a))


def test_half_precision_does_not_make_a_matrix_circulant():
    a = np.arange(9.0).reshape(3, 3) * 300
    assert toeplitz.circulant_distance(a.astype(np.float16)) == pytest.approx(toeplitz.circulant_distance(a))


def test_a_function_that_changes_its_argument_has_a_gradient_all_the_same():
    assert gradient_check.numerical_gradient(lambda x: np.multiply(x, 2, out=x).sum(), np.ones(3)) == pytest.approx(2)


def test_many_turns_are_none():
    x = np.random.default_rng(0).random((5, 5))
    np.testing.assert_allclose(equivariance.rotate(x, 37 + 360 * 10**13), equivariance.rotate(x, 37))


@pytest.mark.parametrize("kind", [np.int8, np.float64])
def test_a_signed_picture_has_its_range_from_what_is_finite(kind):
    x = np.array([[-128, 64], [0, 0]], kind)
    if kind is np.float64:
        x = np.vstack([x, [[np.nan, np.inf]]])
    ax = visualize.image(axes(), x, signed=True)
    assert np.asarray(ax.images[0].get_array())[:2].tolist() == [[0, 0.75], [0.5, 0.5]]
    assert visualize.heatmap(axes(), x, signed=True).images[0].get_clim() == (-128, 128)


def test_what_was_refused_for_no_reason_is_taken():
    vgg.first_weights(nn.Sequential(nn.Linear(2, 3, bias=False)))
    assert images.resize(np.ones((4, 4), np.longdouble), 2).tolist() == [[1, 1], [1, 1]]
    volume = nn.Sequential(nn.Unflatten(1, (1, 1)), nn.Conv3d(1, 2, (1, 4, 4)), nn.Flatten())
    backwards = split((1, 0, 1))
    object.__setattr__(backwards, "labels", backwards.labels[::-1])
    train.fit(volume, backwards, train.TrainConfig(epochs=1, device="cpu"), verbose=False)


def test_a_model_in_bfloat16_is_browsed():
    model = nn.Sequential(nn.Conv2d(1, 2, 3)).bfloat16()
    assert widgets.unit_browser(model, ["0"], DIGITS[:, None], k=1, steps=0).chosen == [0, 0]


class Keeps(nn.Module):
    """As students write it, to look at the maps later."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)

    def forward(self, x):
        self.seen = self.conv(x)
        return self.seen


def test_a_module_that_keeps_its_maps_is_measured():
    module = Keeps()
    module(torch.ones(1, 1, 5, 5))
    assert receptive_field.measured_field(module, (1, 7, 7)) == ((2, 4), (2, 4))


def test_a_name_that_no_file_can_have_is_no_run(tmp_path):
    with pytest.raises(RunError, match="there is no recorded run"):
        runs.load("a" * 300, tmp_path)
    with pytest.raises(RunError, match="there are no weights"):
        runs.load_weights("a" * 300, nn.Linear(1, 1), tmp_path)
    with pytest.raises(ValueError, match="about holds a text that no file can hold"):
        runs.save_weights("w", nn.Linear(1, 1), {"a": "\ud800"}, tmp_path)


@pytest.mark.parametrize("cell", ['"2', "1" * 200_000])
def test_an_old_table_that_is_none_is_damaged(tmp_path, cell):
    (tmp_path / "a.json").write_text('{"config": {"epochs": 1, "patience": null}}')
    (tmp_path / "a.csv").write_text(f"{','.join(runs.COLUMNS)}\n1,{cell},3,4,5,6,7\n")
    with pytest.raises(RunError, match="is damaged"):
        runs.load("a", tmp_path)


class Own(torch.Tensor):
    pass


@pytest.mark.parametrize(
    "value",
    [torch.ones(2).as_subclass(Own), 10**5000, nn.UninitializedParameter()],
    ids=["a class of its own", "a huge integer", "without a size"],
)
def test_a_checkpoint_that_could_not_be_read_back_is_not_written(tmp_path, value):
    with pytest.raises((TypeError, ValueError), match=r"state\['a'\]"):
        checkpoint.save(tmp_path / "c", {"a": value})
    assert not list(tmp_path.iterdir())


def small():
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 2))


def fit(model, augment=None, **more):
    config = train.TrainConfig(epochs=more.pop("epochs", 1), device="cpu", augment=augment)
    return train.fit(model, split(), config, verbose=False, **more)


@pytest.mark.parametrize(
    ("part", "value"),
    [("history", 3), ("history", ["x"]), ("model", None), ("optimizer", {}), ("order", torch.ones(3)), ("best", 3)],
)
def test_a_checkpoint_that_was_edited_changes_no_model(tmp_path, part, value):
    path = tmp_path / "c"
    fit(small(), checkpoint=path)
    checkpoint.save(path, {**checkpoint.load(path), part: value})
    model = small()
    before = [p.detach().clone() for p in model.parameters()]
    with pytest.raises(CheckpointError, match="checkpoint"):
        fit(model, epochs=2, checkpoint=path)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


@pytest.mark.parametrize("augment", [lambda x, g: x[:, :, :1], lambda x, g: x.to("meta")])
def test_an_augmentation_that_the_model_cannot_take_is_said(augment):
    with pytest.raises(TrainingError, match="model, or what augment"):
        fit(small(), augment)


def test_a_training_that_is_refused_leaves_the_weights_as_they_lay():
    model = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.Flatten(), nn.Linear(48, 2))
    with pytest.raises(ValueError, match="model cannot take images"):
        fit(model)
    assert model[0].weight.is_contiguous()
