"""dataset_info.json is written whole, by one at a time, and nothing in it is lost."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from backend.contract.registry import dataset_info, registry
from backend.contract.texts.problems import DataError, DiskFullError

ENTRY = {"file_name": "a.json"}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def written(data: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((data / "dataset_info.json").read_text("utf-8"))
    return content


def code(name: str, entry: dict[str, Any] | None = None) -> str:
    with pytest.raises(DataError) as caught:
        registry.register(name, ENTRY if entry is None else entry, "data")
    return caught.value.problems[0].code


def test_an_entry_is_found_again(data: Path) -> None:
    (data / "a.json").write_text("[]")
    entry = {"file_name": "a.json", "columns": {"prompt": "q", "response": "a"}, "note": "中文 😀"}
    made = registry.register("mine", entry, "data")
    assert dataset_info.find("mine", "data") == made
    assert written(data) == {"mine": entry}
    assert [each.name for each in data.iterdir() if not each.name.startswith(".")] == [
        "a.json",
        "dataset_info.json",
    ]


def test_what_is_unknown_and_its_order_stay(data: Path) -> None:
    """Keys of other programs, entries that we cannot read, half a character, a link to the file."""
    before = {
        "z": {"om_hub_url": "x/y", "of_another_program": [1, {"b": None}]},
        "broken": "no mapping",
        "a": {"file_name": "\ud83d.json"},
    }
    real = data.parent / "shared.json"
    real.write_text(json.dumps(before))
    real.chmod(0o640)
    (data / "dataset_info.json").symlink_to(real)
    registry.register("m", ENTRY, "data")
    assert list(written(data).items()) == [*before.items(), ("m", ENTRY)]
    assert (data / "dataset_info.json").is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640


def test_a_taken_name_is_replaced_only_when_asked(data: Path) -> None:
    registry.register("a", ENTRY, "data")
    registry.register("b", ENTRY, "data")
    assert code("a", {"file_name": "b.json"}) == "dataset_taken"
    assert written(data)["a"] == ENTRY
    registry.register("a", {"file_name": "b.json"}, "data", overwrite=True)
    assert list(written(data)) == ["a", "b"]
    assert written(data)["a"] == {"file_name": "b.json"}


@pytest.mark.parametrize("other", ["MINE-É", "mine-e\u0301", "ｍine-é"])
def test_twins_are_refused(data: Path, other: str) -> None:
    """F-02: case variants, NFC and NFD, full width: the same name to a person."""
    registry.register("mine-é", ENTRY, "data")
    assert code(other) == "dataset_twin"
    with pytest.raises(DataError):
        registry.register(other, ENTRY, "data", overwrite=True)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            " ",
            "../x",
            "/etc/x",
            "..\\x",
            "C:\\x",
            "~",
            "$HOME",
            "a\0b",
            ".",
            "..",
            "CON",
            "a.",
        ),
        *("a ", "a,b", "a\nb", "a\u202eb", "a\u200bb", "x" * 129, "x" * 10**6, "\ud800", "%2e%2e"),
    ],
)
def test_bad_names_are_refused_and_nothing_is_written(data: Path, name: str) -> None:
    assert code(name).startswith("name_")
    assert list(data.iterdir()) == []


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({}, "dataset_no_place"),
        ({"file_name": 7}, "dataset_no_place"),
        ({"file_name": "a", "formatting": "x"}, "dataset_formatting"),
        ({"file_name": "a", "columns": ["q"]}, "registry_bad_value"),
        ({"file_name": "a", "num_samples": -1}, "registry_bad_value"),
    ],
)
def test_bad_entries_are_refused(data: Path, entry: dict[str, Any], expected: str) -> None:
    assert code("a", entry) == expected
    assert list(data.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'{"a": {}, "a": {"file_name": "b"}}', "registry_duplicate"),
        (b'{"a": {}', "registry_broken"),
        (b"[]", "registry_no_mapping"),
        (b'{"a": "\xff"}', "file_not_utf8"),
        (b'{"a": ' + b"9" * 5000 + b"}", "registry_no_mapping"),
    ],
)
def test_a_registry_that_cannot_be_kept_is_not_written(
    data: Path, content: bytes, expected: str
) -> None:
    (data / "dataset_info.json").write_bytes(content)
    assert code("m") == expected
    assert (data / "dataset_info.json").read_bytes() == content


def test_an_entry_is_removed(data: Path) -> None:
    registry.register("a", ENTRY, "data")
    registry.register("b", ENTRY, "data")
    registry.remove("a", "data")
    assert list(written(data)) == ["b"]
    with pytest.raises(DataError, match="not registered"):
        registry.remove("a", "data")


def test_two_at_once_lose_nothing(data: Path) -> None:
    """Processes and threads together; without the lock about half of the entries are gone."""
    program = (
        "import sys; from backend.contract.registry import registry\n"
        "for n in range(10): registry.register(f'{sys.argv[1]}-{n}', {'file_name': 'a'}, 'data')"
    )
    children = [subprocess.Popen([sys.executable, "-c", program, name]) for name in "pq"]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: registry.register(f"t-{n}", ENTRY, "data"), range(20)))
    assert [child.wait(60) for child in children] == [0, 0]
    assert len(written(data)) == 40


def test_without_the_lock_entries_are_lost(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from contextlib import nullcontext
    from threading import Barrier

    monkeypatch.setattr(registry, "_lock", lambda path: nullcontext())
    both, read = Barrier(2), dataset_info.content
    registry.register("first", ENTRY, "data")

    def slowly(*args: Any, **kwargs: Any) -> dict[str, object]:
        found = read(*args, **kwargs)
        both.wait(10)
        return found

    monkeypatch.setattr(dataset_info, "content", slowly)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda name: registry.register(name, ENTRY, "data"), "ab"))
    assert len(written(data)) == 2


def test_a_full_disk_is_named_and_the_old_registry_stays(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    registry.register("a", ENTRY, "data")
    before = (data / "dataset_info.json").read_bytes()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("backend.contract.system.files.os.fsync", full)
    with pytest.raises(DiskFullError):
        registry.register("b", ENTRY, "data")
    assert (data / "dataset_info.json").read_bytes() == before
    assert len(list(data.iterdir())) == 2  # the registry and its lock


def test_modelscope_is_read_where_it_is_asked_for(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = {"hf_hub_url": "org/h", "ms_hub_url": "org/m"}
    registry.register("both", both, "data")
    registry.register("ms", {"ms_hub_url": "org/m"}, "data")
    monkeypatch.delenv("USE_MODELSCOPE_HUB", raising=False)

    def hub(name: str) -> tuple[str, str]:
        found = dataset_info.find(name, "data")
        return found.hub, found.hub_id

    assert hub("both") == ("huggingface", "org/h")
    assert hub("ms") == ("modelscope", "org/m")
    monkeypatch.setenv("USE_MODELSCOPE_HUB", "1")
    assert hub("both") == ("modelscope", "org/m")
