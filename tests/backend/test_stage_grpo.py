"""GRPO: it learns, a step is the same however it is cut, and a resumed run equals a whole one."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from backend.contract.runs import metrics
from backend.contract.texts.problems import UsageError
from backend.running.failures import Stopped
from backend.running.report import Report
from backend.stages import grpo
from backend.training import rollouts, scoring
from tests.backend.conftest import write_dataset
from tests.backend.training import train_small

SMALL: dict[str, Any] = {
    "stage": "grpo",
    "reward_functions": "json_valid,length",
    "reward_length": 20,
    "num_generations": 4,
    "max_new_tokens": 8,
    "temperature": 1.0,
    "top_p": 1.0,
    "top_k": 0,
    "per_device_train_batch_size": 2,
    "gradient_accumulation_steps": 2,
    "logging_steps": 1,
    "save_steps": 100,
}
METRICS = ("reward", "rewards/length", "reward_std", "completion_length", "clipped_ratio")


def rows(folder: Path) -> list[metrics.Metrics]:
    result, _ = metrics.read(folder / "metrics.jsonl", 0)
    return result


def curve(folder: Path) -> list[Any]:
    return [(row.step, row.loss, row.grad_norm, row.tokens, dict(row.more)) for row in rows(folder)]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = load_file(folder / "adapter_model.safetensors")
    return tensors


def test_the_mean_reward_rises(workspace: Path, tiny_model_dir: Path) -> None:
    """Answers of a random model are cut off at 8 tokens; 40 steps teach it the letter e."""
    (workspace / "mine.py").write_text(
        "def reward(prompts, completions, references):\n"
        "    return [c.count('e') / max(1, len(c)) for c in completions]\n"
    )
    folder = train_small(
        workspace,
        tiny_model_dir,
        **{
            **SMALL,
            "reward_functions": "python",
            "reward_python_file": str(workspace / "mine.py"),
            "allow_reward_python": True,
            "finetuning_type": "full",
            "num_generations": 8,
            "per_device_train_batch_size": 4,
            "gradient_accumulation_steps": 1,
            "learning_rate": 2e-2,
            "lr_scheduler_type": "constant",
            "max_steps": 40,
        },
    )
    rewards = [row.more["reward"] for row in rows(folder)]
    assert len(rewards) == 40
    assert sum(rewards[-5:]) / 5 > sum(rewards[:5]) / 5 + 0.5


def test_metrics_reach_the_record(workspace: Path, tiny_model_dir: Path) -> None:
    folder = train_small(
        workspace,
        tiny_model_dir,
        **{**SMALL, "val_size": 4, "eval_steps": 2, "grpo_beta": 0.1, "reward_weights": "2,1"},
    )
    train = [row for row in rows(folder) if row.loss is not None]
    check = [row for row in rows(folder) if row.eval_loss is not None]
    assert len(train) == 3
    assert [row.step for row in check] == [2, 3]
    for row in train:
        assert set(row.more) >= {*METRICS, "kl", "rewards/json_valid", "frac_reward_zero_std"}
        assert 0 < row.more["completion_length"] <= 8
        assert 0 <= row.more["clipped_ratio"] <= 1
        total = 2 * row.more["rewards/json_valid"] + row.more["rewards/length"]
        assert row.more["reward"] == pytest.approx(total)
    assert train[0].more["kl"] == pytest.approx(0, abs=1e-6)
    assert train[2].more["kl"] > 0
    assert check[0].eval_loss == pytest.approx(-check[0].more["eval_reward"])
    assert "eval_completion_length" in check[0].more
    results = json.loads((folder / "all_results.json").read_text())
    assert "perplexity" not in results  # a reward is no log-probability


@pytest.mark.parametrize("loss", ["grpo", "dapo", "dr_grpo"])
def test_a_step_is_the_same_however_it_is_cut(
    loss: str, workspace: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batch 4 x 1 equals 1 x 4: with the same answers, the gradient is the same.

    What is drawn depends on the batch, so the answers are made from the question alone.
    """

    def answers(model: Any, tokenizer: Any, prompts: Any, *_: Any) -> list[list[int]]:
        made = []
        for place, prompt in enumerate(prompts):
            chance = torch.Generator().manual_seed(sum(prompt) * 7 + place % 4)
            length = int(torch.randint(1, 9, (1,), generator=chance))
            made.append(torch.randint(5, 400, (length,), generator=chance).tolist())
        return made

    monkeypatch.setattr(rollouts, "generate", answers)
    result: list[Any] = []
    for batch, steps in ((4, 1), (1, 4)):
        cut = {"per_device_train_batch_size": batch, "gradient_accumulation_steps": steps}
        options = {
            **SMALL,
            **cut,
            "grpo_loss": loss,
            "grpo_beta": 0.1,
            "lr_scheduler_type": "constant",
        }
        folder = train_small(workspace, tiny_model_dir, f"{loss}{batch}", **options)
        result.append([(row.loss, row.grad_norm, row.tokens) for row in rows(folder)])
    assert len(result[0]) == 3
    for first, second in zip(*result, strict=True):
        assert first == pytest.approx(second, rel=1e-3, abs=1e-6)
        assert first[1] > 0


