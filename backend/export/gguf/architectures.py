"""Which architectures llama.cpp computes as transformers does, and what is special in each.

What llama.cpp cannot compute in the same way is refused: it would load and answer wrongly. A
sliding window that it does not know shortens the context length to the window, within which the
window changes nothing.
"""

from dataclasses import dataclass
from typing import Any

import gguf

from backend.contract.texts.problems import ModelError, Problem
from backend.export.gguf import rope
from backend.export.gguf.rope import FULL, SLIDING

FIELD = "export_format"
Settings = tuple[tuple[str, tuple[Any, ...]], ...]
Arch = gguf.MODEL_ARCH


@dataclass(frozen=True)
class Scheme:
    """How llama.cpp computes an architecture.

    arch        its name there
    fixed       settings that llama.cpp does not read, with the values that it assumes
    written     settings that it reads under names of their own, with the writer's method for each
    rotated     rows of q and k are stored so that the two numbers that RoPE rotates are neighbours
    offset      what is added to the weights of norms: transformers' Gemma computes (1 + weight)
    period      every so many layers one attends to everything and the others to a window (0: all
                layers are alike)
    listed      the file lists which layers attend to a window
    grouped     rows of the joint q, k and v come in groups of a head of k, each with its heads of
                q before it and its head of v behind it; llama.cpp has all of q, then k, then v
    transposed  weights of layers are stored as [in, out]
    """

    arch: gguf.MODEL_ARCH
    fixed: Settings = ()
    written: tuple[tuple[str, str], ...] = ()
    rotated: bool = False
    offset: float = 0.0
    period: int = 0
    listed: bool = False
    grouped: bool = False
    transposed: bool = False

    @property
    def name(self) -> str:
        """The value of general.architecture."""
        return str(gguf.MODEL_ARCH_NAMES[self.arch])

    def key_heads(self, config: Any) -> int:
        """How many heads of keys a layer has."""
        heads = int(config.num_attention_heads)
        if self.arch is Arch.FALCON:
            one = config.multi_query and not config.new_decoder_architecture
            return 1 if one else int(config.num_kv_heads)
        return int(getattr(config, "num_key_value_heads", None) or heads)


