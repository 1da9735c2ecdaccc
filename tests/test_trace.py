import drawn_stacks
import pytest
import torch
import torchvision
from hypothesis import assume, given, settings
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from cnn_course import stacks, trace
from cnn_course.models.mlp import mlp
from cnn_course.models.normalise import Normalise
from cnn_course.models.shift_cnn import shift_cnn

PUBLISHED = {
    "alexnet": (61_100_840, 195),
    "vgg16": (138_357_544, 212),
    "googlenet": (6_624_904, 379),
    "resnet18": (11_689_512, 435),
    "resnet34": (21_797_672, 899),
    "resnet50": (25_557_032, 427),
    "resnet101": (44_549_160, 971),
    "resnet152": (60_192_808, 1451),
}


def published(name):
    options = {"init_weights": False, "aux_logits": True} if name == "googlenet" else {}
    with torch.device("meta"):
        return getattr(torchvision.models, name)(weights=None, **options).eval()


class Function(nn.Module):
    """A module whose forward pass is one function of x; with a parameter, so that it is like any other."""

    def __init__(self, function):
        super().__init__()
        self.function, self.conv, self.fc = function, nn.Conv2d(3, 3, 3, padding=1), nn.Linear(3, 2)

    def forward(self, x):
        return self.function(self, x)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_networks(name):
    parameters, field = PUBLISHED[name]
    net = published(name)
    table = trace.table(net, (3, 224, 224))
    assert table.parameters == parameters
    maps = [row for row in table if len(row.shape) == 3 and row.shape[1] > 1]
    assert maps[-1].field == field and maps[-1].jump == 32
    with FlopCounterMode(display=False) as counter:
        net(torch.empty(1, 3, 224, 224, device="meta"))
    assert 2 * table.macs == counter.get_total_flops()
    assert table[-1].shape == (1000,)


def test_auxiliary_heads_belong_to_training():
    net = published("googlenet")
    assert trace.table(net, (3, 224, 224)).note == (
        "6,379,984 parameters belong to no layer of this forward pass: aux1, aux2."
    )
    training = trace.table(net.train(), (3, 224, 224))
    assert training.parameters == 13_004_888 and training.note == ""


def test_batch_norm_has_parameters_and_rows_have_names():
    table = trace.table(published("resnet50"), (3, 224, 224))
    assert table["bn1"].parameters == 128 and table["bn1"].macs == 0
    assert table["conv1"].layer == "Conv 7×7, 64 channels, stride 2, padding 3, no bias"
    assert table["layer1.0.add"].field == 19 and table["layer4.2.conv3"].shape == (2048, 7, 7)
    assert trace.table(published("googlenet"), (3, 224, 224))["inception3a.cat"].shape == (256, 28, 28)


@pytest.mark.slow
@settings(max_examples=150)
@given(drawn_stacks.networks())
def test_against_stacks(drawn):
    layers, shape = drawn
    try:
        expected = stacks.table(layers, shape)
    except ValueError:
        assume(False)
    net = drawn_stacks.torch_module(layers, shape)
    net(torch.zeros(1, *shape))
    table = trace.table(net, shape)
    found, wanted = ([(r.shape, r.axes, r.parameters, r.macs) for r in rows] for rows in (table, expected))
    assert found == wanted
    assert (table.parameters, table.macs) == (expected.parameters, expected.macs)


def test_the_networks_of_the_course():
    for options in ({}, {"head": "global"}, {"downsample": "stride"}, {"downsample": "none", "head": "global"}):
        net = nn.Sequential(Normalise([0.5], [0.2]), shift_cnn(**options))
        table = trace.table(net, (1, 28, 28))
        assert table.parameters == sum(p.numel() for p in net.parameters()) and table[-1].shape == (10,)
    assert trace.table(mlp(784, [30, 20], 10), (1, 28, 28)).parameters == 784 * 30 + 30 + 30 * 20 + 20 + 20 * 10 + 10


