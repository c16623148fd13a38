"""R-16, S-28: what stops the page from starting is one clear line and exit code 2."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.failures.conftest import serving

COLLECTION = """
import atexit, gc, sys
from app.web import server
build = server.build_app
def tell(when):
    print(when, gc.isenabled(), gc.get_freeze_count() > 100_000, file=sys.stderr)
def build_app(settings):
    tell("built")
    return build(settings)
server.build_app = build_app
atexit.register(tell, "served")
from app.__main__ import main; sys.exit(main(sys.argv[1:]))
"""


def start(home: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    known = {name: value for name, value in os.environ.items() if not name.startswith("GRADIO_")}
    return subprocess.run(
        [sys.executable, "-m", "backend", "webui", *words],
        env={**known, "TUNEBOARD_HOME": str(home), **env},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_port_in_use(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = start(tmp_path, "--port", str(port))
    assert done.returncode == 2
    assert re.fullmatch(
        rf"Port {port} is used by pid {os.getpid()} \(.+\)\. .*--port.*\n", done.stderr
    )
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_open_to_the_network_without_a_login(tmp_path: Path) -> None:
    for words, env in (
        (("--host", "0.0.0.0"), {}),
        ((), {"GRADIO_SERVER_NAME": "0.0.0.0"}),
    ):
        done = start(tmp_path, *words, **env)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert "TUNEBOARD_LOGIN" in done.stderr


@pytest.mark.parametrize("port", ["0", "70000", "web", "-1"])
def test_bad_port(tmp_path: Path, port: str) -> None:
    done = start(tmp_path, f"--port={port}")
    assert done.returncode == 2
    assert "1 to 65535" in done.stderr


def test_garbage_is_collected_only_once_the_page_answers(tmp_path: Path) -> None:
    """Walks through all that a start makes took a sixth of its time; what they found stays."""
    with (tmp_path / "errors").open("wb") as errors, serving(tmp_path, ["-c", COLLECTION], errors):
        pass
    assert (tmp_path / "errors").read_text() == "built False False\nserved True True\n"
