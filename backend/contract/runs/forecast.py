"""What a training will do, said before it begins: steps, tokens, evaluations, checkpoints."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from backend.contract.texts.locales import DEFAULT_LANGUAGE, t
from backend.contract.texts.numbers import Number, format_number
from backend.contract.texts.problems import Problem
from backend.contract.texts.terminal_text import decimal_size

EVENTS = ("evaluations", "checkpoints")


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """The course of a training as plain values, for the command and the page.

    rows         rows that an epoch learns (packed ones count once); 0 for a stream
    batch        rows of a step, over all devices
    epochs       how often the rows are learned
    tokens       of all steps, without padding; None where they are drawn during the training
    exact        whether all rows were read; otherwise a sample stands for them
    evaluations, checkpoints   how many there are, the ones that are removed again included
    seconds, step_seconds   of the training and of a step on average; None where nothing is known
    source   "run" where a run of the same kind was timed, "measured" where some steps of it were,
             "similar" where something else was timed, "none" where nothing was, "" where the steps
             of such a training cannot be compared
    run      the name of that run, "" of what was measured
    disk, free   bytes of the checkpoints that are there at once with the model, and of the disk
    notices  what is worth knowing before the start
    suggested    values by which so few rows are learned better, for arguments at their defaults
    """

    steps: int
    rows: int
    batch: int
    epochs: float
    tokens: int | None
    exact: bool
    evaluations: int
    checkpoints: int
    seconds: float | None = None
    step_seconds: float | None = None
    source: str = ""
    run: str = ""
    disk: int = 0
    free: int = 0
    notices: tuple[Problem, ...] = ()
    suggested: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_measurable(self) -> bool:
        """Whether measuring some steps would say more of the time."""
        return self.source in ("none", "similar")

    def to_json(self) -> dict[str, Any]:
        """It as JSON values."""
        problems = [{**each.to_json(), "notice": True} for each in self.notices]
        return {**vars(self), "notices": problems, "suggested": dict(self.suggested)}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> "Forecast":
        """It from what `to_json` gave."""
        return cls(**{**row, "notices": tuple(map(Problem.from_json, row["notices"]))})


def describe(forecast: Forecast, lang: str = DEFAULT_LANGUAGE) -> list[str]:
    """The forecast in lines: steps and rows, tokens, evaluations and checkpoints."""

    def count(number: float) -> str:
        digits = format_number(number)
        return digits if forecast.exact else t("forecast.about", lang, number=digits)

    steps = count(forecast.steps)
    lines = [t("forecast.steps_alone", lang, steps=steps)]
    if forecast.rows:
        params = {"rows": count(forecast.rows), "batch": format_number(forecast.batch)}
        params["epochs"] = format_number(forecast.epochs, ".3g")
        lines = [t("forecast.steps", lang, steps=steps, **params)]
    if forecast.tokens is not None:
        each = format_number(round(forecast.tokens / forecast.steps))
        lines.append(t("forecast.tokens", lang, tokens=count(forecast.tokens), each=each))
    events = {name: format_number(getattr(forecast, name)) for name in EVENTS}
    lines.append(t("forecast.events", lang, **events))
    if forecast.disk:
        sizes = {"needed": decimal_size(forecast.disk), "free": decimal_size(forecast.free)}
        lines.append(t("forecast.disk", lang, **sizes))
    return [describe_time(forecast, lang), *lines]


def describe_time(forecast: Forecast, lang: str = DEFAULT_LANGUAGE) -> str:
    """The time that the training takes, with what this is known from."""
    if forecast.seconds is None or forecast.step_seconds is None:
        return t("forecast.time.unknown", lang, steps=format_number(forecast.steps))
    unnamed = forecast.source == "similar" and not forecast.run
    source = "similar_measured" if unnamed else forecast.source
    return t(
        "forecast.time.known",
        lang,
        time=in_words(forecast.seconds, lang),
        steps=format_number(forecast.steps),
        each=in_words(forecast.step_seconds, lang),
        source=t(f"forecast.time.{source}", lang, run=forecast.run),
    )


def in_words(seconds: float, lang: str = DEFAULT_LANGUAGE) -> str:
    """A duration with two digits and a unit: 7.4 s, 12 min, 3.5 h, 2.1 days."""
    number, unit = seconds, "seconds"
    for size, name in ((60, "minutes"), (60, "hours"), (24, "days")):
        if number < 1.5 * size:
            break
        number, unit = number / size, name
    shown = f"{number:.1f}" if number < 9.95 else f"{number:,.0f}"
    return t(f"forecast.unit.{unit}", lang, number=Number(shown.removesuffix(".0")))
