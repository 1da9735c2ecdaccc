"""What a lab forbids does no work in the process of an answer, in any lab, and what it allows does."""

import json
import re
import time

import nbformat
import pytest

from cnn_course.grading.judging import judge, submission
from cnn_course.grading.lab import imports_of, setup_of
from cnn_course.grading.sandbox.warm_host import Host
from labs import running

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("bubblewrap")]

WORD = "getattr(sys.modules[{!r}], {!r} {!r})"
# Lab, question, what its answer does instead of its own work, and what stands in the message.
FORBIDDEN = {
    "lab01, q1: the function that the others may use": (
        "lab01_convolution",
        "q1",
        "def output_size(n, k, stride=1, padding=0):\n"
        "    return convolution.output_size(n, k, stride=stride, padding=padding)\n",
        "do not allow cnn_course.*output_size",
    ),
    "lab03, q1: the function that two others may use": (
        "lab03_shapes_and_costs",
        "q1",
        "import sys\ndef layer_shape(layer, shape):\n"
        f"    return {WORD.format('cnn_course.grading.mistakes.dict_stacks', 'sha', 'pes')}([layer], shape)[-1]\n",
        "do not allow cnn_course.*shapes",
    ),
    "lab05, q3: what is forbidden of an allowed module": (
        "lab05_conv_backward",
        "q3",
        "def conv_weight_gradients(dout, x, k, stride=1, padding=0):\n"
        "    return getattr(convolution, 'conv_' 'backward')(dout, x, np.zeros((1, 1, 1, 1)))\n",
        "do not allow cnn_course.convolution.conv_backward|unexpected keyword|positional",
    ),
    "lab05, q6: the training of the package": (
        "lab05_conv_backward",
        "q6",
        "def train_network(x, labels, seed):\n    net = network.Network([network.conv(1, 8, 3), network.relu(), "
        "network.max_pool(2), network.flatten(), network.affine(288, 10)], seed=seed)\n"
        "    getattr(network, 'fi' 't')(net, x, labels, epochs=8)\n    return dict(net.parameters)\n",
        "do not allow cnn_course.network.fit",
    ),
    "lab07, q3: the course's block": (
        "lab07_architectures",
        "q3",
        "import sys\ndef basic_block(c_in, channels, stride=1):\n"
        f"    return {WORD.format('cnn_course.models.resnet', 'Basic', 'Block')}(c_in, channels, stride)\n",
        "do not allow cnn_course.models.resnet.BasicBlock",
    ),
}
# Lab, question, and lines above the model answer, which keeps its points.
ALLOWED = {
    "lab04: pictures of another size": (
        "lab04_pooling_and_invariance",
        "q2",
        "photo = images.photograph('camera', size=(32, 32), gray=True)\nsmall = images.resize(photo, (8, 8))\n",
    ),
    "lab01: polynomials": ("lab01_convolution", "q3", "np.polyval([1.0, 2.0], 3.0)\nnp.polyder([1.0, 2.0, 3.0])\n"),
    "lab01: a look at the names": (
        "lab01_convolution",
        "q3",
        "arrays = [n for n, v in globals().items() if isinstance(v, np.ndarray)]\n",
    ),
    "lab01: imports that are not used": (
        "lab01_convolution",
        "q3",
        "import torch\nfrom scipy import signal\nprint(torch.ones(3), signal.correlate2d(np.ones((3, 3)), [[1]]))\n",
    ),
    "lab02: a figure": (
        "lab02_filters",
        "q1",
        "fig, ax = plt.subplots()\nvisualize.image(ax, cat, 'the cat')\nvisualize.show(fig, 'A cat.')\n",
    ),
}


def graded(lab, question, source, above=""):
    master = running.master(lab)
    cells = {running.grade_id(c): c.source for c in master.cells}
    notebook = running.with_answers(master, {f"{question}-solution": source or above + cells[f"{question}-solution"]})
    notebook.cells = [c for c in notebook.cells if c.id == "setup" or c.id.partition("-")[0] == question]
    master.cells = [c for c in master.cells if c.id == "setup" or c.id.partition("-")[0] == question]
    taken = submission.parse(json.dumps(nbformat.from_dict(notebook)).encode(), master)
    with Host(imports_of(master), setup_of(master)) as host:
        return judge.grade(master, taken, host, seconds=100.0)


@pytest.mark.parametrize("name", FORBIDDEN)
def test_what_is_forbidden_raises(name):
    lab, question, source, says = FORBIDDEN[name]
    result = graded(lab, question, source)
    assert result.points == 0
    assert all(re.search(says, cell.message) for cell in result.cells), result.cells


@pytest.mark.parametrize("name", ALLOWED)
def test_what_is_allowed_works(name):
    lab, question, above = ALLOWED[name]
    result = graded(lab, question, "", above)
    assert [cell.message for cell in result.cells if cell.message] == [] and result.notes == []


def test_thousands_of_imports_and_functions_cost_the_judge_little():
    """They are looked at outside the sandbox."""
    imports = "\n".join(f"from torch import a{i} as m" for i in range(1000))
    uses = "; ".join(f"m.b{i}" for i in range(5000))
    chain = "\n".join(f"def f{i}(): f{i + 1}" for i in range(4000)) + "\n" + "; ".join(f"f{i}()" for i in range(4000))
    master = running.master("lab01_convolution")
    cells = {running.grade_id(c): c.source for c in master.cells}
    answers = {
        "q1-solution": f"{imports}\ndef output_size(n, k, stride=1, padding=0):\n    if 0: {uses}\n    return 1\n",
        "q2-solution": chain + "\n" + cells["q2-solution"],
    }
    notebook = running.with_answers(master, answers)
    taken = submission.parse(nbformat.writes(notebook).encode(), master)

    with Host(imports_of(master), setup_of(master)) as host:
        start = time.process_time()
        result = judge.grade(master, taken, host, seconds=100.0)
        assert time.process_time() - start < 20  # minutes without bounds; on a quiet machine two seconds
    assert "do not allow torch" in next(cell.message for cell in result.cells if cell.name == "q1-visible")
