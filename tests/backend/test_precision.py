"""Trainings on a processor in bf16: where that is faster, close to float32, resumed alike."""

import json
import logging
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from backend.contract.runs import position
from backend.contract.system.files import read_json
from backend.estimate.estimate import estimate
from backend.model import load
from backend.running.failures import Stopped
from backend.running.report import Report
from backend.training import precision
from tests.backend.conftest import write_dataset
from tests.backend.training import (
    ROWS,
    assert_equal_runs,
    assert_resumed_equals,
    record,
    small,
    stop_after,
    train_small,
)

BOUND = 0.02  # of a loss: how far bf16 may be from float32 at each step
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def half_model(tmp_path_factory: pytest.TempPathFactory, tiny_model_dir: Path) -> Path:
    """The tiny model with its weights stored in bf16. Read only."""
    from transformers import AutoModelForCausalLM

    folder: Path = tmp_path_factory.mktemp("half") / "tiny"
    shutil.copytree(tiny_model_dir, folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def speedup(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let products in bf16 be so many times as fast; None: measuring is a failure."""
    monkeypatch.setattr(precision, "has_instructions", lambda: True)

    def set_speedup(factor: float | None) -> None:
        def measure(_: Any) -> float:
            assert factor is not None, "it was measured"
            return factor

        monkeypatch.setattr(precision, "measure_speedup", measure)

    return set_speedup


@pytest.mark.parametrize(("factor", "half"), [(2.0, True), (1.4, False)])
def test_the_measurement_decides(factor: float, half: bool, half_model: Path, speedup: Any) -> None:
    speedup(factor)
    choice = precision.choose(small(half_model))
    assert choice.values.bf16 is half
    assert f"{factor} times as fast" in choice.describe()


def test_without_instructions_nothing_is_measured(
    half_model: Path, speedup: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An old laptop loses nothing, not even the second."""
    speedup(None)
    monkeypatch.setattr(precision, "has_instructions", lambda: False)
    choice = precision.choose(small(half_model))
    assert choice.values.bf16 is False
    assert "no instructions" in choice.describe()


def test_other_weights_and_wishes_are_not_measured(
    half_model: Path, tiny_model_dir: Path, speedup: Any
) -> None:
    speedup(None)
    assert precision.choose(small(tiny_model_dir)).values.bf16 is False
    for wish in ({"bf16": False}, {"bf16": True}, {"fp16": True}, {"pure_bf16": True}):
        values = small(half_model, **wish)
        assert precision.choose(values).values == values


def test_a_measurement_is_kept_for_the_machine(
    workspace: Path, half_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[tuple[int, int, int]] = []

    def time_products(*size: int) -> float:
        sizes.append((size[0], size[1], size[2]))
        return 2.5

    monkeypatch.setattr(precision, "time_products", time_products)
    values = small(half_model)
    assert [precision.measure_speedup(values) for _ in range(2)] == [2.5, 2.5]
    assert sizes == [(256, 32, 64)]
    file = workspace / "saves" / ".cache" / "products.json"
    assert list(json.loads(file.read_text()).values()) == [2.5]
    file.write_text("torn")
    assert precision.measure_speedup(values) == 2.5
    monkeypatch.setattr(torch, "get_num_threads", lambda: 99)
    assert precision.measure_speedup(values) == 2.5
    assert len(sizes) == 3


def test_products_are_timed_without_a_trace() -> None:
    before = torch.random.get_rng_state()
    assert precision.time_products(16, 32, 64) > 0
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_bf16_is_used_where_it_is_asked_for(
    factor: float, workspace: Path, half_model: Path, speedup: Any
) -> None:
    """A notice says where that is slower."""
    speedup(factor)
    report = Report(workspace)
    values = small(half_model, bf16=True)
    assert precision.settle(values, None, report) == values
    model = load.model(values, training=True)
    dtypes = {p.requires_grad: p.dtype for p in model.parameters()}
    assert dtypes == {False: torch.bfloat16, True: torch.float32}
    notices: Any = read_json(workspace / "status.json").get("notices", [])
    assert [row["code"] for row in notices] == (["bf16_slower"] if factor < 1 else [])


@pytest.mark.parametrize("method", ["lora", "full", "freeze"])
def test_losses_and_gradients_are_those_of_float32(
    method: str, workspace: Path, half_model: Path
) -> None:
    curves = []
    for half in (False, True):
        options = {"finetuning_type": method, "bf16": half, "max_steps": 6, "logging_steps": 1}
        folder = train_small(workspace, half_model, f"run{half}", **options)
        rows = [row for row in record(folder) if row.loss is not None]
        assert len(rows) == 6
        assert all(math.isfinite(row.grad_norm or math.nan) for row in rows)
        curves.append([row.loss for row in rows])
    assert curves[1] == pytest.approx(curves[0], rel=BOUND)
    assert curves[1] != curves[0]


def test_inputs_that_are_not_cast_twice_change_nothing(
    workspace: Path, half_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """peft casts them to float32 before mixed precision casts them back; DoRA's, too."""
    for dora in (False, True):
        curves = []
        for name in ("as it is", "cast"):
            with monkeypatch.context() as patch:
                if name == "cast":
                    patch.setattr("backend.model.adapters._keep_inputs", lambda _: None)
                options: dict[str, Any] = {"use_dora": dora, "bf16": True, "logging_steps": 1}
                folder = train_small(workspace, half_model, f"{name}{dora}", **options)
            curves.append([each for row in record(folder) for each in (row.loss, row.grad_norm)])
        assert curves[0] == pytest.approx(curves[1], rel=2e-3)  # sums of gradients in another order


def test_what_is_saved_keeps_its_number_format(workspace: Path, half_model: Path) -> None:
    for method, file in (("lora", "adapter_model"), ("full", "model"), ("freeze", "model")):
        formats = []
        for half in (False, True):
            options = {"finetuning_type": method, "bf16": half, "max_steps": 1}
            folder = train_small(workspace, half_model, f"{method}{half}", **options)
            tensors = load_file(folder / f"{file}.safetensors")
            formats.append({name: each.dtype for name, each in tensors.items()})
        assert formats[0] == formats[1]


@pytest.mark.parametrize("stage", ["pt", "rm", "dpo", "kto", "grpo"])
def test_every_stage_takes_a_step(stage: str, workspace: Path, half_model: Path) -> None:
    rows: list[Any] = ROWS
    entry: dict[str, Any] = {}
    if stage in {"rm", "dpo"}:
        rows = [{**row, "chosen": row["output"], "rejected": "No."} for row in ROWS]
        columns = {"prompt": "instruction", "chosen": "chosen", "rejected": "rejected"}
        entry = {"ranking": True, "columns": columns}
    if stage == "kto":
        rows = [{**row, "good": place % 2 == 0} for place, row in enumerate(ROWS)]
        entry = {"columns": {"prompt": "instruction", "response": "output", "kto_tag": "good"}}
    if stage == "pt":
        rows, entry = [{"text": row["output"]} for row in ROWS], {"columns": {"prompt": "text"}}
    write_dataset(workspace, "sums", rows, **entry)
    options: dict[str, Any] = {"stage": stage, "max_steps": 1, "bf16": True, "logging_steps": 1}
    if stage == "grpo":
        options |= {"reward_functions": "length", "reward_length": 8, "max_new_tokens": 8}
        options |= {"num_generations": 2}
    folder = train_small(workspace, half_model, **options)
    (row,) = [row for row in record(folder) if row.loss is not None]
    assert all(math.isfinite(each or 0.0) for each in (row.loss, row.grad_norm))
    weights = load_file(folder / "adapter_model.safetensors")
    assert all(each.isfinite().all() for each in weights.values())


def test_a_reward_model_and_ppo_compute_in_it(workspace: Path, half_model: Path) -> None:
    pairs = [{**row, "chosen": row["output"], "rejected": "No."} for row in ROWS]
    columns = {name: name for name in ("chosen", "rejected")} | {"prompt": "instruction"}
    write_dataset(workspace, "pairs", pairs, ranking=True, columns=columns)
    write_dataset(workspace, "sums", ROWS)
    options: dict[str, Any] = {"max_steps": 1, "bf16": True, "logging_steps": 1}
    judge = train_small(workspace, half_model, "rm", stage="rm", dataset="pairs", **options)
    options |= {"reward_model": str(judge), "max_new_tokens": 8}
    folder = train_small(workspace, half_model, "ppo", stage="ppo", **options)
    assert math.isfinite(record(folder)[0].loss or 0.0)


def test_a_resumed_run_goes_on_as_it_began(
    workspace: Path,
    half_model: Path,
    speedup: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """To the bit, whatever would be measured by then."""
    caplog.set_level(logging.INFO)
    for factor, name in ((2.0, "bf16"), (1.0, "fp32")):
        speedup(factor)
        whole = train_small(workspace, half_model, f"whole {name}")
        assert f"precision: {name}; matrix products" in caplog.text
        assert position.choices(whole / "checkpoint-3")["bf16"] is (factor > 1)
        with monkeypatch.context() as stopping:
            stop_after(1, stopping)
            with pytest.raises(Stopped):
                train_small(workspace, half_model, f"parts {name}")
        parts = workspace / "saves" / f"parts {name}"
        (parts / "stop.json").unlink()
        speedup(None)
        train_small(workspace, half_model, f"parts {name}", resume_from_checkpoint="auto")
        assert f"precision: {name}, as before" in caplog.text
        assert_equal_runs(parts, whole)


def test_a_checkpoint_of_an_earlier_version_stays_in_float32(
    workspace: Path, half_model: Path, speedup: Any
) -> None:
    """They hold no choice, and there was none: a processor computed in float32."""
    speedup(None)
    position.write(workspace, {"choices": {}})
    assert precision.settle(small(half_model), workspace, Report(workspace)).bf16 is False


def test_resuming_is_exact_with_dropout(
    workspace: Path, half_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"bf16": True, "lora_dropout": 0.1, "max_steps": 4}
    options |= {"logging_steps": 1, "save_steps": 100}
    whole = train_small(workspace, half_model, "whole", **options)
    assert_resumed_equals(whole, workspace, half_model, 2, monkeypatch, **options)


def test_the_estimate_counts_half_the_bytes(half_model: Path) -> None:
    parts = {}
    for half in (False, True):
        values = small(half_model, bf16=half, disable_gradient_checkpointing=True)
        parts[half] = estimate(values).parts
    learned = parts[True]["optimizer"] / 2  # AdamW keeps two numbers for each
    frozen = {half: parts[half]["weights"] - learned for half in parts}
    assert frozen[True] == pytest.approx(frozen[False] / 2, rel=0.05)
    assert parts[True]["activations"] < 0.8 * parts[False]["activations"]


@pytest.mark.starter
def test_the_starter_model_learns_as_in_float32(workspace: Path, starter: Path) -> None:
    """From whole answers: the loss of few tokens moves further, as one of its layers has numbers of
    which bf16 keeps two digits."""
    curves = []
    rows = json.loads((ROOT / "data" / "general_en.json").read_text(encoding="utf-8"))
    write_dataset(workspace, "general", rows[:4])
    every = {"max_steps": 2, "logging_steps": 1, "save_strategy": "no", "learning_rate": 5e-5}
    every["per_device_train_batch_size"] = 1  # minutes where a processor has no such instructions
    for half in (False, True):
        options = {"bf16": half, "dataset": "general", **every}
        folder = train_small(workspace, starter, f"run{half}", **options)
        curves.append([row.loss for row in record(folder) if row.loss is not None])
    assert curves[1] == pytest.approx(curves[0], rel=BOUND)
