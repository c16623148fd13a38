"""The time left of a training: from a guess, then from its own steps, with evaluations."""

import numpy as np
import pytest

from backend.training.cost import Costs
from backend.training.pace import FIRST, Pace, Rates

OPERATIONS = np.asarray([1e9, 4e9] * 20)
TRUE = Rates(per_batch=0.2, per_operation=1e-9)


def pace(guess: Rates | None = None, operations: np.ndarray = OPERATIONS) -> Pace:
    costs = Costs(np.full(len(operations), 2.0), operations, 1e7, 0.3)
    events = {"evaluations": 4, "checkpoints": 2}
    return Pace(costs=costs, guess=guess, batch=4, evaluated=8, **events)


def run(paced: Pace, steps: int, first: float = 1.0) -> None:
    seconds = TRUE.predict(paced.costs)[:steps]
    paced.steps += [float(seconds[0]) * first, *map(float, seconds[1:])]


def test_nothing_is_told_before_enough_steps() -> None:
    paced = pace()
    assert paced.remaining() is None
    run(paced, FIRST - 1)
    assert paced.remaining() is None
    run(paced, 1)
    assert paced.remaining() is not None


def test_a_guess_tells_before_the_first_step() -> None:
    left = pace(TRUE).remaining()
    assert left is not None
    evaluation = 1e-9 * 2.5e9 / 4 * 8 * 0.3
    assert left == pytest.approx(TRUE.predict(pace().costs).sum() + 4 * evaluation)


def test_own_steps_correct_a_wrong_guess_and_a_slow_first_step_counts_for_nothing() -> None:
    paced = pace(Rates(per_batch=0.6, per_operation=9e-9))
    run(paced, 20, first=30.0)
    paced.evaluating, paced.saving = [1.0], [0.5]
    rest = TRUE.predict(paced.costs)[20:].sum()
    left = paced.remaining()
    assert left == pytest.approx(rest + 3 * 1.0 + 1 * 0.5, rel=0.02)


def test_steps_of_unlike_cost_are_told_apart() -> None:
    """With the mean of the steps done, the long ones that are left would count as short ones."""
    paced = pace(operations=np.asarray([1e9, 2e9] * 10 + [8e9] * 20))
    run(paced, 20)
    rest = TRUE.predict(paced.costs)[20:].sum()
    left = paced.remaining()
    assert left is not None
    paced.evaluating = [0.0]
    assert paced.remaining() == pytest.approx(rest, rel=0.05)
    assert 20 * np.mean(paced.steps) < 0.6 * rest


def test_steps_of_unknown_cost_take_what_those_before_took() -> None:
    paced = pace(operations=np.zeros(40))
    paced.steps = [9.0, *[1.5] * 9]
    paced.evaluating, paced.saving = [0.0], [0.0]
    assert paced.remaining() == pytest.approx(30 * 1.5)


def test_a_resumed_run_has_the_rest_to_go() -> None:
    paced = pace(TRUE)
    paced.first = 30
    paced.evaluating = [0.0] * 4
    assert paced.remaining() == pytest.approx(TRUE.predict(paced.costs)[30:].sum())


def test_at_the_end_nothing_is_left() -> None:
    paced = pace()
    run(paced, 40)
    assert paced.remaining() == 0.0
