"""What a student does, on Windows, on macOS and without what only instructors install, as far as Linux can tell.

`elsewhere/sitecustomize.py` says what such a machine has not, and takes it away.
"""

import ast
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import types
from pathlib import Path

import nbformat
import pytest

from cnn_course.errors import SandboxError, UsageError
from cnn_course.files import whole_files
from cnn_course.grading.judging import clock
from cnn_course.grading.sandbox import alarm, spawned_host
from cnn_course.grading.sandbox.spawned_host import SpawnedHost
from labs import running

MACHINES = ("windows", "student")  # what macOS lacks Windows lacks too
LABS = sorted(folder.name for folder in (running.LABS / "release").iterdir())
NOTEBOOKS = [*(running.REPOSITORY / "lectures").glob("*.ipynb"), *(running.LABS / "release").rglob("*.ipynb")]
OUTSIDE = "(without the grader's sandbox: bubblewrap does not start here)\n"
FOREVER = "def conv_2d(x, w):\n    while True:\n        pass\n"
# As `cnn-course`, which says on standard output when it asks an answer; a call may take so many seconds.
WATCHED = """
import os, sys
from cnn_course.commands import cli
from cnn_course.grading.judging import student
student.CALL_SECONDS = float(sys.argv[1])
ask = student._Process.ask
def said(*arguments):
    os.write(1, f"{arguments[-1]}\\n".encode())
    return ask(*arguments)
student._Process.ask = said
sys.exit(cli.main(sys.argv[2:]))
"""


def environment(machine: str, folder: Path) -> dict[str, str]:
    (folder / "tmp").mkdir(exist_ok=True)
    places = (Path(__file__).with_name("elsewhere"), running.REPOSITORY)
    found = {"CNN_COURSE_ELSEWHERE": machine, "PYTHONPATH": os.pathsep.join(map(str, places))}
    found |= {"TMPDIR": str(folder / "tmp"), "JUPYTER_RUNTIME_DIR": str(folder / "tmp"), "OMP_NUM_THREADS": "1"}
    if machine == "windows":  # a text is not in UTF-8 unless one says so, and a pipe takes no other letters
        found |= {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "cp1252:strict"}
    return os.environ | found


def there(machine: str, folder: Path, *words: str | Path, **options) -> subprocess.CompletedProcess:
    """Python with these words on that machine, in an empty folder."""
    command = [sys.executable, *map(str, words)]
    encoding = "cp1252" if machine == "windows" else "utf-8"
    environ = environment(machine, folder)
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, encoding=encoding, **options)


def start(machine: str, folder: Path, *words: str | Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, *map(str, words)],
        cwd=folder,
        env=environment(machine, folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # a shell's `&` ignores it
    )


def left(folder: Path) -> list[int]:
    """The processes that work in a folder or were given a file there."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
            if os.readlink(f"/proc/{pid}/cwd").startswith(f"{folder}/") or f"{folder}/tmp" in words:
                found.append(int(pid))
    return found


def wait_until(reached, seconds: float = 60.0) -> bool:
    end = time.monotonic() + seconds
    while not reached() and time.monotonic() < end:
        time.sleep(0.1)
    return bool(reached())


def answered(lab: str, folder: Path, **answers: str) -> Path:
    """The released lab with the model's answers, but for those given here: q3="..." for q3-solution."""
    cells = [cell for cell in running.master(lab).cells if cell.metadata.get("nbgrader", {}).get("solution")]
    sources = {running.grade_id(cell): cell.source for cell in cells}
    sources |= {f"{name}-solution": source for name, source in answers.items()}
    file = folder / f"{lab}.ipynb"
    nbformat.write(running.with_answers(running.released(lab), sources), file)
    return file


@pytest.mark.slow
def test_every_import_of_every_notebook(tmp_path):
    """On the machine that lacks most: what is installed there is what a student has elsewhere."""
    found = {}
    for file in NOTEBOOKS:
        for cell in nbformat.read(file, as_version=4).cells:
            if cell.cell_type == "code":
                nodes = ast.walk(ast.parse(cell.source))
                found |= {ast.unparse(n): 1 for n in nodes if isinstance(n, ast.Import | ast.ImportFrom)}
    assert len(found) > 50
    (tmp_path / "imports.py").write_text("\n".join(sorted(found)), encoding="utf-8")
    done = there("windows", tmp_path, "imports.py")
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("machine", MACHINES)
def test_looking_around(machine, tmp_path):
    for words in (["--help"], ["data", "list"], ["doctor"]):
        done = there(machine, tmp_path, "-m", "cnn_course", *words)
        assert (done.returncode, done.stderr) == (0, ""), words
    assert "The course can run." in done.stdout
    assert ("no bubblewrap outside Linux" in done.stdout) == (machine == "windows")


