"""`cnn-course grade --db postgresql://...`, on a PostgreSQL server of the test's own."""

import glob
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

pytest.importorskip("nbgrader", reason="grading needs nbgrader (the extra `teach`)")
pytest.importorskip("psycopg", reason="needs psycopg (the extra `postgres`)")

from nbgrader.api import Gradebook  # noqa: E402
from test_grade_class import LAB, hand_in, new_course, with_slip  # noqa: E402

from cnn_course.commands import cli  # noqa: E402
from cnn_course.grading.classroom import gradebook  # noqa: E402
from labs import running  # noqa: E402

pytestmark = pytest.mark.usefixtures("bubblewrap")


@pytest.fixture(scope="module")
def address():
    """Of an empty database. The server refuses to run as root: then it is the user `postgres`'s, as Debian makes it."""
    found = shutil.which("initdb") or max(glob.glob("/usr/lib/postgresql/*/bin/initdb"), default=None)
    if found is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("needs a PostgreSQL server (apt install postgresql)")
    user = {"user": "postgres"} if os.geteuid() == 0 else {}
    folder = tempfile.mkdtemp()  # below no folder that is closed to others
    if user:
        os.chown(folder, pwd.getpwnam("postgres").pw_uid, -1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    password = Path(folder, "password")
    password.write_text("secret")
    password.chmod(0o644)
    try:
        subprocess.run(
            [found, "-D", f"{folder}/data", "-U", "grader", "-A", "scram-sha-256", f"--pwfile={password}", "-N"],
            check=True, capture_output=True, cwd=folder, **user,
        )  # fmt: skip
        control = [Path(found).parent / "pg_ctl", "-D", f"{folder}/data", "-l", f"{folder}/log", "-w"]
        options = f"-c listen_addresses=127.0.0.1 -p {port} -k {folder} -c fsync=off"
        subprocess.run([*control, "-o", options, "start"], check=True, stdout=subprocess.DEVNULL, cwd=folder, **user)
        try:
            yield f"postgresql://grader:secret@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run([*control, "-m", "fast", "stop"], check=True, stdout=subprocess.DEVNULL, cwd=folder, **user)
    finally:
        shutil.rmtree(folder)


def test_a_class_in_postgresql_has_the_marks_of_the_one_in_a_file(address, tmp_path, capsys):
    course = new_course(tmp_path / "labs")
    (course / "gradebook.db").unlink()
    hand_in(course, "solution", running.master(LAB))
    hand_in(course, "slip", with_slip("stride on the rows only"))
    arguments = ["grade", "lab01", "--course", str(course), "--export", str(course / "points.csv"), "--report"]
    assert cli.main([*arguments, "--db", address]) == 0
    assert not (course / "gradebook.db").exists()
    assert (course / "points.csv").read_text().splitlines() == ["student,score", "slip,18.0", "solution,21.0"]
    assert "2 graded, 0 unchanged" in capsys.readouterr().out
    assert cli.main([*arguments, "--db", address]) == 0
    assert "0 graded, 2 unchanged" in capsys.readouterr().out
    assert cli.main(arguments) == 0  # another gradebook knows nobody yet
    assert "2 graded, 0 unchanged" in capsys.readouterr().out
    marks = []
    for url in (address, gradebook.url_of(course)):
        with Gradebook(url) as book:
            notebooks = {student: book.find_submission_notebook(LAB, LAB, student) for student in ("solution", "slip")}
            marks.append({s: {g.name: (g.auto_score, g.max_score) for g in n.grades} for s, n in notebooks.items()})
    assert marks[0] == marks[1] and len(marks[0]["slip"]) == 16


def test_a_database_that_does_not_open_is_named_without_its_password(address, tmp_path, capsys):
    course = new_course(tmp_path / "labs")
    hand_in(course, "solution", running.master(LAB))
    for url, says in (
        (address.replace("secret", "wr0ng"), "password authentication failed"),
        ("postgresql://grader:wr0ng@127.0.0.1:1/gradebook", "onnection refused"),
        ("sqlite:////nowhere/gradebook.db", "unable to open database file"),
        ("gradebook", "is no address of a database: write postgresql://"),
        ("oracle://grader:wr0ng@127.0.0.1/gradebook", "needs oracledb: write postgresql://"),
    ):
        assert cli.main(["grade", "lab01", "--course", str(course), "--db", url]) == 1
        said = capsys.readouterr().err
        assert says in said and "wr0ng" not in said and "unexpected" not in said
    assert not (course / "autograded").exists() or not list((course / "autograded").glob("*/*"))
