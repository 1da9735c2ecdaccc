"""CONTRIBUTING.md says what is so: files that are there, rooms in the order that is held, the tools that are run."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text()
CONTRACTS = {
    each["id"]: each
    for each in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
}


def table() -> list[tuple[str, str]]:
    """(to change, open) for each row of the table."""
    _, rows = TEXT.split("| to change | open |\n| --- | --- |\n")
    cells = (line.strip("| ").split(" | ") for line in rows.split("\n\n")[0].splitlines())
    return [(change, place) for change, place in cells]


def picture() -> list[list[str]]:
    """The names on each line of the picture of the rooms, from top to bottom."""
    drawn = re.search(r"```text\n(.*?)```", TEXT, re.S)[1]
    return [re.findall(r"[a-z_]+", line.split("  ·  ")[0]) for line in drawn.splitlines()]


def test_the_table_names_files_that_are_there():
    places = [re.findall(r"`([^`]+)`", place) for _, place in table()]
    assert len(places) >= 30 and all(places)
    paths = [word for found in places for word in found if "/" in word or "." in word]
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_table_opens_one_file_first():
    assert [change for change, place in table() if not re.match(r"`[\w./-]+`", place)] == []
    changes = [change for change, _ in table()]
    assert len(set(changes)) == len(changes)


def test_the_picture_shows_every_room_on_its_floor():
    shown = [name for line in picture() for name in line]
    floors = [re.findall(r"\w+", floor) for floor in CONTRACTS["rooms"]["layers"]]
    held = [name for floor in floors for name in floor if name != "__main__"]
    assert sorted(shown) == sorted(held)
    at = {name: number for number, line in enumerate(picture()) for name in line}
    assert [at[name] for name in held] == sorted(at[name] for name in held), "the picture has another order"


def test_no_import_is_hidden_from_make_lint():
    """It reads `import` statements, late ones too; a room named in a text would be an arrow that it cannot see."""
    named = re.compile(r"""(?:import_module|__import__)\(\s*f?["']|sys\.modules\W+["'](?!torch|__main__)""")
    sources = {path: path.read_text(encoding="utf-8") for path in (ROOT / "cnn_course").rglob("*.py")}
    assert [str(path.relative_to(ROOT)) for path, source in sources.items() if named.search(source)] == [
        # Every file of its own room, in a loop.
        "cnn_course/models/shell_names.py"
    ]


def test_every_make_target_of_the_text_is_there():
    said = set(re.findall(r"(?:^|`)make ([a-z]+)", TEXT, re.M))
    assert {"quick", "test", "lint"} <= said <= set(re.findall(r"^([a-z]+):", MAKEFILE, re.M))


def test_pre_commit_runs_the_tools_of_make_lint():
    recipe = re.search(r"^lint:.*\n((?:\t.*\n)+)", MAKEFILE, re.M)[1]
    lint = [line.strip().replace("$(BIN)", ".venv/bin") for line in recipe.splitlines()]
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repository["repo"] == "local", "nothing is fetched"
    assert [hook["entry"] for hook in repository["hooks"]] == lint
    assert all(hook["language"] == "system" and hook["pass_filenames"] is False for hook in repository["hooks"])


def test_the_change_log_has_one_section_a_release():
    heads = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    assert heads[0] == "Unreleased"
    assert all(re.fullmatch(r"\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d", head) for head in heads[1:])
    released = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert heads[1:] == [] or heads[1].startswith(f"{released} - "), "nothing is released, or the newest release is"
