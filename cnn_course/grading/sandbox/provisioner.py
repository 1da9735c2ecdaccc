"""A Jupyter kernel in the sandbox: the kernel provisioner `cnn-course-sandbox`.

    JUPYTER_DEFAULT_PROVISIONER_NAME=cnn-course-sandbox jupyter lab

lets every Python kernel of that JupyterLab run in bubblewrap: an instructor can run a submission by hand. The kernel
has no network; Jupyter reaches it through Unix sockets in a folder that it shares with the sandbox. That is the only
place outside the sandbox that the kernel can write to, and it goes with the kernel, also if Jupyter is killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from traitlets import Integer

from cnn_course.errors import SandboxError
from cnn_course.grading.sandbox import bubblewrap

LONGEST_PATH = 107  # of a Unix socket

# Reads the number of each kernel, and an empty line when it has ended. When the pipe ends, that is, at the latest with
# the process that started it, a kernel that is left is ended (bubblewrap started by root has no right to end a process
# that has become nobody) and the folder goes; the kernel may still write for a moment, hence the tries.
_CLEANER = """
kernel=
while read -r line; do kernel=$line; done
[ -z "$kernel" ] || kill -9 "$kernel" 2>/dev/null
for _ in 1 2 3 4 5 6 7 8 9 10; do
    chmod -R u+rwX -- "$1" 2>/dev/null
    rm -rf -- "$1" 2>/dev/null && exit
    sleep 0.2
done
"""


class SandboxProvisioner(LocalProvisioner):
    """Starts, signals and ends one sandboxed kernel."""

    cpu_seconds = Integer(bubblewrap.KERNEL_CPU_SECONDS, config=True, help="Processor seconds that one kernel may use.")

    # The class above has these three as well; its types say that they are always None.
    process: Any = None
    pid: Any = None
    cwd: Any = None

    folder: Path | None = None
    _cleaner: subprocess.Popen[bytes] | None = None
    _pipe: int | None = None  # to the cleaner; while it is open, the folder stays
    _kernel: int | None = None  # a pidfd: a number of a process may be given to another one

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Prepare the sockets' folder and the connection file. Raises SandboxError where no sandbox starts."""
        if self.kernel_spec.language.lower() != "python":
            raise SandboxError(f"the sandbox runs Python kernels, not {self.kernel_spec.language}.")
        bubblewrap.check()
        manager: Any = self.parent
        folder = self.folder
        if folder is None:
            folder = self._make_folder()
            manager.connection_file = str(folder / "kernel.json")
            manager.transport = "ipc"
            manager.ip = str(folder / "s" / "k")
            manager.cache_ports = False
        sockets = folder / "s"
        _remove(sockets)  # what an earlier kernel left there
        sockets.mkdir(mode=0o700)
        kwargs["env"] = {}
        kwargs = await super().pre_launch(**kwargs)
        for path in (sockets, folder / "kernel.json"):
            if os.geteuid() == 0:
                os.chown(path, bubblewrap.NOBODY, bubblewrap.NOBODY)
        words = [sys.executable, "-m", "cnn_course.grading.sandbox.launch"]
        words += [str(folder / "kernel.json"), str(self.cpu_seconds)]
        kwargs["cmd"] = bubblewrap.command(words, read=[folder / "kernel.json"], write=[sockets])
        return kwargs

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Start it. Nothing of the environment goes along, and what it writes to its terminal goes nowhere."""
        if self._pipe is None:
            raise SandboxError("launch_kernel comes after pre_launch, which makes the folder.")
        read, write = os.pipe()
        with open(read, "rb") as answer:
            try:
                self.process = subprocess.Popen(
                    [cmd[0], "--info-fd", str(write), *cmd[1:]],
                    env={},
                    pass_fds=[write],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
            finally:
                os.close(write)
            said = answer.read()
        try:
            child = json.loads(said)["child-pid"]
            self._close_kernel()
            self._kernel = os.pidfd_open(child)
            os.write(self._pipe, f"{child}\n".encode())
        except (ValueError, KeyError, OSError) as error:
            self.process.kill()
            raise SandboxError("bubblewrap ended before the kernel began.") from error
        self.pid, self.pgid = self.process.pid, None
        self.cwd = kwargs.get("cwd") or Path.cwd()
        return self.connection_info

    async def wait(self) -> int | None:
        result = await super().wait()
        if self._pipe is not None:
            os.write(self._pipe, b"\n")  # its number may soon be another process's
        return result

    async def send_signal(self, signum: int) -> None:
        """Signal the kernel and not bubblewrap, which an interrupt would end."""
        if self._kernel is None or self.process is None:
            return
        if signum == signal.SIGTERM:  # the first process of a namespace does not hear it; there is nothing to save
            signum = signal.SIGKILL
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._kernel, signum)

    async def kill(self, restart: bool = False) -> None:
        """End the kernel, and with the first process of its namespace everything that it started."""
        await self.send_signal(signal.SIGKILL)

    async def terminate(self, restart: bool = False) -> None:
        await self.kill(restart)

    async def cleanup(self, restart: bool = False) -> None:
        self._close_kernel()
        if restart or self.folder is None:
            return
        _remove(self.folder)
        if self._pipe is not None:
            os.close(self._pipe)
        if self._cleaner is not None:
            self._cleaner.wait()
        self.folder = self._pipe = self._cleaner = None

    def _make_folder(self) -> Path:
        """The folder, and the small process that removes it if this one is killed."""
        place = tempfile.gettempdir()
        if len(os.fsencode(os.path.abspath(place))) > LONGEST_PATH - 40:
            place = "/tmp"
        self.folder = folder = Path(tempfile.mkdtemp(prefix="cnn-kernel-", dir=os.path.abspath(place)))
        read, self._pipe = os.pipe()
        with open(read, "rb") as end:
            self._cleaner = subprocess.Popen(
                ["/bin/sh", "-c", _CLEANER, "sh", str(folder)],
                env={"PATH": os.defpath},
                cwd="/",
                stdin=end,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        return folder

    def _close_kernel(self) -> None:
        if self._kernel is not None:
            os.close(self._kernel)
            self._kernel = None


def _remove(folder: Path) -> None:
    """Remove a folder that a student could write to; links in it are removed, not followed."""
    with contextlib.suppress(OSError):
        folder.chmod(0o700)
    for parent, folders, _ in os.walk(folder):
        for name in folders:
            path = Path(parent) / name
            if not path.is_symlink():
                path.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)
