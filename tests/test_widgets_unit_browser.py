import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

from cnn_course import interpret, widgets
from cnn_course.appearance.live import WIDGET_VIEW
from cnn_course.models.shift_cnn import shift_cnn

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (20, 3, 12, 16), dtype=np.uint8)


def browser(images, **options):
    torch.manual_seed(0)
    net = shift_cnn(head="global", channels=3, width=4)
    return net, widgets.unit_browser(net, ["relu1", "conv3", "logits"], images, k=3, steps=2, **options)


def tiles(png, size=(12, 16)):
    sheet = np.asarray(Image.open(io.BytesIO(png)))
    rows, columns = sheet.shape[0] // size[0], sheet.shape[1] // size[1]
    return sheet.reshape(rows, size[0], columns, size[1], 3).swapaxes(1, 2).reshape(-1, *size, 3)


def test_every_unit_has_its_images_and_its_boxes(images):
    net, view = browser(images, start=("conv3", 9))
    assert [len(layer["units"]) for layer in view.layers] == [4, 16, 10] and view.chosen == [1, 9]
    top = interpret.top_images(net, "conv3", 9, images, 3)
    entries, pool = view.layers[1]["units"][9], tiles(view.pool)
    for n, entry in enumerate(entries):
        np.testing.assert_array_equal(pool[entry["image"]], images[top.index[0, n]].transpose(1, 2, 0))
        assert entry["box"] == top.boxes[0, n].tolist()
        assert entry["value"] == pytest.approx(float(top.values[0, n]), abs=1e-3)
    assert view.layers[2]["units"][0][0]["box"] == [0, 0, 12, 16]
    made = interpret.maximise(net, "relu1", [3], (3, 12, 16), peak=True, steps=2)[0].permute(1, 2, 0).numpy() * 255
    assert np.abs(tiles(view.sprites[0])[3] - made).max() <= 1


@pytest.mark.slow
def test_bundle_is_a_picture_with_words_and_the_same_on_every_run(images, monkeypatch):
    (first, meta), (second, _) = (browser(images)[1]._repr_mimebundle_() for _ in range(2))
    assert first.pop(WIDGET_VIEW) != second.pop(WIDGET_VIEW) and first == second
    assert "for unit 0 the 3 images" in first["text/plain"] and meta["image/png"]["alt"] == first["text/plain"]
    assert len(first["image/png"]) < 60_000
    monkeypatch.setenv("CNN_COURSE_WIDGETS", "0")
    view = browser(images)[1]
    assert set(view._repr_mimebundle_()[0]) == {"image/png", "text/plain"} and view.comm is None


def test_state_travels_as_json_and_the_module_stands_alone(images):
    state = browser(images)[1].get_state()
    json.dumps({name: value for name, value in state.items() if name not in ("sprites", "pool")})
    assert "import " not in state["_esm"].replace("cannot import its", "") and "http" not in state["_esm"]


def test_grey_images_and_a_layer_with_more_units_than_are_shown():
    net = shift_cnn(head="global", width=20, size=8)
    view = widgets.unit_browser(net, ["conv3"], np.zeros((4, 1, 8, 8), np.uint8), k=4, steps=0)
    assert len(view.layers[0]["units"]) == 64
    assert Image.open(io.BytesIO(view.pool)).mode == "L"


@pytest.mark.parametrize(
    ("layers", "options", "kind", "message"),
    [
        (["conv9"], {}, ValueError, "no layer 'conv9'"),
        ([], {}, ValueError, "give layers one name or more"),
        (["conv1"], {"k": 21}, ValueError, "k is 21"),
        (["conv1"], {"start": ("conv1", 8)}, ValueError, "units are {'conv1': 8}"),
        (["conv1"], {"start": ("conv2", 0)}, ValueError, "units are {'conv1': 8}"),
    ],
)
def test_says_what_is_wrong(images, layers, options, kind, message):
    with pytest.raises(kind, match=message):
        widgets.unit_browser(shift_cnn(head="global", channels=3), layers, images, **{"steps": 0} | options)


def test_refuses_floats(images):
    with pytest.raises(TypeError, match="uint8"):
        widgets.unit_browser(shift_cnn(head="global", channels=3), ["conv1"], images / 255)
