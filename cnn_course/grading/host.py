"""Runs in the sandbox: one warm process that has imported what a lab needs, and a forked child for each submission.

    python -m cnn_course.grading.host CONTROL-FD CPU-SECONDS MEMORY-BYTES isolate SETUP numpy torch ...

Importing torch takes seconds, forking a process that has it takes milliseconds. Each child gets namespaces of its own
(users, processes, mounts, network, System V objects) and an empty /tmp, so submissions that run at the same time or one
after the other never meet. The warm process itself runs no code of students.

On the control socket the trusted side asks with one byte: F with a socket forks a child that serves on it (answer: its
pid, 0 if there is none), K with a pid ends that child and all that it started.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import os
import resource
import signal
import socket
import struct
import sys
import traceback

from cnn_course.grading import sandbox
from cnn_course.grading.warm_up import warm_up

NAMESPACES = 0x10000000 | 0x20000 | 0x8000000 | 0x20000000 | 0x40000000  # user, mount, ipc, pid, net
_libc = ctypes.CDLL(None, use_errno=True)


def main(arguments: list[str]) -> int:
    control = socket.socket(fileno=int(arguments[0]))
    cpu_seconds, memory, isolate = int(arguments[1]), int(arguments[2]), arguments[3] == "isolate"
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who presses Ctrl-C ends the trusted side, and that ends this one
    if isolate:
        sandbox.become_nobody()
        sandbox.prctl(sandbox.PDEATHSIG, signal.SIGKILL)
    from cnn_course.grading import student_side  # noqa: F401  (read now, as what a child runs)

    for name in arguments[5:]:
        with contextlib.suppress(ImportError):  # then the student's cell says so
            importlib.import_module(name)
    warm_up(arguments[4])
    gc.collect()
    gc.freeze()  # the collector of a child need not touch, and so copy, what was there before
    control.sendall(b"R")
    children: dict[int, int] = {}  # the served process: its parent, which waits for it
    while True:
        request, fds, _, _ = socket.recv_fds(control, 1 + 4, 1)
        _reap(children)
        if not request:
            for served in children:
                _kill(served)
            return 0
        if request[:1] == b"F" and fds:
            served = _fork(control, fds[0], cpu_seconds, memory, isolate, children)
            os.close(fds[0])
            control.sendall(struct.pack("<i", served))
        elif request[:1] == b"K" and len(request) == 5:
            (served,) = struct.unpack("<i", request[1:])
            if served in children:
                _kill(served)
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(children.pop(served), 0)  # it ends after everything in the child's namespaces
            control.sendall(b"k")


def _fork(
    control: socket.socket, channel: int, cpu_seconds: int, memory: int, isolate: bool, children: dict[int, int]
) -> int:
    """Start a child that serves a student's functions on `channel`; its pid, or 0."""
    read, write = os.pipe()
    parent = os.fork()
    if parent == 0:
        try:
            _middle(control, channel, write, cpu_seconds, memory, isolate)
        except Exception:
            traceback.print_exc()  # before the student's code runs, standard error is still the instructor's
        finally:
            os._exit(1)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        answer = pipe.read(4)
    if len(answer) < 4:
        os.waitpid(parent, 0)
        return 0
    (served,) = struct.unpack("<i", answer)
    children[served] = parent
    return served


def _middle(control: socket.socket, channel: int, write: int, cpu_seconds: int, memory: int, isolate: bool) -> None:
    """Between the warm process and the served one: makes the namespaces, says the pid, watches until the end."""
    control.close()
    os.setsid()  # a signal to the own process group reaches across namespaces
    addresses = _addresses() + memory
    if isolate:
        uid, gid = os.geteuid(), os.getegid()
        if _libc.unshare(NAMESPACES):
            return
        lines = [("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")]
        for file, line in [*lines, ("oom_score_adj", "1000")]:  # if memory runs out, it is this one that ends
            with open(f"/proc/self/{file}", "w") as out:
                out.write(line)
    ready_read, ready_write = os.pipe()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})  # it waits for _watch
    served = os.fork()
    if served == 0:
        try:
            os.setsid()
            os.close(write)
            os.close(ready_read)
            if isolate:
                _own_places()
                sandbox.prctl(sandbox.PDEATHSIG, signal.SIGKILL)
            sandbox.limit(cpu_seconds, addresses)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            channel = _only(channel, ready_write)
            os.write(1, b"!")  # the pipe that stands at 1 until now
            null = os.open("/dev/null", os.O_RDWR)
            for fd in (0, 1, 2):
                os.dup2(null, fd)
            os.close(null)
            from cnn_course.grading import student_side

            student_side.serve(socket.socket(fileno=channel))
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(ready_write)
    os.close(channel)
    ready = os.read(ready_read, 1) == b"!"  # set up, and nothing of the student's has run
    if ready:
        os.write(write, struct.pack("<i", served))
    os.close(write)
    _watch(served, memory if ready and isolate else 0)
    os._exit(0)


