"""Published numbers against the lectures' own: the number in the prose is the number that its notebook computed.

`claims.state` stores each number beside the sentence that shows it, and nbval computes the sentence again. Here these
numbers meet the published ones, which stand in this file and nowhere in the lectures.
"""

import re

import nbformat
import numpy as np
import pytest
from lecture_files import FOLDER, LECTURES, shown
from nbformat.v4 import new_code_cell, new_notebook

from cnn_course import claims, paired
from cnn_course.commands.execute_notebook import code_cells, execute

# (lecture, cell, name): the published value
PUBLISHED = {
    (4, "count-claim", "dense"): 2_408_448,
    (4, "count-claim", "shared"): 75,
    (5, "claim-uses", "corner"): 4,
    (5, "claim-uses", "edge"): 6,
    (5, "claim-uses", "interior"): 9,
    (5, "claim-examples", "size"): 32,
    (5, "claim-examples", "p64"): 4_864,
    (5, "claim-examples", "m64"): 4_915_200,
    (5, "claim-examples", "p10"): 760,
    (5, "claim-examples", "m10"): 768_000,
    (5, "claim-examples", "vgg"): 1_792,
    (5, "claim-bottleneck", "direct"): 819_200,
    (5, "claim-bottleneck", "squeezed"): 110_592,
    (5, "claim-bottleneck", "ratio"): 7.4074,
    (6, "weights-claim", "weights"): 0,
    (6, "weights-claim", "hyperparameters"): 2,
    (6, "circular-claim", "total_stride"): 4,
    (6, "angles-claim", "at_90"): 0,
    (7, "claim-doubling", "before"): 5,
    (7, "claim-doubling", "after"): 6,
    (7, "claim-doubling", "step"): 4,
    (7, "claim-linear", "layers"): 7,
    (7, "claim-linear", "linear"): 2 * 7 + 1,
    (7, "claim-three", "small"): 27,
    (7, "claim-three", "large"): 49,
    (7, "claim-three", "field"): 7,
    (7, "claim-three", "same"): 7,
    (7, "claim-named", "vgg"): 212,
    (7, "claim-named", "alexnet"): 195,
    (8, "depth-figure", "slope"): 0.25,
    (9, "first-loss-claim", "log_classes"): 2.302585,
    (9, "zeros-state", "moved"): 0,
    (11, "modern-claim", "total"): 61_706,
    (11, "count-claim", "parameters"): 60_000,
    (11, "count-claim", "c3"): 1_516,
    (11, "count-claim", "connections"): 340_908,
    (11, "paper", "plain"): 0.95,
    (11, "paper", "warped"): 0.8,
    (11, "paper", "boosted"): 0.7,
    (11, "paper", "train"): 60_000,
    (11, "paper", "distorted"): 540_000,
    (11, "paper", "test"): 10_000,
    (13, "history-claim", "single"): 18.2,
    (13, "history-claim", "five"): 16.4,
    (13, "history-claim", "seven_val"): 15.4,
    (13, "history-claim", "seven_test"): 15.3,
    (13, "history-claim", "clarifai"): 11.7,
    (13, "history-claim", "zf"): 14.8,
    (13, "history-claim", "resnet"): 3.57,
    (13, "history-claim", "resnet_single"): 4.49,
    (13, "history-claim", "human"): 5.1,
    (13, "crops", "published"): 2_048,
    (13, "crops", "ours"): 33**2 * 2,
    (13, "ledger-claim", "first"): 96,
    (13, "ledger-claim", "paper"): 60_965_224,
    (13, "ledger-claim", "tv_first"): 64,
    (13, "ledger-claim", "torchvision"): 61_100_840,
    (13, "dropout-claim", "paper6"): 4_096,
    (13, "dropout-claim", "paper7"): 4_096,
    (13, "dropout-claim", "tv6"): 9_216,
    (13, "dropout-claim", "tv7"): 4_096,
    (13, "ideas-claim", "pools5"): 0.3,
    (13, "ideas-claim", "lrn5"): 1.2,
    (13, "ideas-claim", "cards5"): 1.2,
    (13, "ideas-claim", "pools1"): 0.4,
    (13, "ideas-claim", "lrn1"): 1.4,
    (13, "ideas-claim", "cards1"): 1.7,
    (13, "ideas-claim", "colour1"): 1,
    (13, "ideas-claim", "middle1"): 2,
    (13, "zf-claim", "total"): 62_357_608,
    (14, "claim-small", "large"): 49,
    (14, "claim-small", "small"): 27,
    (14, "claim-small", "field"): 7,
    (14, "claim-ledger", "total"): 138_357_544,
    (14, "claim-ledger", "fc1"): 102_764_544,
    (14, "claim-ledger", "first"): 1_792,
    (14, "claim-paper-bet", "larger"): 7,
    (14, "claim-paper-bet", "b"): 28.7,
    (14, "claim-paper-bet", "c"): 28.1,
    (14, "claim-paper-bet", "d"): 27.0,
    (14, "claim-published", "a"): 29.6,
    (14, "claim-published", "b"): 28.7,
    (14, "claim-published", "d"): 27.0,
    (14, "claim-published", "e"): 27.3,
    (14, "claim-published", "d_scales"): 25.6,
    (14, "claim-published", "e_scales"): 25.5,
    (15, "squeeze-claim", "direct"): 819_200,
    (15, "squeeze-claim", "squeezed"): 110_592,
    (15, "squeeze-claim", "ratio"): 7.4074,
    (15, "ending-claim", "parameters"): 6_624_904,
    (15, "ending-claim", "with_heads"): 13_004_888,
    (15, "against-claim", "alexnet"): 60_965_224,
    (15, "against-claim", "vgg"): 138_357_544,
    (15, "against-claim", "googlenet"): 6_624_904,
    (15, "contest-claim", "googlenet"): 6.67,
    (15, "contest-claim", "vgg"): 7.3,
    (16, "counts", "p20"): 269_722,
    (16, "counts", "p56"): 853_018,
    (16, "counts", "q20"): 269_722,
    (16, "counts", "q56"): 853_018,
    (16, "bottleneck", "narrow"): 69_632,
    (16, "bottleneck", "wide"): 1_179_648,
    (16, "table-claim", "p18"): 11_689_512,
    (16, "table-claim", "p34"): 21_797_672,
    (16, "table-claim", "p50"): 25_557_032,
    (16, "table-claim", "p101"): 44_549_160,
    (16, "table-claim", "p152"): 60_192_808,
}
# Lectures 1 to 3 print theirs.
PRINTED = {
    1: ["150,528,000", "150,529,000", "0.6 GB", "120,000,000", "2,904,074", "1,792"],
    2: ["np.correlate [ 1 -1  1  0]", "np.convolve  [-1  1 -1  0]"],
    3: ["267,960 operations, 2 numbers", "8,003,072,000", "16,006,054,680", "178,640"],
}


