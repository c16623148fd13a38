"""Edit rows of a small data set by hand: changes go to a draft, which is saved as a new version.

The new version is data/<name>/<name>-<first 12 digits of its SHA-256>.jsonl, and the registry's
entry points to it. The old file stays, so that the data of a run never change.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backend.contract.folders.home import data
from backend.contract.registry import dataset_info, registry
from backend.contract.registry.dataset_info import Entry
from backend.contract.system import boundary
from backend.contract.system.files import write_atomic
from backend.contract.texts.problems import DataError, DiskFullError, Params, Problem
from backend.datafiles import entering, formats, layouts, reading, values
from backend.datafiles.detect import STAGES
from backend.datafiles.turns import RowError
from backend.datafiles.values import DataRow

MOST_ROWS = 5000
MOST_BYTES = 20_000_000


@dataclass
class Draft:
    """The edited rows of a set, with the numbers of changed and deleted ones; new rows are last."""

    entry: Entry
    dataset_dir: str
    registered: dict[str, Any]  # the entry as the registry has it, with all of its keys
    digest: str
    rows: list[DataRow]
    lines: list[int]  # the line of each row in its file
    changed: set[int] = field(default_factory=set)
    deleted: set[int] = field(default_factory=set)
    added: int = 0

    @property
    def columns(self) -> list[str]:
        """The columns of all rows, in the order in which they first appear."""
        return list(dict.fromkeys(name for row in self.rows for name in row))

    @property
    def touched(self) -> bool:
        """Whether there is anything to save."""
        return bool(self.changed or self.deleted or self.added)


def open_draft(name: str, dataset_dir: str) -> Draft:
    """Open a draft of a set. DataError for a set on a hub, too large, empty or unreadable."""
    entry = dataset_info.find(name, dataset_dir)
    if entry.path is None:
        raise DataError(Problem(code="preview_on_hub", params={"name": name}))
    size = sum(part.stat().st_size for part in reading.files(entry.path))
    rows: list[DataRow] = []
    lines: list[int] = []
    if size <= MOST_BYTES:
        for line, row in reading.rows(entry.path):
            rows.append(dict(row))
            lines.append(line)
            if len(rows) > MOST_ROWS:
                break
    if size > MOST_BYTES or len(rows) > MOST_ROWS:
        params: Params = {"name": name, "rows": MOST_ROWS, "megabytes": MOST_BYTES // 10**6}
        raise DataError(Problem(code="edit_too_large", params=params))
    return Draft(
        entry, dataset_dir, _registry_entry(name, dataset_dir), _digest(entry.path), rows, lines
    )


def texts(row: Mapping[str, Any], columns: list[str]) -> list[str]:
    """The values of a row for editing: texts as they are, other values as JSON."""
    return [_text(row[name]) if name in row else "" for name in columns]


def change(draft: Draft, number: int, edits: Mapping[str, str]) -> None:
    """Put edited values into row `number` (from 0).

    Raises DataError for a value that must be JSON and is not, or a row that training refuses.
    """
    before = draft.rows[number]
    values = _values(draft, edits, before)
    if not values:
        return
    row = {**before, **values}
    _check(draft, row, number)
    draft.rows[number] = row
    if number < len(draft.rows) - draft.added:
        draft.changed.add(number)


def add(draft: Draft, edits: Mapping[str, str]) -> int:
    """Add a row at the end and return its number. Raises DataError as `change` does."""
    row = _values(draft, edits, {})
    _check(draft, row, len(draft.rows))
    draft.rows.append(row)
    draft.added += 1
    return len(draft.rows) - 1


def delete(draft: Draft, number: int) -> None:
    """Delete row `number`, or restore it."""
    draft.deleted ^= {number}


def save(draft: Draft, into: str = "") -> str:
    """Write the new version, register it (under the name `into`, if set), and return its name.

    Raises DataError where no row is left, the name is bad or taken, or the set has changed since it
    was opened; DiskFullError. Nothing is changed then.
    """
    old, name = draft.entry.name, into.strip() or draft.entry.name
    if name == old and not _is_unchanged(draft):
        raise DataError(Problem(code="edit_changed_meanwhile", params={"name": old}))
    remaining = {n: row for n, row in enumerate(draft.rows) if n not in draft.deleted}
    if not remaining:
        raise DataError(Problem(code="edit_nothing_left", params={"name": old}))
    if 0 in draft.deleted:  # the first row decides the layout of all
        first = next(iter(remaining.values()))
        for number, row in remaining.items():
            _check(draft, row, number, first)
    content = "".join(_line(draft, row) for row in remaining.values()).encode(
        "utf-8", "backslashreplace"
    )
    digest = hashlib.sha256(content).hexdigest()
    path = data() / name / f"{name}-{digest[:12]}.jsonl"
    entry = {**draft.registered, "file_name": entering.place(path, draft.dataset_dir)}
    registry.check_entry(name, entry, draft.dataset_dir)
    boundary.require(path)
    existed = path.exists()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not existed:
            write_atomic(path, content)
            path.chmod(0o644)
        registry.register(name, entry, draft.dataset_dir, overwrite=name == old)
    except OSError as error:
        _forget(path, existed)
        raise _write_error(path, error) from None
    except (DataError, DiskFullError):
        _forget(path, existed)
        raise
    return name


def _registry_entry(name: str, dataset_dir: str) -> dict[str, Any]:
    path = dataset_info.folder_of(dataset_dir) / dataset_info.REGISTRY
    row = dataset_info.content(path).get(name)
    return dict(row) if isinstance(row, dict) else {}


def _is_unchanged(draft: Draft) -> bool:
    """Whether the file and its entry are unchanged. Raises DataError where they are gone."""
    assert draft.entry.path is not None
    now = _registry_entry(draft.entry.name, draft.dataset_dir)
    return now == draft.registered and _digest(draft.entry.path) == draft.digest


def _line(draft: Draft, row: DataRow) -> str:
    """A row as a line of JSON. Raises DataError for bytes."""
    try:
        return values.dumps(row) + "\n"
    except TypeError:
        raise DataError(Problem(code="edit_binary", params={"name": draft.entry.name})) from None


def _values(draft: Draft, edits: Mapping[str, str], before: Mapping[str, Any]) -> DataRow:
    """The edited values. An empty box of a column that the row lacks adds nothing."""
    edited: DataRow = {}
    for name, text in edits.items():
        if name in before and _unix(text) == _unix(_text(before[name])):
            continue
        if text or name in before:
            edited[name] = _value(draft, name, text, before.get(name))
    return edited


def _value(draft: Draft, name: str, text: str, before: Any) -> Any:
    """The value of a box: text where the column holds texts, else JSON."""
    known = [row[name] for row in draft.rows if row.get(name) is not None]
    sample = before if before is not None else known[0] if known else ""
    if isinstance(sample, str):
        return text
    try:
        return json.loads(text, parse_constant=_no_number, parse_float=values.number)
    except (ValueError, RecursionError) as error:
        params = {"column": name, "reason": str(error)[:120]}
        raise DataError(Problem(code="edit_json", params=params)) from None


def _unix(text: str) -> str:
    """The text with the line ends that a browser sends back."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _no_number(word: str) -> None:
    raise ValueError(word)


