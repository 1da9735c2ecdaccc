"""Every error of the course that a person can mend. Each message says what was wrong and what to do.

The command line prints the message of a `CourseError` and nothing else; whatever else reaches it is a bug. Arguments of
functions that cannot be meant raise Python's own ValueError and TypeError, as NumPy and PyTorch do.
"""

import textwrap
import traceback


class CourseError(Exception):
    """The root of all errors below: the message is for whoever uses the course."""


# --- a command


class UsageError(CourseError):
    """The command line asks for something that is not there, or does not go together."""


class LectureError(CourseError):
    """The lectures are not where they should be, or cannot be read."""


class CourseFolderError(CourseError):
    """The course cannot be laid out in this folder; the message says why, and what was there is unchanged."""


# --- data and training


class DatasetError(CourseError):
    """A data set cannot be read, fetched or written: the message is one line and says how to mend that."""


class MissingError(DatasetError):
    """A file of the data set is not there (as against: is there and wrong)."""


class CheckpointError(CourseError):
    """A checkpoint cannot be written or used; the message names the file."""


class DistributedError(CourseError):
    """The processes can no longer train together; the message says what was waited for."""


class TrainingError(CourseError):
    """Training cannot go on; the message says where it stopped and what to try."""


class RunError(CourseError):
    """A recorded run or its weights cannot be read or written; the message says which file."""


# --- a lab, and a class


class CheckFailed(CourseError, AssertionError):
    """A student's function did not do what was asked; the message is written for the student.

    In a notebook only the message is shown, without the path through the course's own code. If the student's function
    raised, `__cause__` is that error, and the lines of the student's code that led to it are shown as well.
    """

    _MOST_FRAMES = 5
    _WIDTH = 72

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in place of a traceback."""
        # JupyterLab breaks long lines in the middle of a word.
        said = str(self).split("\n")
        lines = [part for line in said for part in textwrap.wrap(line, self._WIDTH, break_long_words=False)]
        if self.__cause__ is not None:
            # The first frame is the call in `checks`; the rest is the student's.
            frames = traceback.extract_tb(self.__cause__.__traceback__)[1:]
            lines += ["" for _ in frames[:1]]
            lines += [f"  line {f.lineno} in {f.name}: {f.line}"[:200] for f in frames[-self._MOST_FRAMES :]]
        return lines


class ReleaseError(CourseError):
    """A master notebook that cannot be released, or a folder that cannot be read or written."""


class SubmissionError(CourseError):
    """No answers can be taken from this submission; the message says why, for the student and the instructor."""


class UnreadableError(SubmissionError):
    """Nothing can be said of this submission, as its file is locked, damaged, or one of several: it gets no mark."""


class CollectError(CourseError):
    """The submissions cannot be found; the message says where they were looked for."""


class GradeError(CourseError):
    """The class cannot be graded; the message says why and what to do."""


class GradebookError(CourseError):
    """The gradebook cannot be opened; the message says why and what to do."""


# --- the sandbox


class SandboxError(CourseError):
    """There is no sandbox on this machine; the message says why and what to do."""


class NotNestedError(SandboxError):
    """The sandbox starts, but its children cannot have namespaces of their own."""


class ProcessEnded(CourseError):
    """The process in which a student's function ran is no more."""


class WireError(CourseError):
    """The other side has gone, took too long, or sent what is no frame."""


class TimedOut(WireError):
    """The other side did not answer in time."""
