"""Small faults put into the package, one at a time and in a copy: do the tests notice?

    python tests/mutants.py --report before.json
    python tests/mutants.py --tree OTHER --again before.json --report after.json

Drawn are functions' comparisons, sums, constants, conditions, returns, calls and statements, over all files in
proportion to their statements. A fault is known by the name of its function, what was done and where inside it (the
third constant, say), so that the same fault is found in another version of the tree, wherever its file has moved.

A fault meets the tests that reach its line, those of its own module first and then the quick ones; what runs in
processes of its own is in the table IN_OTHER_PROCESSES. Which test reaches which line is measured once for each tree
(five minutes, with the tests that run in one process) and kept in the file --coverage. Needs pytest-cov in the tree's
environment.
"""

import argparse
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from queue import SimpleQueue

import faults
from faults import Fault

ROOT = Path(__file__).resolve().parent.parent
NOT_COPIED = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".hypothesis", ".*_cache", "gradebook.db", "build")
MEMORY = 16 << 30  # of addresses: a fault may ask for all there is
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
# Tests that start other processes or take long for what they reach in this one: they stay out of the measurement.
APART = (
    *("grading/test_attacks.py", "grading/test_cold_host.py", "grading/test_ends.py", "grading/test_torch_attacks.py"),
    *("grading/test_notebook_attacks.py", "test_grade_class.py", "test_grade_cluster.py", "test_grade_labs.py"),
    *("test_grading_nbgrader.py", "test_grading_stock.py", "test_postgresql.py", "test_provisioner.py"),
    *("test_browser_lectures.py", "test_browser_views.py", "test_benchmarks.py"),
)
_SANDBOX = ("test_networks.py", "grading/test_ends.py", "grading/test_cold_host.py", "grading/test_attacks.py")
_CLASS = ("test_grade_class.py", "test_grading_nbgrader.py")
# Modules that run (also) in processes of their own, by name: the folders moved, the names stayed.
IN_OTHER_PROCESSES = {
    **dict.fromkeys(
        ("host", "warm_host", "warm_up", "cold_host", "student_side", "student", "judge", "wire"), _SANDBOX
    ),
    **dict.fromkeys(("bubblewrap", "sandbox", "launch", "provisioner"), ("test_provisioner.py", *_SANDBOX)),
    **dict.fromkeys(("module_questions", "networks"), ("test_networks.py", "grading/test_torch_attacks.py")),
    **dict.fromkeys(("experiments", "source_text", "submission"), ("grading/test_attacks.py", *_CLASS)),
    **dict.fromkeys(("collect", "grade_class", "gradebook", "pool", "report", "feedback", "grade_command"), _CLASS),
    "nbgrader_steps": ("test_grading_nbgrader.py", "test_grading_stock.py"),
    "distributed": ("test_distributed.py",),
    **dict.fromkeys(("spawned", "spawned_host"), ("test_students_path.py",)),
}


# --- which test reaches which line


class Reach:
    """seconds: of each test that passes. lines: for each file and line, the tests that run it."""

    def __init__(self, seconds: dict[str, float], lines: dict[str, dict[int, list[str]]]) -> None:
        self.seconds, self.lines = seconds, lines

    @classmethod
    def measured(cls, tree: Path, python: str, cache: Path) -> "Reach":
        if not cache.exists():
            with tempfile.TemporaryDirectory() as folder:
                found = _measure(tree, python, Path(folder))
            cache.write_text(json.dumps(found))
        found = json.loads(cache.read_text())
        lines = {
            file: {int(line): [found["tests"][i] for i in which] for line, which in at.items()}
            for file, at in found["lines"].items()
        }
        return cls(found["seconds"], lines)

    def tests(self, fault: Fault, budget: float) -> tuple[list[str], float]:
        """The tests, likeliest and quickest first, as many as fit into `budget`, one at least; their seconds."""
        at = self.lines.get(fault.module, {})
        found = {test for line in range(fault.first, fault.last + 1) for test in at.get(line, ())}
        stem = Path(fault.module).stem

        def place(test: str) -> tuple[bool, float]:
            return not Path(test.partition("::")[0]).stem.startswith(f"test_{stem}"), self.seconds[test]

        chosen, total = [], 0.0
        for test in sorted(found & self.seconds.keys(), key=place):
            if not chosen or total + self.seconds[test] <= budget:
                chosen.append(test)
                total += self.seconds[test]
        return chosen, total


