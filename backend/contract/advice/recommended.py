"""The table of recommended values: by family, size, stage and method of a training, with sources.

`recommend` takes the first row that applies, so a special row stands before a general one. The
range of a learning rate that is not remarked on (backend/estimate/sanity.py) stands beside it.
"""

from dataclasses import dataclass
from math import inf

from backend.contract.advice.model_kind import ModelKind
from backend.contract.arguments.argument_names import ArgumentName
from backend.contract.arguments.field import Value
from backend.contract.arguments.fields.methods import is_adapter

Range = tuple[float, float]

# Each source by its key: the name that is shown, and its address, "" for docs/presets.md.
SOURCES = {
    "measured": ("tests.presets", ""),
    "qlora": ("QLoRA, table 9", "https://arxiv.org/abs/2305.14314"),
    "lora_regret": ("LoRA Without Regret", "https://thinkingmachines.ai/blog/lora/"),
    "unsloth": (
        "Unsloth, LoRA hyperparameters guide",
        "https://unsloth.ai/docs/get-started/fine-tuning-llms-guide/lora-hyperparameters-guide",
    ),
    "llama_factory": (
        "LLaMA-Factory, examples for Qwen3",
        "https://github.com/hiyouga/LLaMA-Factory/tree/main/examples",
    ),
    "handbook_smollm2": (
        "Alignment Handbook, SmolLM2",
        "https://github.com/huggingface/alignment-handbook/tree/main/recipes/smollm2",
    ),
    "handbook_zephyr": (
        "Alignment Handbook, Zephyr 7B",
        "https://github.com/huggingface/alignment-handbook/tree/main/recipes/zephyr-7b-beta",
    ),
    "gemma": (
        "Google, Gemma with QLoRA",
        "https://ai.google.dev/gemma/docs/core/huggingface_text_finetune_qlora",
    ),
    "tulu3": ("Tülu 3", "https://arxiv.org/abs/2411.15124"),
    "trl": ("TRL, defaults of its trainers", "https://huggingface.co/docs/trl"),
    "alpaca": ("Stanford Alpaca", "https://github.com/tatsu-lab/stanford_alpaca"),
    "templates": (
        "Transformers, chat templates",
        "https://huggingface.co/docs/transformers/chat_templating",
    ),
}


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """A recommended value and its source, for trainings that all of the rest applies to.

    family      "" for any
    over, up_to the billions of parameters lie between these; where they are not known, a row
                that names a size does not apply unless it is `usual`
    stages      () for any
    adapter     whether the method saves an adapter; None for any method
    plain       the range of a learning rate that is not remarked on
    """

    argument: ArgumentName
    value: Value
    source: str
    family: str = ""
    over: float = 0.0
    up_to: float = inf
    stages: tuple[str, ...] = ()
    adapter: bool | None = None
    plain: Range | None = None

    def applies(self, kind: ModelKind, stage: str, method: str) -> bool:
        """Whether it is meant for such a model, stage and method."""
        billions = USUAL if kind.billions is None else kind.billions
        return (
            self.family in {"", kind.family}
            and self.over < billions <= self.up_to
            and (not self.stages or stage in self.stages)
            and self.adapter in {None, is_adapter(method)}
        )


USUAL = 7.0  # billions of parameters that a model of unknown size is taken to have
SMALL, LARGE = 1.0, 20.0  # billions
PAIRS = ("dpo", "kto")
DRAWN = ("ppo", "grpo", "rloo", "online_dpo")

# The ranges have room on both sides of what the rows recommend: a judgment, not measured.
ADAPTER_RANGES: dict[str, Range] = {
    "small": (1e-6, 3e-3),
    "usual": (1e-6, 2e-3),
    "large": (1e-6, 1e-3),
}
# 1e-3 and 3e-4 are what SmolLM2 of 135M and of 1.7B were tuned with (Alignment Handbook).
FULL_RANGES: dict[str, Range] = {
    "small": (1e-7, 1e-3),
    "usual": (1e-7, 3e-4),
    "large": (1e-7, 1e-4),
}
SIZES = {"small": (0.0, SMALL), "usual": (SMALL, LARGE), "large": (LARGE, inf)}


