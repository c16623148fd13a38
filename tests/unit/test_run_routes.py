"""What the server answers about runs in front of Gradio: only of runs that the page lists."""

import json
from pathlib import Path
from typing import Any, cast

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from app.services.runs import hardware
from app.services.runs.hardware import Snapshot
from app.web import run_feed
from app.web.requests import Requests
from backend.contract.runs import run_folder


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    monkeypatch.setattr(hardware, "snapshot", Snapshot)
    api = FastAPI()
    api.include_router(run_feed.router)
    return TestClient(Requests(api, cast(Any, None)))  # without Gradio: nothing is posted here


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "saves" / "model" / "lora" / "one"
    path.mkdir(parents=True)
    (path / run_folder.RUN).write_text(json.dumps({"kind": "train"}))
    (path / run_folder.EXIT).write_text('{"code": 0}')
    (path / run_folder.LOG).write_text("hf_abcdefghijklmnopqrstuvwxyz\n日志\n", encoding="utf-8")
    return path


def test_a_run_is_told_and_then_only_what_is_new(client: TestClient, folder: Path) -> None:
    first = client.get("/own/run", params={"run": str(folder)})
    assert first.headers["cache-control"] == "no-store"
    answer = first.json()
    assert answer["head"]["state"] == "Succeeded"
    assert answer["log"]["text"].endswith("\n日志")
    assert "hf_a" not in first.text, "secrets are masked"
    known = {"stamp": answer["stamp"], "log": answer["log"]["cursor"]}
    second = client.get("/own/run", params={"run": str(folder), **known})
    assert second.json() == {"stamp": answer["stamp"]}
    other = client.get("/own/run", params={"run": str(folder), "lang": "zh", **known})
    assert other.json()["head"]["state"] == "已成功"


@pytest.mark.parametrize("run", ["", "/", "/etc", "..", "model", "a\0b", "x" * 5000])
def test_nothing_else_is_told(client: TestClient, folder: Path, run: str) -> None:
    (folder.parents[3] / "run.json").write_text("{}")
    for name in (run, str(folder.parents[3]), f"{folder}/../../../.."):
        assert client.get("/own/run", params={"run": name}).status_code == 404
    assert client.get("/own/run", params={"run": str(folder), "lang": "xx"}).status_code == 404
    assert client.get("/own/run").status_code == 404


def test_forged_knowledge_is_no_knowledge(client: TestClient, folder: Path) -> None:
    forged = {"stamp": "x" * 9000, "metrics": "1-zz", "log": "9" * 900, "series": ["a"] * 50}
    answer = client.get("/own/run", params={"run": str(folder), **forged})
    assert answer.status_code == 200
    assert {"head", "log", "metrics"} <= answer.json().keys()


def test_plotly_comes_from_the_package(client: TestClient) -> None:
    """No other server is asked for it, and a browser that has it gets it no second time."""
    response = client.get("/own/plotly.js")
    assert response.headers["content-type"].split(";")[0] == "text/javascript"
    assert len(response.content) > 1_000_000
    assert response.headers["etag"]
    assert client.post("/own/plotly.js").status_code == 405
