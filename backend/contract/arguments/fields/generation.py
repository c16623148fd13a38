"""How answers are sampled, in Evaluate and Chat."""

from backend.contract.arguments import stages
from backend.contract.arguments.field_group import FieldGroup

ANSWERS = ("eval", "chat", "api")
SAMPLED = (*ANSWERS, "train")
# The stages of training that draw answers.
ROLLOUTS = (("train", (("stage", stages.DRAWING),)),)
DRAWING = (*ROLLOUTS, ("eval", (("do_sample", (True,)),)))
# Given in Evaluate, whose answers are the likeliest ones by default, these ask for sampling.
DRAWN = frozenset({"temperature", "top_p", "top_k"})
SAMPLING = FieldGroup("generation", tasks=SAMPLED, task_when=DRAWING)
GENERATION = FieldGroup("generation")


FIELDS = (
    GENERATION.count("max_new_tokens", 1024, 1, 131_072, tasks=SAMPLED, task_when=ROLLOUTS),
    GENERATION.field("do_sample", "bool", True, task_defaults=(("eval", False),), tasks=ANSWERS),
    SAMPLING.number("temperature", 0.95, 0.0, 2.0),
    SAMPLING.number("top_p", 0.7, 0.0, 1.0),
    GENERATION.count("top_k", 50, 0, 100_000, tasks=SAMPLED, task_when=DRAWING),
    GENERATION.count("num_beams", 1, 1, 64, tasks=("eval",)),
    GENERATION.number("repetition_penalty", 1.0, 0.1, 10.0, tasks=SAMPLED, task_when=ROLLOUTS),
    GENERATION.number("length_penalty", 1.0, -10.0, 10.0, tasks=("eval",)),
    GENERATION.field("skip_special_tokens", "bool", True, tasks=ANSWERS),
    GENERATION.choice(
        "infer_dtype", ("auto", "float16", "bfloat16", "float32"), tasks=("chat", "api")
    ),
    GENERATION.choice("infer_backend", ("huggingface", "vllm", "sglang"), tasks=("chat", "api")),
)
