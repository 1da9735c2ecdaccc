"""The `cnn-course` command. Each subcommand imports what it needs when it runs, so that start-up stays quick."""

import argparse
import os
import sys
from pathlib import Path

from cnn_course import __version__
from cnn_course.errors import UsageError
from cnn_course.files.course_files import all_lectures, find_lecture, repository


def doctor(args: argparse.Namespace) -> int:
    from cnn_course.commands.doctor import doctor

    return doctor()


def open_(args: argparse.Namespace) -> int:
    root = repository()
    lecture = find_lecture(args.lecture, root)
    from cnn_course.commands.open_jupyterlab import open_lab

    return open_lab(root, lecture, browser=args.browser, port=args.port)


def run(args: argparse.Namespace) -> int:
    root = repository()
    paths = [find_lecture(name, root) for name in args.lectures] or all_lectures(root)
    if not paths:
        find_lecture("1", root)  # says what is wrong
    from cnn_course.commands.run_lectures import parse_parameters, run_lectures

    return run_lectures(paths, parse_parameters(args.parameters), save=args.save, output=args.output)


def data(args: argparse.Namespace) -> int:
    from cnn_course.commands import data_command

    if args.action == "list":
        return data_command.list_data()
    return data_command.get_data(args.name) if args.action == "get" else data_command.verify_data(args.name)


def train(args: argparse.Namespace) -> int:
    from cnn_course.commands.train_command import train_model

    return train_model(args)


def labs(args: argparse.Namespace) -> int:
    from cnn_course.commands.check_lab import check_lab

    return check_lab(repository() / "labs", args.lab, args.notebook)


def grade(args: argparse.Namespace) -> int:
    from cnn_course.commands.grade_command import grade_command

    return grade_command(args, args.course or repository() / "labs")


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

    about = "train a network, with checkpoints, and write a results file; --help lists every setting"
    command = commands.add_parser("train", help=about, description="Train a network and write what happened.")
    add_train_arguments(command)
    command.set_defaults(call=train)
    about = "for students: run a lab's visible tests as the grader will"
    command = commands.add_parser("labs", help=about)
    actions = command.add_subparsers(title="actions", metavar="ACTION", required=True)
    action = actions.add_parser("check", help="say what passes and what does not")
    action.add_argument("lab", metavar="LAB", help="such as lab03")
    action.add_argument("notebook", nargs="?", type=Path, help="your notebook (default: the one in labs/release)")
    action.set_defaults(call=labs)
    about = "for instructors: grade a class"
    command = commands.add_parser("grade", help=about, description="Grade what is new, in a sandbox; safe to repeat.")
    add_grade_arguments(command)
    command.set_defaults(call=grade)
    return parser


def add_grade_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("lab", metavar="LAB", help="such as lab01")
    command.add_argument(
        "--course", type=Path, metavar="DIR", help="folder with source/ and submitted/ (default: labs)"
    )
    command.add_argument("--submitted", type=Path, metavar="PATH", help="folder or zip file of a learning platform")
    command.add_argument("--student-pattern", metavar="RE", help="where the student's name stands in its file names")
    command.add_argument("--db", metavar="URL", help="gradebook (default: gradebook.db in the course folder)")
    command.add_argument("--workers", type=int, metavar="N", help="at the same time (default: one for each core)")
    command.add_argument("--seconds", type=float, default=300, metavar="S", help="for one submission (default: 300)")
    command.add_argument("--seed", type=int, metavar="N", help="of the hidden inputs (default: drawn once for a lab)")
    command.add_argument("--scheduler", metavar="ADDRESS", help="use the workers of a Dask scheduler")
    command.add_argument("--report", action="store_true", help="write the class view, reports/LAB.html")
    command.add_argument("--export", type=Path, metavar="FILE", help="write the points as CSV")
    command.add_argument(
        "--columns", metavar="A,B", help="of the CSV file, NAME=column renames (default: student,score)"
    )
    command.add_argument("--unsafe-no-sandbox", action="store_true", help="run submissions with your own rights")


