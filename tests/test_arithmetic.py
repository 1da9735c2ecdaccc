import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from cnn_course.arithmetic import (
    conv_macs,
    conv_parameters,
    linear_macs,
    linear_parameters,
    mlp_parameters,
    output_size,
)


def parameters(module):
    return sum(p.numel() for p in module.parameters())


def flops(module, x):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(x)
    return counter.get_total_flops()


def test_the_numbers_of_the_lectures():
    assert linear_parameters(224 * 224 * 3, 1000, bias=False) == 150_528_000
    assert linear_parameters(224 * 224 * 3, 1000) == 150_529_000
    assert linear_parameters(200 * 200 * 3, 1000, bias=False) == 120_000_000
    assert mlp_parameters([426 * 426, 16, 16, 10]) == 2_904_074
    assert output_size(32, 5, padding=2) == 32
    assert conv_parameters(3, 64, 5) == 4_864
    assert conv_macs(3, 64, 5, 32, padding=2) == 4_915_200
    assert conv_parameters(3, 10, 5) == 760
    assert conv_macs(3, 10, 5, 32, padding=2) == 768_000
    assert conv_parameters(3, 64, 3) == 1_792
    assert linear_parameters(32 * 32 * 3, 28 * 28, bias=False) == 2_408_448
    assert conv_parameters(3, 1, 5, bias=False) == 75


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("cin", "cout", "k", "groups", "size", "stride", "padding", "dilation"),
    [
        (3, 64, 5, 1, 32, 1, 2, 1),
        (3, 64, 7, 1, (224, 200), 2, 3, 1),
        (8, 8, 3, 8, 17, 1, "same", 1),
        (6, 9, (3, 2), 3, (19, 23), (2, 3), (1, 0), (2, 1)),
        (4, 2, 1, 2, 5, 1, "valid", 1),
        (1, 1, 4, 1, 9, 1, "same", 2),
    ],
)
def test_conv_against_torch(cin, cout, k, groups, size, stride, padding, dilation, bias):
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    layer = torch.nn.Conv2d(cin, cout, k, bias=bias, **options)
    assert conv_parameters(cin, cout, k, bias=bias, groups=groups) == parameters(layer)
    x = torch.zeros(1, cin, *((size, size) if isinstance(size, int) else size))
    assert 2 * conv_macs(cin, cout, k, size, **options) == flops(layer, x)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("sizes", [(5, 3), (784, 100, 10), (12, 16, 16, 10)])
def test_mlp_against_torch(sizes, bias):
    layers = [torch.nn.Linear(n_in, n_out, bias=bias) for n_in, n_out in zip(sizes, sizes[1:], strict=False)]
    net = torch.nn.Sequential(*layers)
    assert mlp_parameters(sizes, bias=bias) == parameters(net)
    macs = sum(linear_macs(n_in, n_out) for n_in, n_out in zip(sizes, sizes[1:], strict=False))
    assert 2 * macs == flops(net, torch.zeros(1, sizes[0]))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: conv_parameters(0, 4, 3), ValueError, "cin must be an integer of at least 1, not 0"),
        (lambda: conv_parameters(3, 4.0, 3), TypeError, "cout must be an integer"),
        (lambda: conv_parameters(3, 4, 0), ValueError, "k must be an integer of at least 1, not 0"),
        (lambda: conv_parameters(4, 6, 3, groups=4), ValueError, "groups=4 must divide both cin=4 and cout=6"),
        (lambda: conv_macs(3, 4, 5, 4), ValueError, "covers 5 pixels"),
        (lambda: conv_macs(3, 4, 3, 8, stride=0), ValueError, "stride must be an integer of at least 1, not 0"),
        (lambda: conv_macs(3, 4, 3, 8, padding=-1), ValueError, "padding must be an integer of at least 0, not -1"),
        (lambda: linear_parameters(-1, 4), ValueError, "n_in"),
        (lambda: mlp_parameters([5]), ValueError, "at least the inputs and the outputs"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
