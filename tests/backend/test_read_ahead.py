"""Rows are read once, ahead of those who tokenize them, in bounded memory."""

from pathlib import Path
from typing import Any

import pytest

from backend.contract.texts.problems import DataError
from backend.data import read_ahead, tokenize
from backend.data.read_ahead import ReadAhead
from backend.data.sources import Source
from tests.backend.conftest import write_dataset
from tests.backend.test_data_prepare import Told, prepare_set, rows


def test_batches_come_back_in_order() -> None:
    """Also where some are read while others are taken."""
    batches = [[number] * (number % 5 + 1) for number in range(50)]
    ahead = ReadAhead(iter(batches), len)
    taken = []
    for number in range(20):
        assert ahead.read()
        assert ahead.read()
        taken.append(next(ahead))
        assert ahead.rows == sum(map(len, batches[: 2 * number + 2]))
    assert not ahead.ended
    taken += ahead
    assert ahead.ended
    assert taken == batches


def test_no_more_waits_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Data may be larger than the memory; then it is read as it is asked for."""
    monkeypatch.setattr(read_ahead, "LIMIT", 1000)
    batches = [["x" * 100]] * 50
    ahead = ReadAhead(iter(batches), lambda batch: len(batch[0]))
    while ahead.read():
        pass
    assert (ahead.rows, ahead.ended) == (10, False)
    assert list(ahead) == batches
    assert (ahead.size, ahead._held) == (5000, 0)


def wait_for(path: Path) -> Path:
    while not path.exists():
        pass
    return path


def test_others_go_on_while_the_workers_are_busy(tmp_path: Path) -> None:
    """The first batch is only done once there were calls meanwhile."""
    calls = 0

    def meanwhile() -> bool:
        nonlocal calls
        calls += 1
        if calls == 5:
            (tmp_path / "go").touch()
        return True

    batches = [tmp_path / "go"] * 20
    assert list(tokenize.map_batches(wait_for, batches, 2, meanwhile)) == batches
    assert calls >= 5


def test_every_row_is_read_once(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_dataset(workspace, "x", rows(40))
    readings = 0
    inner = Source._rows

    def counted(source: Source) -> Any:
        nonlocal readings
        readings += 1
        return inner(source)

    monkeypatch.setattr(Source, "_rows", counted)
    prepare_set()
    assert readings == 1


@pytest.mark.parametrize("workers", [1, 2])
def test_a_broken_row_ends_it_before_the_rows_before_it_are_tokenized(
    workers: int, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As far as other processes leave time; here they leave it."""
    path = write_dataset(workspace, "x", rows(640))
    path.write_text(path.read_text()[:-1] + ", {")
    monkeypatch.setattr(tokenize, "ROWS_A_WORKER", 10)
    monkeypatch.setattr(tokenize, "_cores", lambda: workers)
    report = Told()
    with pytest.raises(DataError) as caught:
        prepare_set(report, preprocessing_batch_size=16)
    assert caught.value.problems[0].code == "data_truncated"
    assert workers > 1 or all(done == 0 for done, _ in report.steps)


def test_the_account_of_rows_is_the_same_however_many_work(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows without an example are counted behind those that cannot be read, in their order."""
    long = {"instruction": "word " * 300, "output": "a"}
    empty = {"instruction": "q", "output": ""}
    write_dataset(workspace, "x", [*rows(30), long, *rows(30), empty, *rows(30), long])
    one = prepare_set(cutoff_len=64).summary
    monkeypatch.setattr(tokenize, "ROWS_A_WORKER", 10)
    monkeypatch.setattr(tokenize, "_cores", lambda: 2)
    two = prepare_set(cutoff_len=64, preprocessing_batch_size=16, overwrite_cache=True).summary
    assert one == two
    assert [(row["reason"], row["count"]) for row in one["train"]["refused"]] == [
        ("row_empty_answer", 1),
        ("row_cut_away", 2),
    ]


def test_long_rows_count_as_several(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few rows of many characters are worth a process, too."""
    monkeypatch.setattr(tokenize, "_cores", lambda: 2)
    asked: list[int] = []
    inner = tokenize.map_batches

    def noted(work: Any, batches: Any, workers: int, meanwhile: Any) -> Any:
        asked.append(workers)
        return inner(work, batches, 1, meanwhile)

    monkeypatch.setattr(tokenize, "map_batches", noted)
    for length in (10, 60_000):
        row = {"instruction": "q", "output": "answer " * (length // 7)}
        write_dataset(workspace, "x", [row] * 40)
        prepare_set(overwrite_cache=True)
    assert asked == [1, 2]
