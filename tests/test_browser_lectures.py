"""Every lecture in real JupyterLab: run it, move each of its views, see the picture change.

nbval runs every lecture whole. Here only the third one runs whole, and the others as far as their views need.
Skipped with a reason where no Chromium is found, unless the environment variable CI is set.
"""

from pathlib import Path

import jupyterlab_harness as harness
import nbformat
import pytest
from moving_views import VIEWS, check_view
from nbformat.v4 import new_code_cell
from needed_cells import needed_cells

LECTURES = sorted((Path(__file__).parents[1] / "lectures").glob("[0-9]*.ipynb"))
WHOLE = "03"  # it takes three seconds
# Least trainings, for the parameters that a lecture has: a view moves with any network.
LESS = {
    "01": "EPOCHS, SEEDS = 1, 1",
    "11": "EPOCHS = 1",
    "12": "IMAGES = 100",
    "16": "EPOCHS, SEEDS = 1, 1",
    "17": "EPOCHS, TRAIN = 1, 500",
}


@pytest.fixture(scope="module")
def notebooks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebooks")
    for lecture in LECTURES:
        notebook = nbformat.read(lecture, as_version=4)
        if not lecture.name.startswith(WHOLE):
            notebook.cells = needed_cells(notebook.cells)
        if less := LESS.get(lecture.name[:2]):
            places = [i for i, c in enumerate(notebook.cells) if "parameters" in c.metadata.get("tags", ())]
            for place in places:  # none where no view needs a training
                notebook.cells.insert(place + 1, new_code_cell(less))
        nbformat.write(notebook, folder / lecture.name)
    return folder


@pytest.mark.parametrize("lecture", [path.name for path in LECTURES])
def test_lecture_runs_and_its_view_moves(page, lecture, record_property):
    harness.open_notebook(page, lecture)
    try:
        assert harness.run_all(page) == []
        page.locator("[data-view]").first.wait_for(state="attached")
        roots = page.locator(", ".join(f"[data-view={name}]" for name in VIEWS)).all()
        assert roots, f"{lecture} has no interactive view"
        for root in roots:
            check_view(page, root, record_property, moves=3)
    finally:
        harness.close_notebook(page)
