"""nbgrader's autograde, feedback, collection and formgrader with our judge: what a submission cannot do there."""

import os
import shutil
import subprocess
import sys
import sysconfig

import pytest

pytest.importorskip("nbgrader", reason="grading needs nbgrader (the extra `teach`)")

import jupyterlab_harness as harness  # noqa: E402
import nbformat  # noqa: E402
from nbgrader.api import Gradebook  # noqa: E402

from labs import running  # noqa: E402

LAB = "lab01_convolution"
SCRIPT = "<img src=x onerror=\"window.ran='image'\"><script>window.ran='script'</script><iframe srcdoc='<b>'></iframe>"
WORDS = f"Because the same kernel is used everywhere. {SCRIPT} $\\require{{x}}$\n~~~~\n{SCRIPT}"
SECRET = "the-secret-of-this-submission"

pytestmark = pytest.mark.usefixtures("bubblewrap")


def nbgrader(course, *arguments, expect=0, **environment):
    """Run nbgrader's command line in the course folder, with Jupyter folders of its own; returns what it said."""
    own = course.parent / "jupyter"
    names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    path = os.pathsep.join(p for p in (str(running.REPOSITORY), os.environ.get("PYTHONPATH", "")) if p)
    full = os.environ | {name: str(own / name.lower()) for name in names}
    full["PATH"] = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])
    full |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": path, "JUPYTER_PREFER_ENV_PATH": "1"} | environment
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", *arguments],
        cwd=course,
        env=full,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert done.returncode == expect, done.stdout
    return done.stdout


def hand_in(course, student, notebook):
    folder = course / "submitted" / student / LAB
    folder.mkdir(parents=True)
    if notebook is not None:
        nbformat.write(notebook, folder / f"{LAB}.ipynb")
    return folder


def forged():
    """Nothing is solved; metadata, points and stored outputs claim otherwise, and the test cells are gone or empty."""
    notebook = running.released(LAB)
    for cell in notebook.cells:
        own = cell.metadata.get("nbgrader", {})
        if own.get("grade"):
            own.update(points=1000, grade=True, locked=False)
            if cell.cell_type == "code":
                cell.source, cell.outputs = "", []
    notebook.cells = [cell for cell in notebook.cells if not running.grade_id(cell).endswith("hidden")]
    return notebook


@pytest.fixture(scope="module")
def course(bubblewrap, tmp_path_factory):
    """A course with six submissions, graded by `nbgrader autograde`."""
    folder = tmp_path_factory.mktemp("class") / "labs"
    shutil.copytree(running.LABS, folder, ignore=shutil.ignore_patterns("release", "gradebook.db", ".*"))
    (folder / "gradebook.db").write_bytes(running.empty_gradebook())
    master = folder / "source" / LAB / f"{LAB}.ipynb"
    solution = running.master(LAB)
    good = running.with_answers(solution, {"q7-answer": WORDS})
    place = hand_in(folder, "ada", good)
    (place / "timestamp.txt").write_text("2030-01-02 03:04:05 UTC")
    (place / "submission_secret.txt").write_text(SECRET)
    (place / "index.html").write_text("<script>window.ran='file'</script>")
    place = hand_in(folder, "files", good)
    (place / "notes.txt").symlink_to(master)
    (place / "timestamp.txt").symlink_to("/dev/zero")
    (place / "submission_secret.txt").symlink_to(master)
    os.mkfifo(place / "pipe")
    (hand_in(folder, "notebook", None) / f"{LAB}.ipynb").symlink_to(master)
    (folder / "submitted" / "folder").mkdir()
    (folder / "submitted" / "folder" / LAB).symlink_to(master.parent)
    hand_in(folder, "forged", forged())
    (hand_in(folder, "named", None) / "my lab.ipynb").write_text(nbformat.writes(good))
    nbgrader(folder, "autograde", LAB)
    return folder


def points(course, student):
    with Gradebook(f"sqlite:///{course}/gradebook.db") as book:
        notebook = book.find_submission_notebook(LAB, LAB, student)
        return {g.cell.name: g.auto_score for g in notebook.grades if g.auto_score is not None}


def total(course, student):
    return sum(points(course, student).values())


def test_marks(course):
    assert {student: total(course, student) for student in ("ada", "files", "named")} == dict.fromkeys(
        ("ada", "files", "named"), 21
    )
    # A test cell that is missing or says nothing gives no points.
    assert {student: total(course, student) for student in ("forged", "notebook", "folder")} == dict.fromkeys(
        ("forged", "notebook", "folder"), 0
    )


def test_links_are_not_followed(course):
    for student in ("notebook", "folder"):
        assert "links are not followed" in feedback(course, student) or "is a link" in feedback(course, student)
    written = {path.name for step in ("autograded", "feedback") for path in (course / step / "files" / LAB).iterdir()}
    assert written == {f"{LAB}.ipynb", f"{LAB}.html", "grade.json"}


def test_nothing_of_a_submission_is_copied(course):
    names = sorted(path.name for path in (course / "autograded" / "ada" / LAB).iterdir())
    assert names == ["grade.json", f"{LAB}.ipynb"]


def ungraded(course, tmp_path):
    """A copy of the course before the grading."""
    unwanted = shutil.ignore_patterns("autograded", "feedback", "files")
    return shutil.copytree(course, tmp_path / "labs", symlinks=True, ignore=unwanted)


def feedback(course, student):
    return (course / "feedback" / student / LAB / f"{LAB}.html").read_text()


