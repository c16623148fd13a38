"""A login is not guessed: wrong ones are counted by address and name (app/web/attempts.py)."""

import asyncio
import base64
import ipaddress
from typing import Any

import pytest
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from app.settings import Settings
from app.web import attempts, guard
from app.web.attempts import Attempts, Try, origin
from app.web.guard import Guard

ANN = Try("192.0.2.7", "ann")


class Clock:
    """Seconds as a test sets them."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def delays(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What answers were held back for, in seconds; nobody waits."""
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return waited


async def canary(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"in"})


class Door:
    """The guard of an open address, and people who knock."""

    def __init__(self, clock: Clock, **settings: object) -> None:
        chosen = Settings(host="0.0.0.0", login="ann:right", **settings)
        self.guard = Guard(canary, chosen, Attempts(clock))

    def knock(self, login: str, address: str = "192.0.2.7", **headers: str) -> Any:
        client = TestClient(self.guard, base_url="http://page", client=(address, 5000))
        token = base64.b64encode(login.encode()).decode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return client.get("/", headers={"authorization": f"Basic {token}", **named})


def test_wrong_logins_wait_and_are_then_refused(clock: Clock, delays: list[float]) -> None:
    """300 tries took 1.7 s once. Now 5 are answered at once, 15 a second later each, the rest not
    looked at, the right one neither; ten minutes after the last look it is forgotten."""
    door = Door(clock)
    codes = [door.knock(f"ann:guess{number}").status_code for number in range(300)]
    assert codes == [401] * 20 + [429] * 280
    assert delays[:20] == [0.0] * 5 + [1.0] * 15
    answer = door.knock("ann:right")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "600")
    assert door.knock("ann:right", "198.51.100.1").status_code == 200
    clock.now += 599.5
    assert door.knock("ann:right").headers["retry-after"] == "1"
    clock.now += 1
    assert door.knock("ann:right").status_code == 200
    assert door.knock("ann:guess").status_code == 401


def test_the_right_login_forgives_slips(clock: Clock, delays: list[float]) -> None:
    door = Door(clock)
    for _ in range(30):
        assert [door.knock("ann:slip").status_code for _ in range(5)] == [401] * 5
        assert door.knock("ann:right").status_code == 200
        clock.now += 601  # those of the address are another count
    assert set(delays) == {0.0}


def test_many_names_from_one_address_are_refused_too(clock: Clock, delays: list[float]) -> None:
    """Another name is not shut out by the first one's slips, but an address is by a hundred."""
    door = Door(clock)
    assert {door.knock("bob:x").status_code for _ in range(20)} == {401}
    assert door.knock("bob:x").status_code == 429
    assert door.knock("ann:right").status_code == 200
    assert [door.knock(f"name{n}:x").status_code for n in range(90)] == [401] * 80 + [429] * 10
    assert door.knock("ann:right").status_code == 429
    assert delays.count(1.0) == 95


def test_what_carries_no_login_is_no_try(clock: Clock, delays: list[float]) -> None:
    """A browser asks without one first; the health line asks for none, not even after 429."""
    door = Door(clock)
    client = TestClient(door.guard, base_url="http://page", client=("192.0.2.7", 5000))
    assert {client.get("/").status_code for _ in range(50)} == {401}
    assert len(door.guard.attempts) == 0
    for _ in range(25):
        door.knock("ann:x")
    assert client.get("/healthz").status_code == 200
    login = {"authorization": "Basic " + base64.b64encode(b"ann:right").decode()}
    with pytest.raises(WebSocketDisconnect) as closed, client.websocket_connect("/", headers=login):
        pass
    assert closed.value.code == 1008
    for header in ("Basic ???", "Bearer abc", "Basic"):
        assert client.get("/", headers={"authorization": header}).status_code == 401
    assert len(door.guard.attempts) == 3


def test_memory_is_bounded(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of names and addresses pushes out the oldest counts and nothing else."""
    monkeypatch.setattr(attempts, "ENTRIES", 100)
    counts = Attempts(clock)
    for number in range(1000):
        counts.add(Try(f"192.0.{number // 250}.{number % 250}", "x" * 50_000))
    assert len(counts) == 100
    for _ in range(20):
        counts.add(ANN)
    assert counts.blocked_seconds(ANN) == 600
    assert len(counts) == 100
    long = Try("203.0.113.1", "n" * 50_000)
    counts.add(long)
    assert max(len(key.name) for key in counts._counts if isinstance(key, Try)) == 64


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("192.0.2.7", "", "192.0.2.7"),
        ("192.0.2.7", "203.0.113.9", "192.0.2.7"),  # not a proxy of ours: not believed
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "1.2.3.4, 203.0.113.9", "203.0.113.9"),  # the first was made up
        ("10.0.0.1", "203.0.113.9, 10.0.0.2", "203.0.113.9"),  # two proxies in a row
        ("10.0.0.1", "made up", "10.0.0.1"),
        ("::ffff:10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:aaaa::1", "", "2001:db8:1:2::/64"),
        ("10.0.0.1", "2001:db8:1:2:bbbb::2", "2001:db8:1:2::/64"),
        ("testclient", "203.0.113.9", "testclient"),
    ],
)
def test_the_address_that_counts(peer: str, forwarded: str, expected: str) -> None:
    assert origin(peer, forwarded, (ipaddress.ip_network("10.0.0.0/8"),)) == expected


def test_a_forwarded_address_is_believed_of_a_trusted_proxy_only(
    clock: Clock, delays: list[float]
) -> None:
    """Whoever may choose the address that he is counted by is never shut out."""
    for trusted, last in (((), 429), ((ipaddress.ip_network("192.0.2.7"),), 401)):
        door = Door(clock, trusted_proxies=trusted)
        codes = [
            door.knock("ann:x", x_forwarded_for=f"203.0.113.{number}").status_code
            for number in range(40)
        ]
        assert codes[-1] == last


def test_equal_logins_are_equal_and_others_are_not() -> None:
    """Of any length and any characters; a compare of texts of other lengths would end early."""
    assert guard._equal("änn:grün".encode(), "änn:grün".encode())
    for other in (b"", b"ann", b"ann:right2", b"ann:righ", b"\xff"):
        assert not guard._equal(other, b"ann:right")
