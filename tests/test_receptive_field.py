import drawn_stacks
import numpy as np
import pytest
import torch
import torchvision
from hypothesis import assume, given, settings
from torch import nn

from cnn_course import stacks, trace
from cnn_course.receptive_field import gradient_map, measured_field, spread


def width(extent):
    return extent[1] - extent[0] + 1


def test_by_hand():
    # The unit at (4, 4) of a 3x3 convolution without padding looks at rows and columns 4 to 6.
    assert measured_field(nn.Conv2d(2, 3, 3), (2, 11, 11)) == ((4, 6), (4, 6))
    assert measured_field(nn.Conv2d(2, 3, (1, 5), padding=(0, 2)), (2, 9, 9), (0, 0)) == ((0, 0), (0, 2))
    assert measured_field(nn.Sequential(nn.Conv1d(1, 1, 3, dilation=2), nn.MaxPool1d(2)), (1, 16)) == ((6, 11),)
    assert measured_field(nn.AdaptiveMaxPool2d(1), (1, 5, 7)) == ((0, 4), (0, 6))
    assert measured_field(nn.Sequential(nn.Flatten(), nn.Linear(35, 2)), (1, 5, 7), ()) == ((0, 4), (0, 6))


def test_the_module_is_left_as_it_is():
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    net(torch.randn(8, 1, 9, 9))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    measured_field(net, (1, 9, 9))
    gradient_map(net, torch.randn(2, 1, 9, 9))
    assert net.training and all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters())


