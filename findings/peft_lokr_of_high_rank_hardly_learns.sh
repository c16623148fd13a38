#!/usr/bin/env bash
# peft 0.21.2 (LoKrConfig) with transformers 5.23.0, torch 2.13.0.
# Guess: a higher rank gives an adapter more weights; where a block is as large as it gets, a still
#   higher one changes nothing, and the delta is not scaled (so LyCORIS, where LoKr comes from: the
#   scale of two whole blocks is 1).
# Seen: the scale stays lora_alpha's, alpha / rank. Layers of 64 have two whole blocks of 8 x 8 from
#   rank 4 on; the rank then does nothing but divide the delta: rank 10000, with which LyCORIS
#   asks for whole blocks, has the weights of rank 4 and the 2500th part of its delta.
# Output (rank, weights of the adapter, scale, norm of the delta where all weights are 0.1):
#   2        96   4      0.512
#   4       128   2      1.28
#   64      128   0.125  0.08
#   10000   128   0.0008 0.000512
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 peft==0.21.2 transformers==5.23.0
"$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
import torch
from peft import LoKrConfig, get_peft_model

seen = {}
for rank in (2, 4, 64, 10000):
    base = torch.nn.Sequential(torch.nn.Linear(64, 64, bias=False))
    model = get_peft_model(base, LoKrConfig(target_modules=["0"], r=rank, alpha=8))
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    for weight in weights:
        torch.nn.init.constant_(weight, 0.1)
    layer = model.get_submodule("base_model.model.0")
    scale, delta = layer.scaling["default"], layer.get_delta_weight("default")
    row = (sum(map(torch.numel, weights)), f"{scale:.3g}", f"{delta.norm().item():.3g}")
    seen[rank] = row
    print(f"{rank:<6} {row[0]:>4}   {row[1]:6} {row[2]}")
assert (seen[4], seen[10000]) == ((128, "2", "1.28"), (128, "0.0008", "0.000512")), seen
PYTHON
