import numpy as np
import pytest

from cnn_course.array_engine import cache_blocks


@pytest.mark.parametrize("limit", [1, 600, 10_000, 1_000_000])
@pytest.mark.parametrize("shape", [(7, 130), (2, 7, 300), (3, 2, 7, 64)])
def test_product_in_slices_is_the_product(monkeypatch, limit, shape):
    monkeypatch.setattr(cache_blocks, "UNPACKED_MACS", limit)
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((3, 7)), rng.standard_normal(shape)
    out = np.empty((*shape[:-2], 3, shape[-1]))
    cache_blocks.product(a, b, out)
    np.testing.assert_allclose(out, a @ b, rtol=1e-12, atol=1e-12)


def test_results_come_in_the_order_of_the_jobs(monkeypatch):
    monkeypatch.setattr(cache_blocks, "threads", lambda: 3)
    parts = cache_blocks.in_threads(list, range(10), cache_blocks.THREADED_MACS)
    assert len(parts) == 3 and sum(parts, []) == list(range(10))
    assert cache_blocks.in_threads(list, range(10), cache_blocks.THREADED_MACS - 1) == [list(range(10))]


@pytest.mark.parametrize(
    ("total", "most", "shares", "size"),
    [(16, 7, 2, 4), (64, 1, 2, 1), (1, 5, 2, 1), (10, 100, 1, 10), (10, 100, 3, 4), (8, 0, 1, 1), (0, 3, 2, 1)],
)
def test_even_blocks(total, most, shares, size):
    assert cache_blocks.even(total, most, shares) == size
    assert size <= max(1, most)
