"""A run that goes on with other arguments: each row of its epoch is seen once, rates are taken up.

What was: steps went on with the old rate, a batch of another size made some rows come twice, and a
finished run that was given more epochs took one step at rate 0.
"""

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from backend.contract.runs import metrics
from backend.contract.runs.position import Position
from backend.running.failures import Stopped
from backend.training.trainer import RunTrainer
from tests.backend.conftest import write_dataset
from tests.backend.training import ROWS, train_small

Row = tuple[int, ...]
GIVEN: dict[str, Any] = {
    "max_steps": None,
    "num_train_epochs": 3,
    "per_device_train_batch_size": 4,
    "gradient_accumulation_steps": 1,
    "logging_steps": 1,
    "lr_scheduler_type": "linear",
    "save_strategy": "no",
}


@pytest.fixture
def learned(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, Row]]:
    """(epoch, tokens) of each row that a step was taken with, in their order."""
    seen: list[tuple[int, Row]] = []
    step = RunTrainer.training_step

    def note(self: Any, model: Any, inputs: Any, *given: Any, **named: Any) -> Any:
        for ids, labels in zip(inputs["input_ids"], inputs["labels"], strict=True):
            row = tuple((ids * 1000 + labels).tolist())
            seen.append((self._epoch.number, tuple(each for each in row if each != -100)))
        return step(self, model, inputs, *given, **named)

    monkeypatch.setattr(RunTrainer, "training_step", note)
    return seen


def stopped(home: Path, model: Path, stop_at: Any, step: int, **given: Any) -> Path:
    """A run that ended at a step, with a checkpoint."""
    stop_at(step)
    with pytest.raises(Stopped):
        train_small(home, model, "parts", **{**GIVEN, **given})
    folder = home / "saves" / "parts"
    (folder / "stop.json").unlink()
    stop_at(-1)
    return folder


def resumed(home: Path, model: Path, **given: Any) -> Path:
    return train_small(home, model, "parts", **{**GIVEN, "resume_from_checkpoint": "auto", **given})


def curve(folder: Path) -> list[metrics.Metrics]:
    return [row for row in metrics.read(folder / "metrics.jsonl")[0] if row.loss is not None]


@pytest.mark.parametrize(
    ("given", "step", "changes", "total"),
    [
        # 30 rows in batches of 4 are 8 steps an epoch; after 3 of them 18 rows are left of it
        ({}, 3, {"per_device_train_batch_size": 2}, 3 + 9 + 2 * 15),
        ({}, 3, {"per_device_train_batch_size": 5}, 3 + 4 + 2 * 6),
        (
            {},
            3,
            {"per_device_train_batch_size": 7, "gradient_accumulation_steps": 2},
            3 + 2 + 2 * 3,
        ),
        ({}, 3, {"gradient_accumulation_steps": 2}, 3 + 3 + 2 * 4),
        ({"gradient_accumulation_steps": 3}, 2, {"gradient_accumulation_steps": 2}, 2 + 1 + 2 * 4),
        ({}, 8, {"per_device_train_batch_size": 2}, 8 + 2 * 15),  # between two epochs
        ({}, 11, {"per_device_train_batch_size": 2}, 11 + 9 + 15),  # in the second
        ({}, 3, {"per_device_train_batch_size": 2, "num_train_epochs": 1.5}, 3 + 9 + 8),
        ({}, 3, {"per_device_train_batch_size": 2, "num_train_epochs": 0.8}, 3 + 6),
        ({"group_by_length": False}, 3, {"per_device_train_batch_size": 2}, 42),
        ({"disable_shuffling": True}, 3, {"per_device_train_batch_size": 2}, 42),
        ({}, 3, {"group_by_length": False}, 24),
        ({"group_by_length": False}, 3, {"disable_shuffling": True}, 24),
        ({"seed": 7}, 3, {"seed": 7, "per_device_train_batch_size": 3}, 3 + 6 + 2 * 10),
    ],
)
def test_each_row_of_an_epoch_is_seen_once(
    given: dict[str, Any],
    step: int,
    changes: dict[str, Any],
    total: int,
    workspace: Path,
    tiny_model_dir: Path,
    learned: list[tuple[int, Row]],
    stop_at: Any,
) -> None:
    """Whatever the batches were, are, and how the rows are ordered; the rest of the epoch comes in
    the order that it would have had."""
    train_small(workspace, tiny_model_dir, "whole", **{**GIVEN, **given, "num_train_epochs": 1})
    order = [row for _, row in learned]
    assert len(order) == 30
    learned.clear()
    stopped(workspace, tiny_model_dir, stop_at, step, **given)
    folder = resumed(workspace, tiny_model_dir, **{**given, **changes})
    epochs = float(changes.get("num_train_epochs", 3))
    by_epoch = [[row for epoch, row in learned if epoch == each] for each in range(3)]
    for number, learned_rows in enumerate(by_epoch):
        if number + 1 <= epochs:
            assert Counter(learned_rows) == Counter(order), number
        else:
            assert max(Counter(learned_rows).values(), default=1) == 1
    if step < 8:
        assert by_epoch[0] == order[: len(by_epoch[0])]
    rows = curve(folder)
    assert [row.step for row in rows] == list(range(1, total + 1))
    assert rows[-1].epoch == pytest.approx(epochs, abs=0.1)
    shares = [row.epoch or 0.0 for row in rows]
    assert shares == sorted(shares)
    rates = [row.learning_rate for row in rows][step:]
    expected = [1e-3 * (total - done) / total for done in range(step, total)]
    assert rates == pytest.approx(expected)


