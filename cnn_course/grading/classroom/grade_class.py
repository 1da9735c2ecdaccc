"""Grade a class: in parallel, resumable, each submission on its own. What `cnn-course grade` runs.

course/source/LAB/LAB.ipynb is the master and the only authority. For each student this writes

    autograded/STUDENT/LAB/LAB.ipynb    what formgrader shows
    feedback/STUDENT/LAB/LAB.html       what the student gets
    gradebook.db                        nbgrader's gradebook, one transaction per submission
    autograded/STUDENT/LAB/grade.json   the result, written last: what is here need not be graded again
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import os
import secrets
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import nbformat
from tqdm import tqdm

from cnn_course.errors import GradeError, SandboxError, SubmissionError
from cnn_course.files.whole_files import write_whole
from cnn_course.grading.classroom import collect, feedback, gradebook, pool
from cnn_course.grading.judging import judge
from cnn_course.grading.judging.judge import CellGrade, Grade
from cnn_course.grading.judging.submission import Submission, is_graded, parse, read, settings
from cnn_course.grading.sandbox import bubblewrap
from cnn_course.grading.sandbox.cold_host import ColdHost, nests, open_host
from cnn_course.grading.sandbox.warm_host import Host


@dataclass(frozen=True)
class Task:
    """What a worker needs to grade one submission."""

    student: str
    master: Path
    submission: Submission
    seed: int
    seconds: float
    sandboxed: bool

    def __hash__(self) -> int:
        return hash(self.student)


@dataclass
class Outcome:
    """What a run did. failed: by student, why no grade could be given (nobody's fault but the machine's)."""

    graded: int
    unchanged: int
    failed: dict[str, str]


def find_lab(course: Path, name: str, part: str = "source") -> str:
    """The full name of a lab: `lab01` for lab01_convolution. Raises GradeError, with the list, for none or several.

    part: where it must be, "source" (the masters) or "release" (what students get).
    """
    source = Path(course) / part
    labs = sorted(p.name for p in source.iterdir() if (p / f"{p.name}.ipynb").is_file()) if source.is_dir() else []
    found = [lab for lab in labs if lab == name] or [lab for lab in labs if lab.startswith(name)]
    if len(found) != 1:
        known = f"choose one of {', '.join(labs)}" if labs else f"{source} holds no labs"
        raise GradeError(f"{name!r} is {'more than one lab' if found else 'no lab'}: {known}.")
    return found[0]


def grade_class(
    course: Path,
    lab: str,
    *,
    submitted: Path | None = None,
    pattern: str = collect.PATTERN,
    db: str | None = None,
    workers: int | None = None,
    seconds: float = judge.SUBMISSION_SECONDS,
    seed: int | None = None,
    sandboxed: bool = True,
    scheduler: str | None = None,
    only: str = "*",
    again: bool = False,
) -> Outcome:
    """Grade what is new or changed, and refresh every feedback page. See the module's first lines for what it writes.

    seed: of the hidden inputs; drawn at the first run of a lab, written down, and the same from then on, so that the
    whole class gets the same inputs and a second run the same grades. Another seed grades everybody again.
    scheduler: the address of a Dask scheduler, to use its workers. only: a pattern for the students' names.
    again: grade also what has not changed. Raises GradeError, CollectError, GradebookError or SandboxError.
    """
    course = Path(course).resolve()
    lab = find_lab(course, lab)
    path = course / "source" / lab / f"{lab}.ipynb"
    master = nbformat.read(path, as_version=4)
    handed_in = collect.collect(course, lab, submitted, pattern)
    handed_in = [one for one in handed_in if fnmatch.fnmatchcase(one.student, only)]
    if sandboxed:
        bubblewrap.check()
    url = gradebook.url_of(course, db)
    gradebook.register(url, lab, master)
    seed = _seed(course, lab, seed)
    with gradebook.opened(url) as book:
        entered = {submission.student.id for submission in book.assignment_submissions(lab)}
        tasks, refused, unchanged = {}, [], []
        for one in handed_in:
            submission, problem = _taken(one, master)
            fingerprint = _fingerprint(path, submission, problem, seed)
            old = load(course, one.student, lab)
            if old is not None and old["fingerprint"] == fingerprint and one.student in entered and not again:
                unchanged.append((one, submission, _grade_of(old)))
            elif problem:
                refused.append((one, submission, fingerprint, problem))
            else:
                tasks[Task(one.student, path, submission, seed, seconds, sandboxed)] = one, fingerprint
        if tasks and sandboxed and not nests():
            slow = "The kernel refuses namespaces within a sandbox: each submission gets one of its own, which is slow."
            print(slow, file=sys.stderr)
        outcome = Outcome(0, len(unchanged), {})
        for one, submission, fingerprint, problem in refused:
            _write(course, lab, master, one, submission, fingerprint, seed, _refused(master, problem), book)
            outcome.graded += 1
        bar = tqdm(total=len(tasks), desc=lab, unit="submission", disable=not sys.stderr.isatty(), file=sys.stderr)
        for task, result in _results(list(tasks), workers, seconds, scheduler):
            one, fingerprint = tasks[task]
            if isinstance(result, Grade):
                _write(course, lab, master, one, task.submission, fingerprint, seed, result, book)
                outcome.graded += 1
            else:
                outcome.failed[one.student] = f"{type(result).__name__}: {result}"
            bar.update()
        bar.close()
        for one, submission, grade in unchanged:  # a person may have given points or comments since
            _write_feedback(course, lab, master, one.student, submission, grade, book)
    return outcome


def refresh_feedback(course: Path, lab: str, *, db: str | None = None, only: str = "*") -> list[str]:
    """Write the pages again, from the stored results and with what a person gave since; returns the students."""
    master = nbformat.read(course / "source" / lab / f"{lab}.ipynb", as_version=4)
    places = sorted((course / "autograded").glob(f"*/{lab}/grade.json"))
    students = [place.parts[-3] for place in places if fnmatch.fnmatchcase(place.parts[-3], only)]
    with gradebook.opened(gradebook.url_of(course, db)) as book:
        for student in students:
            stored = load(course, student, lab)
            submission = Submission(stored["sources"])
            _write_feedback(course, lab, master, student, submission, _grade_of(stored), book)
    return students


def load(course: Path, student: str, lab: str) -> dict | None:
    """The stored result of one submission; None if there is none."""
    try:
        return json.loads((Path(course) / "autograded" / student / lab / "grade.json").read_text())
    except (OSError, ValueError):
        return None


def _grade(task: Task) -> Grade:
    """Grade one submission, in a worker. The host stays for the next one; one that has ended is replaced."""
    master = nbformat.read(task.master, as_version=4)
    try:
        return judge.grade(master, task.submission, _host(master, task.sandboxed), seed=task.seed, seconds=task.seconds)
    except SandboxError:
        for host in _HOSTS.values():
            host.close()
        _HOSTS.clear()
        return judge.grade(master, task.submission, _host(master, task.sandboxed), seed=task.seed, seconds=task.seconds)


_HOSTS: dict[tuple, Host | ColdHost] = {}


def _host(master: nbformat.NotebookNode, sandboxed: bool) -> Host | ColdHost:
    needs = (tuple(judge.imports_of(master)), judge.setup_of(master))
    if (needs, sandboxed) not in _HOSTS:
        _HOSTS[needs, sandboxed] = open_host(*needs, sandboxed=sandboxed)
    return _HOSTS[needs, sandboxed]


def _results(tasks: list[Task], workers: int | None, seconds: float, scheduler: str | None) -> Iterator:
    if not tasks:
        return
    if scheduler is None:
        workers = min(workers or len(os.sched_getaffinity(0)), len(tasks))
        yield from pool.run(_grade, tasks, workers, seconds + 120)
        return
    try:
        from dask.distributed import Client, as_completed
    except ImportError as error:
        raise GradeError("--scheduler needs Dask: pip install -e '.[cluster]'") from error
    try:
        client = Client(scheduler, timeout=5)
    except OSError as error:
        raise GradeError(f"there is no Dask scheduler at {scheduler}; start one with: dask scheduler") from error
    with client:
        futures = {client.submit(_grade, task, key=f"{task.student}-{task.seed}", pure=False): task for task in tasks}
        for future in as_completed(futures):
            yield futures[future], future.result() if future.status == "finished" else future.exception()


def _taken(one: collect.HandedIn, master: nbformat.NotebookNode) -> tuple[Submission, str]:
    """The answers of a submission, or why there are none."""
    if one.problem:
        return Submission({}), one.problem
    try:
        found = parse(one.data, master) if one.data is not None else read(one.path, master)
    except SubmissionError as error:
        return Submission({}), str(error)
    return Submission(found.answers, [*one.notes, *found.notes]), ""


def _refused(master: nbformat.NotebookNode, problem: str) -> Grade:
    cells = [c for c in master.cells if is_graded(c)]
    return Grade([CellGrade(settings(c)["grade_id"], 0.0, float(settings(c)["points"])) for c in cells], [problem], 0.0)


def _seed(course: Path, lab: str, wanted: int | None) -> int:
    file = course / "autograded" / f".{lab}.json"
    if wanted is None and file.is_file():
        return json.loads(file.read_text())["seed"]
    seed = secrets.randbits(32) if wanted is None else wanted
    file.parent.mkdir(exist_ok=True)
    write_whole(file, json.dumps({"seed": seed}).encode())
    return seed


def _fingerprint(master: Path, submission: Submission, problem: str, seed: int) -> str:
    """What decides a grade: the master, the answers, the seed."""
    text = json.dumps([submission.answers, submission.notes, problem, seed], sort_keys=True)
    return hashlib.sha256(master.read_bytes() + text.encode()).hexdigest()


def _write(course, lab, master, one, submission, fingerprint, seed, grade, book) -> None:
    """Store one result; grade.json comes last, so that an interrupted write is done again."""
    folder = course / "autograded" / one.student / lab
    folder.mkdir(parents=True, exist_ok=True)
    old = load(course, one.student, lab)
    marks = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in submission.answers.items()}
    changed = {name for name, mark in marks.items() if old is None or old["answers"].get(name) != mark}
    notebook = judge.graded_notebook(master, submission, grade)
    write_whole(folder / f"{lab}.ipynb", nbformat.writes(notebook).encode())
    gradebook.save(book, lab, one.student, grade, changed, _timestamp(one))
    _write_feedback(course, lab, master, one.student, submission, grade, book)
    result = asdict(grade) | {"fingerprint": fingerprint, "seed": seed, "answers": marks, "sources": submission.answers}
    result["graded_at"] = datetime.now(UTC).isoformat(timespec="seconds")
    write_whole(folder / "grade.json", json.dumps(result, indent=1).encode())


def _write_feedback(course, lab, master, student, submission, grade, book) -> None:
    folder = course / "feedback" / student / lab
    folder.mkdir(parents=True, exist_ok=True)
    page = feedback.page(master, student, submission, grade, gradebook.by_a_person(book, lab, student)).encode()
    file = folder / f"{lab}.html"
    if not file.is_file() or file.read_bytes() != page:
        write_whole(file, page)


def _grade_of(stored: dict) -> Grade:
    return Grade([CellGrade(**cell) for cell in stored["cells"]], stored["notes"], stored["seconds"])


def _timestamp(one: collect.HandedIn) -> datetime | None:
    """When it was handed in, as nbgrader's collection writes it."""
    file = one.path.parent / "timestamp.txt" if one.path is not None else None
    if file is None or file.is_symlink() or not file.is_file() or file.stat().st_size > 100:
        return None
    from nbgrader.utils import parse_utc

    try:
        return parse_utc(file.read_text().strip())
    except (ValueError, OverflowError, UnicodeDecodeError):
        return None