@pytest.mark.parametrize("iterations", [1, 3])
def test_resumed_equals_uninterrupted(
    iterations: int, workspace: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the bit, also where the stop falls between two steps on the same answers, and between two
    logged rows (3 and 6)."""
    monkeypatch.setattr("backend.training.arguments.POINTS", 1)  # else each step has a row
    options = {**SMALL, "max_steps": 7, "num_iterations": iterations, "grpo_beta": 0.05}
    options["logging_steps"] = 3
    whole = train_small(workspace, tiny_model_dir, "whole", **options)
    assert [row[0] for row in curve(whole)] == [3, 6, 7]
    ask = Report.progress

    def progress(self: Report, step: int, total: int, **extra: Any) -> None:
        ask(self, step, total, **extra)
        if step == 4:
            (self.folder / "stop.json").write_text("{}")

    with monkeypatch.context() as patch:
        patch.setattr(Report, "progress", progress)
        with pytest.raises(Stopped):
            train_small(workspace, tiny_model_dir, "parts", **options)
    parts = workspace / "saves" / "parts"
    assert (parts / "checkpoint-4" / "manifest.json").is_file()
    assert (parts / "checkpoint-4" / "answers_0.pt").is_file() == (iterations > 1)
    (parts / "stop.json").unlink()
    train_small(workspace, tiny_model_dir, "parts", resume_from_checkpoint="auto", **options)
    assert curve(parts) == curve(whole)
    first, second = weights(whole), weights(parts)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_stop_while_answers_are_drawn_loses_nothing(
    workspace: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {**SMALL, "max_steps": 5}
    whole = train_small(workspace, tiny_model_dir, "whole", **options)
    draw, calls = rollouts.generate, []

    def slow(model: Any, tokenizer: Any, *rest: Any) -> Any:
        calls.append(1)
        if len(calls) == 6:  # the second batch of the third step
            (workspace / "saves" / "parts" / "stop.json").write_text("{}")
        return draw(model, tokenizer, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(rollouts, "generate", slow)
        with pytest.raises(Stopped):
            train_small(workspace, tiny_model_dir, "parts", **options)
    assert len(calls) == 6
    parts = workspace / "saves" / "parts"
    assert (parts / "checkpoint-2" / "manifest.json").is_file()
    assert (parts / "adapter_model.safetensors").is_file()
    (parts / "stop.json").unlink()
    train_small(workspace, tiny_model_dir, "parts", resume_from_checkpoint="auto", **options)
    assert curve(parts) == curve(whole)


def test_several_steps_on_the_same_answers(
    workspace: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers are drawn once in three steps; their rewards are not counted again."""
    draw, calls = rollouts.generate, []

    def counted(*options: Any) -> Any:
        calls.append(1)
        return draw(*options)

    monkeypatch.setattr(rollouts, "generate", counted)
    options = {**SMALL, "gradient_accumulation_steps": 1, "num_iterations": 3, "max_steps": 6}
    result = rows(train_small(workspace, tiny_model_dir, **options))
    assert len(calls) == 2
    assert ["reward" in row.more for row in result] == [True, False, False, True, False, False]
    assert abs(result[0].loss or 0) < 1e-6  # advantages of a group add up to nothing
    assert abs(result[1].loss or 0) > 1e-6  # but the policy has moved since


def test_an_epoch_with_several_steps_on_each_answer(workspace: Path, tiny_model_dir: Path) -> None:
    """Five questions, two a step: three sets of answers, the last one filled up; twice each."""
    five = [{"instruction": f"Say {n}", "output": str(n)} for n in range(5)]
    write_dataset(workspace, "five", five)
    options = {**SMALL, "dataset": "five", "gradient_accumulation_steps": 1, "num_iterations": 2}
    options |= {"max_steps": None, "num_train_epochs": 1}
    folder = train_small(workspace, tiny_model_dir, **options)
    result = rows(folder)
    assert [row.step for row in result] == [1, 2, 3, 4, 5, 6]
    assert result[-1].epoch == pytest.approx(1.0)


def test_rewards_that_never_differ_are_told(
    workspace: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grpo, "PATIENCE", 2)
    options = {**SMALL, "reward_functions": "regex", "reward_regex": "^never$"}
    folder = train_small(workspace, tiny_model_dir, **options)
    codes = [
        problem["code"] for problem in json.loads((folder / "status.json").read_text())["notices"]
    ]
    assert codes.count("rewards_all_equal") == 1
    assert [row.more["frac_reward_zero_std"] for row in rows(folder)] == [1.0, 1.0, 1.0]
    assert all(row.loss == 0 for row in rows(folder))


def test_data_without_answers_cannot_be_compared(workspace: Path, tiny_model_dir: Path) -> None:
    write_dataset(workspace, "asked", [{"instruction": f"Say {n}", "output": ""} for n in range(5)])
    options = {**SMALL, "dataset": "asked", "reward_functions": "length,exact_match"}
    with pytest.raises(UsageError) as caught:
        train_small(workspace, tiny_model_dir, **options)
    assert caught.value.problems[0].code == "reward_needs_reference"


def test_a_wrong_pattern_is_told_before_the_model_is_loaded(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {**SMALL, "reward_functions": "regex", "reward_regex": "("}
    with pytest.raises(UsageError) as caught:
        train_small(workspace, workspace / "no-such-model", **options)
    assert caught.value.problems[0].code == "reward_regex_wrong"


def test_a_reward_model_judges_question_and_answer(
    workspace: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its scores count beside those of a function; it sees the tokens of both parts."""
    seen: list[list[int]] = []

    def scorer(ids: list[list[int]]) -> torch.Tensor:
        seen.extend(ids)
        return torch.tensor([-float(len(ids_of_answer)) for ids_of_answer in ids])

    monkeypatch.setattr(scoring, "load", lambda *_: scorer)
    options = {**SMALL, "reward_functions": "reward_model,length", "reward_weights": "0.5,1"}
    result = rows(train_small(workspace, tiny_model_dir, **options))
    assert len(seen) == 3 * 2 * 2 * 4  # steps, batches, questions, answers
    tokens = sum(map(len, seen))
    assert result[-1].tokens == tokens
    for row in result:
        total = 0.5 * row.more["rewards/reward_model"] + row.more["rewards/length"]
        assert row.more["reward"] == pytest.approx(total)


def test_a_reward_that_is_no_number_is_named(
    workspace: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nan = torch.tensor(float("nan"))
    monkeypatch.setattr(scoring, "load", lambda *_: lambda ids: nan.repeat(len(ids)))
    with pytest.raises(UsageError) as caught:
        train_small(workspace, tiny_model_dir, **{**SMALL, "reward_functions": "reward_model"})
    problem = caught.value.problems[0]
    assert (problem.code, problem.params["name"]) == ("reward_not_finite", "reward_model")


def test_likeliest_answers_are_read_as_the_model_says_them(
    workspace: Path, tiny_model_dir: Path
) -> None:
    """At temperature 0 nothing is drawn, and chances divided by it would be no numbers."""
    options = {**SMALL, "temperature": 0.0, "grpo_beta": 0.1, "max_steps": 2}
    figures = rows(train_small(workspace, tiny_model_dir, **options))
    assert len(figures) == 2
    for row in figures:
        assert row.loss is not None
        assert math.isfinite(row.loss)
        assert math.isfinite(row.more["kl"])
