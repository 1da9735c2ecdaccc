"""Do the lectures stay true in other hands? Each is run with every value that its table of settings recommends, with
three seeds that nobody has looked at, with every cell run again, and on a second device.

    python tests/robust.py [2 12 ...] [--only seeds] [--seed 7] [--jobs 2] [--json FILE]

`held`: every claim holds. `softened`: a claim does not, and the lecture says so where it stands. `broken`: a cell
fails, takes too long or says something else when it is run again, or nothing of the lecture goes to the second device.
Exit 1 if anything is broken, or a fresh seed softens a claim.

Run again, a cell must say the same and draw the same; of one whose numbers differ anyway (nbval-ignore-output) only the
number of lines is compared.
"""

import argparse
import copy
import json
import os
import signal
import sys
import threading
import time
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import settings_table
from lecture_files import LECTURES, least, shown
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from cnn_course.commands.execute_notebook import code_cells, execute, has_tag, with_parameters

ROOT = Path(__file__).resolve().parent.parent
KINDS = ("seeds", "values", "again", "device")
LIMIT = 30.0  # minutes for one run of a lecture; all that it recommends takes a few
SECOND_DEVICE = f"""import sys
sys.path.insert(0, {str(ROOT / "tests")!r})
import second_device
second_device.install()"""
WAS_USED = "assert second_device.COPIES['to the device'], 'nothing went to the second device'"


@dataclass
class Case:
    """One run of a lecture: with which parameters, and what came of it."""

    lecture: str
    kind: str
    changed: dict[str, Any] = field(default_factory=dict)
    verdict: str = ""
    said: list[str] = field(default_factory=list)
    minutes: float = 0.0

    def __str__(self) -> str:
        changed = ", ".join(f"{name} = {value!r}" for name, value in self.changed.items())
        what = {"again": "every cell again", "device": "a second device"}.get(self.kind, changed)
        lines = [f"{self.lecture[:2]}  {what:34s} {self.verdict:9s} {self.minutes:5.1f} min"]
        return "\n".join(lines + [f"      {line}" for line in self.said])


def cases(path: Path, kinds: list[str], seeds: list[int]) -> list[Case]:
    """All runs of one lecture."""
    notebook = nbformat.read(path, as_version=4)
    stored = settings_table.stored(notebook)
    found = []
    if "seeds" in kinds and "SEED" in stored:
        found += [Case(path.stem, "seeds", {"SEED": seed}) for seed in seeds]
    if "values" in kinds:
        for name, tried in settings_table.recommended(notebook).items():
            found += [Case(path.stem, "values", {name: value}) for value in tried]
    if "again" in kinds:
        found.append(Case(path.stem, "again"))
    if "device" in kinds and "DEVICE" in stored:
        found.append(Case(path.stem, "device", least(stored) | {"DEVICE": "auto"}))
    return found


def run(case: Case, limit: float = LIMIT) -> Case:
    """Run a lecture as the case says and judge what came; `limit`: so many minutes at most."""
    path = ROOT / "lectures" / f"{case.lecture}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    if case.changed:
        notebook = with_parameters(notebook, case.changed, case.lecture)
    first = code_cells(notebook)
    if case.kind == "again":
        notebook.cells += again(first)
    if case.kind == "device":
        notebook.cells.insert(0, new_code_cell(SECOND_DEVICE))
        notebook.cells.append(new_code_cell(WAS_USED, id="second-device"))
    done: list[bool] = []
    interrupt = threading.Timer(60 * limit, os.kill, (os.getpid(), signal.SIGINT))
    interrupt.daemon = True
    start = time.perf_counter()
    interrupt.start()
    try:
        outcome = execute(notebook, path.parent, on_cell=lambda: done.append(True))
    except KeyboardInterrupt:
        if time.perf_counter() - start < 60 * limit:
            raise
        case.verdict, case.said = (
            "broken",
            [f"cell {code_cells(notebook)[len(done)].id}: not done after {limit:g} minutes"],
        )
        return case
    finally:
        interrupt.cancel()
        case.minutes = (time.perf_counter() - start) / 60
    case.said = [f"{cell.id}: {claim}" for cell in notebook.cells for claim in not_held(cell)]
    case.verdict = "softened" if case.said else "held"
    if case.kind == "again" and not outcome.error:
        outcome.error = [line for cell in first for line in changed(cell, notebook.cells)]
    if outcome.error:
        case.verdict, case.said = "broken", outcome.error
    return case


