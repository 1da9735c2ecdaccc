"""Lab 03: a stack of layers as a list of dicts, its table from the package, and how answers about it are compared."""

from __future__ import annotations

import copy
import itertools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cnn_course import stacks
from cnn_course.errors import CheckFailed
from cnn_course.grading import checks, describe
from cnn_course.inspection.layer_table import Axis, Table

DictLayer = dict[str, Any]
Shape = tuple[int, ...]


def conv(
    cout: int, k: int, stride: int = 1, padding: int = 0, dilation: int = 1, groups: int = 1, bias: bool = True
) -> DictLayer:
    """A convolution with `cout` kernels of k x k taps, every argument as in PyTorch."""
    sizes = {"stride": stride, "padding": padding, "dilation": dilation}
    return {"kind": "conv", "cout": cout, "k": k, **sizes, "groups": groups, "bias": bias}


def pool(k: int, stride: int | None = None, padding: int = 0) -> DictLayer:
    """A max or average pool over k x k units; stride k unless another one is given."""
    return {"kind": "pool", "k": k, "stride": k if stride is None else stride, "padding": padding}


def relu() -> DictLayer:
    """A ReLU: it changes no shape and costs nothing here."""
    return {"kind": "relu"}


def flatten() -> DictLayer:
    """(C, H, W) -> (C * H * W,)."""
    return {"kind": "flatten"}


def linear(n: int, bias: bool = True) -> DictLayer:
    """A fully connected layer with n outputs."""
    return {"kind": "linear", "n": n, "bias": bias}


def _vgg(blocks: Sequence[tuple[int, int]]) -> list[DictLayer]:
    layers = []
    for count, channels in blocks:
        layers += [conv(channels, 3, padding=1), relu()] * count + [pool(2)]
    return [*layers, flatten(), linear(4096), relu(), linear(4096), relu(), linear(1000)]


# The modern LeNet-5, torchvision's AlexNet and two VGGs, without what changes neither shape nor cost, such as dropout.
LENET = [conv(6, 5, padding=2), relu(), pool(2), conv(16, 5), relu(), pool(2), flatten()]
LENET += [linear(120), relu(), linear(84), relu(), linear(10)]
ALEXNET = [conv(64, 11, stride=4, padding=2), relu(), pool(3, 2), conv(192, 5, padding=2), relu(), pool(3, 2)]
ALEXNET += [conv(384, 3, padding=1), relu(), conv(256, 3, padding=1), relu(), conv(256, 3, padding=1), relu()]
ALEXNET += [pool(3, 2), flatten(), linear(4096), relu(), linear(4096), relu(), linear(1000)]
VGG11 = _vgg([(1, 64), (1, 128), (2, 256), (2, 512), (2, 512)])
VGG16 = _vgg([(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)])
# Depthwise separable: 3 x 3 for each channel by itself, then 1 x 1 across the channels, without biases.
SEPARABLE = [conv(32, 3, stride=2, padding=1, bias=False), relu()]
for _stride, _cin, _cout in [(1, 32, 64), (2, 64, 128), (2, 128, 256)]:
    SEPARABLE += [conv(_cin, 3, _stride, 1, groups=_cin, bias=False), relu(), conv(_cout, 1, bias=False), relu()]
SEPARABLE += [pool(14), flatten(), linear(100)]


def table(layers: Sequence[DictLayer], shape: Sequence[int]) -> Table:
    """The package's table of a stack: output shape, parameters, MACs, jump and receptive field of every layer."""
    return stacks.table([_package_layer(layer) for layer in layers], shape)


def shapes(layers: Sequence[DictLayer], shape: Sequence[int]) -> list[tuple[int, ...]]:
    """The shape of the input and of what comes out of each layer: one more than there are layers."""
    return [row.shape for row in table(layers, shape)]


def fields(layers: Sequence[DictLayer]) -> list[tuple[int, int]]:
    """(receptive field, jump) after each layer of a stack of convolutions, pools and ReLUs."""
    jumps = itertools.accumulate((layer.get("stride", 1) for layer in layers), operator.mul)
    return [(axis.field, jump) for axis, jump in zip(axes(layers), jumps, strict=True)]


def axes(layers: Sequence[DictLayer]) -> list[Axis]:
    """What is known about one axis after each layer, for a picture as large as need be."""
    axis, found = Axis.pixels(10**9), []
    for layer in layers:
        if layer["kind"] != "relu":
            sizes = {"stride": layer["stride"], "padding": layer["padding"], "dilation": layer.get("dilation", 1)}
            axis = axis.slide(layer["k"], **sizes)
        found.append(axis)
    return found


