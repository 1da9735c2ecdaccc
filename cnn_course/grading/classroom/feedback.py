"""One HTML page for each student: points, what the tests said, and the student's own answers. Nothing in it runs.

Everything is escaped text in a page without scripts, links or pictures. Of a hidden test it shows the points and the
diagnosis, not the test.
"""

from __future__ import annotations

import re
from typing import Any

import nbformat
from jinja2 import Environment

from cnn_course.appearance import colours
from cnn_course.grading.judging.judge import Grade, plain
from cnn_course.grading.judging.submission import Submission
from cnn_course.grading.lab import is_solution, settings

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}: {{ student }}</title>
<style>
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse }
td, th { padding: .2rem .8rem; text-align: left; border-bottom: 1px solid {{ colours.LINE_ON_ANY }} }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums }
pre { font: 14px/1.45 ui-monospace, monospace; padding: .7rem; white-space: pre-wrap; overflow-wrap: anywhere;
      border-left: 4px solid {{ colours.LINE_ON_ANY }}; background: {{ colours.SHADE_ON_ANY }} }
pre.said { border-left-color: {{ colours.VERMILION }} }
.passed::before { content: "\\2713  " } .failed::before { content: "\\2717  " }
</style>
</head>
<body>
<h1>{{ title }}</h1>
<p>{{ student }}: <strong>{{ points }} of {{ most }} points</strong>
{%- if waiting %}; {{ waiting }} more points wait for a person{% endif %}.</p>
{% if notes %}<h2>About the file</h2><ul>{% for note in notes %}<li>{{ note }}</li>{% endfor %}</ul>{% endif %}
<table><tr><th>question</th><th class="n">points</th><th class="n">of</th></tr>
{% for q in questions %}<tr><td>{{ q.title }}</td><td class="n">{{ q.points }}</td><td class="n">{{ q.most }}</td></tr>
{% endfor %}</table>
{% for q in questions %}
<h2>{{ q.title }}</h2>
{% for text in q.answers %}<pre>{{ text }}</pre>{% endfor %}
{% for t in q.tests %}<p class="{{ t.state }}">{{ t.title }}: {{ t.points }} of {{ t.most }}</p>
{% if t.message %}<pre class="said">{{ t.message }}</pre>{% endif %}
{% if t.comment %}<p>Comment: {{ t.comment }}</p>{% endif %}
{% endfor %}{% endfor %}
</body>
</html>
"""
_TEMPLATE = Environment(autoescape=True).from_string(_PAGE, globals={"colours": colours})


def page(
    master: nbformat.NotebookNode, submission: Submission, grade: Grade, manual: dict[str, tuple[float | None, str]]
) -> str:
    """The page of one student. manual: by cell, the points that a person gave (None: not yet) and the comment."""
    found = {cell.name: cell for cell in grade.cells}
    questions: list[dict[str, Any]] = []
    waiting = 0.0
    for cell in master.cells:
        name = settings(cell).get("grade_id", "")
        heading = re.match(r"#+ (.*?)(?: \(\d.*\))?\n", cell.source + "\n") if cell.cell_type == "markdown" else None
        if re.fullmatch(r"q\d+", name) and heading:
            questions.append({"title": heading[1], "answers": [], "tests": [], "points": 0.0, "most": 0.0})
        if not questions:
            continue
        question = questions[-1]
        if is_solution(cell):
            question["answers"].append(plain(submission.answers.get(name, "")))
        if name in found:
            result = found[name]
            given, comment = manual.get(name, (None, ""))
            points = given if given is not None else result.points
            if points is None:
                waiting += result.most
                question["open"] = True
            question["points"] += points or 0.0
            question["most"] += result.most
            said = "\n".join([result.message, *(f"  {line}" for line in result.lines)]).strip()
            question["tests"].append(
                {
                    "title": _title(cell),
                    "points": "to be read" if points is None else f"{points:g}",
                    "most": f"{result.most:g}",
                    "state": "passed" if points == result.most else "" if points is None else "failed",
                    "message": said,
                    "comment": comment,
                }
            )
    points, most = (sum(q[key] for q in questions) for key in ("points", "most"))
    for question in questions:
        shown = f"{question['points']:g}"
        if question.get("open"):
            shown = "to be read" if not question["points"] else f"{shown}, to be read"
        question["points"], question["most"] = shown, f"{question['most']:g}"
    title = re.match(r"# (.*)", master.cells[0].source)
    return _TEMPLATE.render(
        title=title[1] if title else "Feedback",
        student=submission.student,
        points=f"{points:g}",
        most=f"{most:g}",
        waiting=f"{waiting:g}" if waiting else "",
        notes=grade.notes,
        questions=questions,
    )


def _title(cell: nbformat.NotebookNode) -> str:
    if cell.cell_type == "markdown":
        return "your answer"
    words = re.match(r"# Question \d+, (\w+ test(?:: [^(]*)?)", cell.source)
    return words[1].strip() if words else "test"
