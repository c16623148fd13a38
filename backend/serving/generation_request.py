"""What the engine is asked, and what it reports back: plain data, no torch."""

from dataclasses import dataclass, field
from threading import Event
from typing import Any

from backend.model.generation import Sampling

Message = dict[str, Any]

SHOWN = 80  # characters of a name or value of the request that a refusal repeats


@dataclass(kw_only=True)
class GenerationRequest:
    """The conversation, how to sample, which weights (tuned, or the base's), when to stop.

    `variables` are for the chat template, beside messages and tools.
    """

    messages: list[Message]
    sampling: Sampling
    tools: list[dict[str, Any]] | None = None
    variables: dict[str, Any] = field(default_factory=dict)
    tuned: bool = True
    cancelled: Event = field(default_factory=Event)


@dataclass(kw_only=True)
class Answer:
    """What came of one request, in tokens; `finish` is stop, length or cancelled."""

    prompt_tokens: int
    completion_tokens: int
    finish: str
