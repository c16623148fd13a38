"""Data sets of a hub by the real command: searched, looked at before they are fetched, fetched."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.backend.test_hub_files import jsonl, parquet, python
from tests.fakes.data_hub import DataHub, serving

ROWS = [{"question": f"What is {number}?", "answer": f"It is {number}."} for number in range(20000)]
SETS = {
    "org/lines": {"data/train.jsonl": jsonl(*ROWS)},
    "org/table": {"train.parquet": parquet(*ROWS[:3])},
    "org/list": {"train.json": json.dumps(ROWS).encode()},
    "org/packed": {"train.arrow": b"ARROW1" + b"?" * 2**25},
}
RUN = """
import contextlib, io, json, sys
from backend.__main__ import main

answers = []
for words in json.load(sys.stdin):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(["data", *words])
    answers.append([code, out.getvalue(), err.getvalue()])
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def hub() -> Iterator[DataHub]:
    with serving() as hub:
        hub.sets = dict(SETS)
        tags = ["size_categories:10K<n<100K", "format:json", "license:mit"]
        hub.about["org/lines"] = {"tags": tags, "downloads": 12, "mainSize": 1_200_000}
        hub.about["org/table"] = {"gated": "auto"}
        yield hub


def run(hub: DataHub, home: Path, *commands: list[str], **more: str) -> list[Any]:
    """What commands answer, one after the other in one process: code, output, errors."""
    done = python(RUN, hub, home, json.dumps(commands), **more)
    answers: list[Any] = json.loads(done.stdout.splitlines()[-1])
    return answers


def test_sets_are_searched_and_looked_at(hub: DataHub, tmp_path: Path) -> None:
    """Of a large file only its begin is fetched, and nothing comes to the cache."""
    hub.sent = 0
    looks = [["preview", "--hub", name, "--json"] for name in SETS]
    search, *seen = run(hub, tmp_path, ["search", "org/", "--json"], *looks)
    found = {row["name"]: row for row in json.loads(search[1])}
    assert list(found) == list(SETS)
    assert found["org/lines"] == {
        "name": "org/lines",
        "rows": "10K<n<100K",
        "size": 1_200_000,
        "license": "mit",
        "gated": False,
        "downloads": 12,
        "format": "json",
    }
    assert found["org/table"]["gated"] is True
    for code, out, err in seen[:3]:
        assert code == 0, err
        look = json.loads(out)
        assert look["rows"][:2] == ROWS[:2]
        assert look["kind"] == "sft"
        assert look["entry"]["columns"] == {"prompt": "question", "response": "answer"}
    assert json.loads(seen[0][1])["size"] == len(SETS["org/lines"]["data/train.jsonl"])
    assert "before it is downloaded" in seen[3][2]
    assert hub.sent < 3 * 2**18
    assert not [*(tmp_path / "hf").rglob("*.jsonl")]


def test_a_set_is_fetched_and_registered(hub: DataHub, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    registry = tmp_path / "data" / "dataset_info.json"
    registry.write_text("{}")
    get = ["get", "org/lines", "--progress"]
    first, second, named = run(hub, tmp_path, get, get, [*get[:2], "--name", "mine"])
    size = len(SETS["org/lines"]["data/train.jsonl"])
    assert first[0] == 0, first[2]
    assert first[1].splitlines()[-1] == second[1].splitlines()[-1] == "lines"
    *_, last = (json.loads(line) for line in first[2].splitlines() if line.startswith("{"))
    assert (last["done"], last["total"]) == (size, size)
    assert named[1].splitlines()[-1] == "mine"
    columns = {"prompt": "question", "response": "answer"}
    entry = {"hf_hub_url": "org/lines", "columns": columns}
    assert json.loads(registry.read_text()) == {"lines": entry, "mine": entry}
    (preview,) = run(hub, tmp_path, ["preview", "lines", "--json"], HF_HUB_OFFLINE="1")
    assert json.loads(preview[1])["rows"][0]["row"] == ROWS[0]


def test_what_is_not_there_is_said(hub: DataHub, tmp_path: Path) -> None:
    gone, odd, silent = run(
        hub, tmp_path, ["get", "org/gone"], ["preview", "--hub", "org/gone"], ["search", "nothing"]
    )
    assert gone[0] == odd[0] == 3
    assert "org/gone" in gone[2]
    assert "no data set whose name contains nothing" in silent[1]
    (offline,) = run(hub, tmp_path, ["search", "org"], HF_HUB_OFFLINE="1")
    assert offline[0] != 0
    assert "does not answer" in offline[2]
