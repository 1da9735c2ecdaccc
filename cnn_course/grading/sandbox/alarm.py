"""Ends what an answer keeps busy on the trusted side, and never strikes within an exchange with the sandbox.

An exchange has a time limit of its own. An exception in its middle would leave a process without an owner, or half an
answer on the wire, and all answers after it would be out of step.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

_AGAIN = 0.5  # seconds to the next try, where an exchange was going on, there is time left, or a clean-up lost it
_exchanges = 0  # that the main thread is in: only there do signals strike


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """No alarm strikes in here."""
    global _exchanges
    counted = threading.current_thread() is threading.main_thread()
    _exchanges += counted
    try:
        yield
    finally:
        _exchanges -= counted


@contextlib.contextmanager
def alarm(seconds: float, over: Callable[[], bool], said: str) -> Iterator[None]:
    """From `seconds` on, raise TimeoutError(said) as soon as `over()`. Only a main thread can; others just go on."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(*_: object) -> None:
        if not _exchanges and over():
            raise TimeoutError(said)

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.1), _AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
