"""Work in blocks that fit the cache, shared between threads, with matrix products of a size that is quick.

These are facts about processors and OpenBLAS, not about convolution: `fast_convolution` uses them.
"""

import functools
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import threadpoolctl
from numpy.typing import NDArray

# Bytes of columns, or of tiles, that are made at a time: few enough that the product finds them in the cache, and
# enough that each product is worth its call.
BLOCK_BYTES = 1 << 20
# A convolution with fewer multiplications is done before a second thread has started.
THREADED_MACS = 50_000_000
# Up to this many multiplications OpenBLAS takes the operands of a float32 product as they lie in memory.
UNPACKED_MACS = 1_000_000

_ONE_AT_A_TIME = threading.Lock()


def product(a: NDArray, b: NDArray, out: NDArray) -> None:
    """np.matmul(a, b, out=out), cut into so few columns of b that OpenBLAS does not rearrange them first.

    Rearranging (packing) pays where each number is used often. A few rows in `a` use each number only a few times;
    measured on one core, 32 rows are 1.5 times faster without, 6 rows 4 times. Such a product also leaves OpenBLAS's
    other threads asleep (if b is contiguous); once woken they keep their cores busy for 25 ms, waiting for more.
    """
    columns = UNPACKED_MACS // (a.shape[-2] * a.shape[-1]) // 64 * 64
    if columns == 0 or columns >= b.shape[-1]:
        np.matmul(a, b, out=out)
        return
    for start in range(0, b.shape[-1], columns):
        part = (..., slice(start, start + columns))
        np.matmul(a, b[part], out=out[part])


@functools.cache
def _blas() -> threadpoolctl.ThreadpoolController:
    return threadpoolctl.ThreadpoolController()


def threads() -> int:
    """How many threads NumPy's matrix product is set to use; 1 where that cannot be told."""
    pools = [pool for pool in _blas().lib_controllers if pool.user_api == "blas" and "numpy" in pool.filepath]
    return max((pool.num_threads for pool in pools), default=1)


def even(total: int, most: int, shares: int = 1) -> int:
    """The size of equal blocks of at most `most` (but at least 1) that `shares` threads get equally many of."""
    rounds = -(-total // (shares * max(1, most)))
    return max(1, -(-total // (shares * max(1, rounds))))


def in_threads(work: Callable[[Sequence], Any], jobs: Sequence, macs: int) -> list:
    """Do the jobs in this thread, or split between `threads()` of them, each with a single-threaded product.

    Returns what `work` returned for each part, always in the same order.
    """
    count = min(threads(), len(jobs)) if macs >= THREADED_MACS else 1
    if count == 1:
        return [work(jobs)]
    # The limit belongs to the process: two calls at once would each give back what the other had set.
    with _ONE_AT_A_TIME, _blas().limit(limits=1, user_api="blas"), ThreadPoolExecutor(count) as pool:
        return list(pool.map(work, [jobs[i * len(jobs) // count : (i + 1) * len(jobs) // count] for i in range(count)]))
