"""Attacks where a network lives with the student: the judge asks it for numbers and computes the accuracy itself."""

import copy
import re
import time

import nbformat
import pytest

from cnn_course.grading.judging import judge, student, submission
from cnn_course.grading.lab import imports_of
from cnn_course.grading.sandbox.warm_host import Host
from grading.attack import WIRE
from grading.test_attacks import below

SETUP = """
import numpy as np
import torch
from torch import nn
from cnn_course.grading import checks, networks
torch.set_num_threads(1)
"""
TINY = """
def tiny(classes=3):
    return nn.Sequential(nn.Flatten(), nn.Linear(16, classes))
"""
TRAIN = """
def train(net, images, labels):
    optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
    for _ in range(100):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(torch.from_numpy(images)), torch.from_numpy(labels)).backward()
        optimizer.step()
    return len(images)
"""
COUNT = """
checks.check_integer("the parameters of tiny()", networks.build("tiny", tiny).count(), 51)
"""
LOGITS = """
rng = checks.generator(1)
for classes in (2, 5):
    net = networks.build("tiny", tiny, classes)
    w, b, x = (rng.normal(size=s).astype(np.float32) for s in ((classes, 16), classes, (4, 1, 4, 4)))
    net.load([w, b])
    expected = x.reshape(4, 16) @ w.T + b
    checks.check_array(f"{net.description}(x)", net.forward(x), expected, tolerance=1e-4)
"""
ACCURACY = """
rng = checks.generator(2)
x = rng.normal(size=(400, 1, 4, 4)).astype(np.float32)
labels = (x.reshape(400, 16) @ rng.normal(size=(16, 3))).argmax(axis=1)
net = networks.build("tiny", tiny)
checks.check_integer("train", checks.call("train(net, ...)", train, net, x[:200], labels[:200]), 200)
right = int((net.forward(x[200:]).argmax(axis=1) == labels[200:]).sum())
if right < 160:
    raise checks.CheckFailed(f"train: {right} of 200 new pictures are right.")
"""
POINTS = {"q1-count": 1, "q1-logits": 2, "q2-accuracy": 4}


def _cell(name, source, points=None, solution=False):
    own = {"grade_id": name, "grade": points is not None, "locked": not solution, "solution": solution}
    own |= {"schema_version": 3, "task": False} | ({} if points is None else {"points": points})
    return nbformat.v4.new_code_cell(source, id=name, metadata={"nbgrader": own})


MASTER = nbformat.v4.new_notebook(
    cells=[
        _cell("setup", SETUP),
        _cell("q1-solution", TINY, solution=True),
        _cell("q1-count", COUNT, 1),
        _cell("q1-logits", LOGITS, 2),
        _cell("q2-solution", TRAIN, solution=True),
        _cell("q2-accuracy", ACCURACY, 4),
    ]
)


@pytest.fixture(scope="module")
def host(bubblewrap):
    with Host(imports_of(MASTER)) as host:
        yield host


LIMIT = 30.0  # seconds for a submission


def grade(host, q1=TINY, q2=TRAIN, seconds=LIMIT):
    return judge.grade(MASTER, submission.Submission({"q1-solution": q1, "q2-solution": q2}), host, seconds=seconds)


def passed(result):
    return {cell.name for cell in result.cells if cell.points}


def test_honest(host):
    result = grade(host)
    assert passed(result) == POINTS.keys() and result.points == 7 and result.notes == []


def forged(question, value):
    """The student's process answers one question about a network with something else."""
    top = f"networks.QUESTIONS[{question!r}] = lambda *a, **k: {value}\n"
    return "import numpy as np, torch, sys\nfrom cnn_course.grading import networks\n" + top + TINY


