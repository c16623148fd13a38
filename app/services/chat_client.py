"""The model behind Chat: a child `tuneboard api` on a loopback port, with a random key.

One child at a time for the whole page process (a model fills memory); unloading ends it, which
frees every byte. The child ends when its standard input does, so it dies with the page, however
that ends: it holds nothing that must survive.
"""

import atexit
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from app.services import chat_turns
from backend.contract.command import Command
from backend.contract.field import Values
from backend.contract.home import home, started_in
from backend.contract.problems import ModelError, Problem

TIMEOUT = httpx.Timeout(10, read=None)
KILL_AFTER_S = 5


@dataclass(frozen=True)
class Loaded:
    """A child that serves, its address, key and log, and the name or path of its model."""

    process: subprocess.Popen[bytes]
    url: str
    key: str
    log: Path
    model: str


@dataclass(frozen=True)
class Status:
    """none, loading, ready or failed; `detail` is the child's last words when it failed.

    notices: what should be known of a model that is ready
    """

    state: str
    detail: str = ""
    model: str = ""
    notices: tuple[Problem, ...] = ()


_lock = threading.Lock()
_loaded: Loaded | None = None


def load(values: Values) -> None:
    """Replace the loaded model by this one; returns at once, `status` tells how it goes."""
    global _loaded
    with _lock:
        _end()
        key, port = secrets.token_urlsafe(32), _free_port()
        built = Command.build("api", {**values, "port": port})
        handle, name = tempfile.mkstemp(prefix="tuneboard-chat-", suffix=".log")
        with os.fdopen(handle, "wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "backend", *built.argv[1:]],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=home(),
                env={
                    **_environment(),
                    **started_in(),
                    **built.env,
                    "API_KEY": key,
                    "API_WITH_PARENT": "1",
                },
                start_new_session=True,
            )
        model = Path(str(values["adapter_name_or_path"] or values["model_name_or_path"])).name
        _loaded = Loaded(process, f"http://127.0.0.1:{port}", key, Path(name), model)


def _environment() -> dict[str, str]:
    """Ours, without what would steer a server that people start themselves."""
    return {name: value for name, value in os.environ.items() if not name.startswith("API_")}


def unload() -> None:
    """End the child; its memory is free when this returns."""
    with _lock:
        _end()


def _end() -> None:
    global _loaded
    gone, _loaded = _loaded, None
    if gone is None:
        return
    if gone.process.poll() is None:
        os.killpg(gone.process.pid, signal.SIGTERM)
        try:
            gone.process.wait(KILL_AFTER_S)
        except subprocess.TimeoutExpired:
            os.killpg(gone.process.pid, signal.SIGKILL)
            gone.process.wait()
    gone.log.unlink(missing_ok=True)


atexit.register(unload)


def status() -> Status:
    """How the child is."""
    current = _loaded
    if current is None:
        return Status("none")
    if current.process.poll() is not None:
        return Status("failed", _last_words(current.log))
    try:
        told = httpx.get(f"{current.url}/health", timeout=2)
        if told.status_code == 200 and not told.content:  # the way of vLLM and SGLang
            return Status("ready", model=current.model)
        answer = told.json()
    except (httpx.HTTPError, ValueError):
        return Status("loading")
    state = answer.get("status", "loading")
    detail = str(answer.get("detail", "")) or (
        _last_words(current.log) if state == "failed" else ""
    )
    notices = tuple(Problem.from_json(row) for row in answer.get("notices") or ())
    return Status(state, detail, str(answer.get("model", "")), notices)


def models() -> list[str]:
    """Names that the child answers under: the model, and `base` where an adapter is loaded.

    Raises ModelError when no model is loaded, or its process is gone.
    """
    current = _need()
    try:
        answer = httpx.get(f"{current.url}/v1/models", headers=_headers(current), timeout=5)
        answer.raise_for_status()
    except httpx.HTTPError as error:
        raise _lost(error) from None
    found = [str(row["id"]) for row in answer.json()["data"]]
    return sorted(found, key=lambda name: name == "base")


def stream(
    model: str, messages: Sequence[Mapping[str, Any]], options: Mapping[str, Any]
) -> Iterator[str]:
    """Pieces of the answer as they come; closing the iterator stops the generation.

    Raises ModelError when the child refuses or goes away.
    """
    current = _need()
    body = {"model": model, "messages": list(messages), "stream": True, **options}
    try:
        with httpx.stream(
            "POST",
            f"{current.url}/v1/chat/completions",
            json=body,
            headers=_headers(current),
            timeout=TIMEOUT,
        ) as answer:
            if answer.status_code != 200:
                answer.read()
                raise ModelError(_refused(answer))
            yield from _pieces(answer.iter_lines())
    except httpx.HTTPError as error:
        raise _lost(error) from None


def _lost(error: httpx.HTTPError) -> ModelError:
    reason = str(error) or type(error).__name__
    return ModelError(Problem(code="chat_lost", params={"reason": reason}))


def _pieces(lines: Iterator[str]) -> Iterator[str]:
    """The text of an answer as the page shows it: a thought stands between marks of its own."""
    thinks = False
    for delta in _deltas(lines):
        thought = delta.get("reasoning_content") or delta.get("reasoning")  # vLLM's newer name
        said = delta.get("content") or ""
        if delta.get("tool_calls"):
            said += chat_turns.written(delta["tool_calls"])
        if thought:
            yield thought if thinks else chat_turns.THOUGHT[0] + thought
            thinks = True
        if said:
            yield chat_turns.THOUGHT[1] + said if thinks else said
            thinks = False


def _deltas(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        content = line.removeprefix("data: ").strip()
        if line.startswith("data: ") and content != "[DONE]":
            choices = json.loads(content).get("choices") or [{}]
            yield choices[0].get("delta", {})


def _refused(answer: httpx.Response) -> Problem:
    try:
        reason = answer.json()["error"]["message"]
    except (ValueError, KeyError, TypeError):
        reason = answer.text[:200]
    return Problem(code="chat_refused", params={"reason": str(reason)})


def _need() -> Loaded:
    if _loaded is None:
        raise ModelError(Problem(code="chat_not_loaded"))
    return _loaded


def _headers(current: Loaded) -> dict[str, str]:
    return {"Authorization": f"Bearer {current.key}"}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _last_words(log: Path) -> str:
    try:
        text = log.read_bytes()[-4000:].decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    return "\n".join([line for line in text.splitlines() if line.strip()][-6:])
