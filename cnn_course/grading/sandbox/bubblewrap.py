"""bubblewrap: a read-only system without network, course, other submissions or environment, for code of students.

`command(...)` is the command line, used by `host` (grading) and by `provisioner` (Jupyter kernels). What the sandbox
gives: Python and its packages, to read; an empty home and /tmp of limited size; process, memory, file and CPU limits;
no capabilities and an unprivileged user. What it does not: a second kernel. Who breaks Linux's namespaces is out.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import shutil
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import cnn_course
from cnn_course.errors import SandboxError

NOBODY = 65534
TMP_BYTES = 64 << 20
FILE_BYTES = 64 << 20
MEMORY_BYTES = 8 << 30  # of addresses: torch reserves several gigabytes that it never touches
PROCESSES = 64
OPEN_FILES = 256
NEW_USERS = 0x10000000  # of unshare: a namespace of users
PDEATHSIG = 1  # of prctl: the signal that comes when the parent ends
DUMPABLE = 4  # and whether processes of the same user may look into this one
_SECCOMP, _CAPBSET_DROP, _NO_NEW_PRIVS = 22, 24, 38
_PACKAGE = Path(cnn_course.__file__).resolve().parent
_libc = ctypes.CDLL(None, use_errno=True)


def check() -> None:
    """Raise SandboxError unless a sandbox starts here."""
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
    return sorted(path for path in found if not path.is_relative_to("/usr"))


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
    environment |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(_PACKAGE.parent), "MPLBACKEND": "agg"}
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
    if _libc.unshare(namespaces):
        return False
    for file, line in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{file}", "w") as out:
            out.write(line)
    return True


def drop_capabilities() -> None:
    """Give up what a namespace of users has brought."""
    for capability in range(64):
        _libc.prctl(_CAPBSET_DROP, capability, 0, 0, 0)  # those above the last one fail
    if _libc.capset(struct.pack("<Ii", 0x20080522, 0), b"\0" * 24):
        raise OSError(ctypes.get_errno(), "capset")


def prctl(option: int, value: int, more: int | ctypes.c_char_p = 0) -> None:
    """Linux's prctl. Raises OSError."""
    if _libc.prctl(option, ctypes.c_ulong(value), more, 0, 0):
        raise OSError(ctypes.get_errno(), f"prctl {option}")


def refuse_system_calls() -> None:
    """Let calls fail (seccomp) with which a process makes namespaces or mounts, traces others, or loads kernel code.

    So do those that hide memory from who counts it, and sockets of kinds that no network namespace holds back (those
    between a virtual machine and its host, for one). On machines other than x86-64 and ARM64 nothing is refused: the
    namespaces and the missing capabilities remain.
    """
    machine = _CALLS.get(platform.machine())
    if machine is None:
        return
    architecture, clone, clone3, socket, refused = machine
    load, equal, mask, answer = 0x20, 0x15, 0x45, 0x06  # BPF: load a word, jump if equal, jump if any bit, return
    allow, refuse, unknown = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
    program = [(load, 0, 0, 4), (equal, 1, 0, architecture), (answer, 0, 0, 0x80000000), (load, 0, 0, 0)]
    if machine is _CALLS["x86_64"]:  # x32 calls carry this bit
        program += [(0x35, 0, 1, 0x40000000), (answer, 0, 0, refuse)]
    program += [part for call in refused for part in ((equal, 0, 1, call), (answer, 0, 0, refuse))]
    program += [(equal, 0, 1, clone3), (answer, 0, 0, unknown)]  # glibc then uses clone, whose flags can be read
    program += [(equal, 0, 3, clone), (load, 0, 0, 16), (mask, 0, 1, _NEW_NAMESPACES), (answer, 0, 0, refuse)]
    program += [(equal, 0, len(_SOCKETS) + 2, socket), (load, 0, 0, 16)]
    program += [(equal, len(_SOCKETS) - i, 0, family) for i, family in enumerate(_SOCKETS)]
    program += [(answer, 0, 0, refuse), (answer, 0, 0, allow)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *step) for step in program))
    filter_ = struct.pack("<HxxxxxxQ", len(program), ctypes.addressof(code))
    prctl(_SECCOMP, 2, ctypes.c_char_p(filter_))


_NEW_NAMESPACES = 0x7E020080  # every CLONE_NEW... flag
_SOCKETS = (1, 2, 10, 16)  # Unix, IP, IPv6, netlink
# architecture, clone, clone3, socket, and: ptrace, mount, umount2, pivot_root, chroot, unshare, setns, keyctl, add_key,
# request_key, bpf, perf_event_open, userfaultfd, io_uring_setup, kexec_load, init_module, finit_module, open_tree,
# move_mount, fsopen, mount_setattr, process_vm_readv, process_vm_writev, memfd_create, shmget, syslog
_CALLS = {
    "x86_64": (
        0xC000003E, 56, 435, 41,
        (101, 165, 166, 155, 161, 272, 308, 250, 248, 249, 321, 298, 323, 425, 246, 175, 313, 428, 429, 430, 442,
         310, 311, 319, 29, 103),
    ),
    "aarch64": (
        0xC00000B7, 220, 435, 198,
        (117, 40, 39, 41, 51, 97, 268, 219, 217, 218, 280, 241, 282, 425, 104, 105, 273, 428, 429, 430, 442, 270, 271,
         279, 194, 116),
    ),
}  # fmt: skip


def limit(cpu_seconds: int, memory: int = MEMORY_BYTES) -> None:
    """Bound what this process and its children can use, each of them. It cannot be undone."""
    for what, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_NPROC, PROCESSES),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(what)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (most, most))
