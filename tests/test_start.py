"""`cnn-course start`: working copies without outputs, later versions beside what was changed, and nothing ever lost."""

import json
import os
import shutil

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from cnn_course.commands import cli, start
from cnn_course.errors import CourseFolderError
from cnn_course.files import working_copies
from cnn_course.files.course_files import NOTE
from cnn_course.files.working_copies import lay_out

LECTURES = ("01_one", "02_two", "03_three", "04_four")


def put(path, source):
    path.parent.mkdir(parents=True, exist_ok=True)
    cell = new_code_cell(source, id="a", execution_count=3, outputs=[new_output("stream", text="42\n")])
    nbformat.write(new_notebook(cells=[cell]), path)


@pytest.fixture
def course(tmp_path):
    """A course of four lectures and a lab, as a package holds it."""
    for name in LECTURES:
        put(tmp_path / "package" / "lectures" / f"{name}.ipynb", f"print({name!r})")
    put(tmp_path / "package" / "labs" / "release" / "lab01_x" / "lab01_x.ipynb", "answer = 42")
    put(tmp_path / "package" / "labs" / "source" / "lab01_x" / "lab01_x.ipynb", "secret = 42")
    return tmp_path / "package"


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def lecture(folder, number):
    return folder / "lectures" / f"{LECTURES[number - 1]}.ipynb"


def newer(course, *numbers):
    for number in numbers:
        put(lecture(course, number), f"print('{number}, better')")


def test_copies_have_no_outputs_and_no_masters(course, tmp_path):
    done = lay_out(course, tmp_path / "mine")
    assert len(done.new) == 5 and not (done.replaced or done.beside or done.kept)
    assert sorted(contents(tmp_path / "mine")) == sorted([NOTE, *done.new])
    for name in done.new:
        (cell,) = nbformat.read(tmp_path / "mine" / name, as_version=4).cells
        (before,) = nbformat.read(course / name, as_version=4).cells
        assert cell.outputs == [] and cell.execution_count is None and cell.source == before.source
    assert not any("source" in name for name in done.new)


@pytest.mark.parametrize("name", ["a b", "прагå", "x" * 200, "deep/er/still"])
def test_folders_with_other_names(course, tmp_path, name):
    assert len(lay_out(course, tmp_path / name).new) == 5
    assert len(lay_out(course, tmp_path / name).kept) == 5


def test_the_second_time_changes_nothing(course, tmp_path):
    lay_out(course, tmp_path / "mine")
    before = contents(tmp_path / "mine")
    assert lay_out(course, tmp_path / "mine").kept and contents(tmp_path / "mine") == before


def test_an_update_over_changed_deleted_and_renamed(course, tmp_path, monkeypatch):
    """Three are changed, of which the course has two in a new version; one is deleted, one renamed."""
    mine = tmp_path / "mine"
    lay_out(course, mine)
    lab = mine / "labs" / "release" / "lab01_x" / "lab01_x.ipynb"
    for path in (lecture(mine, 1), lecture(mine, 2), lab):
        path.write_text(path.read_text() + " ")
    lecture(mine, 3).unlink()
    lecture(mine, 4).rename(mine / "lectures" / "my own.ipynb")
    students = contents(mine)
    newer(course, 1, 2, 4)
    monkeypatch.setattr(working_copies, "__version__", "0.2.0")
    done = lay_out(course, mine)
    after = contents(mine)
    for name, data in students.items():
        assert after[name] == data or name == NOTE, f"{name} was touched"
    assert done.beside == {f"lectures/{n}.ipynb": f"lectures/{n} (0.2.0).ipynb" for n in LECTURES[:2]}
    assert sorted(done.new) == ["lectures/03_three.ipynb", "lectures/04_four.ipynb"]
    assert b"1, better" in after["lectures/01_one (0.2.0).ipynb"] and b"4, better" in after["lectures/04_four.ipynb"]
    assert sorted(set(after) - set(students)) == sorted([*done.beside.values(), *done.new])
    again = lay_out(course, mine)
    assert contents(mine) == after and not (again.new or again.replaced or again.beside)


def test_what_was_not_changed_becomes_the_newer_one(course, tmp_path):
    lay_out(course, tmp_path / "mine")
    newer(course, 2)
    assert lay_out(course, tmp_path / "mine").replaced == ["lectures/02_two.ipynb"]
    assert "2, better" in lecture(tmp_path / "mine", 2).read_text()