def test_branches_see_what_any_branch_sees():
    net = nn.Sequential(Function(lambda self, x: x + self.conv(x)))
    assert trace.table(net, (3, 9, 9))[-1].field == 3

    def forward(self, x):
        return torch.cat([F.max_pool2d(x, 3, 1, 1), F.avg_pool2d(x, 1), self.conv(self.conv(x)), x], dim=1)

    table = trace.table(Function(forward), (3, 9, 9))
    assert table["max_pool2d"].layer == "Max pool 3×3, stride 1, padding 1" and table["max_pool2d"].field == 3
    assert table[-1].shape == (12, 9, 9) and table[-1].field == 5 and table[-1].centre == 0
    assert table.parameters == 84, "a layer that is used twice has its parameters once"
    assert table.macs == 2 * 81 * 81


@pytest.mark.parametrize(
    "function",
    [
        lambda self, x: self.fc(x.mean((2, 3))),
        lambda self, x: self.fc(F.adaptive_avg_pool2d(F.relu(self.conv(x)), 1).flatten(1)),
        lambda self, x: self.fc(torch.flatten(F.adaptive_avg_pool2d(x, (1, 1)), 1)),
        lambda self, x: self.fc(F.dropout(x.mean([-2, -1], keepdim=True).view(x.size(0), -1))),
        lambda self, x: self.fc((x.relu() * 2 - 1).mean((2, 3)).reshape(x.shape[0], -1)),
    ],
)
def test_ways_to_write_a_head(function):
    table = trace.table(Function(function), (3, 9, 9))
    assert table[-1].shape == (2,) and table[-1].field == (11 if any(r.name == "conv" for r in table) else 9)


def test_uneven_adaptive_pool():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(32, 2))
    table = trace.table(net, (1, 11, 11))  # 9 units in 4 windows of up to 3
    assert table[2].jump is None and table[2].field == 5 and table[-1].field == 11
    even = trace.table(nn.Sequential(nn.AdaptiveMaxPool2d(4)), (1, 12, 12))[-1]
    assert even.jump == 3 and even.field == 3
    net = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Conv2d(1, 2, 3))
    with pytest.raises(ValueError, match=r"^1 \(Conv2d\): its inputs are unevenly spaced"):
        trace.table(net, (1, 11, 11))
    assert trace.table(published("vgg16"), (3, 32, 32)).parameters == 138_357_544


@pytest.mark.parametrize(
    ("net", "shape", "message"),
    [
        (
            nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(5, 4, 3)),
            (3, 9, 9),
            r"its in_channels is 5, but its input has 4 \(module Sequential, input_shape \(3, 9, 9\)\)$",
        ),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(5)), (3, 9, 9), r"^1 \(BatchNorm2d\): its num_features is 5"),
        (nn.Sequential(nn.Conv2d(3, 4, 5)), (3, 4, 4), r"^0 \(Conv2d\):"),
        (nn.Sequential(nn.ConvTranspose2d(3, 4, 3)), (3, 4, 4), r"^0 \(ConvTranspose2d\): this kind of layer is not"),
        (nn.Sequential(nn.Linear(9, 4)), (3, 9, 9), r"^0 \(Linear\): it needs a flat input"),
        (
            nn.Sequential(nn.Flatten(), nn.Linear(9, 4)),
            (3, 9, 9),
            r"its in_features is 9, but its input has 243 \(module Sequential, input_shape \(3, 9, 9\)\)$",
        ),
        (nn.Sequential(nn.Flatten(2)), (3, 9, 9), "only flattening everything but the batch"),
        (Function(lambda self, x: torch.flatten(x)), (3, 9, 9), "only flattening everything"),
        (Function(lambda self, x: x.transpose(2, 3)), (3, 9, 9), "transpose .*: this operation is not known here"),
        (Function(lambda self, x: self.conv(x) if x.sum() > 0 else x), (3, 9, 9), "Function cannot be traced.*values"),
        (Function(lambda self, x: x + F.avg_pool2d(x, 1, 2)), (3, 9, 9), r"^add \(add\): .*broadcast"),
        (nn.Sequential(nn.Flatten(), nn.LazyLinear(4)), (3, 9, 9), "a lazy layer without a size yet"),
        (nn.Sequential(nn.GroupNorm(1, 3)), (3, 9, 9), r"^0 \(GroupNorm\): this kind of layer is not known"),
        (nn.Conv2d(3, 4, 3), (0, 9, 9), r"input_shape\[0\] must be"),
        (nn.Conv2d(3, 4, 3), (), "input_shape is empty"),
    ],
)
def test_bad_input(net, shape, message):
    with pytest.raises(ValueError, match=message):
        trace.table(net, shape)


