"""The reference's log-probabilities: computed once, the same as computed anew, on the disk."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.training import preference, reference_logps
from backend.training.reference_logps import LogpsStore, store_folder
from tests.backend.preferences import rows, train_preferences
from tests.backend.training import assert_resumed_equals, record, small, train_small

METHODS: dict[str, dict[str, Any]] = {
    "lora": {},
    "full": {"finetuning_type": "full"},
    "kto": {"stage": "kto"},
    "per token": {"ld_alpha": 0.5},
}
EPOCHS: dict[str, Any] = {"max_steps": 24, "learning_rate": 1e-2, "lora_dropout": 0.1}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many sequences each pass of the reference has computed."""
    counts: list[int] = []
    ask = reference_logps.ReferenceLogps._ask

    def count(self: Any, inputs: Any) -> Any:
        counts.append(len(inputs["input_ids"]))
        return ask(self, inputs)

    monkeypatch.setattr(reference_logps.ReferenceLogps, "_ask", count)
    return counts


@pytest.mark.parametrize("method", METHODS)
def test_a_run_learns_the_same_as_without_a_store(
    method: str,
    workspace: Path,
    tiny_model_dir: Path,
    asked: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Three epochs and evaluations, with dropout; each sequence is computed once."""
    options = {**EPOCHS, **METHODS[method]}
    folder = train_preferences(workspace, tiny_model_dir, "stored", **options)
    stored = sum(asked)
    with monkeypatch.context() as patch:
        patch.setattr(reference_logps, "store_folder", lambda _: None)
        plain = train_preferences(workspace, tiny_model_dir, "plain", **options)
    (kept,) = (workspace / "saves" / ".cache" / "references").iterdir()
    assert stored == len(LogpsStore(kept)) < 0.7 * (sum(asked) - stored)
    losses = [[row.loss for row in rows(each)] for each in (folder, plain)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    asked.clear()
    again = train_preferences(workspace, tiny_model_dir, "again", **options)
    assert asked == []
    assert [row.loss for row in record(again)] == [row.loss for row in record(folder)]


def test_a_resumed_run_equals_an_unbroken_one(
    workspace: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_preferences(workspace, tiny_model_dir, "first", max_steps=1)  # registers the data
    options: dict[str, Any] = {**EPOCHS, "stage": "dpo", "dataset": "pairs", "save_steps": 100}
    whole = train_small(workspace, tiny_model_dir, "whole", **options)
    assert_resumed_equals(whole, workspace, tiny_model_dir, 13, monkeypatch, **options)


def test_another_reference_has_another_store(workspace: Path, tiny_model_dir: Path) -> None:
    def folder(**options: Any) -> Path | None:
        return store_folder(small(tiny_model_dir, stage="dpo", **options))

    other = train_small(workspace, tiny_model_dir, "other", finetuning_type="full")
    same = folder()
    assert same == folder(learning_rate=1e-3, cutoff_len=64)
    different = [
        folder(ref_model=str(other)),
        folder(flash_attn="disabled"),
        folder(quantization_bit="4"),
        folder(rope_scaling="linear"),
    ]
    assert len({same, *different}) == 5
    assert folder(pissa_init=True) is None
    assert folder(pissa_init=True, ref_model=str(other)) is not None
    assert folder(add_tokens="<a>") is None
    weights = other / "model.safetensors"
    before = folder(ref_model=str(other))
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert folder(ref_model=str(other)) != before


def test_a_file_that_was_broken_off_is_read_as_far_as_it_is_whole(tmp_path: Path) -> None:
    logps = {bytes([at]) * 17: np.full(at + 1, -float(at), dtype=np.float32) for at in range(4)}
    store = LogpsStore(tmp_path)
    for key, numbers in logps.items():
        store.add(key, numbers)
    (file,) = tmp_path.glob("*.logps")
    file.write_bytes(file.read_bytes()[:-3])
    again = LogpsStore(tmp_path)
    assert len(again) == 3
    assert again.get(bytes([3]) * 17) is None
    for key in list(logps)[:3]:
        numbers = again.get(key)
        assert numbers is not None
        assert numbers.tolist() == logps[key].tolist()
    again.add(bytes([9]) * 17, logps[bytes([1]) * 17])
    assert len(LogpsStore(tmp_path)) == 4
    assert len(LogpsStore(tmp_path, anew=True)) == 0


def test_a_key_is_that_of_tokens_and_labels() -> None:
    row = {"input_ids": [1, 2, 3], "labels": [-100, 2, 3]}
    others = [{**row, "labels": [-100, -100, 3]}, {**row, "input_ids": [1, 2, 4]}]
    keys = preference.sequence_keys([row, dict(row), *others]).tolist()
    assert keys[0] == keys[1]
    assert len({tuple(key) for key in keys}) == 3
