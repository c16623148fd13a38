"""The table of arguments: each row is sound by itself, and refuses what it must (A-02)."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.contract.arguments.arguments import fields_of
from backend.contract.arguments.field import MAX_TEXT, Field, FieldError, Value
from backend.contract.arguments.fields import FIELDS
from backend.contract.arguments.fields.table import _GROUPS
from backend.contract.arguments.rules import RULES
from backend.contract.texts.problems import Problem
from tests.contract.strategies import TASKS
from tests.loops import check_each

NUMBERS = {name: row for name, row in FIELDS.items() if row.kind in {"int", "float"}}
HARD_NUMBERS: list[object] = [math.nan, math.inf, -math.inf, -0.0, 1e400, -1e400, 5e-324]
HARD_NUMBERS += [10**30, -(10**30), 10**400, 16**5000, True, False]
HARD_NUMBERS += ["nan", "inf", "-inf", "1e400", "1e-4", "9" * 5000, "", " ", "0x10", "1,5", "½"]
NO_NUMBERS = [math.nan, math.inf, "nan", "inf", "1e400", 10**400, True, "true"]


def test_names_are_unique_and_the_table_is_whole() -> None:
    count = sum(map(len, _GROUPS))
    assert len(FIELDS) == count > 100


def test_the_default_is_a_value_of_its_row() -> None:
    def check(row: Field) -> None:
        assert row.parse(row.default) == row.default
        assert (row.default is None) <= row.optional

    assert check_each(FIELDS, check) > 200


def test_numbers_have_a_range_that_holds_the_default() -> None:
    def check(row: Field) -> None:
        assert row.low is not None
        assert row.high is not None
        assert row.low < row.high
        assert row.default is None or row.low <= row.default <= row.high

    assert check_each(NUMBERS, check) > 80


def test_when_names_rows_and_values_that_exist() -> None:
    conditions_seen = 0

    def check(row: Field) -> None:
        nonlocal conditions_seen
        for tasks, conditions in [(row.tasks, row.when), *(((t,), w) for t, w in row.task_when)]:
            for name, allowed in conditions:
                conditions_seen += 1
                other = FIELDS[name]
                assert all(other.parse(value) == value for value in allowed)
                assert set(tasks) <= set(other.tasks), (
                    "a condition that this subcommand cannot meet"
                )

    assert check_each(FIELDS, check) > 200
    assert conditions_seen > 100


def test_what_holds_in_one_subcommand_is_of_the_row_s_own() -> None:
    def check(row: Field) -> None:
        assert {task for task, _ in row.task_when + row.task_defaults} <= set(row.tasks)
        assert all(row.parse(value) == value != row.default for _, value in row.task_defaults)

    assert check_each(FIELDS, check) > 200


def test_choices_hold_the_default() -> None:
    def check(row: Field) -> None:
        assert row.kind in {"choice", "list"} if row.choices else row.kind != "choice"
        assert not row.choices or row.default is None or row.default in row.choices

    assert check_each(FIELDS, check) > 200


def test_tasks_are_subcommands() -> None:
    def check(row: Field) -> None:
        assert row.tasks
        assert set(row.tasks) <= set(TASKS)

    assert check_each(FIELDS, check) > 200


def test_secrets_have_a_place_in_the_environment() -> None:
    secrets = {name: row for name, row in FIELDS.items() if row.secret}

    def check(row: Field) -> None:
        assert row.to.isupper()
        assert row.optional

    assert check_each(secrets, check) > 3


def test_rules_speak_of_rows_and_values_that_exist() -> None:
    assert len(RULES) > 10
    for rule in RULES:
        for name in (rule.field, *(condition[0] for condition in rule.conditions)):
            assert set(rule.tasks) <= set(FIELDS[name].tasks), (rule.code, name)
        for name, operator, wanted in rule.conditions:
            known = {"is", "not", "set", "unset", "several", "lists", "above", "below", "not below"}
            assert operator in known
            options = wanted if isinstance(wanted, tuple) else (wanted,)
            if operator in {"is", "not"}:
                assert all(FIELDS[name].parse(option) == option for option in options)


def test_each_subcommand_takes_something() -> None:
    assert all(len(fields_of(task)) > 5 for task in TASKS)


def outcome(row: Field, raw: object) -> Value | Problem:
    """The value that the row takes, or the problem that it tells; anything else raises."""
    try:
        return row.parse(raw)
    except FieldError as error:
        return error.problem


def _is_sound(row: Field, raw: object) -> None:
    """A number that the row takes is finite, of its type and in its range; else it says why."""
    value = outcome(row, raw)
    if isinstance(value, Problem):
        assert value.field == row.name
        assert value.text("en")
        assert value.text("zh")
        return
    if value is None:
        assert row.optional
        return
    assert type(value) is (int if row.kind == "int" else float)
    assert math.isfinite(value)
    assert row.low <= value <= row.high
    assert str(value) != "-0.0"


def with_each_number(raws: list[object]) -> dict[str, tuple[Field, object]]:
    """Every row of a number with every raw value, by the row's name and the value's place."""
    return {
        f"{name} {place}": (row, raw)
        for name, row in NUMBERS.items()
        for place, raw in enumerate(raws)
    }


def test_hard_numbers() -> None:
    assert check_each(with_each_number(HARD_NUMBERS), lambda pair: _is_sound(*pair)) > 80 * len(
        HARD_NUMBERS
    )


def test_what_is_no_number_is_refused() -> None:
    """Gradio's own check of bounds lets NaN pass; bool is an int in Python."""

    def check(pair: tuple[Field, object]) -> None:
        assert isinstance(outcome(*pair), Problem)

    assert check_each(with_each_number(NO_NUMBERS), check) > 80 * len(NO_NUMBERS)


