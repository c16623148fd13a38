"""Where a checkpoint lies in its data, in rows, so that a run may go on in batches of another size.

A row here is one item of an epoch's order as the trainer takes it: a packed row where rows are
packed, and once for each pass where a stage learns from the same rows several times.
"""

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from backend.contract.base.files import read_json

PROGRESS = "progress.json"  # in a checkpoint: what TrainerState does not keep
DIGITS = 9  # of a number of steps: 1.1 epochs of 10 steps are 11 steps, not 12


class Cut(NamedTuple):
    """Rows of a batch over all devices, and batches of a step."""

    batch: int
    accumulation: int


@dataclass(frozen=True, kw_only=True)
class Position:
    """Where a run was after `step` optimizer steps, and how its epoch under way is cut.

    epoch         whole epochs that were done
    begun         rows of the epoch under way that were done when its present batches began
    rows          rows of the epoch under way that are done
    size          rows of an epoch; 0 for a stream, which has no end
    batch         rows of a batch, over all devices
    accumulation  batches of a step
    total         steps that the run was to take in all
    order         how the rows of the epoch under way are ordered, as the trainer calls it
    data          what stands for the rows and how they were read; "" where that is not known
    """

    step: int
    epoch: int = 0
    begun: int = 0
    rows: int = 0
    size: int = 0
    batch: int = 1
    accumulation: int = 1
    total: int = 0
    order: str = ""
    data: str = ""

    @classmethod
    def of(cls, checkpoint: Path) -> "Position | None":
        """As a checkpoint keeps it; None where it does not (one that was not written here)."""
        row = read_json(checkpoint / PROGRESS).get("position")
        kinds = {field.name: field.type for field in dataclasses.fields(cls)}
        if not isinstance(row, dict) or set(row) != set(kinds):
            return None
        if not all(type(row[name]) is kinds[name] for name in kinds):
            return None
        position = cls(**row)
        return position if position.batch > 0 and position.accumulation > 0 else None

    def to_json(self) -> dict[str, int | str]:
        """As `of` reads it."""
        return dataclasses.asdict(self)

    @property
    def batches(self) -> int:
        """Batches done since the present ones began in this epoch."""
        return math.ceil((self.rows - self.begun) / self.batch)

    @property
    def base(self) -> int:
        """The step at which the present batches began in this epoch."""
        return self.step - math.ceil(self.batches / self.accumulation)

    def batches_of(self, rows: int) -> int:
        """Batches that so many rows make."""
        return math.ceil(rows / self.batch)

    def steps_of(self, rows: int) -> int:
        """Optimizer steps that so many rows of one epoch take."""
        return math.ceil(self.batches_of(rows) / self.accumulation)

    def going_on(self, cut: "Cut", size: int, order: str, *, again: bool = False) -> "Position":
        """From here on in batches and steps of this cut, over an epoch of this size.

        The rows that are left of the epoch are cut anew, and keep their order. Where the rows are
        others (`again`, or another number of them), the epoch under way begins again.
        """
        anew = again or size != self.size
        order = order if anew or not self.rows else self.order
        if cut == Cut(self.batch, self.accumulation) and not anew:
            return dataclasses.replace(self, order=order)
        begun = 0 if anew else self.rows
        return dataclasses.replace(
            self,
            begun=begun,
            rows=begun,
            size=size,
            batch=cut.batch,
            accumulation=cut.accumulation,
            order=order,
        )

    def cut_as(self, position: "Position") -> bool:
        """Whether both lie at the same row of an epoch that is cut alike."""
        mine, theirs = (
            (each.step, each.epoch, each.begun, each.rows, each.size, each.batch, each.accumulation)
            for each in (self, position)
        )
        return mine == theirs

    def steps_in_all(self, epochs: float) -> int:
        """Steps of a run of so many epochs, those that are done among them; 0 for a stream."""
        if not self.size:
            return 0
        left = epochs - self.epoch
        if left >= 1:
            rest = self.steps_of(self.size - self.begun)
            return self.base + rest + _up((left - 1) * self.steps_of(self.size))
        rows = self.size - self.begun
        share = max(0.0, (left * self.size - self.begun) / rows) if rows else 0.0
        return max(self.step, self.base + _up(share * self.steps_of(rows)))


def arguments(checkpoint: Path) -> Mapping[str, object]:
    """The arguments that a checkpoint was written with; {} where it does not keep them."""
    row = read_json(checkpoint / PROGRESS).get("arguments")
    return row if isinstance(row, dict) else {}


def write(checkpoint: Path, content: Mapping[str, object]) -> None:
    """Write what `Position.of` and `arguments` read, among the rest of `content`."""
    (checkpoint / PROGRESS).write_text(json.dumps(content))


def _up(number: float) -> int:
    return math.ceil(round(number, DIGITS))
