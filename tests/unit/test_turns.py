"""One message of a row in the internal shape: calls, thoughts, what is to be learned."""

from typing import Any

import pytest

from backend.datafiles.turns import OPENAI, SHAREGPT, RowError, is_older, read_message


def refusal(item: dict[str, Any]) -> str:
    with pytest.raises(RowError) as caught:
        read_message({"role": "assistant", "content": "4", **item}, OPENAI)
    return caught.value.code


@pytest.mark.parametrize("key", ["arguments", "parameters", "args"])
def test_arguments_of_a_call_are_found_under_each_of_their_names(key: str) -> None:
    """OpenAI's arguments; Llama 3's template writes parameters; args in sets of agents."""
    call = f'{{"name": "add", "{key}": {{"a": 1}}}}'
    message = read_message({"from": "function_call", "value": call}, SHAREGPT)
    assert message["tool_calls"][0]["function"] == {"name": "add", "arguments": {"a": 1}}


@pytest.mark.parametrize("arguments", ['"text"', "[1]", [1], 3, "{"])
def test_arguments_that_are_no_object_are_refused(arguments: Any) -> None:
    call = {"function": {"name": "add", "arguments": arguments}}
    assert refusal({"tool_calls": [call]}) == "row_bad_tools"


OLDER = {"name": "add", "arguments": '{"a": 1}'}
ADD = [{"type": "function", "function": {"name": "add", "arguments": {"a": 1}}}]


def test_openai_s_older_calls_and_results_are_today_s() -> None:
    """function_call and the role function of OpenAI's API up to 2023-11, openai 1.x's
    ChatCompletionFunctionMessageParam: a call of its own, and what it gave back."""
    for more in ({}, {"tool_calls": None}, {"tool_calls": []}):
        item = {"role": "assistant", "content": None, "function_call": OLDER, **more}
        assert read_message(item, OPENAI) == {"role": "assistant", "content": "", "tool_calls": ADD}
    call = read_message({"role": "assistant", "content": "I add.", "function_call": OLDER}, OPENAI)
    assert (call["content"], call["tool_calls"]) == ("I add.", ADD)
    for empty in (None, {}, ""):
        item = {"role": "assistant", "content": "4", "function_call": empty}
        assert read_message(item, OPENAI) == {"role": "assistant", "content": "4"}
    result = read_message({"role": "function", "name": "add", "content": None}, OPENAI)
    assert result == {"role": "tool", "name": "add", "content": ""}
    assert refusal({"function_call": {"name": "add", "arguments": "{"}}) == "row_bad_tools"
    assert refusal({"function_call": "add"}) == "row_bad_tools"


def test_an_older_call_is_read_whatever_the_assistant_is_called() -> None:
    """A turn of gpt, model or bot with function_call lost its call without a word: the field was
    read where the role is written "assistant" only."""
    own = {**OPENAI, "assistant_tag": "bot"}
    for key, value, role, names in (
        ("from", "value", "gpt", SHAREGPT),
        ("from", "value", "assistant", SHAREGPT),
        ("role", "content", "gpt", OPENAI),
        ("role", "content", "bot", own),
    ):
        item = {key: role, value: "I add.", "function_call": OLDER}
        assert read_message(item, names) == {
            "role": "assistant",
            "content": "I add.",
            "tool_calls": ADD,
        }, role
        assert is_older([item], names), role
        assert not is_older([{key: role, value: "4"}], names), role
    asked = {"role": "user", "content": "q", "function_call": OLDER}
    assert (
        read_message(asked, OPENAI) == asked
    )  # no call of the model's; said of as any other field
    assert not is_older(asked, OPENAI)
    assert is_older({"from": "function", "value": "3"}, SHAREGPT)


def test_both_conventions_name_the_same_roles() -> None:
    for name, role in (("user", "user"), ("assistant", "assistant"), ("tool", "tool")):
        assert read_message({"from": name, "value": "x"}, SHAREGPT)["role"] == role
    for name, role in (("human", "user"), ("gpt", "assistant"), ("observation", "tool")):
        assert read_message({"role": name, "content": "x"}, OPENAI)["role"] == role
    own = {**SHAREGPT, "user_tag": "gpt", "assistant_tag": "human", "observation_tag": ""}
    assert read_message({"from": "gpt", "value": "x"}, own)["role"] == "user"
    with pytest.raises(RowError):
        read_message({"from": "tool", "value": "x"}, own)


@pytest.mark.parametrize("text", ['{"a": NaN}', '{"a": 1, "a": 2}', '{"a": 1e999}'])
def test_json_text_is_read_as_strictly_as_rows_are(text: str) -> None:
    assert refusal({"function_call": {"name": "add", "arguments": text}}) == "row_bad_tools"


@pytest.mark.parametrize("arguments", [None, "", "{}", "null", {}])
def test_a_call_may_have_no_arguments(arguments: Any) -> None:
    call = {"function": {"name": "now", "arguments": arguments}}
    message = read_message({"role": "assistant", "content": None, "tool_calls": [call]}, OPENAI)
    assert message["tool_calls"][0]["function"]["arguments"] == {}


def test_a_thought_is_a_text_as_an_answer_is() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    for value, wanted in ((7, "7"), (parts, "ab"), ("x", "x")):
        message = read_message({"role": "assistant", "content": "4", "reasoning": value}, OPENAI)
        assert message["reasoning"] == wanted
    assert refusal({"reasoning_content": {"t": "x"}}) == "row_wrong_type"


def test_what_is_not_to_be_learned_is_said_in_any_form() -> None:
    for name, value in (("train", False), ("train", 0), ("train", "false"), ("weight", 0.0)):
        message = read_message({"role": "assistant", "content": "4", name: value}, OPENAI)
        assert message["train"] is False, (name, value)
    for name, value in (("train", True), ("train", None), ("weight", 1), ("weight", "1")):
        assert "train" not in read_message(
            {"role": "assistant", "content": "4", name: value}, OPENAI
        )
    assert refusal({"weight": 0.5}) == refusal({"train": "maybe"}) == "row_bad_train"


def test_a_part_that_is_neither_text_nor_a_picture_is_not_called_a_picture() -> None:
    """Some clients write thoughts as parts of a content."""
    assert refusal({"content": [{"type": "thinking", "thinking": "x"}]}) == "row_bad_part"
    assert refusal({"content": [{"type": "image_url", "image_url": "x"}]}) == "row_media"
