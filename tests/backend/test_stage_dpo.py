"""Stage dpo: every loss learns, and the reference is what it must be, for every method."""

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from backend.contract.arguments.arguments import validate
from backend.contract.preflight import preflight
from backend.contract.runs import metrics
from backend.contract.texts.problems import ModelError
from backend.training import preference
from tests.backend.preferences import (
    arguments,
    held_logps,
    last_evaluation,
    register,
    rows,
    train_preferences,
)
from tests.backend.training import small, train_small

ROOT = Path(__file__).parents[2]
FAST: dict[str, Any] = {"max_steps": 30, "learning_rate": 1e-2, "lr_scheduler_type": "constant"}


@pytest.mark.parametrize(
    ("loss", "beta", "gain"), [("sigmoid", 0.1, 10.0), ("orpo", 0.5, 3.0), ("simpo", 2.0, 10.0)]
)
def test_the_margin_of_pairs_never_seen_rises(
    loss: str, beta: float, gain: float, workspace: Path, tiny_model_dir: Path
) -> None:
    """By so many nats a pair between chosen and rejected, measured on the saved adapter."""
    folder = train_preferences(workspace, tiny_model_dir, pref_loss=loss, pref_beta=beta, **FAST)
    before = held_logps(workspace, tiny_model_dir)
    after = held_logps(workspace, tiny_model_dir, str(folder))
    rise = (after[0] - after[1]) - (before[0] - before[1])
    assert rise.min() > gain
    more = last_evaluation(folder).more
    assert more["eval_rewards/accuracies"] == 1.0
    assert more["eval_logps/chosen"] == pytest.approx(after[0].mean().item(), rel=1e-4)
    assert more["eval_logps/rejected"] == pytest.approx(after[1].mean().item(), rel=1e-4)


@pytest.mark.parametrize(("loss", "start"), [("hinge", 1.0), ("ipo", 25.0), ("kto_pair", 0.5)])
def test_the_loss_starts_where_it_must_and_falls(
    loss: str, start: float, workspace: Path, tiny_model_dir: Path
) -> None:
    options = {**FAST, "max_steps": 15}
    folder = train_preferences(workspace, tiny_model_dir, pref_loss=loss, **options)
    assert rows(folder)[0].loss == pytest.approx(start, abs=1e-4)
    last = rows(folder)[-1].loss
    assert last is not None
    assert last < 0.95 * start
    assert last_evaluation(folder).more["eval_rewards/margins"] > 0.2


@pytest.fixture
def first(workspace: Path, tiny_model_dir: Path) -> Path:
    """An adapter that was fine-tuned before, as DPO usually goes on from."""
    return train_small(workspace, tiny_model_dir, "first", learning_rate=1e-2, max_steps=5)


METHODS: dict[str, dict[str, Any]] = {
    "lora": {},
    "full": {"finetuning_type": "full"},
    "freeze": {"finetuning_type": "freeze", "freeze_trainable_layers": 1},
    "continued": {"adapter_name_or_path": "first"},
    "on top": {"adapter_name_or_path": "first", "create_new_adapter": True},
}


@pytest.mark.parametrize("method", METHODS)
def test_the_reference_is_the_model_before_training(
    method: str, workspace: Path, tiny_model_dir: Path, first: Path
) -> None:
    """At step 0 the loss is log 2 and rewards are 0; later they are beta times what changed.

    A reference that moves along, or that is the base below a continued adapter, gives others.
    """
    options = {**METHODS[method]}
    adapter = str(first) if options.get("adapter_name_or_path") else None
    options |= {"adapter_name_or_path": adapter} if adapter else {}
    folder = train_preferences(workspace, tiny_model_dir, learning_rate=5e-3, **options)
    start = rows(folder)[0]
    assert start.loss == pytest.approx(math.log(2), abs=1e-6)
    assert start.more["rewards/chosen"] == start.more["rewards/rejected"] == 0.0
    before = held_logps(workspace, tiny_model_dir, adapter)
    whole = "finetuning_type" in options
    parts = [each for each in (adapter, str(folder)) if each]
    tuned = parts[-1] if method == "continued" else ",".join(parts)
    after = held_logps(workspace, folder if whole else tiny_model_dir, None if whole else tuned)
    rewards = 0.1 * (after - before)
    more = last_evaluation(folder).more
    assert rewards.abs().max() > 0.05
    assert more["eval_rewards/chosen"] == pytest.approx(rewards[0].mean().item(), abs=1e-4)
    assert more["eval_rewards/rejected"] == pytest.approx(rewards[1].mean().item(), abs=1e-4)
    loss = preference.sigmoid_loss(rewards[0], rewards[1]).mean().item()
    assert last_evaluation(folder).eval_loss == pytest.approx(loss, abs=1e-4)