@pytest.mark.slow
def test_a_training(tmp_path):
    words = ("train", "mlp", "--data", "digits", "--epochs", "1", "--weights")
    done = there("windows", tmp_path, "-m", "cnn_course", *words)
    assert done.returncode == 0 and "accuracy" in done.stdout, done.stderr
    endings = {"csv", "json", "safetensors"}
    assert {file.name for file in (tmp_path / "runs").iterdir()} == {f"mlp-digits-s0.{end}" for end in endings}


@pytest.mark.slow
def test_a_lecture_with_another_parameter(tmp_path):
    done = there("windows", tmp_path, "-m", "cnn_course", "run", "2", "-p", "SEED=3", "--output", tmp_path / "copies")
    assert done.returncode == 0 and "one matrix product" in done.stdout, done.stdout + done.stderr
    copy = nbformat.read(tmp_path / "copies" / "02_convolution_in_numpy.ipynb", as_version=4)
    assert any("injected-parameters" in cell.metadata.get("tags", ()) for cell in copy.cells)


@pytest.mark.slow
def test_ctrl_c_ends_a_lecture(tmp_path):
    process = start("windows", tmp_path, "-m", "cnn_course", "run", "2")
    assert wait_until(lambda: [pid for pid in left(tmp_path) if pid != process.pid])
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and said.endswith("Stopped.\n"), said
    assert wait_until(lambda: not left(tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("machine", MACHINES)
def test_a_lab_without_answers(machine, tmp_path):
    done = there(machine, tmp_path, "-m", "cnn_course", "labs", "check", "lab01")
    assert done.returncode == 1 and "\n0 of " in done.stdout, done.stderr
    said = [line for line in done.stdout.splitlines() if line.startswith("    ")]
    assert len(said) == done.stdout.count("  FAILS\n") > 0
    assert all("not written yet" in line or "Nothing was written" in line for line in said)
    assert done.stderr in (("", OUTSIDE) if machine == "student" else (OUTSIDE,))


@pytest.mark.slow
@pytest.mark.parametrize(("machine", "lab"), [("windows", LABS[5]), ("macos", LABS[3]), ("student", LABS[0])])
def test_a_lab_with_the_models_answers(machine, lab, tmp_path):
    done = there(machine, tmp_path, "-m", "cnn_course", "labs", "check", lab, answered(lab, tmp_path))
    assert done.returncode == 0 and "FAILS" not in done.stdout, done.stdout + done.stderr
    assert not any((tmp_path / "tmp").glob("cnn-course-*"))


@pytest.mark.slow
def test_an_endless_loop_and_what_is_forbidden_cost_their_own_points(tmp_path):
    forbidden = "def correlate_1d(x, w, stride=1, padding=0):\n    return getattr(np, 'corre' + 'late')(x, w)\n"
    file = answered("lab01_convolution", tmp_path, q3=FOREVER, q2=forbidden)
    done = there("windows", tmp_path, "-c", WATCHED, "2", "labs", "check", "lab01", file, timeout=300)
    fails = [line.partition(" ")[0] for line in done.stdout.splitlines() if line.endswith("FAILS")]
    assert fails == ["q2-values", "q2-stride-padding", "q3-visible"], done.stdout + done.stderr
    assert "no answer after 2 seconds. Look for a loop that never ends." in done.stdout
    assert done.stdout.count("do not allow") == 2
    assert left(tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "killed"])
def test_an_endless_loop_ends_with_the_command(number, tmp_path):
    file = answered("lab01_convolution", tmp_path, q3=FOREVER)
    process = start("windows", tmp_path, "-c", WATCHED, "600", "labs", "check", "lab01", file)
    assert process.stdout is not None
    assert any(line == "conv_2d\n" for line in process.stdout)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGINT else -number)
    assert number == signal.SIGKILL or said == "\nStopped.\n"
    assert wait_until(lambda: not left(tmp_path))


# --- the parts

GRADERS = ("classroom", "bubblewrap", "host", "launch", "provisioner", "system_calls", "warm_host", "grade")
ASKED_FIRST = {  # where the line before asks whether it is there, or an OSError is taken for no
    ("alarm", "signal.ITIMER_REAL"),
    ("alarm", "signal.SIGALRM"),
    ("alarm", "signal.setitimer"),
    ("doctor", "os.sched_getaffinity"),
    ("download", "fcntl"),
    ("open", "os.geteuid"),
    ("runs", "/proc/cpuinfo"),
    ("taken_away", "/proc/self/fd/"),
}


