"""glyphs and shapes: the same bytes everywhere, true factors, fast, and worth training on."""

import hashlib
import math
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import nn

from cnn_course.data_sources import drawing
from cnn_course.synthetic import GLYPH_CLASSES, GLYPH_FONTS, SHAPE_CLASSES, glyphs, shapes

DRAW = {"glyphs": glyphs, "shapes": shapes}
both = pytest.mark.parametrize("draw", DRAW.values(), ids=DRAW)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("draw", "digest"),
    [
        (glyphs, "0ffc31cd7e75c916de80999db99c8a6b1dd0212eb34820ea171a11a2c2c8c39b"),
        (shapes, "71a879192ff634a2bef2ca54651643650b11c942d6838cb593ad4a28ffc3e588"),
    ],
)
def test_same_bytes_on_every_machine(draw, digest):
    drawn = draw(500, 7)
    assert hashlib.sha256(drawn.images.tobytes() + drawn.labels.astype("<i8").tobytes()).hexdigest() == digest


@both
def test_shapes_dtypes_and_factors(draw):
    drawn = draw(37, 0)
    channels, size = (1, 28) if draw is glyphs else (3, 32)
    assert drawn.images.shape == (37, channels, size, size) and drawn.images.dtype == np.uint8
    assert drawn.labels.shape == (37,) and drawn.labels.dtype == np.int64
    assert all(len(values) == 37 for values in drawn.factors.values())
    assert len({values.ctypes.data for values in drawn.factors.values()}) == len(drawn.factors)


@both
def test_image_i_depends_on_the_seed_and_i_only(draw):
    few, many, other = draw(3, 5), draw(520, 5), draw(3, 6)
    assert np.array_equal(few.images, many.images[:3]) and np.array_equal(few.labels, many.labels[:3])
    for name, values in few.factors.items():
        assert np.array_equal(values, many.factors[name][:3]), name
    assert not np.array_equal(few.images, other.images)


@both
def test_no_images(draw):
    drawn = draw(0, 0)
    assert len(drawn.images) == len(drawn.labels) == 0 and drawn.images.ndim == 4


@both
def test_classes_are_balanced(draw):
    assert len(GLYPH_CLASSES) == len(SHAPE_CLASSES) == 10
    labels = draw(40, 2).labels
    assert np.array_equal(np.sort(labels.reshape(4, 10)), np.tile(np.arange(10), (4, 1)))
    assert not np.array_equal(labels[:10], labels[10:20])


@both
def test_switching_one_factor_off_leaves_the_others(draw):
    free, centred = draw(50, 1).factors, draw(50, 1, centred=True).factors
    for name, values in free.items():
        assert np.array_equal(values, centred[name]) == (name not in ("row", "column")), name
    upright = draw(50, 1, upright=True).factors
    assert not upright["angle"].any() and np.array_equal(upright["row"], free["row"])


@both
@pytest.mark.parametrize(
    ("n", "seed", "error", "message"),
    [
        (-1, 0, ValueError, "n must be an integer of at least 0, not -1"),
        (2.5, 0, TypeError, "n must be an integer of at least 0, not 2.5"),
        (True, 0, TypeError, "n must be an integer"),
        (10**9, 0, ValueError, "n is too large"),
        (1, -3, ValueError, "seed must be an integer of at least 0 .*, not -3"),
        (1, None, TypeError, "seed must be an integer of at least 0 .*, not None"),
    ],
)
def test_wrong_n_and_seed(draw, n, seed, error, message):
    with pytest.raises(error, match=message):
        draw(n, seed)


def test_wrong_options():
    with pytest.raises(ValueError, match="height must be a finite number, at least 4 and at most 28, not 40"):
        glyphs(1, 0, height=40)
    with pytest.raises(ValueError, match="font must be one of 'DejaVuSans', .* not 'Comic'"):
        glyphs(1, 0, font="Comic")
    with pytest.raises(ValueError, match="radius must be a finite number, at least 2 and at most 16, not nan"):
        shapes(1, 0, radius=math.nan)


def object_mask(drawn):
    """Cover of the object in [0, 1], from pictures with a plain background."""
    colour = drawn.factors["colour"][..., None, None]
    ground = drawn.images[:, :, :1, :1] / 255  # a corner: the background, rounded as in the picture
    np.testing.assert_allclose(ground[..., 0, 0], drawn.factors["background"][:, 0], atol=1 / 255)
    difference = colour - ground
    return ((drawn.images / 255 - ground) * difference).sum(axis=1) / (difference**2).sum(axis=1)


