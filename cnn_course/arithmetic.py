"""What a layer costs: parameters, and multiply-accumulates (MACs). One MAC is two floating point operations.

Nothing is run: every number follows from the sizes. Bias additions are not counted as MACs.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

from cnn_course.arguments.integers import each, integer, pair
from cnn_course.arguments.objects import flag, sequence
from cnn_course.arguments.shown import brief
from cnn_course.convolution import output_size

__all__ = [
    "conv_macs",
    "conv_parameters",
    "linear_macs",
    "linear_parameters",
    "mlp_parameters",
    "output_size",
]


def conv_parameters(cin: int, cout: int, k: int | tuple[int, ...], *, bias: bool = True, groups: int = 1) -> int:
    """Weights (and biases) of a convolution layer: cout * (cin / groups) * kh * kw (+ cout).

    k: one number for a square kernel, or one for each axis, as many as there are.
    Raises ValueError if a number is below 1 or groups does not divide both channel counts.
    """
    cin, cout, groups = _channels(cin, cout, groups)
    if isinstance(k, tuple | list) and not k:
        raise ValueError("k must be an integer or one for each axis, at least one, not empty")
    taps = each("k", k, len(k) if isinstance(k, tuple | list) else 2, least=1)
    return cout * (cin // groups) * math.prod(taps) + (cout if flag("bias", bias) else 0)


def conv_macs(
    cin: int,
    cout: int,
    k: int | tuple[int, int],
    size: int | tuple[int, int],
    *,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] | str = 0,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
) -> int:
    """MACs of a convolution layer on one image of `size` (H, W): every output number costs one per weight it uses.

    Multiplications with padded zeros count too: a straightforward program does them.
    Raises ValueError as `conv_parameters` and `output_size` do.
    """
    weights = conv_parameters(cin, cout, k, bias=False, groups=groups)
    paddings: list[int | str]
    paddings = [padding] * 2 if isinstance(padding, str) else [*pair("padding", padding, least=0)]
    strides, dilations = pair("stride", stride, least=1), pair("dilation", dilation, least=1)
    sizes, taps = pair("size", size, least=1), pair("k", k, least=1)
    try:
        height, width = (
            output_size(n, t, stride=s, padding=p, dilation=d)
            for n, t, s, p, d in zip(sizes, taps, strides, paddings, dilations, strict=True)
        )
    except ValueError as error:
        raise ValueError(f"with size={brief(size)}, {error}") from None
    return weights * height * width


def linear_parameters(n_in: int, n_out: int, bias: bool = True) -> int:
    """Weights (and biases) of a fully connected layer: n_in * n_out (+ n_out)."""
    return linear_macs(n_in, n_out) + (int(n_out) if flag("bias", bias) else 0)


def linear_macs(n_in: int, n_out: int) -> int:
    """MACs of a fully connected layer on one input: one per weight."""
    return integer("n_in", n_in, least=1) * integer("n_out", n_out, least=1)


def mlp_parameters(sizes: Sequence[int], *, bias: bool = True) -> int:
    """Parameters of a stack of fully connected layers; sizes = (inputs, hidden, ..., outputs)."""
    sizes = [integer(f"sizes[{i}]", n, least=1) for i, n in enumerate(sequence("sizes", sizes))]
    if len(sizes) < 2:
        raise ValueError(f"sizes must name at least the inputs and the outputs, not {sizes!r}")
    return sum(linear_parameters(n_in, n_out, bias) for n_in, n_out in pairwise(sizes))


def _channels(cin: int, cout: int, groups: int) -> tuple[int, int, int]:
    cin, cout = integer("cin", cin, least=1), integer("cout", cout, least=1)
    groups = integer("groups", groups, least=1)
    if cin % groups or cout % groups:
        raise ValueError(f"groups={brief(groups)} must divide both cin={brief(cin)} and cout={brief(cout)}")
    return cin, cout, groups
