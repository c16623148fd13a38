"""The table of docs/estimates.md: its errors are small, and ten rows hold when trained anew."""

import json
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from tests import estimate
from tests.estimate import PAGE, PARTS, Case

LINE = re.compile(
    r"^\| (\w+) \| (\w+) \| ([^|]+) \| ([^|]+) \| ([\d,]+) \| ([\d,]+) \| ([+-][\d.]+)% \|$"
)
CASES = [case for part in PARTS.values() for case in part]
TEN = range(0, len(CASES), len(CASES) // 10)[:10]


def key(case: Case) -> tuple[str, ...]:
    return tuple(cell.strip() for cell in estimate.row_start(case))


def lines() -> dict[tuple[str, ...], re.Match[str]]:
    """Model, stage, batch and arguments of each row of the table -> the row."""
    matches = [LINE.match(line) for line in PAGE.read_text().splitlines()]
    return {tuple(cell.strip() for cell in match.groups()[:4]): match for match in matches if match}


def rows() -> dict[tuple[str, ...], float]:
    """The error of each row of the table, as a share."""
    return {name: float(match[7]) / 100 for name, match in lines().items()}


def test_the_table_holds_what_is_promised() -> None:
    table = rows()
    assert len(table) >= 60
    assert table.keys() == {key(case) for case in CASES}
    for part in PARTS.values():
        errors = [abs(table[key(case)]) for case in part]
        assert len(errors) >= 12
        assert statistics.median(errors) < 0.12
        assert max(errors) < 0.25


def test_ten_rows_say_what_the_arithmetic_says_today(tmp_path: Path) -> None:
    """In a process of its own, whose size is a part of each estimate."""
    script = (
        "import json, sys; from pathlib import Path; from tests import estimate as e;"
        "cases = [case for part in e.PARTS.values() for case in part];"
        "print(json.dumps([e.predict(e.values_of(cases[int(at)], Path.cwd())).total"
        " for at in sys.argv[1:]]))"
    )
    environ = {**os.environ, "TUNEBOARD_HOME": str(tmp_path), "PYTHONPATH": str(estimate.ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, TEN)],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    totals = json.loads(done.stdout.splitlines()[-1])
    assert len(totals) == 10
    table = lines()
    for at, total in zip(TEN, totals, strict=True):
        written = float(table[key(CASES[at])][5].replace(",", ""))
        assert total / estimate.MB == pytest.approx(written, rel=0.1), CASES[at]


@pytest.mark.nightly
def test_ten_rows_hold_when_they_are_trained_anew(tmp_path: Path) -> None:
    chosen = [CASES[at] for at in TEN]
    results = estimate.measure(chosen, tmp_path / "home")
    assert len(results) == 10
    assert statistics.median(abs(result.error) for result in results) < 0.12
    assert max(abs(result.error) for result in results) < 0.25
