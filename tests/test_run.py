"""`cnn-course run` on small notebooks with real kernels."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from cnn_course.commands import cli, execute_notebook, run
from cnn_course.commands.execute_notebook import headline, parameter_names, stored_text
from cnn_course.commands.run import parse_parameters
from cnn_course.errors import UsageError


def code(source: str, name: str, *tags: str):
    return new_code_cell(source, id=name, metadata={"tags": list(tags)} if tags else {})


def notebook(*cells):
    spec = {"name": "no-such-kernel", "display_name": "?", "language": "python"}
    return new_notebook(cells=[new_markdown_cell("# 1. Title", id="title"), *cells], metadata={"kernelspec": spec})


GOOD = notebook(
    code("EPOCHS = 1\nDATASET: str = 'glyphs'", "settings", "parameters"),
    code("import sys\nsys.executable", "kernel"),
    code("import ipywidgets\nipywidgets.IntSlider()", "widget"),
    code("print('details')\nprint(f'{EPOCHS} epochs of {DATASET}: 0.93')\n", "result", "headline"),
)
BAD = notebook(code("1 + 1", "fine"), code("x = []\nx[3]", "broken"), code("print('never')", "later", "headline"))


@pytest.fixture
def clone(tmp_path, monkeypatch):
    (tmp_path / "lectures").mkdir()
    (tmp_path / "cnn_course").mkdir()
    write(tmp_path, "01_good", GOOD)
    write(tmp_path, "02_bad", BAD)
    monkeypatch.setattr(run, "course", lambda: tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


def write(clone, name, nb):
    (clone / "lectures" / f"{name}.ipynb").write_text(nbformat.writes(nb))


def read(path):
    return nbformat.read(path, as_version=4)


@pytest.mark.slow
def test_a_table_with_headline_and_an_unchanged_repository(clone, capsys):
    before = (clone / "lectures" / "01_good.ipynb").read_bytes()
    assert cli.main(["run", "1"]) == 0
    out, err = capsys.readouterr()
    assert re.search(r"^01_good +\d+\.\d +4  1 epochs of glyphs: 0\.93$", out, re.M)
    assert err == ""
    assert (clone / "lectures" / "01_good.ipynb").read_bytes() == before
    assert sorted(os.listdir(clone / "lectures")) == ["01_good.ipynb", "02_bad.ipynb"]


@pytest.mark.slow
def test_a_failing_cell_is_named_and_the_others_run(clone, capsys):
    assert cli.main(["run", "2", "1", "--output", str(clone / "out")]) == 1
    out, err = capsys.readouterr()
    assert re.search(r"^02_bad +\d+\.\d +2  FAILED$", out, re.M)
    assert re.search(r"^01_good .* 0\.93$", out, re.M)
    assert "02_bad.ipynb failed in cell broken: x = []" in err
    assert "IndexError: list index out of range" in err
    assert "Traceback" not in err
    copy = read(clone / "out" / "02_bad.ipynb")
    assert [cell.execution_count for cell in copy.cells if cell.cell_type == "code"] == [1, 2, None]


@pytest.mark.slow
def test_a_kernel_that_dies_is_named(clone, capsys):
    write(clone, "03_dies", notebook(code("import os\nos._exit(1)", "gone")))
    assert cli.main(["run", "3"]) == 1
    assert "03_dies.ipynb failed in cell gone: import os\n    the kernel died" in capsys.readouterr().err


@pytest.mark.slow
def test_parameters_go_below_the_cell_of_their_names(clone, capsys):
    assert cli.main(["run", "1", "-p", "EPOCHS=3", "-p", "DATASET=mnist", "--output", str(clone / "out")]) == 0
    assert "3 epochs of mnist" in capsys.readouterr().out
    copy = read(clone / "out" / "01_good.ipynb")
    assert copy.cells[2].metadata.tags == ["injected-parameters"]
    assert sys.executable in copy.cells[3].outputs[0].data["text/plain"], "the kernel is this interpreter"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["1", "-p", "EPOCH=3"], "01_good has no parameter EPOCH; it has EPOCHS, DATASET"),
        (["2", "-p", "EPOCHS=3"], "02_bad has no parameter EPOCHS; it has none"),
        (["1", "-p", "EPOCHS"], "write NAME=VALUE"),
        (["1", "-p", "EPOCHS=2", "--save"], "--save stores a lecture as everyone gets it"),
        (["7"], "'7' is not a lecture. Choose one of: 01_good, 02_bad"),
    ],
)
def test_usage_errors_before_anything_runs(clone, arguments, message, capsys):
    assert cli.main(["run", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("cnn-course: ") and err.count("\n") == 1
    assert message in err


def test_output_must_not_be_the_lectures(clone, capsys):
    assert cli.main(["run", "1", "--output", str(clone / "lectures")]) == 2
    assert "choose another folder" in capsys.readouterr().err


def test_output_that_is_a_file(clone, capsys):
    (clone / "file").write_text("")
    assert cli.main(["run", "1", "--output", str(clone / "file")]) == 2
    assert f"cannot write to {clone / 'file'}: a file of that name is there already" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "{", '{"nbformat": 4}', "[]"])
def test_an_unreadable_notebook_is_named(clone, text, capsys):
    (clone / "lectures" / "01_good.ipynb").write_text(text)
    assert cli.main(["run", "1"]) == 1
    err = capsys.readouterr().err
    assert "01_good.ipynb cannot be read as a notebook" in err and err.count("\n") == 1


def test_a_parameters_cell_that_is_not_python_is_named(clone, capsys):
    write(clone, "03_magic", notebook(code("%matplotlib inline\nEPOCHS = 1", "settings", "parameters")))
    assert cli.main(["run", "3", "-p", "EPOCHS=3"]) == 1
    err = capsys.readouterr().err
    assert "the parameters cell of 03_magic cannot be read: invalid syntax: %matplotlib inline" in err
    assert err.startswith("cnn-course: the") and err.count("\n") == 1


@pytest.mark.slow
def test_save_is_tidy_and_the_second_save_changes_nothing(clone, capsys):
    path = clone / "lectures" / "01_good.ipynb"
    assert cli.main(["run", "1", "--save"]) == 0
    first = path.read_text()
    assert cli.main(["run", "1", "--save"]) == 0
    assert path.read_text() == first
    assert first.endswith("}\n") and not first.endswith("\n\n")
    assert json.loads(first)["metadata"] == {
        "kernelspec": execute_notebook.KERNELSPEC,
        "language_info": {"name": "python"},
    }
    saved = read(path)
    assert [cell.id for cell in saved.cells] == [cell.id for cell in GOOD.cells]
    assert [cell.execution_count for cell in saved.cells[1:]] == [1, 2, 3, 4]
    assert execute_notebook.WIDGET_VIEW not in first
    assert saved.cells[3].outputs[0].data == {"text/plain": "IntSlider(value=0)"}
    assert all("execution" not in cell.metadata for cell in saved.cells)


def test_save_is_refused_where_the_course_is_installed(clone, capsys):
    (clone / "cnn_course").rmdir()
    before = (clone / "lectures" / "01_good.ipynb").read_bytes()
    assert cli.main(["run", "1", "--save"]) == 2
    assert "--save stores a lecture in a clone of the course" in capsys.readouterr().err
    assert (clone / "lectures" / "01_good.ipynb").read_bytes() == before


@pytest.mark.slow
def test_save_leaves_a_failing_lecture_alone(clone, capsys):
    path = clone / "lectures" / "02_bad.ipynb"
    before = path.read_bytes()
    assert cli.main(["run", "2", "--save"]) == 1
    assert "02_bad.ipynb failed (not saved)" in capsys.readouterr().err
    assert path.read_bytes() == before


@pytest.mark.slow
def test_save_does_not_overwrite_a_lecture_edited_meanwhile(clone, monkeypatch, capsys):
    path = clone / "lectures" / "01_good.ipynb"

    def execute(nb, folder, on_cell):
        path.write_text("edited")
        return execute_notebook.Outcome(nb, 0.0, 0, "")

    monkeypatch.setattr(execute_notebook, "execute", execute)
    assert cli.main(["run", "1", "--save"]) == 1
    assert "was changed while it ran" in capsys.readouterr().err
    assert path.read_text() == "edited"


@pytest.mark.slow
def test_ctrl_c_stops_the_kernel_and_leaves_the_lecture_whole(clone):
    marker = clone / "kernel"
    slow = f"import os, time\nopen({str(marker)!r}, 'w').write(str(os.getpid()))\nwhile True: time.sleep(0.1)"
    write(clone, "01_good", notebook(code("1", "quick"), code(slow, "slow")))
    before = (clone / "lectures" / "01_good.ipynb").read_bytes()
    start = "import sys, pathlib; from cnn_course.commands import cli, run; "
    start += "run.course = lambda: pathlib.Path(sys.argv[1]);"
    process = subprocess.Popen(
        [sys.executable, "-c", f"{start} sys.exit(cli.main(['run', '1', '--save']))", str(clone)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 60
        while not (marker.exists() and marker.read_text()) and time.monotonic() < deadline:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    assert err.strip() == "Stopped."
    assert (clone / "lectures" / "01_good.ipynb").read_bytes() == before
    assert sorted(os.listdir(clone / "lectures")) == ["01_good.ipynb", "02_bad.ipynb"]
    with pytest.raises(ProcessLookupError):
        os.kill(int(marker.read_text()), 0)


def test_parse_parameters():
    parsed = parse_parameters(["A=3", "B=0.5", "C=cuda", "D=[1, 2]", "E=None", "F='3'", "G=a=b", "H="])
    assert parsed == {"A": 3, "B": 0.5, "C": "cuda", "D": [1, 2], "E": None, "F": "3", "G": "a=b", "H": ""}
    assert parse_parameters(["A={[1]: 2}"]) == {"A": "{[1]: 2}"}  # a list cannot be a key: no Python value
    for wrong in ("=3", "3=A", "A", "a-b=1"):
        with pytest.raises(UsageError, match="NAME=VALUE"):
            parse_parameters([wrong])


def test_parameter_names():
    nb = notebook(
        code("A = B = 1\nC: int = 2\nD, E = 3, 4\nprint(A)", "settings", "parameters"), code("Z = 1", "other")
    )
    assert parameter_names(nb) == ["A", "B", "C", "D", "E"]


def test_headline_is_the_last_printed_line():
    nb = notebook(code("...", "result", "headline"))
    assert headline(nb) == ""
    nb.cells[1].outputs = [new_output("stream", name="stdout", text="one\n  two\n\n")]
    assert headline(nb) == "two"


def test_a_long_headline_goes_on_below_itself(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    outcome = execute_notebook.Outcome(GOOD, 1.25, 4, "word " * 20)
    lines = run._row("01_good", outcome, 7).splitlines()
    assert len(lines) > 2 and max(map(len, lines)) <= 60
    assert all(line.startswith(" " * 25) for line in lines[1:])


def test_stored_text_does_not_touch_its_argument():
    nb = notebook(code("1", "one"))
    nb.metadata["widgets"] = {"state": {}}
    assert "widgets" not in stored_text(nb)
    assert "widgets" in nb.metadata
