"""Hubs as the page shows them: results of a search, downloads, what lies on the disk."""

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from app.i18n import isolate, t
from app.services.hub.transfers import State, Transfer
from backend.contract.runs.run_view import duration
from backend.contract.texts.numbers import format_number, localize
from backend.contract.texts.terminal_text import decimal_size, one_line
from backend.datafiles import values

SHOWN, COLUMNS = 5, 6  # rows and columns of a look
LONG = 300  # characters of a cell

Item = dict[str, Any]


def describe_results(rows: Sequence[Mapping[str, Any]], lang: str) -> list[Item]:
    """Results of a search: what each is in a line, and what stands in the way."""
    return [
        {
            "name": str(row["name"]),
            "detail": " · ".join(filter(None, _facts(row, lang))),
            "note": " · ".join(filter(None, _obstacles(row, lang))),
            "is_usable": not row.get("obstacle"),
        }
        for row in rows
    ]


def _facts(row: Mapping[str, Any], lang: str) -> list[str]:
    count = _short(row["downloads"], lang) if row["downloads"] else ""
    parameters = _short(row["parameters"], lang) if row.get("parameters") else ""
    return [
        _size(row["size"], lang) if row["size"] else "",
        t("hub.parameters", lang, count=parameters) if parameters else "",
        t("hub.rows", lang, count=row["rows"]) if row.get("rows") else "",
        str(row.get("format") or ""),
        one_line(str(row["license"])),
        t("hub.downloads", lang, count=count) if count else "",
        one_line(str(row.get("architecture") or "")),
    ]


def _obstacles(row: Mapping[str, Any], lang: str) -> list[str]:
    obstacle = row.get("obstacle")
    return [
        t("hub.gated", lang) if row["gated"] else "",
        t(f"cli.obstacle.{obstacle}", lang) if obstacle else "",
    ]


def _short(count: float, lang: str) -> str:
    """A number with three digits: 135 M, 1.02 k."""
    return _write(decimal_size(count).removesuffix("B").strip().replace("G", "B"), lang)


def _size(count: float, lang: str) -> str:
    return _write(decimal_size(count), lang)


def _write(number: str, lang: str) -> str:
    """A number with its unit, or a path, in a text of a language."""
    return isolate(localize(number, lang), lang)


def describe_look(answer: Mapping[str, Any], lang: str) -> Item:
    """The first rows of a data set as a table of texts, and what it is in a line."""
    rows = answer["rows"][:SHOWN]
    columns = list(dict.fromkeys(name for row in rows for name in row))[:COLUMNS]
    kind = answer["kind"]
    size = _size(answer["size"], lang)
    lines = [
        t("hub.look_size", lang, files=format_number(answer["files"]), size=size),
        t("hub.look_kind", lang, kind=t(f"sets.kind.{kind}", lang))
        if kind
        else t("hub.look_unfit", lang),
    ]
    cells = [[_to_text(row.get(name, "")) for name in columns] for row in rows]
    return {"line": " · ".join(lines), "columns": columns, "cells": cells}


def _to_text(value: Any) -> str:
    text = value if isinstance(value, str) else values.dumps(value, default=str)
    return text if len(text) <= LONG else f"{text[:LONG]}…"


def describe_transfer(transfer: Transfer, lang: str) -> Item:
    """A download: its share (None before the hub has told the size), and a line of words."""
    state = transfer.state
    return {
        "name": transfer.name,
        "hub": transfer.hub,
        "step": state.step,
        "result": state.result,
        "share": state.done / state.total if state.total else None,
        "line": _describe_state(state, lang),
    }


def _describe_state(state: State, lang: str) -> str:
    if state.step == "failed":
        return "\n".join(problem.text(lang) for problem in state.problems)
    if state.step == "done":
        return t("hub.done", lang, size=_size(state.total, lang))
    arrived = f"{_size(state.done, lang)} / {_size(state.total, lang)}" if state.total else ""
    if state.step == "stopped":
        return " · ".join(filter(None, [t("hub.stopped", lang), arrived]))
    if not arrived:
        return t("hub.starting", lang)
    parts = [arrived, f"{_size(state.speed, lang)}/s" if state.speed else ""]
    left = t("panel.left", lang, time=duration(state.left)) if state.left else ""
    return " · ".join(filter(None, [*parts, left]))


def describe_disk(answer: Mapping[str, Any], lang: str) -> Item:
    """What was downloaded, how large, when it was last used (`time`, ISO), and what is free."""
    rows = answer["rows"]
    total = _size(sum(row["size"] for row in rows), lang)
    where = isolate(answer["place"], lang)
    place = {"size": total, "place": where, "free": _size(answer["free"], lang)}
    return {
        "rows": [
            {
                "name": row["name"],
                "hub": row["hub"],
                "detail": _describe_size(row, lang),
                "time": datetime.datetime.fromtimestamp(row["used"], datetime.UTC).isoformat(),
                "is_whole": row["whole"],
                "question": t("hub.delete_sure", lang, name=isolate(one_line(row["name"]), lang)),
            }
            for row in rows
        ],
        "line": t("hub.disk_place" if rows else "hub.disk_empty", lang, **place),
    }


def _describe_size(row: Mapping[str, Any], lang: str) -> str:
    size = _size(row["size"], lang)
    return size if row["whole"] else t("hub.half", lang, size=size)
