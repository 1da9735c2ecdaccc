"""How many submissions per minute does `cnn-course grade` grade, and how many does stock nbgrader? In one run.

    python benchmarks/grading.py [--lab lab01] [--submissions 60] [--rounds 3] [--json FILE]

The submissions are honest work made from the lab's master: each question is answered by the model answer, by its stub,
by nothing, by a function that returns None, by one that raises, or by a cell with a syntax error. Both grade the same
files, in alternation, a share of them in each round, from their command lines in course folders of their own: stock
nbgrader as it is installed, one submission after the other in a kernel of its own and without a sandbox; ours with its
sandbox and one worker per core. A ratio is the quotient of the times; the marks of the two are compared cell by cell.

Then where the time of one submission goes: the start of a kernel, the imports, and the rest.
"""

import argparse
import copy
import json
import os
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

import nbformat
import numpy as np

from cnn_course.grading.classroom import gradebook
from cnn_course.grading.classroom.results import Results
from cnn_course.grading.judging import judge
from cnn_course.grading.judging.submission import parse
from cnn_course.grading.lab import Lab, imports_of, is_graded, is_solution, settings, setup_of
from cnn_course.grading.sandbox.cold_host import open_host

LABS = Path(__file__).resolve().parents[1] / "labs"
STOCK = """c = get_config()
c.CourseDirectory.course_id = "cnn-course"
c.ClearSolutions.code_stub = {"python": "raise NotImplementedError"}
c.ClearSolutions.text_stub = "Write your answer here."
c.Execute.timeout = 120
"""
LEAST = {"lab01": 2.0}  # others: 3, because they import torch


def submissions(lab: str, count: int, seed: int = 0) -> list[nbformat.NotebookNode]:
    """Notebooks as students hand them in: the release, with some of the questions answered, well or not."""
    master = nbformat.read(LABS / "source" / lab / f"{lab}.ipynb", as_version=4)
    released = nbformat.read(LABS / "release" / lab / f"{lab}.ipynb", as_version=4)
    models = {settings(c)["grade_id"]: c.source for c in master.cells if is_solution(c)}
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        notebook = copy.deepcopy(released)
        good = rng.choice([0.95, 0.5, 0.1])
        for cell in notebook.cells:
            if is_solution(cell):
                name = settings(cell)["grade_id"]
                if rng.random() < good:
                    cell.source = models[name]
                elif cell.cell_type == "code":
                    cell.source = _wrong(cell.source, int(rng.integers(5)))
        made.append(notebook)
    return made


def _wrong(stub: str, kind: int) -> str:
    return [
        stub,
        "",
        stub.replace("raise NotImplementedError", "return None"),
        stub.replace("raise NotImplementedError", "raise ValueError('no idea')"),
        stub.replace("raise NotImplementedError", "return ("),
    ][kind]


def course(folder: Path, lab: str, notebooks: list[nbformat.NotebookNode]) -> Path:
    """A course folder in which these notebooks were handed in."""
    shutil.copytree(LABS / "source" / lab, folder / "source" / lab)
    (folder / "nbgrader_config.py").write_text(STOCK)
    for i, notebook in enumerate(notebooks):
        place = folder / "submitted" / f"student{i:03d}" / lab
        place.mkdir(parents=True)
        nbformat.write(notebook, place / f"{lab}.ipynb")
    nbgrader(folder, "generate_assignment", lab)  # makes the gradebook, for both before the clock starts
    return folder


def nbgrader(folder: Path, *arguments: str) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    environment["PATH"] = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
    command = [sys.executable, "-m", "nbgrader", *arguments]
    subprocess.run(command, cwd=folder, env=environment, capture_output=True)  # 1 where one submission had errors


def compare(lab: str, count: int, rounds: int, scratch: Path) -> dict:
    """Grade every share with both, in turn, and compare the marks."""
    notebooks = submissions(lab, count)
    seconds = {"stock nbgrader": [], "cnn-course grade": []}
    differences = marks = 0
    for i, share in enumerate(np.array_split(np.arange(count), rounds)):
        own = [notebooks[j] for j in share]
        stock = course(scratch / f"stock{i}", lab, own)
        ours = course(scratch / f"ours{i}", lab, own)
        start = time.perf_counter()
        nbgrader(stock, "autograde", lab)
        seconds["stock nbgrader"].append(time.perf_counter() - start)
        start = time.perf_counter()
        command = [sys.executable, "-m", "cnn_course", "grade", lab, "--course", str(ours), "--seed", "0"]
        done = subprocess.run(command, capture_output=True, text=True)
        seconds["cnn-course grade"].append(time.perf_counter() - start)
        if done.returncode:
            raise RuntimeError(done.stderr)
        theirs = stock_marks(stock, lab)
        for j in range(len(own)):
            student = f"student{j:03d}"
            found = {c.name: c.points for c in Results(Lab(ours, lab)).load(student).grade.cells}
            for name, points in found.items():
                marks += 1
                differences += theirs.get((student, name)) != points
    total = {name: sum(values) for name, values in seconds.items()}
    ratios = [a / b for a, b in zip(*seconds.values(), strict=True)]
    return {
        "lab": lab,
        "submissions": count,
        "seconds": total,
        "per_minute": {name: 60 * count / value for name, value in total.items()},
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "marks": marks,
        "different_marks": differences,
    }


