"""Rules across several arguments, as data: a rule is broken where all its conditions hold."""

from backend.contract.arguments.field import Values
from backend.contract.arguments.fields.methods import ADAPTERS, QUANTIZABLE
from backend.contract.arguments.fields.serving import GPTQ_BITS
from backend.contract.arguments.fields.stages import DRAWING, REWARDED
from backend.contract.arguments.rule import Condition, Rule
from backend.contract.arguments.trl_rules import TRL_RULES
from backend.contract.arguments.tuning_rules import METHOD_RULES, TUNING_RULES
from backend.contract.texts.problems import Problem


def check_rules(values: Values, task: str) -> list[Problem]:
    """A problem or notice for each rule that these values break."""
    return [
        Problem(code=rule.code, field=rule.field, notice=rule.notice)
        for rule in RULES
        if task in rule.tasks and rule.is_broken(values)
    ]


NO_EVALUATION_DATA: tuple[Condition, ...] = (
    ("val_size", "is", 0.0),
    ("eval_dataset", "unset", None),
)

JUDGED: Condition = ("stage", "is", REWARDED)
DPO: Condition = ("stage", "is", "dpo")

ENGINE: Condition = ("infer_backend", "is", ("vllm", "sglang"))

RULES: tuple[Rule, ...] = (
    Rule(
        code="predict_separately",
        field="do_predict",
        conditions=(("do_predict", "is", True),),
    ),
    Rule(
        code="training_switched_off",
        field="do_train",
        conditions=(("do_train", "is", False),),
    ),
    Rule(
        code="model_required",
        field="model_name_or_path",
        conditions=(("model_name_or_path", "unset", None),),
        tasks=("train", "eval", "chat", "api", "export", "vocab"),
    ),
    Rule(
        code="dataset_required",
        field="dataset",
        conditions=(
            ("dataset", "unset", None),
            ("tokenized_path", "unset", None),
            ("do_train", "not", False),
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
        tasks=("export", "vocab"),
    ),
    Rule(
        code="vocab_corpus_required",
        field="dataset",
        conditions=(("dataset", "unset", None),),
        tasks=("vocab",),
    ),
    Rule(
        code="vocab_adapter",
        field="adapter_name_or_path",
        conditions=(("adapter_name_or_path", "set", None),),
        tasks=("vocab",),
    ),
    Rule(
        code="export_quantization_dataset_required",
        field="export_quantization_dataset",
        conditions=(
            ("export_quantization_bit", "is", GPTQ_BITS),
            ("export_quantization_dataset", "unset", None),
        ),
        tasks=("export",),
    ),
    Rule(
        code="export_quantization_and_adapter",
        field="export_quantization_bit",
        conditions=(
            ("export_quantization_bit", "is", GPTQ_BITS),
            ("adapter_name_or_path", "set", None),
        ),
        tasks=("export",),
    ),
    *(
        Rule(code=code, field=name, conditions=(("streaming", "is", True), *more))
        for code, name, *more in (
            ("streaming_needs_steps", "max_steps", ("max_steps", "unset", None)),
            ("streaming_max_samples", "max_samples", ("max_samples", "set", None)),
            ("streaming_val_size", "val_size", ("val_size", "above", 0), ("val_size", "below", 1)),
            ("streaming_saved", "tokenized_path", ("tokenized_path", "set", None)),
            ("streaming_stage", "streaming", ("stage", "is", DRAWING)),
        )
    ),
    Rule(
        code="streaming_not_grouped",
        field="group_by_length",
        conditions=(("streaming", "is", True), ("group_by_length", "is", True)),
        notice=True,
    ),
    Rule(
        code="stage_not_evaluated",
        field="stage",
        conditions=(("stage", "not", ("pt", "sft", "rm")),),
        tasks=("eval",),
    ),
    *(
        Rule(
            code="predict_needs_answers",
            field=name,
            conditions=(("stage", "is", ("pt", "rm")), (name, "is", True)),
            tasks=("eval",),
        )
        for name in ("do_predict", "predict_with_generate")
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
            ("finetuning_type", "not", ADAPTERS),
        ),
        tasks=("train", "eval", "chat", "api", "export"),
    ),
    Rule(
        code="quantization_needs_lora",
        field="quantization_bit",
        conditions=(
            ("quantization_bit", "set", None),
            ("finetuning_type", "not", QUANTIZABLE),
        ),
        tasks=("train", "eval", "chat", "api"),
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
    *METHOD_RULES,
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
        code="eval_on_start_needs_data",
        field="eval_on_start",
        conditions=(("eval_on_start", "is", True), *NO_EVALUATION_DATA),
    ),
    Rule(
        code="evaluation_switched_off",
        field="eval_on_start",
        conditions=(("eval_on_start", "is", True), ("eval_strategy", "is", "no")),
    ),
    Rule(
        code="metric_not_used",
        field="metric_for_best_model",
        conditions=(
            ("metric_for_best_model", "set", None),
            ("load_best_model_at_end", "is", False),
            ("early_stopping_steps", "unset", None),
            ("lr_scheduler_type", "not", ("reduce_lr_on_plateau", "greedy")),
        ),
        notice=True,
    ),
    Rule(
        code="reentrant_and_unused",
        field="ddp_find_unused_parameters",
        conditions=(("use_reentrant_gc", "is", True), ("ddp_find_unused_parameters", "is", True)),
    ),
    Rule(
        code="nothing_to_evaluate",
        field="do_eval",
        conditions=(("do_eval", "is", False), ("do_predict", "is", False)),
        tasks=("eval",),
    ),
    *(
        Rule(
            code="not_with_engine",
            field=name,
            conditions=((name, "set", None), ENGINE),
            tasks=("api",),
        )
        for name in ("quantization_bit", "rope_scaling")
    ),
    Rule(
        code="one_adapter_with_engine",
        field="adapter_name_or_path",
        conditions=(("adapter_name_or_path", "several", None), ENGINE),
        tasks=("api",),
    ),
    Rule(
        code="engine_only_serves",
        field="infer_backend",
        conditions=(ENGINE,),
        tasks=("chat",),
    ),
    *(
        Rule(
            code="engine_ignores",
            field=name,
            conditions=((name, "not", usual), ENGINE),
            tasks=("api",),
            notice=True,
        )
        for name, usual in (("template", "auto"), ("default_system", None), ("flash_attn", "auto"))
    ),
    *(
        Rule(
            code="not_with_zero3",
            field=name,
            conditions=((name, "set", None), ("deepspeed", "is", ("3", "3_offload"))),
        )
        for name in ("pissa_init", "pure_bf16", "quantization_bit")
    ),
    Rule(
        code="train_on_prompt_and_mask_history",
        field="mask_history",
        conditions=(("train_on_prompt", "is", True), ("mask_history", "is", True)),
    ),
    Rule(
        code="smoothing_needs_sigmoid",
        field="dpo_label_smoothing",
        conditions=(DPO, ("dpo_label_smoothing", "above", 0), ("pref_loss", "not", "sigmoid")),
    ),
    *(
        Rule(
            code="reference_not_used",
            field=name,
            conditions=(DPO, ("pref_loss", "is", ("orpo", "simpo")), (name, "set", None)),
            notice=True,
        )
        for name in ("ref_model", "ref_model_adapters", "ref_model_quantization_bit")
    ),
    Rule(
        code="ftx_not_used",
        field="pref_ftx",
        conditions=(DPO, ("pref_loss", "is", "orpo"), ("pref_ftx", "above", 0)),
        notice=True,
    ),
    Rule(
        code="rollouts_narrow",
        field="top_p",
        conditions=(("stage", "is", DRAWING), ("top_p", "is", 0.7)),
        notice=True,
    ),
    *(
        Rule(
            code="reward_model_required",
            field="reward_model",
            conditions=(*stage, ("reward_model", "unset", None)),
        )
        for stage in (
            (("stage", "is", "ppo"),),
            (JUDGED, ("reward_functions", "lists", "reward_model")),
        )
    ),
    Rule(
        code="not_with_zero3",
        field="stage",
        conditions=(("stage", "is", "ppo"), ("deepspeed", "is", ("3", "3_offload"))),
    ),
    Rule(
        code="reward_regex_required",
        field="reward_regex",
        conditions=(
            JUDGED,
            ("reward_functions", "lists", "regex"),
            ("reward_regex", "unset", None),
        ),
    ),
    Rule(
        code="reward_python_required",
        field="reward_python_file",
        conditions=(
            JUDGED,
            ("reward_functions", "lists", "python"),
            ("reward_python_file", "unset", None),
        ),
    ),
    Rule(
        code="reward_python_not_allowed",
        field="allow_reward_python",
        conditions=(
            JUDGED,
            ("reward_functions", "lists", "python"),
            ("allow_reward_python", "is", False),
        ),
    ),
    *TUNING_RULES,
    *TRL_RULES,
)
