"""Read the messages of a conversation (roles, texts, tool calls); refuse those that are wrong."""

import json
import re
from collections.abc import Mapping
from typing import Any

from backend.datafiles import media, values
from backend.datafiles.text import decoder

Message = dict[str, Any]

SHAREGPT = {
    "role_tag": "from",
    "content_tag": "value",
    "user_tag": "human",
    "assistant_tag": "gpt",
    "observation_tag": "observation",
    "function_tag": "function_call",
    "system_tag": "system",
}
OPENAI = {
    "role_tag": "role",
    "content_tag": "content",
    "user_tag": "user",
    "assistant_tag": "assistant",
    "observation_tag": "tool",
    "function_tag": "function_call",
    "system_tag": "system",
}
ROLES = {
    "user_tag": "user",
    "assistant_tag": "assistant",
    "observation_tag": "tool",
    "function_tag": "call",
    "system_tag": "system",
}
# Names of one role in either convention: a set that uses one of them may use the others, too.
SYNONYMS = {
    "user_tag": {"user", "human"},
    "assistant_tag": {"assistant", "gpt"},
    "observation_tag": {"tool", "observation"},
}
# Types of the parts of a message's content, in OpenAI's and transformers' words.
MEDIA = (
    *("image", "image_url", "input_image", "video", "video_url"),
    *("audio", "audio_url", "input_audio", "file"),
)
PARTS = ("text", *MEDIA)
# Roles of OpenAI's that no tag names: today's word for system, the word for tool before tool_calls.
FURTHER_ROLES = {"developer": "system", "function": "tool"}
# Keys of a call that hold its arguments: OpenAI's, Llama 3's, that of some agents.
ARGUMENTS = ("arguments", "parameters", "args")
# Names under which rows have what a reasoning model thinks before it answers, the usual one first.
THOUGHTS = ("reasoning_content", "thinking", "reasoning")
OWN = {"role", "content", "tool_calls", "train", "weight"}  # what `message` makes of an item itself

surrogate = re.compile("[\ud800-\udfff]")


class RowError(ValueError):
    """A row that is refused; `problem.<code>` says why. fatal: reading ends at such a row."""

    def __init__(self, code: str, fatal: bool = False) -> None:
        self.code = code
        self.fatal = fatal
        super().__init__(code)


def find_role_names(named: Mapping[str, str] | None, kind: str, items: Any) -> dict[str, str]:
    """The names of keys and roles: the entry's, else those in the first row's messages."""
    if named is not None:
        start = OPENAI if kind == "openai" else SHAREGPT
        keys = {key: start[key] for key in ("role_tag", "content_tag")}
        return {**dict.fromkeys(ROLES, ""), **keys, **named}
    first = items[0] if isinstance(items, list) and items and isinstance(items[0], dict) else {}
    if "role" in first and "from" not in first:
        return dict(OPENAI)
    if "from" in first:
        return dict(SHAREGPT)
    return dict(OPENAI if kind == "openai" else SHAREGPT)


def read_message(item: Any, names: Mapping[str, str]) -> Message:
    """Read one message of a list in the internal form. Raises RowError.

    Its further fields stay as they are, for templates that read them. A field that is null is
    left out, except a system text (backend.datafiles.ordering reports it).
    """
    if not isinstance(item, dict):
        raise RowError("row_wrong_type")
    role = _find_role(item.get(names["role_tag"]), names)
    older = _older_call(item, role)
    content, calls = item.get(names["content_tag"]), item.get("tool_calls") or older
    if content is None and role in {"assistant", "tool"}:
        content = ""
    if role == "call":
        message: Message = {"role": "assistant", "content": "", "tool_calls": _read_calls(content)}
    elif calls:
        message = {
            "role": "assistant",
            "content": read_text(content),
            "tool_calls": _read_calls(calls),
        }
    elif role == "system" and content is None:
        message = {"role": role, "content": None}
    else:
        message = {
            "role": role,
            "content": _result_text(content) if role == "tool" else read_text(content),
        }
    if not (_is_learned(item.get("train")) and _is_learned(item.get("weight"))):
        message["train"] = False
    if media.has_media(item, media.COLUMNS, OWN):
        raise RowError("row_media")
    own = OWN | {names["role_tag"], names["content_tag"]}
    if role == "assistant" and not item.get("tool_calls"):
        own |= {"function_call"}
    more = {key: value for key, value in item.items() if key not in own and value is not None}
    more |= {name: read_text(more[name]) for name in THOUGHTS if name in more}
    return {**more, **message}


