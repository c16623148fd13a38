"""Rules that span several arguments, as data: where all conditions hold, the problem stands."""

from collections.abc import Mapping
from dataclasses import dataclass

from backend.contract.field import Value
from backend.contract.problems import Problem

Condition = tuple[str, str, Value | tuple[Value, ...]]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """`problem.<code>` beside `field` where every condition (argument, operator, value) holds.

    Operators: "is" (one of the values), "not" (none of them), "set", "unset", "above", "below".
    """

    code: str
    field: str
    conditions: tuple[Condition, ...]
    tasks: tuple[str, ...] = ("train",)
    notice: bool = False


def _holds(condition: Condition, values: Mapping[str, Value]) -> bool:
    name, operator, wanted = condition
    value = values.get(name)
    if operator in {"is", "not"}:
        options = wanted if isinstance(wanted, tuple) else (wanted,)
        return (value in options) == (operator == "is")
    if operator in {"set", "unset"}:
        return (value in (None, "", False)) == (operator == "unset")
    if not isinstance(value, int | float) or not isinstance(wanted, int | float):
        return False
    return value > wanted if operator == "above" else value < wanted


def broken(values: Mapping[str, Value], task: str) -> list[Problem]:
    """The problems and notices of every rule that these values break."""
    return [
        Problem(code=rule.code, field=rule.field, notice=rule.notice)
        for rule in RULES
        if task in rule.tasks and all(_holds(condition, values) for condition in rule.conditions)
    ]


RULES: tuple[Rule, ...] = (
    Rule(
        code="model_required",
        field="model_name_or_path",
        conditions=(("model_name_or_path", "unset", None),),
        tasks=("train", "eval", "chat", "api", "export"),
    ),
    Rule(
        code="dataset_required",
        field="dataset",
        conditions=(
            ("dataset", "unset", None),
            ("do_train", "is", True),
            ("tokenized_path", "unset", None),
        ),
    ),
    Rule(
        code="eval_dataset_required",
        field="eval_dataset",
        conditions=(("eval_dataset", "unset", None),),
        tasks=("eval",),
    ),
    Rule(
        code="export_dir_required",
        field="export_dir",
        conditions=(("export_dir", "unset", None),),
        tasks=("export",),
    ),
    Rule(
        code="two_validation_sets",
        field="val_size",
        conditions=(("val_size", "above", 0), ("eval_dataset", "set", None)),
    ),
    Rule(
        code="bf16_and_fp16",
        field="fp16",
        conditions=(("bf16", "is", True), ("fp16", "is", True)),
    ),
    Rule(
        code="adapter_needs_lora",
        field="adapter_name_or_path",
        conditions=(
            ("adapter_name_or_path", "set", None),
            ("finetuning_type", "not", ("lora",)),
        ),
        tasks=("train", "eval", "chat", "api", "export"),
    ),
    Rule(
        code="quantization_needs_lora",
        field="quantization_bit",
        conditions=(
            ("quantization_bit", "set", None),
            ("finetuning_type", "not", ("lora",)),
        ),
        tasks=("train", "eval", "chat", "api"),
    ),
    Rule(
        code="quantization_and_resize",
        field="resize_vocab",
        conditions=(("quantization_bit", "set", None), ("resize_vocab", "is", True)),
    ),
    Rule(
        code="pissa_and_quantization",
        field="pissa_init",
        conditions=(("quantization_bit", "set", None), ("pissa_init", "is", True)),
    ),
    Rule(
        code="two_low_rank_optimizers",
        field="use_apollo",
        conditions=(("use_galore", "is", True), ("use_apollo", "is", True)),
    ),
    Rule(
        code="lora_and_low_rank_optimizer",
        field="use_galore",
        conditions=(("use_galore", "is", True), ("finetuning_type", "is", "lora")),
    ),
    Rule(
        code="lora_and_low_rank_optimizer",
        field="use_apollo",
        conditions=(("use_apollo", "is", True), ("finetuning_type", "is", "lora")),
    ),
    Rule(
        code="best_model_needs_evaluation",
        field="load_best_model_at_end",
        conditions=(
            ("load_best_model_at_end", "is", True),
            ("val_size", "is", 0.0),
            ("eval_dataset", "unset", None),
        ),
    ),
    Rule(
        code="early_stopping_needs_evaluation",
        field="early_stopping_steps",
        conditions=(
            ("early_stopping_steps", "set", None),
            ("val_size", "is", 0.0),
            ("eval_dataset", "unset", None),
        ),
    ),
    Rule(
        code="train_on_prompt_and_mask_history",
        field="mask_history",
        conditions=(("train_on_prompt", "is", True), ("mask_history", "is", True)),
    ),
)
