"""The wheel is the course: what a student needs, and nothing that gives answers away."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[1]
OWN = "cnn_course/course/"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The names in a wheel built from this clone, and what is in each."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(*folder.glob("*.whl")) as packed:
        return {name: packed.read(name) for name in packed.namelist()}


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
