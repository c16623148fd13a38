"""Refuse fields and variables of a request that its chat template does not read."""

from collections.abc import Mapping, Sequence
from typing import Any

from backend.contract.texts.problems import Problem, UsageError
from backend.data.rendering import SWITCHES, Template
from backend.datafiles.turns import THOUGHTS
from backend.serving.generation_request import SHOWN, Message

# Variables that every template has; no request may change them.
GIVEN_ANYWAY = {"messages", "tools", "add_generation_prompt", "raise_exception", "strftime_now"}
# Fields of a message that are not for the model, or are checked elsewhere.
NOT_READ = {"role", "content", "id", "cache_control"}
# Further fields of an earlier answer; `parsed` is the content as the openai package has read it.
ASSISTANT_FIELDS = {"tool_calls", "parsed", *THOUGHTS}


def refuse_unread(messages: Sequence[Message], template: Template) -> None:
    """Raises UsageError for a field of a message that has a value and would have no effect.

    These fields may be unread: empty ones; those that repeat another field or the message's place;
    hints to a cache and ids, which are not for the model. A thought that the template does not read
    is dropped, as templates drop those of earlier turns.
    """
    called: list[str] = []
    for number, message in enumerate(messages):
        for name, value in message.items():
            if not (_is_empty(value) or name in NOT_READ or _is_taken(name, message, called)):
                _refuse_unless_read(name, f"messages.{number}.{name[:SHOWN]}", template)
        called += [call["function"]["name"] for call in message.get("tool_calls", [])]


def _is_empty(value: Any) -> bool:
    """Whether a value is null, false, an empty text or list, or an object of such values.

    A number is not empty, not even 0.
    """
    if isinstance(value, dict):
        return all(map(_is_empty, value.values()))
    return value is None or value is False or value in ("", [])


def _is_taken(name: str, message: Message, called: list[str]) -> bool:
    """Whether this message may have the field without the template reading it."""
    if message["role"] == "assistant":
        if name == "reasoning_details":  # OpenRouter's: the thought once more, in parts
            return any(message.get(thought) for thought in THOUGHTS)
        return name in ASSISTANT_FIELDS
    if message["role"] == "tool":
        if name == "status":  # LangChain's
            return message[name] == "success"
        return name == "tool_call_id" or (name == "name" and message[name] in called)
    return False


def _refuse_unless_read(name: str, place: str, template: Template) -> None:
    if name == "tool_calls" or template.ignores(name):
        params = {"name": place}
        raise UsageError(Problem(code="message_field_ignored", field=place, params=params))


def template_variables(requested: Mapping[str, Any], template: Template) -> dict[str, Any]:
    """The variables under the names that the template reads.

    Raises UsageError for a variable without effect (except thinking switched off where there is
    none), for a switch that is neither true nor false, and for two names of one switch with
    different values.
    """
    known = {name for name in template.reads.variables - GIVEN_ANYWAY if name[-6:] != "_token"}
    variables = {}
    for name, value in requested.items():
        names = (name, *SWITCHES) if name in SWITCHES else (name,)
        read = next((each for each in names if each in known), None)
        _require_boolean(name, value, name in SWITCHES or read in template.reads.switches)
        if read is not None:
            variables[read] = value
        elif value or name not in SWITCHES:
            params = {"name": name[:SHOWN], "known": ", ".join(sorted(known))}
            code = "template_variable_ignored" if known else "template_without_variables"
            raise _error(code, name, params)
    if len({requested[name] for name in SWITCHES if name in requested}) > 1:
        raise _error("template_switches_differ", SWITCHES[0], {"names": ", ".join(SWITCHES)})
    return variables


def _require_boolean(name: str, value: Any, is_switch: bool) -> None:
    """Raises UsageError for a switch as text, since "false" is true for a template."""
    in_quotes = isinstance(value, str) and value.strip().lower() in {"true", "false"}
    if in_quotes or (is_switch and not isinstance(value, bool)):
        params = {"name": name[:SHOWN], "value": repr(value)[:SHOWN]}
        raise _error("template_variable_no_boolean", name, params)


def _error(code: str, name: str, params: Mapping[str, str]) -> UsageError:
    field = name if name == "reasoning_effort" else f"chat_template_kwargs.{name[:SHOWN]}"
    return UsageError(Problem(code=code, field=field, params=params))
