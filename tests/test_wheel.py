"""The wheel is the course: what a student needs, and nothing that gives answers away."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[1]
OWN = "cnn_course/course/"


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """A wheel built from this clone."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def wheel(packed):
    """The names in the wheel, and what is in each."""
    with zipfile.ZipFile(packed) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def files(folder, pattern):
    return {path.relative_to(ROOT).as_posix() for path in (ROOT / folder).glob(pattern)}


def test_it_holds_the_course(wheel):
    wanted = files("lectures", "*.ipynb") | files("labs/release", "*/*.ipynb")
    wanted |= files("data/runs", "*.csv") | files("data/runs", "*.json") | files("data/weights", "*.safetensors")
    assert len(wanted) > 60
    found = {name.removeprefix(OWN) for name in wheel if name.startswith(OWN)}
    assert found == wanted
    for name in wanted:
        assert wheel[OWN + name] == (ROOT / name).read_bytes()


def test_it_gives_no_answer_away(wheel):
    signs = (b"BEGIN SOLUTION", b"BEGIN HIDDEN", b"### END HIDDEN", b'-hidden\\"')
    for name, data in wheel.items():
        assert not name.startswith("tests/") and "labs/source" not in name and "wrong_answers" not in name, name
        if name.endswith(".ipynb"):
            assert not any(sign in data for sign in signs), name


def test_it_holds_every_file_of_the_package(wheel):
    own = {path.relative_to(ROOT).as_posix() for path in (ROOT / "cnn_course").rglob("*") if path.is_file()}
    own = {name for name in own if "__pycache__" not in name and "/course/" not in name}
    assert own == {name for name in wheel if name.startswith("cnn_course/") and not name.startswith(OWN)}


def test_it_switches_the_servers_extension_on(wheel):
    (name,) = (name for name in wheel if "/data/etc/" in name)
    assert name.endswith("/jupyter_server_config.d/cnn-course.json")
    assert b"saved_pictures" in wheel[name]


@pytest.fixture(scope="module")
def student(packed, tmp_path_factory):
    """What a student types in an empty folder where nothing but the wheel is: arguments -> the process that ended."""
    home = tmp_path_factory.mktemp("a stüdent")
    with zipfile.ZipFile(packed) as opened:
        opened.extractall(home / "site")
    (home / "empty").mkdir()

    def types(*arguments, folder="empty"):
        code = ["-m", "cnn_course", *arguments] if arguments[0] != "-c" else arguments
        environment = {**os.environ, "PYTHONPATH": str(home / "site"), "OMP_NUM_THREADS": "1"}
        return subprocess.run(
            [sys.executable, *code], cwd=home / folder, capture_output=True, text=True, env=environment
        )

    return types


def test_a_student_starts_with_nothing_but_the_wheel(student):
    own = student("-c", "import cnn_course; print(cnn_course.__file__)")
    assert "site" in own.stdout, own
    done = student("start")
    assert done.returncode == 0 and "25 notebooks laid out" in done.stdout, done
    done = student("labs", "check", "lab01", folder="empty/cnn-course/labs")
    assert done.returncode == 1 and "0 of 10 visible tests pass" in done.stdout, done
    done = student("-c", "from cnn_course import runs; print(len(runs.find('*')))")
    assert int(done.stdout) == len(list((ROOT / "data" / "runs").glob("*.json"))), done
    done = student("run", "2", "--output", "out")
    assert done.returncode == 0 and "02_convolution_in_numpy" in done.stdout, done
    done = student("grade", "lab01")
    assert done.returncode == 2 and "the masters are not part of the installed package" in done.stderr, done
