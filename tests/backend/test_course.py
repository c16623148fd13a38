"""What is said of a training before it begins is what it then does."""

import json
from pathlib import Path
from typing import Any

import pytest

from backend.__main__ import main
from backend.contract.advice import small_sets
from backend.contract.arguments.arguments import parse, resolve
from backend.data import lengths, templates
from backend.estimate import sanity, schedule
from backend.model import load
from backend.training.course import Course
from tests.backend.conftest import write_dataset
from tests.backend.training import ROWS, record, small, train_small

PAIRS = [
    {
        "instruction": f"Say {number}",
        "input": "",
        "chosen": f"It is {number}." * (1 + number % 3),
        "rejected": "no" * number,
    }
    for number in range(13)
]
EPOCHS = {"max_steps": None}
CASES: dict[str, dict[str, Any]] = {
    "drawn, the last step short": {**EPOCHS, "num_train_epochs": 2, "val_size": 0.1},
    "grouped": {**EPOCHS, "num_train_epochs": 1.5, "group_by_length": True, "data_seed": 7},
    "packed": {**EPOCHS, "num_train_epochs": 3, "packing": True, "gradient_accumulation_steps": 3},
    "in order": {"max_steps": 9, "disable_shuffling": True, "max_samples": 11, "save_steps": 4},
    "pairs": {**EPOCHS, "stage": "dpo", "dataset": "pairs", "val_size": 3, "eval_steps": 2},
}
SAVED = {"save_strategy": "steps", "save_steps": 3, "logging_steps": 1}


def foresee(home: Path, model: Path, most: int = schedule.READ, **options: Any) -> Course:
    values = small(model, dataset_dir=str(home / "data"), **options)
    template = templates.load(values, load.tokenizer(values))
    measured = lengths.measure(values, template, exact=False)
    outlook = schedule.foresee(values, template, measured, exact=False, most=most)
    assert outlook is not None
    return outlook.course


@pytest.mark.parametrize("name", CASES)
def test_steps_tokens_evaluations_and_checkpoints(
    name: str, workspace: Path, tiny_model_dir: Path
) -> None:
    options = {**SAVED, **CASES[name]}
    write_dataset(workspace, "sums", ROWS)
    write_dataset(workspace, "pairs", PAIRS, ranking=True)
    course = foresee(workspace, tiny_model_dir, **options)
    folder = train_small(workspace, tiny_model_dir, **options)
    rows = record(folder)
    seen = [row.tokens for row in rows if row.loss is not None]
    assert course.sizes is not None
    assert list(course.sizes.tokens.cumsum()) == seen
    assert course.steps == len(seen) == len(course.sizes.batches)
    assert course.evaluations == sum(row.eval_loss is not None for row in rows)
    assert course.checkpoints == len(list(folder.glob("checkpoint-*")))


