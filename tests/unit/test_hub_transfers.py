"""Downloads that the page follows: children that stand in for `tuneboard models get`."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.services.hub import transfers, view
from tests.failures.conftest import until

KEY = ("model", "huggingface", "owner/tiny")
REPORT = '{"done": 3, "total": 6, "speed": 1.5, "left": 2.0}'
BUSY = f"""
import os, sys, time
print(os.environ.get("HF_TOKEN"), file=sys.stderr)
print({REPORT!r}, file=sys.stderr, flush=True)
time.sleep(600)
"""
DONE = f"""
import sys
print({REPORT.replace("3", "6", 1)!r}, file=sys.stderr)
print("/a/folder")
"""
REFUSED = """
import sys
print('{"problems": [{"code": "hub_gated", "params": {"name": "owner/tiny"}}]}', file=sys.stderr)
print("words", file=sys.stderr)
sys.exit(4)
"""


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    yield
    transfers.cancel(*KEY)
    transfers.forget("model", "owner/tiny")


def begin(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfers, "command", lambda *_: [sys.executable, "-c", code])
    transfers.start(*KEY, ["models", "get", "owner/tiny"], {"HF_TOKEN": "s3cret"})


def state() -> transfers.State:
    (transfer,) = transfers.look("model")
    return transfer.state


def test_a_download_is_followed_cancelled_and_begun_again(monkeypatch: pytest.MonkeyPatch) -> None:
    begin(BUSY, monkeypatch)
    until(lambda: state().total == 6, 60)
    (transfer,) = transfers.look("model")
    assert "s3cret" in transfer.child.text()  # in its environment
    row = view.describe_transfer(transfer, "en")
    assert (row["step"], row["share"]) == ("busy", 0.5)
    assert row["line"].startswith("3 B / 6 B · 1.5 B/s · ")
    begin(DONE, monkeypatch)  # one that goes on is not begun again
    assert transfers.look("model") == [transfer]
    transfers.cancel(*KEY)
    assert state().step == "stopped"
    assert transfer.child.code is not None
    assert "3 B / 6 B" in view.describe_transfer(transfer, "en")["line"]
    begin(DONE, monkeypatch)
    until(lambda: state().step != "busy", 60)
    assert (state().step, state().result) == ("done", "/a/folder")
    assert transfers.look("dataset") == []


def test_a_refusal_is_said_in_the_language_of_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    begin(REFUSED, monkeypatch)
    until(lambda: state().step != "busy", 60)
    (transfer,) = transfers.look("model")
    texts = {lang: view.describe_transfer(transfer, lang)["line"] for lang in ("en", "zh")}
    assert transfer.state.step == "failed"
    assert "accepted its terms" in texts["en"]
    assert texts["zh"] != texts["en"]


def test_a_child_that_dies_without_a_word_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    begin("import os; os.kill(os.getpid(), 9)", monkeypatch)
    until(lambda: state().step != "busy", 60)
    assert state().step == "failed"
    assert state().problems[0].code == "hub_no_answer"
