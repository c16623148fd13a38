"""Rules that span several arguments, as data: where all conditions hold, the problem stands."""

from collections.abc import Mapping
from dataclasses import dataclass

from backend.contract.field import Value
from backend.contract.problems import Problem

Condition = tuple[str, str, Value | tuple[Value, ...]]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """`problem.<code>` beside `field` where every condition (argument, operator, value) holds.

    Operators: "is" (one of the values), "not" (none of them), "set", "unset", "several" (a list
    of more than one), "above".
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
    if operator == "several":
        return isinstance(value, str) and "," in value
    return isinstance(value, int | float) and isinstance(wanted, int | float) and value > wanted


def broken(values: Mapping[str, Value], task: str) -> list[Problem]:
    """The problems and notices of every rule that these values break."""
    return [
        Problem(code=rule.code, field=rule.field, notice=rule.notice)
        for rule in RULES
        if task in rule.tasks and all(_holds(condition, values) for condition in rule.conditions)
    ]


NO_EVALUATION_DATA: tuple[Condition, ...] = (
    ("val_size", "is", 0.0),
    ("eval_dataset", "unset", None),
)

RULES: tuple[Rule, ...] = (
    Rule(
        code="predict_separately",
        field="do_predict",
        conditions=(("do_train", "is", True), ("do_predict", "is", True)),
    ),
    Rule(
        code="model_required",
        field="model_name_or_path",
        conditions=(("model_name_or_path", "unset", None),),
        tasks=("train", "eval", "chat", "api", "export"),
    ),
    Rule(
        code="dataset_required",
        field="dataset",
        conditions=(("dataset", "unset", None), ("do_train", "is", True)),
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
        code="pure_bf16_and_fp16",
        field="fp16",
        conditions=(("pure_bf16", "is", True), ("fp16", "is", True)),
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
        code="quantization_and_new_adapter",
        field="create_new_adapter",
        conditions=(("quantization_bit", "set", None), ("create_new_adapter", "is", True)),
    ),
    Rule(
        code="quantization_and_several_adapters",
        field="adapter_name_or_path",
        conditions=(("quantization_bit", "set", None), ("adapter_name_or_path", "several", None)),
        tasks=("train", "eval", "chat", "api"),
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
    *(
        Rule(
            code="needs_lora",
            field=name,
            conditions=((name, "set", None), ("finetuning_type", "not", ("lora",))),
        )
        for name in ("loraplus_lr_ratio", "use_rslora", "use_dora", "pissa_init")
    ),
    Rule(
        code="evaluation_needs_data",
        field="eval_strategy",
        conditions=(("eval_strategy", "is", ("steps", "epoch")), *NO_EVALUATION_DATA),
    ),
    Rule(
        code="best_model_needs_evaluation",
        field="load_best_model_at_end",
        conditions=(("load_best_model_at_end", "is", True), *NO_EVALUATION_DATA),
    ),
    Rule(
        code="early_stopping_needs_evaluation",
        field="early_stopping_steps",
        conditions=(("early_stopping_steps", "set", None), *NO_EVALUATION_DATA),
    ),
    *(
        Rule(
            code="evaluation_switched_off",
            field=name,
            conditions=((name, "set", None), ("eval_strategy", "is", "no")),
        )
        for name in ("load_best_model_at_end", "early_stopping_steps")
    ),
    Rule(
        code="best_model_needs_checkpoints",
        field="load_best_model_at_end",
        conditions=(("load_best_model_at_end", "is", True), ("save_strategy", "is", "no")),
    ),
    Rule(
        code="nothing_to_evaluate",
        field="do_eval",
        conditions=(("do_eval", "is", False), ("do_predict", "is", False)),
        tasks=("eval",),
    ),
    Rule(
        code="train_on_prompt_and_mask_history",
        field="mask_history",
        conditions=(("train_on_prompt", "is", True), ("mask_history", "is", True)),
    ),
)
