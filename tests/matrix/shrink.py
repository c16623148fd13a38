"""A tiny random model of any architecture: its default configuration, shrunk by rule."""

from pathlib import Path
from typing import Any

from tests.backend.conftest import make_tokenizer

HIDDEN, HEADS, HEAD, LAYERS, EXPERTS = 64, 4, 16, 2, 4

# By the name of a setting, whatever the model: how small it becomes.
SIZES: dict[str, int] = {
    **dict.fromkeys(
        ("hidden_size", "n_embd", "d_model", "dim", "embedding_size", "emb_dim"), HIDDEN
    ),
    **dict.fromkeys(("word_embed_proj_dim", "embed_dim", "attention_hidden_size"), HIDDEN),
    **dict.fromkeys(("hidden_size_per_layer_input", "lru_width", "moe_latent_size"), HIDDEN),
    **dict.fromkeys(("encoder_layers", "decoder_layers"), LAYERS),
    **dict.fromkeys(("num_encoder_layers", "num_decoder_layers"), LAYERS),
    **dict.fromkeys(("num_attention_heads", "n_head", "num_heads", "n_heads"), HEADS),
    **dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), HEADS),
    **dict.fromkeys(("num_encoder_attention_heads", "num_decoder_attention_heads"), HEADS),
    **dict.fromkeys(("num_key_value_heads", "num_kv_heads", "multi_query_group_num"), 2),
    **dict.fromkeys(("head_dim", "attention_head_dim", "d_kv", "v_head_dim", "kv_channels"), HEAD),
    **dict.fromkeys(("intermediate_size", "n_inner", "ffn_dim", "d_ff", "dim_ff"), 128),
    **dict.fromkeys(("encoder_ffn_dim", "decoder_ffn_dim", "ffn_hidden_size"), 128),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size"), 32),
    **dict.fromkeys(("intermediate_size_mlp", "expert_ffn_hidden_size"), 64),
    **dict.fromkeys(("shared_intermediate_size", "moe_shared_expert_intermediate_size"), 64),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts"), EXPERTS),
    **dict.fromkeys(("moe_num_experts", "num_routed_experts"), EXPERTS),
    **dict.fromkeys(("num_experts_per_tok", "moe_k", "moe_topk", "experts_per_token"), 2),
    **dict.fromkeys(("num_experts_per_token",), 2),
    **dict.fromkeys(("n_group", "topk_group", "num_expert_groups"), 1),
    **dict.fromkeys(("first_k_dense_replace", "moe_layer_start_index"), 1),
    **dict.fromkeys(("q_lora_rank", "kv_lora_rank", "o_lora_rank"), HEAD),
    **dict.fromkeys(("qk_nope_head_dim", "qk_rope_head_dim"), 8),
    **dict.fromkeys(("mamba_d_state", "state_size", "ssm_state_size"), 8),
    **dict.fromkeys(("mamba_n_heads", "mamba_num_heads", "n_mamba_heads"), 4),
    **dict.fromkeys(("mamba_d_head", "mamba_head_dim", "mamba_headdim"), 32),
    **dict.fromkeys(("time_step_rank", "mamba_dt_rank"), 4),
    **dict.fromkeys(("linear_num_key_heads", "linear_num_value_heads"), 2),
    **dict.fromkeys(("linear_key_head_dim", "linear_value_head_dim"), HEAD),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len"), 512),
    **dict.fromkeys(("sliding_window", "attention_window_size", "window_size"), 32),
    **dict.fromkeys(("chunk_size", "mamba_chunk_size"), 8),
}
SIZES |= {"qk_head_dim": HEAD, "rotary_dim": HEAD, "mamba_d_ssm": 128, "n_shared_experts": 1}
SIZES |= {"n_groups": 1, "mamba_n_groups": 1, "mamba_ngroups": 1, "embedding_dim": HIDDEN}
SIZES |= {"index_n_heads": 2, "index_head_dim": HEAD, "index_topk": 8, "num_kv_shared_layers": 0}
# Not given by default, and then taken from sizes that are no longer there.
FILLED = (
    *("head_dim", "num_key_value_heads", "num_experts_per_tok", "n_routed_experts"),
    "n_shared_experts",
)
IDS = ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id")
LAYER_COUNTS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers", "num_blocks")
LEFT_OUT = {"model_type", "transformers_version", "architectures", "torch_dtype", "dtype"}
MORE_LAYERS = 4
LARGEST = 60_000_000  # parameters that a tiny model may have
SHARED = {"num_hidden_layers": 4, "layers_block_type": ["linear_attention", "hybrid"] * 2}
# Positions of three kinds (time, height, width) share the halves of a head.
ROPE = {"rope_type": "default", "rope_theta": 1e4}
MROPE = {"text_config": {"rope_parameters": {**ROPE, "mrope_section": [2, 3, 3]}}}
HALF = {**ROPE, "mrope_section": [1, 1, 2], "partial_rotary_factor": 0.5}
GLM_ROPE = {"text_config": {"rope_parameters": HALF}}
# What the rule cannot know: how sizes of one architecture hang together.
ALSO: dict[str, dict[str, Any]] = {
    "bailing_hybrid": {"num_expert_group": 1, "linear_head_dim": HEAD, "linear_num_heads": 2},
    "bamba": {"attn_layer_indices": [1]},
    "cohere_compass_text": {
        "rope_parameters": {
            name: {"rope_type": "default", "rope_theta": 1e4}
            for name in ("full_attention", "sliding_attention")
        }
    },
    "gpt_neo": {"attention_types": [[["global", "local"], 1]]},
    "granitemoehybrid": {"layer_types": ["mamba", "attention"]},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "expert_layer_period": 2},
    "mamba2": {"num_heads": 4, "head_dim": 32, "n_groups": 1},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"], "num_dense_layers": 1},
    **dict.fromkeys(("glm4v", "glm4v_moe", "glm46v", "glmga", "glm_ocr"), GLM_ROPE),
    "qwen2_vl": MROPE,
    "qwen2_5_vl": MROPE,
    "paddleocr_vl": MROPE,
    "qwen2_5_omni_thinker": MROPE | {"vision_start_token_id": 300, "vision_end_token_id": 301},
    "qwen3_omni_moe_thinker": {"vision_start_token_id": 300, "vision_end_token_id": 301},
    "recurrent_gemma": {"num_hidden_layers": 3},
    "reformer": {
        "is_decoder": True,
        "attention_head_size": HEAD,
        "axial_pos_embds": False,
        "attn_layers": ["local", "local"],
        "local_attn_chunk_length": 8,
        "num_hidden_layers": 2,
    },
    "rwkv": {"attention_hidden_size": HIDDEN},
    "xlnet": {"d_head": HEAD, "d_inner": 128},
    "zaya": {"num_experts_per_tok": 1},
    "zamba": SHARED | {"attention_hidden_size": 128, "attention_head_dim": 32},
    "zamba2": SHARED
    | {"attention_hidden_size": 128, "attention_head_dim": 32, "hybrid_layer_ids": [1, 3]},
    "xmod": {"default_language": "en_XX", "languages": ["en_XX"]},
}


