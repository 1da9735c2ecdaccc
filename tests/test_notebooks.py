"""What every lecture keeps to, read from its file alone. That its outputs come out again is nbval's part."""

import ast
import re

import lecture_faults
import nbformat
import pytest
import settings_table
from lecture_files import FOLDER, LECTURES, output_text

from cnn_course.commands.execute_notebook import WIDGET_VIEW, code_cells, has_tag, headline, stored_text

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
    assert lecture_faults.numbers_that_nothing_holds(notebook) == []


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
    targets += re.findall(r"^\[[^\]]+\]:\s*(\S+)", text, re.M)
    for target in targets:
        if not re.match(r"[a-z]+:", target):
            path, _, place = target.partition("#")
            assert (lecture.parent / path).exists(), target
            assert not place, f"{target}: the name of a place in a notebook differs between viewers; name the section"


def test_paths_in_the_text_exist(notebook):
    for path in re.findall(r"`((?:cnn_course|tests|labs|lectures|data|docs|benchmarks)/[\w./-]+)`", prose(notebook)):
        assert (FOLDER.parent / path).exists(), path


# --- settings, seeds, claims: what makes a lecture true in other hands (tests/robust.py runs them)


def test_every_setting_is_in_the_table_with_values_to_try(notebook):
    stored, table = settings_table.stored(notebook), settings_table.table(notebook)
    assert list(table) == list(stored), f"a row for each parameter, in order, under {settings_table.HEAD}"
    for name, (here, tried) in table.items():
        first = settings_table.values(here)[:1]
        assert repr(first) == repr([stored[name]]), f"{name}: 'here' begins with the stored value"  # 8.0 is not 8
        assert name in ("SEED", "DEVICE") or settings_table.values(tried), f"{name}: no value to try between backticks"
        assert settings_table.unread(tried) == [], f"{name}: neither a literal nor a command"


def test_what_is_drawn_depends_on_the_setting_seed(notebook):
    assert lecture_faults.seeds_that_stay(notebook) == []
    code = [cell for cell in code_cells(notebook) if not has_tag(cell, "parameters")]
    draws = any(re.search(r"default_rng|manual_seed|Generator\(|\bseed=", cell.source) for cell in code)
    assert not draws or settings_table.stored(notebook).get("SEED") == 0, "what draws has the parameter SEED = 0"


def test_what_trains_can_be_sent_to_a_device(notebook):
    trains = any(re.search(r"\btrain\.fit\(|\boptim\b|\.backward\(\)", cell.source) for cell in code_cells(notebook))
    imports_torch = any(re.search(r"^(?:import|from) torch", c.source, re.M) for c in code_cells(notebook))
    assert not (trains and imports_torch) or "DEVICE" in settings_table.stored(notebook)


def test_claims_are_bound_to_the_stored_settings(notebook):
    calls = [
        node.value
        for cell in code_cells(notebook)
        for node in ast.parse(cell.source).body
        if isinstance(node, ast.Assign) and ast.unparse(node).startswith("claim = claims.for_settings(globals()")
    ]
    bound = [{word.arg: repr(ast.literal_eval(word.value)) for word in call.keywords} for call in calls]
    stored = {name: repr(value) for name, value in settings_table.stored(notebook).items() if name != "DEVICE"}
    assert bound == ([stored] if stored else bound[:1])
    assert lecture_faults.settings_made_anew(notebook) == []


def test_an_assert_says_what_was_claimed_and_what_came(notebook):
    for cell in code_cells(notebook):
        for node in ast.walk(ast.parse(cell.source)):
            assert not isinstance(node, ast.Assert) or node.msg, (
                f"{cell.id}: {ast.unparse(node)}: claim(...), or say it"
            )


def test_claims_can_fail(lecture, notebook):
    assert lecture_faults.claims_that_cannot_fail(notebook) == []
    assert lecture_faults.claims_that_hide(notebook) == []
    assert lecture_faults.differences_without_a_sign(notebook) == []


def test_every_claim_held_when_the_lecture_was_stored(notebook):
    assert [cell.id for cell, output in outputs(notebook) if "does_not_hold" in output.get("metadata", {})] == []


def test_reasons_do_not_say_right_twice(notebook):
    for cell in code_cells(notebook):
        if re.search(r"^quiz\.", cell.source, re.M):
            assert not re.search(r"""["']Right[.:,]""", cell.source), f"{cell.id}: the check says Right itself"


HEADINGS = {
    path.stem[:2]: set(re.findall(r"^## (\d+\.\d+)", path.read_text("utf-8").replace('"', "\n"), re.M))
    for path in LECTURES
}
LABS = sorted(path.name for path in (FOLDER.parent / "labs" / "release").iterdir() if path.is_dir())


def referred(word, number, text):
    """The numbers behind a word: "lecture 4", "lectures 4, 6 and 8", "sections 4.1 to 4.5"."""
    several = rf"{number}(?:(?:,?\s+(?:and|to|or)|,|\s*[–-])\s*{number})*"
    found = re.findall(rf"{word}\s*({number})|{word}s\s+({several})", text)
    return [each for one, many in found for each in re.findall(number, one or many)]


def test_what_is_referred_to_exists(notebook):
    text = "\n".join(cell.source for cell in notebook.cells)
    for number in referred(r"\b[Ll]ecture", r"\d+", text):
        assert 1 <= int(number) <= len(LECTURES), f"there is no lecture {number}"
    for number in referred(r"\b[Ll]ab", r"\d+", text):
        assert 1 <= int(number) <= len(LABS), f"there is no lab {number}"
    for place in referred(r"(?:\b[Ss]ection|§)", r"\d+\.\d+", text):
        assert place in HEADINGS.get(f"{int(place.partition('.')[0]):02d}", ()), f"there is no section {place}"


def test_every_lab_is_linked_from_the_lecture_before_it():
    text = "".join(path.read_text(encoding="utf-8") for path in LECTURES)
    assert [lab for lab in LABS if f"](../labs/release/{lab}/{lab}.ipynb)" not in text] == []
