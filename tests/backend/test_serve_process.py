"""The server as a process on a port, and the engine's life: loading, queue, client gone."""

import asyncio
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from backend.contract.arguments import arguments
from backend.contract.arguments.arguments import resolve
from backend.contract.arguments.typed import Arguments
from backend.contract.texts.problems import UsageError
from backend.model.generation import Sampling
from backend.serving import names, serve
from backend.serving.app import build
from backend.serving.engine import Engine
from backend.serving.generation_request import Answer, GenerationRequest
from backend.serving.limits import Limits
from backend.serving.reasoning import Style
from backend.serving.service import Service
from tests.failures.conftest import until

URL = "/v1/chat/completions"
HELLO = [{"role": "user", "content": "Who are you?"}]


def api_values(**options: object) -> Arguments:
    """All arguments of `tuneboard api`."""
    values, problems = arguments.parse(options, "api")
    assert not problems
    return resolve(values)


class Talker:
    """Stands in for the engine: a word every 10 ms until it is cancelled, 1000 at most."""

    has_adapter = False
    joins = False
    context = None

    def __init__(self) -> None:
        self.ended: list[tuple[str, float]] = []

    def answer(self, request: GenerationRequest, show: Callable[[str], None]) -> Answer:
        for _ in range(1000):
            if request.cancelled.is_set():
                break
            show("word ")
            time.sleep(0.01)
        finish = "cancelled" if request.cancelled.is_set() else "length"
        self.ended.append((finish, time.monotonic()))
        return Answer(prompt_tokens=1, completion_tokens=1, finish=finish)


@contextmanager
def listening(service: Service, key: str | None = None) -> Iterator[str]:
    """A real server in a thread; gives its address."""
    app = build(service, Sampling(), host="127.0.0.1", key=key)
    bound = serve._bind("127.0.0.1", 0)
    config = uvicorn.Config(
        app, http=serve.ApiProtocol, ws="none", log_level="warning", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[bound])))
    thread.start()
    try:
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)


def test_a_client_that_leaves_a_stream_ends_the_generation() -> None:
    talker = Talker()
    service = Service("talker", lambda: talker)
    with listening(service) as address:
        until(lambda: service.state == "ready")
        body = {"messages": HELLO, "stream": True}
        with httpx.stream("POST", address + URL, json=body) as answer:
            next(answer.iter_text())
            assert not talker.ended
        left = time.monotonic()
        until(lambda: bool(talker.ended), 2)
        assert talker.ended[0][0] == "cancelled"
        assert talker.ended[0][1] - left < 1


def test_a_client_that_gives_up_waiting_ends_the_generation() -> None:
    talker = Talker()
    service = Service("talker", lambda: talker)
    with listening(service) as address:
        until(lambda: service.state == "ready")
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(address + URL, json={"messages": HELLO}, timeout=0.3)
        until(lambda: bool(talker.ended), 2)
        assert talker.ended[0][0] == "cancelled"


def test_open_answers_end_when_the_server_does() -> None:
    """`cancel` is what the server calls first when it is told to end."""
    talker = Talker()
    service = Service("talker", lambda: talker)
    with listening(service) as address:
        until(lambda: service.state == "ready")
        body = {"messages": HELLO, "stream": True}
        with httpx.stream("POST", address + URL, json=body) as answer:
            pieces = answer.iter_text()
            next(pieces)
            service.cancel()
            assert "[DONE]" in "".join(pieces)
        assert talker.ended[0][0] == "cancelled"


def test_more_than_the_queue_holds_is_told_to_come_later() -> None:
    talker = Talker()
    service = Service("talker", lambda: talker)
    with listening(service) as address:
        until(lambda: service.state == "ready")

        async def crowd() -> list[int]:
            async with httpx.AsyncClient(base_url=address, timeout=30) as client:
                asks = [
                    asyncio.create_task(client.post(URL, json={"messages": HELLO}))
                    for _ in range(Limits().waiting + 3)
                ]
                done, waiting = await asyncio.wait(asks, timeout=1.5)
                for task in waiting:
                    task.cancel()
                return [task.result().status_code for task in done]

        assert asyncio.run(crowd()) == [429, 429, 429]
        until(lambda: not service._open)  # those that left make room


