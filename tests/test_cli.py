"""The command as its user meets it: arguments, exit codes, one-line errors, a quick start, `open` and `data`."""

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_notebook

from cnn_course import __version__, errors
from cnn_course.commands import cli, run
from cnn_course.commands import open as open_
from cnn_course.errors import CourseError, LectureError, UsageError
from cnn_course.files import course_files
from cnn_course.files.course_files import course, find_lecture

NAMES = ("01_what_is_a_cnn", "02_convolution", "03_filters", "10_batch_norm")


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A clone with four empty lectures, which the command takes for its own."""
    (tmp_path / "cnn_course").mkdir()
    (tmp_path / "lectures").mkdir()
    for name in NAMES:
        (tmp_path / "lectures" / f"{name}.ipynb").write_text(nbformat.writes(new_notebook()))
    (tmp_path / "lectures" / "notes.ipynb").write_text("{}")
    for command in (open_, run):
        monkeypatch.setattr(command, "course", lambda: tmp_path)
    return tmp_path


def error_line(capsys) -> str:
    """What the command said on stderr: one line, never a traceback."""
    text = capsys.readouterr().err
    assert text.startswith("cnn-course: ")
    assert text.count("\n") == 1
    return text


def python(code: str, *arguments: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, **options)


def test_version_and_help(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.strip() == f"cnn-course {__version__}"
    assert cli.main([]) == 2
    text = capsys.readouterr().out
    assert re.findall(r"^    (\w+) ", text, re.M) == [
        "doctor",
        "start",
        "open",
        "run",
        "data",
        "train",
        "labs",
        "grade",
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        *(["open", "--port", "0"], ["open", "--port", "x"]),
        *(["data"], ["data", "get"], ["labs"], ["labs", "check"], ["grade"], ["train", "lenet"]),
    ],
)
def test_wrong_command_line_is_exit_2(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_start_up_imports_nothing_large():
    code = (
        "import sys; from cnn_course.commands import cli; cli.build_parser(); "
        "print('large:', *{'numpy', 'torch', 'matplotlib', 'nbclient', 'nbformat'} & set(sys.modules))"
    )
    result = python(code)
    assert result.stdout == "large:\n", result.stderr


def test_data_list_does_not_import_torch(tmp_path):
    code = "import sys; from cnn_course.commands import cli; cli.main(['data', 'list']); print('torch' in sys.modules)"
    result = python(code, env={**os.environ, "CNN_COURSE_DATA": str(tmp_path)})
    assert result.stdout.endswith("False\n"), result.stderr


def test_a_reader_that_stops_early_is_no_error():
    result = subprocess.run(
        f"'{sys.executable}' -m cnn_course data list | head -n 1",
        shell=True,
        capture_output=True,
        text=True,
    )
    assert result.stderr == ""
    assert result.stdout.startswith("name")


def test_a_bug_is_one_line_too(monkeypatch, capsys):
    def broken():
        raise KeyError("what\never")

    monkeypatch.setattr(run, "course", broken)
    monkeypatch.delenv("CNN_COURSE_DEBUG", raising=False)
    assert cli.main(["run"]) == 1
    assert "unexpected KeyError" in error_line(capsys)
    monkeypatch.setenv("CNN_COURSE_DEBUG", "1")
    with pytest.raises(KeyError):
        cli.main(["run"])


KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, CourseError)]


@pytest.mark.parametrize("kind", KINDS)
def test_the_courses_own_errors_speak_for_themselves(kind, monkeypatch, capsys):
    class OfAPlugin(kind):  # a subclass that lives outside the package
        pass

    def raising():
        raise OfAPlugin("do this\ninstead")

    monkeypatch.setattr(run, "course", raising)
    assert cli.main(["run"]) == (2 if issubclass(kind, UsageError) else 1)
    assert error_line(capsys) == "cnn-course: do this instead\n"


def test_an_error_that_only_lives_in_the_package_is_a_bug(monkeypatch, capsys):
    inner = type("Inner", (Exception,), {"__module__": "cnn_course.commands.run"})

    def broken():
        raise inner("what ever")

    monkeypatch.setattr(run, "course", broken)
    assert cli.main(["run"]) == 1
    assert "unexpected Inner: what ever" in error_line(capsys)


# --- finding lectures


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("1", "01_what_is_a_cnn"),
        ("02", "02_convolution"),
        ("10", "10_batch_norm"),
        ("02_conv", "02_convolution"),
        ("filters", "03_filters"),
        ("lectures/03_filters.ipynb", "03_filters"),
    ],
)
def test_find_lecture(clone, name, found):
    assert find_lecture(name, clone).stem == found


@pytest.mark.parametrize("name", ["4", "0", "", "xyz", "notes", "²", "-1", "0_"])
def test_find_lecture_refuses(clone, name):
    with pytest.raises(UsageError, match="is not a lecture. Choose one of: 01_what_is_a_cnn, 02_conv"):
        find_lecture(name, clone)


def test_find_lecture_several(clone):
    (clone / "lectures" / "04_convergence.ipynb").write_text("{}")
    with pytest.raises(UsageError, match="names several lectures. Choose one of: 02_convolution, 04_convergence"):
        find_lecture("conv", clone)


def test_find_lecture_empty_clone(tmp_path):
    with pytest.raises(LectureError, match="there is no lecture in"):
        find_lecture("1", tmp_path)


def test_the_course_is_the_clone_or_the_packages_own_copy(tmp_path, monkeypatch):
    assert course() == Path(__file__).parents[1], "an editable install finds its clone from anywhere"
    package = tmp_path / "site" / "cnn_course"
    monkeypatch.setattr(course_files, "__file__", str(package / "files" / "course_files.py"))
    with pytest.raises(LectureError, match="the lectures are missing from .*cnn_course: install the course again"):
        course()
    (package / "course" / "lectures").mkdir(parents=True)
    assert course() == package / "course" and not course_files.is_clone(course())


# --- open


def test_open_errors(clone, capsys):
    assert cli.main(["open", "9"]) == 2
    assert "'9' is not a lecture" in error_line(capsys)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert cli.main(["open", "--port", str(port)]) == 2
    assert f"port {port} is taken" in error_line(capsys)


@pytest.mark.slow
def test_open_prints_one_address_that_works_and_ends_quietly(clone, tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    folders = {name: str(home) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR")}
    code = "import sys, pathlib; from cnn_course.commands import cli, open; "
    code += "open.course = lambda: pathlib.Path(sys.argv[1]);"
    process = subprocess.Popen(
        [sys.executable, "-c", f"{code} sys.exit(cli.main(['open', '2', '--no-browser']))", str(clone)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **folders, "JUPYTER_RUNTIME_DIR": str(home / "runtime")},
        # A background job of a script ignores Ctrl-C, and its children inherit that; a terminal's do not.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        text = ""
        for line in process.stdout:
            text += line
            if "Ctrl-C" in line:
                break
        addresses = re.findall(r"http://\S+", text)
        assert len(addresses) == 1, text
        assert "/lab/tree/lectures/02_convolution.ipynb?token=" in addresses[0]
        with urllib.request.urlopen(addresses[0], timeout=30) as page:
            html = page.read().decode()
        assert "apputils-extension:announcements" in html, "the question whether one wants news is disabled"
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(addresses[0].partition("/lab")[0] + "/api/contents", timeout=30)
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
        assert process.returncode == 0, rest
        assert rest.strip() == "JupyterLab has stopped."
    finally:
        process.kill()


# --- data


def test_data_list(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CNN_COURSE_DATA", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "80")
    assert cli.main(["data", "list"]) == 0
    text = capsys.readouterr().out
    for name in ("digits", "glyphs", "shapes", "mnist", "fashion-mnist", "cifar10"):
        assert re.search(rf"^{name} ", text, re.M)
    assert "cnn-course data get mnist" in text
    assert str(tmp_path) in text
    assert max(len(line) for line in text.splitlines() if str(tmp_path) not in line) <= 80


def test_data_get_and_verify(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CNN_COURSE_DATA", str(tmp_path))
    assert cli.main(["data", "get", "digits"]) == 0
    assert "nothing to download" in capsys.readouterr().out
    assert cli.main(["data", "get", "nonsense"]) == 2
    assert "Choose one of: mnist, fashion-mnist, cifar10" in error_line(capsys)
    assert cli.main(["data", "verify"]) == 0
    assert "Nothing in" in capsys.readouterr().out
    assert cli.main(["data", "verify", "digits"]) == 0
    assert "10 classes" in capsys.readouterr().out
    assert cli.main(["data", "verify", "mnist"]) == 1
    assert "cnn-course data get mnist" in error_line(capsys)
    assert cli.main(["data", "verify", "nonsense"]) == 1
    error_line(capsys)


def test_data_verify_names_a_damaged_file_and_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CNN_COURSE_DATA", str(tmp_path))
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (raw / f"{name}-ubyte").write_bytes(b"short")
    assert cli.main(["data", "verify"]) == 1
    assert "train-images-idx3-ubyte" in error_line(capsys)
