"""What a terminal, a pipe, a locale, a missing folder and Ctrl-C may do to a command line."""

import io
import os
import shutil
import sys

import pytest
from jupyter_client import kernelspec

from cnn_course import datasets, train
from cnn_course.commands import cli, execute_notebook
from cnn_course.data_sources import image_folder
from cnn_course.files import course_files, working_copies
from cnn_course.grading.classroom import grade_class
from cnn_course.grading.judging import judge
from command_line.endings import ended, fault, shell
from command_line.odd_course import EXECUTE
from command_line.wrong_lines import right_words

pytestmark = pytest.mark.slow


ENCODINGS = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "latin": {"PYTHONIOENCODING": "latin-1"},
}


@pytest.mark.parametrize("how", ENCODINGS)
def test_a_terminal_that_knows_few_letters(how, world):
    data = world / "data"
    words = ("data list", "--help", "train --help", "data verify пиво", "data verify pictures", "grade lab01 --help")
    for each in words:
        end = shell(f"cnn-course {each}", CNN_COURSE_DATA=str(data), **ENCODINGS[how])
        assert end.code == (1 if "пиво" in each else 0), (each, end)
        assert "Traceback" not in end.err and "unexpected" not in end.err, (each, end)


def test_every_message_and_table_can_be_printed_in_ascii(course, capsys, monkeypatch):
    """In this process, with a standard output as PYTHONIOENCODING=ascii makes it."""
    name = "ünï"
    shutil.copytree(course / "data" / "pictures", course / "data" / name)
    buffer = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(buffer, encoding="ascii"))
    assert cli.main(["data", "list"]) == 0
    assert cli.main(["data", "verify", name]) == 0
    assert rb"\xfcn\xef" in buffer.getvalue()


def test_an_output_that_takes_nothing(world):
    settings = {"CNN_COURSE_DATA": str(world / "data")}
    for words in ("data list", "--help", "--version", "train --help"):
        for nobody in ("| true", "| head -c 1"):
            end = shell(f"cnn-course {words} {nobody}", **settings)
            assert end.err == "", (words, end)
        end = shell(f"cnn-course {words} > /dev/full", **settings)
        assert end.code == 1 and end.err.startswith("cnn-course: ") and "the disk is full" in end.err, (words, end)
        assert end.err.count("\n") == 1
        end = shell(f"cnn-course {words} >&-", **settings)
        assert "Traceback" not in end.err and "cnn-course: " not in end.err, end


def test_a_folder_that_is_gone(tmp_path):
    (tmp_path / "gone").mkdir()
    for words in ("data list", "run 99", "train mlp --data digits --epochs 1", "doctor", "labs check lab01"):
        end = shell(f"cd '{tmp_path}/gone' && rmdir ../gone && cnn-course {words}")
        assert fault(end, ["the current folder is gone"]) == "" and end.code == 2, end
        (tmp_path / "gone").mkdir()
    end = shell(f"cd '{tmp_path}/gone' && rmdir ../gone && cnn-course --version")
    assert end.code == 0, end


def test_a_data_folder_that_cannot_be(still, capsys, monkeypatch):
    for root, words, said in (
        ("~nobody-of-that-name/x", "data list", "home folder for ~nobody-of-that-name/x"),
        ("/tmp/" + "x" * 300, "data get mnist", "the name is too long"),
    ):
        monkeypatch.setenv("CNN_COURSE_DATA", root)
        end = ended(words.split(), capsys)
        assert fault(end, ["CNN_COURSE_DATA"]) == "" and said in end.err and "permission" not in end.err, end


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="no /proc here")
def test_a_data_folder_whose_links_lead_everywhere(still, capsys, monkeypatch):
    monkeypatch.setenv("CNN_COURSE_DATA", "/proc")
    monkeypatch.setattr(image_folder, "MOST_ENTRIES", 20_000)
    end = ended(["data", "list"], capsys)
    assert end.code == 0 and "have more than 20,000 files below them" in end.out, end


def test_ctrl_c_is_one_word(course, capsys, monkeypatch):
    def interrupted(*args, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "fit", interrupted)
    monkeypatch.setattr(execute_notebook, "execute", interrupted)
    monkeypatch.setattr(grade_class, "Pool", interrupted)
    monkeypatch.setattr(judge.Judge, "__call__", interrupted)
    monkeypatch.setattr(datasets, "describe", interrupted)
    monkeypatch.setattr(datasets, "get", interrupted)
    odd = course / "odd"
    for command in ("train", "run", "grade", "labs check", "data list", "data get"):
        words = [*command.split(), *right_words(command, odd)]
        end = ended(words, capsys)
        assert (end.code, end.err) == (130, "\nStopped.\n"), (words, end)


def test_no_kernel(course, capsys, monkeypatch):
    monkeypatch.setattr(execute_notebook, "execute", EXECUTE)

    def missing(self, name):
        raise kernelspec.NoSuchKernel(name)

    monkeypatch.setattr(execute_notebook.KernelSpecManager, "get_kernel_spec", missing)
    assert fault(ended(["run", "1"], capsys), ["no kernel starts: No such kernel named python3"]) == ""


@pytest.mark.parametrize("name", ["JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "HOME"])
def test_open_with_a_home_that_can_only_be_read(name, course, tmp_path):
    """Below a file, no folder can be made: so it is for root as well."""
    (tmp_path / "file").write_text("")
    unset = "env -u XDG_RUNTIME_DIR -u JUPYTER_RUNTIME_DIR -u JUPYTER_DATA_DIR -u JUPYTER_CONFIG_DIR"
    home = f"HOME='{tmp_path}/home' {name}='{tmp_path}/file/x'"
    (tmp_path / "home").mkdir()
    working_copies.lay_out(course_files.course(), tmp_path / "mine")
    end = shell(f"exec {unset} {home} timeout 60 cnn-course open 1 --no-browser --folder '{tmp_path}/mine'")
    assert fault(end, ["JupyterLab does not start"]) == "", end
