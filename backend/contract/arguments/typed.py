"""All arguments of all subcommands, typed. Written by backend.contract.reference.

What an argument means, its limits, and where it applies stand in its field: see
contract/arguments/fields.
"""

from dataclasses import dataclass

from backend.contract.arguments.bag import Bag


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Arguments(Bag):
    """One checked value for each field; what a subcommand does not take is at its default."""

    # model
    model_name_or_path: str | None = None
    adapter_name_or_path: str | None = None
    finetuning_type: str = "lora"
    template: str = "auto"
    default_system: str | None = None
    hub_name: str = "huggingface"
    model_revision: str = "main"
    cache_dir: str | None = None
    hf_hub_token: str | None = None
    ms_hub_token: str | None = None
    rope_scaling: str | None = None
    flash_attn: str = "auto"
    resize_vocab: bool = False
    use_fast_tokenizer: bool = True
    trust_remote_code: bool = False
    add_tokens: str | None = None
    add_special_tokens: str | None = None
    new_special_tokens_config: str | None = None

    # quantization
    quantization_bit: str | None = None
    quantization_method: str = "bnb"
    quantization_type: str = "nf4"
    double_quantization: bool = True

    # data
    stage: str = "sft"
    dataset_dir: str = "data"
    dataset: str | None = None
    eval_dataset: str | None = None
    val_size: float = 0.0
    cutoff_len: int = 2048
    max_samples: int | None = None
    identity_name: str = "Tuneboard Assistant"
    identity_author: str = "the Tuneboard team"
    train_on_prompt: bool = False
    mask_history: bool = False
    strict_turns: bool = False
    packing: bool | None = None
    neat_packing: bool = False
    mix_strategy: str = "concat"
    interleave_probs: str | None = None
    streaming: bool = False
    buffer_size: int = 16384
    tokenized_path: str | None = None
    enable_thinking: bool | None = None
    group_by_length: bool = True
    disable_shuffling: bool = False
    preprocessing_num_workers: int | None = None
    preprocessing_batch_size: int = 1000
    overwrite_cache: bool = False
    dataloader_num_workers: int = 0
    dataloader_pin_memory: bool = True
    dataloader_persistent_workers: bool = False
    dataloader_prefetch_factor: int | None = None

    # training
    learning_rate: float = 5e-05
    num_train_epochs: float = 3.0
    per_device_train_batch_size: int = 2
    gradient_accumulation_steps: int = 8
    lr_scheduler_type: str = "cosine"
    lr_scheduler_kwargs: str | None = None
    bf16: bool | None = None
    fp16: bool = False
    pure_bf16: bool = False
    warmup_steps: int = 0
    warmup_ratio: float = 0.0
    max_grad_norm: float = 1.0
    weight_decay: float = 0.0
    max_steps: int | None = None
    seed: int = 42
    neftune_noise_alpha: float | None = None
    disable_gradient_checkpointing: bool | None = None
    enable_liger_kernel: bool = False
    deepspeed: str | None = None
    do_train: bool | None = None
    data_seed: int | None = None
    full_determinism: bool = False
    use_cpu: bool = False

    # evaluation
    do_eval: bool = True
    per_device_eval_batch_size: int | None = 2
    eval_strategy: str | None = None
    eval_steps: int | None = None
    load_best_model_at_end: bool = False
    early_stopping_steps: int | None = None
    compute_accuracy: bool = False
    do_predict: bool = False
    predict_with_generate: bool = False
    metric_for_best_model: str | None = None
    greater_is_better: bool | None = None
    eval_on_start: bool = False
    eval_delay: float = 0.0

    # optimizer
    optim: str = "adamw_torch"
    adam_beta1: float = 0.9
    adam_beta2: float = 0.999
    adam_epsilon: float = 1e-08
    use_galore: bool = False
    galore_target: str = "all"
    galore_rank: int = 16
    galore_update_interval: int = 200
    galore_scale: float = 2.0
    galore_proj_type: str = "std"
    galore_layerwise: bool = False
    use_apollo: bool = False
    apollo_target: str = "all"
    apollo_rank: int = 16
    apollo_update_interval: int = 200
    apollo_scale: float = 32.0
    apollo_proj: str = "random"
    apollo_proj_type: str = "std"
    apollo_scale_type: str = "channel"
    apollo_layerwise: bool = False
    apollo_scale_front: bool = False
    use_badam: bool = False
    badam_mode: str = "layer"
    badam_switch_mode: str = "ascending"
    badam_start_block: int | None = None
    badam_switch_interval: int = 50
    badam_update_ratio: float = 0.05
    badam_mask_mode: str = "adjacent"
    use_adam_mini: bool = False
    use_muon: bool = False

    # speed
    shift_attn: bool = False
    use_unsloth: bool = False
    use_reentrant_gc: bool = False
    upcast_layernorm: bool = False
    moe_aux_loss_coef: float | None = None
    label_smoothing_factor: float = 0.0
    use_dft_loss: bool = False
    use_eaft_loss: bool = False
    eaft_alpha: float = 1.0
    use_asft_loss: bool = False
    asft_alpha: float = 0.1
    tf32: bool | None = None
    torch_empty_cache_steps: int | None = None
    ddp_find_unused_parameters: bool | None = None
    ddp_bucket_cap_mb: int | None = None
    ddp_broadcast_buffers: bool | None = None
    ddp_static_graph: bool | None = None
    ddp_backend: str | None = None

    # lora
    lora_rank: int = 8
    lora_alpha: int = 16
    lora_dropout: float = 0.0
    lora_target: str = "all"
    additional_target: str | None = None
    loraplus_lr_ratio: float | None = None
    loraplus_lr_embedding: float = 1e-06
    create_new_adapter: bool = False
    use_rslora: bool = False
    use_dora: bool = False
    init_lora_weights: str = "default"
    pissa_init: bool = False
    pissa_iter: int = 16
    pissa_convert: bool = False
    oft_rank: int = 0
    oft_block_size: int = 32
    module_dropout: float = 0.0
    oft_target: str = "all"
    adalora_init_r: int = 12
    adalora_target_r: int = 8
    vera_rank: int = 256
    num_virtual_tokens: int = 20
    prompt_tuning_init_text: str | None = None
    encoder_hidden_size: int = 128

    # freeze
    use_llama_pro: bool = False
    freeze_trainable_layers: int = 2
    freeze_trainable_modules: str = "all"
    freeze_extra_modules: str | None = None

    # output
    output_dir: str | None = None
    overwrite_output_dir: bool = False
    resume_from_checkpoint: str | None = None
    logging_steps: int = 5
    save_steps: int = 100
    save_total_limit: int | None = None
    save_strategy: str = "steps"
    save_only_model: bool = False
    plot_loss: bool = True
    report_to: str = "none"
    ddp_timeout: int = 1800
    logging_strategy: str = "steps"
    logging_first_step: bool = False
    log_level: str = "passive"

    # tracking
    run_name: str | None = None
    project: str = "huggingface"
    trackio_space_id: str | None = None
    notify_urls: str | None = None
    use_swanlab: bool = False
    swanlab_project: str = "llamafactory"
    swanlab_run_name: str | None = None
    swanlab_workspace: str | None = None
    swanlab_mode: str = "cloud"
    swanlab_logdir: str | None = None
    swanlab_api_key: str | None = None
    swanlab_lark_webhook_url: str | None = None
    swanlab_lark_secret: str | None = None
    push_to_hub: bool = False
    hub_model_id: str | None = None
    hub_private_repo: bool | None = None
    trackio_bucket_id: str | None = None
    trackio_static_space_id: str | None = None
    hub_revision: str | None = None

    # generation
    max_new_tokens: int = 1024
    do_sample: bool = True
    temperature: float = 0.95
    top_p: float = 0.7
    top_k: int = 50
    num_beams: int = 1
    repetition_penalty: float = 1.0
    length_penalty: float = 1.0
    skip_special_tokens: bool = True
    infer_dtype: str = "auto"
    infer_backend: str = "huggingface"

    # preference
    pref_loss: str = "sigmoid"
    pref_beta: float = 0.1
    online_dpo_loss: str = "sigmoid"
    pref_ftx: float = 0.0
    simpo_gamma: float = 0.5
    dpo_label_smoothing: float = 0.0
    ld_alpha: float | None = None
    kto_chosen_weight: float = 1.0
    kto_rejected_weight: float = 1.0
    ref_model: str | None = None
    ref_model_adapters: str | None = None
    ref_model_quantization_bit: str | None = None

    # reward
    reward_model: str | None = None
    reward_model_type: str = "lora"
    reward_model_adapters: str | None = None
    reward_model_quantization_bit: str | None = None

    # ppo
    ppo_buffer_size: int = 1
    ppo_epochs: int = 4
    ppo_score_norm: bool = False
    ppo_whiten_rewards: bool = False
    ppo_target: float | None = 6.0
    ppo_kl_coef: float = 0.2
    ppo_gamma: float = 1.0
    ppo_lambda: float = 0.95
    ppo_clip: float = 0.2
    ppo_value_clip: float = 0.2
    ppo_value_coef: float = 0.1

    # grpo
    reward_functions: str = "exact_match"
    reward_weights: str | None = None
    reward_regex: str | None = None
    reward_length: int = 200
    reward_python_file: str | None = None
    allow_reward_python: bool = False
    num_generations: int = 8
    num_iterations: int = 1
    epsilon: float = 0.2
    grpo_beta: float = 0.0
    grpo_loss: str = "dapo"
    scale_rewards: str = "group"
    rloo_beta: float = 0.05
    normalize_advantages: bool = False

    # distillation
    teacher_model: str | None = None
    teacher_model_adapters: str | None = None
    teacher_model_quantization_bit: str | None = None
    teacher_server: str | None = None
    teacher_server_model: str | None = None
    teacher_api_key: str | None = None
    distillation_beta: float = 0.5
    lmbda: float = 0.5
    teacher_top_k: int = 20

    # export
    export_dir: str | None = None
    export_format: str = "safetensors"
    gguf_type: str = "q8_0"
    export_size: float = 5.0
    export_dtype: str = "auto"
    export_device: str = "cpu"
    export_modelfile: bool = True
    export_quantization_bit: str | None = None
    export_quantization_dataset: str | None = None
    export_quantization_nsamples: int = 128
    export_quantization_maxlen: int = 1024
    export_hub_model_id: str | None = None
    export_legacy_format: bool = False

    # vocab
    new_pieces: int = 5000
    fit_steps: int = 360
    known_dataset: str | None = None

    # server
    host: str = "127.0.0.1"
    port: int = 8000
    api_model_name: str | None = None
    api_adapters: str | None = None
    api_max_length: int | None = None
    api_max_choices: int = 8
    api_max_waiting: int = 16
    api_key: str | None = None

    # engines
    vllm_maxlen: int = 4096
    vllm_gpu_util: float = 0.7
    vllm_config: str | None = None
    vllm_enforce_eager: bool = False
    vllm_max_lora_rank: int = 32
    sglang_maxlen: int = 4096
    sglang_mem_fraction: float = 0.7
    sglang_config: str | None = None
    sglang_tp_size: int = -1
    sglang_lora_backend: str = "triton"