def _rate(
    value: float,
    source: str,
    *,
    adapter: bool,
    size: str,
    stages: tuple[str, ...] = (),
    family: str = "",
) -> Recommendation:
    over, up_to = SIZES[size]
    return Recommendation(
        argument="learning_rate",
        value=value,
        source=source,
        family=family,
        over=over,
        up_to=up_to,
        stages=stages,
        adapter=adapter,
        plain=(ADAPTER_RANGES if adapter else FULL_RANGES)[size],
    )


RATES = (
    # from pairs and ratings
    _rate(1e-5, "lora_regret", adapter=True, size="small", stages=PAIRS),
    _rate(5e-6, "llama_factory", adapter=True, size="usual", stages=PAIRS),
    _rate(5e-6, "unsloth", adapter=True, size="large", stages=PAIRS),
    _rate(1e-6, "handbook_smollm2", adapter=False, size="small", stages=PAIRS),
    _rate(5e-7, "handbook_zephyr", adapter=False, size="usual", stages=PAIRS),
    _rate(2e-7, "tulu3", adapter=False, size="large", stages=PAIRS),
    # from answers that are drawn
    *(_rate(5e-6, "unsloth", adapter=True, size=size, stages=DRAWN) for size in SIZES),
    *(_rate(1e-6, "trl", adapter=False, size=size, stages=DRAWN) for size in SIZES),
    # to score answers
    *(_rate(1e-4, "trl", adapter=True, size=size, stages=("rm",)) for size in SIZES),
    # from examples and texts, through an adapter
    _rate(5e-4, "measured", adapter=True, size="small"),
    _rate(1e-4, "llama_factory", adapter=True, size="usual", family="qwen"),
    _rate(2e-4, "gemma", adapter=True, size="usual", family="gemma"),
    _rate(2e-4, "handbook_zephyr", adapter=True, size="usual", family="mistral"),
    _rate(2e-4, "qlora", adapter=True, size="usual"),
    _rate(1e-4, "qlora", adapter=True, size="large"),
    # the same, of all weights
    _rate(5e-5, "lora_regret", adapter=False, size="small"),
    _rate(1e-5, "llama_factory", adapter=False, size="usual", family="qwen"),
    _rate(5e-6, "tulu3", adapter=False, size="usual", family="llama"),
    _rate(2e-5, "handbook_zephyr", adapter=False, size="usual", family="mistral"),
    _rate(2e-5, "alpaca", adapter=False, size="usual"),
    _rate(2e-6, "tulu3", adapter=False, size="large"),
)

# Rows of a step: 16 for models of 7B to 33B (QLoRA); fewer for small models, as adapters learn less
# well from large steps (LoRA Without Regret).
TABLE = (
    *RATES,
    Recommendation(argument="lora_rank", value=16, source="unsloth", adapter=True),
    Recommendation(argument="lora_target", value="all", source="qlora", adapter=True),
    Recommendation(argument="template", value="auto", source="templates"),
    Recommendation(argument="cutoff_len", value=2048, source="llama_factory"),
    Recommendation(
        argument="per_device_train_batch_size",
        value=4,
        source="lora_regret",
        up_to=SMALL,
    ),
    Recommendation(argument="per_device_train_batch_size", value=2, source="qlora", up_to=LARGE),
    Recommendation(argument="per_device_train_batch_size", value=1, source="qlora"),
    Recommendation(
        argument="gradient_accumulation_steps", value=2, source="lora_regret", up_to=SMALL
    ),
    Recommendation(argument="gradient_accumulation_steps", value=8, source="qlora", up_to=LARGE),
    Recommendation(argument="gradient_accumulation_steps", value=16, source="qlora"),
)


def recommend(argument: str, kind: ModelKind, stage: str, method: str) -> Recommendation | None:
    """The row of the table for an argument of such a training; None where none applies."""
    rows = (row for row in TABLE if row.argument == argument)
    return next((row for row in rows if row.applies(kind, stage, method)), None)


def plain_rates(kind: ModelKind, stage: str, method: str) -> Range:
    """The learning rates of such a training that are not remarked on."""
    row = recommend("learning_rate", kind, stage, method)
    assert row is not None
    assert row.plain is not None
    return row.plain