def again(cells: list[NotebookNode]) -> list[NotebookNode]:
    """Every cell once more, from the last to the first: each is then a return to an earlier place."""
    copies = [copy.deepcopy(cell) for cell in reversed(cells)]
    for cell in copies:
        cell.id = f"{cell.id}-again"
    return copies


def not_held(cell: NotebookNode) -> list[str]:
    found = [output.get("metadata", {}).get("does_not_hold") for output in cell.get("outputs", ())]
    return [claim for claim in found if claim]


def changed(cell: NotebookNode, cells: list[NotebookNode]) -> list[str]:
    """What a cell said at its second run and not at its first; of numbers that differ anyway, how many."""
    other = next(each for each in cells if each.id == f"{cell.id}-again")
    before, after = shown(cell).splitlines(), shown(other).splitlines()
    if has_tag(cell, "nbval-ignore-output") and len(before) == len(after):
        return []
    if before == after:
        return [] if pictures(cell) == pictures(other) else [f"cell {cell.id}, run again, draws something else"]
    line = next((b for a, b in zip(before, after, strict=False) if a != b), "")
    if len(before) != len(after):
        line = f"{len(after)} lines, {len(before)} before"
    return [f"cell {cell.id}, run again, says something else: {line[:100]}"]


def pictures(cell: NotebookNode) -> list[str]:
    return [output.data["image/png"] for output in cell.outputs if "image/png" in output.get("data", {})]


def result(future: Future[Case], case: Case) -> Case:
    """What came of a case, also where nothing came back: a worker was killed, a lecture cannot be read."""
    try:
        return future.result()
    except Exception as error:
        case.verdict, case.said = "broken", [f"{type(error).__name__}: {error}"]
        return case


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "lectures", nargs="*", type=int, metavar="N", help="numbers of lectures; all where none is named"
    )
    parser.add_argument("--only", choices=KINDS, action="append", help="one kind of run; may be given again")
    parser.add_argument("--seed", type=int, default=0, help="of the three seeds that are drawn")
    parser.add_argument("--limit", type=float, default=LIMIT, metavar="MINUTES", help="for one run of a lecture")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="lectures at once, each on one thread")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table there too")
    options = parser.parse_args(arguments)
    chosen = [path for path in LECTURES if not options.lectures or int(path.stem[:2]) in options.lectures]
    if not chosen:
        parser.error(f"there is no lecture {options.lectures[0]}")
    seeds = np.random.default_rng(options.seed).integers(1_000, 1_000_000, 3).tolist()
    todo = [case for path in chosen for case in cases(path, options.only or KINDS, seeds)]
    print(f"{len(todo)} runs of {len(chosen)} lectures; fresh seeds {', '.join(map(str, seeds))}", flush=True)
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    os.environ["CNN_COURSE_WIDGETS"] = "0"
    done: list[Case] = []
    start = time.perf_counter()
    with ProcessPoolExecutor(options.jobs, max_tasks_per_child=1) as pool:
        futures = {pool.submit(run, case, options.limit): case for case in todo}
        for future in as_completed(futures):
            done.append(result(future, futures[future]))
            print(done[-1], flush=True)
    count = {verdict: sum(case.verdict == verdict for case in done) for verdict in ("held", "softened", "broken")}
    print(
        f"\n{', '.join(f'{n} {name}' for name, n in count.items())}; {(time.perf_counter() - start) / 60:.0f} minutes"
    )
    if options.json:
        options.json.write_text(
            json.dumps([asdict(case) for case in sorted(done, key=lambda c: c.lecture)], indent=1) + "\n"
        )
    lost = [case for case in done if case.verdict == "broken" or (case.kind == "seeds" and case.verdict == "softened")]
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
