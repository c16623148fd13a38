"""Runs side by side as data for the browser: their losses, what differs, and their scores."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.i18n import has, t
from app.services.runs import curves, history, run_text
from backend.contract.runs import comparison
from backend.contract.runs.run_folder import RunView
from backend.contract.texts.numbers import format_number, localize

POINTS = 500  # of a line: several stand in one picture
LOSSES = ("loss", "eval_loss")
DASH = "–"

Json = dict[str, Any]


def compare(views: Sequence[RunView], lang: str) -> Json:
    """The curves of these runs, a table of the arguments that differ, and one of the scores."""
    compared = comparison.compare(views)
    by_path = run_text.names(views)
    names = [by_path[view.path] for view in views]
    arguments = {_title("field", name, lang): row for name, row in compared.arguments.items()}
    scores = {
        _title("score", name, lang): [_format(score, lang) for score in row]
        for name, row in compared.scores.items()
    }
    return {
        "names": names,
        "lines": [_read_lines(view) for view in views],
        "tables": [
            _table("compare.arguments", "compare.same", names, arguments, lang),
            _table("compare.scores", "compare.no_scores", names, scores, lang),
        ],
    }


def _read_lines(view: RunView) -> Json:
    """The losses of a run, the one of training smoothed where it has many points."""
    if view.task != "train":
        return {}
    lines, _ = history.read_lines(view.path, LOSSES)
    loss = lines["loss"]
    if len(loss.x) >= curves.SMOOTH_FROM:
        lines["loss"] = curves.smooth(loss)[0]
    return {
        name: {"x": thinned.x, "y": thinned.y}
        for name, line in lines.items()
        if line.x and (thinned := curves.thin(line, POINTS))
    }


def _table(
    title: str, empty: str, names: Sequence[str], rows: Mapping[str, Sequence[str]], lang: str
) -> Json:
    return {
        "title": t(title, lang),
        "empty": "" if rows else t(empty, lang),
        "columns": ["", *names],
        "rows": [[name, *(cell or DASH for cell in row)] for name, row in rows.items()],
    }


def _title(kind: str, name: str, lang: str) -> str:
    """The words for an argument or a score, else its name."""
    for key in (f"{kind}.{name}.label", f"{kind}.{name}"):
        if has(key):
            return t(key, lang)
    return name


def _format(score: float | None, lang: str) -> str:
    return "" if score is None else localize(str(format_number(score, ",.6g")), lang)
