"""`cnn-course data`: which data sets are here, get one, check them."""

import argparse
import shutil
import sys
import textwrap

from cnn_course.arguments.shown import brief
from cnn_course.commands import values
from cnn_course.errors import DatasetError, UsageError
from cnn_course.files import system_errors

HELP = "data sets: which are here, get one, check them"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    action = actions.add_parser("list", help="every data set, and what to type for the missing ones")
    action.set_defaults(call=list_data)
    action = actions.add_parser("get", help="download one, with a progress bar, resume and a checksum")
    action.add_argument("name", type=values.words, metavar="NAME", help="mnist, fashion-mnist or cifar10")
    action.set_defaults(call=get_data)
    action = actions.add_parser("verify", help="read and check one data set, or all that are on disk")
    action.add_argument(
        "name", type=values.name_or_path, nargs="?", metavar="NAME", help="a data set, or a folder of class folders"
    )
    action.set_defaults(call=verify_data)


def list_data(args: argparse.Namespace) -> int:
    """Print every data set: built in, on disk, or missing with what to type."""
    from cnn_course import datasets

    rows = datasets.describe()
    width = shutil.get_terminal_size((100, 24)).columns
    columns = max(len(row.name) for row in rows), max(len(row.size) for row in rows)
    print(f"{'name':{columns[0]}}   images  {'size':{columns[1]}}  state     what it is")
    for row in rows:
        what = row.title.partition(": ")[2] or row.title
        start = f"{row.name:{columns[0]}}  {row.images:7,}  {row.size:{columns[1]}}  {row.state:8}  "
        room = max(width, len(start) + 30)
        print(textwrap.fill(what, room, initial_indent=start, subsequent_indent=" " * len(start)))
    locked = dict.fromkeys(row.hint for row in rows if row.state == "locked")
    if locked:
        print("\nLocked: " + "\n        ".join(locked))
    for row in rows:
        if row.state == "too much":
            print(f"\nToo much: {row.hint}")
        elif row.state == "on disk" and row.hint:
            print(f"\nIn {row.name}: {row.hint}")
    missing = [row.hint for row in rows if row.state == "missing"]
    if missing:
        print("\nTo get one: " + "\n            ".join(missing))
    print(f"\nData folder: {datasets.data_root()} (CNN_COURSE_DATA names another)")
    return 0


def get_data(args: argparse.Namespace) -> int:
    """Download the data set called `args.name` unless it is there."""
    from cnn_course import datasets

    if args.name.lower().replace("_", "-") not in datasets.NAMES:
        raise UsageError(
            f"there is no data set {brief(args.name)} to get. Choose one of: {', '.join(datasets.PUBLISHED)}"
        )
    print(datasets.get(args.name))
    return 0


def verify_data(args: argparse.Namespace) -> int:
    """Check the data set called `args.name`, or else all that are on disk; return 1 where one is wrong."""
    from cnn_course import datasets

    failed = False
    if args.name is None:
        rows = datasets.describe()
        names = [row.name for row in rows if row.state == "on disk"]
        for row in rows:
            if row.state == "too much":
                failed = True
                print(f"cnn-course: {row.hint}", file=sys.stderr)
    else:
        names = [args.name]
    if not names:
        print(f"Nothing in {datasets.data_root()} to check; cnn-course data list shows what there could be.")
    for each in names:
        try:
            print(datasets.verify(each), flush=True)
        except DatasetError as error:
            failed = True
            print(f"cnn-course: {' '.join(str(error).split())}", file=sys.stderr)
        except OSError as error:
            failed = True
            print(f"cnn-course: {each}: {system_errors.said(error)}", file=sys.stderr)
    return 1 if failed else 0
