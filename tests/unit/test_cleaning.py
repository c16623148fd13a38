"""The steps of a cleaning: each removes what it says, and nothing is lost silently."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.cleaning.duplicates import Index, signature
from backend.cleaning.rows import Item, normalize, normalize_text
from backend.contract.registry import registry
from backend.contract.texts.problems import DataError
from tests.unit.cleaning import ENTRY, LONG, ROWS, add, clean_set, ids, make_registry, read_set


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a registry with the set `s`."""
    return make_registry(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("asked", "left", "reason", "rows"),
    [
        ({"exact": True}, [1, 3, 4, 5, 6, 7], "exact", [2]),
        ({"near": 0.8}, [1, 4, 5, 6, 7], "near", [2, 3]),
        ({"near": 1.0}, [1, 3, 4, 5, 6, 7], "near", [2]),
        ({"min_answer": 0}, [1, 2, 3, 5, 6, 7], "empty", [4]),
        ({"min_answer": 3}, [1, 2, 3, 6, 7], "answer", [4, 5]),
        ({"drop": r"\d{3}-\d{4}"}, [1, 2, 3, 4, 5, 7], "drop", [6]),
        ({"keep": "(?i)BLUE|天气"}, [1, 2, 3, 7], "keep", [4, 5, 6]),
    ],
)
def test_each_step(
    data: Path, asked: dict[str, Any], left: list[int], reason: str, rows: list[int]
) -> None:
    report = clean_set(**asked)
    assert ids("new") == left
    assert {key: tally["rows"] for key, tally in report["removed"].items()} == {reason: rows}
    assert report["removed"][reason]["count"] == len(rows)
    assert json.loads(report["removed"][reason]["example"])["id"] == rows[0]
    assert (report["read"], report["kept"]) == (7, len(left))
    assert read_set("new") == [row for row in ROWS if row["id"] in left]


def test_the_new_set_has_the_layout_of_the_old_one_which_stays(data: Path) -> None:
    before = (data / "s.jsonl").read_bytes()
    report = clean_set(exact=True)
    content = json.loads((data / "dataset_info.json").read_text())
    assert content["s"] == {"file_name": "s.jsonl", **ENTRY}
    assert content["new"] == {
        "file_name": content["new"]["file_name"],
        "columns": ENTRY["columns"],
        "mine": [1],
    }
    assert (data / "s.jsonl").read_bytes() == before
    beside = json.loads((data / "new" / "cleaning_report.json").read_text())
    assert beside == report
    assert beside["asked"] == {"exact": True}
    assert list(beside["content"]) == [str(data / "s.jsonl")]
    assert beside["file"] == str(data / content["new"]["file_name"])
    assert sorted(each.name for each in data.iterdir()) == [
        ".dataset_info.json.lock",
        "dataset_info.json",
        "new",
        "s.jsonl",
    ]


def test_of_duplicates_one_that_is_otherwise_good_stays(data: Path) -> None:
    add(data, "s", [{"q": LONG, "a": "x" * 60 + " bad"}, {"q": LONG, "a": "x" * 60}])
    clean_set(drop="bad", near=0.5)
    assert [row["a"] for row in read_set("new")] == ["x" * 60]


def test_a_leak_into_another_set_and_layout_is_found(data: Path) -> None:
    chat = [{"role": "user", "content": LONG}, {"role": "assistant", "content": ROWS[0]["a"]}]
    head = {"role": "system", "content": "Be brief."}
    add(data, "test", [{"messages": [head, *chat]}], {"formatting": "openai", "columns": {}})
    content = json.loads((data / "dataset_info.json").read_text())
    content["test"]["columns"] = {"messages": "messages"}
    (data / "dataset_info.json").write_text(json.dumps(content))
    report = clean_set(not_in="test")
    assert ids("new") == [4, 5, 6, 7]
    assert report["removed"]["leak"]["rows"] == [1, 2, 3]
    assert report["removed"]["leak"]["params"] == {"same": 1, "other": "test"}


def test_good_and_bad_answers_are_not_duplicates_of_each_other(data: Path) -> None:
    rows = [{"q": LONG, "a": "Because.", "good": good} for good in (True, False, True)]
    columns = {"prompt": "q", "response": "a", "kto_tag": "good"}
    add(data, "s", rows, {"columns": columns})
    clean_set(exact=True, near=0.8)
    assert [row["good"] for row in read_set("new")] == [True, False]


def test_a_shared_system_text_makes_no_duplicates(data: Path) -> None:
    rows = [{"q": q, "a": a, "s": LONG * 5} for q, a in (("one", "two"), ("red", "blue"))]
    columns = {"prompt": "q", "response": "a", "system": "s"}
    add(data, "s", rows, {"columns": columns})
    clean_set(near=0.8)
    assert read_set("new") == rows


@pytest.mark.parametrize(
    ("rows", "entry", "least", "left"),
    [
        ([{"text": "abc"}, {"text": " "}, {"text": "abcdef"}], {}, 4, 1),
        (
            [{"q": "q", "c": "long enough", "r": r} for r in ("no", "also long", "")],
            {"ranking": True, "columns": {"prompt": "q", "chosen": "c", "rejected": "r"}},
            4,
            1,
        ),
    ],
)
def test_short_answers_of_other_kinds(
    data: Path, rows: list[Any], entry: Any, least: int, left: int
) -> None:
    add(data, "s", rows, entry)
    clean_set(min_answer=least)
    assert len(read_set("new")) == left


