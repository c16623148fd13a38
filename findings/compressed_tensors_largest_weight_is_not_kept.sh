#!/usr/bin/env bash
# compressed-tensors 0.20.1 (calculate_qparams and fake_quantize, the numbers of llm-compressor's W4A16
#   and W8A8 models) with torch 2.13.0.
# Guess: a symmetric scale is the largest weight divided by 7 (4 bits) or 127 (8 bits), so that this
#   weight comes back exactly and the sign plays no part.
# Seen: it is divided by 7.5 and 127.5. The largest weight of 4 bits comes back 6.7 % too small where it
#   is positive, cut at 7, and 6.7 % too large where it is negative, as -8: a channel and its negative
#   are stored as two different channels.
# Output (largest weight 0.7 or -0.7: scale, and what comes back):
#   4 bits   0.7  scale 0.7 / 7.5    0.6533
#   4 bits  -0.7  scale 0.7 / 7.5   -0.7467
#   8 bits   0.7  scale 0.7 / 127.5  0.6973
#   8 bits  -0.7  scale 0.7 / 127.5 -0.7027
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 transformers==5.23.0 compressed-tensors==0.20.1
"$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
import torch
from compressed_tensors.quantization import QuantizationArgs
from compressed_tensors.quantization.lifecycle.forward import fake_quantize
from compressed_tensors.quantization.utils import calculate_qparams

WANTED = {(4, 1): 0.6533, (4, -1): -0.7467, (8, 1): 0.6973, (8, -1): -0.7027}
channel = torch.tensor([[0.7, -0.3, 0.1, 0.2]])
for (bits, sign), wanted in WANTED.items():
    options = QuantizationArgs(num_bits=bits, symmetric=True, strategy="channel", type="int")
    weight = sign * channel
    scale, zero = calculate_qparams(weight.amin(1, keepdim=True), weight.amax(1, keepdim=True), options)
    back = fake_quantize(weight, scale, zero, options)[0, 0].item()
    print(f"{bits} bits  {sign * 0.7:>4}  scale 0.7 / {0.7 / scale.item():<5.1f} {back:>7.4f}")
    assert abs(back - wanted) < 1e-4, (bits, sign)
PYTHON
