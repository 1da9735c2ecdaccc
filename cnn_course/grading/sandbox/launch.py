"""Starts an ipykernel in the sandbox: `provisioner` runs this there, before any code of a student.

    python -m cnn_course.grading.sandbox.launch CONNECTION-FILE CPU-SECONDS

It gives up every right that is left, sets the limits, and becomes the kernel.
"""

from __future__ import annotations

import contextlib
import signal
import sys

from cnn_course.grading.sandbox import bubblewrap
from cnn_course.grading.sandbox.system_calls import refuse_system_calls


def main(arguments: list[str]) -> None:
    file, cpu_seconds = arguments[0], int(arguments[1])
    give_up_rights()
    bubblewrap.limit(cpu_seconds)
    refuse_system_calls(programs=False)  # a notebook may have a line such as !ls
    from ipykernel import kernelapp

    sys.argv = ["ipykernel", "-f", file]
    # No trace of the launcher's own module: the notebook's names live in a __main__ of their own.
    kernelapp.launch_new_instance()


def give_up_rights() -> None:
    """No root, no capabilities, no way back; and an end with the process that started the sandbox."""
    bubblewrap.become_nobody()
    # So that the limit on processes counts this kernel's and not those of others. Where it is refused, the sandbox is
    # as tight, and kernels that run at the same time share the limit.
    with contextlib.suppress(OSError):
        bubblewrap.own_users()
    bubblewrap.drop_capabilities()
    bubblewrap.prctl(bubblewrap.PDEATHSIG, signal.SIGKILL)  # last: each change of rights takes it away


if __name__ == "__main__":
    main(sys.argv[1:])
