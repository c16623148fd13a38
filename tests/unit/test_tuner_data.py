"""Data given to the Tuner: rows of every kind, names and files, and what is neither."""

import json
from pathlib import Path
from typing import Any

import numpy
import pytest

from backend.contract.arguments.field import Values
from backend.contract.registry import dataset_info
from backend.contract.texts.problems import DataError, UsageError
from backend.tuner import Tuner, rows
from tests.unit.conftest import ROWS

pytestmark = pytest.mark.usefixtures("tuner_home")


def _read(name: str) -> list[Any]:
    return [json.loads(line) for line in Path(name).read_text().splitlines()]


def test_rows_of_every_kind_become_one_file(tuner_home: Path) -> None:
    """The same rows are one file, whatever held them; NaN and NA of pandas are nothing."""
    import datasets
    import pandas
    import pyarrow

    columns = {"prompt": [r["prompt"] for r in ROWS], "response": [r["response"] for r in ROWS]}
    table = datasets.Dataset.from_list(ROWS)
    kinds = [
        ROWS,
        tuple(ROWS),
        iter(ROWS),
        columns,
        {name: numpy.array(column) for name, column in columns.items()},
        {name: pandas.Series(column) for name, column in columns.items()},
        table,
        table.to_iterable_dataset(),
        pandas.DataFrame(ROWS),
        pyarrow.Table.from_pylist(ROWS),
        *(table.with_format(name) for name in ("pandas", "arrow", "numpy")),
        *(table.to_iterable_dataset().with_format(name) for name in ("pandas", "arrow", "numpy")),
        {name: table[name] for name in table.column_names},
        {name: pyarrow.chunked_array([column]) for name, column in columns.items()},
        table.add_column("id", [1, 2]).with_format("pandas", columns=["prompt", "response"]),
        datasets.Dataset.from_list([{"n": 0}, {"n": 1}]).with_transform(
            lambda batch: {
                name: [column[n] for n in batch["n"]] for name, column in columns.items()
            }
        ),
    ]
    names = {rows.set_names(each, "dataset", None) for each in kinds}
    assert len(kinds) == 20
    assert len(names) == 1
    (name,) = names
    assert name.startswith("data/tuner/rows-")
    assert _read(name) == ROWS
    assert json.loads((tuner_home / "data" / "dataset_info.json").read_text()).keys() == {"mine"}
    frame = pandas.DataFrame(
        {"instruction": ["a", "b"], "input": [float("nan"), pandas.NA], "output": ["c", "d"]}
    )
    assert [row["input"] for row in _read(rows.set_names(frame, "dataset", None))] == [None, None]
    for splits in ({"train": frame}, datasets.DatasetDict(train=table), {"train": table}):
        with pytest.raises(DataError) as caught:
            rows.set_names(splits, "dataset", None)
        assert caught.value.problems[0].code == "tuner_mapping"
    nested = {**ROWS[0], "meta": [{"x": numpy.array([1.0, numpy.nan])}, (pandas.NaT,)]}
    assert _read(rows.set_names([nested], "dataset", None))[0]["meta"] == [
        {"x": [1.0, None]},
        [None],
    ]


def test_texts_are_rows_and_names_are_names(
    tuner_home: Path, launched: list[tuple[str, Values]]
) -> None:
    """A list of texts was said to be data sets that are not registered, or ended in an OSError."""
    import datasets
    import pandas

    texts = ["A first text. It is long.", "与/或\n" * 2000]
    for stage in ("pt", "sft", "PT"):
        for data in (
            texts,
            tuple(texts),
            numpy.array(texts),
            pandas.Series(texts),
            iter(texts),
            datasets.Dataset.from_dict({"text": texts})["text"],
            [*ROWS, "text"],
        ):
            with pytest.raises(DataError) as caught:
                Tuner("org/model", stage=stage).train(data)
            assert caught.value.problems[0].code == "tuner_texts"
            assert '[{"text": text} for text in texts]' in str(caught.value)
    for sets, code in (
        (["mine", "anything"], "dataset_unknown"),
        (["mien"], "dataset_unknown_near"),
        (["gone.jsonl"], "data_file_missing"),
    ):
        with pytest.raises(UsageError) as refused:
            Tuner("org/model", stage="pt").train(sets)
        assert [problem.code for problem in refused.value.problems] == [code]
    assert launched == []
    Tuner("org/model", stage="PT").train([{"text": text} for text in texts], wait=False)
    ((_, values),) = launched
    assert values["stage"] == "pt"
    assert [row["text"] for row in _read(str(values["dataset"]))] == texts


def test_names_and_files_stay_what_they_are(tuner_home: Path) -> None:
    other = tuner_home / "other.jsonl"
    other.write_text("\n".join(map(json.dumps, ROWS)))
    assert rows.set_names("mine", "dataset", None) == "mine"
    assert rows.set_names(["mine", other], "dataset", None) == f"mine,{other}"
    assert rows.set_names("mine, other.jsonl", "dataset", None) == "mine,other.jsonl"
    assert rows.set_names("org/set", "dataset", "ONLINE") == "org/set"
    for suffix, text in ((".csv", "prompt,response\na,b\n"), (".txt", "A text.\n")):
        place = tuner_home / f"plain{suffix}"
        place.write_text(text)
        stage = "pt" if suffix == ".txt" else "sft"
        assert rows.set_names(place, "dataset", None, stage) == str(place)


def test_columns_by_other_names_are_entered_once(
    tuner_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Said on standard error; the entry is used again, and nobody else's is changed."""
    place = tuner_home / "mine.csv"
    place.write_text("query,reply\nWhat is it?,It is a test.\nWhy?,So that it holds.\n")
    first = rows.set_names(place, "dataset", None)
    assert first == "mine-2"
    assert rows.set_names(place, "dataset", None) == first
    entry = dataset_info.find(first, None)
    assert entry.columns == {"prompt": "query", "response": "reply"}
    assert "registered as mine-2" in capsys.readouterr().err
    assert dataset_info.find("mine", None).columns is None


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ([], "tuner_no_rows"),
        ([1, 2], "tuner_row"),
        ([*ROWS, ("a", "b")], "tuner_row"),
        ([{"prompt": object()}], "tuner_value"),
        ({"prompt": ["a"], "response": ["b", "c"]}, "tuner_lengths"),
        ({"train": object()}, "tuner_mapping"),
        (7, "tuner_data"),
        ([{"a": "Some words.", "b": "Other words."}], "tuner_columns"),
        ([{"prompt": "A question without an answer?"}], "columns_missing"),
    ],
)
def test_data_that_is_none_is_refused(data: object, code: str) -> None:
    with pytest.raises(DataError) as caught:
        rows.set_names(data, "dataset", None)
    assert caught.value.problems[0].code == code
