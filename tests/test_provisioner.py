"""The kernel provisioner: what a sandboxed kernel sees, that Jupyter's buttons work, and that nothing stays behind."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

jupyter_client = pytest.importorskip("jupyter_client")
import nbformat  # noqa: E402
from jupyter_client.provisioning import KernelProvisionerFactory  # noqa: E402
from nbclient import NotebookClient  # noqa: E402

from cnn_course.errors import SandboxError  # noqa: E402
from cnn_course.grading.sandbox import bubblewrap  # noqa: E402

NAME = "cnn-course-sandbox"
needs_bubblewrap = pytest.mark.usefixtures("bubblewrap")

# A process of its own that starts a kernel, says where, and waits to be killed.
HOLDER = """
import time
from jupyter_client import KernelManager
manager = KernelManager(kernel_name="python3")
manager.start_kernel()
client = manager.client()
client.start_channels()
client.wait_for_ready(60)
print(manager.provisioner.folder, manager.provisioner.pid, flush=True)
time.sleep(300)
"""


@pytest.fixture
def manager(monkeypatch):
    """A kernel manager whose Python kernels run in the sandbox."""
    monkeypatch.setenv("JUPYTER_DEFAULT_PROVISIONER_NAME", NAME)
    monkeypatch.setenv("CNN_COURSE_SECRET", "not for students")
    KernelProvisionerFactory.clear_instance()
    manager = jupyter_client.KernelManager(kernel_name="python3")
    yield manager
    if manager.has_kernel:
        manager.shutdown_kernel(now=True)
    KernelProvisionerFactory.clear_instance()


@pytest.fixture
def client(manager):
    """A client of a kernel that has been started."""
    manager.start_kernel()
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(60)
    yield client
    client.stop_channels()


@pytest.fixture
def run(client):
    """run(code) gives what the code prints in the kernel, and fails if it raises."""

    def run(code):
        printed = []

        def hook(message):
            if message["msg_type"] == "stream":
                printed.append(message["content"]["text"])

        reply = client.execute_interactive(code, timeout=60, output_hook=hook)
        assert reply["content"]["status"] == "ok", reply["content"]
        return "".join(printed).strip()

    return run


def within(seconds, condition):
    """Wait until condition() holds; say whether it came to hold."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


def ended(pid):
    """No such process, or one that only waits for its parent to ask how it ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_the_entry_point_is_installed():
    assert NAME in KernelProvisionerFactory().get_provisioner_entries()


@needs_bubblewrap
def test_what_the_kernel_sees(run, manager):
    assert "not for students" not in run("import os; print(os.environ, open('/proc/1/environ').read())")
    assert run("print('JPY_PARENT_PID' in os.environ, os.getuid() == 0)") == "False False"
    # No course, no other home: only the package itself, to read.
    course = Path(bubblewrap.__file__).resolve().parents[2]
    assert run(f"print(os.path.exists('{course / 'labs'}'), os.path.exists('{Path.home() / '.bashrc'}'))") == (
        "False False"
    )
    status = run(
        "print(*[line for line in open('/proc/self/status') if line.startswith(('Cap', 'NoNew', 'Seccomp:'))])"
    )
    values = dict(line.replace(" ", "").split(":\t") for line in status.splitlines() if line.strip())
    assert {int(value, 16) for name, value in values.items() if name.startswith("Cap")} == {0}
    assert values["NoNewPrivs"] == "1" and values["Seccomp"] == "2"


@needs_bubblewrap
def test_no_network(run):
    code = "import socket\nprint([name for _, name in socket.if_nameindex()])"
    assert run(code) == "['lo']"


@needs_bubblewrap
def test_only_the_sockets_folder_is_shared(run, manager):
    folder = manager.provisioner.folder
    assert manager.transport == "ipc" and Path(manager.ip).is_absolute()
    assert len(f"{manager.ip}-5") < 108
    places = [folder, folder / "kernel.json", bubblewrap.__file__, sys.prefix]
    code = "\n".join(
        f"print(os.access({str(place)!r}, os.W_OK) and os.statvfs({str(place)!r}).f_flag & os.ST_RDONLY == 0)"
        for place in places[1:]
    )
    assert set(run("import os\n" + code).split()) == {"False"}
    run(f"open({str(folder / 's' / 'note')!r}, 'w').close()\nopen('/tmp' '/own', 'w').close()")
    assert (folder / "s" / "note").exists() and not Path("/tmp", "own").exists()
    assert sorted(os.listdir(folder)) == ["kernel.json", "s"]


@needs_bubblewrap
def test_limits_bind(run):
    code = """
