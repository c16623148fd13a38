"""What happens to an argument that is changed when a training is resumed.

taken    the new value is used: the text `resume.<effect>` says from where on, and its effect
kept     the checkpoint's value stays: `resume.<effect>` says why
refused  the run cannot be resumed with it: `problem.<effect>` says why, and what to do instead

Every argument of a training has its kind here, which a test checks; docs/reference.md lists them.
"""

from collections.abc import Iterable
from typing import Literal, NamedTuple

from backend.contract.arguments.argument_names import ArgumentName
from backend.contract.arguments.fields.stages import GROUPED
from backend.contract.arguments.typed import Arguments

Kind = Literal["taken", "kept", "refused"]


class OnResume(NamedTuple):
    """The kind of an argument, and the last part of the key of its text."""

    kind: Kind
    effect: str


# Arguments of the launch, which do not change the training itself.
LAUNCH = ("output_dir", "overwrite_output_dir", "resume_from_checkpoint")

_TAKEN = {
    "rate": """
        learning_rate lr_scheduler_type lr_scheduler_kwargs warmup_steps warmup_ratio
    """,
    "length": "num_train_epochs max_steps",
    "batch": "per_device_train_batch_size gradient_accumulation_steps",
    "step": """
        adam_beta1 adam_beta2 adam_epsilon weight_decay max_grad_norm loraplus_lr_ratio
        loraplus_lr_embedding lora_dropout module_dropout neftune_noise_alpha bf16 flash_attn
        shift_attn upcast_layernorm enable_liger_kernel disable_gradient_checkpointing
        use_reentrant_gc moe_aux_loss_coef use_cpu tf32 full_determinism
    """,
    "loss": """
        label_smoothing_factor use_dft_loss use_eaft_loss eaft_alpha use_asft_loss asft_alpha
        pref_loss pref_beta pref_ftx simpo_gamma dpo_label_smoothing ld_alpha kto_chosen_weight
        kto_rejected_weight grpo_beta grpo_loss scale_rewards epsilon rloo_beta
        normalize_advantages online_dpo_loss distillation_beta lmbda teacher_top_k ppo_clip
        ppo_value_clip ppo_value_coef
    """,
    "answers": """
        max_new_tokens temperature top_p top_k repetition_penalty reward_model reward_model_type
        reward_model_adapters reward_model_quantization_bit reward_functions reward_weights
        reward_regex reward_length reward_python_file allow_reward_python ppo_score_norm
        ppo_whiten_rewards ppo_target ppo_kl_coef ppo_gamma ppo_lambda
    """,
    "order": "group_by_length disable_shuffling",
    "rows": """
        template default_system enable_thinking train_on_prompt mask_history identity_name
        identity_author cutoff_len dataset_dir strict_turns
    """,
    "other_rows": """
        dataset max_samples packing neat_packing mix_strategy interleave_probs buffer_size
        tokenized_path
    """,
    "nothing": """
        teacher_api_key teacher_server cache_dir hf_hub_token ms_hub_token use_fast_tokenizer
        trust_remote_code
        preprocessing_num_workers preprocessing_batch_size overwrite_cache dataloader_num_workers
        dataloader_pin_memory dataloader_persistent_workers dataloader_prefetch_factor
        ddp_find_unused_parameters ddp_bucket_cap_mb ddp_broadcast_buffers ddp_static_graph
        ddp_backend ddp_timeout torch_empty_cache_steps eval_dataset per_device_eval_batch_size
        eval_strategy eval_steps eval_on_start eval_delay load_best_model_at_end
        early_stopping_steps compute_accuracy do_train do_eval do_predict predict_with_generate
        logging_steps logging_strategy logging_first_step log_level save_steps save_total_limit
        save_strategy save_only_model plot_loss report_to run_name project trackio_space_id
        trackio_bucket_id trackio_static_space_id use_swanlab swanlab_project swanlab_run_name
        swanlab_workspace swanlab_mode swanlab_logdir swanlab_api_key swanlab_lark_webhook_url
        swanlab_lark_secret push_to_hub hub_model_id hub_private_repo hub_revision notify_urls
    """,
}
_KEPT = {
    "draws": "seed data_seed",
    "best": "metric_for_best_model greater_is_better",
    "begin": "init_lora_weights pissa_init pissa_iter pissa_convert prompt_tuning_init_text",
}
_REFUSED = {
    "resume_other_stage": "stage",
    "resume_other_model": """
        model_name_or_path adapter_name_or_path create_new_adapter hub_name model_revision
        rope_scaling quantization_bit quantization_method quantization_type double_quantization
        use_unsloth
    """,
    "resume_other_shapes": """
        finetuning_type lora_rank lora_target additional_target use_dora oft_rank oft_block_size
        oft_target adalora_init_r adalora_target_r vera_rank num_virtual_tokens
        encoder_hidden_size freeze_trainable_layers freeze_trainable_modules freeze_extra_modules
        use_llama_pro resize_vocab add_tokens add_special_tokens new_special_tokens_config
    """,
    "resume_other_meaning": "lora_alpha use_rslora",
    "resume_other_optimizer": """
        optim use_galore galore_target galore_rank galore_update_interval galore_scale
        galore_proj_type galore_layerwise use_apollo apollo_target apollo_rank
        apollo_update_interval apollo_scale apollo_proj apollo_proj_type apollo_scale_type
        apollo_layerwise apollo_scale_front use_badam badam_mode badam_switch_mode
        badam_start_block badam_switch_interval badam_update_ratio badam_mask_mode use_adam_mini
        use_muon deepspeed fp16 pure_bf16
    """,
    "resume_other_reference": """
        ref_model ref_model_adapters ref_model_quantization_bit teacher_model
        teacher_model_adapters teacher_model_quantization_bit teacher_server_model
    """,
    "resume_other_split": "val_size",
    "resume_other_rounds": "ppo_buffer_size ppo_epochs num_generations num_iterations",
    "resume_stream": "streaming",
}

