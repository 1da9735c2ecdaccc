"""The `cnn-course` command. Each subcommand imports what it needs when it runs, so that start-up stays quick."""

import argparse
import os
import sys
from pathlib import Path

from cnn_course import __version__
from cnn_course.lectures import UsageError, all_lectures, find_lecture, repository


def doctor(args: argparse.Namespace) -> int:
    from cnn_course.doctor import doctor

    return doctor()


def open_(args: argparse.Namespace) -> int:
    root = repository()
    lecture = find_lecture(args.lecture, root)
    from cnn_course.open_lab import open_lab

    return open_lab(root, lecture, browser=args.browser, port=args.port)


def run(args: argparse.Namespace) -> int:
    root = repository()
    paths = [find_lecture(name, root) for name in args.lectures] or all_lectures(root)
    if not paths:
        find_lecture("1", root)  # says what is wrong
    from cnn_course.run_lectures import parse_parameters, run_lectures

    return run_lectures(paths, parse_parameters(args.parameters), save=args.save, output=args.output)


def data(args: argparse.Namespace) -> int:
    from cnn_course import data_command

    if args.action == "list":
        return data_command.list_data()
    return data_command.get_data(args.name) if args.action == "get" else data_command.verify_data(args.name)


def port_number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: a number from 1 to 65535")
    return int(text)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cnn-course", description="The convolutional-network course that runs.")
    parser.add_argument("--version", action="version", version=f"cnn-course {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    command = commands.add_parser("doctor", help="can the course run here, and what to type for each thing missing")
    command.set_defaults(call=doctor)

    command = commands.add_parser("open", help="open a lecture in JupyterLab")
    command.add_argument("lecture", nargs="?", default="1", metavar="LECTURE", help="2, 02 or 02_conv (default: 01)")
    command.add_argument("--no-browser", dest="browser", action="store_false", help="print the address only (servers)")
    command.add_argument("--port", type=port_number, metavar="N", help="this port (default: 8888 or the next free one)")
    command.set_defaults(call=open_)

    command = commands.add_parser("run", help="execute lectures and print seconds, cells and headline results")
    command.add_argument("lectures", nargs="*", metavar="LECTURE", help="2, 02 or 02_conv (default: all, in order)")
    value = "another value for a name in the lecture's parameters cell; repeat it for more names"
    command.add_argument("-p", dest="parameters", action="append", default=[], metavar="NAME=VALUE", help=value)
    command.add_argument("--save", action="store_true", help="store the fresh outputs in the lectures themselves")
    command.add_argument("--output", type=Path, metavar="DIR", help="keep the executed copies in this folder")
    command.set_defaults(call=run)

    command = commands.add_parser("data", help="data sets: which are here, get one, check them")
    actions = command.add_subparsers(title="actions", dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", help="every data set, and what to type for the missing ones")
    action = actions.add_parser("get", help="download one, with a progress bar, resume and a checksum")
    action.add_argument("name", metavar="NAME", help="mnist, fashion-mnist or cifar10")
    action = actions.add_parser("verify", help="read and check one data set, or all that are on disk")
    action.add_argument("name", nargs="?", metavar="NAME", help="a data set, or a folder of class folders")
    command.set_defaults(call=data)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run one command; return its exit code: 0, 1 for a failure, 2 for a wrong command line, 130 for Ctrl-C."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if not hasattr(args, "call"):
        parser.print_help()
        return 2
    try:
        return args.call(args)
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `cnn-course data list | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if os.environ.get("CNN_COURSE_DEBUG") == "1":
            raise
        print(f"cnn-course: {describe(error)}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1


def describe(error: Exception) -> str:
    """One line for the user: our own errors speak for themselves, a bug says where to look."""
    text = " ".join(str(error).split())
    if type(error).__module__.startswith("cnn_course") or isinstance(error, OSError):
        return text
    return f"unexpected {type(error).__name__}: {text} (CNN_COURSE_DEBUG=1 shows where)"


if __name__ == "__main__":
    sys.exit(main())
