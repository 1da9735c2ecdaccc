"""The exception that a failed check raises."""

from __future__ import annotations

import textwrap
import traceback

_MOST_FRAMES = 5
_WIDTH = 72


class CheckFailed(AssertionError):
    """A student's function did not do what was asked; the message is written for the student.

    In a notebook only the message is shown, without the path through the course's own code. If the student's function
    raised, `__cause__` is that error, and the lines of the student's code that led to it are shown as well.
    """

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in place of a traceback."""
        # JupyterLab breaks long lines in the middle of a word.
        lines = [part for line in str(self).split("\n") for part in textwrap.wrap(line, _WIDTH, break_long_words=False)]
        if self.__cause__ is not None:
            # The first frame is the call in `checks`; the rest is the student's.
            frames = traceback.extract_tb(self.__cause__.__traceback__)[1:]
            lines += ["" for _ in frames[:1]]
            lines += [f"  line {f.lineno} in {f.name}: {f.line}"[:200] for f in frames[-_MOST_FRAMES:]]
        return lines
