"""Is a gradient right? Compare it with central differences, which need nothing but the function itself.

(f(x + h) - f(x - h)) / 2h differs from the derivative by about h^2 f'''/6, and by rounding of about 1e-16 f/h in
float64: with h = 1e-5 both are near 1e-10. In float32 rounding alone would be 1e-2, so a check needs float64. Where f
has a kink between x - h and x + h (ReLU at 0, the maximum of two equal numbers), the difference is no derivative.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray


def numerical_gradient(f: Callable[[NDArray], float], x: NDArray, *, h: float = 1e-5) -> NDArray[np.float64]:
    """The gradient of f at x by central differences, one entry after the other; f is called 2 * x.size times.

    x: float64, any shape; f(x) gives one number. f gets a copy of x and must not change it.
    Raises TypeError if x is not float64, ValueError if h is not above 0 or f gives no finite number.
    """
    x = np.array(x)
    if x.dtype != np.float64:
        raise TypeError(f"x must be float64, not {x.dtype}: in less, rounding spoils the differences")
    if not 0 < h < np.inf:
        raise ValueError(f"h must be a small number above 0, like 1e-5, not {h!r}")
    gradient = np.empty_like(x)
    for place in np.ndindex(x.shape):
        middle = x[place]
        x[place] = middle + h
        above = f(x)
        x[place] = middle - h
        below = f(x)
        x[place] = middle
        if np.ndim(above) or not (np.isfinite(above) and np.isfinite(below)):
            raise ValueError(f"f must give one finite number, but near x{list(place)} it gave {above!r} and {below!r}")
        gradient[place] = (above - below) / (2 * h)
    return gradient


def relative_error(a: ArrayLike, b: ArrayLike) -> float:
    """max |a - b| / max(|a|, |b|), the maxima over all entries; 0 for two arrays of zeros.

    Measured against the largest entry, so that a tiny one, which rounding dominates, does not raise an alarm.
    Raises ValueError if the shapes differ: a gradient has the shape of what it belongs to.
    """
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape:
        raise ValueError(f"the shapes differ: {a.shape} and {b.shape}")
    size = max(np.abs(a).max(initial=0), np.abs(b).max(initial=0))
    return float(np.abs(a - b).max(initial=0) / size) if size else 0.0


def layer_errors(
    forward: Callable, backward: Callable, arrays: Mapping[str, NDArray], *, seed: int = 0, h: float = 1e-5
) -> dict[str, float]:
    """Check a layer: {name: relative error of its gradient} for every array.

    forward(**arrays) -> (out, cache); backward(dout, cache) -> the gradients in the order of `arrays` (a tuple, or one
    array). The loss is sum(out * dout) with a random dout, so each output counts with a weight of its own.
    Raises ValueError if backward gives another number of gradients, or one of another shape; see `numerical_gradient`.
    """
    out, cache = forward(**arrays)
    dout = np.random.default_rng(seed).normal(size=out.shape)
    gradients = backward(dout, cache)
    gradients = (gradients,) if isinstance(gradients, np.ndarray) else gradients
    if len(gradients) != len(arrays):
        raise ValueError(f"backward gave {len(gradients)} gradients for the {len(arrays)} arrays {list(arrays)}")
    errors = {}
    for (name, array), gradient in zip(arrays.items(), gradients, strict=True):
        numerical = numerical_gradient(_loss_of(forward, arrays, name, dout), array, h=h)
        errors[name] = relative_error(gradient, numerical)
    return errors


def _loss_of(forward: Callable, arrays: Mapping[str, NDArray], name: str, dout: NDArray) -> Callable:
    return lambda changed: float(np.sum(forward(**{**arrays, name: changed})[0] * dout))
