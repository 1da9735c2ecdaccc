"""The class view of a lab: how many points, which question is hard, what went wrong, which answers are alike."""

from __future__ import annotations

import ast
import collections
import itertools
import re
from dataclasses import dataclass
from pathlib import Path

import nbformat
from jinja2 import Environment

from cnn_course.appearance import colours
from cnn_course.errors import GradeError
from cnn_course.files.whole_files import write_whole
from cnn_course.grading.classroom.results import Result, Results
from cnn_course.grading.lab import Lab, is_solution, settings

ALIKE = 0.9  # share of common pieces from which two answers are shown side by side
_SHORTEST = 25  # nodes of a syntax tree; shorter answers are alike by nature
_PIECE = 6

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{{ lab }}: the class</title>
<style>
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse }
td, th { padding: .15rem .8rem; text-align: left; border-bottom: 1px solid {{ colours.LINE_ON_ANY }} }
.n { text-align: right; font-variant-numeric: tabular-nums }
.bar { background: {{ colours.BLUE }}; height: 1rem }
td.wide { width: 22rem } pre { font: 13px/1.4 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere }
</style>
</head>
<body>
<h1>{{ lab }}: {{ students }} submissions</h1>
<p>Automatic points only: mean {{ mean }}, median {{ median }} of {{ most }}. What a person gives is not counted.</p>
<h2>Points</h2>
<table><tr><th class="n">points</th><th class="n">students</th><th></th></tr>
{% for row in histogram %}<tr><td class="n">{{ row.label }}</td><td class="n">{{ row.count }}</td>
<td class="wide"><div class="bar" style="width: {{ row.share }}%"></div></td></tr>
{% endfor %}</table>
<h2>Questions, the hardest first</h2>
<table><tr><th>test</th><th class="n">passed</th><th></th></tr>
{% for row in questions %}<tr><td>{{ row.name }}</td><td class="n">{{ row.count }} of {{ students }}</td>
<td class="wide"><div class="bar" style="width: {{ row.share }}%"></div></td></tr>
{% endfor %}</table>
<h2>Commonest diagnoses</h2>
<table><tr><th class="n">students</th><th>test</th><th>diagnosis</th></tr>
{% for row in diagnoses %}<tr><td class="n">{{ row.count }}</td><td>{{ row.name }}</td><td>{{ row.text }}</td></tr>
{% endfor %}</table>
<h2>Answers that are nearly the same</h2>
{% if pairs %}<p>Alike after names, comments and layout are taken away. Short answers and the model answer's own form
are left out. That two answers are alike is a reason to ask, and no proof.</p>
<table><tr><th>question</th><th>students</th><th class="n">alike</th></tr>
{% for row in pairs %}<tr><td>{{ row.name }}</td><td>{{ row.who }}</td><td class="n">{{ row.alike }}</td></tr>
{% endfor %}</table>{% else %}<p>None.</p>{% endif %}
{% if odd %}<h2>Odd files</h2><table>
{% for row in odd %}<tr><td>{{ row.who }}</td><td>{{ row.note }}</td></tr>{% endfor %}</table>{% endif %}
</body>
</html>
"""
_TEMPLATE = Environment(autoescape=True).from_string(_PAGE, globals={"colours": colours})


@dataclass(frozen=True)
class Alike:
    """Two answers to one question that share nearly all of their pieces."""

    cell: str
    students: tuple[str, str]
    share: float


def write_report(results: Results) -> Path:
    """Write course/reports/LAB.html from the stored results; returns its path. Raises GradeError if there are none."""
    lab, found = results.lab, results.all()
    if not found:
        raise GradeError(f"nothing has been graded for {lab.name} yet: run cnn-course grade {lab.name}")
    lab.report.parent.mkdir(exist_ok=True)
    write_whole(lab.report, page(lab, found).encode())
    return lab.report


def page(lab: Lab, results: dict[str, Result]) -> str:
    """The report as one page of HTML without scripts. results: by student."""
    cells = [cell for result in results.values() for cell in result.grade.cells]
    manual = {cell.name for cell in cells if cell.points is None}
    automatic = list(dict.fromkeys(cell.name for cell in cells if cell.name not in manual))
    points = sorted(result.grade.points for result in results.values())
    most = sum(c.most for c in next(iter(results.values())).grade.cells if c.name not in manual)
    middle = len(points) // 2
    passed = collections.Counter(c.name for c in cells if c.points == c.most)
    said = collections.Counter((c.name, _diagnosis(c.message)) for c in cells if c.message)
    pairs = alike(lab.master, {student: result.sources for student, result in results.items()})[:100]
    return _TEMPLATE.render(
        lab=lab.name,
        students=len(results),
        mean=f"{sum(points) / len(points):.1f}",
        median=f"{(points[middle] + points[~middle]) / 2:g}",
        most=f"{most:g}",
        histogram=_histogram(points, most),
        questions=[
            {"name": name, "count": passed[name], "share": round(100 * passed[name] / len(results))}
            for name in sorted(automatic, key=lambda name: passed[name])
        ],
        diagnoses=[{"count": count, "name": name, "text": text} for (name, text), count in said.most_common(15)],
        pairs=[
            {"name": pair.cell, "who": " and ".join(pair.students), "alike": f"{100 * pair.share:.0f} %"}
            for pair in pairs
        ],
        odd=[
            {"who": student, "note": " ".join(result.grade.notes)}
            for student, result in sorted(results.items())
            if result.grade.notes
        ],
    )


def alike(master: nbformat.NotebookNode, answers: dict[str, dict[str, str]]) -> list[Alike]:
    """Pairs of students whose answer to one question is nearly the same, most alike first.

    Compared are the pieces of the syntax tree, without names and comments (fingerprints as in Schleimer, Wilkerson and
    Aiken 2003, all of them kept). Pieces of the model answer count for nobody: a short loop is written in few ways.
    """
    found = []
    for cell in master.cells:
        if cell.cell_type != "code" or not is_solution(cell):
            continue
        name = settings(cell)["grade_id"]
        known = _pieces(cell.source)
        pieces = {student: _pieces(own.get(name, "")) - known for student, own in answers.items()}
        pieces = {student: own for student, own in pieces.items() if len(own) >= _SHORTEST - _PIECE}
        for (a, first), (b, second) in itertools.combinations(sorted(pieces.items()), 2):
            # Sets of very different size cannot be alike: most pairs end here.
            if min(len(first), len(second)) < ALIKE * max(len(first), len(second)):
                continue
            share = len(first & second) / len(first | second)
            if share >= ALIKE:
                found.append(Alike(name, (a, b), share))
    return sorted(found, key=lambda pair: (-pair.share, pair.cell, pair.students))


def _pieces(source: str) -> frozenset[int]:
    """Every run of a few nodes of the syntax tree: kinds of nodes and constants, no names."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return frozenset()
    words = [
        f"{type(node).__name__}:{hash(node.value)}" if isinstance(node, ast.Constant) else type(node).__name__
        for node in ast.walk(tree)
        if not isinstance(node, (ast.Load, ast.Store))
    ]
    return frozenset(hash(tuple(words[i : i + _PIECE])) for i in range(len(words) - _PIECE + 1))


def _diagnosis(message: str) -> str:
    """A message without what differs from student to student: the call, the numbers."""
    text = message.partition("\n")[0].partition(": ")[2] or message
    return re.sub(r"-?\d+(\.\d+)?(e[+-]?\d+)?", "…", text)[:200]


def _histogram(points: list[float], most: float) -> list[dict]:
    step = max(1, round(most / 12))
    counts = collections.Counter(int(value // step) for value in points)
    top = max(counts.values())
    rows = []
    for i in range(int(most // step) + 1):
        low, high = i * step, min((i + 1) * step - 1, most)
        label = f"{low:g}" if high <= low else f"{low:g}–{high:g}"
        rows.append({"label": label, "count": counts[i], "share": round(100 * counts[i] / top)})
    return rows
