"""Servers of other projects that `tuneboard api` can start instead of its own: vLLM and SGLang."""

from backend.contract.arguments.field import Field, When
from backend.contract.arguments.field_group import FieldGroup

VLLM: When = (("infer_backend", ("vllm",)),)
SGLANG: When = (("infer_backend", ("sglang",)),)
ENGINES = FieldGroup("engines", tasks=("api",))


def _limits(engine: str, share: str, when: When) -> tuple[Field, ...]:
    """What both have: the longest conversation in tokens, the share of GPU memory, more options."""
    return (
        ENGINES.count(f"{engine}_maxlen", 4096, 1, 10_000_000, when),
        ENGINES.number(f"{engine}_{share}", 0.7, 0.01, 1.0, when),
        ENGINES.field(f"{engine}_config", "json", None, when),
    )


FIELDS = (
    *_limits("vllm", "gpu_util", VLLM),
    ENGINES.switch("vllm_enforce_eager", VLLM),
    ENGINES.count("vllm_max_lora_rank", 32, 1, 1024, VLLM),
    *_limits("sglang", "mem_fraction", SGLANG),
    ENGINES.count("sglang_tp_size", -1, -1, 1024, SGLANG),
    ENGINES.choice("sglang_lora_backend", ("triton", "flashinfer"), SGLANG),
)
