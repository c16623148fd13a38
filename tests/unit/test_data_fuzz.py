"""Whatever a file holds, it ends in a named problem or in success: never in another exception, a
hang or half a registration. 200 examples here, 2,000 with `pytest -m nightly` (D-02)."""

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.services.data import datasets, uploads
from backend.contract.arguments.arguments import resolve
from backend.contract.registry import dataset_info
from backend.contract.registry.dataset_info import Entry
from backend.contract.texts.problems import TuneboardError
from backend.data import sources
from backend.datafiles import reading
from backend.datafiles.check import Checking, check
from backend.datafiles.layouts import WANTED

NAMES = ("x.json", "x.jsonl", "x.csv", "x.tsv", "x.txt", "x.parquet", "x.arrow", "x.json.gz")
NAMES = (*NAMES, "x.jsonl.zst")
STAGES = st.sampled_from(sorted(WANTED))
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=6),
    st.sampled_from(["human", "gpt", "user", "assistant", "{", "[1]", "true", "\ud800", "\x00"]),
)
KEYS = st.sampled_from(
    [
        *("instruction", "input", "output", "system", "history", "tools", "text", "q", "问题"),
        *("conversations", "messages", "from", "value", "role", "content", "tool_calls"),
        *("prompt", "response", "chosen", "rejected", "kto_tag", "label", "train", ""),
    ]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
ROWS = st.lists(st.dictionaries(KEYS, VALUES, max_size=5), min_size=1, max_size=4)
GOOD: list[dict[str, Any]] = [
    {"instruction": "q", "input": "", "output": "a", "history": [["q", "a"]], "system": "s"},
    {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]},
    {
        "messages": [
            {"role": "user", "content": "q"},
            {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f"}}]},
            {"role": "tool", "content": [{"type": "text", "text": "x"}]},
            {"role": "assistant", "content": "a"},
        ],
        "tools": '[{"name": "f"}]',
    },
    {"prompt": "q", "chosen": "a", "rejected": "b"},
    {"prompt": "q", "completion": "a", "label": True},
    {"text": "t"},
]


def write_rows(rows: list[Any], name: str) -> bytes:
    """The rows as the kind of file that the name says (an array, or a row a line)."""
    if name.startswith("x.json") and "l" not in name.removeprefix("x.json"):
        return json.dumps(rows).encode("utf-8", "surrogatepass")
    return "\n".join(json.dumps(row) for row in rows).encode("utf-8", "surrogatepass")


@st.composite
def swap_types(draw: st.DrawFn) -> tuple[str, bytes]:
    """A good row in which something, at any depth, is of another type."""
    row = json.loads(json.dumps(draw(st.sampled_from(GOOD))))
    places: list[tuple[Any, Any]] = []

    def walk(value: Any) -> None:
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        for key, each in inner:
            places.append((value, key))
            if isinstance(each, dict | list):
                walk(each)

    walk(row)
    holder, key = draw(st.sampled_from(places))
    holder[key] = draw(VALUES)
    name = draw(st.sampled_from(["x.json", "x.jsonl"]))
    first = draw(st.sampled_from(GOOD))
    return name, write_rows(draw(st.permutations([first, row, row])), name)


@st.composite
def cut(draw: st.DrawFn) -> tuple[str, bytes]:
    """A good file that ends anywhere, or has a few bytes changed."""
    name = draw(st.sampled_from(["x.json", "x.jsonl"]))
    raw = bytearray(write_rows([draw(st.sampled_from(GOOD)) for _ in range(3)], name))
    for _ in range(draw(st.integers(0, 3))):
        raw[draw(st.integers(0, len(raw) - 1))] = draw(st.integers(0, 255))
    return name, bytes(raw[: draw(st.integers(0, len(raw)))])


RANDOM = st.tuples(st.sampled_from(NAMES), st.binary(max_size=300))
ODD = st.sampled_from(["x.json", "x.jsonl"]).flatmap(
    lambda name: ROWS.map(lambda rows: (name, write_rows(rows, name)))
)
FILES = st.one_of(RANDOM, ODD, swap_types(), cut())


def survives(name: str, content: bytes, stage: str) -> None:
    """Every way that a file takes, in a working folder of its own."""
    before = os.environ.get("TUNEBOARD_HOME")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TUNEBOARD_HOME"] = folder
        try:
            _all_ways(Path(folder), name, content, stage)
        finally:
            os.environ.pop("TUNEBOARD_HOME")
            if before is not None:
                os.environ["TUNEBOARD_HOME"] = before


def _all_ways(home: Path, name: str, content: bytes, stage: str) -> None:
    path = home / name
    path.write_bytes(content)
    (home / "data").mkdir()
    registry = home / "data" / "dataset_info.json"
    call_or_problem(lambda: reading.page(path, 0, 5))
    call_or_problem(lambda: reading.search(path, "q", 0, 5, 1.0))
    report = call_or_problem(lambda: check(Entry(name="x", path=path), Checking(stage)))
    assert report is not None
    for finding in report.findings.values():
        assert finding.to_problem().text("en")
        assert finding.to_problem().text("zh")
    assert json.dumps(report.to_json())
    assert report.usable <= report.rows
    assert report.good <= (report.usable == report.rows > 0)
    strict = check(Entry(name="x", path=path), Checking(stage, strict=True))
    assert strict.good == report.good
    values = {"dataset_dir": "data", "stage": stage, "seed": 1, "dataset": str(path)}
    read = call_or_problem(lambda: sources.read_conversations(resolve(values), "dataset"))
    if read is not None:  # training takes what the check calls usable, and nothing else
        assert len(read.conversations) == report.usable
    assert not (read is None and report.good)
    call_or_problem(lambda: uploads.take(path, "mine"))
    coming = call_or_problem(lambda: datasets.read_candidate(path))
    if coming is None or not coming.proposal.kind:
        return
    made = call_or_problem(lambda: datasets.register("mine", coming, coming.proposal.entry, "data"))
    assert registry.exists() == (made is not None)
    if made is not None:
        assert dataset_info.find("mine", "data") == made


def call_or_problem(do: Callable[[], Any]) -> Any:
    """What comes back, or None where a problem was named, in every language."""
    try:
        return do()
    except TuneboardError as error:
        problems = error.problems
    assert problems
    assert all(problem.text("en") and problem.text("zh") for problem in problems)
    return None


slow = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@settings(slow, max_examples=200)
@given(FILES, STAGES)
def test_any_file_ends_in_a_named_problem_or_in_success(
    file: tuple[str, bytes], stage: str
) -> None:
    survives(*file, stage)


@pytest.mark.nightly
@settings(slow, max_examples=2000, derandomize=False)
@given(FILES, STAGES)
def test_two_thousand_files_end_in_a_named_problem_or_in_success(
    file: tuple[str, bytes], stage: str
) -> None:
    survives(*file, stage)


@pytest.mark.parametrize("name", ["x.json", "x.jsonl"])
def test_every_prefix_of_a_file_of_400_bytes(name: str) -> None:
    """D-02."""
    rows = [{"instruction": f"你好 {number}", "output": "answer 😀"} for number in range(6)]
    whole = write_rows(rows, name)
    assert len(whole) >= 400
    for size in range(0, len(whole), 3):
        survives(name, whole[:size], "sft")
