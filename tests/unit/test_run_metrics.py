"""metrics.jsonl: whole lines only, from where one was, whatever a crash left behind."""

import json
import math
from pathlib import Path

import pytest

from backend.contract.runs import metrics
from backend.contract.runs.metrics import Metrics


def test_rows_come_back(tmp_path: Path) -> None:
    path = tmp_path / "m"
    rows = [
        Metrics(step=1, loss=0.5, tokens=7),
        Metrics(step=2, eval_loss=0.25, memory=2**40, time=1.5),
    ]
    for row in rows:
        metrics.append(path, row)
    assert metrics.read(path) == (rows, path.stat().st_size)
    assert json.loads(path.read_text().splitlines()[0]) == {"step": 1, "loss": 0.5, "tokens": 7}


def test_reading_on_from_every_byte(tmp_path: Path) -> None:
    """However the file is cut, two reads together give each whole row once."""
    whole, part = tmp_path / "whole", tmp_path / "part"
    for step in range(1, 4):
        metrics.append(whole, Metrics(step=step, loss=1 / step))
    content = whole.read_bytes()
    for cut in range(len(content) + 1):
        part.write_bytes(content[:cut])
        first, offset = metrics.read(part)
        part.write_bytes(content)
        second, end = metrics.read(part, offset)
        assert [row.step for row in first + second] == [1, 2, 3]
        assert end == len(content)


def test_after_a_torn_line(tmp_path: Path) -> None:
    """A crash in the middle of a write does not spoil the row that comes after it."""
    path = tmp_path / "m"
    path.write_bytes(b'{"step": 1}\n{"step": 2, "lo')
    metrics.append(path, Metrics(step=3))
    assert [row.step for row in metrics.read(path)[0]] == [1, 3]


@pytest.mark.parametrize(
    "line", ["", "null", "[]", "7", '{"step": "1"}', '{"step": true}', "{}", "\x00\xff", "[" * 5000]
)
def test_foreign_lines_are_left_out(line: str, tmp_path: Path) -> None:
    path = tmp_path / "m"
    row = '{"step": 1, "loss": "x", "kl": 3, "note": "y"}'
    path.write_text(f"{line}\n{row}\n", encoding="latin-1")
    assert metrics.read(path)[0] == [Metrics(step=1, more={"kl": 3})]


def test_not_a_number_is_json(tmp_path: Path) -> None:
    path = tmp_path / "m"
    metrics.append(path, Metrics(step=1, loss=math.nan, grad_norm=math.inf))
    json.loads(path.read_text(), parse_constant=lambda word: pytest.fail(word))
    (row,), _ = metrics.read(path)
    assert row.loss is not None
    assert math.isnan(row.loss)
    assert row.grad_norm == math.inf


def test_missing_and_rewritten_files(tmp_path: Path) -> None:
    path = tmp_path / "m"
    assert metrics.read(path, 5) == ([], 5)
    metrics.append(path, Metrics(step=1))
    assert metrics.read(path, 10_000)[0] == [Metrics(step=1)]


def test_the_pace(tmp_path: Path) -> None:
    path = tmp_path / "m"
    assert metrics.seconds_per_step(path) == 0.0
    for step in range(0, 5000, 5):
        metrics.append(path, Metrics(step=step, time=step * 2.0))
    assert metrics.seconds_per_step(path) == 2.0
    metrics.append(path, Metrics(step=4995, eval_loss=1.0, time=9995.0))
    assert metrics.seconds_per_step(path) == pytest.approx(3.0)
    assert metrics.last(path)[-1].step == 4995
