"""Names of LLaMA-Factory (of August 2026, and of its versions before) that have no field here."""

from backend.contract.arguments.field import Value, Values
from backend.contract.arguments.foreign.answer import (
    Foreign,
    accept_only,
    ignore,
    reader,
    refuse,
    translate,
)

CONTINUED: dict[Value, Values] = {
    True: {"create_new_adapter": False},
    False: {"create_new_adapter": True},
}
BECOMING = (translate("resume_lora_training", CONTINUED),)

NO_EFFECT = (
    *ignore("no_effect_text_only", "path", "media_dir image_dir"),
    *ignore(
        "no_effect_text_only",
        "int",
        "image_max_pixels image_min_pixels video_max_pixels video_min_pixels video_maxlen "
        "audio_sampling_rate image_resolution video_resolution",
    ),
    *ignore("no_effect_text_only", "float", "video_fps"),
    *ignore(
        "no_effect_text_only", "bool", "image_do_pan_and_scan crop_to_patches use_audio_in_video"
    ),
    *ignore("no_effect_one_machine", "bool", "data_shared_file_system"),
    *ignore("no_effect_port", "int", "master_port"),
    *ignore("no_effect_badam", "int", "badam_verbose"),
    *ignore("no_effect_tokens", "bool", "include_effective_tokens_per_second"),
    *ignore("no_effect_loading", "bool", "low_cpu_mem_usage"),
    *ignore("no_effect_offload", "path", "offload_folder"),
    *ignore("no_effect_cache", "bool", "use_kv_cache"),
    *ignore("no_effect_float32", "bool", "upcast_lmhead_output"),
    *ignore("no_effect_parameters", "bool", "print_param_status"),
    *ignore("no_effect_max_length", "int", "max_length"),
    *ignore("no_effect_versions", "bool", "disable_version_checking"),
    *ignore("no_effect_owner", "text", "fp8_backend", "fp8"),
    *ignore("no_effect_owner", "bool", "fp8_enable_fsdp_float8_all_gather", "fp8"),
    *ignore(
        "no_effect_owner",
        "text",
        "kt_cpu_activation kt_weight_path kt_non_expert_weight_path kt_expert_checkpoint_path "
        "kt_optimize_rule kt_mode",
        "use_kt",
    ),
    *ignore(
        "no_effect_owner", "bool", "kt_use_lora_experts kt_use_cuda_graph kt_force_think", "use_kt"
    ),
    *ignore(
        "no_effect_owner",
        "int",
        "kt_lora_expert_num kt_lora_expert_intermediate_size kt_maxlen cpu_infer chunk_size",
        "use_kt",
    ),
    *ignore(
        "no_effect_owner", "text", "profiler_output_dir profile_modules", "enable_torch_profiler"
    ),
    *ignore(
        "no_effect_owner",
        "int",
        "profiler_wait_steps profiler_warmup_steps profiler_active_steps profiler_repeat",
        "enable_torch_profiler",
    ),
    *ignore(
        "no_effect_owner",
        "bool",
        "profiler_record_shapes profiler_profile_memory profiler_with_stack",
        "enable_torch_profiler",
    ),
    *ignore("no_effect_owner", "text", "hyper_parallel_args", "use_hyper_parallel"),
    *ignore(
        "no_effect_owner",
        "bool",
        "account_for_embedding_in_pipeline_split account_for_loss_in_pipeline_split "
        "bias_activation_fusion apply_rope_fusion masked_softmax_fusion cross_entropy_loss_fusion "
        "moe_grouped_gemm calculate_per_token_loss use_distributed_optimizer overlap_param_gather "
        "overlap_grad_reduce export_hf_on_finish",
        "use_megatron_bridge",
    ),
    *ignore(
        "no_effect_owner",
        "text",
        "recompute_granularity recompute_method moe_token_dispatcher_type "
        "megatron_pretrained_checkpoint extra_config megatron_bridge_args",
        "use_megatron_bridge",
    ),
    *ignore("no_effect_owner", "int", "recompute_num_layers", "use_megatron_bridge"),
    Foreign(  # accelerate has an argument of this name, too: its bf16 is not Megatron's bf16_mixed
        row=reader("mixed_precision", "text"),
        idle=("bf16_mixed", "fp16_mixed"),
        because="no_effect_owner",
        owner="use_megatron_bridge",
        instead="instead_mixed_precision",
    ),
    Foreign(
        row=reader(
            "init_special_tokens", "choice", ("noise_init", "desc_init", "desc_init_w_noise")
        ),
        idle=None,
        because="no_effect_new_tokens",
    ),
)

