"""A student's network as the tests see it: the same answers here and from the sandbox, and clear words if not."""

import time

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from cnn_course.errors import CheckFailed  # noqa: E402
from cnn_course.grading import checks, networks  # noqa: E402
from cnn_course.grading.judging.student import Student  # noqa: E402
from cnn_course.grading.sandbox import wire  # noqa: E402
from cnn_course.grading.sandbox.warm_host import Host  # noqa: E402

SETUP = "import numpy as np\nimport torch\nfrom torch import nn\ntorch.set_num_threads(1)\n"
CELL = '''
class Small(nn.Module):
    """A convolution, batch normalisation and a linear layer with a frozen bias."""

    def __init__(self, classes):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3, bias=False)
        self.norm = nn.BatchNorm2d(2)
        self.linear = nn.Linear(8, classes)
        self.linear.bias.requires_grad_(False)
        self.unused = nn.Parameter(torch.zeros(3))

    def forward(self, x):
        return self.linear(torch.relu(self.norm(self.conv(x))).flatten(1))


def small(classes=3):
    torch.manual_seed(classes)
    return Small(classes)


def shift(net, images, by):
    with torch.no_grad():
        net.conv.weight += by
    return net(torch.from_numpy(images)).detach()


def nothing():
    pass


def number():
    return 3


def broken():
    raise ValueError("no such layer")


def last():
    os._exit(1)
'''
NAMES = ["small", "shift", "nothing", "number", "broken", "last"]
SHAPES = [(2, 1, 3, 3), (2,), (2,), (3, 8), (3,)]


def local():
    names = {}
    exec(SETUP + "import os\n" + CELL, names)
    return {name: names[name] for name in NAMES}


@pytest.fixture(scope="module")
def host(bubblewrap):
    with Host(["numpy", "torch", "torch.nn", "cnn_course.grading.networks"]) as host:
        yield host


@pytest.fixture
def remote(host):
    student = Student(host, SETUP + "import os\n", {"q1": CELL}, {"q1": NAMES}, time.monotonic() + 60)
    student.start()
    assert student.problems == {}
    yield student.stubs()
    student.stop()


@pytest.fixture(params=["here", pytest.param("in the sandbox", marks=pytest.mark.grading)])
def functions(request, one_thread):
    return local() if request.param == "here" else request.getfixturevalue("remote")


@pytest.fixture
def weights():
    rng = np.random.default_rng(1)
    return [rng.normal(size=shape).astype(np.float32) for shape in SHAPES]


@pytest.fixture
def images():
    return np.random.default_rng(2).normal(size=(5, 1, 4, 4)).astype(np.float32)


def reference(weights):
    net = local()["small"]()
    parameters = dict(net.named_parameters())
    order = ["unused", "conv.weight", "norm.weight", "norm.bias", "linear.weight"]
    for name, values in zip(order, ordered(weights), strict=True):
        parameters[name].data = torch.from_numpy(values.copy())
    return net


def ordered(weights):
    """As `unused` is listed first: a module names its own parameters before those of its parts."""
    return [weights[-1], *weights[:-1]]


def test_shapes_and_count_are_those_of_what_is_trained(functions):
    net = networks.build("small", functions["small"])
    assert net.shapes() == [SHAPES[-1], *SHAPES[:-1]]
    assert net.count() == 3 + 18 + 2 + 2 + 24
    assert networks.build("small", functions["small"], classes=5).count() == 3 + 18 + 2 + 2 + 40
    assert str(net) == "net" and net.description == "small()"


def test_logits_on_weights_that_the_test_chose(functions, weights, images):
    net = networks.build("small", functions["small"])
    right = reference(weights)
    net.load(ordered(weights))
    bias = net.state()[5:]  # buffers: running mean, variance, count
    assert [b.shape for b in bias] == [(2,), (2,), ()]
    right.linear.bias.data[:] = torch.from_numpy(state_of(functions)["linear.bias"])
    right.eval()
    got = net.forward(images)
    assert type(got) is np.ndarray and got.dtype == np.float32
    np.testing.assert_allclose(got, right(torch.from_numpy(images)).detach(), rtol=1e-5, atol=1e-6)


