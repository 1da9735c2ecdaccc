"""Lab 08, claims about windows, fields, shifts and turns: what slips in an experiment would have measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cnn_course import convolution, pooling
from cnn_course.equivariance import relative_difference

Layers = Sequence[tuple[int, int]]
Candidates = list[tuple[np.ndarray, str]]


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


def field_before_after(layers: Layers) -> Candidates:
    """Wrong pairs of receptive fields, before and after one more layer (2, 2)."""
    layers = [(k, stride) for k, stride in layers]
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


def _field(layers: Layers, late: bool = False) -> float:
    field, jump = 1, 1
    for k, stride in layers:
        field += (k - 1) * jump * (stride if late else 1)
        jump *= stride
    return float(field)


def _jump(layers: Layers) -> float:
    return float(np.prod([stride for _, stride in layers], initial=1))
