"""The optimiser and its parameters, and the optimisers that save memory in full training."""

from backend.contract.arguments.field import When
from backend.contract.arguments.field_group import FieldGroup

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
OPTIMIZER = FieldGroup("optimizer")


FIELDS = (
    OPTIMIZER.field("optim", "choice", "adamw_torch", choices=tuple(OPTIMIZERS), to="optim"),
    OPTIMIZER.number("adam_beta1", 0.9, 0.0, 1.0, to="adam_beta1"),
    OPTIMIZER.number("adam_beta2", 0.999, 0.0, 1.0, to="adam_beta2"),
    OPTIMIZER.number("adam_epsilon", 1e-8, 0.0, 1.0, to="adam_epsilon"),
    OPTIMIZER.switch("use_galore", WHOLE),
    OPTIMIZER.field("galore_target", "list", "all", GALORE),
    OPTIMIZER.count("galore_rank", 16, 1, 1024, GALORE),
    OPTIMIZER.count("galore_update_interval", 200, 1, 2048, GALORE),
    OPTIMIZER.number("galore_scale", 2.0, 0.0, 100.0, GALORE),
    OPTIMIZER.choice("galore_proj_type", ("std", "reverse_std", "right", "left", "full"), GALORE),
    OPTIMIZER.switch("galore_layerwise", GALORE),
    OPTIMIZER.switch("use_apollo", WHOLE),
    OPTIMIZER.field("apollo_target", "list", "all", APOLLO),
    OPTIMIZER.count("apollo_rank", 16, 1, 1024, APOLLO),
    OPTIMIZER.count("apollo_update_interval", 200, 1, 2048, APOLLO),
    OPTIMIZER.number("apollo_scale", 32.0, 0.0, 100.0, APOLLO),
    OPTIMIZER.choice("apollo_proj", ("random", "svd"), APOLLO),
    OPTIMIZER.choice("apollo_proj_type", ("std", "right", "left"), APOLLO),
    OPTIMIZER.choice("apollo_scale_type", ("channel", "tensor"), APOLLO),
    OPTIMIZER.switch("apollo_layerwise", APOLLO),
    OPTIMIZER.switch("apollo_scale_front", APOLLO),
    OPTIMIZER.switch("use_badam", WHOLE),
    OPTIMIZER.choice("badam_mode", ("layer", "ratio"), BADAM),
    OPTIMIZER.choice("badam_switch_mode", ("ascending", "descending", "random", "fixed"), BY_LAYER),
    OPTIMIZER.count("badam_start_block", None, 0, 1023, BY_LAYER),
    OPTIMIZER.count("badam_switch_interval", 50, 1, 1_000_000, BADAM),
    OPTIMIZER.number("badam_update_ratio", 0.05, 0.0, 1.0, BY_RATIO),
    OPTIMIZER.choice("badam_mask_mode", ("adjacent", "scatter"), BY_RATIO),
    OPTIMIZER.switch("use_adam_mini", WHOLE),
    OPTIMIZER.switch("use_muon"),
)
