"""Few rows: values that follow from their number, in fields that nobody has set (issue 13).

With the defaults 40 rows are 9 steps at 5e-5, after which nothing was learned.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from app.form.form import Raw
from app.services.data import row_counts
from app.services.page import row_values
from app.tabs.run import launching
from app.tabs.run.launching import Launcher
from backend.contract.advice import small_sets
from backend.contract.arguments.arguments import parse, resolve
from tests.unit.forms import filled, launcher_of, train_form

RATE, STEPS = {"learning_rate": 2e-4}, {"gradient_accumulation_steps": 2}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with sets of 20, 40, 500 and 1000 rows, and one on a hub."""
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    monkeypatch.setattr(launching, "check_paths", lambda values, task: [])
    entries: dict[str, dict[str, object]] = {"far": {"hf_hub_url": "org/far"}}
    (tmp_path / "data").mkdir()
    for count in (20, 40, 500, 1000):
        entries[f"of{count}"] = {"file_name": f"of{count}.jsonl"}
        write_rows(tmp_path, f"of{count}", count)
    entries["part"] = {"file_name": "of500.jsonl", "num_samples": 30}
    (tmp_path / "data" / "dataset_info.json").write_text(json.dumps(entries))
    return tmp_path


def write_rows(home: Path, name: str, count: int) -> None:
    row = json.dumps({"instruction": "Who are you?", "output": "Tuneboard Assistant"})
    (home / "data" / f"{name}.jsonl").write_text(f"{row}\n" * count)


def count(dataset: str, **options: Any) -> int | None:
    values = resolve(parse({"dataset": dataset, **options}, "train")[0])
    return row_counts.count_learned(values, small_sets.SMALL)


def follow(dataset: str, *own: str, **options: Any) -> dict[str, Any]:
    values, _ = parse({"model_name_or_path": "m", "dataset": dataset, **options}, "train")
    return {str(name): each for name, each in row_values.follow(values, own).values.items()}


def test_the_rows_that_are_learned_are_counted() -> None:
    assert count("of40") == 40
    assert count("of40,of20") == 60
    assert count("part,of20") == 50
    assert count("of40,of20", max_samples=10) == 20
    assert count("of40", val_size=0.1) == 36
    assert count("of40", val_size=5) == 35
    assert count("of40", val_size=0.1, eval_dataset="of20") == 40
    assert count("of1000") == small_sets.SMALL


@pytest.mark.parametrize(
    "options",
    [
        {"streaming": True, "max_steps": 5},
        {"packing": True},
        {"neat_packing": True, "packing": True},
        {"mix_strategy": "interleave_over"},
        {"tokenized_path": "saves/tokens"},
    ],
)
def test_rows_that_little_reading_does_not_tell_are_not_guessed(options: dict[str, Any]) -> None:
    assert count("of40", **options) is None


def test_a_set_that_is_not_here_or_large_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    assert count("far") is count("of40,far") is count("none") is count("") is None
    monkeypatch.setattr(row_counts, "LARGEST", 100)
    assert count("of500") is None


def test_a_file_that_has_changed_is_counted_anew(home: Path) -> None:
    assert count("of40") == 40
    write_rows(home, "of40", 41)
    assert count("of40") == 41
    (home / "data" / "of40.jsonl").write_text("{")
    assert count("of40") is None


def test_values_follow_from_the_rows() -> None:
    assert follow("of20") == {**RATE, "num_train_epochs": 10.0, **STEPS}
    assert follow("of40") == {**RATE, "num_train_epochs": 5.0, **STEPS}
    assert follow("of500") == {**RATE, "gradient_accumulation_steps": 4}
    assert follow("of1000") == follow("far") == follow("") == {}
    assert follow("of40", stage="dpo") == follow("of40", max_steps=9) == {}
    assert follow("of40", finetuning_type="full").keys() == {"num_train_epochs", *STEPS}


def test_what_somebody_has_set_follows_nothing() -> None:
    """Not even where it is the default; the others reckon with it."""
    assert follow("of40", learning_rate=3e-5) == {"num_train_epochs": 5.0, **STEPS}
    assert follow("of40", "learning_rate") == {"num_train_epochs": 5.0, **STEPS}
    assert follow("of40", "gradient_accumulation_steps") == {**RATE, "num_train_epochs": 10.0}
    assert follow("of40", *small_sets.FOLLOWING) == {}


def test_a_model_gets_no_more_than_the_table_recommends_for_it() -> None:
    assert follow("of40", model_name_or_path="org/Qwen3-8B")["learning_rate"] == 1e-4
    assert follow("of40", model_name_or_path="org/gemma-3-4b")["learning_rate"] == 2e-4


@pytest.fixture
def launcher() -> Launcher:
    """What judges the form of Train, as the page draws it."""
    launcher = launcher_of(train_form(start={"model_name_or_path": "m"}))
    launcher.follow = row_values.follow
    launcher.form.judge = launcher.judgement
    return launcher


def ask(launcher: Launcher, values: Raw, **more: Any) -> dict[str, Any]:
    """The answer to a question of the browser."""
    return launcher.form._answer_judgement({"values": values, **more}, "en")


def test_the_command_of_an_answer_holds_the_values_that_come_with_it(launcher: Launcher) -> None:
    held = filled(launcher, dataset=["of40"])
    answer = ask(launcher, held)
    followed = answer["follow"]["values"]
    assert followed == {
        "learning_rate": "0.0002",
        "num_train_epochs": "5",
        "gradient_accumulation_steps": "2",
    }
    assert ask(launcher, {**held, **followed}, own=[*followed])["command"] == answer["command"]
    assert "--learning_rate 0.0002" in answer["command"]
    assert answer["fields"]["learning_rate"] == {"text": "Set for 40 rows", "level": "notice"}
    assert "40 rows" in answer["follow"]["line"]
    assert "3 → 5" in answer["follow"]["line"]


def test_other_rows_bring_other_values_and_none_the_defaults(launcher: Launcher) -> None:
    held = filled(launcher, dataset=["of40"])
    followed = ask(launcher, held)["follow"]["values"]
    other = ask(launcher, {**held, **followed, "dataset": ["of500"]}, followed=followed)
    assert other["follow"]["values"] == {
        "learning_rate": "0.0002",
        "gradient_accumulation_steps": "4",
    }
    none = ask(launcher, {**held, **followed, "dataset": ["of1000"]}, followed=followed)
    assert none["follow"]["values"] == {}
    assert none["follow"]["line"] == ""
    assert "--learning_rate" not in none["command"]


def test_what_somebody_has_put_into_the_form_or_the_box_stays(launcher: Launcher) -> None:
    held = filled(launcher, dataset=["of40"], learning_rate="1e-4")
    answer = ask(launcher, held, own=["learning_rate", "num_train_epochs", 7, {}])
    assert answer["follow"]["values"] == {"gradient_accumulation_steps": "2"}
    assert "--learning_rate 0.0001" in answer["command"]
    assert "--num_train_epochs" not in answer["command"]
    boxed = ask(launcher, filled(launcher, dataset=["of40"], extra_args="learning-rate=5e-5"))
    assert "learning_rate" not in boxed["follow"]["values"]


def test_a_form_without_such_fields_follows_nothing() -> None:
    plain = launcher_of(train_form(start={"model_name_or_path": "m"}))
    answer = plain.judgement(filled(plain, dataset=["of40"]), "en")
    assert answer["follow"]["values"] == {}
    assert "--learning_rate" not in answer["command"]
