"""Quick checks: a question with instant feedback in JupyterLab, a foldable answer everywhere else.

    quiz.choice("What is 2 + 2?", ["3", "4"], "4", {"3": "That is 2 + 1.", "4": "Count on from 2."})
    quiz.number("How many weights has a 5x5 kernel over 3 channels?", 75, "5 * 5 * 3 = 75, without the bias.")

Text between backticks is shown as code. The answer is judged in the browser, so feedback comes at once even while the
kernel trains a network, and nothing that a student does changes what the notebook stores.

A new kind of question is a function like `choice`, which checks what it is given and makes the data; a function that
draws them without a browser, with its name in KINDS below; and a function that draws them in one, in KINDS of quiz.js.
How they look is in appearance/views.css.
"""

import html
import re
from collections.abc import Mapping, Sequence

import traitlets

from cnn_course.appearance.live import StaticFirst, module
from cnn_course.arguments.floats import finite, is_number
from cnn_course.arguments.objects import sequence, text
from cnn_course.arguments.shown import brief, shown

LETTERS = "ABCDEFGH"


class Quiz(StaticFirst):
    """A quick check. `data` is what KINDS needs here and in the browser: kind, question, options or answer, reasons.

    Raises ValueError for a kind that is not in KINDS.
    """

    _esm = module(__file__)
    data = traitlets.Dict().tag(sync=True)

    def static_bundle(self) -> tuple[dict, dict]:
        page, text = KINDS[self.data["kind"]](self.data)
        return {"text/html": page, "text/plain": text}, {}

    @traitlets.validate("data")
    def _of_a_known_kind(self, proposal: Mapping) -> dict:
        data = proposal["value"]
        if data.get("kind") not in KINDS:
            raise ValueError(f"quiz: there is no quick check of the kind {data.get('kind')!r}, only {', '.join(KINDS)}")
        return data


def choice(question: str, options: Sequence[str], answer: str, why: Sequence[str] | Mapping[str, str]) -> Quiz:
    """A question with two to eight options, one of them right.

    options: what to choose from, in the order shown. answer: the right one, word for word.
    why: one reason for each option, as a list in the same order or a dict from option to reason; every reason is
    shown when its option is chosen.
    Raises ValueError if the answer is not an option, an option comes twice or a reason is missing; TypeError for what
    is no text.
    """
    _check_text("question", question)
    options = [_option(i, option) for i, option in enumerate(sequence("options", options, "a list of texts"))]
    if not 2 <= len(options) <= len(LETTERS):
        raise ValueError(f"choice: {len(options)} options were given, but a question needs 2 to {len(LETTERS)}")
    if len(set(options)) < len(options):
        twice = next(option for option in options if options.count(option) > 1)
        raise ValueError(f"choice: the option {twice!r} is there twice: make all options different")
    if text("answer", answer) not in options:
        raise ValueError(f"choice: the answer {answer!r} is not one of the options {options}")
    if isinstance(why, Mapping):
        why = {str(option): reason for option, reason in why.items()}
        unknown = [option for option in why if option not in options]
        missing = [option for option in options if option not in why]
        if unknown or missing:
            name, what = (missing[0], "has no reason") if missing else (unknown[0], "has a reason but is no option")
            raise ValueError(f"choice: {name!r} {what}: `why` needs one reason for each of the options {options}")
        reasons = [why[option] for option in options]
    else:
        reasons = [why] if isinstance(why, str) else sequence("why", why, "a list of texts, or a dict of them")
        if len(reasons) != len(options):
            count = "one text" if isinstance(why, str) else f"{len(reasons)} reasons"
            raise ValueError(f"choice: `why` has {count} for {len(options)} options: give one reason for each option")
    for option, reason in zip(options, reasons, strict=True):
        _check_text(f"why: the reason for {option!r}", reason)
    return Quiz(
        data={
            "kind": "choice",
            "question": question,
            "options": options,
            "right": options.index(answer),
            "why": reasons,
        }
    )


