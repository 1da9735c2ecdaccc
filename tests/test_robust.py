"""What `make robust` finds, in a lecture of a few lines."""

import re
import subprocess
import sys
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

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


DRAW = """import matplotlib.pyplot as plt
from cnn_course import visualize

def draw(rows):
    fig, ax = plt.subplots()
    ax.plot(rows, marker="o")
    visualize.show(fig, "A curve of a few points.")"""


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

    def store(*cells: str, ignored: int | None = None):
        path = tmp_path / "lectures" / "01_odd.ipynb"
        path.parent.mkdir(exist_ok=True)
        made = notebook(*cells)
        if ignored is not None:
            made.cells[ignored - len(cells)].metadata.tags = ["nbval-ignore-output"]
        path.write_text(robust.nbformat.writes(made), encoding="utf-8")
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
        ("import os\nos._exit(1)", {}, "broken", ["the kernel died"]),
    ],
)
def test_a_run_is_judged(lecture, cell, changed, verdict, said):
    lecture(cell)
    case = robust.run(robust.Case("01_odd", "values", changed))
    assert case.verdict == verdict
    assert all(any(words in line for line in case.said) for words in said), case.said


@pytest.mark.slow
def test_a_run_that_hangs_ends(lecture):
    lecture("x = 1", "while x:\n    pass")
    case = robust.run(robust.Case("01_odd", "values"), limit=0.05)
    assert case.verdict == "broken" and case.said == ["cell cell-1: not done after 0.05 minutes"]
    assert 0.05 < case.minutes < 1


def test_a_run_of_which_nothing_comes_back_is_broken():
    future = Future()
    future.set_exception(BrokenProcessPool("killed"))
    case = robust.result(future, robust.Case("01_odd", "again"))
    assert case.verdict == "broken" and case.said == ["BrokenProcessPool: killed"]
    future = Future()
    future.set_result(robust.Case("01_odd", "again", verdict="held"))
    assert robust.result(future, case).verdict == "held"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cells", "ignored", "verdict", "said"),
    [
        (("rows = [1]", "print(sum(rows))"), None, "held", ""),
        (
            ("rows = [1]", "rows.append(1)\nprint(sum(rows))"),
            None,
            "broken",
            "cell cell-1, run again, says something else: 3",
        ),
        (("x = 1\nprint(x)", "print(x)", "x = 2"), None, "broken", "cell cell-1, run again, says something else: 2"),
        (("net = 1\nprint(net)", "assert net\ndel net"), None, "broken", "NameError"),
        (
            ("rows = [1]", "if rows:\n    print(rows.pop())"),
            None,
            "broken",
            "cell-1, run again, says something else: 0 lines",
        ),
        ((DRAW, "rows = [1]", "rows.append(1)\ndraw(rows)"), None, "broken", "cell-2, run again, draws something else"),
        ((DRAW, "rows = [1]", "draw(rows)"), None, "held", ""),
        (("import time", "print(time.time())"), 1, "held", ""),
        (
            ("rows = []", "rows.append(1)\nfor _ in rows:\n    print('a ratio of 0.9')"),
            1,
            "broken",
            "cell-1.* 2 lines, 1 before",
        ),
    ],
    ids=["as it was", "twice", "back", "gone", "less", "other picture", "same", "other numbers", "more numbers"],
)
def test_every_cell_again(lecture, cells, ignored, verdict, said):
    lecture(*cells, ignored=ignored)
    case = robust.run(robust.Case("01_odd", "again"))
    assert case.verdict == verdict and re.search(said, "\n".join(case.said)), case.said


@pytest.mark.slow
def test_a_lecture_that_forgets_the_device_is_found(lecture):
    lecture("import torch", "print(float(torch.nn.Linear(2, 1)(torch.ones(1, 2))) is not None)")
    case = robust.run(robust.Case("01_odd", "device", {"DEVICE": "auto"}))
    assert case.verdict == "broken" and "nothing went to the second device" in "\n".join(case.said)


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


SECOND_DEVICE = """
import numpy as np
import torch
import second_device

second_device.install()
gpu, counted = second_device.DEVICE, second_device.COPIES
here = torch.arange(6.0).reshape(2, 3)


def copied(make):
    before = dict(counted)
    made = make()
    return made, counted["to the device"] - before["to the device"], counted["back"] - before["back"]


def refused(make, words):
    try:
        made = make()
    except RuntimeError as error:
        assert words in str(error), error
    else:
        raise AssertionError(f"a GPU would refuse this, which gives {made}")


there, *copies = copied(lambda: here.to(gpu))
assert copies == [1, 0] and there.device == gpu and there.to(gpu) is there
for make in (there.tolist, there.cpu().tolist, lambda: there.detach().cpu().numpy().tolist()):
    assert make() == here.tolist()
assert copied(there.tolist)[1:] == copied(there.cpu)[1:] == copied(there[0, 1].item)[1:] == (0, 1)
assert type(there.cpu()) is torch.Tensor and type(there.to("cpu", torch.float64)) is torch.Tensor
assert there.to("cpu", torch.float64).dtype == torch.float64
for meta in (there.to("meta"), torch.empty_like(there, device="meta"), here.to("meta")):
    assert meta.is_meta and meta.shape == (2, 3)
assert copied(lambda: there.to("meta"))[1:] == (0, 0)
assert type(torch.zeros_like(there, device="cpu")) is torch.Tensor
made, *copies = copied(lambda: torch.tensor([1.0, 2.0, 3.0], device=gpu))
assert copies == [1, 0] and (made + there).device == gpu
assert copied(lambda: here.clone().copy_(there))[1:] == (0, 1)
assert copied(lambda: there.clone().copy_(here))[1:] == (1, 0)
assert f"{there[0, 1]:.2f} {there.std():.1f}" == "1.00 1.9"
assert (there * torch.tensor(2.0)).device == gpu  # a number of the CPU may be anywhere

first = torch.tensor([0])
assert there[first].device == there[here > 2].device == there[np.array([1])].device == gpu
two = "at least two devices, gpu:0 and cpu"
refused(lambda: there + here, two)
refused(lambda: torch.cat([here, there]), two)
refused(lambda: here.clone().add_(there), two)
refused(lambda: here[first.to(gpu)], two)
refused(lambda: here[there > 2], two)
refused(lambda: here.clone().__setitem__(first, there[:1]), two)
refused(lambda: there.clone().__setitem__(first, here[:1]), two)
refused(there.numpy, "numpy")
refused(lambda: np.asarray(there), "numpy")
drawn = torch.Generator().manual_seed(0)
refused(lambda: torch.randn(2, 3, generator=drawn, device=gpu), "generator")
refused(lambda: torch.randperm(3, generator=drawn, device=gpu), "generator")
refused(lambda: there.clone().normal_(generator=drawn), "generator")
assert torch.randn(2, 3, device=gpu).device == gpu and torch.randn(2, 3, generator=drawn).to(gpu).device == gpu
"""


@pytest.mark.slow
def test_the_second_device_refuses_what_a_gpu_does():
    here = Path(__file__).parent
    ran = subprocess.run([sys.executable, "-c", SECOND_DEVICE], cwd=here, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
