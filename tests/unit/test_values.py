"""What a value of a file is, whatever the file's format: a text by one rule; a field that a table
format filled up with null was not there."""

import datetime as dt
import json
import pickle
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from backend.contract.registry.dataset_info import Entry
from backend.datafiles import detect, formats, layouts, reading, samples, values
from backend.datafiles.check import check
from backend.datafiles.formats import Conversation

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
feather = pytest.importorskip("pyarrow.feather")

STAMP = dt.datetime(2024, 1, 31, 8, 0, 0)
NS = pa.array([1_706_688_000_000_000_001], pa.timestamp("ns"))
# A value as each format holds it -> the text that is learned. JSON's texts are the file's own;
# Python's repr gives the fewest digits that mean a double, numpy's those that mean a float32.
IN_JSON = {
    "7": "7", "1.50": "1.50", "1e5": "1e5", "0.1": "0.1", "123456789012345678901": None,
    "true": "true", "false": "false", '"007"': "007", '"2024-01-31"': "2024-01-31",
    '"None"': "None",
}  # fmt: skip
IN_ARROW: list[tuple[Any, str]] = [
    (pa.array([7], pa.int8()), "7"),
    (pa.array([2**63], pa.uint64()), "9223372036854775808"),
    (pa.array([0.1], pa.float64()), "0.1"),
    (pa.array([3.0], pa.float64()), "3.0"),
    (pa.array([0.1], pa.float32()), "0.1"),
    (pa.array([0.1], pa.float16()), "0.1"),
    (pa.array([Decimal("1.50")]), "1.50"),
    (pa.array([Decimal("-1E+3")], pa.decimal128(6, 2)), "-1000.00"),
    (pa.array([True]), "true"),
    (pa.array([dt.date(2024, 1, 31)]), "2024-01-31"),
    (pa.array([STAMP], pa.timestamp("s")), "2024-01-31T08:00:00"),
    (pa.array([STAMP], pa.timestamp("us", "Europe/Berlin")), "2024-01-31T09:00:00+01:00"),
    (NS, "2024-01-31T08:00:00.000000001"),
    (pa.array([dt.time(8, 30)]), "08:30:00"),
    (pa.array([dt.timedelta(seconds=90)]), "PT90S"),
    (pa.array(["007"], pa.large_string()), "007"),
    (pa.array(["a"], pa.string_view()), "a"),
    (pa.array(["blue"]).dictionary_encode(), "blue"),
    (pa.array([dt.date(2024, 1, 31)]).dictionary_encode(), "2024-01-31"),
    (pa.array(["día".encode()]), "día"),
]


def convert_first(path: Path) -> Conversation:
    """The first row as the usual stage for such data learns it, under the proposed entry."""
    sample = samples.sample(path)
    proposal = detect.propose(sample)
    return detect.convert_row(proposal.entry, sample.rows[0], proposal.stage)


def contents(path: Path) -> list[str]:
    return [message["content"] for message in convert_first(path).messages]


def write_table(path: Path, table: Any) -> Path:
    """The table as this path's ending says; arrow as datasets writes it (a stream)."""
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    elif path.suffix == ".feather":
        feather.write_feather(table, str(path))
    else:
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as out:
            out.write_table(table)
    return path


def test_a_value_of_json_is_the_files_own_text(tmp_path: Path) -> None:
    for text, expected in IN_JSON.items():
        for name in ("x.jsonl", "x.json"):
            row = f'{{"question": "q", "answer": {text}}}'
            (tmp_path / name).write_text(f"[{row}]" if name == "x.json" else row)
            assert contents(tmp_path / name) == ["q", expected or text], (name, text)
            report = check(Entry(name="x", path=tmp_path / name))
            assert (report.good, report.usable) == (True, 1), text


