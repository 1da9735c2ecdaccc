"""Runs in the sandbox: one warm process that has imported what a lab needs, and a forked child for each submission.

    python -m cnn_course.grading.sandbox.host CONTROL-FD CPU-SECONDS MEMORY-BYTES MODE SETUP numpy torch ...

Importing torch takes seconds, forking a process that has it takes milliseconds. Each child gets namespaces of its own
(users, processes, mounts, network, System V objects) and an empty /tmp, so submissions that run at the same time or one
after the other never meet. The warm process itself runs no code of students.

MODE: "nested", as above; "alone", in a sandbox for one child, which needs no namespaces of its own; "open", where every
submission is trusted and nothing is isolated.

On the control socket the trusted side asks with a letter, a number that is repeated in the answer, and another number:
F with a socket forks a child that serves on it (answer: its pid, 0 if there is none) and may hold the memory divided by
that number; K ends the child with that pid and all that it started.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import mmap
import os
import secrets
import signal
import socket
import struct
import sys
import traceback

from cnn_course.grading.sandbox import bubblewrap
from cnn_course.grading.sandbox.system_calls import refuse_system_calls
from cnn_course.grading.sandbox.warm_up import warm_up

REQUEST, ANSWER = struct.Struct("<cIi"), struct.Struct("<Ii")
NAMESPACES = bubblewrap.NEW_USERS | 0x20000 | 0x8000000 | 0x20000000 | 0x40000000  # users, mount, ipc, pid, net
PLACES = ("/tmp", "/home", "/dev/shm")  # all that can be written to
_PASSING_USERS = range(61184, 65520)  # systemd's, for users that exist as long as a service runs


def main(arguments: list[str]) -> int:
    if arguments[3] != "open":  # python -m looks for modules in its folder first, and there a student can write
        sys.path[:] = [place for place in sys.path if place not in ("", os.getcwd())]
    control = socket.socket(fileno=int(arguments[0]))
    cpu_seconds, memory, mode = int(arguments[1]), int(arguments[2]), arguments[3]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who presses Ctrl-C ends the trusted side, and that ends this one
    if mode != "open":
        # The limit on processes is one for all of a user where there is no namespace of users around each child.
        bubblewrap.become_nobody(bubblewrap.NOBODY if mode == "nested" else secrets.choice(_PASSING_USERS))
        bubblewrap.prctl(bubblewrap.PDEATHSIG, signal.SIGKILL)
    from cnn_course.grading.sandbox import student_side  # noqa: F401  (read now, as what a child runs)

    for name in arguments[5:]:
        with contextlib.suppress(ImportError):  # then the student's cell says so
            importlib.import_module(name)
    if mode != "alone":  # one child would pay for all of it, whether it needs it or not
        warm_up(arguments[4])
    gc.collect()
    gc.freeze()  # the collector of a child need not touch, and so copy, what was there before
    if mode == "alone":
        _first_to_end()
        bubblewrap.prctl(bubblewrap.DUMPABLE, 0)  # the child is the same user: it shall not read or write this memory
        # This is process 1 of the sandbox: whoever ends or stops the process that watches the memory ends all.
        signal.signal(signal.SIGCHLD, lambda *_: os._exit(0))
    control.sendall(b"R")
    children: dict[int, int] = {}  # the served process: its parent, which waits for it
    while True:
        request, fds, _, _ = socket.recv_fds(control, REQUEST.size, 1)
        _reap(children)
        if not request:
            for served in children:
                _kill(served)
            return 0
        letter, number, served = REQUEST.unpack(request)
        if letter == b"F":
            served = _fork(control, fds[0], cpu_seconds, memory // max(served, 1), mode, children)
            os.close(fds[0])
        elif served in children:
            _kill(served)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(children.pop(served), 0)  # it ends after everything in the child's namespaces
        control.sendall(ANSWER.pack(number, served))


def _fork(
    control: socket.socket, channel: int, cpu_seconds: int, memory: int, mode: str, children: dict[int, int]
) -> int:
    """Start a child that serves a student's functions on `channel`; its pid, or 0."""
    read, write = os.pipe()
    parent = os.fork()
    if parent == 0:
        try:
            _middle(control, channel, write, cpu_seconds, memory, mode)
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


