"""Data sets that we draw ourselves: every factor is known, nothing is downloaded, a seed gives the same bytes anywhere.

`glyphs` are 28x28 digits from fonts (the size of MNIST, but not MNIST). `shapes` are 32x32 colour pictures of ten
shapes (the size of CIFAR-10). Image i depends on the seed and on i only, not on how many images are asked for.
"""

import functools
import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnn_course.arguments.arrays import array
from cnn_course.arguments.floats import finite
from cnn_course.arguments.labels import images_and_labels
from cnn_course.arguments.objects import flag, instance, one_of
from cnn_course.data_sources import drawing
from cnn_course.data_sources.drawing import between

GLYPH_CLASSES = tuple("0123456789")
GLYPH_FONTS = (
    *("DejaVuSans", "DejaVuSans-Oblique", "DejaVuSans-Bold", "DejaVuSans-BoldOblique"),
    *("DejaVuSerif", "DejaVuSerif-Italic", "DejaVuSerif-Bold", "DejaVuSerif-BoldItalic"),
    *("STIXGeneral", "STIXGeneralItalic", "STIXGeneralBol", "STIXGeneralBolIta"),
    *("cmr10", "cmb10", "cmss10", "cmtt10"),
)
SHAPE_CLASSES = ("disc", "ring", "triangle", "square", "star", "cross", "crescent", "heart", "arrow", "hourglass")

CHUNK = 250  # images drawn at a time: small enough to stay in the processor's cache, large enough to keep NumPy busy


