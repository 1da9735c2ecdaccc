"""Read a notebook of format 4 from a file, whatever the file is."""

import json
import stat
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from cnn_course.files import system_errors


def read_notebook(path: Path) -> NotebookNode:
    """The notebook in a file. Raises ValueError, which says why the file is none; it does not name the file."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # from a pipe one would read for ever
            raise ValueError("it is a folder, a pipe or a device, and a file is needed")
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError("it is no text in UTF-8") from error
    except OSError as error:
        raise ValueError(system_errors.reason(error)) from error
    if not text.strip():
        raise ValueError("it is empty")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is no JSON, or cut short ({_first_line(error)})") from error
    number = found.get("nbformat") if isinstance(found, dict) else None
    if number != 4:
        has = "is no notebook" if number is None else f"has the format {str(number)[:20]!r}"
        raise ValueError(f"it {has}, and format 4 is needed: JupyterLab opens old ones and saves them so")
    try:
        notebook = nbformat.reads(text, as_version=4)
        nbformat.validate(notebook)
    except Exception as error:  # missing keys, wrong kinds: all mean the same to the reader
        raise ValueError(f"it does not follow the format ({_first_line(error)})") from error
    try:
        nbformat.writes(notebook).encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"it holds half a character ({error.object[error.start]!r}), which no file takes") from error
    return notebook


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
