"""Every argument of every command, wrong once: one clear line, an exit code that says so, and nothing lost.

The work itself (training, a kernel, a judge, a server) is taken out: a wrong value must be refused before it begins.
"""

import pytest
import torch

from cnn_course import train
from command_line.endings import ended, fault
from command_line.odd_course import FIT, filled, state
from command_line.wrong_lines import COMMANDS, NEEDED, WRONG, line

pytestmark = pytest.mark.slow


def test_every_argument_has_its_wrong_values():
    arguments = {f"{command} {name}".strip() for command, names in COMMANDS.items() for name, _ in names}
    assert arguments == {key for key in WRONG if key and key not in COMMANDS}, "a new argument needs a line in WRONG"
    assert set(COMMANDS) - {""} - set(NEEDED) <= set(WRONG), "a new command needs a line in NEEDED"


LINES = [(key, value) for key, values in WRONG.items() for value in dict.fromkeys(values)]


@pytest.mark.parametrize(("key", "value"), LINES, ids=[f"{key}={ascii(value)[:24]}" for key, value in LINES])
def test_wrong_value(key, value, still, capsys):
    before = state(still)
    value_shown = filled(value, still / "odd")
    end = ended(line(key, value, still / "odd"), capsys)
    name = key.rpartition(" ")[2]
    names = [
        name,
        name.strip("-"),
        name.strip("-").replace("-", "_"),
        value_shown.strip()[:20].encode(errors="backslashreplace").decode(),
        ascii(value_shown)[1:21],
        "invalid choice",
    ]
    assert fault(end, names) == ""
    assert state(still) == before


@pytest.mark.parametrize("device", ["mps", "xla", "cuda:99", "gpu"])
def test_a_device_that_is_not_here(device, still, capsys):
    if device == "mps" and torch.backends.mps.is_available():
        pytest.skip("there is one here")
    end = ended(["train", "mlp", "--data", "digits", "--device", device], capsys)
    assert (
        fault(end, [device]) == "" and "The name must be one that is here: auto, cpu" in end.err and len(end.err) < 400
    ), end


@pytest.mark.parametrize("width", ["0", "-1", "1000000000"])
@pytest.mark.parametrize("model", ["mlp", "resnet20"])
def test_a_width_is_called_as_it_was_written(model, width, still, capsys):
    end = ended(["train", model, "--data", "digits", "--width", width], capsys)
    assert fault(end, ["--width"]) == "" and width in end.err and "hidden" not in end.err, end


DIVERGES = {
    "--lr 1e3 --weight-decay 1e18": "a smaller weight_decay than 1e+18: with lr 1000",
    "--lr 1e18 --weight-decay 1e18 --optimizer sgd": "a smaller weight_decay than 1e+18: with lr 1e+18",
}


@pytest.mark.parametrize("words", DIVERGES)
def test_a_training_that_diverges_names_what_was_too_large(words, still, tmp_path, capsys, monkeypatch, one_thread):
    monkeypatch.setattr(train, "fit", FIT)
    line = f"train mlp --data pictures --device cpu --epochs 9 {words} --output {tmp_path}"
    assert fault(ended(line.split(), capsys), [DIVERGES[words]]) == ""
