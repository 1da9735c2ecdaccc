"""The time of one submission: what it waits because the machine is busy does not count, what it sleeps does."""

from __future__ import annotations

import time

from cnn_course.grading.sandbox.cold_host import AnyHost

# Of the time that a submission has, so much more at most is given for waiting: one that starts dozens of processes
# makes itself wait.
MOST_WAITING = 2.0


class Clock:
    """Counts down from `seconds`. host: where the submission runs, and is asked only where time is up."""

    def __init__(self, host: AnyHost, seconds: float) -> None:
        self._host = host
        self._end = time.monotonic() + seconds
        self._most = MOST_WAITING * seconds
        self._seen = host.waited()  # by process: the host itself has waited before, and for longer than a new child
        self.given = 0.0  # for waiting, until now

    def left(self) -> float:
        """Seconds, 0 or less if there are none."""
        return self._end + self.given - time.monotonic()

    def over(self) -> bool:
        """Whether the time is up, also after what a busy machine took of it."""
        if self.left() <= 0:
            self.settle()
        return self.left() <= 0

    def settle(self) -> None:
        """Give the time that the machine made the submission wait since the last look. Also before a process ends.

        Of several processes the one counts that waited longest since then: they wait side by side.
        """
        waited = self._host.waited()
        longest = max((seconds - self._seen.get(pid, 0.0) for pid, seconds in waited.items()), default=0.0)
        self.given = min(self.given + max(longest, 0.0), self._most)
        self._seen = waited

    def forget(self) -> None:
        """A process has ended. Its number may come back, with another one's waiting."""
        self._seen = self._host.waited()


class Call:
    """The time of one call: `seconds`, and no more than the submission has."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock, self._end = clock, time.monotonic() + seconds - clock.given

    def left(self) -> float:
        """Seconds, 0 or less if there are none; asks the host where there seem to be none."""
        if min(self._own(), self._clock.left()) <= 0:
            self._clock.settle()
        return min(self._own(), self._clock.left())

    def used_up(self) -> bool:
        """Whether it is this call's own time that is over, not that of the submission."""
        return self._own() <= 0

    def _own(self) -> float:
        return self._end + self._clock.given - time.monotonic()
