"""What every lecture keeps to, read from its file alone. That its outputs come out again is nbval's part."""

import ast
import re
from pathlib import Path

import nbformat
import pytest
import settings_table

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


def test_numbers_that_nbval_ignores_are_claimed(notebook):
    cells = code_cells(notebook)
    for index, cell in enumerate(cells):
        if has_tag(cell, "nbval-ignore-output") and any(
            output.output_type == "stream" and re.search(r"\d", output.text) for output in cell.outputs
        ):
            held = any(re.search(r"\bassert|\bclaim\(", later.source) for later in cells[index:])
            assert held, f"{cell.id}: nothing holds what is said of it"


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


# --- settings, seeds, claims: what makes a lecture true in other hands (tests/robust.py runs them)


def test_every_setting_is_in_the_table_with_values_to_try(notebook):
    stored, table = settings_table.stored(notebook), settings_table.table(notebook)
    assert list(table) == list(stored), f"a row for each parameter, in order, under {settings_table.HEAD}"
    for name, (here, tried) in table.items():
        assert settings_table.values(here)[:1] == [stored[name]], f"{name}: 'here' begins with the stored value"
        assert name in ("SEED", "DEVICE") or settings_table.values(tried), f"{name}: no value to try between backticks"


def test_what_is_drawn_depends_on_the_setting_seed(notebook):
    literal = r"(?:default_rng|manual_seed|RandomState|SeedSequence)\(\s*\d|\b(?:seed|random_state)=\d|default_rng\(\)"
    code = [cell for cell in code_cells(notebook) if not has_tag(cell, "parameters")]
    assert [f"{c.id}: {found}" for c in code for found in re.findall(literal, c.source)] == [], "SEED, SEED + 1, ..."
    draws = any(re.search(r"default_rng|manual_seed|Generator\(|\bseed=", cell.source) for cell in code)
    assert not draws or settings_table.stored(notebook).get("SEED") == 0, "what draws has the parameter SEED = 0"


def test_what_trains_can_be_sent_to_a_device(notebook):
    trains = any(re.search(r"\btrain\.fit\(|\boptim\b|\.backward\(\)", cell.source) for cell in code_cells(notebook))
    imports_torch = any(re.search(r"^(?:import|from) torch", c.source, re.M) for c in code_cells(notebook))
    assert not (trains and imports_torch) or "DEVICE" in settings_table.stored(notebook)


def test_claims_are_bound_to_the_stored_settings(notebook):
    bound = [
        {word.arg: ast.literal_eval(word.value) for word in node.keywords}
        for cell in code_cells(notebook)
        for node in ast.walk(ast.parse(cell.source))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "claims.for_settings"
    ]
    stored = {name: value for name, value in settings_table.stored(notebook).items() if name != "DEVICE"}
    assert bound == ([stored] if stored else bound[:1])


def test_an_assert_says_what_was_claimed_and_what_came(notebook):
    for cell in code_cells(notebook):
        for node in ast.walk(ast.parse(cell.source)):
            assert not isinstance(node, ast.Assert) or node.msg, (
                f"{cell.id}: {ast.unparse(node)}: claim(...), or say it"
            )


def test_no_claim_hides_behind_a_setting(notebook):
    names = set(settings_table.stored(notebook))
    for cell in code_cells(notebook):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.If) and names & {n.id for n in ast.walk(node.test) if isinstance(n, ast.Name)}:
                inside = "\n".join(ast.unparse(part) for part in node.body)
                assert not re.search(r"\bassert\b|\bclaim\(", inside), f"{cell.id}: if {ast.unparse(node.test)}"


def test_reasons_do_not_say_right_twice(notebook):
    for cell in code_cells(notebook):
        if re.search(r"^quiz\.", cell.source, re.M):
            assert not re.search(r"""["']Right[.:,]""", cell.source), f"{cell.id}: the check says Right itself"


HEADINGS = {
    path.stem[:2]: set(re.findall(r"^## (\d+\.\d+)", path.read_text("utf-8").replace('"', "\n"), re.M))
    for path in LECTURES
}
LABS = sorted(path.name for path in (FOLDER.parent / "labs" / "release").iterdir() if path.is_dir())


def test_what_is_referred_to_exists(lecture, notebook):
    text = "\n".join(cell.source for cell in notebook.cells)
    for numbers in re.findall(r"\b[Ll]ectures?\s+(\d+(?:(?:,|\s+and|\s+to|\s+or|,\s+and)\s+\d+)*)", text):
        for number in re.findall(r"\d+", numbers):
            assert 1 <= int(number) <= len(LECTURES), f"there is no lecture {number}"
    for number in re.findall(r"\b[Ll]ab\s+(\d+)", text):
        assert 1 <= int(number) <= len(LABS), f"there is no lab {number}"
    for place in re.findall(r"\b[Ss]ections?\s+(\d+\.\d+)", text) + re.findall(r"§\s*(\d+\.\d+)", text):
        assert place in HEADINGS[f"{int(place.partition('.')[0]):02d}"], f"there is no section {place}"


def test_every_lab_is_linked_from_the_lecture_before_it():
    text = "".join(path.read_text(encoding="utf-8") for path in LECTURES)
    assert [lab for lab in LABS if f"](../labs/release/{lab}/{lab}.ipynb)" not in text] == []
