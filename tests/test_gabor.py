import math

import numpy as np
import pytest

from cnn_course import gabor
from cnn_course.gabor import Gabor

RNG = np.random.default_rng(0)


def a_gabor(rng):
    return Gabor(
        rng.uniform(0.2, 3), *rng.uniform(1.5, 4.5, 2), *rng.uniform(1, 2.5, 2), rng.uniform(0, math.pi),
        rng.uniform(0.05, 0.4), rng.uniform(-math.pi, math.pi),
    )  # fmt: skip


def test_wave_by_hand():
    upright = gabor.wave((5, 5), Gabor(2.0, 2, 2, 1.0, 1.5, 0.0, 0.25, 0.0))
    assert (
        upright[2, 2] == 2 and upright[2, 3] == pytest.approx(0) and upright[2, 4] == pytest.approx(-2 * math.exp(-2))
    )
    assert upright[4, 2] == pytest.approx(2 * math.exp(-((2 / 1.5) ** 2) / 2))
    turned = gabor.wave((5, 5), Gabor(2.0, 2, 2, 1.0, 1.5, math.pi / 2, 0.25, 0.0))
    np.testing.assert_allclose(turned, upright.T, atol=1e-12)


def test_a_gabor_is_found_again():
    found = [gabor.fit(gabor.wave((7, 7), a_gabor(RNG))) for _ in range(30)]
    explained = np.array([fit.explained for fit in found])
    assert np.median(explained) > 1 - 1e-9 and (explained > 0.99).mean() > 0.9 and explained.max() <= 1
    assert all(0 <= fit.angle < math.pi and 0 <= fit.frequency <= 0.5 and fit.amplitude >= 0 for fit in found)


def test_explained_is_the_share_of_the_variance_of_the_returned_wave():
    for noise in (0.1, 0.5):
        x = gabor.wave((9, 7), Gabor(1.0, 4, 3, 1.5, 2.0, 2.5, 0.2, 1.0)) + noise * RNG.normal(size=(9, 7))
        fit = gabor.fit(x)
        rest = np.sum((x - gabor.wave(x.shape, fit)) ** 2)
        assert fit.explained == pytest.approx(1 - rest / np.sum((x - x.mean()) ** 2), abs=1e-9)
        assert gabor.fit(100 * x).explained == pytest.approx(fit.explained, abs=1e-6)
    assert gabor.fit(x, starts=8).explained >= gabor.fit(x, starts=1).explained - 1e-9


def test_slopes_are_those_of_finite_differences():
    low, high = gabor._bounds((6, 7))
    target = RNG.normal(size=(6, 7))
    p, step = RNG.uniform(-1, 1, 8), 1e-6
    moved = [
        (gabor._residual(p + step * e, target, low, high) - gabor._residual(p - step * e, target, low, high))
        / (2 * step)
        for e in np.eye(8)
    ]
    np.testing.assert_allclose(gabor._slopes(p, target, low, high), np.stack(moved, axis=1), atol=1e-7)


@pytest.mark.slow
def test_gabors_are_fitted_better_than_their_controls():
    filters = np.stack([gabor.wave((7, 7), a_gabor(RNG)) for _ in range(12)])
    controls = gabor.controls(filters)
    assert list(controls) == ["shuffled", "noise", "smooth noise"]
    np.testing.assert_allclose(np.sort(controls["shuffled"].reshape(12, -1)), np.sort(filters.reshape(12, -1)))
    assert abs(gabor.alike(controls["smooth noise"]) - gabor.alike(filters)) < 0.1
    assert abs(gabor.alike(controls["noise"])) < 0.1
    means = {name: np.mean([gabor.fit(x, starts=2).explained for x in some]) for name, some in controls.items()}
    assert means["noise"] < 0.5 and means["shuffled"] < 0.5 < means["smooth noise"] < 0.95
    again = gabor.controls(filters)
    assert all(np.array_equal(controls[name], again[name]) for name in controls)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gabor.fit(np.ones((7, 7))), "constant"),
        (lambda: gabor.fit(np.zeros((7, 7))), "constant"),
        (lambda: gabor.fit(np.ones((3, 7, 7))), r"filter must have 2 axes .*\(shape \(3, 7, 7\)\)"),
        (lambda: gabor.fit(np.eye(2)), r"9 finite numbers or more"),
        (lambda: gabor.fit(np.full((4, 4), np.nan)), "finite"),
        (lambda: gabor.fit(np.arange(9.0)[None]), "two rows"),
        (lambda: gabor.fit(1e200 * np.eye(4)), "above 1e100"),
        (lambda: gabor.fit(np.eye(4), starts=0), "starts"),
        (lambda: gabor.alike(np.ones((2, 3, 3))), "each of these is constant"),
        (lambda: gabor.alike(np.zeros((2, 1, 9))), "H and W at least 2"),
        (lambda: gabor.controls(np.eye(4)), r"\(N, H, W\)"),
    ],
)
def test_says_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()
