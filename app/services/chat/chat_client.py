"""The model of the Chat tab: one child `tuneboard api` at a time for the whole page process.

Unloading ends the child, which frees all memory of the model.
"""

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from app.services.chat import chat_turns
from backend.contract.arguments.argument_names import ArgumentName
from backend.contract.arguments.arguments import defaults, resolve
from backend.contract.arguments.command import Command
from backend.contract.arguments.field import Values
from backend.contract.preflight.model_server import ModelServer, Status
from backend.contract.texts.problems import ModelError, Problem

SAMPLING: tuple[ArgumentName, ...] = (
    "max_new_tokens",
    "temperature",
    "top_p",
    "top_k",
    "repetition_penalty",
)

_lock = threading.Lock()
_loaded: ModelServer | None = None
_argv: Sequence[str] = ()  # what the child was started with, as far as requests do not bring it
_titles: tuple[str, str] = ("", "")


def load(values: Values) -> None:
    """Replace the loaded model. Returns at once; `status` reports the progress."""
    global _loaded, _argv, _titles
    with _lock:
        _end()
        _loaded, _argv, _titles = ModelServer(values), _loading_argv(values), name_columns(values)


def serves(values: Values) -> bool:
    """Whether the model that is loaded, or being loaded, is the one of these values."""
    return status().state in {"loading", "ready"} and _argv == _loading_argv(values)


def titles() -> tuple[str, str]:
    """What answers in the two columns: the run (else the model), and the model under its adapter;
    each "" where there is none."""
    return ("", "") if _loaded is None else _titles


def _loading_argv(values: Values) -> Sequence[str]:
    usual = defaults("api")
    return Command.build("api", {**values, **{name: usual[name] for name in SAMPLING}}).argv


def name_columns(values: Values) -> tuple[str, str]:
    """What would answer in the two columns with these values, as `titles` names it."""
    model = resolve(values)
    base = Path(str(model.model_name_or_path or "")).name
    adapter = str(model.adapter_name_or_path or "").split(",")[-1].strip()
    if not adapter:
        return base, ""
    path = Path(adapter)
    is_checkpoint = path.name.startswith("checkpoint-")
    return "/".join(path.parts[-2:]) if is_checkpoint else path.name, base


def unload() -> None:
    """End the child. Its memory is free when this returns."""
    with _lock:
        _end()


def _end() -> None:
    global _loaded
    gone, _loaded = _loaded, None
    if gone is not None:
        gone.close()


def status() -> Status:
    """The state of the child; "none" where no model is loaded."""
    current = _loaded
    return Status("none") if current is None else current.status()


def models() -> list[str]:
    """The names of the models that are served: the model, and `base` where an adapter is loaded.

    Raises ModelError when no model is loaded, or its process is gone.
    """
    return _require_model().models()


def stream(
    model: str, messages: Sequence[Mapping[str, Any]], options: Mapping[str, Any]
) -> Iterator[str]:
    """The pieces of the answer as they come. Closing the iterator stops the generation.

    Raises ModelError when the child refuses the request or is gone.
    """
    yield from _pieces(_require_model().deltas(model, messages, options))


def _pieces(deltas: Iterable[dict[str, Any]]) -> Iterator[str]:
    """The text of an answer as the page shows it, with a thought between THOUGHT's marks."""
    thinks, calls = False, chat_turns.CallText()
    for delta in deltas:
        thought = delta.get("reasoning_content") or delta.get("reasoning")  # vLLM's newer name
        content = calls.add(delta)
        if thought:
            yield thought if thinks else chat_turns.THOUGHT[0] + thought
            thinks = True
        if content:
            yield chat_turns.THOUGHT[1] + content if thinks else content
            thinks = False
    if end := calls.close():
        yield end


def _require_model() -> ModelServer:
    if _loaded is None:
        raise ModelError(Problem(code="chat_not_loaded"))
    return _loaded
