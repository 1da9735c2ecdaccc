"""`--scheduler`: the same work on Dask's workers; one that dies has its submissions done again elsewhere."""

import os
import signal
import threading

import pytest

distributed = pytest.importorskip("distributed", reason="needs Dask (the extra `cluster`)")
pytest.importorskip("nbgrader", reason="grading needs nbgrader (the extra `teach`)")

from test_grade_class import LAB, SLIPS, SLOW, hand_in, new_course, scores, wait  # noqa: E402

from cnn_course.errors import GradeError  # noqa: E402
from cnn_course.grading.classroom import grade_class  # noqa: E402
from cnn_course.grading.lab import Lab  # noqa: E402
from labs import running  # noqa: E402


def test_a_worker_that_dies_loses_nothing(bubblewrap, tmp_path):
    course = new_course(tmp_path / "labs")
    slip = SLIPS["not flipped"]
    for i in range(6):
        answers = {"q1-solution": SLOW} | ({slip.cell: slip.source} if i % 2 else {})
        hand_in(course, f"student{i}", running.with_answers(running.master(LAB), answers))
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=2, processes=True, dashboard_address=None, local_directory=str(tmp_path)
    )
    with cluster, distributed.Client(cluster) as client:
        victim = next(iter(client.run(os.getpid).values()))

        def kill_one():
            wait(lambda: list(course.glob("autograded/*/*/grade.json")))
            os.kill(victim, signal.SIGKILL)

        killer = threading.Thread(target=kill_one)
        killer.start()
        outcome = grade_class.grade_class(Lab(course, LAB), seed=5, scheduler=cluster.scheduler_address)
        killer.join()
    assert (outcome.graded, outcome.failed) == (6, {})
    assert scores(course) == {f"student{i}": 18 if i % 2 else 21 for i in range(6)}


def test_no_scheduler_there(tmp_path):
    course = new_course(tmp_path / "labs")
    hand_in(course, "student", running.master(LAB))
    with pytest.raises(GradeError, match="no Dask scheduler at tcp://127.0.0.1:1"):
        grade_class.grade_class(Lab(course, LAB), sandboxed=False, scheduler="tcp://127.0.0.1:1")
