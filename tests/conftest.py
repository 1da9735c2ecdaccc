"""Settings and fixtures that tests share, and the table of how closely our NumPy agrees with its judges."""

import gc
import os

import matplotlib
import numpy as np
import pytest
from hypothesis import settings

from cnn_course.errors import SandboxError

matplotlib.use("agg")  # no windows, also on a desktop

# The same examples on every run and machine, and no time limit for one: shared machines are slow in bursts.
settings.register_profile("course", deadline=None, derandomize=True)
settings.load_profile("course")

# What `make quick` leaves out, beside what a file or a test itself marks as slow.
GRADING = ("test_grade_", "test_grading_", "test_pool.py", "test_postgresql", "test_provisioner")
LONG = ("browser", "grading", "slow")


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Thousands of tests and all of torch are read, and none of it will be rubbish: looking takes half of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_unconfigure():
    gc.unfreeze()  # else what triton made is never freed, and it complains at the end


@pytest.hookimpl(tryfirst=True)  # before pytest looks at -m
def pytest_collection_modifyitems(items):
    for item in items:
        fixtures = getattr(item, "fixturenames", ())  # a notebook's cell has none
        if "browser" in fixtures:
            item.add_marker("browser")
        if "bubblewrap" in fixtures or item.path.name.startswith(GRADING):
            item.add_marker("grading")
    # Files that take long come first: at the end the workers have small ones to share.
    long = {item.path for item in items if item.path.suffix == ".ipynb" or any(map(item.get_closest_marker, LONG))}
    items.sort(key=lambda item: item.path not in long)


@pytest.fixture
def one_thread():
    """For tiny nets in torch: on a busy machine a second thread costs far more than it gives."""
    import torch  # here, because most tests are NumPy's

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def undrawn(request, monkeypatch):
    """Views whose static picture is empty: drawing takes longer than all the rest. Not in tests marked `drawn`."""
    from cnn_course import visualize

    if request.node.get_closest_marker("drawn") is None:
        monkeypatch.setattr(visualize, "png", lambda fig, **_: b"")


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium. Where there is none, the test is skipped, and fails in CI.

    It ends with its module: while it runs, Playwright's event loop is in the way of others in this process.
    """
    pytest.importorskip("playwright")
    import jupyterlab_harness as harness

    from cnn_course.commands.doctor import find_browser

    if find_browser() is None:
        reason = "no Chromium or Chrome on this machine"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    with harness.chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def bubblewrap():
    """The grader's sandbox. Where it does not start, the test is skipped, and fails in CI."""
    from cnn_course.grading.sandbox import bubblewrap

    try:
        bubblewrap.check()
    except SandboxError as error:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"needs bubblewrap: {error}")


@pytest.fixture(scope="module")
def tab(browser, notebooks, tmp_path_factory):
    """JupyterLab over the module's folder of `notebooks`, in one page for all tests: it takes seconds to load."""
    import jupyterlab_harness as harness

    with harness.server(notebooks, state=tmp_path_factory.mktemp("jupyter")) as running:
        page = browser.new_page(viewport={"width": 1200, "height": 1000})
        seen = harness.watch(page)
        harness.open_jupyterlab(page, running)
        yield page, seen
        page.close(run_before_unload=False)


@pytest.fixture
def page(tab):
    """The page of `tab`; at the end of a test nothing may have gone wrong in it or left this machine."""
    page, seen = tab
    yield page
    assert seen.errors == []
    assert seen.strangers == []


class Agreement:
    """Compares arrays with an independent reference and remembers the largest relative error of each layer."""

    def __init__(self) -> None:
        self.found: dict[str, tuple[int, float, float]] = {}

    def __call__(self, layer: str, ours: object, reference: object, limit: float, *, scale: float = 0.0) -> None:
        """Assert max |ours - reference| <= limit * max(|reference|, scale), and count it as a case of `layer`.

        scale: the size of the numbers that were added up, where the sum itself may be (nearly) zero.
        """
        ours, reference = np.asarray(ours), np.asarray(reference)
        assert ours.shape == reference.shape, f"{layer}: shape {ours.shape}, expected {reference.shape}"
        size = max(float(np.abs(reference).max(initial=0)), scale)
        difference = float(np.abs(ours - reference).max(initial=0))
        error = difference / size if size else difference
        cases, worst, _ = self.found.get(layer, (0, 0.0, limit))
        self.found[layer] = (cases + 1, max(worst, error), limit)
        assert error <= limit, f"{layer}: relative error {error:.2e}, at most {limit:.0e} allowed"


AGREEMENT = Agreement()


@pytest.fixture(scope="session")
def agreement() -> Agreement:
    return AGREEMENT


def pytest_terminal_summary(terminalreporter):
    if AGREEMENT.found:
        terminalreporter.section("agreement with independent judges")
        for layer, (cases, worst, limit) in sorted(AGREEMENT.found.items()):
            line = f"{layer:52s} {cases:6,} cases, largest relative error {worst:.1e} (allowed {limit:.0e})"
            terminalreporter.write_line(line)
        terminalreporter.write_line(f"{'all':52s} {sum(c for c, _, _ in AGREEMENT.found.values()):6,} cases")
