"""The two halves of a split, known from the reports that the split wrote beside them."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from backend.contract.folders.home import CLEANING_REPORT
from backend.contract.registry import dataset_info
from backend.contract.registry.dataset_info import Entry
from backend.contract.system.files import read_json
from backend.contract.texts.problems import TuneboardError

HALF = "half"  # what the options of a report of a split name, and those of a cleaning do not
AT_ONCE = timedelta(seconds=5)  # the reports of both halves are begun one after the other

Report = Mapping[str, Any]


def find_test_half(name: str, dataset_dir: str) -> str:
    """The smaller half of the split whose other half is this set; "" where it is none."""
    try:
        entries = dataset_info.entries(dataset_dir)
    except TuneboardError:
        return ""
    mine = _read(entries.get(name))
    if not mine:
        return ""
    others = (each for each in sorted(entries) if each != name)
    return next((each for each in others if _is_test_half(_read(entries[each]), mine)), "")


def _read(entry: Entry | None) -> Report:
    """The report of the split that made a set; {} where none did, or its file is another."""
    if entry is None or entry.path is None:
        return {}
    report = read_json(entry.path.with_name(CLEANING_REPORT))
    asked = report.get("asked")
    is_half = isinstance(asked, dict) and HALF in asked
    return report if is_half and Path(str(report.get("file"))).name == entry.path.name else {}


def _is_test_half(other: Report, mine: Report) -> bool:
    """Whether both come of one split, and the other one has no more rows."""
    if not other or any(other.get(key) != mine.get(key) for key in ("source", "content")):
        return False
    options = [{**each["asked"], HALF: ""} for each in (other, mine)]
    sizes = [int(each.get("kept") or 0) for each in (other, mine)]
    return options[0] == options[1] and sizes[0] <= sizes[1] and _is_at_once(other, mine)


def _is_at_once(other: Report, mine: Report) -> bool:
    try:
        times = [datetime.fromisoformat(str(each.get("date"))) for each in (other, mine)]
        return abs(times[0] - times[1]) <= AT_ONCE
    except (TypeError, ValueError):
        return False
