"""What the test cells of a lab share while they run: the seed of hidden inputs, the rules, what was asked before.

A student's notebook has one of these for its process. Each judgement has one of its own, also where several run in the
threads of one process: `current` is the one of this thread's (PEP 567's) context.
"""

import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field

import numpy as np


@dataclass
class RunState:
    """seed: of the inputs that hidden tests draw; the grader writes it down.

    rules: dotted paths, each with whether it is forbidden or allowed, and for which functions that holds.
    names: what the lab's first cell has made, once it has said a rule.
    earlier: what the latest checks of each function expected, newest first: a result that turns up again was kept from
    an earlier call, a shape that turns up again was typed into the function. Used for the wording only.
    """

    seed: int = 0
    rules: list[tuple[str, bool, Callable[[str], bool]]] = field(default_factory=list)
    names: dict[str, object] = field(default_factory=dict)
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