@dataclass(frozen=True)
class Drawn:
    """images: uint8 (N, C, H, W); labels: int64 (N,); factors: what each image was drawn from, arrays of length N.

    Raises TypeError and ValueError for anything else.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    factors: dict[str, NDArray]

    def __post_init__(self) -> None:
        images_and_labels(self.images, self.labels)
        for name, values in instance("factors", self.factors, dict, "a dict of arrays").items():
            if array(f"factors[{name!r}]", values).shape[:1] != self.labels.shape:
                raise ValueError(f"factors[{name!r}] must have one entry for each of the {len(self.labels)} images")


# ---------------------------------------------------------------------------------------------------------------------
# glyphs


def _outline(font: Any, character: str) -> list[np.ndarray]:
    """Closed polygons of a character of a fontTools font, in font units, its quadratic curves cut into four."""
    table = font["glyf"]
    # The designer's integers, straight from the file: no hinting, no resolution, the same with every version.
    points, ends, on_curve, *_ = table[font.getBestCmap()[ord(character)]].getCoordinates(table)
    points, on_curve = np.array(points, dtype=np.float64), np.array(on_curve) & 1
    contours = []
    for start, end in zip((0, *(e + 1 for e in ends)), ends, strict=False):
        corners, on = points[start : end + 1], on_curve[start : end + 1]
        contour = []
        for k, corner in enumerate(corners):
            before, after = corners[k - 1], corners[(k + 1) % len(corners)]
            if on[k]:
                contour.append(corner)
                continue
            # Between two control points TrueType leaves out the point on the curve: it is half-way.
            first = before if on[k - 1] else (before + corner) / 2
            last = after if on[(k + 1) % len(corners)] else (corner + after) / 2
            steps = (0.25, 0.5, 0.75) if on[(k + 1) % len(corners)] else (0.25, 0.5, 0.75, 1)
            contour += [first * (1 - t) ** 2 + corner * (2 * t * (1 - t)) + last * t * t for t in steps]
        contours.append(np.array(contour))
    return contours


@functools.cache
def _glyph_fields() -> tuple[np.ndarray, np.ndarray]:
    """Distance fields (fonts * 10, GRID, GRID) with every digit 2 units high, and half stroke widths (fonts * 10,)."""
    from fontTools.ttLib import TTFont
    from matplotlib import get_data_path

    # Some of the files carry odd dates, which fontTools would report each time.
    logging.getLogger("fontTools.ttLib.tables._h_e_a_d").setLevel(logging.ERROR)
    fields = []
    for name in GLYPH_FONTS:
        with TTFont(Path(get_data_path(), "fonts", "ttf", f"{name}.ttf"), lazy=True) as font:
            for character in GLYPH_CLASSES:
                contours = _outline(font, character)
                points = np.concatenate(contours)
                low, high = points.min(axis=0), points.max(axis=0)
                size = 2 / (high - low)[1]
                fields.append(drawing.distance_field([(c - (low + high) / 2) * size for c in contours]))
    fields = np.stack(fields)
    return fields, -fields.min(axis=(1, 2))


def glyphs(
    n: int,
    seed: int,
    *,
    centred: bool = False,
    upright: bool = False,
    plain: bool = False,
    height: float | None = None,
    font: str | None = None,
) -> Drawn:
    """Digits 0-9 from 16 fonts, white on black, 28x28: moved, turned, slanted, bent, thick or thin, a little noisy.

    centred: the middle of the digit is the middle of the image. upright: not turned, not slanted.
    plain: not bent, the font's own stroke, no noise. height: all digits that high, in pixels (else 13 to 21).
    font: one of GLYPH_FONTS (else a random one). A factor that is switched off leaves all others as they were, so
    `glyphs(n, seed)` and `glyphs(n, seed, centred=True)` are pairs.

    Returns images (n, 1, 28, 28) uint8. Factors: font (index into GLYPH_FONTS), row, column (of the middle, in
    pixels; (13.5, 13.5) is the centre), height (pixels), width (1 = as in the font), angle (radians,
    anticlockwise), slant, stroke (pixels added to each side of a stroke), noise (deviation, 1 = white).
    Raises TypeError or ValueError for a wrong n, seed, height or font.
    """
    n, seed = drawing.check_count(n, seed, 2_000)
    centred, upright, plain = flag("centred", centred), flag("upright", upright), flag("plain", plain)
    if height is not None:
        height = finite("height", height, least=4, most=28)
    if font is not None:
        one_of("font", font, GLYPH_FONTS)
    fields, half_strokes = _glyph_fields()
    labels = drawing.balanced_labels(n, 10, drawing.stream(seed, 0))
    u = drawing.stream(seed, 1).random((n, 9)).T
    knots = drawing.stream(seed, 2).random((n, 3, 6, 6)) * 2 - 1  # two displacements and one change of stroke

    size = between(13, 21, u[1]) if height is None else np.full(n, height)
    face = (u[0] * len(GLYPH_FONTS)).astype(np.int64) if font is None else np.full(n, GLYPH_FONTS.index(font))
    glyph = face * 10 + labels
    # What the pen would have been like, in pixels; a thin font may gain more than a bold one may lose.
    stroke = np.clip(between(1.0, 2.0, u[7]) - half_strokes[glyph] * size / 2, -0.3, 0.9)
    room = np.maximum(13.5 - size / 2, 0) * 0.8
    factors = {
        "font": face,
        "row": 13.5 + (np.zeros(n) if centred else room * (2 * u[2] - 1)),
        "column": 13.5 + (np.zeros(n) if centred else 3.5 * (2 * u[3] - 1)),
        "height": size,
        "width": between(0.8, 1.4, u[4]),
        "angle": np.zeros(n) if upright else between(-0.35, 0.35, u[5]),
        "slant": np.zeros(n) if upright else between(-0.4, 0.4, u[6]),
        "stroke": np.zeros(n) if plain else stroke,
        "noise": np.zeros(n) if plain else 0.12 * u[8] * u[8],
    }
    images = np.empty((n, 1, 28, 28), dtype=np.uint8)
    basis, specks = drawing.spline_basis(28, 6), drawing.stream(seed, 3)
    for start in range(0, n, CHUNK):
        part = slice(start, min(start + CHUNK, n))
        f = {name: values[part, None, None] for name, values in factors.items()}
        bend = [np.zeros(()) if plain else drawing.smooth_field(knots[part, k], basis) for k in range(3)]
        x = np.arange(28)[None, None, :] - f["column"] + 3.0 * bend[0]
        y = f["row"] - np.arange(28)[None, :, None] + 3.0 * bend[1]
        cos, sin = np.cos(f["angle"]), np.sin(f["angle"])
        x, y = (cos * x + sin * y) * (2 / f["height"]), (cos * y - sin * x) * (2 / f["height"])
        x = (x - f["slant"] * y) / f["width"]
        distance = drawing.look_up(fields, glyph[part], x, y) * (f["height"] / 2) - f["stroke"]
        ink = np.clip(0.5 - distance + 0.5 * bend[2], 0, 1)
        images[part, 0] = drawing.to_uint8(ink + f["noise"] * drawing.noise(specks, ink.shape))
    return Drawn(images, labels, factors)


# ---------------------------------------------------------------------------------------------------------------------
# shapes


def _arc(radius: float, start: float, stop: float, x: float = 0.0, y: float = 0.0) -> np.ndarray:
    """(97, 2) points of an arc, in degrees, anticlockwise when stop > start."""
    angles = [math.radians(start + (stop - start) * k / 96) for k in range(97)]
    return np.array([(x + radius * math.cos(a), y + radius * math.sin(a)) for a in angles])


def _corners(count: int, *radii: float) -> np.ndarray:
    """(count, 2) corners at equal angles, the first one up, with these distances from the centre in turn."""
    spokes = ((math.pi / 2 + 2 * math.pi * k / count, radii[k % len(radii)]) for k in range(count))
    return np.array([(r * math.cos(a), r * math.sin(a)) for a, r in spokes])


def _outlines() -> dict[str, list[np.ndarray]]:
    """Closed polygons of each shape, y up; every shape just fits into the circle of radius 1 about the origin."""
    turn = [math.radians(3.75 * k) for k in range(96)]
    heart = np.array(
        [
            (16 * math.sin(t) ** 3, 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t) + 2)
            for t in turn
        ]
    )
    arm = 0.3
    cross = [(a * x, b * y) for a, b in ((1, 1), (-1, 1), (-1, -1), (1, -1)) for x, y in ((0.95, arm), (arm, 0.95))]
    cross = [cross[0], (arm, arm), cross[1], cross[3], (-arm, arm), cross[2]]
    cross += [(-x, -y) for x, y in cross]
    arrow = [(0, 1), (0.72, 0.12), (0.26, 0.12), (0.26, -0.95), (-0.26, -0.95), (-0.26, 0.12), (-0.72, 0.12)]
    glass = [(-0.68, 0.73), (-0.06, 0), (-0.68, -0.73), (0.68, -0.73), (0.06, 0), (0.68, 0.73)]
    crescent = np.concatenate([_arc(1, 50, 310), _arc(0.78, 280.8, 79.2, 0.49)])
    outlines = {
        "disc": [_arc(1, 0, 360)],
        "ring": [_arc(1, 0, 360), _arc(0.55, 360, 0)],
        "triangle": [_corners(3, 1.0)],
        "square": [np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)]) / math.sqrt(2)],
        "star": [_corners(10, 1.0, 0.42)],
        "cross": [np.array(cross)],
        "crescent": [crescent],
        "heart": [heart / math.sqrt(max(x * x + y * y for x, y in heart))],
        "arrow": [np.array(arrow)],
        "hourglass": [np.array(glass)],
    }
    # Rounded: the last bits of sine and cosine differ between maths libraries.
    return {name: [np.round(c * 2**20) / 2**20 for c in outlines[name]] for name in SHAPE_CLASSES}


@functools.cache
def _shape_fields() -> np.ndarray:
    """(10, GRID, GRID) distance fields, in the order of SHAPE_CLASSES."""
    return np.stack([drawing.distance_field(contours) for contours in _outlines().values()])


def _colours(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n, 6, 3) random colours -> background (n, 2, 3) and object (n, 3): of four, the one that stands out most."""
    background, candidates = u[:, :2], u[:, 2:]
    behind = np.stack([background[:, 0], background[:, 1], (background[:, 0] + background[:, 1]) / 2], axis=1)
    contrast = np.abs(candidates[:, :, None] - behind[:, None])  # (n, 4, 3, 3)
    contrast = (contrast[..., 0] + contrast[..., 1] + contrast[..., 2]).min(axis=2)
    return background, candidates[np.arange(len(u)), np.argmax(contrast, axis=1)]