@pytest.mark.parametrize("name", ["x.parquet", "x.arrow", "x.feather"])
def test_a_value_of_a_table_is_text(tmp_path: Path, name: str) -> None:
    if name == "x.feather":
        held = [column for column in IN_ARROW if column[0].type != pa.float16()]
    else:
        held = IN_ARROW
    for column, expected in held:
        for asks in (True, False):  # as the question, as the answer
            texts = pa.array(["words"])
            table = pa.table(
                {"prompt": column if asks else texts, "response": texts if asks else column}
            )
            path = write_table(tmp_path / name, table)
            assert contents(path) == ([expected, "words"] if asks else ["words", expected]), (
                column.type
            )


def test_every_stage_and_layout_reads_numbers() -> None:
    turns = [{"role": "user", "content": 7}, {"role": "assistant", "content": 1.5}]
    rows: list[tuple[str, dict[str, Any], list[str]]] = [
        ("sft", {"instruction": 7, "input": True, "output": 1, "system": 3}, ["3", "7\ntrue", "1"]),
        ("sft", {"instruction": "q", "output": 2, "history": [[1, 2.5]]}, ["1", "2.5", "q", "2"]),
        ("sft", {"messages": turns}, ["7", "1.5"]),
        ("dpo", {"prompt": 7, "chosen": 1, "rejected": 2}, ["7", "1", "2"]),
        ("rm", {"conversations": [{"from": "human", "value": 7}],
                "chosen": {"from": "gpt", "value": 1}, "rejected": {"from": "gpt", "value": 2}},
         ["7", "1", "2"]),
        ("kto", {"prompt": 7, "completion": 8, "label": 1.0}, ["7", "8"]),
        ("ppo", {"prompt": 7}, ["7"]),
        ("grpo", {"question": 7, "answer": 8}, ["7", "8"]),
        ("pt", {"text": 7}, ["7"]),
    ]  # fmt: skip
    for stage, row, texts in rows:
        conversation = detect.convert_row({}, row, stage)
        messages = [
            *conversation.messages,
            *filter(None, (conversation.chosen, conversation.rejected)),
        ]
        assert [each["content"] for each in messages] + (
            [conversation.text] if conversation.text else []
        ) == texts, row
    assert len(rows) == 9


@pytest.mark.parametrize("answer", [["a"], {"a": 1}, float("nan"), b"\xff\xd8", b"a\0b"])
def test_what_is_no_text_is_refused_and_counted(tmp_path: Path, answer: Any) -> None:
    path = write_table(tmp_path / "x.parquet", pa.table({"instruction": ["q"], "output": [answer]}))
    (finding,) = check(Entry(name="x", path=path)).findings.values()
    assert (finding.problem.code, finding.level, finding.lines) == (
        "row_wrong_type",
        "refused",
        [1],
    )


CALLS: list[dict[str, Any]] = [
    {
        "function": {
            "name": "weather",
            "arguments": {"city": "Rome", "days": [{"n": 1}], "c": {"x": 2}},
        }
    },
    {"function": {"name": "add", "arguments": {"a": 1, "b": {"c": 2.5}, "c": {}}}},
]
DAYS = {"type": "array", "items": {"type": "object"}}
TOOLS = [
    {
        "name": "weather",
        "parameters": {
            "required": ["city"],
            "properties": {"city": {"type": "string"}, "days": DAYS},
        },
    },
    {"name": "add", "parameters": {"properties": {"a": {"type": "integer", "enum": [1, None]}}}},
]
MESSAGES: list[dict[str, Any]] = [
    {"role": "user", "content": "q", "name": "ann"},
    {"role": "assistant", "tool_calls": CALLS},
    {"role": "tool", "content": "sunny"},
    {"role": "tool", "content": "3.5"},
    {"role": "assistant", "content": [{"type": "text", "text": "done"}]},
]


