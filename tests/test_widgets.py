import io
import json

import numpy as np
import pytest
from PIL import Image

from cnn_course import filters, images, widgets
from cnn_course.appearance.live import WIDGET_VIEW
from cnn_course.convolution import conv2d, flip

X = np.arange(25).reshape(5, 5) % 7
W = np.array([[0, 1, 0], [1, -4, 1], [2, 1, 0]])


def wave(ax, k, sigma=1.0, name="sin", grid=True):
    x = np.linspace(0, 6, 50)
    ax.plot(x, getattr(np, name)(k * x) * np.exp(-x / sigma))
    ax.grid(grid)


def explorer():
    return widgets.explore(wave, k=(1, 5), sigma=(0.5, 3.0, 0.1), name=["sin", "cos"], grid=True)


def thirds(images):
    return np.tile([0.2, 0.3, 0.5], (len(images), 1))


def mover(**options):
    image = np.zeros((1, 12, 12))
    image[:, 4:8, 5:7] = 1

    def left_half(batch):
        share = batch[..., :6].sum((1, 2, 3)) / 8
        return np.stack([share, 1 - share, 0 * share], axis=1)

    return widgets.object_mover(image, {"thirds": thirds, "left": left_half}, ["a", "b", "c"], **options)


VIEWS = {
    "explore": explorer,
    "stepping window": lambda: widgets.stepping_window(X, W, padding=1, title="Step"),
    "kernel designer": lambda: widgets.kernel_designer(size=(48, 48)),
    "object mover": mover,
}


