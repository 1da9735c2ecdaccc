"""Every colour stands in colours.py, and whoever names one finds it there."""

import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb

import cnn_course
from cnn_course import quiz, visualize, widgets
from cnn_course.appearance import colours
from cnn_course.appearance.live import module, shared_styles

PACKAGE = Path(cnn_course.__file__).parent
FILES = [path for end in ("py", "js", "css", "mplstyle") for path in sorted(PACKAGE.rglob(f"*.{end}"))]
VIEWS = [path for path in FILES if path.suffix == ".js" and path.name != "shared.js"]
# #123, #123456, rgb(1 2 3); a matplotlib style sheet writes a colour without #. An HTML entity, &#10003;, is none.
LITERAL = re.compile(r"(?<!&)#[0-9a-f]{3,8}\b|\b(?:rgb|hsl)a?\(\s*\d|\bcolor: *[0-9a-f]{6}\b", re.IGNORECASE)


@pytest.mark.parametrize("text", ["color='#e69f00'", "fill: #8886;", "rgba(0, 114, 178, 0.5)", "grid.color: e4e4e4"])
def test_a_literal_is_found(text):
    assert LITERAL.search(text)


@pytest.mark.parametrize("text", ["&#10003;", "`rgb(${level} 0 0)`", "a row of #", "color: inherit", "# 280 x 320"])
def test_what_is_no_literal_is_not(text):
    assert not LITERAL.search(text)


def test_no_other_file_holds_a_colour():
    named = {path.relative_to(PACKAGE).as_posix() for path in FILES if LITERAL.search(path.read_text(encoding="utf-8"))}
    assert named == {"appearance/colours.py"}


def test_every_colour_is_a_colour_and_has_a_user():
    users = "\n".join(path.read_text(encoding="utf-8") for path in FILES)
    for name, value in colours.constants().items():
        assert re.fullmatch("#[0-9a-f]{3,8}", value), f"{name} is {value}"
        assert len(re.findall(rf"\b{name}\b", users)) > 1, f"nothing uses {name}"


@pytest.mark.parametrize("view", VIEWS, ids=lambda path: path.stem)
def test_a_view_names_colours_that_there_are(view):
    text = module(str(view.with_suffix(".py")))
    used = set(re.findall(r"\bCOLOURS\.(\w+)", text))
    assert used <= set(colours.constants())
    assert text.startswith("const COLOURS = Object.freeze({") and text.count("const COLOURS") == 1


def test_style_sheets_name_colours_that_there_are():
    assert set(colours.DARK) < set(colours.LIGHT)
    users = "\n".join(path.read_text(encoding="utf-8") for path in FILES if path.suffix in (".css", ".js"))
    used = set(re.findall(r"var\(--cnn-([\w-]+)", users))
    assert used == set(colours.LIGHT)


def test_a_view_gets_its_colours_for_both_themes():
    view = widgets.stepping_window([1, 2, 3], [1, 1])
    assert view._css == quiz.number("q", 1, "w")._css == shared_styles()
    light, dark = view._css.split('[data-jp-theme-light="false"] .cnn {')
    assert light.startswith(".cnn {") and f"--cnn-window: {colours.LIGHT['window']};" in light
    assert f"--cnn-window-edge: {colours.DARK['window-edge']};" in dark.partition("}")[0]


@pytest.mark.parametrize(
    "ink, cell, alpha",
    [
        (colours.INK_PADDING, colours.CELL_MUTED, 1),
        (colours.INK, colours.WINDOW_OUTPUT, 1),
        (colours.INK, colours.WINDOW_PADDING, 1),
        (colours.INK, colours.BLUE, 0.5),  # the shape playground's and the kernel matrix's darkest
        (colours.INK, colours.POSITIVE, 0.6),
        (colours.INK, colours.NEGATIVE, 0.6),
    ],
)
def test_a_number_that_a_view_draws_can_be_read_on_its_cell(ink, cell, alpha):
    """WCAG's contrast, 4.5 for text, with the cell on white."""
    shown = [1 - alpha * (1 - np.array(to_rgb(colour))) for colour, alpha in ((ink, 1), (cell, alpha))]
    linear = [np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) for rgb in shown]
    dark, light = sorted(rgb @ [0.2126, 0.7152, 0.0722] for rgb in linear)
    assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_figures_are_drawn_in_them():
    with visualize.style():
        assert [to_hex(entry["color"]) for entry in plt.rcParams["axes.prop_cycle"]] == [
            to_hex(colour) for colour in colours.CYCLE
        ]
        assert plt.rcParams["text.color"] == plt.rcParams["xtick.labelcolor"] == colours.INK
        assert plt.rcParams["axes.edgecolor"] == colours.AXIS and plt.rcParams["grid.color"] == colours.GRID
    assert visualize.ORANGE == colours.ORANGE
