"""The cell that brings the package: it is in every notebook, installs once, and from where the setting says."""

import subprocess
import sys

import install_cell
import nbformat
import pytest

from labs import running

NOTEBOOKS = [*install_cell.NOTEBOOKS, *sorted((running.LABS / "release").glob("*/*.ipynb"))]
# As pip is called: it writes down the words, and the package is there.
PIP = """
import pathlib, sys
here = pathlib.Path(__file__).parent
(here / "words").write_text("\\n".join(sys.argv[1:]))
(here / "cnn_course.py").write_text("there = True")
"""


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_notebook_has_it_below_its_title(path):
    cells = nbformat.read(path, as_version=4).cells
    assert [cell.id for cell in cells].index(install_cell.NAME) == 1
    assert cells[1].source == install_cell.cell().source, "tests/install_cell.py, then store lectures, release labs"
    assert cells[1].metadata["jupyter"] == {"source_hidden": True}


def test_where_the_package_is_missing_it_comes_and_can_be_imported_at_once(tmp_path):
    (tmp_path / "pip.py").write_text(PIP)
    program = f"{install_cell.cell().source}\nimport cnn_course\nprint(cnn_course.there)"
    base = sys._base_executable  # has no cnn_course
    done = subprocess.run(
        [base, "-S", "-c", program], capture_output=True, text=True, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}
    )
    assert (done.stdout, done.stderr) == ("True\n", "")
    assert (tmp_path / "words").read_text().splitlines() == ["install", "--quiet", install_cell.package()]


def test_where_it_is_there_nothing_is_called(monkeypatch):
    monkeypatch.setattr(subprocess, "run", None)
    exec(install_cell.cell().source, {})


def test_the_address_of_a_repository_is_installed_from(tmp_path, monkeypatch):
    monkeypatch.setattr(install_cell, "ROOT", tmp_path)
    text = '[tool.cnn-course]\nrepository = "{}"'
    for address, words in (("", "cnn-course"), ("https://example.org/a/b", "cnn-course @ git+https://example.org/a/b")):
        (tmp_path / "pyproject.toml").write_text(text.format(address))
        assert install_cell.package() == words
        compile(install_cell.cell().source, "cell", "exec")
        assert f'"{words}"' in install_cell.cell().source


def test_a_notebook_without_it_or_with_an_older_one_gets_it(tmp_path, monkeypatch):
    path = tmp_path / "lectures" / "one.ipynb"
    path.parent.mkdir()
    cells = [nbformat.v4.new_markdown_cell("# One", id="title"), nbformat.v4.new_code_cell("x = 1", id="x")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    monkeypatch.setattr(install_cell, "NOTEBOOKS", [path])
    package = install_cell.package()
    monkeypatch.setattr(install_cell, "package", lambda: "older")
    monkeypatch.setattr(install_cell, "ROOT", tmp_path)
    install_cell.main()
    assert "older" in path.read_text()
    monkeypatch.setattr(install_cell, "package", lambda: package)
    install_cell.main()
    assert [cell.id for cell in nbformat.read(path, as_version=4).cells] == ["title", install_cell.NAME, "x"]
    assert "older" not in path.read_text()
    before = path.stat().st_mtime_ns
    install_cell.main()
    assert path.stat().st_mtime_ns == before
