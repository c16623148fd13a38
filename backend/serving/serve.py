"""`tuneboard api`, an OpenAI-compatible server, and `tuneboard chat`, a chat in a terminal."""

import errno
import json
import os
import re
import socket
import sys
import threading
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TextIO

import uvicorn

from backend.contract.arguments.argument_names import ArgumentName
from backend.contract.arguments.field import FieldError, Value
from backend.contract.arguments.fields import FIELDS
from backend.contract.arguments.typed import Arguments
from backend.contract.system.addresses import is_loopback
from backend.contract.system.slow_clients import TimedProtocol
from backend.contract.texts.locales import t
from backend.contract.texts.problems import Problem, UsageError
from backend.model.generation import Sampling
from backend.serving import engines, names
from backend.serving.app import build
from backend.serving.generation_request import GenerationRequest, Message
from backend.serving.limits import Limits
from backend.serving.protocol import assistant, error_body
from backend.serving.reasoning import Piece
from backend.serving.service import Service

if TYPE_CHECKING:
    from backend.serving.engine import Engine

ENVIRONMENT: dict[ArgumentName, str] = {
    "host": "API_HOST",
    "port": "API_PORT",
    "api_key": "API_KEY",
    "api_model_name": "API_MODEL_NAME",
}
GRACE_S = 2  # seconds that open answers get when the server ends
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def run(values: Arguments) -> int:
    """Serve until Ctrl-C; prints `ready http://host:port` once it answers; returns the exit code.

    The model is loaded while the server runs already; /health has the state. Raises UsageError
    where the port is taken, and for an outside address without a key.
    """
    values = _with_environment(values)
    host, key = values.host, values.api_key or None
    if key is None and not is_loopback(host):
        raise UsageError(Problem(code="api_key_required", field="host", params={"host": host}))
    if values.infer_backend != "huggingface":
        _print_notices(engines.base_notices(values))
        return engines.run(values, names.model_name(values), key)
    names.adapters(values)  # a wrong name fails before the model is loaded
    bound = _bind(host, values.port)
    if os.environ.get("API_WITH_PARENT"):
        threading.Thread(target=_end_with_parent, daemon=True).start()
    service = Service(
        names.model_name(values), lambda: _load(values), _print_outcome, Limits.of(values)
    )
    app = build(service, Sampling.of(values), host=host, key=key)
    server = _Server(
        uvicorn.Config(
            app,
            http=ApiProtocol,
            ws="none",
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=GRACE_S,
        ),
        _address(host, bound.getsockname()[1]),
        service,
    )
    try:
        server.run(sockets=[bound])
    except KeyboardInterrupt:
        return 0
    return 0


def _end_with_parent() -> None:
    """End this process when the page has ended, which holds the other end of our standard input."""
    sys.stdin.buffer.read()
    os._exit(0)


def chat_in_terminal(values: Arguments) -> int:
    """Chat with the model: /clear starts again, /exit or the end of the input ends the chat."""
    talks = sys.stdin.isatty()
    if talks:
        _print(t("chat.loading"))
    engine = _load(values)
    sampling = Sampling.of(values)
    messages: list[Message] = []
    if talks:
        _print(t("chat.welcome"))
    for line in _lines(sys.stdin, t("chat.prompt") if talks else ""):
        if line == "/clear":
            messages.clear()
            _print(t("chat.cleared"))
            continue
        messages.append({"role": "user", "content": line})
        try:
            message = _answer(engine, messages, sampling)
        except UsageError as error:
            messages.pop()
            _print("\n".join(problem.text() for problem in error.problems), sys.stderr)
        else:
            messages.append(message)
    return 0


