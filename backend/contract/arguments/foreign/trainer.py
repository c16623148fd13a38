"""Names of transformers' TrainingArguments that are no rows: of 5.23 and of versions from 2.11."""

from backend.contract.arguments.field import Value, Values
from backend.contract.arguments.foreign.answer import (
    Foreign,
    becoming,
    idle,
    reader,
    refused,
    unless,
)

CHECKPOINTING: dict[Value, Values] = {
    True: {"disable_gradient_checkpointing": False},
    False: {"disable_gradient_checkpointing": True},
}
REENTRANT: dict[Value, Values] = {
    '{"use_reentrant": true}': {"use_reentrant_gc": True},
    '{"use_reentrant": false}': {"use_reentrant_gc": False},
}
EVALUATED: dict[Value, Values] = {
    True: {"eval_strategy": "steps"},
    False: {"eval_strategy": "no"},
}
SAMPLING: dict[Value, Values] = {
    "random": {"group_by_length": False, "disable_shuffling": False},
    "sequential": {"disable_shuffling": True},
    "group_by_length": {"group_by_length": True},
}

UPLOADS = ("end", "every_save", "checkpoint", "all_checkpoints")

# Another name for what a row of ours does, whatever the value.
BECOMING = (
    *(becoming(f"{kind}_checkpointing", CHECKPOINTING) for kind in ("gradient", "activation")),
    *(
        becoming(f"{kind}_checkpointing_kwargs", REENTRANT, "instead_reentrant", "json")
        for kind in ("gradient", "activation")
    ),
    becoming("train_sampling_strategy", SAMPLING, kind="choice"),
    becoming("sortish_sampler", {True: {"group_by_length": True}, False: {}}),
    becoming("adafactor", {True: {"optim": "adafactor"}, False: {}}),
    becoming("evaluate_during_training", EVALUATED),
)

NO_EFFECT = (
    *idle("no_effect_columns", "bool", "remove_unused_columns"),
    *idle("no_effect_row_order", "bool", "dataloader_in_order ignore_data_skip"),
    *idle("no_effect_last_batch", "bool", "dataloader_drop_last"),
    *idle("no_effect_batch_size", "bool", "auto_find_batch_size"),
    *idle("no_effect_loaders", "text", "dataloader_multiprocessing_context"),
    *idle("no_effect_cache", "bool", "use_cache"),
    *idle("no_effect_eval_precision", "bool", "bf16_full_eval fp16_full_eval"),
    *idle("no_effect_first_process", "bool", "log_on_each_node save_on_each_node"),
    *idle("no_effect_first_process", "text", "log_level_replica"),
    *idle("no_effect_not_finite", "bool", "logging_nan_inf_filter"),
    *idle("no_effect_progress", "bool", "disable_tqdm"),
    *idle(
        "no_effect_predictions",
        "bool",
        "prediction_loss_only eval_do_concat_batches eval_use_gather_object batch_eval_metrics "
        "include_inputs_for_metrics",
    ),
    *idle("no_effect_predictions", "int", "eval_accumulation_steps"),
    *idle("no_effect_predictions", "list", "include_for_metrics"),
    *idle("no_effect_stop_saves", "bool", "enable_jit_checkpoint"),
    *idle("no_effect_hub_once", "bool", "hub_always_push"),
    *idle("no_effect_callbacks", "bool", "restore_callback_states_from_checkpoint"),
    *idle("no_effect_lengths", "text", "length_column_name"),
    *idle("no_effect_memory", "bool", "skip_memory_metrics"),
    *idle("no_effect_ranks", "int", "local_rank"),
    *idle("no_effect_tokens", "bool", "include_tokens_per_second"),
    *idle("no_effect_tokens", "text", "include_num_input_tokens_seen"),
    *idle("no_effect_precision", "text", "fp16_opt_level"),
    *idle("no_effect_device", "bool", "use_mps_device"),
    *idle("no_effect_board", "text", "logging_dir"),
    *idle("no_effect_owner", "text", "ray_scope", "Ray"),
)

# These ask for what is done anyway, unless they have another value.
SWITCHES = (
    *unless(True, "instead_token_mean", "bool", "average_tokens_across_devices"),
    *unless(False, "instead_compile", "bool", "torch_compile"),
    *unless(False, "instead_shares", "bool", "split_batches dispatch_batches"),
    *unless("labels", "instead_columns", "list", "label_names"),
    *unless(True, "instead_safetensors", "bool", "save_safetensors"),
    *unless(0, "instead_deepspeed", "int", "fsdp_min_num_params"),
    *unless(False, "instead_gone", "bool", "use_legacy_prediction_loop jit_mode_eval use_ipex"),
    *unless(False, "instead_gone", "bool", "tpu_metrics_debug"),
    *unless(-1, "instead_gone", "int", "past_index"),
    Foreign(
        row=reader("hub_strategy", "choice", UPLOADS),
        idle=("end", "every_save"),
        because="no_effect_hub_once",
        instead="instead_hub_strategy",
    ),
    *(
        Foreign(
            row=reader(name, "choice", ("auto", "amp", "cuda_amp", "cpu_amp", "apex")),
            idle=("auto", "amp", "cuda_amp", "cpu_amp"),
            because="no_effect_precision",
            instead="instead_apex",
        )
        for name in ("half_precision_backend", "fp16_backend")
    ),
    Foreign(
        row=reader("fsdp", "list"),
        idle=("False", "false"),
        instead="instead_deepspeed",
    ),
)

REFUSED = (
    *refused("instead_optimizer_rows", "optim_args optim_target_modules"),
    *refused("instead_compile", "torch_compile_backend torch_compile_mode torchdynamo"),
    *refused("instead_liger", "liger_kernel_config"),
    *refused("instead_shares", "accelerator_config"),
    *refused(
        "instead_deepspeed",
        "fsdp_config fsdp_transformer_layer_cls_to_wrap parallelism_config sharded_ddp "
        "mp_parameters",
    ),
    *refused("instead_debug", "debug"),
    *refused("instead_max_new_tokens", "generation_max_length"),
    *refused("instead_generation", "generation_config"),
    *refused("instead_organization", "push_to_hub_organization"),
    *refused("instead_gone", "tpu_num_cores xpu_backend"),
)

NAMES = (*BECOMING, *NO_EFFECT, *SWITCHES, *REFUSED)

# Other names of the same argument.
ALIASES = {
    "use_liger_kernel": "enable_liger_kernel",
    "evaluation_strategy": "eval_strategy",
    "no_cuda": "use_cpu",
    "per_gpu_train_batch_size": "per_device_train_batch_size",
    "per_gpu_eval_batch_size": "per_device_eval_batch_size",
    "generation_num_beams": "num_beams",
    "hub_token": "hf_hub_token",
    "push_to_hub_token": "hf_hub_token",
    "push_to_hub_model_id": "hub_model_id",
}
