"""The first code cell of every lecture and lab: it brings the package where it is missing, as on Colab and Kaggle.

    .venv/bin/python tests/install_cell.py     writes it wherever it is missing or another one

Where it installs from is one setting, the repository's address: `repository` under [tool.cnn-course] in pyproject.toml;
"" is PyPI. Lectures are then to be stored anew (`cnn-course run --save`), and labs to be released (`make labs`).
"""

import tomllib
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from cnn_course.commands.execute_notebook import stored_text
from cnn_course.files.whole_files import write_whole

ROOT = Path(__file__).resolve().parent.parent
NAME = "install"
NOTEBOOKS = sorted([*(ROOT / "lectures").glob("*.ipynb"), *(ROOT / "labs/source").glob("*/*.ipynb")])
SOURCE = """# Brings the course's package where it is missing, as on Colab and Kaggle; elsewhere this does nothing.
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("cnn_course") is None:
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "{package}"], check=True)
    importlib.invalidate_caches()"""


def package() -> str:
    """What pip is given."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        repository = tomllib.load(file)["tool"]["cnn-course"]["repository"]
    return f"cnn-course @ git+{repository}" if repository else "cnn-course"


def cell() -> NotebookNode:
    """Folded away in JupyterLab."""
    return new_code_cell(SOURCE.format(package=package()), id=NAME, metadata={"jupyter": {"source_hidden": True}})


def put_into(notebook: NotebookNode) -> None:
    """Below the title."""
    notebook.cells = [other for other in notebook.cells if other.id != NAME]
    notebook.cells.insert(1, cell())


def main() -> None:
    for path in NOTEBOOKS:
        notebook = nbformat.read(path, as_version=4)
        if [(c.id, c.source) for c in notebook.cells[1:2]] != [(NAME, cell().source)]:
            put_into(notebook)
            write_whole(path, stored_text(notebook).encode())
            print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
