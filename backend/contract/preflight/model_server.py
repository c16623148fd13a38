"""Serve a model in a child: `tuneboard api` on a loopback port, with a random key.

The child ends when its standard input closes, so it does not outlive the process that started it.
Closing it frees all of its memory.
"""

import json
import os
import secrets
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from backend.contract.arguments.arguments import resolve
from backend.contract.arguments.command import Command
from backend.contract.arguments.field import Values
from backend.contract.system.child_process import Child, command, environment
from backend.contract.texts.problems import ModelError, Problem

TIMEOUT = httpx.Timeout(10, read=None)
KILL_AFTER_S = 5
WORDS = 4000  # characters of the child's last lines


@dataclass(frozen=True)
class Status:
    """The state of a child.

    state    none, loading, ready or failed
    detail   the last lines of the child when it failed
    model    the name of the model or adapter
    since    when the child was started, in seconds since 1970
    notices  what should be known of a model that is ready
    """

    state: str
    detail: str = ""
    model: str = ""
    since: float = 0
    notices: tuple[Problem, ...] = ()


class ModelServer:
    """A child that serves one model, from its start to `close`."""

    def __init__(self, values: Values) -> None:
        """Start the child with these values of `tuneboard api`; `status` reports how far it is."""
        port = _free_port()
        self._key, self._url = secrets.token_urlsafe(32), f"http://127.0.0.1:{port}"
        model = resolve(values)
        self._model = Path(model.adapter_name_or_path or str(model.model_name_or_path)).name
        built = Command.build("api", {**values, "port": port})
        environ = {**environment(_without_api()), **built.env}
        environ |= {"API_KEY": self._key, "API_WITH_PARENT": "1"}
        argv = command(*built.argv[1:])
        self._since = time.time()
        self._child = Child(argv, asks=True, environ=environ, grace=KILL_AFTER_S)

    def close(self) -> None:
        """End the child; its memory is free when this returns."""
        self._child.end()

    def status(self) -> Status:
        """The state of the child now."""
        if self._child.code is not None:
            return self._status("failed", self._last_words())
        try:
            response = httpx.get(f"{self._url}/health", timeout=2)
            if response.status_code == 200 and not response.content:  # as vLLM and SGLang answer
                return self._status("ready")
            health = response.json()
        except (httpx.HTTPError, ValueError):
            return self._status("loading")
        state = health.get("status", "loading")
        detail = str(health.get("detail", "")) or (self._last_words() if state == "failed" else "")
        notices = tuple(Problem.from_json(row) for row in health.get("notices") or ())
        return self._status(state, detail, str(health.get("model") or self._model), notices)

    def _status(
        self, state: str, detail: str = "", model: str = "", notices: tuple[Problem, ...] = ()
    ) -> Status:
        return Status(state, detail, model or self._model, self._since, notices)

    def models(self) -> list[str]:
        """The names of the models it serves: the model, and `base` where an adapter is loaded.

        Raises ModelError when the child is gone.
        """
        try:
            response = httpx.get(f"{self._url}/v1/models", headers=self._headers(), timeout=5)
            response.raise_for_status()
        except httpx.HTTPError as error:
            raise _connection_error(error) from None
        names = [str(row["id"]) for row in response.json()["data"]]
        return sorted(names, key=lambda name: name == "base")

    def deltas(
        self, model: str, messages: Sequence[Mapping[str, Any]], options: Mapping[str, Any]
    ) -> Iterator[dict[str, Any]]:
        """The parts of an answer as they come. Closing the iterator ends the generation.

        Raises ModelError when the child refuses the request or is gone.
        """
        body = {"model": model, "messages": list(messages), "stream": True, **options}
        try:
            with httpx.stream(
                "POST",
                f"{self._url}/v1/chat/completions",
                json=body,
                headers=self._headers(),
                timeout=TIMEOUT,
            ) as response:
                if response.status_code != 200:
                    response.read()
                    raise ModelError(_refusal(response))
                yield from deltas_of(response.iter_lines())
        except httpx.HTTPError as error:
            raise _connection_error(error) from None

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._key}"}

    def _last_words(self) -> str:
        return "\n".join(self._child.last_lines(6))[-WORDS:]


def deltas_of(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """The parts of a message in the lines of server-sent events."""
    for line in lines:
        content = line.removeprefix("data: ").strip()
        if line.startswith("data: ") and content != "[DONE]":
            choices = json.loads(content).get("choices") or [{}]
            yield choices[0].get("delta", {})


def _without_api() -> dict[str, str]:
    """Our environment without API_*, which is for servers that people start themselves."""
    return {name: value for name, value in os.environ.items() if not name.startswith("API_")}


def _connection_error(error: httpx.HTTPError) -> ModelError:
    reason = str(error) or type(error).__name__
    return ModelError(Problem(code="chat_lost", params={"reason": reason}))


def _refusal(response: httpx.Response) -> Problem:
    try:
        reason = response.json()["error"]["message"]
    except (ValueError, KeyError, TypeError):
        reason = response.text[:200]
    return Problem(code="chat_refused", params={"reason": str(reason)})


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
