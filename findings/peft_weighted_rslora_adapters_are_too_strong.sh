#!/usr/bin/env bash
# peft 0.21.2 (add_weighted_adapter) with transformers 5.23.0, torch 2.13.0.
# Guess: "cat" adds adapters up exactly: 0.7 of one and 0.4 of the other; "svd" with enough ranks
#   does, too.
# Seen: this holds for plain LoRA. With use_rslora the sum is multiplied by the root of the new
#   rank: the new adapter gets lora_alpha = r, whose scale is 1 only where alpha is divided by r,
#   and keeps rsLoRA, which divides by its root. Whether it does is decided by the first adapter
#   alone: of a plain and an rsLoRA one the sum is right or not by the order in which they stand.
# Output (new delta divided by 0.7 a + 0.4 b; ranks 4 and 8, root of 12 = 3.464):
#   cat, plain           1.000
#   cat, rsLoRA          3.464
#   svd, rsLoRA          3.464
#   cat, rsLoRA + plain  3.464
#   cat, plain + rsLoRA  1.000
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 peft==0.21.2 transformers==5.23.0
"$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

WEIGHTS = {"a": 0.7, "b": 0.4}
SIZES = {"vocab_size": 32, "hidden_size": 32, "intermediate_size": 64}


def strength(kind, rslora):
    """How much stronger the combined adapter is than the sum; raises where it is another one."""
    torch.manual_seed(0)
    base = LlamaForCausalLM(LlamaConfig(num_hidden_layers=1, num_attention_heads=2, **SIZES))
    configs = {
        name: LoraConfig(target_modules=["q_proj"], r=rank, lora_alpha=16, use_rslora=root)
        for name, rank, root in zip("ab", (4, 8), rslora, strict=True)
    }
    model = get_peft_model(base, configs["a"], "a")
    model.add_adapter("b", configs["b"])
    for name, weight in model.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(weight)
    options = {"svd_rank": 12} if kind == "svd" else {}
    model.add_weighted_adapter([*WEIGHTS], [*WEIGHTS.values()], "c", kind, **options)
    layer = model.get_submodule("base_model.model.model.layers.0.self_attn.q_proj")
    wanted = sum(share * layer.get_delta_weight(name) for name, share in WEIGHTS.items())
    new = layer.get_delta_weight("c")
    ratio = (new.norm() / wanted.norm()).item()
    torch.testing.assert_close(new, ratio * wanted, rtol=1e-3, atol=1e-3)
    return f"{ratio:.3f}"


seen = {
    "cat, plain": strength("cat", (False, False)),
    "cat, rsLoRA": strength("cat", (True, True)),
    "svd, rsLoRA": strength("svd", (True, True)),
    "cat, rsLoRA + plain": strength("cat", (True, False)),
    "cat, plain + rsLoRA": strength("cat", (False, True)),
}
for title, ratio in seen.items():
    print(f"{title:20} {ratio}")
assert [*seen.values()] == ["1.000", "3.464", "3.464", "3.464", "1.000"], seen
PYTHON