def save(model_type: str, folder: Path, tokenizer: Any = None) -> None:
    """Write a tiny random model of this type, with a tokenizer, as a plain model folder."""
    import torch

    torch.manual_seed(0)
    tokenizer = tokenizer or make_tokenizer()
    config = shrunk(model_type, tokenizer)
    with torch.device("meta"):
        size = sum(each.numel() for each in _class(model_type)(config).parameters())
    assert size <= LARGEST, f"{size:,} parameters are left: the rule cannot shrink this one"
    model = _class(model_type)(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _class(model_type: str) -> Any:
    """The class of the whole model: that of its parts where it also sees or hears."""
    from transformers import CONFIG_MAPPING
    from transformers.models.auto import modeling_auto as auto

    for mapping in (
        auto.MODEL_FOR_MULTIMODAL_LM_MAPPING,
        auto.MODEL_FOR_CAUSAL_LM_MAPPING,
        auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING,
        auto.MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING,
    ):
        if CONFIG_MAPPING[model_type] in mapping:
            kind = mapping[CONFIG_MAPPING[model_type]]
            return kind[0] if isinstance(kind, tuple) else kind
    raise KeyError(model_type)


def shrunk(model_type: str, tokenizer: Any) -> Any:
    """The configuration of a model type with every size that SIZES names made small."""
    from transformers import CONFIG_MAPPING

    kind = CONFIG_MAPPING[model_type]
    given = kind().to_dict()
    for name, part in kind.sub_configs.items():  # what sees or hears is left out by some defaults
        if given.get(name) is None and hasattr(part, "model_type"):
            given[name] = part().to_dict()
    return kind(**_joined(_small(given, tokenizer), ALSO.get(model_type, {})))


def _joined(given: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Both; settings of a part are joined by their names."""
    parts = {
        name: _joined(given[name], value)
        for name, value in more.items()
        if name.endswith("_config") and isinstance(given.get(name), dict)
    }
    return given | more | parts


def _small(given: dict[str, Any], tokenizer: Any) -> dict[str, Any]:
    before = next((given[name] for name in LAYER_COUNTS if isinstance(given.get(name), int)), 0)
    lists = {
        name: value
        for name, value in given.items()
        if isinstance(value, list) and before and len(value) == before
    }
    kinds = [len(set(map(str, value))) for value in lists.values()]
    layers = max([LAYERS, *(min(MORE_LAYERS, number) for number in kinds)])
    small: dict[str, Any] = {}
    for name, value in given.items():
        if name in LEFT_OUT:
            continue
        if name == "per_layer_config":
            kept = {int(key): each for key, each in (value or {}).items() if int(key) < layers}
            small[name] = kept or None
        elif isinstance(value, dict) and name.endswith("_config"):
            small[name] = _small(value, tokenizer)
        elif name in lists:
            small[name] = _kinds(value, layers)
        else:
            small[name] = _one(name, value, layers, tokenizer)
    if small.get("qk_rope_head_dim"):  # latent attention
        small["head_dim"] = small["qk_rope_head_dim"]
        small["num_key_value_heads"] = HEADS
    return {name: value for name, value in small.items() if value is not None}


def _one(name: str, value: Any, layers: int, tokenizer: Any) -> Any:
    """A single setting, made small."""
    counted = isinstance(value, int) and not isinstance(value, bool)
    if name in LAYER_COUNTS and counted:
        return layers
    if name in SIZES and ((counted and value) or (value is None and name in FILLED)):
        return SIZES[name]
    if "vocab_size" in name and counted:
        return len(tokenizer)
    if name in IDS:
        return tokenizer.pad_token_id if name == "pad_token_id" else tokenizer.eos_token_id
    return True if name == "is_decoder" else value


def _kinds(value: list[Any], layers: int) -> list[Any]:
    """One layer of each kind, in order of appearance, then the first kinds again."""
    kinds = list({str(each): each for each in value}.values())
    return (kinds * layers)[:layers]
