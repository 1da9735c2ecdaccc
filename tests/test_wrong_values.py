"""Every public function, with every argument wrong in every way of `wrong_values`: a clear error, or a result that
means something; and with its arrays in every layout: the same result.
"""

import dataclasses
import warnings

import numpy as np
import pytest
import test_layouts
import torch
import wrong_values

from cnn_course.appearance.live import StaticFirst

# Views without their pictures, which take longer than all the rest; but where layouts are compared.
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread", "undrawn")]

PUBLIC = wrong_values.public()


def test_every_public_function_has_a_right_call():
    assert sorted(PUBLIC) == sorted(wrong_values.good_calls())


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_the_right_call_is_right(name):
    with wrong_values.elsewhere() as folder:
        verdict, words = wrong_values.outcome(PUBLIC[name], wrong_values.good(name, folder), [])
        assert verdict == "accepted", words


@pytest.mark.parametrize("name", sorted(name for name, f in PUBLIC.items() if wrong_values.parameters_of(f)))
def test_wrong_values(name):
    found = list(wrong_values.wrong_calls(name, PUBLIC[name]))
    assert found
    wrong = [each for each in found if each[2] not in wrong_values.RIGHT]
    assert wrong == []


def test_drawn_calls():
    """A few; the nightly job draws more: python tests/wrong_values.py --draws 20000 --seed ..."""
    rng = np.random.default_rng(13)
    names = sorted(name for name, f in PUBLIC.items() if wrong_values.parameters_of(f))
    drawn = [(name, *wrong_values.drawn_call(name, PUBLIC[name], rng)) for name in rng.choice(names, 300)]
    assert [each for each in drawn if each[-2] not in wrong_values.RIGHT] == []


def test_the_judge_can_say_every_verdict():
    def judged(function, **arguments):
        return wrong_values.outcome(function, arguments, list(arguments))[0]

    def fill(x: np.ndarray):
        x[:] = 0
        raise ValueError("x is wrong")

    def forever(k):
        while True:
            pass

    def give_back(k: int):
        return k

    def large(k):
        return np.ones(k)

    def nameless(k):
        raise ValueError("wrong")

    assert judged(give_back, k=3) == "accepted"
    assert judged(give_back, k="no") == "meaningless"
    assert judged(lambda k: np.full(3, np.nan), k=3) == "meaningless"
    assert judged(nameless, k=3) == "obscure"
    assert judged(lambda k: k.shape, k=3) == "obscure"
    assert judged(fill, x=np.ones(3)) == "changed"
    assert judged(large, k=10**12) == "memory"
    seconds, wrong_values.SECONDS = wrong_values.SECONDS, 0.2
    try:
        assert judged(forever, k=3) == "hangs"
    finally:
        wrong_values.SECONDS = seconds


def same(a, b):
    """Whether two results agree to rounding; what holds no numbers counts as the same."""
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        a, b = a.detach().cpu().numpy(), b.detach().cpu().numpy()
    if isinstance(a, np.ndarray | np.generic | int | float):
        return np.shape(a) == np.shape(b) and np.allclose(a, b, rtol=1e-5, atol=1e-8, equal_nan=True)
    if isinstance(a, str | bytes):
        return a == b
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if dataclasses.is_dataclass(a):
        return all(same(getattr(a, field.name), getattr(b, field.name)) for field in dataclasses.fields(a))
    if isinstance(a, StaticFirst):  # each view is of a class of its own
        return same(a.static_bundle(), b.static_bundle())
    return type(a) is type(b)


def result_of(name, change=lambda array: array):
    with wrong_values.elsewhere() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)  # of a network that the right call makes
        arguments = wrong_values.good(name, folder)
        arguments = {key: change(a) if isinstance(a, np.ndarray) and a.ndim else a for key, a in arguments.items()}
        before = {key: a.copy() for key, a in arguments.items() if isinstance(a, np.ndarray)}
        torch.manual_seed(0)
        result = PUBLIC[name](*([arguments.pop("self")] if "self" in arguments else []), **arguments)
        assert all(np.array_equal(arguments[key], array) for key, array in before.items())
        return result


def big_endian(array):
    return array.astype(array.dtype.newbyteorder(">"))


LAYOUTS = [*test_layouts.LAYOUTS, big_endian]


@pytest.mark.drawn
@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_the_layout_of_an_array_changes_nothing(name):
    """Nor is any array changed: one may be read-only. A function that takes none has nothing to lay out."""
    with wrong_values.elsewhere() as folder:
        layouts = LAYOUTS if wrong_values.arrays_of(wrong_values.good(name, folder)) else []
    expected = result_of(name) if layouts else None
    assert [layout.__name__ for layout in layouts if not same(expected, result_of(name, layout))] == []
