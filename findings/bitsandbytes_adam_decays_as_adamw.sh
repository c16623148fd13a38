#!/usr/bin/env bash
# bitsandbytes 0.50.2 (bitsandbytes.optim) with torch 2.13.0 on a CPU.
# Guess: Adam and AdamW differ as they do in torch: Adam adds weight_decay times the weight to the
#   gradient, AdamW takes it from the weight.
# Seen: they differ in nothing but the default of weight_decay (0 and 0.01). Adam with a weight_decay
#   is torch's AdamW to the last digits. SGD, RMSprop and Adagrad of the same package do add the
#   decay to the gradient, as torch's do.
# Output (farthest weight from torch's after 3 steps with weight_decay=0.5 and a rate of 0.01):
#   Adam     torch's Adam     0.05472
#   Adam     torch's AdamW    0.00000
#   SGD      torch's SGD      0.00000
#   RMSprop  torch's RMSprop  0.00000
#   Adagrad  torch's Adagrad  0.00000
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 numpy packaging
"$folder/venv/bin/pip" install -q --no-deps bitsandbytes==0.50.2
"$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
import bitsandbytes
import torch


def train(optimizer: type, **options: float) -> torch.Tensor:
    """A matrix after three steps with gradients that are the same for every optimizer."""
    draws = torch.Generator().manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(64, 64, generator=draws))
    stepper = optimizer([weight], lr=1e-2, weight_decay=0.5, **options)
    for _ in range(3):
        weight.grad = torch.randn(64, 64, generator=draws)
        stepper.step()
    return weight.detach()


near = {}
pairs = [("Adam", "Adam"), ("Adam", "AdamW"), ("SGD", "SGD"), ("RMSprop", "RMSprop"), ("Adagrad", "Adagrad")]
for name, other in pairs:
    options = {"momentum": 0.9} if name == "SGD" else {}
    ours = train(getattr(bitsandbytes.optim, name), **options)
    gap = (ours - train(getattr(torch.optim, other), **options)).abs().max().item()
    near[name, other] = gap < 1e-5
    print(f"{name:<8} torch's {other:<8} {gap:.5f}")
assert [pair for pair in pairs if not near[pair]] == [("Adam", "Adam")], near
PYTHON
