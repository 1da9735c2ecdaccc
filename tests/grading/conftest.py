"""What stands outside the sandbox while the attacks run."""

import contextlib
import os
import shutil
import socket
import sys

import pytest

from grading.attack import LAB, MARK, SECRET
from labs import running


@pytest.fixture(scope="module")
def outside(tmp_path_factory):
    """A course folder, a port and sockets outside the sandbox, with secrets; the words that stand for them."""
    course = tmp_path_factory.mktemp("course")
    shutil.copytree(running.LABS / "source" / LAB, course / "source" / LAB)
    for place in ("submitted/ada", "feedback/ada"):
        (course / place / LAB).mkdir(parents=True)
        (course / place / LAB / f"{LAB}.ipynb").write_text(SECRET)
    (course / "gradebook.db").write_text(SECRET)
    os.environ["CNN_ATTACK"] = SECRET
    with contextlib.ExitStack() as stack:
        port, path, abstract = (stack.enter_context(socket.socket(f)) for f in (socket.AF_INET, *[socket.AF_UNIX] * 2))
        port.bind(("127.0.0.1", 0))
        path.bind(str(course / "socket"))
        abstract.bind(f"\0{MARK}{os.getpid()}")
        for listener in (port, path, abstract):
            listener.listen()
        words = {"COURSE": course, "REPOSITORY": running.REPOSITORY, "PREFIX": sys.prefix, "PID": os.getpid()}
        yield words | {"PORT": port.getsockname()[1], "SOCKET": course / "socket"}
    del os.environ["CNN_ATTACK"]
