"""Every colour of the course, once, named by its role: figures, style sheets and browser modules take theirs from here.

Figures import the names. `live` writes LIGHT and DARK into the style sheet of the views, as --cnn-window and so on,
and `constants()` into their modules, as COLOURS.WINDOW and so on: a colour is changed, or added, in this file only.
Everything but LIGHT and DARK is drawn on white, whatever the theme of JupyterLab; black and white are called so.

The hues are those of Okabe and Ito ("Color Universal Design", 2008), which colour-blind readers can tell apart.
"""

BLUE = "#0072b2"
ORANGE = "#e69f00"
GREEN = "#009e73"
VERMILION = "#d55e00"
PURPLE = "#cc79a7"
SKY = "#56b4e9"
YELLOW = "#f0e442"
# Of the lines and bars of a figure, in turn; the yellow last because it is faint on white.
CYCLE = (BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, "black", YELLOW)

# The window, wherever a kernel, a unit or a tap looks: in `visualize.matrix` and in the views.
WINDOW = ORANGE  # its frame
WINDOW_FILL = f"{ORANGE}40"  # over the cells of a figure, which it lets through
WINDOW_OUTPUT = "#f3c86b"  # the shape playground: the marked output cell, and the pixels of its window
WINDOW_PADDING = "#f6dfae"  # and those that lie in the padding
WINDOW_LINE = "#9a5b00"  # and the line around each of them
NEIGHBOUR = BLUE  # the frame of the window beside the chosen one

# Numbers in cells.
INK = "#222222"
INK_MUTED = "#8a8a8a"
INK_PADDING = "#6e6e6e"  # as muted as it may be and still readable on CELL_MUTED
CELL_LINE = "#b5b5b5"
CELL_MUTED = "#f1f1f1"  # padding, and what is always zero
MATRIX_LINE = "#cccccc"  # between the entries of a large matrix
BLOCK_LINE = "#666666"  # between its blocks
POSITIVE = "#b2182b"  # the red and the blue of matplotlib's map RdBu, in which figures draw signed values
NEGATIVE = "#2166ac"
UNUSED = "#b34700"  # the cross on a pixel that no window looks at
OUTSIDE = "#d5d5d5"  # the world around a photograph
UNIT_RIM = "#000a"  # of the white dot in the middle of a unit's window

# Axes and curves.
AXIS = "#555555"
GRID = "#e4e4e4"
TRAINING = BLUE
VALIDATION = "#b36b00"

# Greys that let through what is below them, so that they fit a light and a dark page.
LINE_ON_ANY = "#8886"
SHADE_ON_ANY = "#8881"

# The views in JupyterLab. What is not the course's own comes from the theme, with a fall-back for other pages.
LIGHT = {
    "ink": "var(--jp-ui-font-color1, #212121)",
    # JupyterLab's own second colour of text is too faint on a ground that is not its paper.
    "faint": "color-mix(in srgb, var(--jp-ui-font-color1, #212121) 75%, var(--jp-layout-color1, white))",
    "line": "var(--jp-border-color1, #bdbdbd)",
    "frame": "var(--jp-border-color2, #e0e0e0)",
    "paper": "var(--jp-layout-color1, white)",
    "soft": "var(--jp-layout-color2, #eee)",
    "accent": BLUE,
    "second": VALIDATION,  # what stands against the accent: validation, and the answer of a model that is wrong
    "window": f"{ORANGE}55",  # the stepping window (the cells that the kernel lies on) and the stack builder
    "window-edge": "#b36b00",  # and the line around each of them
    "right": "#00734f",
    "wrong": "#b34700",
}
DARK = {"accent": SKY, "second": ORANGE, "window-edge": ORANGE, "right": "#35c995", "wrong": "#ff9457"}


def constants() -> dict[str, str]:
    """The single colours above by name: {"BLUE": "#0072b2", ...}."""
    return {name: value for name, value in globals().items() if name.isupper() and isinstance(value, str)}


def custom_properties() -> str:
    """LIGHT as the custom properties of a view, and DARK for those that differ in a dark theme, as CSS."""
    return f'.cnn {{\n{_declared(LIGHT)}\n}}\n[data-jp-theme-light="false"] .cnn {{\n{_declared(DARK)}\n}}'


def _declared(colours: dict[str, str]) -> str:
    return "\n".join(f"  --cnn-{name}: {value};" for name, value in colours.items())