def _watch(served: int, memory: int) -> None:
    """Wait for the end of the served process; bring it about if all in its namespace together hold too much memory.

    The served process has put its own /proc where this one sees it, too. Where it cannot, each process has its limit.
    """
    while os.waitpid(served, os.WNOHANG) == (0, 0):
        signal.sigtimedwait([signal.SIGCHLD], 0.2)
        # The second count is exact where processes share memory after a fork, and slow.
        if memory and _held("status", b"RssAnon:", b"RssShmem:") > memory:
            exact = _held("smaps_rollup", b"Pss_Anon:", b"Pss_Shmem:")
            if exact > memory or exact == 0:  # old kernels do not say
                _kill(served)


def _held(file: str, *fields: bytes) -> int:
    total = 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/{file}", "rb") as lines:
                total += sum(int(line.split()[1]) << 10 for line in lines if line.startswith(fields))
        except PermissionError:  # it hides; so it pays for all
            total += 1 << 40
        except OSError:  # it has just ended
            pass
    return total


def _addresses() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def _only(channel: int, ready: int) -> int:
    """Close every file but the channel, which becomes 3, and `ready`, which becomes 1."""
    high = os.dup(channel) if channel < 3 else channel
    os.dup2(ready, 1)
    os.dup2(high, 3)
    os.closerange(4, 1 << 16)
    return 3


def _own_places() -> None:
    """An empty /tmp, home, /dev/shm and /proc, no capabilities, and none of the calls that could change it."""
    _mount(None, "/", None, 0x4000 | 0x40000, None)  # private: nothing that happens here shows outside
    size = f"size={sandbox.TMP_BYTES},nr_inodes=10000,mode=1777"
    for place in ("/tmp", "/home", "/dev/shm"):
        # A course or a Python that is installed below one of them is shown there again.
        kept = [path for path in sandbox.readable() if path.is_relative_to(place)]
        fds = [os.open(path, os.O_PATH) for path in kept]
        _mount("tmpfs", place, "tmpfs", 0x2 | 0x4, size)  # no setuid, no devices
        for path, fd in zip(kept, fds, strict=True):
            path.mkdir(parents=True, exist_ok=True)
            _mount(f"/proc/self/fd/{fd}", str(path), None, 0x1000 | 0x4000, None)
            os.close(fd)
    try:
        _mount("proc", "/proc", "proc", 0x1 | 0x2 | 0x4 | 0x8, None)
    except PermissionError:  # where the outer one is partly covered, as in many containers; little needs it
        _mount("tmpfs", "/proc", "tmpfs", 0x1 | 0x2 | 0x4 | 0x8, "size=4096,mode=555")
    os.chdir("/tmp")
    sandbox.drop_capabilities()
    sandbox.refuse_system_calls()


def _mount(source: str | None, target: str, kind: str | None, flags: int, options: str | None) -> None:
    words = [None if word is None else word.encode() for word in (source, target, kind)]
    if _libc.mount(*words, ctypes.c_ulong(flags), None if options is None else options.encode()):
        raise OSError(ctypes.get_errno(), f"mount {target}")


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _reap(children: dict[int, int]) -> None:
    """Forget the children that have ended by themselves."""
    served = {parent: served for served, parent in children.items()}
    with contextlib.suppress(ChildProcessError):
        while ended := os.waitpid(-1, os.WNOHANG)[0]:
            children.pop(served.get(ended, 0), None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
