"""One right call of every public function about images, filters, data, figures and views, for `wrong_values`.

{name: () -> arguments}
"""

import numpy as np


def numbers(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape)


CALLS = {}