def only_here(tree: ast.AST, missing: dict[str, set[str]], modules: tuple[str, ...]):
    """What a text uses that Windows or macOS has not."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id=module), attr=name) if name in missing.get(module, ()):
                yield f"{module}.{name}"
            case ast.ImportFrom(module=module, names=names):
                yield from (f"{module}.{n.name}" for n in names if n.name in missing.get(module, ()))
                yield from [module] if module in modules else []
            case ast.Import(names=names):
                yield from (n.name for n in names if n.name.partition(".")[0] in modules)
            case ast.Constant(value=str(text)) if text.startswith(("/proc/", "/dev/", "/etc/", "/tmp")):
                yield text


def test_nothing_that_only_linux_has_is_named_on_the_path():
    helper = ast.parse(Path(__file__).with_name("elsewhere").joinpath("sitecustomize.py").read_text(encoding="utf-8"))
    named = {ast.unparse(n.targets[0]): n.value for n in helper.body if isinstance(n, ast.Assign)}
    tables = [ast.literal_eval(named[name]) for name in ("LINUX_ONLY", "POSIX_ONLY")]
    missing = {module: {word for table in tables for word in table[module].split()} for module in tables[0]}
    modules = ast.literal_eval(named["POSIX_MODULES"])
    texts = {
        path: path.read_text(encoding="utf-8")
        for path in (running.REPOSITORY / "cnn_course").rglob("*.py")
        if path.stem not in GRADERS and path.parent.name not in GRADERS
    }
    for path in NOTEBOOKS:
        cells = nbformat.read(path, as_version=4).cells
        texts[path] = "\n\n".join(cell.source for cell in cells if cell.cell_type == "code")
    found = {(path.stem, use) for path, text in texts.items() for use in only_here(ast.parse(text), missing, modules)}
    assert found == ASKED_FIRST


def test_a_thread_rings_where_no_timer_does(monkeypatch):
    monkeypatch.delattr(signal, "setitimer")
    answers = iter([False, True])
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(TimeoutError, match="^over$"), alarm.alarm(0.1, lambda: next(answers), "over"):
        for _ in range(600):
            time.sleep(0.1)
    assert next(answers, None) is None and signal.getsignal(signal.SIGTERM) is before
    with alarm.alarm(0.1, lambda: True, "over"), alarm.undisturbed():
        time.sleep(0.3)


def test_only_who_says_the_word_is_taken_for_the_child():
    def call() -> None:
        for words in (b"another", b"", b"the word"):
            with socket.create_connection(server.getsockname()) as channel:
                channel.sendall(words)
                channel.recv(1)

    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process,
        socket.create_server(("127.0.0.1", 0)) as server,
    ):
        threading.Thread(target=call, daemon=True).start()
        with spawned_host._called(server, process, b"the word") as channel:
            channel.sendall(b"!")
        process.kill()


def test_a_child_that_does_not_start_says_why(tmp_path, monkeypatch):
    (tmp_path / "cnn_course.py").write_text("raise RuntimeError('damaged')", encoding="utf-8")
    monkeypatch.setattr(spawned_host, "_environment", lambda: os.environ | {"PYTHONPATH": str(tmp_path)})
    with SpawnedHost(["numpy"]) as host:
        with pytest.raises(SandboxError, match="^the process for your code does not start: RuntimeError: damaged$"):
            host.fork()
        assert not host._children


def test_what_a_child_takes_to_start_is_not_an_answers_time():
    with SpawnedHost([]) as host:
        time_left = clock.Clock(host, 10.0)
        number, channel = host.fork()
        before = time_left.left()
        time_left.settle()
        assert time_left.left() > before
        channel.close()
        host.kill(number)
        assert not host._children


def test_a_file_that_somebody_has_open_is_replaced_when_it_is_closed(tmp_path, monkeypatch):
    tries = []

    def replace(part, path):
        tries.append(part)
        if len(tries) < 3:
            raise PermissionError(13, "Access is denied")
        os.replace(part, path)

    windows = types.SimpleNamespace(**vars(os) | {"name": "nt", "replace": replace})
    monkeypatch.setattr(whole_files, "os", windows)
    whole_files.write_whole(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new" and len(tries) == 3
    monkeypatch.setattr(windows, "replace", lambda *_: (_ for _ in ()).throw(PermissionError(13, "Access is denied")))
    with pytest.raises(PermissionError):
        whole_files.write_whole(tmp_path / "a", b"newer")
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


def test_names_and_lines_for_windows_own_shell(tmp_path, monkeypatch):
    from cnn_course.commands import train_model

    monkeypatch.setattr(train_model, "os", types.SimpleNamespace(**vars(os) | {"name": "nt"}))
    with pytest.raises(UsageError, match=r"--name: Windows has no files with : \? in their names, got 'what: no\?'"):
        train_model._check_output(tmp_path, "what: no?", overwrite=False)
    train_model._check_output(tmp_path, "what-no", overwrite=False)
