"""A run in the queue starts when those before it have ended, whatever becomes of the page."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from backend.contract.folders.home import saves
from backend.contract.launching import launch
from backend.contract.runs import run_folder
from backend.contract.runs.run_folder import State
from backend.contract.system import processes
from backend.contract.system.files import read_json
from tests.failures.conftest import ended, process, running, until, values

Begin = Callable[..., Path]
LONG = "--steps 2000 --sleep 0.02"
QUEUES = """
from backend.contract.launching import launch
from tests.failures.conftest import values
print(launch.start("train", values(output_dir="saves/m/lora/later"), queued=True))
"""


def queue(name: str) -> Path:
    """A run in the queue, once its supervisor waits."""
    folder = launch.start("train", values(output_dir=f"saves/m/lora/{name}"), queued=True)
    in_state(folder, State.QUEUED)
    return folder


def in_state(folder: Path, state: State) -> None:
    """Wait until the run has this state."""
    until(lambda: run_folder.read(folder).state is state)


def test_a_queued_run_starts_when_the_other_has_ended(begin: Begin) -> None:
    """Its folder is there at once, with what it waits for; no child runs before its turn."""
    first = begin(LONG)
    running(first)
    second = queue("second")
    view = run_folder.read(second)
    assert view.reason is not None
    assert view.reason.code == "run_waits"
    assert view.reason.params == {"runs": first.name}
    assert "child" not in read_json(second / run_folder.LAUNCH)
    launch.stop(first)
    assert ended(first).state is State.STOPPED
    running(second)
    launch.stop(second)
    assert ended(second).state is State.STOPPED


def test_the_page_may_end_while_a_run_waits(begin: Begin, home: Path) -> None:
    """The process that has put it into the queue is gone: it starts all the same."""
    first = begin(LONG)
    running(first)
    subprocess.run([sys.executable, "-c", QUEUES], check=True, cwd=Path(__file__).parents[2])
    second = home / "saves/m/lora/later"
    in_state(second, State.QUEUED)
    launch.stop(first)
    running(second)


def test_two_in_the_queue_start_in_their_order(begin: Begin) -> None:
    """The second waits for the first, and the first alone waits for what runs."""
    first = begin(LONG)
    running(first)
    second, third = queue("second"), queue("third")
    assert [view.path for view in launch.list_going()] == [first, second, third]
    launch.stop(first)
    running(second)
    assert run_folder.read(third).state is State.QUEUED
    waits = run_folder.read(third).reason
    assert waits is not None
    assert waits.params == {"runs": second.name}
    launch.stop(second)
    running(third)


def test_a_queued_run_is_cancelled(begin: Begin) -> None:
    """It ends at once, has left nothing to resume, and its name is free again."""
    first = begin(LONG)
    running(first)
    second = queue("second")
    assert launch.stop(second)
    assert ended(second).state is State.STOPPED
    assert run_folder.read(first).state is State.RUNNING
    assert not (second / run_folder.LOG).exists()
    assert run_folder.is_without_result(second)


def test_nothing_in_the_way_is_no_queue(begin: Begin) -> None:
    """Where the other run has ended meanwhile, the run starts at once."""
    ended(begin("--steps 1"))
    folder = launch.start("train", values(output_dir="saves/m/lora/next"), queued=True)
    assert ended(folder).state is State.SUCCEEDED
    assert len(run_folder.runs(saves())) == 2


def test_a_queued_run_whose_supervisor_is_gone_is_lost(begin: Begin) -> None:
    """Nobody starts it any more, and it says so; those behind it do not wait for it."""
    first = begin(LONG)
    running(first)
    second = queue("second")
    third = queue("third")
    processes.send(process(second, "supervisor"), 9)
    in_state(second, State.LOST)
    reason = run_folder.read(second).reason
    assert reason is not None
    assert reason.code == "queue_lost"
    launch.stop(first)
    running(third)
