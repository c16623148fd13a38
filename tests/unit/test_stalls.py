"""A run that has fallen silent is told after a stated time, with what it was doing; not before."""

import json
import os
import time
from pathlib import Path

import pytest

from backend.contract.runs import metrics, stalls
from backend.contract.runs.metrics import Metrics
from backend.contract.runs.run_files import LOG, METRICS
from backend.contract.system import processes
from backend.contract.texts.locales import has


def status(phase: str, ago: float, **more: object) -> dict[str, object]:
    return {"phase": phase, "uptime": processes.uptime() - ago, **more}


def codes(folder: Path, row: dict[str, object]) -> list[str]:
    """What is said where no process is looked at."""
    found = stalls.notices(folder, row, {"uptime": processes.uptime() - 10_000}, "token")
    assert all(each.notice for each in found)
    return [each.code for each in found]


@pytest.mark.parametrize(
    ("phase", "step", "code"),
    [
        ("loading", 0, "run_silent_loading"),
        ("tokenizing", 500, "run_silent_tokenizing"),
        ("training", 0, "run_silent_first_step"),
        ("training", 12, "run_silent_training"),
        ("evaluating", 12, "run_silent_evaluating"),
        ("saving", 12, "run_silent_saving"),
        ("predicting", 3, "run_silent"),
        ("uploading", 3, "run_silent"),
    ],
)
def test_after_five_minutes(phase: str, step: int, code: str, tmp_path: Path) -> None:
    assert codes(tmp_path, status(phase, 299, step=step, total=40)) == []
    assert codes(tmp_path, status(phase, 301, step=step, total=40)) == [code]
    row = status(phase, 600, step=step, total=40)
    said = stalls.notices(tmp_path, row, {}, "token")[0]
    assert has(f"problem.{code}")
    for lang in ("en", "zh"):
        assert "10 min" in said.text(lang)
        assert ("12" in said.text(lang)) == (step == 12)


def test_a_line_of_the_log_is_a_sign_of_life(tmp_path: Path) -> None:
    """Libraries print while they load; a logged row counts, too."""
    row = status("loading", 3600)
    assert codes(tmp_path, row)
    for name in (LOG, METRICS):
        (tmp_path / name).touch()
        assert codes(tmp_path, row) == []
        os.utime(tmp_path / name, (time.time() - 3600,) * 2)
        assert codes(tmp_path, row)


def test_slow_steps_are_given_more_time(tmp_path: Path) -> None:
    """A step takes 200 s: five of them are waited for."""
    for step in (1, 2):
        metrics.append(tmp_path / METRICS, Metrics(step=step, time=200.0 * step))
    os.utime(tmp_path / METRICS, (time.time() - 10_000,) * 2)
    assert codes(tmp_path, status("training", 999, step=2, total=9)) == []
    assert codes(tmp_path, status("training", 1001, step=2, total=9)) == ["run_silent_training"]


@pytest.mark.parametrize("jump", [-86_400, 86_400 * 365])
def test_a_clock_that_jumps_makes_no_silence(
    jump: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R-13: the log seems a year old, or of tomorrow; what the run itself noted does not change."""
    (tmp_path / LOG).touch()
    real = time.time()
    monkeypatch.setattr(time, "time", lambda: real + jump)
    assert codes(tmp_path, status("training", 1.0, step=3, total=9)) == []


def test_a_run_of_before_is_judged_by_its_launch(tmp_path: Path) -> None:
    """A status.json that notes no time, or a torn one: the launch is the last that is known."""
    torn = json.loads("{}")
    launch: dict[str, object] = {"uptime": processes.uptime() - 400}
    assert [each.code for each in stalls.notices(tmp_path, torn, launch, "t")] == ["run_silent"]
    assert stalls.notices(tmp_path, torn, {}, "t") == ()
