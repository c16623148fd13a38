"""`make start` looks at the port before it installs, and says what goes on."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = '#!/bin/sh\necho "$(basename "$0") $*"\n'


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files that make looks at, and a .venv whose programs say what they were asked."""
    for name in ("Makefile", "port.py", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("python", "tuneboard"):
        (programs / name).write_text(PROGRAM)
        (programs / name).chmod(0o755)
    return tmp_path


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which another program listens; the one behind it is free."""
    for port in range(20_000, 60_000, 7):
        with socket.socket() as behind:
            try:
                held = socket.create_server(("127.0.0.1", port))
                behind.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
        with held:
            yield port
        return
    pytest.fail("no two free ports")


def make(checkout: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    known = {
        name: value
        for name, value in os.environ.items()
        if name not in {"PORT", "GRADIO_SERVER_PORT", "MAKEFLAGS", "MAKELEVEL"}
    }
    return subprocess.run(
        ["make", "start", f"PYTHON={sys.executable}", *words],
        cwd=checkout,
        env={**known, **env},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_steps_are_told_with_their_sizes(checkout: Path, taken: int) -> None:
    done = make(checkout, f"PORT={taken + 1}")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    steps = [line for line in lines if line.startswith("Step ")]
    assert [line[:11] for line in steps] == ["Step 1 of 3", "Step 2 of 3", "Step 3 of 3"]
    assert all("B to download" in line and "minute" in line for line in steps)
    assert lines[-2:] == ["tuneboard starter", f"tuneboard webui --port {taken + 1}"]
    again = make(checkout, f"PORT={taken + 1}").stdout
    assert "Step 1" not in again
    assert "pip" not in again


def test_a_port_that_was_chosen_and_is_taken(checkout: Path, taken: int) -> None:
    """Nothing is installed; what to type is told to the person, in make's own words."""
    for words, env in (([f"PORT={taken}"], {}), ([], {"GRADIO_SERVER_PORT": str(taken)})):
        done = make(checkout, *words, **env)
        assert done.returncode == 2
        assert f"Port {taken} is taken by another program." in done.stderr
        assert f"make start PORT={taken + 1}" in done.stderr
        assert done.stdout == ""
    for port in ("0", "web", "70000"):
        done = make(checkout, f"PORT={port}")
        assert done.returncode == 2
        assert "make start PORT=" in done.stderr


def test_the_usual_port_is_taken(checkout: Path, taken: int) -> None:
    program = (checkout / "port.py").read_text()
    assert "USUAL = 7860\n" in program
    (checkout / "port.py").write_text(program.replace("USUAL = 7860", f"USUAL = {taken}"))
    done = make(checkout)
    assert done.returncode == 0
    assert f"Port {taken} is taken" in done.stderr
    assert done.stdout.splitlines()[-1] == f"tuneboard webui --port {taken + 1}"


def test_folders_that_people_make_are_no_part_of_the_code(tmp_path: Path) -> None:
    """A model of some gigabytes in models/ was shown by git as something to add."""
    shutil.copy(ROOT / ".gitignore", tmp_path)
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    for name in ("models/Qwen2-0.5B/x", "output/x", "saves/x", "backend/models/x.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    words = ["git", "-C", str(tmp_path), "status", "--porcelain", "-uall"]
    shown = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert shown.split() == ["??", ".gitignore", "??", "backend/models/x.py"]
