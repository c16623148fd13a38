"""Limits in tokens: counted by the code that trains, whole rows, before any cut."""

import json
from pathlib import Path
from typing import Any

import pytest

from backend.__main__ import main
from backend.contract.registry import dataset_info, registry
from backend.data.inspection import inspect_tokens
from backend.datafiles import reading

ALPACA = [{"instruction": "hello " * n, "output": "how can I help"} for n in (1, 2, 8, 40, 400)]
SHAPES: dict[str, tuple[list[dict[str, Any]], dict[str, Any], str]] = {
    "sft": (ALPACA, {}, ""),
    "dpo": (
        [{"prompt": "q", "chosen": "yes", "rejected": "no " * n} for n in (1, 5, 30, 300)],
        {
            "ranking": True,
            "columns": {"prompt": "prompt", "chosen": "chosen", **{"rejected": "rejected"}},
        },
        "chosen_|rejected_",
    ),
    "kto": (
        [{"p": "q", "r": "no " * n, "tag": True} for n in (1, 5, 30, 300)],
        {"columns": {"prompt": "p", "response": "r", "kto_tag": "tag"}},
        "",
    ),
    "pt": ([{"text": "word " * n} for n in (1, 5, 30, 300)], {}, ""),
}


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    (tmp_path / "data").mkdir()
    return tmp_path


def add(workspace: Path, name: str, rows: list[Any], entry: dict[str, Any]) -> None:
    path = workspace / "data" / f"{name}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    registry.register(name, {"file_name": path.name, **entry}, "data")


def read_set(name: str) -> list[dict[str, Any]]:
    path = dataset_info.find(name, "data").path
    assert path is not None
    return [row for _, row in reading.rows(path)]


@pytest.mark.parametrize("stage", SHAPES)
def test_the_limit_is_that_of_the_rows_as_they_are_trained_on(
    workspace: Path, tiny_model_dir: Path, stage: str
) -> None:
    """A limit at a row's own length keeps it, one token less does not."""
    rows, entry, sides = SHAPES[stage]
    add(workspace, "s", rows, entry)
    model = ["--model_name_or_path", str(tiny_model_dir)]
    seen = inspect_tokens(
        [
            *("--dataset", "s", "--stage", stage, *model),
            *("--cutoff_len", "100000", "--packing", "false"),
        ],
        "0:9",
    )
    lengths = [max(len(line[f"{side}input_ids"]) for side in sides.split("|")) for line in seen]
    assert lengths == sorted(lengths)
    assert len(lengths) == len(rows)
    for limit, count in ((lengths[2], 3), (lengths[2] - 1, 2)):
        words = ["--into", "new", "--max_tokens", str(limit), *model, "--overwrite"]
        assert main(["data", "clean", "s", *words]) == 0
        assert read_set("new") == rows[:count]
    words = ["--into", "new", "--min_tokens", str(lengths[1] + 1), *model, "--overwrite"]
    assert main(["data", "clean", "s", *words]) == 0
    assert read_set("new") == rows[2:]


def test_what_training_refuses_stays_and_is_told(
    workspace: Path, tiny_model_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [*ALPACA, {"instruction": ["7"], "output": "a"}]
    add(workspace, "s", rows, {})
    words = ["--into", "new", "--max_tokens", "60", "--model_name_or_path", str(tiny_model_dir)]
    assert main(["data", "clean", "s", *words, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["unmeasured"]["rows"] == [6]
    assert read_set("new")[-1] == rows[-1]
    assert report["removed"]["many_tokens"]["params"]["tokens"] > 60


def test_a_template_may_be_chosen_and_mistakes_are_told(
    workspace: Path, tiny_model_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add(workspace, "s", ALPACA, {})
    clean = ["data", "clean", "s", "--into", "new", "--max_tokens", "60"]
    assert main(clean) == 2
    assert "model_name_or_path" in capsys.readouterr().err
    assert main([*clean, "--model_name_or_path", str(tiny_model_dir), "--no_such", "1"]) == 2
    assert "no_such" in capsys.readouterr().err
    assert main([*clean, "--model_name_or_path", str(workspace / "none")]) == 4
    assert not (workspace / "data" / "new").exists()
    model = ["--model_name_or_path", str(tiny_model_dir)]
    assert main([*clean, *model]) == 0
    assert len(read_set("new")) == 4
    assert main([*clean, *model, "--template", "alpaca", "--overwrite"]) == 3, "all are longer"