def add_train_arguments(command: argparse.ArgumentParser) -> None:
    """Those of `train`. A setting of the recipe that is not given has the default of `recipe.TrainConfig`."""
    on_off = argparse.BooleanOptionalAction
    command.add_argument("model", metavar="MODEL", help="such as lenet, resnet20 or vgg16-bn; a wrong name lists all")
    command.add_argument("--data", required=True, metavar="NAME", help="a data set, or a folder of class folders")
    command.add_argument("--size", type=int, metavar="S", help="scale the images of a folder to S x S")
    command.add_argument("--images", type=int, metavar="N", help="train on N of the training images only")
    command.add_argument("--title", metavar="TEXT", help="what the data is, for captions (default: its own title)")
    command.add_argument("--width", type=int, metavar="W", help="channels of the first stage (resnet20, plain20 ...)")
    command.add_argument("--dropout", type=float, metavar="P", help="of the fully connected layers of lenet")

    recipe = command.add_argument_group("recipe")
    recipe.add_argument("--epochs", type=int, metavar="N", help="passes over the data (default: 10)")
    recipe.add_argument("--batch-size", type=int, metavar="N", help="images per step, over all processes (default: 64)")
    recipe.add_argument("--optimizer", metavar="NAME", help="adamw (the default) or sgd")
    recipe.add_argument("--lr", type=float, metavar="X", help="learning rate (default: 0.003)")
    recipe.add_argument("--momentum", type=float, metavar="X", help="of sgd (default: 0.9)")
    recipe.add_argument("--weight-decay", type=float, metavar="X", help="(default: 0)")
    recipe.add_argument("--schedule", metavar="NAME", help="constant (the default), cosine, one-cycle or step")
    recipe.add_argument("--warmup", type=float, metavar="N", help="epochs in which the rate rises (default: 0)")
    recipe.add_argument("--label-smoothing", type=float, metavar="X", help="(default: 0)")
    recipe.add_argument("--patience", type=int, metavar="N", help="stop after N epochs without a better val accuracy")
    recipe.add_argument("--seed", type=int, metavar="N", help="of weights, order, augmentation, dropout (default: 0)")

    augment = command.add_argument_group("augmentation of the training images")
    augment.add_argument("--crop", type=int, default=0, metavar="N", help="shift by up to N pixels")
    augment.add_argument("--flip", action="store_true", help="mirror half of them left to right")
    augment.add_argument("--rotate", type=float, default=0.0, metavar="X", help="turn by up to X degrees")
    augment.add_argument("--cutout", type=int, default=0, metavar="N", help="hide a square of N x N pixels")

    speed = command.add_argument_group("where and how fast")
    speed.add_argument("--device", metavar="NAME", help="auto (the default), cpu, cuda, cuda:1 or mps")
    speed.add_argument("--amp", action=on_off, help="compute in bfloat16 where that is safe (default: no)")
    speed.add_argument("--channels-last", action=on_off, help="memory order (default: yes, but on mps)")
    speed.add_argument("--compile", action=on_off, help="torch.compile, for long runs (default: no)")

    results = command.add_argument_group("results")
    results.add_argument("--output", type=Path, default=Path("runs"), metavar="DIR", help="folder (default: ./runs)")
    results.add_argument("--name", metavar="NAME", help="of the files (default: MODEL-DATA-sSEED)")
    results.add_argument("--weights", action="store_true", help="write the weights too, NAME.safetensors")
    results.add_argument("--overwrite", action="store_true", help="replace the results of that name")
    results.add_argument("--fresh", action="store_true", help="begin anew where a checkpoint of that name is there")


def main(argv: list[str] | None = None) -> int:
    """Run one command; return its exit code: 0, 1 for a failure, 2 for a wrong command line, 130 for Ctrl-C."""
    parser = build_parser()
    args = parser.parse_args(argv)
    args.command_line = sys.argv[1:] if argv is None else argv
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