def _check(draft: Draft, row: DataRow, number: int, first: DataRow | None = None) -> None:
    """Raise DataError where training would leave the row out; `first` is the set's first row."""
    stage = STAGES[entering.kind_of_set(draft.entry)]
    place = (draft.entry.name, [*draft.lines, *[number + 1] * (draft.added + 1)][number])
    layout = layouts.layout(draft.entry, first or draft.rows[0], place, layouts.WANTED[stage])
    try:
        formats.reader(layout)(row)
    except RowError as error:
        params: Params = {"file": place[0], "line": place[1], "count": 1}
        raise DataError(Problem(code=error.code, params=params)) from None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else values.dumps(value, default=str)


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    for part in reading.files(path):
        with open(part, "rb", opener=boundary.open_file) as file:
            digest.update(file.read())
    return digest.hexdigest()


def _forget(path: Path, existed: bool) -> None:
    if not existed:
        path.unlink(missing_ok=True)
    if path.parent.is_dir() and not any(path.parent.iterdir()):
        path.parent.rmdir()


def _write_error(path: Path, error: OSError) -> DataError | DiskFullError:
    if error.errno in registry.FULL:
        return DiskFullError(Problem(code="disk_full_data", params={"path": str(path)}))
    params = {"file": str(path), "reason": error.strerror or str(error)}
    return DataError(Problem(code="file_unwritable", params=params))
