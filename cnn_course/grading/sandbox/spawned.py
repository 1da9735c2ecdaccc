"""Runs a lab's answers where there is no fork: started by `spawned_host`, once for each child.

    python -P -m cnn_course.grading.sandbox.spawned PORT numpy torch ...

It imports what the lab needs, then calls back at that port of this machine, with the word that it reads from standard
input, so that no other program is taken for it, and serves.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import select
import signal
import socket
import sys
import threading
import time

from cnn_course.grading.sandbox import student_side
from cnn_course.grading.sandbox.warm_up import warm_up


def main(arguments: list[str]) -> None:
    word = sys.stdin.buffer.read()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who presses Ctrl-C ends the trusted side, and that ends this one
    for name in arguments[1:]:
        with contextlib.suppress(ImportError):  # then the student's cell says so
            importlib.import_module(name)
    warm_up("")  # of the time that an answer has, nothing is used yet
    channel = socket.create_connection(("127.0.0.1", int(arguments[0])))
    channel.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # an answer of two parts would wait for 0.2 seconds
    channel.sendall(word)
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    threading.Thread(target=_end_with, args=(channel,), daemon=True).start()
    student_side.serve(channel)
    os._exit(0)


def _end_with(channel: socket.socket) -> None:
    """End as soon as the other side is gone, whatever the student's code is doing."""
    end, wait = os._exit, time.sleep
    while True:
        wait(1)
        try:
            asked = select.select([channel], [], [], 0)[0]
            if asked and not channel.recv(1, socket.MSG_PEEK):
                end(1)
        except OSError:
            end(1)


if __name__ == "__main__":
    main(sys.argv[1:])
