import io
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from cnn_course import visualize


@pytest.fixture
def ax():
    with visualize.style():
        fig, ax = plt.subplots()
        yield ax
        plt.close(fig)


def test_show_gives_picture_and_text_alternative_and_closes(ax, monkeypatch):
    shown = []
    monkeypatch.setattr(visualize, "display", lambda data, metadata, raw: shown.append((data, metadata, raw)))
    ax.plot([1, 2])
    visualize.show(ax.figure, "A line that rises.")
    ((data, metadata, raw),) = shown
    assert raw and data["text/plain"] == "A line that rises."
    assert metadata["image/png"]["alt"] == "A line that rises."
    assert Image.open(io.BytesIO(data["image/png"])).size == (720, 340)
    assert not plt.fignum_exists(ax.figure.number)


@pytest.mark.parametrize("alt", ["", "  ", None])
def test_show_refuses_a_figure_without_words(ax, alt):
    with pytest.raises(ValueError, match="must say in words"):
        visualize.show(ax.figure, alt)


def test_png_is_the_same_twice_and_small():
    def drawn(**options):
        with visualize.style():
            fig = Figure()
            visualize.heatmap(fig.subplots(), np.random.default_rng(0).random((30, 30)), label="value")
            return visualize.png(fig, **options)

    assert drawn() == drawn()
    assert len(drawn()) < len(drawn(small=False)) / 2


def test_use_style_holds_for_later_figures():
    with plt.rc_context():
        visualize.use_style()
        assert plt.rcParams["figure.constrained_layout.use"] and plt.rcParams["savefig.dpi"] == 100


def test_shrink_keeps_black_and_white_exactly():
    stripes = Image.fromarray(np.tile(np.array([0, 255], np.uint8), (4, 4)))
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(visualize.shrink(stripes)))), np.asarray(stripes))


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 3), (3, 4, 5), (1, 4, 5), (1, 3, 4, 5), (1, 1, 4, 5), (4, 5, 1)])
def test_image_takes_both_layouts(ax, shape):
    assert visualize.image(ax, np.ones(shape), "a title") is ax
    assert ax.images[0].get_array().shape[:2] == (4, 5)
    assert ax.get_title(loc="left") == "a title"


@pytest.mark.parametrize("shape", [(5,), (2, 4, 5, 3), (2, 4, 5), (0, 4)])
def test_image_refuses_other_shapes(ax, shape):
    with pytest.raises(ValueError, match="not " + str(shape).replace("(", r"\(").replace(")", r"\)")):
        visualize.image(ax, np.ones(shape))


def test_image_ranges(ax):
    values = np.array([[-2.0, 0.0, 1.0, 3.0]])
    assert visualize.image(ax, values).images[-1].get_array().tolist() == [[0, 0, 1, 1]]
    signed = visualize.image(ax, values, signed=True).images[-1].get_array()
    assert signed[0, 1] == 0.5 and signed[0, 3] == 1
    assert visualize.image(ax, values, value_range=(-2, 2)).images[-1].get_array()[0, 1] == 0.5
    assert visualize.image(ax, np.array([[0, 255]], np.uint8)).images[-1].get_array().tolist() == [[0, 1]]


def test_image_grid_places_every_tile(ax):
    images = np.linspace(0.1, 0.7, 7)[:, None, None] * np.ones((7, 10, 10))
    assert visualize.image_grid(ax, images, columns=3) is ax
    canvas = ax.images[0].get_array()
    assert canvas.shape == (32, 32, 3)
    assert np.allclose(canvas[11:21, 22:32], 0.6) and np.allclose(canvas[22:, 11:], 1.0)


def test_image_grid_labels(ax):
    visualize.image_grid(ax, np.zeros((2, 3, 8, 8)), ["cat", "dog"])
    assert [text.get_text() for text in ax.texts] == ["cat", "dog"]
    with pytest.raises(ValueError, match="1 labels for 2 images"):
        visualize.image_grid(ax, np.zeros((2, 3, 8, 8)), ["cat"])
    with pytest.raises(ValueError, match="no images"):
        visualize.image_grid(ax, np.zeros((0, 3, 8, 8)))


def test_matrix_writes_whole_numbers_and_leaves_nan_empty(ax):
    assert visualize.matrix(ax, [[1, -2], [np.nan, 0]]) is ax
    assert [text.get_text() for text in ax.texts] == ["1", "\u22122", "0"]


def test_matrix_writes_two_digits_where_one_value_needs_them(ax):
    visualize.matrix(ax, [0.5, -0.001, 2])
    assert [text.get_text() for text in ax.texts] == ["0.50", "0.00", "2.00"]


