"""What the course does with a GPU, on a second device that is played on the CPU (`second_device.py`): nothing mixes,
nothing is left behind on the other side, and a step of a training copies nothing.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CASES = re.findall(r"^def do_(\w+)", (HERE / "on_second_device.py").read_text(encoding="utf-8"), re.MULTILINE)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """All cases in one process of their own: there is no way back from a second device."""
    folder = tmp_path_factory.mktemp("second device")
    places = {"PYTHONPATH": os.pathsep.join(map(str, (HERE, HERE.parent))), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, HERE / "on_second_device.py", folder]
    ran = subprocess.run(command, env=os.environ | places, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return json.loads((folder / "found.json").read_text())


@pytest.mark.parametrize("case", CASES)
def test_on_the_second_device(found, case):
    assert not found[f"do_{case}"]["error"], found[f"do_{case}"]["error"]
