"""Three lists of packages that must agree, and nothing of one machine or registry in the repository."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ("3.11", "3.12", "3.13")
CONDA_NAMES = {"torch": "pytorch", "playwright": "playwright-python"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REQUIREMENTS = [
    Requirement(text)
    for group in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    for text in group
    if not text.startswith("cnn-course[")  # an extra that holds another
]
LOCK = (ROOT / "requirements.lock").read_text()


def tracked_files() -> list[Path]:
    if not shutil.which("git") or not (ROOT / ".git").exists():
        pytest.skip("not a git clone: no list of tracked files")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


# --- environment.yml


def test_conda_environment_names_the_same_packages():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    entries = [entry for entry in environment["dependencies"] if isinstance(entry, str)]
    conda = dict(re.fullmatch(r"([\w-]+)(.*)", entry).groups() for entry in entries)
    assert conda.pop("pip") == ""
    wanted = {CONDA_NAMES.get(each.name, each.name): str(each.specifier) for each in REQUIREMENTS}
    python = conda.pop("python")
    assert sorted(python.split(",")) == sorted(PROJECT["requires-python"].split(","))
    assert conda == wanted
    pip = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    assert pip == [["--editable ."]], "everything but the course itself comes from conda"


# --- requirements.lock


def locked() -> list[tuple[Requirement, str]]:
    """(requirement, its hash lines) for each package of the lock."""
    entries = re.findall(r"^(?! )(.+?) \\\n((?: +--hash=.+\n)+)", LOCK, re.M)
    assert len(entries) == sum(line[:1] not in (" ", "#", "") for line in LOCK.splitlines()), "a line without a hash"
    return [(Requirement(requirement), hashes) for requirement, hashes in entries]


def test_every_locked_package_is_pinned_and_hashed():
    for requirement, hashes in locked():
        assert re.fullmatch(r"==[^*,]+", str(requirement.specifier)), requirement
        assert re.fullmatch(r"(?: +--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+", hashes), requirement


def test_the_lock_names_no_registry():
    for forbidden in ("index-url", "find-links", "trusted-host", "://", "@ "):
        assert forbidden not in LOCK
    assert not re.search(r"\b[\w-]+\.(com|org|net|io)\b", re.sub(r"--hash=\S+", "", LOCK))


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize(("system", "machine"), [("linux", "x86_64"), ("darwin", "arm64")])
def test_the_lock_pins_every_package_once(python, system, machine):
    place = {
        "python_version": python,
        "python_full_version": f"{python}.1",
        "sys_platform": system,
        "platform_system": system.capitalize(),
        "platform_machine": machine,
    }
    pins: dict[str, list[str]] = {}
    for requirement, _ in locked():
        if requirement.marker is None or requirement.marker.evaluate(place):
            version = str(requirement.specifier).removeprefix("==")
            pins.setdefault(canonicalize_name(requirement.name), []).append(version)
    assert [name for name, versions in pins.items() if len(versions) > 1] == []
    for requirement in REQUIREMENTS:
        versions = pins.get(canonicalize_name(requirement.name), [])
        assert len(versions) == 1, f"{requirement.name} is not in the lock: make lock"
        assert requirement.specifier.contains(versions[0], prereleases=True), f"{requirement}: make lock"
    assert "uv" in pins, "the Makefile installs with it"


def test_all_who_name_pythons_name_the_same():
    """The package asks for 3.11 or newer; a clone is set up with the versions that the lock was tried with."""
    assert PROJECT["requires-python"] == ">=3.11"
    makefile, ci = (ROOT / "Makefile").read_text(), (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    assert "(3, 11) <= sys.version_info < (3, 14)" in makefile
    assert "Python 3.11, 3.12 or 3.13" in (ROOT / "README.md").read_text()
    assert yaml.safe_load(ci)["jobs"]["locked"]["strategy"]["matrix"]["python"] == list(PYTHONS)


# --- the repository


def test_no_tracked_file_names_a_machine_or_a_registry():
    # Written in pieces, so that this file does not contain what it looks for.
    slash = "/"
    paths = rf"(?<![\w.:/<>~-]){slash}(?:root|work|tmp|home|Users|private|mnt|opt){slash}[\w.]"
    hosts = rf"(?:{'|'.join(('pypi' + '[.]org', 'pythonhosted' + '[.]org', 'anaconda' + '[.]org'))})"
    found = []
    for path in tracked_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # pictures and weights
        for match in re.finditer(rf"{paths}.*|{hosts}.*", text):
            found.append(f"{path.relative_to(ROOT)}: {match[0][:60]}")
    assert found == []


def test_no_generated_file_is_tracked():
    names = {path.name for path in tracked_files()}
    assert not names & {"uv.lock", "gradebook.db", ".DS_Store", "Untitled.ipynb"}
