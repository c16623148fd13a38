"""The forecast of a training: its course in plain values, for `tuneboard estimate` and the page."""

from backend.contract.advice import small_sets
from backend.contract.arguments.typed import Arguments
from backend.contract.runs.forecast import Forecast
from backend.contract.runs.resuming import cut_of, device_count
from backend.data.lengths import Lengths
from backend.data.rendering import Template
from backend.estimate import sanity, schedule
from backend.estimate.estimate import Estimate
from backend.estimate.schedule import Outlook
from backend.model import load
from backend.training import cost, paces
from backend.training.cost import ModelShape
from backend.training.pace import Pace
from backend.training.paces import Situation

OF_DATA = ("template_", "evaluation_overlaps")  # codes of notices that are worth a line


def forecast(
    values: Arguments,
    template: Template,
    lengths: Lengths,
    peak: Estimate,
    *,
    exact: bool = False,
    most: int = schedule.READ,
) -> Forecast | None:
    """The forecast of a training, None where the number of its rows is not known.

    `lengths` are those of a sample of the rows; `exact` asks for all; of more
    rows than `most` the sample stands for all. Raises DataError.
    """
    outlook = schedule.foresee(values, template, lengths, exact=exact, most=most)
    if outlook is None:
        return None
    course = outlook.course
    cut = cut_of(values, device_count(values))
    seconds, step, source, run = _guess_time(values, outlook, peak)
    disk, free = sanity.disk_needed(values, course, peak), sanity.disk_free(values)
    notices = [
        *sanity.check_rate(values),
        *sanity.check_course(values, course),
        *sanity.check_cut(values, lengths),
        *sanity.check_disk(values, disk, free),
        *(each for each in outlook.notices if each.code.startswith(OF_DATA)),
    ]
    suggested = small_sets.suggest(values, course.rows, device_count(values))
    return Forecast(
        steps=course.steps,
        rows=course.rows,
        batch=cut.batch * cut.accumulation,
        epochs=course.epochs,
        tokens=course.tokens,
        exact=outlook.exact,
        evaluations=course.evaluations,
        checkpoints=course.checkpoints,
        seconds=seconds,
        step_seconds=step,
        source=source,
        run=run,
        disk=disk,
        free=free,
        notices=tuple(notices),
        suggested={str(name): value for name, value in suggested.items()},
    )


def _guess_time(
    values: Arguments, outlook: Outlook, peak: Estimate
) -> tuple[float | None, float | None, str, str]:
    """Seconds of the whole training and of a step, and what they come from."""
    course = outlook.course
    shape = ModelShape.of(load.read_config(values), peak.learned, peak.all)
    situation = Situation.of(values, shape, course)
    if situation is None:
        return None, None, "", ""
    guess = paces.guess(situation)
    if guess is None:
        return None, None, "none", ""
    costs = cost.count(course, values, shape, outlook.learned)
    pace = Pace.begin(course, costs, guess.rates)
    step = float(guess.rates.predict(costs).mean())
    same = "run" if guess.run else "measured"
    return pace.remaining(), step, same if guess.same else "similar", guess.run