def other_model(model: Path, folder: Path, vocabulary: int = 0) -> Path:
    """The tiny model with other weights, and fewer tokens where asked."""
    shutil.copytree(model, folder)
    torch.manual_seed(5)
    net = AutoModelForCausalLM.from_pretrained(model)
    for weights in net.parameters():
        weights.data += 0.02 * torch.randn_like(weights)
    if vocabulary:
        net.resize_token_embeddings(vocabulary)
    net.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("adapted", [False, True])
def test_another_model_as_reference(
    adapted: bool, workspace: Path, tiny_model_dir: Path, first: Path
) -> None:
    """ref_model, or adapters of its own on the base."""
    other = other_model(tiny_model_dir, workspace / "other")
    named = {"ref_model_adapters": str(first)} if adapted else {"ref_model": str(other)}
    folder = train_preferences(workspace, tiny_model_dir, learning_rate=0.0, max_steps=1, **named)
    own = held_logps(workspace, tiny_model_dir)
    start = held_logps(workspace, *((tiny_model_dir, str(first)) if adapted else (other,)))
    rewards = 0.1 * (own - start)
    assert rewards.abs().min() > 1e-4
    result = last_evaluation(folder).more
    assert result["eval_rewards/chosen"] == pytest.approx(rewards[0].mean().item(), abs=1e-4)
    assert result["eval_rewards/rejected"] == pytest.approx(rewards[1].mean().item(), abs=1e-4)


def test_a_reference_of_another_family_is_refused(workspace: Path, tiny_model_dir: Path) -> None:
    """Its embedding would be asked for tokens that it has not: an index error, far from here."""
    other = other_model(tiny_model_dir, workspace / "other", vocabulary=100)
    with pytest.raises(ModelError) as caught:
        train_preferences(workspace, tiny_model_dir, ref_model=str(other))
    problem = caught.value.problems[0]
    assert (problem.code, problem.field) == ("reference_vocabulary", "ref_model")


def test_a_reference_that_is_not_there_is_said_beside_its_field(
    workspace: Path, tiny_model_dir: Path
) -> None:
    there, adapter = str(workspace / "nowhere"), str(workspace / "no" / "adapter")
    values = small(tiny_model_dir, stage="dpo", ref_model=there, ref_model_adapters=adapter)
    result = {problem.field: problem.code for problem in preflight.check_model(values)}
    assert result == {"ref_model": "model_missing", "ref_model_adapters": "adapter_missing"}
    with pytest.raises(ModelError) as caught:
        train_preferences(workspace, tiny_model_dir, ref_model=there)
    assert caught.value.problems[0].field == "ref_model"


@pytest.mark.parametrize("options", [{"pref_ftx": 0.5, "ld_alpha": 0.3}, {"pref_loss": "orpo"}])
def test_accumulation_and_evaluation_are_exact(
    options: dict[str, Any], workspace: Path, tiny_model_dir: Path
) -> None:
    """Batch 1 four times accumulated equals batch 4; evaluation batches may be of any size."""
    same = {"max_steps": 3, "disable_shuffling": True, "group_by_length": False, **options}
    one = {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 4}
    four = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 1}
    left = train_preferences(
        workspace, tiny_model_dir, "one", per_device_eval_batch_size=1, **one, **same
    )
    right = train_preferences(workspace, tiny_model_dir, "four", **four, **same)
    assert len(rows(left)) == 3
    for a, b in zip(rows(left), rows(right), strict=True):
        assert a.loss == pytest.approx(b.loss, abs=1e-5)
        assert a.grad_norm == pytest.approx(b.grad_norm, rel=1e-3)
        assert a.more == pytest.approx(b.more, abs=1e-4)
        assert a.tokens == b.tokens
    assert last_evaluation(left).eval_loss == pytest.approx(
        last_evaluation(right).eval_loss, abs=1e-5
    )
    assert last_evaluation(left).more == pytest.approx(last_evaluation(right).more, abs=1e-4)


