import io
import json

import numpy as np
import pytest
from PIL import Image

from cnn_course import convolution, toeplitz, widgets
from cnn_course.appearance.live import WIDGET_VIEW

pytestmark = pytest.mark.usefixtures("undrawn")

VIEWS = {
    "1-D": lambda: widgets.kernel_matrix(),
    "ring": lambda: widgets.kernel_matrix([0.5, 1, -0.25, 0, 2], 9, border="circular"),
    "2-D": lambda: widgets.kernel_matrix(np.arange(9).reshape(3, 3), (4, 5)),
}


@pytest.fixture(params=VIEWS.values(), ids=VIEWS.keys())
def make(request):
    return request.param


@pytest.mark.drawn
def test_bundle_holds_picture_text_and_live_view(make):
    data, metadata = make()._repr_mimebundle_()
    assert set(data) == {"image/png", "text/plain", WIDGET_VIEW}
    assert len(data["text/plain"]) > 40 and metadata["image/png"]["alt"] == data["text/plain"]
    width, height = Image.open(io.BytesIO(data["image/png"])).size
    assert 500 <= width <= 900 and height <= 600 and len(data["image/png"]) < 60_000


@pytest.mark.slow
@pytest.mark.drawn
def test_static_part_is_the_same_on_every_run(make):
    (first, _), (second, _) = make()._repr_mimebundle_(), make()._repr_mimebundle_()
    assert first.pop(WIDGET_VIEW) != second.pop(WIDGET_VIEW)
    assert first == second


def test_widgets_off_gives_only_the_static_part(make, monkeypatch):
    monkeypatch.setenv("CNN_COURSE_WIDGETS", "0")
    view = make()
    assert set(view._repr_mimebundle_()[0]) == {"image/png", "text/plain"} and view.comm is None


def test_state_travels_as_json_and_module_stands_alone(make):
    state = make().get_state()
    json.dumps({name: value for name, value in state.items() if not isinstance(value, bytes)})
    assert "import " not in state["_esm"].replace("cannot import its", "")
    assert "http" not in state["_esm"] + state["_css"]


def test_which_tap_stands_where_by_hand():
    which = widgets.kernel_matrix([5, 6, 7], 4).data["which"]
    assert which["zeros"] == [[1, 2, -1, -1], [0, 1, 2, -1], [-1, 0, 1, 2], [-1, -1, 0, 1]]
    assert which["circular"] == [[1, 2, -1, 0], [0, 1, 2, -1], [-1, 0, 1, 2], [2, -1, 0, 1]]


@pytest.mark.parametrize("border", toeplitz.BORDERS)
def test_the_map_and_the_values_make_the_matrix_of_the_convolution(border):
    w = np.array([[1.0, 0, -2], [3, 4, 0.5]])
    view = widgets.kernel_matrix(w, (4, 3), border=border)
    which = np.array(view.data["which"][border])
    drawn = np.where(which >= 0, np.append(view.cells, 0)[which], 0)
    np.testing.assert_array_equal(drawn, view.matrix())
    if border == "zeros":
        x = np.random.default_rng(0).normal(size=(4, 3))
        out = convolution.conv2d(x[None, None], w[None, None], padding="same")
        np.testing.assert_allclose(drawn @ x.ravel(), out.ravel(), atol=1e-12)


def test_a_changed_tap_and_a_changed_border_are_told():
    view = widgets.kernel_matrix([1, -2, 3], 8)
    assert "64 entries, 22 of them not zero, made of 3 taps" in view.summary
    view.cells = [1, 0, 3]
    assert "14 of them not zero" in view.summary and view.matrix()[0].tolist() == [0, 3, 0, 0, 0, 0, 0, 0]
    view.border = "circular"
    assert "16 of them not zero" in view.summary and view.summary.endswith("circulant matrix: 0.000.")


def test_the_distance_on_a_torus_is_that_of_the_torus():
    view = widgets.kernel_matrix(np.ones((3, 3)), (4, 5), border="circular")
    assert view.summary.endswith("circulant matrix: 0.000.")


@pytest.mark.drawn
def test_the_stored_picture_stays():
    view = widgets.kernel_matrix()
    stored = view._repr_mimebundle_()[0]["image/png"]
    view.cells = [1, 1, 1]
    assert view._repr_mimebundle_()[0]["image/png"] == stored


@pytest.mark.parametrize("cells", [[1, 2], [1, 2, "3"], [1, 2, float("nan")], [1, 2, None], [], [True, 1, 1]])
def test_bad_cells_give_one_message_and_the_view_lives(cells):
    view = widgets.kernel_matrix()
    before = view.summary
    view.cells = cells
    assert "3 finite numbers" in view.error and view.summary == before
    view.cells = [1, 2, 3]
    assert view.error == "" and view.summary


def test_an_unknown_border_gives_one_message():
    view = widgets.kernel_matrix()
    view.border = "mirror"
    assert "one of zeros, circular" in view.error


def test_zero_kernel():
    assert widgets.kernel_matrix([0, 0, 0], 5).summary.endswith("0.000.")


@pytest.mark.parametrize(
    ("w", "size", "options", "error", "message"),
    [
        (np.ones(3), 37, {}, ValueError, "at most 36"),
        (np.ones((3, 3)), (7, 7), {}, ValueError, "49 pixels"),
        (np.ones(5), 4, {"border": "circular"}, ValueError, "larger than the input"),
        (np.ones((3, 3)), 8, {}, ValueError, "must have 1 axes, or 3"),
        (np.ones((2, 2, 3)), 8, {}, ValueError, "must have 1 or 2 axes"),
        (np.ones((1, 1, 1)), (2, 2, 2), {}, ValueError, "must have 1 or 2 axes"),
        ([1, np.nan], 8, {}, ValueError, "finite"),
        (["a", "b"], 8, {}, TypeError, "w must be an array of"),
        (np.ones(0), 8, {}, ValueError, "at least one number"),
        (np.ones(3), 0, {}, ValueError, "at least 1"),
        (np.ones(3), 8.0, {}, TypeError, "integer"),
        (np.ones(3), 8, {"border": "edge"}, ValueError, "one of zeros, circular"),
    ],
)
def test_refuses(w, size, options, error, message):
    with pytest.raises(error, match=message):
        widgets.kernel_matrix(w, size, **options)
