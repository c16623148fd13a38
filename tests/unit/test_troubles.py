"""Trouble of a run that goes on is noticed from its metrics, and not before it is trouble."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pytest

from backend.contract.runs import troubles
from backend.contract.runs.metrics import Metrics
from backend.contract.runs.run_view import RunView
from backend.contract.runs.states import State
from backend.contract.texts.problems import Problem

VIEW = RunView(
    path=Path("r"),
    name="r",
    model="m",
    method="lora",
    task="train",
    created="",
    sequence=1,
    state=State.RUNNING,
    reason=None,
)


def notice(view: RunView, rows: Sequence[Metrics]) -> tuple[Problem, ...]:
    evaluated = [row for row in rows if row.eval_loss is not None]
    return troubles.notices(view, rows, evaluated)


def list_codes(rows: Sequence[Metrics], view: RunView = VIEW) -> list[str]:
    notices = notice(view, rows)
    assert all(each.notice and each.text() and each.text("zh") for each in notices)
    return [each.code for each in notices]


@pytest.mark.parametrize(
    ("losses", "codes"),
    [
        ([], []),
        ([2.0, 1.5, 1.2], []),
        ([2.0, 1.2, 1.3, 1.4], []),
        ([2.0, 1.2, 1.3, 1.4, 1.5], ["run_evaluation_rising"]),
        ([2.0, 1.2, 1.3, 1.4, 1.1], []),
        ([1.2, 1.2, 1.2, 1.2, 1.2], []),
        ([1.0, float("nan"), 1.0, 1.0], []),
    ],
)
def test_an_evaluation_loss_that_rises(losses: list[float], codes: list[str]) -> None:
    """After the best evaluation three worse ones are needed; the best one is named."""
    rows = [Metrics(step=10 * at, eval_loss=loss) for at, loss in enumerate(losses, 1)]
    assert list_codes(rows) == codes
    if codes:
        assert notice(VIEW, rows)[0].params == {
            "best": "1.2000",
            "step": 20,
            "now": "1.5000",
        }


def test_a_disk_that_fills_up() -> None:
    rows = [Metrics(step=1, disk_free=3 * 10**9), Metrics(step=2, disk_free=5 * 10**8)]
    assert list_codes(rows[:1]) == []
    assert list_codes(rows) == ["run_disk_low"]
    assert list_codes([*rows, Metrics(step=3)]) == ["run_disk_low"]
    assert "500 MB" in notice(VIEW, rows)[0].text()


def test_a_run_that_has_ended_is_in_no_trouble() -> None:
    stalled = dataclasses.replace(
        VIEW, stalls=(Problem(code="run_silent", params={"time": "6 min"}, notice=True),)
    )
    assert list_codes([], stalled) == ["run_silent"]
    ended = dataclasses.replace(stalled, state=State.STOPPED)
    assert list_codes([Metrics(step=1, disk_free=1)], ended) == []
