"""`cnn-course data`: which data sets are here, get one, check them."""

import shutil
import sys
import textwrap

from cnn_course import datasets
from cnn_course.errors import DatasetError, UsageError


def list_data() -> int:
    """Print every data set: built in, on disk, or missing with what to type."""
    rows = datasets.describe()
    width = shutil.get_terminal_size((100, 24)).columns
    columns = max(len(row.name) for row in rows), max(len(row.size) for row in rows)
    print(f"{'name':{columns[0]}}   images  {'size':{columns[1]}}  state     what it is")
    for row in rows:
        what = row.title.partition(": ")[2] or row.title
        start = f"{row.name:{columns[0]}}  {row.images:7,}  {row.size:{columns[1]}}  {row.state:8}  "
        room = max(width, len(start) + 30)
        print(textwrap.fill(what, room, initial_indent=start, subsequent_indent=" " * len(start)))
    missing = [row.hint for row in rows if row.state == "missing"]
    if missing:
        print("\nTo get one: " + "\n            ".join(missing))
    print(f"\nData folder: {datasets.data_root()} (CNN_COURSE_DATA names another)")
    return 0


def get_data(name: str) -> int:
    if name.lower().replace("_", "-") not in datasets.NAMES:
        raise UsageError(f"there is no data set {name!r} to get. Choose one of: {', '.join(datasets.PUBLISHED)}")
    print(datasets.get(name))
    return 0


def verify_data(name: str | None) -> int:
    """Check one data set, or all that are on disk; return 1 where one is wrong."""
    names = [name] if name else [row.name for row in datasets.describe() if row.state == "on disk"]
    if not names:
        print(f"Nothing in {datasets.data_root()} to check; cnn-course data list shows what there could be.")
    failed = False
    for each in names:
        try:
            print(datasets.verify(each), flush=True)
        except DatasetError as error:
            failed = True
            print(f"cnn-course: {error}", file=sys.stderr)
    return 1 if failed else 0
