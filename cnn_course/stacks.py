"""What a whole stack of layers costs and sees: a list of layers and an input shape give a table.

    stacks.table([Conv(64, 3, padding=1), Activation(), Pool(2), Flatten(), Linear(10)], (3, 32, 32))

For every layer: output shape, parameters, multiply-accumulates (MACs), jump and receptive field. Nothing is run.
The field of units near the border reaches into the padding and is counted whole.
`cnn_course.trace` makes the same table of a torch module.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from cnn_course.arguments.integers import each, integer
from cnn_course.arguments.objects import flag, instance, sequence, text
from cnn_course.arguments.shown import brief, shown
from cnn_course.arithmetic import conv_parameters, linear_parameters
from cnn_course.array_engine.conv_arguments import borders_of, each_size
from cnn_course.inspection.layer_table import Axis, Row, Sizes, Table, size_text, table_of


class _Checked:
    """A layer that checks its fields when it is made: each is set to what its check returns. Both errors name it."""

    def _set(self, **fields: Any) -> None:
        for name, value in fields.items():
            object.__setattr__(self, name, value)  # the layers are frozen


@dataclasses.dataclass(frozen=True)
class Conv(_Checked):
    """A convolution, `cout` kernels of k taps along each axis, with PyTorch's meaning of every argument.

    This and the other layers raise ValueError and TypeError for what cannot be meant, whatever the input.
    """

    cout: int
    k: Sizes
    stride: Sizes = 1
    padding: Sizes | str = 0
    dilation: Sizes = 1
    groups: int = 1
    bias: bool = True

    def __post_init__(self) -> None:
        self._set(cout=integer("cout", self.cout, least=1), groups=integer("groups", self.groups, least=1))
        self._set(k=_sizes("k", self.k), stride=_sizes("stride", self.stride))
        self._set(dilation=_sizes("dilation", self.dilation), bias=flag("bias", self.bias))
        if isinstance(self.padding, str):
            borders_of(self.padding, 1, 1, 1)  # refuses another word
        else:
            self._set(padding=_sizes("padding", self.padding, least=0))

    def __str__(self) -> str:
        extras = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}
        said = [f"{name} {_short(getattr(self, name))}" for name, usual in extras.items() if _says(self, name, usual)]
        said += [] if self.bias else ["no bias"]
        return ", ".join([f"Conv {size_text(self.k)}, {self.cout} channels", *said])


@dataclasses.dataclass(frozen=True)
class Pool(_Checked):
    """A max or average pool: what it computes does not matter here. stride: by default k. No parameters, no MACs."""

    k: Sizes
    stride: Sizes | None = None
    padding: Sizes = 0
    ceil_mode: bool = False
    kind: str = "max"

    def __post_init__(self) -> None:
        self._set(k=_sizes("k", self.k), padding=_sizes("padding", self.padding, least=0))
        self._set(stride=None if self.stride is None else _sizes("stride", self.stride))
        self._set(ceil_mode=flag("ceil_mode", self.ceil_mode), kind=_word("kind", self.kind))

    def __str__(self) -> str:
        stride = self.k if self.stride is None else self.stride
        said = [f"padding {_short(self.padding)}"] if _says(self, "padding", 0) else []
        said += ["ceil mode"] if self.ceil_mode else []
        return ", ".join([f"{self.kind.capitalize()} pool {size_text(self.k)}, stride {_short(stride)}", *said])


@dataclasses.dataclass(frozen=True)
class Linear(_Checked):
    """A fully connected layer with n outputs; it needs a flat input."""

    n: int
    bias: bool = True

    def __post_init__(self) -> None:
        self._set(n=integer("n", self.n, least=1), bias=flag("bias", self.bias))

    def __str__(self) -> str:
        return f"Linear, {self.n} outputs" + ("" if self.bias else ", no bias")


@dataclasses.dataclass(frozen=True)
class Flatten:
    """(C, H, W) -> (C * H * W,)."""

    def __str__(self) -> str:
        return "Flatten"


@dataclasses.dataclass(frozen=True)
class GlobalPool:
    """One number for each channel: (C, H, W) -> (C, 1, 1), as PyTorch's adaptive pools with output size 1."""

    def __str__(self) -> str:
        return "Global pool"


@dataclasses.dataclass(frozen=True)
class Activation:
    """A function of one number at a time: it changes no size and costs nothing here."""

    name: str = "ReLU"

    def __post_init__(self) -> None:
        _word("name", self.name)

    def __str__(self) -> str:
        return self.name


# What a layer is here: its sizes, without weights and without a way to compute it (that is `network.Layer`).
LayerSpec = Conv | Pool | Linear | Flatten | GlobalPool | Activation


