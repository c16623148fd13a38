"""Tool calls in an answer's text, in the forms that models write; everything else stays text.

Hermes and Qwen: <tool_call>{"name": ..., "arguments": ...}</tool_call>. Llama 3: {"name": ...,
"parameters": ...} as the whole answer. Mistral: [TOOL_CALLS] and a list of such objects, or a
name and its arguments. Marks that are special tokens may have been left out of the text.
"""

import json
import re
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from backend.serving.decoding import possible_start

HERMES = "<tool_call>"
MARKS = (HERMES, "[TOOL_CALLS]", "<|python_tag|>")
HERMES_CALL = re.compile(r"<tool_call>\s*(.*?)\s*(?:</tool_call>|\Z)", re.DOTALL)
NAMED = re.compile(r"\s*([\w.-]+)\s*(?:\[ARGS\])?\s*(?=\{)")
GAP = re.compile(r"[\s;,]*")

Json = dict[str, Any]
Call = tuple[str, Json]


class Calls:
    """Takes the answer to a request with these tools, piece by piece.

    `add` gives what may be shown at once; `end` what was held back, or the calls in it, as
    OpenAI writes them. Without tools everything is shown at once.
    """

    def __init__(self, tools: Sequence[Json] | None) -> None:
        own = [tool.get("function", tool) for tool in tools or []]
        self._names = {str(one["name"]) for one in own if isinstance(one, dict) and "name" in one}
        self._takes = bool(tools)
        self._held = ""
        self._begun = False  # some text was shown: from here on only a mark begins a call
        self._marked = False

    def add(self, piece: str) -> str:
        """The part of the text so far that is no call and cannot become one."""
        if not self._takes:
            return piece
        self._held += piece
        if self._marked or (not self._begun and self._may_be_bare()):
            return ""
        places = [at for at in map(self._held.find, MARKS) if at >= 0]
        self._marked = bool(places)
        until = min(places) if places else len(self._held) - possible_start(self._held, MARKS)
        shown, self._held = self._held[:until], self._held[until:]
        self._begun = self._begun or bool(shown.strip())
        return shown

    def end(self) -> tuple[str, list[Json]]:
        """The rest of the text, or "" and the calls that it was."""
        found = self._calls()
        if not found:
            return self._held, []
        return "", [
            {
                "id": f"call_{uuid.uuid4().hex[:24]}",
                "type": "function",
                "function": {"name": name, "arguments": json.dumps(given, ensure_ascii=False)},
            }
            for name, given in found
        ]

    def _may_be_bare(self) -> bool:
        text = self._held.lstrip()
        return (
            not text
            or text[0] in "{["
            or any(text.startswith(name) or name.startswith(text) for name in self._names)
        )

    def _calls(self) -> list[Call]:
        """Every call of the held text; none where a part of it is something else."""
        text = self._held.strip()
        if text.startswith(HERMES):
            if GAP.fullmatch(HERMES_CALL.sub("", text)) is None:
                return []
            found = [_call(_json(part)) for part in HERMES_CALL.findall(text)]
            return [one for one in found if one] if all(found) else []
        for mark in MARKS:
            text = text.removeprefix(mark)
        found = list(_bare(text))
        known = all(one and one[0] in self._names for one in found)
        return [one for one in found if one] if known else []


def _bare(text: str) -> Iterator[Call | None]:
    """The calls of a text of JSON values one after the other; None for what is none."""
    at = GAP.match(text).end()  # type: ignore[union-attr]
    while at < len(text):
        named = NAMED.match(text, at)
        try:
            value, at = json.JSONDecoder().raw_decode(text, named.end() if named else at)
        except (ValueError, RecursionError):
            yield None
            return
        if named:
            yield (named[1], value) if isinstance(value, dict) else None
        else:
            yield from map(_call, value if isinstance(value, list) else [value])
        at = GAP.match(text, at).end()  # type: ignore[union-attr]


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _call(value: Any) -> Call | None:
    """The name and arguments of a call, or None where the value is no call."""
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return None
    given = value.get("arguments", value.get("parameters", {}))
    given = _json(given) if isinstance(given, str) else given
    return (value["name"], given) if isinstance(given, dict) else None
