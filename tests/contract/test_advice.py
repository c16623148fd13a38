"""What is advised can be used: presets, recommended values, and the recipes of four questions."""

from itertools import pairwise

import pytest

from backend.contract.advice.model_kind import ModelKind, kind_of
from backend.contract.advice.purposes import FROM_TABLE, PURPOSES, advise
from backend.contract.advice.recommended import SOURCES, TABLE, plain_rates, recommend
from backend.contract.advice.ways import QUESTIONS, choose_way, list_ways
from backend.contract.arguments.arguments import check_parsed, parse
from backend.contract.arguments.fields import FIELDS
from backend.contract.launching import recipes
from backend.contract.texts.locales import has, languages, t
from backend.contract.texts.problems import errors
from tests import presets

KINDS = [ModelKind(), *(ModelKind("llama", size) for size in (0.1, 1.0, 8.0, 70.0))]


@pytest.mark.parametrize("purpose", PURPOSES)
def test_a_preset_holds_values_that_the_form_takes(purpose: str) -> None:
    for kind in KINDS:
        advised = advise(PURPOSES[purpose], kind, "sft", "lora")
        assert len(advised) > 3
        values = {each.argument: each.value for each in advised}
        parsed, problems = parse({**values, "model_name_or_path": "x/y", "dataset": "z"}, "train")
        assert not errors(check_parsed(parsed, problems, "train"))
        assert {name: parsed[name] for name in values} == values


def test_every_value_has_its_reason_in_every_language() -> None:
    reasons = {each.reason for choices in PURPOSES.values() for each in choices} | {"measured"}
    assert len(reasons) > 6
    for lang in languages():
        for purpose in PURPOSES:
            assert t(f"purpose.name.{purpose}", lang)
        for reason in reasons:
            assert t(f"purpose.why.{reason}", lang, source="x")


def test_what_a_person_has_set_decides_what_the_table_says() -> None:
    kind = ModelKind("qwen", 8.0)
    through_adapter = {
        each.argument: each.value for each in advise(PURPOSES["facts"], kind, "sft", "full")
    }
    of_all = advise(PURPOSES["facts"], kind, "sft", "full", {"finetuning_type"})
    assert through_adapter["learning_rate"] == 1e-4
    assert {each.argument: each.value for each in of_all}["learning_rate"] == 1e-5


def test_every_row_of_the_table_names_a_source_and_is_used() -> None:
    assert {row.source for row in TABLE} <= {*SOURCES}
    assert {*SOURCES} == {row.source for row in TABLE}
    assert all(address.startswith("https://") for name, address in SOURCES.values() if address)
    kinds = [
        ModelKind(family, size)
        for family in ("", "smollm", "qwen", "gemma", "mistral", "llama")
        for size in (0.1, 8.0, 70.0)
    ]
    stages = FIELDS["stage"].choices
    used = {
        row
        for kind in kinds
        for stage in stages
        for method in ("lora", "full")
        for argument in {row.argument for row in TABLE}
        if (row := recommend(argument, kind, stage, method))
    }
    assert len(TABLE) > 20
    assert [row for row in TABLE if row not in used] == []


def test_a_recommended_rate_is_not_remarked_on() -> None:
    """Whatever the model, stage and method, and the larger the model, the lower the range."""
    for stage in FIELDS["stage"].choices:
        for method in FIELDS["finetuning_type"].choices:
            for kind in KINDS:
                row = recommend("learning_rate", kind, stage, method)
                lowest, highest = plain_rates(kind, stage, method)
                assert row is not None
                assert isinstance(row.value, float)
                assert lowest <= row.value <= highest
            for small, large in pairwise(KINDS[1:]):
                assert plain_rates(small, stage, method)[1] >= plain_rates(large, stage, method)[1]


@pytest.mark.parametrize(
    ("name", "family", "billions"),
    [
        ("Qwen/Qwen3-8B", "qwen", 8.0),
        ("HuggingFaceTB/SmolLM2-135M-Instruct", "smollm", 0.135),
        ("Qwen/Qwen3-30B-A3B", "qwen", 30.0),
        ("mistralai/Mixtral-8x7B-v0.1", "", None),
        ("", "", None),
        ("a/" + "x" * 5000, "", None),
    ],
)
def test_the_kind_of_a_model_is_read_from_its_name(
    name: str, family: str, billions: float | None
) -> None:
    assert kind_of(name) == ModelKind(family, billions)


def test_every_answer_leads_to_a_recipe_and_every_way_is_reached() -> None:
    ways = list_ways()
    assert len(ways) == 24
    assert len({*ways.values()}) == 7
    assert {*ways.values()} <= {*recipes.list_recipes()}
    assert choose_way("far", "some", "base", "free") == "base_pretrain_domain_sft"
    for name, answers in QUESTIONS.items():
        assert has(f"guide.{name}")
        assert all(has(f"guide.{name}_{answer}") for answer in answers)


def test_the_documents_hold_the_table_as_it_is() -> None:
    """`python -m tests.presets FOLDER write` writes it."""
    assert presets.recommended() in presets.PAGE.read_text(encoding="utf-8")


def test_each_preset_was_measured() -> None:
    text = presets.PAGE.read_text(encoding="utf-8")
    by_purpose = {*PURPOSES} - {"recommended"}
    assert by_purpose
    assert [name for name in by_purpose if f"| {name} |" not in text] == []


def test_values_of_the_table_say_so() -> None:
    advised = advise(PURPOSES["recommended"], ModelKind("llama", 8.0), "sft", "lora")
    assert all(each.source for each in advised if each.reason == FROM_TABLE)
