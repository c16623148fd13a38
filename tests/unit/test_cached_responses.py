"""Answers that stay the same while the server runs: made once, and never another's."""

import gzip
from collections import Counter

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from app.web.cached_responses import CachedResponses

LONG = "a text that is worth compressing. " * 100


class Application:
    """Counts what it is asked; answers with the path, the query, the host and a long text."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.status = 200
        self.cookie = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        self.asked[scope["path"]] += 1
        text = f"{request.url.path} {request.url.query} {request.headers['host']} {LONG}"
        response: Response = PlainTextResponse(text, self.status)
        if self.cookie:
            response.set_cookie("mine", "1")
        await response(scope, receive, send)


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
def client(application: Application) -> TestClient:
    return TestClient(CachedResponses(application, lambda page: page.replace(b"/ ", b"edited ", 1)))


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/theme.css?v=1",
        "/assets/a-1.js",
        "/own/browser/form.js",
        "/own/components.json?lang=pt-BR",
    ],
)
def test_an_answer_is_made_once(client: TestClient, application: Application, path: str) -> None:
    first, second = client.get(path), client.get(path)
    assert first.text == second.text
    assert LONG in first.text
    assert [*application.asked.values()] == [1]


@pytest.mark.parametrize(
    "path",
    [
        "/own/news",
        "/own/run?run=a",
        "/gradio_api/queue/data",
        "/config",
        "/own/form/train?lang=e.n",
        "/own/components.json",
    ],
)
def test_what_changes_is_asked_each_time(
    client: TestClient, application: Application, path: str
) -> None:
    client.get(path)
    client.get(path)
    client.head("/")
    assert [*application.asked.values()] == [2, 1]


def test_a_form_is_another_one_in_each_language(
    client: TestClient, application: Application
) -> None:
    for lang in ("en", "zh", "en"):
        assert f"lang={lang} " in client.get(f"/own/form/train?lang={lang}").text
    assert application.asked["/own/form/train"] == 2


def test_the_page_says_the_address_that_it_was_asked_at(
    client: TestClient, application: Application
) -> None:
    """Its scripts would ask another server."""
    for host in ("a.example", "b.example", "a.example"):
        text = client.get("/?page=x&deep_link=y", headers={"host": host}).text
        assert text.startswith(f"edited  {host} ")
    assert application.asked["/"] == 2
    client.get("/", headers={"host": "a.example", "x-forwarded-proto": "https"})
    assert application.asked["/"] == 3


def test_a_browser_that_has_it_is_told_so(client: TestClient) -> None:
    """And what is named for its content need not be asked for again."""
    response = client.get("/own/browser/form.js")
    assert response.headers["cache-control"] == "no-cache"
    again = client.get("/own/browser/form.js", headers={"if-none-match": response.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert "immutable" in client.get("/assets/a-1.js").headers["cache-control"]


def test_it_is_compressed_for_those_who_can_read_that(client: TestClient) -> None:
    with client.stream("GET", "/", headers={"accept-encoding": "gzip"}) as response:
        raw = b"".join(response.iter_raw())
    assert response.headers["content-encoding"] == "gzip"
    assert len(raw) < 500
    assert LONG in gzip.decompress(raw).decode()
    plain = client.get("/", headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert LONG in plain.text


def test_failures_and_cookies_are_not_remembered(
    client: TestClient, application: Application
) -> None:
    application.status = 500
    assert client.get("/").status_code == 500
    application.status, application.cookie = 200, True
    assert client.get("/").cookies["mine"] == "1"
    application.cookie = False
    assert client.get("/").status_code == 200
    assert application.asked["/"] == 3


def test_many_addresses_do_not_fill_the_memory(
    client: TestClient, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.web.cached_responses.MOST_BYTES", 2 * len(LONG))
    for name in ("a", "b", "a", "c"):
        client.get(f"/assets/{name}.js", headers={"accept-encoding": "identity"})
    assert application.asked["/assets/a.js"] == 2