# A count that the test states can be typed in, here as anywhere: what a network computes cannot.
Q1 = {
    "a count without a network": (
        forged("shapes", "[[51]]").replace("classes)", "classes + 1)"),
        {"q1-count", "q2-accuracy"},
        "stopped with RuntimeError",
    ),
    "shapes that are none": (forged("shapes", "['51', None]"), {"q1-logits", "q2-accuracy"}, "could not go on|count"),
    "a hundred thousand shapes": (forged("shapes", "[[2**40] * 9] * 90000"), {"q1-logits", "q2-accuracy"}, "tiny"),
    "eight terabytes of logits": (
        forged("forward", "np.broadcast_to(np.float32(0), (10**6, 10**6))"),
        {"q1-count"},
        r"got \(1000000, 1000000\)",
    ),
    "logits that are objects": (forged("forward", "np.array([[None]])"), {"q1-count"}, "Python objects"),
    "logits that are not finite": (forged("forward", "np.full((4, len(a[0][1].bias)), np.nan)"), {"q1-count"}, "nan"),
    "logits that are text": (forged("forward", "'right'"), {"q1-count"}, r"text \(a str\)"),
    "logits of another byte order": (forged("forward", "np.zeros((4, 2), '>f4')"), {"q1-count"}, "differ|expected"),
    "a tensor where an array belongs": (forged("forward", "torch.zeros(1)"), {"q1-count"}, "got a Tensor"),
    "a class": (TINY.replace("return nn.", "return lambda: nn."), set(), "expected a torch.nn.Module, got a function"),
    "always equal parameters": (
        TINY.replace(
            "return nn.Sequential(nn.Flatten(), nn.Linear(16, classes))",
            "net = nn.Module()\n    net.parameters = lambda: iter([nn.Parameter(torch.zeros(51))])\n    return net",
        ),
        {"q1-count"},
        "NotImplementedError|forward|zip|copy|not written",
    ),
    "a network that ends its process": (
        "import os\nclass End(nn.Linear):\n    def forward(self, x):\n        os._exit(1)\n"
        "def tiny(classes=3):\n    return nn.Sequential(nn.Flatten(), End(16, classes))\n",
        {"q1-count"},
        "ProcessEnded",
    ),
    "a network with hostile names": (
        TINY.replace("return nn.Sequential(", "return type('<script>\\u202e', (nn.Sequential,), {})("),
        set(POINTS),
        "",
    ),
    "memory that outlives": (
        "import torch.multiprocessing as mp\nmp.set_sharing_strategy('file_system')\n"
        "try:\n    kept = torch.zeros(1 << 20).share_memory_()\n"
        "except RuntimeError:\n    pass  # it wants a program of torch's, and none starts here\n" + TINY,
        set(POINTS),
        "",
    ),
    "forged numbers of networks": (
        WIRE + "def tiny(classes=3):\n    channel, number = wire()\n"
        "    channel.sendall(frame_of({'number': number, 'result': {'module': 999}}))\n    time.sleep(0.1)\n",
        set(),
        "ProcessEnded|IndexError",
    ),
    "a negative number of a network": (
        WIRE + "def tiny(classes=3):\n    channel, number = wire()\n"
        "    channel.sendall(frame_of({'number': number, 'result': {'module': -1}}))\n    time.sleep(0.1)\n",
        set(),
        "ProcessEnded",
    ),
}
LOOKS = """
    import gc, sys
    frame, names = sys._getframe(), set()
    while frame:
        names |= set(frame.f_locals)
        frame = frame.f_back
    sizes = {len(a) for a in gc.get_objects() if isinstance(a, np.ndarray) and a.ndim == 1 and a.dtype == np.int64}
    raise RuntimeError(f"tried {sizes & {400}} {names & {'right', 'expected', 'rng'}}")
"""
Q2 = {
    "no training": ("def train(net, images, labels):\n    return 200\n", "of 200 new pictures are right"),
    "the labels of the new pictures": (f"def train(net, images, labels):{LOOKS}", r"tried set\(\) set\(\)"),
    "training without end": (
        "def train(net, images, labels):\n    while True: net(torch.zeros(9, 16))\n",
        "TimeoutError",
    ),
    "workers that outlive": (
        "def train(net, images, labels):\n    import os, time\n    for _ in range(4):\n"
        "        if os.fork() == 0: time.sleep(1000)\n    return 200\n",
        "of 200 new pictures",
    ),
    "another network": ("def train(net, images, labels):\n    return nn.Linear(1, 1)\n", "got a _Module"),
    "constant logits": (
        "def train(net, images, labels):\n    type(net).forward = lambda self, x: torch.ones(len(x), 3) * 1e30\n"
        "    return 200\n",
        "of 200 new pictures",
    ),
}


@pytest.mark.parametrize("name", Q1)
def test_attack_on_a_network(name, host):
    source, may_pass, says = Q1[name]
    check(grade(host, q1=source), may_pass, says, host)


@pytest.mark.parametrize("name", Q2)
def test_attack_on_training(name, host, monkeypatch):
    source, says = Q2[name]
    monkeypatch.setattr(student, "CALL_SECONDS", 2.0 if "without end" in name else 30.0)
    check(grade(host, q2=source), {"q1-count", "q1-logits"}, says, host)


def check(result, may_pass, says, host):
    said = "\n".join([*(cell.message for cell in result.cells), *result.notes])
    assert passed(result) == set(may_pass), said
    assert re.search(says, said), said
    assert result.seconds < 3 * LIMIT  # it was held; the rest is for a busy machine
    deadline = time.monotonic() + 60
    while len(below(host._process.pid)) > 1 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(below(host._process.pid)) == 1
    assert grade(host).points == 7


def test_a_network_and_its_process_end_together(host):
    """After a crash the judge does not ask a network with the same number in the next process."""
    master = copy.deepcopy(MASTER)
    cell = next(c for c in master.cells if c.id == "q2-accuracy")
    asks = """
net = networks.build("tiny", tiny)
try:
    train(net.module, 0, 0)
except Exception:
    net.count()
"""
    master.cells[-1] = nbformat.from_dict(cell | {"source": asks})
    answers = {"q1-solution": TINY, "q2-solution": "def train(net, images, labels):\n    import os\n    os._exit(1)\n"}
    result = judge.grade(master, submission.Submission(answers), host)
    assert "the process with this network has ended" in result.cells[-1].message
