"""Argument names that are known elsewhere and not supported here yet: using one says so."""

LATER = frozenset(
    """
    accelerator_config account_for_embedding_in_pipeline_split account_for_loss_in_pipeline_split
    activation_checkpointing activation_checkpointing_kwargs adapter_folder apply_rope_fusion
    audio_sampling_rate auto_find_batch_size average_tokens_across_devices badam_verbose
    batch_eval_metrics batch_size bf16_full_eval bias_activation_fusion block_diag_attn
    calculate_per_token_loss compute_dtype context_parallel_size crop_to_patches
    cross_entropy_loss_fusion data_seed data_shared_file_system dataloader_drop_last
    dataloader_in_order dataloader_multiprocessing_context dataloader_persistent_workers
    dataloader_pin_memory dataloader_prefetch_factor ddp_backend ddp_broadcast_buffers
    ddp_bucket_cap_mb ddp_find_unused_parameters ddp_static_graph debug device_map disable_tqdm
    download_mode enable_jit_checkpoint enable_torch_profiler eval_accumulation_steps eval_delay
    eval_do_concat_batches eval_num_beams eval_on_each_dataset eval_on_start eval_use_gather_object
    expert_model_parallel_size export_hf_on_finish extra_config fp16_full_eval fp8 fp8_backend
    fp8_enable_fsdp_float8_all_gather freeze_language_model freeze_multi_modal_projector
    freeze_vision_tower fsdp fsdp_config full_determinism generation_config generation_max_length
    generation_num_beams gradient_checkpointing gradient_checkpointing_kwargs greater_is_better
    hub_always_push hub_revision hub_strategy hyper_parallel_args hyper_parallel_cp_size
    ignore_data_skip image_do_pan_and_scan image_max_pixels image_min_pixels
    include_effective_tokens_per_second include_for_metrics init_special_tokens kt_cpu_activation
    kt_expert_checkpoint_path kt_lora_expert_intermediate_size kt_lora_expert_num
    kt_non_expert_weight_path kt_use_lora_experts kt_weight_path label_names lang length_column_name
    liger_kernel_config local_rank log_level log_level_replica log_on_each_node logging_first_step
    logging_nan_inf_filter logging_strategy low_cpu_mem_usage masked_softmax_fusion master_addr
    master_port max_length media_dir megatron_bridge_args megatron_pretrained_checkpoint
    metric_for_best_model mixed_precision mixture_of_depths model_max_length moe_grouped_gemm
    moe_token_dispatcher_type ms_hub_token n_shot offload_folder om_hub_token optim_args
    optim_target_modules overlap_grad_reduce overlap_param_gather parallelism_config
    pipeline_model_parallel_size prediction_loss_only pref_bco_weight preserve_thinking
    print_param_status profile_modules profiler_active_steps profiler_output_dir
    profiler_profile_memory profiler_record_shapes profiler_repeat profiler_wait_steps
    profiler_warmup_steps profiler_with_stack quantization_device_map ray_init_kwargs
    ray_num_workers recompute_granularity recompute_method recompute_num_layers
    remove_unused_columns restore_callback_states_from_checkpoint save_dir save_on_each_node
    sequence_parallel skip_memory_metrics sortish_sampler split_special_tokens task task_dir
    tensor_model_parallel_size tf32 tool_format torch_compile torch_compile_backend
    torch_compile_mode torch_empty_cache_steps trackio_bucket_id trackio_static_space_id
    train_from_scratch train_sampling_strategy upcast_lmhead_output use_audio_in_video use_cache
    use_cpu use_distributed_optimizer use_hyper_parallel use_kt use_kv_cache use_liger_kernel
    use_mca use_megatron_bridge use_packed_sequences use_unsloth_gc use_v1_kernels video_fps
    video_max_pixels video_maxlen video_min_pixels virtual_pipeline_model_parallel_size
    """.split()  # noqa: SIM905 (a list of words reads better)
)
