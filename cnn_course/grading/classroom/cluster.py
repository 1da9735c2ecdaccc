"""Grading on the workers of a Dask scheduler (`--scheduler`): the same judges, on several machines."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from dask.distributed import Client, Worker, WorkerPlugin, as_completed, get_worker

from cnn_course.errors import GradeError
from cnn_course.grading.classroom.pool import Pool
from cnn_course.grading.judging.submission import Submission


class _Judges(WorkerPlugin):
    """On each worker of the cluster, the processes that judge there: one for each of its threads.

    Not the threads themselves: torch's random numbers, the standard output and the clock that ends a test are one for
    a whole process.
    """

    def __init__(self, make: Callable[[], Callable[[Any], Any]], seconds: float) -> None:
        self.make, self.seconds = make, seconds

    def setup(self, worker: Worker) -> None:
        self.pool = Pool(self.make, self.seconds)

    def teardown(self, worker: Worker) -> None:
        self.pool.close()


def on_cluster(
    make: Callable[[], Callable[[Any], Any]],
    waiting: Sequence[tuple[Submission, int]],
    seconds: float,
    address: str,
) -> Iterator[tuple[tuple[Submission, int], Any]]:
    """Yield (task, result) as they end, each task a submission with its seed; `make` and `seconds` as for a `Pool`.

    Raises GradeError where no scheduler answers at `address`.
    """
    try:
        client = Client(address, timeout=5)
    except (
        Exception
    ) as error:  # nobody there, a name that is no address, an unknown protocol: Dask has a class for each
        raise GradeError(
            f"there is no Dask scheduler at {address}; start one with: dask scheduler. It says its address, "
            "such as tcp://192.168.0.1:8786"
        ) from error
    with client:
        run = f"cnn-course-{uuid.uuid4().hex}"
        client.register_plugin(_Judges(make, seconds), name=run)
        try:
            futures = {
                client.submit(_judged, run, task, key=f"{task[0].student}-{run}", pure=False): task for task in waiting
            }
            for future in as_completed(futures):
                try:
                    result = future.result()  # where a result went with its worker, it is made again
                except Exception as error:
                    result = error
                yield futures[future], result
        finally:
            client.unregister_worker_plugin(run)


def _judged(run: str, task: tuple[Submission, int]) -> Any:
    """Called in a thread of a worker of the cluster."""
    plugins: dict[str, Any] = get_worker().plugins
    return plugins[run].pool.call(task)
