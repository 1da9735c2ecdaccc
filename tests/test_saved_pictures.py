"""What Jupyter's server saves of a live view is its picture; what it saves of anything else is what it was."""

import copy
import json
from pathlib import Path

import pytest
from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager, LargeFileManager
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from cnn_course.appearance import saved_pictures
from cnn_course.appearance.saved_pictures import WIDGET_VIEW, keep_pictures

LIVE = {WIDGET_VIEW: {"model_id": "1", "version_major": 2, "version_minor": 0}}
OURS = {WIDGET_VIEW: LIVE[WIDGET_VIEW] | {saved_pictures.OURS: True}}


def notebook(*bundles):
    outputs = [new_output("display_data", data=data) for data in bundles]
    return new_notebook(cells=[new_markdown_cell("words"), new_code_cell("view", outputs=outputs)])


@pytest.mark.parametrize("kind", ["image/png", "text/html"])
def test_a_view_with_a_picture_is_saved_as_the_picture(kind):
    model = {"type": "notebook", "content": notebook({kind: "seen", "text/plain": "view"} | OURS)}
    keep_pictures(model=model, path="a.ipynb", contents_manager=None)
    assert model["content"].cells[1].outputs[0].data == {kind: "seen", "text/plain": "view"}


@pytest.mark.parametrize(
    "model",
    [
        {"type": "notebook", "content": notebook({"text/plain": "somebody else's widget"} | LIVE)},
        {"type": "notebook", "content": notebook({"image/png": "theirs, with a picture"} | LIVE)},
        {"type": "notebook", "content": notebook({"text/plain": "odd", WIDGET_VIEW: "no dictionary"})},
        {"type": "notebook", "content": notebook({"image/png": "a figure"}, {"text/plain": "3"})},
        {"type": "notebook", "content": new_notebook()},
        {"type": "notebook", "content": None},
        {"type": "file", "content": "text"},
        {"type": "directory", "content": None},
    ],
)
def test_all_else_is_saved_as_it_is(model):
    before = copy.deepcopy(model)
    keep_pictures(model=model)
    assert model == before


@pytest.mark.parametrize("manager", [LargeFileManager, AsyncLargeFileManager])
def test_the_server_runs_it(manager, tmp_path):
    """As an extension is loaded, and through the manager's own save."""

    class Server:
        contents_manager = manager(root_dir=str(tmp_path))

    (point,) = saved_pictures._jupyter_server_extension_points()
    assert point == {"module": saved_pictures.__name__}
    saved_pictures._load_jupyter_server_extension(Server)
    model = {"type": "notebook", "format": "json", "content": notebook({"image/png": "x"} | OURS)}
    Server.contents_manager.run_pre_save_hooks(model=model, path="a.ipynb")
    assert WIDGET_VIEW not in str(model)


def test_the_wheel_switches_it_on():
    settings = json.loads(Path(saved_pictures.__file__).with_suffix(".json").read_text())
    assert settings == {"ServerApp": {"jpserver_extensions": {saved_pictures.__name__: True}}}
