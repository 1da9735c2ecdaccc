"""An extension of Jupyter's server: what it saves of a live view is the picture, which needs no kernel to be seen.

JupyterLab prefers the live type of an output to the picture beside it, also where the kernel that had the view is gone,
and shows "Error displaying widget: model not found". So the live type is left out of the file; on the page it stays.
The wheel switches the extension on for every server of its environment (etc/jupyter/jupyter_server_config.d).
"""

from typing import Any

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
OURS = "cnn_course"  # in a live view: one of this course, which also gives what is seen without a kernel


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": __name__}]


def _load_jupyter_server_extension(server: Any) -> None:
    server.contents_manager.register_pre_save_hook(keep_pictures)


def keep_pictures(model: dict[str, Any], **where: Any) -> None:
    """Take the live type out of each output of a notebook that is a view of this course."""
    if model.get("type") != "notebook" or not model.get("content"):
        return
    for cell in model["content"].get("cells", []):
        for output in cell.get("outputs", []):
            view = output.get("data", {}).get(WIDGET_VIEW)
            if isinstance(view, dict) and OURS in view:
                del output["data"][WIDGET_VIEW]
