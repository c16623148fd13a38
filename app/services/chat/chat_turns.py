"""The turns of a conversation as the page shows them and as the API takes them."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from backend.contract.base.problems import Problem, UsageError

FAILED = "⚠ "  # what a column says in place of an answer begins so
RESULT = "observation"  # the role of what a tool gave back, as people know it
CALL = re.compile(r"<tool_call>\n(.*?)\n</tool_call>", re.DOTALL)
THOUGHT = ("<thought>\n", "\n</thought>\n\n")  # around what a model thought before it answered
THOUGHTFUL = re.compile("<thought>\n(.*?)(?:\n</thought>\n\n|\\Z)(.*)", re.DOTALL)

Turn = dict[str, Any]


@dataclass
class Talk:
    """Where one visitor's talk stands. An answer is asked for, begun and broken off by different
    events, and what breaks it off may come before it has begun."""

    question: int = 0
    state: Literal["idle", "asked", "answering", "cleared"] = "idle"

    @property
    def busy(self) -> bool:
        """Whether an answer is being written, or about to be."""
        return self.state in ("asked", "answering")

    @property
    def cleared(self) -> bool:
        """Whether all turns were taken away and nothing has been asked since."""
        return self.state == "cleared"

    def ask(self) -> None:
        """A question is to be answered."""
        self.question, self.state = self.question + 1, "asked"

    def begin(self) -> int | None:
        """The number of the question that is answered from now on; None: none is to be."""
        if self.state != "asked":
            return None
        self.state = "answering"
        return self.question

    def goes_on(self, question: int) -> bool:
        """Whether the answer to this question is still wanted."""
        return self.state == "answering" and self.question == question

    def end(self, question: int) -> None:
        """The answer to this question has ended, whatever has been asked since."""
        if self.goes_on(question):
            self.state = "idle"

    def stop(self) -> None:
        """The answer is to end where it is."""
        self.state = "idle"

    def clear(self) -> None:
        """All turns are taken away, an answer that is still written as well."""
        self.state = "cleared"


def user_turn(message: str, role: str, title: str) -> Turn:
    """A turn of the person's; what a tool gave back carries a title, by which it is known."""
    turn: Turn = {"role": "user", "content": message}
    return {**turn, "metadata": {"title": title}} if role == RESULT else turn


def messages(history: Sequence[Turn], system: str) -> list[Turn]:
    """The turns for the API: system prompt, results of tools, and calls that answers made.

    A question that was answered with an error is left out together with it.
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
    except ValueError:  # a call that the model has not written right stays text
        calls = []
    if not calls:
        return {**message, "content": text}
    shaped = [{"type": "function", "function": call} for call in calls]
    return {**message, "content": CALL.sub("", text).strip(), "tool_calls": shaped}


def text_of(content: Any) -> str:
    """The words of a turn, whatever form Gradio keeps them in."""
    if isinstance(content, list):
        return "".join(
            str(part.get("text", "")) if isinstance(part, dict) else str(part) for part in content
        )
    return str(content)


def read_history(history: object) -> list[Turn]:
    """The turns of a column as a browser gives them back; [] for anything else."""
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
    """Tool calls of an answer as the page shows them, in the manner of Hermes."""
    rows = [
        {"name": call["function"]["name"], "arguments": json.loads(call["function"]["arguments"])}
        for call in calls
    ]
    blocks = [f"<tool_call>\n{json.dumps(row, ensure_ascii=False)}\n</tool_call>" for row in rows]
    return "\n".join(blocks)


def parse_tools(text: str) -> list[Turn]:
    """The tools of the box: a JSON list of functions, each with a name, as the API takes them.

    Raises UsageError.
    """
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
    """The seed of the box; None for another answer each time. Raises UsageError."""
    text = text.strip()
    if text in {"", "-1"}:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise UsageError(Problem(code="chat_seed", params={"value": text[:40]}))
    return int(text)