SILU: Settings = (("hidden_act", ("silu", "swish")),)
TANH: Settings = (("hidden_act", ("gelu_pytorch_tanh", "gelu_new", "gelu_fast")),)
# llama.cpp has gelu by tanh only, 0.0005 from the exact one at most.
GELU: Settings = (("hidden_act", ("gelu", *TANH[0][1])),)
SQUARE: Settings = (("hidden_act", ("relu2",)),)
TIED: Settings = (("tie_word_embeddings", (True,)),)
UNTIED: Settings = (("tie_word_embeddings", (False,)),)
NO_BIAS: Settings = tuple((name, (False, None)) for name in ("attention_bias", "mlp_bias"))
GEMMA: Settings = (("hidden_activation", ("gelu_pytorch_tanh",)), *TIED, *NO_BIAS)
UNCAPPED: Settings = tuple((f"{part}_logit_softcapping", (None,)) for part in ("attn", "final"))
CAPS = tuple(
    (f"{part}_logit_softcapping", f"add_{part}_logit_softcapping") for part in ("attn", "final")
)
GRANITE = (
    ("attention_multiplier", "add_attention_scale"),
    ("embedding_multiplier", "add_embedding_scale"),
    ("residual_multiplier", "add_residual_scale"),
    ("logits_scaling", "add_logit_scale"),
)
LOGIT_SCALE = (("logit_scale", "add_logit_scale"),)
PARALLEL = (("use_parallel_residual", "add_parallel_residual"),)
GPT2: Settings = (
    ("activation_function", TANH[0][1]),
    ("scale_attn_weights", (True,)),
    ("scale_attn_by_inverse_layer_idx", (False,)),
    ("add_cross_attention", (False,)),
)
FALCON: Settings = (
    ("activation", GELU[0][1]),
    ("alibi", (False,)),
    ("bias", (False,)),
    ("parallel_attn", (True,)),
    ("num_ln_in_parallel_attn", (None, 2)),
)
EXPERTS = (
    ("num_local_experts", "add_expert_count"),
    ("num_experts_per_tok", "add_expert_used_count"),
)
SMALL_EXPERTS = (("moe_intermediate_size", "add_expert_feed_forward_length"),)
SHARED = ("shared_expert_intermediate_size", "add_expert_shared_feed_forward_length")
EVERY_LAYER: Settings = (("decoder_sparse_step", (1,)), ("mlp_only_layers", ([],)))
# By the class that config.json names.
SCHEMES = {
    "LlamaForCausalLM": Scheme(Arch.LLAMA, SILU, rotated=True),
    "MistralForCausalLM": Scheme(Arch.LLAMA, SILU, rotated=True),
    "Qwen2ForCausalLM": Scheme(Arch.QWEN2, SILU),
    "Qwen3ForCausalLM": Scheme(Arch.QWEN3, (*SILU, *NO_BIAS)),
    "Phi3ForCausalLM": Scheme(Arch.PHI3, SILU),
    "GemmaForCausalLM": Scheme(Arch.GEMMA, (*TANH, *TIED, *NO_BIAS), offset=1.0),
    "Gemma2ForCausalLM": Scheme(Arch.GEMMA2, GEMMA, CAPS, offset=1.0, period=2),
    "Gemma3ForCausalLM": Scheme(Arch.GEMMA3, (*GEMMA, *UNCAPPED), offset=1.0, period=6),
    "GraniteForCausalLM": Scheme(Arch.GRANITE, (*SILU, *NO_BIAS), GRANITE, rotated=True),
    "OlmoForCausalLM": Scheme(
        Arch.OLMO, (*SILU, *NO_BIAS), (("clip_qkv", "add_clamp_kqv"),), rotated=True
    ),
    "Olmo2ForCausalLM": Scheme(Arch.OLMO2, (*SILU, *NO_BIAS)),
    "Olmo3ForCausalLM": Scheme(Arch.OLMO2, (*SILU, *NO_BIAS), listed=True),
    "SmolLM3ForCausalLM": Scheme(Arch.SMOLLM3, (*SILU, *NO_BIAS), rotated=True),
    "ArceeForCausalLM": Scheme(Arch.ARCEE, (*SQUARE, *NO_BIAS), rotated=True),
    "Starcoder2ForCausalLM": Scheme(Arch.STARCODER2, TANH),
    "StableLmForCausalLM": Scheme(Arch.STABLELM, (*SILU, *UNTIED), PARALLEL),
    "CohereForCausalLM": Scheme(
        Arch.COMMAND_R,
        (*SILU, *TIED, *NO_BIAS, ("use_qk_norm", (False, None))),
        LOGIT_SCALE,
    ),
    "Cohere2ForCausalLM": Scheme(Arch.COHERE2, (*SILU, *TIED, *NO_BIAS), LOGIT_SCALE, period=4),
    "GlmForCausalLM": Scheme(Arch.CHATGLM, SILU),
    "Glm4ForCausalLM": Scheme(Arch.GLM4, SILU),
    "Exaone4ForCausalLM": Scheme(Arch.EXAONE4, (*SILU, ("sliding_window", (None,)))),
    "PhiForCausalLM": Scheme(Arch.PHI2, (*TANH, *UNTIED, ("qk_layernorm", (False,)))),
    "Ernie4_5ForCausalLM": Scheme(Arch.ERNIE4_5, (*SILU, ("use_bias", (False,)))),
    "SeedOssForCausalLM": Scheme(
        Arch.SEED_OSS, (*SILU, ("attention_out_bias", (False,)), ("mlp_bias", (False,)))
    ),
    "GPT2LMHeadModel": Scheme(Arch.GPT2, GPT2, transposed=True),
    "GPTNeoXForCausalLM": Scheme(
        Arch.GPTNEOX,
        (*GELU, *UNTIED, ("attention_bias", (True,))),
        PARALLEL,
        grouped=True,
    ),
    "FalconForCausalLM": Scheme(Arch.FALCON, FALCON, grouped=True),
    "MixtralForCausalLM": Scheme(Arch.LLAMA, SILU, EXPERTS, rotated=True),
    "Qwen2MoeForCausalLM": Scheme(
        Arch.QWEN2MOE,
        (*SILU, *EVERY_LAYER, ("norm_topk_prob", (False,))),
        (("num_experts", "add_expert_count"), EXPERTS[1], *SMALL_EXPERTS, SHARED),
    ),
    "Qwen3MoeForCausalLM": Scheme(
        Arch.QWEN3MOE,
        (*SILU, *NO_BIAS, *EVERY_LAYER, ("norm_topk_prob", (True,))),
        (*EXPERTS, *SMALL_EXPERTS),
    ),
    "OlmoeForCausalLM": Scheme(
        Arch.OLMOE,
        (*SILU, *NO_BIAS, ("norm_topk_prob", (False,)), ("clip_qkv", (None,))),
        EXPERTS,
    ),
    "NemotronForCausalLM": Scheme(Arch.NEMOTRON, (*SQUARE, *UNTIED, *NO_BIAS), offset=1.0),
}


