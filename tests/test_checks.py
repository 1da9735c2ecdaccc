"""The comparisons and messages that the labs' test cells rely on."""

import collections
import re
import subprocess
import sys

import numpy as np
import pytest

from cnn_course.errors import CheckFailed
from cnn_course.grading import checks, describe, experiments, run_state
from cnn_course.grading.mistakes import convolution as mistakes
from cnn_course.grading.mistakes import edges


def message(function, *arguments, **options):
    with pytest.raises(AssertionError) as caught:
        function(*arguments, **options)
    return str(caught.value)


def array_message(got, expected, **options):
    return message(checks.check_array, "f(x)", got, expected, **options)


def test_equal_arrays_pass():
    for got in (np.array([1.0, 2.0]), np.array([1.0, 2.0], dtype=np.float32), np.array([1.0, 2.0 + 1e-9])):
        checks.check_array("f(x)", got, [1, 2])
    checks.check_array("f(x)", np.zeros((0, 3)), np.zeros((0, 3)))
    checks.check_array("f(x)", np.float64(2.0), 2.0)
    checks.check_array("f(x)", 2.0, 2.0)


def test_shape_comes_before_everything_else():
    text = array_message(np.full((2, 3, 6, 6), np.nan), np.zeros((2, 3, 5, 5)), hint="count the windows.")
    assert text == (
        "f(x): expected shape (2, 3, 5, 5), got (2, 3, 6, 6). "
        "axis 2 has 6 entries instead of 5, axis 3 has 6 entries instead of 5. Hint: count the windows."
    )
    assert "number of axes is 1 instead of 2" in array_message(np.zeros(3), np.zeros((3, 1)))
    assert "in another order" in array_message(np.zeros((3, 2)), np.zeros((2, 3)))


def test_a_known_mistake_is_named_by_its_values_before_its_shape():
    known = [([1.0, 2.0], "no padding"), ([3.0, 4.0], "flipped")]
    assert array_message(np.array([3.0, 4.0]), [0, 1, 2], mistakes=known).endswith("got (2,). flipped")
    assert array_message(np.array([9.0, 9.0]), [0, 1, 2], mistakes=known).endswith("got (2,). no padding")
    assert array_message(np.array([3.0, 4.0]), [0, 1], mistakes=known, hint="h").split("\n")[0].endswith(" flipped")
    assert "Hint: h" in array_message(np.array([9.0, 4.0]), [0, 1], mistakes=known, hint="h")


def test_a_mistake_that_equals_the_answer_is_not_named():
    text = array_message(np.array([1.0, 5.0]), [1, 2], mistakes=[([1, 2], "symmetric"), ([1, 5], "this one")])
    assert "this one" in text and "symmetric" not in text


def test_first_difference_is_named_and_small_arrays_are_shown():
    text = array_message(np.array([[1.0, 2.0], [3.0, 5.0]]), [[1, 2], [3, 4]])
    assert "1 of 4 values differ; the first at index [1, 1]: expected 4, got 5." in text
    assert text.endswith("expected:\n[[1 2]\n [3 4]]\ngot:\n[[1 2]\n [3 5]]")
    assert "\n" not in array_message(np.zeros(1000), np.ones(1000))