def test_a_changed_run_is_resumed_to_the_bit(
    workspace: Path, tiny_model_dir: Path, learned: list[tuple[int, Row]], stop_at: Any
) -> None:
    """Batches of 4, then of 2, then stopped once more and resumed with nothing changed: the same
    rows, losses, rates and epochs as without the second stop; and changed a second time."""
    finer = {"per_device_train_batch_size": 2, "lora_dropout": 0.1}
    stopped(workspace, tiny_model_dir, stop_at, 3, lora_dropout=0.1)
    twin = workspace / "saves" / "parts"
    kept = shutil.copytree(twin, workspace / "saves" / "kept")
    whole = curve(resumed(workspace, tiny_model_dir, **finer))
    rows = list(learned)
    shutil.rmtree(twin)
    kept.rename(twin)
    learned[:] = learned[:12]
    stop_at(8)
    with pytest.raises(Stopped):
        resumed(workspace, tiny_model_dir, **finer)
    (twin / "stop.json").unlink()
    stop_at(-1)
    place = Position.of(twin / "checkpoint-8")
    assert place is not None
    assert (place.begun, place.rows, place.batches, place.base) == (12, 22, 5, 3)
    folder = resumed(workspace, tiny_model_dir, **finer)
    figures = ("step", "epoch", "loss", "learning_rate", "grad_norm", "tokens")
    for mine, theirs in zip(curve(folder), whole, strict=True):
        assert [getattr(mine, name) for name in figures] == [
            getattr(theirs, name) for name in figures
        ]
    assert learned == rows
    assert max(Counter(learned).values()) == 1


@pytest.mark.parametrize(
    "given",
    [
        {"packing": True, "cutoff_len": 64},
        {"neat_packing": True, "cutoff_len": 64},
        {"stage": "pt", "dataset": "texts", "cutoff_len": 16},
        {"dataset": "sums,texts2", "mix_strategy": "interleave_once"},
        {"dataset": "sums,texts2", "mix_strategy": "interleave_over"},
        {"val_size": 0.2},
    ],
)
def test_each_row_once_whatever_a_row_is(
    given: dict[str, Any],
    workspace: Path,
    tiny_model_dir: Path,
    learned: list[tuple[int, Row]],
    stop_at: Any,
) -> None:
    """Packed rows, blocks of text, sets in turns, some rows held back for evaluation."""
    write_dataset(workspace, "sums", ROWS)
    texts = [{"text": f"The number {each} is followed by {each + 1}."} for each in range(40)]
    write_dataset(workspace, "texts", texts, columns={"prompt": "text"})
    others = [{"instruction": f"Say {each}", "output": f"{each}!"} for each in range(9)]
    write_dataset(workspace, "texts2", others)
    more = {**given, "per_device_train_batch_size": 3, "num_train_epochs": 2}
    train_small(workspace, tiny_model_dir, "whole", **{**GIVEN, **more, "num_train_epochs": 1})
    order = Counter((row for _, row in learned))
    assert sum(order.values()) > 6
    learned.clear()
    stopped(workspace, tiny_model_dir, stop_at, 2, **more)
    resumed(workspace, tiny_model_dir, **{**more, "per_device_train_batch_size": 2})
    for number in range(2):
        assert Counter((row for epoch, row in learned if epoch == number)) == order