def _older_call(item: Mapping[str, Any], role: str) -> Any:
    """The function_call of a message, OpenAI's form before tool_calls; None where it has none."""
    return item.get("function_call") if role == "assistant" else None


def is_older(items: Any, names: Mapping[str, str]) -> bool:
    """Whether a message, or one of a list of them, has OpenAI's older function_call or is the
    result of one. names: those of keys and roles; {} for those of sharegpt and openai."""
    listed = items if isinstance(items, list) else [items]
    return any(_has_older(item, names) for item in listed if isinstance(item, dict))


def _has_older(item: Mapping[str, Any], names: Mapping[str, str]) -> bool:
    key = names.get("role_tag") or _role_key(item)
    if item.get(key) == "function":
        return names.get("function_tag") != "function"
    try:
        role = _find_role(item.get(key), names) if names else role_of(item)
    except RowError:
        role = role_of(item)
    return bool(_older_call(item, role))


def _is_learned(value: Any) -> bool:
    """Whether `train` or `weight` of a message lets it be learned: true or false, 1 or 0, also as
    text; true where it is missing."""
    if value is None:
        return True
    word = str(value).strip().lower().removesuffix(".0")
    if word not in {"true", "false", "1", "0"}:
        raise RowError("row_bad_train")
    return word in {"true", "1"}


def find_thought(message: Mapping[str, Any]) -> str:
    """The thought of a message that stands beside its content; "" where there is none."""
    if message.keys().isdisjoint(THOUGHTS):
        return ""
    thoughts = (message.get(name) for name in THOUGHTS)
    return next((text for text in thoughts if isinstance(text, str) and text.strip()), "")


def are_same(left: list[Message], right: list[Message]) -> bool:
    """Whether two lists of messages have the same content, whatever other fields (ids, say) are.

    Numbers in calls are the same where their digits are, since the digits are learned.
    """
    return [_comparable(message) for message in left] == [_comparable(message) for message in right]


def _comparable(message: Message) -> list[Any]:
    calls = [call["function"] for call in message.get("tool_calls") or []]
    written = values.dumps(calls, sort_keys=True, default=str)
    return [message["role"], message["content"], written, *(message.get(name) for name in THOUGHTS)]


def read_text(value: Any) -> str:
    """A value as text (values.text_of), or the texts of content parts joined.

    Raises RowError where it is something else.
    """
    if isinstance(value, list):
        return "".join(map(_part_text, value))
    written = values.text_of(value)
    if written is None:
        raise RowError("row_wrong_type")
    return written


def _part_text(part: Any) -> str:
    """The text of a content part. Raises RowError for media and for what is no part."""
    if not isinstance(part, dict):
        raise RowError("row_wrong_type")
    kind = part.get("type", "text" if "text" in part else "")
    if kind == "text":
        return read_text(part.get("text"))
    raise RowError("row_media" if kind in MEDIA else "row_bad_part")


def _result_text(value: Any) -> str:
    """The result of a tool as text: a text or its parts joined; any other value as JSON."""
    items = value if isinstance(value, list) else [value]
    parts = all(isinstance(item, dict) and item.get("type") in PARTS for item in items)
    structured = isinstance(value, dict) or (isinstance(value, list) and not parts)
    return values.dumps(value, default=str) if structured else read_text(value)


