"""What unit tests share: a working folder with a registry, runs not started, a run with steps."""

import json
from pathlib import Path

import pytest

from app.services.runs import hardware
from app.services.runs.hardware import Snapshot
from backend.contract.arguments.field import Values
from backend.contract.launching import launch
from backend.contract.runs import metrics, run_folder
from backend.contract.runs.metrics import Metrics

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


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run in saves/ of a fresh working folder, with three logged steps."""
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    monkeypatch.setattr(hardware, "snapshot", Snapshot)
    path = tmp_path / "saves/model/lora/first"
    path.mkdir(parents=True)
    (path / run_folder.RUN).write_text("{}")
    (path / run_folder.LOG).write_text("hello\nworld\n")
    for step in (1, 2, 3):
        metrics.append(path / run_folder.METRICS, Metrics(step=step, loss=1.0, tokens=step))
    return path
