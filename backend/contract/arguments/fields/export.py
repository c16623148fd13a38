"""Export: one folder with the merged and perhaps quantised weights."""

from backend.contract.arguments.field_group import FieldGroup

QUANTIZED = (("export_quantization_bit", ("8", "4", "3", "2")),)
QUANTIZATION = FieldGroup("export", QUANTIZED, tasks=("export",))
EXPORT = FieldGroup("export")


FIELDS = (
    EXPORT.field("export_dir", "path", None, tasks=("export", "vocab")),
    EXPORT.number("export_size", 5.0, 0.01, 1000.0, tasks=("export",)),
    EXPORT.choice("export_dtype", ("auto", "float32", "float16", "bfloat16"), tasks=("export",)),
    EXPORT.choice("export_device", ("cpu", "auto"), tasks=("export",), widget="radio"),
    EXPORT.field("export_modelfile", "bool", True, tasks=("export",)),
    EXPORT.field(
        "export_quantization_bit", "choice", None, choices=("8", "4", "3", "2"), tasks=("export",)
    ),
    EXPORT.field("export_quantization_dataset", "path", None, QUANTIZED, tasks=("export",)),
    QUANTIZATION.count("export_quantization_nsamples", 128, 1, 100_000),
    QUANTIZATION.count("export_quantization_maxlen", 1024, 1, 131_072),
    EXPORT.field("export_hub_model_id", "text", None, tasks=("export",)),
    EXPORT.switch("export_legacy_format", tasks=("export",), widget="none"),
)
