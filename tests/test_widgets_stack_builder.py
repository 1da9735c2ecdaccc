import io
import json

import numpy as np
import pytest
from PIL import Image

from cnn_course import stacks, widgets
from cnn_course.appearance.live import WIDGET_VIEW
from cnn_course.stacks import Conv, Pool
from cnn_course.widgets.stack_builder import BLOCKS, STACKS

pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture
def builder():
    return widgets.stack_builder()


@pytest.mark.drawn
def test_bundle_holds_picture_text_and_live_view(builder):
    data, metadata = builder._repr_mimebundle_()
    assert set(data) == {"image/png", "text/plain", WIDGET_VIEW}
    assert "44 × 44 pixels" in data["text/plain"] and metadata["image/png"]["alt"] == data["text/plain"]
    width, height = Image.open(io.BytesIO(data["image/png"])).size
    assert 500 <= width <= 900 and height <= 600 and len(data["image/png"]) < 60_000


@pytest.mark.drawn
def test_static_part_is_the_same_on_every_run_and_stays(builder, monkeypatch):
    before = builder.static_bundle()
    builder.layers = ["conv 7×7"]
    assert builder.static_bundle() == before == widgets.stack_builder().static_bundle()
    monkeypatch.setenv("CNN_COURSE_WIDGETS", "0")
    assert set(widgets.stack_builder()._repr_mimebundle_()[0]) == {"image/png", "text/plain"}


def test_state_travels_as_json_and_bytes_and_module_stands_alone(builder):
    state = {name: value for name, value in builder.get_state().items() if not isinstance(value, bytes)}
    json.dumps(state)
    assert "import " not in builder._esm.replace("// cannot import", "") and "export default" in builder._esm


def test_rows_are_those_of_stacks(builder):
    table = stacks.table([Conv(64, 3, padding=1), Pool(2), Conv(64, 3, padding=4, dilation=4)], (3, 224, 224))
    builder.layers = ["conv 3×3", "max pool 2×2", "conv 3×3, dilation 4"]
    assert [row["field"] for row in builder.rows] == [row.field for row in table] == [1, 3, 4, 20]
    assert [row["jump"] for row in builder.rows] == [row.jump for row in table]
    assert [row["centre"] for row in builder.rows] == [row.centre for row in table]
    assert [row["units"] for row in builder.rows] == [224, 224, 112, 112]
    assert [row["parameters"] for row in builder.rows] == [0, 1792, 0, 36928]
    assert "20 × 20 pixels" in builder.summary and "2 px further" in builder.summary


@pytest.mark.parametrize(
    ("preset", "field", "jump"),
    [("VGG-16, all five blocks", 212, 32), ("AlexNet", 195, 32), ("three 3×3", 7, 1), ("one 7×7", 7, 1)],
)
def test_presets(builder, preset, field, jump):
    builder.layers = STACKS[preset]
    assert builder.error == ""
    assert (builder.rows[-1]["field"], builder.rows[-1]["jump"]) == (field, jump)


def test_every_block_and_preset_works(builder):
    for layers in [*([name] for name in BLOCKS), *STACKS.values(), []]:
        builder.layers = layers
        assert builder.error == "" and len(builder.rows) == len(layers) + 1


def test_padding_changes_sizes_and_centres_but_not_the_field(builder):
    builder.layers = ["conv 3×3"] * 3
    before = builder.rows[-1]
    builder.padded = False
    after = builder.rows[-1]
    assert (before["units"], after["units"], before["centre"], after["centre"]) == (224, 218, 0, 3)
    assert before["field"] == after["field"] == 7


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (["max pool 2×2"] * 9, "layer 8 of 9, Max pool 2"),
        (["conv 9×9"], "there is no layer 'conv 9×9'"),
        (["conv 1×1"] * 25, "25 layers: the table has room for 24"),
    ],
)
def test_what_does_not_fit_is_taken_back(builder, layers, message):
    kept, rows = builder.layers, builder.rows
    builder.layers = layers
    assert message in builder.error
    assert builder.layers == kept and builder.rows == rows
    builder.layers = ["conv 3×3"]
    assert builder.error == "" and len(builder.rows) == 2


def test_a_single_unit_has_no_neighbour(builder):
    builder.layers = STACKS["VGG-16, all five blocks"]
    assert "neighbour" in builder.summary
    builder.padded = False
    assert "neighbour" not in builder.summary and "1 × 1 unit," in builder.summary


def test_the_padding_box_is_taken_back_too(builder):
    builder.layers = ["max pool 2×2"] * 6 + ["conv 7×7"]
    builder.padded = False
    assert builder.padded and "layer 7 of 7" in builder.error


def test_other_photographs_and_sizes():
    view = widgets.stack_builder("camera", layers=["conv 3×3"], size=64)
    assert view.size == 64 and np.asarray(Image.open(io.BytesIO(view.photo))).shape == (64, 64)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"photograph": "lenna"}, "photograph must be one of .*, not 'lenna'"),
        ({"layers": ["conv"]}, "there is no layer 'conv'"),
        ({"layers": ["max pool 2×2"] * 4, "size": 8}, "layer 4 of 4"),
        ({"size": 0}, "size"),
    ],
)
def test_bad_input(options, message):
    with pytest.raises(ValueError, match=message):
        widgets.stack_builder(**options)
