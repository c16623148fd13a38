#!/usr/bin/env bash
# peft 0.21.2 (FourierFTConfig, C3AConfig, VBLoRAConfig, UniLoraConfig as they are) with torch 2.13.0.
# Guess: an adapter that was not trained changes nothing, as LoRA does not.
# Seen: these four draw their weights at random (init_weights of FourierFT is False: the spectrum is
#   drawn). With FourierFT the start moves with the size of the matrix: its n_frequency=1000 and
#   scaling=150 stay, while the inverse transform divides by rows times columns: at 1024 x 1024 the
#   weight moves by a sixth of its norm before the first step, at 256 x 256 by two and a half times its norm.
# Output (norm of the change / norm of the weight, drawn with a deviation of 0.02; side of the matrix):
#   method          64      256     1024
#   Lora        0.000    0.000    0.000
#   FourierFT  41.484    2.574    0.157
#   C3A         0.092    0.012    0.002
#   VBLoRA      0.007    0.007    0.007
#   UniLora     0.007    0.002    0.000
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 peft==0.21.2 transformers==5.23.0
"$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
import torch
from peft import C3AConfig, FourierFTConfig, LoraConfig, UniLoraConfig, VBLoRAConfig, get_peft_model

SIDES = (64, 256, 1024)
CONFIGS = {
    LoraConfig: {},
    FourierFTConfig: {},
    C3AConfig: {"block_size": 64},
    VBLoRAConfig: {"vector_length": 64},
    UniLoraConfig: {},
}


def measure_start(kind: type, options: dict, side: int) -> float:
    """How far a new adapter moves the weight of a layer, as a share of the weight."""
    torch.manual_seed(0)
    model = torch.nn.Sequential()
    model.add_module("layer", torch.nn.Linear(side, side, bias=False))
    torch.nn.init.normal_(model.layer.weight, std=0.02)
    before = model.layer.weight.detach().clone()
    merged = get_peft_model(model, kind(target_modules=["layer"], **options)).merge_and_unload()
    return ((merged.layer.weight - before).norm() / before.norm()).item()


print("method   ", *(f"{side:>6}" for side in SIDES), sep="   ")
starts = {}
for kind, options in CONFIGS.items():
    name = kind.__name__.removesuffix("Config")
    starts[name] = [measure_start(kind, options, side) for side in SIDES]
    print(f"{name:<9}", " ".join(f"{start:>8.3f}" for start in starts[name]), sep="")
assert starts.pop("Lora") == [0, 0, 0]
assert all(min(row) > 0 for row in starts.values()), starts
assert starts["FourierFT"][0] > 30 and 0.1 < starts["FourierFT"][2] < 0.2, starts
PYTHON
