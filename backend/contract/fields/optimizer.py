"""The optimiser and its numbers."""

from backend.contract.field import Field, When

OPTIMIZERS = ("adamw_torch", "adamw_torch_fused", "adafactor", "sgd", "adagrad", "rmsprop")
GALORE = (("use_galore", (True,)),)
APOLLO = (("use_apollo", (True,)),)
NOT_LORA = (("finetuning_type", ("full", "freeze")),)


def _float(name: str, default: float, high: float, to: str = "", when: When = ()) -> Field:
    return Field(
        name=name,
        kind="float",
        default=default,
        group="optimizer",
        low=0.0,
        high=high,
        when=when,
        advanced=True,
        to=to,
    )


def _int(name: str, default: int, high: int, when: When) -> Field:
    return Field(
        name=name,
        kind="int",
        default=default,
        group="optimizer",
        low=1,
        high=high,
        step=1,
        when=when,
        advanced=True,
    )


ROWS = (
    Field(
        name="optim",
        kind="choice",
        default="adamw_torch",
        group="optimizer",
        choices=OPTIMIZERS,
        advanced=True,
        to="optim",
    ),
    _float("adam_beta1", 0.9, 1.0, "adam_beta1"),
    _float("adam_beta2", 0.999, 1.0, "adam_beta2"),
    _float("adam_epsilon", 1e-8, 1.0, "adam_epsilon"),
    Field(
        name="use_galore",
        kind="bool",
        default=False,
        group="optimizer",
        advanced=True,
        when=NOT_LORA,
    ),
    _int("galore_rank", 16, 1024, when=NOT_LORA + GALORE),
    _int("galore_update_interval", 200, 2048, when=NOT_LORA + GALORE),
    _float("galore_scale", 2.0, 100.0, when=NOT_LORA + GALORE),
    Field(
        name="galore_target",
        kind="list",
        default="all",
        group="optimizer",
        advanced=True,
        when=NOT_LORA + GALORE,
    ),
    Field(
        name="use_apollo",
        kind="bool",
        default=False,
        group="optimizer",
        advanced=True,
        when=NOT_LORA,
    ),
    _int("apollo_rank", 16, 1024, when=NOT_LORA + APOLLO),
    _int("apollo_update_interval", 200, 2048, when=NOT_LORA + APOLLO),
    _float("apollo_scale", 32.0, 100.0, when=NOT_LORA + APOLLO),
    Field(
        name="apollo_target",
        kind="list",
        default="all",
        group="optimizer",
        advanced=True,
        when=NOT_LORA + APOLLO,
    ),
)
