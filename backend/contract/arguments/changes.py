"""Changes to arguments. Written by backend.contract.reference."""

from typing import TypedDict


class Changes(TypedDict, total=False):
    """Values for some of the arguments; the name and the type of each are checked."""

    # model
    model_name_or_path: str | None
    adapter_name_or_path: str | None
    finetuning_type: str
    template: str
    default_system: str | None
    hub_name: str
    model_revision: str
    cache_dir: str | None
    hf_hub_token: str | None
    ms_hub_token: str | None
    rope_scaling: str | None
    flash_attn: str
    resize_vocab: bool
    use_fast_tokenizer: bool
    trust_remote_code: bool
    add_tokens: str | None
    add_special_tokens: str | None
    new_special_tokens_config: str | None

    # quantization
    quantization_bit: str | None
    quantization_method: str
    quantization_type: str
    double_quantization: bool

    # data
    stage: str
    dataset_dir: str
    dataset: str | None
    eval_dataset: str | None
    val_size: float
    cutoff_len: int
    max_samples: int | None
    identity_name: str
    identity_author: str
    train_on_prompt: bool
    mask_history: bool
    strict_turns: bool
    packing: bool | None
    neat_packing: bool
    mix_strategy: str
    interleave_probs: str | None
    streaming: bool
    buffer_size: int
    tokenized_path: str | None
    enable_thinking: bool | None
    group_by_length: bool
    disable_shuffling: bool
    preprocessing_num_workers: int | None
    preprocessing_batch_size: int
    overwrite_cache: bool
    dataloader_num_workers: int
    dataloader_pin_memory: bool
    dataloader_persistent_workers: bool
    dataloader_prefetch_factor: int | None

    # training
    learning_rate: float
    num_train_epochs: float
    per_device_train_batch_size: int
    gradient_accumulation_steps: int
    lr_scheduler_type: str
    lr_scheduler_kwargs: str | None
    bf16: bool | None
    fp16: bool
    pure_bf16: bool
    warmup_steps: int
    warmup_ratio: float
    max_grad_norm: float
    weight_decay: float
    max_steps: int | None
    seed: int
    neftune_noise_alpha: float | None
    disable_gradient_checkpointing: bool | None
    enable_liger_kernel: bool
    deepspeed: str | None
    do_train: bool | None
    data_seed: int | None
    full_determinism: bool
    use_cpu: bool

    # evaluation
    do_eval: bool
    per_device_eval_batch_size: int | None
    eval_strategy: str | None
    eval_steps: int | None
    load_best_model_at_end: bool
    early_stopping_steps: int | None
    compute_accuracy: bool
    do_predict: bool
    predict_with_generate: bool
    metric_for_best_model: str | None
    greater_is_better: bool | None
    eval_on_start: bool
    eval_delay: float

    # optimizer
    optim: str
    adam_beta1: float
    adam_beta2: float
    adam_epsilon: float
    use_galore: bool
    galore_target: str
    galore_rank: int
    galore_update_interval: int
    galore_scale: float
    galore_proj_type: str
    galore_layerwise: bool
    use_apollo: bool
    apollo_target: str
    apollo_rank: int
    apollo_update_interval: int
    apollo_scale: float
    apollo_proj: str
    apollo_proj_type: str
    apollo_scale_type: str
    apollo_layerwise: bool
    apollo_scale_front: bool
    use_badam: bool
    badam_mode: str
    badam_switch_mode: str
    badam_start_block: int | None
    badam_switch_interval: int
    badam_update_ratio: float
    badam_mask_mode: str
    use_adam_mini: bool
    use_muon: bool

    # speed
    shift_attn: bool
    use_unsloth: bool
    use_reentrant_gc: bool
    upcast_layernorm: bool
    moe_aux_loss_coef: float | None
    label_smoothing_factor: float
    use_dft_loss: bool
    use_eaft_loss: bool
    eaft_alpha: float
    use_asft_loss: bool
    asft_alpha: float
    tf32: bool | None
    torch_empty_cache_steps: int | None
    ddp_find_unused_parameters: bool | None
    ddp_bucket_cap_mb: int | None
    ddp_broadcast_buffers: bool | None
    ddp_static_graph: bool | None
    ddp_backend: str | None

    # lora
    lora_rank: int
    lora_alpha: int
    lora_dropout: float
    lora_target: str
    additional_target: str | None
    loraplus_lr_ratio: float | None
    loraplus_lr_embedding: float
    create_new_adapter: bool
    use_rslora: bool
    use_dora: bool
    init_lora_weights: str
    pissa_init: bool
    pissa_iter: int
    pissa_convert: bool
    oft_rank: int
    oft_block_size: int
    module_dropout: float
    oft_target: str
    adalora_init_r: int
    adalora_target_r: int
    vera_rank: int
    num_virtual_tokens: int
    prompt_tuning_init_text: str | None
    encoder_hidden_size: int

    # freeze
    use_llama_pro: bool
    freeze_trainable_layers: int
    freeze_trainable_modules: str
    freeze_extra_modules: str | None

    # output
    output_dir: str | None
    overwrite_output_dir: bool
    resume_from_checkpoint: str | None
    logging_steps: int
    save_steps: int
    save_total_limit: int | None
    save_strategy: str
    save_only_model: bool
    plot_loss: bool
    report_to: str
    ddp_timeout: int
    logging_strategy: str
    logging_first_step: bool
    log_level: str

    # tracking
    run_name: str | None
    project: str
    trackio_space_id: str | None
    notify_urls: str | None
    use_swanlab: bool
    swanlab_project: str
    swanlab_run_name: str | None
    swanlab_workspace: str | None
    swanlab_mode: str
    swanlab_logdir: str | None
    swanlab_api_key: str | None
    swanlab_lark_webhook_url: str | None
    swanlab_lark_secret: str | None
    push_to_hub: bool
    hub_model_id: str | None
    hub_private_repo: bool | None
    trackio_bucket_id: str | None
    trackio_static_space_id: str | None
    hub_revision: str | None

    # generation
    max_new_tokens: int
    do_sample: bool
    temperature: float
    top_p: float
    top_k: int
    num_beams: int
    repetition_penalty: float
    length_penalty: float
    skip_special_tokens: bool
    infer_dtype: str
    infer_backend: str

    # preference
    pref_loss: str
    pref_beta: float
    online_dpo_loss: str
    pref_ftx: float
    simpo_gamma: float
    dpo_label_smoothing: float
    ld_alpha: float | None
    kto_chosen_weight: float
    kto_rejected_weight: float
    ref_model: str | None
    ref_model_adapters: str | None
    ref_model_quantization_bit: str | None

    # reward
    reward_model: str | None
    reward_model_type: str
    reward_model_adapters: str | None
    reward_model_quantization_bit: str | None

    # ppo
    ppo_buffer_size: int
    ppo_epochs: int
    ppo_score_norm: bool
    ppo_whiten_rewards: bool
    ppo_target: float | None
    ppo_kl_coef: float
    ppo_gamma: float
    ppo_lambda: float
    ppo_clip: float
    ppo_value_clip: float
    ppo_value_coef: float

    # grpo
    reward_functions: str
    reward_weights: str | None
    reward_regex: str | None
    reward_length: int
    reward_python_file: str | None
    allow_reward_python: bool
    num_generations: int
    num_iterations: int
    epsilon: float
    grpo_beta: float
    grpo_loss: str
    scale_rewards: str
    rloo_beta: float
    normalize_advantages: bool

    # distillation
    teacher_model: str | None
    teacher_model_adapters: str | None
    teacher_model_quantization_bit: str | None
    teacher_server: str | None
    teacher_server_model: str | None
    teacher_api_key: str | None
    distillation_beta: float
    lmbda: float
    teacher_top_k: int

    # export
    export_dir: str | None
    export_format: str
    gguf_type: str
    export_size: float
    export_dtype: str
    export_device: str
    export_modelfile: bool
    export_quantization_bit: str | None
    export_quantization_dataset: str | None
    export_quantization_nsamples: int
    export_quantization_maxlen: int
    export_hub_model_id: str | None
    export_legacy_format: bool

    # vocab
    new_pieces: int
    fit_steps: int
    known_dataset: str | None

    # server
    host: str
    port: int
    api_model_name: str | None
    api_adapters: str | None
    api_max_length: int | None
    api_max_choices: int
    api_max_waiting: int
    api_key: str | None

    # engines
    vllm_maxlen: int
    vllm_gpu_util: float
    vllm_config: str | None
    vllm_enforce_eager: bool
    vllm_max_lora_rank: int
    sglang_maxlen: int
    sglang_mem_fraction: float
    sglang_config: str | None
    sglang_tp_size: int
    sglang_lora_backend: str
