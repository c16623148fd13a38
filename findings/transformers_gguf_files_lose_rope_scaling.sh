#!/usr/bin/env bash
# transformers 5.23.0 (from_pretrained with gguf_file) with gguf 0.19.0, torch 2.13.0.
# Guess: a model read from a GGUF file is the one written there: the keys rope.scaling.* and the
#   tensor rope_freqs.weight, in which converters put the scaling of Llama 3.1 and later, become
#   rope_parameters.
# Seen: theta is read, the scaling is not, and no word is said. Linear, YaRN and Llama 3 all turn into
#   plain RoPE: a model that was stretched to a long context answers as one that was not. Without a
#   scaling the logits are equal.
# Output (rope type written, read, and how far the farthest logit moves):
#   default  default  0.0000
#   linear   default  0.3345
#   llama3   default  0.2805
#   yarn     default  0.3381
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 transformers==5.23.0 gguf==0.19.0 accelerate==1.15.0
"$folder/venv/bin/python" - "$folder" 2>/dev/null <<'PYTHON'
import sys
from pathlib import Path

import gguf
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

HEADS, LAYERS, LENGTH = 4, 2, 256
SIZES = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": LAYERS}
STRETCHED = {"factor": 4.0, "original_max_position_embeddings": 64}
ROPES = {
    "default": {},
    "linear": {"factor": 4.0},
    "llama3": {**STRETCHED, "low_freq_factor": 1.0, "high_freq_factor": 4.0},
    "yarn": STRETCHED,
}


def pair_up(weight: torch.Tensor) -> torch.Tensor:
    """The rows of a query or key in the order in which GGUF files of Llama hold them."""
    return weight.view(HEADS, 2, -1, weight.shape[1]).transpose(1, 2).reshape(weight.shape)


def write_file(model: LlamaForCausalLM, kind: str, path: Path) -> None:
    """The model with the keys and tensors that llama.cpp's converter gives it."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(LAYERS)
    writer.add_vocab_size(64)
    writer.add_context_length(LENGTH)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(64)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(model.config.rms_norm_eps)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(8)
    if kind in ("linear", "yarn"):
        writer.add_rope_scaling_type(gguf.RopeScalingType(kind))
        writer.add_rope_scaling_factor(4.0)
        writer.add_rope_scaling_orig_ctx_len(64)
    if kind == "llama3":
        plain = 10000.0 ** -(torch.arange(0, 8, 2) / 8)
        writer.add_tensor("rope_freqs.weight", (plain / model.model.rotary_emb.inv_freq).numpy())
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, LAYERS)
    for name, weight in model.state_dict().items():
        ordered = pair_up(weight) if "q_proj" in name or "k_proj" in name else weight
        writer.add_tensor(names.get_name(name, (".weight",)), ordered.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


ids = torch.randint(0, 64, (1, 200), generator=torch.Generator().manual_seed(0))
moved = {}
for kind, options in ROPES.items():
    torch.manual_seed(0)
    rope = {"rope_type": kind, "rope_theta": 10000.0, **options}
    config = LlamaConfig(**SIZES, num_attention_heads=HEADS, max_position_embeddings=LENGTH, rope_parameters=rope)
    model = LlamaForCausalLM(config).eval()
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    write_file(model, kind, Path(sys.argv[1], "model.gguf"))
    copy = AutoModelForCausalLM.from_pretrained(sys.argv[1], gguf_file="model.gguf", dtype=torch.float32)
    with torch.no_grad():
        moved[kind] = (model(ids).logits - copy.eval()(ids).logits).abs().max().item()
    print(f"{kind:<8} {copy.config.rope_parameters['rope_type']:<8} {moved[kind]:.4f}")
    assert copy.config.rope_parameters == {"rope_type": "default", "rope_theta": 10000.0}
assert moved.pop("default") < 1e-5 and min(moved.values()) > 0.1, moved
PYTHON
