"""The registry of data sets: read by LLaMA-Factory's rules, every mistake named."""

import json
from pathlib import Path

import pytest

from backend.contract.arguments.arguments import resolve
from backend.contract.registry import dataset_info
from backend.contract.texts.problems import DataError


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def register(data: Path, **rows: object) -> None:
    (data / "dataset_info.json").write_text(json.dumps(rows))


def codes(values: dict[str, object], task: str = "train") -> list[str]:
    return [
        problem.code
        for problem in dataset_info.check(resolve({"dataset_dir": "data", **values}), task)
    ]


def test_an_entry_is_read_with_the_documented_defaults(data: Path) -> None:
    register(data, a={"file_name": "sub/a.json"})
    entry = dataset_info.entries("data")["a"]
    assert entry.path == data / "sub" / "a.json"
    assert (entry.formatting, entry.split, entry.columns, entry.tags) == (None, "train", None, None)


def test_a_hub_id_comes_before_a_file(data: Path) -> None:
    register(
        data, a={"file_name": "a.json", "hf_hub_url": "org/a", "subset": "s", "num_samples": 3}
    )
    entry = dataset_info.find("a", "data")
    assert (entry.hub_id, entry.path, entry.subset, entry.num_samples) == ("org/a", None, "s", 3)
    assert dataset_info.find("a", "data").path is None


def test_online_takes_names_as_hub_ids() -> None:
    assert dataset_info.find("org/a", "ONLINE").hub_id == "org/a"


def test_a_path_needs_no_entry(data: Path) -> None:
    (data / "mine.jsonl").write_text("{}")
    assert dataset_info.find("data/mine.jsonl", "data").path == data / "mine.jsonl"
    assert codes({"dataset": "data/mine.jsonl"}) == []


def test_good_sets_give_no_problem(data: Path) -> None:
    (data / "a.json").write_text("[]")
    register(data, a={"file_name": "a.json"}, b={"hf_hub_url": "org/b"})
    assert codes({"dataset": "a, b", "eval_dataset": "a"}) == []
    assert codes({"dataset": None}) == []


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        ({"file_name": "gone.json"}, "dataset_file_missing"),
        ({}, "dataset_no_place"),
        ({"script_url": "x"}, "dataset_elsewhere"),
        ({"file_name": "a.json", "formatting": "other"}, "dataset_formatting"),
        ({"file_name": "a.json", "columns": {"images": "i"}}, "dataset_media"),
        ({"file_name": "a.json", "columns": ["x"]}, "registry_bad_value"),
        ({"file_name": 7}, "dataset_no_place"),
        ({"file_name": "a.json", "num_samples": -1}, "registry_bad_value"),
        ({"file_name": "a.json", "placeholders": "yes"}, "registry_bad_value"),
        ({"file_name": "a.json", "ranking": True}, "dataset_ranking"),
    ],
)
def test_a_wrong_entry_is_named(data: Path, entry: dict[str, object], code: str) -> None:
    (data / "a.json").write_text("[]")
    register(data, a=entry)
    assert codes({"dataset": "a"})[0] == code
    for problem in dataset_info.check(resolve({"dataset": "a", "dataset_dir": "data"}), "train"):
        assert problem.field == "dataset"
        assert "a" in problem.text("zh")


def test_an_unknown_name_comes_with_a_near_one_and_the_file(data: Path) -> None:
    register(data, identity={"file_name": "a.json"})
    near = dataset_info.check(resolve({"eval_dataset": "idenity", "dataset_dir": "data"}), "eval")[
        0
    ]
    assert (near.code, near.field, near.params["near"]) == (
        "dataset_unknown_near",
        "eval_dataset",
        "identity",
    )
    assert near.params["path"] == str(data / "dataset_info.json")
    assert codes({"dataset": "zzz"}) == ["dataset_unknown"]


@pytest.mark.parametrize(
    ("content", "code", "line"),
    [
        (b'{\n"a": }', "registry_broken", 2),
        (b"[]", "registry_no_mapping", None),
        (b"\xb4", "file_not_utf8", None),
        (b"", "registry_broken", 1),
        (b"[" * 100_000, "registry_no_mapping", None),
    ],
)
def test_a_broken_registry_is_named(
    data: Path, content: bytes, code: str, line: int | None
) -> None:
    (data / "dataset_info.json").write_bytes(content)
    problem = dataset_info.check(resolve({"dataset": "a", "dataset_dir": "data"}), "train")[0]
    assert (problem.code, problem.field) == (code, "dataset")
    assert line is None or problem.params["line"] == line


def test_only_the_demo_set_about_the_name_has_placeholders() -> None:
    folder = Path(__file__).parents[2] / "data"
    marked = {
        name for name, entry in dataset_info.entries(str(folder)).items() if entry.placeholders
    }
    used = {path.stem for path in folder.glob("*.json") if "{{name}}" in path.read_text("utf-8")}
    assert marked == used == {"identity"}


def test_no_registry_is_named(data: Path) -> None:
    assert codes({"dataset": "a"}) == ["registry_missing"]
    with pytest.raises(DataError) as caught:
        dataset_info.entries("data")
    assert str(data) in str(caught.value)


def test_other_tasks_have_no_data_sets(data: Path) -> None:
    assert codes({"dataset": "a"}, "chat") == []