# These ask for what is done anyway, unless they have another value.
SWITCHES = (
    *accept_only(
        True, "instead_frozen", "bool", "freeze_vision_tower freeze_multi_modal_projector"
    ),
    *accept_only(
        False, "instead_frozen", "bool", "freeze_language_model train_mm_proj_only use_mllm"
    ),
    *accept_only(False, "instead_frozen", "bool", "visual_inputs"),
    *accept_only(True, "instead_padding", "bool", "ignore_pad_token_for_loss"),
    *accept_only(False, "instead_each_set", "bool", "eval_on_each_dataset"),
    *accept_only(False, "instead_thoughts", "bool", "preserve_thinking"),
    *accept_only(False, "instead_split_tokens", "bool", "split_special_tokens"),
    *accept_only(0.0, "instead_bco", "float", "pref_bco_weight"),
    *accept_only(
        False, "instead_deepspeed", "bool", "use_mca use_megatron_bridge use_hyper_parallel"
    ),
    *accept_only(
        1,
        "instead_deepspeed",
        "int",
        "hyper_parallel_cp_size tensor_model_parallel_size pipeline_model_parallel_size "
        "expert_model_parallel_size context_parallel_size virtual_pipeline_model_parallel_size",
    ),
    *accept_only(False, "instead_deepspeed", "bool", "sequence_parallel"),
    *accept_only(False, "instead_packing", "bool", "use_packed_sequences block_diag_attn"),
    *accept_only(False, "instead_checkpointing", "bool", "use_unsloth_gc"),
    *accept_only(False, "instead_liger", "bool", "use_v1_kernels"),
    *accept_only(False, "instead_kt", "bool", "use_kt"),
    *accept_only(False, "instead_fp8", "bool", "fp8"),
    *accept_only(False, "instead_profiler", "bool", "enable_torch_profiler"),
    *accept_only(False, "instead_pretrained", "bool", "train_from_scratch"),
    *accept_only(False, "instead_dtype", "bool", "lora_bf16_mode"),
    *accept_only(1, "instead_ray", "int", "ray_num_workers"),
    *accept_only("127.0.0.1", "instead_ray", "text", "master_addr"),
)

REFUSED = (
    *refuse("instead_template", "tool_format"),
    *refuse("instead_whole_path", "adapter_folder"),
    *refuse("instead_dense", "mixture_of_depths"),
    *refuse("instead_devices", "device_map quantization_device_map"),
    *refuse("instead_dtype", "compute_dtype layernorm_dtype vllm_dtype"),
    *refuse("instead_cutoff", "model_max_length reserved_label_len"),
    *refuse("instead_hubs", "om_hub_token"),
    *refuse("instead_benchmark", "task task_dir lang n_shot save_dir download_mode"),
    *refuse(
        "instead_ray",
        "ray_init_kwargs ray_run_name ray_storage_path ray_storage_filesystem "
        "resources_per_worker placement_strategy",
    ),
    *refuse("instead_batch_names", "batch_size"),
    *refuse("instead_registry", "split"),
    *refuse("instead_report_to", "ppo_logger"),
)

NAMES = (*BECOMING, *NO_EFFECT, *SWITCHES, *REFUSED)

# Other names of the same argument; all but eval_num_beams are of older versions.
ALIASES = {
    "eval_num_beams": "num_beams",
    **dict.fromkeys(("dpo_beta", "kto_beta", "orpo_beta"), "pref_beta"),
    **dict.fromkeys(("dpo_ftx", "kto_ftx"), "pref_ftx"),
    "dpo_loss": "pref_loss",
    "kto_desirable_weight": "kto_chosen_weight",
    "kto_undesirable_weight": "kto_rejected_weight",
    "dpo_ref_model": "ref_model",
    **dict.fromkeys(("dpo_ref_model_checkpoint", "ref_model_checkpoint"), "ref_model_adapters"),
    "reward_model_checkpoint": "reward_model_adapters",
    "checkpoint_dir": "adapter_name_or_path",
    "cache_path": "tokenized_path",
    "name_module_trainable": "freeze_trainable_modules",
    "num_layer_trainable": "freeze_trainable_layers",
    "neft_alpha": "neftune_noise_alpha",
    "sft_packing": "packing",
    "system_prompt": "default_system",
    "new_special_tokens": "add_special_tokens",
    "new_normal_tokens": "add_tokens",
    "badam_switch_block_every": "badam_switch_interval",
    "swanlab_experiment_name": "swanlab_run_name",
    "hf_auth_token": "hf_hub_token",
}