def test_while_the_model_loads_health_answers_and_requests_wait_outside() -> None:
    loaded = threading.Event()

    def load() -> Talker:
        loaded.wait(10)
        return Talker()

    service = Service("slow", load)
    with listening(service) as address:
        assert httpx.get(address + "/health").json()["status"] == "loading"
        for answer in (
            httpx.get(address + "/v1/models"),
            httpx.post(address + URL, json={"messages": HELLO}),
        ):
            assert answer.status_code == 503
            assert answer.json()["error"]["code"] == "model_loading"
        loaded.set()
        until(lambda: httpx.get(address + "/health").json()["status"] == "ready")


def test_cancelling_ends_within_a_token(tiny_model_dir: Path) -> None:
    engine = Engine.load(api_values(model_name_or_path=str(tiny_model_dir)))
    sampling = Sampling(max_tokens=500, temperature=2.0, top_p=1.0, top_k=0, seed=1)
    request = GenerationRequest(messages=HELLO, sampling=sampling)
    pieces: list[str] = []

    def show(piece: str) -> None:
        pieces.append(piece)
        request.cancelled.set()

    answer = engine.answer(request, show)
    assert answer.finish == "cancelled"
    assert len(pieces) == 1
    assert answer.completion_tokens < 20  # some tokens show nothing: half characters


def environment(home: Path) -> dict[str, str]:
    """What a server process gets; no setting of this test's own environment leaks in."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("API_")}
    return {**variables, "TUNEBOARD_HOME": str(home), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def test_the_command_serves_until_it_is_ended(tiny_model_dir: Path, workspace: Path) -> None:
    """Port 0 is answered with the port, the key comes from the environment, SIGTERM ends it."""
    command = [sys.executable, "-m", "backend", "api", "--model_name_or_path", str(tiny_model_dir)]
    env = {**environment(workspace), "API_KEY": "k", "API_MODEL_NAME": "mine", "API_PORT": "0"}
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        word, address = process.stdout.readline().split()
        assert word == "ready"
        with httpx.Client(base_url=address, headers={"Authorization": "Bearer k"}) as client:
            until(lambda: client.get("/health").json()["status"] == "ready", 60)
            assert client.get("/v1/models").json()["data"][0]["id"] == "mine"
            body = {"messages": HELLO, "max_tokens": 3, "stop": "\x00"}
            answer = client.post(URL, json=body, timeout=30)
            assert answer.json()["usage"]["completion_tokens"] == 3
            assert "server" not in answer.headers
            assert httpx.get(address + "/v1/models").status_code == 401
            host, _, port = address.removeprefix("http://").partition(":")
            with socket.create_connection((host, int(port)), timeout=30) as raw:
                raw.sendall(b"no request\r\n\r\n")
                answered = b"".join(iter(lambda: raw.recv(65536), b""))
                assert b'"error": {"message"' in answered, "the protocol is our own"
    finally:
        process.terminate()
        assert process.wait(10) in {0, -signal.SIGTERM}
        assert process.stdout is not None
        process.stdout.close()


def test_a_taken_port_is_one_clear_line(tiny_model_dir: Path, workspace: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        words = ["--model_name_or_path", str(tiny_model_dir), "--port", str(port)]
        done = subprocess.run(
            [sys.executable, "-m", "backend", "api", *words],
            env=environment(workspace),
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == 2
    assert done.stdout == ""
    assert str(port) in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_other_machines_only_with_a_key(
    host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("API_KEY", raising=False)
    with pytest.raises(UsageError) as caught:
        serve.run(api_values(model_name_or_path=str(tmp_path), host=host))
    assert caught.value.problems[0].code == "api_key_required"


def test_the_environment_stands_in_for_absent_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("HOST", "localhost"), ("PORT", "9"), ("KEY", "k"), ("MODEL_NAME", "m")):
        monkeypatch.setenv(f"API_{name}", value)
    merged = serve._with_environment(api_values(port=8123))
    assert (merged.host, merged.port) == ("localhost", 8123)
    assert (merged.api_key, merged.api_model_name) == ("k", "m")
    monkeypatch.setenv("API_PORT", "99999")
    with pytest.raises(UsageError) as caught:
        serve._with_environment(api_values())
    assert caught.value.problems[0].field == "port"


def test_the_model_is_named_by_its_folder() -> None:
    assert names.model_name(api_values(model_name_or_path="/a/b/Base")) == "Base"
    both = api_values(model_name_or_path="/a/Base", adapter_name_or_path="/x/one,/y/two/")
    assert names.model_name(both) == "two"


def test_chat_in_a_terminal_takes_piped_lines(
    tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each line is answered; /clear forgets, /exit ends; no control character is shown."""
    asked: list[list[dict[str, Any]]] = []
    real = Engine.answer

    def spy(self: Engine, request: GenerationRequest, show: Callable[[str], None]) -> Answer:
        asked.append(json.loads(json.dumps(request.messages)))
        show("\x1b[2J")
        return real(self, request, show)

    monkeypatch.setattr(Engine, "answer", spy)
    monkeypatch.setattr("sys.stdin", io.StringIO("hello\n\nagain\n/clear\nnew\n/exit\nnever\n"))
    values, _ = arguments.parse(
        {"model_name_or_path": str(tiny_model_dir), "max_new_tokens": 4}, "chat"
    )
    assert serve.chat_in_terminal(resolve(values)) == 0
    assert [len(messages) for messages in asked] == [1, 3, 1]
    assert asked[2][0]["content"] == "new"
    assert "\x1b" not in capsys.readouterr().out


