"""Lab 03: what common slips in shapes, costs and fields would have returned."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from cnn_course.grading.mistakes.dict_stacks import DictLayer, Shape, fields, shapes, table

Candidates = list[tuple[Any, str]]

_DILATED = "It looks as if a dilated filter has a weight for every pixel that it spans: it has k * k."


def layer_shape(layer: DictLayer, shape: Shape) -> list[tuple[Shape, str]]:
    """Shapes that slips give for one layer on an input of this shape."""
    if layer["kind"] == "flatten":
        return [
            ((sum(shape),), "It looks as if the sizes are added: flatten keeps every number, so multiply them."),
            ((int(np.prod(shape[1:])),), "It looks as if the channels are left out: they are flattened too."),
            (shape[:1], "It looks as if only the channels are kept: flatten keeps every number."),
            (shape, "Flatten leaves one axis: (C, H, W) becomes (C * H * W,)."),
        ]
    if layer["kind"] == "linear":
        return [(shape, "A linear layer gives n numbers."), ((layer["n"], *shape), "Only the n outputs are left.")]
    if layer["kind"] == "relu":
        return []
    k, stride, padding, dilation = layer["k"], layer["stride"], layer["padding"], layer.get("dilation", 1)
    channels, *sizes = shape

    def mapped(size: Callable[[int], int], cout: int = layer.get("cout", channels)) -> Shape:
        return (cout, *(size(n) for n in sizes))

    def right(n: int) -> int:
        return (n + 2 * padding - dilation * (k - 1) - 1) // stride + 1

    up = "It looks as if the quotient is rounded up: a window that does not fit is dropped."
    found = [
        (mapped(right, channels), "The channels of the input come out: a convolution gives `cout` channels."),
        ((mapped(right)[0], *mapped(right)[:0:-1]), "It looks as if rows and columns are swapped."),
        ((*mapped(right)[1:], mapped(right)[0]), "The channels come last: the order here is (C, H, W)."),
        (mapped(right)[1:], "The channels are missing: the shape is (C, H, W)."),
        (mapped(lambda n: (n + 2 * padding - k) // stride + 1), "It looks as if the dilation is ignored."),
        (
            mapped(lambda n: (n + 2 * padding - dilation * k) // stride + 1),
            "k taps have k - 1 gaps: d (k - 1) + 1 pixels.",
        ),
        (mapped(lambda n: right(n) - 1), "It looks as if the + 1 is missing: the first window counts too."),
        (mapped(lambda n: -(-(n + 2 * padding - dilation * (k - 1) - 1) // stride) + 1), up),
        (mapped(lambda n: (n - dilation * (k - 1) - 1) // stride + 1), "It looks as if the padding is left out."),
        (
            mapped(lambda n: (n + padding - dilation * (k - 1) - 1) // stride + 1),
            "It looks as if the padding is counted once: it is added at both ends.",
        ),
        (mapped(lambda n: n + 2 * padding - dilation * (k - 1)), "It looks as if the stride is left out."),
        (
            mapped(lambda n: (n + 2 * padding - dilation * (k - 1) - 1) // k + 1),
            "It looks as if k is taken for the stride: they are two numbers.",
        ),
        (mapped(lambda n: n // stride), "The size is more than n / stride: kernel and padding count too."),
    ]
    rows = right(sizes[0])
    return [*found, ((mapped(right)[0], rows, rows), "The output is square although the input is not.")]


def parameters(layers: Sequence[DictLayer], shape: Shape) -> list[tuple[int, str]]:
    """Totals of weights and biases that slips give for a stack."""
    total = _totals(layers, shape)
    return [
        (
            total(_weights, _matrix),
            "It looks as if the biases are missing: cout for a convolution, n for a linear layer.",
        ),
        (total(_weights, _matrix, _every_bias), "It looks as if biases are counted although bias is False somewhere."),
        (
            total(_weights, _matrix, lambda layer, *_: 1),
            "It looks as if a layer has one bias: each output channel has.",
        ),
        (total(_no_groups, _matrix, _bias), "It looks as if groups are ignored: a filter is cin // groups deep."),
        (total(_k_once, _matrix, _bias), "It looks as if k is used once: a filter has k * k taps per channel."),
        (
            _first_channels(layers, shape),
            "It looks as if every layer gets the channels of the picture: follow the shapes.",
        ),
        (total(_spanned, _matrix, _bias), _DILATED),
        (total(_flat, _matrix, _bias), "It looks as if filters are one channel deep: they reach through the channels."),
        (total(_weights, None, _bias), "It looks as if the linear layers are left out."),
        (total(None, _matrix, _bias), "It looks as if the convolutions are left out."),
        (_deep_bias(layers, shape), "It looks as if the bias is counted per input channel: a filter has one."),
        (table(layers, shape).macs, "Those are the multiply-accumulates: a weight counts once, wherever it is used."),
    ]


def macs(layers: Sequence[DictLayer], shape: Shape) -> list[tuple[int, str]]:
    """Totals of multiply-accumulates that slips give for a stack."""
    total = _totals(layers, shape)
    each = _times(_weights, slice(1, 3))
    right, rows = table(layers, shape), _times(_weights, slice(1, 2))
    return [
        (2 * right.macs, "Those are FLOPs, two for each multiply-accumulate."),
        (right.parameters, "Those are the parameters: a convolution uses each weight once for every place."),
        (total(_weights, _matrix), "Those are the weights: a convolution uses each of them once for every place."),
        (total(each, _matrix, _output_bias), "It looks as if adding the biases is counted; here it is not."),
        (
            total(_before(_weights), _matrix),
            "It looks as if the places of the input are counted: take the output's size.",
        ),
        (total(rows, _matrix), "It looks as if the places of one axis are counted: H * W of the output."),
        (total(_times(_no_groups, slice(1, 3)), _matrix), "It looks as if groups are ignored."),
        (total(_times(_k_once, slice(1, 3)), _matrix), "It looks as if k is used once: a filter has k * k taps."),
        (total(_times(_spanned, slice(1, 3)), _matrix), _DILATED),
        (total(_times(_flat, slice(1, 3)), _matrix), "It looks as if filters are one channel deep."),
        (total(each, None), "It looks as if the linear layers are left out: one for each of their weights."),
        (total(None, _matrix), "It looks as if the convolutions are left out."),
        (total(each, _matrix) + _pooled(layers, shape), "It looks as if pools are counted: they multiply nothing."),
    ]


def field(layers: Sequence[DictLayer]) -> list[tuple[Shape, str]]:
    """(field, jump) that slips give for a stack of convolutions, pools and ReLUs."""
    windows = [(la["k"], la["stride"], la.get("dilation", 1)) for la in layers if la["kind"] != "relu"]
    convolutions = [(la["k"], la["stride"], la["dilation"]) for la in layers if la["kind"] == "conv"]
    right = _recur(windows)
    late = "It looks as if a layer's own stride counts for its own field: use the jump from before the layer."
    found = [
        (_recur(windows, late=True), late),
        (_recur([(k, s, 1) for k, s, _ in windows]), "It looks as if the dilation is ignored."),
        (_recur(convolutions), "It looks as if pools are left out: they have taps and a stride as well."),
        (
            _recur(windows, taps=0),
            "It looks as if a layer adds k jumps: from its first to its last tap there are k - 1.",
        ),
        (_recur(windows, start=0), "It looks as if the field starts at 0: a pixel of the input sees itself."),
        (_recur(windows, dilated=True), "A window of k taps spans d (k - 1) + 1 units, so d multiplies k - 1, not k."),
        ((1 + sum((k - 1) * d for k, _, d in windows), right[1]), "It looks as if the jump is left out of the field."),
        ((right[0], 1 + sum(s - 1 for _, s, _ in windows)), "The jump is the product of the strides, not their sum."),
        ((right[0], sum(s for _, s, _ in windows)), "The jump is the product of the strides, not their sum."),
        ((right[0], windows[-1][1] if windows else 1), "That jump is the last stride: it is measured in input pixels."),
        (right[::-1], "The two are swapped: return the field first, then the jump."),
    ]
    doubled = 1
    for k, s, d in windows:
        doubled = doubled * s if s > 1 else doubled + (k - 1) * d
    return [*found, ((doubled, right[1]), "A stride multiplies the jump, not the field.")]


def first_that_sees(layers: Sequence[DictLayer], n: int) -> list[tuple[int, str]]:
    """Numbers of layers that slips give as the first that always sees n pixels whole."""
    seen = fields(layers)

    def first(enough: Callable[[int, int], bool], start: int = 1, none: int = 0) -> int:
        return next((i for i, (r, j) in enumerate(seen, start) if enough(r, j)), none)

    lucky = "That view is large enough only for an object that lies just right: the next view begins one jump further."
    halved = bisect.bisect_left([r - j + 1 for r, j in seen], n) + 1
    more = "A later layer does not always see more: after a stride, less may be certain. Go through all layers."
    return [
        (first(lambda r, j: r >= n), lucky),
        (first(lambda r, j: r >= n + j - 1, start=0), "Layers are counted from 1."),
        (first(lambda r, j: r >= n + j - 1, none=len(seen)), "No layer is enough here: return 0."),
        (first(lambda r, j: r >= n + j - 1, none=-1), "No layer is enough here: return 0."),
        (first(lambda r, j: r >= n + j), "One pixel too strict: an object of field - jump + 1 pixels still fits."),
        (first(lambda r, j: r > n + j), "Too strict: an object of field - jump + 1 pixels still fits."),
        (first(lambda r, j: r > n), lucky),
        (
            max((i for i, (r, j) in enumerate(seen, 1) if r >= n + j - 1), default=0),
            "That is the last such layer; the first one is asked for.",
        ),
        (halved if halved <= len(seen) else 0, more),
    ]


def _totals(layers: Sequence[DictLayer], shape: Shape) -> Callable[..., int]:
    """total(conv, matrix, bias): the sum over the stack of what these say of a layer, its input and output shape."""
    steps = [(layer, *pair) for layer, pair in zip(layers, pairwise(shapes(layers, shape)), strict=True)]

    def total(conv: Callable | None, matrix: Callable | None, bias: Callable = lambda *_: 0) -> int:
        found = 0
        for layer, before, after in steps:
            count = {"conv": conv, "linear": matrix}.get(layer["kind"])
            if count:
                found += count(layer, before, after) + bias(layer, before, after)
        return found

    return total


def _weights(layer: DictLayer, before: Shape, after: Shape) -> int:
    return layer["cout"] * (before[0] // layer["groups"]) * layer["k"] ** 2


def _no_groups(layer: DictLayer, before: Shape, after: Shape) -> int:
    return layer["cout"] * before[0] * layer["k"] ** 2


def _spanned(layer: DictLayer, before: Shape, after: Shape) -> int:
    return layer["cout"] * (before[0] // layer["groups"]) * (layer["dilation"] * (layer["k"] - 1) + 1) ** 2


def _k_once(layer: DictLayer, before: Shape, after: Shape) -> int:
    return layer["cout"] * (before[0] // layer["groups"]) * layer["k"]


def _flat(layer: DictLayer, before: Shape, after: Shape) -> int:
    return layer["cout"] * layer["k"] ** 2


def _matrix(layer: DictLayer, before: Shape, after: Shape) -> int:
    return before[0] * after[0]


def _bias(layer: DictLayer, before: Shape, after: Shape) -> int:
    return after[0] if layer["bias"] else 0


def _every_bias(layer: DictLayer, before: Shape, after: Shape) -> int:
    return after[0]


def _output_bias(layer: DictLayer, before: Shape, after: Shape) -> int:
    return int(np.prod(after)) if layer["bias"] else 0


def _times(count: Callable, sizes: slice) -> Callable[[DictLayer, Shape, Shape], int]:
    return lambda layer, before, after: count(layer, before, after) * int(np.prod(after[sizes]))


def _before(count: Callable) -> Callable[[DictLayer, Shape, Shape], int]:
    return lambda layer, before, after: count(layer, before, after) * int(np.prod(before[1:]))


def _deep_bias(layers: Sequence[DictLayer], shape: Shape) -> int:
    def bias(layer: DictLayer, before: Shape, after: Shape) -> int:
        return after[0] * before[0] if layer["bias"] and layer["kind"] == "conv" else _bias(layer, before, after)

    return _totals(layers, shape)(_weights, _matrix, bias)


def _first_channels(layers: Sequence[DictLayer], shape: Shape) -> int:
    def conv(layer: DictLayer, before: Shape, after: Shape) -> int:
        return layer["cout"] * (shape[0] // layer["groups"]) * layer["k"] ** 2

    return _totals(layers, shape)(conv, _matrix, _bias)


def _pooled(layers: Sequence[DictLayer], shape: Shape) -> int:
    after = shapes(layers, shape)[1:]
    pools = [(layer, out) for layer, out in zip(layers, after, strict=True) if layer["kind"] == "pool"]
    return sum(layer["k"] ** 2 * int(np.prod(out)) for layer, out in pools)


def _recur(
    windows: Sequence[tuple[int, int, int]], *, late: bool = False, taps: int = 1, start: int = 1, dilated: bool = False
) -> Shape:
    r, j = start, 1
    for k, stride, dilation in windows:
        reach = k * dilation - 1 if dilated else (k - taps) * dilation
        r += reach * (j * stride if late else j)
        j *= stride
    return r, j
