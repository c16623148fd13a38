"""What follows from several arguments together: rules, evaluation instead of training, sampling."""

from functools import partial
from pathlib import Path

import pytest

from backend.contract.arguments import arguments
from backend.contract.arguments.field import Values
from backend.contract.arguments.fields import FIELDS
from backend.contract.arguments.rules import check_rules
from backend.contract.texts.problems import errors

# What LLaMA-Factory's example extras/nlg_eval says, and a few settings of training more.
PREDICTS = """
stage: sft
do_predict: true
model_name_or_path: M
eval_dataset: identity,other
cutoff_len: 2048
overwrite_cache: true
dataloader_num_workers: 4
output_dir: saves/m/lora/predict
overwrite_output_dir: true
report_to: none
per_device_eval_batch_size: 1
predict_with_generate: true
ddp_timeout: 180000000
num_beams: 2
use_cache: true
"""


def test_a_file_that_only_predicts_is_an_evaluation(tmp_path: Path) -> None:
    """do_predict without do_train, which LLaMA-Factory leaves off: refused as two runs in one."""
    file = tmp_path / "predict.yaml"
    file.write_text(PREDICTS)
    values, _ = arguments.from_argv([str(file)], "train")
    assert arguments.only_evaluates(values)
    values, problems = arguments.as_evaluation(partial(arguments.from_argv, [str(file)]))
    assert [(one.code, one.field) for one in problems] == [
        ("only_training", "ddp_timeout"),
        ("no_effect_cache", "use_cache"),
    ]
    assert all(one.notice and one.params["at"] for one in problems)
    assert (values["eval_dataset"], values["num_beams"]) == ("identity,other", 2)
    assert values["overwrite_output_dir"] is True
    assert arguments.check_parsed(values, problems, "eval") == problems


@pytest.mark.parametrize(
    ("words", "codes"),
    [
        ([], []),
        (["--do_eval"], []),
        (["--do_train", "--do_predict"], ["predict_separately"]),
        (["--do_train=false", "--do_eval=false"], ["training_switched_off"]),
    ],
)
def test_what_does_not_only_evaluate_trains(words: list[str], codes: list[str]) -> None:
    values, problems = arguments.from_argv(words, "train")
    assert (arguments.only_evaluates(values), problems) == (False, [])
    assert [one.code for one in check_rules({**values, **BASE}, "train")] == codes


@pytest.mark.parametrize("words", [["--do_predict"], ["--do_train", "false"]])
def test_an_evaluation_checks_what_belongs_to_training_too(words: list[str]) -> None:
    words = ["--dataset", "X", "--lora_rank", "x", "--learning_rat", "1", *words]
    values, _ = arguments.from_argv(words, "train")
    assert arguments.only_evaluates(values)
    values, problems = arguments.as_evaluation(partial(arguments.from_argv, words))
    assert values["eval_dataset"] == "X"
    codes = sorted(one.code for one in errors(problems))
    assert codes == ["not_int", "unknown_argument"]


BASE = {"model_name_or_path": "M", "dataset": "X"}


@pytest.mark.parametrize(
    ("task", "given", "code"),
    [
        ("train", {"val_size": 0.1, "eval_dataset": "Y"}, "two_validation_sets"),
        ("train", {"pure_bf16": True, "fp16": True}, "pure_bf16_and_fp16"),
        ("train", {"finetuning_type": "full", "adapter_name_or_path": "a"}, "adapter_needs_lora"),
        ("train", {"finetuning_type": "full", "quantization_bit": "4"}, "quantization_needs_lora"),
        ("train", {"quantization_bit": "4", "resize_vocab": True}, "quantization_and_resize"),
        ("train", {"quantization_bit": "4", "pissa_init": True}, "pissa_and_quantization"),
        (
            "train",
            {"quantization_bit": "4", "create_new_adapter": True},
            "quantization_and_new_adapter",
        ),
        (
            "train",
            {"quantization_bit": "4", "adapter_name_or_path": "a,b"},
            "quantization_and_several_adapters",
        ),
        (
            "train",
            {"finetuning_type": "full", "use_galore": True, "use_apollo": True},
            "two_optimizers",
        ),
        ("train", {"use_galore": True}, "lora_and_low_rank_optimizer"),
        ("train", {"finetuning_type": "full", "use_dora": True}, "needs_lora"),
        ("train", {"load_best_model_at_end": True}, "best_model_needs_evaluation"),
        (
            "train",
            {"load_best_model_at_end": True, "val_size": 0.1, "save_strategy": "no"},
            "best_model_needs_checkpoints",
        ),
        ("train", {"early_stopping_steps": 3}, "early_stopping_needs_evaluation"),
        (
            "train",
            {"early_stopping_steps": 3, "val_size": 0.1, "eval_strategy": "no"},
            "evaluation_switched_off",
        ),
        ("train", {"eval_strategy": "epoch"}, "evaluation_needs_data"),
        (
            "train",
            {"train_on_prompt": True, "mask_history": True},
            "train_on_prompt_and_mask_history",
        ),
        ("train", {"model_name_or_path": None}, "model_required"),
        ("eval", {"eval_dataset": "Y", "do_eval": False}, "nothing_to_evaluate"),
        ("eval", {}, "eval_dataset_required"),
        ("export", {}, "export_dir_required"),
        ("vocab", {"dataset": None, "export_dir": "X"}, "vocab_corpus_required"),
        ("vocab", {"export_dir": "X", "adapter_name_or_path": "A"}, "vocab_adapter"),
    ],
)
def test_rules_across_arguments(task: str, given: Values, code: str) -> None:
    base = {name: value for name, value in BASE.items() if task in FIELDS[name].tasks}
    values = {**arguments.defaults(task), **base, **given}
    assert [p.code for p in check_rules(values, task)] == [code]


def test_no_rule_is_broken_by_a_plain_run() -> None:
    assert check_rules({**arguments.defaults("train"), **BASE}, "train") == []


def test_alpha_follows_the_rank_only_where_it_is_unset() -> None:
    values = {**arguments.defaults("train"), "lora_rank": 4}
    assert arguments.resolve(values).lora_alpha == 8
    assert arguments.resolve({**values, "lora_alpha": 3}).lora_alpha == 3


@pytest.mark.parametrize(
    ("given", "samples"),
    [
        ({}, False),
        ({"do_predict": True, "max_new_tokens": 8, "repetition_penalty": 1.1}, False),
        ({"do_sample": True}, True),
        ({"temperature": 0.95}, True),  # said, though it is the default
        ({"top_p": 0.7}, True),
        ({"top_k": 1}, True),
        ({"temperature": 0.5, "do_sample": False}, False),
        ({"do_sample": False, "temperature": 0.5}, False),
    ],
)
def test_evaluate_samples_only_where_it_is_asked_to(
    given: dict[str, object], samples: bool
) -> None:
    """LLaMA-Factory samples at 0.95 where its predict example says nothing (GeneratingArguments,
    do_sample True), so that no score comes twice; what its YAML does say holds here, too."""
    values, problems = arguments.parse(given, "eval")
    assert not problems
    assert values["do_sample"] is samples
    again, _ = arguments.from_argv(arguments.to_argv(values, "eval"), "eval")
    assert again["do_sample"] is samples
    told = {problem.field for problem in arguments.report_ignored(values, "eval")}
    assert told == (set() if samples else set(given) & {"temperature", "top_p", "top_k"})


def test_chat_and_api_sample_by_default() -> None:
    for task in ("chat", "api"):
        assert arguments.parse({}, task)[0]["do_sample"] is True
        assert arguments.parse({"temperature": 0.3}, task)[0]["do_sample"] is True
