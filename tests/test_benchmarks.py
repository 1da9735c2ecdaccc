import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "convolution.py"


def run(*arguments):
    return subprocess.run([sys.executable, SCRIPT, *map(str, arguments)], capture_output=True, text=True)


def test_convolution_benchmark(tmp_path):
    """It runs and its output has the promised form. No time is checked: that would depend on the machine."""
    file, picture = tmp_path / "ratios.json", tmp_path / "roofline.png"
    done = run("--tiny", "--repeat", 2, "--threads", 1, "--json", file, "--roofline", picture)
    assert done.returncode == 0, done.stderr
    assert "threads: NumPy 1, PyTorch 1; 2 rounds" in done.stdout
    results = json.loads(file.read_text())
    assert results["threads"] == {"numpy": 1, "torch": 1}
    assert {"numpy", "torch", "cpu", "layers", "small"} <= results.keys()
    assert list(results["small"][0]["ratios"]) == ["auto", "conv2d_windows", "conv2d_loops"]
    assert picture.stat().st_size > 10_000
    assert {"auto", "direct", "winograd"} == results["layers"][0]["ratios"].keys()
    for layer in results["layers"] + results["small"]:
        assert layer["case"] in done.stdout
        assert layer["torch_ms"] > 0
        for ratio in layer["ratios"].values():
            assert min(ratio["median"], ratio["fastest"]) > 0
            assert 0 < ratio["middle_half"][0] <= ratio["middle_half"][1]


@pytest.mark.parametrize("arguments", [("--repeat", 0), ("--threads", 0), ("--threads", "many")])
def test_bad_arguments(arguments):
    done = run("--tiny", *arguments)
    assert done.returncode == 2
    assert "error:" in done.stderr
    assert "Traceback" not in done.stderr