def scheme_of(kind: str, config: Any) -> Scheme:
    """The scheme of a model class with this configuration.

    Raises ModelError where llama.cpp, or this writer, would compute something else.
    """
    scheme = SCHEMES.get(kind)
    if scheme is None:
        names = (name.removesuffix("ForCausalLM").removesuffix("LMHeadModel") for name in SCHEMES)
        raise _error("gguf_architecture", architecture=kind, choices=", ".join(names))
    for name, values in scheme.fixed:
        if getattr(config, name, values[0]) not in values:
            raise _setting(name, getattr(config, name))
    layers = config.num_hidden_layers
    if scheme.period and layer_kinds(config) != _periodic(layers, scheme.period):
        raise _setting("layer_types", "...")
    if getattr(config, "no_rope_layers", None) not in (None, _rope_layers(layers)):
        raise _setting("no_rope_layers", "...")
    head_dim = rope.head_dim(config)
    if scheme.offset and getattr(config, "query_pre_attn_scalar", head_dim) != head_dim:
        raise _setting("query_pre_attn_scalar", config.query_pre_attn_scalar)
    width = config.num_attention_heads * head_dim
    if scheme.arch is Arch.CHATGLM and width != config.hidden_size:
        raise _setting("head_dim", head_dim)
    _check_rope(scheme, config)
    return scheme


def _check_rope(scheme: Scheme, config: Any) -> None:
    for each in rope.ropes(config).values():
        kind = each.get("rope_type", "default")
        if kind not in rope.WRITERS or (scheme.listed and kind != "default"):
            raise _setting("rope_type", kind)
        if each.get("mscale") or (kind == "yarn" and each.get("attention_factor")):
            raise _setting("rope_parameters", each)


def layer_kinds(config: Any) -> list[str]:
    """What each layer attends to, as transformers names it; empty where all are alike."""
    return list(getattr(config, "layer_types", None) or [])


def _periodic(layers: int, period: int) -> list[str]:
    return [SLIDING if (layer + 1) % period else FULL for layer in range(layers)]


def _rope_layers(layers: int, period: int = 4) -> list[int]:
    """For each layer of SmolLM3 whether it has RoPE, as llama.cpp has it."""
    return [int((layer + 1) % period != 0) for layer in range(layers)]


def _setting(name: str, value: Any) -> ModelError:
    return _error("gguf_setting", name=name, value=str(value)[:80])


def _error(code: str, **params: str) -> ModelError:
    return ModelError(Problem(code=code, field=FIELD, params=params))
