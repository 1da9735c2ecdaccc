"""A private JupyterLab on loopback, driven in headless Chromium: the harness of the browser tests.

with server(folder) as jupyterlab, chromium() as browser:
    page = browser.new_page()
    open_jupyterlab(page, jupyterlab)
    open_notebook(page, "01.ipynb")
    run_all(page)
"""

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from cnn_course.commands.doctor import find_browser

CHROMIUM_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
LOOPBACK = ("127.0.0.1", "localhost", "::1")
# The page's own word "idle" stands there before there is a session, so the session is asked.
KERNEL_IDLE = "window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"


@dataclass
class Server:
    """A running JupyterLab: its address, its token, and the folder that it shows."""

    url: str
    token: str
    folder: Path


@dataclass
class Watch:
    """What a page did that it should not: console errors and requests to other machines."""

    errors: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)


@contextlib.contextmanager
def chromium() -> Iterator:
    """A headless Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=list(CHROMIUM_FLAGS))
        yield browser
        browser.close()


@contextlib.contextmanager
def server(folder: Path, *, state: Path, theme: str = "JupyterLab Light", **environment: str) -> Iterator[Server]:
    """JupyterLab over `folder`, with nothing of the user's: its settings, kernels' history and logs go to `state`."""
    own = {name: state / name.lower() for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")}
    own |= {
        name: state / name.lower() for name in ("JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR", "IPYTHONDIR")
    }
    for path in own.values():
        path.mkdir(parents=True, exist_ok=True)
    _settings(own["JUPYTERLAB_SETTINGS_DIR"], "notification", {"fetchNews": "false", "checkForUpdates": False})
    _settings(own["JUPYTERLAB_SETTINGS_DIR"], "themes", {"theme": theme})
    env = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "CNN_COURSE_WIDGETS"))}
    env |= {name: str(path) for name, path in own.items()}
    token = secrets.token_hex(16)
    env |= {"JUPYTER_TOKEN": token, "OMP_NUM_THREADS": "1", "PYDEVD_DISABLE_FILE_VALIDATION": "1", **environment}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", f"--port={port}"),
        *("--ServerApp.port_retries=0", f"--ServerApp.root_dir={folder}", "--LabApp.expose_app_in_browser=True"),
        *("--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate", "--LabApp.news_url=None"),
        *("--ServerApp.quit_button=False", "--allow-root"),
    ]
    log = state / "server.log"
    with log.open("w") as out:
        process = subprocess.Popen(command, env=env, cwd=folder, stdout=out, stderr=subprocess.STDOUT)
    running = Server(f"http://127.0.0.1:{port}", token, folder)
    try:
        _wait_until_up(running, process, log)
        yield running
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _settings(folder: Path, name: str, values: dict) -> None:
    file = folder / "@jupyterlab" / "apputils-extension" / f"{name}.jupyterlab-settings"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(values))


def _wait_until_up(running: Server, process: subprocess.Popen, log: Path, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"{running.url}/api/status?token={running.token}", timeout=5).close()
            return
        time.sleep(0.2)
    raise RuntimeError(f"JupyterLab did not come up in {seconds:.0f} s:\n{log.read_text()[-3000:]}")


def watch(page) -> Watch:
    """Record the page's console errors and every request, by HTTP or WebSocket, that leaves this machine."""
    seen = Watch()

    def check(url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("data", "blob") and parts.hostname not in LOOPBACK:
            seen.strangers.append(url)

    page.on("console", lambda message: seen.errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: seen.errors.append(str(error)))
    page.on("request", lambda request: check(request.url))
    page.on("websocket", lambda socket: check(socket.url))
    return seen


def open_jupyterlab(page, running: Server) -> None:
    """Load JupyterLab."""
    page.goto(f"{running.url}/lab?reset&token={running.token}")
    page.wait_for_function("window.jupyterapp?.shell && jupyterapp.restored.then(() => true)", timeout=90_000)


def start_kernel(page) -> str:
    """A kernel that no notebook has yet; its id. Widgets talk to the first of its connections: ours ends here."""
    return page.evaluate(
        "jupyterapp.serviceManager.kernels.startNew({ name: 'python3' })"
        ".then((kernel) => { const { id } = kernel; kernel.dispose(); return id; })"
    )


def open_notebook(page, name: str, seconds: float = 90, kernel: str | None = None) -> None:
    """Open a notebook of the server's folder and wait for its kernel: one of its own, or the running one of this id."""
    page.evaluate(
        "([path, id]) => jupyterapp.commands.execute('docmanager:open', { path, kernel: id ? { id } : undefined })"
        ".then(() => null)",
        [name, kernel],
    )
    page.wait_for_function(KERNEL_IDLE, timeout=1000 * seconds)


def run_all(page, seconds: float = 300) -> list[str]:
    """Run all cells and wait for the last one. Returns the errors that cells ended with."""
    _run(page, "notebook:run-all-cells", seconds)
    return _errors(page)


def run_cell(page, index: int, *, wait: bool = True, seconds: float = 120) -> None:
    """Run one cell of the open notebook; window.cnnRan says when it is over. Raises AssertionError if it fails."""
    page.evaluate(
        "index => { const { content } = jupyterapp.shell.currentWidget;"
        " content.deselectAll(); content.activeCellIndex = index; }",
        index,
    )
    _run(page, "notebook:run-cell", seconds if wait else 0)
    if wait and (errors := _errors(page)):
        raise AssertionError(f"cell {index} ended with {errors}")


def clear_outputs(page) -> None:
    """Take every output, and with it every view, off the page."""
    page.evaluate("jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")


def _run(page, command: str, seconds: float) -> None:
    """Run cells, and wait for their end, and for the kernel's, at most `seconds`: none, not at all."""
    page.evaluate(
        "command => { window.cnnRan = false;"
        " jupyterapp.commands.execute(command).then(() => { window.cnnRan = true; }); }",
        command,
    )
    if seconds:
        page.wait_for_function(f"window.cnnRan && {KERNEL_IDLE}", timeout=1000 * seconds)


def _errors(page) -> list[str]:
    return page.evaluate(
        """() => [...jupyterapp.shell.currentWidget.content.model.cells].flatMap((cell) =>
            (cell.toJSON().outputs || []).filter((o) => o.output_type === 'error')
                .map((o) => `${o.ename}: ${o.evalue}`))"""
    )


def close_notebook(page, keep_kernel: bool = False) -> None:
    """Close the notebook without saving, and end its kernel, so that memory is free for the next one."""
    page.evaluate(
        "keep => { const notebook = jupyterapp.shell.currentWidget;"
        " return (keep ? Promise.resolve() : notebook.sessionContext.shutdown()).then(() => notebook.dispose()); }",
        keep_kernel,
    )
