import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "numpy_cnn.py"


def run(*arguments):
    return subprocess.run([sys.executable, SCRIPT, *map(str, arguments)], capture_output=True, text=True)


def test_it_runs(tmp_path):
    """Its output has the promised form. No time is checked: that would depend on the machine."""
    file = tmp_path / "ratios.json"
    done = run("--tiny", "--repeat", 2, "--threads", 1, "--json", file)
    assert done.returncode == 0, done.stderr
    assert "threads: NumPy 1, PyTorch 1; 2 rounds" in done.stdout
    results = json.loads(file.read_text())
    assert [step["what"] for step in results["steps"]] == ["forward + backward", "forward + backward + SGD"]
    names = [layer["layer"] for layer in results["layers"]]
    assert names[:2] == ["conv1 forward", "conv1 backward"]
    assert len(names) == 16
    for found in (*results["steps"], *results["layers"], results["loops"]):
        assert min(found["ms"].values()) > 0
        assert 0 < found["middle_half"][0] <= found["middle_half"][1]
    assert results["loops"]["ratio"] > 5
    assert results["loops"]["per_image_ratio"] > 0


@pytest.mark.parametrize("arguments", [("--repeat", 0), ("--threads", 0), ("--threads", "many")])
def test_bad_arguments(arguments):
    done = run("--tiny", *arguments)
    assert done.returncode == 2
    assert "error:" in done.stderr
    assert "Traceback" not in done.stderr
