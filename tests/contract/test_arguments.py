"""Values to a command line or YAML and back: nothing is lost, nothing guessed, nothing leaks."""

import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from backend.contract.arguments import arguments
from backend.contract.arguments.command import Command
from backend.contract.arguments.field import Field, Value, Values
from backend.contract.arguments.fields import FIELDS
from backend.contract.arguments.rules import check_rules
from backend.contract.texts.problems import errors
from tests.contract.strategies import TASKS, cases

ROUND_TRIP = settings(
    max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
STUB = 'tuneboard() { printf "%s\\0" tuneboard "$@"; }\n'
SECRETS = [row for row in FIELDS.values() if row.secret]

# Printed in an existing tutorial; only the paths are other ones.
TUTORIAL = """
train --stage sft --do_train True --model_name_or_path M --preprocessing_num_workers 16
--finetuning_type full --template default --flash_attn auto --dataset_dir D --dataset X
--cutoff_len 1024 --learning_rate 5e-05 --num_train_epochs 3.0 --max_samples 100000
--per_device_train_batch_size 2 --gradient_accumulation_steps 8 --lr_scheduler_type cosine
--max_grad_norm 1.0 --logging_steps 5 --save_steps 100 --warmup_steps 0 --optim adamw_torch
--packing False --report_to none --output_dir saves/m/full/demo1 --bf16 True --plot_loss True
--ddp_timeout 180000000 --include_num_input_tokens_seen True
"""


def visible(values: Values, task: str) -> Values:
    """What is to come back: canonical, without secrets."""
    whole = arguments.canonicalize(values, task)
    return {name: FIELDS[name].default if FIELDS[name].secret else whole[name] for name in whole}


@ROUND_TRIP
@given(case=cases())
def test_values_to_a_command_and_back(case: tuple[str, Values]) -> None:
    task, values = case
    back, problems = arguments.from_argv(arguments.to_argv(values, task), task)
    assert problems == []
    assert back == visible(values, task)


@ROUND_TRIP
@given(case=cases())
def test_values_to_yaml_and_back_and_to_the_same_yaml(
    case: tuple[str, Values], tmp_path: Path
) -> None:
    """A-07: save, load, save gives the same bytes."""
    task, values = case
    file = tmp_path / "run.yaml"
    file.write_text(arguments.to_yaml(values, task), encoding="utf-8", newline="")
    first = file.read_bytes()
    back, problems = arguments.from_yaml(str(file), task)
    assert problems == []
    assert back == visible(values, task)
    assert arguments.to_yaml(back, task).encode() == first


@ROUND_TRIP
@given(case=cases())
def test_the_command_shown_is_the_command_run(case: tuple[str, Values]) -> None:
    task, values = case
    command = Command.build(task, values)
    secrets = [f"{name}=${name}" for name in command.env]
    assert shlex.split(command.shell()) == [*secrets, *command.argv]
    assert command.argv == ("tuneboard", task, *arguments.to_argv(values, task))


@settings(max_examples=30, deadline=None)
@given(case=cases())
def test_a_shell_passes_on_exactly_what_is_launched(case: tuple[str, Values]) -> None:
    """A-04: what a shell makes of the preview is what is launched."""
    task, values = case
    command = Command.build(task, values)
    env = {**os.environ, **command.env, "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        ["bash", "-c", STUB + command.shell()], env=env, capture_output=True, check=True
    )
    assert done.stdout.decode().split("\0")[:-1] == list(command.argv)


@pytest.mark.parametrize("task", TASKS)
def test_secrets_travel_in_the_environment_only(task: str) -> None:
    values = {**arguments.defaults(task), **{row.name: "S3CRET" for row in SECRETS}}
    command = Command.build(task, values)
    assert command.env == {row.to: "S3CRET" for row in SECRETS if task in row.tasks}
    shown = [*command.argv, command.shell(), repr(command)]
    shown += [arguments.to_yaml(values, task), *arguments.to_argv(values, task)]
    assert not any("S3CRET" in text for text in shown)
    assert all(f'{name}="${name}"' in command.shell() for name in command.env)
    assert command.env


@given(case=cases())
@settings(max_examples=100, deadline=None)
def test_only_what_differs_and_applies_is_written(case: tuple[str, Values]) -> None:
    task, values = case
    for name, value in arguments.drop_defaults(values, task).items():
        assert value != FIELDS[name].default_in(task)
        assert FIELDS[name].active({**arguments.defaults(task), **values}, task)


def test_the_tutorial_s_command_is_understood() -> None:
    task, *words = TUTORIAL.split()
    values, problems = arguments.from_argv(words, task)
    assert errors(problems) == []
    assert check_rules(values, task) == []
    assert values["bf16"] is True
    assert values["packing"] is False
    assert values["learning_rate"] == 5e-5


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--lora_rank", "16"], 16),
        (["--lora_rank=16"], 16),
        (["lora_rank=16"], 16),
        (["--lora-rank", "16"], 16),
        (["lora_rank=4", "--lora_rank", "16"], 16),
    ],
)
def test_ways_to_write_an_argument(words: list[str], expected: int) -> None:
    values, problems = arguments.from_argv(words, "train")
    assert (values["lora_rank"], problems) == (expected, [])