def test_a_stream_goes_on_at_its_row(
    workspace: Path, tiny_model_dir: Path, learned: list[tuple[int, Row]], stop_at: Any
) -> None:
    """It has no epochs: what comes is what would have come, in batches of another size."""
    given = {"streaming": True, "max_steps": 20, "buffer_size": 8, "group_by_length": False}
    train_small(workspace, tiny_model_dir, "whole", **{**GIVEN, **given})
    order = [row for _, row in learned]
    learned.clear()
    stopped(workspace, tiny_model_dir, stop_at, 3, **given)
    changes: dict[str, Any] = {"per_device_train_batch_size": 3, "gradient_accumulation_steps": 2}
    changes |= {"max_steps": 11, "save_strategy": "steps"}
    folder = resumed(workspace, tiny_model_dir, **{**given, **changes})
    rows = [row for _, row in learned]
    assert len(rows) == 3 * 4 + 8 * 6
    assert rows == order[: len(rows)]
    assert [row.step for row in curve(folder)] == list(range(1, 12))
    learned.clear()
    resumed(workspace, tiny_model_dir, **{**given, **changes, "max_steps": 13})
    assert [row for _, row in learned] == order[60:72]


def groups(monkeypatch: pytest.MonkeyPatch) -> list[list[dict[str, Any]]]:
    """What the optimizer's groups were at each step, before it."""
    seen: list[list[dict[str, Any]]] = []
    step = torch.optim.AdamW.step

    def note(self: Any, *given: Any, **named: Any) -> Any:
        seen.append(
            [{n: v for n, v in group.items() if n != "params"} for group in self.param_groups]
        )
        return step(self, *given, **named)

    monkeypatch.setattr(torch.optim.AdamW, "step", note)
    return seen


