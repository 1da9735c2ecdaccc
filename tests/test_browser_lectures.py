"""Every lecture in real JupyterLab: run it, move each of its views, see the picture change.

nbval runs every lecture whole. Here only the third one runs whole, and the others as far as their views need: one after
the other in one kernel, which forgets every name between them, as to import torch takes longer than most views.
Skipped with a reason where no Chromium is found, unless the environment variable CI is set.
"""

import jupyterlab_harness as harness
import nbformat
import pytest
import settings_table
from lecture_files import LECTURES, least
from moving_views import ALL_ON_THE_PAGE, VIEWS, check_view
from nbformat.v4 import new_code_cell
from needed_cells import needed_cells

from cnn_course.commands.execute_notebook import has_tag

WHOLE = "03"  # it takes three seconds
# Drawn sets are drawn smaller: a view moves all the same.
FIRST = "%reset -f\nfrom cnn_course import datasets\ndatasets.DRAWN_SIZES = (600, 200, 200)\ndel datasets"


@pytest.fixture(scope="module")
def notebooks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebooks")
    for lecture in LECTURES:
        notebook = nbformat.read(lecture, as_version=4)
        less = [f"{name} = {value}" for name, value in least(settings_table.stored(notebook)).items()]
        cells = notebook.cells if lecture.name.startswith(WHOLE) else needed_cells(notebook.cells)
        notebook.cells = [new_code_cell(FIRST), *cells]
        places = [i for i, cell in enumerate(notebook.cells) if has_tag(cell, "parameters")]
        for place in places:  # none where no view needs a training
            notebook.cells.insert(place + 1, new_code_cell("\n".join(less)))
        nbformat.write(notebook, folder / lecture.name)
    return folder


@pytest.fixture(scope="module")
def kernel(tab):
    page, _ = tab
    return harness.start_kernel(page)


@pytest.mark.parametrize("lecture", [path.name for path in LECTURES])
def test_lecture_runs_and_its_view_moves(page, kernel, lecture, record_property):
    harness.open_notebook(page, lecture, kernel=kernel)
    try:
        page.evaluate(ALL_ON_THE_PAGE)
        assert harness.run_all(page) == []
        roots = page.locator(", ".join(f"[data-view={name}]" for name in VIEWS))
        roots.first.wait_for(state="attached")  # every lecture has one
        for root in roots.all():
            check_view(page, root, record_property, moves=3)
    finally:
        harness.close_notebook(page, keep_kernel=True)
