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

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from cnn_course.arguments.arrays import with_axes
from cnn_course.arguments.integers import integer

CONFIDENCE = 0.95
MOST_COMPARISONS = 1000  # beyond that an interval says nothing


@dataclass(frozen=True, repr=False)
class _Difference:
    """A mean difference over `pairs` pairs; its interval is mean - half_width to mean + half_width.

    Where all pairs differ by the same, the interval has no width. Of coarse results, such as accuracies on twenty
    images, two or three pairs do that by chance, and then `certain` says too much.
    """

    mean: float
    half_width: float
    pairs: int

    @property
    def certain(self) -> bool:
        """Whether the interval leaves out 0: whether the sign can be relied on."""
        return abs(self.mean) > self.half_width

    def __str__(self) -> str:
        size = max(abs(self.mean), self.half_width)
        if 0 < size < 0.001:  # the difference of two losses: three digits of it rather than zeros
            places = 2 - math.floor(math.log10(size))
            return f"{self.mean:+.{places}f} ± {self.half_width:.{places}f}" if places < 10 else self._with_exponents()
        return f"{self.mean:+.3f} ± {self.half_width:.3f}" if size < 1e9 else self._with_exponents()

    def _with_exponents(self) -> str:
        return f"{self.mean:+.3e} ± {self.half_width:.3e}"

    def __repr__(self) -> str:
        return f"<{self}, {self.pairs} pairs>"


def difference(a: ArrayLike, b: ArrayLike, *, comparisons: int = 1) -> _Difference:
    """Return the mean of a - b with its 95 % t-interval.

    a, b: as many results each, from 2 on; entry i of both shares its seed. Of an experiment with two factors, the
    difference of two differences is difference(a - b, c - d), of arrays.
    comparisons: how many such intervals are looked at side by side. Each is then made wider, so that all of them hold
    at once with 95 % (Bonferroni's correction): of twenty single ones, one would miss on average.
    Raises ValueError for fewer than two pairs, for different lengths and for what is not finite or too large, TypeError
    for what is no array of numbers.
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
    pairs = len(first)
    with np.errstate(over="ignore", under="ignore"):
        _, power = np.frexp(np.abs([first, second]).max())
        d = np.ldexp(first, -power) - np.ldexp(second, -power)  # exact; the squares of 1e-200 are 0, of 1e200 infinite
        quantile = special.stdtrit(pairs - 1, 1 - (1 - CONFIDENCE) / comparisons / 2)
        mean, half_width = np.ldexp([d.mean(), quantile * d.std(ddof=1) / pairs**0.5], power)
    if not np.isfinite([mean, half_width]).all():
        raise ValueError("a and b differ by more than a float holds: divide both by their size first")
    return _Difference(float(mean), float(half_width), pairs)
