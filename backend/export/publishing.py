"""Publish a result: its model card (README.md), and the upload of its folder to Hugging Face.

The card has the base model, data, arguments and results. The local folder stays in any case.
"""

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import yaml
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, HTTPError

from backend.contract.arguments.arguments import to_yaml
from backend.contract.arguments.fields.methods import is_adapter
from backend.contract.arguments.typed import Arguments
from backend.contract.runs import run_folder
from backend.contract.texts.problems import Problem, TuneboardError
from backend.running.deadline import answers_in_time

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
    return "\n".join(["| metric | value |", "|---|---|", *rows])


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


FILES = [
    "*.safetensors",
    "*.gguf",
    "*.json",
    "*.jinja",
    "*.model",
    "*.txt",
    "Modelfile",
    "*.png",
    "*.md",
]
# Files of a run that hold paths of this machine, and everything in subfolders.
LEFT = [
    run_folder.RUN,
    run_folder.LAUNCH,
    run_folder.STATUS,
    run_folder.STOP,
    run_folder.EXIT,
    run_folder.PROBLEM,
    run_folder.LOG,
    "*/*",
]


def push(
    folder: Path,
    repository: str,
    field: str,
    *,
    private: bool | None = None,
    revision: str | None = None,
) -> str:
    """Upload FILES of the folder without those in LEFT; returns the repository's full name.

    `private` None takes the account's default. `revision` is the branch that receives the files,
    created where it does not exist; None is the main one. The token is HF_TOKEN of the
    environment or that of `hf auth login`. Raises TuneboardError for `field` where the hub does
    not answer within 15 s, refuses, or the name is not valid.
    """
    created: list[str] = []

    def create() -> None:
        created_repository = HfApi().create_repo(repository, private=private, exist_ok=True)
        if revision:
            HfApi().create_branch(created_repository.repo_id, branch=revision, exist_ok=True)
        created.append(created_repository.repo_id)

    reason = ""
    try:
        if answers_in_time(create):
            HfApi().upload_folder(
                repo_id=created[0],
                folder_path=folder,
                revision=revision,
                allow_patterns=FILES,
                ignore_patterns=LEFT,
                commit_message="Upload with Tuneboard",
            )
            return created[0]
        code = "hub_push_unreachable"
    except (HfHubHTTPError, HFValidationError) as error:
        code, reason = "hub_push_refused", _line(error)
    except (OSError, HTTPError) as error:  # HTTPError is that of the library's HTTP client
        code, reason = "hub_push_unreachable", _line(error)
    params = {"name": repository, "path": str(folder), "reason": reason}
    raise TuneboardError(Problem(code=code, field=field, params=params))


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