def test_what_is_given_to_the_optimizer_is_taken_up(
    workspace: Path, tiny_model_dir: Path, stop_at: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Learning rate, schedule, warm-up, decay and betas, in every group of LoRA+; and its moments
    are those of the checkpoint."""
    given = {"loraplus_lr_ratio": 4.0, "weight_decay": 0.1, "num_train_epochs": 1}
    stopped(workspace, tiny_model_dir, stop_at, 3, **given)
    seen = groups(monkeypatch)
    changes = {
        "learning_rate": 1e-5,
        "loraplus_lr_ratio": 2.0,
        "weight_decay": 0.01,
        "adam_beta2": 0.99,
        "adam_epsilon": 1e-6,
        "lr_scheduler_type": "constant_with_warmup",
        "warmup_steps": 5,
    }
    folder = resumed(workspace, tiny_model_dir, **{**given, **changes})
    assert len(seen) == 5
    for number, at in enumerate(seen):
        share = min(1.0, (3 + number) / 5)
        rates = sorted({group["lr"] for group in at})
        assert rates == pytest.approx([1e-6 * share, 1e-5 * share, 2e-5 * share])
        assert {group["weight_decay"] for group in at} == {0.0, 0.01}
        assert {group["betas"] for group in at} == {(0.9, 0.99)}
        assert {group["eps"] for group in at} == {1e-6}
    state = torch.load(folder / "checkpoint-3" / "optimizer.pt", weights_only=True)
    assert state["state"][0]["step"] == 3


def test_a_finished_run_with_more_epochs_begins_at_the_right_rate(
    workspace: Path, tiny_model_dir: Path
) -> None:
    """It was one step at the rate at which the shorter schedule had ended: 0."""
    more = {"save_strategy": "epoch", "num_train_epochs": 1}
    train_small(workspace, tiny_model_dir, "parts", **{**GIVEN, **more})
    folder = resumed(workspace, tiny_model_dir, **{**more, "num_train_epochs": 2})
    rows = curve(folder)
    assert [row.step for row in rows] == list(range(1, 17))
    rates = [row.learning_rate for row in rows][8:]
    assert rates == pytest.approx([1e-3 * (16 - done) / 16 for done in range(8, 16)])
    assert rates[0] == pytest.approx(5e-4)


def test_intervals_and_patience_are_those_that_are_given_now(
    workspace: Path, tiny_model_dir: Path, stop_at: Any
) -> None:
    """transformers 5.23 keeps those of the checkpoint's trainer_state.json, with a warning."""
    # at a rate of 0 no evaluation is better, so that patience 1 ends the run with the first
    given = {"val_size": 6, "eval_steps": 2, "save_strategy": "steps", "save_steps": 2}
    given |= {"early_stopping_steps": 9}
    stopped(workspace, tiny_model_dir, stop_at, 4, **given)
    changes = {"eval_steps": 3, "save_steps": 3, "logging_steps": 2, "num_train_epochs": 4}
    changes |= {"early_stopping_steps": 1, "learning_rate": 0.0, "load_best_model_at_end": False}
    folder = resumed(workspace, tiny_model_dir, **{**given, **changes})
    rows = metrics.read(folder / "metrics.jsonl")[0]
    assert [row.step for row in rows if row.eval_loss is not None] == [2, 4, 6]
    assert [row.step for row in rows if row.loss is not None] == [1, 2, 3, 4, 6]
    assert {path.name for path in folder.glob("checkpoint-*")} == {
        f"checkpoint-{step}" for step in (2, 4, 6)
    }


def test_a_run_that_was_killed_while_it_saved_its_result_is_finished(
    workspace: Path, tiny_model_dir: Path
) -> None:
    """No step is left, but the result is: it is saved, with the figures of the whole run."""
    more = {"save_strategy": "steps", "num_train_epochs": 1}
    folder = train_small(workspace, tiny_model_dir, "parts", **{**GIVEN, **more})
    results = json.loads((folder / "all_results.json").read_text())
    before = (folder / "adapter_model.safetensors").read_bytes()
    for name in ("all_results.json", "adapter_model.safetensors", "README.md"):
        (folder / name).unlink()
    rows = curve(folder)
    resumed(workspace, tiny_model_dir, **more)
    again = json.loads((folder / "all_results.json").read_text())
    for name in ("steps", "epoch", "train_loss", "tokens"):
        assert again[name] == results[name] != 0
    assert (folder / "adapter_model.safetensors").read_bytes() == before
    assert curve(folder) == rows


def test_other_rows_begin_the_epoch_again(
    workspace: Path, tiny_model_dir: Path, learned: list[tuple[int, Row]], stop_at: Any
) -> None:
    """A row fewer or another set: no place in the epoch holds, which is said; as many rows with
    another text: the run goes on at its place."""
    folder = stopped(workspace, tiny_model_dir, stop_at, 3, num_train_epochs=1)
    kept = shutil.copytree(folder, workspace / "saves" / "kept")

    def rows_of(**given: Any) -> int:
        shutil.rmtree(folder)
        shutil.copytree(kept, folder)
        learned.clear()
        resumed(workspace, tiny_model_dir, num_train_epochs=1, **given)
        assert max(Counter(learned).values()) == 1
        return len(learned)

    def notices() -> set[str]:
        return {
            each["code"] for each in json.loads((folder / "status.json").read_text())["notices"]
        }

    assert rows_of() == 18
    assert not {"resumed_with_changes", "data_changed", "epoch_begins_again"} & notices()
    assert rows_of(default_system="You add.") == 18
    assert {"resumed_with_changes", "data_changed"} <= notices()
    assert "epoch_begins_again" not in notices()
    assert rows_of(max_samples=29) == 29
    assert {"resumed_with_changes", "epoch_begins_again"} <= notices()
    write_dataset(workspace, "sums", ROWS[:20])
    assert rows_of() == 20
    assert {"data_changed", "epoch_begins_again"} <= notices()
    assert "resumed_with_changes" not in notices()


def test_a_checkpoint_that_does_not_say_where_it_lies(
    workspace: Path, tiny_model_dir: Path, learned: list[tuple[int, Row]], stop_at: Any
) -> None:
    """One of another program: the Trainer's own count of steps, as before."""
    folder = stopped(workspace, tiny_model_dir, stop_at, 3, num_train_epochs=1)
    point = folder / "checkpoint-3"
    for name in ("progress.json", "manifest.json"):
        (point / name).unlink()
    resumed(workspace, tiny_model_dir, num_train_epochs=1, resume_from_checkpoint=str(point))
    assert len(learned) == 30
    assert max(Counter(learned).values()) == 1