import os, resource
print(resource.getrlimit(resource.RLIMIT_NPROC)[1], resource.getrlimit(resource.RLIMIT_AS)[1])
try:
    open('/tmp' '/large', 'wb').write(bytes(200 << 20))
except OSError:
    print('refused')
os.remove('/tmp' '/large')
"""
    assert run(code) == f"{bubblewrap.PROCESSES} {bubblewrap.KERNEL_ADDRESSES}\nrefused"


@needs_bubblewrap
def test_interrupt_reaches_the_kernel_and_not_bubblewrap(run, manager, client):
    run("mark = 'still there'")
    request = client.execute("import time; print('begun'); time.sleep(60)", stop_on_error=False)
    while client.get_iopub_msg(timeout=30)["msg_type"] != "stream":
        pass
    manager.interrupt_kernel()
    reply = client.get_shell_msg(timeout=30)
    while reply["parent_header"]["msg_id"] != request:
        reply = client.get_shell_msg(timeout=30)
    assert reply["content"]["ename"] == "KeyboardInterrupt"
    assert run("print(mark)") == "still there"


@needs_bubblewrap
def test_restart_and_shutdown(run, manager, client):
    run("import subprocess\nsubprocess.Popen(['sleep', '300'])\nmark = 1")
    folder, before = manager.provisioner.folder, manager.provisioner.pid
    # What a student leaves in the folder, a link and a locked folder, is removed and not followed.
    run(f"import os\nos.chdir({str(folder / 's')!r})\nos.symlink('/usr', 'usr')\nos.mkdir('locked', 0o000)")
    manager.restart_kernel()
    assert manager.provisioner.folder == folder and within(60, lambda: ended(before))
    client.wait_for_ready(60)
    assert run("print('mark' in globals())") == "False"
    assert not os.path.lexists(folder / "s" / "usr") and os.path.isdir("/usr/bin")
    after = manager.provisioner.pid
    manager.shutdown_kernel()
    assert not folder.exists() and within(60, lambda: ended(after))


@needs_bubblewrap
def test_a_killed_jupyter_leaves_no_process_and_no_folder(manager):
    holder = subprocess.Popen([sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, text=True, env=os.environ.copy())
    folder, pid = holder.stdout.readline().split()
    inner = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    assert inner and os.path.exists(folder)
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    assert within(60, lambda: all(ended(number) for number in (pid, *inner)))
    assert within(60, lambda: not os.path.exists(folder))


@needs_bubblewrap
def test_a_long_temporary_folder_does_not_make_the_path_too_long(monkeypatch, tmp_path, request):
    long = tmp_path / ("x" * 120)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    assert request.getfixturevalue("run")("print(6 * 7)") == "42"


@needs_bubblewrap
def test_nbclient_runs_a_notebook(manager):
    """nbclient names no connection file."""
    cell = nbformat.v4.new_code_cell("import os; print(os.getcwd())")
    notebook = nbformat.v4.new_notebook(cells=[cell])
    NotebookClient(notebook, kernel_name="python3", timeout=60).execute()
    assert notebook.cells[0].outputs[0].text == "/tmp\n"


def test_without_bubblewrap_no_kernel_starts(manager, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SandboxError, match="bubblewrap is missing"):
        manager.start_kernel()


def test_packages_that_lie_elsewhere_are_there(monkeypatch, tmp_path):
    """A user's own, or a cluster's: Python knows them by sys.path alone. Nothing else of the path is shown."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    (folder / "of_the_cluster.py").write_text("there = True")
    (folder / "nbformat.py").write_text("raise ImportError('Python has another one, which comes first')")
    (tmp_path / "secret.py").write_text("")
    monkeypatch.setattr(sys, "path", [*sys.path, str(folder), str(tmp_path), ""])
    program = f"import nbformat, of_the_cluster, os\nprint(of_the_cluster.there, os.listdir({str(tmp_path)!r}))"
    done = subprocess.run(bubblewrap.command([sys.executable, "-c", program]), capture_output=True, text=True)
    assert done.stdout == "True ['site-packages']\n", done.stderr
