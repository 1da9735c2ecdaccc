"""Every view in real JupyterLab, alone in the page: run its cell, move the control, see the picture change.

Skipped with a reason where no Chromium is found, unless the environment variable CI is set.
"""

import jupyterlab_harness as harness
import nbformat
import pytest
from moving_views import SOURCES, VIEWS, check_view, draw_stroke, notebook_of


@pytest.fixture(scope="module")
def notebooks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebooks")
    nbformat.write(notebook_of(SOURCES), folder / "views.ipynb")
    return folder


@pytest.fixture(scope="module")
def views(tab):
    """The notebook of all views, open."""
    page, _ = tab
    harness.open_notebook(page, "views.ipynb")
    yield
    harness.close_notebook(page)


@pytest.fixture
def shown(views, page):
    """Clear the page and run the cell of one view."""

    def show(name, *, wait=True):
        harness.clear_outputs(page)
        harness.run_cell(page, list(SOURCES).index(name), wait=wait)
        return page

    return show


@pytest.mark.parametrize("name", VIEWS)
def test_view_moves(shown, name, record_property):
    page = shown(name)
    root = page.locator(f"[data-view={name}]")
    root.wait_for()
    check_view(page, root, record_property)


def test_dragging_a_slider_ends_at_the_last_value(shown):
    page = shown("explore")
    slider = page.locator("[data-control=k]")
    for key in ["ArrowRight"] * 4 + ["ArrowLeft"] * 3 + ["ArrowRight"] * 3:
        slider.press(key)
    assert slider.input_value() == "5"
    values = page.locator("[data-view=explore]")
    page.wait_for_function("n => document.querySelector('[data-view=explore]').dataset.pictures >= n", arg=3)
    settled = None
    while settled != (settled := values.locator("img").screenshot()):
        page.wait_for_timeout(300)
    slider.press("ArrowLeft")
    page.wait_for_timeout(500)
    slider.press("ArrowRight")
    page.wait_for_timeout(1000)
    assert values.locator("img").screenshot() == settled


def test_an_exception_shows_as_one_message_and_the_view_lives(shown):
    page = shown("failing")
    root = page.locator("[data-view=explore]")
    root.locator("[data-control=k]").press("ArrowRight")
    root.get_by_role("alert").wait_for()
    assert root.get_by_role("alert").inner_text() == "ZeroDivisionError: division by zero"
    root.locator("[data-control=k]").press("ArrowRight")
    root.get_by_role("alert").wait_for(state="hidden")


def test_kernel_designer_marks_a_bad_cell(shown):
    page = shown("kernel-designer")
    root = page.locator("[data-view=kernel-designer]")
    cell = root.locator("[data-control=cell-4]")
    page.wait_for_function("Number(document.querySelector('[data-view=kernel-designer]').dataset.pictures) > 0")
    result = root.locator(VIEWS["kernel-designer"][1])
    before = result.get_attribute("src")
    cell.fill("x")
    root.get_by_role("alert").wait_for()
    assert cell.get_attribute("aria-invalid") == "true"
    assert result.get_attribute("src") == before
    root.locator("[data-control=preset]").select_option("box blur")
    root.get_by_role("alert").wait_for(state="hidden")
    assert root.get_by_text("Sum of the kernel: 1.").is_visible()


def test_stepping_window_by_keyboard_and_by_click(shown):
    page = shown("stepping-window")
    root = page.locator("[data-view=stepping-window]")
    cells = root.locator(".cnn-output button")
    cells.nth(0).press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert root.get_attribute("data-step") == "4"
    assert cells.nth(4).inner_text() == "0" and cells.nth(5).inner_text().strip() == ""
    cells.nth(8).click()
    assert "output[2, 2]" in root.get_by_role("status").inner_text() and cells.nth(8).inner_text() == "\u221222"
    root.get_by_role("button", name="Play all steps").click()
    page.wait_for_function("document.querySelector('[data-view=stepping-window]').dataset.step === '2'")


