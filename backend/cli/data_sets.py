"""`tuneboard data list`, `check` and `preview`: what is registered, whether it is right, rows."""

import sys
import time
from argparse import Namespace
from pathlib import Path

from backend.cli.command_words import say_json
from backend.contract.arguments.typed import Arguments
from backend.contract.registry import dataset_info
from backend.contract.registry.dataset_info import Entry
from backend.contract.texts.locales import t
from backend.contract.texts.problems import DataError, Problem, UsageError
from backend.contract.texts.terminal_text import one_line, say
from backend.datafiles import index, reading, values
from backend.datafiles.check import Checking, Progress, Report, check
from backend.datafiles.values import DataRow

SHOWN = 10  # rows of a preview
POLL_S = 0.2
SOON_S, LINE_S = 1.0, 10.0
SEARCH_S = 3600.0


def list_sets(options: Namespace) -> int:
    """`list`: every entry with its place and what is wrong with it. Raises DataError."""
    listing = [
        describe_entry(entry) for entry in dataset_info.entries(options.dataset_dir).values()
    ]
    if options.json:
        say_json(listing)
        return 0
    for row in listing:
        size = f"{row['bytes']:,} B" if row["bytes"] is not None else ""
        name, place = one_line(str(row["name"])), one_line(str(row["place"]))
        say(f"{name:32} {place:48} {size}".rstrip())
        if row["problem"]:
            say(f"    {row['problem']}")
    if not listing:
        say(t("data.list.none"))
    return 0


def check_set(options: Namespace) -> int:
    """`check NAME`: 0 where training takes every row, else 3. Raises DataError, UsageError."""
    entry = dataset_info.find(_set_name(options), options.dataset_dir, to_learn=False)
    parts = None if entry.path else _fetch_files(entry)
    printer = _print_percent if sys.stderr.isatty() else _print_percent_lines(time.monotonic())
    progress = _print_share if options.progress else printer
    strict = (options.strict, options.strict_turns)
    checking = Checking(options.stage, *strict, options.max_chars, progress)
    report = check(entry, checking, parts)
    if options.json:
        say_json(report.to_json())
    else:
        _print_report(report)
    return 0 if report.good else DataError.exit_code


def preview_set(options: Namespace) -> int:
    """`preview NAME [--rows 0:10] [--search words]`, or `preview --hub ID`. Raises DataError,
    UsageError."""
    if options.hub and not (options.name or options.dataset):
        from backend.cli.data_hub import preview_hub

        return preview_hub(options)
    name = _set_name(options)
    entry = dataset_info.find(name, options.dataset_dir, to_learn=False)
    parts = reading.files(entry.path) if entry.path else _fetch_files(entry)
    first, last = _parse_range(options.rows)
    if options.search:
        hits, onward = reading.search(parts, options.search, first, last - first, SEARCH_S)
        numbered = [(hit.number, hit.row) for hit in hits]
    else:
        rows = _read_page(parts, first, last - first)
        numbered, onward = list(enumerate(rows, first)), first + len(rows)
    if options.json:
        listing = [{"number": number, "row": row} for number, row in numbered]
        say_json({"name": name, "rows": listing, "next": onward})
        return 0
    for number, row in numbered:
        say(f"{number:>8}  {values.dumps(row, default=str)}")
    if not numbered:
        say(t("data.preview.none"))
    return 0


def _fetch_files(entry: Entry) -> list[Path]:
    """The files of a set on a hub, brought here. Raises DataError where it cannot be had, or where
    it is only a part of a split."""
    from backend.data import hub

    parts = hub.load(entry, Arguments()).fetch_whole()
    if parts is None:
        raise DataError(Problem(code="hub_part", params={"name": entry.name, "split": entry.split}))
    return parts


def _set_name(options: Namespace) -> str:
    if bool(options.name) == bool(options.dataset):
        params = {"command": "tuneboard data", "reason": t("data.one_set")}
        raise UsageError(Problem(code="command_usage", params=params))
    return str(options.name or options.dataset)


def describe_entry(entry: Entry) -> dict[str, object]:
    """What `list --json` says of an entry: its place, size in bytes, and the first problem."""
    problems = list(entry.problems)
    size = None
    if not problems and entry.path is not None:
        try:
            size = sum(part.stat().st_size for part in reading.files(entry.path))
        except DataError as error:
            problems = list(error.problems)
    kind = entry.formatting or "alpaca"
    return {
        "name": entry.name,
        "place": str(entry.path) if entry.path else entry.hub_id or entry.elsewhere,
        "hub": entry.hub if entry.hub_id else None,
        "formatting": kind,
        "ranking": entry.ranking,
        "bytes": size,
        "problem": problems[0].text() if problems else None,
    }


def _read_page(parts: list[Path], first: int, count: int) -> list[DataRow]:
    """Rows far inside a large text file: indexed first where that was not done yet."""
    while True:
        page = reading.page(parts, first, count)
        if page.rows or page.indexed >= 1.0:
            return page.rows
        for part in parts:
            index.build(part)
        if reading.page(parts, first, 1).indexed < 1.0:
            time.sleep(POLL_S)  # somebody else is indexing it


def _parse_range(rows: str | None) -> tuple[int, int]:
    """first:last of --rows, from 0. Raises UsageError."""
    first, colon, last = (rows or f"0:{SHOWN}").partition(":")
    if not (colon and first.isdecimal() and last.isdecimal() and int(first) < int(last)):
        params = {"command": "tuneboard data preview", "reason": t("data.preview.range")}
        raise UsageError(Problem(code="command_usage", params=params))
    return int(first), int(last)


def _print_report(report: Report) -> None:
    say(t("data.check.rows", rows=report.rows, usable=report.usable, stage=report.stage))
    for finding in report.findings.values():
        say(f"{finding.count:>8}  {finding.to_problem().text()}")
        if finding.rows:
            rows = ", ".join(
                _format_row_number(*each) for each in zip(finding.rows, finding.lines, strict=True)
            )
            more = ", ..." if finding.count > len(finding.rows) else ""
            say(f"          {t('data.check.rows_named', rows=rows + more)}")
    say(t("data.check.good" if report.good else "data.check.bad"))
    if not report.complete:
        say(t("data.check.incomplete"))


def _format_row_number(row: int, line: int) -> str:
    """A row by its number, with its line in the file where that is another number."""
    return t("data.check.row", row=row, line=line) if line != row else str(row)


def _print_percent(share: float) -> None:
    end = "\n" if share >= 1 else ""
    sys.stderr.write(f"\r{share:4.0%}{end}")
    sys.stderr.flush()


def _print_percent_lines(start: float) -> Progress:
    """A line after a second and one every LINE_S after it, for a log; none for a short check."""
    following = start + SOON_S

    def progress(share: float) -> None:
        nonlocal following
        if time.monotonic() >= following:
            following = time.monotonic() + LINE_S
            sys.stderr.write(f"{share:.0%}\n")
            sys.stderr.flush()

    return progress


def _print_share(share: float) -> None:
    sys.stderr.write(f"{share:.4f}\n")
    sys.stderr.flush()
