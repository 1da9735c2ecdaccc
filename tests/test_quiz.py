import json
import re

import numpy as np
import pytest

from cnn_course import quiz
from cnn_course.appearance.live import WIDGET_VIEW

OPTIONS = ["3", "4", "<5>"]
WHY = ["That is 2 + 1.", "Count on from `2`.", "That is 2 + 3."]


def bundle(view):
    return view._repr_mimebundle_()[0]


def test_choice_shows_question_options_answer_and_every_reason():
    data = bundle(quiz.choice("What is `2 + 2`?", OPTIONS, "4", WHY))
    page, text = data["text/html"], data["text/plain"]
    assert "<code>2 + 2</code>" in page and "&lt;5&gt;" in page and "<5>" not in page
    shown, folded = page.split("<details>")
    assert "Answer" not in shown and "Answer: B" in folded and folded.count("<li>") == 3
    assert folded.count("Right.") == 1 and folded.count("Not so.") == 2
    assert text.endswith("Answer: B. Count on from `2`.") and "  C. <5>" in text


def test_choice_takes_reasons_as_a_dict_in_any_order():
    by_name = dict(reversed(list(zip(OPTIONS, WHY, strict=True))))
    assert quiz.choice("q", OPTIONS, "4", by_name).data == quiz.choice("q", OPTIONS, "4", WHY).data


def test_static_part_is_the_same_on_every_run():
    first, second = (bundle(quiz.choice("q", OPTIONS, "4", WHY)) for _ in range(2))
    assert first.pop(WIDGET_VIEW) != second.pop(WIDGET_VIEW)
    assert first == second


def test_widgets_off_gives_only_the_static_part(monkeypatch):
    monkeypatch.setenv("CNN_COURSE_WIDGETS", "0")
    for view in (quiz.choice("q", OPTIONS, "4", WHY), quiz.number("q", 1, "w")):
        assert set(bundle(view)) == {"text/html", "text/plain"} and view.comm is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answer": "7"}, "answer '7' is not one of the options"),
        ({"why": WHY[:2]}, "2 reasons for 3 options"),
        ({"why": "because"}, "one text for 3 options"),
        ({"why": {"3": "a", "4": "b"}}, "'<5>' has no reason"),
        ({"why": dict(zip([*OPTIONS, "6"], [*WHY, "x"], strict=True))}, "'6' has a reason but is no option"),
        ({"why": [*WHY[:2], " "]}, "the reason for '<5>' is ' '"),
        ({"options": ["4"]}, "1 options were given"),
        ({"options": ["3", "4", "4"]}, "'4' is there twice"),
        ({"question": ""}, "question is ''"),
    ],
)
def test_choice_refuses_what_a_student_could_not_answer(change, message):
    arguments = {"question": "q", "options": OPTIONS, "answer": "4", "why": WHY} | change
    with pytest.raises(ValueError, match=re.escape(message)):
        quiz.choice(**arguments)


def test_number_shows_answer_with_separators_and_unit():
    data = bundle(quiz.number("How many?", np.int64(2408448), "Because.", unit="weights"))
    shown, folded = data["text/html"].split("<details>")
    assert "2,408,448" not in shown and "Answer: 2,408,448 weights" in folded and "Because." in folded
    assert data["text/plain"] == "How many?".join(["Quick check. ", "\nAnswer: 2,408,448 weights. Because."])


def test_number_sends_plain_numbers_to_the_browser():
    data = quiz.number("q", np.float32(0.5), "w", np.float64(0.25), mistakes={np.int64(2): "no"}).data
    assert json.loads(json.dumps(data)) == data
    assert (data["answer"], data["tolerance"], data["mistakes"]) == (0.5, 0.25, [[2, "no"]])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((True, "w"), TypeError, "answer must be a finite number, not True"),
        (("4", "w"), TypeError, "answer must be a finite number, not '4'"),
        ((float("nan"), "w"), ValueError, "answer must be a finite number"),
        ((1, "w", -1), ValueError, "tolerance must be a finite number, at least 0, not -1"),
        ((1, ""), ValueError, "why is ''"),
    ],
)
def test_number_refuses(arguments, error, message):
    with pytest.raises(error, match=re.escape(message)):
        quiz.number("q", *arguments)


@pytest.mark.parametrize("mistakes", ["no", False, [3], {"three": "no"}, {float("nan"): "no"}, {3: ""}])
def test_number_refuses_mistakes_that_no_student_could_make(mistakes):
    with pytest.raises((TypeError, ValueError), match="mistakes"):
        quiz.number("q", 4, "w", mistakes=mistakes)


def test_number_refuses_a_mistake_that_is_right():
    with pytest.raises(ValueError, match="the mistake 10 would count as right"):
        quiz.number("q", 9, "w", 2, mistakes={10: "too many"})


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="no quick check of the kind 'guess', only choice, number"):
        quiz.Quiz(data={"kind": "guess", "question": "q", "shown": "1", "why": "w"})


def test_the_browser_knows_the_same_kinds():
    (kinds,) = re.findall(r"const KINDS = \{(.*)\};", quiz.Quiz._esm)
    assert re.findall(r"(\w+):", kinds) == list(quiz.KINDS)
