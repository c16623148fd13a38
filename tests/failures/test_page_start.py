"""R-16, S-28: what stops the page from starting is one clear line and exit code 2."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest


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
