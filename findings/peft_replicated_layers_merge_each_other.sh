#!/usr/bin/env bash
# peft 0.21.2 (LoraConfig.layer_replication, merge_and_unload) with transformers 5.23.0, torch 2.13.0.
# Guess: the copies of a layer share its weight, but each has an adapter of its own; so merging is
#   refused, or gives each copy a weight of its own. The outputs stay the same.
# Seen: merging adds the adapters of all copies to the one weight that they share, and each copy then
#   has all of them. Nothing is said, though layers that are replicated are meant to be refused.
#   Taking the merge back gives the former outputs again.
# Output (largest difference of the outputs, of which the largest is 0.23, from those before):
#   layers      merged   taken back  merge_and_unload
#   0 1         0.0000   0.0000      0.0000
#   0 1 0 1     0.1088   0.0000      0.1088
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 peft==0.21.2 transformers==5.23.0
"$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

SIZE = {"vocab_size": 32, "hidden_size": 16, "intermediate_size": 32}
LAYERS = {"num_hidden_layers": 2, "num_attention_heads": 2}
TOKENS = torch.tensor([[1, 2, 3, 4]])


@torch.no_grad()
def outputs(model):
    return model(TOKENS).logits


def compare(replication):
    torch.manual_seed(0)
    base = LlamaForCausalLM(LlamaConfig(**SIZE, **LAYERS))
    options = {"target_modules": ["v_proj"], "init_lora_weights": False}
    model = get_peft_model(base, LoraConfig(layer_replication=replication, **options)).eval()
    before, seen = outputs(model), []
    model.merge_adapter()
    seen.append(outputs(model))
    model.unmerge_adapter()
    seen.append(outputs(model))
    seen.append(outputs(model.merge_and_unload()))
    return [(each - before).abs().max().item() for each in seen]


print("layers      merged   taken back  merge_and_unload")
for title, replication in {"0 1": None, "0 1 0 1": [[0, 2], [0, 2]]}.items():
    merged, back, unloaded = seen = compare(replication)
    print(f"{title:10}  {merged:.4f}   {back:.4f}      {unloaded:.4f}")
    wrong = replication is not None
    assert [each > 0.05 for each in seen] == [wrong, False, wrong], seen
    assert all(each > 0.05 or each < 1e-6 for each in seen), seen
PYTHON
