"""The model card (README.md) of a run: base model, data, arguments and results."""

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import yaml

from backend.contract.arguments.arguments import to_yaml
from backend.contract.arguments.fields.methods import is_adapter
from backend.contract.arguments.typed import Arguments

PACKAGES = ("tuneboard", "torch", "transformers", "peft", "datasets", "tokenizers")


def write(folder: Path, values: Arguments, results: Mapping[str, float], base: str) -> None:
    """Write the model card of a finished run into its folder, over what a library put there.

    `base` is the hub id or the folder of the model that was trained.
    """
    base = public_name(base)
    head = {
        "base_model": base,
        "library_name": "peft" if is_adapter(values.finetuning_type) else "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["tuneboard", values.stage, values.finetuning_type],
    }
    parts = [
        f"---\n{yaml.safe_dump(head, sort_keys=False, allow_unicode=True)}---",
        f"# {folder.name}",
        f"{base}, fine-tuned with Tuneboard ({values.stage}, {values.finetuning_type}).",
        "## Data",
        f"- trained on: {values.dataset or values.tokenized_path}\n"
        f"- evaluated on: {_evaluation_data(values)}",
        "## Arguments",
        f"```yaml\n{to_yaml(values.as_mapping(), 'train')}```",
        "## Results",
        _table(results),
        "## Versions",
        "\n".join(f"- {name} {installed}" for name in PACKAGES if (installed := _version(name))),
        "## Use",
        f"```python\n{_code(values)}\n```",
    ]
    (folder / "README.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def public_name(base: str) -> str:
    """The name of a base model without folders of this machine, since cards are published."""
    return Path(base).name if Path(base).is_absolute() else base


def _evaluation_data(values: Arguments) -> str:
    if values.eval_dataset:
        return values.eval_dataset
    return f"val_size {values.val_size}" if values.val_size else "nothing"


def _table(results: Mapping[str, float]) -> str:
    rows = [f"| {name} | {number:.6g} |" for name, number in results.items()]
    return "\n".join(["| figure | value |", "|---|---|", *rows])


def _code(values: Arguments) -> str:
    kind = (
        "AutoPeftModelForCausalLM" if is_adapter(values.finetuning_type) else "AutoModelForCausalLM"
    )
    library = "peft" if is_adapter(values.finetuning_type) else "transformers"
    return (
        f"from {library} import {kind}\nfrom transformers import AutoTokenizer\n\n"
        f'model = {kind}.from_pretrained("<this folder>")\n'
        'tokenizer = AutoTokenizer.from_pretrained("<this folder>")'
    )


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
