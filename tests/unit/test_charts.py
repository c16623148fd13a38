"""Curves: thinned without losing a spike (L-07), NaN marked, translated, drawn from real rows."""

import json
import math
import random
import time
from functools import cache
from typing import Any

import pytest

from app.services.runs.charts import KINDS, MAX_POINTS, Line, chart, column, smooth, thin
from backend.contract.base.metrics import Metrics


@cache
def _rows(count: int) -> list[Metrics]:
    rng = random.Random(0)
    rows = []
    for step in range(1, count + 1):
        rows.append(
            Metrics(
                step=step,
                loss=1 + math.exp(-step / count) + rng.gauss(0, 0.1),
                learning_rate=1e-4,
                grad_norm=rng.random(),
                tokens=step,
                tokens_per_second=200.0,
                memory=3 * 2**30,
            )
        )
        if step % 100 == 0:
            rows.append(Metrics(step=step, eval_loss=1 + abs(step - count / 2) / count))
    return rows


def _chart(kind: str, rows: list[Metrics], lang: str = "en", **options: Any) -> dict[str, Any]:
    figure: dict[str, Any] = json.loads(chart(kind, rows, lang, **options))
    return figure


def _traces(figure: dict[str, Any]) -> dict[str, Any]:
    return {trace["name"]: trace for trace in figure["data"]}


@pytest.mark.parametrize("kind", KINDS)
def test_a_hundred_thousand_points(kind: str) -> None:
    rows = [*_rows(100_000)]
    rows[70_000] = Metrics(step=rows[70_000].step, loss=99.0, grad_norm=99.0, tokens=1)
    start = time.process_time()
    text = chart(kind, rows, "en")
    assert time.process_time() - start < 0.4  # 0.2 s on a machine that does nothing else
    assert len(text) < 200_000
    traces = json.loads(text)["data"]
    assert traces
    for trace in traces:
        assert len(trace["x"]) <= MAX_POINTS
        assert trace["x"] == sorted(trace["x"])
    if kind == "loss":
        assert max(traces[0]["y"]) == 99.0


def test_thin_keeps_extremes_and_gaps() -> None:
    values: list[float | None] = [math.sin(place / 50) for place in range(9000)]
    values[1234], values[5678], values[7777] = 50.0, -50.0, None
    line = thin(Line(list(range(9000)), values))
    assert len(line.x) <= MAX_POINTS
    points = dict(zip(*line, strict=True))
    assert (points[1234], points[5678], points[7777]) == (50.0, -50.0, None)
    short = Line([1, 2], [1.0, 2.0])
    assert thin(short) is short


def test_thin_of_nothing_but_gaps() -> None:
    line = thin(Line(list(range(9000)), [None] * 9000))
    assert set(line.y) == {None}


def test_nan_is_marked_and_breaks_the_line() -> None:
    """A row of training without its loss is one whose loss was NaN: JSON cannot say it."""
    rows = [Metrics(step=step, loss=float(step), tokens=step) for step in range(1, 20)]
    rows[4] = Metrics(step=5, loss=None, tokens=5)
    rows[9] = Metrics(step=10, loss=math.inf, tokens=10)
    traces = _traces(_chart("loss", rows))
    assert traces["training"]["y"][4] is None
    marks = traces["not a number"]
    assert (marks["x"], marks["y"]) == ([5, 10], [4.0, 9.0])
    assert _traces(_chart("loss", rows[:4])).keys() == {"training"}


def test_the_best_evaluation_is_marked() -> None:
    rows = [Metrics(step=10 * n, eval_loss=loss) for n, loss in enumerate([3.0, 1.5, 2.0], 1)]
    best = _traces(_chart("loss", rows))["best"]
    assert (best["x"], best["y"], best["mode"]) == ([20], [1.5], "markers")
    assert "best" not in _traces(_chart("loss", rows[:1]))


def test_few_points_are_drawn_as_dots_and_not_smoothed() -> None:
    traces = _traces(_chart("loss", _rows(3)))
    assert traces.keys() == {"training"}
    assert traces["training"]["mode"] == "lines+markers"
    assert "smoothed" in _traces(_chart("loss", _rows(50)))


def test_smoothing_has_no_bias_and_skips_gaps() -> None:
    line = smooth(Line([1, 2, 3, 4], [2.0, 2.0, None, 2.0]))
    assert line.y[2] is None
    assert [value for value in line.y if value is not None] == pytest.approx([2.0, 2.0, 2.0])


def test_log_axis() -> None:
    assert _chart("loss", _rows(5), log=True)["layout"]["yaxis"]["type"] == "log"
    assert "type" not in _chart("loss", _rows(5))["layout"]["yaxis"]


def test_zoom_survives_new_points_and_nothing_else() -> None:
    def revision(count: int, **options: Any) -> str:
        return str(_chart("loss", _rows(count), **options)["layout"]["uirevision"])

    assert revision(5, revision="a") == revision(50, revision="a")
    assert revision(5, revision="a") != revision(5, revision="b")
    assert revision(5) != revision(5, log=True)


@pytest.mark.parametrize("kind", KINDS)
def test_before_the_first_point(kind: str) -> None:
    note = _chart(kind, [], first=10)["layout"]["annotations"][0]["text"]
    assert note == "First point at step 10"
    assert "10" in _chart(kind, [], "zh", first=10)["layout"]["annotations"][0]["text"]


def test_titles_follow_the_language() -> None:
    english, chinese = _chart("rate", _rows(5)), _chart("rate", _rows(5), "zh")
    assert english["layout"]["yaxis2"]["title"]["text"] == "gradient norm"
    assert chinese["layout"]["yaxis2"]["title"]["text"] == "梯度范数"
    assert chinese["layout"]["xaxis"]["title"]["text"] == "步数"


def test_nothing_is_drawn_on_a_background() -> None:
    layout = _chart("memory", _rows(5))["layout"]
    assert layout["paper_bgcolor"] == layout["plot_bgcolor"] == "rgba(0,0,0,0)"


def test_memory_is_in_gigabytes() -> None:
    assert _chart("memory", _rows(2))["data"][0]["y"] == [3.0, 3.0]


def test_column_leaves_out_rows_without_it() -> None:
    rows = [
        Metrics(step=1, loss=1.0),
        Metrics(step=1, eval_loss=2.0),
        Metrics(step=2, loss=math.nan),
    ]
    assert column(rows, lambda row: row.loss) == Line([1, 2], [1.0, None])
