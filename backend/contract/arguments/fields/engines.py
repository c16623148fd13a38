"""Servers of others that `tuneboard api` can start instead of its own: vLLM and SGLang."""

from collections.abc import Iterator

from backend.contract.arguments.field import Field, When

API = ("api",)
VLLM: When = (("infer_backend", ("vllm",)),)
SGLANG: When = (("infer_backend", ("sglang",)),)


def _limits(engine: str, share: str, when: When) -> Iterator[Field]:
    """What both have: the longest conversation in tokens, the share of GPU memory, more options."""
    yield Field(
        name=f"{engine}_maxlen",
        kind="int",
        default=4096,
        group="engines",
        low=1,
        high=10_000_000,
        tasks=API,
        when=when,
    )
    yield Field(
        name=f"{engine}_{share}",
        kind="float",
        default=0.7,
        group="engines",
        low=0.01,
        high=1.0,
        tasks=API,
        when=when,
    )
    yield Field(
        name=f"{engine}_config",
        kind="json",
        default=None,
        group="engines",
        tasks=API,
        when=when,
        optional=True,
    )


ROWS = (
    *_limits("vllm", "gpu_util", VLLM),
    Field(
        name="vllm_enforce_eager",
        kind="bool",
        default=False,
        group="engines",
        tasks=API,
        when=VLLM,
    ),
    Field(
        name="vllm_max_lora_rank",
        kind="int",
        default=32,
        group="engines",
        low=1,
        high=1024,
        tasks=API,
        when=VLLM,
    ),
    *_limits("sglang", "mem_fraction", SGLANG),
    Field(
        name="sglang_tp_size",
        kind="int",
        default=-1,
        group="engines",
        low=-1,
        high=1024,
        tasks=API,
        when=SGLANG,
    ),
    Field(
        name="sglang_lora_backend",
        kind="choice",
        default="triton",
        group="engines",
        choices=("triton", "flashinfer"),
        tasks=API,
        when=SGLANG,
    ),
)
