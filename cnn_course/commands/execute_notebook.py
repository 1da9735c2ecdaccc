"""Execute one lecture in a fresh kernel, with other parameters where asked, and tidy it for storage."""

import ast
import asyncio
import copy
import math
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat import NotebookNode
from traitlets.config import Config

from cnn_course.appearance.saved_pictures import WIDGET_VIEW
from cnn_course.errors import LectureError, UsageError
from cnn_course.files import notebook_files, system_errors

KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
# What editors and executors leave in a notebook and no reader needs.
TRANSIENT_NOTEBOOK_KEYS = ("widgets", "papermill", "execution", "vscode", "toc", "varInspector")
TRANSIENT_CELL_KEYS = ("execution", "collapsed", "scrolled", "papermill", "ExecuteTime", "vscode", "pycharm")
INJECTED = "injected-parameters"  # papermill's tag for the cell with other parameters


@dataclass
class Outcome:
    """What came of one lecture. `error` is empty where every cell ran; its first line says which cell failed."""

    notebook: NotebookNode
    seconds: float
    cells: int
    headline: str
    error: list[str] = field(default_factory=list)


def read_notebook(path: Path) -> NotebookNode:
    """Read a notebook of format 4. Raises LectureError, naming the file, for anything else."""
    try:
        return notebook_files.read_notebook(path)
    except ValueError as error:
        raise LectureError(f"{path} cannot be read as a notebook: {error}. Get it back with: git restore") from error


def has_tag(cell: NotebookNode, tag: str) -> bool:
    return tag in cell.metadata.get("tags", ())


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """The cells that a kernel executes: code that is not blank."""
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]


def parameter_names(notebook: NotebookNode) -> list[str]:
    """Return the names that the cell tagged `parameters` assigns, in order."""
    names = []
    for cell in notebook.cells:
        if has_tag(cell, "parameters"):
            for statement in ast.parse(cell.source).body:
                targets = getattr(statement, "targets", None) or [getattr(statement, "target", None)]
                names += [node.id for target in targets if target for node in ast.walk(target) if hasattr(node, "id")]
    return names


def with_parameters(notebook: NotebookNode, parameters: dict[str, Any], name: str) -> NotebookNode:
    """Return the notebook with a cell after its parameters cell that sets `parameters` (papermill's convention).

    Raises UsageError for a parameter that the lecture called `name` does not have, LectureError where its parameters
    cell cannot be read.
    """
    try:
        known = parameter_names(notebook)
    except SyntaxError as error:
        line = (error.text or "").strip()
        raise LectureError(f"the parameters cell of {name} cannot be read: {error.msg}: {line}") from error
    except (ValueError, RecursionError, MemoryError) as error:  # a NUL; nested too deeply
        raise LectureError(f"the parameters cell of {name} cannot be read as Python: {error}") from error
    unknown = [key for key in parameters if key not in known]
    if unknown:
        has = f"it has {', '.join(known)}" if known else "it has none"
        raise UsageError(f"{name} has no parameter {', '.join(unknown)[:100]}; {has}")
    notebook = copy.deepcopy(notebook)
    notebook.cells = [cell for cell in notebook.cells if not has_tag(cell, INJECTED)]  # of a copy that ran with others
    place = max(number for number, cell in enumerate(notebook.cells, 1) if has_tag(cell, "parameters"))
    text = "\n".join(["# Parameters", *(f"{key} = {_literal(value)}" for key, value in parameters.items())])
    notebook.cells.insert(place, nbformat.v4.new_code_cell(text, metadata={"tags": [INJECTED]}))
    return notebook


def _literal(value: object) -> str:
    """A value as Python reads it."""
    return repr(value) if value == value and value not in (math.inf, -math.inf) else f"float({str(value)!r})"


