"""`cnn-course start`: the course as working copies in a folder of one's own, and a later version into the same."""

import argparse
import os
import sys
from pathlib import Path

from cnn_course import __version__
from cnn_course.commands import values
from cnn_course.commands.shell_words import typed
from cnn_course.files.course_files import copies_folder, course

HELP = "lay out lectures and labs in a folder of your own, or bring a newer version into it"
FOLDER = Path("cnn-course")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder",
        type=values.path,
        nargs="?",
        metavar="FOLDER",
        help=f"default: the one that you are in, else ./{FOLDER}",
    )
    parser.set_defaults(call=start)


def start(args: argparse.Namespace) -> int:
    """Lay out the course and say what was done. Raises CourseFolderError for a folder that cannot be used."""
    from cnn_course.files.working_copies import lay_out

    here = Path.cwd()
    folder = args.folder or copies_folder(here) or FOLDER
    done = lay_out(course(), folder)
    if done.before:
        for name in done.new:
            print(f"laid out  {name}")
    for name in done.replaced:
        print(f"replaced  {name}")
    for name, beside in done.beside.items():
        print(f"changed   {name}: yours stays as it is, that of version {__version__} is {beside}")
    for name in done.gone:
        print(f"gone      {name}: no longer part of the course, and left as it is")
    for name, why in done.broken.items():
        print(f"left out  {name}: {why}", file=sys.stderr)
    count = len(done.new)
    none = "nothing new" if done.broken else "nothing was missing"
    print(f"{folder}: {f'{count} notebooks laid out' if count else none}", end="")
    print(f", {len(done.kept)} kept" if done.kept else "")
    inside = str(copies_folder(here)) == os.path.realpath(folder)
    # Two lines: not every shell has `&&`.
    place = f"./{folder}" if str(folder).startswith("-") else str(folder)  # else an option of `cd`, or the last folder
    lines = [] if inside else [f"cd {typed([place])}"]
    print("Open it:  " + "\n          ".join([*lines, "cnn-course open"]))
    return 1 if done.broken else 0
