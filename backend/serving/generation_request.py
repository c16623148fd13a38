"""Requests to the engine and its answers as plain data, without torch."""

from dataclasses import dataclass, field
from threading import Event
from typing import Any

from backend.model.generation import Sampling
from backend.serving.answer_rules import AnswerRule
from backend.serving.token_texts import Logprob

Message = dict[str, Any]

# What is shown of an answer as it comes: a piece of text, or log-probabilities of its tokens.
Shown = str | list[Logprob]

SHOWN = 80  # characters of a name or value of the request that a refusal repeats


@dataclass(kw_only=True)
class GenerationRequest:
    """A conversation to be answered, or a text to be continued.

    prompt     the text or the token ids that are continued; None for a conversation
    echo       whether the prompt is shown before the answer
    variables  for the chat template, beside messages and tools
    rule       what the answer must be; None for what the model likes
    tuned      whether the adapter is used, else the base model answers
    adapter    the name of a further adapter that is used instead; "" for none
    cancelled  ends the answer within a token once it is set
    """

    messages: list[Message] = field(default_factory=list)
    sampling: Sampling
    prompt: str | list[int] | None = None
    echo: bool = False
    tools: list[dict[str, Any]] | None = None
    variables: dict[str, Any] = field(default_factory=dict)
    rule: AnswerRule | None = None
    tuned: bool = True
    adapter: str = ""
    cancelled: Event = field(default_factory=Event)


@dataclass(kw_only=True)
class Answer:
    """The token counts of one answer; `finish` is stop, length or cancelled."""

    prompt_tokens: int
    completion_tokens: int
    finish: str
