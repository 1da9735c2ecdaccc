"""Which host runs answers here: the warm one; a cold one, where the kernel refuses namespaces within a sandbox.

And one that spawns its children where there is no sandbox and no fork.
"""

from __future__ import annotations

import itertools
import socket
import sys
from collections.abc import Sequence

from cnn_course.errors import NotNestedError
from cnn_course.grading.sandbox.spawned_host import SpawnedHost
from cnn_course.grading.sandbox.warm_host import Host

_FORKS = sys.platform == "linux"  # `Host` needs more of Linux; and on macOS the system's libraries fail after a fork


def open_host(imports: Sequence[str], setup: str = "", *, sandboxed: bool = True, **limits: int) -> AnyHost:
    """A host that works on this machine; arguments as `Host`'s. Raises SandboxError where no sandbox starts."""
    if not sandboxed and not _FORKS:
        return SpawnedHost(imports)
    host = Host(imports, setup, mode="nested" if sandboxed else "open", **limits)
    try:
        pid, channel = host.fork()
    except NotNestedError:
        host.close()
        return ColdHost(imports, setup, **limits)
    except BaseException:
        host.close()
        raise
    channel.close()
    host.kill(pid)
    return host


def nests() -> bool:
    """Whether the warm host works here. Raises SandboxError where no sandbox starts."""
    with open_host([]) as host:
        return isinstance(host, Host)


class ColdHost:
    """A whole sandbox for each child, with the same methods as `Host`.

    As safe, and slower by the lab's imports: a kernel may let bubblewrap make namespaces and refuse them to what runs
    in it (Ubuntu's AppArmor profile for bubblewrap does, from 25.04).
    """

    def __init__(self, imports: Sequence[str], setup: str = "", **limits: int) -> None:
        self._imports, self._setup, self._limits = imports, setup, limits
        self._hosts: dict[int, Host] = {}
        self._numbers = itertools.count(1)

    def fork(self, shares: int = 1) -> tuple[int, socket.socket]:
        """A fresh child: a number for `kill`, and the socket on which it serves. shares: as for `Host.fork`."""
        host = Host(self._imports, self._setup, mode="alone", **self._limits)
        try:
            _, channel = host.fork(shares)
        except BaseException:
            host.close()
            raise
        number = next(self._numbers)
        self._hosts[number] = host
        return number, channel

    def kill(self, number: int) -> None:
        """End a child and everything that it started."""
        if number in self._hosts:
            self._hosts.pop(number).close()

    def waited(self) -> dict[int, float]:
        """As `Host.waited`, of all children."""
        return {pid: seconds for host in self._hosts.values() for pid, seconds in host.waited().items()}

    def close(self) -> None:
        for number in list(self._hosts):
            self.kill(number)

    def __enter__(self) -> ColdHost:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


AnyHost = Host | ColdHost | SpawnedHost  # what `open_host` gives
