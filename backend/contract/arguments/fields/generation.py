"""How answers are sampled, in Evaluate and Chat."""

from backend.contract.arguments import stages
from backend.contract.arguments.field import Field
from backend.contract.arguments.rows import Rows

ANSWERS = ("eval", "chat", "api")
SAMPLED = (*ANSWERS, "train")
# The stages of training that draw answers.
ROLLOUTS = (("train", (("stage", stages.DRAWING),)),)
DRAWING = (*ROLLOUTS, ("eval", (("do_sample", (True,)),)))
# Given in Evaluate, whose answers are the likeliest ones by default, these ask for sampling.
DRAWN = frozenset({"temperature", "top_p", "top_k"})
SAMPLING = Rows("generation", tasks=SAMPLED, task_when=DRAWING)


ROWS = (
    Field(
        name="max_new_tokens",
        kind="int",
        default=1024,
        group="generation",
        low=1,
        high=131_072,
        tasks=SAMPLED,
        task_when=ROLLOUTS,
    ),
    Field(
        name="do_sample",
        kind="bool",
        default=True,
        task_defaults=(("eval", False),),
        group="generation",
        tasks=ANSWERS,
    ),
    SAMPLING.number("temperature", 0.95, 0.0, 2.0),
    SAMPLING.number("top_p", 0.7, 0.0, 1.0),
    Field(
        name="top_k",
        kind="int",
        default=50,
        group="generation",
        low=0,
        high=100_000,
        tasks=SAMPLED,
        task_when=DRAWING,
    ),
    Field(
        name="num_beams",
        kind="int",
        default=1,
        group="generation",
        low=1,
        high=64,
        tasks=("eval",),
    ),
    Field(
        name="repetition_penalty",
        kind="float",
        default=1.0,
        group="generation",
        low=0.1,
        high=10.0,
        tasks=SAMPLED,
        task_when=ROLLOUTS,
    ),
    Field(
        name="length_penalty",
        kind="float",
        default=1.0,
        group="generation",
        low=-10.0,
        high=10.0,
        tasks=("eval",),
    ),
    Field(
        name="skip_special_tokens",
        kind="bool",
        default=True,
        group="generation",
        tasks=ANSWERS,
    ),
    Field(
        name="infer_dtype",
        kind="choice",
        default="auto",
        group="generation",
        choices=("auto", "float16", "bfloat16", "float32"),
        tasks=("chat", "api"),
    ),
    Field(
        name="infer_backend",
        kind="choice",
        default="huggingface",
        group="generation",
        choices=("huggingface", "vllm", "sglang"),
        tasks=("chat", "api"),
    ),
)
