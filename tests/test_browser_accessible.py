"""Every view in a narrow notebook, in both themes, for a screen reader, and with the keyboard alone.

All views stand in one notebook, in a window of 900 pixels with the file browser open: about 470 are left for a view.
"""

import contextlib
import re
from pathlib import Path

import jupyterlab_harness as harness
import nbformat
import pytest
from moving_views import ALL_ON_THE_PAGE, SOURCES, notebook_of

FAULTS = (Path(__file__).parent / "view_faults.js").read_text(encoding="utf-8")
NAMED = {"Canvas", "application", "button", "checkbox", "combobox", "image", "slider", "spinbutton", "textbox"}
# What changes is a picture, and its control says its own value.
SAY_NOTHING = ("backward-stepper", "explore", "failing", "unknown-kind")
# A control of each view, and keys that move it.
KEYS = {
    "explore": [("[data-control=k]", "ArrowRight")],
    "backward-stepper": [("[data-control=step]", "ArrowRight")],
    "stepping-window": [(".cnn-output [tabindex='0']", "ArrowDown"), ("[data-control=step]", "Enter")],
    "large-stepping-window": [("[data-control=flip]", "Space")],
    "kernel-designer": [("[data-control=cell-4]", "ArrowUp")],
    "object-mover": [("canvas", "ArrowUp"), ("canvas", "Home")],
    "draw-digit": [("[data-control=canvas]", "Space"), ("[data-control=canvas]", "ArrowDown")],
    "shape-playground": [("[data-control=window]", "ArrowDown"), ("[data-control=size]", "ArrowRight")],
    "kernel-matrix": [("[data-control=tap-1]", "ArrowUp")],
    "unit-browser": [("[data-control=units]", "ArrowDown")],
    "stack-builder": [("canvas", "ArrowDown"), (".cnn-layers button >> nth=0", "Enter")],
    "training-monitor": [("canvas >> nth=0", "ArrowLeft"), ("[data-control=log]", "Space")],
    "quiz": [(".cnn-option >> nth=0", "Space"), (".cnn-option >> nth=1", "Enter"), ("input", "Enter")],
    "failing": [("[data-control=k]", "ArrowRight")],
}
# The control that has the focus: its place in the cell; has it a ring, and is all of the ring seen?
FOCUSED = """cell => {
    const at = document.activeElement, root = at.closest('[data-view]');
    if (!root || !cell.contains(root)) return null;
    const { outlineStyle, outlineWidth, outlineOffset } = getComputedStyle(at);
    const wide = parseFloat(outlineWidth), out = wide + parseFloat(outlineOffset), box = at.getBoundingClientRect();
    let ring = outlineStyle !== 'none' && wide >= 2;
    for (let up = at.parentElement; up !== root.parentElement; up = up.parentElement) {
        if (getComputedStyle(up).overflowX === 'visible') continue;
        const frame = up.getBoundingClientRect();
        ring &&= box.left - out >= frame.left && box.right + out <= frame.right;
    }
    return { at: [...cell.querySelectorAll('[data-view] *')].indexOf(at), ring, what: at.outerHTML.slice(0, 120) };
}"""
REACHED = """cell => [...cell.querySelectorAll('[data-view] *')].flatMap((node, i) =>
    node.matches('button, input, select, [tabindex]') && node.tabIndex >= 0 && !node.disabled ? [i] : [])"""
STATE = """cell => [...cell.querySelectorAll('[data-view]')].map((root) =>
    JSON.stringify(root.dataset) + root.innerText + [...root.querySelectorAll('canvas')].map((c) => c.ariaLabel)
).join()"""
SCROLLED = "document.querySelector('.jp-WindowedPanel-outer').scrollTop"


@pytest.fixture(scope="module")
def notebooks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebooks")
    notebook = notebook_of(SOURCES)
    for cell in notebook.cells:
        cell.source = cell.source.replace("time.sleep(0.5)", "time.sleep(0)")  # nobody watches this training
    nbformat.write(notebook, folder / "views.ipynb")
    return folder


@pytest.fixture(scope="module")
def cells(tab):
    """From each view's name to its cell."""
    page, _ = tab
    page.set_viewport_size({"width": 900, "height": 700})
    page.evaluate("jupyterapp.shell.expandLeft()")
    harness.open_notebook(page, "views.ipynb")
    page.evaluate(ALL_ON_THE_PAGE)
    assert harness.run_all(page) == []
    page.wait_for_function("n => document.querySelectorAll('[data-view]').length > n", arg=len(SOURCES))
    # Figures are drawn anew for a narrow notebook; if one never is, a test below says so.
    with contextlib.suppress(Exception):
        page.wait_for_function(
            "[...document.querySelectorAll('.cnn-explore img')].every(i => i.width >= 0.79 * i.naturalWidth)",
            timeout=9000,
        )
    yield {name: page.locator(".jp-Cell").nth(i) for i, name in enumerate(SOURCES)}
    harness.close_notebook(page)


