"""A recipe's stages under faults: real supervisors, a real conductor, fake trainers."""

import json
import os
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from backend.contract.folders.home import saves
from backend.contract.launching import launch, recipes
from backend.contract.launching.recipes import Plan
from backend.contract.runs import run_folder
from backend.contract.runs.run_folder import State
from backend.contract.system import processes
from backend.contract.system.files import read_json
from backend.contract.texts.problems import RunFolderError
from tests.failures.conftest import ended, process, until

CHAIN = Path(__file__).parents[1] / "fakes" / "chain.py"
RECIPE = """
base: {model_name_or_path: org/model, dataset: identity}
stages:
  - name: one
    arguments: {finetuning_type: full}
  - name: two
    model: one
    arguments: {finetuning_type: full, learning_rate: 1.0e-3}
  - name: three
    model: two
    arguments: {lora_rank: 4}
"""
Begin = Callable[..., Plan]


@pytest.fixture
def options(home: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Say what the fake trainer of each stage does."""
    worker = f"{shlex.quote(sys.executable)} {shlex.quote(str(CHAIN))}"
    monkeypatch.setitem(os.environ, "TUNEBOARD_WORKER", worker)

    def say(**stages: str) -> None:
        (home / "chain.json").write_text(json.dumps(stages))

    say()
    return say


@pytest.fixture
def begin(home: Path, options: Callable[..., None]) -> Begin:
    """Start the recipe with these options of its stages."""

    def start(secrets: dict[str, object] | None = None, **stages: str) -> Plan:
        options(**stages)
        (home / "chain.yaml").write_text(RECIPE)
        plan = recipes.plan(recipes.read("chain.yaml"), "group", secrets or {})
        launch.start_recipe(plan.folder, plan.text(), plan.command, exclusive=True)
        return plan

    return start


def states(plan: Plan) -> list[State | None]:
    """The state of each stage; None where it has not begun."""
    return [
        run_folder.read(step.folder).state if (step.folder / "run.json").is_file() else None
        for step in plan.steps
    ]


def started(plan: Plan, stage: int) -> None:
    until(lambda: run_folder.read(plan.steps[stage].folder).step >= 1, 20)


def created(plan: Plan) -> list[str]:
    """What tells whether a stage was run again: the token of its run and the end that it had."""
    files = ("run.json", "exit.json")
    return [json.dumps([read_json(step.folder / name) for name in files]) for step in plan.steps]


def test_the_stages_run_one_after_the_other(begin: Begin) -> None:
    plan = begin(one="--steps 5 --sleep 0.05")
    started(plan, 0)
    assert states(plan)[1:] == [None, None]
    with pytest.raises(RunFolderError):
        launch.start("train", plan.steps[0].values, exclusive=True)
    view = ended(plan.folder)
    assert (view.state, view.task, view.step, view.total_steps) == (State.SUCCEEDED, "recipe", 3, 3)
    assert states(plan) == [State.SUCCEEDED] * 3
    runs = [run_folder.read(step.folder) for step in plan.steps]
    assert [list(run.argv) for run in runs] == [list(step.command.argv) for step in plan.steps]
    assert [run.sequence for run in runs] == sorted({run.sequence for run in runs})
    assert "step 5" in (plan.folder / "log.txt").read_text()
    shown = {view.path for view in run_folder.runs(saves())}
    assert shown == {plan.folder, *(step.folder for step in plan.steps)}


def test_the_first_failure_ends_the_chain_and_resume_goes_on_there(
    begin: Begin, options: Callable[..., None]
) -> None:
    """The stage has no checkpoint: it begins anew, the one before it is left as it is."""
    plan = begin(two="--crash-at 2 --code 3 --problem bf16_and_fp16")
    view = ended(plan.folder)
    assert view.state is State.FAILED
    assert view.reason is not None
    assert (view.reason.code, view.reason.params["stage"]) == ("recipe_failed", "two")
    assert [problem.code for problem in view.more] == ["bf16_and_fp16"]
    assert states(plan) == [State.SUCCEEDED, State.FAILED, None]
    before = created(plan)
    options()
    launch.resume(plan.folder)
    assert ended(plan.folder).state is State.SUCCEEDED
    assert states(plan) == [State.SUCCEEDED] * 3
    after = created(plan)
    assert after[0] == before[0]
    assert after[1] != before[1]


def test_a_name_is_free_again_until_a_stage_has_a_result(
    begin: Begin, options: Callable[..., None]
) -> None:
    """A group whose first stage has failed at once is begun anew under its name."""
    plan = begin(one="--crash-at 1 --code 3")
    assert ended(plan.folder).state is State.FAILED
    assert "output_dir_in_use" not in {problem.code for problem in recipes.check(plan)}
    plan = begin(two="--crash-at 1 --code 3")
    assert ended(plan.folder).state is State.FAILED
    assert states(plan) == [State.SUCCEEDED, State.FAILED, None]
    with pytest.raises(RunFolderError):
        begin()


def test_stop_ends_the_stage_and_the_chain_and_resume_takes_its_checkpoint(
    begin: Begin, options: Callable[..., None]
) -> None:
    plan = begin(two="--steps 500 --sleep 0.02")
    started(plan, 1)
    assert launch.stop(plan.folder)
    assert ended(plan.folder).state is State.STOPPED
    assert states(plan) == [State.SUCCEEDED, State.STOPPED, None]
    at = run_folder.checkpoints(plan.steps[1].folder)[-1].step
    options(two=f"--steps {at + 3}")
    launch.resume(plan.folder)
    assert ended(plan.folder).state is State.SUCCEEDED
    log = (plan.steps[1].folder / "log.txt").read_text()
    assert log.count("step 1\n") == 1, "it began anew"
    assert f"step {at + 1}\n" in log
    with pytest.raises(RunFolderError):
        launch.start_recipe(plan.folder, plan.text(), plan.command)


def test_a_stage_that_is_stopped_by_itself_ends_the_chain(begin: Begin) -> None:
    plan = begin(one="--steps 500 --sleep 0.02")
    started(plan, 0)
    assert launch.stop(plan.steps[0].folder)
    assert ended(plan.folder).state is State.STOPPED
    assert states(plan) == [State.STOPPED, None, None]


def test_a_killed_conductor_takes_its_stage_along_and_can_be_resumed(
    begin: Begin, options: Callable[..., None]
) -> None:
    plan = begin(one="--steps 500 --sleep 0.02 --save-every 5")
    until(lambda: run_folder.checkpoints(plan.steps[0].folder), 20)
    assert processes.send(process(plan.folder, "child"), signal.SIGKILL)
    assert ended(plan.folder).state is State.KILLED
    assert ended(plan.steps[0].folder).state is State.KILLED
    options()
    launch.resume(plan.folder)
    assert ended(plan.folder).state is State.SUCCEEDED


def test_a_stage_outlives_both_processes_of_the_group_and_is_found_again(begin: Begin) -> None:
    """As after an out-of-memory kill of the small ones: no second trainer joins the first."""
    plan = begin(one="--steps 60 --sleep 0.05")
    started(plan, 0)
    for who in ("supervisor", "child"):
        assert processes.send(process(plan.folder, who), signal.SIGKILL)
    assert ended(plan.folder).state is State.KILLED
    assert states(plan) == [State.RUNNING, None, None]
    launch.resume(plan.folder)
    assert ended(plan.folder).state is State.SUCCEEDED
    assert (plan.steps[0].folder / "log.txt").read_text().count("step 1\n") == 1


def test_no_secret_reaches_a_file(begin: Begin, home: Path) -> None:
    plan = begin(secrets={"hf_hub_token": "hf_SECRET"})
    assert "hf_SECRET" in plan.command.env.values()
    assert ended(plan.folder).state is State.SUCCEEDED
    files = [path for path in home.rglob("*") if path.is_file()]
    assert len(files) > 20
    assert [path for path in files if b"hf_SECRET" in path.read_bytes()] == []