def stock_marks(folder: Path, lab: str) -> dict[tuple[str, str], float | None]:
    found = {}
    with gradebook.opened(gradebook.url_of(folder)) as book:
        for submission in book.assignment_submissions(lab):
            for notebook in submission.notebooks:
                for row in notebook.grades:
                    found[submission.student.id, row.cell.name] = row.auto_score
    return found


def where_time_goes(lab: str, repeat: int) -> dict[str, dict[str, float]]:
    """Seconds of one submission with all model answers, in its parts, medians of `repeat`."""
    from jupyter_client.manager import start_new_kernel

    path = LABS / "source" / lab / f"{lab}.ipynb"
    master = nbformat.read(path, as_version=4)
    setup = next(c.source for c in master.cells if settings(c).get("grade_id") == "setup")
    rest = [c.source for c in master.cells if c.cell_type == "code" and (is_solution(c) or is_graded(c))]
    parts = {"kernel start": [], "imports (setup cell)": [], "answers and tests": []}
    for _ in range(repeat):
        start = time.perf_counter()
        manager, client = start_new_kernel()
        parts["kernel start"].append(time.perf_counter() - start)
        for name, sources in (("imports (setup cell)", [setup]), ("answers and tests", rest)):
            start = time.perf_counter()
            for source in sources:
                client.execute_interactive(source, output_hook=lambda message: None)
            parts[name].append(time.perf_counter() - start)
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    ours = {"host start, once": [], "fork and answers' cells": [], "answers and tests": []}
    submission = parse(path.read_bytes(), master)
    for _ in range(repeat):
        start = time.perf_counter()
        with open_host(imports_of(master), setup_of(master)) as host:
            ours["host start, once"].append(time.perf_counter() - start)
            judge.grade(master, submission, host)  # the trusted side's own imports, once
            start = time.perf_counter()
            pid, channel = host.fork()
            channel.close()
            host.kill(pid)
            ours["fork and answers' cells"].append(time.perf_counter() - start)
            start = time.perf_counter()
            judge.grade(master, submission, host)
            ours["answers and tests"].append(time.perf_counter() - start)
    middle = {name: statistics.median(values) for name, values in parts.items()}
    return {"stock": middle, "ours": {name: statistics.median(values) for name, values in ours.items()}}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--lab", default="lab01", help="such as lab01 (NumPy) or lab06 (torch)")
    parser.add_argument("--submissions", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3, help="in each, both grade a share of the submissions")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there too")
    options = parser.parse_args(arguments)
    if not 1 <= options.rounds <= options.submissions:
        parser.error("--rounds must be at least 1 and at most the number of submissions")
    lab = Lab.find(LABS, options.lab).name
    with tempfile.TemporaryDirectory() as scratch:
        found = compare(lab, options.submissions, options.rounds, Path(scratch))
    for name, value in found["per_minute"].items():
        print(
            f"{name:20} {value:7.1f} submissions per minute ({found['seconds'][name]:.1f} s for {found['submissions']})"
        )
    least = LEAST.get(lab[:5], 3.0)
    low, high = min(found["ratios"]), max(found["ratios"])
    kept = "kept" if found["ratio"] >= least else "MISSED"
    print(f"{lab}: {found['ratio']:.2f} times ({low:.2f} to {high:.2f}), at least {least:g}: {kept} (aim 5)")
    print(f"marks: {found['marks']} compared, {found['different_marks']} differ")
    found["parts"] = where_time_goes(lab, 3)
    for who, parts in found["parts"].items():
        print(f"{who}: " + ", ".join(f"{name} {value:.3f} s" for name, value in parts.items()))
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    return 0 if found["different_marks"] == 0 else 1


if __name__ == "__main__":
    raise SystemExit(main())
