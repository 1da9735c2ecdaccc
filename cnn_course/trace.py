"""The table of `cnn_course.stacks` for a torch module: its forward pass is traced, and nothing is computed.

    trace.table(torchvision.models.resnet18(), (3, 224, 224))

torch.fx records which layer feeds which; shapes come from tensors without memory (device "meta"), jump and receptive
field from the recurrence. Where branches meet (add, cat) the jumps must agree, and one unit sees all that any branch
saw. The module is left as it is. What only trains (GoogLeNet's auxiliary heads) is part of the table if the
module is in training mode.
"""

import copy
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import fx, nn
from torch.fx.node import Target
from torch.nn import functional as F

from cnn_course import stacks
from cnn_course.arguments.objects import sequence
from cnn_course.arguments.shown import brief
from cnn_course.inspection import probing
from cnn_course.inspection.layer_table import Axis, Row, Table, size_text, table_of

BATCH = 2

CONVS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
MAX_POOLS = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)
AVG_POOLS = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
ADAPTIVE = (
    nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d,
    nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d,
)  # fmt: skip
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
# One number in, one number out, at the same place; LocalResponseNorm looks at other channels of the same place.
POINTWISE = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish, nn.Softplus, nn.Sigmoid,
    nn.Tanh, nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid, nn.Identity, nn.LocalResponseNorm,
    nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout,
)  # fmt: skip
POINTWISE_FUNCTIONS = {
    F.relu, F.relu6, F.leaky_relu, F.elu, F.gelu, F.silu, F.mish, F.softplus, F.sigmoid, F.tanh, F.hardswish,
    F.dropout, F.dropout2d, F.local_response_norm, torch.relu, torch.sigmoid, torch.tanh,
    operator.neg, operator.sub, operator.mul, operator.truediv, operator.imul, torch.sub, torch.mul, torch.div,
}  # fmt: skip
CONCATENATIONS = {torch.cat, torch.concat}
JOINS = {operator.add, operator.iadd, torch.add, *CONCATENATIONS}
POOL_FUNCTIONS: dict[object, type[nn.Module]] = {
    F.max_pool1d: nn.MaxPool1d, F.max_pool2d: nn.MaxPool2d, F.max_pool3d: nn.MaxPool3d,
    F.avg_pool1d: nn.AvgPool1d, F.avg_pool2d: nn.AvgPool2d, F.avg_pool3d: nn.AvgPool3d,
}  # fmt: skip
# Methods of tensors, by the function that does the same.
TENSOR_METHODS: dict[str, Callable[..., torch.Tensor]] = {
    "relu": torch.relu, "relu_": torch.relu, "sigmoid": torch.sigmoid, "tanh": torch.tanh, "add": torch.add,
    "add_": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div, "flatten": torch.flatten,
    "view": torch.reshape, "reshape": torch.reshape, "mean": torch.mean,
}  # fmt: skip


def table(module: nn.Module, input_shape: Sequence[int]) -> Table:
    """Output shape, parameters, MACs, jump and receptive field of every layer of `module`, in order of execution.

    input_shape: of one input without the batch: (C, H, W) for images, (C, L), (C, D, H, W) or (n,).
    Parameters include those of batch norm, and count once if a layer is used twice; MACs are those of convolutions
    and fully connected layers, without biases. Parameters of no layer that is reached are noted below.
    The module may have weights of any dtype, or none: on the meta device, say.
    Raises ValueError, naming the layer, for sizes that do not fit and for what cannot be traced: a forward pass
    that branches on values, a layer that gives a tuple, or an operation that is not known here. TypeError for what is
    no module or no shape.
    """
    probing.checked_module("module", module, numbers=False)
    x = stacks.table([], sequence("input_shape", input_shape, "a shape, such as (C, H, W)")).rows[0]
    # A copy without memory: the weights of VGG alone would be half a gigabyte.
    memo = {id(t): _meta(t) for t in [*module.parameters(), *module.buffers()]}
    try:
        light = copy.deepcopy(module, memo)
        graph = fx.symbolic_trace(light)
    except Exception as failure:
        raise ValueError(
            f"the module {type(module).__name__} cannot be traced: {failure} (its forward pass must not depend on "
            "values of x)"
        ) from None
    follower = _Follower(graph, x)
    try:
        with torch.no_grad():
            follower.run(torch.empty(BATCH, *x.shape, device="meta"))
    except (ValueError, RuntimeError, TypeError) as failure:  # the last two: sizes that no tensor can have
        raise ValueError(f"{failure} (module {type(module).__name__}, input_shape {brief(x.shape)})") from None
    unused = {name: p for name, p in light.named_parameters() if id(p) not in follower.counted}
    note = ""
    if unused:
        parts = dict.fromkeys(name.split(".")[0] for name in unused)
        amount = sum(p.numel() for p in unused.values())
        note = f"{amount:,} parameters belong to no layer of this forward pass: {', '.join(parts)}."
    return table_of([x, *follower.found], note)


