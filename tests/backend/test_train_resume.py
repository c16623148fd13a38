"""Stop, resume, early stop, full disk: what is kept, and that nothing is counted twice."""

import errno
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from backend.contract.runs import metrics
from backend.contract.texts.problems import DiskFullError, TuneboardError, UsageError
from backend.running.failures import Stopped
from backend.running.report import Report
from backend.training.callback import ReportCallback
from backend.training.trainer import RunTrainer
from tests.backend.training import train_small

CURVE = ("step", "epoch", "loss", "eval_loss", "learning_rate", "grad_norm", "tokens")


def curve(folder: Path) -> list[tuple[Any, ...]]:
    rows, _ = metrics.read(folder / "metrics.jsonl", 0)
    return [tuple(getattr(row, name) for name in CURVE) for row in rows]


@pytest.mark.parametrize("step", [1, 5, 6, 11])
@pytest.mark.parametrize("method", ["lora", "full"])
def test_resumed_equals_uninterrupted(
    step: int,
    method: str,
    workspace: Path,
    tiny_model_dir: Path,
    stop_at: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To the bit: weights, each logged loss, learning rate, token count; dropout, shuffle on.

    A row is the mean of three steps, so that most stops fall into an open window.
    """
    monkeypatch.setattr("backend.training.arguments.POINTS", 1)
    given: dict[str, Any] = {
        "finetuning_type": method,
        "max_steps": 12,
        "logging_steps": 3,
        "save_steps": 100,
        "lora_dropout": 0.1,
        "val_size": 0.1,
        "eval_steps": 4,
        "neftune_noise_alpha": 5.0,
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 3,
    }
    whole = train_small(workspace, tiny_model_dir, "whole", **given)
    stop_at(step)
    with pytest.raises(Stopped):
        train_small(workspace, tiny_model_dir, "parts", **given)
    parts = workspace / "saves" / "parts"
    assert (parts / f"checkpoint-{step}" / "manifest.json").is_file()
    (parts / "stop.json").unlink()
    stop_at(-1)
    train_small(workspace, tiny_model_dir, "parts", resume_from_checkpoint="auto", **given)
    assert curve(parts) == curve(whole)
    steps = [row[0] for row in curve(parts) if row[2] is not None]
    assert steps == sorted(set(steps))
    file = "adapter_model.safetensors" if method == "lora" else "model.safetensors"
    one, two = load_file(whole / file), load_file(parts / file)
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_rows_after_the_checkpoint_are_cut(workspace: Path, tiny_model_dir: Path) -> None:
    """A run killed after step 5 goes on from checkpoint 4: step 5 is there once."""
    given: dict[str, Any] = {"max_steps": 8, "logging_steps": 1, "save_steps": 4}
    whole = train_small(workspace, tiny_model_dir, **given)
    before = curve(whole)
    shutil.rmtree(whole / "checkpoint-8")
    train_small(workspace, tiny_model_dir, resume_from_checkpoint="true", **given)
    assert curve(whole) == before


def test_a_damaged_checkpoint_is_passed_over(
    workspace: Path, tiny_model_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One flipped bit in the newest: the one before is used, and that is said by file."""
    given: dict[str, Any] = {"max_steps": 6, "save_steps": 2, "logging_steps": 1}
    folder = train_small(workspace, tiny_model_dir, **given)
    before = curve(folder)
    path = folder / "checkpoint-6" / "optimizer.pt"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    damaged = shutil.copytree(folder, workspace / "damaged")
    path.write_bytes(content)
    (damaged / "checkpoint-6" / "optimizer.pt").write_bytes(content)
    for given_now in ("auto", str(folder / "checkpoint-4")):  # what a person says, and what a page
        shutil.rmtree(folder)
        shutil.copytree(damaged, folder)
        train_small(workspace, tiny_model_dir, resume_from_checkpoint=given_now, **given)
        notices = json.loads((folder / "status.json").read_text())["notices"]
        assert [(row["code"], row["params"]) for row in notices] == [
            ("checkpoint_damaged", {"path": str(folder / "checkpoint-6"), "file": "optimizer.pt"}),
            ("resumed_earlier", {"checkpoint": "checkpoint-4"}),
        ]
        assert "checkpoint-4 instead" in caplog.text
        caplog.clear()
        assert curve(folder) == before


def test_stop_saves_checkpoint_and_model(
    workspace: Path, tiny_model_dir: Path, stop_at: Any
) -> None:
    stop_at(2)
    with pytest.raises(Stopped):
        train_small(workspace, tiny_model_dir, max_steps=50)
    folder = workspace / "saves" / "run"
    assert (folder / "checkpoint-2" / "manifest.json").is_file()
    assert (folder / "adapter_model.safetensors").is_file()
    assert json.loads((folder / "all_results.json").read_text())["steps"] == 2


def test_a_stop_does_not_wait_for_a_long_evaluation(
    workspace: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The supervisor would kill it: the run is saved at that step, without an evaluation."""
    monkeypatch.setattr("backend.training.callback.EVALUATION_GRACE", 0.0)
    seen: list[int] = []
    step = ReportCallback.on_prediction_step

    def ask(self: ReportCallback, *given: Any, **named: Any) -> None:
        seen.append(1)
        if len(seen) == 2:
            (self.report.folder / "stop.json").write_text("{}")
        step(self, *given, **named)

    monkeypatch.setattr(ReportCallback, "on_prediction_step", ask)
    given: dict[str, Any] = {"val_size": 10, "eval_steps": 2, "per_device_eval_batch_size": 1}
    with pytest.raises(Stopped):
        train_small(
            workspace,
            tiny_model_dir,
            max_steps=6,
            load_best_model_at_end=True,
            save_steps=2,
            **given,
        )
    assert len(seen) == 2
    folder = workspace / "saves" / "run"
    assert (folder / "checkpoint-2" / "manifest.json").is_file()
    assert (folder / "adapter_model.safetensors").is_file()
    assert [row[3] for row in curve(folder)] == [None, None]


def test_early_stop_and_best_model(workspace: Path, tiny_model_dir: Path) -> None:
    """A learning rate that ruins the model: evaluation gets no better, so training ends early and
    the best checkpoint's weights are kept."""
    folder = train_small(
        *(workspace, tiny_model_dir),
        max_steps=40,
        learning_rate=10.0,
        max_grad_norm=0.0,
        lr_scheduler_type="constant",
        val_size=0.2,
        eval_steps=1,
        save_steps=3,
        save_total_limit=1,
        early_stopping_steps=2,
        load_best_model_at_end=True,
    )
    results = json.loads((folder / "all_results.json").read_text())
    evaluated = [row[3] for row in curve(folder) if row[3] is not None]
    assert results["steps"] < 40
    assert results["eval_loss"] == min(evaluated)


def test_old_checkpoints_go_only_beyond_the_limit(workspace: Path, tiny_model_dir: Path) -> None:
    folder = train_small(workspace, tiny_model_dir, max_steps=6, save_steps=2, save_total_limit=2)
    assert sorted(path.name for path in folder.glob("checkpoint-*")) == [
        "checkpoint-4",
        "checkpoint-6",
    ]


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        RuntimeError("I/O error: No space left on device (os error 28)"),
    ],
)
def test_full_disk_at_save_leaves_no_torn_checkpoint(
    error: Exception, workspace: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second save fails half-way: the first checkpoint stays, the torn one goes."""
    real = RunTrainer._save_optimizer_and_scheduler

    def write(self: Any, folder: str) -> None:
        if self.state.global_step >= 2:
            raise error
        real(self, folder)

    monkeypatch.setattr(RunTrainer, "_save_optimizer_and_scheduler", write)
    with pytest.raises(DiskFullError) as caught:
        train_small(workspace, tiny_model_dir, max_steps=3, save_steps=1)
    folder = workspace / "saves" / "run"
    assert [path.name for path in folder.glob("checkpoint-*")] == ["checkpoint-1"]
    assert (folder / "checkpoint-1" / "manifest.json").is_file()
    problem = caught.value.problems[0]
    assert problem.code == "disk_full"
    assert problem.params["needed"]
    assert problem.params["free"]


def test_no_room_is_said_before_the_first_step(
    workspace: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(workspace)._replace(free=1000)
    monkeypatch.setattr("backend.training.checkpoints.shutil.disk_usage", lambda _: usage)
    with pytest.raises(DiskFullError):
        train_small(workspace, tiny_model_dir)
    assert not (workspace / "saves" / "run" / "metrics.jsonl").exists()


def test_a_loss_that_is_no_number_ends_the_run(
    workspace: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "backend.training.token_loss.functional.cross_entropy",
        lambda logits, *_, **__: logits.sum() * float("nan"),
    )
    with pytest.raises(TuneboardError) as caught:
        train_small(workspace, tiny_model_dir, max_steps=20, logging_steps=1)
    assert caught.value.problems[0].code == "loss_not_finite"
    assert caught.value.problems[0].params["step"] == 3


@pytest.mark.parametrize(
    ("given", "code"),
    [("auto", "no_checkpoint"), ("nowhere/checkpoint-1", "checkpoint_missing")],
)
def test_nothing_to_resume_from(
    given: str, code: str, workspace: Path, tiny_model_dir: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        train_small(workspace, tiny_model_dir, resume_from_checkpoint=given)
    assert caught.value.problems[0].code == code


def test_a_checkpoint_without_optimizer_cannot_be_resumed(
    workspace: Path, tiny_model_dir: Path
) -> None:
    folder = train_small(workspace, tiny_model_dir, save_only_model=True)
    given = str(folder / "checkpoint-3")
    with pytest.raises(UsageError) as caught:
        train_small(workspace, tiny_model_dir, "next", resume_from_checkpoint=given)
    assert caught.value.problems[0].code == "checkpoint_not_resumable"


def test_other_data_is_told_when_a_run_goes_on(
    workspace: Path, tiny_model_dir: Path, stop_at: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D-09: the same data says nothing, one changed row is noticed."""
    told: list[str] = []
    monkeypatch.setattr(Report, "notice", lambda _, problem: told.append(problem.code))
    given = {"max_steps": 6, "resume_from_checkpoint": "auto"}
    stop_at(2)
    with pytest.raises(Stopped):
        train_small(workspace, tiny_model_dir, max_steps=6)
    (workspace / "saves" / "run" / "stop.json").unlink()
    file = workspace / "data" / "sums.json"
    rows = json.loads(file.read_text())
    stop_at(4)
    with pytest.raises(Stopped):
        train_small(workspace, tiny_model_dir, **given)
    assert "data_changed" not in told
    (workspace / "saves" / "run" / "stop.json").unlink()
    rows[0]["output"] = "It is something else."
    file.write_text(json.dumps(rows))
    stop_at(99)
    train_small(workspace, tiny_model_dir, **given)
    assert "data_changed" in told
