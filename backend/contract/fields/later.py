"""Argument names that are known elsewhere and not supported here yet: using one says so."""

LATER = frozenset(
    """
    accelerator_config account_for_embedding_in_pipeline_split account_for_loss_in_pipeline_split
    activation_checkpointing activation_checkpointing_kwargs adapter_folder add_special_tokens
    add_tokens apollo_layerwise apollo_proj apollo_proj_type apollo_scale_front apollo_scale_type
    apply_rope_fusion asft_alpha audio_sampling_rate auto_find_batch_size
    average_tokens_across_devices badam_mask_mode badam_mode badam_start_block
    badam_switch_interval badam_switch_mode badam_update_ratio badam_verbose batch_eval_metrics
    batch_size bf16_full_eval bias_activation_fusion block_diag_attn buffer_size
    calculate_per_token_loss compute_dtype context_parallel_size crop_to_patches
    cross_entropy_loss_fusion data_seed data_shared_file_system dataloader_drop_last
    dataloader_in_order dataloader_multiprocessing_context dataloader_persistent_workers
    dataloader_pin_memory dataloader_prefetch_factor ddp_backend ddp_broadcast_buffers
    ddp_bucket_cap_mb ddp_find_unused_parameters ddp_static_graph debug deepspeed device_map
    disable_tqdm download_mode dpo_label_smoothing eaft_alpha enable_jit_checkpoint
    enable_torch_profiler eval_accumulation_steps eval_delay eval_do_concat_batches eval_num_beams
    eval_on_each_dataset eval_on_start eval_use_gather_object expert_model_parallel_size
    export_hf_on_finish export_hub_model_id export_quantization_bit export_quantization_dataset
    export_quantization_maxlen export_quantization_nsamples extra_config fp16_full_eval fp8
    fp8_backend fp8_enable_fsdp_float8_all_gather freeze_language_model
    freeze_multi_modal_projector freeze_vision_tower fsdp fsdp_config full_determinism
    galore_layerwise galore_proj_type generation_config generation_max_length generation_num_beams
    gradient_checkpointing gradient_checkpointing_kwargs greater_is_better hub_always_push
    hub_model_id hub_private_repo hub_revision hub_strategy hub_token hyper_parallel_args
    hyper_parallel_cp_size ignore_data_skip image_do_pan_and_scan image_max_pixels
    image_min_pixels include_effective_tokens_per_second include_for_metrics init_special_tokens
    interleave_probs kt_cpu_activation kt_expert_checkpoint_path kt_lora_expert_intermediate_size
    kt_lora_expert_num kt_non_expert_weight_path kt_use_lora_experts kt_weight_path
    kto_chosen_weight kto_rejected_weight label_names label_smoothing_factor lang ld_alpha
    length_column_name liger_kernel_config local_rank log_level log_level_replica log_on_each_node
    logging_first_step logging_nan_inf_filter logging_strategy low_cpu_mem_usage
    lr_scheduler_kwargs masked_softmax_fusion master_addr master_port max_length media_dir
    megatron_bridge_args megatron_pretrained_checkpoint metric_for_best_model mix_strategy
    mixed_precision mixture_of_depths model_max_length module_dropout moe_aux_loss_coef
    moe_grouped_gemm moe_token_dispatcher_type ms_hub_token n_shot new_special_tokens_config
    offload_folder oft_block_size oft_rank oft_target om_hub_token optim_args optim_target_modules
    overlap_grad_reduce overlap_param_gather parallelism_config pipeline_model_parallel_size
    ppo_buffer_size ppo_epochs ppo_score_norm ppo_target ppo_whiten_rewards prediction_loss_only
    pref_bco_weight pref_beta pref_ftx pref_loss preserve_thinking print_param_status
    profile_modules profiler_active_steps profiler_output_dir profiler_profile_memory
    profiler_record_shapes profiler_repeat profiler_wait_steps profiler_warmup_steps
    profiler_with_stack project push_to_hub quantization_device_map ray_init_kwargs
    ray_num_workers recompute_granularity recompute_method recompute_num_layers ref_model
    ref_model_adapters ref_model_quantization_bit remove_unused_columns
    restore_callback_states_from_checkpoint reward_model reward_model_adapters
    reward_model_quantization_bit reward_model_type run_name save_dir save_on_each_node
    sequence_parallel sglang_config sglang_lora_backend sglang_maxlen sglang_mem_fraction
    sglang_tp_size shift_attn simpo_gamma skip_memory_metrics sortish_sampler split_special_tokens
    streaming swanlab_api_key swanlab_lark_secret swanlab_lark_webhook_url swanlab_logdir
    swanlab_mode swanlab_project swanlab_run_name swanlab_workspace task task_dir
    tensor_model_parallel_size tf32 tokenized_path tool_format torch_compile torch_compile_backend
    torch_compile_mode torch_empty_cache_steps trackio_bucket_id trackio_space_id
    trackio_static_space_id train_from_scratch train_sampling_strategy upcast_layernorm
    upcast_lmhead_output use_adam_mini use_asft_loss use_audio_in_video use_badam use_cache
    use_cpu use_dft_loss use_distributed_optimizer use_eaft_loss use_hyper_parallel use_kt
    use_kv_cache use_liger_kernel use_llama_pro use_mca use_megatron_bridge use_muon
    use_packed_sequences use_reentrant_gc use_swanlab use_unsloth use_unsloth_gc use_v1_kernels
    video_fps video_max_pixels video_maxlen video_min_pixels virtual_pipeline_model_parallel_size
    vllm_config vllm_enforce_eager vllm_gpu_util vllm_max_lora_rank vllm_maxlen
    """.split()  # noqa: SIM905 (a list of words reads better)
)
