"""`tuneboard estimate`: what a training will need and do, and what is free on this machine."""

import dataclasses
import json
import os
from argparse import Namespace
from typing import Any

from backend.contract.models.devices import CPU_ALONE
from backend.contract.runs.forecast import Forecast, describe
from backend.contract.texts.locales import t
from backend.contract.texts.terminal_text import decimal_size, say
from backend.data import inspection, lengths, templates
from backend.estimate import checkpointing
from backend.estimate.calibration import calibrate
from backend.estimate.checkpointing import Choice
from backend.estimate.estimate import Estimate
from backend.estimate.forecast import forecast
from backend.estimate.free_memory import Place, free_memory, least_free
from backend.model import load
from backend.training import precision


def estimate_command(options: Namespace) -> int:
    """Run `tuneboard estimate ... [--measure] [--json]`. Raises TuneboardError."""
    values = inspection.read_values(options.more)
    if values.use_cpu:
        os.environ |= CPU_ALONE
    values = precision.choose(values).values
    measured, course = None, None
    if values.dataset:
        template = templates.load(values, load.tokenizer(values))
        measured = lengths.measure(values, template, options.exact)
    choice, peak = checkpointing.weigh(values, measured)
    places = free_memory(peak.device)
    if options.measure:
        calibrate(choice.values, peak, least_free(places))
    if measured:
        course = forecast(choice.values, template, measured, peak, exact=options.exact)
    if options.json:
        row = to_json(choice, peak, places) | {"course": course and course.to_json()}
        say(json.dumps(row, ensure_ascii=False, indent=2))
    else:
        described = _describe_course(course) if course else []
        say("\n".join([*in_words(choice, peak, places), *described]))
    return 0


def _describe_course(course: Forecast) -> list[str]:
    """The forecast in lines, with what is worth knowing, and what is suggested for so few rows."""
    lines = [*describe(course), *(each.text() for each in course.notices)]
    if course.suggested:
        pairs = " ".join(f"--{name} {value:g}" for name, value in course.suggested.items())
        lines.append(t("forecast.suggested", rows=f"{course.rows:,}", values=pairs))
    return lines


def to_json(choice: Choice, peak: Estimate, places: list[Place]) -> dict[str, Any]:
    """The estimate as JSON values, in bytes and tokens; "checkpointing" is "on" or "off" where the
    arguments leave it open."""
    row = {**dataclasses.asdict(peak), "total": peak.total, "places": places}
    return {**row, "checkpointing": choice.state if choice.automatic else ""}


def in_words(choice: Choice, peak: Estimate, places: list[Place]) -> list[str]:
    """The lines that a terminal shows."""
    work = peak.workload
    batch = {"rows": work.rows, "length": work.length, "learned": work.learned}
    lines = [t(f"estimate.phase.{peak.phase}"), t("estimate.batch", **batch)]
    rows = [(t(f"estimate.part.{name}"), size) for name, size in peak.parts.items()]
    rows.append((t("estimate.total"), peak.total))
    width = max(len(name) for name, _ in rows)
    lines += [f"  {name:{width}}  {decimal_size(size):>8}" for name, size in rows]
    lines += [t(f"estimate.unknown.{name}") for name in peak.unknown]
    if choice.automatic:
        lines.append(t(f"estimate.checkpointing.{choice.state}"))
    for place in places:
        sizes = {name: decimal_size(place[name]) for name in ("free", "all")}
        lines.append(t("estimate.free", name=place["name"], **sizes))
        if place["free"] < peak.total:
            lines.append(t("estimate.too_much", missing=decimal_size(peak.total - place["free"])))
    return lines
