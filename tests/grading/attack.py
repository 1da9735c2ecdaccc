"""What an attack is: a submission of lab 01 in which some solution cells do something else than the lab asks."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

LAB = "lab01_convolution"
MARK = "cnn-attack-mark"  # in the name of every file that an attack writes
SECRET = "cnn-attack-secret"  # in every place that an attack must not be able to read


@dataclass(frozen=True)
class Attack:
    """cells: the text of the solution cells that differ from the model answer.

    says: a regular expression found in a message or a note: what the attack met. may_pass: the tests of the attacked
    questions that it may pass; all others it must fail, and the tests of the other questions must pass. rules: whether
    the lab's rules hold; most attacks are tried without them, as a rule would stop them before they begin.
    spoils: whether it may lose the points of its other questions. call_seconds: the time for one call.
    """

    name: str
    cells: dict[str, str]
    says: str
    may_pass: tuple[str, ...] = ()
    rules: bool = False
    spoils: bool = False
    call_seconds: float = 30.0


def function(body: str, top: str = "", then: str = "") -> dict[str, str]:
    """Question 3 with this body; top: what stands in the cell before the function. then: the body's last lines."""
    body = textwrap.indent(f"{textwrap.dedent(body)}\n{then}", "    ")
    return {"q3-solution": f"{textwrap.dedent(top)}\ndef conv_2d(x, w):\n{body}\n"}


ZEROS = "return np.zeros((x.shape[0] - w.shape[0] + 1, x.shape[1] - w.shape[1] + 1))"

# Reports what each attempt gave, briefly: a message is cut off after 200 letters.
TRY = f"""
def attempt(things):
    found = []
    for name, thing in things.items():
        try:
            said = repr(thing())
        except OSError as error:
            said = f"E{{error.errno}}"
        except BaseException as error:
            said = type(error).__name__
        found.append(f"{{name}} {{'LEAK' if '{SECRET}' in said else said[:60]}}")
    raise RuntimeError("tried " + ", ".join(found))
"""

# The ends of the wire, found by looking through the frames.
WIRE = """
import json
import struct
import sys
import time


def wire():
    frame = sys._getframe()
    while not ("channel" in frame.f_locals and "request" in frame.f_locals):
        frame = frame.f_back
    return frame.f_locals["channel"], frame.f_locals["request"]["number"]


def frame_of(message, payload=b""):
    header = message if isinstance(message, bytes) else json.dumps({"changed": {}, "sizes": []} | message).encode()
    return struct.pack("<I", len(header)) + header + payload
"""