def read(number):
    return nbformat.read(next(FOLDER.glob(f"{number:02d}_*.ipynb")), as_version=4)


def stated(notebook):
    """{(cell, name): value} of everything that the notebook states by `claims.state`."""
    found = {}
    for cell in code_cells(notebook):
        for output in cell.outputs:
            for name, value in output.get("metadata", {}).get("claims", {}).items():
                found[cell.id, name] = value
    return found


@pytest.mark.parametrize(("lecture", "cell", "name"), PUBLISHED)
def test_stated_number_is_the_published_one(lecture, cell, name):
    assert stated(read(lecture))[cell, name] == pytest.approx(PUBLISHED[lecture, cell, name], rel=1e-3)


@pytest.mark.parametrize(("lecture", "text"), [(n, text) for n, texts in PRINTED.items() for text in texts])
def test_printed_number_is_the_published_one(lecture, text):
    assert text in shown(*code_cells(read(lecture)))


@pytest.mark.parametrize("path", LECTURES, ids=lambda path: path.stem)
def test_large_numbers_in_the_text_are_computed(path):
    """A number of four digits or more, written with separators, must also come out of a cell."""
    notebook = nbformat.read(path, as_version=4)
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    prose = prose.partition("**References.**")[0]
    outputs = shown(*code_cells(notebook)) + "".join(cell.source for cell in code_cells(notebook))
    numbers = re.findall(r"(?<![\d,.])\d{1,3}(?:,\d{3})+(?![\d,])", prose)
    computed = set(re.findall(r"\d[\d,]*", outputs.replace("_", ",")))
    computed |= {number.rstrip(",").replace(",", "") for number in computed}
    assert [number for number in numbers if number.replace(",", "") not in computed] == []