def test_the_command_says_steps_and_tokens(
    workspace: Path, tiny_model_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_dataset(workspace, "sums", ROWS)
    words = ["--model_name_or_path", str(tiny_model_dir), "--dataset", "sums", "--val_size", "2"]
    words += ["--dataset_dir", str(workspace / "data"), "--eval_steps", "2"]
    assert main(["estimate", *words]) == 0
    shown = capsys.readouterr().out
    assert "Steps: 6 (epochs: 3, rows: 28, rows in each step: 16)" in shown
    assert "Evaluations: 3 · checkpoints: 1" in shown


def test_a_sample_stands_for_more_rows_than_are_read(workspace: Path, tiny_model_dir: Path) -> None:
    """The twin reads all: rows, steps and tokens are near each other, and only one is exact."""
    write_dataset(workspace, "sums", ROWS)
    options = {"max_steps": None, "num_train_epochs": 2, "packing": True}
    read = foresee(workspace, tiny_model_dir, **options)
    drawn = foresee(workspace, tiny_model_dir, most=5, **options)
    assert abs(drawn.steps - read.steps) <= 1
    assert drawn.tokens == pytest.approx(read.tokens, rel=0.1)


def test_a_run_tells_the_time_of_the_next(
    workspace: Path, tiny_model_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before it nothing is known; full tuning is similar, and another device tells nothing."""
    words = ["estimate", "--model_name_or_path", str(tiny_model_dir), "--dataset", "sums"]
    words += ["--dataset_dir", str(workspace / "data"), "--cutoff_len", "128"]
    write_dataset(workspace, "sums", ROWS)
    assert main(words) == 0
    assert "not known yet" in capsys.readouterr().out
    train_small(workspace, tiny_model_dir, "first", max_steps=8)
    assert main(words) == 0
    assert "measured in run first" in capsys.readouterr().out
    assert main([*words, "--finetuning_type", "full", "--json"]) == 0
    course = json.loads(capsys.readouterr().out)["course"]
    assert (course["source"], course["run"]) == ("similar", "first")
    assert course["seconds"] > course["step_seconds"] > 0
    paces = workspace / "saves" / ".cache" / "paces.json"
    paces.write_text(paces.read_text().replace('"cpu', '"gpu'))
    assert main(words) == 0
    assert "not known yet" in capsys.readouterr().out


def test_some_steps_measured_beforehand_tell_the_time(
    workspace: Path, tiny_model_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They leave their pace alone, and count as a run of the same kind; where the memory does not
    do, nothing is begun."""
    words = ["estimate", "--model_name_or_path", str(tiny_model_dir), "--dataset", "sums"]
    words += ["--dataset_dir", str(workspace / "data"), "--val_size", "0.2", "--json"]
    words += ["--cutoff_len", "128", "--load_best_model_at_end", "true", "--eval_strategy", "steps"]
    write_dataset(workspace, "sums", ROWS)
    assert main([*words, "--measure"]) == 0
    course = json.loads(capsys.readouterr().out)["course"]
    assert (course["source"], course["run"]) == ("measured", "")
    assert course["seconds"] > course["step_seconds"] > 0
    cache = workspace / "saves" / ".cache"
    assert not list(cache.glob("measure-*"))
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["course"]["source"] == "measured"
    (cache / "paces.json").unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUNEBOARD_MEMORY_GB", "0.001")
        assert main([*words, "--measure"]) == 4
    assert "Nothing was measured" in capsys.readouterr().err
    assert not (cache / "paces.json").exists()


def forecast_of(
    home: Path, model: Path, capsys: pytest.CaptureFixture[str], *words: str
) -> dict[str, Any]:
    argv = ["estimate", "--model_name_or_path", str(model), "--dataset_dir", str(home / "data")]
    assert main([*argv, "--json", *words]) == 0
    course: dict[str, Any] = json.loads(capsys.readouterr().out)["course"]
    return course


def codes(course: dict[str, Any]) -> set[str]:
    return {each["code"] for each in course["notices"]}


def test_what_is_worth_knowing_is_said_in_a_line_each(
    workspace: Path, tiny_model_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each notice has a twin: the same training without what it is about."""
    write_dataset(workspace, "sums", ROWS)
    write_dataset(workspace, "same", ROWS[:4])
    plain = ["--dataset", "sums", "--num_train_epochs", "12", "--template", "chatml"]
    course = forecast_of(workspace, tiny_model_dir, capsys, *plain)
    calm, length = codes(course), course["tokens"] // (12 * len(ROWS))
    for code, words in {
        "rate_high": ["--learning_rate", "0.1"],
        "rate_low": ["--learning_rate", "1e-8"],
        "steps_few": ["--num_train_epochs", "1"],
        "epochs_many": ["--num_train_epochs", "60"],
        "cut_many": ["--cutoff_len", str(length - 2)],
        "evaluation_overlaps": ["--eval_dataset", "same"],
    }.items():
        assert code not in calm
        assert code in codes(forecast_of(workspace, tiny_model_dir, capsys, *plain, *words)), code


def test_checkpoints_against_the_free_disk(
    workspace: Path,
    tiny_model_dir: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_dataset(workspace, "sums", ROWS)
    words = ["--dataset", "sums", "--finetuning_type", "full", "--save_steps", "1"]
    limited = ["--save_total_limit", "1", "--save_only_model", "true"]
    course = forecast_of(workspace, tiny_model_dir, capsys, *words)
    lean = forecast_of(
        workspace, tiny_model_dir, capsys, *words, *limited, "--save_only_model", "true"
    )
    model = lean["disk"] / 3  # the newest, the one before it, and the result
    assert course["disk"] == pytest.approx(model * (3 * course["checkpoints"] + 1), rel=0.01)
    folder = train_small(
        workspace, tiny_model_dir, max_steps=2, finetuning_type="full", save_steps=2
    )
    saved = (folder / "checkpoint-2" / "model.safetensors").stat().st_size
    assert model == pytest.approx(saved, rel=0.02)
    for free, code in (
        (course["disk"] - 1, "disk_too_small"),
        (2 * course["disk"] - 1, "disk_half"),
    ):
        monkeypatch.setattr(sanity, "disk_free", lambda _, free=free: free)
        assert code in codes(forecast_of(workspace, tiny_model_dir, capsys, *words))
    assert not {"disk_too_small", "disk_half"} & codes(course)


def test_what_a_person_has_changed_is_not_suggested_anew(tiny_model_dir: Path) -> None:
    def suggest(rows: int, **options: Any) -> dict[str, Any]:
        raw = {"model_name_or_path": str(tiny_model_dir), "dataset": "sums", **options}
        values, _ = parse(raw, "train")
        return dict(small_sets.suggest(resolve(values), rows, 1))

    rate, steps = {"learning_rate": 2e-4}, {"gradient_accumulation_steps": 2}
    assert suggest(20) == {**steps, "num_train_epochs": 10.0, **rate}
    assert suggest(40) == {**steps, "num_train_epochs": 5.0, **rate}
    assert suggest(90) == {**steps, **rate}
    assert suggest(500) == {"gradient_accumulation_steps": 4, **rate}
    assert suggest(1000) == suggest(40, max_steps=9) == suggest(40, stage="dpo") == {}
    assert suggest(40, learning_rate=3e-5) == {**steps, "num_train_epochs": 5.0}
    assert suggest(40, num_train_epochs=1) == {**steps, **rate}
    assert "num_train_epochs" in suggest(40, gradient_accumulation_steps=4)
    assert "learning_rate" not in suggest(40, finetuning_type="full")