@pytest.mark.parametrize(
    ("got", "diagnosis"),
    [
        (None, "got None. Does the function end with"),
        ([1.0, 2.0], "got a list"),
        ((1.0, 2.0), "got a tuple"),
        ("text", "got text (a str)"),
        (3.0, "got a single number"),
        (True, "got a single number"),
        (np.array([1, 2]), "got dtype int64"),
        (np.array([True, False]), "got dtype bool"),
        (np.array([1j, 2]), "got dtype complex128"),
        (np.array(["a", "b"]), "got dtype <U1"),
        (np.array([1.0, None]), "array of Python objects"),
        (np.array([1.0, np.nan]), "got nan at index [1]"),
        (np.array([np.inf, 1.0]), "got inf at index [0]"),
        (np.ma.array([1.0, 2.0]), "got a MaskedArray"),
        (np.zeros((1,) * 40), "got with 40 axes"),
        (np.broadcast_to(np.float64(1), (2**20, 2**20)), "got (1048576, 1048576)"),
        (np.zeros(2, dtype="datetime64[s]"), "got dtype datetime64[s]"),
        (np.zeros(2, dtype=[("a", float)]), "got dtype [('a', '<f8')]"),
        (type, "got a type"),
        (iter([]), "got a list_iterator"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_is_not_an_array_of_floats_is_said_so(got, diagnosis):
    text = array_message(got, [1, 2])
    assert diagnosis in text and len(text) < 300


def test_objects_that_lie_are_not_asked():
    class Liar:
        def __array__(self, *_):
            raise SystemExit

        __repr__ = __str__ = __eq__ = __float__ = __array__

    assert "got a Liar" in array_message(Liar(), [1, 2])
    assert "got a Liar" in message(checks.check_integer, "f(x)", Liar(), 3)


def test_tolerance_grows_with_the_values():
    checks.check_array("f(x)", np.array([1e6 + 0.5, 0.5]), [1e6, 0.5])
    array_message(np.array([1.0 + 1e-5]), [1])
    checks.check_array("f(x)", np.array([1.0 + 1e-5]), [1], tolerance=1e-4)
    array_message(np.array([np.finfo(float).max]), [-1e308])


@pytest.mark.parametrize(
    ("got", "diagnosis"),
    [
        (None, "it returned None"),
        (4.0, "got the float 4.0. Use //"),
        (np.float32(3.5), "got the float 3.5"),
        (float("nan"), "got the float nan."),
        ("3", "got text"),
        (True, "got True or False"),
        (np.array([3]), "got a ndarray"),
        (4, "expected 3, got 4. off by one"),
        (5, "expected 3, got 5. Hint: count"),
        (10**5000, "more than 12 digits"),
    ],
    ids=lambda value: str(value)[:20] if not isinstance(value, int) or value < 99 else "huge",
)
def test_whole_numbers(got, diagnosis):
    text = message(checks.check_integer, "f(x)", got, 3, mistakes=[(4, "off by one")], hint="count")
    assert diagnosis in text


def test_whole_numbers_pass():
    for got in (3, np.int64(3), np.uint8(3), np.array(3)):
        checks.check_integer("f(x)", got, 3)


def test_check_chooses_by_the_expected_value():
    checks.check("f", lambda n: n + 1, 2, expected=3)
    checks.check("f", lambda x, scale=1.0: x * scale, np.ones(2), scale=3.0, expected=[3, 3])
    assert message(checks.check, "f", lambda n: n, 2, expected=3) == "f(2): expected 3, got 2."


def test_errors_become_one_message_with_the_cause_attached():
    def missing(x):
        raise NotImplementedError

    def broken(x):
        return x[99]

    x = np.arange(3.0)
    assert "not written yet" in message(checks.check, "f", missing, x, expected=x)
    with pytest.raises(
        AssertionError, match=r"f\(\[0, 1, 2\]\): your function stopped with IndexError: index 99"
    ) as caught:
        checks.check("f", broken, x, expected=x)
    assert isinstance(caught.value.__cause__, IndexError)
    text = message(checks.check, "f", lambda y: y, x, stride=2, expected=x)
    assert "unexpected keyword argument 'stride'" in text and "Keep the names" in text
    assert "stopped with SystemExit." in message(checks.check, "f", lambda y: sys.exit(), x, expected=x)


def test_a_notebook_shows_the_message_and_the_students_lines_only():
    def inner(x):
        return x[99]

    def outer(x):
        return inner(x)

    with pytest.raises(CheckFailed) as caught:
        checks.check("f", outer, np.arange(3.0), expected=[0, 1, 2])
    text, _, lines = "\n".join(caught.value._render_traceback_()).partition("\n\n")
    assert text.replace("\n", " ") == str(caught.value)
    assert [re.sub(r"\d+", "N", line) for line in lines.splitlines()] == [
        "  line N in outer: return inner(x)",
        "  line N in inner: return x[N]",
    ]
    with pytest.raises(CheckFailed) as caught:
        checks.check("f", lambda: None, np.arange(3.0), expected=[0, 1, 2])
    assert " ".join(caught.value._render_traceback_()) == str(caught.value)


def test_a_long_or_broken_error_message_is_bounded():
    class Mute(Exception):
        def __str__(self):
            raise RuntimeError

    def raiser(error):
        def f(x):
            raise error

        return f

    assert len(message(checks.check, "f", raiser(ValueError("x" * 10**6)), 1, expected=1)) < 300
    assert "no readable message" in message(checks.check, "f", raiser(Mute()), 1, expected=1)


def test_changed_arguments_are_noticed_and_the_originals_survive():
    def spoil(x, w):
        w[0] = 7.0
        return x

    x, w = np.arange(3.0), np.ones(2)
    assert "argument 2 was changed" in message(checks.check, "f", spoil, x, w, expected=x)
    assert "`w` was changed" in message(checks.check, "f", lambda x, w: spoil(x, w), x, w=w, expected=x)
    assert w.tolist() == [1.0, 1.0]
    with_nan = np.array([np.nan, 0.0])
    assert np.isnan(checks.call("f(x)", lambda x: x, with_nan)[0])


def test_changed_lists_and_dicts_are_noticed():
    def grown(layers):
        layers.append((2, 2))
        return 1

    def written(layers):
        layers[0].setdefault("dilation", 1)
        return 1

    pairs, layers = [(3, 1)], [{"k": 2, "weights": np.ones(2)}]
    assert "argument 1 was changed" in message(checks.check, "f", grown, pairs, expected=1)
    assert "that list: work on a copy (copy.deepcopy)" in message(checks.check, "f", written, layers, expected=1)
    assert pairs == [(3, 1)] and [*layers[0]] == ["k", "weights"]
    checks.check("f", lambda layers: layers[0]["k"], layers, expected=2)


def test_an_experiment_may_return_a_named_tuple():
    """The grader gets it as a tuple; in Jupyter it comes as it is."""
    result = collections.namedtuple("Result", "numbers verdict")
    experiments.check_run("f", lambda: result(np.ones(2), "survives"), expected=[1, 1])
    three = collections.namedtuple("Three", "numbers verdict why")
    assert "two things" in message(experiments.check_run, "f", lambda: three(1.0, "survives", ""), expected=1.0)


def test_an_agreement_just_below_what_is_needed_is_not_shown_as_enough(monkeypatch):
    monkeypatch.setattr(edges, "agreement", lambda marked, true: (0.797, 0.797))
    x = np.random.default_rng(0).random((9, 9))
    text = message(edges.check_edges, "find_edges", lambda x: (x > 0.5) * 1.0, [(x, x)])
    assert "is 0.79; 0.80 is needed" in text


def test_warnings_and_stderr_do_not_reach_stderr():
    # In a process of its own, because pytest collects warnings before they are printed.
    program = """
import sys, warnings
from cnn_course.grading import checks, experiments, run_state

def noisy(n):
    warnings.warn("careful", RuntimeWarning)
    print("half way", file=sys.stderr)
    return n

checks.check("f", noisy, 1, expected=1)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == "" and "RuntimeWarning: careful" in done.stdout and "half way" in done.stdout


def test_results_kept_from_earlier_calls_are_recognised():
    kept = {}

    def cached(x):
        return kept.setdefault(x.shape, x.copy())

    run_state.current().earlier.clear()
    checks.check("cached", cached, np.array([1.0, 2.0]), expected=[1, 2])
    text = message(checks.check, "cached", cached, np.array([5.0, 2.0]), expected=[5, 2])
    assert "the result of an earlier call" in text
    text = message(checks.check, "cached", lambda x: np.zeros(2), np.ones(3), expected=[1, 1, 1])
    assert "the shape of an earlier example" in text
    text = message(checks.check, "other", lambda x: 2 * x, np.ones(3), expected=[1, 1, 1])
    assert "twice the right one" in text


def test_calls_are_described_as_typed_and_bounded():
    x = np.zeros((2, 3, 4, 5), dtype=np.float32)
    assert describe.call("f", x, np.array([1.0, -0.5]), None, stride=(1, 2)) == (
        "f(<array (2, 3, 4, 5), float32>, [1, -0.5], None, stride=(1, 2))"
    )
    assert describe.call("f", np.random.default_rng(0).normal(size=(3, 3))) == "f(<array (3, 3)>)"
    assert describe.call("f", np.eye(2)) == "f([[1, 0], [0, 1]])"
    assert len(describe.call("f", "x" * 1000)) < 250


def test_every_listed_mistake_has_a_message_and_is_an_array():
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(5, 7)), rng.normal(size=(3, 2))
    lists = [
        mistakes.correlation_1d(x[0], w[:, 0], 2, 1),
        mistakes.correlation_2d(x, w, (2, 1), (1, 2)),
        mistakes.convolution_2d(x, w),
        mistakes.layer(rng.normal(size=(2, 3, 5, 7)), rng.normal(size=(3, 3, 2, 2)), rng.normal(size=3)),
    ]
    for found in lists:
        assert len(found) >= 6
        for candidate, text in found:
            assert isinstance(candidate, np.ndarray) and np.isfinite(candidate).all()
            assert re.fullmatch(r"[A-Z].*[.?]", text), text
    assert all(isinstance(n, int) and text for n, text in mistakes.output_size(8, 3, 2, 1))


def test_mistakes_that_cannot_be_computed_are_left_out():
    # Without its padding, this picture is smaller than the kernel.
    found = mistakes.correlation_2d(np.ones((2, 2)), np.ones((4, 4)), (1, 1), (2, 2))
    assert not any("not padded" in text and "columns" not in text and "rows" not in text for _, text in found)