@settings(max_examples=200, deadline=None)
@given(
    raw=st.floats() | st.integers() | st.text(max_size=12) | st.floats().map(str) | st.booleans()
)
def test_any_number(raw: object) -> None:
    assert check_each(NUMBERS, lambda row: _is_sound(row, raw)) > 80


@settings(max_examples=100, deadline=None)
@given(
    raw=st.recursive(
        st.none() | st.booleans() | st.floats() | st.text() | st.binary() | st.dates(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=5,
    )
)
def test_any_content_of_a_file_is_a_value_or_a_problem(raw: object) -> None:
    def check(row: Field) -> None:
        value = outcome(row, raw)
        if isinstance(value, Problem):
            assert "\n" not in value.text()
        else:
            assert row.parse(value) == value

    assert check_each(FIELDS, check) > 200


@pytest.mark.parametrize(
    ("name", "raw", "value"),
    [
        ("learning_rate", "1e-4", 1e-4),
        ("learning_rate", 1, 1.0),
        ("lora_rank", "16", 16),
        ("lora_rank", 16.0, 16),
        ("bf16", "None", None),
        ("bf16", "YES", True),
        ("fp16", "off", False),
        ("quantization_bit", 4, "4"),
        ("save_strategy", False, "no"),  # YAML 1.1 reads a bare no as false
        ("dataset", ["a", " b "], "a,b"),
        ("dataset", "a, b,", "a,b"),
        ("dataset", "none,", None),
        ("dataset", ["", "a", " "], "a"),
        ("dataset", [], None),
        ("dataset", ["none"], None),
        ("interleave_probs", [0.5, "0.5 "], "0.5,0.5"),
        ("report_to", "none", "none"),
        *(("report_to", nothing, "none") for nothing in (None, "", "None", "null", [], False)),
        ("report_to", ["none"], "none"),
        ("finetuning_type", "LoRA", "lora"),
        ("save_strategy", "NO", "no"),
        ("reward_functions", "Exact_Match,JSON_valid", "exact_match,json_valid"),
        ("default_system", "  be kind\n", "be kind"),
    ],
)
def test_values_as_people_write_them(name: str, raw: object, value: object) -> None:
    parsed = FIELDS[name].parse(raw)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("name", "raw", "code"),
    [
        ("learning_rate", None, "value_missing"),
        ("fp16", "maybe", "not_bool"),
        ("lora_rank", "8.5", "not_int"),
        ("lora_rank", 8.5, "not_int"),
        ("per_device_train_batch_size", 0, "out_of_range"),
        ("max_steps", "-5", "out_of_range"),
        ("learning_rate", "fast", "not_number"),
        ("learning_rate", "NaN", "not_finite"),
        ("learning_rate", 11, "out_of_range"),
        ("default_system", {"a": 1}, "not_text"),
        ("default_system", "a\0b", "bad_character"),
        ("default_system", "\ud800", "bad_character"),
        ("default_system", "x" * (MAX_TEXT + 1), "too_long"),
        ("dataset", ["x" * 9000] * 3, "too_long"),
        ("dataset", [16**5000], "not_text"),
        ("stage", "sftt", "not_choice"),
        ("save_strategy", True, "not_choice"),
        ("lora_target", " , ", "value_missing"),
        ("lora_target", [",", ""], "comma_in_name"),
        ("galore_target", [","], "comma_in_name"),
        ("dataset", ["a", "b,c"], "comma_in_name"),
        ("add_special_tokens", ["<a,b>"], "comma_in_name"),
        ("reward_weights", ["1,2"], "comma_in_name"),
        ("lora_target", ["", " "], "value_missing"),
        ("lora_target", [], "value_missing"),
        ("reward_functions", "exact_match,nice", "not_choice"),
        ("reward_weights", "1,much", "not_number"),
        ("reward_weights", "nan", "not_finite"),
        ("interleave_probs", "0,1", "out_of_range"),
        ("interleave_probs", "-1,2", "out_of_range"),
        ("interleave_probs", "a,b", "not_number"),
    ],
)
def test_refusals_name_the_field_and_the_reason(name: str, raw: object, code: str) -> None:
    with pytest.raises(FieldError) as caught:
        FIELDS[name].parse(raw)
    assert (caught.value.problem.field, caught.value.problem.code) == (name, code)
    assert name in caught.value.problem.text()
