"""GRPO and RLOO: several answers to each question, rewarded and compared within their group."""

from backend.contract.arguments.field_group import FieldGroup
from backend.contract.arguments.stages import GROUPED, REWARDED

GRPO = (("stage", ("grpo",)),)
RLOO = (("stage", ("rloo",)),)
COMPARED = (("stage", GROUPED),)
JUDGED = (("stage", REWARDED),)

# What reward_functions may name, in the order in which messages list them.
REWARDS = (
    "exact_match",
    "contains",
    "regex",
    "length",
    "json_valid",
    "reward_model",
    "python",
)
ONLINE = FieldGroup("grpo", GRPO)


FIELDS = (
    ONLINE.field("reward_functions", "list", "exact_match", when=JUDGED, choices=REWARDS),
    ONLINE.field("reward_weights", "numbers", None, when=JUDGED, low=-1e9, high=1e9),
    ONLINE.field("reward_regex", "text", None, when=JUDGED),
    ONLINE.count("reward_length", 200, 1, 1_000_000, JUDGED),
    ONLINE.field("reward_python_file", "path", None, when=JUDGED),
    ONLINE.switch("allow_reward_python", JUDGED),
    ONLINE.count("num_generations", 8, 2, 256, COMPARED),
    ONLINE.count("num_iterations", 1, 1, 100, COMPARED),
    ONLINE.number("epsilon", 0.2, 0.001, 10.0, COMPARED),
    ONLINE.number("grpo_beta", 0.0, 0.0, 10.0),
    ONLINE.field(
        "grpo_loss",
        "choice",
        "dapo",
        choices=("grpo", "dapo", "dr_grpo"),
    ),
    ONLINE.field(
        "scale_rewards",
        "choice",
        "group",
        choices=("group", "batch", "none"),
    ),
    ONLINE.number("rloo_beta", 0.05, 0.0, 10.0, RLOO),
    ONLINE.switch("normalize_advantages", RLOO),
)
