"""The optimiser and its numbers, and the optimisers that save memory in full training."""

from backend.contract.arguments.field import Field, Value, When

# transformers' names -> (module, what to install), or None where torch and transformers suffice.
OPTIMIZERS: dict[str, tuple[str, str] | None] = {
    **dict.fromkeys(("adamw_torch", "adamw_torch_fused", "adafactor"), None),
    **dict.fromkeys(("sgd", "adagrad", "rmsprop"), None),
    **dict.fromkeys(("adamw_torch_8bit", "adamw_torch_4bit"), ("torchao", "torchao")),
    **dict.fromkeys(
        (
            *("adamw_8bit", "adamw_bnb_8bit", "paged_adamw_8bit", "paged_adamw_32bit"),
            *("ademamix", "ademamix_8bit", "paged_ademamix_8bit", "paged_ademamix_32bit"),
            *("lion_8bit", "lion_32bit", "paged_lion_8bit", "paged_lion_32bit"),
            *("rmsprop_bnb", "rmsprop_bnb_8bit", "rmsprop_bnb_32bit"),
        ),
        ("bitsandbytes", "bitsandbytes"),
    ),
    **dict.fromkeys(("lomo", "adalomo"), ("lomo_optim", "lomo-optim")),
    "grokadamw": ("grokadamw", "grokadamw"),
    **dict.fromkeys(
        ("schedule_free_adamw", "schedule_free_radam", "schedule_free_sgd"),
        ("schedulefree", "schedulefree"),
    ),
    "stable_adamw": ("optimi", "torch-optimi"),
}
# With these, GaLore takes its AdamW of 8 bit, which computes on a GPU only.
GALORE_8BIT = ("adamw_8bit", "adamw_bnb_8bit", "paged_adamw_8bit")
WHOLE: When = (("finetuning_type", ("full", "freeze")),)
GALORE: When = (*WHOLE, ("use_galore", (True,)))
APOLLO: When = (*WHOLE, ("use_apollo", (True,)))
BADAM: When = (*WHOLE, ("use_badam", (True,)))
BY_LAYER: When = (*BADAM, ("badam_mode", ("layer",)))
BY_RATIO: When = (*BADAM, ("badam_mode", ("ratio",)))


def _row(name: str, kind: str, default: Value, when: When = (), **more: object) -> Field:
    given: dict[str, object] = {"group": "optimizer", "when": when, **more}
    return Field(name=name, kind=kind, default=default, **given)  # type: ignore[arg-type]


def _float(name: str, default: float, high: float, when: When = (), **more: object) -> Field:
    return _row(name, "float", default, when, low=0.0, high=high, **more)


def _int(name: str, default: int | None, low: int, high: int, when: When) -> Field:
    return _row(name, "int", default, when, low=low, high=high, optional=default is None)


def _switch(name: str, when: When = WHOLE) -> Field:
    return _row(name, "bool", False, when)


def _choice(name: str, when: When, *choices: str) -> Field:
    """A choice whose default is the first."""
    return _row(name, "choice", choices[0], when, choices=choices)


ROWS = (
    _row("optim", "choice", "adamw_torch", choices=tuple(OPTIMIZERS), to="optim"),
    _float("adam_beta1", 0.9, 1.0, to="adam_beta1"),
    _float("adam_beta2", 0.999, 1.0, to="adam_beta2"),
    _float("adam_epsilon", 1e-8, 1.0, to="adam_epsilon"),
    _switch("use_galore"),
    _row("galore_target", "list", "all", GALORE),
    _int("galore_rank", 16, 1, 1024, GALORE),
    _int("galore_update_interval", 200, 1, 2048, GALORE),
    _float("galore_scale", 2.0, 100.0, GALORE),
    _choice("galore_proj_type", GALORE, "std", "reverse_std", "right", "left", "full"),
    _switch("galore_layerwise", GALORE),
    _switch("use_apollo"),
    _row("apollo_target", "list", "all", APOLLO),
    _int("apollo_rank", 16, 1, 1024, APOLLO),
    _int("apollo_update_interval", 200, 1, 2048, APOLLO),
    _float("apollo_scale", 32.0, 100.0, APOLLO),
    _choice("apollo_proj", APOLLO, "random", "svd"),
    _choice("apollo_proj_type", APOLLO, "std", "right", "left"),
    _choice("apollo_scale_type", APOLLO, "channel", "tensor"),
    _switch("apollo_layerwise", APOLLO),
    _switch("apollo_scale_front", APOLLO),
    _switch("use_badam"),
    _choice("badam_mode", BADAM, "layer", "ratio"),
    _choice("badam_switch_mode", BY_LAYER, "ascending", "descending", "random", "fixed"),
    _int("badam_start_block", None, 0, 1023, BY_LAYER),
    _int("badam_switch_interval", 50, 1, 1_000_000, BADAM),
    _float("badam_update_ratio", 0.05, 1.0, BY_RATIO),
    _choice("badam_mask_mode", BY_RATIO, "adjacent", "scatter"),
    _switch("use_adam_mini"),
    _switch("use_muon", ()),
)
