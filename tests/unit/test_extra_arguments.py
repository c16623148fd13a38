"""The box "Extra arguments": what it says goes over the form, by the same rules as everything."""

import shlex

import pytest

from app.form import extra_arguments
from app.tabs.run import launching
from app.tabs.run.launching import Launcher
from backend.contract.arguments.arguments import from_argv
from backend.contract.arguments.command import Command
from tests.unit.forms import filled, launcher_of, train_form

BASE = {"model_name_or_path": "saves/models/m", "dataset": "identity"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        ("  \n\n", {}),
        ("weight_decay=0.01", {"weight_decay": "0.01"}),
        ("--weight-decay = 0.01\nseed=7", {"weight_decay": " 0.01", "seed": "7"}),
        ('{"optim": "sgd", "seed": 7}', {"optim": "sgd", "seed": 7}),
        ("default_system=a=b c", {"default_system": "a=b c"}),
    ],
)
def test_json_and_lines_are_read(text: str, found: dict[str, object]) -> None:
    assert extra_arguments.read(text) == (found, [])


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("weight_decay", "extra_line", "weight_decay"),
        ("=3", "extra_line", "=3"),
        ('{"seed": 7', "bad_yaml", "extra.json"),
        ('{"seed": 1, "seed": 2}', None, "seed"),
        ("seed=much", "not_int", "seed"),
        ("weight_deca=0.1", "unknown_argument_near", "weight_decay"),
        ("badam_start_block=3", None, "badam_start_block"),
        ("lora_rank=0", "out_of_range", "lora_rank"),
        ("x" * 100 + "=1", "unknown_argument", "x" * 80),
        ("learning_rate=nan", "not_finite", "learning_rate"),
    ],
)
def test_what_is_wrong_is_said_at_the_box(text: str, code: str | None, words: str) -> None:
    _, problems = extra_arguments.merge(BASE, text, "train")
    assert problems
    assert {problem.field for problem in problems} == {extra_arguments.BOX}
    assert code is None or problems[0].code == code
    assert words in problems[0].text()


def test_what_has_no_effect_is_said_at_the_box() -> None:
    values, problems = extra_arguments.merge(BASE, "freeze_trainable_layers=3", "train")
    assert [(each.field, each.code, each.notice) for each in problems] == [
        (extra_arguments.BOX, "does_not_apply", True)
    ]
    assert values["freeze_trainable_layers"] == 3


@pytest.fixture
def launcher(monkeypatch: pytest.MonkeyPatch) -> Launcher:
    monkeypatch.setattr(launching, "check_paths", lambda values, task: [])
    return launcher_of(train_form([*BASE, "finetuning_type", "lora_rank", "seed"], BASE))


def test_the_preview_shows_the_result(launcher: Launcher) -> None:
    """The box goes over a control, and reaches what has no control; the command says both."""
    text = "seed=7\nweight_decay=0.25"
    judgement = launcher.judgement(filled(launcher, extra_args=text, seed="1"), "en")
    values, problems = from_argv(shlex.split(judgement["command"])[2:], "train")
    assert problems == []
    assert (values["seed"], values["weight_decay"]) == (7, 0.25)
    assert judgement["startable"] is True


def test_an_alias_goes_over_its_control(launcher: Launcher) -> None:
    values, problems = launcher.judge(filled(launcher, extra_args="quantization_bits=4"))
    assert values["quantization_bit"] == "4"
    assert [problem for problem in problems if not problem.notice] == []


def test_the_box_may_make_other_controls_apply(launcher: Launcher) -> None:
    """finetuning_type in the box: what it hides is not written."""
    held = filled(launcher, extra_args='{"finetuning_type": "full"}', lora_rank="64")
    values, problems = launcher.judge(held)
    assert problems == []
    assert "--lora_rank" not in Command.build("train", values).argv


def test_problems_stand_beside_the_box_and_start_is_off(launcher: Launcher) -> None:
    judgement = launcher.judgement(filled(launcher, extra_args="sed=7"), "en")
    assert judgement["fields"]["extra_args"]["level"] == "error"
    assert "seed" in judgement["fields"]["extra_args"]["text"]
    assert judgement["startable"] is False


def test_the_output_folder_of_the_box_counts(launcher: Launcher) -> None:
    values, _ = launcher.judge(filled(launcher, extra_args="output_dir=saves/a/b/c"))
    assert values["output_dir"] == "saves/a/b/c"


def test_filling_the_form_empties_the_box(launcher: Launcher) -> None:
    [update] = launcher.form.fill({"seed": 9})
    assert update["value"]["extra_args"] == ""
    assert update["value"]["seed"] == "9"