def test_points_of_a_person_survive_and_reach_the_feedback(course):
    with Gradebook(f"sqlite:///{course}/gradebook.db") as book:
        book.find_grade("q7-answer", LAB, LAB, "ada").manual_score = 3.0
        book.find_comment("q7-answer", LAB, LAB, "ada").manual_comment = "Good <b>answer</b>."
        book.db.commit()
    nbgrader(course, "autograde", LAB, "--student", "ada", "--force")
    nbgrader(course, "generate_feedback", LAB)
    page = feedback(course, "ada")
    assert "24 of 25 points" in page and "Good &lt;b&gt;answer&lt;/b&gt;." in page
    assert "<script" not in page and "<img" not in page
    hidden = [cell.source for name, cell in running.graded(running.master(LAB)).items() if name.endswith("hidden")]
    lines = {line.strip() for source in hidden for line in source.splitlines() if "checks." in line}
    assert lines and not any(line in page for line in lines)


def test_feedback_can_be_released_through_the_exchange(course):
    nbgrader(course, "generate_feedback", LAB)
    folder = course / "feedback" / "ada" / LAB
    assert (folder / "submission_secret.txt").read_text() == SECRET and (folder / "timestamp.txt").exists()
    # A link in their place gave nothing away.
    assert [path.name for path in (course / "feedback" / "files" / LAB).iterdir()] == [f"{LAB}.html"]


def test_one_student_is_graded_alone(course):
    before = (course / "autograded" / "named" / LAB / "grade.json").stat().st_mtime_ns
    said = nbgrader(course, "autograde", LAB, "--student", "forged", "--force")
    assert "1 graded" in said
    assert (course / "autograded" / "named" / LAB / "grade.json").stat().st_mtime_ns == before


def test_without_our_exporter_nothing_runs(course, tmp_path):
    copy = ungraded(course, tmp_path)
    nbgrader(
        copy, "autograde", LAB, "--student", "ada", "--Autograde.exporter_class=nbconvert.exporters.NotebookExporter",
        expect=1,
    )  # fmt: skip
    assert not (copy / "autograded" / "ada" / LAB / f"{LAB}.ipynb").exists()


def test_without_bubblewrap_nothing_is_graded(course, tmp_path):
    copy = ungraded(course, tmp_path)
    programs = tmp_path / "bin"
    programs.mkdir()
    said = nbgrader(copy, "autograde", LAB, expect=1, PATH=str(programs))
    assert "bubblewrap is missing" in said and not (copy / "autograded" / "ada").exists()


def test_collection_refuses_links(course, tmp_path):
    """A student can put anything into the exchange; what is collected with the instructor's rights are files."""
    exchange = tmp_path / "exchange"
    inbound = exchange / "cnn-course" / "inbound"
    master = course / "source" / LAB / f"{LAB}.ipynb"
    for student in ("honest", "eve", "mallory"):
        place = inbound / f"{student}+{LAB}+2030-01-01 00:00:00 UTC+0a0b"
        if student == "mallory":
            place.symlink_to(master.parent)
            continue
        place.mkdir(parents=True)
        (place / "timestamp.txt").write_text("2030-01-01 00:00:00 UTC")
        if student == "honest":
            nbformat.write(running.released(LAB), place / f"{LAB}.ipynb")
        else:
            (place / f"{LAB}.ipynb").symlink_to(master)
            (place / "more").symlink_to(master.parent)
            os.mkfifo(place / "pipe")
    copy = tmp_path / "labs"
    shutil.copytree(course, copy, ignore=shutil.ignore_patterns("submitted", "autograded", "feedback", "gradebook.db"))
    (copy / "gradebook.db").write_bytes(running.empty_gradebook())
    said = nbgrader(copy, "collect", LAB, f"--Exchange.root={exchange}")
    found = {p.relative_to(copy / "submitted").as_posix() for p in (copy / "submitted").rglob("*") if not p.is_dir()}
    assert found == {f"honest/{LAB}/{LAB}.ipynb", f"honest/{LAB}/timestamp.txt", f"eve/{LAB}/timestamp.txt"}
    assert "it is left out" in said
    nbgrader(copy, "autograde", LAB)
    assert {name: total(copy, name) for name in ("honest", "eve", "mallory")} == {"honest": 0, "eve": 0, "mallory": 0}


@pytest.mark.browser
def test_nothing_of_a_student_runs_in_formgrader(course, browser, tmp_path):
    (course / "submitted" / "files" / LAB / "timestamp.txt").unlink()  # formgrader's list would read it for ever
    with Gradebook(f"sqlite:///{course}/gradebook.db") as book:
        number = book.find_submission_notebook(LAB, LAB, "ada").id
    with harness.server(course, state=tmp_path, PATH=os.environ["PATH"]) as lab:
        page = browser.new_page(viewport={"width": 1200, "height": 1000})
        # The course's list of submissions, and its button.
        page.goto(f"{lab.url}/lab?token={lab.token}", wait_until="commit")
        page.goto(f"{lab.url}/formgrader/manage_submissions/{LAB}")
        result = course / "autograded" / "ada" / LAB / "grade.json"
        before = result.stat().st_mtime_ns
        page.locator("#main-table tr", has_text="ada").locator(".glyphicon-flash").click()
        page.get_by_text("Successfully autograded").first.wait_for(timeout=120_000)
        assert result.stat().st_mtime_ns > before
        # The page on which a person reads and gives points.
        page.goto(f"{lab.url}/formgrader/submissions/{number}")
        page.get_by_text("Because the same kernel is used everywhere.").wait_for()
        page.wait_for_timeout(1500)
        assert page.evaluate("window.ran") is None
        assert page.locator("iframe[srcdoc]").count() == 0 and page.locator("img[src=x]").count() == 0
        # It is there to be read, as text.
        assert "window.ran='script'" in page.locator("body").inner_text()
        page.close()
