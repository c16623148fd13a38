"""Turn data from Python into names of data sets; rows become a file in data/tuner.

A file there is named for its content, so the same rows always make the same file, and a run that is
resumed finds them. A layout that training cannot infer from the rows alone is entered in
dataset_info.json.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from backend.contract.arguments.field import Value
from backend.contract.arguments.names import to_name
from backend.contract.folders.home import find, relative
from backend.contract.registry import dataset_info, registry
from backend.contract.registry.dataset_info import ONLINE, REMOTE, folder_of
from backend.contract.system.files import write_atomic
from backend.contract.texts.printing import print_problems
from backend.contract.texts.problems import DataError, Problem
from backend.datafiles import entering, layouts
from backend.datafiles.samples import Sample, sample

FOLDER = "tuner"  # in the folder of data sets
LEAST = 0.5  # confidence (0 to 1) from which a proposed layout is taken
# The libraries whose frames can be read, and the method (with its arguments) that gives the rows.
FRAMES = {"pandas": ("to_dict", "records"), "polars": ("to_dicts",), "pyarrow": ("to_pylist",)}


def set_names(data: object, field: str, dataset_dir: Value, stage: str = "sft") -> str:
    """The names and paths of data sets, joined by commas, for the data of an argument.

    `stage` is the stage that reads the data. Text and paths are names; a list of them is several
    sets.
    Rows are a list of mappings, a mapping of columns, a datasets.Dataset in any format, a dataset
    of torch, or a frame of pandas, polars or pyarrow. Raises DataError: no rows, a row that is no
    mapping, a value that JSON has nothing for, columns that cannot be told, texts without a column.
    """
    if isinstance(data, str | Path):
        parts = [str(data)] if _is_file(str(data)) else dataset_info.names(str(data))
    elif isinstance(data, list | tuple) and data and all(map(_is_name, data)):
        parts = [str(part) for part in data]
        _require_names(parts, field, dataset_dir)
    else:
        _require_folder(field, dataset_dir)
        parts = [relative(_write(_rows(data, field), field, folder_of(dataset_dir)))]
    if _is_hub(dataset_dir):
        return ",".join(parts)
    return ",".join(_enter(part, field, dataset_dir, stage) for part in parts)


def _is_name(part: object) -> bool:
    return isinstance(part, str | Path)


def _is_file(name: str) -> bool:
    return dataset_info.is_path(name) and os.path.exists(find(name))


def _is_hub(dataset_dir: Value) -> bool:
    return dataset_dir == ONLINE or str(dataset_dir or "").startswith(REMOTE)


def _require_names(parts: Sequence[str], field: str, dataset_dir: Value) -> None:
    """Raises DataError where none of several strings names a data set: they are texts."""
    if not _is_hub(dataset_dir) and all(_names_nothing(part, field, dataset_dir) for part in parts):
        raise _data_error("tuner_texts", field, value=parts[0][:60])


def _names_nothing(part: str, field: str, dataset_dir: Value) -> bool:
    try:
        dataset_info.find(part, dataset_dir, field)
    except DataError as error:
        return error.problems[0].code in {"dataset_unknown", "dataset_nowhere"}
    return False


def _require_folder(field: str, dataset_dir: Value) -> None:
    if _is_hub(dataset_dir):
        params = {"value": str(dataset_dir)}
        raise DataError(Problem(code="registry_no_folder", field=field, params=params))


def _enter(name: str, field: str, dataset_dir: Value, stage: str) -> str:
    """The name of a file as it is where the stage infers the layout, else the name of its new entry
    in dataset_info.json. Raises DataError where the columns cannot be inferred."""
    if not _is_file(name):
        return name
    if "," in name:
        raise _data_error("comma_in_name", field, value=name[:80])
    first = sample(entering.file_of(Path(name)))
    unread = _reading_error(first, {}, stage)
    if unread is None:
        return name
    proposal, _ = entering.propose_file(Path(name))
    if _reading_error(first, proposal.entry, stage):
        raise unread
    columns = ", ".join(map(str, first.rows[0]))[:200]
    if proposal.confidence < LEAST:
        raise _data_error("tuner_columns", field, file=name, columns=columns)
    entry = {"file_name": entering.place(Path(name), dataset_dir), **proposal.entry}
    chosen = _register(to_name(Path(name).name.split(".")[0]), entry, dataset_dir)
    columns_by_role = ", ".join(f"{key}={column}" for key, column in proposal.columns.items())
    params = {"file": name, "name": chosen, "columns": columns_by_role}
    print_problems([Problem(code="tuner_registered", field=field, params=params, notice=True)])
    return chosen


def _reading_error(first: Sample, entry: Mapping[str, object], stage: str) -> DataError | None:
    """The error of a stage that reads the first rows under an entry; None where it can."""
    place = (first.file, first.lines[0])
    known = dataset_info.parse(first.file, entry, Path(first.file))
    try:
        layouts.layout(known, first.rows[0], place, layouts.WANTED[stage])
    except DataError as error:
        return error
    return None


def _register(stem: str, entry: Mapping[str, object], dataset_dir: Value) -> str:
    """Put an entry into dataset_info.json unless it is there; returns its name."""
    place = folder_of(dataset_dir) / dataset_info.REGISTRY
    known = dataset_info.content(place) if place.exists() else {}
    number, chosen = 1, stem
    while chosen in known and known[chosen] != entry:
        number += 1
        chosen = f"{stem}-{number}"
    if chosen not in known:
        registry.register(chosen, entry, dataset_dir)
    return chosen


def _write(rows: Iterable[Mapping[str, Any]], field: str, folder: Path) -> Path:
    """Write the rows to a file with one JSON object a line; returns its path."""
    lines = []
    for number, row in enumerate(rows, start=1):
        if isinstance(row, str):
            raise _data_error("tuner_texts", field, value=row[:60])
        if not isinstance(row, Mapping):
            raise _data_error("tuner_row", field, row=number, kind=type(row).__name__)
        try:
            clean = {str(name): _replace_missing(value) for name, value in row.items()}
            lines.append(json.dumps(clean, ensure_ascii=False, allow_nan=False, default=_to_json))
        except (TypeError, ValueError) as error:
            raise _data_error("tuner_value", field, row=number, reason=str(error)[:200]) from None
    if not lines:
        raise _data_error("tuner_no_rows", field)
    content = "\n".join(lines).encode("utf-8", "backslashreplace") + b"\n"
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    path = folder / FOLDER / f"rows-{hashlib.sha256(content).hexdigest()[:12]}.jsonl"
    if not path.exists():
        write_atomic(path, content)
    return path


def _rows(data: Any, field: str) -> Iterable[Any]:
    """The rows of any object that holds some. Raises DataError for one that does not."""
    if isinstance(data, Mapping):
        return _column_rows(data, field)
    library = type(data).__module__.partition(".")[0]
    if library in FRAMES and hasattr(type(data), "columns"):
        method, *words = FRAMES[library]
        convert = getattr(data, method, None)  # polars' LazyFrame has none
        if convert is not None:
            rows: Iterable[Any] = convert(*words)
            return rows
    if hasattr(type(data), "with_format"):
        return _dataset_rows(data)
    if isinstance(data, Iterable):
        return data
    if hasattr(type(data), "__getitem__") and hasattr(type(data), "__len__"):  # torch's Dataset
        return (data[index] for index in range(len(data)))
    raise _data_error("tuner_data", field, kind=type(data).__name__)


def _dataset_rows(dataset: Any) -> Iterable[Any]:
    """The rows of a datasets.Dataset or IterableDataset as values of Python, whatever its format;
    a transform of the user's own stays, and so does a choice of columns."""
    shown = getattr(dataset, "format", {})  # an IterableDataset has none, nor columns to choose
    if shown.get("type") == "custom":
        rows: Iterable[Any] = dataset
    elif shown:
        rows = dataset.with_format(None, columns=shown["columns"])
    else:
        rows = dataset.with_format(None)
    return rows


