"""RLOO by trl's trainer: it learns, a stop loses nothing, and a resumed run equals a whole one."""

import json
from pathlib import Path
from typing import Any

import pytest

from backend.contract.arguments.arguments import defaults, resolve
from backend.contract.arguments.rules import check_rules
from backend.contract.preflight.preflight import check_packages
from backend.contract.texts.problems import UsageError
from backend.running.failures import Stopped
from backend.training import scoring
from tests.backend.conftest import write_dataset
from tests.backend.training import assert_equal_runs, assert_resumed_equals, record, train_small

SMALL: dict[str, Any] = {
    "stage": "rloo",
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
            "rloo_beta": 0.001,
            "normalize_advantages": True,
            "num_generations": 8,
            "per_device_train_batch_size": 4,
            "gradient_accumulation_steps": 1,
            "learning_rate": 2e-2,
            "lr_scheduler_type": "constant",
            "max_steps": 40,
        },
    )
    rewards = [row.more["reward"] for row in record(folder)]
    assert len(rewards) == 40
    assert sum(rewards[-5:]) / 5 > sum(rewards[:5]) / 5 + 0.5


def test_metrics_reach_the_record(workspace: Path, tiny_model_dir: Path) -> None:
    """Rewards by name, weighted; an evaluation's loss is the mean reward of all its questions."""
    options = {**SMALL, "val_size": 5, "per_device_eval_batch_size": 2, "eval_steps": 2}
    folder = train_small(workspace, tiny_model_dir, **options, reward_weights="2,1")
    train = [row for row in record(folder) if row.loss is not None]
    check = [row for row in record(folder) if row.eval_loss is not None]
    assert [row.step for row in train] == [1, 2, 3]
    assert [row.step for row in check] == [2, 3]
    for row in train:
        total = 2 * row.more["rewards/json_valid"] + row.more["rewards/length"]
        assert row.more["reward"] == pytest.approx(total)
        assert 0 < row.more["completions/mean_length"] <= 8
        assert row.tokens
        assert row.tokens_per_second
        assert "step_time" not in row.more
    assert train[0].more["kl"] == pytest.approx(0, abs=1e-6)
    assert train[2].more["kl"] != 0
    for row in check:
        total = 2 * row.more["eval_rewards/json_valid"] + row.more["eval_rewards/length"]
        assert row.eval_loss == pytest.approx(-total)
    assert "trl" not in (folder / "README.md").read_text().splitlines()[0]
    assert "perplexity" not in json.loads((folder / "all_results.json").read_text())


# Steps of an epoch of 30 rows: 8, the last one filled up; stops between and within generations, at
# the end of an epoch, and between two logged rows.
@pytest.mark.parametrize(
    ("more", "stops"),
    [({}, (4, 8)), ({"num_iterations": 3, "logging_steps": 2}, (5, 6))],
)
def test_resumed_equals_uninterrupted(
    more: dict[str, Any],
    stops: tuple[int, ...],
    workspace: Path,
    tiny_model_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("backend.training.arguments.POINTS", 1)  # else each step has a row
    options = {**SMALL, "max_steps": 9, "lora_dropout": 0.1, **more}
    whole = train_small(workspace, tiny_model_dir, "whole", **options)
    if "num_iterations" in more:  # steps 1, 4 and 7 draw; the others read nothing, which is no 0
        paces = {row.step: row.tokens_per_second for row in record(whole)}
        assert list(paces) == [2, 4, 6, 8, 9]
        assert [step for step, pace in paces.items() if pace] == [2, 4, 8]
        assert [pace for pace in paces.values() if not pace] == [None] * 2
    for step in stops:
        assert_resumed_equals(whole, workspace, tiny_model_dir, step, monkeypatch, **options)


def test_a_stop_while_answers_are_drawn_loses_nothing(
    workspace: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked for before the third step's answers are drawn: the step is not done, two are kept."""
    from transformers import LlamaForCausalLM

    options = {**SMALL, "max_steps": 4}
    whole = train_small(workspace, tiny_model_dir, "whole", **options)
    parts = workspace / "saves" / "parts"
    draw, calls = LlamaForCausalLM.generate, []

    def generate(self: Any, *rest: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            (parts / "stop.json").write_text("{}")
        return draw(self, *rest, **named)

    with monkeypatch.context() as patch:
        patch.setattr(LlamaForCausalLM, "generate", generate)
        with pytest.raises(Stopped):
            train_small(workspace, tiny_model_dir, "parts", **options)
    assert (parts / "checkpoint-2" / "manifest.json").is_file()
    (parts / "stop.json").unlink()
    train_small(workspace, tiny_model_dir, "parts", resume_from_checkpoint="auto", **options)
    assert_equal_runs(parts, whole)


def test_a_reward_model_sees_question_and_answer(
    workspace: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tokens that the run's template made, and the answers without padding."""
    seen: list[list[int]] = []

    def scorer(ids: list[list[int]]) -> Any:
        import torch

        seen.extend(ids)
        return torch.tensor([-float(len(ids_of_answer)) for ids_of_answer in ids])

    monkeypatch.setattr(scoring, "load", lambda *_: scorer)
    options = {**SMALL, "reward_functions": "reward_model"}
    result = record(train_small(workspace, tiny_model_dir, **options))
    assert len(seen) == 3 * 2 * 2 * 4  # steps, batches, questions, answers
    assert result[-1].tokens == sum(map(len, seen))


def test_what_cannot_be_is_said_before_the_start(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {**defaults("train"), "stage": "rloo", "top_p": 1.0}
    wrong = {
        "not_with_trl": ({"deepspeed": "2"}, {"use_unsloth": True}, {"shift_attn": True}),
        "streaming_stage": ({"streaming": True, "max_steps": 3},),
        "answers_are_drawn": ({"temperature": 0.0}, {"top_p": 0.0}),
        "adalora_and_trl": ({"finetuning_type": "adalora"},),
        "head_and_trl": ({"lora_target": "q_proj,lm_head"},),
        "soft_prompt_stage": ({"finetuning_type": "prompt"},),
    }
    for code, cases in wrong.items():
        for case in cases:
            assert code in [one.code for one in check_rules({**values, **case}, "train")], case
    monkeypatch.setattr(
        "backend.contract.preflight.preflight.is_installed", lambda name: name != "trl"
    )
    (problem,) = check_packages(resolve(values))
    assert problem.code == "package_missing"
    assert problem.params["package"] == "'trl>=1.16,<2'"
    assert check_packages(resolve({**values, "stage": "grpo"})) == []
    monkeypatch.undo()
    for release, wrong_one in (("0.24.0", True), ("1.15.2", True), ("1.17.0.dev0", False)):
        monkeypatch.setattr("importlib.metadata.version", lambda _, own=release: own)
        codes = [one.code for one in check_packages(resolve(values))]
        assert codes == ["package_release"] * wrong_one, release
    monkeypatch.undo()
    assert '"trl>=1.16,<2"' in (Path(__file__).parents[2] / "pyproject.toml").read_text()
    write_dataset(workspace, "asked", [{"instruction": f"Say {n}", "output": ""} for n in range(5)])
    options = {**SMALL, "dataset": "asked", "reward_functions": "regex", "reward_regex": "("}
    with pytest.raises(UsageError) as caught:
        train_small(workspace, workspace / "no-such-model", **options)
    assert caught.value.problems[0].code == "reward_regex_wrong"
