"""Curves as data: thinned without losing a spike (L-07), smoothed, gaps for NaN, compact."""

import json
import math
import random
import time
from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest

from app.services.runs import curves
from app.services.runs.curves import MAX_POINTS, SERIES, Line, Row, read_column, smooth, thin
from backend.contract.runs import metrics
from backend.contract.runs.metrics import Metrics

PAIRS = ("rewards/chosen", "rewards/rejected", "rewards/margins", "rewards/accuracies")


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
                disk_free=80 * 10**9 - step,
                checkpoints=step // 1000 * 10**9,
            )
        )
        if step % 100 == 0:
            rows.append(Metrics(step=step, eval_loss=1 + abs(step - count / 2) / count))
    return rows


def _plain(rows: Sequence[Metrics]) -> list[Row]:
    """Rows as they are in the file."""
    return [json.loads(metrics.encode(row)) for row in rows]


def _line(name: str, rows: Sequence[Metrics]) -> dict[str, Any]:
    return curves.describe_line(read_column(_plain(rows), name), name)


@cache
def _many() -> list[Row]:
    """A hundred thousand rows, one of them a spike."""
    rows = [*_rows(100_000)]
    rows[70_000] = Metrics(step=rows[70_000].step, loss=99.0, grad_norm=99.0, tokens=1)
    return _plain(rows)


@pytest.mark.parametrize("name", SERIES)
def test_a_hundred_thousand_points(name: str) -> None:
    plain = _many()
    start = time.process_time()
    line = curves.describe_line(read_column(plain, name), name)
    assert time.process_time() - start < 0.4  # 0.2 s on a machine that does nothing else
    assert len(json.dumps(line)) < 150_000
    for points in (line, line.get("smooth", line)):
        assert 0 < len(points["x"]) <= MAX_POINTS
        assert points["x"] == sorted(points["x"])
    if name in {"loss", "grad_norm"}:
        assert max(line["y"]) == 99.0


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


def test_nan_is_a_gap() -> None:
    """A row of training without its loss is one whose loss was NaN: JSON cannot say it."""
    rows = [Metrics(step=step, loss=float(step), tokens=step) for step in range(1, 6)]
    rows[1] = Metrics(step=2, loss=None, tokens=2)
    rows[3] = Metrics(step=4, loss=math.inf, tokens=4)
    assert _line("loss", rows)["y"] == [1.0, None, 3.0, None, 5.0]
    check = [Metrics(step=5, eval_loss=2.0), Metrics(step=10), rows[0]]
    assert _line("eval_loss", check)["y"] == [2.0, None]


def test_few_points_are_not_smoothed_and_are_read_again_once_they_can_be() -> None:
    few = _line("loss", _rows(3))
    assert "smooth" not in few
    assert few["again_at"] == curves.SMOOTH_FROM
    assert "smooth" in _line("loss", _rows(12))
    assert "smooth" not in _line("learning_rate", _rows(50))
    assert "smooth" not in _line("eval_loss", _rows(5000))


@pytest.mark.parametrize("count", [0, 3, 12, 50, 5000, 50_000])
@pytest.mark.parametrize("name", ["loss", "eval_loss", "memory"])
def test_a_line_is_read_again_later_than_now(name: str, count: int) -> None:
    """Otherwise each look would read all of it."""
    line = _line(name, _rows(count))
    assert line["count"] < line["again_at"] <= line["count"] + MAX_POINTS


def test_smoothing_has_no_bias_and_skips_gaps() -> None:
    line, _ = smooth(Line([1, 2, 3, 4], [2.0, 2.0, None, 2.0]))
    assert line.y[2] is None
    assert [value for value in line.y if value is not None] == pytest.approx([2.0, 2.0, 2.0])


def test_an_average_goes_on_as_it_began() -> None:
    """What the browser computes from the state of the average: the next values of the same one."""
    values: list[float | None] = [math.sin(place) for place in range(60)]
    line, average = smooth(Line(list(range(60)), values))
    total, weight = average.total, average.weight
    total = average.keep * total + (1 - average.keep) * 3.0
    weight = average.keep * weight + (1 - average.keep)
    longer, _ = smooth(Line(list(range(61)), [*values, 3.0]))
    assert line.y[-1] == pytest.approx(average.total / average.weight)
    assert total / weight == pytest.approx(longer.y[-1], rel=0.05)


def test_memory_is_in_gigabytes() -> None:
    assert _line("memory", _rows(2))["y"] == [3.0, 3.0]


def test_column_leaves_out_rows_without_it() -> None:
    rows = [
        Metrics(step=1, loss=1.0),
        Metrics(step=1, eval_loss=2.0),
        Metrics(step=2, loss=math.nan),
    ]
    assert read_column(_plain(rows), "loss") == Line([1, 2], [1.0, None])


def test_new_points_come_by_series() -> None:
    rows = [Metrics(step=4, loss=0.123456789, more={"kl": 0.5}), Metrics(step=4, eval_loss=2.0)]
    points = curves.read_new_points(_plain(rows), ["loss", "eval_loss", "kl", "reward"])
    assert points == {
        "loss": {"x": [4], "y": [0.123457]},
        "eval_loss": {"x": [4], "y": [2.0]},
        "kl": {"x": [4], "y": [0.5]},
    }


@pytest.mark.parametrize(
    ("names", "first"),
    [
        (PAIRS, ["rewards/accuracies", "rewards/margins"]),
        (("kl", "reward", "completion_length"), ["reward", "kl"]),
        (
            ("reward_std", "clipped_ratio", "completion_length", "reward"),
            ["reward", "completion_length"],
        ),
        (("eval_accuracy",), ["accuracy"]),
        (("zeta", "alpha", "beta"), ["alpha", "beta"]),
        ((), []),
    ],
)
def test_what_matters_most_to_a_stage_comes_first(names: Any, first: list[str]) -> None:
    assert curves.list_metrics(names)[:2] == first


def test_metrics_of_training_and_evaluation_are_one() -> None:
    assert curves.list_metrics(["kl", "eval_kl", "eval_reward", "mine", "eval_mine"]) == [
        "reward",
        "kl",
        "mine",
    ]


def test_a_foreign_file_cannot_flood_the_page() -> None:
    assert len(curves.list_metrics(f"n{number}" for number in range(5000))) == curves.MAX_NAMES


def test_metrics_of_training_are_smoothed() -> None:
    rows = [
        Metrics(step=step, loss=0.5, more={"kl": step / 50, "eval_kl": 1.0})
        for step in range(1, 51)
    ]
    assert "smooth" in _line("kl", rows)
    assert "smooth" not in _line("eval_kl", rows)
