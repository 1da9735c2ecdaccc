"""Random stacks of layers for the tests of `stacks`, `trace` and `receptive_field`, and the torch module of each."""

from hypothesis import strategies as st
from torch import nn

from cnn_course.stacks import Activation, Conv, Flatten, GlobalPool, Linear, Pool

CONV = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
POOL = {
    "max": {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d},
    "average": {1: nn.AvgPool1d, 2: nn.AvgPool2d, 3: nn.AvgPool3d},
}
GLOBAL = {1: nn.AdaptiveAvgPool1d, 2: nn.AdaptiveAvgPool2d, 3: nn.AdaptiveAvgPool3d}


@st.composite
def maps(draw, axes=None, layers=4, size=(6, 26)):
    """(layers, input shape) of a stack that keeps its maps; that the sizes fit is not sure."""
    axes = axes or draw(st.integers(1, 3))

    def numbers(low, high):
        return draw(st.one_of(st.integers(low, high), st.tuples(*[st.integers(low, high)] * axes)))

    chosen = []
    for _ in range(draw(st.integers(1, layers))):
        if draw(st.booleans()):
            options = {"stride": numbers(1, 3), "dilation": numbers(1, 2), "padding": numbers(0, 2)}
            if draw(st.integers(0, 4)) == 0:
                options |= {"stride": 1, "padding": draw(st.sampled_from(["same", "valid"]))}
            groups, bias = draw(st.sampled_from([1, 2])), draw(st.booleans())
            chosen.append(Conv(2 * draw(st.integers(1, 3)), numbers(1, 4), groups=groups, bias=bias, **options))
        else:
            k = numbers(1, 3)
            padding = draw(st.integers(0, min(k if isinstance(k, tuple) else (k,)) // 2))
            stride, kind = draw(st.one_of(st.none(), st.integers(1, 3))), draw(st.sampled_from(["max", "average"]))
            ceil_mode = draw(st.booleans())
            if kind == "average" and axes == 3:
                # torch's AvgPool3d refuses a window larger than the map, also where padding or ceil mode makes room.
                padding, ceil_mode = 0, False
            chosen.append(Pool(k, stride, padding, ceil_mode, kind))
        chosen += [Activation()] * draw(st.integers(0, 1))
    low, high = (size[0], size[1]) if axes < 3 else (size[0], size[1] // 2)
    return chosen, (2, *(draw(st.integers(low, high)) for _ in range(axes)))


@st.composite
def networks(draw):
    """The same with a head: flatten or global pool, and fully connected layers."""
    chosen, shape = draw(maps(layers=3))
    head = [GlobalPool()] * draw(st.integers(0, 1)) + [Flatten(), Linear(draw(st.integers(1, 9)), draw(st.booleans()))]
    return chosen + head, shape


def torch_module(layers, shape):
    """The nn.Sequential with these layers; torch works out the sizes that a list of ours leaves open."""
    axes, channels, net = len(shape) - 1, shape[0], []
    for layer in layers:
        match layer:
            case Conv(cout, k, stride, padding, dilation, groups, bias):
                args = (k, stride, padding, dilation, groups, bias)
                net.append(CONV[axes](channels, cout, *args))
                channels = cout
            case Pool(k, stride, padding, ceil_mode, kind):
                net.append(POOL[kind][axes](k, stride, padding, ceil_mode=ceil_mode))
            case GlobalPool():
                net.append(GLOBAL[axes](1))
            case Flatten():
                net.append(nn.Flatten())
            case Linear(n, bias):
                net.append(nn.LazyLinear(n, bias=bias))
            case Activation():
                net.append(nn.ReLU())
    return nn.Sequential(*net)
