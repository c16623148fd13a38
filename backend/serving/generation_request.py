"""Requests to the engine and its answers as plain data, without torch."""

from dataclasses import dataclass, field
from threading import Event
from typing import Any

from backend.model.generation import Sampling

Message = dict[str, Any]

SHOWN = 80  # characters of a name or value of the request that a refusal repeats


@dataclass(kw_only=True)
class GenerationRequest:
    """A conversation to be answered.

    variables  for the chat template, beside messages and tools
    tuned      whether the adapter is used, else the base model answers
    cancelled  ends the answer within a token once it is set
    """

    messages: list[Message]
    sampling: Sampling
    tools: list[dict[str, Any]] | None = None
    variables: dict[str, Any] = field(default_factory=dict)
    tuned: bool = True
    cancelled: Event = field(default_factory=Event)


@dataclass(kw_only=True)
class Answer:
    """The token counts of one answer; `finish` is stop, length or cancelled."""

    prompt_tokens: int
    completion_tokens: int
    finish: str
