"""What the tests of a lab share belongs to one run, also where several run in the threads of one process."""

import threading

import numpy as np

from cnn_course.errors import CheckFailed
from cnn_course.grading import checks, rules, run_state


def test_threads_do_not_mix_up_seeds_rules_and_earlier_answers():
    meet, found = threading.Barrier(2), {}

    def convolved(x):
        return np.convolve(x, [1.0])

    def run(seed, forbidden):
        with run_state.fresh(seed):
            rules.forbid(*forbidden)
            meet.wait()
            draw = checks.generator(7).random()
            meet.wait()
            try:
                checks.check("convolved", convolved, np.ones(3), expected=np.ones(3))
                said = ""
            except CheckFailed as error:
                said = str(error)
            meet.wait()
            found[seed] = draw, said, list(run_state.current().earlier)

    threads = [threading.Thread(target=run, args=arguments) for arguments in ((1, ["numpy.convolve"]), (2, []))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found[1][0] == np.random.default_rng([7, 1]).random() != found[2][0]
    assert "do not allow numpy.convolve" in found[1][1] and found[1][2] == []
    assert found[2][1:] == ("", ["convolved"])


def test_afterwards_the_notebooks_own_run_goes_on():
    before = run_state.current()
    with run_state.fresh(5) as inner:
        assert run_state.current() is inner and inner is not before and inner.seed == 5
    assert run_state.current() is before
