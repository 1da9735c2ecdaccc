"""`cnn-course doctor`: what it says about this machine, and about broken ones."""

import subprocess
import sys

import pytest
import torch

from cnn_course import train
from cnn_course.commands import cli, doctor
from cnn_course.commands.doctor import Check
from cnn_course.grading.sandbox import bubblewrap, cold_host


def test_this_machine_in_one_screen(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    code = cli.main(["doctor"])
    text = capsys.readouterr().out
    assert code == 0, text
    for name in (
        "Python",
        "PyTorch",
        "Device",
        "Threads",
        "NumPy",
        "JupyterLab",
        "Lectures",
        "Data",
        "Browser",
        "Disk",
    ):
        assert f"  {name} " in text
    assert "they match" in text
    assert text.endswith("The course can run.\n")
    assert len(text.splitlines()) <= 35


def test_exit_code_and_hint(monkeypatch, capsys):
    checks = [Check("ok", "Python", "3.11"), Check("FAIL", "PyTorch", "gone", "make clean\nmake course")]
    monkeypatch.setattr(doctor, "examine", lambda: checks)
    assert cli.main(["doctor"]) == 1
    text = capsys.readouterr().out
    assert "-> make clean\n" in text and "-> make course\n" in text
    assert text.endswith("The course cannot run: mend PyTorch.\n")
    monkeypatch.setattr(doctor, "examine", lambda: [Check("miss", "Browser", "none")])
    assert cli.main(["doctor"]) == 0


def test_torch_without_its_torchvision(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    check = doctor.check_torch()
    assert check.state == "FAIL" and "torchvision" in check.found and "make clean" in check.hint


def test_torchvision_for_another_torch(monkeypatch):
    monkeypatch.setattr(doctor, "required_torch", lambda: "1.0.0")
    check = doctor.check_torch()
    assert check.state == "FAIL" and "needs torch 1.0.0" in check.found


def test_torchvision_whose_operators_are_missing(monkeypatch):
    import torchvision

    def broken(*arguments):
        raise RuntimeError("operator torchvision::nms does not exist\nmore")

    monkeypatch.setattr(torchvision.ops, "nms", broken)
    check = doctor.check_torch()
    assert check.state == "FAIL" and check.found.endswith("operator torchvision::nms does not exist")


def test_a_gpu_that_fails_its_first_addition(monkeypatch):
    monkeypatch.setattr(train, "choose_device", lambda: torch.device("meta"))  # .item() fails there
    check = doctor.check_device()
    assert check.state == "miss" and "DEVICE = 'cpu'" in check.hint


def test_an_nvidia_driver_that_torch_cannot_use(monkeypatch):
    monkeypatch.setattr(train, "choose_device", lambda: torch.device("cpu"))
    monkeypatch.setattr(doctor.shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    check = doctor.check_device()
    assert check.state == "miss" and "update the driver" in check.hint


def test_no_browser_and_no_sandbox(monkeypatch):
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    assert doctor.find_browser() is None
    assert "apt install chromium" in doctor.check_browser().hint
    assert doctor.check_sandbox().state == "miss"


@pytest.mark.parametrize("problem", ["refused", "hangs"])
def test_a_sandbox_that_cannot_start(monkeypatch, problem):
    def run(command, **options):
        if problem == "hangs":
            raise subprocess.TimeoutExpired(command, 10)
        return subprocess.CompletedProcess(command, 1, "", "bwrap: setting up uid map: Permission denied\n")

    monkeypatch.setattr(bubblewrap.shutil, "which", lambda name: "/usr/bin/bwrap")
    monkeypatch.setattr(bubblewrap.subprocess, "run", run)
    check = doctor.check_sandbox()
    assert check.state == "miss" and "cannot start" in check.found and "user namespaces" in check.hint


def test_a_sandbox_in_which_namespaces_are_refused(bubblewrap, monkeypatch):
    assert doctor.check_sandbox().found == "bubblewrap starts (for grading)"
    monkeypatch.setattr(cold_host, "nests", lambda: False)
    check = doctor.check_sandbox()
    assert check.state == "ok" and "slow" in check.found


def test_outside_a_clone(monkeypatch):
    def nowhere():
        raise doctor.LectureError("no lectures here")

    monkeypatch.setattr(doctor, "course", nowhere)
    assert doctor.check_lectures() == Check("FAIL", "Lectures", "no lectures here")


def test_little_disk(monkeypatch, tmp_path):
    usage = type("Usage", (), {"free": 5e8})
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda folder: usage)
    assert doctor.check_disk(tmp_path / "not" / "there").state == "miss"


def test_missing_data_names_the_commands(monkeypatch, tmp_path):
    monkeypatch.setenv("CNN_COURSE_DATA", str(tmp_path))
    ok, miss = doctor.check_data()
    assert ok.state == "ok" and "glyphs" in ok.found
    assert miss.state == "miss" and "cnn-course data get mnist" in miss.hint
