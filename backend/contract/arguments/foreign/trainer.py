"""Names of transformers' TrainingArguments that have no field here, from 2.11 to 5.23."""

from backend.contract.arguments.field import Value, Values
from backend.contract.arguments.foreign.answer import (
    Foreign,
    accept_only,
    ignore,
    reader,
    refuse,
    translate,
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
    *(translate(f"{kind}_checkpointing", CHECKPOINTING) for kind in ("gradient", "activation")),
    *(
        translate(f"{kind}_checkpointing_kwargs", REENTRANT, "instead_reentrant", "json")
        for kind in ("gradient", "activation")
    ),
    translate("train_sampling_strategy", SAMPLING, kind="choice"),
    translate("sortish_sampler", {True: {"group_by_length": True}, False: {}}),
    translate("adafactor", {True: {"optim": "adafactor"}, False: {}}),
    translate("evaluate_during_training", EVALUATED),
)

NO_EFFECT = (
    *ignore("no_effect_columns", "bool", "remove_unused_columns"),
    *ignore("no_effect_row_order", "bool", "dataloader_in_order ignore_data_skip"),
    *ignore("no_effect_last_batch", "bool", "dataloader_drop_last"),
    *ignore("no_effect_batch_size", "bool", "auto_find_batch_size"),
    *ignore("no_effect_loaders", "text", "dataloader_multiprocessing_context"),
    *ignore("no_effect_cache", "bool", "use_cache"),
    *ignore("no_effect_eval_precision", "bool", "bf16_full_eval fp16_full_eval"),
    *ignore("no_effect_first_process", "bool", "log_on_each_node save_on_each_node"),
    *ignore("no_effect_first_process", "text", "log_level_replica"),
    *ignore("no_effect_not_finite", "bool", "logging_nan_inf_filter"),
    *ignore("no_effect_progress", "bool", "disable_tqdm"),
    *ignore(
        "no_effect_predictions",
        "bool",
        "prediction_loss_only eval_do_concat_batches eval_use_gather_object batch_eval_metrics "
        "include_inputs_for_metrics",
    ),
    *ignore("no_effect_predictions", "int", "eval_accumulation_steps"),
    *ignore("no_effect_predictions", "list", "include_for_metrics"),
    *ignore("no_effect_stop_saves", "bool", "enable_jit_checkpoint"),
    *ignore("no_effect_hub_once", "bool", "hub_always_push"),
    *ignore("no_effect_callbacks", "bool", "restore_callback_states_from_checkpoint"),
    *ignore("no_effect_lengths", "text", "length_column_name"),
    *ignore("no_effect_memory", "bool", "skip_memory_metrics"),
    *ignore("no_effect_ranks", "int", "local_rank"),
    *ignore("no_effect_tokens", "bool", "include_tokens_per_second"),
    *ignore("no_effect_tokens", "text", "include_num_input_tokens_seen"),
    *ignore("no_effect_precision", "text", "fp16_opt_level"),
    *ignore("no_effect_device", "bool", "use_mps_device"),
    *ignore("no_effect_board", "text", "logging_dir"),
    *ignore("no_effect_owner", "text", "ray_scope", "Ray"),
)

# These ask for what is done anyway, unless they have another value.
SWITCHES = (
    *accept_only(True, "instead_token_mean", "bool", "average_tokens_across_devices"),
    *accept_only(False, "instead_compile", "bool", "torch_compile"),
    *accept_only(False, "instead_shares", "bool", "split_batches dispatch_batches"),
    *accept_only("labels", "instead_columns", "list", "label_names"),
    *accept_only(True, "instead_safetensors", "bool", "save_safetensors"),
    *accept_only(0, "instead_deepspeed", "int", "fsdp_min_num_params"),
    *accept_only(
        False, "instead_gone", "bool", "use_legacy_prediction_loop jit_mode_eval use_ipex"
    ),
    *accept_only(False, "instead_gone", "bool", "tpu_metrics_debug"),
    *accept_only(-1, "instead_gone", "int", "past_index"),
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
    *refuse("instead_optimizer_rows", "optim_args optim_target_modules"),
    *refuse("instead_compile", "torch_compile_backend torch_compile_mode torchdynamo"),
    *refuse("instead_liger", "liger_kernel_config"),
    *refuse("instead_shares", "accelerator_config"),
    *refuse(
        "instead_deepspeed",
        "fsdp_config fsdp_transformer_layer_cls_to_wrap parallelism_config sharded_ddp "
        "mp_parameters",
    ),
    *refuse("instead_debug", "debug"),
    *refuse("instead_max_new_tokens", "generation_max_length"),
    *refuse("instead_generation", "generation_config"),
    *refuse("instead_organization", "push_to_hub_organization"),
    *refuse("instead_gone", "tpu_num_cores xpu_backend"),
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
