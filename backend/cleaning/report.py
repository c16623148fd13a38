"""Report of a cleaning or a split, written beside the new data as cleaning_report.json."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from backend.cleaning.rows import Item
from backend.cleaning.steps import Removal
from backend.contract.base.problems import Params
from backend.contract.base.texts import t
from backend.datafiles import values

FILE = "cleaning_report.json"
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
