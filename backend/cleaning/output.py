"""Write new data sets and a report beside them: files and entries appear whole, or not at all.

The rows are written to a hidden folder beside the new ones, which is removed at the end in any
case. Files are named by their content, so that runs still find the file of a replaced set.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from backend.cleaning.rows import Item
from backend.cleaning.steps import Removal
from backend.contract.folders.home import CLEANING_REPORT
from backend.contract.registry import dataset_info, registry
from backend.contract.registry.dataset_info import REGISTRY, folder_of
from backend.contract.system import boundary
from backend.contract.system.files import dump, make_readable, sync_folder, write_atomic
from backend.contract.texts.locales import t
from backend.contract.texts.problems import DataError, DiskFullError, Params, Problem
from backend.datafiles import entering, values
from backend.datafiles.refusals import file_error
from backend.export.new_folder import scratch
from backend.running.failures import is_disk_full

FIRST = 10  # rows that are named for each reason
SHOWN = 300  # characters of an example


@dataclass
class RowTally:
    """A count of rows of the source, the numbers (from 1) of the first ones, and an example."""

    count: int = 0
    rows: list[int] = field(default_factory=list)
    example: str = ""
    params: Params = field(default_factory=dict)

    def add(self, item: Item, params: Params) -> None:
        """Count a row; the first one becomes the example, with its `params` for the text."""
        if not self.count:
            text = values.dumps(item.row, default=str)
            self.example = text if len(text) <= SHOWN else text[:SHOWN] + "…"
            self.params = params
        self.count += 1
        if len(self.rows) < FIRST:
            self.rows.append(item.number)

    def describe(self, reason: str, lang: str = "en") -> str:
        """The text for this reason: what happened to how many rows."""
        return t(f"clean.reason.{reason}", lang, count=self.count, **self.params)


@dataclass
class Report:
    """The options of a cleaning, its data (SHA-256 of each file), and what became of the rows.

    removed: rows by reason; tidied: rows whose texts were changed; unmeasured: rows that stay
    although their tokens could not be counted, because training refuses them.
    """

    name: str
    source: str
    content: Mapping[str, str]
    asked: Mapping[str, Any]
    read: int = 0
    kept: int = 0
    removed: dict[str, RowTally] = field(default_factory=dict)
    tidied: RowTally = field(default_factory=RowTally)
    unmeasured: RowTally = field(default_factory=RowTally)
    shared: int = 0  # of a split: rows of the second set that stand in the first, too
    file: str = ""
    sha256: str = ""
    seconds: float = 0.0
    date: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def remove(self, item: Item, why: Removal) -> None:
        """Count a row that is removed."""
        self.removed.setdefault(why.reason, RowTally()).add(item, why.params)

    def to_json(self) -> dict[str, Any]:
        """The content of cleaning_report.json, which --json prints as well."""
        rest = {name: value for name, value in vars(self).items() if name not in _SOMES}
        removed = {reason: dict(vars(some)) for reason, some in self.removed.items()}
        others = {name: dict(vars(getattr(self, name))) for name in ("tidied", "unmeasured")}
        return {**rest, "removed": removed, **others}

    def words(self) -> list[str]:
        """The lines of the report for the terminal and the page."""
        lines = [t("clean.read", read=self.read, source=self.source, kept=self.kept)]
        named = list(self.removed.items())
        named += [
            (name, some)
            for name, some in (("tidied", self.tidied), ("unmeasured", self.unmeasured))
            if some.count
        ]
        for reason, some in named:
            rows = ", ".join(map(str, some.rows)) + (", …" if some.count > len(some.rows) else "")
            lines += [
                some.describe(reason),
                f"    {t('clean.rows', rows=rows)}",
                f"    {some.example}",
            ]
        if self.shared:
            lines.append(t("clean.shared", count=self.shared))
        return [*lines, t("data.registered", name=self.name)]


_SOMES = {"removed", "tidied", "unmeasured"}


# Keys of an entry that say where its data lies and which part of it is meant.
PLACE = {
    *("file_name", "hf_hub_url", "ms_hub_url", "om_hub_url", "script_url", "cloud_file_name"),
    *("subset", "split", "folder", "num_samples"),
}


@dataclass
class Part:
    """The file of one new set while its rows are written."""

    name: str
    path: Path
    stream: IO[bytes]
    rows: int = 0
    digest: Any = field(default_factory=hashlib.sha256)

    def write(self, item: Item) -> None:
        """Write a row. Raises DataError for a value that JSON does not have; OSError."""
        try:
            text = values.dumps(item.row, allow_nan=False)
        except ValueError:
            raise file_error("data_nan", Path(item.file), line=item.line, value="NaN") from None
        except TypeError:
            raise file_error("clean_binary", Path(item.file), line=item.line) from None
        line = text.encode("utf-8", "backslashreplace") + b"\n"
        self.stream.write(line)
        self.digest.update(line)
        self.rows += 1


@contextmanager
def parts(names: Sequence[str], dataset_dir: str) -> Iterator[list[Part]]:
    """Open a Part for each new set. Raises DataError where another process makes the set now,
    DiskFullError."""
    folder = folder_of(dataset_dir)
    for name in names:
        boundary.require(folder / name)
    try:
        with scratch(folder / names[0], lambda: _busy(names[0])) as place:
            made = [Part(name, place / name, (place / name).open("xb")) for name in names]
            try:
                yield made
            finally:
                for part in made:
                    part.stream.close()
    except OSError as error:
        raise _unwritten(folder / names[0], error) from None


def refuse_taken(names: Sequence[str], source: str, dataset_dir: str, overwrite: bool) -> None:
    """Raises DataError for names that are invalid or taken, before the work begins."""
    path = folder_of(dataset_dir) / REGISTRY
    known = dataset_info.content(path) if path.exists() else {}
    for name in names:
        registry.check_entry(name, {"file_name": "x"}, dataset_dir)
        params = {"name": name, "path": str(path)}
        if name == source or list(names).count(name) > 1:
            raise DataError(Problem(code="clean_in_place", field="into", params={"name": name}))
        if name in known and not overwrite:
            raise DataError(Problem(code="dataset_taken", field="into", params=params))
        other = registry.find_twin(name, known)
        if other:
            params = {**params, "other": other}
            raise DataError(Problem(code="dataset_twin", field="into", params=params))


def entry_of(source: str, dataset_dir: str) -> dict[str, object]:
    """The entry of a set without the keys of its place; {} for a file that is not registered."""
    path = folder_of(dataset_dir) / REGISTRY
    row = dataset_info.content(path).get(source) if path.exists() else None
    return {k: v for k, v in row.items() if k not in PLACE} if isinstance(row, dict) else {}


def publish(
    made: Sequence[Part],
    reports: Sequence[Report],
    entry: Mapping[str, object],
    dataset_dir: str,
    *,
    overwrite: bool = False,
) -> None:
    """Move the files to their places and register them.

    Raises DataError, DiskFullError or OSError; everything is then as it was before.
    """
    undo: list[_Before] = []
    try:
        for part, report in zip(made, reports, strict=True):
            part.stream.flush()
            os.fsync(part.stream.fileno())
            report.sha256 = part.digest.hexdigest()
            target = folder_of(dataset_dir) / part.name
            final = target / f"{part.name}-{report.sha256[:12]}.jsonl"
            report.file = str(final)
            undo.append(_Before.of(part.name, final, dataset_dir))
            target.mkdir(exist_ok=True)
            make_readable([part.path])
            part.path.replace(final)
            write_atomic(target / CLEANING_REPORT, dump(report.to_json()))
            sync_folder(target)
            row = {"file_name": entering.place(final, dataset_dir), **entry}
            registry.register(part.name, row, dataset_dir, overwrite=overwrite)
    except BaseException:
        for each in reversed(undo):
            each.restore()
        raise


@dataclass(frozen=True)
class _Before:
    """The state before a set was published."""

    name: str
    file: Path
    there: bool
    report: bytes | None
    entry: dict[str, object] | None
    dataset_dir: str

    @classmethod
    def of(cls, name: str, file: Path, dataset_dir: str) -> "_Before":
        path = folder_of(dataset_dir) / REGISTRY
        entry = dataset_info.content(path).get(name) if path.exists() else None
        report = file.with_name(CLEANING_REPORT)
        held = report.read_bytes() if report.exists() else None
        registered = entry if isinstance(entry, dict) else None
        return cls(name, file, file.exists(), held, registered, dataset_dir)

    def restore(self) -> None:
        """Restore entry, report and file as they were."""
        path = folder_of(self.dataset_dir) / REGISTRY
        now = dataset_info.content(path).get(self.name) if path.exists() else None
        if now != self.entry:
            if self.entry is None:
                registry.remove(self.name, self.dataset_dir)
            else:
                registry.register(self.name, self.entry, self.dataset_dir, overwrite=True)
        report = self.file.with_name(CLEANING_REPORT)
        if self.report is None:
            report.unlink(missing_ok=True)
        else:
            write_atomic(report, self.report)
        if not self.there:
            self.file.unlink(missing_ok=True)
        folder = self.file.parent
        if folder.exists() and not any(folder.iterdir()):
            folder.rmdir()


def _busy(name: str) -> None:
    raise DataError(Problem(code="clean_busy", field="into", params={"name": name}))


def _unwritten(path: Path, error: OSError) -> DataError | DiskFullError:
    if is_disk_full(error):
        return DiskFullError(Problem(code="disk_full_data", params={"path": str(path)}))
    return file_error("file_unwritable", path, reason=error.strerror or str(error))
