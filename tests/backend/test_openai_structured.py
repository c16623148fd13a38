"""Answers that are held to a JSON schema or to calls of tools, by OpenAI's own client."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import jsonschema
import pytest
from pydantic import BaseModel, Field

from backend.serving.engine import Engine
from backend.serving.service import Service
from tests.backend.conftest import make_teacher
from tests.backend.openai_clients import connected
from tests.backend.test_serve_process import api_values

openai = pytest.importorskip("openai")  # of the extra "dev"
HELLO: Any = [{"role": "user", "content": "Who are you?"}]
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 6},
        "kind": {"enum": ["cat", "dog", None]},
        "ages": {
            "type": "array",
            "items": {"type": "integer", "minimum": 0, "maximum": 99},
            "minItems": 1,
            "maxItems": 3,
        },
        "home": {"$ref": "#/$defs/place"},
    },
    "required": ["name", "kind", "ages"],
    "additionalProperties": False,
    "$defs": {"place": {"type": "object", "properties": {}, "additionalProperties": False}},
}
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 5}},
    "required": ["city"],
    "additionalProperties": False,
}
COUNT = {
    "type": "object",
    "properties": {"count": {"type": "integer", "minimum": 1, "maximum": 9}},
    "required": ["count"],
    "additionalProperties": False,
}
TOOLS: Any = [
    {"type": "function", "function": {"name": "weather", "parameters": CITY, "strict": True}},
    {"type": "function", "function": {"name": "order", "parameters": COUNT}},
]
PARAMETERS = {"weather": CITY, "order": COUNT}
DRAWN: dict[str, Any] = {"temperature": 1.5, "top_p": 1.0, "max_tokens": 300}


@pytest.fixture(scope="module")
def client(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A random model with sharp opinions, none of which is JSON."""
    folder = make_teacher(tiny_model_dir, tmp_path_factory.mktemp("models") / "sharp")
    values = api_values(model_name_or_path=str(folder))
    service = Service("tiny", lambda: Engine.load(values))
    with connected(service) as made:
        yield made


def ask(client: Any, **more: Any) -> Any:
    return client.chat.completions.create(model="tiny", messages=HELLO, **{**DRAWN, **more})


def format_of(schema: dict[str, Any]) -> Any:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


def test_every_answer_is_valid_by_its_schema_and_ends(client: Any) -> None:
    """Answers of a crowd; the model alone writes nothing like JSON."""

    def answer_of(seed: int) -> Any:
        return ask(client, seed=seed, response_format=format_of(SCHEMA)).choices[0]

    with ThreadPoolExecutor(8) as pool:
        choices = list(pool.map(answer_of, range(16)))
    texts = {choice.message.content for choice in choices}
    assert len(texts) > 8
    for choice in choices:
        assert choice.finish_reason == "stop"
        jsonschema.validate(json.loads(choice.message.content), SCHEMA)
    assert answer_of(3).message.content == choices[3].message.content, "as if it were alone"
    plain = ask(client, seed=3).choices[0].message.content
    assert not plain.startswith("{")


def test_the_client_s_own_parse_gets_its_object(client: Any) -> None:
    class Animal(BaseModel):
        kind: Literal["cat", "dog"]
        legs: int = Field(ge=0, le=8)

    done = client.chat.completions.parse(
        model="tiny", messages=HELLO, response_format=Animal, seed=1, **DRAWN
    )
    parsed = done.choices[0].message.parsed
    assert isinstance(parsed, Animal)
    with client.chat.completions.stream(
        model="tiny", messages=HELLO, response_format=Animal, seed=1, **DRAWN
    ) as stream:
        assert stream.get_final_completion().choices[0].message.parsed == parsed


def test_any_object(client: Any, tiny_tokenizer: Any) -> None:
    """`}` is made so likely that the object ends as soon as it may."""
    (closes,) = tiny_tokenizer.encode("}")
    more: Any = {"response_format": {"type": "json_object"}, "logit_bias": {str(closes): 100}}
    choice = ask(client, **more, temperature=0).choices[0]
    assert (json.loads(choice.message.content), choice.finish_reason) == ({}, "stop")


def calls_of(choice: Any) -> list[tuple[str, Any]]:
    """The calls of a choice, each valid by the schema of its tool."""
    calls = []
    for call in choice.message.tool_calls or []:
        arguments = json.loads(call.function.arguments)
        jsonschema.validate(arguments, PARAMETERS[call.function.name])
        calls.append((call.function.name, arguments))
    return calls


