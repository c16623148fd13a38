"""Convert the turns of a conversation between the page and the API."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from backend.contract.base.problems import Problem, UsageError

FAILED = "⚠ "  # the start of an error that a column shows in place of an answer
RESULT = "observation"  # the role of a tool's result, as LLaMA-Factory calls it
CALL = re.compile(r"<tool_call>\n(.*?)\n</tool_call>", re.DOTALL)
THOUGHT = ("<thought>\n", "\n</thought>\n\n")  # around the reasoning before an answer
THOUGHTFUL = re.compile("<thought>\n(.*?)(?:\n</thought>\n\n|\\Z)(.*)", re.DOTALL)

Turn = dict[str, Any]


@dataclass
class Talk:
    """The state of one visitor's conversation.

    An answer is requested, begun and stopped by different events, and a stop may come before the
    answer has begun.
    """

    question: int = 0
    state: Literal["idle", "asked", "answering", "cleared"] = "idle"

    @property
    def busy(self) -> bool:
        """Whether an answer is being written, or will be."""
        return self.state in ("asked", "answering")

    @property
    def cleared(self) -> bool:
        """Whether all turns were removed and no question has been asked since."""
        return self.state == "cleared"

    def ask(self) -> None:
        """Note a question that is to be answered."""
        self.question, self.state = self.question + 1, "asked"

    def begin(self) -> int | None:
        """Begin the answer and return the number of its question; None where none is wanted."""
        if self.state != "asked":
            return None
        self.state = "answering"
        return self.question

    def goes_on(self, question: int) -> bool:
        """Whether the answer to this question is still wanted and not stopped."""
        return self.state == "answering" and self.question == question

    def end(self, question: int) -> None:
        """Note the end of the answer to this question; a later question is not affected."""
        if self.goes_on(question):
            self.state = "idle"

    def stop(self) -> None:
        """Stop the answer."""
        self.state = "idle"

    def clear(self) -> None:
        """Note that all turns were removed, which stops an answer, too."""
        self.state = "cleared"


def user_turn(message: str, role: str, title: str) -> Turn:
    """A turn of the person. The result of a tool is marked by a title."""
    turn: Turn = {"role": "user", "content": message}
    return {**turn, "metadata": {"title": title}} if role == RESULT else turn


def messages(history: Sequence[Turn], system: str) -> list[Turn]:
    """The turns for the API, with the system prompt, results of tools and calls of tools.

    A question that was answered with an error is left out together with the error.
    """
    turns: list[Turn] = []
    for turn in history:
        if turn["role"] == "assistant" and text_of(turn["content"]).startswith(FAILED):
            if turns and turns[-1]["role"] != "assistant":
                turns.pop()
        else:
            turns.append(_message(turn))
    return [{"role": "system", "content": system}, *turns] if system.strip() else turns


def _message(turn: Turn) -> Turn:
    text = text_of(turn["content"])
    if turn["role"] == "user":
        titled = (turn.get("metadata") or {}).get("title")
        return {"role": "tool" if titled else "user", "content": text}
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


def text_of(content: Any) -> str:
    """The text of a turn, in whichever form Gradio holds it."""
    if isinstance(content, list):
        return "".join(
            str(part.get("text", "")) if isinstance(part, dict) else str(part) for part in content
        )
    return str(content)


def read_history(history: object) -> list[Turn]:
    """The turns of a column that a browser has stored; [] for anything else."""
    return [
        {
            "role": turn["role"],
            "content": text_of(turn.get("content", "")),
            "metadata": turn.get("metadata") or {},
        }
        for turn in (history if isinstance(history, list) else [])
        if isinstance(turn, dict) and turn.get("role") in {"user", "assistant"}
    ]


def format_calls(calls: Sequence[Mapping[str, Any]]) -> str:
    """The tool calls of an answer as the page shows them, in the format of Hermes."""
    rows = [
        {"name": call["function"]["name"], "arguments": json.loads(call["function"]["arguments"])}
        for call in calls
    ]
    blocks = [f"<tool_call>\n{json.dumps(row, ensure_ascii=False)}\n</tool_call>" for row in rows]
    return "\n".join(blocks)


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
