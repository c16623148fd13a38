"""`tuneboard estimate`: the memory that a training will need, and what is free on this machine."""

import dataclasses
import json
import os
from argparse import Namespace
from typing import Any

import psutil

from backend.cli.tasks import CPU_ALONE
from backend.contract.arguments.typed import Arguments
from backend.contract.models.gpus import GpuWatch, Nvml
from backend.contract.texts.locales import t
from backend.contract.texts.terminal_text import decimal_size, say
from backend.data import inspection, lengths, templates
from backend.estimate.estimate import Estimate, estimate
from backend.model import load

Place = dict[str, Any]


def estimate_command(options: Namespace) -> int:
    """Run `tuneboard estimate ... [--json]`. Raises TuneboardError."""
    values = inspection.read_values(options.more)
    if values.use_cpu:
        os.environ |= CPU_ALONE
    peak = estimate(values, measure_lengths(values, exact=options.exact))
    places = free_memory(peak.device)
    if options.json:
        say(json.dumps(to_json(peak, places), ensure_ascii=False, indent=2))
    else:
        say("\n".join(in_words(peak, places)))
    return 0


def free_memory(device: str) -> list[Place]:
    """Name, free bytes and all bytes of each GPU, or of the main memory where that computes."""
    if device == "cuda":
        gpus, _ = GpuWatch(Nvml().read).read()
        return [
            {"name": f"GPU {gpu.index} {gpu.name}", "free": gpu.total - gpu.used, "all": gpu.total}
            for gpu in gpus
        ]
    memory = psutil.virtual_memory()
    return [{"name": "RAM", "free": memory.available, "all": memory.total}]


def to_json(peak: Estimate, places: list[Place]) -> dict[str, Any]:
    """The estimate as JSON values, in bytes and tokens."""
    return {**dataclasses.asdict(peak), "total": peak.total, "places": places}


def in_words(peak: Estimate, places: list[Place]) -> list[str]:
    """The lines that a terminal shows."""
    work = peak.workload
    batch = {"rows": work.rows, "length": work.length, "learned": work.learned}
    lines = [t(f"estimate.phase.{peak.phase}"), t("estimate.batch", **batch)]
    rows = [(t(f"estimate.part.{name}"), size) for name, size in peak.parts.items()]
    rows.append((t("estimate.total"), peak.total))
    width = max(len(name) for name, _ in rows)
    lines += [f"  {name:{width}}  {decimal_size(size):>8}" for name, size in rows]
    lines += [t(f"estimate.unknown.{name}") for name in peak.unknown]
    for place in places:
        sizes = {name: decimal_size(place[name]) for name in ("free", "all")}
        lines.append(t("estimate.free", name=place["name"], **sizes))
        if place["free"] < peak.total:
            lines.append(t("estimate.too_much", missing=decimal_size(peak.total - place["free"])))
    return lines


def measure_lengths(values: Arguments, *, exact: bool) -> lengths.Lengths | None:
    """The lengths of the rows of `dataset`, where one is named: of a sample, or of all."""
    if not values.dataset:
        return None
    tokenizer = load.tokenizer(values)
    return lengths.measure(values, templates.load(values, tokenizer), exact)