def test_object_moves_by_keyboard_and_models_answer(shown):
    page = shown("object-mover")
    root = page.locator("[data-view=object-mover]")
    canvas = root.locator("canvas")
    for _ in range(3):
        canvas.press("ArrowLeft")
    page.wait_for_function("document.querySelector('[data-view=object-mover]').dataset.shift === '0,-3'")
    assert root.locator(".cnn-number").inner_text() == "100 %"
    assert root.get_by_text("Moved 3 px left.").is_visible()
    canvas.press("x")  # JupyterLab's shortcut that cuts the cell
    assert root.is_visible()


def test_drawing_a_digit_asks_the_network(shown):
    page = shown("draw-digit")
    root = page.locator("[data-view=draw-digit]")
    says = "s => document.querySelector('[data-view=draw-digit]').dataset.says === s"
    status, maps = root.get_by_role("status"), root.locator(".cnn-draw-stage canvas").first
    page.wait_for_function(says, arg="tall")
    pictures = [maps.screenshot()]
    draw_stroke(page, root, [(0.1, 0.5), (0.9, 0.5)])  # the example goes away, a bar appears
    page.wait_for_function(says, arg="wide")
    page.wait_for_timeout(500)
    pictures.append(maps.screenshot())
    draw_stroke(page, root, [(0.5, 0.02), (0.5, 0.98)])
    page.wait_for_function(says, arg="tall")
    root.get_by_role("button", name="Undo stroke").click()
    page.wait_for_function(says, arg="wide")
    root.get_by_role("button", name="Clear").click()
    root.get_by_text("Nothing is drawn, and the network answers all the same.").wait_for()
    canvas = root.locator("[data-control=canvas]")
    canvas.press("1")  # without a mouse
    page.wait_for_function(says, arg="wide")
    assert root.get_by_role("button", name="example 1").get_attribute("aria-pressed") == "true"
    canvas.press("Delete")
    root.get_by_text("Nothing is drawn").wait_for()
    root.get_by_role("button", name="example 0").press("Enter")
    root.get_by_text("It says tall (88 %)").wait_for()  # with nothing drawn it said tall as well, with 50 %
    assert status.inner_text().startswith("It says tall (88 %)")
    assert maps.screenshot() == pictures[0] != pictures[1]


def test_shape_playground_says_what_cannot_be_and_goes_on(shown):
    page = shown("shape-playground")
    root = page.locator("[data-view=shape-playground]")
    root.locator("[data-control=padding]").select_option("same")
    root.get_by_role("alert").wait_for()
    assert "needs stride 1" in root.get_by_role("alert").inner_text()
    root.locator("[data-control=stride]").press("ArrowLeft")
    root.get_by_role("alert").wait_for(state="hidden")
    assert "= 7" in root.locator(".cnn-summary").inner_text()
    window = root.locator("[data-control=window]")
    before = root.locator("canvas").first.screenshot()
    window.press("ArrowRight")
    assert "row 2, column 3 is marked" in window.get_attribute("aria-label")
    assert root.locator("canvas").first.screenshot() != before


def test_kernel_matrix_marks_the_tap_under_the_pointer_and_switches_the_border(shown):
    page = shown("kernel-matrix")
    root = page.locator("[data-view=kernel-matrix]")
    status = root.get_by_role("status")
    assert status.inner_text() == "Tap 0 is 1 and stands in 7 of the 8 rows."
    root.locator("[data-control=border]").select_option("circular")
    root.get_by_text("nearest circulant matrix: 0.000").wait_for()
    assert "stands in 8 of the 8 rows" in status.inner_text()
    root.locator("canvas").hover(position={"x": 6, "y": 6})
    assert "Tap 1 is \u22122" in status.inner_text()
    tap = root.locator("[data-control=tap-2]")
    tap.fill("")
    assert tap.get_attribute("aria-invalid") == "true"
    tap.fill("2.5")
    assert "Tap 2 is 2.5" in status.inner_text() and tap.get_attribute("aria-invalid") == "false"


