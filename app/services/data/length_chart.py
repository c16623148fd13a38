"""The token lengths of a data set: a histogram with the cutoff for Plotly, and as text."""

from collections.abc import Mapping
from typing import Any

from app.i18n import t
from backend.contract.texts.numbers import Number, format_number

HEIGHT = 280
BLUE, ORANGE, GREEN, RED = "#3b8fd9", "#d96c00", "#0a9b74", "#d1495b"  # for colour-blind eyes
LEGEND = {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom"}
COLORS = {"prompt": (ORANGE, "dot"), "answer": (GREEN, "dash"), "total": (BLUE, "solid")}

Stats = Mapping[str, Any]


def figure(stats: Stats, lang: str) -> dict[str, Any]:
    """The histogram as traces and a layout of Plotly, whose look app/browser/plot.js adds."""
    axis = {"zeroline": False, "automargin": True, "ticks": "", "fixedrange": True}
    limit = stats["cutoff"]["cutoff_len"]
    edges = stats["histogram"]["edges"]
    layout: dict[str, Any] = {
        "height": HEIGHT,
        "margin": {"l": 52, "r": 10, "t": 40, "b": 38},
        "legend": LEGEND,
        "xaxis": {**axis, "title": {"text": t("seen.tokens_a_row", lang), "standoff": 6}},
        "yaxis": {**axis, "title": {"text": t("seen.rows", lang), "standoff": 4}},
    }
    if limit <= edges[-1]:
        line = {"color": RED, "width": 2, "dash": "dashdot"}
        place = {"xref": "x", "x0": limit, "x1": limit, "yref": "paper", "y0": 0, "y1": 1}
        layout["shapes"] = [{"type": "line", **place, "line": line}]
        at = {"x": limit, "y": 1, "yref": "paper", "showarrow": False, "xanchor": "right"}
        layout["annotations"] = [{**at, "text": f"cutoff_len {limit} "}]
    traces = [_steps(kind, stats["histogram"], lang) for kind in COLORS]
    return {"traces": traces, "layout": layout}


def _steps(kind: str, histogram: Mapping[str, Any], lang: str) -> dict[str, Any]:
    color, dash = COLORS[kind]
    return {
        "type": "scatter",
        "mode": "lines",
        "x": histogram["edges"],
        "y": [*histogram[kind], 0],  # the last step ends where its bin does
        "name": t(f"inspection.kind.{kind}", lang),
        "line": {"color": color, "width": 2, "shape": "hv", "dash": dash},
        "fill": "tozeroy" if kind == "total" else "none",
        "hovertemplate": "%{y}",
    }


def words(stats: Stats, lang: str) -> list[str]:
    """The statistics as sentences, as `tuneboard data stats` prints them."""
    of = "?" if stats["of"] is None else format_number(stats["of"])
    key = "seen.measured" if stats["exact"] else "seen.sampled"
    counts = {name: format_number(stats[name]) for name in ("rows", "tokens")}
    lines = [t(key, lang, of=of, **counts)]
    for kind in COLORS:
        name = t(f"inspection.kind.{kind}", lang)
        lines.append(t("inspection.stats.lengths", lang, kind=name, **stats["lengths"][kind]))
    cut, pad = stats["cutoff"], stats["padding"]
    params = {"rows": _share(cut["share_cut"]), "tokens": _share(cut["share_lost"])}
    params |= {"count": format_number(cut["rows_cut"]), "lost": format_number(cut["tokens_lost"])}
    lines.append(t("inspection.stats.cut", lang, limit=cut["cutoff_len"], **params))
    params = {name: _share(pad[name]) for name in ("random", "grouped")}
    lines.append(t("inspection.stats.padding", lang, batch=pad["batch_size"], **params))
    if packed := stats["packing"]:
        params = {name: _share(packed[name]) for name in ("filled", "saved")}
        count = format_number(packed["sequences"])
        lines.append(t("inspection.stats.packing", lang, count=count, **params))
    return lines


def _share(share: float) -> Number:
    return format_number(share, ".1%")
