"""The estimate of a training's memory as the page draws it: a bar of parts, and words."""

from collections.abc import Mapping
from typing import Any

from app.i18n import t
from app.services.runs.fixes import describe_change
from app.services.runs.hardware import GIB
from backend.contract.arguments.field import Value, Values
from backend.contract.runs import memory
from backend.contract.texts.numbers import Number, format_number
from backend.contract.texts.problems import TuneboardError

# The colors of the bar: parts of a like kind share one.
KINDS = {
    "weights": "weights",
    "quantized": "weights",
    "copies": "copies",
    "optimizer": "optimizer",
    "gradients": "gradients",
    "activations": "activations",
    "logits": "logits",
    "cache": "copies",
    "allocator": "overhead",
    "framework": "overhead",
}
NOTHING = {"state": "none"}

Json = dict[str, Any]


def describe(peak: Mapping[str, Any], lang: str) -> Json:
    """What `estimates.estimate` answers, for the browser: sizes in bytes, and texts.

    `state` is "fits", "tight" or "exceeds", by the place that has the least free.
    """
    places, total = peak["places"], peak["total"]
    state = memory.judge(total, min((place["free"] for place in places), default=total))
    parts = [
        {"kind": KINDS[name], "name": t(f"estimate.part.{name}", lang), "size": size}
        for name, size in peak["parts"].items()
    ]
    named = [{**part, "text": f"{_gigabytes(part['size'])} GB"} for part in parts]
    lines = [_describe_place(place, total, lang, several=len(places) > 1) for place in places]
    words = ", ".join(f"{part['name']} {part['text']}" for part in named)
    return {
        "state": state,
        "total": total,
        "parts": named,
        "places": [
            {"free": place["free"], "line": line, "label": f"{line} ({words})"}
            for place, line in zip(places, lines, strict=True)
        ],
        "notes": _list_notes(peak, lang),
    }


def describe_fit(fit: Mapping[str, Any], values: Values, lang: str) -> Json:
    """What `estimates.fit` answers, in words: each change with what it costs, and what is needed
    then; `values` are those of the form."""
    changes = fit["changes"]
    if not changes:
        return {"lines": [], "needed": t("memory.no_fix", lang)}
    costs = {
        "gradient_accumulation_steps": t("memory.cost.batch", lang),
        "disable_gradient_checkpointing": t("memory.cost.checkpointing", lang),
        "quantization_bit": t("memory.cost.quantization", lang),
        "optim": t("memory.cost.optimizer", lang),
        "cutoff_len": _describe_cut(changes.get("cutoff_len"), fit["share_cut"], lang),
    }
    lines = [
        {"change": describe_change(name, values[name], value, lang), "cost": costs.get(name, "")}
        for name, value in changes.items()
    ]
    return {"lines": lines, "needed": t("memory.fix_needs", lang, needed=_gigabytes(fit["total"]))}


def _describe_cut(length: Value, share: float | None, lang: str) -> str:
    if share is None:
        return t("memory.cost.cutoff", lang, length=length)
    return t("memory.cost.cutoff_share", lang, length=length, share=format_number(share, ".0%"))


def explain(error: TuneboardError, lang: str) -> Json:
    """One line on why there is no estimate."""
    problem = error.problems[0]
    if problem.code.startswith("hub_"):
        return {"state": "unknown", "line": t("memory.not_here", lang)}
    return {"state": "unknown", "line": problem.text(lang)}


def _describe_place(place: Mapping[str, Any], total: int, lang: str, *, several: bool) -> str:
    sizes = {"needed": _gigabytes(total), "free": _gigabytes(place["free"])}
    line = t(f"memory.{memory.judge(total, place['free'])}", lang, **sizes)
    return f"{place['name']}: {line}" if several else line


def _list_notes(peak: Mapping[str, Any], lang: str) -> list[str]:
    work = peak["workload"]
    batch = {"rows": work["rows"], "length": work["length"], "learned": work["learned"]}
    unknown = [t(f"estimate.unknown.{name}", lang) for name in peak["unknown"]]
    state = peak["checkpointing"]
    chosen = [t(f"estimate.checkpointing.{state}", lang)] if state else []
    return [t("estimate.batch", lang, **batch), *chosen, *unknown]


def _gigabytes(size: int) -> Number:
    """A number of bytes in the unit of memory, as the head of the page has it."""
    return format_number(size / GIB, ".1f" if size >= GIB / 20 else ".2f")
