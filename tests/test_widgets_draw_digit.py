import io

import numpy as np
import pytest
from PIL import Image

from cnn_course import widgets
from cnn_course.appearance.live import WIDGET_VIEW
from cnn_course.data_sources.strokes import like_mnist

pytestmark = pytest.mark.usefixtures("undrawn")

EXAMPLES = np.zeros((3, 28, 28), np.uint8)
EXAMPLES[0, 4:24, 12:15] = 255
EXAMPLES[1, 10:18, 4:24] = 200


def tall_or_wide(image):
    """Says "wide" for ink that is wider than it is tall."""
    across, down = (int((image[0, 0].sum(axis=axis) > 0).sum()) for axis in (0, 1))
    p = (1 + across) / (2 + across + down)
    stages = {"rows": image[0, :, ::2] / 255.0, "signed": image[0] / 255.0 - 0.5, "sizes": np.array([across, down])}
    return stages, np.array([1 - p, p])


def one_map(image):
    return {"image": image[0]}, np.array([0.25, 0.75])


def view(**options):
    models = {"first": tall_or_wide, "second": one_map}
    return widgets.draw_digit(models, EXAMPLES, classes=["tall", "wide"], **options)


def show(widget, **changed):
    widget.shown = widget.shown | changed
    return widget.answer


def seen(answer):
    return np.frombuffer(answer["seen"], np.uint8).reshape(28, 28)


def centre(image):
    rows, columns = np.indices(image.shape)
    return float((rows * image).sum() / image.sum()), float((columns * image).sum() / image.sum())


@pytest.mark.drawn
def test_bundle_holds_picture_text_and_live_view():
    data, metadata = view()._repr_mimebundle_()
    assert set(data) == {"image/png", "text/plain", WIDGET_VIEW}
    assert metadata["image/png"]["alt"] == data["text/plain"]
    assert "example 0, the maps of every layer of first" in data["text/plain"]
    width, height = Image.open(io.BytesIO(data["image/png"])).size
    assert 500 <= width <= 900 and height <= 600 and len(data["image/png"]) < 60_000
    assert data["image/png"] != view(start=1)._repr_mimebundle_()[0]["image/png"]


def test_starts_with_the_example_as_it_is():
    answer = view(start=1).answer
    assert np.array_equal(seen(answer), EXAMPLES[1])
    assert answer["best"] == 1 and answer["summary"].startswith("It says wide (")
    assert sum(answer["probabilities"]) == pytest.approx(1)


def test_strokes_change_what_is_seen_the_maps_and_the_answer():
    widget = view()
    before = widget.answer
    after = show(widget, example=-1, strokes=[[40, 140, 240, 140]])
    assert before["best"] == 0 and after["best"] == 1
    assert [s["pixels"] for s in before["stages"]] != [s["pixels"] for s in after["stages"]]
    assert np.array_equal(seen(after), like_mnist([[40, 140, 240, 140]]))
    again = show(widget, strokes=[[40, 140, 240, 140], [140, 0, 140, 280]])
    assert seen(again).sum() > seen(after).sum()


def test_stages_are_grey_numbers_of_the_right_size():
    maps, signed, sizes = view().answer["stages"]
    assert (maps["rows"], maps["columns"], maps["tile"]) == (14, 28, 28) and len(maps["pixels"]) == 14 * 28
    assert maps["what"] == "one map of 14 × 28" and maps["range"] == "0.00 to 1.00, black is 0"
    assert signed["range"] == "\N{MINUS SIGN}0.50 to 0.50, mid grey is 0"
    assert {0, 255} == set(signed["pixels"])
    assert sizes["what"] == "2 values" and list(sizes["pixels"]) == [38, 255]


def test_a_row_of_values_breaks_at_sixty():
    def many(image):
        return {"c5": np.arange(120.0), "odd": np.arange(61.0)}, np.ones(1)

    c5, odd = widgets.draw_digit({"m": many}, EXAMPLES, classes=["x"]).answer["stages"]
    assert (c5["rows"], c5["columns"]) == (2, 60)
    assert (odd["rows"], odd["columns"]) == (2, 31) and odd["pixels"][-1] == 255


def test_another_model_answers_about_the_same_image():
    widget = view()
    image = seen(widget.answer)
    answer = show(widget, model="second")
    assert np.array_equal(seen(answer), image)
    assert [stage["name"] for stage in answer["stages"]] == ["image"] and answer["probabilities"] == [0.25, 0.75]


