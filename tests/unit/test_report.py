"""status.json, metrics.jsonl and the graceful stop."""

import json
import sys
from pathlib import Path

import pytest

from backend.contract import metrics
from backend.contract.metrics import Row
from backend.contract.problems import Problem
from backend.failures import Stopped
from backend.report import Report


def status(folder: Path) -> dict[str, object]:
    row: dict[str, object] = json.loads((folder / "status.json").read_text())
    return row


def test_phase_and_progress_are_written(tmp_path: Path) -> None:
    report = Report(tmp_path)
    report.phase("training")
    report.progress(0, 10)
    report.progress(10, 10, epoch=1.0)
    assert status(tmp_path)["phase"] == "training"
    assert (status(tmp_path)["step"], status(tmp_path)["total"]) == (10, 10)
    assert status(tmp_path)["eta"] == pytest.approx(0.0)


def test_progress_is_not_written_too_often(tmp_path: Path) -> None:
    report = Report(tmp_path)
    report.phase("training")
    for step in range(1, 500):
        report.progress(step, 1000)
    assert int(str(status(tmp_path).get("step", 0))) < 499


def test_a_notice_is_kept_once_and_survives_a_change_of_phase(tmp_path: Path) -> None:
    report = Report(tmp_path)
    notice = Problem(code="bf16_on_cpu", field="bf16", params={"device": "cpu"}, notice=True)
    report.notice(notice)
    report.notice(notice)
    report.phase("training")
    notices = status(tmp_path)["notices"]
    assert isinstance(notices, list)
    assert [row["code"] for row in notices] == ["bf16_on_cpu"]


def test_a_stop_before_training_ends_the_work(tmp_path: Path) -> None:
    report = Report(tmp_path)
    assert not report.stop_requested()
    (tmp_path / "stop.json").write_text("{}")
    assert report.stop_requested()
    with pytest.raises(Stopped):
        report.phase("tokenizing")
    report.phase("saving")  # what there is gets saved


def test_rows_beyond_a_step_are_cut(tmp_path: Path) -> None:
    report = Report(tmp_path)
    for step in (1, 2, 3):
        report.metrics(Row(step=step, loss=1.0 / step))
    report.cut_metrics(2)
    rows, _ = metrics.read(tmp_path / "metrics.jsonl", 0)
    assert [row.step for row in rows] == [1, 2]


def test_only_the_first_process_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    report = Report(tmp_path)
    report.phase("training")
    report.metrics(Row(step=1, loss=1.0))
    assert list(tmp_path.iterdir()) == []


def test_no_torch_is_needed_to_report() -> None:
    import subprocess

    code = "import sys, backend.report, backend.failures; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
