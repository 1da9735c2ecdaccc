"""What the rules of test_notebooks.py find, planted in a lecture of a few lines, and what they let be."""

import lecture_faults
import pytest
import settings_table
import test_notebooks as rules
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

TABLE = f"""{settings_table.HEAD}
| --- | --- | --- |
| `DATASET` | `"digits"` | `"mnist"`, after `cnn-course data get mnist` |
| `EPOCHS` | `8` | `3` |
| `SEED`, the first | `0` | any |
"""
PARAMETERS = 'DATASET = "digits"\nEPOCHS = 8\nSEED = 0'
BIND = 'claim = claims.for_settings(globals(), DATASET="digits", EPOCHS=8, SEED=0)'


def planted(*sources, table=TABLE, text="", bind=BIND):
    parameters = new_code_cell(PARAMETERS, id="settings", metadata={"tags": ["parameters"]})
    cells = [new_code_cell(source, id=f"cell-{i}") for i, source in enumerate((bind, *sources))]
    return new_notebook(cells=[new_markdown_cell(table), parameters, *cells, new_markdown_cell(text)])


@pytest.mark.parametrize(
    "source",
    [
        "rng = np.random.default_rng(3)",
        "rng = np.random.default_rng([1, 2])",
        "rng = np.random.default_rng()",
        "rng = np.random.default_rng(None)",
        "rng = np.random.Generator(np.random.PCG64(3))",
        "np.random.seed(0)",
        "x = np.random.rand(3)",
        "random.shuffle(rows)",
        "torch.manual_seed(7)",
        "START = 7\ntorch.manual_seed(START + 1)",
        "for s in (1, 2, 3):\n    torch.manual_seed(s)",
        "nets = [network(seed=s) for s in range(3)]",
        "config = TrainConfig(seed=3)",
        "split = train_test_split(x, random_state=42)",
        "def draw(n, seed=3):\n    return np.random.default_rng(seed).normal(size=n)",
        "def draw(n, seed):\n    return np.random.default_rng(seed).normal(size=n)\nx = draw(5, 3)",
    ],
)
def test_a_seed_that_stays_is_found(source):
    assert lecture_faults.seeds_that_stay(planted(source)) != []


@pytest.mark.parametrize(
    "source",
    [
        "rng = np.random.default_rng(SEED + 3)",
        "seeds = range(SEED, SEED + 3)\nnets = [network(seed=s) for s in seeds]",
        "rng = np.random.Generator(np.random.PCG64(SEED))",
        "def draw(n, seed=SEED):\n    return np.random.default_rng(seed).normal(size=n)\nx = draw(5, SEED)",
        "def draw(n, seed):\n    return np.random.default_rng(seed).normal(size=n)\nx = draw(5, SEED + 1)",
    ],
)
def test_a_seed_that_follows_the_setting_is_not(source):
    assert lecture_faults.seeds_that_stay(planted(source)) == []


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ('claim("all", True)', "nothing in it"),
        ('claim("nine", 9 < 10)', "nothing in it"),
        ('fine = True\nclaim("all", fine)', "nothing in it"),
        ('claim("all", bool(1), loss=loss)', "nothing in it"),
        ('claim("equal", loss == loss, loss=loss)', "with itself"),
        ('claim("between", 0 < loss <= loss, loss=loss)', "with itself"),
        ('claim("alike", np.allclose(x, x))', "with itself"),
        ('assert torch.equal(a.b, a.b), "they differ"', "with itself"),
        ('claim("some", len(rows) >= 0)', "never below 0"),
        ('claim("far", abs(x) >= 0.0)', "never below 0"),
        ('claim("low", loss < 0.5 or True)', "always true"),
    ],
)
def test_a_claim_that_cannot_fail_is_found(source, why):
    found = lecture_faults.claims_that_cannot_fail(planted(source))
    assert len(found) == 1 and why in found[0], found


