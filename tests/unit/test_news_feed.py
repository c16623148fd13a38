"""What an open page is told every two seconds."""

from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from app.services.models import starter
from app.services.page import news
from app.services.runs import hardware
from app.services.runs.timed_cache import TimedCache
from app.web import news_feed

HEARD = {"sets", "runs", "steps", "chat", "starter"}  # by stamp.js, list.js and run_panel.js


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    """The feed of a working folder, where each question looks anew."""
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    monkeypatch.setattr(news, "_sets", TimedCache(news._look_at_sets, 0))
    monkeypatch.setattr(starter, "_child", None)
    monkeypatch.setattr(hardware, "snapshot", lambda: None)
    monkeypatch.setattr(hardware, "strip", lambda now, lang: f"in {lang}")
    api = FastAPI()
    api.include_router(news_feed.router)
    return TestClient(api)


def asked(client: TestClient, **query: Any) -> dict[str, str]:
    response = client.get("/own/news", params=query)
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    answer: dict[str, str] = response.json()
    return answer


@pytest.mark.parametrize(
    ("tab", "more"),
    [
        ("train", set()),
        ("data", set()),
        ("runs", {"steps"}),
        ("recipes", {"steps"}),
        ("chat", {"chat"}),
        ("", set()),
        ("x" * 1000, set()),
    ],
)
def test_a_tab_is_told_what_it_shows(client: TestClient, tab: str, more: set[str]) -> None:
    answer = asked(client, tab=tab)
    assert set(answer) == {"strip", "sets", "runs"} | more
    assert set(answer) - {"strip"} <= HEARD


def test_the_words_are_in_the_language_of_the_page(client: TestClient) -> None:
    """In English where there is no such language."""
    words = {lang: asked(client, lang=lang)["strip"] for lang in ("en", "zh", "xx", "../en")}
    assert words == {"en": "in en", "zh": "in zh", "xx": "in en", "../en": "in en"}


def test_a_stamp_changes_with_what_it_stands_for(client: TestClient, tmp_path: Path) -> None:
    """A new set in one of the folders, and only there; nothing new leaves it."""
    before = asked(client, folder=["data", "other"])
    assert asked(client, folder=["data", "other"]) == before
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "dataset_info.json").write_text('{"mine": {"file_name": "a.jsonl"}}')
    after = asked(client, folder=["data", "other"])
    assert after["sets"] != before["sets"]
    assert after["runs"] == before["runs"]
    assert asked(client, folder="data")["sets"] == asked(client, folder=["data", "data"])["sets"]


def test_a_size_is_news_only_while_the_sets_are_shown(client: TestClient, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "dataset_info.json").write_text('{"mine": {"file_name": "a.jsonl"}}')
    before = {tab: asked(client, tab=tab, folder="data")["sets"] for tab in ("train", "data")}
    (data / "a.jsonl").write_text('{"text": "one"}\n')
    after = {tab: asked(client, tab=tab, folder="data")["sets"] for tab in ("train", "data")}
    assert after["train"] == before["train"]
    assert after["data"] != before["data"]


def test_each_try_for_the_starter_model_is_news(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that fails as soon, and with the same words, as the one before."""
    assert "starter" not in asked(client)
    stamps = set()
    for number in (1, 2):
        failed = starter.Progress(number, running=False, line="No route.", code=1)
        monkeypatch.setattr(starter, "progress", lambda failed=failed: failed)
        stamps.add(asked(client)["starter"])
    assert len(stamps) == 2


@pytest.mark.parametrize("folder", ["/etc", "a\0b", "x" * 5000, "..", ""])
def test_a_forged_folder_is_an_empty_one(client: TestClient, folder: str) -> None:
    assert asked(client, folder=folder)["sets"] == asked(client, folder="nowhere")["sets"]


def test_no_more_folders_are_looked_at_than_a_page_has(client: TestClient) -> None:
    many = [str(number) for number in range(news_feed.MOST_FOLDERS + 1)]
    assert client.get("/own/news", params={"folder": many}).status_code == 422
    assert asked(client, folder=many[:-1])
