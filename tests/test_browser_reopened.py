"""A notebook that was run, saved and left: opened again it shows pictures, and run again it is alive.

In JupyterLab and without `cnn-course open`: what is installed with the course has to hold alone.
"""

import jupyterlab_harness as harness
import nbformat
import pytest
from moving_views import ALL_ON_THE_PAGE, check_view, notebook_of

from cnn_course.appearance.saved_pictures import WIDGET_VIEW

NAMES = ("explore", "stepping-window", "draw-digit", "training-monitor", "quiz")  # each kind of stored picture
LOST = "Error displaying widget"


@pytest.fixture(scope="module")
def notebooks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebooks")
    nbformat.write(notebook_of(NAMES), folder / "views.ipynb")
    return folder


@pytest.fixture(scope="module")
def left(notebooks, tab):
    """All views, run, saved and their kernel ended; then opened again, with a kernel that knows nothing of them."""
    page, _ = tab
    path = notebooks / "views.ipynb"
    harness.open_notebook(page, path.name)
    page.evaluate(ALL_ON_THE_PAGE)
    assert harness.run_all(page) == []
    page.wait_for_function(
        "names => names.every(name => document.querySelector(`[data-view=${name}]`))", arg=list(NAMES)
    )
    page.evaluate("jupyterapp.commands.execute('docmanager:save')")
    page.wait_for_function("!jupyterapp.shell.currentWidget.context.model.dirty")
    yield path
    harness.close_notebook(page)


def test_what_is_saved_is_seen_without_a_kernel_and_lives_when_run_again(left, page):
    text = left.read_text()
    assert WIDGET_VIEW not in text and text.count('"image/png"') + text.count('"text/html"') >= len(NAMES)
    # On the page the views live on after the save.
    check_view(page, page.locator("[data-view=stepping-window]"), lambda *_: None)
    harness.close_notebook(page)
    harness.open_notebook(page, left.name)
    page.evaluate(ALL_ON_THE_PAGE)
    page.wait_for_function(
        "count => document.querySelectorAll('.jp-RenderedImage img, .jp-RenderedHTML').length >= count",
        arg=len(NAMES),
    )
    shown = page.locator(".jp-Notebook").inner_text()
    assert LOST not in shown and "Loading widget" not in shown
    assert page.locator("[data-view]").count() == 0
    assert harness.run_all(page) == []
    page.wait_for_function(
        "names => names.every(name => document.querySelector(`[data-view=${name}]`))", arg=list(NAMES)
    )


def test_after_a_restart_of_the_kernel_one_goes_on(left, page):
    page.evaluate("jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    page.wait_for_function(harness.KERNEL_IDLE)
    assert harness.run_all(page) == []
    root = page.locator("[data-view=stepping-window]")
    root.wait_for()
    check_view(page, root, lambda *_: None)
