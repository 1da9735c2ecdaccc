"""What `make robust` finds, in a lecture of a few lines."""

import pytest
import robust
import settings_table
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

TABLE = f"""Settings.

{settings_table.HEAD}
| --- | --- | --- |
| `DATASET`, the images | `"digits"`, in the package | `"mnist"`, after `cnn-course data get mnist` |
| `EPOCHS` | `8` | `1`, or `(2, 3)` with 5 GPUs |
| `SEED` | `0` | any |
| `DEVICE` | `"cpu"` | `"auto"` |
"""
PARAMETERS = 'DATASET = "digits"\nEPOCHS = 8\nSEED = 0\nDEVICE = "cpu"'
BIND = """from cnn_course import claims

claim = claims.for_settings(globals(), DATASET="digits", EPOCHS=8, SEED=0)"""


def notebook(*cells: str, table: str = TABLE):
    parameters = new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})
    made = [new_markdown_cell("# 1. Odd"), new_markdown_cell(table), parameters, new_code_cell(BIND)]
    made += [new_code_cell(source, id=f"cell-{i}") for i, source in enumerate(cells)]
    return new_notebook(cells=made)


@pytest.fixture
def lecture(tmp_path, monkeypatch):
    """Store a lecture with such cells, and return its path."""
    monkeypatch.setattr(robust, "ROOT", tmp_path)
    monkeypatch.setenv("CNN_COURSE_WIDGETS", "0")

    def store(*cells: str):
        path = tmp_path / "lectures" / "01_odd.ipynb"
        path.parent.mkdir(exist_ok=True)
        path.write_text(robust.nbformat.writes(notebook(*cells)), encoding="utf-8")
        return path

    return store


def test_the_table_is_read():
    one = notebook()
    assert settings_table.stored(one) == {"DATASET": "digits", "EPOCHS": 8, "SEED": 0, "DEVICE": "cpu"}
    assert settings_table.recommended(one) == {"DATASET": ["mnist"], "EPOCHS": [1, (2, 3)]}
    assert settings_table.table(one)["EPOCHS"] == ("`8`", "`1`, or `(2, 3)` with 5 GPUs")
    assert settings_table.stored(new_notebook()) == settings_table.table(new_notebook()) == {}


def test_every_kind_of_run_is_planned(lecture):
    cases = robust.cases(lecture("x = 1"), list(robust.KINDS), [5, 6, 7])
    assert [(case.kind, case.changed) for case in cases] == [
        *(("seeds", {"SEED": seed}) for seed in (5, 6, 7)),
        ("values", {"DATASET": "mnist"}),
        ("values", {"EPOCHS": 1}),
        ("values", {"EPOCHS": (2, 3)}),
        ("again", {}),
        ("device", {"EPOCHS": 1, "DEVICE": "auto"}),
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cell", "changed", "verdict", "said"),
    [
        ('claim("eight", EPOCHS == 8, epochs=EPOCHS)', {}, "held", []),
        ('claim("eight", EPOCHS == 8, epochs=EPOCHS)', {"EPOCHS": 1}, "softened", ["cell-0: eight"]),
        ('claim("nine", EPOCHS == 9, epochs=EPOCHS)', {}, "broken", ["claimed: nine; came: epochs = 8"]),
        ("[][EPOCHS - 8:][EPOCHS - 1]", {"EPOCHS": 1}, "broken", ["IndexError"]),
    ],
)
def test_a_run_is_judged(lecture, cell, changed, verdict, said):
    lecture(cell)
    case = robust.run(robust.Case("01_odd", "values", changed))
    assert case.verdict == verdict
    assert all(any(words in line for line in case.said) for words in said), case.said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cells", "verdict", "said"),
    [
        (("rows = [1]", "print(sum(rows))"), "held", ""),
        (
            ("rows = [1]", "rows.append(1)\nprint(sum(rows))"),
            "broken",
            "cell cell-1, run again, says something else: 3",
        ),
        (("x = 1\nprint(x)", "print(x)", "x = 2"), "broken", "cell cell-1, run again, says something else: 2"),
        (("net = 1\nprint(net)", "assert net\ndel net"), "broken", "NameError"),
    ],
    ids=["as it was", "twice", "back", "gone"],
)
def test_every_cell_again(lecture, cells, verdict, said):
    lecture(*cells)
    case = robust.run(robust.Case("01_odd", "again"))
    assert case.verdict == verdict and said in "\n".join(case.said)


@pytest.mark.slow
@pytest.mark.parametrize(("to", "verdict"), [(".to(train.choose_device(DEVICE))", "held"), ("", "broken")])
def test_a_second_device_does_not_mix(lecture, to, verdict):
    lecture(
        "import torch\nfrom cnn_course import train",
        "net = torch.nn.Linear(2, 1).to(train.choose_device(DEVICE))",
        f"print(float(net(torch.ones(1, 2){to})) is not None)",
    )
    case = robust.run(robust.Case("01_odd", "device", {"DEVICE": "auto"}))
    assert case.verdict == verdict and (not case.said or "gpu:0 and cpu" in "\n".join(case.said))
