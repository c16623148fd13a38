"""The table of docs/estimates.md: its errors are small, and ten rows hold when trained anew."""

import re
import statistics
from pathlib import Path

import pytest

from tests import estimate
from tests.estimate import PAGE, PARTS, Case

LINE = re.compile(
    r"^\| (\w+) \| (\w+) \| ([^|]+) \| ([^|]+) \| [\d,]+ \| [\d,]+ \| ([+-][\d.]+)% \|$"
)
CASES = [case for part in PARTS.values() for case in part]


def key(case: Case) -> tuple[str, ...]:
    return tuple(cell.strip() for cell in estimate.row_start(case))


def rows() -> dict[tuple[str, ...], float]:
    """Model, stage, batch and arguments of each row of the table -> its error, as a share."""
    matches = [LINE.match(line) for line in PAGE.read_text().splitlines()]
    return {
        tuple(cell.strip() for cell in match.groups()[:4]): float(match[5]) / 100
        for match in matches
        if match
    }


def test_the_table_holds_what_is_promised() -> None:
    table = rows()
    assert table.keys() <= {key(case) for case in CASES}
    for part in PARTS.values():
        errors = [abs(table[key(case)]) for case in part if key(case) in table]
        assert len(errors) >= 12
        assert statistics.median(errors) < 0.12
        assert max(errors) < 0.25


@pytest.mark.nightly
def test_ten_rows_hold_when_they_are_trained_anew(tmp_path: Path) -> None:
    chosen = CASES[:: len(CASES) // 10][:10]
    results = estimate.measure(chosen, tmp_path / "home")
    assert len(results) == 10
    assert statistics.median(abs(result.error) for result in results) < 0.12
    assert max(abs(result.error) for result in results) < 0.25
