"""Every lecture in real JupyterLab: run it, move each of its views, see the picture change.

nbval runs every lecture whole. Here only the first one runs whole, and the others as far as their views need.
Skipped with a reason where no Chromium is found, unless the environment variable CI is set.
"""

from pathlib import Path

import jupyterlab_harness as harness
import nbformat
import pytest
from moving_views import VIEWS, check_view
from needed_cells import needed_cells

LECTURES = sorted((Path(__file__).parents[1] / "lectures").glob("[0-9]*.ipynb"))
pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebooks")
    for lecture in LECTURES:
        notebook = nbformat.read(lecture, as_version=4)
        if lecture != LECTURES[0]:
            notebook.cells = needed_cells(notebook.cells)
        nbformat.write(notebook, folder / lecture.name)
    with harness.server(folder, state=tmp_path_factory.mktemp("jupyter")) as lab:
        yield lab


@pytest.mark.parametrize("lecture", [path.name for path in LECTURES])
def test_lecture_runs_and_its_view_moves(opened, lecture, record_property):
    page = opened(lecture)
    page.locator("[data-view]").first.wait_for(state="attached")
    roots = page.locator(", ".join(f"[data-view={name}]" for name in VIEWS)).all()
    assert roots, f"{lecture} has no interactive view"
    for root in roots:
        check_view(page, root, record_property)