def pixels(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


@pytest.mark.parametrize("make", VIEWS.values(), ids=VIEWS.keys())
def test_bundle_holds_picture_text_and_live_view(make):
    data, metadata = make()._repr_mimebundle_()
    assert set(data) == {"image/png", "text/plain", WIDGET_VIEW}
    assert len(data["text/plain"]) > 40 and metadata["image/png"]["alt"] == data["text/plain"]
    height, width = pixels(data["image/png"]).shape[:2]
    assert 500 <= width <= 900 and height <= 600 and len(data["image/png"]) < 60_000


@pytest.mark.slow
@pytest.mark.parametrize("make", VIEWS.values(), ids=VIEWS.keys())
def test_static_part_is_the_same_on_every_run(make):
    (first, _), (second, _) = make()._repr_mimebundle_(), make()._repr_mimebundle_()
    assert first.pop(WIDGET_VIEW) != second.pop(WIDGET_VIEW)
    assert first == second


@pytest.mark.parametrize("make", VIEWS.values(), ids=VIEWS.keys())
def test_widgets_off_gives_only_the_static_part(make, monkeypatch):
    monkeypatch.setenv("CNN_COURSE_WIDGETS", "0")
    view = make()
    assert set(view._repr_mimebundle_()[0]) == {"image/png", "text/plain"} and view.comm is None


@pytest.mark.parametrize("make", VIEWS.values(), ids=VIEWS.keys())
def test_state_travels_as_json_and_bytes_and_module_stands_alone(make):
    state = make().get_state()
    json.dumps({name: value for name, value in state.items() if not isinstance(value, bytes)})
    assert "import " not in state["_esm"].replace("cannot import its", "")
    assert "http" not in state["_esm"] + state["_css"]


# explore


def test_explore_starts_at_defaults_of_draw_else_at_the_low_end():
    view = explorer()
    assert view.values == {"k": 1, "sigma": 1.0, "name": "sin", "grid": True}
    assert [spec["kind"] for spec in view.controls] == ["slider", "slider", "choice", "check"]
    assert [spec.get("digits") for spec in view.controls] == [0, 1, None, None]


def test_explore_redraws_and_leaves_the_stored_picture():
    view = explorer()
    stored, before = view._repr_mimebundle_()[0]["image/png"], view.png
    view.values = view.values | {"k": 4}
    assert view.png != before and view.error == ""
    assert view._repr_mimebundle_()[0]["image/png"] == stored


def test_explore_returns_to_the_same_picture():
    view = explorer()
    view.values = view.values | {"name": "cos"}
    cosine = view.png
    view.values = view.values | {"name": "sin"}
    view.values = view.values | {"name": "cos"}
    assert view.png == cosine


def width_of(png):
    return Image.open(io.BytesIO(png)).width


def test_explore_draws_for_the_room_that_there_is():
    view = explorer()
    wide = view.png
    assert width_of(wide) == 720 and view.least == 576
    view.room = 420
    assert width_of(view.png) == 525  # shown with 0.8 of its size
    view.room = 1
    assert width_of(view.png) == 300 and view.error == ""
    view.room = 10_000
    assert width_of(view.png) == 720
    assert view.static_bundle()[0]["image/png"] == wide


def test_explore_never_cuts_a_long_title_to_fit_the_room():
    widths = []

    def draw(ax, k):
        widths.append(ax.figure.get_figwidth())
        ax.set_title("words " * 10)

    view = widgets.explore(draw, k=(1, 3))
    view.room = 300
    assert 375 < width_of(view.png) < 720
    view.values = {"k": 2}
    assert widths[-1] == widths[-2] > widths[1] == 3.75  # found once, then drawn at once


def test_explore_gives_whole_numbers_as_int_and_entries_as_themselves():
    seen = []
    view = widgets.explore(lambda ax, **values: seen.append(values), k=(1, 3), f=[np.sin, np.cos], d={"one": 1})
    view.values = view.values | {"k": 2}
    assert type(seen[-1]["k"]) is int and seen[-1]["f"] is np.sin and seen[-1]["d"] == 1


def test_explore_hands_over_a_clean_figure_when_asked():
    counts = []

    def draw(fig, n):
        counts.append(len(fig.axes))
        for ax in np.ravel(fig.subplots(1, n)):
            fig.colorbar(ax.imshow(np.eye(3)), ax=ax)

    view = widgets.explore(draw, n=(1, 3))
    view.values = {"n": 3}
    assert counts == [0, 0] and view.error == ""


def test_explore_survives_an_exception_with_one_message():
    def draw(ax, k):
        if k == 2:
            raise RuntimeError("two is too many")

    view = widgets.explore(draw, k=(1, 3))
    before = view.png
    view.values = {"k": 2}
    assert view.error == "RuntimeError: two is too many" and view.png == before
    view.values = {"k": 3}
    assert view.error == ""


@pytest.mark.parametrize("values", [{"k": 9}, {"k": "2"}, {"k": False}, {}, {"k": 1, "j": 1}])
def test_explore_refuses_values_that_no_control_could_send(values):
    view = widgets.explore(lambda ax, k: None, k=(1, 3))
    view.values = values
    assert view.error.startswith(("ValueError", "TypeError"))


@pytest.mark.parametrize(
    ("controls", "error", "message"),
    [
        ({}, ValueError, "no controls"),
        ({"j": (1, 2)}, TypeError, "cannot be called with"),
        ({"k": (2, 1)}, ValueError, "low must be less than high"),
        ({"k": (1, 2, 0)}, ValueError, "the step more than 0"),
        ({"k": []}, ValueError, "empty"),
        ({"k": ["a", "a"]}, ValueError, "look the same"),
        ({"k": 3}, TypeError, "is no control"),
        ({"k": (True, False)}, TypeError, "is no control"),
        ({"k": (0, np.inf)}, ValueError, "k must be a finite number"),
        ({"k": (1, 2), "figsize": (10**9, 3)}, ValueError, "figsize.0. must be a finite number, .* at most 40"),
        ({"k": ("a", "b")}, TypeError, "is no control"),
    ],
)
def test_explore_refuses_controls(controls, error, message):
    with pytest.raises(error, match=message):
        widgets.explore(lambda ax, k: None, **controls)


def test_explore_takes_no_object_that_only_looks_like_a_function():
    with pytest.raises(TypeError, match="draw must be a function written in Python, not the class int"):
        widgets.explore(int, k=(1, 2))
    with pytest.raises(TypeError, match=r"draw fails at the start, with {'k': 1}: .*keyword") as caught:
        widgets.explore(lambda ax, **values: len(strange=values), k=(1, 2))
    assert isinstance(caught.value.__cause__, TypeError)


def test_explore_lets_the_author_see_a_broken_start():
    with pytest.raises(ZeroDivisionError):
        widgets.explore(lambda ax, k: 1 / 0, k=(1, 2))


# stepping window


def test_stepping_window_holds_both_outputs():
    data = widgets.stepping_window(X, W, stride=2, padding=(1, 0)).data
    for kernel, output in zip((W, flip(W)), data["outputs"], strict=True):
        expected = conv2d(X[None, None], kernel[None, None], stride=2, padding=(1, 0))[0, 0]
        np.testing.assert_allclose(output, expected)
    assert np.shape(data["padded"]) == (7, 5) and data["stride"] == [2, 2]


def test_stepping_window_digits():
    assert widgets.stepping_window(X, W).digits == 0
    assert widgets.stepping_window(X, W / 2).digits == 2
    assert widgets.stepping_window(X, W / 2, digits=1).digits == 1


def test_stepping_window_in_one_dimension():
    data = widgets.stepping_window([1, 2, 3, 4], [1, 0, -1], padding=1).data
    assert data["outputs"][0] == [[-2, -2, -2, 3]] and data["padding"] == [0, 1]


def test_stepping_window_turned_round_changes_the_static_picture():
    plain, turned = (widgets.stepping_window(X, W, flipped=f)._repr_mimebundle_()[0] for f in (False, True))
    assert plain["image/png"] != turned["image/png"] and plain["text/plain"] != turned["text/plain"]


@pytest.mark.parametrize(
    ("x", "w", "options", "message"),
    [
        (np.zeros((1, 5, 5)), W, {}, r"shape \(1, 5, 5\)"),
        (np.zeros(5), W, {}, "both must be"),
        (np.zeros((0, 5)), W, {}, r"shape \(0, 5\)"),
        (np.full((5, 5), np.nan), W, {}, "finite"),
        (np.zeros((20, 20)), W, {}, "readable up to 16"),
        (np.zeros((2, 2)), W, {}, "kernel"),
        (X, W, {"stride": 0}, "stride"),
        (X, W, {"padding": -1}, "padding"),
        (X, W, {"padding": "same"}, "number or a pair"),
    ],
)
def test_stepping_window_refuses(x, w, options, message):
    with pytest.raises(ValueError, match=message):
        widgets.stepping_window(x, w, **options)


# kernel designer


@pytest.fixture
def designer(undrawn):
    return widgets.kernel_designer(size=(48, 48))


def test_kernel_designer_filters_as_the_package_does(designer):
    designer.preset = "box blur"
    photo = images.photograph("camera", size=(48, 48), gray=True)
    expected = np.clip(np.round(255 * filters.apply(photo, filters.box())), 0, 255)
    assert np.abs(pixels(designer.result)[..., 0] - expected).max() <= 1
    assert designer.shown_as == "clipped to 0 to 1" and "Sum of the kernel: 1" in designer.summary


def test_kernel_designer_shows_zero_as_grey_for_signed_results(designer):
    designer.cells = list("000000000")
    designer.mode = "signed: grey is zero"
    assert set(np.unique(pixels(designer.result))) == {128}
    designer.mode = "clipped to 0 to 1"
    assert set(np.unique(pixels(designer.result))) == {0}


def test_kernel_designer_says_how_much_is_clipped(designer):
    designer.cells = ["0", "0", "0", "0", "3", "0", "0", "0", "0"]
    share = float(np.mean(images.photograph("camera", size=(48, 48), gray=True) * 3 > 1))
    assert f"{100 * share:.1f} % of the values lie outside" in designer.summary


def test_kernel_designer_presets_and_own_kernels_name_each_other(designer):
    assert designer.preset == "Sobel x"
    designer.cells = [*designer.cells[:8], "7"]
    assert designer.preset == "your own"
    designer.preset = "sharpen"
    assert designer.cells == ["0", "-1", "0", "-1", "5", "-1", "0", "-1", "0"]
    designer.preset = "box blur"
    assert designer.cells == ["1/9"] * 9 and designer.preset == "box blur"


@pytest.mark.parametrize("preset", filters.PRESETS)
def test_kernel_designer_shows_every_preset_as_it_is(designer, preset):
    designer.preset = preset
    assert designer.preset == preset and designer.error == ""
    np.testing.assert_allclose(designer.kernel(), filters.PRESETS[preset], atol=5e-5)


@pytest.mark.parametrize("text", ["", "abc", "1/0", "nan", "inf", "1e9", "1/2/3"])
def test_kernel_designer_marks_a_bad_cell_and_keeps_the_picture(designer, text):
    before, cells = designer.result, list(designer.cells)
    designer.cells = [*cells[:4], text, *cells[5:]]
    assert designer.bad == [4] and "Not a number" in designer.error and designer.result == before
    designer.cells = cells
    assert designer.bad == [] and designer.error == "" and designer.result == before


def test_kernel_designer_reads_numbers_as_people_write_them(designer):
    designer.cells = ["1/9", "-0.5", "\u22121", "0,5", " 2 ", "+1", "1e-1", ".5", "0"]
    np.testing.assert_allclose(designer.kernel().ravel(), [1 / 9, -0.5, -1, 0.5, 2, 1, 0.1, 0.5, 0])


def test_kernel_designer_normalises_unless_the_sum_is_zero(designer):
    designer.normalise = True
    assert "nothing to divide by" in designer.summary
    designer.cells = ["1"] * 9
    assert designer.kernel().sum() == pytest.approx(1) and "divided by it: 1" in designer.summary


def test_kernel_designer_changes_the_photograph(designer):
    before = designer.original, designer.result
    designer.photograph = images.PHOTOGRAPHS[1]
    assert designer.original != before[0] and designer.result != before[1]


def test_kernel_designer_survives_a_photograph_that_is_not_there(designer):
    before = designer.result
    designer.photograph = "nobody"
    assert "there is no photograph 'nobody'" in designer.error and designer.result == before


def test_kernel_designer_in_colour():
    view = widgets.kernel_designer(images.PHOTOGRAPHS[1], size=(32, 32), gray=False, preset="identity")
    assert np.array_equal(pixels(view.original), pixels(view.result))


def test_kernel_designer_refuses_unknown_names():
    with pytest.raises(ValueError, match="preset must be one of 'identity', .*, not 'sharpest'"):
        widgets.kernel_designer(preset="sharpest")
    with pytest.raises(ValueError, match="photograph must be one of 'astronaut', .*, not 'nobody'"):
        widgets.kernel_designer("nobody")


# object mover


def test_object_mover_asks_every_model_at_every_shift():
    view = mover(true_class="b")
    assert [score["probability"] for score in view.scores] == [0.3, 0.5]
    view.shift = [0, -5]
    assert [score["probability"] for score in view.scores] == [0.3, 0.0]
    assert [score["right"] for score in view.scores] == [False, False]
    view.shift = [-2, 4]
    assert view.scores[1]["right"] is True and view.scores[1]["top"] == "b" and view.seen == [-2, 4]
    shown = pixels(view.picture)[..., 0]
    assert shown[2:6, 9:11].min() == 255 and shown.sum() == 8 * 255


def test_object_mover_without_a_true_class_shows_each_answer():
    score = mover().scores[0]
    assert score == {"name": "thirds", "probability": 0.5, "top": "c", "top_probability": 0.5, "right": None}


def test_object_mover_takes_bytes_and_colour():
    image = np.full((3, 8, 8), 200, np.uint8)
    dtypes = []

    def predict(batch):
        dtypes.append(batch.dtype)
        return thirds(batch)

    view = widgets.object_mover(image, {"m": predict}, ["a", "b", "c"], fill=100)
    view.shift = [4, 0]
    assert set(dtypes) == {np.dtype(np.uint8)} and view.background == "rgb(100 100 100)"
    assert pixels(view.picture)[0, 0].tolist() == [100] * 3 and pixels(view.picture)[-1, 0].tolist() == [200] * 3


def test_object_mover_survives_a_model_that_fails_once():
    def predict(batch):
        if batch[..., 0].any():
            raise RuntimeError("the border frightens me")
        return thirds(batch)

    view = mover()
    view._predictors["timid"] = predict
    view.shift = [0, -5]
    assert view.error == "RuntimeError: the border frightens me"
    view.shift = [0, 0]
    assert view.error == "" and len(view.scores) == 3


@pytest.mark.parametrize("shift", [[0, 7], [1], [0, 0, 0]])
def test_object_mover_refuses_a_shift_that_no_hand_could_make(shift):
    view = mover(max_shift=6)
    view.shift = shift
    assert "must be two numbers of at most 6" in view.error


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": np.zeros((2, 1, 8, 8))}, r"shape \(2, 1, 8, 8\)"),
        ({"image": np.zeros((2, 8, 8))}, "C 1 or 3"),
        ({"predictors": {}}, "at least one model"),
        ({"predictors": {"bad": lambda batch: thirds(batch)[0]}}, r"'bad' gave an array of shape \(3,\)"),
        ({"predictors": {"bad": lambda batch: thirds(batch) * np.nan}}, "finite probabilities"),
        ({"classes": ["a", "b"]}, "2 classes"),
        ({"true_class": "z"}, "'z' is not one of"),
        ({"true_class": 3}, "true_class is 3"),
        ({"image": np.full((1, 8, 8), np.nan)}, "finite numbers"),
        ({"max_shift": 9}, "at most 8"),
        ({"max_shift": 0}, "at least 1"),
    ],
)
def test_object_mover_refuses(change, message):
    arguments = {"image": np.zeros((1, 8, 8)), "predictors": {"m": thirds}, "classes": ["a", "b", "c"]} | change
    with pytest.raises(ValueError, match=message):
        widgets.object_mover(**arguments)