def test_rows_without_readable_columns_can_be_cleaned_but_not_measured(data: Path) -> None:
    rows = [{"x": 1}, {"x": 1}, {"x": True}, {"x": "y"}]
    add(data, "s", rows, {"columns": {"prompt": "q", "response": "a"}})
    clean_set(exact=True)
    assert [row["x"] for row in read_set("new")] == [1, True, "y"]
    with pytest.raises(DataError) as caught:
        clean_set(min_answer=1)
    assert caught.value.problems[0].code == "columns_missing"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (" a  b ", "a  b"),
        ("a\r\nb\rc\x85d", "a\nb\nc\nd"),
        ("a\x00\x1b\ufeffb\x0b\x0cc", "ab c"),
        ("\n \n    if x:\n\n        y  \n    z\t\n\n", "    if x:\n\n        y  \n    z"),
        ("family \U0001f468\u200d\U0001f469", "family \U0001f468\u200d\U0001f469"),
        ("\ud83d", "\ud83d"),
        ("  \n ", ""),
    ],
)
def test_tidy(before: str, after: str) -> None:
    assert normalize_text(before) == after
    assert normalize({" k ": [before, 1, None]}) == {" k ": [after, 1, None]}
    assert normalize_text(after) == after


def test_tidied_rows_are_counted_and_stay(data: Path) -> None:
    add(data, "s", [{"q": "x\r\n", "a": "y"}, {"q": "x", "a": "y"}, {"q": "z", "a": "\x00"}])
    report = clean_set(tidy=True, min_answer=1)
    assert read_set("new") == [{"q": "x", "a": "y"}] * 2
    assert (report["tidied"]["rows"], report["removed"]["empty"]["rows"]) == ([1], [3])


@pytest.mark.parametrize(
    ("form", "content"),
    [
        ("a.csv", "q,a\nx,y\nx,y\nz,é\n"),
        ("a.json", '[{"q":"x","a":"y"},\n{"q":"x","a":"y"},{"q":"z","a":"é"}]'),
    ],
)
def test_other_types_of_files_become_jsonl(data: Path, form: str, content: str) -> None:
    (data / form).write_text(content, "utf-8")
    registry.register("t", {"file_name": form, **ENTRY}, "data")
    clean_set("t", exact=True)
    assert read_set("new") == [{"q": "x", "a": "y"}, {"q": "z", "a": "é"}]


def test_what_json_has_no_word_for(data: Path) -> None:
    parquet, arrow = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow")
    for column, code in ((float("nan"), "data_nan"), (b"\x00", "clean_binary")):
        table = arrow.Table.from_pylist([{"q": "x", "a": "y", "n": column}])
        parquet.write_table(table, data / "t.parquet")
        registry.register("t", {"file_name": "t.parquet", **ENTRY}, "data", overwrite=True)
        with pytest.raises(DataError) as caught:
            clean_set("t", exact=True)
        assert caught.value.problems[0].code == code
        assert not (data / "new").exists()


WORDS = st.lists(st.sampled_from(["blue", "sky", "day", "noon", "天气", "é"]), max_size=6)
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just(0.1),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)
ROW = st.fixed_dictionaries({"q": WORDS.map(" ".join), "a": st.sampled_from("xyz"), "more": ANY})


def test_each_group_keeps_one_and_rows_are_as_they_were(data: Path) -> None:
    """Property: kept rows are the source's JSON values in their order; each removed row has a
    near one among them."""

    @settings(max_examples=40, deadline=None)
    @given(st.lists(ROW, min_size=1, max_size=12))
    def holds(rows: list[dict[str, Any]]) -> None:
        add(data, "s", rows)
        report = clean_set(exact=True, near=0.7)
        remaining = read_set("new")
        texts = [json.dumps(row, sort_keys=True) for row in rows]
        left = iter(texts)
        assert all(json.dumps(row, sort_keys=True) in left for row in remaining)
        assert len(remaining) + sum(tally["count"] for tally in report["removed"].values()) == len(
            rows
        )
        questions = {(row["q"], row["a"]) for row in remaining}
        for tally in report["removed"].values():
            for number in tally["rows"]:
                row = rows[number - 1]
                index = Index(0.7)
                for q, a in questions:
                    index.add(sign(q, a), 1)
                assert index.similar(sign(row["q"], row["a"])) == 1

    holds()


def sign(q: str, a: str) -> Any:
    return signature(Item(1, "", 1, {"q": q, "a": a}))


def test_similarity_is_that_of_the_texts() -> None:
    """The estimate against the true Jaccard similarity of the pieces, on 60 pairs."""
    source, errors = random.Random(1), []
    for _ in range(60):
        first = "".join(source.choice("abcdefgh ") for _ in range(300))
        at = source.randrange(200)
        second = first[:at] + "z" * source.randrange(60) + first[at:]
        a, b = (" ".join(text.split()) for text in (first, second))
        sets = [{text[i : i + 5] for i in range(len(text) - 4)} for text in (a, b)]
        true = len(sets[0] & sets[1]) / len(sets[0] | sets[1])
        left, right = (signature(Item(1, "", 1, {"t": text})) for text in (a, b))
        assert left is not None
        assert right is not None
        errors.append(float((left == right).mean()) - true)
    assert abs(sum(errors) / len(errors)) < 0.02
    assert max(map(abs, errors)) < 0.2


def test_only_signatures_are_held() -> None:
    """A row costs the index its signature and its bands, whatever its length."""
    index = Index(0.8)
    for number in range(3000):
        index.add(sign(f"{number} " * 300, "a"), number)
    assert index._signatures.nbytes <= 4096 * 128 * 4
    assert len(index._last) <= 3000 * index._bands
