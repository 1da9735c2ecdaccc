"""Strokes of a pen as an image like those of MNIST: what the view `draw_digit` gives a network to see."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

SIDE = 28  # pixels of the image
BOX = 20  # of the longer side of the digit in it
PEN = 2.4  # of the pen's width there
FINE = 8  # a pixel is drawn as 8 x 8 and then averaged
DOT = 28.0  # a drawing smaller than this, in the unit of the strokes, is not enlarged further
MOST = 20_000  # numbers in one drawing


def like_mnist(strokes: Sequence[Sequence[float]]) -> NDArray[np.uint8]:
    """Strokes as an image (28, 28) uint8, white on black, prepared as the images of MNIST were.

    strokes: one list x0, y0, x1, y1, ... for each, on a canvas of about 280 x 280.
    The digit is scaled so that its longer side has 20 pixels, drawn with a soft pen, and moved until its centre of mass
    is in the middle, as far as it then stays inside. No strokes give a black image.
    Raises ValueError for a stroke that is no list of finite pairs, or more than 20,000 numbers.
    """
    lines = [np.asarray(stroke, dtype=float) for stroke in strokes if len(stroke)]
    if any(line.ndim != 1 or len(line) % 2 or not np.isfinite(line).all() for line in lines):
        raise ValueError("each stroke must be a list of finite pairs x0, y0, x1, y1, ...")
    if sum(map(len, lines)) > MOST:
        raise ValueError(f"the drawing has more than {MOST:,} numbers: clear the canvas")
    if not lines:
        return np.zeros((SIDE, SIDE), np.uint8)
    lines = [line.reshape(-1, 2) for line in lines]
    points = np.concatenate(lines)
    low, extent = points.min(axis=0), float(np.ptp(points, axis=0).max())
    scale = FINE * (BOX - PEN) / max(extent, DOT)
    margin = (SIDE + PEN) * FINE / 2
    size = math.ceil(BOX * FINE + 2 * margin)
    picture = Image.new("L", (size, size))
    pen, radius = ImageDraw.Draw(picture), PEN * FINE / 2
    for line in lines:
        path = [tuple(p) for p in (line - low) * scale + margin]
        pen.line(path, fill=255, width=round(2 * radius), joint="curve")
        for x, y in (path[0], path[-1]):
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    ink = np.asarray(picture, dtype=float)
    window = []
    for axis in (0, 1):
        along = ink.sum(axis=1 - axis)
        used = np.flatnonzero(along)
        first = round(float(np.average(np.arange(size), weights=along)) + 0.5 - SIDE * FINE / 2)
        first = min(max(first, used[-1] + 1 - SIDE * FINE), used[0])
        window.append(slice(first, first + SIDE * FINE))
    return np.round(ink[tuple(window)].reshape(SIDE, FINE, SIDE, FINE).mean(axis=(1, 3))).astype(np.uint8)