def test_an_empty_canvas_says_so():
    answer = show(view(), example=-1)
    assert not seen(answer).any()
    assert answer["summary"].startswith("Nothing is drawn, and the network answers all the same.")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"model": "third"}, "there is no model 'third': choose from first, second"),
        ({"example": 3}, "there are 3"),
        ({"example": -2}, "example is -2"),
        ({"example": "x"}, "TypeError"),
        ({"example": -1, "strokes": [[1, 2, 3]]}, "finite pairs x0, y0"),
        ({"example": -1, "strokes": [[float("nan"), 2]]}, "finite pairs x0, y0"),
        ({"example": -1, "strokes": [["a", "b"]]}, "ValueError"),
        ({"example": -1, "strokes": [list(range(20_002))]}, "clear the canvas"),
        ({"more": 1}, "unexpected keyword"),
    ],
)
def test_a_bad_value_keeps_the_last_picture_and_the_view_lives(changed, message):
    widget = view()
    before = widget.answer
    good = widget.shown
    assert show(widget, **changed) == before
    assert message in widget.error
    widget.shown = good
    assert widget.error == ""


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (lambda image: (_ for _ in ()).throw(RuntimeError("no memory")), "RuntimeError: no memory"),
        (lambda image: ({}, np.ones(3)), "but 2 probabilities are needed"),
        (lambda image: ({}, np.array([np.nan, 1])), "2 probabilities are needed"),
        (lambda image: ({"flat": np.ones((2, 2))}, np.ones(2)), r"flat has shape (2, 2)"),
        (lambda image: ({"inf": np.array([np.inf])}, np.ones(2)), "finite values"),
    ],
)
def test_a_failing_model_is_one_message(bad, message):
    widget = widgets.draw_digit({"good": tall_or_wide, "bad": bad}, EXAMPLES, classes=["tall", "wide"])
    show(widget, model="bad")
    assert message in widget.error
    show(widget, model="good")
    assert widget.error == ""


@pytest.mark.parametrize(
    ("models", "examples", "options", "error", "message"),
    [
        ({}, EXAMPLES, {}, ValueError, "at least one"),
        ({"m": one_map}, EXAMPLES.astype(float), {}, TypeError, "must be uint8"),
        ({"m": one_map}, EXAMPLES[:, :20], {}, ValueError, r"not \(3, 20, 28\)"),
        ({"m": one_map}, EXAMPLES[:0], {}, ValueError, "E at least 1"),
        ({"m": one_map}, EXAMPLES, {"names": ["a"]}, ValueError, "3 examples, but 1 names"),
        ({"m": one_map}, EXAMPLES, {"start": 3}, ValueError, "start=3"),
        ({"m": one_map}, EXAMPLES, {"classes": ["a"]}, ValueError, "1 probabilities are needed"),
    ],
)
def test_bad_arguments(models, examples, options, error, message):
    with pytest.raises(error, match=message):
        widgets.draw_digit(models, examples, **options)


@pytest.mark.parametrize("size", [0.3, 1, 4])
@pytest.mark.parametrize("at", [(0, 0), (90, 40)])
def test_drawings_are_scaled_and_centred(size, at):
    # An L: more ink below and on the left than its box would say.
    points = np.array([[20, 20], [20, 220], [120, 220]]) * size + at
    image = like_mnist([points.ravel().tolist()])
    rows, columns = (np.flatnonzero(image.max(axis=axis) > 30) for axis in (1, 0))
    assert 20 <= np.ptp(rows) + 1 <= 21 and np.ptp(columns) + 1 < 14
    assert centre(image) == pytest.approx((13.5, 13.5), abs=0.1)
    assert image.max() == 255
    reference = like_mnist([[20, 20, 20, 220, 120, 220]])
    assert np.abs(image.astype(int) - reference).max() <= 40


def test_a_heavy_end_stays_inside():
    zigzag = np.stack([np.tile([0, 60], 30), np.linspace(200, 240, 60)], axis=1)
    image = like_mnist([zigzag.ravel().tolist(), [30, 0, 30, 200]])
    rows = np.flatnonzero(image.max(axis=1))
    assert 19 <= np.ptp(rows) <= 22
    assert image.sum() == pytest.approx(like_mnist([(zigzag + 20).ravel().tolist(), [50, 20, 50, 220]]).sum(), rel=0.02)


@pytest.mark.parametrize("strokes", [[[140, 140]], [[140, 140, 140, 140]], [[0, 0], [0, 0]]])
def test_a_dot_is_a_dot(strokes):
    image = like_mnist(strokes)
    assert 1 <= (image > 0).sum() <= 16 and centre(image) == pytest.approx((13.5, 13.5), abs=0.6)


def test_no_strokes_are_black():
    assert not like_mnist([]).any() and not like_mnist([[], []]).any()
