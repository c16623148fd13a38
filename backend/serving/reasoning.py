"""Split the text of an answer, as it comes, into reasoning, content and tool calls.

Templates have two styles. Most put the thought between two marks before the answer (`<think>`, or
Gemma's, Mistral's and Cohere's own). gpt-oss and Muse Glimmer write messages, each with a header
that names its kind: `<|channel|>analysis<|message|>...<|end|><|start|>assistant...`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from backend.serving.call_forms import (
    FORMS,
    MARKS,
    Call,
    Form,
    call_arguments,
    forms_of,
    invoke_calls,
    to_openai,
)
from backend.serving.call_values import Json, Tools
from backend.serving.calls import Calls, read_known_calls
from backend.serving.decoding import possible_start

THOUGHTS = (
    ("<think>", "</think>"),
    ("[THINK]", "[/THINK]"),
    ("<|channel>thought", "<channel|>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<seed:think>", "</seed:think>"),
)
BODY = "<|message|>"
ENDS = ("<|end|>", "<|eom|>", "<|call|>", "<|return|>", "<|eot|>", "<|start|>")
HEADS = ("<|start|>", "<|channel|>", "to=")
MAX_HEADER = 300  # characters; a longer text is not a header
WRAPPED = re.compile(r"\s*<([^<>\s]*)function_calls>(.*)</\1function_calls>\s*", re.DOTALL)
RECIPIENT = re.compile(r"\bto=([^\s<]+)")
CHANNEL = re.compile(r"<\|channel\|>\s*(\w+)")


class Piece(NamedTuple):
    """Text that may be shown at once: of the thought, and of the answer."""

    reasoning: str = ""
    content: str = ""


class Reader(Protocol):
    """Reads one answer, piece by piece."""

    def add(self, text: str) -> Piece:
        """Take a piece; returns the text that is certain now."""

    def end(self, *, cut: bool = False) -> tuple[Piece, list[Json]]:
        """The held-back text, and the tool calls in OpenAI's format.

        `cut`: the answer is not complete (max_tokens, or the client has disconnected).
        """


@dataclass(frozen=True)
class Style:
    """The form of thoughts (between two marks, or as messages with headers) and of calls."""

    thought: tuple[str, str] | None = None
    headers: bool = False
    forms: tuple[Form, ...] = FORMS

    @classmethod
    def of(cls, template: str) -> "Style":
        """The style of a Jinja template, by the marks in it, which are those of its model."""
        if BODY in template and "<|start|>assistant" in template:
            return cls(headers=True)
        pair = next((pair for pair in THOUGHTS if pair[1] in template), None)
        return cls(thought=pair, forms=forms_of(template))

    def marks(self, *, calls: bool) -> tuple[str, ...]:
        """The texts of special tokens that a reader of such an answer needs."""
        own = self.thought or ()
        headers = (BODY, "<|channel|>", "<|constrain|>", *ENDS) if self.headers else ()
        return (*own, *headers, *(MARKS if calls else ()))

    def thought_opening(self, prompt: str) -> str:
        """The opening mark of a thought at the end of a prompt, else ""."""
        if self.thought is None or not prompt.rstrip().endswith(self.thought[0]):
            return ""
        return prompt[prompt.rindex(self.thought[0]) :]

    def reader(self, tools: Sequence[Json] | None) -> Reader:
        """A reader for the answer to a request with these tools."""
        return HeaderReader(tools) if self.headers else MarkReader(tools, self)


class MarkReader:
    """Reads an answer that may begin with a thought between two marks, then text and calls."""

    def __init__(self, tools: Sequence[Json] | None, style: Style) -> None:
        self._calls = Calls(tools, style.forms)
        self._opens, self._closes = style.thought or ("", "")
        self._step = self._before if style.thought else self._answer
        self._held = ""
        self._begun = False

    def add(self, text: str) -> Piece:
        """Take a piece; blanks around the thought belong to neither part."""
        self._held += text
        return self._step()

    def end(self, *, cut: bool = False) -> tuple[Piece, list[Json]]:
        """The held-back text, and the calls. A thought may be without its closing mark."""
        if self._step == self._inside:
            return Piece(reasoning=self._held.rstrip()), []
        content = self._calls.add(self._held)
        rest, calls = self._calls.end(cut=cut)
        return Piece(content=content + rest), calls

    def _before(self) -> Piece:
        text = self._held.lstrip()
        if text.startswith(self._opens):
            self._held, self._step = text[len(self._opens) :], self._inside
            return self._step()
        if self._opens.startswith(text):
            return Piece()
        self._step = self._answer
        return self._step()

    def _inside(self) -> Piece:
        if not self._begun:
            self._held = self._held.lstrip()
        thought, mark, rest = self._held.partition(self._closes)
        if mark:
            self._held, self._step = rest, self._behind
            return Piece(thought.rstrip(), self._step().content)
        until = len(self._held) - possible_start(self._held, (self._closes,))
        shown = self._held[:until].rstrip()
        self._held = self._held[len(shown) :]
        self._begun = self._begun or bool(shown)
        return Piece(reasoning=shown)

    def _behind(self) -> Piece:
        self._held = self._held.lstrip("\n")
        if not self._held:
            return Piece()
        self._step = self._answer
        return self._step()

    def _answer(self) -> Piece:
        text, self._held = self._held, ""
        return Piece(content=self._calls.add(text))


class HeaderReader:
    """Reads an answer of several messages: thoughts, texts for the person, and calls.

    An answer that does not begin with a header is text.
    """

    def __init__(self, tools: Sequence[Json] | None) -> None:
        self._tools = Tools(tools)
        self._calls: list[Call] = []
        self._held = ""
        self._header: str | None = None  # of the message whose body is read; None between messages
        self._kind = ""
        self._any = False  # a message has begun
        self._gap = ""
        self._shown: dict[str, bool] = {}

    def add(self, text: str) -> Piece:
        """Take a piece; a call is held back until its end."""
        self._held += text
        pieces = []
        while (piece := self._next()) is not None:
            pieces.append(piece)
        return _join(pieces)

    def end(self, *, cut: bool = False) -> tuple[Piece, list[Json]]:
        """The rest of the last message, and the calls, of which incomplete ones are text."""
        del cut
        if self._header is None and self._any:
            return Piece(), [to_openai(call) for call in self._calls]
        if self._header is None:
            self._begin("")
        piece = self._finish(self._held)
        return piece, [to_openai(call) for call in self._calls]

    def _next(self) -> Piece | None:
        """Make one step through the held text; None where more text is needed."""
        if self._header is None:
            return self._read_header()
        places = [(at, mark) for mark in ENDS if (at := self._held.find(mark)) >= 0]
        if places:
            at, mark = min(places)
            body, self._held = self._held[:at], self._held[at:]
            if mark != HEADS[0]:
                self._held = self._held[len(mark) :]
            return self._finish(body)
        if self._kind == "call":
            return None
        until = len(self._held) - possible_start(self._held, ENDS)
        text, self._held = self._held[:until], self._held[until:]
        return self._show(text) if text else None

    def _read_header(self) -> Piece | None:
        header, mark, rest = self._held.partition(BODY)
        if mark and len(header) <= MAX_HEADER:
            self._held = rest
            self._begin(header)
            return Piece()
        start = self._held.lstrip()
        may_be = any(start.startswith(head) or head.startswith(start) for head in HEADS)
        if may_be and len(self._held) <= MAX_HEADER:
            return None
        self._begin("")
        return Piece()

    def _begin(self, header: str) -> None:
        recipient = RECIPIENT.search(header)
        channel = CHANNEL.search(header)
        self._header, self._any = header, True
        if recipient and recipient[1] not in {"self", "user", "assistant"}:
            self._kind = "call"
        elif (recipient and recipient[1] == "self") or (channel and channel[1] == "analysis"):
            self._kind = "reasoning"
        else:
            self._kind = "content"
        self._gap = "\n" if self._shown.get(self._kind) else ""

    def _show(self, text: str) -> Piece:
        """Text of the present message; a further message of the same kind begins on a new line."""
        text, self._gap = (self._gap + text, "") if text else ("", self._gap)
        self._shown[self._kind] = self._shown.get(self._kind, False) or bool(text)
        return Piece(reasoning=text) if self._kind == "reasoning" else Piece(content=text)

    def _finish(self, body: str) -> Piece:
        header, self._header = self._header or "", None
        if self._kind != "call":
            return self._show(body)
        recipient = RECIPIENT.search(header)
        name = recipient[1].removeprefix("functions.") if recipient else ""
        calls = read_known_calls(lambda: _read_call(name, body, self._tools), self._tools)
        if calls is None:
            self._kind = "content"
            return self._show(f"{header}{BODY}{body}")
        self._calls += [call for call in calls if isinstance(call, Call)]
        return Piece()


def _read_call(name: str, body: str, tools: Tools) -> Sequence[Call | str]:
    wrapped = WRAPPED.fullmatch(body)
    if wrapped:
        return invoke_calls(wrapped[2], tools)
    return [Call(name, call_arguments(body))]


def _join(pieces: Sequence[Piece]) -> Piece:
    return Piece("".join(p.reasoning for p in pieces), "".join(p.content for p in pieces))
