"""The course as on Colab: its versions, of which the first cell may replace none, and notebooks that lie there alone.

    python tests/colab.py [02 lab01 ...] [--python PYTHON] [--folder FOLDER]

An environment of Python 3.12 with the versions in elsewhere/colab.txt, and without cnn_course. Each lecture and each
released lab is copied into an empty folder and run whole by the kernel there: the first one's first cell installs the
package, the wheel of this working tree. Prints what came, notebook by notebook; exit 1 where anything went wrong.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lecture_files import LECTURES

ROOT = Path(__file__).resolve().parent.parent
VERSIONS = Path(__file__).with_name("elsewhere") / "colab.txt"
NOTEBOOKS = [*LECTURES, *sorted((ROOT / "labs/release").glob("*/*.ipynb"))]
# Runs a notebook as Colab's "Run all" does, but that a lab's cells which are meant to fail let the next ones run.
RUN = """
import sys, warnings, nbclient, nbformat
warnings.simplefilter("ignore")
notebook = nbformat.read(sys.argv[1], as_version=4)
try:
    nbclient.NotebookClient(notebook, timeout=900, kernel_name="python3").execute()
except nbclient.exceptions.CellExecutionError as error:
    sys.exit(str(error)[-1500:])
"""


def environment(folder: Path, python: str) -> Path:
    """The Python of an environment as Colab's, made where it is missing."""
    made = folder / "env" / "bin" / "python"
    if not made.exists():
        subprocess.run(["uv", "venv", "--quiet", "--python", python, folder / "env"], check=True)
        subprocess.run(["uv", "pip", "install", "--quiet", "--python", made, "-r", VERSIONS], check=True)
    subprocess.run([made, "-m", "pip", "uninstall", "--quiet", "--yes", "cnn-course"], check=True)
    return made


def wheel(folder: Path) -> Path:
    """A folder with the wheel of this working tree, and nothing else."""
    place = folder / "wheels"
    for old in place.glob("*.whl"):
        old.unlink()
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", place],
        cwd=ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return place


def installed(python: Path) -> set[str]:
    frozen = subprocess.run([python, "-m", "pip", "freeze"], check=True, capture_output=True, text=True)
    return set(frozen.stdout.splitlines())


def run(notebook: Path, python: Path, wheels: Path, folder: Path) -> str:
    """Run a notebook alone in an empty folder; what went wrong, "" for nothing."""
    alone = Path(tempfile.mkdtemp(prefix=notebook.stem, dir=folder))
    copy = alone / notebook.name
    copy.write_bytes(notebook.read_bytes())
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("CNN_COURSE", "PYTHON"))}
    environ |= {"PIP_FIND_LINKS": str(wheels), "OMP_NUM_THREADS": "1", "CNN_COURSE_WIDGETS": "0"}
    done = subprocess.run([python, "-c", RUN, copy], cwd=alone, env=environ, capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stderr[-1500:] or f"exit {done.returncode}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="how the notebooks' names begin; all where none is given")
    parser.add_argument("--python", default="3.12", help="an interpreter, as uv takes it")
    parser.add_argument("--folder", type=Path, help="where the environment is made, and kept")
    options = parser.parse_args(arguments)
    folder = options.folder or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    python, wheels = environment(folder, options.python), wheel(folder)
    before, failed = installed(python), 0
    for notebook in NOTEBOOKS:
        if not options.names or notebook.name.startswith(tuple(options.names)):
            start = time.perf_counter()
            wrong = run(notebook, python, wheels, folder)
            failed += bool(wrong)
            print(f"{notebook.stem:32s} {time.perf_counter() - start:5.0f} s  {wrong or 'ran'}", flush=True)
    after = installed(python)
    print("pip replaced or removed:", ", ".join(sorted(before - after)) or "nothing")
    print("pip brought:", ", ".join(sorted(line.partition(" @")[0] for line in after - before)))
    return 1 if failed or before - after else 0


if __name__ == "__main__":
    sys.exit(main())
