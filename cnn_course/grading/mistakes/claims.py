"""Lab 08, claims about networks and their algebra: what slips in an experiment would have measured."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnn_course.equivariance import relative_difference

Candidates = list[tuple[np.ndarray, str]]


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


def _distance(pixels: np.ndarray, out: np.ndarray) -> float:
    return relative_difference(pixels @ np.linalg.lstsq(pixels, out, rcond=None)[0], out)


def _products(d: np.ndarray, g: np.ndarray) -> np.ndarray:
    left = np.stack([d[:, 0] - d[:, 2], d[:, 1] + d[:, 2], d[:, 2] - d[:, 1], d[:, 1] - d[:, 3]], axis=1)
    return left * [g[0], g.sum() / 2, (g[0] - g[1] + g[2]) / 2, g[2]]


def _direct(d: np.ndarray, g: np.ndarray) -> np.ndarray:
    return np.stack([d[:, :3] @ g, d[:, 1:] @ g], axis=1)
