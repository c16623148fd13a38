"""R-02: the real page ends by Ctrl-C, SIGTERM or a closed terminal; the run it shows goes on."""

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

from backend.contract.folders.home import saves
from backend.contract.runs import metrics, run_folder
from backend.contract.runs.run_folder import State
from backend.contract.texts.locales import t
from tests.failures.conftest import ended, free_port, process, running

ROOT = Path(__file__).parents[2]


@contextmanager
def page() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A page in a process group of its own, once it has said that it is ready; and its address."""
    port = free_port()
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    started = subprocess.Popen(
        [sys.executable, "-m", "backend", "webui", "--port", str(port)],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    url = f"http://127.0.0.1:{port}"
    assert started.stdout is not None
    try:
        assert started.stdout.readline() == t("webui.ready", url=url) + "\n"
        yield started, url
    finally:
        started.kill()
        started.wait(5)
        started.stdout.close()


def log_of(folder: Path, url: str) -> str:
    """The run's log as a page gives it for download."""
    name = quote(str(folder.relative_to(saves())))
    with urllib.request.urlopen(f"{url}/own/log?run={name}", timeout=5) as answer:
        return str(answer.read().decode())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_page_says_what_goes_on(number: int, begin: Callable[..., Path]) -> None:
    folder = begin("--steps 400 --sleep 0.05 --last-step-waits")
    before = process(folder, "child") if running(folder) else None
    with page() as (first, _), page() as (_, second):
        os.killpg(first.pid, number)
        assert first.stdout is not None
        assert first.stdout.read() == t("webui.still_running", run=str(folder)) + "\n"
        assert first.wait(30) == 0
        now = running(folder)
        assert f"step {now.step}\n" in log_of(folder, second)
    assert process(folder, "child") == before
    (folder / "go").touch()
    view = ended(folder, 40)
    assert view.state is State.SUCCEEDED
    rows, _ = metrics.read(folder / run_folder.METRICS)
    assert [row.step for row in rows] == list(range(1, 401))


def test_nothing_is_said_where_nothing_runs(begin: Callable[..., Path]) -> None:
    folder = begin("--steps 1")
    ended(folder)
    with page() as (first, _):
        os.killpg(first.pid, signal.SIGINT)
        assert first.stdout is not None
        assert first.stdout.read() == ""
        assert first.wait(10) == 0
