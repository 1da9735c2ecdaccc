"""Whoever works with the NumPy half alone needs no torch: it is never imported, not even late, inside a function."""

import subprocess
import sys
import tomllib
from pathlib import Path

import grimp
import pytest
from without_torch import BARRED, CALLS

ROOT = Path(__file__).resolve().parent.parent
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
(NUMPY,) = (contract for contract in CONTRACTS if contract["id"] == "numpy")
# These rooms have a torch half as well, and tests of their own of what is imported when.
OTHER_ROOMS = ("commands", "grading", "models")


def modules_that_never_reach_torch() -> set[str]:
    """By what each module imports, at its head or late, and what these import; without the texts of `__init__`."""
    graph = grimp.build_graph("cnn_course", include_external_packages=True, cache_dir=None)
    own = {name for name in graph.modules if name.startswith("cnn_course.") and not graph.find_children(name)}
    return {
        name.removeprefix("cnn_course.")
        for name in own
        if name.split(".")[1] not in OTHER_ROOMS and not set(BARRED) & graph.find_upstream_modules(name)
    }


def test_every_module_that_needs_no_torch_has_a_call_and_stands_in_the_contract():
    named = {name.removeprefix("cnn_course.") for name in NUMPY["source_modules"]}
    never = modules_that_never_reach_torch()
    assert set(CALLS) == never
    uncovered = {name for name in never if not any(name == room or name.startswith(f"{room}.") for room in named)}
    assert uncovered == set()


@pytest.mark.slow
def test_every_module_works_where_torch_cannot_be_imported():
    script = Path(__file__).with_name("without_torch.py")
    done = subprocess.run([sys.executable, script], cwd=ROOT, capture_output=True, text=True)
    worked = [line.removeprefix("did its work: ") for line in done.stdout.splitlines() if line.startswith("did its")]
    assert worked == list(CALLS), done.stderr


def test_the_bar_holds():
    code = "import sys, without_torch as w; sys.meta_path.insert(0, w.Barred()); import cnn_course.augment"
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, capture_output=True, text=True)
    assert done.returncode == 1 and "torch cannot be imported here" in done.stderr
