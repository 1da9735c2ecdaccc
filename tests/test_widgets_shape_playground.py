import io
import json

import numpy as np
import pytest
import torch
from hypothesis import given, strategies
from PIL import Image

from cnn_course import widgets
from cnn_course.appearance.live import WIDGET_VIEW

pytestmark = pytest.mark.usefixtures("undrawn")

PLAYGROUND = widgets.shape_playground(channels=4)  # one for all drawn cases: its stored picture takes time


def lines(view):
    return dict(view.result["lines"])


def test_the_textbook_example_by_hand():
    view = widgets.shape_playground(32, 3, 64, 5, stride=1, padding=2)
    assert lines(view) == {
        "output size": "⌊(32 + 2 + 2 - 1·(5 - 1) - 1) / 1⌋ + 1 = ⌊31 / 1⌋ + 1 = 32".replace("-", "\N{MINUS SIGN}"),
        "shape": "(N, 3, 32, 32) → (N, 64, 32, 32)",
        "parameters": "64 · 3/1 · 5 · 5 = 4,800 weights, 4,864 with bias",
        "cost": "4,800 weights · 32 · 32 places = 4,915,200 MACs = 9,830,400 FLOPs per image",
        "pixels": "used 9 to 25 times by one filter; 0 of 1024 never",
    }


def test_what_the_floor_drops_is_counted():
    view = widgets.shape_playground(8, 1, 1, 3, stride=2, padding=0)
    assert view.result["layer"]["out"] == 3 and view.result["uses"] == [1, 1, 2, 1, 2, 1, 1, 0]
    assert lines(view)["pixels"] == "used 0 to 4 times by one filter; 15 of 64 never"


@given(
    size=strategies.integers(1, 20),
    kernel=strategies.integers(1, 5),
    stride=strategies.integers(1, 4),
    padding=strategies.sampled_from([0, 1, 2, 3, "same", "valid"]),
    dilation=strategies.integers(1, 3),
    groups=strategies.sampled_from([1, 2, 4]),
)
def test_counts_are_those_of_torch(size, kernel, stride, padding, dilation, groups):
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    view = PLAYGROUND
    view.values = {"size": size, "channels": 4, "filters": 8, "kernel": kernel} | options
    if view.error:
        with pytest.raises((RuntimeError, ValueError)):
            torch.nn.Conv2d(4, 8, kernel, **options)(torch.zeros(1, 4, size, size))
        return
    layer = torch.nn.Conv2d(4, 8, kernel, **options)
    x = torch.zeros(1, 4, size, size, requires_grad=True)
    with torch.no_grad():
        for p in layer.parameters():
            p.fill_(1)
    out = layer(x)
    out[:, :1].sum().backward()  # with ones as weights the gradient counts the windows of one filter
    assert view.result["layer"]["out"] == out.shape[-1]
    assert f" {sum(p.numel() for p in layer.parameters()):,} with bias" in lines(view)["parameters"]
    before = view.result["layer"]["before"]
    uses = np.array(view.result["uses"])[before : before + size]
    np.testing.assert_array_equal(np.outer(uses, uses), x.grad[0, 0].numpy())


@pytest.mark.drawn
def test_setting_values_computes_anew_and_the_stored_picture_stays():
    view = widgets.shape_playground()
    stored = view._repr_mimebundle_()[0]["image/png"]
    view.values = view.values | {"size": 32, "padding": "same", "stride": 1}
    assert view.result["layer"]["out"] == 32 and view.error == ""
    assert view._repr_mimebundle_()[0]["image/png"] == stored


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dilation": 0}, "dilation must be an integer of at least 1, not 0"),
        ({"stride": 0}, "stride must be an integer of at least 1, not 0"),
        ({"kernel": 11}, "the kernel covers 11 pixels"),
        ({"padding": "same"}, "needs stride 1, not 2"),
        ({"padding": "full"}, "padding must be"),
        ({"groups": 2}, "groups=2 must divide"),
        ({"size": 65}, "size must be at most 64"),
        ({"size": 7.5}, "size must be an integer"),
        ({"channels": 0}, "channels must be an integer of at least 1"),
        ({"colour": 1}, "the controls are"),
    ],
)
def test_an_impossible_layer_gives_the_package_s_message_and_keeps_the_last_one(change, message):
    view = widgets.shape_playground()
    before = view.result
    view.values = view.values | change
    assert message in view.error and view.result == before
    view.values = {name: value for name, value in view.values.items() if name != "colour"} | {
        "size": 9, "channels": 3, "kernel": 3, "stride": 1, "padding": 0, "dilation": 1, "groups": 1,
    }  # fmt: skip
    assert view.error == "" and view.result["layer"]["out"] == 7


@pytest.mark.parametrize("arguments", [{"size": 100}, {"groups": 5}, {"dilation": 0}, {"kernel": 20}, {"padding": -1}])
def test_refuses_to_start_with_an_impossible_layer(arguments):
    with pytest.raises(ValueError):
        widgets.shape_playground(**arguments)


def test_own_numbers_get_a_place_among_the_controls():
    view = widgets.shape_playground(64, 5, 20, 13, padding=7, groups=5)
    specs = {spec["name"]: spec for spec in view.controls}
    assert specs["kernel"]["high"] == 13 and specs["padding"]["options"][-4:] == [6, 7, "same", "valid"]
    assert 5 in specs["channels"]["options"] and 20 in specs["filters"]["options"]


@pytest.mark.drawn
def test_bundle_is_a_picture_with_words_and_the_same_on_every_run(monkeypatch):
    (first, meta), (second, _) = (widgets.shape_playground()._repr_mimebundle_() for _ in range(2))
    assert first.pop(WIDGET_VIEW) != second.pop(WIDGET_VIEW) and first == second
    assert "(N, 8, 4, 4)" in first["text/plain"]
    assert meta["image/png"]["alt"] == first["text/plain"]
    height, width = np.asarray(Image.open(io.BytesIO(first["image/png"]))).shape[:2]
    assert 500 <= width <= 900 and height <= 600 and len(first["image/png"]) < 60_000
    monkeypatch.setenv("CNN_COURSE_WIDGETS", "0")
    view = widgets.shape_playground(40, kernel=3, dilation=2)
    assert set(view._repr_mimebundle_()[0]) == {"image/png", "text/plain"} and view.comm is None


def test_state_travels_as_json_and_the_module_stands_alone():
    state = widgets.shape_playground().get_state()
    json.dumps({name: value for name, value in state.items() if not isinstance(value, bytes)})
    assert "import " not in state["_esm"].replace("cannot import its", "") and "http" not in state["_esm"]