def test_unit_browser_by_click_by_keyboard_and_by_layer(shown):
    page = shown("unit-browser")
    root = page.locator("[data-view=unit-browser]")
    units = root.locator("[data-control=units]")
    units.click(position={"x": 48 * 2 + 20, "y": 48 + 20})
    assert root.get_attribute("data-unit") == "conv3,10"
    assert "Unit 10 of 32 in conv3" in root.get_by_role("status").inner_text()
    units.press("ArrowUp")
    assert root.get_attribute("data-unit") == "conv3,2"
    root.locator("[data-control=layer]").select_option("logits")
    assert "Unit 0 of 10 in logits" in root.get_by_role("status").inner_text()
    units.press("ArrowUp")
    assert root.get_attribute("data-unit") == "logits,0"


def test_stack_builder_by_keyboard_and_with_a_stack_that_does_not_fit(shown):
    page = shown("stack-builder")
    root = page.locator("[data-view=stack-builder]")
    canvas = root.locator("canvas")
    canvas.press("ArrowRight")
    assert root.get_attribute("data-unit") == "14,15"
    assert "rows 94 to 137, columns 102 to 145" in canvas.get_attribute("aria-label")
    root.get_by_role("button", name="show what layer 1, conv 3×3, sees").click()
    assert root.get_attribute("data-unit") == "112,112"
    root.get_by_role("button", name="remove layer 10").click()
    page.wait_for_function("document.querySelector('.cnn-layers tbody').rows.length === 10")
    root.locator("[data-control=preset]").select_option("VGG-16, all five blocks")
    root.get_by_text("sees 212 × 212 pixels").wait_for()
    root.locator("[data-control=block]").select_option("max pool 2×2")
    for _ in range(3):
        root.locator("[data-control=add]").click()
    root.get_by_role("alert").wait_for()
    assert "layer 21 of 21" in root.get_by_role("alert").inner_text()
    root.locator("[data-control=remove]").click()
    root.get_by_role("alert").wait_for(state="hidden")


def test_training_monitor_draws_while_the_kernel_is_busy(shown):
    page = shown("training-monitor", wait=False)
    root = page.locator("[data-view=training-monitor]")
    page.wait_for_function(
        "Number(document.querySelector('[data-view=training-monitor]')?.dataset.epochs) >= 2", timeout=120_000
    )
    assert not page.evaluate("window.cnnRan")  # the cell still runs
    assert "to go" in root.get_by_role("status").inner_text()
    # Asked of the canvas itself: a screenshot waits until it stands still, and meanwhile JupyterLab may put up another.
    drawn = "canvas => canvas.toDataURL()"
    early = root.locator("canvas").first.evaluate(drawn)
    root.get_by_text("6 of 6 epochs: the training is over.").wait_for()
    assert root.locator("canvas").first.evaluate(drawn) != early
    page.wait_for_function("window.cnnRan")  # at its end JupyterLab moves the focus
    root.locator("canvas").nth(1).press("ArrowLeft")
    root.get_by_text("epoch 5: training").first.wait_for()


def test_quick_checks_answer_at_once(shown):
    page = shown("quiz")
    choice, number = page.locator("[data-view=quiz]").all()
    choice.get_by_role("button", name="one").press("Enter")
    assert "Not so. too few" in choice.inner_text()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert "Right. as many as eyes" in choice.inner_text()
    for given, said in {
        "75": "that is the other network",
        "76": "It is more than that.",
        "many": "That is not a number.",
        "2,408,448": "Right. a product",
        "4816896/2": "Right. a product",
    }.items():
        number.get_by_label("Your answer").fill(given)
        page.keyboard.press("Enter")
        assert said in number.inner_text()


def test_a_quick_check_of_an_unknown_kind_says_so(shown):
    root = shown("unknown-kind").locator("[data-view=quiz]")
    assert "of the kind \u201cguess\u201d, which quiz.js cannot show: it knows choice, number." in (
        root.get_by_role("alert").inner_text()
    )
    assert root.get_by_role("textbox").count() == root.get_by_role("button").count() == 0
