"""Checkpoints: what was saved comes back, what is damaged does not, and a kill at any moment does no harm."""

import contextlib
import io
import multiprocessing
import os
import pickle
import random
import resource
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import small_training
import torch
from torch import nn

from cnn_course.checkpoint import load, save
from cnn_course.errors import CheckpointError
from cnn_course.files import whole_files

# A process that has imported everything (optimizers import torch._dynamo) forks those that are to be killed: they start
# in milliseconds.
KILLABLE = multiprocessing.get_context("forkserver")
KILLABLE.set_forkserver_preload(["torch._dynamo", "cnn_course.train"])
OLD, NEW = {"epoch": 1, "w": torch.zeros(50)}, {"epoch": 2, "w": torch.ones(50)}


def test_comes_back(tmp_path):
    path = tmp_path / "new folder" / "run [1].ckpt"
    assert load(path) is None
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.rand(2, 3, 5, 5)).sum().backward()
    optimizer.step()
    epochs = [{"epoch": 1, "loss": 0.1, "val": None}, {"epoch": 2, "loss": float("nan"), "val": (True, "s")}]
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epochs": epochs}
    state["order"] = torch.Generator().manual_seed(3).get_state()
    save(path, state)
    found = load(path)
    assert str(found) == str(state) and list(found) == list(state)
    weight = found["model"]["0.weight"]
    assert torch.equal(weight, model[0].weight) and weight.stride() == model[0].weight.stride()
    torch.optim.AdamW(model.parameters()).load_state_dict(found["optimizer"])
    save(path, NEW)
    assert load(path)["epoch"] == 2 and os.listdir(path.parent) == [path.name]


def test_from_a_gpu_to_the_cpu(tmp_path):
    # Where there is a GPU its tensors are saved too; here the state at least keeps every dtype.
    device = "cuda" if torch.cuda.is_available() else "cpu"
    kinds = (torch.bfloat16, torch.uint8, torch.int64, torch.bool)
    save(tmp_path / "c", {str(kind): torch.ones(3, dtype=kind, device=device) for kind in kinds})
    for kind, tensor in zip(kinds, load(tmp_path / "c").values(), strict=True):
        assert tensor.device.type == "cpu" and tensor.dtype == kind and tensor.sum() == 3


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"loss": np.float64(0.5)}, r"state\['loss'\] is a float64"),
        ({"epochs": [1, Path("x")]}, r"state\['epochs'\]\[1\] is a PosixPath"),
        ({"a": {"b": nn.Linear(1, 1)}}, r"state\['a'\]\['b'\] is a Linear"),
        ({("a", np.int64(1)): 1}, r"a key of state\[1\] is a int64"),
        ({"w": torch.ones(2, device="meta")}, r"state\['w'\] is a tensor on the .meta. device"),
        (None, "state must be a dict of tensors, numbers and texts, not None"),
        ([1], "state must be a dict"),
    ],
)
def test_refuses_what_could_not_be_read_back(tmp_path, state, message):
    save(tmp_path / "c", OLD)
    with pytest.raises(TypeError, match=message):
        save(tmp_path / "c", state)
    assert load(tmp_path / "c")["epoch"] == 1


def test_a_state_that_contains_itself(tmp_path):
    state = {}
    state["state"] = [state]
    with pytest.raises(ValueError, match="state must not be nested so deeply; does it contain itself"):
        save(tmp_path / "c", state)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("path", ["", "a\0b", "\ud800", None, 3, b"run"])
def test_what_is_no_path(path):
    for call in (lambda: load(path), lambda: save(path, OLD)):
        with pytest.raises((ValueError, TypeError), match="path must be"):
            call()


def test_a_trial_writes_nothing(tmp_path):
    save(tmp_path / "new" / "c", OLD, trial=True)
    assert os.listdir(tmp_path / "new") == []
    save(tmp_path / "c", OLD)
    save(tmp_path / "c", NEW, trial=True)
    assert load(tmp_path / "c")["epoch"] == 1
    with pytest.raises(CheckpointError, match="cannot be written: it is a folder, and a file is needed"):
        save(tmp_path / "new", OLD, trial=True)
    with pytest.raises(TypeError, match="trial must be True or False"):
        save(tmp_path / "c", NEW, trial="no")


