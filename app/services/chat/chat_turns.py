"""Convert what the page holds, turns, tools and seed, to what the API takes."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from backend.contract.texts.problems import Problem, UsageError

CALL = re.compile(r"<tool_call>\n(.*?)\n</tool_call>", re.DOTALL)
THOUGHT = ("<thought>\n", "\n</thought>\n\n")  # around the reasoning before an answer
THOUGHTFUL = re.compile("<thought>\n(.*?)(?:\n</thought>\n\n|\\Z)(.*)", re.DOTALL)
WRITTEN_THOUGHT = re.compile(r"\s*<think>(.*?)(?:</think>|\Z)(.*)", re.DOTALL)

Turn = dict[str, Any]


def messages(history: Sequence[Turn], system: str) -> list[Turn]:
    """The turns for the API, with the system prompt, results of tools and calls of tools.

    A question without an answer is left out where another one follows, as chat templates expect
    the roles to alternate.
    """
    following = [*history[1:], None]
    turns = [
        _message(turn)
        for turn, after in zip(history, following, strict=True)
        if turn["role"] == "assistant" or after is None or after["role"] == "assistant"
    ]
    return [{"role": "system", "content": system}, *turns] if system.strip() else turns


def _message(turn: Turn) -> Turn:
    text = turn["content"]
    if turn["role"] != "assistant":
        return {"role": turn["role"], "content": text}
    thoughtful = THOUGHTFUL.fullmatch(text)
    thought, text = thoughtful.groups() if thoughtful else ("", text)
    message = {"role": turn["role"], **({"reasoning_content": thought} if thought else {})}
    try:
        calls = [json.loads(each) for each in CALL.findall(text)]
    except ValueError:  # a malformed call stays text
        calls = []
    if not calls:
        return {**message, "content": text}
    shaped = [{"type": "function", "function": call} for call in calls]
    return {**message, "content": CALL.sub("", text).strip(), "tool_calls": shaped}


def split_thought(text: str) -> tuple[str, str]:
    """Split an answer into its reasoning and the rest; the reasoning is "" where there is none.

    The server has marked the reasoning, or the model has written <think> itself.
    """
    match = THOUGHTFUL.fullmatch(text) or WRITTEN_THOUGHT.fullmatch(text)
    if match is None:
        return "", text
    thought, answer = match.groups()
    return thought.strip("\n"), answer.lstrip("\n")


class CallText:
    """The tool calls of an answer as the page shows them while they come, in Hermes' format."""

    def __init__(self) -> None:
        self._is_open = False
        self._count = 0

    def add(self, delta: Mapping[str, Any]) -> str:
        """The text of a delta of the answer, its calls included."""
        content = delta.get("content") or ""
        text = self.close() + content if content else ""
        for call in delta.get("tool_calls") or []:
            function = call.get("function") or {}
            if function.get("name"):
                text += self.close() + ("\n" if self._count else "")
                name = json.dumps(function["name"], ensure_ascii=False)
                text += f'<tool_call>\n{{"name": {name}, "arguments": '
                self._is_open = True
                self._count += 1
            text += function.get("arguments") or ""
        return text

    def close(self) -> str:
        """The end of the call that has come last."""
        end, self._is_open = "}\n</tool_call>" if self._is_open else "", False
        return end


def parse_tools(text: str) -> list[Turn]:
    """The tools for the API, from a JSON list of functions with names. Raises UsageError."""
    if not text.strip():
        return []
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(Problem(code="tools_json", params={"reason": str(error)[:120]})) from None
    if not isinstance(rows, list):
        raise UsageError(Problem(code="tools_list"))
    functions = []
    for number, row in enumerate(rows, 1):
        function = row.get("function", row) if isinstance(row, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise UsageError(Problem(code="tools_name", params={"number": number}))
        functions.append({"type": "function", "function": function})
    return functions


def parse_seed(text: str) -> int | None:
    """The seed as a number; None for a random one each time. Raises UsageError."""
    text = text.strip()
    if text in {"", "-1"}:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise UsageError(Problem(code="chat_seed", params={"value": text[:40]}))
    return int(text)
