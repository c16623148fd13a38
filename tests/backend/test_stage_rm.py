"""Reward models: they learn to tell better answers from worse ones, and are saved and resumed."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from backend.contract.arguments import arguments
from backend.contract.arguments.arguments import resolve
from backend.contract.runs import metrics
from backend.contract.texts.problems import ModelError
from backend.evaluation import evaluate
from backend.model import load, value_head
from backend.running.failures import Stopped
from backend.running.report import Report
from tests.backend.preferences import last_evaluation, rows, train_preferences
from tests.backend.training import small

METRICS = {"rewards/chosen", "rewards/rejected", "rewards/margins", "rewards/accuracies"}
HEAD = "value_head.safetensors"


def run(home: Path, model: Path, name: str = "run", **options: Any) -> Path:
    return train_preferences(home, model, name, **{"stage": "rm", **options})


def test_held_out_pairs_are_told_apart(workspace: Path, tiny_model_dir: Path) -> None:
    folder = run(workspace, tiny_model_dir, max_steps=40, learning_rate=5e-3)
    check = last_evaluation(folder)
    assert check.more["eval_rewards/accuracies"] >= 0.9
    assert check.more["eval_rewards/margins"] > 0.5
    assert check.eval_loss is not None
    assert check.eval_loss < 0.5
    assert rows(folder)[0].loss == pytest.approx(0.69, abs=0.3)
    assert all(set(row.more) >= METRICS for row in rows(folder))


def test_an_adapter_is_saved_with_its_head_alone(workspace: Path, tiny_model_dir: Path) -> None:
    folder = run(workspace, tiny_model_dir)
    head = load_file(folder / HEAD)
    assert {name: list(each.shape) for name, each in head.items()} == {
        "v_head.summary.weight": [1, 32],
        "v_head.summary.bias": [1],
    }
    adapter = load_file(folder / "adapter_model.safetensors")
    assert adapter
    assert all("lora_" in name for name in adapter)
    assert not (folder / "model.safetensors").exists()
    size = sum(
        path.stat().st_size for path in (folder / HEAD, folder / "adapter_model.safetensors")
    )
    assert size < (tiny_model_dir / "model.safetensors").stat().st_size


def test_a_whole_model_is_saved_without_the_head_in_it(
    workspace: Path, tiny_model_dir: Path
) -> None:
    folder = run(workspace, tiny_model_dir, finetuning_type="full")
    names = load_file(folder / "model.safetensors").keys()
    assert names == load_file(tiny_model_dir / "model.safetensors").keys()
    assert (folder / HEAD).is_file()


@pytest.mark.parametrize("method", ["lora", "full", "freeze"])
def test_resumed_equals_uninterrupted(
    method: str, workspace: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"max_steps": 6, "finetuning_type": method, "freeze_trainable_layers": 1}
    whole = run(workspace, tiny_model_dir, "whole", **options)
    ask = Report.progress

    def progress(self: Report, step: int, total: int, **extra: Any) -> None:
        ask(self, step, total, **extra)
        if step == 3:
            (self.folder / "stop.json").write_text("{}")

    with monkeypatch.context() as patch:
        patch.setattr(Report, "progress", progress)
        with pytest.raises(Stopped):
            run(workspace, tiny_model_dir, "cut", **options)
    folder = workspace / "saves" / "cut"
    assert len(rows(folder)) == 3
    (folder / "stop.json").unlink()
    run(workspace, tiny_model_dir, "cut", resume_from_checkpoint="true", **options)
    for name in (HEAD, "adapter_model.safetensors", "model.safetensors"):
        if (whole / name).exists():
            first, second = load_file(whole / name), load_file(folder / name)
            assert all(torch.equal(first[key], second[key]) for key in first)
    assert [row.more for row in rows(whole)] == [row.more for row in rows(folder)]


def test_a_finished_reward_model_opens_as_a_model_and_learns_on(
    workspace: Path, tiny_model_dir: Path
) -> None:
    folder = run(workspace, tiny_model_dir, max_steps=30, learning_rate=5e-3)
    values = small(folder, stage="rm")
    net = value_head.attach(
        load.model(values, training=True), load.last_folder(values), random=True
    )
    head = load_file(folder / HEAD)
    assert torch.equal(net.value_head.weight, head["v_head.summary.weight"])
    again = run(
        workspace, tiny_model_dir, "again", adapter_name_or_path=str(folder), learning_rate=1e-5
    )
    assert rows(again)[0].loss < 0.5


def test_the_best_checkpoint_brings_its_head(workspace: Path, tiny_model_dir: Path) -> None:
    folder = run(
        workspace,
        tiny_model_dir,
        max_steps=6,
        eval_strategy="steps",
        eval_steps=2,
        save_steps=2,
        load_best_model_at_end=True,
        learning_rate=0.05,
    )
    evaluations = [
        row for row in metrics.read(folder / "metrics.jsonl")[0] if row.eval_loss is not None
    ]
    best = min(evaluations, key=lambda row: row.eval_loss or 0.0)
    head = load_file(folder / f"checkpoint-{best.step}" / HEAD)
    final = load_file(folder / HEAD)
    assert all(torch.equal(head[name], final[name]) for name in head)
    results = json.loads((folder / "all_results.json").read_text())
    assert results["eval_rewards/accuracies"] == best.more["eval_rewards/accuracies"]


def test_evaluation_of_a_finished_reward_model_gives_what_its_training_gave(
    workspace: Path, tiny_model_dir: Path
) -> None:
    folder = run(workspace, tiny_model_dir, max_steps=20, learning_rate=5e-3)
    options = {
        "stage": "rm",
        "model_name_or_path": str(tiny_model_dir),
        "adapter_name_or_path": str(folder),
        "eval_dataset": "held_pairs",
        "dataset_dir": str(workspace / "data"),
        "do_predict": False,
        "cutoff_len": 128,
    }
    values, problems = arguments.parse(options, "eval")
    assert not problems
    assert not arguments.validate(options, "eval")
    target = workspace / "saves" / "evaluation"
    target.mkdir()
    evaluate.run(resolve(values), target)
    results = json.loads((target / "all_results.json").read_text())
    check = last_evaluation(folder)
    assert results["eval_loss"] == pytest.approx(check.eval_loss, rel=1e-4)
    for name in METRICS:
        assert results[f"eval_{name}"] == pytest.approx(check.more[f"eval_{name}"], rel=1e-4)
    with pytest.raises(ModelError) as caught:
        evaluate.run(resolve({**values, "adapter_name_or_path": None}), target)
    assert caught.value.problems[0].code == "reward_no_head"
