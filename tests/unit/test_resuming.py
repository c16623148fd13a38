"""A training resumed with other arguments: what becomes of each is said before anything runs."""

import json
from pathlib import Path

import pytest

from backend.cli.commands import dispatch
from backend.cli.terminal import print_resumption
from backend.contract.arguments.arguments import fields_of, resolve
from backend.contract.arguments.field import Values
from backend.contract.preflight.preflight import check_paths
from backend.contract.runs import resuming, run_folder
from backend.contract.runs.position import Position
from backend.contract.runs.resume_kinds import LAUNCH, ON_RESUME, draws_in_rounds
from backend.contract.texts.locales import has
from backend.contract.texts.problems import TuneboardError
from tests.unit.resuming import (
    going_on,
    kinds,
    make_home,
    run,
    values,
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return make_home(tmp_path, monkeypatch)


def test_each_argument_of_a_training_has_a_kind() -> None:
    """And each kind its text; a new argument without one fails here."""
    names = {row.name for row in fields_of("train")}
    assert len(names) > 190
    assert set(ON_RESUME) == names - set(LAUNCH)
    assert set(ON_RESUME[name].kind for name in names - set(LAUNCH)) == {"taken", "kept", "refused"}
    for name, (kind, effect) in ON_RESUME.items():
        assert has(f"problem.{effect}" if kind == "refused" else f"resume.{effect}"), name


def test_nothing_changed(home: Path) -> None:
    run(home, code=1)
    found = going_on(home)
    assert (found.changes, found.problems(), found.step, found.total) == ((), [], 3, 16)
    assert found.checkpoint.name == "checkpoint-3"


def test_what_is_taken_up_and_what_it_does(home: Path) -> None:
    """The figures are those of the trainer (tests/backend/test_resume_changed.py runs them)."""
    run(home, code=1)
    rate = going_on(home, learning_rate=1e-5)
    assert kinds(rate) == {"learning_rate": "taken"}
    assert "from step 4 on" in rate.changes[0].text()
    assert "16 steps" in rate.changes[0].text()
    batch = going_on(home, per_device_train_batch_size=2)
    assert "row 13 of 30 of epoch 1" in batch.changes[0].text()
    assert "27 steps in all instead of 16" in batch.changes[0].text()  # 3 + 9 + 15
    assert batch.total == 27
    longer = going_on(home, num_train_epochs=3.0)
    assert "24 steps in all instead of 16" in longer.changes[0].text()
    steps = going_on(home, max_steps=50)
    assert steps.total == 50
    assert "50 steps in all instead of 16" in steps.changes[0].text()
    other = going_on(home, dataset="d,e", per_device_train_batch_size=2)
    assert kinds(other) == {"dataset": "taken", "per_device_train_batch_size": "taken"}
    assert other.total == 0
    assert "current epoch begins again" in other.changes[0].text()
    for found in (rate, batch, longer, steps, other):
        assert found.problems() == []
        for change in found.changes:
            assert change.text("zh") != change.text("en")


def test_what_is_kept_is_put_back(home: Path) -> None:
    run(home, code=1, seed=7)
    found = going_on(home, seed=8, plot_loss=False)
    assert kinds(found) == {"seed": "kept", "plot_loss": "taken"}
    assert (found.values["seed"], found.values["plot_loss"]) == (7, False)
    assert resuming.require_checkpoint({**found.values, "seed": 9})["seed"] == 7


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"lora_rank": 16}, "resume_other_shapes"),
        ({"lora_target": "q_proj"}, "resume_other_shapes"),
        ({"finetuning_type": "full"}, "resume_other_shapes"),
        ({"resize_vocab": True}, "resume_other_shapes"),
        ({"add_tokens": "<a>"}, "resume_other_shapes"),
        ({"use_dora": True}, "resume_other_shapes"),
        ({"use_rslora": True}, "resume_other_meaning"),
        ({"lora_alpha": 99}, "resume_other_meaning"),
        ({"model_name_or_path": "models/n"}, "resume_other_model"),
        ({"adapter_name_or_path": "org/a"}, "resume_other_model"),
        ({"quantization_bit": "4"}, "resume_other_model"),
        ({"optim": "adafactor"}, "resume_other_optimizer"),
        ({"deepspeed": "2"}, "resume_other_optimizer"),
        ({"fp16": True}, "resume_other_optimizer"),
        ({"loraplus_lr_ratio": 4.0}, "resume_other_optimizer"),
        ({"lr_scheduler_type": "greedy"}, "resume_schedule_state"),
        ({"stage": "pt"}, "resume_other_stage"),
        ({"val_size": 0.1}, "resume_other_split"),
        ({"streaming": True, "max_steps": 9}, "resume_stream"),
    ],
)
def test_what_is_refused_is_refused_before_anything_runs(
    given: Values, code: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """lora_rank changed on resume was a RuntimeError, and the SUCCEEDED run a FAILED one."""
    folder = run(home)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    name = next(iter(given))
    found = going_on(home, num_train_epochs=5.0, **given)
    assert kinds(found)[name] == "refused"
    assert [each.code for each in found.problems()] == [code]
    assert found.problems()[0].field == name
    asked = values(output_dir=str(folder), resume_from_checkpoint="auto", **given)
    assert code in [each.code for each in check_paths(asked, "train")]
    with pytest.raises(TuneboardError):
        resuming.require_checkpoint(asked)
    print_resumption(asked)
    assert "refused" in capsys.readouterr().err
    with pytest.raises(TuneboardError) as error:
        dispatch(["resume", "first", *(f"{name}={value}" for name, value in given.items())])
    assert name in {each.field for each in error.value.problems}
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert run_folder.read(folder).state is run_folder.State.SUCCEEDED


def test_a_stage_that_draws_answers_for_several_steps(home: Path) -> None:
    """PPO learns from a round of answers in several steps; GRPO does only with num_iterations."""
    run(home, code=1, stage="ppo", reward_model="r")
    assert draws_in_rounds(resolve(values(stage="ppo")))
    assert not draws_in_rounds(resolve(values(stage="grpo")))
    assert draws_in_rounds(resolve(values(stage="grpo", num_iterations=2)))
    given: Values = {"stage": "ppo", "reward_model": "r"}
    for name, value in (("per_device_train_batch_size", 2), ("dataset", "e"), ("ppo_epochs", 2)):
        found = going_on(home, **given, **{name: value})
        assert [each.code for each in found.problems()] == ["resume_other_rounds"], name
    assert kinds(going_on(home, **given, temperature=0.5)) == {"temperature": "taken"}


def test_a_schedule_that_holds_the_rate(home: Path) -> None:
    run(home, code=1, lr_scheduler_type="reduce_lr_on_plateau")
    for name, value in (("learning_rate", 1e-5), ("warmup_steps", 3)):
        given: Values = {"lr_scheduler_type": "reduce_lr_on_plateau", name: value}
        assert going_on(home, **given).problems()[0].code == "resume_schedule_state"


def test_devices(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are no argument: how many there were follows from the rows of a batch."""
    run(home, code=1)
    monkeypatch.setenv("NPROC_PER_NODE", "2")
    found = going_on(home)
    (change,) = found.changes
    assert (change.name, change.then, change.now, change.kind) == ("devices", "1", "2", "taken")
    assert found.total == 3 + 3 + 4
    same = going_on(home, per_device_train_batch_size=2)
    assert same.total == 16


def test_the_same_in_another_spelling_is_no_change(home: Path) -> None:
    """Paths, an alpha that follows from the rank, secrets, and where the run is written."""
    run(home, code=1)
    (home / "models" / "m").mkdir(parents=True)
    found = going_on(
        home,
        model_name_or_path=str(home / "models" / "m"),
        dataset_dir="./data",
        lora_alpha=16,
        hf_hub_token="CANARY",
        overwrite_output_dir=True,
    )
    assert found.changes == ()
    hidden = going_on(home, hf_hub_token="CANARY", learning_rate=1e-5)
    assert "CANARY" not in json.dumps(hidden.rows())


def test_nothing_left_to_do_is_its_own_answer(home: Path) -> None:
    """A finished run resumed unchanged; with fewer epochs; one killed before it saved has some."""
    folder = run(home, Position(step=3, epoch=1, size=12, batch=4, total=3), num_train_epochs=1.0)
    found = going_on(home, num_train_epochs=1.0)
    assert [each.code for each in found.problems()] == ["resume_nothing_left"]
    assert "3 steps" in found.problems()[0].text()
    assert going_on(home, num_train_epochs=0.5).problems()[0].code == "resume_nothing_left"
    assert going_on(home, num_train_epochs=2.0).problems() == []
    point = str(folder / "checkpoint-3")
    elsewhere: Values = {"output_dir": "out", "resume_from_checkpoint": point}
    assert going_on(home, num_train_epochs=1.0, **elsewhere).problems()
    (folder / "exit.json").write_text('{"signal": 9}')
    assert going_on(home, num_train_epochs=1.0).problems() == []


def test_a_checkpoint_that_says_less(home: Path) -> None:
    """Of an older version: the run's arguments are known, not its place. Of another program: what
    its adapter_config.json says."""
    folder = run(home, None, code=1)
    assert kinds(going_on(home, learning_rate=1e-5)) == {"learning_rate": "taken"}
    found = going_on(home, per_device_train_batch_size=2)
    assert [each.code for each in found.problems()] == ["resume_place_unknown"]
    foreign = home / "theirs" / "checkpoint-9"
    foreign.mkdir(parents=True)
    config = {"peft_type": "LORA", "r": 64, "use_dora": False}
    (foreign / "adapter_config.json").write_text(json.dumps(config))
    given: Values = {"resume_from_checkpoint": str(foreign), "output_dir": "out"}
    assert kinds(going_on(home, **given)) == {"lora_rank": "refused"}
    assert kinds(going_on(home, **given, lora_rank=64, learning_rate=1e-5)) == {}
    assert folder.is_dir()