def body(layers: Sequence[DictLayer]) -> list[DictLayer]:
    """A copy of the layers before the first flatten."""
    kinds = [layer["kind"] for layer in layers]
    return copy.deepcopy(list(layers[: kinds.index("flatten")]))


def written(layers: Sequence[DictLayer]) -> str:
    """The stack as it is typed with `conv`, `pool`, `relu`, `flatten` and `linear`."""
    return "[" + ", ".join(_written(layer) for layer in layers) + "]"


def random_stack(rng: np.random.Generator, depth: int, *, head: bool) -> tuple[list[DictLayer], tuple[int, int, int]]:
    """A random stack of `depth` convolutions and pools that fits its input, and that input's shape (C, H, W).

    head: with ReLUs, a flatten and two fully connected layers behind it.
    """
    shape = (2 * int(rng.integers(1, 4)), int(rng.integers(20, 40)), int(rng.integers(20, 40)))
    layers: list[DictLayer] = []
    while len(layers) < depth:
        k, stride, padding = int(rng.integers(1, 6)), int(rng.integers(1, 4)), int(rng.integers(0, 3))
        groups, bias = int(rng.choice([1, 2])), bool(rng.integers(0, 2))
        layer = conv(2 * int(rng.integers(1, 6)), k, stride, padding, int(rng.integers(1, 3)), groups, bias)
        if rng.random() < 0.3:
            layer = pool(k, stride, min(padding, k // 2))
        try:
            # The last map keeps more than one row and column, so that a wrong size shows.
            fits = min(shapes([*layers, layer], shape)[-1][1:]) > 1
        except ValueError:
            fits = False
        if fits:
            layers.append(layer)
        elif min(shapes(layers, shape)[-1][1:]) < 4:
            layers = []
    if head:
        layers = [part for layer in layers for part in (layer, relu())]
        layers += [
            flatten(),
            linear(int(rng.integers(3, 9)), bool(rng.integers(0, 2))),
            linear(int(rng.integers(2, 6))),
        ]
    return layers, shape


def always_sees(field: int, jump: int, n: int) -> bool:
    """Whether an object of n pixels is whole in some view, wherever it starts: by trying every start."""
    views = range(0, 3 * field + 3 * jump + n, jump)
    starts = range(field, field + jump)
    return all(any(v <= start and start + n <= v + field for v in views) for start in starts)


def check_number(
    name: str,
    function: Callable[..., Any],
    layers: Sequence[DictLayer],
    *more: Any,
    expected: int,
    mistakes: Sequence[tuple[Any, str]],
    net: str = "",
    hint: str = "",
) -> None:
    """Call `function(layers, *more)` and compare the whole number that comes back. net: what the stack is called.

    Raises CheckFailed with a message for the student.
    """
    description = f"{name}({', '.join([net or written(layers), *map(str, more)])})"
    got = checks.call(description, function, list(layers), *more)
    checks.check_integer(description, got, expected, mistakes=mistakes, hint=hint)


def check_numbers(
    description: str, got: Any, expected: Shape, *, mistakes: Sequence[tuple[Any, str]] = (), hint: str = ""
) -> None:
    """Compare a tuple (or list) of whole numbers that came back with the expected one.

    Raises CheckFailed with a message for the student.
    """
    if not isinstance(got, (tuple, list)):
        kind = "None. Does the function end with `return ...`?" if got is None else f"{describe.kind(got)}."
        raise CheckFailed(f"{description}: expected the tuple {expected}, got {kind}")
    numbers = (int, np.integer)
    if len(got) > 8:
        raise CheckFailed(f"{description}: expected the tuple {expected}, got {len(got)} entries.")
    for value in got:
        if isinstance(value, bool) or not isinstance(value, numbers) or abs(int(value)) > 10**12:
            whole = " Use // instead of /." if isinstance(value, (float, np.floating)) else ""
            raise CheckFailed(
                f"{description}: expected the tuple {expected} of whole numbers, got an entry that is "
                f"{describe.kind(value)}{' and very large' if isinstance(value, numbers) else ''}.{whole}"
            )
    got = tuple(int(value) for value in got)
    if got != expected:
        found = next((text for candidate, text in mistakes if tuple(candidate) == got != expected), "")
        if not found and len(got) != len(expected):
            found = f"It has {len(got)} entries instead of {len(expected)}."
        ending = found or (f"Hint: {hint}" if hint else "")
        raise CheckFailed(f"{description}: expected {expected}, got {got}. {ending}".rstrip())


def check_threes(description: str, got: Any, layer: DictLayer, cin: int) -> None:
    """Check that a list of 3 x 3 convolutions stands in for `layer`: same output shape, field, jump and places.

    Raises CheckFailed with a message for the student.
    """
    got = _checked(description, got, layer)
    wanted = (layer["k"] - 1) // 2
    if len(got) != wanted:
        raise CheckFailed(
            f"{description}: expected {wanted} layers, got {len(got)}. One 3 x 3 layer sees 3 pixels, "
            "and each further one adds 2."
        )
    jump = math.prod(part["stride"] for part in got)
    if jump != layer["stride"]:
        raise CheckFailed(
            f"{description}: the jump is {jump} instead of {layer['stride']}. The strides of the layers multiply: "
            "how many of them need one?"
        )
    new, old = axes(got)[-1], axes([layer])[-1]
    if new.field != old.field:
        raise CheckFailed(
            f"{description}: one unit sees {new.field} pixels instead of {old.field}. "
            "A stride makes every later layer count more: which layer has to have it?"
        )
    total = sum(part["padding"] for part in got)
    paddings = f"The paddings of your layers add up to {total}, that of the layer is {layer['padding']}."
    smallest = max(1, layer["k"] - 2 * layer["padding"])
    for n in (layer["k"] + 9, layer["k"] + 10, layer["k"] + 14, smallest):
        before = (cin, n, n + 3)
        expected = shapes([layer], before)[-1]
        try:
            after = shapes(got, before)[-1]
        except ValueError as error:
            text = f"{describe.bounded(error)}."
            if n == smallest:
                text = "the layer has a place there, your layers have none: is the padding in the first of them?"
            raise CheckFailed(f"{description}, on {before}: {text}") from None
        if after != expected:
            raise CheckFailed(f"{description}, on {before}: expected the shape {expected}, got {after}. {paddings}")
    if new.left != old.left:
        raise CheckFailed(
            f"{description}: the first unit's view begins at pixel {new.left} instead of {old.left}. {paddings}"
        )


def _checked(description: str, got: Any, layer: DictLayer) -> list[DictLayer]:
    """The list of convolutions that came back, once everything but how their sizes work together is right."""
    if not isinstance(got, (list, tuple)):
        kind = "None. Does the function end with `return ...`?" if got is None else f"{describe.kind(got)}."
        raise CheckFailed(f"{description}: expected a list of layers, got {kind}")
    found = []
    for number, part in enumerate(got[:60], start=1):
        place = f"{description}, layer {number}"
        if not isinstance(part, dict):
            raise CheckFailed(f"{place}: expected a dict such as conv(8, 3) gives, got {describe.kind(part)}.")
        if set(part) != set(layer):
            keys = ", ".join(layer)
            raise CheckFailed(f"{place}: expected the keys {keys}; conv(8, 3) makes a layer that has them all.")
        part = {key: int(value) if isinstance(value, np.integer) else value for key, value in part.items()}
        wanted = {"kind": "conv", "k": 3, "cout": layer["cout"], "dilation": 1, "groups": 1, "bias": layer["bias"]}
        for key, value in wanted.items():
            if type(part[key]) is not type(value) or part[key] != value:
                raise CheckFailed(f"{place}: expected {key} = {value!r}, got {describe.bounded(part[key])[:40]}.")
        for key, least in (("stride", 1), ("padding", 0)):
            if type(part[key]) is not int or not least <= part[key] <= 1000:
                raise CheckFailed(f"{place}: {key} has to be a whole number, at least {least}.")
        found.append(part)
    return found


def _package_layer(layer: DictLayer) -> stacks.LayerSpec:
    sizes = {key: value for key, value in layer.items() if key != "kind"}
    kinds = {"conv": stacks.Conv, "pool": stacks.Pool, "linear": stacks.Linear, "flatten": stacks.Flatten}
    return kinds.get(layer["kind"], stacks.Activation)(**sizes)


def _written(layer: DictLayer) -> str:
    if layer["kind"] == "pool":
        parts = [layer["k"], layer["stride"], *([f"padding={layer['padding']}"] if layer["padding"] else [])]
    elif layer["kind"] == "conv":
        usual = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "bias": True}
        parts = [layer["cout"], layer["k"], *(f"{key}={layer[key]}" for key, v in usual.items() if layer[key] != v)]
    elif layer["kind"] == "linear":
        parts = [layer["n"], *([] if layer["bias"] else ["bias=False"])]
    else:
        parts = []
    return f"{layer['kind']}({', '.join(map(str, parts))})"
