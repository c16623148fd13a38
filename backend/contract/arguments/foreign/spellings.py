"""Names and choices of other programs: those with an answer here, and hints for the others.

Hints name our arguments for those of trl, peft, transformers, axolotl, unsloth and others. None of
these is accepted without a word, because defaults and units differ. Names that look like one of
ours and mean something else (such as eos_token) have an empty hint.
"""

from backend.contract.arguments.foreign import llamafactory, trainer
from backend.contract.arguments.foreign.answer import Foreign

# Every argument of another program that has an answer here.
FOREIGN: dict[str, Foreign] = {each.name: each for each in (*trainer.NAMES, *llamafactory.NAMES)}

# Other spellings of an argument -> the name of its field.
ALIASES: dict[str, str] = {
    "quantization_bits": "quantization_bit",
    "token": "hf_hub_token",
    **trainer.ALIASES,
    **llamafactory.ALIASES,
}

# Other spellings of a choice: (name of the field, spelling in small letters) -> our spelling.
CHOICES: dict[tuple[str, str], str] = {("quantization_method", "bitsandbytes"): "bnb"}

# Names, and what to write instead (`name` or `name=value`); a hint names only what the subcommand
# takes.
_TABLE = """
    max_seq_length max_seq_len sequence_len seq_len seq_length       cutoff_len
    max_source_length max_target_length max_prompt_length            cutoff_len
    base_model base_model_name_or_path model model_id model_name     model_name_or_path
    model_path pretrained_model_name_or_path                         model_name_or_path
    adapter_path lora_path lora_weights peft_model_id                adapter_name_or_path
    dataset_name datasets train_dataset train_file data_path         dataset
    validation_file eval_file test_file                              eval_dataset
    epochs num_epochs n_epochs max_epochs                            num_train_epochs
    lr                                                               learning_rate
    micro_batch_size train_batch_size                                per_device_train_batch_size
    eval_batch_size micro_eval_batch_size                            per_device_eval_batch_size
    gradient_accumulation grad_accum accumulate_grad_batches         gradient_accumulation_steps
    load_in_4bit                                                     quantization_bit=4
    load_in_8bit                                                     quantization_bit=8
    bnb_4bit_quant_type                                              quantization_type
    bnb_4bit_use_double_quant use_nested_quant                       double_quantization
    torch_dtype dtype precision                                      bf16 fp16 infer_dtype
    use_bf16                                                         bf16
    use_fp16 use_amp amp half                                        fp16
    r lora_r                                                         lora_rank
    lora_target_modules target_modules                               lora_target
    modules_to_save lora_modules_to_save                             additional_target
    peft_type use_peft use_lora adapter                              finetuning_type
    attn_implementation flash_attention use_flash_attention_2        flash_attn
    completion_only_loss assistant_only_loss                         train_on_prompt=false
    train_on_inputs                                                  train_on_prompt
    padding_free sample_packing                                      neat_packing
    loss_type                                                        pref_loss
    beta                                            pref_beta rloo_beta distillation_beta
    teacher_model_name_or_path teacher teacher_path                  teacher_model
    teacher_model_server_url teacher_url                             teacher_server
    loss_top_k                                                       teacher_top_k
    val_set_size validation_split test_size                          val_size
    optimizer                                                        optim
    scheduler lr_scheduler                                           lr_scheduler_type
    chat_template prompt_template                                    template
    max_completion_length                                            max_new_tokens
    output out_dir                                          output_dir
    deepspeed_config                                                 deepspeed
    num_workers dataset_num_proc                                     preprocessing_num_workers
    num_proc                                                         preprocessing_num_workers
"""
# Choices that others have, in small letters, and what to write instead: (row, choice) -> arguments.
CHOICE_HINTS: dict[tuple[str, str], str] = {
    ("finetuning_type", "qlora"): "finetuning_type lora, quantization_bit 4",
    ("finetuning_type", "dora"): "finetuning_type lora, use_dora true",
    ("finetuning_type", "rslora"): "finetuning_type lora, use_rslora true",
    ("finetuning_type", "pissa"): "finetuning_type lora, pissa_init true",
    ("finetuning_type", "galore"): "finetuning_type full, use_galore true",
    ("finetuning_type", "badam"): "finetuning_type full, use_badam true",
    # peft's PeftType
    ("finetuning_type", "prompt_tuning"): "finetuning_type prompt",
    ("finetuning_type", "prefix_tuning"): "finetuning_type prefix",
    ("finetuning_type", "p_tuning"): "finetuning_type ptuning",
}
_NO_HINT = """
    eos_token bos_token pad_token unk_token wandb_project wandb_entity wandb_run_name
    tokenizer_name tokenizer_name_or_path dataset_text_field lora_bias alpha dropout vocab_size
    tokenizer processing_class compute_metrics
"""


def _hints() -> dict[str, tuple[str, ...]]:
    hints: dict[str, tuple[str, ...]] = dict.fromkeys(_NO_HINT.split(), ())
    for line in _TABLE.strip().splitlines():
        names, _, ours = line.strip().partition("  ")
        hints |= dict.fromkeys(names.split(), tuple(ours.split()))
    return hints


HINTS = _hints()
