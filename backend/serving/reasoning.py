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
)
from backend.serving.call_stream import CallStream
from backend.serving.call_values import Json, Tools
from backend.serving.calls import Calls, read_known_calls
from backend.serving.decoding import possible_start
from backend.serving.live_calls import certain_calls, peek_arguments

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
    """What may be shown at once: text of the thought, text of the answer, and of its calls what is
    new, as OpenAI's deltas."""

    reasoning: str = ""
    content: str = ""
    calls: tuple[Json, ...] = ()


class Reader(Protocol):
    """Reads one answer, piece by piece; `stream` has its calls."""

    stream: CallStream

    def add(self, text: str) -> Piece:
        """Take a piece; returns what is certain now."""

    def end(self, *, cut: bool = False) -> Piece:
        """What was held back.

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
        self.stream = self._calls.stream
        self._opens, self._closes = style.thought or ("", "")
        self._step = self._before if style.thought else self._answer
        self._held = ""
        self._begun = False

    def add(self, text: str) -> Piece:
        """Take a piece; blanks around the thought belong to neither part."""
        self._held += text
        return self._step()._replace(calls=self.stream.take())

    def end(self, *, cut: bool = False) -> Piece:
        """What was held back. A thought may be without its closing mark."""
        if self._step == self._inside:
            return Piece(reasoning=self._held.rstrip())
        content = self._calls.add(self._held) + self._calls.end(cut=cut)
        return Piece(content=content, calls=self.stream.take())

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
        self.stream = CallStream()
        self._tools = Tools(tools)
        self._first = 0  # the number of the present message's first call
        self._told = 0  # of its body, what is in what was told of its call
        self._held = ""
        self._header: str | None = None  # of the message whose body is read; None between messages
        self._kind = ""
        self._any = False  # a message has begun
        self._gap = ""
        self._shown: dict[str, bool] = {}

    def add(self, text: str) -> Piece:
        """Take a piece; of a call, what is certain."""
        self._held += text
        pieces = []
        while (piece := self._next()) is not None:
            pieces.append(piece)
        return _join(pieces)._replace(calls=self.stream.take())

    def end(self, *, cut: bool = False) -> Piece:
        """The rest of the last message, with a call that is not whole: as text, or closed where
        something of it was told."""
        if self._header is None and self._any:
            return Piece()
        if self._header is None:
            self._begin("")
        return self._finish(self._held, cut)._replace(calls=self.stream.take())

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
            self._peek()
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
        self._first, self._told = len(self.stream.calls), 0

    def _show(self, text: str) -> Piece:
        """Text of the present message; a further message of the same kind begins on a new line."""
        text, self._gap = (self._gap + text, "") if text else ("", self._gap)
        self._shown[self._kind] = self._shown.get(self._kind, False) or bool(text)
        return Piece(reasoning=text) if self._kind == "reasoning" else Piece(content=text)

    def _peek(self) -> None:
        """Tell what has come of a call."""
        lives = peek_arguments(self._name(), self._held)
        if self.stream.tell(self._first, certain_calls(lives, self._tools)):
            self._told = len(self._held)

    def _name(self) -> str:
        recipient = RECIPIENT.search(self._header or "")
        return recipient[1].removeprefix("functions.") if recipient else ""

    def _finish(self, body: str, cut: bool = False) -> Piece:
        header, name, self._header = self._header or "", self._name(), None
        if self._kind != "call":
            return self._show(body)
        calls = read_known_calls(lambda: _read_call(name, body, self._tools), self._tools)
        if calls is not None:
            self.stream.settle(self._first, calls)
            return Piece()
        self._kind = "content"
        if len(self.stream.calls) == self._first:
            return self._show(f"{header}{BODY}{body}")
        self.stream.close()
        return Piece() if cut else self._show(body[self._told :])


def _read_call(name: str, body: str, tools: Tools) -> Sequence[Call | str]:
    wrapped = WRAPPED.fullmatch(body)
    if wrapped:
        return invoke_calls(wrapped[2], tools)
    return [Call(name, call_arguments(body))]


def _join(pieces: Sequence[Piece]) -> Piece:
    return Piece("".join(p.reasoning for p in pieces), "".join(p.content for p in pieces))