def test_a_flag_alone_is_true_and_a_number_may_be_negative() -> None:
    words = ["--fp16", "--freeze_trainable_layers", "-2", "--use_dora"]
    values, problems = arguments.from_argv(words, "train")
    assert problems == []
    assert (values["fp16"], values["freeze_trainable_layers"]) == (True, -2)
    assert values["use_dora"] is True


def test_a_file_comes_first_and_later_arguments_win(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("lora_rank: x\nlearning_rate: 1e-4\n")
    values, problems = arguments.from_argv([str(file), "lora_rank=16"], "train")
    assert problems == []
    assert (values["lora_rank"], values["learning_rate"]) == (16, 1e-4)


def test_a_pair_that_ends_like_a_file_is_a_pair() -> None:
    """`dataset_dir=x.json` as the first word was once read as the name of a file."""
    values, problems = arguments.from_argv(["cache_dir=x.json"], "train")
    assert (values["cache_dir"], problems) == ("x.json", [])


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["--learning_rat", "1"], "unknown_argument_near", "Did you mean learning_rate?"),
        (["--deepsped", "x"], "unknown_argument_near", "Did you mean deepspeed?"),
        (["--qwertyuiop", "1"], "unknown_argument", "--help"),
        (["--ray_num_workers", "2"], "instead_ray", "NPROC_PER_NODE"),
        (["--export_dir", "x"], "other_task", "tuneboard export"),
        (["hello"], "stray_word", '"hello"'),
        (["--", "x"], "stray_word", '"--"'),
        (["=x"], "stray_word", '"=x"'),
        (["gone.yaml"], "file_unreadable", "gone.yaml"),
        (["--quantization_bits", "3"], "not_choice", "quantization_bit"),
    ],
)
def test_wrong_words_are_told(words: list[str], code: str, text: str) -> None:
    _, problems = arguments.from_argv(words, "train")
    assert problems[0].code == code
    assert text in problems[0].text()


def test_all_problems_are_told_at_once() -> None:
    words = ["--lora_rank", "x", "--learning_rat", "1", "stray", "--val_size", "nan"]
    _, problems = arguments.from_argv(words, "train")
    assert sorted(p.code for p in problems) == [
        "not_finite",
        "not_int",
        "stray_word",
        "unknown_argument_near",
    ]


def test_validate_adds_the_rules() -> None:
    raw = {"fp16": True, "bf16": True, "export_dir": "x"}
    found = {p.code for p in arguments.validate(raw, "train")}
    assert found == {"other_task", "bf16_and_fp16", "model_required", "dataset_required"}


def wrong_values(row: Field) -> list[str]:
    """What a row refuses: a value of another type, one out of its range, one of no choice."""
    texts = {"bool": "maybe", "int": "1.5", "float": "nan", "json": "[1]", "numbers": "a,b"}
    found = [texts[row.kind]] if row.kind in texts else []
    if row.kind in {"int", "float"}:
        assert row.high is not None
        found.append(repr(row.high * 2 + 1))
    return [*found, "no such"] if row.choices else found


@pytest.mark.parametrize("task", TASKS)
def test_a_wrong_value_is_refused_where_its_argument_does_not_apply(
    task: str, tmp_path: Path
) -> None:
    """`--use_apollo maybe` passed with LoRA, of which APOLLO is no part: it was never read."""
    cases = [(row, raw) for row in arguments.fields_of(task) for raw in wrong_values(row)]
    idle = 0
    for row, raw in cases:
        others = {
            name: next(v for v in _other_values(FIELDS[name]) if v not in allowed)
            for name, allowed in row.conditions(task)
        }
        idle += bool(others)
        words = [f"--{name}={arguments.format_value(value)}" for name, value in others.items()]
        file = tmp_path / "run.yaml"
        file.write_text(json.dumps({**others, row.name: raw}))
        for argv in ([*words, f"--{row.name}={raw}"], [str(file)]):
            values, problems = arguments.from_argv(argv, task)
            assert not row.active(values, task) or not others
            found = arguments.check_parsed(values, problems, task)
            assert row.name in {one.field for one in found if not one.notice}, (argv, found)
    assert idle >= {"train": 90, "eval": 3, "chat": 3, "api": 10, "export": 3, "vocab": 0}[task]


def _other_values(row: Field) -> list[Value]:
    return [True, False] if row.kind == "bool" else [*row.choices, 1]


def test_what_is_given_and_does_not_apply_is_said() -> None:
    values, _ = arguments.from_argv(["--finetuning_type", "full", "--lora_rank", "16"], "train")
    (notice,) = arguments.report_ignored(values, "train")
    assert notice.notice
    assert "finetuning_type=lora" in notice.text()
    assert arguments.report_ignored(arguments.defaults("train"), "train") == []


@given(words=st.lists(st.text(max_size=12), max_size=6))
@settings(max_examples=200, deadline=None)
def test_any_words_are_values_or_problems(words: list[str]) -> None:
    assume(not any("\ud800" <= mark <= "\udfff" for word in words for mark in word))
    values, problems = arguments.from_argv(words, "train")
    assert set(values) == set(arguments.defaults("train"))
    assert all(problem.text("zh") for problem in problems)
