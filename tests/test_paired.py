"""The interval of a mean difference in pairs: by hand, against SciPy, and how often it holds."""

import numpy as np
import pytest
from scipy import stats

from cnn_course import paired


def test_by_hand():
    # Differences 1, 2, 3: mean 2, deviation 1, t with 2 degrees of freedom 4.3027; 4.3027 / sqrt(3) = 2.4841.
    found = paired.difference([2, 4, 6], [1, 2, 3])
    assert (found.mean, found.pairs) == (2, 3)
    assert found.half_width == pytest.approx(2.4841, abs=1e-4)
    assert not found.certain and str(found) == "+2.000 ± 2.484"
    assert paired.difference([2, 4.1, 6], [0, 2, 4]).certain


@pytest.mark.parametrize("comparisons", [1, 15])
def test_against_scipy(comparisons):
    rng = np.random.default_rng(0)
    for pairs in (2, 3, 5, 10, 40):
        a, b = rng.normal(size=(2, pairs))
        found = paired.difference(a, b, comparisons=comparisons)
        low, high = stats.ttest_rel(a, b).confidence_interval(1 - 0.05 / comparisons)
        assert (found.mean - found.half_width, found.mean + found.half_width) == pytest.approx((low, high))


def test_holds_as_often_as_it_says_where_two_standard_errors_do_not():
    d = np.random.default_rng(1).normal(size=(4000, 5))
    missed = np.mean([paired.difference(row, np.zeros(5)).certain for row in d])
    twice = np.mean(np.abs(d.mean(axis=1)) > 2 * d.std(axis=1, ddof=1) / 5**0.5)
    assert 0.04 < missed < 0.06 and 0.1 < twice < 0.135  # 11.6 % by Student's distribution


@pytest.mark.parametrize(
    ("a", "b", "error", "message"),
    [
        ([1], [2], ValueError, "a and b have 1 entries, but a spread needs at least 2 pairs"),
        ([1, 2], [1, 2, 3], ValueError, "one entry for each pair, but have 2 and 3"),
        ([1, np.nan], [1, 2], ValueError, "a must hold finite numbers only, but entry 1 is not"),
        ([[1, 2]], [1, 2], ValueError, "a must have 1 axis"),
        ("ab", [1, 2], TypeError, "a must be an array of"),
    ],
)
def test_bad_input(a, b, error, message):
    with pytest.raises(error, match=message):
        paired.difference(a, b)