@pytest.mark.parametrize(
    "source",
    [
        'rows = []\nrows.append(loss)\nclaim("one", len(rows) == 1)',
        'a, b = [], {}\nclaim("none", a == sorted(a) and len(b) > 0)',
        'run = runs.find("x")\nclaim("right", run > 0.5 or run < -0.5)',
        'claim("alike", np.allclose(x, y) and abs(x) >= 0.1)',
        'claim("size", output_size(3, 3) == size)',
        'assert torch.equal(*weights), "they differ"',
        "for n in (1, 2):\n    claim(f'{n}', n < loss)",
    ],
)
def test_a_claim_that_can_fail_is_not(source):
    assert lecture_faults.claims_that_cannot_fail(planted(source)) == []


@pytest.mark.parametrize(
    "source",
    [
        'if DATASET == "digits":\n    claim("low", loss < 1)',
        'if DATASET != "digits":\n    print(loss)\nelse:\n    claim("low", loss < 1)',
        'claim("low", loss < 1) if EPOCHS == 8 else None',
        'small = DATASET == "digits"\nif small:\n    assert loss < 1, loss',
        'claim("low", DATASET != "digits" or loss < 1)',
        'claim("low", loss < 1 if EPOCHS == 8 else loss < 9)',
        'match DATASET:\n    case "digits":\n        claim("low", loss < 1)',
        'try:\n    claim("low", loss < 1)\nexcept AssertionError:\n    pass',
        'with contextlib.suppress(AssertionError):\n    claim("low", loss < 1)',
        'def held():\n    claim("low", loss < 1)',
    ],
)
def test_a_claim_that_hides_is_found(source):
    assert lecture_faults.claims_that_hide(planted(source)) != []


@pytest.mark.parametrize(
    "source",
    [
        'def held():\n    claim("low", loss < 1)\nheld()',
        'for name in nets:\n    if name != "tanh":\n        claim("low", nets[name] < EPOCHS)',
        'if DATASET == "mnist":\n    print("more")\nclaim("low", loss < 1)',
        'claim("one way or the other", loss < 1 or loss > EPOCHS)',
    ],
)
def test_a_claim_that_every_setting_meets_is_not(source):
    assert lecture_faults.claims_that_hide(planted(source)) == []


def test_a_difference_without_its_sign_is_found():
    unsigned = planted('claim("better", gain.certain, gain=gain)', 'claim("better", gains["a"].certain and x.mean > 0)')
    assert [each.partition(":")[0] for each in lecture_faults.differences_without_a_sign(unsigned)] == [
        "cell-1",
        "cell-2",
    ]
    signed = planted('claim("better", gain.certain and gain.mean > 0)', 'claim("open", not gain.certain)')
    assert lecture_faults.differences_without_a_sign(signed) == []


@pytest.mark.parametrize(
    "source", ["EPOCHS = 3", "for SEED in range(3):\n    pass", "claim = print", "def claim(*_): pass"]
)
def test_a_setting_made_anew_is_found(source):
    assert lecture_faults.settings_made_anew(planted(source)) != []
    with pytest.raises(AssertionError):
        rules.test_claims_are_bound_to_the_stored_settings(planted(source))


def test_what_only_uses_a_setting_is_not():
    used = planted("curve = {}\ncurve[EPOCHS - 1] = 3\ncurve[SEED], other = 2, EPOCHS")
    assert lecture_faults.settings_made_anew(used) == []


