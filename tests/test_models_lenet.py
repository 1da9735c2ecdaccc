"""LeNet as published and in its modern form: counts, shapes, the connection table, the output, learning by heart."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from cnn_course import arithmetic, trace, train
from cnn_course.models import lenet as module
from cnn_course.models.lenet import C3_TABLE, Distances, ScaledTanh, Subsample, TableConv2d, bitmaps, lenet, lenet5

PUBLISHED = {"c1": 156, "s2": 12, "c3": 1_516, "s4": 32, "c5": 48_120, "f6": 10_164, "output": 0}
MODERN = {"c1": 156, "s2": 0, "c3": 2_416, "s4": 0, "c5": 48_120, "f6": 10_164, "output": 850}


def parameters(model):
    return sum(p.numel() for p in model.parameters())


def stages(net, x):
    shapes = {}
    for name, child in net.named_children():
        x = child(x)
        shapes[name] = tuple(x.shape[1:])
    return shapes


def test_published_parameters_and_shapes():
    net = lenet5()
    assert {name: parameters(net.get_submodule(name)) for name in PUBLISHED} == PUBLISHED
    assert parameters(net) == 60_000
    shapes = stages(net, torch.zeros(2, 1, 32, 32))
    assert [shapes[name] for name in PUBLISHED] == [
        (6, 28, 28), (6, 14, 14), (16, 10, 10), (16, 5, 5), (120, 1, 1), (84,), (10,)
    ]  # fmt: skip


def test_published_connections():
    # The paper counts 340,908: every output number has its inputs and its bias, a distance has its 84 inputs.
    units = {"c1": 6 * 28 * 28 * 26, "s2": 6 * 14 * 14 * 5, "c5": 120 * 401, "f6": 84 * 121, "output": 84 * 10}
    units |= {"c3": sum((25 * len(row) + 1) * 100 for row in C3_TABLE), "s4": 16 * 5 * 5 * 5}
    assert sum(units.values()) == 340_908


def test_modern_parameters_shapes_and_macs():
    table = trace.table(lenet(), (1, 28, 28))
    assert {name: table[name].parameters for name in MODERN} == MODERN
    assert (table.parameters, table.macs) == (61_706, 416_520)
    expected = [(6, 28, 28), (6, 14, 14), (16, 10, 10), (16, 5, 5), (120,), (84,), (10,)]
    assert [table[name].shape for name in MODERN] == expected


def test_the_table_of_sizes_adds_up():
    lines = [line.split("|")[1:-1] for line in module.__doc__.splitlines() if line.startswith("| ")][2:]
    rows = {line[0].strip(): [cell.strip() for cell in line[1:]] for line in lines}
    for column, counts in ((1, PUBLISHED), (4, MODERN)):
        assert {name: int(rows[name][column].replace(",", "")) for name in counts} == counts
    assert (rows["all"][1], rows["all"][4], rows["all"][5]) == ("60,000", "61,706", "416,520")
    c3 = arithmetic.conv_macs(1, 1, 5, 14) * sum(map(len, C3_TABLE))
    macs = [arithmetic.conv_macs(1, 6, 5, 32), c3, arithmetic.conv_macs(16, 120, 5, 5), arithmetic.linear_macs(120, 84)]
    assert [int(rows[name][2].replace(",", "")) for name in ("c1", "c3", "c5", "f6")] == macs
    assert int(rows["all"][2].replace(",", "")) == sum(macs)


def test_c3_table_is_that_of_the_paper():
    assert [len(row) for row in C3_TABLE] == [3] * 6 + [4] * 9 + [6]
    assert sum(map(len, C3_TABLE)) == 60
    assert [sum(c in row for row in C3_TABLE) for c in range(6)] == [10] * 6
    assert len(set(C3_TABLE)) == 16


def test_table_convolution_equals_one_convolution_per_map(agreement):
    torch.manual_seed(0)
    net = lenet5()
    x = torch.randn(3, 6, 14, 14)
    start, maps = 0, []
    for o, row in enumerate(C3_TABLE):
        kernels = net.c3.weight[start : start + len(row)]
        maps.append(F.conv2d(x[:, list(row)], kernels[None], net.c3.bias[o : o + 1]))
        start += len(row)
    agreement("TableConv2d", net.c3(x).detach(), torch.cat(maps, dim=1).detach(), 1e-5)
    seen = (net.c3.dense() != 0).any(dim=(2, 3))
    assert seen.tolist() == [[c in row for c in range(6)] for row in C3_TABLE]


def test_a_full_table_is_an_ordinary_convolution(agreement):
    torch.manual_seed(0)
    sparse, dense = TableConv2d(4, [range(4)] * 5, 3), torch.nn.Conv2d(4, 5, 3)
    with torch.no_grad():
        sparse.weight.copy_(dense.weight.flatten(0, 1))
        sparse.bias.copy_(dense.bias)
    x = torch.randn(2, 4, 6, 7)
    agreement("TableConv2d, full", sparse(x).detach(), dense(x).detach(), 1e-5)


def test_subsample_by_hand():
    layer = Subsample(2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([0.5, -1.0]))
        layer.bias.copy_(torch.tensor([1.0, 0.25]))
    x = torch.arange(8.0).reshape(1, 2, 2, 2)
    assert layer(x).flatten().tolist() == [0.5 * 6 + 1, -22 + 0.25]


def test_squashing_maps_one_to_one():
    x = torch.tensor([-100.0, -1.0, 0.0, 1.0, 100.0])
    torch.testing.assert_close(ScaledTanh()(x), torch.tensor([-1.7159, -1, 0, 1, 1.7159]), rtol=0, atol=1e-4)


def test_distances_by_hand_and_as_a_linear_layer(agreement):
    points = torch.tensor([[1.0, -1.0], [1.0, 1.0]])
    assert Distances(points)(torch.tensor([[1.0, -1.0], [0.0, 2.0]])).tolist() == [[0, -4], [-10, -2]]
    x, fixed = torch.randn(5, 84), bitmaps().flatten(1)
    linear = 2 * x @ fixed.T - 84 - x.square().sum(dim=1, keepdim=True)
    agreement("Distances", Distances(fixed)(x), linear, 1e-5)


def test_bitmaps_are_ten_different_drawings():
    drawn = bitmaps()
    assert drawn.shape == (10, 12, 7) and set(drawn.unique().tolist()) == {-1.0, 1.0}
    apart = (drawn.flatten(1)[:, None] != drawn.flatten(1)).sum(dim=2) + 99 * torch.eye(10)
    assert apart.min() >= 10
    ink = (drawn > 0).sum(dim=(1, 2))
    assert 15 <= ink.min() and ink.max() <= 40


def test_logits_point_at_the_bitmap():
    logits = lenet5().output(bitmaps().flatten(1))
    assert logits.argmax(dim=1).tolist() == list(range(10))
    assert logits.diagonal().tolist() == [0] * 10 and logits.max() <= 0


def test_first_weights_are_within_the_fan_in():
    net = lenet5()
    for name, inputs in {"c1": 25, "s2": 4, "s4": 4, "c5": 400, "f6": 120}.items():
        for parameter in net.get_submodule(name).parameters():
            assert 0 < parameter.abs().max() <= 2.4 / inputs, name
    limits = torch.tensor([2.4 / (25 * len(row)) for row in C3_TABLE])
    assert (net.c3.bias.abs() <= limits).all()
    assert (net.c3.dense().abs().amax(dim=(1, 2, 3)) <= limits).all()
    assert net.c3.weight.abs().max() > 2.4 / 100


@pytest.mark.parametrize("build", [lenet5, lenet, lambda: lenet(batch_norm=True, dropout=0.2)])
def test_state_dict_goes_over(build):
    one, two = build().eval(), build().eval()
    two.load_state_dict(one.state_dict())
    x = torch.rand(2, 1, *([32, 32] if build is lenet5 else [28, 28]))
    assert torch.equal(one(x), two(x))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("build", "size"), [(lenet5, 32), (lenet, 28), (lambda: lenet(10, 3, size=32, batch_norm=True), 32)]
)
def test_overfits_eight_images(build, size):
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    model = build()
    images = rng.integers(0, 256, (8, model.c1.in_channels, size, size), dtype=np.uint8)
    data = type("Eight", (), {"images": images, "labels": np.arange(8)})()
    train.fit(model, data, train.TrainConfig(epochs=120, batch_size=8, lr=0.003, device="cpu"), verbose=False)
    assert train.accuracy(model, data) == 1.0


def test_options():
    plain, both = lenet(), lenet(batch_norm=True, dropout=0.3)
    assert parameters(both) - parameters(plain) == 2 * (6 + 16 + 120 + 84) == 452
    assert [name for name, _ in both.named_children()][-8:] == [
        "c5", "norm5", "relu5", "dropout5", "f6", "norm6", "relu6", "dropout6", "output"
    ][-8:]  # fmt: skip
    assert sum(isinstance(layer, torch.nn.Dropout) for layer in plain) == 0
    for size, side in ((28, 5), (32, 6), (13, 1), (12, 1)):
        net = lenet(7, 3, size=size)
        assert net.c5.in_features == 16 * side * side
        assert net(torch.zeros(2, 3, size, size)).shape == (2, 7)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: lenet(0), "classes must be an integer of at least 1, not 0"),
        (lambda: lenet(channels=-1), "channels must be an integer of at least 1, not -1"),
        (lambda: lenet(size=11), "at least 12 x 12 pixels, got size 11"),
        (lambda: lenet(dropout=1.0), "below 1, got 1.0"),
        (lambda: lenet(dropout=-0.1), "at least 0"),
        (lambda: TableConv2d(3, [[0, 3]], 5), "maps 0 to 2"),
        (lambda: TableConv2d(3, [[0, 0]], 5), "once"),
        (lambda: TableConv2d(3, [[0], []], 5), "must name some"),
    ],
)
def test_bad_input(build, message):
    with pytest.raises(ValueError, match=message):
        build()
