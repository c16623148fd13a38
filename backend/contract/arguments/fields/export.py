"""Export: one folder with merged weights."""

from backend.contract.arguments.field import Field
from backend.contract.arguments.rows import Rows

QUANTIZED = (("export_quantization_bit", ("8", "4", "3", "2")),)
QUANTIZATION = Rows("export", QUANTIZED, tasks=("export",))


ROWS = (
    Field(
        name="export_dir",
        kind="path",
        default=None,
        group="export",
        tasks=("export", "vocab"),
        optional=True,
    ),
    Field(
        name="export_size",
        kind="float",
        default=5.0,
        group="export",
        low=0.01,
        high=1000.0,
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
        name="export_quantization_bit",
        kind="choice",
        default=None,
        group="export",
        choices=("8", "4", "3", "2"),
        tasks=("export",),
        optional=True,
    ),
    Field(
        name="export_quantization_dataset",
        kind="path",
        default=None,
        group="export",
        tasks=("export",),
        when=QUANTIZED,
        optional=True,
    ),
    QUANTIZATION.count("export_quantization_nsamples", 128, 1, 100_000),
    QUANTIZATION.count("export_quantization_maxlen", 1024, 1, 131_072),
    Field(
        name="export_hub_model_id",
        kind="text",
        default=None,
        group="export",
        tasks=("export",),
        optional=True,
    ),
    Field(
        name="export_legacy_format",
        kind="bool",
        default=False,
        group="export",
        tasks=("export",),
        widget="none",
    ),
)
