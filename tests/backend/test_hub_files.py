"""The same file gives the same rows from a hub as from the disk.

Through datasets 5.2's load_dataset a CSV cell 007 became 7, None and NA nulls, true a boolean, and
texts of JSON lines that look like dates datetimes; the set was then refused.
"""

import gzip
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from backend.datafiles import reading
from tests.fakes.data_hub import DataHub, serving

ROOT = Path(__file__).parents[2]
ASK = """
import json, sys
from backend.contract.registry.registry import dataset_info
from backend.contract.arguments.arguments import resolve
from backend.contract.texts.problems import DataError
from backend.data import sources

asked = []
for entry, streaming, limit in json.load(sys.stdin):
    found = dataset_info.parse("x", entry, dataset_info.Path("x"))
    values = {"stage": "pt", "streaming": streaming, "max_samples": limit}
    account = sources.Account()
    try:
        source = sources.Source(found, resolve(values), "dataset")
        rows = [[file, line, row] for file, line, row in source._choose_rows()]
        content = source.content() if not streaming else {}
        asked.append({"rows": rows, "content": content})
    except DataError as error:
        asked.append({"code": error.problems[0].code, "params": dict(error.problems[0].params)})
print(json.dumps(asked, default=str))
"""
CSV = 'instruction,output\n007,None\nNA,true\n"1,50",2024-01-31\n,null\n'
LINES = [
    {"instruction": "2024-01-31", "output": "2024-01-31T08:00:00"},
    {"instruction": "1.50", "output": "x", "meta": {"a": None}},
    {"instruction": "q", "output": "a", "meta": {"b": 1}},
]
CALLS = [{"role": "assistant", "tool_calls": [{"name": "f", "arguments": {"a": 1}}]},
         {"role": "assistant", "tool_calls": [{"name": "g", "arguments": {"b": "x"}}]}]  # fmt: skip
CARD = """---
configs:
- config_name: default
  data_files:
  - split: train
    path: data/train-*.jsonl
  - split: test
    path: data/test.jsonl
- config_name: other
  data_files: other/*.jsonl
---
"""


def jsonl(*rows: Any) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def parquet(*rows: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows)), sink)
    return sink.getvalue()


# One file a set: by each reader.
FILES = {
    "train.csv": CSV.encode(),
    "semicolon.csv": b"instruction;output\n007;1,5\n",
    "train.tsv": b"instruction\toutput\n007\tNA\n",
    "train.jsonl": jsonl(*LINES),
    "train.json": json.dumps(LINES).encode(),
    "lines.json": jsonl(*LINES),
    "train.jsonl.gz": gzip.compress(jsonl(*LINES)),
    "train.parquet": parquet({"messages": CALLS[:1]}, {"messages": CALLS[1:]}),
    "train.txt": b"one\n\n2024-01-31\n007\n",
}
OURS = ROOT / "data" / "identity.json"  # a file of this machine
SETS: dict[str, dict[str, bytes]] = {
    "org/card": {
        "README.md": CARD.encode(),
        "data/train-00000-of-00002.jsonl": jsonl({"text": "a"}, {"text": "b"}),
        "data/train-00001-of-00002.jsonl": jsonl({"text": "c"}, {"text": "d"}),
        "data/test.jsonl": jsonl({"text": "t"}),
        "other/[x] y.jsonl": jsonl({"text": "o"}),
        "other/part/z.jsonl": jsonl({"text": "not of the pattern"}),
    },
    "org/field": {
        "README.md": b"---\nconfigs:\n- {config_name: d, data_files: x.json, field: data}\n---\n",
        "x.json": b'{"data": [{"text": "x"}]}',
    },
    "org/xml": {"train.xml": b"<a>1</a>"},
    "org/script": {"script.py": b"print(1)"},
    "org/none": {"README.md": b"# nothing\n"},
    "org/thief": {
        "README.md": f"---\nconfigs: [{{config_name: d, data_files: {OURS}}}]\n---\n".encode()
    },
}


@pytest.fixture(scope="module")
def hub() -> Iterator[DataHub]:
    with serving() as hub:
        hub.sets = {f"org/{name}": {name: content} for name, content in FILES.items()} | SETS
        yield hub


