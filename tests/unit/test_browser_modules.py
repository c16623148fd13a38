"""The page's scripts as the server gives them out."""

import re
from typing import Any, cast

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from app.web.requests import Requests
from app.web.server import Modules
from tests.architecture import SCRIPTS


@pytest.fixture
def client() -> TestClient:
    api = FastAPI()
    api.mount("/own/browser", Modules(directory=SCRIPTS))
    return TestClient(Requests(api, cast(Any, None)))  # without Gradio: nothing is posted here


def test_every_module_that_a_module_asks_for_is_given_out(client: TestClient) -> None:
    """A browser takes a script as a module only with the type of one."""
    files = sorted([*SCRIPTS.glob("*.js"), *SCRIPTS.glob("*.css")])
    assert len(files) > 12
    for file in files:
        response = client.get(f"/own/browser/{file.name}")
        assert response.status_code == 200
        assert response.headers["content-type"].split(";")[0] in {"text/javascript", "text/css"}
        for name in re.findall(r'^import .* from "\./(.+)";$', response.text, re.MULTILINE):
            assert (SCRIPTS / name).is_file(), f"{file.name} imports {name}"


def test_a_browser_asks_each_time_whether_a_module_is_the_same(client: TestClient) -> None:
    """Kept for a while, a module of one release would import those of another."""
    response = client.get("/own/browser/form.js")
    assert response.headers["cache-control"] == "no-cache"
    again = client.get("/own/browser/form.js", headers={"if-none-match": response.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "path",
    ["", "..", "../server.py", "%2e%2e/server.py", "..%2fserver.py", "none.js", "deep/form.js"],
)
def test_nothing_else_is_given_out(client: TestClient, path: str) -> None:
    assert client.get(f"/own/browser/{path}").status_code == 404


def test_modules_are_only_read(client: TestClient) -> None:
    assert client.post("/own/browser/form.js").status_code == 405
