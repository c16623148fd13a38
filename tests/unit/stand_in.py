"""A stand-in for the page's child processes: a script without torch."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def stand_in_for_children(script: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on each child of a test runs this script instead of its module."""
    file = folder / "stand_in.py"
    file.write_text(script)
    real = subprocess.Popen

    def start(argv: list[str], **options: Any) -> Any:
        assert argv[0] == sys.executable
        return real([sys.executable, str(file)], **options)

    monkeypatch.setattr("subprocess.Popen", start)
    monkeypatch.setenv("TUNEBOARD_HOME", str(folder))