@pytest.mark.parametrize(
    "bind",
    [
        'claim = claims.for_settings(globals(), DATASET="digits", EPOCHS=8.0, SEED=0)',
        'claim = claims.for_settings(globals(), DATASET="digits", EPOCHS=8)',
        'claim = claims.for_settings({"SEED": 0}, DATASET="digits", EPOCHS=8, SEED=0)',
        'claims.for_settings(globals(), DATASET="digits", EPOCHS=8, SEED=0)',
    ],
)
def test_claims_bound_to_anything_else_are_found(bind):
    rules.test_claims_are_bound_to_the_stored_settings(planted())
    with pytest.raises(AssertionError):
        rules.test_claims_are_bound_to_the_stored_settings(planted(bind=bind))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("| `8`", "| `9`"),
        ("| `8`", "| `8.0`"),
        ("| `8`", "| 8"),
        ("| `3`", "| `thrice`"),
        ("| `3`", "| `3`, `10 * 2`"),
        ("| `SEED`, the first", "| the first seed"),
        ("| `EPOCHS`", "| `ROUNDS`"),
        ("| any |", "| any | more |"),
    ],
)
def test_a_row_that_is_wrong_is_found(old, new):
    rules.test_every_setting_is_in_the_table_with_values_to_try(planted(table=TABLE + "\n`|a|` is | not | a row"))
    with pytest.raises(AssertionError):
        rules.test_every_setting_is_in_the_table_with_values_to_try(planted(table=TABLE.replace(old, new)))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("lectures 4 and 99", "no lecture 99"),
        ("Lectures 4–99", "no lecture 99"),
        ("labs 1, 2 and 88", "no lab 88"),
        ("sections 2.1 and 2.99", "no section 2.99"),
        ("sections 2.1 to 2.99", "no section 2.99"),
        ("section 77.1", "no section 77.1"),
        ("see § 2.99", "no section 2.99"),
    ],
)
def test_a_reference_to_nothing_is_found(text, found):
    with pytest.raises(AssertionError, match=found):
        rules.test_what_is_referred_to_exists(planted(text=text))
    rules.test_what_is_referred_to_exists(
        planted(text="sections 2.1 and 2.2, lectures 1 to 3, lab 1. Of 3 labs 2 are short.")
    )


@pytest.mark.parametrize(
    "text", ["[lab](../labs/lab99.ipynb)", "[a]: nowhere.md", "[two](02_convolution_in_numpy.ipynb#2.99-Flip)"]
)
def test_a_link_to_nothing_is_found(text):
    with pytest.raises(AssertionError):
        rules.test_links_to_files_exist(rules.LECTURES[0], planted(text=text))


def test_a_path_to_nothing_is_found():
    rules.test_paths_in_the_text_exist(planted(text="`cnn_course/claims.py` and `data/runs`"))
    with pytest.raises(AssertionError, match="cnn_course/claimed"):
        rules.test_paths_in_the_text_exist(planted(text="`cnn_course/claimed.py`"))


@pytest.mark.parametrize(
    ("sources", "fault"),
    [
        (("loss = run()\nprint(loss)", 'other = run()\nclaim("low", other < 1)'), True),
        (("loss = run()\nprint(loss)", "# claim(loss < 1)"), True),
        (("loss = run()\nprint(loss)", 'claim("low", loss < 1)'), False),
        (("loss = run()\nprint(loss)", 'gain = 1 - loss\nclaim("low", gain > 0)'), False),
        (("loss = run()\nprint(loss)", 'def gain():\n    return 1 - loss\nx = gain()\nclaim("low", x > 0)'), False),
        (('loss = run()\nclaim("low", loss < 1)', "print(loss)"), False),
        (('loss = run()\nprint(loss)\nclaim("low", loss < 1)',), False),
    ],
)
def test_numbers_that_nothing_holds_are_found(sources, fault):
    notebook = planted(*sources)
    shows = next(cell for cell in notebook.cells if "print(loss)" in cell.source)
    shows.metadata.tags = ["nbval-ignore-output"]
    shows.outputs = [new_output("stream", name="stdout", text="0.25\n")]
    assert bool(lecture_faults.numbers_that_nothing_holds(notebook)) == fault


def test_a_claim_that_did_not_hold_is_found():
    notebook = planted("loss = 3")
    notebook.cells[-2].outputs = [new_output("display_data", metadata={"does_not_hold": "low"})]
    with pytest.raises(AssertionError, match="cell-1"):
        rules.test_every_claim_held_when_the_lecture_was_stored(notebook)
