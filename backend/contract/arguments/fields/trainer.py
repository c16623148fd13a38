"""Options that go unchanged to transformers' Trainer and the hub. The page does not show them."""

from backend.contract.arguments.field import Field, Kind, Value

BOTH = ("train", "eval")
# What an evaluation in training measures, by stage: the names that metric_for_best_model takes.
OF_TOKENS = ("loss", "perplexity", "accuracy")
OF_PAIRS = ("loss", "rewards/accuracies", "rewards/margins")
METRICS = {
    **dict.fromkeys(("pt", "sft"), OF_TOKENS),
    **dict.fromkeys(("rm", "dpo"), OF_PAIRS),
    "kto": ("loss", "rewards/chosen", "kl"),
    **dict.fromkeys(("ppo", "grpo", "rloo"), ("loss", "reward")),
    "online_dpo": OF_PAIRS,
    "distillation": ("loss",),
}
LOWER_IS_BETTER = ("loss", "perplexity", "kl")


def _row(name: str, kind: Kind, default: Value, group: str, **more: object) -> Field:
    """A row that receives its value under the same name, unless `to` says otherwise."""
    given: dict[str, object] = {"to": name, "optional": default is None, **more}
    return Field(
        name=name,
        kind=kind,
        default=default,
        group=group,
        widget="none",
        **given,  # type: ignore[arg-type]
    )


def _count(name: str, group: str, high: int, low: int = 1) -> Field:
    return _row(name, "int", None, group, low=low, high=high)


FIELDS = (
    _count("data_seed", "training", 2**31 - 1, low=0),
    _row("full_determinism", "bool", False, "training"),
    _row("use_cpu", "bool", False, "training", tasks=BOTH, to=""),
    _row("tf32", "bool", None, "speed"),
    _count("torch_empty_cache_steps", "speed", 10**9),
    _row("dataloader_pin_memory", "bool", True, "data"),
    _row("dataloader_persistent_workers", "bool", False, "data"),
    _count("dataloader_prefetch_factor", "data", 1024),
    _row("ddp_find_unused_parameters", "bool", None, "speed"),
    _count("ddp_bucket_cap_mb", "speed", 10**6),
    _row("ddp_broadcast_buffers", "bool", None, "speed"),
    _row("ddp_static_graph", "bool", None, "speed"),
    _row("ddp_backend", "choice", None, "speed", choices=("nccl", "gloo", "mpi", "ccl", "hccl")),
    _row("metric_for_best_model", "text", None, "evaluation", to=""),
    _row("greater_is_better", "bool", None, "evaluation", to=""),
    _row("eval_on_start", "bool", False, "evaluation"),
    _row("eval_delay", "float", 0.0, "evaluation", low=0.0, high=1e9),
    _row("logging_strategy", "choice", "steps", "output", choices=("no", "steps", "epoch")),
    _row("logging_first_step", "bool", False, "output"),
    _row(
        "log_level",
        "choice",
        "passive",
        "output",
        choices=("debug", "info", "warning", "error", "critical", "passive"),
    ),
    _row("trackio_bucket_id", "text", None, "tracking"),
    _row("trackio_static_space_id", "text", None, "tracking"),
    _row("hub_revision", "text", None, "tracking", when=(("push_to_hub", (True,)),), to=""),
)
