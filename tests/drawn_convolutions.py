"""Random convolutions over one to three axes for hypothesis: shapes that fit, with everything non-square."""

import numpy as np
from hypothesis import strategies as st


@st.composite
def convolutions(draw, axes, dtypes=(np.float32, np.float64), least_images=0):
    """((x, w, b), options) of conv1d, conv2d or conv3d; b may be None."""
    groups = draw(st.integers(1, 3))
    channels, filters = groups * draw(st.integers(1, 3)), groups * draw(st.integers(1, 3))
    kernel = draw(st.tuples(*[st.integers(1, 4)] * axes))

    def either(low, high):
        one = st.integers(low, high)
        return draw(st.one_of(one, st.tuples(*[one] * axes)))

    def each(value):
        return (value,) * axes if isinstance(value, int) else value

    padding = draw(st.sampled_from(["number", "number", "same", "valid"]))
    stride = 1 if padding == "same" else either(1, 3)
    dilation = either(1, 3)
    if padding == "number":
        padding = either(0, 3)
    borders = (0,) * axes if isinstance(padding, str) else each(padding)
    least = [
        1 if padding == "same" else max(1, d * (k - 1) + 1 - 2 * p)
        for d, k, p in zip(each(dilation), kernel, borders, strict=True)
    ]
    size = [low + draw(st.integers(0, 6 if axes < 3 else 3)) for low in least]
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = draw(st.sampled_from(dtypes))
    x = rng.standard_normal((draw(st.integers(least_images, 3)), channels, *size)).astype(dtype)
    w = rng.standard_normal((filters, channels // groups, *kernel)).astype(dtype)
    b = rng.standard_normal(filters).astype(dtype) if draw(st.booleans()) else None
    return (x, w, b), {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
