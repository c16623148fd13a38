"""Which files of a repository a model's download takes."""

from pathlib import Path
from typing import Any

import pytest
from huggingface_hub.utils import filter_repo_objects

from backend.contract.arguments.arguments import parse, resolve
from backend.hub import fetching
from backend.model import hub

REPOSITORY = [
    *("config.json", "model-00001-of-00001.safetensors", "model.safetensors.index.json"),
    *("chat_template.jinja", "additional_chat_templates/tools.jinja"),
    *("original/config.json", "original/model.safetensors", "metal/model.bin"),
]


def test_weights_of_subfolders_stay_on_the_hub(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Repositories that hold their weights twice, as gpt-oss does, are downloaded once."""
    downloads: list[list[str]] = []

    def snapshot_download(name: str, **given: Any) -> str:
        patterns = {key: given[key] for key in given if key.endswith("_patterns")}
        downloads.append(list(filter_repo_objects(REPOSITORY, **patterns)))
        return str(workspace)

    monkeypatch.setattr(fetching, "make_plan", lambda *_: fetching.Plan(0, 0))
    monkeypatch.setattr(fetching, "snapshot_download", snapshot_download)
    values, _ = parse({"model_name_or_path": "owner/twice", "dataset": "x"}, "train")
    hub.fetch("owner/twice", resolve(values))
    safetensors = [file for file in downloads[-1] if file.endswith(".safetensors")]
    assert safetensors == ["model-00001-of-00001.safetensors"]
    assert "additional_chat_templates/tools.jinja" in downloads[-1]
    assert "config.json" in downloads[-1]
