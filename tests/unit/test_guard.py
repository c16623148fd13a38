"""Who may talk to the page: Host, Origin, login, headers (H-01 to H-05, S-20, S-22, S-28)."""

import base64
from collections.abc import Mapping
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from app.__main__ import options
from app.settings import Settings
from app.web.guard import Guard
from app.web.server import check
from backend.contract.texts.problems import UsageError

OPEN = Settings()


async def canary(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["path"].encode()})


def ask(settings: Settings, method: str = "GET", path: str = "/", **headers: str) -> int:
    given = {"host": "127.0.0.1:7860", **{k.replace("_", "-"): v for k, v in headers.items()}}
    client = TestClient(Guard(canary, settings), base_url="http://127.0.0.1:7860")
    return client.request(method, path, headers=given).status_code


@pytest.mark.parametrize(
    "host", ["127.0.0.1:7860", "localhost:7860", "[::1]:7860", "LOCALHOST:7860"]
)
def test_own_names_pass(host: str) -> None:
    assert ask(OPEN, host=host) == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.com",
        "127.0.0.1.nip.io",
        "localhost.evil.com",
        "",
        "x/public?",
        "a@localhost",
        "localhost.:7860",
    ],
)
def test_foreign_names_are_refused(host: str) -> None:
    assert ask(OPEN, host=host) == 403


def test_the_canary_is_reached_without_the_guard() -> None:
    client = TestClient(canary, base_url="http://evil.com")
    assert client.get("/").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.com"},
        {"origin": "null"},
        {"origin": "http://localhost:3000"},
        {"origin": "http://127.0.0.1:7860", "sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
    ],
)
def test_another_site_cannot_change_anything(headers: Mapping[str, str]) -> None:
    assert ask(OPEN, "POST", "/gradio_api/queue/join", **headers) == 403


def test_our_own_page_and_plain_clients_can() -> None:
    own = {"origin": "http://127.0.0.1:7860", "sec_fetch_site": "same-origin"}
    assert ask(OPEN, "POST", "/gradio_api/queue/join", **own) == 200
    assert ask(OPEN, "POST", "/gradio_api/queue/join") == 200


def test_a_login_is_asked_on_every_path() -> None:
    settings = Settings(host="0.0.0.0", login="ann:secret")
    good = "Basic " + base64.b64encode(b"ann:secret").decode()
    bad = "Basic " + base64.b64encode(b"ann:guess").decode()
    for path in ("/", "/gradio_api/info", "/config", "/own/browser/theme.js"):
        assert ask(settings, path=path) == 401
        assert ask(settings, path=path, authorization=bad) == 401
        assert ask(settings, path=path, authorization="Basic ???") == 401
        assert ask(settings, path=path, authorization=good) == 200
    assert ask(settings, path="/healthz") == 200


def test_headers_are_on_every_answer() -> None:
    client = TestClient(Guard(canary, OPEN), base_url="http://127.0.0.1:7860")
    for host in ("127.0.0.1:7860", "evil.com"):
        headers = client.get("/", headers={"host": host}).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'self'" in headers["content-security-policy"]


def test_a_proxy_prefix_is_taken_off_and_its_host_accepted() -> None:
    settings = Settings(root_path="/some/proxy/7860")
    client = TestClient(Guard(canary, settings), base_url="http://notebook.example")
    assert client.get("/some/proxy/7860/config").text == "/config"
    assert client.get("/config").text == "/config"
    bare = client.get("/some/proxy/7860?a=b", follow_redirects=False)
    assert (bare.status_code, bare.headers["location"]) == (307, "7860/?a=b")
    assert client.get("/some/proxy/78600").text == "/some/proxy/78600"


@pytest.mark.parametrize("argv", [["--host", "0.0.0.0"], ["--host=192.168.1.5"]])
def test_other_machines_need_a_login(argv: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """S-28, H-12: no page is served to a network without a login."""
    monkeypatch.delenv("TUNEBOARD_LOGIN", raising=False)
    with pytest.raises(UsageError, match="TUNEBOARD_LOGIN"):
        check(options(argv))


def test_the_environment_that_people_know_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_SERVER_PORT", "7999")
    monkeypatch.setenv("GRADIO_ROOT_PATH", "/some/proxy/7860/")
    settings = options([])
    assert (settings.host, settings.port, settings.root_path) == (
        "127.0.0.1",
        7999,
        "/some/proxy/7860",
    )
    assert options(["--port", "7870"]).port == 7870


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"ann:secret", ""),
        (b"ann:secret\n", ""),
        (b"\xef\xbb\xbfann:se:cret\r\n", ""),
        ("\u00e4nn:gr\u00fcn ".encode(), ""),
        (b"", "bad_login_file"),
        (b"ann", "bad_login_file"),
        (b"ann:\n", "bad_login_file"),
        (b":secret", "bad_login_file"),
        (b"ann:secret\nbob:secret\n", "bad_login_file"),
        (b"ann:\xff", "bad_login_file"),
        (b"ann:" + b"a" * 5000, "bad_login_file"),
        (None, "login_file_unreadable"),
    ],
)
def test_a_login_comes_from_a_file(
    content: bytes | None, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container's secret: the name of the file is in the environment, the password is not."""
    file = tmp_path / "login"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.delenv("TUNEBOARD_LOGIN", raising=False)
    monkeypatch.setenv("TUNEBOARD_LOGIN_FILE", str(file))
    if not code:
        assert content is not None
        assert options([]).login == content.decode("utf-8-sig").strip("\r\n")
        monkeypatch.setenv("TUNEBOARD_LOGIN", "ann:secret")
        code = "two_logins"
    with pytest.raises(UsageError) as error:
        options([])
    (problem,) = error.value.problems
    assert problem.code == code
    assert "secret" not in problem.text()


def test_proxies_and_the_switch_are_read_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNEBOARD_TRUSTED_PROXIES", "10.0.0.0/8, ::1")
    monkeypatch.setenv("TUNEBOARD_STOP_RUNS", "1")
    settings = options(["--trusted-proxy", "192.0.2.7"])
    networks = [str(each) for each in settings.trusted_proxies]
    assert (networks, settings.stop_runs) == (["192.0.2.7/32", "10.0.0.0/8", "::1/128"], True)
    for name, value in (("TRUSTED_PROXIES", "proxy.example"), ("STOP_RUNS", "maybe")):
        with monkeypatch.context() as patch:
            patch.setenv(f"TUNEBOARD_{name}", value)
            with pytest.raises(UsageError, match=value):
                options([])
    monkeypatch.setenv("TUNEBOARD_STOP_RUNS", "0")
    assert options([]).stop_runs is False
