import importlib
import json
import runpy
import sys
from pathlib import Path

import pytest
import threadpoolctl

FOLDER = Path(__file__).parent.parent / "benchmarks"
SCRIPTS = ("convolution", "numpy_cnn", "training")
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]


@pytest.fixture
def run(monkeypatch, capsys):
    """run(name, ...) gives what the script prints. It runs in this process: importing torch anew takes longer."""
    monkeypatch.syspath_prepend(FOLDER)

    def run(script, *arguments):
        with threadpoolctl.threadpool_limits():  # what the script sets ends here
            assert importlib.import_module(script).main([*map(str, arguments)]) == 0
        return capsys.readouterr().out

    return run


@pytest.mark.parametrize("script", SCRIPTS)
def test_it_starts_as_a_script(script, monkeypatch, capsys):
    monkeypatch.syspath_prepend(FOLDER)
    monkeypatch.setattr(sys, "argv", [f"{script}.py", "--help"])
    with pytest.raises(SystemExit, match="^0$"):
        runpy.run_path(str(FOLDER / f"{script}.py"), run_name="__main__")
    assert "--repeat" in capsys.readouterr().out


def test_convolution_benchmark(run, tmp_path):
    """It runs and its output has the promised form. No time is checked: that would depend on the machine."""
    file, picture = tmp_path / "ratios.json", tmp_path / "roofline.png"
    said = run("convolution", "--tiny", "--repeat", 2, "--threads", 1, "--json", file, "--roofline", picture)
    assert "threads: NumPy 1, PyTorch 1; 2 rounds" in said
    results = json.loads(file.read_text())
    assert results["threads"] == {"numpy": 1, "torch": 1}
    assert {"numpy", "torch", "cpu", "layers", "small"} <= results.keys()
    assert list(results["small"][0]["ratios"]) == ["auto", "conv2d_windows", "conv2d_loops"]
    assert picture.stat().st_size > 10_000
    assert {"auto", "direct", "winograd"} == results["layers"][0]["ratios"].keys()
    for layer in results["layers"] + results["small"]:
        assert layer["case"] in said
        assert layer["torch_ms"] > 0
        for ratio in layer["ratios"].values():
            assert min(ratio["median"], ratio["fastest"]) > 0
            assert 0 < ratio["middle_half"][0] <= ratio["middle_half"][1]


def test_numpy_cnn_benchmark(run, tmp_path):
    """Its output has the promised form. No time is checked: that would depend on the machine."""
    file = tmp_path / "ratios.json"
    said = run("numpy_cnn", "--tiny", "--repeat", 3, "--threads", 1, "--json", file)  # so that a median is no mean
    assert "threads: NumPy 1, PyTorch 1; 3 rounds" in said
    results = json.loads(file.read_text())
    assert [step["what"] for step in results["steps"]] == ["forward + backward", "forward + backward + SGD"]
    names = [layer["layer"] for layer in results["layers"]]
    assert names[:2] == ["conv1 forward", "conv1 backward"]
    assert len(names) == 16
    for found in (*results["steps"], *results["layers"], results["loops"]):
        assert min(found["ms"].values()) > 0
        assert 0 < found["middle_half"][0] <= found["middle_half"][1]
    # About 10 and 40; upside down they would be a tenth and less. With two images it hangs on the load of the machine.
    assert results["loops"]["per_image_ratio"] > 5
    assert results["loops"]["ratio"] > 1


def test_training_benchmark(run, tmp_path):
    """Its output has the promised form. No time is checked: that would depend on the machine."""
    file = tmp_path / "ratios.json"
    said = run("training", "--tiny", "--repeat", 1, "--epochs", 1, "--threads", 1, "--json", file)
    assert "PyTorch's threads: 1" in said and "768 images of " in said and " more than the bare step (aim 3)" in said
    results = json.loads(file.read_text())
    assert list(results["loops"]) == [
        "fit",
        "fit without cropping",
        "bare step",
        "loop, main process",
        "loop, 2 workers",
    ]
    for row in results["loops"].values():
        assert row["seconds_per_epoch"] > 0 and 0 < row["middle_half"][0] <= row["middle_half"][1]
        assert 0 <= row["accuracy"] <= 1 and len(row["accuracies"]) == 1
    assert results["loops"]["fit"]["ratio"] == 1
    assert [row["net"] for row in results["switches"]] == ["LeNet"]
    assert results["switches"][0]["images_per_second"].keys() == {"none", "amp"}


def test_gpu_benchmark(run, tmp_path):
    """All of it, small and on the CPU; what was done is not done again."""
    said = run("gpu", "--tiny", "--output", tmp_path)
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert found["second device"]["found"]["failed"] == {} and found["second device"]["found"]["cases"] > 6
    assert [found[f"speed of LeNet, {each}"]["found"].keys() for each in ("none", "amp", "channels_last")] == [
        {"images_per_second"}
    ] * 3
    assert (tmp_path / "plain20-paper-shapes-s0.json").exists()
    assert said.endswith(f"Written to {tmp_path}. Done.\n")
    before = (tmp_path / "gpu.json").read_bytes()
    assert run("gpu", "--tiny", "--output", tmp_path) == f"Written to {tmp_path}. Done.\n"
    assert (tmp_path / "gpu.json").read_bytes() == before


def test_gpu_benchmark_begins_nothing_after_its_time(run, tmp_path):
    said = run("gpu", "--tiny", "--minutes", 1e-9, "--output", tmp_path)
    assert "The same call goes on with: second device, speed of LeNet, none" in said
    assert said.endswith("fit and the loop, resnet56\n")


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("arguments", [("--repeat", "0"), ("--threads", "0"), ("--threads", "many")])
def test_bad_arguments(script, arguments, monkeypatch, capsys):
    monkeypatch.syspath_prepend(FOLDER)
    with pytest.raises(SystemExit) as stopped:
        importlib.import_module(script).main(["--tiny", *arguments])
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert "error: " in said and arguments[0] in said.partition("error: ")[2]
