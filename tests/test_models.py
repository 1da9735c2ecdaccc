"""Models: exact parameter counts, shapes at every stage, learning eight images by heart, bad input."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from cnn_course import train
from cnn_course.models import alexnet, convert, googlenet, lenet, nin, resnet, vgg
from cnn_course.models.mlp import mlp
from cnn_course.models.normalise import Normalise
from cnn_course.models.shift_cnn import shift_cnn

FOUR_NETS = {
    "MLP": lambda: mlp(28 * 28, 64, 10),
    "CNN + flatten": lambda: shift_cnn(head="flatten"),
    "CNN + global max": lambda: shift_cnn(head="global"),
    "stride-free CNN + global max": lambda: shift_cnn(head="global", downsample="none"),
}


def parameters(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def stages(model: torch.nn.Module, x: torch.Tensor) -> dict[str, tuple[int, ...]]:
    shapes = {}
    for name, child in model.named_children():
        x = child(x)
        shapes[name] = tuple(x.shape)
    return shapes


@pytest.mark.parametrize(
    ("hidden", "count"),
    [(1, (4 + 1) * 1 + (1 + 1) * 3), ((), (4 + 1) * 3), ((5, 2), (4 + 1) * 5 + (5 + 1) * 2 + (2 + 1) * 3)],
)
def test_mlp_parameters_by_hand(hidden, count):
    assert parameters(mlp(4, hidden, 3)) == count


def test_mlp_of_the_source_notes():
    # 426 x 426 grey image, two hidden layers of 16, ten classes.
    with torch.device("meta"):
        assert parameters(mlp(426 * 426, [16, 16], 10)) == 2_904_074


def test_mlp_shapes():
    shapes = stages(mlp(3 * 8 * 6, [20, 15], 4), torch.zeros(2, 3, 8, 6))
    assert list(shapes.values()) == [(2, 144), (2, 20), (2, 20), (2, 15), (2, 15), (2, 4)]


CONVOLUTIONS = (9 + 1) * 8 + (9 * 8 + 1) * 16 + (9 * 16 + 1) * 32


@pytest.mark.parametrize(
    ("head", "downsample", "features"),
    [
        ("flatten", "pool", 7 * 7 * 32),
        ("flatten", "stride", 7 * 7 * 32),
        ("flatten", "none", 28 * 28 * 32),
        ("global", "pool", 32),
        ("global", "stride", 32),
        ("global", "none", 32),
    ],
)
def test_shift_cnn_parameters_by_hand(head, downsample, features):
    assert CONVOLUTIONS == 5_888
    assert parameters(shift_cnn(head=head, downsample=downsample)) == CONVOLUTIONS + (features + 1) * 10


@pytest.mark.parametrize("downsample", ["pool", "stride", "none"])
@pytest.mark.parametrize("head", ["flatten", "global"])
@pytest.mark.parametrize("size", [28, 32, 31, 4])
def test_shift_cnn_shapes(head, downsample, size):
    net = shift_cnn(head=head, downsample=downsample, size=size, channels=3, width=4, classes=7)
    shapes = stages(net, torch.zeros(2, 3, size, size))
    halve = {"pool": lambda n: n // 2, "stride": lambda n: (n + 1) // 2, "none": lambda n: n}[downsample]
    half, quarter = halve(size), halve(halve(size))
    assert shapes["down1"] == (2, 4, half, half)
    assert shapes["down2"] == (2, 8, quarter, quarter)
    assert shapes["relu3"] == (2, 16, quarter, quarter)
    assert shapes["summary"] == ((2, 16) if head == "global" else (2, 16 * quarter * quarter))
    assert shapes["logits"] == (2, 7)


def test_global_head_ignores_position_only_without_downsampling():
    # One bright dot so far from the border that every response to it, and some of the background, stays inside.
    x = torch.zeros(9, 1, 64, 64)
    for i in range(9):
        x[i, 0, 32, 28 + i] = 1
    torch.manual_seed(0)
    free, pooled = (shift_cnn(head="global", downsample=d)(x).detach() for d in ("none", "pool"))
    torch.testing.assert_close(free, free[:1].expand_as(free), rtol=0, atol=1e-6)
    torch.testing.assert_close(pooled[[0, 4]], pooled[[4, 8]], rtol=0, atol=1e-6)
    assert (pooled[1] - pooled[0]).abs().max() > 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("name", FOUR_NETS)
def test_overfits_eight_images(name):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (8, 1, 28, 28), dtype=np.uint8)
    data = type("Eight", (), {"images": images, "labels": np.arange(8)})()
    torch.manual_seed(0)
    model = FOUR_NETS[name]()
    history = train.fit(model, data, train.TrainConfig(epochs=150, batch_size=8, lr=0.01, device="cpu"), verbose=False)
    assert train.accuracy(model, data) == 1.0
    assert history.epochs[-1].train_loss < 0.1 < 1.5 < history.epochs[0].train_loss


def test_normalise_by_hand():
    images = np.array([[[[0, 255]], [[51, 51]]], [[[0, 255]], [[51, 51]]]], dtype=np.uint8)
    layer = Normalise.of(images)
    assert layer.mean.flatten().tolist() == pytest.approx([0.5, 0.2])
    # The second channel is one grey: it is centred, and not divided by zero.
    expected = torch.tensor([[-1.0, 1.0], [0.0, 0.0]]).reshape(1, 2, 1, 2)
    torch.testing.assert_close(layer(torch.tensor(images[:1]) / 255), expected, rtol=0, atol=1e-5)
    assert parameters(layer) == 0 and set(layer.state_dict()) == {"mean", "std"}


def test_normalised_images_have_mean_0_and_deviation_1():
    images = np.random.default_rng(0).integers(0, 200, (20, 3, 5, 4), dtype=np.uint8)
    x = Normalise.of(images)(torch.tensor(images) / 255)
    torch.testing.assert_close(x.mean(dim=(0, 2, 3)), torch.zeros(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(x.std(dim=(0, 2, 3), correction=0), torch.ones(3), rtol=1e-4, atol=0)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: mlp(0, 4, 2), "in_features must be an integer of at least 1, not 0"),
        (lambda: mlp(4, [3, -1], 2), r"hidden\[1\] must be an integer of at least 1, not -1"),
        (lambda: shift_cnn(head="average"), "head must be one of 'flatten', 'global', not 'average'"),
        (lambda: shift_cnn(downsample="blur"), "downsample must be one of .* not 'blur'"),
        (lambda: shift_cnn(size=3), "at least 4 pixels wide"),
        (lambda: shift_cnn(width=0), "width must be an integer of at least 1, not 0"),
        (lambda: Normalise.of(np.zeros((2, 3, 4), np.uint8)), r"\(N, C, H, W\), but has 3 \(shape \(2, 3, 4\)\)"),
        (lambda: Normalise.of(np.zeros((0, 1, 4, 4), np.uint8)), "at least one image"),
        (lambda: Normalise([0.5], [1.0, 1.0]), "1 means and 2 deviations"),
        (lambda: Normalise([0.5], [0.0]), r"std\[0\] must be a finite number, at least 1e-30"),
    ],
)
def test_bad_sizes(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_a_grey_picture_does_not_become_three_channels():
    three, one = Normalise([0.5] * 3, [0.2] * 3), Normalise([0.5], [0.2])
    assert three(torch.zeros(2, 3, 4, 4)).shape == (2, 3, 4, 4) and one(torch.zeros(2, 1, 4, 4)).shape == (2, 1, 4, 4)
    assert one(torch.zeros(2, 3, 4, 4)).shape == (2, 3, 4, 4), "one number for all channels is a choice"
    for layer, shape in ((three, (2, 1, 4, 4)), (three, (3, 4, 4)), (three, (2, 3)), (one, (4, 4))):
        with pytest.raises(ValueError, match=r"x must have shape \(N, [13], H, W\)"):
            layer(torch.zeros(shape))


HUGE = 10**6


@pytest.mark.parametrize(
    ("build", "named"),
    [
        (lambda: mlp(HUGE, HUGE, 10), "in_features|hidden"),
        (lambda: mlp(784, [10, 10**9], 10), "hidden"),
        (lambda: mlp(784, 10, 10**400), "classes"),
        (lambda: shift_cnn(size=HUGE), "size"),
        (lambda: shift_cnn(width=HUGE, head="global"), "width"),
        (lambda: lenet.lenet(size=HUGE), "size"),
        (lambda: lenet.lenet(channels=10**9), "channels"),
        (lambda: lenet.TableConv2d(6, lenet.C3_TABLE, HUGE), "k"),
        (lambda: resnet.resnet_cifar(20, width=HUGE), "width"),
        (lambda: resnet.BasicBlock(HUGE, HUGE), "c_in"),
        (lambda: vgg.stage(3, 2, HUGE), "c_out"),
        (lambda: vgg.stages([1, 1], [2, HUGE]), "channels"),
        (lambda: vgg.vgg16(10**8), "classes"),
        (lambda: alexnet.alexnet(10**8), "classes"),
        (lambda: googlenet.googlenet(10**8), "classes"),
        (lambda: googlenet.Inception(8, 8, 8, 8, 8, 8, 8, kernel=HUGE + 1), "kernel"),
        (lambda: nin.mlpconv(3, (HUGE, HUGE, 3), 1), "widths"),
    ],
)
def test_a_network_larger_than_the_memory_is_refused_before_it_is_built(build, named):
    with pytest.raises(ValueError, match=rf"^({named}) is too large: .* GiB are allowed"):
        build()


@pytest.mark.parametrize(
    ("build", "named"),
    [
        (lambda: vgg.vgg(11, batch_norm="no"), "batch_norm"),
        (lambda: vgg.stages([1], [2], "no"), "batch_norm"),
        (lambda: lenet.lenet(batch_norm="no"), "batch_norm"),
        (lambda: googlenet.googlenet(aux="no"), "aux"),
        (lambda: googlenet.GoogLeNet(published="no"), "published"),
        (lambda: googlenet.unit(1, 2, 3, norm="no"), "norm"),
        (lambda: resnet.resnet50(early_stride="no"), "early_stride"),
        (lambda: resnet.resnet_cifar(8, residual="no"), "residual"),
    ],
)
def test_no_does_not_count_as_yes(build, named):
    with pytest.raises(TypeError, match=f"{named} must be True or False, not 'no'"):
        build()


def test_a_sum_of_two_shapes_needs_a_shortcut():
    """One channel would be added to all four, in silence."""
    for block in (resnet.BasicBlock, resnet.Bottleneck):
        with pytest.raises(ValueError, match="shortcut is None, but x cannot be added as it is: with c_in 1"):
            block(1, 4)
    assert resnet.BasicBlock(1, 4, residual=False)(torch.zeros(2, 1, 3, 3)).shape == (2, 4, 3, 3)


def test_parts_of_lenet_start_with_numbers_not_with_what_the_memory_held():
    x = torch.rand(2, 3, 6, 6)
    torch.testing.assert_close(lenet.Subsample(3)(x), F.avg_pool2d(x, 2))
    assert lenet.TableConv2d(3, [[0, 1], [2]], 3)(x).eq(0).all()


@pytest.mark.parametrize(
    ("state", "like", "error", "message"),
    [
        ([torch.ones(2)], torch.nn.PReLU(), TypeError, "state must be a state dict"),
        ({"a": [1.0]}, torch.nn.PReLU(), TypeError, r"state\['a'\] must be a tensor"),
        ({}, torch.nn.PReLU, TypeError, "like must be a torch.nn.Module, not the class PReLU"),
        ({"a": torch.ones(2, 3), "b": torch.ones(2)}, torch.nn.LazyLinear(2), ValueError, "like has a lazy layer"),
    ],
)
def test_states_that_are_none(state, like, error, message):
    with pytest.raises(error, match=message):
        convert.renamed(state, like)
