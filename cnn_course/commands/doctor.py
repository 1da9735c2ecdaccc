"""`cnn-course doctor`: can the course run here, with what, and what to type for each thing that is missing."""

import argparse
import importlib.metadata
import os
import platform
import re
import shutil
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cnn_course import __version__
from cnn_course.errors import LectureError
from cnn_course.files import system_errors
from cnn_course.files.course_files import all_lectures, course

HELP = "can the course run here, and what to type for each thing missing"
REINSTALL = "pip install --force-reinstall 'cnn-course[lab]' (in a clone: make clean && make course)"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MAC_BROWSERS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(call=doctor)


@dataclass(frozen=True)
class Check:
    """One line of the report. state: "ok", "miss" (the course runs without it) or "FAIL" (it does not).

    hint: what to type or do, one thing a line.
    """

    state: str
    name: str
    found: str
    hint: str = ""


def find_browser() -> str | None:
    """Return the path of a Chromium or Chrome that the browser tests can drive, or None."""
    for name in (*BROWSERS, *MAC_BROWSERS):
        if path := shutil.which(name):
            return path
    return None


def check_python() -> Check:
    return Check("ok", "Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")


def required_torch() -> str | None:
    """Return the version of torch that the installed torchvision was built for, as its metadata says."""
    for requirement in importlib.metadata.requires("torchvision") or ():
        if match := re.match(r"torch\s*\(?==\s*([\w.]+)", requirement):
            return match[1]
    return None


def check_torch() -> Check:
    """torch and torchvision belong together: one built for another torch imports, if at all, without its operators."""
    try:
        import torch
        import torchvision

        torchvision.ops.nms(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.ones(1), 0.5)
    except Exception as error:  # a broken install fails in many ways: ImportError, OSError, RuntimeError
        versions = ", ".join(f"{name} {installed_version(name)}" for name in ("torch", "torchvision"))
        return Check("FAIL", "PyTorch", f"{versions}: {first_line(error)}", f"install both together: {REINSTALL}")
    found = f"torch {torch.__version__}, torchvision {torchvision.__version__}"
    wanted = required_torch()
    if wanted and wanted != torch.__version__.partition("+")[0]:
        return Check("FAIL", "PyTorch", f"{found}, which needs torch {wanted}", f"install both together: {REINSTALL}")
    return Check("ok", "PyTorch", f"{found}: they match")


def check_numpy() -> Check:
    try:
        import numpy as np
        from threadpoolctl import threadpool_info

        blas = {pool["internal_api"] for pool in threadpool_info() if pool["user_api"] == "blas"}
        return Check("ok", "NumPy", f"{np.__version__}, BLAS: {', '.join(sorted(blas)) or 'its own'}")
    except Exception as error:
        return Check("FAIL", "NumPy", first_line(error), REINSTALL)


def check_device() -> Check:
    """The device that training uses, tried with one addition: a driver or a card may be too old for this PyTorch."""
    import torch

    from cnn_course import train

    try:
        device = train.choose_device().type
        (torch.ones(1, device=device) + 1).item()
    except Exception as error:
        return Check("miss", "Device", f"the GPU fails: {first_line(error)}", "set DEVICE = 'cpu' in the lectures")
    if device == "cpu":
        if shutil.which("nvidia-smi") and torch.version.cuda:
            hint = f"there is an NVIDIA driver; this PyTorch wants one for CUDA {torch.version.cuda}: update the driver"
            return Check("miss", "Device", "cpu", hint)
        return Check("ok", "Device", "cpu (no CUDA or MPS device; every lecture's default runs on it)")
    if device == "mps":
        return Check("ok", "Device", "mps (Apple GPU)")
    card = torch.cuda.get_device_properties(0)
    more = f", {torch.cuda.device_count()} of them" if torch.cuda.device_count() > 1 else ""
    return Check("ok", "Device", f"cuda: {card.name}, {card.total_memory / 2**30:.0f} GiB{more}")