def python(
    code: str, hub: DataHub, home: Path, standard_input: str = "", **more: str
) -> subprocess.CompletedProcess[str]:
    """A process of its own, for the libraries read where their hub is when they are imported."""
    env = {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "HF_HOME": str(home / "hf")}
    env |= {"TUNEBOARD_HOME": str(home), "HF_HUB_DISABLE_XET": "1", **more}
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=standard_input,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **env},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done


def ask(hub: DataHub, home: Path, entries: list[Any], **env: str) -> list[Any]:
    """Of each entry the rows with their places, or the problem."""
    done = python(ASK, hub, home, json.dumps(entries), **env)
    answers: list[Any] = json.loads(done.stdout.splitlines()[-1])
    assert len(answers) == len(entries)
    return answers


def rows(answer: Any) -> list[Any]:
    assert "rows" in answer, answer
    return [row for _, _, row in answer["rows"]]


def entry(name: str, **more: Any) -> list[Any]:
    return [{"hf_hub_url": name, **more}, False, None]


def texts(answer: Any) -> str:
    return "".join(row["text"] for row in rows(answer))


FILE_ASKS = {name: entry(f"org/{name}") for name in FILES}
TEXT_ASKS: dict[str, list[Any]] = {
    "abcd": entry("org/card"),
    "t": entry("org/card", split="test"),
    "o": entry("org/card", subset="other"),
    "onot of the pattern": entry("org/card", folder="other"),
    "ab": entry("org/card", split="train[:2]"),
    "d": entry("org/card", split="train[75%:]"),
    "tbc": entry("org/card", split="test+train[1:3]"),
    "abc": [{"hf_hub_url": "org/card"}, False, 3],
}
REFUSED = [
    (entry("org/card", split="dev"), "dataset_hub_split", "train, test"),
    (entry("org/card", split="train[:2]+dev"), "dataset_hub_split", "train, test"),
    (entry("org/card", subset="gone"), "dataset_hub_refused", "gone"),
    (entry("org/field"), "dataset_hub_options", "field"),
    (entry("org/xml"), "dataset_hub_format", "train.xml"),
    (entry("org/script"), "dataset_hub_refused", ""),
    (entry("org/none"), "dataset_hub_refused", ""),
    (entry("org/thief"), "dataset_hub_refused", "relative paths"),
    (entry("org/gone"), "dataset_hub_not_found", "org/gone"),
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where files of the hub and what is known of it are kept."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def answers(hub: DataHub, home: Path) -> Iterator[Any]:
    """All that is asked above, answered by one process in their order."""
    asked = [*FILE_ASKS.values(), *TEXT_ASKS.values(), *(each for each, _, _ in REFUSED)]
    return iter(ask(hub, home, asked))


def test_all_that_a_hub_has(answers: Any, tmp_path: Path) -> None:
    of_files = {name: next(answers) for name in FILE_ASKS}
    for name, answer in of_files.items():
        (tmp_path / name).write_bytes(FILES[name])
        here = [[f"org/{name}/{name}", line, row] for line, row in reading.rows(tmp_path / name)]
        assert answer["rows"] == json.loads(json.dumps(here)), name
        assert here
    first = rows(of_files["train.csv"])
    assert [row["instruction"] for row in first] == ["007", "NA", "1,50", ""]
    assert [row["output"] for row in first] == ["None", "true", "2024-01-31", "null"]
    # the card, subset, split and folder are obeyed
    of_texts = [next(answers) for _ in TEXT_ASKS]
    assert [texts(answer) for answer in of_texts] == list(TEXT_ASKS)
    assert [place[:2] for place in of_texts[0]["rows"][1:3]] == [
        ["org/card/data/train-00000-of-00002.jsonl", 2],
        ["org/card/data/train-00001-of-00002.jsonl", 1],
    ]
    assert len({json.dumps(answer["content"]) for answer in of_texts[:7]}) == 7
    # what cannot be read is said
    for asked, code, word in REFUSED:
        answer = next(answers)
        assert answer.get("code") == code, (asked, answer)
        assert word in " ".join(map(str, answer["params"].values()))


def test_offline_what_came_before_is_read(hub: DataHub, home: Path, answers: Any) -> None:
    asked = [
        entry("org/card"),
        entry("org/train.csv"),
        entry("org/xml"),
        entry("org/card", subset="other"),
    ]
    card, table, gone, other = ask(hub, home, asked, HF_HUB_OFFLINE="1")
    assert (texts(card), texts(other)) == ("abcd", "o")
    assert [row["instruction"] for row in rows(table)] == ["007", "NA", "1,50", ""]
    assert gone["code"] == "dataset_hub_unreachable"


def test_a_stream_fetches_a_file_when_it_is_reached(hub: DataHub, tmp_path: Path) -> None:
    hub.fetched.clear()
    (answer,) = ask(hub, tmp_path, [[{"hf_hub_url": "org/card"}, True, 2]])
    assert texts(answer) == "ab"
    assert [path for path in hub.fetched if path != "README.md"] == [
        "data/train-00000-of-00002.jsonl"
    ]


def test_a_connection_that_breaks_once_is_tried_again(hub: DataHub, tmp_path: Path) -> None:
    """huggingface_hub 2.4 does so where it cannot connect, not where an answer is cut off: a
    httpx2.ReadError, which ended the run with a traceback."""
    hub.breaks = {("GET", "00001-of"), ("GET", "README.md"), ("HEAD", "00000-of"), ("GET", "tree")}
    (answer,) = ask(hub, tmp_path, [entry("org/card")])
    assert texts(answer) == "abcd", answer
    assert not hub.breaks


def test_offline_what_another_program_has_fetched_is_read(hub: DataHub, tmp_path: Path) -> None:
    """`hf download` on a machine with a network; a set of which a part is missing (two of its
    files are numbered -of-00002) is not taken for the whole."""
    fetch = "from huggingface_hub import snapshot_download as d; d('org/card', repo_type='dataset')"
    python(fetch, hub, tmp_path)
    (answer,) = ask(hub, tmp_path, [entry("org/card")], HF_HUB_OFFLINE="1")
    assert texts(answer) == "abcd"
    (lost,) = (tmp_path / "hf").rglob("snapshots/*/data/train-00001-of-00002.jsonl")
    lost.unlink()
    (answer,) = ask(hub, tmp_path, [entry("org/card")], HF_HUB_OFFLINE="1")
    assert answer["code"] == "dataset_hub_unreachable"


def test_a_set_of_a_hub_is_checked_and_shown(
    hub: DataHub, home: Path, answers: Any, tmp_path: Path
) -> None:
    """By the commands that look at sets on the disk, from what was fetched above."""
    registry = tmp_path / "data" / "dataset_info.json"
    registry.parent.mkdir()
    registry.write_text(
        json.dumps(
            {
                "card": {"hf_hub_url": "org/card"},
                "part": {"hf_hub_url": "org/card", "split": "train[:1]"},
            }
        )
    )
    code = """
import sys
from backend.__main__ import main
for words in (["check", "card"], ["preview", "card", "--rows", "1:3"], ["check", "part"]):
    print(main(["data", *words]), flush=True)
"""
    done = python(code, hub, home, TUNEBOARD_HOME=str(tmp_path))
    lines = done.stdout.splitlines()
    assert lines[0] == "4 rows, 4 of them usable for stage pt."
    assert [line.split(maxsplit=1) for line in lines[3:5]] == [
        ["1", '{"text": "b"}'],
        ["2", '{"text": "c"}'],
    ]
    assert lines[2::3] == ["0", "0"]
    assert lines[-1] == "3"
    assert "part of a split" in done.stderr


def test_rows_far_inside_are_found_in_the_files(hub: DataHub, home: Path, answers: Any) -> None:
    """The row range of the token view: over the border of two files, and in a part of a split."""
    code = """
import json
from backend.contract.registry.registry import dataset_info
from backend.contract.arguments.arguments import resolve
from backend.data.row_range import RowRange
seen = []
for split in ("train", "train[1:]"):
    dataset_info.find = lambda *_: dataset_info.Entry(name="x", hub_id="org/card", split=split)
    rows, total = RowRange("x", resolve({"stage": "pt"})).fetch(1, 2)
    seen.append([[number, row["text"]] for number, row in rows] + [total])
print(json.dumps(seen))
"""
    done = python(code, hub, home, HF_HUB_OFFLINE="1")
    assert json.loads(done.stdout.splitlines()[-1]) == [
        [[1, "b"], [2, "c"], 4],
        [[1, "c"], [2, "d"], 3],
    ]