def _measure(tree: Path, python: str, folder: Path) -> dict:
    from coverage import CoverageData

    shutil.copytree(tree, folder / "copy", ignore=NOT_COPIED)
    (folder / "plugin").mkdir()
    for module in (__file__, faults.__file__):
        shutil.copy(module, folder / "plugin")
    (folder / "plain.ini").write_text("[run]\nbranch = false\n")
    words = [
        python,
        "-m",
        "pytest",
        "tests",
        "-q",
        "-n",
        "2",
        "--dist",
        "loadfile",
        "-p",
        "mutants",
        "-m",
        "not browser",
    ]
    words += [f"--ignore=tests/{name}" for name in APART]
    words += [f"--cov={folder / 'copy' / 'cnn_course'}", "--cov-context=test", "--cov-report=", "--cov-fail-under=0"]
    words += [f"--cov-config={folder / 'plain.ini'}"]
    environment = _environment(folder / "copy", folder / "plugin")
    environment |= {"COVERAGE_FILE": str(folder / "data"), "MUTANTS_LOG": str(folder / "log.json")}
    subprocess.run(words, cwd=folder / "copy", env=environment, stdout=sys.stderr)
    seconds = json.loads((folder / "log.json").read_text())
    data = CoverageData(str(folder / "data"))
    data.read()
    number = {test: i for i, test in enumerate(seconds)}
    lines: dict[str, dict[int, list[int]]] = {}
    for file in data.measured_files():
        at = lines[str(Path(file).relative_to(folder / "copy"))] = {}
        for line, contexts in data.contexts_by_lineno(file).items():
            tests = {context.rpartition("|")[0] for context in contexts}
            at[line] = sorted(number[test] for test in tests if test in number)
    return {"tests": list(seconds), "seconds": seconds, "lines": lines}


def _environment(copy: Path, *more: Path) -> dict[str, str]:
    # No byte code from a copy: a fault of the same length in the same second would go unread.
    path = os.pathsep.join(map(str, (copy, *more)))
    own = {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "MPLBACKEND": "agg"}
    # A sandbox that a fault keeps from starting is a failure, not a reason to skip.
    return os.environ | ONE_THREAD | own | {"CI": "true"}


# As a plugin of pytest (-p mutants), this file notes how long each test takes that passes.

_seconds: dict[str, float] = {}
_failed: set[str] = set()


def pytest_runtest_logreport(report) -> None:
    _seconds[report.nodeid] = _seconds.get(report.nodeid, 0.0) + report.duration
    if report.failed or report.skipped:
        _failed.add(report.nodeid)


def pytest_sessionfinish(session) -> None:
    if not hasattr(session.config, "workerinput"):
        passed = {test: seconds for test, seconds in _seconds.items() if test not in _failed}
        Path(os.environ["MUTANTS_LOG"]).write_text(json.dumps(passed))


# --- one fault after the other


def verdict(fault: Fault, reach: Reach, copy: Path, python: str, budget: float) -> dict:
    """Put the fault into the copy, run its tests up to the first failure, take it out again."""
    tests, seconds = reach.tests(fault, budget)
    apart = [f"tests/{name}" for name in IN_OTHER_PROCESSES.get(Path(fault.module).stem, ())]
    apart = [name for name in apart if (copy / name).exists()]
    found = {"verdict": "survived" if tests or apart else "not reached", "by": "", "seconds": 0.0, "tests": len(tests)}
    file, start = copy / fault.module, time.monotonic()
    whole = file.read_bytes()
    file.write_bytes(fault.applied(whole))
    try:
        for these, limit in ((tests, 60 + 5 * seconds), *(([name], 300.0) for name in apart)):
            if these and found["verdict"] == "survived":
                found["verdict"], found["by"] = _run(these, copy, python, limit)
    finally:
        file.write_bytes(whole)
    return found | {"seconds": round(time.monotonic() - start, 1)}


