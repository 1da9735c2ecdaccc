"""download.fetch against a local server that cuts, ignores Range, sends wrong bytes or nothing at all."""

import errno
import hashlib
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from cnn_course.data_sources import download
from cnn_course.data_sources.download import fetch, write_data_file
from cnn_course.errors import DatasetError

DATA = np.random.default_rng(0).bytes(900_000)
SHA256 = hashlib.sha256(DATA).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves DATA. The path says how: /cut, /norange, /wrong, /long, /404, /500, /slow, anything else behaves."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = []  # (path, Range header) of each request
        self.gate = threading.Event()

    def url(self, path):
        return f"http://127.0.0.1:{self.server_address[1]}/{path}/file.bin"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        how = self.path.split("/")[1]
        wanted = self.headers.get("Range")
        self.server.asked.append((how, wanted))
        if how.isdigit():
            self.send_error(int(how))
            return
        if how == "slow":
            self.server.gate.wait(20)
        data = {"wrong": bytes(len(DATA)), "long": DATA + b"more"}.get(how, DATA)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and how != "norange" else 0
        if start >= len(data):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        body = data[start:]
        if how in ("cut", "norange") and len(self.server.asked) <= 3:
            body = body[: len(body) // 2]  # the connection closes in the middle
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(download, "PAUSE", 0.01)
    monkeypatch.setattr(download, "RETRIES", 3)
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.gate.set()
    server.shutdown()
    server.server_close()
    thread.join()


def get(server, path, *hows, **options):
    options = {"sha256": SHA256, "size": len(DATA), "progress": False} | options
    return fetch([server.url(how) for how in hows], path, **options)


def only(folder, *names):
    """The folder holds these files and no others."""
    return sorted(p.name for p in folder.iterdir()) == sorted(names)


def test_plain_download_makes_the_folder_and_asks_once(server, tmp_path):
    target = tmp_path / "a" / "b" / "file.bin"
    assert get(server, target, "good") == target
    assert target.read_bytes() == DATA and only(target.parent, "file.bin")
    get(server, target, "good")
    assert server.asked == [("good", None)]  # the second call found the file


def test_goes_on_after_each_cut(server, tmp_path):
    get(server, tmp_path / "file.bin", "cut")
    assert (tmp_path / "file.bin").read_bytes() == DATA and only(tmp_path, "file.bin")
    ranges = [wanted for _, wanted in server.asked]
    assert ranges[0] is None and ranges[1:] == ["bytes=450000-", "bytes=675000-", "bytes=787500-"]


def test_goes_on_from_an_earlier_run(server, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(DATA[:1234])
    get(server, tmp_path / "file.bin", "good")
    assert server.asked == [("good", "bytes=1234-")]
    assert (tmp_path / "file.bin").read_bytes() == DATA and only(tmp_path, "file.bin")


def test_a_part_with_other_bytes_is_thrown_away(server, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(b"x" * 1234)
    get(server, tmp_path / "file.bin", "good")
    assert server.asked == [("good", "bytes=1234-"), ("good", None)]
    assert (tmp_path / "file.bin").read_bytes() == DATA


def test_a_part_that_is_too_long_is_thrown_away(server, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(DATA + b"more")
    get(server, tmp_path / "file.bin", "good")
    assert (tmp_path / "file.bin").read_bytes() == DATA


def test_server_without_range_starts_again(server, tmp_path):
    get(server, tmp_path / "file.bin", "norange")
    assert [wanted for _, wanted in server.asked] == [None] + ["bytes=450000-"] * 3
    assert (tmp_path / "file.bin").read_bytes() == DATA and only(tmp_path, "file.bin")


def test_gives_up_on_a_server_that_never_gets_further(server, tmp_path):
    server.asked = _Always([])  # cuts for ever, at the same byte
    with pytest.raises(DatasetError, match=r"Could not download file.bin \(127.0.0.1:\d+: connection lost\)"):
        get(server, tmp_path / "file.bin", "norange")
    assert not (tmp_path / "file.bin").exists()


class _Always(list):
    def __len__(self):
        return 0


@pytest.mark.parametrize(
    ("how", "reason"), [("404", "HTTP 404"), ("wrong", "wrong SHA-256"), ("long", "more bytes"), ("500", "HTTP 500")]
)
def test_the_next_mirror_helps_and_without_one_the_reason_is_named(server, tmp_path, how, reason):
    with pytest.raises(DatasetError, match=f"Could not download file.bin .*{reason}.*copy the file .* to .*file.bin"):
        get(server, tmp_path / "file.bin", how)
    assert not (tmp_path / "file.bin").exists()
    get(server, tmp_path / "file.bin", how, "good")
    assert (tmp_path / "file.bin").read_bytes() == DATA and only(tmp_path, "file.bin")


def test_wrong_bytes_leave_an_old_file_as_it_was(server, tmp_path):
    (tmp_path / "file.bin").write_bytes(b"old")
    with pytest.raises(DatasetError, match="wrong SHA-256"):
        get(server, tmp_path / "file.bin", "wrong")
    assert (tmp_path / "file.bin").read_bytes() == b"old" and only(tmp_path, "file.bin")


def test_an_altered_file_is_replaced(server, tmp_path):
    (tmp_path / "file.bin").write_bytes(b"x" + DATA[1:])
    get(server, tmp_path / "file.bin", "good")
    assert (tmp_path / "file.bin").read_bytes() == DATA


def test_no_network_is_one_clear_line(tmp_path):
    with pytest.raises(DatasetError) as caught:
        fetch(["http://127.0.0.1:9/file.bin"], tmp_path / "file.bin", sha256=SHA256, size=9, progress=False)
    assert "no connection" in str(caught.value) and "\n" not in str(caught.value)
    assert only(tmp_path)


def test_two_callers_download_once(server, tmp_path):
    results = []
    callers = [
        threading.Thread(target=lambda: results.append(get(server, tmp_path / "file.bin", "slow"))) for _ in range(3)
    ]
    for caller in callers:
        caller.start()
    server.gate.set()
    for caller in callers:
        caller.join(30)
    assert results == [tmp_path / "file.bin"] * 3
    assert (tmp_path / "file.bin").read_bytes() == DATA and only(tmp_path, "file.bin")
    if download.LOCKS:
        assert len(server.asked) == 1


def test_without_locks_every_process_has_its_own_part(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "LOCKS", False)
    get(server, tmp_path / "file.bin", "cut")
    assert (tmp_path / "file.bin").read_bytes() == DATA and only(tmp_path, "file.bin")


def test_progress_bar_goes_to_stderr(server, tmp_path, capsys):
    get(server, tmp_path / "file.bin", "good", progress=True)
    seen = capsys.readouterr()
    assert seen.out == "" and "file.bin" in seen.err


def test_full_disk_is_seen_before_anything_is_fetched(server, tmp_path):
    with pytest.raises(DatasetError, match="The disk is full: file.bin needs .* set CNN_COURSE_DATA"):
        get(server, tmp_path / "file.bin", "good", size=10**18)
    assert server.asked == [] and only(tmp_path)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full, a device that is always full")
def test_disk_that_fills_up_while_writing(server, tmp_path):
    # Every write to /dev/full fails as on a full disk. As the part file it stands for a disk that fills up.
    (tmp_path / "file.bin").write_bytes(b"old")
    (tmp_path / "file.bin.part").symlink_to("/dev/full")
    with pytest.raises(DatasetError, match="The disk is full: file.bin needs 1 MB"):
        get(server, tmp_path / "file.bin", "good")
    assert (tmp_path / "file.bin").read_bytes() == b"old"


def test_unwritable_folder(server, tmp_path):
    (tmp_path / "taken").write_text("a file where the folder should be")
    with pytest.raises(DatasetError, match="Cannot write file.bin in .*taken.* CNN_COURSE_DATA"):
        get(server, tmp_path / "taken" / "file.bin", "good")


def test_write_whole_or_not_at_all(tmp_path, monkeypatch):
    write_data_file(tmp_path / "deep" / "file", b"new")
    assert (tmp_path / "deep" / "file").read_bytes() == b"new" and only(tmp_path / "deep", "file")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(DatasetError, match="The disk is full"):
        write_data_file(tmp_path / "deep" / "file", b"newer")
    assert (tmp_path / "deep" / "file").read_bytes() == b"new" and only(tmp_path / "deep", "file")


def test_reading_what_cannot_be_read(tmp_path):
    with pytest.raises(DatasetError, match="Cannot read .*nothing: there is no such file"):
        download.sha256_of(tmp_path / "nothing")
