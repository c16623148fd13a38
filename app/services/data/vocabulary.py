"""The result of new vocabulary pieces: a table of tokens saved and added, and the pieces."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.i18n import isolate, t
from app.services.runs import run_text
from backend.contract.runs import run_folder
from backend.contract.system.files import read_json
from backend.contract.texts.numbers import localize

MEASURED = ("held_out", "known")
ROWS = ("texts", "before", "after", "gain", "unchanged")


def report(folder: Path, lang: str) -> str:
    """The result of a finished run as Markdown; "" where there is none."""
    metrics: dict[str, Any] = dict(read_json(folder / run_folder.RESULTS))
    if not all(isinstance(metrics.get(name), dict) for name in MEASURED):
        return ""
    head = ["", *(t(f"words.{name}", lang) for name in MEASURED)]
    columns = [_column(metrics[name], lang) for name in MEASURED]
    titles = (t(f"words.row.{name}", lang) for name in ROWS)
    rows = [list(row) for row in zip(titles, *columns, strict=True)]
    if "perplexity_after" in metrics:
        before, after = metrics["perplexity_before"], metrics["perplexity_after"]
        change = isolate(localize(f"{before:.1f} → {after:.1f}", lang), lang)
        rows.append([t("words.row.perplexity", lang), change, ""])
    pieces = [str(piece) for piece in metrics.get("pieces", []) if "\ufffd" not in str(piece)]
    listed = t("words.pieces", lang, pieces=" · ".join(pieces))
    return f"{run_text.table([head, *rows])}\n\n{run_text.plain(listed)}"


def _column(metrics: Mapping[str, Any], lang: str) -> list[str]:
    numbers = [
        f"{metrics['texts']:,}",
        f"{metrics['characters_per_token_before']:.2f}",
        f"{metrics['characters_per_token_after']:.2f}",
        f"{metrics['gain']:.2f}",
        f"{metrics['unchanged']:.1%}",
    ]
    return [localize(number, lang) for number in numbers]
