"""status.json, metrics.jsonl and the graceful stop."""

import json
import sys
from pathlib import Path

import pytest

from backend.contract.runs import metrics
from backend.contract.runs.metrics import Metrics
from backend.contract.texts.problems import Problem
from backend.running.failures import Stopped
from backend.running.report import Report


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
        report.metrics(Metrics(step=step, loss=1.0 / step))
    report.cut_metrics(2)
    rows, _ = metrics.read(tmp_path / "metrics.jsonl", 0)
    assert [row.step for row in rows] == [1, 2]


def test_a_crash_while_rows_are_cut_loses_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows were once copied to metrics.part one by one, which a crash left behind."""
    report = Report(tmp_path)
    for step in (1, 2, 3):
        report.metrics(Metrics(step=step, loss=1.0 / step))
    before = (tmp_path / "metrics.jsonl").read_bytes()

    def crash(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", crash)
    with pytest.raises(OSError, match="No space"):
        report.cut_metrics(2)
    assert (tmp_path / "metrics.jsonl").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_a_step_stays_while_its_work_is_saved(tmp_path: Path) -> None:
    """48 of 48 is shown while the model is saved; rows tokenized are no steps of training."""
    report = Report(tmp_path)
    report.phase("tokenizing")
    report.progress(7, 7)
    report.phase("loading")
    assert {"step", "total", "eta"} & set(status(tmp_path)) == set()
    report.phase("training")
    report.progress(48, 48)
    for phase in ("evaluating", "training", "saving"):
        report.phase(phase)
        assert (status(tmp_path)["step"], status(tmp_path)["total"]) == (48, 48)
    assert "eta" not in status(tmp_path)


@pytest.mark.parametrize("phase", ["loading", "tokenizing", "fitting", "exporting"])
def test_a_stop_is_obeyed_in_the_midst_of_what_leaves_nothing(tmp_path: Path, phase: str) -> None:
    """A long tokenization once went on until it was killed."""
    report = Report(tmp_path)
    report.phase(phase)
    report.progress(1, 10)
    (tmp_path / "stop.json").write_text("{}")
    with pytest.raises(Stopped):
        report.progress(2, 10)


def test_progress_of_training_and_predicting_goes_on_after_a_stop(tmp_path: Path) -> None:
    """These save what they have before they end."""
    (tmp_path / "stop.json").write_text("{}")
    report = Report(tmp_path)
    for phase in ("training", "predicting"):
        report.phase(phase)
        report.progress(1, 2)


def test_only_the_first_process_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    report = Report(tmp_path)
    report.phase("training")
    report.metrics(Metrics(step=1, loss=1.0))
    assert list(tmp_path.iterdir()) == []


def test_no_torch_is_needed_to_report() -> None:
    import subprocess

    imports = "import sys, backend.running.report, backend.running.failures"
    code = f"{imports}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