def execute(notebook: NotebookNode, folder: Path, on_cell: Callable[[], object] = lambda: None) -> Outcome:
    """Execute every cell in a fresh kernel of this interpreter, working in `folder`; the outputs go into `notebook`.

    on_cell: called after each code cell. A failing cell ends the execution and is described in the outcome.
    Raises KeyboardInterrupt on Ctrl-C or SIGTERM, after the kernel has gone, LectureError where no kernel starts.
    """
    done, current = 0, None

    def started(cell: NotebookNode, cell_index: int) -> None:
        nonlocal current
        current = cell

    def completed(cell: NotebookNode, cell_index: int, execute_reply: dict[str, Any]) -> None:
        nonlocal done
        done += 1
        on_cell()

    # An empty list of folders leaves one kernel: the interpreter that runs this, never another of the same name.
    # Encryption as configuration, which a jupyter_client from before that setting ignores.
    encrypted = Config({"KernelManager": {"transport_encryption": "auto"}})
    manager = AsyncKernelManager(config=encrypted, kernel_spec_manager=KernelSpecManager(kernel_dirs=[]))
    client = _Client(
        notebook,
        km=manager,
        timeout=None,
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(folder)}},
        on_cell_start=started,
        on_cell_executed=completed,
    )
    client.owns_km = True  # the kernel ends with the execution
    error: list[str] = []
    start = time.perf_counter()
    try:
        asyncio.run(client.async_execute(cwd=str(folder)))
    except CellExecutionError as failure:
        error = [_cell_line(current), *_short(failure.ename, failure.evalue)]
    except (DeadKernelError, RuntimeError) as failure:
        if client.interrupted:
            raise KeyboardInterrupt from None
        reason = "the kernel died: is the memory full?" if isinstance(failure, DeadKernelError) else str(failure)
        error = [_cell_line(current), reason]
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    except (NoSuchKernel, OSError) as failure:  # no ipykernel; no folder for the file with the kernel's ports
        why = system_errors.said(failure) if isinstance(failure, OSError) else str(failure)
        raise LectureError(
            f"no kernel starts: {why}. JUPYTER_RUNTIME_DIR names a folder that you may write to; where ipykernel is "
            "missing: make clean && make course"
        ) from failure
    finally:
        for number, handler in client.before.items():
            signal.signal(number, handler)
    return Outcome(notebook, time.perf_counter() - start, done, headline(notebook), error)


class _Client(NotebookClient):
    """nbclient takes Ctrl-C for a kernel that died; this one stops the kernel at once and remembers why."""

    interrupted = False

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.before: dict[signal.Signals, Any] = {}  # handlers to be put back at the end

    async def async_start_new_kernel(self, **kwargs: Any) -> None:
        task = asyncio.current_task()
        assert task is not None, "a coroutine runs in a task"

        def interrupt() -> None:
            self.interrupted = True
            self.shutdown_kernel = "immediate"
            task.cancel()

        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                loop.add_signal_handler(number, interrupt)
            except NotImplementedError:  # Windows
                self.before[number] = signal.signal(number, lambda *_: loop.call_soon_threadsafe(interrupt))
        await super().async_start_new_kernel(**kwargs)


def _cell_line(cell: NotebookNode | None) -> str:
    if cell is None:
        return "the kernel did not start"
    return f"cell {cell.get('id', '?')}: {cell.source.strip().splitlines()[0]}"


def _short(name: str, value: str, lines: int = 4) -> list[str]:
    """The exception in a few lines: its name and the beginning of what it says."""
    text = [line for line in str(value).splitlines() if line.strip()]
    shown = text[:lines] + (["..."] if len(text) > lines else [])
    return [f"{name}: {shown[0]}" if shown else name, *shown[1:]]


def headline(notebook: NotebookNode) -> str:
    """Return the last line that the cell tagged `headline` printed, or an empty string."""
    for cell in notebook.cells:
        if has_tag(cell, "headline") and cell.cell_type == "code":
            text = "".join(output.text for output in cell.outputs if output.get("name") == "stdout")
            lines = [line.strip() for line in text.splitlines() if line.strip()]
            return lines[-1] if lines else ""
    return ""


def stored_text(notebook: NotebookNode) -> str:
    """Return the text of the notebook file: outputs kept, everything that differs between two equal runs dropped.

    A live widget's view is dropped too (its model lives in the kernel); the picture beside it stays.
    """
    notebook = copy.deepcopy(notebook)
    for key in TRANSIENT_NOTEBOOK_KEYS:
        notebook.metadata.pop(key, None)
    notebook.metadata["kernelspec"] = KERNELSPEC
    notebook.metadata["language_info"] = {"name": "python"}
    for cell in notebook.cells:
        for key in TRANSIENT_CELL_KEYS:
            cell.metadata.pop(key, None)
        if cell.cell_type == "code":
            for output in cell.outputs:
                output.get("data", {}).pop(WIDGET_VIEW, None)
            cell.outputs = [output for output in cell.outputs if output.get("data", True)]
    return nbformat.writes(notebook, version=4).rstrip("\n") + "\n"
