"""GRPO and RLOO: several answers to each question, rewarded and compared within their group."""

from backend.contract.arguments.field import Field, Value
from backend.contract.arguments.stages import GROUPED, REWARDED

GRPO = (("stage", ("grpo",)),)
RLOO = (("stage", ("rloo",)),)
COMPARED = (("stage", GROUPED),)
JUDGED = (("stage", REWARDED),)

# What reward_functions may name, in the order in which they are told.
REWARDS = (
    "exact_match",
    "contains",
    "regex",
    "length",
    "json_valid",
    "reward_model",
    "python",
)


def _row(name: str, kind: str, default: Value, **more: object) -> Field:
    given: dict[str, object] = {"group": "grpo", "when": GRPO, **more}
    return Field(name=name, kind=kind, default=default, **given)  # type: ignore[arg-type]


ROWS = (
    _row("reward_functions", "list", "exact_match", when=JUDGED, choices=REWARDS),
    _row("reward_weights", "numbers", None, when=JUDGED, optional=True, low=-1e9, high=1e9),
    _row("reward_regex", "text", None, when=JUDGED, optional=True),
    _row("reward_length", "int", 200, when=JUDGED, low=1, high=1_000_000),
    _row("reward_python_file", "path", None, when=JUDGED, optional=True),
    _row("allow_reward_python", "bool", False, when=JUDGED),
    _row("num_generations", "int", 8, when=COMPARED, low=2, high=256),
    _row("num_iterations", "int", 1, when=COMPARED, low=1, high=100),
    _row("epsilon", "float", 0.2, when=COMPARED, low=0.001, high=10.0),
    _row("grpo_beta", "float", 0.0, low=0.0, high=10.0),
    _row(
        "grpo_loss",
        "choice",
        "dapo",
        choices=("grpo", "dapo", "dr_grpo"),
    ),
    _row(
        "scale_rewards",
        "choice",
        "group",
        choices=("group", "batch", "none"),
    ),
    _row("rloo_beta", "float", 0.05, when=RLOO, low=0.0, high=10.0),
    _row("normalize_advantages", "bool", False, when=RLOO),
)
