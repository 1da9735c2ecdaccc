"""The lectures as tests read them: their files, the text of their outputs, the least of their trainings."""

from pathlib import Path
from typing import Any

from nbformat import NotebookNode

FOLDER = Path(__file__).resolve().parent.parent / "lectures"
LECTURES = sorted(FOLDER.glob("*.ipynb"))
# As little training as possible, where only the way matters and not the result. Two seeds: a spread needs as many.
LEAST = {"EPOCHS": 1, "BRANCH_EPOCHS": 1, "HEAD_EPOCHS": 1, "SEEDS": 2, "STEPS": 2, "TRAIN": 500, "IMAGES": 200}


def least(stored: dict[str, Any]) -> dict[str, int]:
    """The least value of each parameter that a lecture has and that decides how long it trains."""
    return {name: value for name, value in LEAST.items() if name in stored}


def output_text(output: NotebookNode) -> str:
    """What an output says: printed, stated, or the text of a picture."""
    return output.get("text") or output.get("data", {}).get("text/plain", "")


def shown(*cells: NotebookNode) -> str:
    """What all outputs of the cells say, each from a line of its own."""
    return "\n".join(output_text(output) for cell in cells for output in cell.outputs)
