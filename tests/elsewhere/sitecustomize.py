"""Python on a student's machine: what this one has and that one lacks is gone before the first import.

A folder on PYTHONPATH: `site` runs this in each Python that a test starts, and in those that these start, such as
kernels and the processes where a lab's answers run. CNN_COURSE_ELSEWHERE says which machine: "windows", "macos", or
"student", this one without what only instructors and developers install.

Only the course's own modules see another `os`, `signal` and so on: a library asks which system this is and goes another
way there, which leads nowhere here.
"""

import asyncio
import builtins
import importlib.abc
import os
import platform
import signal
import socket
import subprocess
import sys
import types

MACHINE = os.environ["CNN_COURSE_ELSEWHERE"]
NOT_INSTALLED = "alembic captum dask distributed nbgrader nbval papermill playwright psycopg pytest sqlalchemy".split()
LINUX_ONLY = {
    "os": "O_PATH pidfd_open sched_getaffinity sched_setaffinity setresgid setresuid",
    "signal": "pidfd_send_signal sigtimedwait sigwaitinfo",
    "socket": "SO_PEERCRED",
}
POSIX_ONLY = {
    "os": "chown fchmod fchown fork forkpty fwalk getegid geteuid getgid getloadavg getpgid getpgrp getuid killpg "
    "mkfifo O_CLOEXEC O_DIRECTORY O_NOFOLLOW O_NONBLOCK openpty posix_spawn setgroups setsid setuid statvfs sysconf "
    "uname waitid WNOHANG",
    "signal": "alarm ITIMER_REAL pause pthread_kill pthread_sigmask setitimer sigwait SIGALRM SIGCHLD SIGCONT "
    "SIGHUP SIGKILL SIGSTOP SIGTSTP SIGUSR1 SIGUSR2",
    "socket": "AF_UNIX MSG_DONTWAIT recv_fds send_fds",
}
POSIX_MODULES = ("curses", "fcntl", "grp", "posix", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty")
STARTING = ("pass_fds", "preexec_fn", "process_group", "user", "group", "umask")


class Other(types.ModuleType):
    """A module as another system has it."""

    def __init__(self, real: types.ModuleType, missing: set[str], instead: dict[str, object]) -> None:
        super().__init__(real.__name__)
        self.__dict__.update(instead, _real=real, _missing=missing)

    def __getattr__(self, name: str) -> object:
        if name in self._missing:
            raise AttributeError(f"{MACHINE} has no {self.__name__}.{name}", name=name, obj=self)
        return getattr(self._real, name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._real, name, value)


class NotInstalled(importlib.abc.MetaPathFinder):
    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] in NOT_INSTALLED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def popen(words, **options):
    if any(options.get(name) for name in STARTING):
        raise ValueError(f"{MACHINE} starts no process with {', '.join(options)}")
    return subprocess.Popen(words, **options)


def is_course(names: dict | None) -> bool:
    names = names or {}
    return str(names.get("__package__") or names.get("__name__")).partition(".")[0] == "cnn_course"


def others() -> dict[str, Other]:
    tables = [LINUX_ONLY] if MACHINE == "macos" else [LINUX_ONLY, POSIX_ONLY]
    missing = {name: {word for table in tables for word in table[name].split()} for name in LINUX_ONLY}
    name, system, kind = ("darwin", "Darwin", "posix") if MACHINE == "macos" else ("win32", "Windows", "nt")
    found = {
        "os": Other(os, missing["os"], {"name": kind}),
        "signal": Other(signal, missing["signal"], {}),
        "socket": Other(socket, missing["socket"], {}),
        "sys": Other(sys, set(), {"platform": name}),
        "platform": Other(platform, set(), {"system": lambda: system}),
    }
    if MACHINE == "windows":
        found["subprocess"] = Other(subprocess, set(), {"Popen": popen})
    return found


def take_away() -> None:
    modules, import_ = others(), builtins.__import__

    def imported(name, globals=None, locals=None, fromlist=(), level=0):
        if not is_course(globals):
            return import_(name, globals, locals, fromlist, level)
        if MACHINE == "windows" and name in POSIX_MODULES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return modules.get(name.partition(".")[0]) or import_(name, globals, locals, fromlist, level)

    def opened(event: str, arguments: tuple) -> None:
        if event == "open" and str(arguments[0]).startswith(("/proc/", "/dev/")) and arguments[0] != os.devnull:
            frame = sys._getframe(1)
            while frame is not None and frame.f_globals.get("__name__") in ("glob", "io", "os", "pathlib", "shutil"):
                frame = frame.f_back
            if frame is not None and is_course(frame.f_globals):
                raise FileNotFoundError(2, "No such file or directory", arguments[0])

    builtins.__import__ = imported
    sys.addaudithook(opened)
    for name in ("fork", "forkpty", "sched_getaffinity"):  # libraries do without them by themselves
        delattr(os, name)
    if MACHINE == "windows":

        def no_handler(*_: object) -> None:
            raise NotImplementedError

        asyncio.SelectorEventLoop.add_signal_handler = asyncio.SelectorEventLoop.remove_signal_handler = no_handler


sys.meta_path.insert(0, NotInstalled())
if MACHINE != "student":
    take_away()
