"""Choices on the page that no other test picks: each one works, with a tiny model."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from backend.contract.arguments.arguments import parse, resolve
from backend.contract.arguments.fields import FIELDS
from backend.contract.runs import metrics, run_folder
from backend.export import export
from backend.model import load
from backend.model.generation import Sampling
from backend.serving import engines
from backend.serving.engine import Engine
from backend.serving.generation_request import GenerationRequest
from backend.training import tracking
from tests.backend.training import train_small

HELLO = [{"role": "user", "content": "Who are you?"}]


@pytest.mark.parametrize("name", FIELDS["save_strategy"].choices)
def test_when_checkpoints_are_written(name: str, workspace: Path, tiny_model_dir: Path) -> None:
    """24 rows of 30 are 6 steps an epoch at batch 4."""
    folder = train_small(
        *(workspace, tiny_model_dir),
        save_strategy=name,
        save_steps=4,
        max_samples=24,
        max_steps=None,
        num_train_epochs=2,
        per_device_train_batch_size=4,
        gradient_accumulation_steps=1,
    )
    found = [point.step for point in run_folder.checkpoints(folder)]
    assert found == {"no": [], "steps": [4, 8, 12], "epoch": [6, 12]}[name]


@pytest.mark.parametrize("name", FIELDS["eval_strategy"].choices)
def test_when_is_evaluated(name: str, workspace: Path, tiny_model_dir: Path) -> None:
    folder = train_small(
        *(workspace, tiny_model_dir),
        eval_strategy=name,
        eval_steps=2,
        val_size=6,
        max_steps=None,
        num_train_epochs=1,
        per_device_train_batch_size=4,
        gradient_accumulation_steps=1,
    )
    rows, _ = metrics.read(folder / "metrics.jsonl", 0)
    found = [row.step for row in rows if row.eval_loss is not None]
    assert found == {"no": [], "steps": [2, 4, 6], "epoch": [6]}[name]


@pytest.mark.parametrize("name", FIELDS["infer_dtype"].choices)
def test_number_formats_that_answers_are_computed_in(name: str, tiny_model_dir: Path) -> None:
    values, _ = parse({"model_name_or_path": str(tiny_model_dir), "infer_dtype": name}, "api")
    engine = Engine.load(resolve(values))
    wanted = {"auto": "float32"}.get(name, name)
    assert str(next(engine._model.parameters()).dtype) == f"torch.{wanted}"
    answer = engine.answer(
        GenerationRequest(messages=HELLO, sampling=Sampling(max_tokens=2)), lambda _: None
    )
    assert 1 <= answer.completion_tokens <= 2


@pytest.mark.parametrize("name", FIELDS["export_device"].choices)
def test_where_an_export_is_computed(name: str, workspace: Path, tiny_model_dir: Path) -> None:
    raw = {"model_name_or_path": str(tiny_model_dir), "export_device": name}
    values, _ = parse({**raw, "export_dir": str(workspace / "out")}, "export")
    export.run(resolve(values), workspace)
    assert (workspace / "out" / "model.safetensors").is_file()


def test_a_model_of_modelscope(
    workspace: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its package brings the folder; here a stand-in does."""
    asked: list[tuple[str, dict[str, Any]]] = []

    def download(name: str, **given: Any) -> str:
        asked.append((name, given))
        return str(tiny_model_dir)

    module = ModuleType("modelscope")
    module.snapshot_download = download  # type: ignore[attr-defined]
    module.__spec__ = SimpleNamespace(name="modelscope")
    monkeypatch.setitem(sys.modules, "modelscope", module)
    raw = {"model_name_or_path": "owner/tiny-of-modelscope", "hub_name": "modelscope"}
    values, _ = parse({**raw, "dataset": "x"}, "train")
    assert load.base_folder(resolve(values)) == tiny_model_dir
    ((name, given),) = asked
    assert name == "owner/tiny-of-modelscope"
    assert given["revision"] is None
    assert "*.safetensors" in given["allow_patterns"]
    assert given["ignore_patterns"] == ["*/*.safetensors"]


def test_swanlab_s_modes_are_all_known() -> None:
    assert set(tracking.MODES) == set(FIELDS["swanlab_mode"].choices)


@pytest.mark.parametrize("name", FIELDS["sglang_lora_backend"].choices)
def test_lora_kernels_of_sglang(name: str, tmp_path: Path) -> None:
    raw = {"model_name_or_path": "a/b", "infer_backend": "sglang", "sglang_lora_backend": name}
    values, _ = parse({**raw, "adapter_name_or_path": str(tmp_path)}, "api")
    found = engines.sglang(resolve(values), "tuned")
    assert found[found.index("--lora-backend") + 1] == name