def test_shapes_lie_where_the_factors_say():
    drawn = shapes(200, 4, plain=True)
    mask, f = object_mask(drawn), drawn.factors
    rows, columns = np.arange(32)[None, :, None], np.arange(32)[None, None, :]
    area = mask.sum(axis=(1, 2))
    row, column = (rows * mask).sum(axis=(1, 2)) / area, (columns * mask).sum(axis=(1, 2)) / area
    for name in ("disc", "ring", "square", "cross", "hourglass", "star"):  # whose middle is their centre of mass
        mine = drawn.labels == SHAPE_CLASSES.index(name)
        np.testing.assert_allclose(row[mine], f["row"][mine], atol=0.08)
        np.testing.assert_allclose(column[mine], f["column"][mine], atol=0.08)
    disc, square = (drawn.labels == SHAPE_CLASSES.index(name) for name in ("disc", "square"))
    np.testing.assert_allclose(area[disc], np.pi * f["radius"][disc] ** 2, rtol=0.02)
    np.testing.assert_allclose(area[square], 2 * f["radius"][square] ** 2, rtol=0.02)


def test_angles_turn_anticlockwise():
    drawn = shapes(300, 4, plain=True)
    mask, f = object_mask(drawn), drawn.factors
    cos, sin = np.cos(f["angle"])[:, None, None], np.sin(f["angle"])[:, None, None]
    right = np.arange(32)[None, None, :] - f["column"][:, None, None]
    up = f["row"][:, None, None] - np.arange(32)[None, :, None]
    radius = f["radius"][:, None, None]
    across, along = (cos * right + sin * up) / radius, (cos * up - sin * right) / radius
    head, tail = mask * ((0.1 < along) & (along < 0.5)), mask * ((-0.8 < along) & (along < -0.1))
    width = [(np.abs(across) * part).sum(axis=(1, 2)) / part.sum(axis=(1, 2)) for part in (head, tail)]
    arrow = drawn.labels == SHAPE_CLASSES.index("arrow")
    assert (width[0][arrow] > 1.3 * width[1][arrow]).all()  # the head of an arrow is wider than its tail


def test_every_shape_is_whole_and_stands_out():
    drawn = shapes(1000, 8, plain=True)
    mask = object_mask(drawn)
    border = np.concatenate([mask[:, 0], mask[:, -1], mask[:, :, 0], mask[:, :, -1]], axis=1)
    assert np.abs(border).max() < 0.02
    contrast = np.abs(drawn.factors["colour"][:, None] - drawn.factors["background"]).sum(axis=2)
    assert np.quantile(contrast, 0.01) > 0.3


def test_glyph_options_do_what_they_say():
    drawn = glyphs(60, 3, centred=True, upright=True, plain=True, height=20, font="DejaVuSans-Bold")
    ink = drawn.images[:, 0] > 127
    rows, columns = ink.any(axis=2), ink.any(axis=1)
    for seen in (rows, columns):
        first, last = seen.argmax(axis=1), 27 - seen[:, ::-1].argmax(axis=1)
        assert np.abs((first + last) / 2 - 13.5).max() <= 0.5
    assert set(rows.sum(axis=1)) <= {20}
    assert {GLYPH_FONTS[k] for k in drawn.factors["font"]} == {"DejaVuSans-Bold"}


def test_glyphs_look_like_mnist():
    images = glyphs(500, 0).images / 255
    assert (images.mean(axis=(0, 1))[[0, -1]] < 0.05).all()  # dark margin above and below
    assert 0.05 < images.mean() < 0.2  # MNIST: 0.13
    assert (images.max(axis=(1, 2, 3)) > 0.85).mean() > 0.99


@pytest.mark.slow
def test_nothing_is_printed_while_fonts_are_read():
    code = "from cnn_course.synthetic import glyphs; glyphs(1, 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.slow
@both
def test_an_image_costs_less_than_ten_rotations(draw):
    """Of SciPy, for one channel. Both are times of the processor, so others on the machine do not count."""

    def seconds(work):
        start = time.process_time()
        work()
        return time.process_time() - start

    drawn = draw(1000, 0)  # also reads the fonts
    rotations = seconds(lambda: [ndimage.rotate(image[0], 10, reshape=False) for image in drawn.images])
    assert seconds(lambda: draw(1000, 0)) < 10 * rotations


