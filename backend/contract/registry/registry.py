"""Write the registry of data sets, dataset_info.json, one writer at a time.

Other entries and keys, and their order, stay as they are.
"""

import errno
import json
import os
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from backend.contract.arguments.field import Value
from backend.contract.arguments.names import check_name, to_name
from backend.contract.folders.home import describe_places
from backend.contract.registry import dataset_info
from backend.contract.registry.dataset_info import REGISTRY, Entry, folder_of
from backend.contract.system import boundary
from backend.contract.system.files import take_lock, write_atomic
from backend.contract.texts.problems import DataError, DiskFullError, Problem

LOCK = f".{REGISTRY}.lock"
WAIT_S = 30.0
WHOLE = (None, None, "train")  # subset, folder and split of a set of which no part is named
FULL = {errno.ENOSPC, errno.EDQUOT}

Content = dict[str, object]


def register(
    name: str, entry: Mapping[str, object], dataset_dir: Value, *, overwrite: bool = False
) -> Entry:
    """Add an entry to dataset_info.json, or replace the one of this name where `overwrite`.

    Raises DataError for a bad name, a name that is taken or differs from another only in case or
    accents, a bad entry, or a registry that cannot be read or written; DiskFullError.
    """
    registry = _place(dataset_dir)
    checked = check_entry(name, entry, dataset_dir)

    def add(content: Content) -> None:
        _refuse_taken(name, content, registry, overwrite)
        content[name] = dict(entry)

    _change(registry, add)
    return checked


def check_entry(name: str, entry: Mapping[str, object], dataset_dir: Value) -> Entry:
    """The entry as it will be read. Raises DataError for a bad name or a bad entry."""
    registry = _place(dataset_dir)
    problem = check_name(name)
    if problem is not None:
        raise DataError(problem)
    parsed = dataset_info.parse(name, entry, registry)
    if parsed.problems:
        raise DataError(*parsed.problems)
    return parsed


def free_name(suggested: str, dataset_dir: Value) -> str:
    """A name that is free in the registry, made from a file's name or a hub id."""
    last = Path(suggested).name
    first = to_name(last.split(".")[0] or last)
    try:
        taken = {name.casefold() for name in dataset_info.entries(dataset_dir)}
    except DataError:
        taken = set()
    numbers = (f"{first}-{number}" for number in range(2, len(taken) + 3))
    return next(name for name in (first, *numbers) if name.casefold() not in taken)


def find_hub(hub_id: str, hub: str, dataset_dir: Value) -> str:
    """The name under which a set of a hub is registered whole; "" where it is not."""
    try:
        entries = dataset_info.entries(dataset_dir).values()
    except DataError:
        return ""
    whole = (each for each in entries if (each.subset, each.folder, each.split) == WHOLE)
    return next((each.name for each in whole if (each.hub_id, each.hub) == (hub_id, hub)), "")


def remove(name: str, dataset_dir: Value) -> None:
    """Remove an entry from dataset_info.json; its files stay. Raises as `register` does."""
    registry = _place(dataset_dir)
    if not os.path.lexists(registry):
        where = describe_places(f"{dataset_dir or 'data'}/{REGISTRY}")
        raise DataError(Problem(code="registry_missing", params={"path": where}))

    def take(content: Content) -> None:
        if name not in content:
            params = {"name": name[:200], "path": str(registry)}
            raise DataError(Problem(code="dataset_unknown", params=params))
        del content[name]

    _change(registry, take)


def _place(dataset_dir: Value) -> Path:
    """The registry's file. Raises DataError where dataset_dir names a hub."""
    value = str(dataset_dir or "")
    if value == dataset_info.ONLINE or value.startswith(dataset_info.REMOTE):
        params = {"value": value}
        raise DataError(Problem(code="registry_no_folder", field="dataset_dir", params=params))
    return folder_of(dataset_dir) / REGISTRY


def find_twin(name: str, known: Mapping[str, object]) -> str:
    """The known name that differs only in case or in the encoding of accents, or ""."""
    return next((other for other in known if other != name and _fold(other) == _fold(name)), "")


def _refuse_taken(name: str, content: Content, registry: Path, overwrite: bool) -> None:
    names = {"name": name, "path": str(registry)}
    if name in content and not overwrite:
        raise DataError(Problem(code="dataset_taken", field="name", params=names))
    twin = find_twin(name, content)
    if twin:
        params = {**names, "other": twin}
        raise DataError(Problem(code="dataset_twin", field="name", params=params))


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKC", name).casefold())


def _change(registry: Path, change: Callable[[Content], None]) -> None:
    """Read, change and write the registry under its lock."""
    boundary.require(registry)
    try:
        registry.parent.mkdir(parents=True, exist_ok=True)
        with _lock(registry):
            target = registry.resolve()
            content = dataset_info.content(target, exact=True) if target.exists() else {}
            change(content)
            mode = target.stat().st_mode & 0o777 if target.exists() else 0o644
            write_atomic(target, _text(content))
            target.chmod(mode)
    except OSError as error:
        raise _write_error(registry, error) from None


@contextmanager
def _lock(registry: Path) -> Iterator[None]:
    handle = take_lock(registry.with_name(LOCK), WAIT_S)
    if handle is None:
        raise DataError(Problem(code="registry_busy", params={"path": str(registry)}))
    try:
        yield
    finally:
        os.close(handle)


def _text(content: Content) -> bytes:
    text = json.dumps(content, ensure_ascii=False, indent=2) + "\n"
    return text.encode("utf-8", "backslashreplace")


def _write_error(path: Path, error: OSError) -> DataError | DiskFullError:
    reason = error.strerror or str(error)
    if error.errno in FULL:
        return DiskFullError(Problem(code="disk_full_data", params={"path": str(path)}))
    return DataError(Problem(code="file_unwritable", params={"file": str(path), "reason": reason}))
