"""The truth table of a run's state."""

import itertools
import signal
from typing import Any

import pytest

from backend.contract.runs.states import GOING, Facts, State, state
from backend.contract.system.processes import Process
from backend.contract.texts.locales import has
from backend.contract.texts.problems import Problem

BOOT = "this boot"
SUPERVISOR, CHILD = Process(10, 1), Process(11, 1)
LAUNCH = {"supervisor": SUPERVISOR.to_json(), "child": CHILD.to_json(), "boot_id": BOOT}
TOLD = Problem(code="no_checkpoint")


def ended(code: int | None = None, number: int | None = None, **more: Any) -> dict[str, object]:
    return {"code": code, "signal": number, "out_of_memory": False, "stopped": False, **more}


@pytest.mark.parametrize(
    ("row", "told", "expected", "reason"),
    [
        (ended(0), None, State.SUCCEEDED, None),
        (ended(0, stopped=True), None, State.SUCCEEDED, None),
        (ended(20), None, State.STOPPED, None),
        (ended(1), None, State.FAILED, "run_failed"),
        (ended(3), TOLD, State.FAILED, "no_checkpoint"),
        (ended(1, stopped=True), TOLD, State.FAILED, "no_checkpoint"),
        (ended(5), None, State.OUT_OF_MEMORY, "out_of_memory"),
        (ended(5), TOLD, State.OUT_OF_MEMORY, "no_checkpoint"),
        (ended(6), None, State.FAILED, "run_disk_full"),
        (ended(126), None, State.FAILED, "run_not_executable"),
        (ended(127), None, State.FAILED, "run_program_missing"),
        (ended(137), None, State.FAILED, "run_failed"),
        (ended(137, stopped=True), None, State.STOPPED, "run_stopped_hard"),
        (ended(None, 1), None, State.KILLED, "run_killed"),
        (ended(None, 9), None, State.KILLED, "run_killed"),
        (ended(None, 9), TOLD, State.KILLED, "run_killed"),
        (ended(None, 9, stopped=True), None, State.STOPPED, "run_stopped_hard"),
        (ended(None, 15, stopped=True), None, State.STOPPED, "run_stopped_hard"),
        (ended(None, 11, stopped=True), None, State.KILLED, "run_killed"),
        (ended(None, 9, out_of_memory=True), None, State.OUT_OF_MEMORY, "out_of_memory"),
        (ended(1, out_of_memory=True), None, State.OUT_OF_MEMORY, "out_of_memory"),
        (ended(None, 99), None, State.KILLED, "run_killed"),
        (ended(), None, State.KILLED, "run_vanished"),
        (ended(), TOLD, State.FAILED, "no_checkpoint"),
        (ended(stopped=True), None, State.STOPPED, "run_stopped_unwatched"),
        (ended(stopped=True), TOLD, State.FAILED, "no_checkpoint"),
        ({"foreign": True}, None, State.KILLED, "run_vanished"),
    ],
)
def test_exit_json_decides(
    row: dict[str, object], told: Problem | None, expected: State, reason: str | None
) -> None:
    """Whatever else is there: other boots, living processes, a stop."""
    for launch, stop, lives in itertools.product(({}, LAUNCH), (False, True), (False, True)):
        facts = Facts(exit=row, launch=launch, problem=told, stop=stop, age=99)
        found, why = state(facts, "another boot", lambda _, lives=lives: lives)
        assert found is expected
        assert (why.code if why else None) == reason