_TABLES: dict[Kind, dict[str, str]] = {"taken": _TAKEN, "kept": _KEPT, "refused": _REFUSED}
ON_RESUME: dict[str, OnResume] = {
    name: OnResume(kind, effect)
    for kind, table in _TABLES.items()
    for effect, names in table.items()
    for name in names.split()
}

# Schedules whose state in a checkpoint holds the learning rate itself, not only a step.
STATEFUL = ("reduce_lr_on_plateau", "greedy")
ROWS = frozenset(_TAKEN["rows"].split())
OTHER_ROWS = frozenset(_TAKEN["other_rows"].split())
RATE = frozenset(_TAKEN["rate"].split())
DEVICES = "devices"  # not an argument: the number follows from the machine and the environment
OF_ROWS = ROWS | OTHER_ROWS | {DEVICES, *_TAKEN["batch"].split(), *_TAKEN["order"].split()}


def on_resume(name: str, then: Arguments, now: Arguments) -> OnResume:
    """What happens to a changed argument, given all arguments then and now."""
    stateful = {then.lr_scheduler_type, now.lr_scheduler_type} & set(STATEFUL)
    if name in RATE and stateful:
        return OnResume("refused", "resume_schedule_state")
    if name == "loraplus_lr_ratio" and not (then.loraplus_lr_ratio and now.loraplus_lr_ratio):
        return OnResume("refused", "resume_other_optimizer")
    if name == "disable_shuffling" and now.streaming:
        return OnResume("taken", "other_rows")
    if name in OF_ROWS and draws_in_rounds(now):
        return OnResume("refused", "resume_other_rounds")
    if name == DEVICES:
        spread = bool(now.deepspeed)  # each device holds a part of the optimizer's state
        return OnResume("refused", "resume_other_devices") if spread else OnResume("taken", name)
    return ON_RESUME[name]


def begins_again(changed: Iterable[str], then: Arguments, now: Arguments) -> bool:
    """Whether a change of these arguments changes the rows, so that the position in them is lost.

    A row that is only rendered differently keeps its position, unless rows are packed.
    """
    names = set(changed)
    if names & OTHER_ROWS or ("disable_shuffling" in names and now.streaming):
        return True
    return bool(names & ROWS) and (packs_rows(then) or packs_rows(now))


def draws_in_rounds(values: Arguments) -> bool:
    """Whether a stage samples answers once for several steps, whose batches cannot be cut anew."""
    passes: dict[str, tuple[ArgumentName, ...]] = {
        "ppo": ("ppo_buffer_size", "ppo_epochs"),
        **dict.fromkeys(GROUPED, ("num_iterations",)),
    }
    names = passes.get(values.stage, ())
    return any(values[name] not in (None, 1) for name in names)


def packs_rows(values: Arguments) -> bool:
    """Whether several texts are packed into a row, so that one text can shift all rows after it."""
    blocks = values.stage == "pt" and values.packing is not False
    return blocks or bool(values.packing or values.neat_packing)
