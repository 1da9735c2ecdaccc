"""One right call of every public function of the NumPy half, for `wrong_values`: {name: () -> arguments}."""

import numpy as np


def numbers(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape)


CALLS = {
    "pooling.max_pool": lambda: {"x": numbers(2, 3, 6, 5), "k": 2},
}
