"""What every lecture keeps to, read from its file alone. That its outputs come out again is nbval's part."""

import re
from pathlib import Path

import nbformat
import pytest

from cnn_course.commands.execute_notebook import WIDGET_VIEW, code_cells, has_tag, headline, stored_text

FOLDER = Path(__file__).resolve().parent.parent / "lectures"
LECTURES = sorted(FOLDER.glob("*.ipynb"))
SAVE = "store it with: cnn-course run --save"


@pytest.fixture(params=LECTURES, ids=lambda path: path.stem)
def lecture(request):
    return request.param


@pytest.fixture
def notebook(lecture):
    return nbformat.read(lecture, as_version=4)


def prose(notebook) -> str:
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def outputs(notebook):
    return [(cell, output) for cell in code_cells(notebook) for output in cell.outputs]


def hidden(cell) -> bool:
    """A quiz: its input is folded away, so it is no code that anyone reads."""
    return cell.metadata.get("jupyter", {}).get("source_hidden", False)


def output_text(output) -> str:
    return output.get("text", "") or output.get("data", {}).get("text/plain", "")


def test_numbers_have_no_gap():
    assert LECTURES
    assert all(re.fullmatch(r"\d\d_[a-z0-9_]+", path.stem) for path in LECTURES)
    assert [int(path.stem[:2]) for path in LECTURES] == list(range(1, len(LECTURES) + 1))


def test_stored_as_run_stores_it(lecture, notebook):
    assert lecture.stat().st_size < 200_000, "pictures too large, or too many"
    as_stored = lecture.read_text(encoding="utf-8") == stored_text(notebook)  # a diff would be thousands of lines
    assert as_stored, SAVE
    assert notebook.metadata.language_info == {"name": "python"}


def test_every_code_cell_ran_in_order(notebook):
    # nbval compares nothing in a cell that was never run.
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1)), SAVE


def test_no_error_no_stderr_no_bar_no_widget_state(notebook):
    for cell, output in outputs(notebook):
        assert output.output_type != "error", cell.id
        assert output.get("name") != "stderr", f"{cell.id}: {output.text[:80]}"
        assert not re.search(r"\r|it/s|s/it|█", output_text(output)), f"{cell.id}: a progress bar"
        assert WIDGET_VIEW not in list(output.get("data", {})), f"{cell.id}: {SAVE}"
    assert "widgets" not in notebook.metadata


def test_nothing_of_one_machine(lecture):
    found = re.search(r"/(root|work|tmp|home|Users)/[\w.]+|0x[0-9a-f]{8,}", lecture.read_text(encoding="utf-8"))
    assert not found, found


def test_every_picture_has_a_sentence(notebook):
    for cell, output in outputs(notebook):
        data = output.get("data", {})
        if "image/png" in data:
            text = data.get("text/plain", "")
            assert len(text.split()) >= 4 and not text.lstrip("'[").startswith("<"), f"{cell.id}: {text!r}"


def test_ids_are_unique_and_chosen(notebook):
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    assert [name for name in ids if re.fullmatch(r"[0-9a-f]{8}|[0-9a-f-]{32,}", name)] == [], "give them names"


def test_cells_are_short(notebook):
    for cell in code_cells(notebook):
        limit = 40 if re.search(r"^class ", cell.source, re.M) else 25
        lines = 0 if hidden(cell) else len(cell.source.splitlines())
        assert lines <= limit, f"{cell.id} is longer than {limit} lines"


def test_more_prose_than_code(notebook):
    text = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
    code = [cell for cell in code_cells(notebook) if not hidden(cell)]
    assert len(text) >= len(code)


def test_at_most_one_parameters_cell_and_one_headline(notebook):
    tagged = [[cell for cell in notebook.cells if has_tag(cell, tag)] for tag in ("parameters", "headline")]
    assert len(tagged[0]) <= 1
    assert len(tagged[1]) == 1, "one code cell tagged `headline` prints the result that `make run` shows"
    assert headline(notebook)


def test_numbers_that_nbval_ignores_are_asserted_later(notebook):
    cells = code_cells(notebook)
    for index, cell in enumerate(cells):
        if has_tag(cell, "nbval-ignore-output") and any(
            output.output_type == "stream" and re.search(r"\d", output.text) for output in cell.outputs
        ):
            assert any("assert" in later.source for later in cells[index + 1 :]), f"{cell.id}: nothing holds its claim"


def test_form(lecture, notebook):
    first = notebook.cells[0]
    assert first.cell_type == "markdown"
    assert re.match(rf"# {int(lecture.stem[:2])}\. \S", first.source)
    text = prose(notebook)
    for part in ("You will learn", "Summary", "Try it", "Next"):
        assert part in text, part


def test_links_to_files_exist(lecture, notebook):
    text = re.sub(r"```.*?```|`[^`]*`", "", prose(notebook), flags=re.S)
    targets = re.findall(r"\]\(([^)\s]+)[^)]*\)", text) + re.findall(r"(?:src|href)=[\"']([^\"']+)", text)
    for target in targets:
        if not re.match(r"[a-z]+:|#", target):
            assert (lecture.parent / target.partition("#")[0]).exists(), target