def test_a_copy_beside_is_brought_up_to_date_until_it_is_changed_itself(course, tmp_path):
    """Also where the version's number stays, as in a clone between two releases."""
    mine = tmp_path / "mine"
    lay_out(course, mine)
    lecture(mine, 1).write_text("mine")
    newer(course, 1)
    (name,) = lay_out(course, mine).beside.values()
    put(lecture(course, 1), "print('best')")
    assert list(lay_out(course, mine).beside.values()) == [name] and "best" in (mine / name).read_text()
    (mine / name).write_text("mine, too")
    assert not lay_out(course, mine).beside
    put(lecture(course, 1), "print('better than best')")
    (other,) = lay_out(course, mine).beside.values()
    assert other == name.replace(")", ", 2)") and "better than best" in (mine / other).read_text()
    assert (mine / name).read_text() == "mine, too" and lecture(mine, 1).read_text() == "mine"
    assert not lay_out(course, mine).beside


def test_behind_a_link_the_file_itself_is_replaced(course, tmp_path):
    mine = tmp_path / "mine"
    lay_out(course, mine)
    lecture(mine, 1).rename(tmp_path / "cloud.ipynb")
    lecture(mine, 1).symlink_to(tmp_path / "cloud.ipynb")
    newer(course, 1)
    assert lay_out(course, mine).replaced == ["lectures/01_one.ipynb"]
    assert lecture(mine, 1).is_symlink() and "1, better" in (tmp_path / "cloud.ipynb").read_text()


def test_one_odd_place_leaves_the_others(course, tmp_path):
    mine = tmp_path / "mine"
    lay_out(course, mine)
    shutil.rmtree(mine / "lectures")
    (mine / "lectures").write_text("mine")
    newer(course, 1)
    put(course / "labs" / "release" / "lab01_x" / "lab01_x.ipynb", "answer = 43")
    done = lay_out(course, mine)
    assert len(done.broken) == 4 and done.replaced == ["labs/release/lab01_x/lab01_x.ipynb"]
    (mine / "lectures").unlink()
    assert len(lay_out(course, mine).new) == 4


def test_a_course_is_not_laid_out_inside_another(course, tmp_path):
    lay_out(course, tmp_path / "mine")
    before = contents(tmp_path / "mine")
    with pytest.raises(CourseFolderError, match="lies in the course folder .*mine: name that one"):
        lay_out(course, tmp_path / "mine" / "lectures")
    assert contents(tmp_path / "mine") == before


def test_what_the_course_has_no_more_stays_and_is_said(course, tmp_path):
    mine = tmp_path / "mine"
    lay_out(course, mine)
    lecture(course, 2).unlink()
    for _ in range(2):
        assert lay_out(course, mine).gone == ["lectures/02_two.ipynb"]
    assert lecture(mine, 2).is_file()
    lecture(mine, 2).unlink()
    assert lay_out(course, mine).gone == []


def test_killed_while_it_lays_out_what_is_there_counts_as_laid_out(course, tmp_path, monkeypatch):
    mine, write = tmp_path / "mine", working_copies.write_whole

    def killed(path, data):
        if path.name.startswith("03"):
            raise KeyboardInterrupt
        write(path, data)

    monkeypatch.setattr(working_copies, "write_whole", killed)
    with pytest.raises(KeyboardInterrupt):
        lay_out(course, mine)
    monkeypatch.setattr(working_copies, "write_whole", write)
    lecture(mine, 1).write_text("mine")
    done = lay_out(course, mine)
    assert not done.beside and lecture(mine, 1).read_text() == "mine" and len(done.new) == 3


@pytest.mark.parametrize("broken", range(1, 7))
def test_broken_off_and_gone_on(course, tmp_path, monkeypatch, broken):
    """A disk that fills up at any of the files: nothing is half there, and the same call ends the work."""
    mine, write, calls = tmp_path / "mine", working_copies.write_whole, []

    def full(path, data):
        calls.append(path)
        if len(calls) == broken:
            raise OSError(28, "No space left on device", str(path))
        write(path, data)

    monkeypatch.setattr(working_copies, "write_whole", full)
    with pytest.raises(CourseFolderError, match="the disk is full.*the same command goes on"):
        lay_out(course, mine)
    if broken == 1:
        assert contents(mine) == {}
    monkeypatch.setattr(working_copies, "write_whole", write)
    lay_out(course, mine)
    assert len(contents(mine)) == 6 and len(lay_out(course, mine).kept) == 5


@pytest.mark.parametrize("taken", ["lectures", "labs"])
def test_a_folder_of_another_course_is_left_alone(course, tmp_path, taken):
    (tmp_path / "other" / taken).mkdir(parents=True)
    (tmp_path / "other" / taken / "01_theirs.ipynb").write_text("{}")
    before = contents(tmp_path / "other")
    with pytest.raises(CourseFolderError, match=f"holds {taken} already, and they are not of .* name a new folder"):
        lay_out(course, tmp_path / "other")
    assert contents(tmp_path / "other") == before