def test_branches_must_agree():
    class TwoSteps(nn.Module):
        def __init__(self):
            super().__init__()
            self.fine, self.coarse = nn.Conv2d(3, 3, 3, 1, 1), nn.AdaptiveAvgPool2d(5)

        def forward(self, x):
            return self.fine(x) + self.coarse(x)

    assert trace.table(TwoSteps(), (3, 5, 5))[-1].field == 3

    class Misfit(TwoSteps):
        def forward(self, x):
            return torch.cat([self.fine(x)[:, :1], self.fine(x)], 1)

    with pytest.raises(ValueError, match="getitem .*not known here"):
        trace.table(Misfit(), (3, 5, 5))


def test_the_module_is_left_as_it_is():
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    before = {name: value.clone() for name, value in net.state_dict().items()}
    trace.table(net, (1, 9, 9))
    assert net.training and all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


class Switch(nn.Module):
    """One network with a pool that gives a tuple, of which the rest takes the first."""

    def __init__(self, pool):
        super().__init__()
        self.first, self.pool, self.last = nn.Conv2d(3, 4, 3), pool, nn.Conv2d(4, 5, 3)

    def forward(self, x):
        return self.last(self.pool(self.first(x))[0])


def test_a_layer_that_gives_a_tuple_is_refused_not_dropped_with_all_that_follows():
    net = Switch(nn.MaxPool2d(2, return_indices=True))
    with pytest.raises(ValueError, match=r"^pool \(MaxPool2d\): it gives a tuple"):
        trace.table(net, (3, 12, 12))
    with pytest.raises(ValueError, match=r"it gives a tuple"):
        trace.table(Function(lambda self, x: self.conv(torch.split(x, 3, dim=1)[0])), (6, 9, 9))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_weights_of_any_dtype(dtype):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(196, 2))
    expected = trace.table(net, (3, 9, 9))
    assert trace.table(net.to(dtype), (3, 9, 9)) == expected
    net[0].float()  # mixed
    assert trace.table(net, (3, 9, 9)) == expected
    assert net[4].weight.dtype == dtype, "the module is left as it is"


def test_broadcasting_is_no_layer():
    net = nn.Sequential(Normalise([0.5] * 3, [0.2] * 3), nn.Conv2d(3, 2, 3))
    assert trace.table(net, (3, 9, 9))[-1].shape == (2, 7, 7)
    with pytest.raises(ValueError, match="it makes 3×9×9 of 1×9×9"):
        trace.table(net, (1, 9, 9))


@pytest.mark.parametrize(
    ("module", "shape", "error", "message"),
    [
        (nn.ReLU, (3, 9, 9), TypeError, r"module must be a module, not the class ReLU: make one with ReLU\(...\)"),
        (None, (3, 9, 9), TypeError, "module must be a torch.nn.Module, not None"),
        (nn.ReLU(), 9, TypeError, "input_shape must be a shape"),
        (nn.ReLU(), "399", TypeError, "input_shape must be a shape"),
        (nn.Conv2d(3, 4, 3), (10**9, 10**9, 10**9), ValueError, "input_shape"),
        (Function(lambda self, x: self.nothing(x)), (3, 9, 9), ValueError, "the module Function cannot be traced"),
    ],
)
def test_what_is_no_module_or_no_shape(module, shape, error, message):
    with pytest.raises(error, match=message):
        trace.table(module, shape)