@pytest.mark.slow
@settings(max_examples=120)
@given(drawn_stacks.maps(size=(14, 40)))
def test_drawn_stacks_against_the_recurrence(drawn):
    layers, shape = drawn
    try:
        axes = stacks.table(layers, shape)[-1].axes
    except ValueError:
        assume(False)
    # The first unit, in every direction, whose field lies inside: padding has no gradient.
    unit = [max(0, -(axis.left // axis.jump)) for axis in axes]
    firsts = [axis.left + u * axis.jump for u, axis in zip(unit, axes, strict=True)]
    extents = [(first, first + axis.field - 1) for first, axis in zip(firsts, axes, strict=True)]
    assume(all(u < axis.size for u, axis in zip(unit, axes, strict=True)))
    assume(all(last < n for (_, last), n in zip(extents, shape[1:], strict=True)))
    assert measured_field(drawn_stacks.torch_module(layers, shape), shape, unit) == tuple(extents)


@pytest.mark.parametrize(
    ("name", "size", "field"),
    [
        ("alexnet", 256, 195),
        pytest.param("vgg16", 256, 212, marks=pytest.mark.slow),
        ("resnet18", 512, 435),
        pytest.param("resnet50", 512, 427, marks=pytest.mark.slow),
        ("googlenet", 448, 379),
    ],
)
def test_published_networks(name, size, field):
    options = {"init_weights": False, "aux_logits": False} if name == "googlenet" else {}
    net = getattr(torchvision.models, name)(weights=None, **options)
    if hasattr(net, "features"):
        body = net.features
    else:
        children = dict(net.named_children())
        body = nn.Sequential(*(children[n] for n in children if n not in ("avgpool", "dropout", "fc", "aux1", "aux2")))
    # One axis tells it all, so the picture is a strip: a few columns wide.
    shape = (3, size, 64)
    axis = trace.table(body, shape)[-1].axes[0]
    unit = axis.size // 2
    rows, _ = measured_field(body, shape)
    assert width(rows) == axis.field == field
    assert rows[0] == axis.left + unit * axis.jump


def test_linear_theory_of_equal_weights():
    # Fourteen 3x3 convolutions of one channel with all weights equal: the field is the 14-fold sum of {-1, 0, 1}.
    net = nn.Sequential(*[nn.Conv2d(1, 1, 3, bias=False) for _ in range(14)])
    for p in net.parameters():
        nn.init.constant_(p, 1 / 9)
    gradient = np.sqrt(gradient_map(net, torch.zeros(1, 1, 31, 31)))
    np.testing.assert_allclose(spread(gradient), np.sqrt(14 * 2 / 3), rtol=1e-5)


def test_gradient_map_against_differences():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Tanh(), nn.Conv2d(3, 2, 3, stride=2)).double()
    x = torch.randn(2, 2, 9, 9, dtype=torch.float64)
    expected, step = np.zeros((9, 9)), 1e-6
    for i in range(2):
        for c, r, s in np.ndindex(2, 9, 9):
            moved = torch.zeros_like(x)
            moved[i, c, r, s] = step
            with torch.no_grad():
                change = (net(x + moved) - net(x - moved))[i, 1, 1, 2] / (2 * step)
            expected[r, s] += float(change) ** 2 / 2
    np.testing.assert_allclose(gradient_map(net, x, (1, 2), channel=1), expected, rtol=1e-6, atol=1e-15)


def test_spread():
    assert spread(np.ones(3)) == pytest.approx((np.sqrt(2 / 3),))
    assert spread(np.eye(1, 5)) == (0, 0)
    assert spread(np.outer([1, 0, 1], [0, 3, 0])) == pytest.approx((1, 0))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: measured_field(nn.Conv2d(1, 1, 3), (1, 9, 9), (7, 0)), r"unit \(7, 0\) does not exist.*\(7, 7\)"),
        (lambda: measured_field(nn.Conv2d(1, 1, 3), (1, 9, 9), (1,)), r"unit \(1,\) does not exist"),
        (lambda: measured_field(nn.Conv2d(1, 1, 1, padding=2), (1, 5, 5), (0, 0)), "all of its field is padding"),
        (lambda: measured_field(nn.MaxPool2d(2, dilation=2), (1, 5, 5)), "dilation or indices"),
        (lambda: measured_field(nn.Conv2d(1, 1, 3, device="meta"), (1, 9, 9)), "on the meta device"),
        (lambda: gradient_map(nn.Conv2d(1, 1, 3), torch.zeros(1, 1, 9, 9), (0, 9)), "does not exist"),
        (lambda: spread(np.zeros(4)), "not zero"),
        (lambda: spread(np.array([1.0, -1.0, 3.0])), "no negative weight"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: measured_field(nn.Conv2d(1, 1, 3), (5, 5)),
            ValueError,
            "does not take input_shape .*2 axes",
        ),
        (lambda: measured_field(nn.AdaptiveMaxPool2d(1), (5, 7)), ValueError, "does not take input_shape"),
        (lambda: measured_field(nn.Linear(5, 2), (5,)), ValueError, "input_shape must be"),
        (lambda: measured_field(nn.Conv2d(1, 1, 3), "199"), TypeError, "input_shape must be a shape"),
        (lambda: measured_field(nn.Conv2d(1, 1, 3), (1, 10**6, 10**6)), ValueError, "input_shape is too large"),
        (lambda: measured_field(nn.Conv2d(1, 1, 3), (1, 9, 9), "34"), TypeError, "unit must be a position"),
        (lambda: measured_field(nn.Conv2d(1, 1, 3), (1, 9, 9), (0.5, 1)), TypeError, r"unit\[0\] must be an integer"),
        (lambda: measured_field(nn.Conv2d, (1, 9, 9)), TypeError, "module must be a module, not the class Conv2d"),
        (lambda: measured_field(nn.LSTM(3, 2), (4, 3)), ValueError, "must give a map .* gives a tuple"),
        (lambda: gradient_map(nn.Conv2d(1, 2, 3), torch.zeros(1, 1, 9, 9), channel=2), ValueError, "channel must be"),
        (lambda: gradient_map(nn.Conv2d(1, 2, 3), torch.zeros(1, 9)), ValueError, "x must have shape"),
        (
            lambda: gradient_map(nn.Conv2d(1, 1, 3), torch.zeros(1, 9, 9)),
            ValueError,
            "does not take x of shape .*2 axes",
        ),
        (lambda: gradient_map(nn.Conv2d(1, 2, 3), None), TypeError, "x must be an array"),
        (lambda: spread(np.array([1.0, np.inf])), ValueError, "weights must be a finite map"),
        (lambda: spread(np.float64(3)), ValueError, "weights must be"),
        (lambda: spread("3"), TypeError, "weights must be an array"),
    ],
)
def test_nothing_is_silently_wrong(call, error, message):
    with pytest.raises(error, match=message):
        call()