def test_distance_field_of_a_square():
    field = drawing.distance_field([np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) / 2])
    axis = np.linspace(-drawing.REACH, drawing.REACH, drawing.GRID)
    x, y = np.abs(axis)[None, :] - 0.5, np.abs(axis)[:, None] - 0.5
    outside = np.sqrt(np.maximum(x, 0) ** 2 + np.maximum(y, 0) ** 2)
    np.testing.assert_allclose(field, np.where((x < 0) & (y < 0), np.maximum(x, y), outside), atol=1e-12)


def test_distance_field_with_a_hole_and_row_zero_up():
    square = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
    field = drawing.distance_field([square * 0.8, square[::-1] * 0.4, square * 0.1 + (0, 1.1)])
    at = drawing.look_up(
        field[None], np.zeros(5, dtype=int), *np.array([[0, 0.6, 0, 0, 3], [0, 0, 1.1, -1.1, 3]])[..., None, None]
    )
    assert (np.sign(at.ravel()) == [1, -1, -1, 1, 1]).all()


def test_look_up_is_bilinear():
    field = drawing.distance_field([np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) / 2])
    step = 2 * drawing.REACH / (drawing.GRID - 1)
    x = -drawing.REACH + step * np.array([[[10, 10.25, 11]]])
    y = np.full_like(x, drawing.REACH - step * 20)
    seen = drawing.look_up(field[None], np.zeros(1, dtype=int), x, y).ravel()
    np.testing.assert_allclose(
        seen, [field[20, 10], 0.75 * field[20, 10] + 0.25 * field[20, 11], field[20, 11]], atol=1e-12
    )


def test_noise_and_smooth_fields():
    values = drawing.noise(drawing.stream(0, 0), (100, 28, 28))
    assert abs(values.mean()) < 0.01 and abs(values.std() - 1) < 0.01
    assert abs(np.corrcoef(values.ravel()[:-1], values.ravel()[1:])[0, 1]) < 0.01
    basis = drawing.spline_basis(28, 6)
    np.testing.assert_allclose(basis.sum(axis=1), 1, atol=1e-12)
    knots = drawing.stream(0, 1).random((2, 6, 6))
    np.testing.assert_allclose(drawing.smooth_field(knots, basis), np.einsum("ia,nab,jb->nij", basis, knots, basis))


@pytest.mark.slow
def test_a_small_cnn_learns_shapes_and_an_mlp_does_not():
    def accuracy(net, epochs, rate):
        torch.manual_seed(0)
        net = net().to(memory_format=torch.channels_last)
        steps = epochs * (len(y) // 50)
        optimiser = torch.optim.AdamW(net.parameters(), lr=rate)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, steps)
        for _ in range(epochs):
            for batch in torch.randperm(len(y))[: len(y) // 50 * 50].split(50):
                optimiser.zero_grad()
                nn.functional.cross_entropy(net(x[batch]), y[batch]).backward()
                optimiser.step()
                schedule.step()
        net.eval()
        with torch.no_grad():
            return (net(test_x).argmax(1) == test_y).float().mean().item()

    def block(c_in, c_out, pool=True):
        layers = [nn.Conv2d(c_in, c_out, 3, padding=1, bias=False), nn.BatchNorm2d(c_out), nn.ReLU()]
        return layers + [nn.MaxPool2d(2)] * pool

    def cnn():
        features = block(3, 8) + block(8, 24) + block(24, 48) + block(48, 64, pool=False)
        return nn.Sequential(*features, nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(64, 10))

    def mlp():
        return nn.Sequential(
            *(nn.Flatten(), nn.Linear(3072, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10))
        )

    def tensors(drawn):
        images = torch.from_numpy(drawn.images).float() / 255 - 0.5
        return images.contiguous(memory_format=torch.channels_last), torch.from_numpy(drawn.labels)

    (x, y), (test_x, test_y) = tensors(shapes(5_000, 0)), tensors(shapes(1_000, 1))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        poor, good = accuracy(mlp, 4, 1e-3), accuracy(cnn, 4, 2e-2)
    finally:
        torch.set_num_threads(threads)
    assert poor < 0.55 and good > 0.8, (poor, good)
