"""D-05 to D-08, D-11, F-04, F-10, S-31, S-32, S-34, S-35: uploads, against the real server."""

import contextlib
import gzip
import http.client
import json
import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.failures.conftest import serving, until

LIMIT = 1024**2  # bytes, as TUNEBOARD_MAX_UPLOAD says
BOUNDARY = "b0undary"
HEAD = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="a.jsonl"\r\n'
    "Content-Type: application/json\r\n\r\n"
).encode()
TAIL = f"\r\n--{BOUNDARY}--\r\n".encode()


@dataclass
class Page:
    """A running page."""

    home: Path
    port: int
    pid: int

    @property
    def left(self) -> list[Path]:
        """Every file in the folder for uploads."""
        return [path for path in (self.home / ".cache").rglob("*") if path.is_file()]

    def open(self, *headers: str) -> socket.socket:
        """A connection that has sent the head of an upload."""
        line = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        lines = [
            "POST /gradio_api/upload HTTP/1.1",
            f"Host: 127.0.0.1:{self.port}",
            f"Content-Type: multipart/form-data; boundary={BOUNDARY}",
            *headers,
        ]
        line.sendall("\r\n".join([*lines, "", ""]).encode())
        return line

    def upload(self, content: bytes) -> tuple[int, bytes]:
        """Status and answer of a plain upload."""
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        line.request("POST", "/gradio_api/upload", HEAD + content + TAIL, headers)
        answer = line.getresponse()
        return answer.status, answer.read()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The page with a limit of 1 MB and a short patience."""
    home = tmp_path_factory.mktemp("home")
    program = (
        "import sys, app.web.body_limit; app.web.body_limit.IDLE_S = 1.0\n"
        "from app.web import server; server.TimedProtocol.header_s = 2.0\n"
        "from app.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )
    limit = str(1 / 1024)
    with serving(home, ["-c", program], TUNEBOARD_MAX_UPLOAD=limit) as (child, port):
        yield Page(home, port, child.pid)
    assert list((home / ".cache" / "uploads").iterdir()) == []


def status(line: socket.socket) -> int:
    """The status of the answer, after which the server must close the connection."""
    answer = b""
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        while piece := line.recv(4096):
            answer += piece
    return int(answer.split()[1]) if answer else 0


def test_an_upload_lies_in_the_folder_of_this_page(page: Page) -> None:
    code, answer = page.upload(b'{"a": 1}\n')
    assert code == 200
    (path,) = map(Path, json.loads(answer))
    assert path.read_bytes() == b'{"a": 1}\n'
    assert path.is_relative_to(page.home / ".cache" / "uploads")
    assert path.parents[1].stat().st_mode & 0o777 == 0o700
    path.unlink()


def test_too_large_by_its_own_word_is_refused_unread(page: Page) -> None:
    """D-06: 10 GB announced: 413, although not one byte of the body was sent."""
    with page.open(f"Content-Length: {10 * 1024**3}") as line:
        assert status(line) == 413
    assert page.left == []


def test_too_large_in_pieces_is_refused_soon(page: Page) -> None:
    """D-06: without a length the body is counted; the memory of the page does not grow."""
    before = psutil.Process(page.pid).memory_info().rss
    piece = b"x" * 65536
    sent = 0
    with page.open("Transfer-Encoding: chunked") as line:
        line.sendall(b"%x\r\n%s\r\n" % (len(HEAD), HEAD))
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            while sent < 400 * LIMIT and not select.select([line], [], [], 0)[0]:
                line.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
                sent += len(piece)
        assert status(line) == 413
    assert sent < 50 * LIMIT  # the buffers of the system took more than the limit
    until(lambda: page.left == [])
    assert psutil.Process(page.pid).memory_info().rss - before < 30 * 1024**2


def test_a_header_that_does_not_come_is_not_waited_for(page: Page) -> None:
    """uvicorn alone waits for ever, and some hundreds of such connections stop a page."""
    for sent in (b"", b"GET / HTTP/1.1\r\nHost: x\r\nX-A: "):
        with socket.create_connection(("127.0.0.1", page.port), timeout=20) as line:
            line.sendall(sent)
            assert status(line) == 408


def test_other_requests_are_capped_too(page: Page) -> None:
    line = http.client.HTTPConnection("127.0.0.1", page.port, timeout=30)
    line.putrequest("POST", "/gradio_api/queue/join")
    line.putheader("Content-Length", str(10 * 1024**3))
    line.endheaders()
    assert line.getresponse().status == 413


@pytest.mark.parametrize("word", ["x", "-1", "1e3", "9" * 30])
def test_a_length_that_is_none_is_refused(page: Page, word: str) -> None:
    with page.open(f"Content-Length: {word}") as line:
        assert status(line) == 400


def test_aborted_uploads_leave_nothing(page: Page) -> None:
    """D-07: the socket dropped half-way, fifty times. Gradio alone leaves fifty files."""
    for _ in range(50):
        with page.open(f"Content-Length: {LIMIT // 2}") as line:
            line.sendall(HEAD + b"x" * 100_000)
            until(lambda: page.left)
        until(lambda: page.left == [])


def test_a_stalled_upload_is_ended(page: Page) -> None:
    """D-07: slowloris."""
    with page.open(f"Content-Length: {LIMIT // 2}") as line:
        line.sendall(HEAD + b"x" * 1000)
        until(lambda: page.left)
        assert status(line) == 408
    until(lambda: page.left == [])


def test_a_dead_page_s_uploads_go_at_the_next_start(tmp_path: Path) -> None:
    code = (
        "import os; from app.services.data import upload_folder\n"
        "box = upload_folder.open_folder(); (box.path / 'x').write_bytes(b'x'); os._exit(9)"
    )
    env = {**os.environ, "TUNEBOARD_HOME": str(tmp_path)}
    env.pop("GRADIO_TEMP_DIR", None)
    for _ in range(3):
        assert subprocess.run([sys.executable, "-c", code], env=env, timeout=60).returncode == 9
        assert len(list((tmp_path / ".cache" / "uploads").iterdir())) == 1


def test_a_packed_bomb_stops_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """S-35: 1 GB of zeros from 1 MB."""
    from app.services.data import uploads
    from backend.contract.texts.problems import DataError

    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    bomb = tmp_path / "a.jsonl.gz"
    with gzip.open(bomb, "wb", compresslevel=9) as file:
        for _ in range(300):
            file.write(bytes(1024**2))
    with pytest.raises(DataError) as caught:
        uploads.take(bomb, "x")
    assert caught.value.problems[0].code == "file_explodes"
    assert not (tmp_path / "data" / "x").exists()
