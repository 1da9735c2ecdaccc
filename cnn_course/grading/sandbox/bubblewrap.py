"""bubblewrap: a read-only system without network, course, other submissions or environment, for code of students.

`command(...)` is the command line, used by `host` (grading) and by `provisioner` (Jupyter kernels). What the sandbox
gives: Python and its packages, to read; an empty home and /tmp of limited size; process, memory, file and CPU limits;
no capabilities and an unprivileged user. What it does not: a second kernel. Who breaks Linux's namespaces is out.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import cnn_course
from cnn_course.errors import SandboxError

if sys.platform == "linux":  # elsewhere nothing here can be used but `check`, which says so
    import resource

    libc = ctypes.CDLL(None, use_errno=True)

NOBODY = 65534
# What a submission may use: all its processes together, beyond what the warm process holds; and each of them.
SUBMISSION_MEMORY = 4 << 30
SUBMISSION_CPU_SECONDS = 600
# What a kernel may use that Jupyter starts in the sandbox. Addresses: torch reserves gigabytes that it never touches.
KERNEL_ADDRESSES = 8 << 30
KERNEL_CPU_SECONDS = 3600
# Either of them: bytes and files in each place that can be written to, bytes of a file, processes, open files.
TMP_BYTES = 64 << 20
TMP_FILES = 10_000
FILE_BYTES = 64 << 20
PROCESSES = 64
OPEN_FILES = 256
NEW_USERS = 0x10000000  # of unshare: a namespace of users
PDEATHSIG = 1  # of prctl: the signal that comes when the parent ends
DUMPABLE = 4  # and whether processes of the same user may look into this one
_CAPBSET_DROP, _NO_NEW_PRIVS = 24, 38
_PACKAGE = Path(cnn_course.__file__).resolve().parent


def check() -> None:
    """Raise SandboxError unless a sandbox starts here."""
    if sys.platform != "linux":
        raise SandboxError(
            "there is no sandbox outside Linux, and without one students' code would run with your rights. Grade on "
            "Linux or, if you trust every submission, add --unsafe-no-sandbox."
        )
    if shutil.which("bwrap") is None:
        raise SandboxError(
            "bubblewrap is missing, and without it students' code would run with your rights. Install it "
            "(Debian, Ubuntu: sudo apt install bubblewrap) or, if you trust every submission, add --unsafe-no-sandbox."
        )
    try:
        done = subprocess.run(command(["/usr/bin/env", "true"]), capture_output=True, text=True, timeout=30)
        said = (done.stderr.strip().splitlines() or ["no reason given"])[-1] if done.returncode else ""
    except (OSError, subprocess.TimeoutExpired) as error:
        said = str(error)
    if said:
        raise SandboxError(
            f"bubblewrap cannot start a sandbox here: {said}. In a container it needs the right to make user "
            "namespaces (docker run --security-opt seccomp=unconfined). `cnn-course doctor` tries again."
        )


def readable() -> list[Path]:
    """Python, its packages and the course's: what a sandbox shows beside the system."""
    found = {Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable).resolve().parent.parent, _PACKAGE}
    found |= {place for place in _packages() if not place.is_relative_to(sys.prefix)}
    return sorted(path for path in found if not path.is_relative_to("/usr"))


def _packages() -> list[Path]:
    """The folders of packages in Python's order, where some lie outside its own (a user's, a cluster's); else none."""
    named = [Path(place) for place in sys.path if Path(place).name in ("site-packages", "dist-packages")]
    found = [place for place in named if place.is_dir()]
    return found if any(not place.is_relative_to(sys.prefix) for place in found) else []


def command(
    inner: Sequence[str | os.PathLike],
    *,
    read: Sequence[Path] = (),
    write: Sequence[Path] = (),
    bare_proc: bool = False,
) -> list[str]:
    """The command that runs `inner` in a sandbox. read, write: more paths to show there, at the same places.

    bare_proc: show the outer /proc, for a process that runs no foreign code and gives each child a /proc of its own:
    the kernel allows that only where nothing covers a part of it.
    """
    words = [shutil.which("bwrap") or "bwrap", "--die-with-parent", "--new-session", "--clearenv", "--as-pid-1"]
    words += ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    if os.geteuid() == 0:
        # Limits on processes do not bind root: `host` and `launch` become nobody before any other code runs.
        words += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    else:
        words += ["--unshare-user", "--uid", str(NOBODY), "--gid", str(NOBODY)]
    for name in ("usr", "bin", "sbin", "lib", "lib32", "lib64"):
        path = Path("/") / name
        if path.is_symlink():
            words += ["--symlink", os.readlink(path), str(path)]
        elif path.is_dir():
            words += ["--ro-bind", str(path), str(path)]
    for name in ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "fonts", "localtime"):
        words += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    words += [*(("--bind", "/proc", "/proc") if bare_proc else ("--proc", "/proc")), "--dev", "/dev"]
    for place, size in (("/dev/shm", TMP_BYTES), ("/tmp", TMP_BYTES), ("/home", 1 << 20)):
        words += ["--perms", "1777", "--size", str(size), "--tmpfs", place]
    places = [(path, "--ro-bind") for path in sorted({*readable(), *read})]
    places += [(path, "--bind") for path in write]
    for path, how in places:
        for parent in reversed(path.parents[:-1]):  # nobody has to get through them
            words += ["--perms", "0755", "--dir", str(parent)]
        words += [how, str(path), str(path)]
    environment = {"HOME": "/home", "USER": "student", "PATH": f"{sys.prefix}/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
    environment |= {"PYTHONDONTWRITEBYTECODE": "1", "MPLBACKEND": "agg"}
    environment["PYTHONPATH"] = os.pathsep.join(map(str, (_PACKAGE.parent, *_packages())))
    environment |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    for name, value in environment.items():
        words += ["--setenv", name, value]
    # bubblewrap's own mounts belong to whoever starts it, who may be the user that runs the inner command.
    words += ["--remount-ro", "/dev", "--remount-ro", "/"]
    return [*words, "--chdir", "/tmp", "--", *map(str, inner)]


def become_nobody(user: int = NOBODY) -> None:
    """Give up root for good, where we are root, and every way to more rights."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(user, user, user)
    prctl(DUMPABLE, 1)  # lost with root, and without it /proc/self belongs to root
    prctl(_NO_NEW_PRIVS, 1)


def own_users(namespaces: int = NEW_USERS) -> bool:
    """Make namespaces, one of users among them in which only this user exists; False where the kernel refuses."""
    uid, gid = os.geteuid(), os.getegid()
    if libc.unshare(namespaces):
        return False
    for file, line in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{file}", "w", encoding="utf-8") as out:
            out.write(line)
    return True


def drop_capabilities() -> None:
    """Give up what a namespace of users has brought."""
    for capability in range(64):
        libc.prctl(_CAPBSET_DROP, capability, 0, 0, 0)  # those above the last one fail
    if libc.capset(struct.pack("<Ii", 0x20080522, 0), b"\0" * 24):
        raise OSError(ctypes.get_errno(), "capset")


def prctl(option: int, value: int, more: int | ctypes.c_char_p = 0) -> None:
    """Linux's prctl. Raises OSError."""
    if libc.prctl(option, ctypes.c_ulong(value), more, 0, 0):
        raise OSError(ctypes.get_errno(), f"prctl {option}")


def limit(cpu_seconds: int, addresses: int = KERNEL_ADDRESSES) -> None:
    """Bound what this process and its children can use, each of them. It cannot be undone."""
    for what, most in (
        (resource.RLIMIT_AS, addresses),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_NPROC, PROCESSES),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(what)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (most, most))
