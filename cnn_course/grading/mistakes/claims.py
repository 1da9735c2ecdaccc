"""Lab 08: a run of an experiment (numbers and a verdict), and what common slips in an experiment would have measured.

`check_run` compares what one call of a student's experiment returned: first the numbers, and only if they are right
the verdict. So a verdict without its measurement gets nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cnn_course import convolution, pooling
from cnn_course.equivariance import relative_difference
from cnn_course.grading import checks, describe
from cnn_course.grading.failure import CheckFailed

VERDICTS = ("refuted", "survives")

Layers = Sequence[tuple[int, int]]
Candidates = list[tuple[np.ndarray, str]]


def check_run(
    name: str,
    function: Callable[..., Any],
    *arguments: Any,
    expected: Any,
    refuted: bool | None = None,
    asks: str = "",
    mistakes: checks.Mistakes = (),
    hint: str = "",
    tolerance: float = 1e-6,
    **options: Any,
) -> None:
    """Call an experiment, which returns (numbers, verdict), and compare both with what they should be.

    expected, mistakes, hint, tolerance: the numbers, as in `checks.check_array`. Whole numbers may come as integers.
    refuted: whether these numbers refute the claim; None leaves the verdict to the student (it must be one of the two
    words all the same). asks: what the claim says about the numbers, as a clause for the message.

    Raises CheckFailed with a message for the student.
    """
    description = describe.call(name, *arguments, **options)
    numbers, verdict = _two(description, checks.call(description, function, *arguments, **options))
    if describe.is_tensor(numbers):
        numbers = np.asarray(numbers.detach())
    expected = np.asarray(expected, dtype=np.float64)
    checks.check_array(
        f"{description}, the numbers",
        _whole_as_floats(numbers, expected),
        expected,
        mistakes=mistakes,
        hint=hint,
        tolerance=tolerance,
    )
    if type(verdict) is not str or verdict not in VERDICTS:
        shown = repr(verdict) if type(verdict) is str and len(verdict) <= 40 else describe.kind(verdict)
        raise CheckFailed(
            f'{description}: the numbers are right. The verdict must be the text "refuted" or "survives", got {shown}.'
        )
    if refuted is None or verdict == VERDICTS[not refuted]:
        return
    if refuted:
        why = f"The claim asks that {asks}. These numbers break that, and one such run is enough."
    else:
        why = (
            f"The claim asks that {asks}. These numbers agree with that, up to rounding. "
            "Decide from the numbers of this call, and count a relative difference up to 1e-6 as none."
        )
    raise CheckFailed(f'{description}: the numbers are right, but the verdict "{verdict}" does not follow. {why}')


def padding_uses(height: int, width: int, k: int) -> Candidates:
    """Wrong counts of the windows that hold each pixel, for a k x k kernel and "same" padding."""
    p = k // 2

    def counts(n: int, before: int, after: int) -> np.ndarray:
        used = np.zeros(n + before + after)
        for start in range(n + before + after - k + 1):
            used[start : start + k] += 1
        return used

    def both(before: int, after: int) -> np.ndarray:
        rows, columns = counts(height, before, after), counts(width, before, after)
        return np.outer(rows[before : before + height], columns[before : before + width])

    right, padded = both(p, p), np.outer(counts(height, p, p), counts(width, p, p))
    return [
        (padded, "The frame of zeros is still there: count for the pixels of the picture only, and cut the frame off."),
        (right.T, "It looks as if rows and columns are swapped."),
        (both(0, 0), "These are the counts without padding: with it, windows also start outside the picture."),
        (both(p, 0), "It looks as if the picture is padded on one side only."),
        (both(0, p), "It looks as if the picture is padded on one side only."),
        (
            np.full((height, width), float(k * k)),
            "That is what the claim says, not a count: a window would have to stand on every place around a corner "
            "pixel, but no window stands outside the picture.",
        ),
        (both(k - 1, k - 1), "It looks as if the frame is k - 1 wide: (k - 1) / 2 on each side keeps the size."),
        (np.ones((height, width)), "It looks as if each pixel is counted once: add up over all windows."),
        (right / right.max(), "These are shares of the largest count: return the counts."),
        (right / k**2, "These are averages over the window: return the counts, without dividing by k²."),
    ]


def shuffled_fit(x: np.ndarray, y: np.ndarray, order: np.ndarray) -> Candidates:
    """Wrong weights (2, P) for pictures x (N, H, W) as they are, and with their pixels in another order."""
    flat = np.asarray(x, dtype=np.float64).reshape(len(x), -1)
    w = np.linalg.lstsq(flat, y, rcond=None)[0]
    inverse = np.argsort(order)
    constant = np.linalg.lstsq(np.column_stack([flat, np.ones(len(x))]), y, rcond=None)[0]
    errors = np.full(2, np.linalg.norm(flat @ w - y))
    return [
        (
            np.stack([w, w]),
            "Both rows hold the weights for the pictures as they are: fit again on the shuffled pictures.",
        ),
        (np.stack([w, w[inverse]]), "It looks as if the pixels are put back: pixel p of the shuffled one is order[p]."),
        (np.stack([w[order], w]), "The two rows are swapped: first the pictures as they are."),
        (np.stack([w[order], w[order]]), "Both rows hold the weights for the shuffled pictures."),
        (w, "Only one fit has come back: stack the weights of both."),
        (constant, "Fit the weights of the pixels only, without a constant."),
        (np.stack([w, w[order]]).T, "The table is transposed: one row for each fit."),
        (errors, "These are the errors of the two fits: return the weights, and use the errors for the verdict."),
    ]


def field_before_after(layers: Layers) -> Candidates:
    """Wrong pairs of receptive fields, before and after one more layer (2, 2)."""
    layers = [tuple(layer) for layer in layers]
    more = [*layers, (2, 2)]
    before, after = _field(layers), _field(more)
    return [
        (np.array([before, 2 * before]), "The second number is what the claim says: trace what the pool really sees."),
        (np.array([after, before]), "The two numbers are swapped: first the field before the pool."),
        (np.array([before, before + 1]), "It looks as if the strides are left out: neighbours may lie pixels apart."),
        (
            np.array([_field([(k, 1) for k, _ in stack]) for stack in (layers, more)]),
            "It looks as if the strides are left out: neighbouring places of a later layer lie several pixels apart.",
        ),
        (
            np.array([_field(layers[::-1]), _field(more[::-1])]),
            "It looks as if the layers are taken in the wrong order: the output lies after the last one, so trace from "
            "there back to the pixels.",
        ),
        (
            np.array([_field(layers[::-1]), _field([*layers[::-1], (2, 2)])]),
            "It looks as if the layers before the pool are taken in reverse order.",
        ),
        (
            np.array([_field(stack, late=True) for stack in (layers, more)]),
            "It looks as if a layer's own stride widens its own field: it counts for the layers after it only.",
        ),
        (np.array([_jump(layers), _jump(more)]), "That is the step between neighbouring places, not the field."),
        (np.array([after, after]), "Both numbers are the field after the pool."),
        (np.array([_field(layers), _field([*layers, (2, 1)])]), "It looks as if the strides are left out."),
        (np.array([before, after - before]), "The second number is what the pool adds: return the whole field."),
    ]


def pool_and_shift(x: np.ndarray, k: int, by: int) -> Candidates:
    """Wrong pairs of differences (map moved down to, map moved up to a whole place) for a ring x (n,)."""
    x = np.asarray(x, dtype=np.float64)

    def pool(x: np.ndarray, stride: int = k) -> np.ndarray:
        return pooling.max_pool(x[None, None], k, stride=stride)[0, 0]

    def average(x: np.ndarray) -> np.ndarray:
        return pooling.avg_pool(x[None, None], k)[0, 0]

    def pair(of_moved: np.ndarray, places: tuple[int, int], still: np.ndarray, norm: Any = None) -> np.ndarray:
        norm = relative_difference if norm is None else norm
        return np.array([norm(np.roll(still, place), of_moved) for place in places])

    low, high = by // k, -(-by // k)
    moved, still = pool(np.roll(x, by)), pool(x)
    zeros = np.zeros_like(x)
    if abs(by) < len(x):
        inside = slice(max(by, 0), len(x) + min(by, 0))
        zeros[inside] = np.roll(x, by)[inside]
    return [
        (pair(moved, (0, 0), still), "It looks as if the map is not moved: its places have to move as the picture."),
        (pair(moved, (by, by), still), "It looks as if the map moves by as many places as the picture by pixels."),
        (pair(moved, (high, low), still), "The two numbers are swapped: the lower place first."),
        (pair(moved, (low, low), still), "Both numbers use the lower of the two places."),
        (pair(moved, (high, high), still), "Both numbers use the upper of the two places."),
        (pair(moved, (-low, -high), still), "It looks as if the map moves the other way: np.roll moves both."),
        (pair(pool(np.roll(x, -by)), (low, high), still), "It looks as if the picture moves to the left."),
        (pair(pool(zeros), (low, high), still), "It looks as if zeros move in: on a ring what leaves comes back."),
        (
            pair(pool(np.roll(x, by), 1)[: len(still)], (low, high), pool(x, 1)[: len(still)]),
            "It looks as if the pool has stride 1: give it stride k.",
        ),
        (
            pair(average(np.roll(x, by)), (low, high), average(x)),
            "It looks as if the windows are averaged: take the largest number of each.",
        ),
        (
            pair(moved, (low, high), still, lambda a, b: float(np.linalg.norm(a - b))),
            "These are differences that are not divided by the norm of the moved picture's map.",
        ),
        (
            pair(moved, (low, high), still, lambda a, b: float(np.abs(a - b).max())),
            "These are the largest differences: take the norm of the difference over the norm of the map.",
        ),
        (pair(moved, (low, high), still) ** 2, "These are the squares: take the root of the sum of squares."),
    ]


def shift_and_circulant(a: np.ndarray) -> Candidates:
    """Wrong pairs (how far a is from commuting with a shift, how far from the circulant matrix of its first row)."""
    a = np.asarray(a, dtype=np.float64)
    n = len(a)
    s = np.roll(np.eye(n), 1, axis=0)
    first = np.stack([np.roll(a[0], i) for i in range(n)])
    column = np.stack([np.roll(a[:, 0], i) for i in range(n)], axis=1)
    other_way = np.stack([np.roll(a[0], -i) for i in range(n)])
    commutator, circulant, size = np.linalg.norm(a @ s - s @ a), np.linalg.norm(a - first), np.linalg.norm(a)
    squared = np.array([commutator, circulant]) ** 2 / size**2

    def with_second(other: np.ndarray) -> np.ndarray:
        return np.array([commutator, np.linalg.norm(a - other)]) / size

    return [
        (np.array([commutator, circulant]), "Divide both numbers by the norm of a."),
        (squared, "These are the squares: take the root of the sum of squares."),
        (np.array([circulant, commutator]) / size, "The two numbers are swapped."),
        (np.array([commutator] * 2) / size, "Both numbers are the distance from commuting."),
        (np.array([circulant] * 2) / size, "Both numbers are the distance from the circulant matrix."),
        (with_second(other_way), "It looks as if the rows move to the left: row i is row 0 moved i places right."),
        (with_second(column), "It looks as if the matrix is built from the first column: take the first row."),
        (
            np.array([np.linalg.norm(a @ s + s @ a), circulant]) / size,
            "The first number should come from the difference a @ s - s @ a, not from the sum.",
        ),
        (
            np.array([np.linalg.norm(a - s @ a), circulant]) / size,
            "It looks as if the output is moved but not the input: compare s @ a with a @ s.",
        ),
        (
            np.array([np.linalg.norm(a - a @ s), circulant]) / size,
            "It looks as if the input is moved but not the output: compare s @ a with a @ s.",
        ),
        (
            np.array([np.linalg.norm(a - a.T), circulant]) / size,
            "The first number compares a with its transpose: symmetric is not the same as commuting with a shift.",
        ),
    ]


def two_pointwise(x: np.ndarray, w1: np.ndarray, w2: np.ndarray, relu: bool) -> Candidates:
    """Wrong distances between two 1 x 1 convolutions and the closest single one."""
    pixels = np.moveaxis(np.asarray(x, dtype=np.float64), 1, -1).reshape(-1, x.shape[1])
    hidden = pixels @ w1.T
    rectified = np.maximum(hidden, 0)
    out = (rectified if relu else hidden) @ w2.T
    product = pixels @ (w2 @ w1).T
    right, rest = _distance(pixels, out), out - pixels @ np.linalg.lstsq(pixels, out, rcond=None)[0]
    other, switch = (hidden, "is missing") if relu else (rectified, "is there although relu is False")
    found = [
        (_distance(pixels, other @ w2.T), f"It looks as if the ReLU {switch}."),
        (_distance(pixels, np.maximum(out, 0)), "It looks as if a ReLU comes after the second convolution."),
        (
            relative_difference(product, out),
            "That is the distance from w2 @ w1. With a ReLU in between another single convolution may come closer: "
            "find the closest by least squares.",
        ),
        (right**2, "That is the square: take the root of the sum of squares."),
        (float(np.linalg.norm(rest)), "Divide by the norm of what the two layers make."),
        (float(np.mean(rest**2)), "That is the mean of the squares: take the norm, divided by the norm of the output."),
        (
            _distance(np.column_stack([pixels, np.ones(len(pixels))]), out),
            "It looks as if the single convolution has a bias: none of these layers has one.",
        ),
        (_distance(rectified, out), "The single convolution has to start from x, not from the hidden channels."),
    ]
    return [(np.asarray(value), message) for value, message in found]


def quarter_turn(x: np.ndarray, w: np.ndarray) -> Candidates:
    """Wrong tables (4, 4) of distances between the maps of the turned picture and the turned maps of the picture."""
    x, w = np.asarray(x, dtype=np.float64), np.asarray(w, dtype=np.float64)

    def maps(x: np.ndarray, way: int = 1) -> np.ndarray:
        kernels = np.stack([np.rot90(w, way * j) for j in range(4)])[:, None]
        return convolution.conv2d(np.ascontiguousarray(x)[None, None], np.ascontiguousarray(kernels))[0]

    def table(of_turned: np.ndarray, others: np.ndarray, norm: Any = relative_difference) -> np.ndarray:
        return np.array([[norm(other, one) for other in others] for one in of_turned])

    def turned(maps: np.ndarray, times: int = 1) -> np.ndarray:
        return np.stack([np.rot90(one, times) for one in maps])

    of_turned, still = maps(np.rot90(x)), maps(x)
    right = table(of_turned, turned(still))
    found = [
        (right.T, "It looks as if rows and columns of the table are swapped: row i is map i of the turned picture."),
        (table(turned(still), of_turned).T, "Divide by the norm of the map of the turned picture."),
        (table(of_turned, still), "It looks as if the maps of the picture are not turned."),
        (table(of_turned, turned(still, 3)), "It looks as if picture and maps are turned in opposite directions."),
        (
            table(maps(np.rot90(x), -1), turned(maps(x, -1))),
            "It looks as if the kernels are turned clockwise: kernel j is np.rot90(w, j), counterclockwise.",
        ),
        (table(maps(np.rot90(x, 3)), turned(still, 3)), "It looks as if the picture is turned clockwise."),
        (table(still, turned(still)), "It looks as if the picture is not turned."),
        (table(maps(np.rot90(x), 0), turned(maps(x, 0))), "It looks as if all four kernels are w: turn them."),
        (np.diag(right), "These are the four numbers of the diagonal: return the whole table, (4, 4)."),
        (
            table(of_turned, turned(still), lambda a, b: float(np.linalg.norm(a - b))),
            "These are differences that are not divided by a norm.",
        ),
        (right**2, "These are the squares: take the root of the sum of squares."),
    ]
    return found


def learn_from(x: np.ndarray, y: np.ndarray, w1: np.ndarray, w2: np.ndarray, rate: float, steps: int) -> Candidates:
    """Wrong triples (first loss, last loss, how far w1 moved) of gradient descent on two layers with a ReLU."""
    start = (np.asarray(w1, dtype=np.float64), np.asarray(w2, dtype=np.float64))

    def run(
        *, steps: int = steps, order: str = "together", mask: bool = True, scale: float = 2 / y.size, relu: bool = True
    ) -> tuple[float, float, np.ndarray, np.ndarray]:
        w1, w2, losses = *start, []
        for step in range(steps + 1):
            before = x @ w1
            hidden = np.maximum(before, 0) if relu else before
            difference = hidden @ w2 - y
            losses.append(float(np.mean(difference**2)))
            if step == steps:
                break
            dw2 = hidden.T @ difference * scale
            back = difference @ (w2 - rate * dw2 if order == "update first" else w2).T * scale
            dw1 = x.T @ (back * (before > 0) if mask and relu else back)
            w1, w2 = (w1 if order == "last only" else w1 - rate * dw1), w2 - rate * dw2
        return losses[0], losses[-1], w1 - start[0], w2 - start[1]

    def triple(**slip: Any) -> np.ndarray:
        first, last, moved, _ = run(**slip)
        return np.array([first, last, np.linalg.norm(moved)])

    first, last, moved, moved_2 = run()
    norm = np.linalg.norm(moved)
    with np.errstate(all="ignore"):
        found = [
            (
                triple(order="update first"),
                "It looks as if w2 is updated before the gradient goes back through it: first propagate with the "
                "weights of the forward pass, then update both.",
            ),
            (triple(mask=False), "It looks as if the ReLU is forgotten on the way back: nothing passes where it is 0."),
            (triple(relu=False), "It looks as if there is no ReLU."),
            (triple(steps=steps - 1), "It looks as if one step is missing, or the last loss is from before the last."),
            (triple(steps=steps + 1), "It looks as if there is one step too many."),
            (triple(scale=2 / len(x)), "The loss is the mean over all numbers of the output, so divide by y.size."),
            (triple(scale=1 / y.size), "The factor 2 from the square is missing in the gradient."),
            (triple(scale=2.0), "It looks as if the gradient is that of the sum: the loss is a mean."),
            (triple(order="last only"), "It looks as if only w2 is updated."),
            (np.array([first, last, np.abs(moved).max()]), "The third number is the norm of the change of w1."),
            (np.array([first, last, norm**2]), "The third number is squared: take the root."),
            (np.array([first, last, np.linalg.norm(moved_2)]), "The third number is how far w2 moved, not w1."),
            (
                np.array([first, last, np.linalg.norm(start[0] + moved)]),
                "The third number is the norm of w1, not of its change.",
            ),
            (
                np.array([first, first, 0.0]),
                "Nothing has changed: are the weights updated? Do both losses come from the same weights?",
            ),
            (np.array([first * y.size, last * y.size, norm]), "The losses are sums: take the mean."),
            (
                np.array([first, last, 0.0]),
                "The third number is 0: is w1 changed in place, so that it is compared with itself?",
            ),
        ]
    return [(candidate, message) for candidate, message in found if np.isfinite(candidate).all()]


def four_products(d: np.ndarray, g: np.ndarray) -> Candidates:
    """Wrong products (N, 4) for windows d (N, 4) and taps g (3,)."""
    d, g = np.asarray(d, dtype=np.float64), np.asarray(g, dtype=np.float64)
    right = _products(d, g)
    return [
        (right * [1, 2, 2, 1], "It looks as if the halves are missing in the second and third product."),
        (right * [1, 0.5, 0.5, 1], "It looks as if the second and third product are halved twice."),
        (right * [1, 1, -1, 1], "The third product has the wrong sign: it starts with d2 - d1."),
        (right * [1, 1, 1, -1], "The fourth product has the wrong sign: it starts with d1 - d3."),
        (right * [-1, 1, 1, 1], "The first product has the wrong sign: it starts with d0 - d2."),
        (_products(d, g[::-1]), "It looks as if the taps are used in reverse order."),
        (_products(d[:, ::-1], g), "It looks as if the windows are read backwards."),
        (right[:, [0, 2, 1, 3]], "The second and third product are swapped."),
        (right.T, "The table is transposed: one row for each window."),
        (_direct(d, g), "These are the outputs: return the four products, and use the outputs for the verdict."),
        (
            np.stack([right[:, 0] + right[:, 1] + right[:, 2], right[:, 1] - right[:, 2] - right[:, 3]], axis=1),
            "These are the outputs: return the four products, and use the outputs for the verdict.",
        ),
    ]


def block_jacobian(x: np.ndarray, w1: np.ndarray, w2: np.ndarray, relu_after: bool) -> Candidates:
    """Wrong Jacobians (D, D) of a residual block."""
    x, w1, w2 = (np.asarray(a, dtype=np.float64) for a in (x, w1, w2))
    hidden = w1 @ x
    inner = w2 @ (w1 * (hidden > 0)[:, None])
    out = x + w2 @ np.maximum(hidden, 0)
    plus_one = np.eye(len(x)) + inner
    gate = (out > 0)[:, None]
    right = gate * plus_one if relu_after else plus_one
    found = [
        (right.T, "The matrix is transposed: entry [i, j] says how output i changes with input j."),
        (gate * inner if relu_after else inner, "It looks as if the skip connection is missing: out = x + F(x)."),
    ]
    if relu_after:
        found += [
            (plus_one, "That is I + dF/dx, what the claim says: measure the whole block, with its last ReLU."),
            (np.eye(len(x)) + gate * inner, "It looks as if the last ReLU acts on F(x) only: it comes after the sum."),
            (
                np.eye(len(x)) + (w2 @ np.maximum(hidden, 0) > 0)[:, None] * inner,
                "It looks as if the last ReLU acts on F(x) only: it comes after the sum.",
            ),
        ]
    else:
        found.append((gate * plus_one, "It looks as if there is a last ReLU although relu_after is False."))
    linear = np.eye(len(x)) + w2 @ w1
    found += [
        (gate * linear if relu_after else linear, "It looks as if the ReLU inside F is missing."),
        (inner - np.eye(len(x)), "It looks as if x is subtracted."),
        (
            right / 2,
            "Every value is half the right one: two points that lie 2h apart have to be divided by 2h.",
        ),
        (2 * right, "Every value is twice the right one: two points that lie 2h apart have to be divided by 2h."),
    ]
    return found


def _two(description: str, got: Any) -> tuple[Any, Any]:
    """The two things that an experiment returns. From another process a tuple may come as a list."""
    wanted = 'An experiment returns two things: `return numbers, verdict`, the verdict "refuted" or "survives".'
    if got is None:
        raise CheckFailed(f"{description}: it returned None. {wanted}")
    if type(got) not in (tuple, list) or len(got) != 2:
        what = f"{describe.kind(got)} of length {len(got)}" if type(got) in (tuple, list) else describe.kind(got)
        raise CheckFailed(f"{description}: got {what}. {wanted}")
    if type(got[0]) is str:
        raise CheckFailed(f"{description}: the first thing is a text. The numbers come first. {wanted}")
    return got[0], got[1]


def _whole_as_floats(numbers: Any, expected: np.ndarray) -> Any:
    """Counts may be integers where all that is expected is whole; anything else stays as it is for `check_array`."""
    counts = type(numbers) is np.ndarray and numbers.dtype.kind in "iu" and numbers.shape == expected.shape
    return numbers.astype(np.float64) if counts and np.all(expected == np.round(expected)) else numbers


def _field(layers: Layers, late: bool = False) -> float:
    field, jump = 1, 1
    for k, stride in layers:
        field += (k - 1) * jump * (stride if late else 1)
        jump *= stride
    return float(field)


def _jump(layers: Layers) -> float:
    return float(np.prod([stride for _, stride in layers], initial=1))


def _distance(pixels: np.ndarray, out: np.ndarray) -> float:
    return relative_difference(pixels @ np.linalg.lstsq(pixels, out, rcond=None)[0], out)


def _products(d: np.ndarray, g: np.ndarray) -> np.ndarray:
    left = np.stack([d[:, 0] - d[:, 2], d[:, 1] + d[:, 2], d[:, 2] - d[:, 1], d[:, 1] - d[:, 3]], axis=1)
    return left * [g[0], g.sum() / 2, (g[0] - g[1] + g[2]) / 2, g[2]]


def _direct(d: np.ndarray, g: np.ndarray) -> np.ndarray:
    return np.stack([d[:, :3] @ g, d[:, 1:] @ g], axis=1)
