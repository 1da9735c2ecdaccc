"""The small course of `odd_course`: one that nothing may change, one to be spoiled, one that is graded."""

import importlib.util
import shutil

import pytest

if importlib.util.find_spec("nbgrader"):
    from cnn_course.grading.classroom import grade_class
    from cnn_course.grading.lab import Lab
    from command_line.odd_course import LAB, SamePoints, copy, make_world, without_work
else:  # the extra `teach`: grading needs it
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """One for all lines, because none may change it."""
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture
def still(monkeypatch, world):
    without_work(monkeypatch, world)
    return world


@pytest.fixture
def course(world, tmp_path, monkeypatch):
    """A world of one's own, to be spoiled."""
    copy(world, tmp_path)
    without_work(monkeypatch, tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def graded_once(world, tmp_path_factory):
    """The class, graded."""
    place = shutil.copytree(world / "labs", tmp_path_factory.mktemp("graded") / "labs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grade_class, "Pool", SamePoints)
        outcome = grade_class.grade_class(Lab(place, LAB), sandboxed=False)
    assert outcome.graded == 1
    return place


@pytest.fixture
def graded(graded_once, course, monkeypatch):
    """A graded class of one's own."""
    monkeypatch.setattr(grade_class, "Pool", SamePoints)
    shutil.rmtree(course / "labs")
    return shutil.copytree(graded_once, course / "labs")
