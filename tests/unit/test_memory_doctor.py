"""A training that ran out of memory: what helps is what the estimate says will fit."""

import threading
from pathlib import Path
from typing import Any

import pytest

from app.services.runs import fixes
from app.services.runs.memory_doctor import Doctor
from backend.contract.preflight import estimates
from backend.contract.runs.run_folder import State
from backend.contract.texts.problems import ModelError, Problem
from tests.failures.conftest import until
from tests.unit.test_fixes import failed

HALF = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 4}
NEAREST = {"quantization_bit": "4", "cutoff_len": 512}
PARAMS: dict[str, str | int | float] = {"batch": 8, "cutoff": 2048, "changes": "x 1"}
OUT = Problem(code="out_of_memory_training", params=PARAMS)


class Arithmetic:
    """Stands for the child: what is needed and free, and what fits."""

    def __init__(self) -> None:
        self.total, self.free = 20, 10
        self.changes: dict[str, Any] = dict(NEAREST)
        self.may_answer = threading.Event()
        self.may_answer.set()

    def estimate(self, _: object) -> dict[str, Any]:
        self.may_answer.wait(20)
        if not self.total:
            raise ModelError(Problem(code="estimate_no_answer", params={"reason": "-"}))
        return {"total": self.total, "places": [{"free": self.free}, {"free": 99}]}

    def fit(self, _: object) -> dict[str, Any]:
        return {"changes": self.changes, "total": 5, "share_cut": None}


@pytest.fixture
def arithmetic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Arithmetic:
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    (tmp_path / "saves" / "models" / "m").mkdir(parents=True)
    arithmetic = Arithmetic()
    monkeypatch.setattr(estimates, "estimate", arithmetic.estimate)
    monkeypatch.setattr(estimates, "fit", arithmetic.fit)
    monkeypatch.setattr(fixes, "doctor", Doctor())
    return arithmetic


def find_fix() -> fixes.Fix:
    view = failed(OUT, state=State.OUT_OF_MEMORY, disable_gradient_checkpointing=False)
    until(lambda: not fixes.find_fix(view).is_due, 10)
    return fixes.find_fix(view)


def test_what_fits_by_the_estimate_is_proposed(arithmetic: Arithmetic) -> None:
    fix = find_fix()
    assert fix == fixes.Fix(NEAREST)
    said = fixes.correct(OUT, fix, "en").text("en")
    assert "Try Quantization 4, Cutoff length 512." in said
    assert "cutoff_len" not in fixes.correct(OUT, fix, "zh").text("zh")


def test_nothing_is_proposed_where_nothing_fits(arithmetic: Arithmetic) -> None:
    arithmetic.changes = {}
    fix = find_fix()
    assert fix == fixes.Fix()
    assert fixes.correct(OUT, fix, "en").code == "out_of_memory"


@pytest.mark.parametrize(("total", "free"), [(0, 10), (20, 90)])
def test_the_rules_of_old_hold_where_the_estimate_explains_nothing(
    arithmetic: Arithmetic, total: int, free: int
) -> None:
    """Where there is none, or there was room enough."""
    arithmetic.total, arithmetic.free = total, free
    assert find_fix() == fixes.Fix(HALF)


def test_nothing_is_proposed_and_nobody_waits_before_it_is_known(arithmetic: Arithmetic) -> None:
    arithmetic.may_answer.clear()
    view = failed(OUT, state=State.OUT_OF_MEMORY)
    fix = fixes.find_fix(view)
    assert fix == fixes.Fix(is_due=True)
    assert fixes.correct(OUT, fix, "en").code == "out_of_memory"
    arithmetic.may_answer.set()
    until(lambda: fixes.find_fix(view) == fixes.Fix(NEAREST), 10)