def test_a_thought_in_the_terminal_is_in_brackets_and_goes_back_as_one(
    tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A template that reads reasoning_content would write the marks in the content again."""
    asked: list[list[dict[str, Any]]] = []

    def answer(self: Engine, request: GenerationRequest, show: Callable[[str], None]) -> Answer:
        asked.append(list(request.messages))
        for piece in ("<think>\nTea", " time.", "\n</think>\n\nAt ", "seven."):
            show(piece)
        return Answer(prompt_tokens=1, completion_tokens=1, finish="stop")

    real = Engine.load

    def load(values: Arguments) -> Engine:
        engine = real(values)
        engine.style = Style(thought=("<think>", "</think>"))
        return engine

    monkeypatch.setattr(Engine, "answer", answer)
    monkeypatch.setattr(Engine, "load", load)
    monkeypatch.setattr("sys.stdin", io.StringIO("one\ntwo\n"))
    values, _ = arguments.parse({"model_name_or_path": str(tiny_model_dir)}, "chat")
    assert serve.chat_in_terminal(resolve(values)) == 0
    assert capsys.readouterr().out == "[Tea time.]\nAt seven.\n" * 2
    thought = {"role": "assistant", "content": "At seven.", "reasoning_content": "Tea time."}
    assert asked[1][1] == thought


def test_ctrl_c_stops_the_answer_and_not_the_chat(
    tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = []

    def answer(self: Engine, request: GenerationRequest, show: Callable[[str], None]) -> Answer:
        calls.append(list(request.messages))
        show("so far")
        if len(calls) == 1:
            raise KeyboardInterrupt
        return Answer(prompt_tokens=1, completion_tokens=1, finish="stop")

    monkeypatch.setattr(Engine, "answer", answer)
    monkeypatch.setattr("sys.stdin", io.StringIO("one\ntwo\n"))
    values, _ = arguments.parse({"model_name_or_path": str(tiny_model_dir)}, "chat")
    assert serve.chat_in_terminal(resolve(values)) == 0
    assert calls[1][1] == {"role": "assistant", "content": "so far"}
    assert "stopped" in capsys.readouterr().out


def test_the_port_answers_before_torch_is_loaded() -> None:
    """Importing torch takes seconds; the page polls /health from the first one."""
    shown = "print([n for n in ('torch', 'peft') if n in sys.modules])"
    code = f"import sys, backend.serving.serve; {shown}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
