"""Results of trainings and evaluations that were started in Python, read from their folders."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from backend.contract.base import metrics
from backend.contract.base.files import read_json
from backend.contract.runs import run_folder
from backend.contract.runs.run_folder import METRICS, RESULTS

PREDICTIONS = "generated_predictions.jsonl"


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """The state of a training at the time of reading.

    folder       the run's own folder: a valid model (or adapter) path once it has ended
    state        SUCCEEDED, STOPPED, or RUNNING where it was not waited for
    step         optimiser steps done, of `total_steps` (0 where that is not known)
    metrics      the final results in all_results.json: train_loss, eval_loss, tokens ...
    log_history  a mapping for each logged step, oldest first: step, loss, learning_rate ...
    notices      what was worth saying of the run, in words
    """

    folder: Path
    state: str
    step: int
    total_steps: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    log_history: tuple[Mapping[str, float], ...] = field(default=(), repr=False)
    notices: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def read(cls, folder: Path) -> "TrainResult":
        """Read the present state of the training in a folder."""
        view = run_folder.read(folder)
        rows, _ = metrics.read(folder / METRICS)
        return cls(
            folder=folder,
            state=view.state.value,
            step=view.step,
            total_steps=view.total_steps,
            metrics=_metrics(folder),
            log_history=tuple(json.loads(metrics.encode(row)) for row in rows),
            notices=tuple(notice.text() for notice in view.notices),
        )


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The results of an evaluation.

    folder       the run's own folder
    metrics      the metrics that were asked for: bleu-4 and rouge-1, rouge-2, rouge-l (0 to 100),
                 exact_match (percent), loss (nats a token), perplexity
    predictions  a mapping for each row of the test data, in its order: prompt, label, predict
    """

    folder: Path
    metrics: Mapping[str, float]
    predictions: tuple[Mapping[str, str], ...] = field(default=(), repr=False)

    @classmethod
    def read(cls, folder: Path, names: Mapping[str, str]) -> "Evaluation":
        """Read the evaluation in a folder; `names` maps names in all_results.json to ours."""
        measured = _metrics(folder)
        return cls(
            folder=folder,
            metrics={ours: measured[name] for name, ours in names.items() if name in measured},
            predictions=tuple(_predictions(folder / PREDICTIONS)),
        )


def _metrics(folder: Path) -> dict[str, float]:
    rows = read_json(folder / RESULTS)
    return {name: value for name, value in rows.items() if isinstance(value, int | float)}


def _predictions(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]