def test_matrix_frames_one_or_several_windows(ax):
    cells = 9
    visualize.matrix(ax, np.eye(3), highlight=(0, 1, 2, 2))
    assert len(ax.patches) == cells + 1 and ax.patches[-1].get_xy() == (0.5, -0.5)
    ax.clear()
    visualize.matrix(ax, np.eye(3), highlight=[(0, 0, 1, 1), (2, 2, 1, 1)], shade=True, muted=np.eye(3, dtype=bool))
    assert len(ax.patches) == cells + 2


def test_matrix_refuses_nothing_and_too_much(ax):
    for values in (np.zeros((0, 3)), np.zeros((2, 2, 2))):
        with pytest.raises(ValueError, match="non-empty"):
            visualize.matrix(ax, values)


def test_heatmap_coordinates_and_range(ax):
    visualize.heatmap(ax, np.zeros((3, 5)), x=range(-2, 3), y=range(-1, 2), value_range=(0, 1), label="accuracy")
    assert tuple(ax.images[0].get_extent()) == (-2.5, 2.5, 1.5, -1.5)
    assert ax.images[0].get_clim() == (0, 1) and len(ax.figure.axes) == 2
    with pytest.raises(ValueError, match=r"name \(3, 4\) cells"):
        visualize.heatmap(ax, np.zeros((3, 5)), x=range(4))


def test_heatmap_signed_is_symmetric(ax):
    visualize.heatmap(ax, np.array([[-3.0, 1.0]]), signed=True, colorbar=False)
    assert ax.images[0].get_clim() == (-3, 3) and len(ax.figure.axes) == 1


def test_curves_mean_and_band(ax):
    visualize.curves(ax, {"three seeds": [[1, 2], [3, 4], [5, 9]], "one": [0, 1]}, xlabel="epoch")
    assert ax.lines[0].get_ydata().tolist() == [3, 5] and ax.lines[0].get_xdata().tolist() == [1, 2]
    assert len(ax.collections) == 1 and ax.get_legend() is not None
    with pytest.raises(ValueError, match="x has 3 values"):
        visualize.curves(ax, {"a": [1, 2]}, x=[1, 2, 3])


def test_bars_mean_number_and_seeds(ax):
    visualize.bars(ax, {"MLP": [0.1, 0.3], "CNN": 0.5}, fmt=".1f")
    assert [patch.get_width() for patch in ax.patches] == [0.2, 0.5]
    assert [text.get_text() for text in ax.texts] == ["0.2", "0.5"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["MLP", "CNN"]
    with pytest.raises(ValueError, match="nothing to draw"):
        visualize.bars(ax, {})


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda ax: visualize.heatmap(ax, np.eye(3), x=[1, 10, 100]), ValueError, "x must be evenly spaced"),
        (lambda ax: visualize.image(ax, np.eye(3), value_range=(1, 1)), ValueError, "low below high"),
        (lambda ax: visualize.image(ax, np.eye(3), signed="no"), TypeError, "signed must be True or False"),
        (lambda ax: visualize.matrix(ax, np.eye(100)), ValueError, "at most 5,000 can be drawn"),
        (
            lambda ax: visualize.matrix(ax, np.eye(2), muted=np.eye(3)),
            ValueError,
            "muted must have the shape of values",
        ),
        (lambda ax: visualize.matrix(ax, np.eye(2), "2 digits"), ValueError, "fmt must be a format"),
        (lambda ax: visualize.bars(ax, {"a": [1, np.nan]}), ValueError, "series['a'] must hold finite numbers"),
        (lambda ax: visualize.curves(ax, [1, 2]), TypeError, "series must be a dict"),
        (lambda ax: visualize.image(None, np.eye(3)), TypeError, "ax must be an Axes of matplotlib"),
    ],
)
def test_what_cannot_be_drawn_leaves_the_axes_empty(ax, call, error, message):
    with pytest.raises(error, match=re.escape(message)):
        call(ax)
    assert not ax.images and not ax.lines and not ax.patches and not ax.texts


def test_written():
    minus = "\N{MINUS SIGN}"
    for value, fmt, expected in (
        (-0.001, ".2f", "0.00"), (-1234.0, ",.0f", f"{minus}1,234"), (-0.5, ".0%", f"{minus}50%"),
        (-1e-10, ".0e", f"{minus}1e{minus}10"), (-np.inf, ".2f", f"{minus}inf"), (np.int64(-2), "d", f"{minus}2"),
    ):  # fmt: skip
        assert visualize.written(value, fmt) == expected


@pytest.mark.filterwarnings("ignore:constrained_layout not applied")  # with the course's style, for the same reason
def test_show_refuses_a_title_that_is_cut_off():
    fig, ax = plt.subplots(figsize=(2, 2))
    ax.set_title("a title that is far too long for a figure of two inches")
    with pytest.raises(ValueError, match="long title"):
        visualize.show(fig, "A small figure with a long title.")
    assert not plt.fignum_exists(fig.number)
