"""How a command line ended, and what is wrong with that: one clear line is asked for, and an exit code that says so."""

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys

from cnn_course.commands import cli


@contextlib.contextmanager
def bound_by_permissions():
    """Root may read and write whatever it likes. Inside, not: its two rights to do so are laid down, and taken back."""
    if sys.platform != "linux" or os.geteuid() != 0:
        yield
        return
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3, this thread
    rights = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable, twice
    assert libc.capget(header, rights) == 0, "no capabilities on this system"
    before = rights[0]
    rights[0] &= ~(1 << 1 | 1 << 2)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    assert libc.capset(header, rights) == 0
    try:
        yield
    finally:
        rights[0] = before
        libc.capset(header, rights)


class Hangs(BaseException):
    pass


OBSCURE = ("unexpected", "[Errno", "Error:", "object has no", "<class")


@dataclasses.dataclass
class Ended:
    code: int
    out: str
    err: str


def ended(words: list[str], capsys) -> Ended:
    """What a command line comes to, within 30 seconds and with an ordinary user's rights."""

    def late(*args):
        raise Hangs

    signal.signal(signal.SIGALRM, late)
    signal.alarm(30)
    capsys.readouterr()
    code = -1
    try:
        with bound_by_permissions():
            code = cli.main(words)
    except SystemExit as stop:
        code = stop.code
    except Hangs:
        return Ended(-1, "", "hangs")
    except Exception as error:
        return Ended(-1, "", f"Traceback: {type(error).__name__}: {error}")
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
    return Ended(code, *capsys.readouterr())


def fault(end: Ended, names: list[str], obscure: tuple[str, ...] = OBSCURE) -> str:
    """What is wrong with how a wrong command line ended, "" for nothing. names: one of them must be in the message."""
    err = end.err
    if "Reached" in err or end.code == 0:
        return f"accepted: {err}"
    if end.code not in (1, 2):
        return f"exit code {end.code}: {err}"
    if "Traceback" in err or err.strip().count("\n"):
        return f"several lines: {err[:1000]}"
    for sign in obscure:
        if sign in err:
            return f"obscure ({sign}): {err}"
    err = err.rpartition("\r")[2]  # after a bar
    if not err.startswith("cnn-course") or len(err) > 1000:
        return f"no short line: {err[:1200]!r}"
    if not any(name and name in err for name in names):
        return f"names nothing: {err}"
    return ""


def shell(command: str, timeout: float = 120, **settings: str) -> Ended:
    """`command` in a shell, with cnn-course for the command."""
    words = command.replace("cnn-course", f"'{sys.executable}' -m cnn_course")
    done = subprocess.run(
        ["sh", "-c", words], capture_output=True, timeout=timeout, env={**os.environ, **settings}, check=False
    )
    return Ended(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))