def state_of(functions):
    """The frozen bias is not sent; it comes from the seed."""
    return {k: v.detach().numpy() for k, v in local()["small"]().state_dict().items()}


def test_training_mode_changes_buffers_and_evaluation_mode_does_not(functions, images):
    net = networks.build("small", functions["small"])
    before = net.state()
    net.forward(images)
    assert all(map(np.array_equal, before, net.state()))
    net.forward(images, training=True)
    changed = [not np.array_equal(a, b) for a, b in zip(before, net.state(), strict=True)]
    assert changed == [False] * 5 + [True] * 3


def test_gradients_equal_torchs(functions, weights, images):
    net = networks.build("small", functions["small"])
    net.load(ordered(weights))
    labels = np.array([0, 1, 2, 1, 0])
    got = net.gradients(images, labels)
    right = reference(weights)
    right.linear.bias.data[:] = torch.from_numpy(state_of(functions)["linear.bias"])
    right.train()
    F.cross_entropy(right(torch.from_numpy(images)), torch.from_numpy(labels)).backward()
    expected = [p.grad for p in right.parameters() if p.requires_grad]
    assert expected[0] is None and not got[0].any()  # a parameter that plays no part
    for a, b in zip(got[1:], expected[1:], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_a_network_handed_to_a_function_is_the_same_network(functions, weights, images):
    net = networks.build("small", functions["small"])
    net.load(ordered(weights))
    before = net.state()
    checks.call("shift(net, images, by)", functions["shift"], net, images, 1.0)
    after = net.state()
    np.testing.assert_allclose(after[1], before[1] + 1)
    other = networks.build("small", functions["small"])
    assert not np.array_equal(other.state()[1], after[1])


def test_a_network_from_torch_itself_is_asked_the_same_way(weights, images):
    net = networks.Network("the course's network", reference(weights))
    assert net.count() == 49 and net.forward(images).shape == (5, 3)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing", r"nothing\(\): expected a torch.nn.Module, got None. Does it end with `return ...`\?"),
        ("number", r"number\(\): expected a torch.nn.Module, got an int\."),
        ("broken", r"broken\(\): your function stopped with ValueError: no such layer\."),
    ],
)
def test_what_is_no_network_gets_a_clear_message(functions, name, message):
    with pytest.raises(CheckFailed, match=message):
        networks.build(name, functions[name])


@pytest.mark.parametrize(
    ("question", "arguments", "message"),
    [
        ("load", [[np.zeros(3)]], r"small\(\), load: your function stopped with ValueError: zip"),
        ("load", [[np.zeros((9, 9))] * 5], r"small\(\), load: your function stopped with RuntimeError"),
        ("forward", [np.zeros((2, 7), np.float32)], r"small\(\), forward: your function stopped with RuntimeError"),
    ],
)
def test_a_question_that_the_network_cannot_answer(functions, question, arguments, message):
    net = networks.build("small", functions["small"])
    with pytest.raises(CheckFailed, match=message):
        getattr(net, question)(*arguments)
    assert net.count() == 49  # it lives


def test_weights_that_were_sent_stay_as_they_are(functions, weights, images):
    net = networks.build("small", functions["small"])
    copies = [w.copy() for w in weights]
    net.load(ordered(weights))
    checks.call("shift", functions["shift"], net, images, 1.0)
    assert all(map(np.array_equal, weights, copies))


def test_with_its_process_the_network_ends(remote):
    net = networks.build("small", remote["small"])
    with pytest.raises(CheckFailed, match="ProcessEnded: nothing came back"):
        networks.build("last", remote["last"])
    with pytest.raises(CheckFailed, match="the process with this network has ended: build it again"):
        net.count()
    assert networks.build("small", remote["small"]).count() == 49


def test_only_questions_are_answered(remote):
    net = networks.build("small", remote["small"])
    with pytest.raises(KeyError):
        net.module.ask("__class__")
    assert networks.QUESTIONS.keys() == {"shapes", "load", "state", "forward", "gradients"}


@pytest.mark.slow
def test_a_network_is_never_sent_itself():
    assert wire.pack(nn.Linear(1, 1), []) == {"kind": "Linear"}
    assert wire.pack(nn.Linear(1, 1), [], lambda value: 4) == {"module": 4}
