"""The metrics of a run so far, from a file that grows: only new lines are read, many at a time.

A hundred thousand rows as objects take a second to make, so that a row stays what it is in the
file, and is dropped once its losses are noted. The series that are asked for are kept as columns.
"""

import threading
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from operator import itemgetter
from pathlib import Path

import orjson

from app.services.runs.curves import Line, Row, read_column
from app.services.runs.tail import read_before
from backend.contract.runs import metrics
from backend.contract.runs.metrics import Metrics
from backend.contract.runs.run_folder import METRICS
from backend.contract.system import boundary

CAPACITY = 32  # runs
RECENT = 1000  # rows
CHUNK = 64 * 1024  # bytes: larger ones are slower, as the rows of one no longer fit into the cache
LOSSES = ("loss", "eval_loss")
OWN = frozenset(metrics.NAMES)

Low = tuple[float, int]


@dataclass(frozen=True)
class History:
    """The metrics of a run so far. It is shared: do not change it.

    offset   bytes of the file that were read, with `check` before them
    recent   the newest rows
    evaluated  the rows with an evaluation loss; it grows on
    metrics  the names of the stage's own metrics
    loss     the newest training loss
    lowest   (loss, step) of the lowest training loss, best of the lowest evaluation loss
    lines    the series that were asked for, by name; they grow on
    """

    offset: int = 0
    check: bytes = b""
    recent: Sequence[Metrics] = ()
    evaluated: list[Metrics] = field(default_factory=list)
    metrics: tuple[str, ...] = ()
    loss: float | None = None
    lowest: Low | None = None
    best: Low | None = None
    lines: dict[str, Line] = field(default_factory=dict)


_histories: OrderedDict[Path, History] = OrderedDict()
_lock = threading.Lock()


def read(path: Path) -> History:
    """The metrics of the run in the folder `path`."""
    with _lock:
        return _renew(path)


def read_lines(path: Path, names: Iterable[str]) -> tuple[dict[str, Line], int]:
    """Series of the run in the folder `path` by name, and the bytes of the file that they hold."""
    with _lock:
        history = _renew(path)
        missing = {name: Line([], []) for name in names if name not in history.lines}
        if missing:
            for rows, _ in _read_chunks(path / METRICS, 0, history.offset):
                _extend_lines(missing, rows)
            history.lines.update(missing)
        lines = {name: history.lines[name] for name in names}
        return {name: Line(line.x[:], line.y[:]) for name, line in lines.items()}, history.offset


def read_rows(file: Path, offset: int) -> tuple[list[Row], int]:
    """The rows from `offset` (bytes) on, and the offset for the next ones."""
    chunks = [*_read_chunks(file, offset)]
    return [row for rows, _ in chunks for row in rows], chunks[-1][1] if chunks else offset


def _renew(path: Path) -> History:
    """Take the new rows; all of them where a resumed run has written the file anew."""
    file, known = path / METRICS, _histories.pop(path, None)
    if known is None or (known.offset and read_before(file, known.offset) != known.check):
        known = History(lines={name: Line([], []) for name in LOSSES})
    recent: deque[Row] = deque(maxlen=RECENT)
    end = known.offset
    for rows, end in _read_chunks(file, known.offset):  # noqa: B007 (the last one counts)
        known = _extend(known, rows)
        recent.extend(rows)
    if end > known.offset:
        newest = (*known.recent, *map(metrics.build, recent))[-RECENT:]
        known = replace(known, offset=end, check=read_before(file, end), recent=newest)
    _histories[path] = known
    while len(_histories) > CAPACITY:
        _histories.popitem(last=False)
    return known


def _extend(known: History, rows: Sequence[Row]) -> History:
    """The history with further rows."""
    places = [len(known.lines[name].x) for name in LOSSES]
    _extend_lines(known.lines, rows)
    new = [
        zip(line.y[place:], line.x[place:], strict=True)
        for line, place in zip((known.lines[name] for name in LOSSES), places, strict=True)
    ]
    evaluated = [row for row in rows if "eval_loss" in row]
    known.evaluated.extend(
        row for row in map(metrics.build, evaluated) if row.eval_loss is not None
    )
    newest = (metrics.to_number(row.get("loss")) for row in reversed(rows))
    return replace(
        known,
        metrics=_add_names(known.metrics, rows),
        loss=next((loss for loss in newest if loss is not None), known.loss),
        lowest=_find_lowest(known.lowest, new[0]),
        best=_find_lowest(known.best, new[1]),
    )


def _extend_lines(lines: Mapping[str, Line], rows: Sequence[Row]) -> None:
    for name, line in lines.items():
        more = read_column(rows, name)
        line.x.extend(more.x)
        line.y.extend(more.y)


def _find_lowest(known: Low | None, new: Iterable[tuple[float | None, int]]) -> Low | None:
    """The lowest loss of `known` and `new` with its step, the first of equal ones."""
    losses = [(loss, step) for loss, step in new if loss is not None]
    return min([*([known] if known else []), *losses], key=itemgetter(0), default=None)


def _add_names(known: tuple[str, ...], rows: Sequence[Row]) -> tuple[str, ...]:
    """The names of a stage's metrics, and those that are new in these rows: those of numbers."""
    unknown = set().union(*rows) - OWN - set(known)
    numeric = [
        name
        for name in (dict.fromkeys(chain(*rows)) if unknown else ())
        if name in unknown and any(metrics.to_number(row.get(name)) is not None for row in rows)
    ]
    return (*known, *numeric)


def _read_chunks(
    file: Path, offset: int, end: int | None = None
) -> Iterator[tuple[list[Row], int]]:
    """The rows between two places of a file, some at a time, each with the place where they end.

    A torn last line is left for the next time; foreign lines are left out.
    """
    torn = b""
    try:
        with open(file, "rb", opener=boundary.open_own) as stream:
            stream.seek(offset)
            while chunk := stream.read(
                CHUNK if end is None else min(CHUNK, end - offset - len(torn))
            ):
                whole, mark, torn = (torn + chunk).rpartition(b"\n")
                if mark:
                    offset += len(whole) + 1
                    yield _parse(whole), offset
    except OSError:
        return


def _parse(lines: bytes) -> list[Row]:
    """The rows in some lines: all at once where each of them is one, else line by line."""
    try:
        rows: list[Row] = orjson.loads(b"[%b]" % lines.replace(b"\n", b","))
        if {type(row["step"]) for row in rows} <= {int}:
            return rows
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    return [row for line in lines.split(b"\n") if (row := metrics.parse(line)) is not None]
