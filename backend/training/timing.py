"""The pace of a run under way: begun with what earlier runs say, kept for later ones at its end."""

from dataclasses import dataclass
from typing import Any

from backend.model import adapters
from backend.training import cost, course, paces
from backend.training.cost import ModelShape
from backend.training.pace import Pace
from backend.training.paces import Situation

FEWEST = 3  # steps of a run that measures its pace alone; the first does not count


@dataclass(frozen=True)
class Timing:
    """The pace that a trainer's callback tells the time by, and what it depends on."""

    trainer: Any
    pace: Pace
    situation: Situation | None

    @classmethod
    def begin(cls, trainer: Any, evaluated: int) -> "Timing":
        """Give the callback of a trainer its pace, before the first step; `evaluated`: rows of an
        evaluation."""
        values, args, rows = trainer.values, trainer.args, trainer.train_dataset
        path = course.plan(values, rows, evaluated, args, args.world_size)
        if trainer.place and trainer.place.total != path.steps:  # its batches were cut anew
            path = path.without_sizes(trainer.place.total)
        shape = shape_of(trainer.model)
        situation = Situation.of(values, shape, path)
        guess = paces.guess(situation) if situation else None
        share = cost.share_learned(rows) if path.sizes else 1.0
        costs = cost.count(path, values, shape, share)
        pace = Pace.begin(path, costs, guess.rates if guess else None)
        pace.first = trainer.place.step if trainer.place else 0
        trainer.report_callback.pace = pace
        return cls(trainer, pace, situation)

    @classmethod
    def begin_measurement(cls, trainer: Any) -> "Timing":
        """That of a run of FEWEST steps: what earlier runs say does not count in it."""
        timing = cls.begin(trainer, 0)
        timing.pace.guess, timing.pace.enough = None, FEWEST - 1
        return timing

    def keep(self, run: str) -> None:
        """Keep the pace for later runs, where it did enough steps; `run` is what they call it."""
        rates = self.pace.rates()
        enough = len(self.pace.steps) > self.pace.enough
        if enough and self.trainer.report.writes and self.situation and rates:
            paces.add(self.situation, rates, run)


def shape_of(model: Any) -> ModelShape:
    """The shape of a loaded model."""
    return ModelShape.of(adapters.base_of(model).config, *adapters.parameter_counts(model))