def test_state_puts_the_numbers_in(capsys):
    claims.state("{few} of {many:,}, that is {share:.1%}", few=75, many=2_408_448, share=75 / 2_408_448)
    assert "75 of 2,408,448, that is 0.0%" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("sentence", "numbers", "error", "message"),
    [
        ("nothing", {}, ValueError, "each number must be named"),
        ("{a}", {"a": 1, "b": 2}, ValueError, r"names the numbers \['a'\], but \['a', 'b'\] were given"),
        ("{a} {b}", {"a": 1}, ValueError, r"names the numbers \['a', 'b'\], but \['a'\]"),
        ("{a}", {"a": "many"}, TypeError, "a must be a finite number, not 'many'"),
        ("{a}", {"a": True}, TypeError, "a must be a finite number, not True"),
        ("{a}", {"a": float("nan")}, ValueError, "a must be a finite number, not nan"),
        ("{a:zz}", {"a": 1}, ValueError, "a format in the sentence does not fit"),
        ("{a", {"a": 1}, ValueError, "sentence cannot be read"),
        (3, {"a": 1}, TypeError, "sentence must be a string, not 3"),
    ],
)
def test_bad_statements(sentence, numbers, error, message):
    with pytest.raises(error, match=message):
        claims.state(sentence, **numbers)


def test_a_claim_that_fails_stops_with_the_stored_settings():
    claim = claims.for_settings({"EPOCHS": 8, "other": 1}, EPOCHS=8)
    claim("nine is less than ten", 9 < 10)
    with pytest.raises(AssertionError) as failure:
        claim("depth hurts", bool(np.bool_(False)), error=np.array([0.25, 0.5]), least=np.float64(1 / 3))
    said = str(failure.value)
    assert said.startswith("claimed: depth hurts; came: error = [0.25 0.5 ], least = 0.3333; line ")
    assert 'claim("depth hurts"' in said  # the line itself


def test_with_other_settings_a_line_says_so(capsys):
    claim = claims.for_settings({"EPOCHS": 1, "SEEDS": 3, "SEED": 7}, EPOCHS=8, SEEDS=3, SEED=0)
    assert "`EPOCHS` is 1, not 8; `SEED` is 7, not 0" in capsys.readouterr().out
    claim("it holds", True, x=1)
    assert capsys.readouterr().out == ""
    claim("depth hurts", np.bool_(False), error=0.25)
    said = "**Does not hold with `EPOCHS = 1`, `SEED = 7`:** depth hurts. Here: error = 0.25."
    assert said in capsys.readouterr().out


def test_nothing_is_said_where_the_settings_are_the_stored_ones(capsys):
    claims.for_settings({"SEEDS": 3, "SAMPLES": (1, 2)}, SEEDS=3, SAMPLES=(1, 2))
    assert capsys.readouterr().out == ""