def check_threads() -> Check:
    import torch
    from threadpoolctl import threadpool_info

    blas = max((pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"), default=1)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    limit = os.environ.get("OMP_NUM_THREADS")
    set_by = f" (OMP_NUM_THREADS={limit})" if limit else ""
    return Check("ok", "Threads", f"torch {torch.get_num_threads()}, BLAS {blas}, cores {cores}{set_by}")


def check_jupyterlab() -> Check:
    missing = [name for name in ("jupyterlab", "ipykernel", "ipywidgets", "anywidget") if not installed_version(name)]
    if missing:
        return Check("FAIL", "JupyterLab", f"not installed: {', '.join(missing)}", REINSTALL)
    return Check("ok", "JupyterLab", installed_version("jupyterlab"))


def check_lectures() -> Check:
    try:
        root = course()
    except LectureError as error:
        return Check("FAIL", "Lectures", str(error))
    count = len(all_lectures(root))
    if not count:
        return Check("FAIL", "Lectures", f"none in {root / 'lectures'}", "git status shows what is missing")
    return Check("ok", "Lectures", f"{count} in {root / 'lectures'}")


def check_data() -> list[Check]:
    from cnn_course import datasets

    rows = datasets.describe()
    built_in = ", ".join(row.name for row in rows if row.state == "built in")
    on_disk = ", ".join(row.name for row in rows if row.state == "on disk")
    missing = [row for row in rows if row.state == "missing"]
    locked = dict.fromkeys(row.hint for row in rows if row.state == "locked")
    also = f"; {on_disk} in {datasets.data_root()}" if on_disk else ""
    checks = [Check("ok", "Data", f"{built_in} are built in{also}")]
    if locked:
        checks.append(
            Check("miss", "Data", "; ".join(locked), "ls -l shows who may; CNN_COURSE_DATA names another folder")
        )
    checks += [
        Check("miss", "Data", row.hint, "CNN_COURSE_DATA names another folder")
        for row in rows
        if row.state == "too much"
    ]
    if missing:
        absent = f"not in {datasets.data_root()}, and no lecture needs them: {', '.join(row.name for row in missing)}"
        checks.append(Check("miss", "Data", absent, "\n".join(row.hint for row in missing)))
    return checks


def check_browser() -> Check:
    path = find_browser()
    if path:
        return Check("ok", "Browser", f"{path} (for the browser tests)")
    hint = "Debian: sudo apt install chromium; macOS: brew install --cask google-chrome"
    return Check("miss", "Browser", "no Chromium or Chrome; the browser tests are skipped", hint)


def check_sandbox() -> Check:
    """bubblewrap, really started: many containers and some kernels have it and forbid it."""
    if platform.system() != "Linux":
        return Check("miss", "Sandbox", "no bubblewrap outside Linux", "grade on Linux: grading refuses to start here")
    try:
        from cnn_course.grading.sandbox import bubblewrap, cold_host

        bubblewrap.check()
        nested = cold_host.nests()
    except Exception as error:  # also where NumPy is broken
        hint = (
            "Debian, Ubuntu: sudo apt install bubblewrap\n"
            "allow unprivileged user namespaces (Ubuntu: sysctl kernel.apparmor_restrict_unprivileged_userns=0)"
        )
        return Check("miss", "Sandbox", f"grading refuses to start: {first_line(error).partition('. ')[0]}", hint)
    if nested:
        return Check("ok", "Sandbox", "bubblewrap starts (for grading)")
    return Check("ok", "Sandbox", "bubblewrap starts, for each submission anew: grading is safe and slow here")


def check_disk(folder: Path) -> Check:
    while not os.path.exists(folder):
        folder = folder.parent
    free = shutil.disk_usage(folder).free / 1e9
    if free < 1:
        return Check("miss", "Disk", f"{free:.1f} GB free", "data sets and runs need room: free 1 GB or more")
    return Check("ok", "Disk", f"{free:.0f} GB free")


def installed_version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _from_here(file: Path) -> str:
    try:
        return os.path.relpath(file)
    except ValueError:  # on another drive of Windows
        return str(file)


def first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def examine() -> list[Check]:
    """Run every check, the necessary ones first. What needs torch is left out where torch is broken."""
    from cnn_course import datasets

    checks = [check_python(), check_numpy(), check_torch()]
    if checks[-1].state == "ok":
        checks += [*tried("Device", check_device), *tried("Threads", check_threads)]
    checks += [*tried("JupyterLab", check_jupyterlab), *tried("Lectures", check_lectures), *tried("Data", check_data)]
    checks += [*tried("Browser", check_browser), *tried("Sandbox", check_sandbox)]
    return [*checks, *tried("Disk", lambda: check_disk(datasets.data_root()))]


def tried(name: str, check: Callable[[], Check | list[Check]]) -> list[Check]:
    """The lines of one check. One that fails itself, at a locked folder say, is a line, too, and the others go on."""
    try:
        found = check()
    except Exception as error:
        why = system_errors.said(error) if isinstance(error, OSError) else first_line(error)
        found = Check("miss", name, f"cannot be examined: {why}")
    return found if isinstance(found, list) else [found]


def doctor(args: argparse.Namespace) -> int:
    """Print the report; return 1 where something necessary is broken, else 0."""
    checks = examine()
    width = max(shutil.get_terminal_size((100, 24)).columns, 60)
    print(f"cnn-course {__version__}")
    for check in checks:
        start = f"{check.state:4}  {check.name:10}  "
        print(textwrap.fill(start + check.found, width, subsequent_indent=" " * len(start), break_on_hyphens=False))
        for hint in check.hint.splitlines():
            arrow = " " * 18 + "-> "
            print(textwrap.fill(arrow + hint, width, subsequent_indent=" " * len(arrow), break_on_hyphens=False))
    if any("cnn-course " in check.hint for check in checks) and not shutil.which("cnn-course"):
        print(f"(cnn-course is {_from_here(Path(sys.executable).with_name('cnn-course'))} on this machine.)")
    broken = [check.name for check in checks if check.state == "FAIL"]
    print(f"The course cannot run: mend {', '.join(broken)}." if broken else "The course can run.")
    return 1 if broken else 0
