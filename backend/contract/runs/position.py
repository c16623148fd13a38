"""The position of a checkpoint in its data, in rows: a run can go on with another batch size.

A row here is one item of an epoch as the trainer takes it: a packed sequence where rows are packed,
and counted once for each pass where a stage learns from the same rows several times.
"""

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from backend.contract.system.files import read_json

PROGRESS = "progress.json"  # in a checkpoint: the state that TrainerState does not hold
DIGITS = 9  # of a number of steps: 1.1 epochs of 10 steps are 11 steps, not 12


class Cut(NamedTuple):
    """How rows are cut into batches and steps.

    batch         rows of a batch over all devices
    accumulation  batches of an optimizer step
    """

    batch: int
    accumulation: int


@dataclass(frozen=True, kw_only=True)
class Position:
    """The position of a run after `step` optimizer steps, and how its current epoch is cut.

    epoch         whole epochs done
    begun         rows of the current epoch that were done when its current cut began
    rows          rows of the current epoch that are done
    size          rows of an epoch; 0 for a stream, which has no end
    batch         rows of a batch, over all devices
    accumulation  batches of a step
    total         steps that the run was to take in all
    order         the order of the rows in the current epoch, as the trainer calls it
    data          a fingerprint of the rows and of how they were read; "" where it is unknown
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
        """The position that a checkpoint holds; None for one that was not written here."""
        row = read_json(checkpoint / PROGRESS).get("position")
        kinds = {field.name: field.type for field in dataclasses.fields(cls)}
        if not isinstance(row, dict) or set(row) != set(kinds):
            return None
        if not all(type(row[name]) is kinds[name] for name in kinds):
            return None
        position = cls(**row)
        return position if position.batch > 0 and position.accumulation > 0 else None

    def to_json(self) -> dict[str, int | str]:
        """The position as `of` reads it."""
        return dataclasses.asdict(self)

    @property
    def batches(self) -> int:
        """Batches done since the current cut began in this epoch."""
        return math.ceil((self.rows - self.begun) / self.batch)

    @property
    def base(self) -> int:
        """The step at which the current cut began in this epoch."""
        return self.step - math.ceil(self.batches / self.accumulation)

    def batches_of(self, rows: int) -> int:
        """The number of batches that `rows` rows make; the last one may be smaller."""
        return math.ceil(rows / self.batch)

    def steps_of(self, rows: int) -> int:
        """The number of optimizer steps that `rows` rows of one epoch make."""
        return math.ceil(self.batches_of(rows) / self.accumulation)

    def going_on(self, cut: "Cut", size: int, order: str, *, again: bool = False) -> "Position":
        """The same position with another cut, over an epoch of `size` rows.

        The rows left in the epoch are cut anew and keep their order. Where the rows are different
        (`again`, or another number of them), the current epoch begins again.
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
        """Whether both are at the same row of an epoch with the same cut."""
        mine, theirs = (
            (each.step, each.epoch, each.begun, each.rows, each.size, each.batch, each.accumulation)
            for each in (self, position)
        )
        return mine == theirs

    def steps_in_all(self, epochs: float) -> int:
        """The steps of a run of so many epochs, with the steps already done; 0 for a stream."""
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
    """The arguments with which a checkpoint was written; {} where it does not hold them."""
    row = read_json(checkpoint / PROGRESS).get("arguments")
    return row if isinstance(row, dict) else {}


def choices(checkpoint: Path) -> Mapping[str, object]:
    """What a run chose for arguments that were left open, which stays when it is resumed."""
    row = read_json(checkpoint / PROGRESS).get("choices")
    return row if isinstance(row, dict) else {}


def write(checkpoint: Path, content: Mapping[str, object]) -> None:
    """Write `content`, with the keys that `Position.of`, `arguments` and `choices` read."""
    (checkpoint / PROGRESS).write_text(json.dumps(content))


def _up(number: float) -> int:
    return math.ceil(round(number, DIGITS))
