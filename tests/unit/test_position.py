"""Where a checkpoint lies in its data: arithmetic of rows, batches and steps."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.contract.runs import position
from backend.contract.runs.position import Cut, Position

numbers = st.integers(1, 40)


def steps(size: int, cut: Cut) -> int:
    """As transformers 5.23 counts an epoch's: batches of rows, then steps of batches."""
    return math.ceil(math.ceil(size / cut.batch) / cut.accumulation)


def after(size: int, cut: Cut, done: int) -> Position:
    """Where a run of this cut is after so many steps."""
    whole = steps(size, cut)
    rows = min(size, done % whole * cut.batch * cut.accumulation)
    return Position(step=done, epoch=done // whole, rows=rows, size=size, **cut._asdict())


@given(numbers, numbers, numbers, st.integers(0, 200), st.floats(0.01, 9))
def test_nothing_changed(
    size: int, batch: int, accumulation: int, done: int, epochs: float
) -> None:
    """The steps in all are transformers' own: math.ceil(epochs * steps of an epoch)."""
    cut = Cut(batch, accumulation)
    place = after(size, cut, done)
    assert place.base == done - done % steps(size, cut)
    assert place.going_on(cut, size, "") == place
    expected = math.ceil(round(epochs * steps(size, cut), 9))
    assert place.steps_in_all(epochs) == max(done, expected)


@given(numbers, st.tuples(numbers, numbers), st.tuples(numbers, numbers), st.integers(0, 99))
def test_the_rest_is_cut_anew(
    size: int, then: tuple[int, int], now: tuple[int, int], done: int
) -> None:
    """What is left of the epoch has its own steps, and whole epochs follow; again and again."""
    place = after(size, Cut(*then), done)
    cut = Cut(*now)
    moved = place.going_on(cut, size, "")
    left = size - place.rows
    expected = done + steps(left, cut) + steps(size, cut)
    if place.rows == 0 or Cut(*then) != cut:
        assert moved.base == done
        assert moved.steps_in_all(place.epoch + 2) == expected
    assert moved.steps_in_all(place.epoch) == done
    assert moved.going_on(cut, size, "") == moved
    halfway = moved.steps_in_all(place.epoch + 0.5)
    assert done <= halfway <= moved.steps_in_all(place.epoch + 1)


def test_other_rows_begin_the_epoch_again() -> None:
    place = Position(step=5, epoch=1, rows=8, begun=4, size=20, batch=4, order="in order")
    for moved in (
        place.going_on(Cut(4, 1), 21, "random"),
        place.going_on(Cut(4, 1), 20, "random", again=True),
        place.going_on(Cut(2, 1), 20, "random", again=True),
    ):
        assert (moved.epoch, moved.begun, moved.rows, moved.base) == (1, 0, 0, 5)
        assert moved.order == "random"
    assert place.going_on(Cut(2, 1), 20, "random").order == "in order"


def test_a_stream_has_no_end() -> None:
    place = Position(step=3, rows=12, size=0, batch=4)
    moved = place.going_on(Cut(2, 3), 0, "")
    assert (moved.begun, moved.base, moved.steps_in_all(3.0)) == (12, 3, 0)


@pytest.mark.parametrize(
    "row",
    [
        None,
        [],
        {},
        {"step": 1},
        {**Position(step=1).to_json(), "batch": 0},
        {**Position(step=1).to_json(), "accumulation": -1},
        {**Position(step=1).to_json(), "rows": "3"},
        {**Position(step=1).to_json(), "size": True},
        {**Position(step=1).to_json(), "more": 1},
    ],
)
def test_what_a_checkpoint_does_not_say(row: object, tmp_path: Path) -> None:
    """Torn, foreign, or of another version."""
    assert Position.of(tmp_path) is None
    (tmp_path / position.PROGRESS).write_text(json.dumps({"position": row, "arguments": row}))
    assert Position.of(tmp_path) is None
    assert isinstance(position.arguments(tmp_path), dict)
    place = Position(step=7, epoch=1, begun=2, rows=4, size=9, batch=2, total=20, order="x")
    position.write(tmp_path, {"position": place.to_json(), "arguments": {"seed": 1}})
    assert Position.of(tmp_path) == place
    assert position.arguments(tmp_path) == {"seed": 1}
