"""Words as one types them into the shell of this system."""

import os
import shlex
import subprocess
from collections.abc import Sequence


def typed(words: Sequence[str]) -> str:
    """The words on one line, quoted where the shell needs it."""
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)
