"""How sure is a difference between two ways of doing it, measured in pairs that share everything else.

    gain = paired.difference(with_momentum, without)   # entry i of both: seed i
    print(gain)                                         # +0.017 ± 0.050
    gain.certain                                        # False: the interval contains 0

Two networks with the same seed share their images, their order and their first weights, so what they differ by is known
better than either result. Its mean has a t-interval (Student 1908, "The probable error of a mean"): with n pairs the
half-width is t · s / √n, where s is the deviation of the n differences and t, the quantile of Student's distribution
with n - 1 degrees of freedom, is 12.7 for two pairs, 4.3 for three, 2.8 for five, 2.3 for ten. Twice the standard error
would be too short for few pairs.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from cnn_course.arguments.arrays import with_axes
from cnn_course.arguments.integers import integer

CONFIDENCE = 0.95
MOST_COMPARISONS = 1000  # beyond that an interval says nothing


@dataclass(frozen=True)
class _Difference:
    """A mean difference over `pairs` pairs; its interval is mean - half_width to mean + half_width."""

    mean: float
    half_width: float
    pairs: int

    @property
    def certain(self) -> bool:
        """Whether the interval leaves out 0: whether the sign can be relied on."""
        return abs(self.mean) > self.half_width

    def __str__(self) -> str:
        return f"{self.mean:+.3f} ± {self.half_width:.3f}"


def difference(a: ArrayLike, b: ArrayLike, *, comparisons: int = 1) -> _Difference:
    """Return the mean of a - b with its 95 % t-interval.

    a, b: as many results each, from 2 on; entry i of both shares its seed. Of an experiment with two factors, the
    difference of two differences is difference(a - b, c - d).
    comparisons: how many such intervals are looked at side by side. Each is then made wider, so that all of them hold
    at once with 95 % (Bonferroni's correction): of twenty single ones, one would miss on average.
    Raises ValueError for fewer than two pairs, for different lengths and for what is not finite, TypeError for what is
    no array of numbers.
    """
    first, second = (with_axes(name, value, "pairs").astype(np.float64) for name, value in (("a", a), ("b", b)))
    integer("comparisons", comparisons, least=1, most=MOST_COMPARISONS)
    if len(first) != len(second):
        raise ValueError(f"a and b must have one entry for each pair, but have {len(first)} and {len(second)}")
    if len(first) < 2:
        raise ValueError(f"a and b have {len(first)} entries, but a spread needs at least 2 pairs: set more seeds")
    for name, values in (("a", first), ("b", second)):
        if not np.isfinite(values).all():
            raise ValueError(f"{name} must hold finite numbers only, but entry {np.isfinite(values).argmin()} is not")
    d, pairs = first - second, len(first)
    quantile = special.stdtrit(pairs - 1, 1 - (1 - CONFIDENCE) / comparisons / 2)
    return _Difference(float(d.mean()), float(quantile * d.std(ddof=1) / pairs**0.5), pairs)