def number(
    question: str,
    answer: float,
    why: str,
    tolerance: float = 0,
    *,
    mistakes: Mapping[float, str] | None = None,
    unit: str = "",
) -> Quiz:
    """A question whose answer is a number; right if it is within `tolerance` of `answer`.

    why: the reason, shown with the right answer. mistakes: likely wrong answers, each with what to think about; it is
    shown to a student who types that number. A student may type 2408448, 2,408,448, 3/4 or 1e6.
    Raises ValueError if a number is not finite, the tolerance is negative or a mistake would count as right; TypeError
    for what is no number, no dict or no text.
    """
    _check_text("question", question)
    _check_text("why", why)
    finite("answer", answer)
    finite("tolerance", tolerance, least=0)
    text("unit", unit)
    if mistakes is not None and not isinstance(mistakes, Mapping):
        raise TypeError(f"mistakes must be a dict from a number to a text, not {shown(mistakes)}")
    listed = []
    for wrong, reason in (mistakes or {}).items():
        finite("each number in mistakes", wrong)
        _check_text(f"the reason for the mistake {wrong} in mistakes", reason)
        if abs(float(wrong) - float(answer)) <= tolerance:  # NumPy's without a sign would wrap around
            raise ValueError(
                f"number: the mistake {wrong} would count as right (answer {answer}, tolerance {tolerance}): leave it "
                "out of mistakes"
            )
        listed.append([_json_number(wrong), reason])
    return Quiz(
        data={
            "kind": "number",
            "question": question,
            "answer": _json_number(answer),
            "shown": f"{_with_commas(answer)}{f' {unit}' if unit else ''}",
            "unit": unit,
            "tolerance": _json_number(tolerance),
            "why": why,
            "mistakes": listed,
        }
    )


def _option(index: int, option: object) -> str:
    if not isinstance(option, str) and not is_number(option):
        raise TypeError(f"options[{index}] must be a text, not {shown(option)}")
    return str(option)


def _check_text(name: str, value: object) -> None:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"quiz: {name} is {brief(value)}, but it must be a text")


def _json_number(value: float) -> int | float:
    # NumPy numbers do not travel as JSON.
    return int(value) if float(value).is_integer() else float(value)


def _with_commas(value: float) -> str:
    value = _json_number(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"


def _html(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))


def _choice_static(data: dict) -> tuple[str, str]:
    options, why, right = data["options"], data["why"], data["right"]
    rows = list(zip(LETTERS, options, why, strict=False))
    # The letters are written out: notebook pages number a list in their own way.
    items = "".join(f"<li><strong>{letter}.</strong> {_html(option)}</li>" for letter, option, _ in rows)
    verdicts = "".join(
        f"<li><strong>{letter}.</strong> {_html(option)}<br>{'Right' if i == right else 'Not so'}. {_html(reason)}</li>"
        for i, (letter, option, reason) in enumerate(rows)
    )
    page = (
        f"<p><strong>Quick check.</strong> {_html(data['question'])}</p><ul>{items}</ul>"
        f"<details><summary>Answer and reasons</summary><p>Answer: {LETTERS[right]}</p><ul>{verdicts}</ul></details>"
    )
    lines = [f"Quick check. {data['question']}"]
    lines += [f"  {letter}. {option}" for letter, option, _ in rows]
    lines += [f"Answer: {LETTERS[right]}. {why[right]}"]
    return page, "\n".join(lines)


def _number_static(data: dict) -> tuple[str, str]:
    page = (
        f"<p><strong>Quick check.</strong> {_html(data['question'])}</p>"
        f"<details><summary>Answer and reason</summary><p>Answer: {_html(data['shown'])}</p>"
        f"<p>{_html(data['why'])}</p></details>"
    )
    return page, f"Quick check. {data['question']}\nAnswer: {data['shown']}. {data['why']}"


# From each kind to what draws its data where there is no browser: (HTML, plain text).
KINDS = {"choice": _choice_static, "number": _number_static}
