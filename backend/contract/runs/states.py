"""Decide the state of a run from the files of its folder, in one pure function."""

import enum
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath

from backend.contract.system.processes import Process
from backend.contract.texts.problems import STOPPED_EXIT, OutOfMemoryError, Problem

START_SECONDS = 10.0  # without launch.json after this time the supervisor did not start
CODES = {
    126: "run_not_executable",
    127: "run_program_missing",
    5: "out_of_memory",
    6: "run_disk_full",
}
# Exit codes of a shell whose child was ended by SIGINT, SIGKILL or SIGTERM.
SHELL_CODES = {128 + signal.SIGINT, 128 + signal.SIGKILL, 128 + signal.SIGTERM}


class State(enum.Enum):
    """The state of a run; its text in locales is state.<value>."""

    QUEUED = "QUEUED"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    STOPPING = "STOPPING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    STOPPED = "STOPPED"
    KILLED = "KILLED"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    LOST = "LOST"

    @property
    def ended(self) -> bool:
        """Whether the run is over."""
        return self not in GOING


DONE: dict[int, State] = {0: State.SUCCEEDED, STOPPED_EXIT: State.STOPPED}  # exit codes
GOING = {State.QUEUED, State.STARTING, State.RUNNING, State.STOPPING}


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The facts in a run folder that decide its state.

    exit, launch     exit.json and launch.json, {} where absent or torn
    problem          problem.json
    noted_exit_code  the exit code that the child noted when it had saved everything
    stop             whether stop.json exists
    age              seconds since the launch
    """

    exit: Mapping[str, object] = field(default_factory=dict)
    launch: Mapping[str, object] = field(default_factory=dict)
    problem: Problem | None = None
    noted_exit_code: int | None = None
    stop: bool = False
    age: float = 0.0


def state(
    facts: Facts, boot_id: str, alive: Callable[[Process], bool]
) -> tuple[State, Problem | None]:
    """The state, and a problem or notice that explains it, or None."""
    if facts.exit:
        return _judge_exit(facts)
    if not facts.launch:
        if abs(facts.age) < START_SECONDS:
            return State.STARTING, None
        return State.FAILED, Problem(code="run_never_started")
    if "waits_for" in facts.launch:
        return _judge_queued(facts, boot_id, alive)
    if facts.launch.get("boot_id") != boot_id:
        if facts.noted_exit_code is not None:
            return _judge_unwatched(facts, stopped=facts.stop)
        return State.LOST, Problem(code="run_lost")
    going = State.STOPPING if facts.stop else State.RUNNING
    if _lives(facts.launch.get("supervisor"), alive):
        return going, None
    if _lives(facts.launch.get("child"), alive):
        return going, Problem(code="run_unsupervised", notice=True)
    return _judge_unwatched(facts, stopped=facts.stop)


def _judge_queued(
    facts: Facts, boot_id: str, alive: Callable[[Process], bool]
) -> tuple[State, Problem | None]:
    """The state of a run before its turn: only its supervisor is there."""
    same_boot = facts.launch.get("boot_id") == boot_id
    if same_boot and _lives(facts.launch.get("supervisor"), alive):
        if facts.stop:
            return State.STOPPING, None
        waits_for = facts.launch["waits_for"]
        names = [str(each) for each in waits_for] if isinstance(waits_for, list) else []
        params = {"runs": ", ".join(PurePath(name).name for name in names)}
        return State.QUEUED, Problem(code="run_waits", params=params, notice=True)
    return (State.STOPPED, None) if facts.stop else (State.LOST, Problem(code="queue_lost"))


def _judge_unwatched(facts: Facts, *, stopped: bool) -> tuple[State, Problem | None]:
    """The state of a run whose end nobody saw: by the child's note, then by a stop request."""
    if facts.noted_exit_code is not None:
        return _judge_code(facts, facts.noted_exit_code)
    if facts.problem:
        return State.FAILED, facts.problem
    if stopped:
        return State.STOPPED, Problem(code="run_stopped_unwatched", notice=True)
    return State.KILLED, Problem(code="run_vanished")


def _lives(row: object, alive: Callable[[Process], bool]) -> bool:
    process = Process.from_json(row)
    return process is not None and alive(process)


def _judge_exit(facts: Facts) -> tuple[State, Problem | None]:
    """The state that exit.json means."""
    code, number = facts.exit.get("code"), facts.exit.get("signal")
    stopped = facts.exit.get("stopped") is True
    if isinstance(code, int) and code in DONE:
        return _judge_code(facts, code)
    if (
        isinstance(number, int) and facts.noted_exit_code is not None
    ):  # killed after its work was over
        return _judge_code(facts, facts.noted_exit_code)
    if stopped and (_is_forced(number) or code in SHELL_CODES):
        return State.STOPPED, Problem(code="run_stopped_hard", notice=True)
    if facts.exit.get("out_of_memory") is True or code == OutOfMemoryError.exit_code:
        return State.OUT_OF_MEMORY, facts.problem or Problem(code="out_of_memory")
    if isinstance(number, int):
        return State.KILLED, _kill_problem(number)
    if isinstance(code, int):
        return _judge_code(facts, code)
    return _judge_unwatched(facts, stopped=stopped)


def _judge_code(facts: Facts, code: int) -> tuple[State, Problem | None]:
    """The state that an exit code means."""
    if code in DONE:
        return DONE[code], None
    if code == OutOfMemoryError.exit_code:
        return State.OUT_OF_MEMORY, facts.problem or Problem(code="out_of_memory")
    return State.FAILED, facts.problem or _failure(code)


def _is_forced(number: object) -> bool:
    return number in (signal.SIGTERM, signal.SIGKILL, signal.SIGINT)


def _kill_problem(number: int) -> Problem:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = "?"
    return Problem(code="run_killed", params={"signal": number, "name": name})


def _failure(code: int) -> Problem:
    return Problem(code=CODES.get(code, "run_failed"), params={"code": code})