def test_what_came_has_its_numbers():
    claim = claims.for_settings({})
    gain = paired.difference([0.1, 0.23456789, 0.3], [0, 0.1, 0.11])
    with pytest.raises(AssertionError, match=re.escape("gain = <+0.142 ± 0.113, 3 pairs>; ")):
        claim("better", False, gain=gain)
    errors = {f"network {i}": np.float64(i / 7) for i in range(4)}
    said = (
        "errors = {'network 0': 0, 'network 1': 0.1429, 'network 2': 0.2857, 'network 3': 0.4286}, of = [0.3333, 2]; "
    )
    with pytest.raises(AssertionError, match=re.escape(said)):
        claim("small", False, errors=errors, of=(1 / 3, 2))
    with pytest.raises(AssertionError, match=re.escape("each = [" + "0, " * 20 + "…]; ")):
        claim("small", False, each=[0] * 21)
    inside: list = []
    inside.append(inside)
    with pytest.raises(AssertionError, match="came: x = "):
        claim("finite", False, x=inside)


def test_a_setting_that_is_changed_below_counts(capsys):
    now = {"EPOCHS": 8}
    claim = claims.for_settings(now, EPOCHS=8)
    now["EPOCHS"] = 1  # its cell was run again, not the one that binds
    claim("depth hurts", False)
    assert capsys.readouterr().out == "**Does not hold with `EPOCHS = 1`:** depth hurts. Here: it does not.\n"
    now["EPOCHS"] = 8
    with pytest.raises(AssertionError):
        claim("depth hurts", False)


@pytest.mark.parametrize("value", [8.0, np.int64(8), True, "8", np.array([8, 8]), [8], None])
def test_a_value_of_another_type_is_another(capsys, value):
    claims.for_settings({"EPOCHS": value, "DEPTHS": (5, 10)}, EPOCHS=8, DEPTHS=(5, 10))
    assert "`EPOCHS` is " in capsys.readouterr().out
    claims.for_settings({"DEPTHS": (5.0, True)}, DEPTHS=(5, 1))
    assert "`DEPTHS` is (5.0, True), not (5, 1)" in capsys.readouterr().out


def test_outside_a_notebook_it_is_printed_once(capsys):
    claims.state("{few} of {many:,}", few=75, many=2_408_448)
    assert capsys.readouterr().out == "75 of 2,408,448\n"


@pytest.mark.parametrize(
    "holds", [1, 0.0, "no", None, (False, "message"), [], np.array(True), np.array([]), float("nan")]
)
def test_only_true_and_false_are_an_answer(holds):
    with pytest.raises(TypeError, match="holds must be True or False, not "):
        claims.for_settings({})("all of them", holds)
    with pytest.raises(TypeError, match="holds must be True or False, not .*generator"):
        claims.for_settings({})("all of them", (x for x in [True]))


IN_A_NOTEBOOK = """from cnn_course import claims
EPOCHS = 1
claim = claims.for_settings(globals(), EPOCHS=8)
claims.state("{a} of {b}", a=1, b=2)
claim("depth hurts", False, error=0.25)"""


def test_in_a_notebook_it_is_markdown_twice():
    notebook = new_notebook(cells=[new_code_cell(IN_A_NOTEBOOK), new_code_cell(IN_A_NOTEBOOK)])
    assert execute(notebook, FOLDER).error == []
    first, second = (cell.outputs for cell in notebook.cells)
    assert first == second and len(first) == 3
    assert first[0].data["text/markdown"].startswith("**Not the stored settings:** `EPOCHS` is 1, not 8.")
    assert first[1].data["text/markdown"] == "1 of 2" and first[1].metadata == {"claims": {"a": 1, "b": 2}}
    assert first[2].metadata == {"does_not_hold": "depth hurts"}


def test_bad_claims():
    with pytest.raises(ValueError, match="there is no EPOCHS here: run the cell with the settings first"):
        claims.for_settings({}, EPOCHS=8)
    with pytest.raises(TypeError, match="now must be a dict"):
        claims.for_settings(None)
    claim = claims.for_settings({})
    with pytest.raises(TypeError, match="holds must be True or False, not ndarray of shape"):
        claim("all of them", np.array([True, False]))
    with pytest.raises(TypeError, match="claim must be a string"):
        claim(3, True)