@pytest.fixture(scope="module")
def in_both_themes(cells, tab):
    """The faults in the words of each view; the theme changes while the views stand."""
    page, _ = tab
    found = {}
    for theme in ("JupyterLab Light", "JupyterLab Dark"):
        page.evaluate(
            "theme => jupyterapp.commands.execute('apputils:change-theme', { theme }).then(() => null)", theme
        )
        page.wait_for_function(
            "light => document.body.dataset.jpThemeLight === light", arg=str("Light" in theme).lower()
        )
        found[theme] = {name: faults(cell, "words") for name, cell in cells.items()}
    return found


def faults(cell, kind):
    return [fault for view in cell.locator("[data-view]").all() for fault in view.evaluate(FAULTS)[kind]]


@pytest.mark.parametrize("name", SOURCES)
def test_nothing_is_cut_or_shrunk(cells, page, name):
    assert faults(cells[name], "layout") == []


@pytest.mark.parametrize("name", SOURCES)
def test_all_has_a_name(cells, page, name):
    views = cells[name].locator("[data-view]")
    if name not in SAY_NOTHING:
        assert views.locator("[role=status], [aria-live=polite]").count() >= views.count()
    session = page.context.new_cdp_session(page)
    for root in range(views.count()):
        cell = f"document.querySelectorAll('.jp-Cell')[{list(SOURCES).index(name)}]"
        path = f"{cell}.querySelectorAll('[data-view]')[{root}]"
        handle = session.send("Runtime.evaluate", {"expression": path})["result"]["objectId"]
        nodes = session.send("Accessibility.queryAXTree", {"objectId": handle})["nodes"]
        said = [
            [node.get(key, {}).get("value", "") for key in ("role", "name", "description")]
            for node in nodes
            if not node["ignored"]
        ]
        role, label, description = said[0]
        assert role in ("group", "region") and re.search(r"\w{2}", label) and description
        assert [(role, label) for role, label, _ in said if role in NAMED and not re.search("[a-zA-Z]{2}", label)] == []
        pictures = views.nth(root).locator("img, canvas:not([role=img] canvas)").count()
        assert sum(role in ("application", "image") for role, *_ in said) >= pictures
    session.detach()


@pytest.mark.parametrize("name", SOURCES)
def test_tab_reaches_all_and_says_where_it_is(cells, page, name):
    cell, seen = cells[name], []
    page.evaluate(
        "i => { const { content } = jupyterapp.shell.currentWidget; content.activeCellIndex = i;"
        " content.mode = 'command'; content.activeCell.node.focus(); }",
        list(SOURCES).index(name),
    )
    wanted = cell.evaluate(REACHED)
    for _ in range(len(wanted) + 20):
        page.keyboard.press("Tab")
        focused = cell.evaluate(FOCUSED)
        if focused is None and seen:
            break
        if focused is not None:
            assert focused["ring"], f"no focus ring is seen: {focused['what']}"
            seen.append(focused["at"])
    assert seen == wanted


@pytest.mark.parametrize("name", KEYS)
def test_moves_by_keyboard_and_nothing_else_does(cells, page, name):
    cell = cells[name]
    for selector, key in KEYS[name]:
        control = cell.locator(f"[data-view] >> {selector}")
        control.focus()
        control.evaluate("node => node.scrollIntoView({ block: 'center' })")
        before, scrolled = cell.evaluate(STATE), page.evaluate(SCROLLED)
        page.keyboard.press(key)
        page.wait_for_function(f"([cell, before]) => ({STATE})(cell) !== before", arg=[cell.element_handle(), before])
        if key.startswith("Arrow"):
            assert page.evaluate(SCROLLED) == scrolled
    if not control.evaluate("node => node.matches('input')"):
        page.keyboard.press("x")  # JupyterLab's shortcut that cuts the cell
    assert page.locator(".jp-Cell").count() == len(SOURCES)


@pytest.mark.parametrize("name", SOURCES)
def test_words_can_be_read(in_both_themes, page, name):
    """After all the moves above: with every answer that they brought."""
    assert {theme: found[name] for theme, found in in_both_themes.items()} == dict.fromkeys(in_both_themes, [])


def test_a_wide_window_shows_all_as_well(cells, page):
    for width in (1600, 1280):
        page.set_viewport_size({"width": width, "height": 700})
        page.wait_for_timeout(500)
        assert {name: found for name, cell in cells.items() if (found := faults(cell, "layout"))} == {}
