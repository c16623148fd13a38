"""A client that opens a connection and sends a request in drops is cut off; answers are not."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn

from backend.contract.system.slow_clients import TimedProtocol
from backend.serving.serve import ApiProtocol

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n"
ENDLESS = 30  # seconds: far beyond the times below, so that a hanging test fails


class Quick(TimedProtocol):
    """The same with times that a test can wait for."""

    header_s = 0.3
    body_s = 0.3


class QuickApi(ApiProtocol):
    """The API's own."""

    header_s = 0.3
    body_s = 0.3


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Reads the body, unless asked not to, and answers in five pieces over a second."""
    if scope["type"] != "http":
        return
    more = scope["path"] != "/unread"
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        more = message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for number in range(5):
        await asyncio.sleep(0.2)
        body = {"type": "http.response.body", "body": b"%d" % number, "more_body": number < 4}
        await send(body)


@contextmanager
def listening(protocol: type[TimedProtocol]) -> Iterator[socket.socket]:
    """A connection to a server of this protocol."""
    bound = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, http=protocol, ws="none", log_level="critical"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[bound])))
    thread.start()
    try:
        with socket.create_connection(bound.getsockname(), timeout=ENDLESS) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(ENDLESS)


def rest(client: socket.socket) -> bytes:
    """All that comes until the server closes."""
    received = b""
    while part := client.recv(65536):
        received += part
    return received


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"G",
        b"GET / HTTP/1.1\r\nHost: x\r\n",
        HEAD + b"\r\n",
        HEAD + b"\r\n12345",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n123",
    ],
)
def test_a_request_that_stops_coming_is_answered_408(sent: bytes) -> None:
    with listening(Quick) as client:
        client.sendall(sent)
        answer = rest(client)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in answer.lower()


@pytest.mark.parametrize("start", [b"GET / HTTP/1.1\r\nX-A: ", HEAD + b"X: y\r\n\r\n"])
def test_drops_do_not_put_the_end_off(start: bytes) -> None:
    """What slowloris does: a byte now and then, each of which ends uvicorn's own waiting."""
    with listening(Quick) as client:
        client.sendall(start)
        client.settimeout(0.05)
        answer = b""
        for _ in range(10 * ENDLESS):
            try:
                answer = client.recv(65536)
                break
            except TimeoutError:
                client.sendall(b"a")
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_drops_behind_an_answer_are_cut_off_too() -> None:
    """The body of a request that was answered without being read."""
    with listening(Quick) as client:
        client.sendall(HEAD.replace(b"POST /", b"POST /unread") + b"\r\n1")
        answer = rest(client)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.count(b"HTTP/1.1") == 1


def test_an_answer_takes_as_long_as_it_needs() -> None:
    with listening(Quick) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = rest(client)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"1\r\n4\r\n0\r\n\r\n")


def test_a_second_request_on_a_connection_has_its_own_time() -> None:
    request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    with listening(Quick) as client:
        for _ in range(2):
            client.sendall(request)
            answer = b""
            while not answer.endswith(b"0\r\n\r\n"):
                answer += client.recv(65536)
            assert answer.startswith(b"HTTP/1.1 200 ")
        client.sendall(b"GET / HT")
        assert rest(client).startswith(b"HTTP/1.1 408 ")


def test_a_body_that_keeps_coming_is_waited_for() -> None:
    """More than half a second in all, at twice the rate that is asked for."""

    class Rated(Quick):
        body_rate = 100

    with listening(Rated) as client:
        client.sendall(HEAD.replace(b"20", b"120") + b"Connection: close\r\n\r\n")
        for _ in range(12):
            threading.Event().wait(0.05)
            client.sendall(b"0123456789")
        assert rest(client).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("sent", "status"), [(b"", 408), (HEAD + b"\r\n1", 408), (b"?\r\n\r\n", 400)]
)
def test_the_api_s_errors_have_openai_s_shape(sent: bytes, status: int) -> None:
    with listening(QuickApi) as client:
        client.sendall(sent)
        head, _, body = rest(client).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    error = json.loads(body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert error["code"] == {408: "too_slow", 400: "bad_request"}[status]


def test_the_times_are_those_of_the_documentation() -> None:
    assert (ApiProtocol.header_s, ApiProtocol.body_s, ApiProtocol.body_rate) == (15, 30, 10_000)
