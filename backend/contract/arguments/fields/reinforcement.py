"""Reinforcement learning: the model that scores answers, and PPO."""

from backend.contract.arguments.field import When
from backend.contract.arguments.field_group import FieldGroup
from backend.contract.arguments.stages import SCORED

PPO: When = (("stage", ("ppo",)),)
JUDGED: When = (("stage", SCORED),)
APART: When = (*JUDGED, ("reward_model_type", ("full",)))
REWARD = FieldGroup("reward")
OF_PPO = FieldGroup("ppo", PPO)


FIELDS = (
    REWARD.field("reward_model", "path", None, JUDGED, widget="reward_model"),
    REWARD.field("reward_model_type", "choice", "lora", JUDGED, choices=("lora", "full", "api")),
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
