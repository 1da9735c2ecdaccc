import io
import json
import math
import sys

import pytest
from PIL import Image

from cnn_course import widgets
from cnn_course.appearance.live import WIDGET_VIEW
from cnn_course.training.history import Epoch


def epoch(number, *, val=True, train_loss=None):
    loss = 2.0 / number if train_loss is None else train_loss
    return Epoch(number, loss, 1 - 0.5 / number, 2.2 / number if val else None, 0.4 if val else None, 0.01, 0.2)


@pytest.fixture
def displayed(monkeypatch):
    """What the notebook shows: every display and every update of one, as bundles."""
    shown = []

    class Handle:
        def update(self, view):
            shown.append(("update", view.static_bundle()))

    def display(view, display_id):
        shown.append(("display", view.static_bundle()))
        return Handle()

    monkeypatch.setattr(sys.modules[widgets.training_monitor.__module__], "display", display)
    return shown


def test_rows_arrive_one_by_one():
    monitor = widgets.training_monitor(epochs=3)
    assert monitor.rows == [] and monitor.epochs == 3
    monitor(epoch(1))
    monitor(epoch(2, val=False))
    assert [row["epoch"] for row in monitor.rows] == [1, 2]
    assert monitor.rows[0]["val_loss"] == 2.2 and monitor.rows[1]["val_loss"] is None
    assert [row.train_loss for row in monitor.history.epochs] == [2.0, 1.0]


def test_a_loss_that_is_not_finite_travels_as_a_gap():
    monitor = widgets.training_monitor(epochs=3)
    monitor(epoch(1, train_loss=math.nan))
    monitor(epoch(2, train_loss=math.inf))
    assert [row["train_loss"] for row in monitor.rows] == [None, None]
    json.dumps(monitor.rows, allow_nan=False)


def test_the_picture_at_the_end_replaces_the_empty_one(displayed):
    with widgets.training_monitor(epochs=4) as monitor:
        for number in range(1, 5):
            monitor(epoch(number))
        assert not monitor.over
    assert [kind for kind, _ in displayed] == ["display", "update"] and monitor.over
    (empty, _), (final, metadata) = displayed[0][1], displayed[1][1]
    assert set(final) == {"image/png", "text/plain"} and final["image/png"] != empty["image/png"]
    assert final["text/plain"] == empty["text/plain"] == metadata["image/png"]["alt"]
    width, height = Image.open(io.BytesIO(final["image/png"])).size
    assert 500 <= width <= 900 and height <= 400 and len(final["image/png"]) < 40_000


def test_an_exception_keeps_the_curves_so_far(displayed):
    with pytest.raises(KeyboardInterrupt), widgets.training_monitor(epochs=9) as monitor:
        monitor(epoch(1))
        raise KeyboardInterrupt
    assert [kind for kind, _ in displayed] == ["display", "update"] and monitor.over and len(monitor.rows) == 1


def test_no_epoch_leaves_the_empty_view(displayed):
    with widgets.training_monitor(epochs=2):
        pass
    assert [kind for kind, _ in displayed] == ["display"]


def test_a_second_training_goes_on_in_the_same_view(displayed):
    monitor = widgets.training_monitor(epochs=4)
    for first in (1, 3):
        with monitor:
            monitor(epoch(first))
            monitor(epoch(first + 1))
    assert [row["epoch"] for row in monitor.rows] == [1, 2, 3, 4]


def test_live_view_and_module_stand_alone(monkeypatch):
    monitor = widgets.training_monitor(epochs=2, title="t")
    assert set(monitor._repr_mimebundle_()[0]) == {"image/png", "text/plain", WIDGET_VIEW}
    state = monitor.get_state()
    assert "import " not in state["_esm"].replace("cannot import its", "")
    assert "http" not in state["_esm"] + state["_css"]
    monkeypatch.setenv("CNN_COURSE_WIDGETS", "0")
    static = widgets.training_monitor(epochs=2, title="t")
    static(epoch(1))
    assert set(static._repr_mimebundle_()[0]) == {"image/png", "text/plain"} and static.comm is None


@pytest.mark.parametrize("epochs", [0, -1, 10**9, 2.5, True, "3", None])
def test_refuses_epochs(epochs):
    with pytest.raises((TypeError, ValueError), match="epochs must be an integer of at least 1"):
        widgets.training_monitor(epochs=epochs)


def test_refuses_what_is_no_epoch():
    with pytest.raises(TypeError, match="one Epoch at a time"):
        widgets.training_monitor(epochs=2)({"epoch": 1})
