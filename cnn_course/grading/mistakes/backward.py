"""Lab 05: what common slips in a backward pass would have returned."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, SupportsIndex

import numpy as np

from cnn_course.convolution import conv_backward, flip
from cnn_course.errors import CheckFailed
from cnn_course.grading import checks, describe

Pair = tuple[int, int]
Candidates = list[tuple[np.ndarray, str]]


def relu(dout: np.ndarray, x: np.ndarray) -> Candidates:
    """Results of wrong backward passes of a ReLU."""
    dout, x = np.asarray(dout, dtype=np.float64), np.asarray(x, dtype=np.float64)
    return [
        (dout * (x >= 0), "It looks as if the gate is open at x = 0. Here it is closed there: x > 0."),
        (dout * (dout > 0), "It looks as if the gate looks at dout. Which numbers pass is decided by x."),
        (dout * (dout > 0) * (x > 0), "It looks as if negative dout is cut off too. The gate looks at x alone."),
        (dout * (x < 0), "The gate is the wrong way round: dout passes where x is above 0."),
        (dout * np.maximum(x, 0), "It looks as if dout is multiplied by the output. The slope of a ReLU is 0 or 1."),
        (dout * x, "It looks as if dout is multiplied by x. The slope of a ReLU is 0 or 1."),
        (1.0 * (x > 0), "That is the slope alone: multiply it by dout."),
        (np.maximum(x, 0), "That is the forward pass."),
        (dout, "dout comes back unchanged: where x is not above 0, the gradient is 0."),
    ]


def max_pool(dout: np.ndarray, x: np.ndarray, k: int, stride: int) -> Candidates:
    """Results of wrong backward passes of max pooling: dout (N, C, OH, OW), x (N, C, H, W), windows k x k."""
    dout, x = np.asarray(dout, dtype=np.float64), np.asarray(x, dtype=np.float64)
    return list(_wrong_max_pool(dout, x, k, stride))


def _wrong_max_pool(dout: np.ndarray, x: np.ndarray, k: int, stride: int) -> Iterator[tuple[np.ndarray, str]]:
    ones = np.ones((k, k))

    def winner(window: np.ndarray) -> np.ndarray:
        return _only(window, window.argmax())

    def spread(share: Callable[[np.ndarray], np.ndarray], step: int = stride, add: bool = True) -> np.ndarray:
        return _spread(dout, x, k, step, share, add)

    yield spread(lambda window: window == window.max()), "All equal maxima get the number; the first one gets it alone."
    shared = "It looks as if equal maxima share the number; the first one in reading order gets it all."
    yield spread(lambda window: (window == window.max()) / (window == window.max()).sum()), shared
    last = "Of equal maxima the last one gets the number; it goes to the first one in reading order."
    yield spread(lambda window: _only(window, k * k - 1 - window.ravel()[::-1].argmax())), last
    columns = "Of equal maxima the first one column by column gets the number; reading order goes row by row."
    yield spread(lambda window: _only(window.T, window.T.argmax()).T), columns
    overwritten = "A pixel that wins several windows keeps only the last number: add with +=."
    yield spread(winner, add=False), overwritten
    yield spread(lambda window: ones / k**2), "That is the backward pass of average pooling; here the winner takes all."
    yield (
        spread(lambda window: ones),
        "Every pixel of the window gets the number; only the winner gets it.",
    )
    corner = "The number goes to the first pixel of each window, whichever is the largest."
    yield spread(lambda window: _only(window, 0)), corner
    yield spread(lambda window: _only(window, window.argmin())), "The number goes to the smallest pixel of each window."
    size = "The number goes to the largest absolute value; the maximum of -5 and 1 is 1."
    yield spread(lambda window: _only(window, np.abs(window).argmax())), size
    turned = "It looks as if the row and the column of the winner are swapped. np.unravel_index gives (row, column)."
    yield spread(lambda window: winner(window).T), turned
    yield spread(lambda window: winner(window) * window), "dout is multiplied by the maximum; it is passed on as it is."
    yield spread(winner, step=k), "It looks as if the windows step by their own size: the step is `stride`."
    right = spread(winner)
    whole = "The numbers are cut off to whole ones: dx is made with the dtype of x. np.zeros(x.shape) makes floats."
    cut = np.zeros(x.shape, dtype=np.int64)
    for n, c, i, j in np.ndindex(dout.shape):
        u, v = np.unravel_index(x[n, c, i * stride : i * stride + k, j * stride : j * stride + k].argmax(), (k, k))
        cut[n, c, i * stride + u, j * stride + v] += dout[n, c, i, j]
    yield cut, whole
    yield right != 0, "These are the places of the winners: put the numbers of dout there."
    yield dout, "dout came back. The gradient of x has the shape of x."
    yield from _batch(right)


def weights(dout: np.ndarray, x: np.ndarray, kernel: Pair, stride: int = 1, padding: int = 0) -> dict[str, Candidates]:
    """Results of wrong gradients dw and db of a convolution, for `check_parts`."""
    dout, x = np.asarray(dout, dtype=np.float64), np.asarray(x, dtype=np.float64)
    count = len(x)
    wrong_bias = [
        (dout.mean(axis=(0, 2, 3)), "db is the sum of dout over images and places, not the mean."),
        (dout.sum(axis=(2, 3))[0], "It looks as if only the first image counts for db; sum over all images."),
        (
            dout.sum(axis=(0, 2, 3)) / count,
            "db is divided by the number of images; dout has that already.",
        ),
        (dout.sum(axis=0)[:, 0, 0], "It looks as if db sums over the images only; sum over the places too."),
        (dout.sum(axis=(2, 3)), "db sums over the places only; sum over the images too."),
        (dout.sum(axis=0), "db sums over the images only; sum over the places too."),
        (dout.sum(axis=(0, 1, 2)), "db is summed over the wrong axes: keep axis 1, the filters."),
        (dout.sum(), "db is one number for each filter: keep axis 1."),
    ]
    return {"dw": list(_wrong_weights(dout, x, kernel, stride, padding)), "db": wrong_bias}


def _wrong_weights(
    dout: np.ndarray, x: np.ndarray, kernel: Pair, stride: int, padding: int
) -> Iterator[tuple[np.ndarray, str]]:
    count, places = len(x), dout.shape[2] * dout.shape[3]
    right = _dw(dout, x, kernel, stride, padding)
    yield (
        right[..., ::-1, ::-1],
        "dw is turned by 180 degrees. It is a correlation, of x with dout: nothing is flipped.",
    )
    divided = "It looks as if dw is divided by the number of {}; every use of a weight adds its share."
    yield right / count, divided.format("images")
    yield right / places, divided.format("places")
    yield right / (count * places), divided.format("images and places")
    yield _dw(dout[:1], x[:1], kernel, stride, padding), "Only the first image counts for dw; sum over all images."
    yield _dw(dout[-1:], x[-1:], kernel, stride, padding), "Each image overwrites the one before: use += for dw."
    last = np.zeros_like(dout)
    last[-1:, :, -1:, -1:] = dout[-1:, :, -1:, -1:]
    yield _dw(last, x, kernel, stride, padding), "Each place overwrites the one before: use += for dw."
    last = np.zeros_like(dout)
    last[:, :, -1:, -1:] = dout[:, :, -1:, -1:]
    yield _dw(last, x, kernel, stride, padding), "Each place overwrites the one before: use += for dw."
    if padding:
        bare = "It looks as if x is not padded: the forward pass saw a frame of zeros."
        yield from _fits(lambda: _moved(dout, x, kernel, stride), bare)
        half = np.pad(x, ((0, 0), (0, 0), (0, padding), (0, padding)))
        yield from _fits(lambda: _moved(dout, half, kernel, stride), "x is padded on two sides only; pad all four.")
    if stride > 1:
        ignored = "It looks as if the stride is ignored: dout[..., i, j] belongs to the window at (i, j) * stride."
        yield from _fits(lambda: _moved(dout, _framed(x, padding), kernel, 1), ignored)
    yield right.swapaxes(0, 1), "The first two axes of dw are swapped: the filters come first, (O, C, kh, kw)."
    yield right.swapaxes(2, 3), "The rows and columns of dw are swapped."
    each = "Every input channel gets the same gradient: use channel c of x for dw[:, c]."
    yield np.broadcast_to(right.mean(axis=1, keepdims=True), right.shape), each
    yield np.broadcast_to(right.sum(axis=1, keepdims=True), right.shape), each
    yield np.broadcast_to(right[:1], right.shape), "Every filter gets the gradient of the first: use dout[:, o]."
    yield right.sum(axis=1), "The channel axis of dw is missing: it has the shape of the kernels, (O, C, kh, kw)."


def inputs(dout: np.ndarray, w: np.ndarray, size: Pair, stride: int = 1, padding: int = 0) -> Candidates:
    """Results of wrong gradients dx of a convolution of pictures of `size`."""
    dout, w = np.asarray(dout, dtype=np.float64), np.asarray(w, dtype=np.float64)
    return list(_wrong_inputs(dout, w, size, stride, padding))


def _wrong_inputs(
    dout: np.ndarray, w: np.ndarray, size: Pair, stride: int, padding: int
) -> Iterator[tuple[np.ndarray, str]]:
    right = _dx(dout, w, size, stride, padding)
    height, width = size
    turned = (
        "It looks as if the kernel is turned by 180 degrees once too often or once too little. Each number of dout "
        "goes, times w as it is, to its window; as one convolution, dout meets the flipped kernel."
    )
    yield _dx(dout, flip(w), size, stride, padding), turned
    yield from _fits(lambda: _dx(dout, w.swapaxes(2, 3), size, stride, padding), "It looks as if w is transposed.")
    yield _placed(dout, w, size, stride, padding, add=False), "Windows overlap: add to dx with +=, do not overwrite."
    if padding:
        whole = _dx(dout, w, (height + 2 * padding, width + 2 * padding), stride, 0)
        yield whole, "The frame of the padding is still there: its share of dx belongs to no pixel, cut it off."
        yield whole[:, :, :height, :width], "The frame is cut off at one end only: pixel (0, 0) stood at (p, p)."
        yield whole[:, :, -height:, -width:], "The frame is cut off at one end only: pixel (0, 0) stood at (p, p)."
    if stride > 1:
        together = "It looks as if the stride is ignored: dout[..., i, j] belongs to the window at (i, j) * stride."
        yield _placed(dout, w, size, 1, padding), together
    first = "It looks as if only {} counts for dx; sum over all filters."
    yield _dx(dout[:, :1], w[:1], size, stride, padding), first.format("the first filter")
    yield _dx(dout[:, -1:], w[-1:], size, stride, padding), first.format("the last filter")
    yield right / dout.shape[1], "It looks as if dx is the mean over the filters; their shares add up."
    yield right / len(dout), "It looks as if dx is divided by the number of images; dout has that already."
    if w.shape[0] == w.shape[1]:
        swapped = _dx(dout, w.swapaxes(0, 1), size, stride, padding)
        yield swapped, "It looks as if w[o, c] is read as w[c, o]: the filters come first."
    reached = right[:, :, : (dout.shape[2] - 1) * stride + w.shape[2] - 2 * padding]
    reached = reached[..., : (dout.shape[3] - 1) * stride + w.shape[3] - 2 * padding]
    yield reached, "dx stops where the last window ends. It has the size of x; pixels that no window reached get 0."
    yield dout, "dout came back. The gradient of x has the shape of x, (N, C, H, W)."
    yield from _batch(right)


def step(w: np.ndarray, g: np.ndarray, v: np.ndarray, lr: float, momentum: float) -> dict[str, Candidates]:
    """Results of wrong steps of SGD with momentum, for `check_parts`."""
    whole = np.asarray(v).dtype.kind in "iu"
    w, g, v = (np.asarray(a, dtype=np.float64) for a in (w, g, v))
    new = momentum * v + g
    wrong_v = [
        (v + g, "It looks as if v is not multiplied by the momentum."),
        (momentum * v + (1 - momentum) * g, "It looks as if g is multiplied by 1 - momentum; add it as it is."),
        (momentum * v + lr * g, "It looks as if the learning rate is in v already; here it belongs to the step of w."),
        (momentum * v - g, "g is subtracted from momentum * v. It is added; the minus belongs to the step of w."),
        (momentum * (v + g), "It looks as if g is multiplied by the momentum too."),
        (v + momentum * g, "The momentum multiplies g instead of the old v."),
    ]
    if whole:
        wrong_v.append((np.trunc(new), "The new v is cut off to whole numbers: it takes over the dtype of v."))
    # A wrong v gives a wrong w, and w is compared first.
    wrong_w = [(w - lr * velocity, message) for velocity, message in wrong_v]
    rate_inside = "It looks as if the learning rate is in v; here v = momentum * v + g, and w moves by lr * v."
    wrong_w += [
        (w - (momentum * v + lr * g), rate_inside),
        (w + lr * new, "w goes uphill: the gradient points to a larger loss, so subtract."),
        (w - lr * g, "w moves by lr * g: the momentum is not used. Move it by lr times the new v."),
        (w - lr * v, "w moves by the old v: compute the new v first."),
        (w - new, "It looks as if the learning rate is not used."),
        (w - lr * (momentum * new + g), "It looks as if the momentum is applied twice (Nesterov's version)."),
        (w - lr * momentum * new, "It looks as if the step is multiplied by the momentum once more."),
        (-lr * new, "That is the step alone: add it to w."),
        (w, "w has not moved."),
        (new, "That is the new v: return (w, v) in this order."),
    ]
    wrong_v += [
        (momentum * v - lr * g, rate_inside),
        (lr * new, rate_inside),
        (v, "v is the old one: return the new v = momentum * v + g."),
        (g, "That is g: the old v, times the momentum, is missing."),
        (w - lr * new, "That is the new w: return (w, v) in this order."),
    ]
    return {"the new w": wrong_w, "the new v": wrong_v}


def check_parts(
    name: str,
    function: Callable[..., Any],
    *arguments: Any,
    expected: Mapping[str, Any],
    mistakes: Mapping[str, Candidates] | None = None,
    hint: str = "",
    tolerance: float = 1e-6,
    **options: Any,
) -> None:
    """Like `checks.check`, for a function that returns several arrays; expected, mistakes: by the name of the array."""
    description = describe.call(name, *arguments, **options)
    got = checks.call(description, function, *arguments, **options)
    wanted = f"expected {len(expected)} arrays, {', '.join(expected)}"
    if got is None:
        raise CheckFailed(f"{description}: {wanted}; got None. Does the function end with `return ...`?")
    if not isinstance(got, (tuple, list)):
        found = "one array" if isinstance(got, np.ndarray) else describe.kind(got)
        raise CheckFailed(f"{description}: {wanted}; got {found}. Return them with a comma in between.")
    if len(got) != len(expected):
        raise CheckFailed(f"{description}: {wanted}; got {len(got)} values.")
    for value, (part, right) in zip(got, expected.items(), strict=True):
        wrong = (mistakes or {}).get(part, ())
        checks.check_array(f"{description}, {part}", value, right, mistakes=wrong, hint=hint, tolerance=tolerance)


def _only(window: np.ndarray, place: SupportsIndex) -> np.ndarray:
    chosen = np.zeros(window.size)
    chosen[place] = 1
    return chosen.reshape(window.shape)


def _spread(
    dout: np.ndarray, x: np.ndarray, k: int, stride: int, share: Callable[[np.ndarray], np.ndarray], add: bool
) -> np.ndarray:
    """Give each number of dout to the pixels of its window, in the shares that `share(window)` says."""
    dx = np.zeros(x.shape)
    for n, c, i, j in np.ndindex(dout.shape):
        window = x[n, c, i * stride : i * stride + k, j * stride : j * stride + k]
        if window.shape != (k, k):  # a wrong stride leads over the border
            continue
        part = dx[n, c, i * stride : i * stride + k, j * stride : j * stride + k]
        given = share(window) * dout[n, c, i, j]
        part[...] = part + given if add else np.where(given != 0, given, part)
    return dx


def _dw(dout: np.ndarray, x: np.ndarray, kernel: Pair, stride: int, padding: int) -> np.ndarray:
    w = np.zeros((dout.shape[1], x.shape[1], *kernel))
    return conv_backward(dout, x, w, stride=stride, padding=padding, need_dx=False)[1]


def _dx(dout: np.ndarray, w: np.ndarray, size: Pair, stride: int, padding: int) -> np.ndarray:
    return conv_backward(dout, np.zeros((len(dout), w.shape[1], *size)), w, stride=stride, padding=padding)[0]


def _moved(dout: np.ndarray, x: np.ndarray, kernel: Pair, stride: int) -> np.ndarray:
    """dw as loops find it that start their windows at the wrong places: windows over the border are cut."""
    dw = np.zeros((dout.shape[1], x.shape[1], *kernel))
    for n, o, i, j in np.ndindex(dout.shape):
        window = x[n, :, i * stride : i * stride + kernel[0], j * stride : j * stride + kernel[1]]
        dw[o, :, : window.shape[1], : window.shape[2]] += dout[n, o, i, j] * window
    return dw


def _placed(dout: np.ndarray, w: np.ndarray, size: Pair, stride: int, padding: int, add: bool = True) -> np.ndarray:
    """dx by loops over dout, with a wrong stride or without adding up."""
    kh, kw = w.shape[2:]
    dx = np.zeros((len(dout), w.shape[1], size[0] + 2 * padding, size[1] + 2 * padding))
    for n, o, i, j in np.ndindex(dout.shape):
        part = dx[n, :, i * stride : i * stride + kh, j * stride : j * stride + kw]
        given = dout[n, o, i, j] * w[o, :, : part.shape[1], : part.shape[2]]
        part[...] = part + given if add else given
    return dx[:, :, padding : padding + size[0], padding : padding + size[1]]


def _framed(x: np.ndarray, padding: int) -> np.ndarray:
    return np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))


def _fits(compute: Callable[[], np.ndarray], message: str) -> Candidates:
    try:
        return [(compute(), message)]
    except ValueError:
        return []


def _batch(right: np.ndarray) -> Candidates:
    """Slips with the first two axes, the same for every gradient of a picture."""
    return [
        (right[:1], "It looks as if only the first image of the batch is handled."),
        (_first_only(right, 0), "Only the first image gets a gradient; go through the whole batch."),
        (_first_only(right, 1), "Only the first channel gets a gradient; go through all channels."),
        (np.broadcast_to(right[:1], right.shape), "It looks as if every image gets the first one's gradient."),
        (np.broadcast_to(right[:, :1], right.shape), "It looks as if every channel gets the first one's gradient."),
        (right.sum(axis=0), "The gradients of the images are added up; each image has its own."),
        (right.swapaxes(2, 3), "The rows and columns of dx are swapped."),
    ]


def _first_only(right: np.ndarray, axis: int) -> np.ndarray:
    kept = np.zeros_like(right)
    first = (slice(None),) * axis + (slice(0, 1),)
    kept[first] = right[first]
    return kept
