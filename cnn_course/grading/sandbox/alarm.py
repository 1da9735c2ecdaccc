"""Ends what an answer keeps busy on the trusted side, and never strikes within an exchange with the sandbox.

An exchange has a time limit of its own. An exception in its middle would leave a process without an owner, or half an
answer on the wire, and all answers after it would be out of step.
"""

from __future__ import annotations

import _thread
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

    if not hasattr(signal, "setitimer"):
        with _thread_that_rings(ring, max(seconds, 0.1)):
            yield
        return
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.1), _AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def _thread_that_rings(ring: Callable[..., None], wait: float) -> Iterator[None]:
    """The timer of Windows, which has none that sends a signal, and where no other program sends this one."""
    ended = threading.Event()

    def tick() -> None:
        left = wait
        while not ended.wait(left):
            _thread.interrupt_main(signal.SIGTERM)
            left = _AGAIN

    before = signal.signal(signal.SIGTERM, ring)
    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        signal.signal(signal.SIGTERM, before)
