"""Reinforcement learning: the model that scores answers, and PPO."""

from backend.contract.arguments.field import Field, Value, When
from backend.contract.arguments.stages import SCORED

PPO: When = (("stage", ("ppo",)),)
JUDGED: When = (("stage", SCORED),)
APART: When = (*JUDGED, ("reward_model_type", ("full",)))


def _row(name: str, kind: str, default: Value, when: When, **more: object) -> Field:
    given: dict[str, object] = {"group": "reward", "when": when, **more}
    return Field(name=name, kind=kind, default=default, **given)  # type: ignore[arg-type]


def _ppo(name: str, kind: str, default: Value, **more: object) -> Field:
    return _row(name, kind, default, PPO, **{"group": "ppo", **more})


def _number(name: str, default: float, high: float, **more: object) -> Field:
    given: dict[str, object] = {"low": 0.0, "high": high, **more}
    return _ppo(name, "float", default, **given)


ROWS = (
    _row("reward_model", "path", None, JUDGED, optional=True, widget="reward_model"),
    _row("reward_model_type", "choice", "lora", JUDGED, choices=("lora", "full", "api")),
    _row("reward_model_adapters", "list", None, APART, optional=True),
    _row(
        "reward_model_quantization_bit",
        "choice",
        None,
        APART,
        choices=("4", "8"),
        optional=True,
    ),
    _ppo("ppo_buffer_size", "int", 1, low=1, high=1024),
    _ppo("ppo_epochs", "int", 4, low=1, high=100),
    _ppo("ppo_score_norm", "bool", False),
    _ppo("ppo_whiten_rewards", "bool", False),
    _number("ppo_target", 6.0, 10_000.0, optional=True),
    _number("ppo_kl_coef", 0.2, 10.0),
    _number("ppo_gamma", 1.0, 1.0),
    _number("ppo_lambda", 0.95, 1.0),
    _number("ppo_clip", 0.2, 10.0, low=0.001),
    _number("ppo_value_clip", 0.2, 1000.0, low=0.001),
    _number("ppo_value_coef", 0.1, 10.0),
)
