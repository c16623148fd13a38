"""What the panel of a run shows, as JSON for the browser: all at first, then what is new.

The browser sends back what it knows: a stamp of each part of the words, and cursors into the
metrics and the log. Nothing is remembered here of who has asked.
"""

import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.i18n import has, t
from app.services.page import run_head
from app.services.runs import curves, history, runs, tail
from app.services.runs.tail import make_cursor, read_cursor
from backend.contract.runs import run_folder
from backend.contract.runs.run_folder import RunView

NEW_BYTES = 16 * 1024  # of metrics.jsonl: of more the lines are sent anew, thinned
MAX_SERIES = 16

Json = dict[str, Any]


@dataclass(frozen=True)
class Question:
    """What a panel shows, and what it knows of it.

    stamp    of the words, as the last answer gave it
    metrics  how far the rows were read, log how far the log was
    series   the names of the series whose points are wanted
    search   shows only lines of the log that contain it
    """

    folder: Path
    lang: str
    stamp: str = ""
    metrics: str = ""
    log: str = ""
    series: tuple[str, ...] = ()
    search: str = ""


def answer(question: Question) -> Json:
    """The parts that have changed since the last answer; without one, only the stamp."""
    view = runs.view(question.folder)
    parts = {
        "head": run_head.build_head(view, question.lang),
        "machine": run_head.build_machine(view, question.lang),
        "points": run_head.build_points(view, question.lang),
        "curves": _curves(view, question.lang),
    }
    stamps = [_stamp(part) for part in parts.values()]
    known = question.stamp.split(".")
    known = known if len(known) == len(stamps) else [""] * len(stamps)
    changed = {
        name: part
        for (name, part), stamp, before in zip(parts.items(), stamps, known, strict=True)
        if stamp != before
    }
    answers = {"metrics": _metrics(question), "log": _log(question)}
    return {
        "stamp": ".".join(stamps),
        **changed,
        **{name: part for name, part in answers.items() if part is not None},
    }


def _curves(view: RunView, lang: str) -> Json | None:
    """What can be drawn: None for what is no training, or one that ended before its first row."""
    known = history.read(view.path)
    if view.task != "train" or (view.ended and not known.recent):
        return None
    names = curves.list_metrics(known.metrics)
    return {
        "empty": t("chart.empty", lang, step=view.arguments.logging_steps),
        "metrics": [{"name": name, "meaning": _meaning(name, lang)} for name in names],
    }


def _meaning(name: str, lang: str) -> str:
    """What a metric of a stage says; rewards/margins has metric.rewards.margins."""
    key = f"metric.{name.replace('/', '.')}"
    return t(key, lang) if has(key) else ""


def _metrics(question: Question) -> Json | None:
    """Points of the series: the new ones, or the lines as they stand."""
    series = question.series[:MAX_SERIES]
    if not series:
        return None
    file = question.folder / run_folder.METRICS
    offset = read_cursor(file, question.metrics)
    if offset is None or _size(file) - offset > NEW_BYTES:
        lines, end = history.read_lines(question.folder, series)
        drawn = {name: curves.describe_line(line, name) for name, line in lines.items()}
        return {"cursor": make_cursor(file, end), "anew": True, "lines": drawn}
    rows, end = history.read_rows(file, offset)
    if end == offset:
        return None
    return {
        "cursor": make_cursor(file, end),
        "anew": False,
        "lines": curves.read_new_points(rows, series),
    }


def _log(question: Question) -> Json | None:
    """What is new of the log, and that a search found nothing."""
    piece = tail.read_since(question.folder / run_folder.LOG, question.log, question.search)
    if piece is None:
        return None
    note = ""
    if piece.anew and question.search.strip() and not piece.text and not piece.rest:
        note = t("panel.no_match", question.lang, words=question.search.strip())
    return {
        "cursor": piece.cursor,
        "anew": piece.anew,
        "text": piece.text,
        "rest": piece.rest,
        "note": note,
    }


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _stamp(part: object) -> str:
    return f"{zlib.crc32(json.dumps(part).encode()):08x}"
