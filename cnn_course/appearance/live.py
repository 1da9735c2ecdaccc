"""Views that are static first: what is stored, exported and compared is a picture or a page; JupyterLab goes live.

A widget on its own stores nothing that can be seen without a kernel. `StaticFirst` adds a static part to what it
displays, and keeps no widget at all where CNN_COURSE_WIDGETS is 0.
"""

import json
import os
from pathlib import Path

import anywidget

from cnn_course.appearance import colours
from cnn_course.appearance.saved_pictures import OURS, WIDGET_VIEW

FOLDER = Path(__file__).parent


def enabled() -> bool:
    """Whether views go live: yes, unless the environment says CNN_COURSE_WIDGETS=0."""
    return os.environ.get("CNN_COURSE_WIDGETS", "1") != "0"


def module(file: str) -> str:
    """The browser module of a view: the .js file beside the view's own `file`, after what all views share.

    A module sent to the browser cannot import its neighbour, so the texts are joined: colours, `shared.js`, view.
    """
    named = f"const COLOURS = Object.freeze({json.dumps(colours.constants())});"
    return "\n".join((named, text("shared.js"), Path(file).with_suffix(".js").read_text(encoding="utf-8")))


def styles(file: str) -> str:
    """The style sheet of a view that has one of its own: the .css file beside `file`, after what all views share."""
    return "\n".join((shared_styles(), Path(file).with_suffix(".css").read_text(encoding="utf-8")))


def shared_styles() -> str:
    """The style sheet of every view: the colours by name, and the rules that use them."""
    return "\n".join((colours.custom_properties(), text("views.css")))


def text(name: str) -> str:
    """A file of this folder."""
    return (FOLDER / name).read_text(encoding="utf-8")


class StaticFirst(anywidget.AnyWidget):
    """An anywidget that also displays a static part.

    A view gives its _esm and `static_bundle() -> (data, metadata)` by MIME type, the same on every run.
    """

    _css = shared_styles()

    def open(self) -> None:
        if enabled():
            super().open()

    def _repr_mimebundle_(self, **kwargs: object) -> tuple[dict, dict]:
        data, metadata = self.static_bundle()
        if self.comm is not None:
            data = data | {WIDGET_VIEW: {"version_major": 2, "version_minor": 0, "model_id": self.model_id, OURS: True}}
        return data, metadata
