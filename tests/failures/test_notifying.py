"""Messages about runs are sent by the real supervisor and apprise, to a server on loopback."""

import json
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from backend.contract.launching import launch
from backend.contract.runs import run_folder
from backend.contract.runs.run_files import NOTIFIED
from backend.contract.runs.run_folder import State
from backend.contract.system import processes
from tests.failures.conftest import ended, process, running, until
from tests.fakes import loopback

Begin = Callable[..., Path]
Messages = list[dict[str, str]]
PASSWORD = "s3samewort"


@contextmanager
def listening(refusals: int = 0) -> Iterator[tuple[str, Messages]]:
    """A webhook that refuses the first messages, its address with a password, and what it took."""
    messages: Messages = []
    left = [refusals]

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            left[0] -= 1
            if left[0] < 0:
                messages.append(json.loads(body))
            self.send_response(200 if left[0] < 0 else 503)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Print nothing."""

    with loopback.serving(Webhook) as url:
        yield url.replace("http://", f"json://user:{PASSWORD}@") + "/hook", messages


def is_in_folder(folder: Path, word: str) -> bool:
    """Whether any file of the run holds the word."""
    return any(word.encode() in file.read_bytes() for file in folder.rglob("*") if file.is_file())


def test_the_end_is_told_in_words_and_the_address_is_in_no_file(begin: Begin) -> None:
    with listening() as (address, messages):
        folder = begin("--steps 3", notify_urls=address)
        assert ended(folder).state is State.SUCCEEDED
        until(lambda: messages, 60)
    assert len(messages) == 1
    assert messages[0]["title"] == f"{folder.name}: Succeeded"
    assert messages[0]["type"] == "success"
    assert "step 3 / 3" in messages[0]["message"]
    assert folder.name in messages[0]["message"]
    assert not is_in_folder(folder, PASSWORD)
    assert not (folder / NOTIFIED).exists()


def test_the_environment_of_the_page_is_enough_and_the_run_does_not_get_it(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failure is told with its reason; /proc shows what the run itself was given."""
    with listening() as (address, messages):
        monkeypatch.setenv("NOTIFY_URLS", address)
        folder = begin("--steps 2000 --sleep 0.02")
        running(folder)
        if sys.platform == "linux":
            environ = Path(f"/proc/{process(folder, 'child').pid}/environ").read_bytes()
            assert b"TUNEBOARD_RUN=" in environ
            assert b"NOTIFY_URLS" not in environ
        processes.send(process(folder, "child"), signal.SIGKILL)
        assert ended(folder).state is State.KILLED
        until(lambda: messages, 60)
    reason = run_folder.read(folder).reason
    assert messages[0]["type"] == "failure"
    assert reason is not None
    assert reason.text() in messages[0]["message"]


def test_trouble_is_told_once_and_before_the_end(begin: Begin) -> None:
    """A disk nearly full, as the metrics of the run have it."""
    with listening() as (address, messages):
        folder = begin("--steps 2000 --sleep 0.02", notify_urls=address)
        running(folder)
        with (folder / run_folder.METRICS).open("a") as file:
            file.write(json.dumps({"step": 1, "disk_free": 10**6}) + "\n")
        until(lambda: messages, 60)
        assert messages[0]["title"] == f"{folder.name} needs a look"
        assert "1 MB" in messages[0]["message"]
        launch.stop(folder)
        assert ended(folder).state is State.STOPPED
        until(lambda: len(messages) == 2, 60)
    assert messages[1]["title"] == f"{folder.name}: Stopped"


def test_what_cannot_be_sent_is_said_in_the_panel_without_the_password(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One address of two is no service; the other one takes the message at the second try."""
    with listening(refusals=1) as (address, messages):
        folder = begin("--steps 1", notify_urls=f"nosuch://{PASSWORD} {address}")
        assert ended(folder).state is State.SUCCEEDED
        until(lambda: messages, 60)
        until(lambda: run_folder.read(folder).notices, 60)
    notices = [each for each in run_folder.read(folder).notices if each.code.startswith("notify")]
    assert [each.code for each in notices] == ["notify_url_unknown"]
    assert "nosuch:" in notices[0].text()
    assert not is_in_folder(folder, PASSWORD)


def test_a_run_without_addresses_starts_nothing(begin: Begin) -> None:
    folder = begin("--steps 1")
    assert ended(folder).state is State.SUCCEEDED
    assert not (folder / NOTIFIED).exists()
