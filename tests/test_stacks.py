import dataclasses

import drawn_stacks
import pytest
import torch
from hypothesis import given, settings
from torch.utils.flop_counter import FlopCounterMode

from cnn_course import stacks
from cnn_course.stacks import Activation, Conv, Flatten, GlobalPool, Linear, Pool


def fields(table):
    return [row.field for row in table]


def test_a_stack_by_hand():
    # 8 x 8 -> conv 3x3: 6 x 6, field 3, jump 1 -> pool 2: 3 x 3, field 3 + 1, jump 2 -> conv 2x2: 2 x 2, field 4 + 2.
    table = stacks.table([Conv(4, 3), Activation(), Pool(2), Conv(5, 2, bias=False), Flatten(), Linear(7)], (3, 8, 8))
    assert [row.shape for row in table] == [
        (3, 8, 8), (4, 6, 6), (4, 6, 6), (4, 3, 3), (5, 2, 2), (20,), (7,),
    ]  # fmt: skip
    assert [row.parameters for row in table] == [0, 4 * 27 + 4, 0, 0, 5 * 4 * 4, 0, 7 * 21]
    assert [row.macs for row in table] == [0, 4 * 27 * 36, 0, 0, 80 * 4, 0, 140]
    assert fields(table) == [1, 3, 3, 4, 6, 6, 8]
    assert [row.jump for row in table] == [1, 1, 1, 2, 2, None, None]
    assert [row.centre for row in table] == [0, 1, 1, 1.5, 2.5, 2.5, 3.5]
    assert table.parameters == 112 + 80 + 147 and table.macs == 3888 + 320 + 140


def test_padding_moves_the_centre_and_not_the_field():
    assert stacks.table([Conv(1, 5, padding=2)], (1, 9, 9))[-1].centre == 0
    assert stacks.table([Conv(1, 5)], (1, 9, 9))[-1].centre == 2
    assert stacks.table([Conv(1, 4, padding="same")], (1, 9, 9))[-1].axes[0].left == -1
    assert stacks.table([Conv(1, 5, padding=2)] * 3, (1, 9, 9))[-1].field == 13


def test_stacked_3x3_grow_by_two_and_strides_multiply():
    assert fields(stacks.table([Conv(1, 3, padding=1)] * 6, (1, 32, 32))) == [1, 3, 5, 7, 9, 11, 13]
    assert fields(stacks.table([Conv(1, 3, 2, 1)] * 4, (1, 64, 64))) == [1, 3, 7, 15, 31]
    dilated = [Conv(1, 3, padding=d, dilation=d) for d in (1, 2, 4, 8)]
    assert fields(stacks.table(dilated, (1, 64, 64))) == [1, 3, 7, 15, 31]


def vgg16():
    layers = []
    for channels, n in [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)]:
        layers += [Conv(channels, 3, padding=1), Activation()] * n + [Pool(2)]
    return [*layers, Flatten(), Linear(4096), Activation(), Linear(4096), Activation(), Linear(1000)]


def test_vgg16():
    table = stacks.table(vgg16(), (3, 224, 224))
    assert table.parameters == 138_357_544
    last = table.only("Max pool")[-1]
    assert last.field == 212 and last.jump == 32 and last.shape == (512, 7, 7) and last.centre == 15.5
    assert table.only("Max pool").parameters == table.parameters and len(table.only("Max pool")) == 6


def test_a_pool_doubles_the_jump_not_the_field():
    table = stacks.table(vgg16()[:9], (3, 32, 32)).only("Max pool", "Conv")
    assert fields(table) == [1, 3, 5, 6, 10, 14]
    assert [row.jump for row in table] == [1, 1, 1, 2, 2, 2]


def test_axes_may_differ():
    row = stacks.table([Conv(2, (3, 1), stride=(2, 1)), Pool((1, 2))], (1, 11, 8))[-1]
    assert row.shape == (2, 5, 4) and row.field == (3, 2) and row.jump == 2
    assert row.centre == (1, 0.5)
    assert stacks.table([Conv(2, 3)], (1, 9))[-1].field == 3
    assert stacks.table([Conv(2, 3)], (1, 9, 9, 9))[-1].shape == (2, 7, 7, 7)
    assert stacks.table([Linear(3), Activation(), Linear(2)], (5,)).parameters == 5 * 3 + 3 + 3 * 2 + 2


def test_ceil_mode_makes_one_more_window():
    assert stacks.table([Pool(3, 2)], (1, 8, 8))[-1].shape == (1, 3, 3)
    assert stacks.table([Pool(3, 2, ceil_mode=True)], (1, 8, 8))[-1].shape == (1, 4, 4)