def test_two_processes_learn_as_one(workspace: Path, tiny_model_dir: Path) -> None:
    """Split pairs, the mean over the pairs of all, figures too; the fifth pair fills up a batch."""
    register(workspace)
    options = {**arguments(), "model_name_or_path": tiny_model_dir, "eval_strategy": "steps"}
    options |= {"eval_steps": 2, "per_device_eval_batch_size": 2, "gradient_accumulation_steps": 1}
    two = {"FORCE_TORCHRUN": "1", "NPROC_PER_NODE": "2"}
    folders = []
    for name, size, more in (("one", 4, {}), ("two", 2, two)):
        folders.append(workspace / "saves" / name)
        words = {**options, "output_dir": folders[-1], "per_device_train_batch_size": size}
        subprocess.run(
            [sys.executable, "-m", "backend", "train", *(f"{k}={v}" for k, v in words.items())],
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **more},
            check=True,
            capture_output=True,
            timeout=200,
        )
    one, both = (metrics.read(folder / "metrics.jsonl", 0)[0] for folder in folders)
    assert [row.step for row in one] == [row.step for row in both] == [1, 2, 2, 3, 4, 4]
    for a, b in zip(one, both, strict=True):
        assert (a.loss or a.eval_loss) == pytest.approx(b.loss or b.eval_loss, abs=1e-5)
        assert a.more == pytest.approx(b.more, abs=1e-3)


def test_the_sft_term_and_length_weights_are_in_the_loss(
    workspace: Path, tiny_model_dir: Path
) -> None:
    """Step 1: log 2, plus half the mean loss a token of chosen answers; the weights show later."""
    options: dict[str, Any] = {"disable_shuffling": True, "group_by_length": False}
    plain = train_preferences(workspace, tiny_model_dir, "plain", **options)
    ftx = train_preferences(workspace, tiny_model_dir, "ftx", pref_ftx=0.5, **options)
    start = rows(ftx)[0]
    assert start.loss == pytest.approx(math.log(2) + 0.5 * start.more["sft_loss"], abs=1e-4)
    assert start.more["sft_loss"] == pytest.approx(6.0, abs=0.5)  # ln(vocabulary), untrained
    short = train_preferences(workspace, tiny_model_dir, "short", ld_alpha=0.0, **options)
    assert rows(short)[0].loss == pytest.approx(math.log(2), abs=1e-6)
    assert rows(short)[-1].more["rewards/rejected"] > rows(plain)[-1].more["rewards/rejected"]
    whole = train_preferences(workspace, tiny_model_dir, "whole", ld_alpha=1.0, **options)
    assert [row.loss for row in rows(whole)] == [row.loss for row in rows(plain)]


@pytest.mark.parametrize("method", ["lora", "full", "continued"])
def test_a_resumed_run_equals_an_unbroken_one(
    method: str, workspace: Path, tiny_model_dir: Path, first: Path
) -> None:
    """To the bit: the reference is the model before training, not that of the checkpoint."""
    options = {**METHODS[method], "max_steps": 6, "save_steps": 3, "lora_dropout": 0.1}
    if method == "continued":
        options["adapter_name_or_path"] = str(first)
    folder = train_preferences(workspace, tiny_model_dir, **options)
    file = folder / ("model.safetensors" if method == "full" else "adapter_model.safetensors")
    curve = [(row.step, row.loss, row.grad_norm, dict(row.more)) for row in rows(folder)]
    weights = load_file(file)
    shutil.rmtree(folder / "checkpoint-6")
    train_preferences(workspace, tiny_model_dir, resume_from_checkpoint="auto", **options)
    assert [(row.step, row.loss, row.grad_norm, dict(row.more)) for row in rows(folder)] == curve
    assert all(torch.equal(weights[name], each) for name, each in load_file(file).items())


def test_results_have_the_metrics_of_the_stage(workspace: Path, tiny_model_dir: Path) -> None:
    """And no perplexity: the loss is none of next tokens."""
    folder = train_preferences(workspace, tiny_model_dir, pref_loss="orpo")
    results = json.loads((folder / "all_results.json").read_text())
    assert {"rewards/margins", "eval_rewards/accuracies", "eval_odds_ratio_loss"} <= set(results)
    assert {"odds_ratio_loss", "sft_loss", "eval_loss"} <= set(results)
    assert "perplexity" not in results
    assert results["eval_logps/chosen"] == last_evaluation(folder).more["eval_logps/chosen"]


def test_rules() -> None:
    raw: dict[str, Any] = {"model_name_or_path": "m", "dataset": "d", "stage": "dpo"}

    def told(**options: Any) -> list[tuple[str, str, bool]]:
        result = validate({**raw, **options}, "train")
        return [(problem.code, problem.field, problem.notice) for problem in result]

    assert told() == []
    assert told(dpo_label_smoothing=0.1) == []
    assert told(dpo_label_smoothing=0.1, pref_loss="ipo") == [
        ("smoothing_needs_sigmoid", "dpo_label_smoothing", False)
    ]
    assert told(ref_model="m", pref_loss="simpo") == [("reference_not_used", "ref_model", True)]
    assert told(pref_ftx=1.0, pref_loss="orpo") == [("ftx_not_used", "pref_ftx", True)]
    assert told(pissa_init=True) == [("changed_base_and_reference", "pissa_init", False)]
    assert told(pissa_init=True, pref_loss="orpo") == []
