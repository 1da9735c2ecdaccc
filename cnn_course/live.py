"""Views that are static first: what is stored, exported and compared is a picture or a page; JupyterLab goes live.

A widget on its own stores nothing that can be seen without a kernel. `StaticFirst` adds a static part to what it
displays, and keeps no widget at all where CNN_COURSE_WIDGETS is 0.
"""

import os
from pathlib import Path

import anywidget

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
FOLDER = Path(__file__).with_name("widgets")


def enabled() -> bool:
    """Whether views go live: yes, unless the environment says CNN_COURSE_WIDGETS=0."""
    return os.environ.get("CNN_COURSE_WIDGETS", "1") != "0"


def source(*names: str) -> str:
    """The text of files beside the views, in this order. A module sent to the browser cannot import its neighbour."""
    return "\n".join((FOLDER / name).read_text(encoding="utf-8") for name in names)


class StaticFirst(anywidget.AnyWidget):
    """An anywidget that also displays a static part.

    A view gives its _esm and `static_bundle() -> (data, metadata)` by MIME type, the same on every run.
    """

    _css = source("views.css")

    def open(self) -> None:
        if enabled():
            super().open()

    def _repr_mimebundle_(self, **kwargs: object) -> tuple[dict, dict]:
        data, metadata = self.static_bundle()
        if self.comm is not None:
            data = data | {WIDGET_VIEW: {"version_major": 2, "version_minor": 0, "model_id": self.model_id}}
        return data, metadata
