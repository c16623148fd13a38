"""LoRA and its family."""

from backend.contract.field import Field, Value

LORA = (("finetuning_type", ("lora",)),)


def _switch(name: str, **more: object) -> Field:
    given: dict[str, object] = {"when": LORA, **more}
    return Field(name=name, kind="bool", default=False, group="lora", advanced=True, **given)  # type: ignore[arg-type]


def _modules(name: str, default: Value) -> Field:
    return Field(
        name=name,
        kind="list",
        default=default,
        group="lora",
        when=LORA,
        optional=default is None,
        advanced=True,
    )


ROWS = (
    Field(
        name="lora_rank",
        kind="int",
        default=8,
        group="lora",
        low=1,
        high=1024,
        step=1,
        when=LORA,
    ),
    Field(
        name="lora_alpha",
        kind="int",
        default=None,
        group="lora",
        low=1,
        high=2048,
        step=1,
        when=LORA,
        optional=True,
    ),
    Field(
        name="lora_dropout",
        kind="float",
        default=0.0,
        group="lora",
        low=0.0,
        high=1.0,
        step=0.01,
        when=LORA,
    ),
    _modules("lora_target", "all"),
    _modules("additional_target", None),
    Field(
        name="loraplus_lr_ratio",
        kind="float",
        default=None,
        group="lora",
        low=0.0,
        high=1024.0,
        when=LORA,
        optional=True,
        advanced=True,
    ),
    Field(
        name="loraplus_lr_embedding",
        kind="float",
        default=1e-6,
        group="lora",
        low=0.0,
        high=1.0,
        when=LORA,
        advanced=True,
        widget="none",
    ),
    _switch("create_new_adapter"),
    _switch("use_rslora"),
    _switch("use_dora"),
    _switch("pissa_init"),
    Field(
        name="pissa_iter",
        kind="int",
        default=16,
        group="lora",
        low=-1,
        high=1000,
        step=1,
        when=(*LORA, ("pissa_init", (True,))),
        advanced=True,
    ),
    _switch("pissa_convert", when=(*LORA, ("pissa_init", (True,)))),
)
