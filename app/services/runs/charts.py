"""The curves of a run as Plotly JSON, drawn by the plotly.js that Gradio brings.

Colours of text and grid come from the page's style sheet, so that a figure fits light and dark.
Every line is thinned to MAX_POINTS; the lowest and highest value of each stretch stay, so that no
spike is lost.
"""

import html
import json
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from app.i18n import t
from backend.contract.base.metrics import Metrics

KINDS = ("loss", "rate", "memory", "speed")
# The metrics of the stages that have an explanation, the most important first.
KNOWN = (
    "reward",
    "rewards/accuracies",
    "rewards/margins",
    "kl",
    "completion_length",
    "rewards/chosen",
    "rewards/rejected",
    "reward_std",
    "frac_reward_zero_std",
    "clipped_ratio",
    "logps/chosen",
    "logps/rejected",
    "entropy",
    "clip_fraction",
    "kl_coef",
    "policy_loss",
    "value_loss",
    "sft_loss",
    "odds_ratio_loss",
    "accuracy",
)
MAX_NAMES = 100
EVAL = "eval_"
MAX_POINTS = 2000
MAX_MARKS = 100
SMOOTH_FROM = 12  # fewer points are drawn as they are
DOTS_UP_TO = 40
BLUE, ORANGE, GREEN, RED = (
    "#3b8fd9",
    "#d96c00",
    "#0a9b74",
    "#d1495b",
)  # distinguishable with colour blindness
FAINT = 0.35
HEIGHT = 280
LOOK = {  # part of the layout of every chart
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "font": {"family": "inherit", "size": 12, "color": "#767676"},
    "hovermode": "x unified",
}
LEGEND = {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom"}
PANEL = 130  # pixels of each figure among several, with its name
NAME_ROOM = 24
GIB = 2**30
Figure = dict[str, Any]


class Line(NamedTuple):
    """One series: `x` steps, `y` values, None where the line has a gap."""

    x: list[int]
    y: list[float | None]


def chart(
    kind: str,
    rows: Sequence[Metrics],
    lang: str,
    *,
    log: bool = False,
    first: int = 1,
    revision: str = "",
) -> str:
    """The figure of one of KINDS as JSON. Without points it names the first step with one.

    `revision` names the run: while it, `kind` and `log` stay the same, new points keep the zoom.
    """
    figure = {"loss": _loss, "rate": _rate, "memory": _memory, "speed": _speed}[kind](rows, lang)
    if not any(trace["x"] for trace in figure["data"]):
        figure = _empty(lang, first)
    elif log:
        figure["layout"]["yaxis"]["type"] = "log"
    figure["layout"]["uirevision"] = f"{kind} {log} {revision}"
    return json.dumps(figure, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _loss(rows: Sequence[Metrics], lang: str) -> Figure:
    train = column(rows, _train_loss)
    check = column(rows, _eval_loss)
    traces = [*_raw_and_smooth(train, lang)]
    if check.x:
        traces.append(_trace(thin(check), t("chart.eval_loss", lang), ORANGE, dots=True))
        traces += _best(check, lang)
    traces += _not_a_number(train, check, lang=lang)
    return _figure(traces, [t("chart.loss", lang)], lang)


def _train_loss(row: Metrics) -> float | None:
    """The training loss. A row of training without a loss had NaN, which JSON lacks."""
    return math.nan if row.loss is None and row.tokens is not None else row.loss


def _eval_loss(row: Metrics) -> float | None:
    trained = row.loss is not None or row.tokens is not None
    return row.eval_loss if trained or row.eval_loss is not None else math.nan


def _raw_and_smooth(train: Line, lang: str) -> list[dict[str, Any]]:
    name = t("chart.train_loss", lang)
    if len(train.x) < SMOOTH_FROM:
        return [_trace(train, name, BLUE, dots=True)]
    raw = _trace(thin(train), name, BLUE)
    raw["opacity"] = FAINT
    raw["line"]["width"] = 1
    return [raw, _trace(thin(smooth(train)), t("chart.smoothed", lang), BLUE)]


def _best(check: Line, lang: str) -> list[dict[str, Any]]:
    """A star on the lowest evaluation loss."""
    known = [(y, x) for x, y in zip(*check, strict=True) if y is not None]
    if len(known) < 2:
        return []
    low, step = min(known)
    marker = {"symbol": "star", "size": 14, "color": ORANGE}
    return [
        {
            **_trace(Line([step], [low]), t("chart.best", lang), ORANGE),
            "mode": "markers",
            "marker": marker,
        }
    ]


def _not_a_number(*lines: Line, lang: str) -> list[dict[str, Any]]:
    """Crosses at steps whose value was NaN or infinite, at the height of the last finite one."""
    x: list[int] = []
    y: list[float | None] = []
    for line in lines:
        last = next((value for value in line.y if value is not None), 0.0)
        for step, value in zip(*line, strict=True):
            if value is None:
                x.append(step)
                y.append(last)
            else:
                last = value
    if not x:
        return []
    every = math.ceil(len(x) / MAX_MARKS)
    trace = _trace(Line(x[::every], y[::every]), t("chart.not_a_number", lang), RED)
    trace |= {"mode": "markers", "marker": {"symbol": "x", "size": 9, "color": RED}}
    trace |= {"hovertemplate": t("chart.not_a_number", lang)}
    return [trace]


def _rate(rows: Sequence[Metrics], lang: str) -> Figure:
    rate = thin(column(rows, lambda row: row.learning_rate))
    norm = thin(column(rows, lambda row: row.grad_norm))
    titles = [t("chart.learning_rate", lang), t("chart.grad_norm", lang)]
    below = {**_trace(norm, titles[1], ORANGE), "yaxis": "y2"}
    figure = _figure([_trace(rate, titles[0], GREEN), below], titles, lang)
    figure["layout"]["yaxis"] |= {"domain": [0.56, 1], "tickformat": ".1e"}
    figure["layout"]["yaxis2"] |= {"domain": [0, 0.44]}
    figure["layout"]["xaxis"]["anchor"] = "y2"
    return figure


def _memory(rows: Sequence[Metrics], lang: str) -> Figure:
    line = thin(column(rows, lambda row: None if row.memory is None else row.memory / GIB))
    title = t("chart.memory", lang)
    figure = _figure([{**_trace(line, title, BLUE), "fill": "tozeroy"}], [title], lang)
    figure["layout"]["yaxis"]["rangemode"] = "tozero"
    return figure


def _speed(rows: Sequence[Metrics], lang: str) -> Figure:
    title = t("chart.tokens_per_second", lang)
    line = thin(column(rows, lambda row: row.tokens_per_second))
    figure = _figure([_trace(line, title, GREEN)], [title], lang)
    figure["layout"]["yaxis"]["rangemode"] = "tozero"
    return figure


def figure_names(columns: Iterable[str]) -> list[str]:
    """The metrics of a stage, known ones first; evaluation and training share a name."""
    names = dict.fromkeys(name.removeprefix(EVAL) for name in columns)
    known = [name for name in KNOWN if name in names]
    return (known + sorted(names.keys() - set(KNOWN)))[:MAX_NAMES]


def figures(rows: Sequence[Metrics], names: Sequence[str], lang: str, revision: str = "") -> str:
    """The named metrics of a stage as JSON, one below the other, each on its own scale.

    `revision` names the run: while it and the names stay, new points keep the zoom.
    """
    traces: list[dict[str, Any]] = []
    named: set[str] = set()
    for number, name in enumerate(names, start=1):
        for trace in _training_and_evaluation(rows, name, lang):
            once = {"showlegend": trace["name"] not in named, "legendgroup": trace["name"]}
            traces.append({**trace, **once, "yaxis": "y" if number == 1 else f"y{number}"})
            named.add(trace["name"])
    figure = _figure(traces, [""] * len(names), lang)
    figure["layout"] |= _stack(figure["layout"], names)
    figure["layout"]["uirevision"] = f"{' '.join(names)} {revision}"
    return json.dumps(figure, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _training_and_evaluation(rows: Sequence[Metrics], name: str, lang: str) -> list[dict[str, Any]]:
    train = column(rows, lambda row: row.more.get(name))
    check = column(rows, lambda row: row.more.get(EVAL + name))
    traces = _raw_and_smooth(train, lang) if train.x else []
    if check.x:
        traces.append(_trace(thin(check), t("chart.eval_loss", lang), ORANGE, dots=True))
    return traces


def _stack(layout: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The parts of a layout that put each metric, under its name, into a strip of its own."""
    inner = PANEL * len(names)
    parts: dict[str, Any] = {"height": inner + 74, "showlegend": True}
    parts["margin"] = {**layout["margin"], "t": 36}
    parts["legend"] = {**layout["legend"], "y": 1 + 6 / inner}
    place = {"xref": "paper", "yref": "paper", "x": 0, "xanchor": "left", "showarrow": False}
    parts["annotations"] = []
    for number, name in enumerate(names):
        top = 1 - number / len(names)
        axis = "yaxis" if number == 0 else f"yaxis{number + 1}"
        low = max(0.0, top - 1 / len(names))
        parts[axis] = {**layout[axis], "domain": [low, top - NAME_ROOM / inner], "nticks": 4}
        text = f"<b>{html.escape(name[:60])}</b>"
        parts["annotations"].append({**place, "y": top, "yanchor": "top", "text": text})
    last = "y" if len(names) == 1 else f"y{len(names)}"
    parts["xaxis"] = {**layout["xaxis"], "anchor": last}
    return parts


def column(rows: Sequence[Metrics], read: Callable[[Metrics], float | None]) -> Line:
    """The series of one metric. NaN and infinity become gaps; rows without it are left out."""
    x: list[int] = []
    y: list[float | None] = []
    for row in rows:
        value = read(row)
        if value is not None:
            x.append(row.step)
            y.append(value if math.isfinite(value) else None)
    return Line(x, y)


def smooth(line: Line) -> Line:
    """The exponential moving average over about a twentieth of the line, unbiased at its start."""
    keep = 1 - 2 / (max(4.0, len(line.x) / 20) + 1)
    y: list[float | None] = []
    total = weight = 0.0
    for value in line.y:
        if value is None:
            y.append(None)
            continue
        total = keep * total + (1 - keep) * value
        weight = keep * weight + (1 - keep)
        y.append(total / weight)
    return Line(line.x, y)


def thin(line: Line, limit: int = MAX_POINTS) -> Line:
    """The line with at most `limit` points: the lowest, the highest and a gap of each stretch."""
    if len(line.x) <= limit:
        return line
    size = math.ceil(len(line.x) / (limit // 3))
    x: list[int] = []
    y: list[float | None] = []
    for start in range(0, len(line.x), size):
        part = line.y[start : start + size]
        known = [value for value in part if value is not None]
        keep = {part.index(min(known)), part.index(max(known))} if known else set()
        if len(known) < len(part):
            keep.add(part.index(None))
        for place in sorted(keep):
            x.append(line.x[start + place])
            y.append(part[place])
    return Line(x, y)


def _trace(line: Line, name: str, color: str, *, dots: bool = False) -> dict[str, Any]:
    return {
        "type": "scatter",
        "x": line.x,
        "y": [None if value is None else float(f"{value:.6g}") for value in line.y],
        "name": name,
        "mode": "lines+markers" if dots or len(line.x) <= DOTS_UP_TO else "lines",
        "line": {"color": color, "width": 2},
        "marker": {"color": color, "size": 6 if dots else 5},
        "hovertemplate": "%{y:.4g}",
        "showlegend": True,
    }


def _figure(traces: list[dict[str, Any]], titles: Sequence[str], lang: str) -> Figure:
    """The traces over one axis of steps, with a value axis for each title from top to bottom."""
    axis = {"zeroline": False, "automargin": True, "ticks": "", "fixedrange": False}
    step = t("chart.step", lang)
    layout: dict[str, Any] = {
        "height": HEIGHT,
        "margin": {"l": 52, "r": 10, "t": 26, "b": 38},
        **LOOK,
        "legend": {**LEGEND, "itemsizing": "constant"},
        "xaxis": {
            **axis,
            "title": {"text": step, "standoff": 6},
            "unifiedhovertitle": {"text": f"{step} %{{x}}"},
        },
    }
    for number, title in enumerate(titles, start=1):
        name = "yaxis" if number == 1 else f"yaxis{number}"
        layout[name] = {**axis, "title": {"text": title, "standoff": 4}}
    if len(traces) == 1 or len(titles) > 1:
        layout |= {"showlegend": False}
        layout["margin"] = {**layout["margin"], "t": 10}
    config = {
        "displaylogo": False,
        "displayModeBar": False,
        "doubleClick": "reset+autosize",
    }
    return {"data": traces, "layout": layout, "config": config}


def _empty(lang: str, first: int) -> Figure:
    figure = _figure([], [""], lang)
    for axis in ("xaxis", "yaxis"):
        figure["layout"][axis] = {"visible": False, "fixedrange": True}
    text = t("chart.empty", lang, step=first)
    place = {"xref": "paper", "yref": "paper", "x": 0.5, "y": 0.5, "showarrow": False}
    figure["layout"]["annotations"] = [{**place, "text": text, "font": {"size": 14}}]
    return figure
