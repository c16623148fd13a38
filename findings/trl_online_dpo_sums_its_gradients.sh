#!/usr/bin/env bash
# trl 1.16.0 (OnlineDPOTrainer) with transformers 5.23.0, accelerate 1.15.0, torch 2.13.0.
# Guess: a batch of 4 and 4 batches of 1 with gradient_accumulation_steps=4 give the same step, as
#   in every other trainer: the mean of the gradients.
# Seen: with the same answers and rewards the second has four times the gradient. The trainer calls
#   accelerator.backward itself, with a loss that nothing has divided: transformers tells accelerate
#   of one step and divides in a method that the trainer replaces.
# Output (the ratio of the two norms):
#   4 x 1 and 1 x 4: 4.00
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 trl==1.16.0 transformers==5.23.0 \
    accelerate==1.15.0 datasets==5.2.0
cd "$folder"
HF_HUB_OFFLINE=1 TRL_EXPERIMENTAL_SILENCE=1 venv/bin/python - 2>/dev/null <<'PYTHON'
import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl.experimental.online_dpo import OnlineDPOConfig, OnlineDPOTrainer

WORDS = ["<pad>", "</s>", *(f"w{number}" for number in range(30))]
core = Tokenizer(models.WordLevel({word: place for place, word in enumerate(WORDS)}, "w0"))
core.pre_tokenizer = pre_tokenizers.Whitespace()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<pad>", eos_token="</s>")
GOOD, BAD = [5, 6, 7, 8], [9, 10, 11, 12]


def norm(batch, steps):
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
    )
    arguments = OnlineDPOConfig(
        "out",
        per_device_train_batch_size=batch,
        gradient_accumulation_steps=steps,
        max_steps=1,
        max_new_tokens=4,
        logging_steps=1,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
    )
    trainer = OnlineDPOTrainer(
        model=LlamaForCausalLM(config),
        args=arguments,
        processing_class=tokenizer,
        train_dataset=Dataset.from_dict({"prompt": ["w1 w2"] * 4}),
        reward_funcs=lambda completions, **_: [1.0] * batch + [0.0] * batch,
    )

    def draw(model, prompts, images=None):
        asked = torch.tensor([[3]] * 2 * batch)
        drawn = torch.tensor([GOOD] * batch + [BAD] * batch)
        return asked, torch.ones_like(asked), drawn, torch.ones_like(drawn), None

    trainer._generate = draw  # the same answers in both
    trainer.train()
    return next(row["grad_norm"] for row in trainer.state.log_history if "grad_norm" in row)


ratio = float(norm(1, 4)) / float(norm(4, 1))
print(f"4 x 1 and 1 x 4: {ratio:.2f}")
assert abs(ratio - 4) < 0.05
PYTHON
