"""GGUF files of many architectures: a real llama.cpp answers as transformers does."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from backend.contract.texts.problems import ModelError
from backend.export.gguf.architectures import scheme_of
from tests.backend import test_gguf
from tests.backend.llama_cpp import needs_llama_cpp, read_each
from tests.backend.test_gguf import NEAR, TEXT, loss_of_choices, model_of, run

__all__ = ["model_of", "run"]  # fixtures
PARTLY = {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5}
EXPERTS = {"num_experts": 6, "num_experts_per_tok": 2}
SMALL_EXPERTS = {**EXPERTS, "moe_intermediate_size": 64, "norm_topk_prob": True}
MULTIPLIERS = {
    "embedding_multiplier": 3.0,
    "residual_multiplier": 0.6,
    "attention_multiplier": 0.4,
    "logits_scaling": 2.0,
}
GROUPS: dict[str, dict[str, tuple[str, str, dict[str, Any]]]] = {
    "dense": {
        "granite": ("Granite", "chatml", MULTIPLIERS),
        "olmo": ("Olmo", "chatml", {"clip_qkv": 3.0, "pad_token_id": 0}),
        "olmo2": ("Olmo2", "llama3", {"pad_token_id": 0}),
        "olmo3": (
            "Olmo3",
            "llama3",
            {"pad_token_id": 0, "sliding_window": 24, "num_hidden_layers": 5},
        ),
        "smollm3": ("SmolLM3", "llama3", {"num_hidden_layers": 5, "pad_token_id": 0}),
        "arcee": ("Arcee", "llama3", {}),
        "gemma": ("Gemma", "gemma", {"head_dim": 32}),
        "ernie4.5": ("Ernie4_5", "llama2", {"head_dim": 32}),
        "seed-oss": ("SeedOss", "qwen", {"head_dim": 32, "pad_token_id": 0}),
        "exaone4": (
            "Exaone4",
            "chatml",
            {"sliding_window": None, "layer_types": ["full_attention"] * 2},
        ),
        "glm": ("Glm", "llama3", {"head_dim": 16, "pad_token_id": 0, "rope_parameters": PARTLY}),
        "glm4": ("Glm4", "llama3", {"head_dim": 32, "pad_token_id": 0, "rope_parameters": PARTLY}),
    },
    "layer norms": {
        "starcoder2": ("Starcoder2", "smollm", {"sliding_window": None}),
        "stablelm": ("StableLm", "qwen", {"use_qkv_bias": True, "rope_parameters": PARTLY}),
        "stablelm-12b": (
            "StableLm",
            "qwen",
            {"use_parallel_residual": True, "qk_layernorm": True, "rope_parameters": PARTLY},
        ),
        "cohere": (
            "Cohere",
            "smollm",
            {"logit_scale": 1.5, "tie_word_embeddings": True, "pad_token_id": 0},
        ),
        "cohere2": (
            "Cohere2",
            "smollm",
            {
                "sliding_window": 24,
                "num_hidden_layers": 5,
                "logit_scale": 1.5,
                "tie_word_embeddings": True,
                "pad_token_id": 0,
            },
        ),
        "phi": ("Phi", "chatml", {"rope_parameters": PARTLY}),
        "nemotron": ("Nemotron", "llama2", {"rope_parameters": PARTLY}),
        "gpt2": (
            "GPT2",
            "chatml",
            {"num_key_value_heads": 4, "intermediate_size": 256, "tie_word_embeddings": True},
        ),
        "gpt-neox": ("GPTNeoX", "chatml", {"num_key_value_heads": 4, "rope_parameters": PARTLY}),
        "pythia-serial": (
            "GPTNeoX",
            "chatml",
            {"num_key_value_heads": 4, "rope_parameters": PARTLY, "use_parallel_residual": False},
        ),
        "falcon": ("Falcon", "chatml", {"intermediate_size": 256, "tie_word_embeddings": True}),
        "falcon-new": (
            "Falcon",
            "chatml",
            {"intermediate_size": 256, "new_decoder_architecture": True, "num_kv_heads": 2},
        ),
    },
    "experts": {
        "mixtral": ("Mixtral", "llama2", {"num_local_experts": 4, "num_experts_per_tok": 2}),
        "qwen2-moe": (
            "Qwen2Moe",
            "qwen",
            {**SMALL_EXPERTS, "norm_topk_prob": False, "shared_expert_intermediate_size": 96},
        ),
        "qwen3-moe": ("Qwen3Moe", "qwen", {**SMALL_EXPERTS, "head_dim": 32}),
        "olmoe": ("Olmoe", "chatml", {**EXPERTS, "pad_token_id": 0, "num_key_value_heads": 4}),
    },
}
QUANTIZED = (
    ("experts", "qwen2-moe"),
    ("experts", "mixtral"),
    ("layer norms", "gpt2"),
    ("layer norms", "gpt-neox"),
)


@needs_llama_cpp
@pytest.mark.parametrize("group", GROUPS)
def test_llama_cpp_answers_as_transformers(
    run: Callable[..., Path],
    model_of: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    group: str,
) -> None:
    """One process of llama.cpp for the group: starting it costs more than all answers."""
    names = GROUPS[group]
    monkeypatch.setattr(test_gguf, "MODELS", {**test_gguf.MODELS, **names})
    files = []
    for name in names:
        target = tmp_path / name / "my-f32"
        files.append(target / run(model_of(name), export_dir=target).name)
    wrong = {}
    for name, reading in zip(names, read_each(files, TEXT, count=32), strict=True):
        folder = model_of(name)
        tokens = AutoTokenizer.from_pretrained(folder)(TEXT)["input_ids"]
        assert reading.tokens == tokens, name
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        ids = [*tokens, *reading.answer]
        losses = (
            float(loss_of_choices(model, tokens, reading.top).max()),
            float(loss_of_choices(model, ids[:-1], reading.answer).max()),
        )
        if max(losses) > NEAR:
            wrong[name] = losses
    assert wrong == {}


@needs_llama_cpp
def test_experts_and_rows_in_another_order_are_quantized(
    run: Callable[..., Path],
    model_of: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rows of stacked experts, of columns and of joined q, k and v are cut into blocks as rows of
    a matrix are."""
    names = {name: GROUPS[group][name] for group, name in QUANTIZED}
    monkeypatch.setattr(test_gguf, "MODELS", {**test_gguf.MODELS, **names})
    files = []
    for name in names:
        target = tmp_path / name / "my-q8_0"
        files.append(target / run(model_of(name), "q8_0", export_dir=target).name)
        kinds = {each.name: each.tensor_type.name for each in gguf.GGUFReader(files[-1]).tensors}
        assert "Q8_0" in kinds.values()
        assert kinds.get("blk.0.ffn_up_exps.weight", "Q8_0") == "Q8_0"
        assert kinds.get("blk.0.ffn_gate_inp.weight", "F32") == "F32"
    for name, reading in zip(names, read_each(files, TEXT), strict=True):
        model = AutoModelForCausalLM.from_pretrained(model_of(name), dtype=torch.float32)
        losses = loss_of_choices(model, reading.tokens, reading.top)
        assert losses.mean() < NEAR, (name, losses.mean())


@pytest.mark.parametrize(
    ("name", "change", "setting"),
    [
        ("cohere", {"use_qk_norm": True}, "use_qk_norm"),
        ("smollm3", {"no_rope_layers": [1, 0, 1, 0, 1]}, "no_rope_layers"),
        ("qwen3-moe", {"norm_topk_prob": False}, "norm_topk_prob"),
    ],
)
def test_what_llama_cpp_would_compute_otherwise_is_refused(
    model_of: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    change: dict[str, Any],
    setting: str,
) -> None:
    every = {key: each for group in GROUPS.values() for key, each in group.items()}
    monkeypatch.setattr(test_gguf, "MODELS", {**test_gguf.MODELS, **every})
    config = AutoConfig.from_pretrained(model_of(name))
    for key, value in change.items():
        setattr(config, key, value)
    with pytest.raises(ModelError) as error:
        scheme_of(config.architectures[0], config)
    assert error.value.problems[0].params["name"] == setting