def table(layers: Sequence[LayerSpec], input_shape: Sequence[int]) -> Table:
    """Every layer's output shape, parameters, MACs, jump and receptive field.

    input_shape: (C, H, W) for images, (C, L) or (C, D, H, W) for one or three axes, (n,) for a plain vector.
    Raises TypeError for something that is no layer, ValueError for sizes that do not fit; both name the layer.
    """
    sizes = sequence("input_shape", input_shape, "a shape, such as (C, H, W)")
    shape = tuple(integer(f"input_shape[{i}]", n, least=1) for i, n in enumerate(sizes))
    if not shape:
        raise ValueError("input_shape is empty: give (C, H, W), or (n,) for a plain vector")
    rows = [Row("input", shape, tuple(Axis.pixels(n) for n in shape[1:]))]
    layers = sequence("layers", layers, "a list of layers")
    for number, layer in enumerate(layers, start=1):
        try:
            rows.append(after(layer, rows[-1]))
        except (TypeError, ValueError) as failure:
            said = str(layer) if isinstance(layer, LayerSpec) else brief(layer)
            raise type(failure)(
                f"layer {number} of {len(layers)}, {said}: {failure} (layers on input_shape {brief(shape)})"
            ) from None
    return table_of(rows)


def after(layer: LayerSpec, x: Row) -> Row:
    """The row of `layer`, given the row before it. Raises as `table` does, without naming the layer."""
    if not isinstance(layer, LayerSpec):
        raise TypeError(
            f"this is no layer: use Conv, Pool, Linear, Flatten, GlobalPool or Activation, not {shown(layer)}"
        )
    instance("x", x, Row, "a row of a table")
    if isinstance(layer, Activation):
        return Row(str(layer), x.shape, x.axes)
    if isinstance(layer, Flatten):
        return Row(str(layer), (math.prod(x.shape),), x.axes)
    if isinstance(layer, Linear):
        if len(x.shape) > 1:
            raise ValueError(f"it needs a flat input, but gets {size_text(x.shape)}: put Flatten() before it")
        weights = linear_parameters(x.shape[0], layer.n, bias=False)
        parameters = weights + (layer.n if layer.bias else 0)
        axes = tuple(axis.whole() for axis in x.axes)
        return Row(str(layer), (layer.n,), axes, parameters=parameters, macs=weights)
    if len(x.shape) == 1:
        raise ValueError(f"it needs an input with rows and columns, but gets {x.shape[0]} numbers")
    if isinstance(layer, GlobalPool):
        return Row(str(layer), (x.shape[0],) + (1,) * len(x.axes), tuple(axis.whole() for axis in x.axes))
    return _after_pool(layer, x) if isinstance(layer, Pool) else _after_conv(layer, x)


def _after_pool(layer: Pool, x: Row) -> Row:
    n = len(x.axes)
    k = each("k", layer.k, n, least=1)
    stride = k if layer.stride is None else each("stride", layer.stride, n, least=1)
    padding = each("padding", layer.padding, n, least=0)
    if any(2 * p > taps for p, taps in zip(padding, k, strict=True)):
        raise ValueError("a pool's padding must be at most half of k, or a window would hold nothing but padding")
    axes = tuple(
        axis.slide(taps, stride=s, padding=p, ceil_mode=layer.ceil_mode)
        for axis, taps, s, p in zip(x.axes, k, stride, padding, strict=True)
    )
    return Row(str(dataclasses.replace(layer, k=k)), (x.shape[0], *(axis.size for axis in axes)), axes)


def _after_conv(layer: Conv, x: Row) -> Row:
    n = len(x.axes)
    k, stride = each("k", layer.k, n, least=1), each("stride", layer.stride, n, least=1)
    padding: list[int | str]
    padding = [layer.padding] * n if isinstance(layer.padding, str) else [*each("padding", layer.padding, n, least=0)]
    dilation = each("dilation", layer.dilation, n, least=1)
    axes = tuple(
        axis.slide(taps, stride=s, padding=p, dilation=d)
        for axis, taps, s, p, d in zip(x.axes, k, stride, padding, dilation, strict=True)
    )
    sizes = tuple(axis.size for axis in axes)
    weights = conv_parameters(x.shape[0], layer.cout, k, bias=False, groups=layer.groups)
    parameters = weights + (layer.cout if layer.bias else 0)
    label = str(dataclasses.replace(layer, k=k))
    return Row(label, (layer.cout, *sizes), axes, parameters=parameters, macs=weights * math.prod(sizes))


def _sizes(name: str, value: Any, *, least: int = 1) -> Sizes:
    """A size for all axes, or one for each of one to three; how many there are, only the input says."""
    if not isinstance(value, tuple | list):
        return each_size(name, value, 1, least=least)[0]
    if not 1 <= len(value) <= 3:
        raise ValueError(f"{name} must be an integer, or one for each of one to three axes, not {brief(value)}")
    return each_size(name, value, len(value), least=least)


def _word(name: str, value: Any) -> str:
    if not text(name, value):
        raise ValueError(f"{name} must be a word for the table, not empty")
    return value


def _short(value: Sizes | str) -> str:
    """Equal numbers are said once: a stride of (2, 2) is "2"."""
    if isinstance(value, tuple | list) and len(set(value)) == 1:
        return size_text(value[0])
    return size_text(value)


def _says(layer: LayerSpec, name: str, usual: int) -> bool:
    value = getattr(layer, name)
    return any(v != usual for v in value) if isinstance(value, tuple | list) else value != usual