def test_it_prints_as_text_and_as_html():
    table = stacks.table([Conv(16, 3, padding=1), Activation("<b>"), Pool(2)], (3, 32, 32))
    assert repr(table) == str(table)
    assert repr(table).splitlines() == [
        "layer                             output    parameters     MACs  jump  field  first centre",
        "------------------------------------------------------------------------------------------",
        "input                             3×32×32                           1      1             0",
        "Conv 3×3, 16 channels, padding 1  16×32×32         448  442,368     1      3             0",
        "<b>                               16×32×32                          1      3             0",
        "Max pool 2×2, stride 2            16×16×16                          2      4           0.5",
        "------------------------------------------------------------------------------------------",
        "whole network                                      448  442,368",
    ]
    page = table._repr_html_()
    assert "&lt;b&gt;" in page and "<b>" not in page and page.count("<tr ") == 6


def test_rows_by_number_and_by_name():
    table = stacks.table([Conv(16, 3), Pool(2)], (3, 32, 32))
    assert table[0].layer == "input" and table[1].parameters == 448 and len(table) == 3
    assert table["Max pool 2×2, stride 2"] is table[2]
    with pytest.raises(KeyError, match="no layer is called 'pool'"):
        table["pool"]


@pytest.mark.slow
@settings(max_examples=150)
@given(drawn_stacks.networks())
def test_against_torch(drawn):
    layers, shape = drawn
    try:
        table = stacks.table(layers, shape)
    except ValueError:
        with pytest.raises((RuntimeError, ValueError)):
            drawn_stacks.torch_module(layers, shape)(torch.zeros(1, *shape))
        return
    net = drawn_stacks.torch_module(layers, shape)
    x, sizes = torch.zeros(1, *shape), [shape]
    with torch.no_grad():
        for part in net:
            x = part(x)
            sizes.append(tuple(x.shape[1:]))
        with FlopCounterMode(display=False) as counter:
            net(torch.zeros(1, *shape))
    assert [row.shape for row in table] == sizes
    assert [row.parameters for row in table][1:] == [sum(p.numel() for p in part.parameters()) for part in net]
    assert table.parameters == sum(p.numel() for p in net.parameters())
    assert 2 * table.macs == counter.get_total_flops()


@pytest.mark.parametrize(
    ("layers", "shape", "error", "message"),
    [
        (lambda: [Conv(4, 3), Pool(2), Conv(4, 5)], (1, 8, 8), ValueError, r"layer 3 of 3, Conv 5.*covers 5 pixels"),
        (
            lambda: [Conv(4, 3, groups=2)],
            (3, 8, 8),
            ValueError,
            "layer 1 of 1, Conv 3.*groups=2 must divide both cin=3",
        ),
        (
            lambda: [Linear(4)],
            (3, 8, 8),
            ValueError,
            r"layer 1 of 1, Linear, 4 outputs.*flat.*put Flatten\(\) before it",
        ),
        (
            lambda: [Flatten(), Conv(4, 3)],
            (3, 8, 8),
            ValueError,
            "layer 2 of 2.*rows and columns, but gets 192 numbers",
        ),
        (lambda: [Pool(2, padding=2)], (3, 8, 8), ValueError, "layer 1 of 1.*at most half of k"),
        (lambda: [Pool(2, padding="same")], (3, 8, 8), TypeError, "padding must be an integer"),
        (lambda: [Conv(4, 3, padding="full")], (3, 8, 8), ValueError, "padding must be .*not 'full'"),
        (lambda: [Conv(4, 3, stride=2, padding="same")], (3, 8, 8), ValueError, "needs stride 1, not 2"),
        (lambda: [Conv(4, 3, stride=None)], (3, 8, 8), TypeError, "stride must be an integer"),
        (
            lambda: [Conv(4, (3, 3, 3))],
            (3, 8, 8),
            ValueError,
            "k must be an integer or a .vertical, horiz",
        ),
        (lambda: [Conv(0, 3)], (3, 8, 8), ValueError, "cout must be an integer of at least 1"),
        (lambda: [Conv(4, 2.0)], (3, 8, 8), TypeError, "k must be an integer of at least 1"),
        (lambda: [Conv(4, 3, dilation=0)], (3, 8, 8), ValueError, "dilation must be an integer of at least 1, not 0"),
        (lambda: [Activation(), Flatten], (3, 8, 8), TypeError, "layer 2 of 2.*this is no layer"),
        (list, (), ValueError, "input_shape is empty"),
        (list, (3, 0, 8), ValueError, r"input_shape\[1\] must be an integer of at least 1"),
        (list, (3, 8.0, 8), TypeError, r"input_shape\[1\] must be an integer"),
    ],
)
def test_bad_input(layers, shape, error, message):
    with pytest.raises(error, match=message):
        stacks.table(layers(), shape)


def test_layers_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Conv(4, 3).k = 5
    assert GlobalPool() == GlobalPool()
