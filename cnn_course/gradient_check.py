"""Is a gradient right? Compare it with central differences, which need nothing but the function itself.

(f(x + h) - f(x - h)) / 2h differs from the derivative by about h^2 f'''/6, and by rounding of about 1e-16 f/h in
float64: with h = 1e-5 both are near 1e-10. In float32 rounding alone would be 1e-2, so a check needs float64. Where f
has a kink between x - h and x + h (ReLU at 0, the maximum of two equal numbers), the difference is no derivative.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cnn_course.arguments.arrays import array
from cnn_course.arguments.floats import finite
from cnn_course.arguments.functions import called
from cnn_course.arguments.integers import seed_of
from cnn_course.arguments.objects import function, mapping, text
from cnn_course.arguments.shown import brief, shown


def numerical_gradient(f: Callable[[NDArray], float], x: NDArray, *, h: float = 1e-5) -> NDArray[np.float64]:
    """The gradient of f at x by central differences, one entry after the other; f is called 2 * x.size times.

    x: float64, any shape; f(x) gives one number. f gets a copy of x.
    Raises TypeError if x is not float64 or f no function of it, ValueError if h is not above 0 or so small that it is
    lost in rounding, or f gives no finite number.
    """
    function("f", f)
    h = finite("h", h, above=0)
    x = array("x", x)
    if x.dtype.type is not np.float64:
        raise TypeError(f"x must be float64, not {x.dtype}: in less, rounding spoils the differences")
    x = x.astype(np.float64)  # a copy, in the machine's own byte order
    gradient = np.empty_like(x)
    for place in np.ndindex(x.shape):
        middle, values = x[place], []
        for moved in (middle + h, middle - h):
            if moved == middle:
                raise ValueError(f"h={h!r} is lost in rounding next to {middle!r}, the number x{list(place)}")
            x[place] = moved
            value = array("what f gives", called("f", f, x.copy()))
            if value.ndim or not np.isfinite(value):
                raise ValueError(
                    f"f must give one finite number, but near x{list(place)}, with h={h!r}, it gave {brief(value)}"
                )
            values.append(float(value))
        x[place] = middle
        gradient[place] = (values[0] - values[1]) / (2 * h)
    return gradient


def relative_error(a: ArrayLike, b: ArrayLike) -> float:
    """max |a - b| / max(|a|, |b|), the maxima over all entries; 0 for two arrays of zeros.

    Measured against the largest entry, so that a tiny one, which rounding dominates, does not raise an alarm.
    Raises ValueError if the shapes differ: a gradient has the shape of what it belongs to.
    """
    # float64, as the difference of two integers without a sign would wrap around
    a, b = (array(name, value).astype(np.float64, copy=False) for name, value in (("a", a), ("b", b)))
    if a.shape != b.shape:
        raise ValueError(f"a and b must have one shape, but the shapes differ: {a.shape} and {b.shape}")
    size = max(np.abs(a).max(initial=0), np.abs(b).max(initial=0))
    return float(np.abs(a - b).max(initial=0) / size) if size else 0.0


def layer_errors(
    forward: Callable, backward: Callable, arrays: Mapping[str, NDArray], *, seed: int = 0, h: float = 1e-5
) -> dict[str, float]:
    """Check a layer: {name: relative error of its gradient} for every array.

    forward(**arrays) -> (out, cache); backward(dout, cache) -> the gradients in the order of `arrays` (a tuple, or one
    array). The loss is sum(out * dout) with a random dout, so each output counts with a weight of its own.
    Raises ValueError if backward gives another number of gradients, or one of another shape, and TypeError if forward
    or backward cannot work on the arrays; see `numerical_gradient`.
    """
    function("forward", forward), function("backward", backward)
    seed, h = seed_of("seed", seed), finite("h", h, above=0)
    if not mapping("arrays", arrays, "a dict of arrays, by the names that forward has for them"):
        raise ValueError("arrays is empty: it needs at least one array to find a gradient of")
    arrays = {text("each name in arrays", name): array(f"arrays[{name!r}]", value) for name, value in arrays.items()}
    for name, value in arrays.items():
        if value.dtype.type is not np.float64:
            raise TypeError(f"arrays[{name!r}] must be float64, not {value.dtype}: in less, rounding spoils the check")
    found = called("forward", forward, **arrays)
    if not isinstance(found, tuple | list) or len(found) != 2:
        raise TypeError(f"forward must give (out, cache) for these arrays, not {shown(found)}")
    out, cache = array("forward's output", found[0]), found[1]
    dout = np.random.default_rng(seed).normal(size=out.shape)
    gradients = called("backward", backward, dout, cache)
    gradients = tuple(gradients) if isinstance(gradients, tuple | list) else (gradients,)
    if len(gradients) != len(arrays):
        raise ValueError(f"backward gave {len(gradients)} gradients for the {len(arrays)} arrays {list(arrays)}")
    errors = {}
    for (name, value), gradient in zip(arrays.items(), gradients, strict=True):
        gradient = array(f"the gradient of {name!r} that backward gives", gradient)
        if gradient.shape != value.shape:
            raise ValueError(
                f"backward gave a gradient of shape {gradient.shape} for {name!r}, but the shapes differ: it has shape "
                f"{value.shape}"
            )
        try:
            numerical = numerical_gradient(_loss_of(forward, arrays, name, dout), value, h=h)
        except (TypeError, ValueError) as error:
            raise type(error)(f"with forward as f, and arrays[{name!r}] as x: {error}") from error
        errors[name] = relative_error(gradient, numerical)
    return errors


def _loss_of(forward: Callable, arrays: Mapping[str, NDArray], name: str, dout: NDArray) -> Callable:
    return lambda changed: float(np.sum(forward(**{**arrays, name: changed})[0] * dout))