def shapes(
    n: int,
    seed: int,
    *,
    centred: bool = False,
    upright: bool = False,
    plain: bool = False,
    radius: float | None = None,
) -> Drawn:
    """One of ten shapes at a random place, size and angle, in a random colour, before a cluttered background.

    centred: the shape sits in the middle. upright: not turned. plain: a background of one colour, no noise.
    radius: of the circle that the shape just fits into, in pixels (else 7 to 13). A factor that is switched off leaves
    all others as they were. A shape is the same class at every angle, and always lies inside the picture.

    Returns images (n, 3, 32, 32) uint8. Factors: row, column (of the middle, in pixels; (15.5, 15.5) is the centre),
    radius (pixels), angle (radians, anticlockwise), colour (n, 3), background (n, 2, 3): the two ends of its
    gradient, colours in [0, 1], clutter (number of strokes behind the shape).
    Raises TypeError or ValueError for a wrong n, seed or radius.
    """
    n, seed = drawing.check_count(n, seed, 5_000)
    centred, upright, plain = flag("centred", centred), flag("upright", upright), flag("plain", plain)
    if radius is not None:
        radius = finite("radius", radius, least=2, most=16)
    fields = _shape_fields()
    labels = drawing.balanced_labels(n, 10, drawing.stream(seed, 0))
    u = drawing.stream(seed, 1).random((n, 10)).T
    background, colour = _colours(drawing.stream(seed, 2).random((n, 6, 3)))
    knots = drawing.stream(seed, 3).random((n, 7, 7)) * 2 - 1
    tints = drawing.stream(seed, 4).random((n, 2, 3)) * 2 - 1  # colour direction of the mottle and of the stripes
    strokes = drawing.stream(seed, 5).random((n, 4, 8))

    size = between(7, 13, u[0]) if radius is None else np.full(n, radius)
    room = np.maximum(15 - size, 0)  # so that no shape touches the border
    factors = {
        "row": 15.5 + (np.zeros(n) if centred else room * (2 * u[1] - 1)),
        "column": 15.5 + (np.zeros(n) if centred else room * (2 * u[2] - 1)),
        "radius": size,
        "angle": np.zeros(n) if upright else 2 * math.pi * u[3],
        "colour": colour,
        "background": np.stack([background[:, 0]] * 2, axis=1) if plain else background,
        "clutter": np.zeros(n, dtype=np.int64) if plain else (u[4] * 5).astype(np.int64),
    }
    images = np.empty((n, 3, 32, 32), dtype=np.uint8)
    basis, specks = drawing.spline_basis(32, 7), drawing.stream(seed, 6)
    columns, rows = np.arange(32.0)[None, None, :], np.arange(32.0)[None, :, None]
    for start in range(0, n, CHUNK):
        part = slice(start, min(start + CHUNK, n))
        f = {name: values[part, None, None] for name, values in factors.items() if values.ndim == 1}
        v = u[:, part, None, None]
        canvas = np.empty((len(labels[part]), 3, 32, 32))
        canvas[:] = factors["background"][part, 0, :, None, None]
        if not plain:
            angle = 2 * math.pi * v[5]
            cos, sin = np.cos(angle), np.sin(angle)
            along = np.clip(0.5 + (cos * (columns - 15.5) + sin * (rows - 15.5)) / 40, 0, 1)
            mottle = 0.22 * v[6] * drawing.smooth_field(knots[part], basis)
            angle = 2 * math.pi * v[7]
            cos, sin = np.cos(angle), np.sin(angle)
            phase = (cos * columns + sin * rows) * between(0.05, 0.3, v[8])
            stripes = np.abs((phase - np.floor(phase)) * 2 - 1) - 0.5  # a triangle wave
            stripes *= 0.3 * v[9] * v[9]
            for c in range(3):
                ends = factors["background"][part, :, c, None, None]
                tint = tints[part, :, c, None, None]
                canvas[:, c] += (ends[:, 1] - ends[:, 0]) * along + tint[:, 0] * mottle + tint[:, 1] * stripes
            for k in range(4):
                s = strokes[part, k, :, None, None]
                cover = _stroke(columns, rows, s) * (f["clutter"] > k)
                for c in range(3):
                    canvas[:, c] += cover * (s[:, 5 + c] - canvas[:, c])
        x, y = columns - f["column"], f["row"] - rows
        cos, sin = np.cos(f["angle"]), np.sin(f["angle"])
        x, y = (cos * x + sin * y) / f["radius"], (cos * y - sin * x) / f["radius"]
        cover = np.clip(0.5 - drawing.look_up(fields, labels[part], x, y) * f["radius"], 0, 1)
        for c in range(3):
            canvas[:, c] += cover * (factors["colour"][part, c, None, None] - canvas[:, c])
        if not plain:
            canvas += 0.03 * drawing.noise(specks, canvas.shape)
        images[part] = drawing.to_uint8(canvas)
    return Drawn(images, labels, factors)


def _stroke(columns: np.ndarray, rows: np.ndarray, s: np.ndarray) -> np.ndarray:
    """Cover (n, 32, 32) of straight strokes: s (n, 8, 1, 1) holds middle, angle, length, width (and a colour)."""
    angle = math.pi * s[:, 2]
    cos, sin = np.cos(angle), np.sin(angle)
    x, y = columns - 32 * s[:, 0], rows - 32 * s[:, 1]
    along = np.maximum(np.abs(cos * x + sin * y) - between(4, 20, s[:, 3]), 0)
    across = cos * y - sin * x
    return np.clip(between(0.8, 1.6, s[:, 4]) - np.sqrt(along * along + across * across), 0, 1)
