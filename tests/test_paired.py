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


@pytest.mark.parametrize("size", [1e-300, 1e-200, 1e-160, 1.0, 1e160, 1e200, 1e300])
def test_the_size_of_the_numbers_does_not_matter(size):
    found = paired.difference(np.array([1, 2, 6]) * size, np.array([0, 0, 1]) * size)
    assert found.mean / size == pytest.approx(8 / 3) and found.half_width / size == pytest.approx(5.1711, abs=1e-4)
    assert not found.certain


def test_what_is_printed_has_digits():
    small = paired.difference([0.0004, 0.00041, 0.00042], [0, 0, 0])  # two losses
    assert str(small) == "+0.000410 ± 0.000025" and small.certain
    assert str(paired.difference([1e-4, 1e-4], [0, 0])) == "+0.000100 ± 0.000000"
    assert str(paired.difference([1e-30, 2e-30], [0, 0])) == "+1.500e-30 ± 6.353e-30"
    assert str(paired.difference([1e30, 2e30], [0, 0])) == "+1.500e+30 ± 6.353e+30"
    assert str(paired.difference([0.9, 0.8, 0.7], [0.8, 0.7, 0.6])) == "+0.100 ± 0.000"
    assert str(paired.difference([1, 1], [1, 1])) == "+0.000 ± 0.000"
    assert repr(paired.difference([2, 4, 6], [1, 2, 3])) == "<+2.000 ± 2.484, 3 pairs>"


def test_pairs_that_differ_by_the_same_have_no_spread():
    same = paired.difference([2, 3, 4], [1, 2, 3])
    assert (same.mean, same.half_width, same.certain) == (1, 0, True)
    assert not paired.difference([1, 2], [1, 2]).certain


@pytest.mark.parametrize("comparisons", [4, 20])
def test_all_of_several_hold_at_once(comparisons):
    d = np.random.default_rng(2).normal(size=(1000, comparisons, 5))
    missed = [any(paired.difference(row, np.zeros(5), comparisons=comparisons).certain for row in each) for each in d]
    assert 0.03 < np.mean(missed) < 0.06


@pytest.mark.parametrize("numbers", [np.float32, np.float16, np.uint8, np.int64, np.longdouble, bool])
def test_every_kind_of_number(numbers):
    a, b = np.array([1, 0, 1]).astype(numbers), np.array([0, 1, 0]).astype(numbers)
    a.flags.writeable = b.flags.writeable = False
    assert paired.difference(a, b).mean == pytest.approx(1 / 3)  # uint8 has no -1, bool no difference
    assert paired.difference(list(a), list(b)).mean == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("a", "b", "error", "message"),
    [
        ([1], [2], ValueError, "a and b have 1 entries, but a spread needs at least 2 pairs"),
        ([1, 2], [1, 2, 3], ValueError, "one entry for each pair, but have 2 and 3"),
        ([1, np.nan], [1, 2], ValueError, "a must hold finite numbers only, but entry 1 is not"),
        ([[1, 2]], [1, 2], ValueError, "a must have 1 axis"),
        ("ab", [1, 2], TypeError, "a must be an array of"),
        ([1, None], [1, 2], TypeError, "a must be an array of"),
        ((x for x in (1, 2)), [1, 2], TypeError, "a must be an array of .*generator"),
        (np.ma.array([1, 2], mask=[0, 1]), [1, 2], TypeError, "a is a masked array"),
        ([1.7e308, 1e308], [-1.7e308, 0], ValueError, "differ by more than a float holds"),
        ([1.7e308, 1.7e308], [-1.7e308, -1.7e308], ValueError, "differ by more than a float holds"),
        ([1.7e308, -1e308], [0, 0], ValueError, "differ by more than a float holds"),
    ],
)
def test_bad_input(a, b, error, message):
    with pytest.raises(error, match=message):
        paired.difference(a, b)