def test_files_that_are_no_checkpoint(tmp_path):
    """Something else, with the right sum or without; to read a pipe would be to wait for ever."""
    from cnn_course import checkpoint

    for body in (pickle.dumps({"a": 1}), b"", torch_bytes([1, 2]), torch_bytes(torch.ones(2))):
        (tmp_path / "c").write_bytes(checkpoint.TITLE + checkpoint._digest(body) + b"\n" + body)
        with pytest.raises(
            CheckpointError, match=r"c holds (more than tensors|a list and no dict|a Tensor and no dict)"
        ):
            load(tmp_path / "c")
        (tmp_path / "c").write_bytes(body)
        with pytest.raises(CheckpointError, match="is not a checkpoint that this version can read"):
            load(tmp_path / "c")
    os.mkfifo(tmp_path / "pipe")
    for call in (lambda: load(tmp_path / "pipe"), lambda: save(tmp_path / "pipe", OLD)):
        with pytest.raises(CheckpointError, match="it is a pipe or a device, and a file is needed"):
            call()


def torch_bytes(value) -> bytes:
    body = io.BytesIO()
    torch.save(value, body)
    return body.getvalue()


def test_any_damage_is_refused(tmp_path):
    path = tmp_path / "run.ckpt"
    save(path, OLD)
    good = path.read_bytes()
    rng = random.Random(0)
    places = [*range(0, 110, 7), *(rng.randrange(len(good)) for _ in range(40))]
    flipped = [good[:i] + bytes([good[i] ^ 1]) + good[i + 1 :] for i in places]
    cut = [good[:i] for i in (0, 1, 40, 98, 99, 500, len(good) - 1)]
    for data in (*flipped, *cut, good + b"\0", bytes(len(good)), good[:300] + bytes(512) + good[812:]):
        path.write_bytes(data)
        with pytest.raises(CheckpointError, match=r"run\.ckpt is (damaged|not a checkpoint).* delete it"):
            load(path)
        assert path.read_bytes() == data  # it is left for whoever wants to look
    path.write_bytes(good)
    assert load(path)["epoch"] == 1


def test_a_file_from_elsewhere_cannot_run_code(tmp_path):
    from cnn_course import checkpoint

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "was here"),)

    torch.save(Evil(), tmp_path / "body")
    body = (tmp_path / "body").read_bytes()
    (tmp_path / "c").write_bytes(checkpoint.TITLE + checkpoint._digest(body) + b"\n" + body)
    with pytest.raises(CheckpointError, match="more than tensors"):
        load(tmp_path / "c")
    assert not (tmp_path / "was here").exists()