@pytest.mark.parametrize("name", ["x.parquet", "x.arrow", "x.feather"])
def test_a_null_that_the_table_put_in_is_not_learned(tmp_path: Path, name: str) -> None:
    """One schema for all calls fills each call's arguments up with the others' keys
    (pyarrow 26: Table.from_pylist of these very rows)."""
    row = {"messages": [*MESSAGES[:-1], {"role": "assistant", "content": "done"}], "tools": TOOLS}
    other = {
        "messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}],
        "tools": None,
    }
    table = pa.Table.from_pylist([row, other])
    calls = table.schema.field("messages").type.value_type.field("tool_calls").type.value_type
    arguments = calls.field("function").type.field("arguments").type
    assert {field.name for field in arguments} == {"city", "days", "a", "b", "c"}
    path = write_table(tmp_path / name, table)
    conversation = convert_first(path)
    (tmp_path / "same.jsonl").write_text(json.dumps(row))
    assert conversation == convert_first(tmp_path / "same.jsonl")
    read_arguments = [
        call["function"]["arguments"] for call in conversation.messages[1]["tool_calls"]
    ]
    assert read_arguments == [call["function"]["arguments"] for call in CALLS]
    assert conversation.tools is not None
    assert [
        tool["function"] for tool in conversation.tools
    ] == TOOLS  # with the null in the enum's list
    assert next(reading.rows(path))[1]["messages"][0] == {
        "role": "user",
        "content": "q",
        "name": "ann",
    }
    assert reading.page(path, 1, 1).rows[0]["tools"] is None


def test_a_null_that_the_person_wrote_stays(tmp_path: Path) -> None:
    """In JSON lines, in JSON texts within a table, in a map, in datasets' own columns of JSON
    (datasets 5.2 writes rows whose keys differ as the extension type arrow.json)."""
    call = {"name": "f", "arguments": {"a": None, "n": 1.5}}
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "tool_calls": [call]}]
    (tmp_path / "x.jsonl").write_text(json.dumps({"messages": turns}))
    arguments = {
        "x.parquet": pa.array(['{"a": null, "n": 1.5}']),
        "x.arrow": pa.array(['{"a": null, "n": 1.5}'], pa.json_()),
        "x.feather": pa.array([[("a", None), ("n", 1.5)]], pa.map_(pa.string(), pa.float64())),
    }
    for name, column in arguments.items():
        calls = pa.StructArray.from_arrays([pa.array(["f"]), column], ["name", "arguments"])
        lists = pa.ListArray.from_arrays([0, 0, 1], calls)
        columns = [pa.array(["user", "assistant"]), pa.array(["q", None]), lists]
        asked = pa.StructArray.from_arrays(columns, ["role", "content", "tool_calls"])
        table = pa.table({"messages": pa.ListArray.from_arrays([0, 2], asked)})
        write_table(tmp_path / name, table)
    for name in ("x.jsonl", *arguments):
        (made,) = convert_first(tmp_path / name).messages[1]["tool_calls"]
        assert made["function"]["arguments"] == {"a": None, "n": 1.5}, name


def test_a_column_that_is_null_throughout_is_as_if_absent(tmp_path: Path) -> None:
    turns = [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]
    empty = {key: [None] for key in ("instruction", "messages", "system", "history")}
    rows = {**empty, "conversations": [turns]}
    path = write_table(tmp_path / "x.parquet", pa.table(rows))
    assert contents(path) == ["q", "a"]
    entry = Entry(name="x", path=path)
    layout = layouts.layout(entry, next(reading.rows(path))[1], ("", 1))
    assert formats.reader(layout)(next(reading.rows(path))[1]).messages[1]["content"] == "a"


def test_numbers_keep_their_digits_on_their_way_through_json() -> None:
    """A cleaned or edited set must not learn 1.5 where its source learned 1.50."""
    row = json.loads(
        '{"a": 1.50, "b": [1e5, -3], "c": 2.5}',
        parse_float=values.number,
    )
    assert values.dumps(row) == '{"a": 1.50, "b": [1e5, -3], "c": 2.5}'
    assert row["a"] == 1.5
    assert pickle.loads(pickle.dumps(row["a"])).text == "1.50"


def test_a_tools_result_that_is_an_object_is_written_as_json() -> None:
    result = {"celsius": 20, "wind": None}
    row = {"messages": [MESSAGES[0], MESSAGES[1], {"role": "tool", "content": result}, MESSAGES[4]]}
    assert (
        detect.convert_row({}, row, "sft").messages[2]["content"] == '{"celsius": 20, "wind": null}'
    )