def _run(tests: Sequence[str], copy: Path, python: str, limit: float) -> tuple[str, str]:
    """What the tests say: survived, killed or time is up; and by which test."""
    (copy / "chosen.txt").write_text("\n".join(tests))
    words = [python, "-m", "pytest", "-x", "-q", "--tb=no", "-p", "no:cacheprovider", "-rfE", "@chosen.txt"]
    process = subprocess.Popen(
        words,
        cwd=copy,
        env=_environment(copy),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY)),
    )
    try:
        said, _ = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return "time is up", ""
    if process.returncode in (0, 5):  # 5: no test collected
        return "survived", ""
    by = [line.partition(" ")[2] for line in said.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    return "killed", (by or said.strip().splitlines()[-1:] or [f"exit {process.returncode}"])[0][:200]


def verdicts(
    drawn: Sequence[Fault], reach: Reach, tree: Path, python: str, jobs: int, budget: float
) -> Iterator[tuple[Fault, dict]]:
    """Each fault and what became of it, `jobs` at a time, each in a copy of its own."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(jobs) as pool:
        copies: SimpleQueue[Path] = SimpleQueue()
        for job in range(jobs):
            copies.put(Path(shutil.copytree(tree, Path(folder, f"copy{job}"), ignore=NOT_COPIED)))

        def one(fault: Fault) -> tuple[Fault, dict]:
            copy = copies.get()
            try:
                return fault, verdict(fault, reach, copy, python, budget)
            finally:
                copies.put(copy)

        yield from pool.map(one, drawn)


def found_again(earlier: Iterable[dict], tree: Path) -> tuple[list[Fault], list[dict]]:
    """(those faults in this tree, those whose function or text is gone)."""
    here, lost, found = faults.of_tree(tree), [], []
    for row in earlier:
        fault = Fault(**{name: row[name] for name in Fault.__dataclass_fields__})
        again = faults.same(fault, here)
        found.append(again) if again else lost.append(row)
    return found, lost


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tree", type=Path, default=ROOT)
    parser.add_argument("--python", type=Path, help="default: the tree's own .venv, or else this interpreter")
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--also-in", type=Path, metavar="TREE", help="draw only what this tree has, too")
    parser.add_argument("--again", type=Path, metavar="REPORT", help="the faults of that report instead of new ones")
    parser.add_argument("--report", type=Path, default=Path("mutants.json"))
    parser.add_argument("--coverage", type=Path, help="which test reaches which line; made where it is missing")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--budget", type=float, default=40, help="seconds of tests for each fault")
    parser.add_argument("--list", action="store_true", help="draw and print, run nothing")
    chosen = parser.parse_args(arguments)
    tree = chosen.tree.resolve()
    own = tree / ".venv" / "bin" / "python"
    python = str((chosen.python or (own if own.exists() else Path(sys.executable))).absolute())
    earlier = json.loads(chosen.again.read_text()) if chosen.again else []
    if earlier:
        drawn, lost = found_again(earlier, tree)
        for row in lost:
            print(f"gone from this tree: {row['module']} {row['function']}: {row['before']} -> {row['after']}")
    else:
        others = faults.of_tree(chosen.also_in.resolve()) if chosen.also_in else None
        drawn = faults.draw(faults.of_tree(tree), chosen.count, chosen.seed, others)
    if chosen.list:
        print("\n".join(map(str, drawn)))
        return 0
    cache = chosen.coverage or chosen.report.with_suffix(".coverage.json")
    reach, rows = Reach.measured(tree, python, cache), []
    was = {(row["function"], row["operator"], row["index"], row["before"]): row["verdict"] for row in earlier}
    for fault, found in verdicts(drawn, reach, tree, python, chosen.jobs, chosen.budget):
        rows.append(asdict(fault) | found)
        before = was.get((fault.function, fault.operator, fault.index, fault.before), "")
        print(f"{found['verdict']:11s} {before:11s} {found['seconds']:6.1f} s  {fault}  {found['by']}", flush=True)
        chosen.report.write_text(json.dumps(rows, indent=1))
    count = {word: sum(row["verdict"] == word for row in rows) for word in ("killed", "time is up", "survived")}
    count["not reached"] = len(rows) - sum(count.values())
    print(f"{len(rows)} faults: " + ", ".join(f"{number} {word}" for word, number in count.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
