"""The stages beyond pre-training and SFT: preferences, rewards, PPO, GRPO, RLOO, distillation."""

from backend.contract.arguments.field import FieldGroup, When

PAIRED = ("rm", "dpo")  # two answers to a question are compared
TRL = ("rloo", "online_dpo", "distillation")  # carried by trl's own trainers
GROUPED = ("grpo", "rloo")  # several answers to a question are compared with each other
REWARDED = (*GROUPED, "online_dpo")  # reward functions judge answers
SCORED = ("ppo", *REWARDED)  # prompts are enough: answers are drawn, and judged
DRAWING = (*SCORED, "distillation")  # answers are drawn


DPO: When = (("stage", ("dpo",)),)
KTO: When = (("stage", ("kto",)),)
OF_PAIRS_AND_RATINGS: When = (("stage", ("dpo", "kto")),)
HELD: When = (("stage", ("dpo", "kto", "online_dpo")),)  # held near the start by pref_beta
ONLINE_DPO: When = (("stage", ("online_dpo",)),)
SIMPO: When = (*DPO, ("pref_loss", ("simpo",)))
# These compare sums over tokens, so that longer answers weigh more.
SUMS: When = (*DPO, ("pref_loss", ("sigmoid", "hinge", "kto_pair")))
LOSSES = ("sigmoid", "hinge", "ipo", "kto_pair", "orpo", "simpo")
PREFERENCE = FieldGroup("preference")


PREFERENCE_FIELDS = (
    PREFERENCE.field("pref_loss", "choice", "sigmoid", DPO, choices=LOSSES),
    PREFERENCE.number("pref_beta", 0.1, 0.001, 100.0, HELD),
    PREFERENCE.field(
        "online_dpo_loss", "choice", "sigmoid", ONLINE_DPO, choices=("sigmoid", "ipo")
    ),
    PREFERENCE.number("pref_ftx", 0.0, 0.0, 100.0, OF_PAIRS_AND_RATINGS),
    PREFERENCE.number("simpo_gamma", 0.5, 0.0, 100.0, SIMPO),
    PREFERENCE.number("dpo_label_smoothing", 0.0, 0.0, 0.5, DPO),
    PREFERENCE.number("ld_alpha", None, 0.0, 1.0, SUMS),
    PREFERENCE.number("kto_chosen_weight", 1.0, 0.0, 100.0, KTO),
    PREFERENCE.number("kto_rejected_weight", 1.0, 0.0, 100.0, KTO),
    PREFERENCE.field("ref_model", "path", None, OF_PAIRS_AND_RATINGS, widget="model"),
    PREFERENCE.field("ref_model_adapters", "list", None, OF_PAIRS_AND_RATINGS, widget="adapter"),
    PREFERENCE.field(
        "ref_model_quantization_bit",
        "choice",
        None,
        OF_PAIRS_AND_RATINGS,
        choices=("4", "8"),
        optional=True,
    ),
)


PPO: When = (("stage", ("ppo",)),)
DRAWN_AND_SCORED: When = (("stage", SCORED),)
APART: When = (*DRAWN_AND_SCORED, ("reward_model_type", ("full",)))
REWARD = FieldGroup("reward")
OF_PPO = FieldGroup("ppo", PPO)


REINFORCEMENT_FIELDS = (
    REWARD.field("reward_model", "path", None, DRAWN_AND_SCORED, widget="reward_model"),
    REWARD.field(
        "reward_model_type", "choice", "lora", DRAWN_AND_SCORED, choices=("lora", "full", "api")
    ),
    REWARD.field("reward_model_adapters", "list", None, APART),
    REWARD.field(
        "reward_model_quantization_bit",
        "choice",
        None,
        APART,
        choices=("4", "8"),
        optional=True,
    ),
    OF_PPO.count("ppo_buffer_size", 1, 1, 1024),
    OF_PPO.count("ppo_epochs", 4, 1, 100),
    OF_PPO.switch("ppo_score_norm"),
    OF_PPO.switch("ppo_whiten_rewards"),
    OF_PPO.number("ppo_target", 6.0, 0.0, 10_000.0, optional=True),
    OF_PPO.number("ppo_kl_coef", 0.2, 0.0, 10.0),
    OF_PPO.number("ppo_gamma", 1.0, 0.0, 1.0),
    OF_PPO.number("ppo_lambda", 0.95, 0.0, 1.0),
    OF_PPO.number("ppo_clip", 0.2, 0.001, 10.0),
    OF_PPO.number("ppo_value_clip", 0.2, 0.001, 1000.0),
    OF_PPO.number("ppo_value_coef", 0.1, 0.0, 10.0),
)


GRPO: When = (("stage", ("grpo",)),)
RLOO: When = (("stage", ("rloo",)),)
COMPARED: When = (("stage", GROUPED),)
JUDGED: When = (("stage", REWARDED),)

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
OF_GRPO = FieldGroup("grpo", GRPO)


GRPO_FIELDS = (
    OF_GRPO.field("reward_functions", "list", "exact_match", when=JUDGED, choices=REWARDS),
    OF_GRPO.field("reward_weights", "numbers", None, when=JUDGED, low=-1e9, high=1e9),
    OF_GRPO.field("reward_regex", "text", None, when=JUDGED),
    OF_GRPO.count("reward_length", 200, 1, 1_000_000, JUDGED),
    OF_GRPO.field("reward_python_file", "path", None, when=JUDGED),
    OF_GRPO.switch("allow_reward_python", JUDGED),
    OF_GRPO.count("num_generations", 8, 2, 256, COMPARED),
    OF_GRPO.count("num_iterations", 1, 1, 100, COMPARED),
    OF_GRPO.number("epsilon", 0.2, 0.001, 10.0, COMPARED),
    OF_GRPO.number("grpo_beta", 0.0, 0.0, 10.0),
    OF_GRPO.field(
        "grpo_loss",
        "choice",
        "dapo",
        choices=("grpo", "dapo", "dr_grpo"),
    ),
    OF_GRPO.field(
        "scale_rewards",
        "choice",
        "group",
        choices=("group", "batch", "none"),
    ),
    OF_GRPO.number("rloo_beta", 0.05, 0.0, 10.0, RLOO),
    OF_GRPO.switch("normalize_advantages", RLOO),
)


DISTILLATION: When = (("stage", ("distillation",)),)
DISTILLED = FieldGroup("distillation", DISTILLATION)


DISTILLATION_FIELDS = (
    DISTILLED.field("teacher_model", "path", None, widget="model"),
    DISTILLED.field("teacher_model_adapters", "list", None, widget="adapter"),
    DISTILLED.field(
        "teacher_model_quantization_bit",
        "choice",
        None,
        choices=("4", "8"),
    ),
    DISTILLED.field("teacher_server", "text", None),
    DISTILLED.field("teacher_server_model", "text", None),
    DISTILLED.field(
        "teacher_api_key",
        "text",
        None,
        secret=True,
        to="TEACHER_API_KEY",
    ),
    DISTILLED.number("distillation_beta", 0.5, 0.0, 1.0),
    DISTILLED.number("lmbda", 0.5, 0.0, 1.0),
    DISTILLED.count("teacher_top_k", 20, 1, 1000),
)
