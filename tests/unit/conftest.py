"""What the tests of the Tuner share: a working folder with a registry, and runs not started."""

import json
from pathlib import Path

import pytest

from backend.contract.arguments.field import Values
from backend.contract.launching import launch

ROWS = [{"prompt": "What is 1 plus 1?", "response": "2"}, {"prompt": "And 2?", "response": "3"}]


@pytest.fixture
def tuner_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a registry."""
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "dataset_info.json").write_text('{"mine": {"file_name": "mine.json"}}')
    (tmp_path / "data" / "mine.json").write_text(json.dumps(ROWS))
    return tmp_path


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Values]]:
    """What would be started: task and values of each."""
    calls: list[tuple[str, Values]] = []

    def start(task: str, values: Values) -> Path:
        calls.append((task, values))
        return Path("run")

    monkeypatch.setattr(launch, "start", start)
    return calls