def test_what_a_killed_start_left_half_written_goes(course, tmp_path):
    folder = tmp_path / "mine"
    lay_out(course, folder)
    lecture(folder, 1).unlink()  # killed while it was written
    (folder / "lectures" / ".01_one.ipynb.x7_ab12.part").write_bytes(b"half")
    (folder / f".{NOTE}.x7_ab12.part").write_bytes(b"half")
    lay_out(course, folder)
    assert not list(folder.rglob("*.part"))


def test_a_folder_with_files_of_ones_own_is_used(course, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    lay_out(course, tmp_path / "mine")
    assert (tmp_path / "mine" / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("note", ["", "{", "[]", '{"files": 3}', '{"files": {"a": 1}}', "[" * 9999, '{"files": {}}'])
def test_a_damaged_note_makes_every_changed_file_the_students(course, tmp_path, note):
    mine = tmp_path / "mine"
    lay_out(course, mine)
    lecture(mine, 1).write_text("mine")
    (mine / NOTE).write_text(note)
    done = lay_out(course, mine)
    assert lecture(mine, 1).read_text() == "mine" and list(done.beside) == ["lectures/01_one.ipynb"]
    assert json.loads((mine / NOTE).read_text())["files"]


def test_a_file_or_a_locked_folder(course, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(CourseFolderError, match="is a file, and a folder is needed"):
        lay_out(course, tmp_path / "file")
    with pytest.raises(CourseFolderError, match="cannot be laid out in .*below: .*Name another folder"):
        lay_out(course, tmp_path / "file" / "below")


@pytest.fixture
def no_files(course, tmp_path):
    """A laid out folder with a folder and a dangling link in place of two lectures."""
    mine = tmp_path / "mine"
    lay_out(course, mine)
    lecture(mine, 1).unlink()
    lecture(mine, 1).mkdir()
    lecture(mine, 2).unlink()
    lecture(mine, 2).symlink_to("nowhere")
    return mine


def test_what_is_no_file_is_the_students(course, no_files):
    mine = no_files
    newer(course, 1, 2)
    done = lay_out(course, mine)
    assert lecture(mine, 1).is_dir() and os.readlink(lecture(mine, 2)) == "nowhere" and len(done.beside) == 2


def test_what_is_no_file_gets_the_courses_beside_it(course, no_files):
    """Also where the course has no newer one: what is there cannot be opened."""
    mine = no_files
    for _ in range(2):
        done = lay_out(course, mine)
        assert len(done.beside) == 2 and all((mine / name).is_file() for name in done.beside.values())
    assert len(list(mine.rglob("*.ipynb"))) == 4 + 1 + 2


@pytest.mark.parametrize("name", ["-x", "-"])
def test_the_line_to_type_for_a_name_with_a_dash(course, tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(start, "course", lambda: course)
    assert cli.main(["start", f"./{name}"]) == 0
    line = capsys.readouterr().out.partition("Open it:  ")[2].splitlines()[0]
    assert line == f"cd ./{name}"


def test_a_damaged_notebook_of_the_course_leaves_the_others(course, tmp_path):
    lay_out(course, tmp_path / "mine")
    lecture(course, 1).write_text("{}")
    newer(course, 2)
    done = lay_out(course, tmp_path / "mine")
    assert list(done.broken) == ["lectures/01_one.ipynb"] and done.replaced == ["lectures/02_two.ipynb"]
    assert "01_one" in lecture(tmp_path / "mine", 1).read_text()


def test_the_command_says_what_it_did(course, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(start, "course", lambda: course)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["start"]) == 0
    assert capsys.readouterr().out == (
        "cnn-course: 5 notebooks laid out\nOpen it:  cd cnn-course\n          cnn-course open\n"
    )
    monkeypatch.chdir(tmp_path / "cnn-course" / "lectures")
    lecture(tmp_path / "cnn-course", 1).write_text("mine")
    newer(course, 1, 2)
    assert cli.main(["start"]) == 0
    out = capsys.readouterr().out
    assert "replaced  lectures/02_two.ipynb\n" in out and "changed   lectures/01_one.ipynb: yours stays" in out
    assert out.endswith("Open it:  cnn-course open\n")
    shutil.rmtree(course / "lectures")
    shutil.rmtree(course / "labs")
    assert cli.main(["start", str(tmp_path / "other")]) == 1
    assert "install the course again" in capsys.readouterr().err
