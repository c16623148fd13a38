"""The time that a training takes: a guess from earlier runs, corrected by its own steps.

The seconds of a step are `per_batch` for each pass of a batch (weights are read, kernels start)
and `per_operation` for its arithmetic. Both come from the nearest earlier run; then from the least
squares over the steps of this one, drawn to what was known before as by PRIOR of a further step.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from backend.training.cost import Costs, Floats
from backend.training.course import Course

PRIOR = 0.3  # steps: the weight of what was known before
FIRST = 4  # steps after which a run tells its own time
WINDOW = 50  # steps, or half of those done: the machine may have got busier
PASS_TOKENS = 30.0  # tokens whose arithmetic takes as long as what a pass takes besides


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Seconds for a pass of a batch, for an operation, and for writing a checkpoint."""

    per_batch: float
    per_operation: float
    saving: float = 0.0

    def predict(self, costs: Costs) -> Floats:
        """The seconds of each step."""
        return self.per_batch * costs.batches + self.per_operation * costs.operations


@dataclass
class Pace:
    """The steps of a run under way, in seconds, and what they say of those to come.

    guess   rates of an earlier run, None where nothing is known
    batch   rows of a step; `evaluated`: rows of an evaluation
    evaluations, checkpoints   how many there are in all
    first   steps that were done before this process, where a run goes on
    enough  steps after which they tell the time themselves
    """

    costs: Costs
    guess: Rates | None
    batch: float
    evaluated: int
    evaluations: int
    checkpoints: int
    first: int = 0
    enough: int = FIRST
    steps: list[float] = field(default_factory=list)
    evaluating: list[float] = field(default_factory=list)
    saving: list[float] = field(default_factory=list)

    @classmethod
    def begin(cls, course: Course, costs: Costs, guess: Rates | None) -> "Pace":
        """The pace of a training before its first step."""
        return cls(
            costs=costs,
            guess=guess,
            batch=max(1.0, course.rows * course.epochs / course.steps),
            evaluated=course.evaluated,
            evaluations=course.evaluations,
            checkpoints=course.checkpoints,
        )

    def remaining(self) -> float | None:
        """Seconds to the end of the last step, evaluation and checkpoint; None: not known."""
        rates = self.rates()
        if rates is None:
            return None
        done = self.first + len(self.steps)
        total = len(self.costs.batches)
        share = 1 - done / max(1, total)
        evaluations = max(0.0, self.evaluations * (1 - self.first / total) - len(self.evaluating))
        checkpoints = max(0.0, self.checkpoints * (1 - self.first / total) - len(self.saving))
        if not share:
            evaluations = checkpoints = 0.0
        seconds = rates.predict(self.costs)
        evaluation = self._evaluation(rates)
        return float(seconds[done:].sum() + evaluations * evaluation + checkpoints * rates.saving)

    def rates(self) -> Rates | None:
        """What is known now: from the steps done, before `enough` of them the guess, or nothing."""
        if self.guess is None and len(self.steps) < self.enough:
            return None
        prior = self.guess or _assume(self.costs)
        saving = float(np.mean(self.saving)) if self.saving else prior.saving
        if len(self.steps) < self.enough:
            return replace(prior, saving=saving)
        begin = max(1, len(self.steps) - max(WINDOW, len(self.steps) // 2))
        seconds = np.asarray(self.steps[begin:])  # the first step is slower than those after it
        place = slice(self.first + begin, self.first + len(self.steps))
        fitted = _fit(seconds, self.costs.batches[place], self.costs.operations[place], prior)
        return replace(fitted, saving=saving)

    def _evaluation(self, rates: Rates) -> float:
        if self.evaluating:
            return float(np.mean(self.evaluating))
        operations = float(self.costs.operations.mean()) / self.batch * self.evaluated
        return rates.per_operation * operations * self.costs.evaluation


def _assume(costs: Costs) -> Rates:
    """Rates of which the ratio alone means something."""
    return Rates(per_batch=PASS_TOKENS * costs.token or 1.0, per_operation=1.0)


def _fit(seconds: Floats, batches: Floats, operations: Floats, prior: Rates) -> Rates:
    """The rates of least squares, drawn to those before as by PRIOR of a step; never below zero."""
    columns = np.stack([batches, operations], axis=1)
    start = np.asarray([prior.per_batch, prior.per_operation])
    start *= seconds.sum() / (columns @ start).sum()
    scale = np.where(columns.mean(0) > 0, columns.mean(0), 1.0)
    scaled = columns / scale
    left = scaled.T @ scaled + PRIOR * np.eye(2)
    change = np.linalg.solve(left, scaled.T @ (seconds - columns @ start)) / scale
    rates = start + change
    if (rates < 0).any():
        rates = start
    rates *= seconds.sum() / (columns @ rates).sum()
    return Rates(per_batch=float(rates[0]), per_operation=float(rates[1]))
