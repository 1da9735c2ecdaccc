"""`cnn-course open`: JupyterLab on one lecture, on this machine only, asking nothing of the network."""

import argparse
import logging
import os
import secrets
import socket
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cnn_course.commands import values
from cnn_course.commands.shell_words import typed
from cnn_course.commands.start import FOLDER
from cnn_course.errors import UsageError
from cnn_course.files import system_errors
from cnn_course.files.course_files import copies_folder, course, find_lecture, is_clone

HELP = "open a lecture in JupyterLab"
HOST = "127.0.0.1"
SAVED_PICTURES = "cnn_course.appearance.saved_pictures"  # also where the course was not installed with its settings
CLONES_OWN = "work"  # git ignores it


NOT_FOR_STUDENTS = (
    "@jupyterlab/apputils-extension:announcements",
    *(f"@jupyter/nbgrader:{name}" for name in ("create-assignment", "formgrader", "assignment-list", "course-list")),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "lecture", type=values.words, nargs="?", default="1", metavar="LECTURE", help="2, 02 or 02_conv (default: 01)"
    )
    parser.add_argument("--no-browser", dest="browser", action="store_false", help="print the address only (servers)")
    parser.add_argument(
        "--folder", type=values.path, metavar="FOLDER", help="of working copies (default: the one that you are in)"
    )
    parser.add_argument(
        "--port", type=values.whole(1, 65535), metavar="N", help="this port (default: 8888 or the next free one)"
    )
    parser.set_defaults(call=open_lecture)


def open_lecture(args: argparse.Namespace) -> int:
    source = course()
    lecture = find_lecture(args.lecture, source).relative_to(source)
    folder = _folder_to_open(source, args.folder)
    if not (folder / lecture).is_file():
        raise UsageError(
            f"{lecture.name} is not in {folder} any more: cnn-course start {typed([str(folder)])} brings a fresh one"
        )
    return open_jupyterlab(folder, folder / lecture, browser=args.browser, port=args.port)


def _folder_to_open(source: Path, asked: Path | None) -> Path:
    """The folder that is opened: the one asked for, else the one that we are in or above; a clone makes its own.

    Raises UsageError where there is none.
    """
    from cnn_course.files.working_copies import lay_out

    folder = copies_folder(Path(os.path.realpath(asked or ".")))
    if folder is None and asked is None:
        if is_clone(source):  # `make course`: one command, and `git pull` finds the lectures as they were
            folder = source / CLONES_OWN
            done = lay_out(source, folder)
            for name, beside in done.beside.items():
                print(f"{name} is newer now; yours stays as it is, the newer one is {beside}")
            for name, why in done.broken.items():
                print(f"{name} is left out: {why}", file=sys.stderr)
        else:
            folder = copies_folder(Path(os.path.realpath(FOLDER)))
    if folder is None:
        where = asked or Path.cwd()
        raise UsageError(f"there is no course in {where}: lay it out with cnn-course start FOLDER, and open it there")
    return folder


def port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def for_students(handler: Any, page_config: dict[str, Any]) -> dict[str, Any]:
    """Take out of the page the question whether one wants news, and nbgrader's panels for who makes assignments."""
    disabled = list(page_config.get("disabledExtensions", []))
    return {**page_config, "disabledExtensions": [*disabled, *NOT_FOR_STUDENTS]}


def without_traceback(record: logging.LogRecord) -> bool:
    """JupyterLab goes on without a setting that it cannot read, and says so in one line."""
    if record.exc_info and "config file" in str(record.msg):
        record.msg, record.exc_info = f"{record.msg}: {record.exc_info[1]}", None
    return True


def open_jupyterlab(root: Path, lecture: Path, *, browser: bool = True, port: int | None = None) -> int:
    """Serve the folder `root` with JupyterLab, opened on `lecture`, until Ctrl-C; return the exit code.

    port: this one and no other; without it, 8888 or the next free one.
    Raises UsageError where the port is taken, or JupyterLab cannot write its own files.
    """
    if port is not None and not port_is_free(port):
        raise UsageError(f"port {port} is taken or not allowed; choose another one, or leave --port out")
    from jupyterlab.labapp import LabApp

    # A terminal in JupyterLab then knows `cnn-course`, and nbgrader's own commands find each other.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    token = os.environ.get("JUPYTER_TOKEN") or secrets.token_hex(24)
    page = f"/lab/tree/{quote(lecture.relative_to(root).as_posix())}"
    arguments = [
        f"--ServerApp.root_dir={root}",
        f"--ServerApp.ip={HOST}",
        f"--ServerApp.open_browser={browser}",
        f"--ServerApp.port_retries={50 if port is None else 0}",
        f"--IdentityProvider.token={token}",
        f"--LabApp.default_url={page}",
        "--ServerApp.answer_yes=True",
        "--KernelManager.transport_encryption=auto",
        # No look for updates, no list of extensions from a registry.
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.extension_manager=readonly",
        f"--ServerApp.jpserver_extensions={{'{SAVED_PICTURES}': True}}",
    ]
    if port is not None:
        arguments.append(f"--ServerApp.port={port}")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        arguments.append("--ServerApp.allow_root=True")  # containers; the server listens on the loopback only
    logging.disable(logging.WARNING)  # what its extensions say while they load is nothing that a student can use
    for name in ("ServerApp", "LabApp"):
        logging.getLogger(name).addFilter(without_traceback)
    try:
        server = LabApp.initialize_server(argv=arguments)
    except OSError as error:
        raise UsageError(
            f"JupyterLab does not start: {system_errors.said(error)}. It keeps its files in the home folder, or where "
            "JUPYTER_RUNTIME_DIR, JUPYTER_DATA_DIR and JUPYTER_CONFIG_DIR say: name folders that you may write to"
        ) from error
    except SystemExit as stop:
        raise UsageError("JupyterLab does not start; it says above why") from stop
    for handler in server.log.handlers:
        handler.addFilter(lambda record: record.levelno != logging.CRITICAL)  # its own addresses and good-byes
    server.web_app.settings["page_config_hook"] = for_students

    def greet() -> None:
        address = f"http://{HOST}:{server.port}{page}?token={quote(token, safe='')}"
        print(f"JupyterLab with {lecture.name} is at\n\n    {address}\n")
        if not browser:
            print(f"From another machine, first: ssh -L {server.port}:{HOST}:{server.port} <this machine>")
        print("Ctrl-C stops it.", flush=True)

    server.io_loop.add_callback(greet)  # runs after the callback that binds the port, so the address works at once
    server.start()
    print("\nJupyterLab has stopped.")
    return 0