class _Follower(fx.Interpreter):
    """Runs the graph on meta tensors and keeps the row of every node that is a feature map."""

    def __init__(self, graph: fx.GraphModule, x: Row) -> None:
        super().__init__(graph)
        self.extra_traceback = False  # the message names the layer, and no more
        self.x = x
        self.rows: dict[fx.Node, Row] = {}
        self.found: list[Row] = []
        self.counted: set[int] = set()

    def run_node(self, node: fx.Node) -> Any:
        name = str(node.target) if node.op == "call_module" else _place(node, self.kind(node))
        try:
            value = super().run_node(node)
            row = self.row(node, value)
        except Exception as failure:  # whatever the module's own forward pass raises
            raise ValueError(f"{name} ({self.kind(node)}): {failure}") from None
        if row is not None:
            if row.shape != tuple(value.shape[1:]):
                raise ValueError(f"{name}: torch gives {tuple(value.shape[1:])}, the recurrence {row.shape}")
            self.rows[node] = row = row._replace(name=name)
            if node.op != "placeholder":
                self.found.append(row)
        return value

    def kind(self, node: fx.Node) -> str:
        if node.op == "call_module":
            return type(self.fetch_attr(str(node.target))).__name__
        return node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))

    def call_module(self, target: Target, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        layer, x = self.fetch_attr(str(target)), args[0]
        if isinstance(layer, nn.Linear) and x.dim() > 2:
            raise ValueError(f"it needs a flat input, but gets {size_text(tuple(x.shape[1:]))}: flatten before it")
        for name in ("in_channels", "num_features", "in_features"):
            if getattr(layer, name, x.shape[1]) != x.shape[1]:
                raise ValueError(f"its {name} is {getattr(layer, name)}, but its input has {x.shape[1]}")
        if isinstance(layer, BATCH_NORMS):  # in training mode it would refuse a map of one pixel
            return x
        return super().call_module(target, args, kwargs)

    def row(self, node: fx.Node, value: Any) -> Row | None:
        """The row of a node whose result is a feature map; None for sizes, weights and what only packs results."""
        if node.op == "placeholder":
            return self.x
        inputs = [self.rows[n] for n in node.all_input_nodes if n in self.rows]
        if node.op == "output" or not inputs:
            return None
        if not isinstance(value, torch.Tensor):
            packs = isinstance(node.target, type) and issubclass(node.target, tuple)  # a NamedTuple of results
            if not packs and isinstance(value, tuple | list) and any(isinstance(v, torch.Tensor) for v in value):
                raise ValueError(f"it gives a {type(value).__name__}: only layers that give one tensor are known here")
            return None
        if node.op == "call_module":
            return self.of_module(self.fetch_attr(str(node.target)), inputs[0], value)
        function = TENSOR_METHODS.get(str(node.target)) if node.op == "call_method" else node.target
        if function in POOL_FUNCTIONS:
            args, kwargs = self.fetch_args_kwargs_from_env(node)
            return _of_layer(POOL_FUNCTIONS[function](*args[1:5], **kwargs), inputs[0], value)
        return _of_function(function, self.kind(node), inputs, value)

    def of_module(self, layer: nn.Module, x: Row, value: torch.Tensor) -> Row:
        parameters = [p for p in layer.parameters() if id(p) not in self.counted]
        self.counted.update(map(id, parameters))
        return _of_layer(layer, x, value)._replace(parameters=sum(p.numel() for p in parameters))


def _of_layer(layer: nn.Module, x: Row, value: torch.Tensor) -> Row:
    name = type(layer).__name__
    if isinstance(layer, CONVS):
        bias = layer.bias is not None
        sizes = {name: getattr(layer, name) for name in ("stride", "padding", "dilation", "groups")}
        return stacks.after(stacks.Conv(layer.out_channels, layer.kernel_size, **sizes, bias=bias), x)
    if isinstance(layer, nn.Linear):
        return stacks.after(stacks.Linear(layer.out_features, layer.bias is not None), x)
    if isinstance(layer, MAX_POOLS + AVG_POOLS):
        if getattr(layer, "dilation", 1) not in (1, (1, 1), (1, 1, 1)):
            raise ValueError("a dilated pool is not known here")
        kind = "max" if isinstance(layer, MAX_POOLS) else "average"
        k, stride, padding = (_tuple(v) for v in (layer.kernel_size, layer.stride, layer.padding))
        return stacks.after(stacks.Pool(k, stride, padding, ceil_mode=layer.ceil_mode, kind=kind), x)
    if isinstance(layer, ADAPTIVE):
        return _adaptive(x, value)
    if isinstance(layer, nn.Flatten):
        return _flat(x, value)
    if isinstance(layer, BATCH_NORMS):
        return x._replace(layer="Batch norm", macs=0)
    if isinstance(layer, POINTWISE):
        return x._replace(layer=name, macs=0)
    raise ValueError("this kind of layer is not known here")


def _of_function(function: object, name: str, inputs: list[Row], value: torch.Tensor) -> Row:
    x = inputs[0]
    shape = tuple(value.shape[1:])
    if function in JOINS | POINTWISE_FUNCTIONS:
        if len(inputs) == 1 and shape != x.shape and function not in CONCATENATIONS:
            raise ValueError(f"it makes {size_text(shape)} of {size_text(x.shape)}: broadcasting is not known here")
        return Row(name, shape, _meet(inputs))
    if function in (torch.flatten, torch.reshape):
        return _flat(x, value)
    if function in (F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d, F.adaptive_max_pool2d):
        return _adaptive(x, value)
    if function is torch.mean and math.prod(shape) == x.shape[0] and value.shape[0] == BATCH:
        pooled = stacks.after(stacks.GlobalPool(), x)
        return pooled._replace(layer="Global average pool", shape=shape)
    raise ValueError("this operation is not known here; write it as a torch.nn layer if there is one")


def _meet(inputs: list[Row]) -> tuple[Axis, ...]:
    """Where branches meet, every unit sees what its unit of any branch sees."""
    axes = []
    for branches in zip(*(x.axes for x in inputs), strict=True):
        if len({(axis.size, axis.jump) for axis in branches}) > 1:
            said = " and ".join(f"{axis.size} units with jump {axis.jump}" for axis in branches)
            raise ValueError(f"branches that do not fit meet here: {said}")
        left = min(axis.left for axis in branches)
        right = max(axis.left + axis.field for axis in branches)
        span = max(axis.left + axis.span for axis in branches) - left
        axes.append(branches[0]._replace(field=right - left, left=left, span=span))
    return tuple(axes)


def _flat(x: Row, value: torch.Tensor) -> Row:
    if tuple(value.shape) != (BATCH, math.prod(x.shape)):
        raise ValueError(
            f"only flattening everything but the batch is known here, but {size_text(x.shape)} becomes "
            f"{size_text(tuple(value.shape[1:]))}"
        )
    return stacks.after(stacks.Flatten(), x)


def _adaptive(x: Row, value: torch.Tensor) -> Row:
    """An adaptive pool to m places: windows from floor(i n / m) to ceil((i + 1) n / m), even only if m divides n."""
    axes = []
    for axis, m in zip(x.axes, value.shape[2:], strict=True):
        n = axis.size
        if m == 1:
            axes.append(axis.whole())
        elif n % m == 0:
            axes.append(axis.slide(n // m, stride=n // m))
        else:
            largest = max(-(-(i + 1) * n // m) - i * n // m for i in range(m))
            field = axis.field + (largest - 1) * (axis.jump or 0)
            axes.append(axis._replace(size=m, jump=None, field=field))
    size = size_text(tuple(value.shape[2:]))
    return Row(f"Adaptive pool to {size}", tuple(value.shape[1:]), tuple(axes))


def _meta(tensor: torch.Tensor) -> torch.Tensor:
    # All in float32, as the input is: the sizes are the same, and a module may mix dtypes.
    empty = torch.empty_like(tensor, device="meta", dtype=torch.float32 if tensor.is_floating_point() else None)
    return nn.Parameter(empty, requires_grad=False) if isinstance(tensor, nn.Parameter) else empty


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _place(node: fx.Node, function: str) -> str:
    """Where a function is called: the module around it, and its name."""
    around = list(node.meta.get("nn_module_stack") or [""])[-1]
    return f"{around}.{function}" if around else function