def test_a_call_that_must_be_is_made(client: Any) -> None:
    names = set()
    for seed in range(6):
        choice = ask(
            client, tools=TOOLS, tool_choice="required", parallel_tool_calls=False, seed=seed
        ).choices[0]
        assert choice.finish_reason == "tool_calls"
        assert not choice.message.content
        ((name, _),) = calls_of(choice)
        names.add(name)
    assert names == {"weather", "order"}


def test_a_named_function_is_called(client: Any) -> None:
    for name in PARAMETERS:
        named = {"type": "function", "function": {"name": name}}
        for seed in range(3):
            choice = ask(client, tools=TOOLS, tool_choice=named, seed=seed).choices[0]
            assert {called for called, _ in calls_of(choice)} == {name} or (
                choice.finish_reason == "length"
            )


def test_allowed_tools(client: Any) -> None:
    allowed = {
        "type": "allowed_tools",
        "allowed_tools": {
            "mode": "required",
            "tools": [{"type": "function", "function": {"name": "order"}}],
        },
    }
    choice = ask(
        client, tools=TOOLS, tool_choice=allowed, parallel_tool_calls=False, seed=0
    ).choices[0]
    assert [name for name, _ in calls_of(choice)] == ["order"]


def test_a_call_that_must_be_in_a_stream(client: Any) -> None:
    more: Any = {"tools": TOOLS, "tool_choice": "required", "parallel_tool_calls": False, "seed": 1}
    whole = ask(client, **more).choices[0]
    with client.chat.completions.stream(model="tiny", messages=HELLO, **DRAWN, **more) as stream:
        final = stream.get_final_completion().choices[0]
    assert final.finish_reason == "tool_calls"
    assert calls_of(final) == calls_of(whole) != []


def test_an_answer_by_a_schema_or_a_call(client: Any) -> None:
    """With tools beside a response_format, as agents send them, the answer is one of both."""
    kinds = set()
    for seed in range(10):
        choice = ask(
            client,
            tools=TOOLS,
            response_format=format_of(SCHEMA),
            parallel_tool_calls=False,
            seed=seed,
        ).choices[0]
        if calls_of(choice):
            kinds.add("call")
        else:
            jsonschema.validate(json.loads(choice.message.content), SCHEMA)
            kinds.add("text")
    assert kinds <= {"call", "text"}


REFUSED: dict[str, dict[str, Any]] = {
    "uniqueItems": {"type": "array", "items": {"type": "integer"}, "uniqueItems": True},
    "contains": {"type": "array", "contains": {"const": 5}},
    "not": {"type": "string", "not": {"const": "a"}},
    "if": {"type": "object", "if": {"required": ["a"]}, "then": {"required": ["b"]}},
    "dependentRequired": {"type": "object", "dependentRequired": {"a": ["b"]}},
    "propertyNames": {"type": "object", "propertyNames": {"pattern": "^a"}},
    "unevaluatedProperties": {"type": "object", "unevaluatedProperties": False},
    "oneOf": {"oneOf": [{"type": "integer"}, {"type": "number"}]},
    "klingon": {"type": "string", "format": "klingon"},
    "look-ahead": {"type": "string", "pattern": "(?=a)b"},
}


@pytest.mark.parametrize("keyword", REFUSED)
def test_a_schema_that_cannot_be_enforced_is_refused_by_keyword(client: Any, keyword: str) -> None:
    """Also one whose author asks the library to be lenient, and that of a strict tool."""
    lenient = {**REFUSED[keyword], "x-guidance": {"lenient": True, "coerce_one_of": True}}
    for schema in (REFUSED[keyword], lenient):
        with pytest.raises(openai.BadRequestError) as caught:
            ask(client, response_format=format_of(schema))
        assert caught.value.param == "response_format.json_schema.schema"
        assert keyword in caught.value.message
    inner = {"type": "object", "properties": {"x": REFUSED[keyword]}}
    strict = {"name": "f", "parameters": inner, "strict": True}
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, tools=[{"type": "function", "function": strict}], tool_choice="required")
    assert caught.value.param == "tools.0.function.parameters"
    assert keyword in caught.value.message


def test_after_a_refusal_others_are_answered(client: Any) -> None:
    with pytest.raises(openai.BadRequestError):
        ask(client, response_format=format_of(REFUSED["not"]))
    assert ask(client, seed=1).choices[0].message.content
