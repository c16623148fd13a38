"""What the tests of preference stages share: pairs to learn, and what a run made of them."""

from pathlib import Path
from typing import Any

import torch

from backend.contract.runs import metrics
from backend.data import prepare, templates
from backend.model import load
from backend.running.report import Report
from backend.training.batches import IGNORED
from tests.backend.conftest import write_dataset
from tests.backend.training import small, train_small

PAIRS = [
    {
        "instruction": f"What is {left} plus {right}?",
        "chosen": f"It is {left + right}.",
        "rejected": f"Go and ask someone else than me about {left}.",
    }
    for left in range(6)
    for right in range(5)
]
HELD = [
    {
        "instruction": f"What is {left} plus 7?",
        "chosen": f"It is {left + 7}.",
        "rejected": f"Go and ask someone else than me about {left}.",
    }
    for left in range(5)
]
PAIR_COLUMNS = {"prompt": "instruction", "chosen": "chosen", "rejected": "rejected"}
JUDGED_COLUMNS = {"prompt": "instruction", "response": "output", "kto_tag": "label"}


def train_preferences(home: Path, model: Path, name: str = "run", **options: Any) -> Path:
    """Train a run of stage dpo (or kto) and evaluate it on HELD at its end; returns its folder."""
    register(home)
    return train_small(home, model, name, **arguments(**options))


def arguments(**options: Any) -> dict[str, Any]:
    """The arguments of a small run of a preference stage."""
    kind = "judged" if options.get("stage") == "kto" else "pairs"
    return {
        "stage": "dpo",
        "dataset": kind,
        "eval_dataset": f"held_{kind}",
        "max_steps": 4,
        "eval_steps": 1000,
        "eval_strategy": "epoch",
        "logging_steps": 1,
        "per_device_eval_batch_size": 4,
        **options,
    }


def register(home: Path) -> None:
    """Write the sets of pairs, and of the same answers judged one by one."""
    for name, pairs in (("pairs", PAIRS), ("held_pairs", HELD)):
        write_dataset(home, name, pairs, ranking=True, columns=PAIR_COLUMNS)
        judged = [
            {"instruction": pair["instruction"], "output": pair[side], "label": side == "chosen"}
            for pair in pairs
            for side in ("chosen", "rejected")
        ]
        write_dataset(home, name.replace("pairs", "judged"), judged, columns=JUDGED_COLUMNS)


def rows(folder: Path) -> list[metrics.Metrics]:
    """The logged rows with a loss, in their order."""
    return [row for row in metrics.read(folder / "metrics.jsonl", 0)[0] if row.loss is not None]


def last_evaluation(folder: Path) -> metrics.Metrics:
    """The last evaluation."""
    records = metrics.read(folder / "metrics.jsonl", 0)[0]
    return [row for row in records if row.eval_loss is not None][-1]


def held_logps(home: Path, model: Path, adapters: str | None = None) -> torch.Tensor:
    """Summed log-probabilities [2, pairs] of HELD (chosen, rejected), asked of the model plainly.

    One answer at a time, with no code of the stages.
    """
    options = arguments(adapter_name_or_path=adapters)
    values = small(model, dataset_dir=str(home / "data"), **options)
    tokenizer = load.tokenizer(values)
    report = Report(home / "saves")
    prepared = prepare.prepare_training(
        values, tokenizer, templates.load(values, tokenizer), report
    )
    net = load.model(values.replace(infer_dtype="float32"), training=False)
    assert prepared.evaluation is not None
    return torch.tensor(
        [
            [
                _logp(net, row[f"{side}_input_ids"], row[f"{side}_labels"])
                for row in prepared.evaluation
            ]
            for side in ("chosen", "rejected")
        ]
    )


def _logp(net: Any, ids: list[int], labels: list[int]) -> float:
    with torch.no_grad():
        logits = net(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
    return sum(
        logits[place - 1, label].item()
        for place, label in enumerate(labels)
        if place and label != IGNORED
    )