def test_says_why_it_cannot_write_or_read(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file" / "run.ckpt", tmp_path / "folder"):
        with pytest.raises(CheckpointError, match=f"{path} cannot be written: .* is unchanged"):
            save(path, NEW)
        with pytest.raises(CheckpointError, match=f"{path} cannot be read: "):
            load(path)
    assert os.listdir(tmp_path / "folder") == []

    def refuse(*args, **kwargs):  # what an ordinary user meets; root may write into any folder
        raise PermissionError(13, "Permission denied")

    save(tmp_path / "run.ckpt", OLD)
    monkeypatch.setattr(whole_files.tempfile, "mkstemp", refuse)
    with pytest.raises(CheckpointError, match=r"run\.ckpt cannot be written: permission denied"):
        save(tmp_path / "run.ckpt", NEW)
    assert load(tmp_path / "run.ckpt")["epoch"] == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_what_is_no_file_is_told_apart_with_what_to_do(tmp_path):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/zero")
    (tmp_path / "loop").symlink_to("loop")
    whys = {"folder": "a folder", "pipe": "a pipe or a device", "device": "a pipe or a device", "loop": "leads back"}
    for name, why in whys.items():
        with pytest.raises(CheckpointError, match=f"{name} cannot be read: .*{why}.* Move away what is there, or name"):
            load(tmp_path / name)


def in_a_process(target, *args) -> int:
    process = KILLABLE.Process(target=target, args=args)
    process.start()
    process.join(300)
    return process.exitcode


def save_with_room_for(size: int, path: Path) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    with pytest.raises(CheckpointError, match="cannot be written: a file may not become so large here"):
        save(path, {"w": torch.ones(10 * size)})


@pytest.mark.slow
def test_no_room_leaves_the_checkpoint_before(tmp_path):
    save(tmp_path / "c", OLD)
    assert in_a_process(save_with_room_for, 2000, tmp_path / "c") == 0
    assert load(tmp_path / "c")["epoch"] == 1 and os.listdir(tmp_path) == ["c"]


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def save_and_die(step: str, path: Path) -> None:
    """`save`, killed by itself before, in or after one step of `write_whole`."""
    when, name = step.split()
    if when == "in":  # half of the bytes are in the file
        half = SimpleNamespace(write=lambda data: (os.write(half.handle, data[: len(data) // 2]), die()))
        whole_files.os.fdopen = lambda handle, mode: setattr(half, "handle", handle) or contextlib.nullcontext(half)
    else:
        module = whole_files.tempfile if name == "mkstemp" else whole_files.os
        original = getattr(module, name)

        def deadly(*args, **kwargs):
            if when == "after":
                original(*args, **kwargs)
            die()

        setattr(module, name, deadly)
    save(path, NEW)


STEPS = ("before mkstemp", "after mkstemp", "in write", "before fsync", "after fsync", "before chmod", "after chmod")


@pytest.mark.slow
@pytest.mark.parametrize("before", [OLD, None], ids=["second", "first"])
def test_a_kill_in_each_step_of_a_write(tmp_path, before):
    for step in (*STEPS, "before replace", "after replace"):
        path = tmp_path / step / "c"
        path.parent.mkdir()
        if before:
            save(path, before)
        assert in_a_process(save_and_die, step, path) == -signal.SIGKILL
        expected = NEW if step == "after replace" else before
        left = len(os.listdir(path.parent)) - path.exists()
        assert left == (step not in ("before mkstemp", "after replace")), step
        assert str(load(path)) == str(expected), step
        save(path, NEW)
        assert load(path)["epoch"] == 2 and os.listdir(path.parent) == ["c"]


def kill_and_resume(
    folder: Path, kills: int, epochs: int, train=small_training.with_a_checkpoint, longest: float = 0.02
) -> list[dict]:
    """Train, kill -9 at random moments and start again, then compare with a run that was left alone.

    Returns for each kill how many epochs the checkpoint had, and whether it met a write.
    """
    whole, broken, checkpoint = folder / "whole", folder / "broken", folder / "run.ckpt"
    assert in_a_process(train, whole, None, epochs) == 0
    rng, met = random.Random(0), []
    while len(met) < kills:
        process = KILLABLE.Process(target=train, args=(broken, checkpoint, epochs))
        process.start()
        for _ in range(rng.randrange(4)):  # so many new checkpoints are waited for
            last = changed(checkpoint)
            while changed(checkpoint) == last and process.is_alive():
                time.sleep(0.0005)
        time.sleep(rng.uniform(0, longest))
        process.kill()
        process.join(300)
        if process.exitcode == 0:  # it was faster
            break
        assert process.exitcode == -signal.SIGKILL
        left = [name for name in os.listdir(folder) if name.endswith(".part")]
        assert len(left) <= 1
        state = load(checkpoint)  # raises if it were damaged
        met.append({"epochs": len(state["history"]) if state else 0, "in a write": bool(left)})
    assert in_a_process(train, broken, checkpoint, epochs) == 0
    assert small_training.same(torch.load(whole), torch.load(broken))
    assert sorted(os.listdir(folder)) == ["broken", "run.ckpt", "whole"]
    return met


def changed(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


@pytest.mark.slow
def test_killed_at_random_moments_the_run_ends_the_same(tmp_path):
    assert len(kill_and_resume(tmp_path, kills=6, epochs=60)) > 2


def test_another_run_damage_and_a_finished_run(tmp_path):
    """What `fit` makes of a checkpoint that is not its own, that is damaged, or that has nothing left to do."""
    path, out = tmp_path / "run.ckpt", tmp_path / "out"
    small_training.with_a_checkpoint(out, path, 2)
    first, data = torch.load(out), path.read_bytes()
    small_training.with_a_checkpoint(out, path, 2)
    assert small_training.same(first, torch.load(out)) and path.read_bytes() == data
    with pytest.raises(CheckpointError, match="another run: .*epochs was 2 and is 3"):
        small_training.with_a_checkpoint(out, path, 3)
    path.write_bytes(data[:-1])
    with pytest.raises(CheckpointError, match="damaged"):
        small_training.with_a_checkpoint(out, path, 2)
    assert path.read_bytes() == data[:-1]
