"""What the training tests share: values of a small run, and a data set of short rows."""

import gc
from pathlib import Path
from typing import Any

import pytest

from backend.contract.arguments.arguments import parse, resolve
from backend.contract.arguments.typed import Arguments
from backend.contract.runs import metrics
from backend.contract.texts.problems import errors
from backend.running.failures import Stopped
from backend.running.report import Report
from backend.train import run
from tests.backend.conftest import write_dataset

gc.collect()
gc.freeze()  # each run collects garbage: 0.3 s through what the libraries only just imported

ROWS = [
    {
        "instruction": f"What is {left} plus {right}?",
        "input": "",
        "output": f"It is {left + right}.",
    }
    for left in range(6)
    for right in range(5)
]


def small(model: Path, **options: Any) -> Arguments:
    """Values of a run of a few steps on ROWS."""
    raw = {
        "model_name_or_path": str(model),
        "dataset": "sums",
        "max_steps": 3,
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 2,
        "learning_rate": 1e-3,
        "cutoff_len": 128,
        **options,
    }
    values, problems = parse(raw, "train")
    assert not errors(problems)
    return resolve(values)


def train_small(home: Path, model: Path, name: str = "run", **options: Any) -> Path:
    """Train a small run to its end; returns its folder."""
    if not (home / "data" / "sums.json").exists():
        write_dataset(home, "sums", ROWS)
    folder = home / "saves" / name
    folder.mkdir(exist_ok=True)
    run(small(model, dataset_dir=str(home / "data"), **options), folder)
    return folder


def record(folder: Path) -> list[metrics.Metrics]:
    """The rows of a run's metrics.jsonl."""
    return metrics.read(folder / "metrics.jsonl", 0)[0]


def curve(folder: Path) -> list[Any]:
    """The parts of the record that must be the same in a resumed run: all but times and memory."""
    return [
        (row.step, row.loss, row.eval_loss, row.grad_norm, row.tokens, dict(row.more))
        for row in record(folder)
    ]


def adapter_bytes(folder: Path) -> bytes:
    """The learned adapter of a run, as its file has it."""
    return (folder / "adapter_model.safetensors").read_bytes()


def stop_after(step: int, patch: pytest.MonkeyPatch) -> None:
    """Ask the run to stop when it has done a step."""
    report_progress = Report.progress

    def progress(self: Report, done: int, total: int, **more: Any) -> None:
        report_progress(self, done, total, **more)
        if done == step:
            (self.folder / "stop.json").write_text("{}")

    patch.setattr(Report, "progress", progress)


def assert_resumed_equals(
    whole: Path, home: Path, model: Path, step: int, patch: pytest.MonkeyPatch, **options: Any
) -> Path:
    """A run that is stopped after a step and resumed equals the run `whole`; returns its folder."""
    name = f"parts{step}"
    with patch.context() as stopping:
        stop_after(step, stopping)
        with pytest.raises(Stopped):
            train_small(home, model, name, **options)
    parts = home / "saves" / name
    assert (parts / f"checkpoint-{step}" / "manifest.json").is_file()
    (parts / "stop.json").unlink()
    train_small(home, model, name, resume_from_checkpoint="auto", **options)
    assert_equal_runs(parts, whole)
    return parts


def assert_equal_runs(parts: Path, whole: Path) -> None:
    """Two runs have the same record and the same adapter, bit by bit."""
    assert curve(parts) == curve(whole), parts.name
    assert adapter_bytes(parts) == adapter_bytes(whole), parts.name
