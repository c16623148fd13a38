"""What the tests of cleaning and splitting share: a registry with a small set, and its rows."""

import json
from pathlib import Path
from typing import Any

import pytest

from backend.cleaning.run import Job, clean
from backend.cleaning.steps import CleaningOptions
from backend.contract.registry import dataset_info, registry
from backend.datafiles import reading

ENTRY = {"columns": {"prompt": "q", "response": "a"}, "mine": [1], "num_samples": 3}
LONG = "Tell me in a few words why the sky looks blue on a clear and sunny day at noon"
ROWS: list[dict[str, Any]] = [
    {"id": 1, "q": LONG, "a": "Blue light is scattered most by the air."},
    {"id": 2, "q": LONG, "a": "Blue light is scattered most by the air."},
    {"id": 3, "q": LONG + "?", "a": "blue light is  scattered most by the air."},
    {"id": 4, "q": "empty", "a": " "},
    {"id": 5, "q": "short", "a": "no"},
    {"id": 6, "q": "secret 555-1234", "a": "call 555-1234 now"},
    {"id": 7, "q": "今天天气怎么样？", "a": "今天天气很好，阳光明媚。😀"},
]


def make_registry(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the registered set `s`; returns its folder data/."""
    monkeypatch.setenv("TUNEBOARD_HOME", str(home))
    monkeypatch.chdir(home)
    folder = home / "data"
    folder.mkdir()
    add(folder, "s", ROWS)
    return folder


def add(folder: Path, name: str, rows: list[Any], entry: dict[str, Any] | None = None) -> None:
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / f"{name}.jsonl").write_text("".join(lines), "utf-8")
    layout = ENTRY if entry is None else entry
    registry.register(name, {"file_name": f"{name}.jsonl", **layout}, "data", overwrite=True)


def read_set(name: str) -> list[dict[str, Any]]:
    path = dataset_info.find(name, "data").path
    assert path is not None
    return [row for _, row in reading.rows(path)]


def ids(name: str) -> list[int]:
    return [row["id"] for row in read_set(name)]


def clean_set(name: str = "s", **asked: Any) -> dict[str, Any]:
    return clean(Job(name, overwrite=True), "new", CleaningOptions(**asked)).to_json()


def everything(folder: Path) -> dict[str, bytes]:
    files = (each for each in sorted(folder.rglob("*")) if each.is_file())
    return {str(each): each.read_bytes() for each in files if not each.name.endswith(".lock")}