def read_tools(value: Any) -> list[dict[str, Any]] | None:
    """Tools as a list of OpenAI's {type: function, function: {...}}; JSON text is read."""
    if isinstance(value, str) and value.strip():
        value = _parse_json(value)
    if value in (None, "", []):
        return None
    if isinstance(value, list):
        value = [_parse_json(tool) if isinstance(tool, str) else tool for tool in value]
    if not isinstance(value, list) or any(not isinstance(tool, dict) for tool in value):
        raise RowError("row_bad_tools")
    wrapped = [
        tool if "function" in tool else {"type": "function", "function": tool} for tool in value
    ]
    if any(not isinstance(tool["function"], dict) for tool in wrapped):
        raise RowError("row_bad_tools")
    return wrapped


def check_texts(messages: list[Message], *, answered: bool = True) -> None:
    """Raises RowError for a text that is null or has half a character (a lone surrogate), and,
    where answers are learned (`answered`), for an empty answer."""
    for message in messages:
        if message["content"] is None:
            raise RowError("row_wrong_type")
        answer = (
            message["content"].strip()
            or message.get("tool_calls")
            or message["role"] != "assistant"
        )
        if answered and not answer:
            raise RowError("row_empty_answer")
        check_characters(message["content"])
        more = [value for key, value in message.items() if key not in OWN]
        if more:
            check_characters(json.dumps(more, ensure_ascii=False, default=str))


def check_characters(written: str) -> None:
    """Raises RowError for half a character (a lone surrogate)."""
    if not written.isascii() and surrogate.search(written):
        raise RowError("row_bad_text")


def is_message_list(value: Any) -> bool:
    """Whether a value is a list of messages, with any names of their keys."""
    return bool(value) and isinstance(value, list) and any(_role_key(item) for item in value)


def read_messages(items: list[Any]) -> list[Message]:
    """Messages whose keys and roles are named as in sharegpt or openai. Raises RowError."""
    return [read_message(item, SHAREGPT if _role_key(item) == "from" else OPENAI) for item in items]


def role_of(item: Any) -> str:
    """The role of a message, by the names of sharegpt or openai; "" where it has none."""
    key = _role_key(item)
    try:
        return _find_role(item[key], SHAREGPT if key == "from" else OPENAI) if key else ""
    except RowError:
        return ""


def _role_key(item: Any) -> str:
    """The key of a message that holds its role; "" where it is no message."""
    return next((key for key in ("role", "from") if isinstance(item, dict) and key in item), "")


def _find_role(name: Any, names: Mapping[str, str]) -> str:
    if not isinstance(name, str):
        raise RowError("row_wrong_type")
    for tag, role in ROLES.items():
        if names.get(tag) and names[tag] == name:
            return role
    for tag, synonyms in SYNONYMS.items():
        if name in synonyms and names.get(tag) in synonyms:
            return ROLES[tag]
    if name in FURTHER_ROLES:
        return FURTHER_ROLES[name]
    raise RowError("row_unknown_role")


def _read_calls(value: Any) -> list[dict[str, Any]]:
    """Tool calls as OpenAI's, their arguments as objects where they are such."""
    if isinstance(value, str):
        value = _parse_json(value)
    items = value if isinstance(value, list) else [value]
    return [_read_call(item) for item in items]


def _read_call(item: Any) -> dict[str, Any]:
    function = item.get("function", item) if isinstance(item, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise RowError("row_bad_tools")
    arguments: Any = next((function[key] for key in ARGUMENTS if function.get(key)), {})
    if isinstance(arguments, str):
        arguments = _parse_json(arguments) or {}
    if not isinstance(arguments, dict):
        raise RowError("row_bad_tools")
    call = {"type": "function", "function": {"name": function["name"], "arguments": arguments}}
    return call if item.get("id") is None else {"id": item["id"], **call}


def _parse_json(value: str) -> Any:
    """Parse JSON text as rows of a file are: numbers keep their digits, NaN and keys that are there
    twice are refused. Raises RowError."""
    try:
        return decoder.decode(value)
    except (ValueError, RecursionError):
        raise RowError("row_bad_tools") from None
