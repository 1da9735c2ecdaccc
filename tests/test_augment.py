"""Augmentation: every picture is one that could have been cut, turned or hidden by hand, and each has its own."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torchvision.transforms.v2 import functional as tv

from cnn_course.augment import Augment, cutout, random_crop, random_flip, random_rotation


def batch(n=40, c=3, h=9, w=7, dtype=torch.uint8, seed=0):
    x = torch.randint(1, 256, (n, c, h, w), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
    return x if dtype == torch.uint8 else x.to(dtype) / 255


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_crop_by_hand():
    # One white pixel in the middle: it moves by the crop's offset, and nothing else appears.
    x = torch.zeros(500, 1, 5, 5, dtype=torch.uint8)
    x[:, 0, 2, 2] = 200
    out = random_crop(x, 2, seeded())
    assert (out.flatten(1).sum(1) == 200).all()
    places = {tuple(p[2:].tolist()) for p in out.nonzero()}
    assert places == {(i, j) for i in range(5) for j in range(5)}  # all 25 offsets, each image its own


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 4), st.sampled_from([torch.uint8, torch.float32]))
def test_each_crop_is_torchvisions_for_some_offset(seed, padding, dtype):
    x = batch(n=6, h=6, w=8, dtype=dtype, seed=seed)
    out = random_crop(x, padding, seeded(seed))
    assert out.shape == x.shape and out.dtype == x.dtype
    padded = tv.pad(x, [padding] * 4)
    for image, result in zip(padded, out, strict=True):
        crops = [tv.crop(image, i, j, 6, 8) for i in range(2 * padding + 1) for j in range(2 * padding + 1)]
        assert any(torch.equal(result, crop) for crop in crops)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_flip_mirrors_about_half_of_the_images(dtype):
    x = batch(n=400, dtype=dtype)
    out = random_flip(x, seeded())
    mirrored = (out == tv.horizontal_flip(x)).flatten(1).all(1)
    kept = (out == x).flatten(1).all(1)
    assert (mirrored ^ kept).all() and 160 < mirrored.sum() < 240


def test_rotation_is_scipys_at_the_angle_that_was_drawn():
    rng = np.random.default_rng(0)
    x = np.zeros((5, 1, 24, 16))
    x[:, 0, 6:18, 4:12] = ndimage.gaussian_filter(rng.random((5, 12, 8)), (0, 1, 1))
    degrees = 30.0
    out = random_rotation(torch.tensor(x), degrees, seeded(3)).numpy()
    angles = (torch.rand(5, generator=seeded(3)) * 2 - 1).numpy() * degrees
    for image, turned, angle in zip(x[:, 0], out[:, 0], angles, strict=True):
        assert np.abs(turned - ndimage.rotate(image, angle, reshape=False, order=1)).max() < 1e-6


def test_rotation_of_bytes_is_the_rounded_rotation_of_floats():
    x = batch(n=5)
    exact = random_rotation(x.float(), 20.0, seeded(1))
    assert torch.equal(random_rotation(x, 20.0, seeded(1)), exact.round().to(torch.uint8))


@pytest.mark.parametrize("size", [1, 2, 5])
def test_cutout_hides_one_square_in_each_image(size):
    x = batch(n=300, h=8, w=6)
    out = cutout(x, size, seeded())
    hidden = out == 0
    assert torch.equal(out[~hidden], x[~hidden]) and (hidden == hidden[:, :1]).all()  # the same in every channel
    rows, columns = hidden[:, 0].any(2).sum(1), hidden[:, 0].any(1).sum(1)
    assert torch.equal(hidden[:, 0].sum((1, 2)), rows * columns)  # a rectangle
    assert rows.max() == columns.max() == size and rows.min() >= (size + 1) // 2
    assert len({tuple(map(tuple, h.nonzero().tolist())) for h in hidden[:, 0]}) == 8 * 6  # every centre


def test_all_of_it_repeats_with_its_seed_and_leaves_the_batch_alone():
    x = batch()
    before = x.clone()
    augment = Augment(crop=2, flip=True, rotate=10.0, cutout=3)
    first, second, third = augment(x, seeded(5)), augment(x, seeded(5)), augment(x, seeded(6))
    assert torch.equal(first, second) and not torch.equal(first, third) and torch.equal(x, before)
    assert first.dtype == torch.uint8 and first.shape == x.shape
    assert augment(x[:0], seeded()).shape == (0, 3, 9, 7)


def test_nothing_to_do_draws_nothing():
    x, generator = batch(), seeded()
    assert Augment()(x, generator) is x
    assert torch.equal(generator.get_state(), seeded().get_state())


@pytest.mark.parametrize(
    ("values", "error", "says"),
    [
        ({"crop": -1}, ValueError, "crop must be an integer of at least 0, not -1"),
        ({"crop": True}, TypeError, "crop must be an integer"),
        ({"cutout": 1.5}, TypeError, "cutout must be an integer of at least 0, not 1.5"),
        ({"flip": 1}, TypeError, "flip must be True or False, not 1"),
        ({"flip": "no"}, TypeError, "flip must be True or False, not 'no'"),
        ({"rotate": 181}, ValueError, "rotate must be a finite number, at least 0 and at most 180, not 181"),
        ({"rotate": float("nan")}, ValueError, "rotate must be a finite number"),
        ({"rotate": "10"}, TypeError, "rotate must be a finite number"),
    ],
)
def test_values_that_cannot_work_are_refused(values, error, says):
    with pytest.raises(error, match=says):
        Augment(**values)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda x, g: Augment(flip=True)(x[0], g), ValueError, r"four axes \(N, C, H, W\), got shape \(3, 9, 7\)"),
        (lambda x, g: random_flip(x[:, :, :, :0], g), ValueError, "images must be a batch with pixels"),
        (lambda x, g: random_flip(x.numpy(), g), TypeError, "images must be a tensor of shape"),
        (lambda x, g: random_flip(x.long(), g), TypeError, "images must be uint8 or floats"),
        (lambda x, g: random_flip(x.to("meta"), g), TypeError, "images must be uint8 or floats, on a device that"),
        (lambda x, g: random_flip(x, 3), TypeError, "generator must be a torch.Generator"),
        (lambda x, g: random_crop(x, 7, g), ValueError, "padding must be at most 6 for images of 9 x 7 pixels, not 7"),
        (lambda x, g: random_crop(x, 10**400, g), ValueError, "padding must be at most 6"),
        (lambda x, g: cutout(x, 8, g), ValueError, "size must be at most 7 for images of 9 x 7 pixels, not 8"),
        (lambda x, g: Augment(crop=7)(x, g), ValueError, "crop must be at most 6 for images of 9 x 7 pixels"),
        (lambda x, g: Augment(cutout=8)(x, g), ValueError, "cutout must be at most 7 for images of 9 x 7 pixels"),
        (lambda x, g: random_rotation(x, float("inf"), g), ValueError, "degrees must be a finite number"),
    ],
)
def test_batches_that_cannot_be_changed_are_refused(call, error, says):
    with pytest.raises(error, match=says):
        call(batch(), seeded())


def test_every_float_can_be_turned():
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        assert Augment(crop=1, flip=True, rotate=10, cutout=2)(batch(dtype=dtype), seeded()).dtype == dtype
