"""The paces of earlier runs on this machine, in saves/.cache/paces.json, to guess that of another.

Every training adds its own. Deleting the file costs only the first guesses.
"""

import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from backend.contract.arguments.typed import Arguments
from backend.contract.folders import home
from backend.contract.system.files import write_atomic
from backend.model import adapters
from backend.model.device import device, training_precision
from backend.training.cost import ModelShape
from backend.training.course import Course
from backend.training.pace import Rates

KEPT = 200  # entries
SAME = 1.0  # below this distance a pace is that of the same training on other rows
FARTHEST = 6.0
WEIGHTS = {"model": 1.0, "stage": 2.0, "method": 2.0, "dtype": 3.0, "checkpointing": 1.0}


@dataclass(frozen=True, kw_only=True)
class Situation:
    """What the pace of a training depends on.

    size     number of weights
    tokens   that pass through the model at once, on average, with padding
    """

    device: str
    model: str
    stage: str
    method: str
    dtype: str
    checkpointing: bool
    size: int
    tokens: float

    @classmethod
    def of(cls, values: Arguments, shape: ModelShape, course: Course) -> "Situation | None":
        """That of a training; None where the sizes of its steps are not known."""
        if course.sizes is None:
            return None
        precision = training_precision(values)
        bits = f"{values.quantization_bit} bits" if values.quantization_bit else ""
        return cls(
            device=_describe_device(),
            model=Path(values.model_name_or_path or "").name,
            stage=values.stage,
            method=values.finetuning_type,
            dtype=bits or str(precision.frozen).removeprefix("torch."),
            checkpointing=adapters.wants_checkpointing(values),
            size=shape.all,
            tokens=float(course.sizes.padded.sum() / course.sizes.batches.sum()),
        )

    def distance(self, other: "Situation") -> float:
        """How unlike another it is; infinite on another device."""
        if self.device != other.device:
            return math.inf
        unlike = sum(
            weight for name, weight in WEIGHTS.items() if vars(self)[name] != vars(other)[name]
        )
        sizes = abs(math.log2(self.size / other.size))
        return unlike + sizes + 0.3 * abs(math.log2(self.tokens / other.tokens))


@dataclass(frozen=True, kw_only=True)
class Guess:
    """Rates of an earlier run, fitted to the size of the model; whether it was of the same kind."""

    rates: Rates
    run: str
    same: bool


def guess(situation: Situation) -> Guess | None:
    """The rates of the nearest earlier run, None where none is near."""
    entries = [(situation.distance(_situation(each)), -each["time"], each) for each in _read()]
    near = min((each for each in entries if each[0] <= FARTHEST), default=None, key=lambda x: x[:2])
    if near is None:
        return None
    distance, _, entry = near
    rates = Rates(**entry["rates"])
    sizes = situation.size / entry["situation"]["size"]
    return Guess(
        rates=Rates(
            per_batch=rates.per_batch * sizes,
            per_operation=rates.per_operation,
            saving=rates.saving,
        ),
        run=entry["run"],
        same=distance < SAME,
    )


def add(situation: Situation, rates: Rates, run: str) -> None:
    """Keep the pace of a run; it takes the place of an earlier one of the same kind."""
    entry = {
        "situation": asdict(situation),
        "rates": asdict(rates),
        "run": run,
        "time": time.time(),
    }
    file = _file()
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(file.with_suffix(".lock")):
        others = [each for each in _read() if situation.distance(_situation(each)) > 0.1]
        write_atomic(file, json.dumps([*others, entry][-KEPT:], indent=1))


def _situation(entry: dict[str, Any]) -> Situation:
    return Situation(**entry["situation"])


def _read() -> list[dict[str, Any]]:
    try:
        entries: list[dict[str, Any]] = json.loads(_file().read_bytes())
    except (OSError, ValueError):
        return []
    return entries


def _file() -> Path:
    return home.saves() / ".cache" / "paces.json"


def _describe_device() -> str:
    if device() == "cuda":
        return torch.cuda.get_device_name()
    return f"{device()}, {torch.get_num_threads()} threads"
