"""Gradient checkpointing that nobody has set: off where the training fits without it."""

import logging
from pathlib import Path
from typing import Any

import pytest

from backend.__main__ import main
from backend.contract.runs import position
from backend.estimate import checkpointing
from backend.estimate.estimate import estimate
from backend.running.failures import Stopped
from backend.training import arguments
from tests.backend.training import assert_equal_runs, record, small, stop_after, train_small

NAME = "disable_gradient_checkpointing"
LITTLE, MUCH = "0.0001", "1000"  # GB


@pytest.fixture(autouse=True)
def no_memory_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that ran other tests before holds more than a training needs."""
    monkeypatch.setattr(checkpointing, "held_memory", lambda: 0)


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let so many bytes be free."""

    def set_free(size: int) -> None:
        def read_free(device: str, held: int) -> list[dict[str, Any]]:
            return [{"name": "RAM", "free": size + held, "all": size}]

        monkeypatch.setattr(checkpointing, "free_memory", read_free)

    return set_free


@pytest.mark.parametrize("stage", ["pt", "sft", "rm", "dpo", "kto", "ppo", "grpo"])
def test_it_is_off_where_the_training_fits_with_a_margin(
    stage: str, free: Any, tiny_model_dir: Path
) -> None:
    values = small(tiny_model_dir, stage=stage, per_device_train_batch_size=64)
    needed = estimate(values.replace(disable_gradient_checkpointing=True)).total
    free(int(1.5 * needed))
    assert checkpointing.choose(values, None).values[NAME] is True
    free(int(1.2 * needed))
    assert checkpointing.choose(values, None).values[NAME] is False
    assert checkpointing.choose(values, None, held=needed).values[NAME] is True


@pytest.mark.parametrize("own", [True, False])
def test_what_a_person_sets_stays(own: bool, free: Any, tiny_model_dir: Path) -> None:
    values = small(tiny_model_dir, disable_gradient_checkpointing=own)
    for size in (0, 10**15):
        free(size)
        choice = checkpointing.choose(values, None)
        assert (choice.values, choice.automatic) == (values, False)


def test_it_stays_on_where_the_memory_is_not_known_or_differs(
    free: Any, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free(10**15)
    assert checkpointing.choose(small(tiny_model_dir, stage="rloo"), None).state == "on"
    values = small(tiny_model_dir)
    assert checkpointing.choose(values, None).state == "off"
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert arguments.world_size() == 2
    assert checkpointing.choose(values, None).state == "on"


def test_both_ways_learn_the_same_and_the_log_says_which(
    workspace: Path,
    tiny_model_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    curves = []
    for gigabytes, state in ((LITTLE, "on"), (MUCH, "off")):
        monkeypatch.setenv("TUNEBOARD_MEMORY_GB", gigabytes)
        folder = train_small(workspace, tiny_model_dir, state, logging_steps=1)
        assert f"gradient checkpointing: {state};" in caplog.text
        (checkpoint,) = folder.glob("checkpoint-*")
        assert position.choices(checkpoint) == {NAME: state == "off", "bf16": False}
        assert position.arguments(checkpoint)[NAME] is None
        curves.append([row.loss for row in record(folder)])
    assert curves[0] == pytest.approx(curves[1], rel=1e-5)


@pytest.mark.parametrize(("before", "after"), [(LITTLE, MUCH), (MUCH, LITTLE)])
def test_a_resumed_run_goes_on_as_it_began(
    before: str,
    after: str,
    workspace: Path,
    tiny_model_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whatever is free by then."""
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("TUNEBOARD_MEMORY_GB", before)
    whole = train_small(workspace, tiny_model_dir, "whole")
    with monkeypatch.context() as stopping:
        stop_after(1, stopping)
        with pytest.raises(Stopped):
            train_small(workspace, tiny_model_dir, "parts")
    parts = workspace / "saves" / "parts"
    (parts / "stop.json").unlink()
    monkeypatch.setenv("TUNEBOARD_MEMORY_GB", after)
    train_small(workspace, tiny_model_dir, "parts", resume_from_checkpoint="auto")
    state = "on" if before == LITTLE else "off"
    assert f"gradient checkpointing: {state}, as before" in caplog.text
    assert_equal_runs(parts, whole)


def test_the_estimate_is_that_of_the_choice(
    tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["estimate", "--model_name_or_path", str(tiny_model_dir)]
    shown = {}
    for gigabytes, state in ((LITTLE, "on"), (MUCH, "off")):
        monkeypatch.setenv("TUNEBOARD_MEMORY_GB", gigabytes)
        assert main(words) == 0
        shown[state] = capsys.readouterr().out
        assert f"Gradient checkpointing is {state} by itself" in shown[state]
        assert main([*words, f"--{NAME}", str(state == "off")]) == 0
        explicit = capsys.readouterr().out
        assert "Gradient checkpointing" not in explicit
        activations = [line for line in explicit.splitlines() if "activations" in line]
        assert activations[0] in shown[state]