def _middle(control: socket.socket, channel: int, write: int, cpu_seconds: int, memory: int, mode: str) -> None:
    """Between the warm process and the served one: makes the namespaces, says the pid, watches until the end."""
    control.close()
    os.setsid()  # a signal to the own process group reaches across namespaces
    addresses = _addresses() + memory
    if mode == "nested":
        if not bubblewrap.own_users(NAMESPACES):
            return
        _first_to_end()
    ready_read, ready_write = os.pipe()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})  # it waits for _watch
    served = os.fork()
    if served == 0:
        try:
            os.setsid()
            os.close(write)
            os.close(ready_read)
            if mode == "nested":
                _own_places()
            if mode != "open":
                bubblewrap.prctl(bubblewrap.DUMPABLE, 1)
                bubblewrap.drop_capabilities()
                refuse_system_calls(programs=True)  # a fresh Python would have all that was taken away in this one
                bubblewrap.prctl(bubblewrap.PDEATHSIG, signal.SIGKILL)
            bubblewrap.limit(cpu_seconds, addresses)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            channel = _only(channel, ready_write)
            os.write(1, b"!")  # the pipe that stands at 1 until now
            null = os.open("/dev/null", os.O_RDWR)
            for fd in (0, 1, 2):
                os.dup2(null, fd)
            os.close(null)
            from cnn_course.grading.sandbox import student_side

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
    own = {"1", str(os.getpid())} if mode == "alone" else set()  # they run no code of students, and do not count
    _watch(served, memory if ready and mode != "open" else 0, own)
    os._exit(0)


def _first_to_end() -> None:
    """Where memory runs out."""
    with open("/proc/self/oom_score_adj", "w", encoding="utf-8") as out:
        out.write("1000")


def _watch(served: int, memory: int, own: set[str]) -> None:
    """Wait for the end of the served process; bring it about if all in its namespace hold too much memory or files.

    The served process has put its own /proc where this one sees it, too. Where it cannot, each process has its limit.
    """
    while os.waitpid(served, os.WNOHANG) == (0, 0):
        signal.sigtimedwait([signal.SIGCHLD], 0.2)
        # The second count is exact where processes share memory after a fork, and slow.
        if memory and _held("status", own, b"RssAnon:", b"RssShmem:") > memory:
            exact = _held("smaps_rollup", own, b"Pss_Anon:", b"Pss_Shmem:")
            if exact > memory or exact == 0:  # old kernels do not say
                _kill(served)
        if memory and max(map(_files, PLACES)) > bubblewrap.TMP_FILES:  # bubblewrap bounds their bytes only
            _kill(served)


def _held(file: str, own: set[str], *fields: bytes) -> int:
    total = 0
    for pid in set(filter(str.isdigit, os.listdir("/proc"))) - own:
        try:
            with open(f"/proc/{pid}/{file}", "rb") as lines:
                total += sum(int(line.split()[1]) << 10 for line in lines if line.startswith(fields))
        except PermissionError:  # it hides; so it pays for all
            total += 1 << 40
        except OSError:  # it has just ended
            pass
    return total


def _files(place: str) -> int:
    found = os.statvfs(place)
    return found.f_files - found.f_ffree


def _addresses() -> int:
    with open("/proc/self/statm", encoding="utf-8") as file:
        return int(file.read().split()[0]) * mmap.PAGESIZE


def _only(channel: int, ready: int) -> int:
    """Close every file but the channel, which becomes 3, and `ready`, which becomes 1."""
    high = os.dup(channel) if channel < 3 else channel
    os.dup2(ready, 1)
    os.dup2(high, 3)
    os.closerange(4, 1 << 16)
    return 3


def _own_places() -> None:
    """An empty /tmp, home, /dev/shm and /proc."""
    _mount(None, "/", None, 0x4000 | 0x40000, None)  # private: nothing that happens here shows outside
    size = f"size={bubblewrap.TMP_BYTES},nr_inodes={bubblewrap.TMP_FILES},mode=1777"
    for place in PLACES:
        # A course or a Python that is installed below one of them is shown there again.
        kept = [path for path in bubblewrap.readable() if path.is_relative_to(place)]
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


def _mount(source: str | None, target: str, kind: str | None, flags: int, options: str | None) -> None:
    words = [None if word is None else word.encode() for word in (source, target, kind)]
    if bubblewrap.libc.mount(*words, ctypes.c_ulong(flags), None if options is None else options.encode()):
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