@pytest.mark.parametrize(
    ("row", "word", "told", "expected", "reason"),
    [
        ({}, 0, None, State.SUCCEEDED, None),
        ({}, 20, None, State.STOPPED, None),
        ({}, 5, None, State.OUT_OF_MEMORY, "out_of_memory"),
        ({}, 3, TOLD, State.FAILED, "no_checkpoint"),
        ({}, 1, None, State.FAILED, "run_failed"),
        (ended(), 0, None, State.SUCCEEDED, None),
        (ended(stopped=True), 20, None, State.STOPPED, None),
        (ended(stopped=True), 0, None, State.SUCCEEDED, None),
        (ended(None, 9), 0, None, State.SUCCEEDED, None),
        (ended(None, 11), 0, None, State.SUCCEEDED, None),
        (ended(None, 9), 3, TOLD, State.FAILED, "no_checkpoint"),
        (ended(None, 9, out_of_memory=True), 0, None, State.SUCCEEDED, None),
        (ended(1), 0, None, State.FAILED, "run_failed"),  # the code that was seen goes first
        (ended(3), 0, TOLD, State.FAILED, "no_checkpoint"),
        (ended(0), 3, None, State.SUCCEEDED, None),
    ],
)
def test_the_last_word_of_the_child_counts(
    row: dict[str, object],
    word: int,
    told: Problem | None,
    expected: State,
    reason: str | None,
) -> None:
    """Where nobody saw the exit code: the supervisor was killed, the machine restarted after the
    work was over, or a library crashed on its way out."""
    for boot in (BOOT, "another boot"):
        facts = Facts(exit=row, launch=LAUNCH, problem=told, noted_exit_code=word, age=99)
        found, why = state(facts, boot, lambda _: False)
        assert found is expected
        assert (why.code if why else None) == reason
    if not row:  # on its way out, it is still there
        assert state(facts, BOOT, {CHILD}.__contains__)[0] is State.RUNNING


@pytest.mark.parametrize(
    ("living", "stop", "told", "expected", "reason"),
    [
        ({SUPERVISOR, CHILD}, False, None, State.RUNNING, None),
        ({SUPERVISOR, CHILD}, True, None, State.STOPPING, None),
        ({SUPERVISOR}, False, None, State.RUNNING, None),
        ({SUPERVISOR}, True, TOLD, State.STOPPING, None),
        ({CHILD}, False, None, State.RUNNING, "run_unsupervised"),
        ({CHILD}, True, None, State.STOPPING, "run_unsupervised"),
        (set(), False, None, State.KILLED, "run_vanished"),
        (set(), True, None, State.STOPPED, "run_stopped_unwatched"),
        (set(), False, TOLD, State.FAILED, "no_checkpoint"),
    ],
)
def test_without_exit_json_the_processes_decide(
    living: set[Process], stop: bool, told: Problem | None, expected: State, reason: str | None
) -> None:
    facts = Facts(launch=LAUNCH, problem=told, stop=stop, age=99)
    found, why = state(facts, BOOT, living.__contains__)
    assert found is expected
    assert (why.code if why else None) == reason
    lost, _ = state(facts, "another boot", living.__contains__)
    assert lost is State.LOST


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (0.0, State.STARTING),
        (9.9, State.STARTING),
        (-9.9, State.STARTING),
        (10.0, State.FAILED),
        (-3600.0, State.FAILED),  # the clock was set back: not "starting" for an hour
        (float("inf"), State.FAILED),
    ],
)
def test_without_launch_json_time_decides(age: float, expected: State) -> None:
    assert state(Facts(age=age), BOOT, lambda _: True)[0] is expected


@pytest.mark.parametrize(
    "row", [None, {}, {"pid": 1}, {"pid": "9"}, {"pid": True}, [9], {"pid": -1}]
)
def test_a_torn_launch_json_names_no_process(row: object) -> None:
    """pid -1 would be everyone, pid 1 is init."""
    facts = Facts(launch={**LAUNCH, "supervisor": row, "child": row})
    assert state(facts, BOOT, lambda _: True)[0] is State.KILLED


def test_every_state_and_reason_has_words() -> None:
    assert {each for each in State if not each.ended} == GOING
    assert len(State) == 10
    assert all(has(f"state.{each.value}") for each in State)
    _, why = state(Facts(exit=ended(None, signal.SIGHUP)), BOOT, lambda _: False)
    assert why is not None
    assert "SIGHUP" in why.text()
    assert "SIGHUP" in why.text("zh")
