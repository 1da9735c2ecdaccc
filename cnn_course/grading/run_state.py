"""What the test cells of a lab share while they run: the seed of hidden inputs, the rules, what was asked before.

A student's notebook has one of these for its process. Each judgement has one of its own, also where several run in the
threads of one process: `current` is the one of this thread's (PEP 567's) context.
"""

import contextlib
from collections import deque
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field

import numpy as np


@dataclass
class RunState:
    """seed: of the inputs that hidden tests draw; the grader writes it down.

    forbidden: each name that an answer may not use, with the functions that may use it all the same.
    given: the modules of the course that the lab hands out: they may be imported again.
    earlier: what the latest checks of each function expected, newest first: a result that turns up again was kept from
    an earlier call, a shape that turns up again was typed into the function. Used for the wording only.
    """

    seed: int = 0
    forbidden: dict[str, frozenset[str]] = field(default_factory=dict)
    given: set[str] = field(default_factory=set)
    earlier: dict[str, deque[np.ndarray]] = field(default_factory=dict)


_NOTEBOOK = RunState()
_CURRENT: ContextVar[RunState] = ContextVar("the run of a lab")


def current() -> RunState:
    return _CURRENT.get(_NOTEBOOK)


@contextlib.contextmanager
def fresh(seed: int = 0) -> Iterator[RunState]:
    """Inside, a run that starts from nothing; afterwards the one before goes on as it was."""
    token = _CURRENT.set(RunState(seed))
    try:
        yield current()
    finally:
        _CURRENT.reset(token)