def _column_rows(columns: Mapping[Any, Any], field: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of a mapping of columns, which must be of one length."""
    columns = {name: _column(column) for name, column in columns.items()}
    if not all(isinstance(column, list) for column in columns.values()):
        raise _data_error("tuner_mapping", field, names=", ".join(map(str, columns))[:80])
    if len({len(column) for column in columns.values()}) > 1:
        raise _data_error("tuner_lengths", field)
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(map(str, columns), values, strict=True))


def _column(column: Any) -> Any:
    """A column as a list where it is one: of numpy, pandas, torch, polars, pyarrow, datasets."""
    if hasattr(column, "columns") or hasattr(column, "column_names"):  # a frame: no column
        return column
    for method in ("tolist", "to_list", "to_pylist"):
        if hasattr(column, method):
            return getattr(column, method)()
    is_list = isinstance(column, Sequence) and not isinstance(column, str | bytes)
    return list(column) if is_list else column


def _replace_missing(value: Any) -> Any:
    """A value with None, at any depth, where frames have nothing: NaN, NaT, NA."""
    if hasattr(value, "tolist"):  # of numpy, pandas, torch
        value = value.tolist()
    if isinstance(value, Mapping):
        return {name: _replace_missing(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_replace_missing(part) for part in value]
    missing = type(value).__name__ in {"NAType", "NaTType"}
    return None if missing or (isinstance(value, float) and value != value) else value


def _to_json(value: Any) -> Any:
    """The JSON value for a value of numpy, a date or a path. Raises TypeError for others."""
    for method in ("tolist", "isoformat"):
        if hasattr(value, method):
            return getattr(value, method)()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def _data_error(code: str, field: str, **params: str | int) -> DataError:
    return DataError(Problem(code=code, field=field, params=params))