def _answer(engine: "Engine", messages: list[Message], sampling: Sampling) -> Message:
    """Generate one answer and show it as it grows, its thought in brackets.

    Ctrl-C ends the answer; the text so far stays in the conversation.
    """
    reader = engine.style.reader(None)
    pieces: list[Piece] = []

    def show(piece: Piece) -> None:
        thinks = bool(pieces and pieces[-1].reasoning)
        if piece.reasoning:
            _write(piece.reasoning if thinks else f"[{piece.reasoning}")
        if piece.content:
            _write(f"]\n{piece.content}" if thinks or piece.reasoning else piece.content)
        if piece != Piece():
            pieces.append(piece)

    stopped = ""
    try:
        engine.answer(
            GenerationRequest(messages=messages, sampling=sampling),
            lambda text: show(reader.add(str(text))),
        )
    except KeyboardInterrupt:
        stopped = f" [{t('chat.stopped')}]"
    show(reader.end())
    _print(stopped)
    return assistant(pieces, [])


def _write(text: str) -> None:
    sys.stdout.write(CONTROLS.sub("", text))
    sys.stdout.flush()


def _lines(source: TextIO, prompt: str) -> Iterator[str]:
    """Yield the lines of input without blank ones until /exit, the end of input or Ctrl-C."""
    while True:
        sys.stdout.write(prompt)
        sys.stdout.flush()
        try:
            line = source.readline()
        except KeyboardInterrupt:
            line = ""
        text = line.strip()
        if not line or text == "/exit":
            if prompt:
                _print("")
            return
        if text:
            yield text


class ApiProtocol(TimedProtocol):
    """Gives errors that occur before the application runs OpenAI's format, too."""

    def error_page(self, status: int, code: str) -> tuple[bytes, bytes]:
        """Content type and body of the answer to an invalid or too slow request."""
        return b"application/json", json.dumps(error_body(t(f"http.{code}"), status, code)).encode()


class _Server(uvicorn.Server):
    """uvicorn's server, which prints when it listens, and at its end cancels open answers."""

    def __init__(self, config: uvicorn.Config, address: str, service: Service) -> None:
        super().__init__(config)
        self._address = address
        self._service = service

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, and print the address."""
        await super().startup(sockets)
        if self.started:
            _print(f"ready {self._address}")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Cancel open answers, then shut down."""
        self._service.cancel()
        await super().shutdown(sockets)


def _with_environment(values: Arguments) -> Arguments:
    """The values with API_HOST, API_PORT, API_KEY and API_MODEL_NAME in place of defaults.

    Raises UsageError where one of these variables is not valid.
    """
    merged: dict[ArgumentName, Value] = {}
    problems: list[Problem] = []
    for name, variable in ENVIRONMENT.items():
        text = os.environ.get(variable)
        if not text or values[name] != FIELDS[name].default:
            continue
        try:
            merged[name] = FIELDS[name].parse(text)
        except FieldError as error:
            problems.append(error.problem)
    if problems:
        raise UsageError(*problems)
    return values.merge(merged)


def _bind(host: str, port: int) -> socket.socket:
    """Bind a socket to the address. Raises UsageError with the reason where that fails."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
        bound.listen()
    except OSError as error:
        bound.close()
        code = "port_forbidden" if error.errno == errno.EACCES else "port_in_use"
        params: dict[str, str | int | float] = {"port": port, "host": host}
        raise UsageError(Problem(code=code, field="port", params=params)) from error
    return bound


def _address(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _load(values: Arguments) -> "Engine":
    from backend.serving.engine import (
        Engine,  # torch takes seconds to import: the port answers first
    )

    engine = Engine.load(values)
    _print_notices(engine.notices)
    return engine


def _print_notices(notices: Iterable[Problem]) -> None:
    for notice in notices:
        _print(f"{t('cli.notice')}: {notice.text()}", sys.stderr)


def _print_outcome(problem: Problem | None) -> None:
    if problem is None:
        _print(t("serve.loaded"))
    else:
        _print(f"{t('cli.error')}: {problem.text()}", sys.stderr)


def _print(text: str, stream: TextIO | None = None) -> None:
    out = stream or sys.stdout
    out.write(text + "\n")
    out.flush()
