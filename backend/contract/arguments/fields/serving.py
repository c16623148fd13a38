"""What is done with a model: sampling of answers, servers, and the export of one folder."""

from backend.contract.arguments.argument_names import ArgumentName
from backend.contract.arguments.field import Field, FieldGroup, When
from backend.contract.arguments.fields import stages

ANSWERS = ("eval", "chat", "api")
SAMPLED = (*ANSWERS, "train")
# The stages of training that draw answers.
ROLLOUTS = (("train", (("stage", stages.DRAWING),)),)
WHERE_DRAWN = (*ROLLOUTS, ("eval", (("do_sample", (True,)),)))
# Given in Evaluate, whose answers are the likeliest ones by default, these ask for sampling.
DRAWN = frozenset({"temperature", "top_p", "top_k"})
SAMPLING = FieldGroup("generation", tasks=SAMPLED, task_when=WHERE_DRAWN)
GENERATION = FieldGroup("generation")


GENERATION_FIELDS = (
    GENERATION.count("max_new_tokens", 1024, 1, 131_072, tasks=SAMPLED, task_when=ROLLOUTS),
    GENERATION.field("do_sample", "bool", True, task_defaults=(("eval", False),), tasks=ANSWERS),
    SAMPLING.number("temperature", 0.95, 0.0, 2.0),
    SAMPLING.number("top_p", 0.7, 0.0, 1.0),
    GENERATION.count("top_k", 50, 0, 100_000, tasks=SAMPLED, task_when=WHERE_DRAWN),
    GENERATION.count("num_beams", 1, 1, 64, tasks=("eval",)),
    GENERATION.number("repetition_penalty", 1.0, 0.1, 10.0, tasks=SAMPLED, task_when=ROLLOUTS),
    GENERATION.number("length_penalty", 1.0, -10.0, 10.0, tasks=("eval",)),
    GENERATION.field("skip_special_tokens", "bool", True, tasks=ANSWERS),
    GENERATION.choice(
        "infer_dtype", ("auto", "float16", "bfloat16", "float32"), tasks=("chat", "api")
    ),
    GENERATION.choice("infer_backend", ("huggingface", "vllm", "sglang"), tasks=("chat", "api")),
)


OWN: When = (("infer_backend", ("huggingface",)),)
SERVER = FieldGroup("server", tasks=("api",), widget="none")


SERVER_FIELDS = (
    SERVER.field("host", "text", "127.0.0.1"),
    SERVER.count("port", 8000, 0, 65_535),
    SERVER.field("api_model_name", "text", None),
    SERVER.field("api_adapters", "json", None, OWN),
    SERVER.count("api_max_length", None, 2, 10_000_000, OWN, optional=True),
    SERVER.count("api_max_choices", 8, 1, 128, OWN),
    SERVER.count("api_max_waiting", 16, 1, 100_000, OWN),
    SERVER.field("api_key", "text", None, secret=True, to="API_KEY"),
)


VLLM: When = (("infer_backend", ("vllm",)),)
SGLANG: When = (("infer_backend", ("sglang",)),)
ENGINES = FieldGroup("engines", tasks=("api",))


def _limits(
    length: ArgumentName, share: ArgumentName, options: ArgumentName, when: When
) -> tuple[Field, ...]:
    """What both have: the longest conversation in tokens, the share of GPU memory, more options."""
    return (
        ENGINES.count(length, 4096, 1, 10_000_000, when),
        ENGINES.number(share, 0.7, 0.01, 1.0, when),
        ENGINES.field(options, "json", None, when),
    )


ENGINES_FIELDS = (
    *_limits("vllm_maxlen", "vllm_gpu_util", "vllm_config", VLLM),
    ENGINES.switch("vllm_enforce_eager", VLLM),
    ENGINES.count("vllm_max_lora_rank", 32, 1, 1024, VLLM),
    *_limits("sglang_maxlen", "sglang_mem_fraction", "sglang_config", SGLANG),
    ENGINES.count("sglang_tp_size", -1, -1, 1024, SGLANG),
    ENGINES.choice("sglang_lora_backend", ("triton", "flashinfer"), SGLANG),
)


GPTQ_BITS = ("8", "4", "3", "2")
ROUNDED = ("int8", "int4", "fp8")  # as compressed-tensors, without sample texts
QUANTIZED: When = (("export_format", ("safetensors",)), ("export_quantization_bit", GPTQ_BITS))
QUANTIZATION = FieldGroup("export", QUANTIZED, tasks=("export",))
SAFETENSORS: When = (("export_format", ("safetensors",)),)
GGUF: When = (("export_format", ("gguf",)),)
# What Ollama imports.
WHOLE: When = (
    ("export_format", ("safetensors", "gguf")),
    ("export_quantization_bit", (None,)),
)
GGUF_TYPES = ("q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "f16", "bf16", "f32")
# What llama.cpp's own program writes.
K_QUANTS = ("q6_k", "q5_k_m", "q5_k_s", "q4_k_m", "q4_k_s", "q3_k_m", "q2_k")
QUANTIZER = "llama-quantize"
EXPORT = FieldGroup("export")


EXPORT_FIELDS = (
    EXPORT.field("export_dir", "path", None, tasks=("export", "vocab")),
    EXPORT.choice("export_format", ("safetensors", "gguf", "gguf_lora"), tasks=("export",)),
    EXPORT.choice("gguf_type", (*GGUF_TYPES, *K_QUANTS), GGUF, tasks=("export",)),
    EXPORT.number("export_size", 5.0, 0.01, 1000.0, SAFETENSORS, tasks=("export",)),
    EXPORT.choice(
        "export_dtype",
        ("auto", "float32", "float16", "bfloat16"),
        SAFETENSORS,
        tasks=("export",),
    ),
    EXPORT.choice("export_device", ("cpu", "auto"), tasks=("export",), widget="radio"),
    EXPORT.field("export_modelfile", "bool", True, WHOLE, tasks=("export",)),
    EXPORT.field(
        "export_quantization_bit",
        "choice",
        None,
        SAFETENSORS,
        choices=(*ROUNDED, *GPTQ_BITS),
        tasks=("export",),
    ),
    EXPORT.field("export_quantization_dataset", "path", None, QUANTIZED, tasks=("export",)),
    QUANTIZATION.count("export_quantization_nsamples", 128, 1, 100_000),
    QUANTIZATION.count("export_quantization_maxlen", 1024, 1, 131_072),
    EXPORT.field("export_hub_model_id", "text", None, tasks=("export",)),
    EXPORT.switch("export_legacy_format", tasks=("export",), widget="none"),
)
