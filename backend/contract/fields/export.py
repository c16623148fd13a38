"""Export: one folder with merged weights."""

from backend.contract.field import Field

ROWS = (
    Field(
        name="export_dir",
        kind="path",
        default=None,
        group="export",
        tasks=("export",),
        optional=True,
    ),
    Field(
        name="export_size",
        kind="float",
        default=5.0,
        group="export",
        low=0.01,
        high=1000.0,
        step=0.01,
        tasks=("export",),
    ),
    Field(
        name="export_dtype",
        kind="choice",
        default="auto",
        group="export",
        choices=("auto", "float32", "float16", "bfloat16"),
        tasks=("export",),
    ),
    Field(
        name="export_device",
        kind="choice",
        default="cpu",
        group="export",
        choices=("cpu", "auto"),
        tasks=("export",),
        widget="radio",
    ),
    Field(
        name="export_modelfile",
        kind="bool",
        default=True,
        group="export",
        tasks=("export",),
    ),
    Field(
        name="export_legacy_format",
        kind="bool",
        default=False,
        group="export",
        tasks=("export",),
        widget="none",
        advanced=True,
    ),
)
