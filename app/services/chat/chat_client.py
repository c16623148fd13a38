"""The model behind Chat: one child `tuneboard api` at a time for the whole page process.

A model fills memory; unloading ends the child, which frees every byte.
"""

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from app.services.chat import chat_turns
from backend.contract.arguments.field import Values
from backend.contract.base.problems import ModelError, Problem
from backend.contract.preflight.model_server import ModelServer, Status

_lock = threading.Lock()
_loaded: ModelServer | None = None


def load(values: Values) -> None:
    """Replace the loaded model by this one; returns at once, `status` tells how it goes."""
    global _loaded
    with _lock:
        _end()
        _loaded = ModelServer(values)


def unload() -> None:
    """End the child; its memory is free when this returns."""
    with _lock:
        _end()


def _end() -> None:
    global _loaded
    gone, _loaded = _loaded, None
    if gone is not None:
        gone.close()


def status() -> Status:
    """How the child is."""
    current = _loaded
    return Status("none") if current is None else current.status()


def models() -> list[str]:
    """Names that the child answers under: the model, and `base` where an adapter is loaded.

    Raises ModelError when no model is loaded, or its process is gone.
    """
    return _require_model().models()


def stream(
    model: str, messages: Sequence[Mapping[str, Any]], options: Mapping[str, Any]
) -> Iterator[str]:
    """Pieces of the answer as they come; closing the iterator stops the generation.

    Raises ModelError when the child refuses or goes away.
    """
    yield from _pieces(_require_model().deltas(model, messages, options))


def _pieces(deltas: Iterable[dict[str, Any]]) -> Iterator[str]:
    """The text of an answer as the page shows it: a thought stands between marks of its own."""
    thinks = False
    for delta in deltas:
        thought = delta.get("reasoning_content") or delta.get("reasoning")  # vLLM's newer name
        content = delta.get("content") or ""
        if delta.get("tool_calls"):
            content += chat_turns.format_calls(delta["tool_calls"])
        if thought:
            yield thought if thinks else chat_turns.THOUGHT[0] + thought
            thinks = True
        if content:
            yield chat_turns.THOUGHT[1] + content if thinks else content
            thinks = False


def _require_model() -> ModelServer:
    if _loaded is None:
        raise ModelError(Problem(code="chat_not_loaded"))
    return _loaded
